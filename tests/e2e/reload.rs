//! SIGHUP with a `--config`: the file is read again while jobs go on, all of it takes effect or none.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::certs::{Authority, OWN_NAMES};
use crate::harness::conduit::{CONDUIT, LOCAL, Run};
use crate::harness::feed::{Feed, plain};
use crate::harness::servers::Sink;
use crate::harness::socket::{Client, wait_until_it_listens};
use crate::harness::{PATIENCE, TempDir, free_port, seconds_to_probe, wait_for};

/// A run with a configuration file and a service manager.
struct Reloading {
    run: Run,
    manager: UnixDatagram,
    file: PathBuf,
    _dir: TempDir,
}

impl Reloading {
    fn start(text: &str, flags: &[&str]) -> Reloading {
        let dir = TempDir::new();
        let file = dir.write("c.json", text);
        let manager = UnixDatagram::bind(dir.join("notify")).expect("the name is new");
        manager.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let mut command = Command::new(CONDUIT);
        command.arg("run").args(LOCAL).args(flags);
        command.arg("--config").arg(&file);
        command.env("NOTIFY_SOCKET", dir.join("notify"));
        let reloading = Reloading {
            run: Run::start(&mut command),
            manager,
            file,
            _dir: dir,
        };
        assert_eq!(reloading.word(), "READY=1");
        reloading
    }

