//! The spool: what survives which end, what is told of it, and what happens when the disk gives no more.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::conduit::{CONDUIT, LOCAL, Run};
use crate::harness::feed::{line, plain};
use crate::harness::gate::Gate;
use crate::harness::servers::Sink;
use crate::harness::socket::{Client, Daemon, wait_until_it_listens};
use crate::harness::{TempDir, free_port, is_installed, is_root, wait_for};

fn flags(dir: &Path) -> [&OsStr; 2] {
    [OsStr::new("--spool"), dir.as_os_str()]
}

/// What another run finds there, with nothing on its standard input.
fn again(dir: &Path) -> crate::harness::conduit::Finished {
    Run::local(&flags(dir)).finish()
}

#[test]
fn f101_what_was_in_flight_at_a_kill_is_delivered_by_the_next_start_and_then_known() {
    let (gate, dir) = (Gate::start(), TempDir::new());
    let spool = dir.join("spool");
    let mut run = Run::local(&flags(&spool));
    run.write(&plain("a", &gate.url()));
    run.write(&line(&json!({"url": gate.url(), "body": "no id"})));
    gate.wait_for_requests(2);
    run.process().signal("KILL");
    assert_eq!(run.finish().results.len(), 0);
    gate.open();
    let finished = again(&spool);
    assert_eq!(finished.results.len(), 2, "{}", finished.stderr);
    assert_eq!(finished.status, Some(0));
    assert!(finished.results.iter().all(|result| result.is_recovered()));
    assert!(finished.of("a").is_delivered());
    assert_eq!(gate.requests(), 4, "at least once");
    // The next one knows what was delivered.
    let run = Run::local(&flags(&spool));
    let other = line(&json!({"id": "a", "url": gate.url(), "payload": 2}));
    let finished = run.feed((plain("a", &gate.url()) + &other).into());
    assert_eq!(finished.of_line(1).known(), ("delivered", true));
    assert_eq!(finished.of_line(2).known(), ("delivered", false));
    assert_eq!((finished.status, gate.requests()), (Some(0), 4));
}

#[test]
fn a_kill_loses_nothing_that_a_client_was_told_is_accepted() {
    let (gate, dir) = (Gate::start(), TempDir::new());
    let spool = dir.join("spool");
    let daemon = Daemon::start(&flags(&spool));
    let mut client = daemon.connect();
    let jobs: String = (0..200)
        .map(|n| plain(&n.to_string(), &gate.url()))
        .collect();
    client.send(jobs);
    let answers = client.take(200);
    assert_eq!(answers[199], "199 200 accepted");
    daemon.run.process().signal("KILL");
    daemon.run.finish();
    gate.open();
    let daemon = Daemon::start(&flags(&spool));
    daemon.run.wait_for_log(&["200 jobs are left from before"]);
    let mut client = daemon.connect();
    wait_for("all to be delivered", || {
        let status = client.ask("{\"ctl\":\"status\"}");
        (status["data"]["outcomes"]["delivered"] == 200).then_some(())
    });
    let finished = daemon.stop();
    assert_eq!(finished.results.len(), 0, "they came over a socket");
    assert_eq!(again(&spool).results.len(), 0, "nothing is left");
}

#[test]
fn f88_what_is_not_done_at_sigterm_is_kept_and_delivered_by_the_next_start() {
    let (gate, dir) = (Gate::start(), TempDir::new());
    let spool = dir.join("spool");
    let mut flags = flags(&spool).to_vec();
    flags.extend(["--max-connections", "1"].map(OsStr::new));
    let mut run = Run::local(&flags);
    run.write(&(plain("a", &gate.url()) + &plain("b", &gate.url())));
    gate.wait_for_requests(1);
    run.process().signal("TERM");
    let kept = run.next_result();
    assert_eq!(
        (kept.id(), kept.outcome(), kept.kind()),
        (Some("b"), "kept", "cancelled")
    );
    gate.open();
    let finished = run.finish();
    assert!(finished.of("a").is_delivered());
    assert_eq!(finished.status, Some(1));
    let finished = again(&spool);
    assert_eq!(finished.results.len(), 1, "{}", finished.stderr);
    assert!(finished.of("b").is_delivered() && finished.of("b").is_recovered());
}

