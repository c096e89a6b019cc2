//! How the endpoints are: `conduit ctl endpoints`, and `conduit top` on a terminal.

use std::io::{Read as _, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::harness::conduit::{CONDUIT, ask};
use crate::harness::feed::plain;
use crate::harness::servers::Sink;
use crate::harness::socket::Daemon;
use crate::harness::{Process, free_port, is_installed, wait_for};

#[test]
fn endpoints_are_told_the_worst_first_as_a_table_or_as_json() {
    let good = Sink::start(1, &[]);
    let bad = Sink::start(1, &["--status", "503"]);
    let daemon = Daemon::start(&["--breaker-failures", "2"]);
    let socket = daemon.path();
    let socket = socket.to_str().expect("a plain name");
    let (status, stdout, _) = ask(&["ctl", "endpoints", "--socket", socket]);
    assert_eq!((status, stdout.as_str()), (Some(0), "no endpoints yet\n"));
    let mut client = daemon.connect();
    let jobs = |url: &str| -> String { (0..2).map(|n| plain(&format!("{n}{url}"), url)).collect() };
    client.send(jobs(&good.urls[0]) + &jobs(&bad.urls[0]));
    client.take(8);
    let (status, stdout, stderr) = ask(&["ctl", "endpoints", "--json", "--socket", socket]);
    assert_eq!(status, Some(0), "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).expect("JSON");
    let data = &answer["data"];
    let origin = |sink: &Sink| sink.urls[0].trim_end_matches('/').to_owned();
    let (worst, best) = (&data["endpoints"][0], &data["endpoints"][1]);
    assert_eq!(
        (&worst["origin"], &best["origin"]),
        (&json!(origin(&bad)), &json!(origin(&good)))
    );
    assert_eq!(
        (&worst["breaker"], &best["breaker"]),
        (&json!("open"), &json!("closed"))
    );
    assert_eq!(
        (&worst["requests"], &worst["succeeded"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(
        (&best["requests"], &best["succeeded"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(data["total"], 2);
    let (_, stdout, _) = ask(&["ctl", "endpoints", "--limit", "1", "--socket", socket]);
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(
        lines[0].starts_with("ENDPOINT") && lines[1].starts_with(&origin(&bad)),
        "{stdout}"
    );
    assert_eq!(lines[2], "and 1 more", "{stdout}");
    daemon.stop();
}

#[test]
fn top_without_a_terminal_or_a_conduit_is_exit_3_in_one_line() {
    let daemon = Daemon::start::<&str>(&[]);
    let socket = daemon.path();
    let (status, stdout, stderr) = ask(&["top", "--socket", socket.to_str().expect("plain")]);
    assert_eq!((status, stdout.as_str()), (Some(3), ""));
    let expected =
        "conduit: top: standard output is no terminal (conduit ctl endpoints needs none)\n";
    assert_eq!(stderr, expected);
    daemon.stop();
    let (status, _, stderr) = ask(&["top", "--socket", "/nobody/here"]);
    assert_eq!((status, stderr.lines().count()), (Some(3), 1), "{stderr}");
}

/// `conduit top` on a terminal of 30 rows and 120 columns.
struct Terminal {
    process: Process,
    keys: ChildStdin,
    text: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    fn start(daemon: &Daemon) -> Terminal {
        let top = format!(
            "{CONDUIT} top --interval 0.1 --socket {}",
            daemon.path().display()
        );
        let shell = format!(
            "stty cols 120 rows 30; sh -c 'echo pid $$; exec {top}'; echo status $?; stty -a"
        );
        let mut script = Command::new("script");
        script.args(["-qfec", &shell, "/dev/null"]);
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut script);
        let keys = process.child().stdin.take().expect("it is piped");
        let mut stdout = process.child().stdout.take().expect("it is piped");
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let part = String::from_utf8_lossy(&buffer[..count]).into_owned();
                shared
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&part);
            }
        });
        Terminal {
            process,
            keys,
            text,
            reader,
        }
    }

    /// All that was written there so far.
    fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone()
    }

    fn wait_for(&self, words: &str) {
        wait_for(words, || self.text().contains(words).then_some(()));
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).expect("script reads");
    }

    /// Sends SIGTERM to `conduit top`.
    fn terminate(&self) {
        let text = self.text();
        let (_, rest) = text.split_once("pid ").expect("the shell says it");
        let (pid, _) = rest.split_once('\r').expect("a line");
        let status = Command::new("kill").args(["-TERM", pid]).status();
        assert!(status.expect("every system has kill").success(), "{pid}");
    }

    /// Waits for its end; what was written before it, and after.
    fn finish(mut self, status: u8) -> (String, String) {
        self.wait_for(&format!("status {status}"));
        drop(self.keys);
        self.process.wait();
        self.reader.join().expect("the reader does not panic");
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = text.split_once("status ").expect("it was seen");
        (before.to_owned(), after.to_owned())
    }
}

#[test]
fn top_draws_until_a_key_and_leaves_the_terminal_as_it_was() {
    if !is_installed("script", "bsdutils") {
        return;
    }
    let daemon = Daemon::start::<&str>(&[]);
    for key in [b"q", b"\x03"] {
        let url = format!("http://127.0.0.1:{}", free_port());
        let mut terminal = Terminal::start(&daemon);
        terminal.wait_for(" pending");
        // An arrow and a page key, which begin as Escape does, are no reason to leave.
        terminal.press(b"\x1b[A\x1b[6~\x1b");
        let mut client = daemon.connect();
        client.send(plain(&url, &url));
        client.take(2);
        terminal.wait_for(&format!("{url} "));
        terminal.press(key);
        let (before, after) = terminal.finish(0);
        assert!(before.contains("\u{1b}[?1049h") && before.trim_end().ends_with("\u{1b}[?1049l"));
        for mode in ["icanon", "echo", "isig"] {
            let is_set = after.split_whitespace().any(|word| word == mode);
            assert!(is_set, "no {mode:?} in {after}");
        }
    }
    daemon.stop();
}

#[test]
fn top_can_be_left_while_conduit_does_not_answer() {
    if !is_installed("script", "bsdutils") {
        return;
    }
    let daemon = Daemon::start::<&str>(&[]);
    daemon.run.process().signal("STOP");
    for leave in [
        |terminal: &mut Terminal| terminal.press(b"q"),
        |terminal: &mut Terminal| terminal.press(b"\x03"),
        |terminal: &mut Terminal| terminal.terminate(),
    ] {
        let mut terminal = Terminal::start(&daemon);
        terminal.wait_for("\u{1b}[?1049h");
        leave(&mut terminal);
        let (before, _) = terminal.finish(0);
        assert!(
            !before.contains("pending"),
            "nothing was answered: {before}"
        );
    }
    daemon.run.process().signal("CONT");
    let terminal = Terminal::start(&daemon);
    terminal.wait_for(" pending");
    daemon.stop();
    let (before, _) = terminal.finish(3);
    assert!(before.contains("conduit: "), "it says why: {before}");
}
