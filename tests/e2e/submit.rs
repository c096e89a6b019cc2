//! `conduit submit` and `conduit ctl` against a running conduit: what they print, and what their exit status says.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::harness::conduit::{CONDUIT, ask};
use crate::harness::feed::{line, plain};
use crate::harness::gate::Gate;
use crate::harness::servers::Sink;
use crate::harness::socket::{Daemon, summary};
use crate::harness::{Process, TempDir, is_root};

/// A user whom nothing belongs to.
const NOBODY: u32 = 65_534;

/// Runs `conduit submit` with these words and this on stdin: exit status, lines as `ID LINE OUTCOME`, stderr.
fn submit(socket: &Path, words: &[&str], jobs: &str) -> (Option<i32>, Vec<String>, String) {
    let mut command = Command::new(CONDUIT);
    command
        .arg("submit")
        .args(words)
        .env("CONDUIT_SOCKET", socket);
    feed(&mut command, jobs)
}

fn feed(command: &mut Command, jobs: &str) -> (Option<i32>, Vec<String>, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("conduit starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let jobs = jobs.to_owned();
    // It may leave before it has read everything.
    let writer = thread::spawn(move || stdin.write_all(jobs.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let _broken_pipe = writer.join().expect("the writer does not panic");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let parse = |line: &str| summary(&serde_json::from_str(line).expect("JSON"));
    let lines = text(output.stdout).lines().map(parse).collect();
    (output.status.code(), lines, text(output.stderr))
}

#[test]
fn submit_prints_first_answers_and_says_whether_all_are_accepted() {
    let gate = Gate::start();
    let daemon = Daemon::start::<&str>(&[]);
    let jobs = format!(
        "\u{feff}{}\n \n{}",
        plain("a", &gate.url()),
        plain("b", &gate.url())
    );
    // It does not wait for results: there are none yet.
    let (status, lines, stderr) = submit(&daemon.path(), &[], jobs.trim_end());
    assert_eq!(lines, ["a 1 accepted", "b 4 accepted"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let dir = TempDir::new();
    let file = dir.write("jobs", &(plain("c", &gate.url()) + "nonsense\n"));
    let (status, lines, _) = submit(&daemon.path(), &[file.to_str().unwrap()], "");
    assert_eq!(lines, ["c 1 accepted", "- 2 invalid"]);
    assert_eq!(status, Some(1));
    let (status, lines, _) = submit(&daemon.path(), &[], "");
    assert_eq!((status, lines.len()), (Some(0), 0), "nothing is all");
    gate.open();
    daemon.stop();
}

#[test]
fn submit_waits_for_results_if_it_is_told_to() {
    let sink = Sink::start(1, &[]);
    let bad = Sink::start(1, &["--status", "404"]);
    let daemon = Daemon::start::<&str>(&[]);
    let good = plain("a", &sink.urls[0]);
    let (status, lines, _) = submit(&daemon.path(), &["--wait"], &good);
    assert_eq!(lines, ["a 1 accepted", "a 1 delivered"]);
    assert_eq!(status, Some(0));
    let both = good + &plain("b", &bad.urls[0]);
    let (status, mut lines, _) = submit(&daemon.path(), &["--wait"], &both);
    lines.sort();
    assert_eq!(
        lines,
        [
            "a 1 accepted",
            "a 1 delivered",
            "b 2 accepted",
            "b 2 rejected"
        ]
    );
    assert_eq!(status, Some(1));
    daemon.stop();
}

#[test]
fn submit_reads_answers_while_conduit_holds_it_back() {
    let sink = Sink::start(1, &[]);
    let daemon = Daemon::start(&["--max-client-pending", "10"]);
    // Far more than all buffers on the way hold.
    let jobs: String = (0..20_000)
        .map(|n| line(&json!({"id": n.to_string(), "url": sink.urls[0], "body": "x".repeat(100)})))
        .collect();
    let (status, lines, stderr) = submit(&daemon.path(), &["--wait"], &jobs);
    assert_eq!((status, lines.len()), (Some(0), 40_000), "{stderr}");
    daemon.stop();
}

#[test]
fn submit_that_can_t_connect_or_is_cut_off_is_exit_3() {
    let dir = TempDir::new();
    let (status, _, stderr) = submit(&dir.join("nobody"), &[], "");
    assert_eq!(status, Some(3));
    assert!(stderr.contains("nobody"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");

    let path = dir.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream
            .write_all(b"{\"id\":\"a\",\"line\":1,\"outcome\":\"accepted\"}\n")
            .unwrap();
    });
    let (status, lines, stderr) = submit(&path, &["--wait"], &plain("a", "http://127.0.0.1/"));
    assert_eq!((status, lines.len()), (Some(3), 1), "{stderr}");
    assert!(stderr.contains("lost"), "{stderr}");
    server.join().unwrap();

    for name in ["/no/such/file", "/dev"] {
        let (status, _, stderr) = submit(&path, &[name], "");
        assert_eq!(status, Some(2), "{stderr}");
        let expected = format!("conduit: can't open \"{name}\": ");
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn submit_says_that_an_answer_was_cut_off() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(b"{\"id\":\"a\",\"li").unwrap();
    });
    let (status, lines, stderr) = submit(&path, &[], &plain("a", "http://127.0.0.1/"));
    assert_eq!((status, lines.len()), (Some(3), 0), "{stderr}");
    let expected =
        "conduit: the connection to conduit was lost: it ended in the middle of an answer";
    assert!(stderr.starts_with(expected), "{stderr}");
    server.join().unwrap();
}

#[test]
fn submit_counts_a_blank_line_as_conduit_does_however_long_it_is() {
    let gate = Gate::start();
    let daemon = Daemon::start(&["--max-job-bytes", "1k"]);
    let blank = " ".repeat(3_000);
    let jobs = format!("{blank}\n{}{blank}\n{blank}", plain("a", &gate.url()));
    let (status, lines, stderr) = submit(&daemon.path(), &[], &jobs);
    assert_eq!(lines, ["a 2 accepted"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    gate.open();
    daemon.stop();
}

#[test]
fn submit_gets_what_became_of_its_jobs_at_a_shutdown() {
    let gate = Gate::start();
    let daemon = Daemon::start(&["--max-connections", "1"]);
    let mut command = Command::new(CONDUIT);
    command
        .args(["submit", "--wait", "--socket"])
        .arg(daemon.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::spawn(&mut command);
    let mut stdin = process.child().stdin.take().unwrap();
    let jobs = plain("a", &gate.url()) + &plain("b", &gate.url());
    stdin.write_all(jobs.as_bytes()).unwrap();
    drop(stdin);
    gate.wait_for_requests(1);
    let mut stdout = BufReader::new(process.child().stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    stdout.read_line(&mut first).unwrap();
    assert_eq!(first.matches("accepted").count(), 2);
    daemon.run.process().signal("TERM");
    let mut rest = String::new();
    stdout.read_line(&mut rest).unwrap();
    gate.open();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(
        rest.contains("delivered") && rest.contains("cancelled"),
        "{rest}"
    );
    assert_eq!(process.wait().code(), Some(1));
    assert_eq!(daemon.run.finish().status, Some(0));
}

#[test]
fn ctl_shows_a_table_or_the_answer_itself() {
    let gate = Gate::start();
    let daemon = Daemon::start::<&str>(&[]);
    let socket = daemon.path();
    let socket = socket.to_str().unwrap();
    let mut client = daemon.connect();
    client.send(plain("a", &gate.url()));
    assert_eq!(client.next(), "a 1 accepted");
    let (status, stdout, _) = ask(&["ctl", "status", "--socket", socket]);
    assert_eq!(status, Some(0));
    let row = |name: &str| {
        let row = stdout
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        row.and_then(|row| row.split_whitespace().nth(1))
            .map(str::to_owned)
    };
    assert_eq!(row("pending ").as_deref(), Some("1"), "{stdout}");
    assert_eq!(row("delivered").as_deref(), Some("0"), "{stdout}");
    let (_, stdout, _) = ask(&["ctl", "status", "--json", "--socket", socket]);
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&answer["ok"], &answer["data"]["pending"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(ask(&["ctl", "drain", "--socket", socket]).0, Some(0));
    let refused = submit(&daemon.path(), &[], &plain("b", &gate.url()));
    assert_eq!(
        (refused.0, refused.1),
        (Some(1), vec!["b 1 overloaded".to_owned()])
    );
    assert_eq!(
        ask(&["ctl", "drain", "--cancel", "--socket", socket]).0,
        Some(0)
    );
    let taken = submit(&daemon.path(), &[], &plain("c", &gate.url()));
    assert_eq!(taken.0, Some(0));
    assert_eq!(ask(&["ctl", "drain", "--socket", socket]).0, Some(0));
    gate.open();
    assert_eq!(daemon.run.finish().status, Some(0));
    let (status, _, stderr) = ask(&["ctl", "status", "--socket", socket]);
    assert_eq!(status, Some(3), "{stderr}");
}

#[test]
fn the_user_of_a_connection_decides_what_it_may_do() {
    if !is_root() {
        return;
    }
    let sink = Sink::start(1, &[]);
    let dir = TempDir::new();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.join("conduit");
    fs::copy(CONDUIT, &copy).unwrap();
    // (flags of the daemon, may submit, may drain)
    for (flag, uid, may_submit, may_drain) in [
        ("--allow-uid", 1, false, false),
        ("--allow-uid", NOBODY, true, false),
        ("--control-uid", NOBODY, true, true),
    ] {
        let daemon = Daemon::start(&[flag, &uid.to_string()]);
        let socket = daemon.path();
        let parent = socket.parent().unwrap();
        fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
        let as_nobody = |words: &[&str]| {
            let mut command = Command::new(&copy);
            command.args(words).env("CONDUIT_SOCKET", &socket);
            command.uid(NOBODY).gid(NOBODY);
            command
        };
        let job = plain("a", &sink.urls[0]);
        let (status, lines, stderr) = feed(&mut as_nobody(&["submit", "--wait"]), &job);
        if may_submit {
            assert_eq!((status, lines.len()), (Some(0), 2), "{stderr}");
            let status = as_nobody(&["ctl", "status"]).output().unwrap().status;
            assert_eq!(status.code(), Some(0));
        } else {
            assert_eq!((status, lines.len()), (Some(3), 0), "{stderr}");
            assert!(
                stderr.contains("65534") && stderr.contains("--allow-uid"),
                "{stderr}"
            );
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
        let drain = as_nobody(&["ctl", "drain", "--cancel"]).output().unwrap();
        let expected = if may_drain { 0 } else { 1 };
        assert_eq!(drain.status.code(), Some(expected), "{drain:?}");
        daemon.stop();
    }
    let daemon = Daemon::start::<&str>(&[]);
    let mut command = Command::new(&copy);
    command.arg("submit").env("CONDUIT_SOCKET", daemon.path());
    command.uid(NOBODY).gid(NOBODY);
    assert_eq!(feed(&mut command, "").0, Some(3), "the file is private");
    daemon.stop();
}