#[test]
fn f94_who_submits_a_job_twice_hears_of_both() {
    let (gate, dir) = (Gate::start(), TempDir::new());
    let daemon = Daemon::start(&flags(&dir.join("spool")));
    let (mut one, mut two) = (daemon.connect(), daemon.connect());
    one.send(plain("a", &gate.url()));
    assert_eq!(one.next(), "a 1 accepted");
    two.send(String::from("\n") + &plain("a", &gate.url()));
    let told = two.line().expect("an answer");
    assert_eq!(
        (&told["outcome"], &told["known"], &told["samePayload"]),
        (&json!("duplicate"), &json!("pending"), &Value::Bool(true))
    );
    gate.open();
    assert_eq!(one.next(), "a 1 delivered");
    assert_eq!(two.next(), "a 2 delivered");
    assert_eq!(gate.requests(), 1);
    daemon.stop();
}

#[test]
fn dead_letters_are_told_in_the_log_and_their_ids_are_free_again() {
    let (sink, dir) = (Sink::start(1, &["--status", "400"]), TempDir::new());
    let spool = dir.join("spool");
    for _ in 0..2 {
        let run = Run::local(&flags(&spool));
        let finished = run.feed(plain("a", &sink.urls[0]).into());
        assert_eq!(finished.of("a").outcome(), "rejected");
        assert!(
            finished.stderr.contains("WARN job is dead id=a"),
            "{}",
            finished.stderr
        );
    }
    assert_eq!(again(&spool).results.len(), 0, "it has ended");
}

#[test]
fn f95_one_spool_is_one_process_and_what_cant_be_one_is_said_in_a_line() {
    let dir = TempDir::new();
    let spool = dir.join("spool");
    let first = Run::local(&flags(&spool));
    first.wait_for_log(&["0 jobs are left from before"]);
    let second = again(&spool);
    assert_eq!(second.status, Some(3));
    assert!(
        second.stderr.contains("another process has it"),
        "{}",
        second.stderr
    );
    assert_eq!(errors(&second.stderr), 1, "{}", second.stderr);
    assert_eq!(first.finish().status, Some(0));
    let file = dir.write("file", "");
    let other = again(&file);
    assert_eq!((other.status, errors(&other.stderr)), (Some(3), 1));
    assert!(other.stderr.contains("not a directory"), "{}", other.stderr);
}

/// Lines of the log that tell of an error.
fn errors(log: &str) -> usize {
    log.lines().filter(|line| line.contains(" ERROR ")).count()
}