    fn word(&self) -> String {
        let mut buffer = [0; 128];
        let count = self.manager.recv(&mut buffer).expect("a word");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    /// Has this read; how long that took.
    fn reload(&self, text: &str) -> Duration {
        std::fs::write(&self.file, text).expect("the file is ours");
        let started = Instant::now();
        self.run.process().signal("HUP");
        let word = self.word();
        let micros = word.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(
            micros.is_some_and(|micros| micros.parse::<u64>().is_ok()),
            "{word}"
        );
        assert_eq!(self.word(), "READY=1");
        started.elapsed()
    }
}

#[test]
fn sighup_reads_the_file_again_and_a_bad_one_changes_nothing() {
    let sink = Sink::start(1, &[]);
    let mut reloading = Reloading::start(
        r#"{"timings": false, "defaults": {"headers": {"X-A": "1"}}}"#,
        &[],
    );
    let timings_of = |reloading: &mut Reloading, id: &str| {
        reloading.run.write(&plain(id, &sink.urls[0]));
        let result = reloading.run.next_result();
        assert!(result.is_delivered(), "{result:?}");
        result.timing("firstByte").is_some()
    };
    assert!(!timings_of(&mut reloading, "a"));
    reloading.reload(r#"{"timings": true}"#);
    reloading.run.wait_for_log(&["INFO", "read again"]);
    assert!(timings_of(&mut reloading, "b"));
    reloading.reload(r#"{"timings": false, "timeout": 0}"#);
    reloading
        .run
        .wait_for_log(&["ERROR", "stays as it was", ":1:31: timeout"]);
    reloading.reload(r#"{"timings": false, "workers": 7, "socket": "/tmp/s"}"#);
    reloading
        .run
        .wait_for_log(&["ERROR", "socket, workers", "restart"]);
    assert!(timings_of(&mut reloading, "c"), "all or nothing");
    reloading.reload(r#"{"logLevel": "error"}"#);
    assert!(!timings_of(&mut reloading, "d"));
    let run = reloading.run.finish();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    // The fourth reload has silenced itself.
    assert_eq!(
        run.stderr.matches("read again").count(),
        1,
        "{}",
        run.stderr
    );
}

#[test]
fn connections_are_kept_alive_as_their_endpoint_has_it() {
    let sink = Sink::start(3, &[]);
    let [general, own, later] = &sink.urls[..] else {
        panic!("three listeners");
    };
    let config = |later_delay: u32| {
        format!(
            r#"{{"keepAliveDelay": 1000, "webhookEndpoints": {{
                "{}": {{"keepAliveDelay": 2000}}, "{}": {{"keepAliveDelay": {later_delay}}}}}}}"#,
            own.trim_end_matches('/'),
            later.trim_end_matches('/')
        )
    };
    let mut reloading = Reloading::start(&config(3000), &["--workers", "2"]);
    let probe_after = |reloading: &mut Reloading, url: &str| {
        reloading.run.write(&plain(url, url));
        let result = reloading.run.next_result();
        assert!(result.is_delivered(), "{result:?}");
        wait_for("a connection that is idle", || seconds_to_probe(url))
    };
    assert!((950..=1000).contains(&probe_after(&mut reloading, general)));
    assert!((1950..=2000).contains(&probe_after(&mut reloading, own)));
    reloading.reload(&config(4000));
    assert!((3950..=4000).contains(&probe_after(&mut reloading, later)));
    assert_eq!(reloading.run.finish().status, Some(0));
}

#[test]
fn what_waits_ends_if_it_can_not_be_signed_and_keeps_the_ttl_that_it_came_with() {
    let sink = Sink::start(1, &["--status", "503"]);
    let mut reloading = Reloading::start(r#"{"ttl": 60}"#, &["--retry-schedule", "3"]);
    for id in ["a.b", "c"] {
        reloading.run.write(&plain(id, &sink.urls[0]));
        reloading
            .run
            .wait_for_log(&[&format!(" id={id} "), "retry"]);
    }
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    reloading.reload(&format!(
        r#"{{"ttl": 0.001, "defaults": {{"secret": "{secret}"}}}}"#
    ));
    let result = reloading.run.next_result();
    result.assert_failed("rejected", "invalid", &["dot", "signed"]);
    assert_eq!((result.id(), result.attempts()), (Some("a.b"), 1));
    let result = reloading.run.next_result();
    result.assert_failed("exhausted", "http", &["503"]);
    assert_eq!((result.id(), result.attempts()), (Some("c"), 2));
    assert_eq!(reloading.run.finish().status, Some(1));
}

#[test]
fn under_nohup_it_still_reads_again() {
    let dir = TempDir::new();
    let file = dir.write("c.json", "{}");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", CONDUIT, "run"]);
    command.args(LOCAL).arg("--config").arg(&file);
    command.env("NOTIFY_SOCKET", dir.join("notify"));
    let manager = UnixDatagram::bind(dir.join("notify")).expect("the name is new");
    manager.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let run = Run::start(&mut command);
    manager.recv(&mut [0; 64]).expect("READY=1");
    run.process().signal("HUP");
    run.wait_for_log(&["read again"]);
    assert_eq!(run.finish().status, Some(0));
}

#[test]
fn reloads_under_load_lose_and_double_nothing() {
    reload_under_load(5, 400);
}

#[test]
#[ignore = "a figure: takes a while"]
fn a_hundred_reloads_under_load_lose_and_double_nothing() {
    reload_under_load(100, 1_000);
}

/// So many reloads, each with so many jobs before it, each with other pool sizes.
fn reload_under_load(reloads: usize, jobs: usize) {
    let sink = Sink::start(4, &["--delay", "0-0.01"]);
    let own = sink.urls[0].trim_end_matches('/');
    let config = |number: usize| {
        let (all, one) = ([50, 2, 20, 1, 35][number % 5], [1, 40, 5][number % 3]);
        format!(
            r#"{{"defaults": {{"maxConnections": {all}}}, "maxConnectionsTotal": {},
                "webhookEndpoints": {{"{own}": {{"maxConnections": {one}}}}}}}"#,
            [1000, 10, 100][number % 3]
        )
    };
    let mut reloading = Reloading::start(&config(0), &["--workers", "2", "--log-level", "error"]);
    let count = reloads * jobs + jobs;
    let feed = Feed::generate(count, &sink.urls, 256);
    let lines: Vec<&str> = feed.text().split_inclusive('\n').collect();
    let mut took = Vec::new();
    for (number, some) in lines.chunks(jobs).take(reloads).enumerate() {
        reloading.run.write(&some.concat());
        took.push(reloading.reload(&config(number + 1)));
    }
    let rest = lines[reloads * jobs..].concat();
    let run = reloading.run.feed(rest.into());
    run.assert_all_delivered(count);
    let seen = sink.stop();
    assert_eq!(seen.bodies, feed.bodies(), "each job arrives once");
    took.sort_unstable();
    println!(
        "{reloads} reloads under load: median {:?}, longest {:?}; {count} jobs delivered once, {} connections",
        took[took.len() / 2],
        took[took.len() - 1],
        seen.connections
    );
}

