//! Dead letters through `conduit ctl`: listed, given out as jobs, delivered after all, removed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::conduit::CONDUIT;
use crate::harness::feed::{Feed, line, plain};
use crate::harness::monitor::metrics;
use crate::harness::servers::Sink;
use crate::harness::socket::Daemon;
use crate::harness::{TempDir, free_port, is_root, wait_for};

/// Runs `conduit ctl` with these words: exit status, stdout, stderr.
fn ctl(daemon: &Daemon, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(CONDUIT);
    command.arg("ctl").args(words);
    run(&mut command, &daemon.path())
}

fn run(command: &mut Command, socket: &Path) -> (Option<i32>, String, String) {
    let command = command.env("CONDUIT_SOCKET", socket).stdin(Stdio::null());
    let output = command.output().expect("conduit starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    (output.status.code(), stdout, stderr)
}

fn start(spool: &Path, more: &[&str]) -> Daemon {
    let mut flags = vec![OsString::from("--spool"), spool.into()];
    flags.extend(more.iter().map(OsString::from));
    Daemon::start(&flags)
}

fn origin(sink: &Sink) -> &str {
    sink.urls[0].trim_end_matches('/')
}

#[test]
fn f120_who_has_read_a_result_finds_its_letter() {
    let (sink, dir) = (Sink::start(1, &["--status", "400"]), TempDir::new());
    let daemon = start(&dir.join("spool"), &[]);
    let mut client = daemon.connect();
    for n in 1..=20 {
        let id = format!("order-{n}");
        client.send(plain(&id, &sink.urls[0]));
        let told = client.take(2);
        assert_eq!(
            told,
            [format!("{id} {n} accepted"), format!("{id} {n} rejected")]
        );
        // At once, over another connection, each way of asking.
        assert_eq!(ids(&daemon, &["--id", &id]), [&*id]);
        assert_eq!(letters(&daemon), n);
        let (status, exported, _) = ctl(&daemon, &["dead", "export", "--id", &id]);
        assert_eq!(
            (status, exported.lines().count()),
            (Some(0), 1),
            "{exported}"
        );
    }
    let (_, replayed, _) = ctl(&daemon, &["dead", "replay", "--id", "order-20"]);
    assert_eq!(replayed, "replayed  1\n");
    daemon.stop();
}

/// How many dead letters there are.
fn letters(daemon: &Daemon) -> usize {
    ids(daemon, &[]).len()
}

/// The ids of the dead letters that these flags mean.
fn ids(daemon: &Daemon, flags: &[&str]) -> Vec<String> {
    let words = [&["dead", "list", "--json"], flags].concat();
    let (_, stdout, stderr) = ctl(daemon, &words);
    let pages = stdout.lines().map(|page| {
        let page: Value = serde_json::from_str(page).expect("JSON");
        page["data"]["letters"].as_array().expect("a list").clone()
    });
    let letters: Vec<Value> = pages.flatten().collect();
    let id = |letter: &Value| letter["id"].as_str().expect("an id").to_owned();
    assert!(!stdout.is_empty(), "{stderr}");
    letters.iter().map(id).collect()
}

/// Submits jobs that die, and waits until they have.
fn kill(daemon: &Daemon, jobs: &str) {
    let before = letters(daemon);
    let mut client = daemon.connect();
    client.send(jobs);
    let count = jobs.lines().count();
    for answer in client.take(2 * count) {
        assert!(!answer.ends_with("delivered"), "{answer}");
    }
    wait_for("the letters", || {
        (letters(daemon) == before + count).then_some(())
    });
}

#[test]
fn a_letter_is_listed_without_what_it_holds_and_given_out_as_the_job_that_it_was() {
    let bad = Sink::start(1, &["--status", "404"]);
    let dir = TempDir::new();
    let daemon = start(&dir.join("spool"), &[]);
    let url = format!("{}/secret/path?token=1", origin(&bad));
    let payload = r#"{ "n" : 1.50e3,"t":"\u00e9\ud83d\ude00", "x":[ ] }"#;
    let job = format!(
        "{{\"url\":\"{url}\",\"headers\":{{\"X-Key\":\"hidden\"}}, \"payload\" : {payload} }}\n"
    );
    kill(&daemon, &(job + &plain("b", &bad.urls[0])));
    let (status, stdout, stderr) = ctl(&daemon, &["dead", "list"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert!(lines[0].starts_with("ENDED"), "{stdout}");
    for word in ["rejected", "http: the receiver answered 404", origin(&bad)] {
        assert!(lines[1].contains(word), "no {word:?} in {stdout}");
    }
    for secret in ["hidden", "X-Key", "token", "secret", "1.50e3"] {
        assert!(!stdout.contains(secret), "{stdout}");
        let (_, json, _) = ctl(&daemon, &["dead", "list", "--json"]);
        assert!(!json.contains(secret), "{json}");
    }
    let (status, exported, _) = ctl(&daemon, &["dead", "export"]);
    assert_eq!(status, Some(0));
    let lines: Vec<&str> = exported.lines().collect();
    let value: Value = serde_json::from_str(lines[0]).expect("JSON");
    assert!(lines[0].contains(payload), "byte for byte: {exported}");
    assert_eq!(
        (&value["url"], &value["headers"]["X-Key"]),
        (&json!(url), &json!("hidden"))
    );
    let dead = &value["dead"];
    assert_eq!(dead["outcome"], "rejected");
    assert_eq!(
        (&dead["status"], &dead["attempts"]),
        (&json!(404), &json!(1))
    );
    assert!(
        dead["accepted"].as_f64() <= dead["ended"].as_f64(),
        "{dead}"
    );
    let first = ids(&daemon, &[]).remove(0);
    assert_eq!(value["id"], first.as_str(), "a generated id is kept");
    assert_eq!(lines.len(), 2);
    daemon.stop();
}

#[test]
fn what_was_exported_can_be_submitted_and_arrives_byte_for_byte() {
    let dir = TempDir::new();
    let daemon = start(&dir.join("spool"), &["--breaker-failures", "100"]);
    let port = free_port();
    let feed = Feed::generate(20, &[format!("http://127.0.0.1:{port}/")], 300);
    kill(&daemon, feed.text());
    let sink = Sink::start_by(Command::new(CONDUIT), &[&format!("127.0.0.1:{port}")], &[]);
    let (status, exported, stderr) = ctl(&daemon, &["dead", "export"]);
    assert_eq!(status, Some(0), "{stderr}");
    let file = dir.write("jobs", &exported);
    let words = ["submit", "--wait", file.to_str().expect("a plain name")];
    let (status, stdout, stderr) = run(Command::new(CONDUIT).args(words), &daemon.path());
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert_eq!(stdout.matches("\"delivered\"").count(), 20, "{stdout}");
    assert_eq!(sink.stop().bodies, feed.bodies());
    assert_eq!(letters(&daemon), 0, "they are no letters any more");
    daemon.stop();
}

#[test]
fn a_replay_keeps_the_id_and_the_letter_goes_when_the_job_is_accepted() {
    let dir = TempDir::new();
    let daemon = start(&dir.join("spool"), &["--breaker-failures", "1000"]);
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/");
    let jobs: String = (0..20).map(|n| plain(&format!("job-{n}"), &url)).collect();
    kill(&daemon, &jobs);
    // Nobody listens yet: they die again, and are letters again.
    let (status, stdout, stderr) = ctl(&daemon, &["dead", "replay", "--id", "job-3", "--id", "x"]);
    assert_eq!(
        (status, stdout.as_str()),
        (Some(1), "replayed  1\n"),
        "{stderr}"
    );
    assert_eq!(stderr, "conduit: no dead letter has the id \"x\"\n");
    wait_for("the letter to be there again", || {
        (letters(&daemon) == 20).then_some(())
    });
    let sink = Sink::start_by(Command::new(CONDUIT), &[&format!("127.0.0.1:{port}")], &[]);
    let mut client = daemon.connect();
    let delivered = |client: &mut crate::harness::socket::Client| {
        client.ask("{\"ctl\":\"status\"}")["data"]["outcomes"]["delivered"].clone()
    };
    let (status, stdout, _) = ctl(&daemon, &["dead", "replay", "--origin", origin(&sink)]);
    assert_eq!((status, stdout.as_str()), (Some(0), "replayed  20\n"));
    assert_eq!(
        letters(&daemon),
        0,
        "what was told to be accepted is no letter"
    );
    wait_for("all to be delivered", || {
        (delivered(&mut client) == 20).then_some(())
    });
    // Their ids are known to be delivered.
    client.send(plain("job-3", &url));
    assert!(client.next().ends_with("duplicate"));
    let run = daemon.stop();
    assert!(run.results.is_empty(), "nobody is told: {run:?}");
}

#[test]
fn letters_are_meant_by_id_origin_and_age_and_survive_a_restart() {
    let one = Sink::start(1, &["--status", "404"]);
    let two = Sink::start(1, &["--status", "404"]);
    let dir = TempDir::new();
    let spool = dir.join("spool");
    let daemon = start(&spool, &[]);
    let jobs = |name: &str, url: &str| -> String {
        (0..5).map(|n| plain(&format!("{name}-{n}"), url)).collect()
    };
    kill(
        &daemon,
        &(jobs("one", &one.urls[0]) + &jobs("two", &two.urls[0])),
    );
    daemon.run.process().signal("KILL");
    daemon.run.finish();
    let daemon = start(&spool, &[]);
    // Jobs whose end was told and not safe yet are sent once more, and end once more.
    wait_for("all letters", || (letters(&daemon) == 10).then_some(()));
    assert_eq!(ids(&daemon, &["--id", "two-1", "--id", "one-1"]).len(), 2);
    let of_one = ids(&daemon, &["--origin", origin(&one)]);
    assert!(of_one.len() == 5 && of_one.iter().all(|id| id.starts_with("one-")));
    assert_eq!(ids(&daemon, &["--older-than", "1h"]).len(), 0);
    assert_eq!(ids(&daemon, &["--older-than", "0"]).len(), 10);
    assert_eq!(ids(&daemon, &["--limit", "3"]).len(), 3);
    let (status, _, stderr) = ctl(&daemon, &["dead", "purge"]);
    assert_eq!(status, Some(2), "{stderr}");
    let (_, stdout, _) = ctl(&daemon, &["dead", "purge", "--origin", origin(&one)]);
    assert_eq!(stdout, "purged  5\n");
    let (_, stdout, _) = ctl(&daemon, &["dead", "purge", "--id", "two-0"]);
    assert_eq!(stdout, "purged  1\n");
    let run = daemon.stop();
    assert_eq!(run.status, Some(0));
    // Who has done what is in the log.
    let said: Vec<&str> = (run.stderr.lines())
        .filter_map(|line| Some(line.split_once("dead letters were purged ")?.1))
        .collect();
    let user = fs::metadata(&spool).expect("it is there").uid();
    let of_one = format!("user={user} count=5 origin={}", origin(&one));
    assert_eq!(said, [of_one, format!("user={user} count=1 ids=1")]);
    let daemon = start(&spool, &[]);
    assert_eq!(letters(&daemon), 4, "what was purged does not come back");
    let (_, stdout, _) = ctl(&daemon, &["dead", "purge", "--all"]);
    assert_eq!(stdout, "purged  4\n");
    let (status, stdout, _) = ctl(&daemon, &["dead", "list"]);
    assert_eq!((status, stdout.as_str()), (Some(0), "no dead letters\n"));
    daemon.stop();
}

#[test]
fn thousands_of_large_letters_are_given_out_in_little_memory() {
    let bad = Sink::start(1, &["--status", "404"]);
    let dir = TempDir::new();
    let daemon = start(&dir.join("spool"), &[]);
    let body = "x".repeat(60_000);
    let jobs: String = (0..1_500)
        .map(|n| line(&json!({"id": n.to_string(), "url": bad.urls[0], "body": body})))
        .collect();
    let file = dir.write("jobs", &jobs);
    let words = ["submit", "--wait", file.to_str().expect("a plain name")];
    let (status, _, stderr) = run(Command::new(CONDUIT).args(words), &daemon.path());
    assert_eq!(status, Some(1), "{stderr}");
    wait_for("the letters", || {
        let mut client = daemon.connect();
        let status = client.ask("{\"ctl\":\"status\"}");
        (status["data"]["outcomes"]["rejected"] == 1_500).then_some(())
    });
    wait_for("them to be on disk", || {
        (letters(&daemon) == 1_500).then_some(())
    });
    let before = daemon.run.process().resident_bytes();
    // A client that asks for everything and reads nothing yet.
    let mut client = daemon.connect();
    client.send("{\"ctl\":\"dead export\"}\n".repeat(40));
    let (status, exported, _) = ctl(&daemon, &["dead", "export"]);
    assert_eq!(status, Some(0));
    assert_eq!(exported.lines().count(), 1_500);
    let grown = daemon.run.process().resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for 90 MB of letters");
    let first = client.line().expect("an answer");
    assert_eq!(first["ok"], true);
    drop(client);
    daemon.stop();
}

#[test]
fn letters_are_for_those_who_may_control_conduit() {
    if !is_root() {
        return;
    }
    const NOBODY: u32 = 65_534;
    let bad = Sink::start(1, &["--status", "404"]);
    let dir = TempDir::new();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let copy = dir.join("conduit");
    fs::copy(CONDUIT, &copy).expect("the binary can be read");
    for (flag, is_allowed) in [("--allow-uid", false), ("--control-uid", true)] {
        let spool = dir.join(flag.trim_start_matches('-'));
        let daemon = start(&spool, &[flag, &NOBODY.to_string()]);
        assert_eq!(
            fs::metadata(&spool).expect("there").permissions().mode() & 0o777,
            0o700
        );
        let socket = daemon.path();
        let parent = socket.parent().expect("a directory");
        fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).expect("ours");
        kill(&daemon, &plain("a", &bad.urls[0]));
        for words in ["list", "export", "replay --all", "purge --all"] {
            let mut command = Command::new(&copy);
            command.args(["ctl", "dead"]).args(words.split(' '));
            command.uid(NOBODY).gid(NOBODY);
            let (status, stdout, stderr) = run(&mut command, &socket);
            if is_allowed {
                assert_eq!(status, Some(0), "{words}: {stderr}");
                continue;
            }
            assert_eq!((status, stdout.as_str()), (Some(1), ""), "{words}");
            assert!(stderr.contains("--control-uid"), "{stderr}");
            assert_eq!(letters(&daemon), 1);
        }
        daemon.stop();
    }
}

#[test]
fn without_a_spool_there_are_none() {
    let daemon = Daemon::start::<&OsStr>(&[]);
    for words in [
        &["list"][..],
        &["export"],
        &["replay", "--all"],
        &["purge", "--all"],
    ] {
        let (status, stdout, stderr) = ctl(&daemon, &[&["dead"], words].concat());
        assert_eq!((status, stdout.as_str()), (Some(1), ""));
        let expected =
            "conduit: refused: there is no spool (--spool), so there are no dead letters\n";
        assert_eq!(stderr, expected);
    }
    daemon.stop();
}

#[test]
fn a_file_that_was_sent_in_part_is_sent_again_and_nothing_arrives_twice() {
    let dir = TempDir::new();
    let sink = Sink::start(1, &[]);
    let daemon = start(&dir.join("spool"), &[]);
    let jobs: Vec<String> = (0..500)
        .map(|n| plain(&format!("job-{n}"), &sink.urls[0]))
        .collect();
    // The first half, and then the connection breaks.
    let mut client = daemon.connect();
    client.send(jobs[..250].concat());
    assert!(client.next().ends_with("accepted"));
    client.leave();
    let file = dir.write("jobs", &jobs.concat());
    let words = ["submit", "--wait", file.to_str().expect("a plain name")];
    let (status, stdout, stderr) = run(Command::new(CONDUIT).args(words), &daemon.path());
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("\"samePayload\":true"), "{stdout}");
    daemon.stop();
    assert_eq!(sink.stop().bodies.len(), 500, "each once");
}

#[test]
fn f98_letters_that_are_dropped_and_places_that_cannot_be_read_are_counted() {
    let bad = Sink::start(1, &["--status", "404"]);
    let dir = TempDir::new();
    let spool = dir.join("spool");
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let flags = ["--listen", &listen, "--max-dead-bytes", "256k"];
    let daemon = start(&spool, &flags);
    let counts = || {
        let metrics = metrics(port);
        [
            metrics.count("conduit_spool_dead_letters_dropped_total", &[]),
            metrics.count("conduit_spool_corruptions_total", &[]),
            metrics.count("conduit_spool_refusing", &[]),
        ]
    };
    assert_eq!(counts(), [0, 0, 0]);
    let mut client = daemon.connect();
    for number in 0..100 {
        let job = json!({"id": number.to_string(), "url": bad.urls[0], "body": "x".repeat(5_000)});
        client.send(format!("{job}\n"));
        client.take(2);
    }
    let dropped = wait_for("letters to go", || {
        let [dropped, rest @ ..] = counts();
        assert_eq!(rest, [0, 0]);
        (dropped > 0 && dropped as usize + letters(&daemon) == 100).then_some(dropped)
    });
    println!("{dropped} of 100 letters dropped");
    let stderr = daemon.stop().stderr;
    assert!(stderr.contains("dead letters were dropped"), "{stderr}");
    let files = fs::read_dir(&spool).expect("it is there");
    let files = files.map(|file| file.expect("it is there").path());
    let oldest = files
        .filter(|file| file.to_string_lossy().contains("/dead-"))
        .min();
    let oldest = oldest.expect("there are letters");
    let mut bytes = fs::read(&oldest).expect("it is ours");
    let at = bytes.windows(5).position(|bytes| bytes == b"xxxxx");
    bytes[at.expect("a letter")] = b'y';
    fs::write(&oldest, bytes).expect("it is ours");
    let daemon = start(&spool, &flags);
    let [dropped, corruptions, refusing] = counts();
    assert_eq!((dropped, refusing), (0, 0));
    assert!(corruptions > 0);
    daemon.stop();
}
