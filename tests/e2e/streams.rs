//! Standard streams that are closed, slow or non-blocking, and what may be printed on them.
//!
//! Not here: standard error that nobody reads (`unread_log`).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;

use crate::harness::conduit::{CONDUIT, ask};
use crate::harness::feed::plain;
use crate::harness::{Process, TempDir, wait_for};

/// The exit status and standard error of `conduit` with these words, as a shell starts it.
fn by_shell(words: &str) -> (Option<i32>, String) {
    let line = format!("{CONDUIT} {words}");
    let output = Command::new("sh").args(["-c", &line]).output();
    let output = output.expect("every system has sh");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn f140_a_closed_stream_is_exit_3_and_dev_null_is_none() {
    for (words, expected, said) in [
        (
            "run --listen none </dev/null >&-",
            3,
            "standard output is closed",
        ),
        (
            "run --listen none <&- >/dev/null",
            3,
            "standard input is closed",
        ),
        ("run --listen none <&- >&-", 3, "standard input is closed"),
        ("run --listen none </dev/null >/dev/null", 0, ""),
        ("run --listen none <>/dev/null >&0", 0, ""),
        ("--help >&-", 3, "it is closed"),
        ("explain <&-", 2, "standard input is closed"),
    ] {
        let (status, stderr) = by_shell(words);
        assert_eq!(status, Some(expected), "{words}: {stderr}");
        assert!(stderr.contains(said), "{words}: {stderr}");
    }
}

#[test]
fn f147_a_slow_non_blocking_standard_output_gets_all() {
    let dir = TempDir::new();
    let jobs: String = (0..2_000)
        .map(|number| plain(&number.to_string(), "https://example.com/"))
        .collect();
    let file = dir.write("jobs", &jobs);
    let file = file.to_str().expect("a plain name");
    let (status, whole, _) = ask(&["explain", "--json", file]);
    assert!(status == Some(0) || status == Some(1), "{status:?}");
    assert!(whole.len() > 500_000, "more than a socket holds");
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    let mut command = Command::new(CONDUIT);
    command.args(["explain", "--json", file]);
    command.stdin(Stdio::null()).stdout(OwnedFd::from(ours));
    let mut process = Process::spawn(&mut command);
    // The command holds the other end too, until it goes.
    drop(command);
    // Nobody reads until it stands still, or has given up.
    let stat = format!("/proc/{}/stat", process.id());
    let mut still = 0;
    wait_for("the command to stand still", || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or("Z", |(_, state)| &state[..1]);
        still = if matches!(state, "S" | "Z") {
            still + 1
        } else {
            0
        };
        (still > 20).then_some(())
    });
    let mut read = String::new();
    theirs.read_to_string(&mut read).expect("text");
    assert_eq!(process.wait().code(), status);
    // Each explanation has the time of its own run.
    assert_eq!(read.lines().count(), whole.lines().count());
    assert!(read.ends_with('\n'));
}

#[test]
fn f146_a_false_server_steers_no_terminal() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let listener = UnixListener::bind(&path).expect("a new name");
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = listener.accept().expect("somebody comes");
            let mut question = String::new();
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut question).expect("a question");
            let answer = "{\"ok\":true,\"data\":{\"\\u001b[31mred\":\"\\u009bx\u{9b}\u{202e}\",\
                          \"deep\":{\"\\u001b]0;\":1}}}\n";
            stream.get_mut().write_all(answer.as_bytes()).expect("read");
        }
    });
    let socket = path.to_str().expect("a plain name");
    for flags in [&["ctl", "status"][..], &["ctl", "status", "--json"]] {
        let mut words = flags.to_vec();
        words.extend(["--socket", socket]);
        let (status, stdout, stderr) = ask(&words);
        assert_eq!(status, Some(0), "{stderr}");
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!stdout.contains(steers), "{stdout:?}");
        assert!(stdout.contains("\\u001b[31mred"), "{stdout}");
    }
    server.join().expect("it answers");
}