#[test]
fn a_client_certificate_is_rotated_at_many_origins_under_load() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let server = authority.certificate("good", OWN_NAMES);
    let tls = format!("{},{}", server.chain.display(), server.key.display());
    let sink = Sink::start(80, &["--tls", &tls]);
    let own = ["one", "other"].map(|name| authority.certificate(name, "DNS:sender.example"));
    let dir = TempDir::new();
    let (chain, key) = (dir.join("own.pem"), dir.join("own.key"));
    let rotate = |number: usize| {
        let next = &own[number % own.len()];
        std::fs::copy(&next.chain, &chain).expect("the file is ours");
        std::fs::copy(&next.key, &key).expect("the file is ours");
    };
    let identity = json!({"clientCert": chain, "clientKey": key});
    let config = json!({"caFile": authority.file(), "defaults": identity}).to_string();
    rotate(0);
    let mut reloading = Reloading::start(&config, &["--workers", "1", "--log-level", "error"]);
    let (rounds, jobs) = (8, 400);
    let count = (rounds + 1) * jobs;
    let feed = Feed::generate(count, &sink.urls, 64);
    let lines: Vec<&str> = feed.text().split_inclusive('\n').collect();
    for (number, some) in lines.chunks(jobs).take(rounds).enumerate() {
        rotate(number + 1);
        reloading.run.write(&some.concat());
        reloading.reload(&config);
    }
    let run = reloading.run.feed(lines[rounds * jobs..].concat().into());
    run.assert_all_delivered(count);
    assert_eq!(sink.stop().bodies, feed.bodies(), "each job arrives once");
}