#[test]
fn f96_a_full_disk_refuses_jobs_delivers_those_it_has_and_recovers_by_itself() {
    if !is_root() {
        return;
    }
    let (gate, dir) = (Gate::start(), TempDir::new());
    let (disk, socket) = (dir.join("disk"), dir.join("socket"));
    std::fs::create_dir(&disk).expect("the directory is ours");
    let script = format!(
        "mount -t tmpfs -o size=1m none {disk} && exec {CONDUIT} run {local} --socket {socket} --spool {disk}/spool",
        disk = disk.display(),
        socket = socket.display(),
        local = LOCAL.map(|flag| format!("'{flag}'")).join(" "),
    );
    let run = Run::start(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    wait_until_it_listens(&socket);
    let mut client = Client::connect(&socket);
    let big = "x".repeat(10_000);
    let job = |id: String| line(&json!({"id": id, "url": gate.url(), "body": big}));
    let mut accepted = 0;
    let refused = loop {
        client.send(job(accepted.to_string()));
        let answer = client.line().expect("an answer");
        match answer["outcome"].as_str() {
            Some("accepted") => accepted += 1,
            _ => break answer,
        }
        assert!(accepted < 1_000, "no end of a small disk");
    };
    assert!(accepted > 0);
    assert_eq!(
        (&refused["outcome"], &refused["error"]["kind"]),
        (&json!("overloaded"), &json!("spool")),
        "{refused}"
    );
    run.wait_for_log(&["no jobs are taken in"]);
    gate.open();
    assert_eq!(client.take(accepted).len(), accepted, "delivery goes on");
    wait_for("room", || {
        client.send(job("again".into()));
        let answer = client.next();
        answer.ends_with("accepted").then_some(())
    });
    run.wait_for_log(&["jobs are taken in again"]);
    assert!(client.next().ends_with("delivered"));
    run.process().signal("TERM");
    assert_eq!(run.finish().status, Some(0));
}

#[test]
fn a_dead_receivers_jobs_wait_on_disk_and_hold_back_nobody() {
    let (sink, dir) = (Sink::start(1, &[]), TempDir::new());
    let spool = dir.join("spool");
    let mut flags = flags(&spool).to_vec();
    flags.extend(["--max-pending", "50", "--retry-schedule", "100,100"].map(OsStr::new));
    let daemon = Daemon::start(&flags);
    let mut client = daemon.connect();
    let dead = format!("http://127.0.0.1:{}/", free_port());
    let jobs: String = (0..500).map(|n| plain(&format!("d{n}"), &dead)).collect();
    client.send(jobs);
    assert_eq!(client.take(500)[499], "d499 500 accepted");
    client.send(plain("live", &sink.urls[0]));
    assert_eq!(client.take(2), ["live 501 accepted", "live 501 delivered"]);
    daemon.run.process().signal("TERM");
    let mut kept = client.rest();
    kept.sort();
    assert_eq!(kept.len(), 500);
    assert!(kept.iter().all(|line| line.ends_with(" kept")), "{kept:?}");
    assert_eq!(daemon.run.finish().status, Some(0));
}

#[test]
fn f153_a_rotten_segment_is_told_kept_and_costs_the_exit_status() {
    let (gate, dir) = (Gate::start(), TempDir::new());
    let spool = dir.join("spool");
    let mut run = Run::local(&flags(&spool));
    run.write(&plain("a", &gate.url()));
    gate.wait_for_requests(1);
    run.process().signal("KILL");
    run.finish();
    let name = "jobs-0000000001.log";
    let bytes = std::fs::metadata(spool.join(name))
        .expect("a segment")
        .len();
    let text = vec![b'a'; usize::try_from(bytes).expect("it fits memory")];
    std::fs::write(spool.join(name), &text).expect("it is ours");
    let finished = again(&spool);
    assert_eq!(finished.status, Some(1), "{}", finished.stderr);
    let told = format!("ERROR spool: {name}: can't be read from byte 0 on");
    assert!(finished.stderr.contains(&told), "{}", finished.stderr);
    let aside = spool.join(format!("{name}.corrupt"));
    let kept = std::fs::read(spool.join(name)).or_else(|_| std::fs::read(aside));
    assert!(kept.expect("it is kept") == text, "as it was");
}

#[test]
fn f141_a_file_system_that_syncs_no_directory_is_told_of_once_and_used() {
    if !is_installed("strace", "strace") {
        return;
    }
    let (sink, dir) = (Sink::start(1, &[]), TempDir::new());
    for errno in ["EINVAL", "EBADF"] {
        let spool = dir.join(errno);
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync"]);
        command.arg("-e").arg(format!("inject=fsync:error={errno}"));
        command
            .arg(CONDUIT)
            .arg("run")
            .args(LOCAL)
            .args(flags(&spool));
        let finished = Run::start(&mut command).feed(plain(errno, &sink.urls[0]).into());
        assert!(finished.of(errno).is_delivered(), "{}", finished.stderr);
        assert_eq!(finished.status, Some(0));
        let told = finished.stderr.matches("can't sync a directory").count();
        assert_eq!(told, 1, "{}", finished.stderr);
    }
}