#[test]
fn a_reload_that_fails_half_way_changes_nothing() {
    let sink = Sink::start(1, &[]);
    let dir = TempDir::new();
    let socket = dir.join("socket");
    let flags = ["--socket", socket.to_str().expect("a plain name")];
    let reloading = Reloading::start(r#"{"timings": false}"#, &flags);
    let mut client = Client::connect(&socket);
    let mut has_timings = |id: &str| {
        client.send(plain(id, &sink.urls[0]));
        client.line().expect("that it was accepted");
        let result = client.line().expect("its result");
        assert_eq!(result["outcome"], "delivered");
        result.get("timings").is_some()
    };
    // Whose mode is to change is gone.
    std::fs::remove_file(&socket).expect("it is there");
    reloading.reload(r#"{"timings": true, "allowUid": [12345]}"#);
    reloading
        .run
        .wait_for_log(&["ERROR", "stays as it was", "the socket's mode"]);
    assert!(!has_timings("a"));
    reloading.reload(r#"{"timings": true}"#);
    reloading.run.wait_for_log(&["INFO", "read again"]);
    assert!(has_timings("b"));
    reloading.run.process().signal("TERM");
    assert_eq!(reloading.run.finish().status, Some(0));
}

#[test]
fn who_is_trusted_no_more_gets_nothing_on_a_kept_connection_either() {
    let (Some(one), Some(other)) = (Authority::new(), Authority::new()) else {
        return;
    };
    let server = one.certificate("good", OWN_NAMES);
    let tls = format!("{},{}", server.chain.display(), server.key.display());
    let sink = Sink::start(1, &["--tls", &tls]);
    let dir = TempDir::new();
    let file = dir.join("ca.pem");
    let trust = |authority: &Authority| {
        std::fs::copy(authority.file(), &file).expect("the file is ours");
    };
    let config = json!({"caFile": file}).to_string();
    trust(&one);
    let mut reloading = Reloading::start(&config, &[]);
    let send = |reloading: &mut Reloading, id: &str| {
        reloading.run.write(&plain(id, &sink.urls[0]));
        reloading.run.next_result()
    };
    assert!(send(&mut reloading, "a").is_delivered());
    trust(&other);
    reloading.reload(&config);
    send(&mut reloading, "b").assert_failed("exhausted", "tls", &["certificate"]);
    trust(&one);
    reloading.reload(&config);
    assert!(send(&mut reloading, "c").is_delivered());
    reloading.reload(&config);
    assert!(send(&mut reloading, "d").is_delivered());
    reloading.run.finish();
    assert_eq!(
        sink.stop().connections,
        3,
        "one for each of a, b and c, the last of which is kept"
    );
}

#[test]
fn a_smaller_limit_of_dead_letters_drops_them_at_once() {
    let dir = TempDir::new();
    let spool = dir.join("spool");
    let flags = ["--spool", spool.to_str().expect("a plain name")];
    let mut reloading = Reloading::start("{}", &flags);
    let nobody = format!("http://127.0.0.1:{}/", free_port());
    reloading.run.write(&plain("a", &nobody));
    assert_eq!(reloading.run.next_result().outcome(), "exhausted");
    reloading.run.wait_for_log(&["job is dead"]);
    reloading.reload(r#"{"maxDeadBytes": 0}"#);
    reloading
        .run
        .wait_for_log(&["WARN", "oldest 1 dead letters", "maxDeadBytes"]);
    reloading.run.finish();
}

/// A daemon whose configuration is a file, and a FIFO once `hang` was called: opening it waits for a writer, as a file
/// system that hangs lets everybody wait.
struct Hanging {
    run: Run,
    dir: TempDir,
}

impl Hanging {
    fn start(flags: &[&str]) -> Hanging {
        let dir = TempDir::new();
        let file = dir.write("c.json", "{}");
        let mut command = Command::new(CONDUIT);
        command.arg("run").args(LOCAL).args(flags);
        command.arg("--config").arg(file);
        command.arg("--socket").arg(dir.join("socket"));
        let run = Run::start(&mut command);
        wait_until_it_listens(&dir.join("socket"));
        Hanging { run, dir }
    }

    fn connect(&self) -> Client {
        Client::connect(&self.dir.join("socket"))
    }

    fn hang(&self) {
        std::fs::remove_file(self.dir.join("c.json")).expect("it is ours");
        let made = Command::new("mkfifo").arg(self.dir.join("c.json")).status();
        assert!(made.expect("mkfifo").success());
    }

    /// Somebody has it open to read, so this writes.
    fn heal(&self, text: &str) {
        std::fs::write(self.dir.join("c.json"), text).expect("a reader");
    }
}

#[test]
fn f144_a_configuration_that_hangs_holds_nobody_and_is_taken_when_it_comes() {
    let sink = Sink::start(1, &[]);
    let daemon = Hanging::start(&["--workers", "2"]);
    daemon.hang();
    let (mut first, mut second) = (daemon.connect(), daemon.connect());
    first.send("{\"ctl\":\"reload\"}\n");
    // The thread that reads stands in open(2).
    wait_for("the reading thread", || {
        daemon
            .run
            .process()
            .has_thread("configuration")
            .then_some(())
    });
    second.send("{\"ctl\":\"reload\"}\n");
    daemon.run.process().signal("HUP");
    let mut other = daemon.connect();
    for number in 0..20 {
        other.send(plain(&format!("{number}"), &sink.urls[0]));
        assert_eq!(other.line().expect("a line")["outcome"], "accepted");
        assert_eq!(other.line().expect("a line")["outcome"], "delivered");
    }
    let origin = sink.urls[0].trim_end_matches('/');
    other.send(format!(
        "{{\"ctl\":\"set\",\"origin\":\"{origin}\",\"settings\":{{\"timeout\":7}}}}\n"
    ));
    let set = other.line().expect("a line");
    assert_eq!(set["ok"], true, "{set}");
    daemon
        .run
        .wait_for_log(&["WARN", "configuration is being read for"]);
    daemon.heal("{\"timings\":true}");
    assert_eq!(first.line().expect("a line")["ok"], true);
    // The second came while the first was read: it is read once more, for the signal too.
    daemon.heal("{\"timeout\":0}");
    let refused = second.line().expect("a line");
    assert_eq!(refused["ok"], false, "{refused}");
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("timeout"),
        "{refused}"
    );
    other.send(plain("last", &sink.urls[0]));
    assert_eq!(other.line().expect("a line")["outcome"], "accepted");
    assert!(other.line().expect("a line")["timings"].is_object());
    daemon.run.process().signal("TERM");
    assert_eq!(daemon.run.finish().status, Some(0));
}

#[test]
fn f144_sigterm_ends_a_run_whose_configuration_hangs() {
    let daemon = Hanging::start(&[]);
    daemon.hang();
    let mut client = daemon.connect();
    client.send("{\"ctl\":\"reload\"}\n");
    wait_for("the reading thread", || {
        daemon
            .run
            .process()
            .has_thread("configuration")
            .then_some(())
    });
    daemon.run.process().signal("TERM");
    let refused = client.line().expect("an answer before the end");
    assert_eq!(refused["ok"], false, "{refused}");
    assert_eq!(daemon.run.finish().status, Some(0));
}
