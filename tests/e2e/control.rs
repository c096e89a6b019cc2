//! What operators order with `conduit ctl`: breakers held open, and closed by hand.

use serde_json::{Value, json};

use crate::harness::conduit::ask;
use crate::harness::feed::plain;
use crate::harness::gate::Gate;
use crate::harness::servers::Sink;
use crate::harness::socket::Daemon;
use crate::harness::{TempDir, free_port};

/// Runs `conduit ctl` with these words: exit status, stdout, stderr.
fn ctl(daemon: &Daemon, words: &[&str]) -> (Option<i32>, String, String) {
    let socket = daemon.path();
    let socket = ["--socket", socket.to_str().expect("a plain name")];
    ask(&[&["ctl"], words, &socket].concat())
}

/// What is told of the only endpoint.
fn endpoint(daemon: &Daemon) -> Value {
    let (_, stdout, stderr) = ctl(daemon, &["endpoints", "--json"]);
    let answer: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}"));
    answer["data"]["endpoints"][0].clone()
}

#[test]
fn an_isolated_endpoint_gets_nothing_until_its_breaker_is_reset() {
    let gate = Gate::start();
    gate.open();
    let daemon = Daemon::start(&["--workers", "2"]);
    let url = gate.url();
    let origin = url.trim_end_matches('/');
    let (status, stdout, stderr) = ctl(&daemon, &["breaker", "isolate", origin]);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(stdout, format!("breaker  isolated\norigin   {origin}\n"));
    let mut client = daemon.connect();
    client.send(plain("a", &url) + &plain("b", &url));
    assert_eq!(client.take(2), ["a 1 accepted", "b 2 accepted"]);
    let told = endpoint(&daemon);
    assert_eq!(
        (&told["breaker"], &told["queued"]["normal"]),
        (&json!("isolated"), &json!(2))
    );
    assert_eq!(gate.requests(), 0);
    let (status, _, stderr) = ctl(&daemon, &["breaker", "reset", origin]);
    assert_eq!(status, Some(0), "{stderr}");
    let mut results = client.take(2);
    results.sort();
    assert_eq!(results, ["a 1 delivered", "b 2 delivered"]);
    assert_eq!(endpoint(&daemon)["breaker"], "closed");
    daemon.stop();
}

#[test]
fn a_breaker_that_is_reset_lets_jobs_go_at_once() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/");
    let daemon = Daemon::start(&["--breaker-failures", "1", "--breaker-seconds", "3600"]);
    let mut client = daemon.connect();
    client.send(plain("a", &url));
    assert_eq!(client.take(2), ["a 1 accepted", "a 1 exhausted"]);
    client.send(plain("b", &url));
    assert_eq!(client.next(), "b 2 accepted");
    assert_eq!(endpoint(&daemon)["breaker"], "open");
    let command = std::process::Command::new(crate::harness::conduit::CONDUIT);
    let _sink = Sink::start_by(command, &[&format!("127.0.0.1:{port}")], &[]);
    let (status, _, stderr) = ctl(&daemon, &["breaker", "reset", &url]);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(client.next(), "b 2 delivered");
    daemon.stop();
}

#[test]
fn what_can_t_be_ordered_is_refused_in_one_line() {
    let daemon = Daemon::start::<&str>(&[]);
    let (status, stdout, stderr) = ctl(&daemon, &["breaker", "reset", "https://nobody.example"]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    let expected =
        "conduit: refused: nothing was sent to this origin lately, so it has no breaker to reset\n";
    assert_eq!(stderr, expected);
    let (status, _, stderr) = ctl(&daemon, &["breaker", "reset", "nobody"]);
    assert_eq!((status, stderr.lines().count()), (Some(2), 1), "{stderr}");
    daemon.stop();
}

#[test]
fn a_limit_that_is_set_holds_at_once_and_is_marked() {
    let gate = Gate::start();
    let daemon = Daemon::start(&["--max-connections", "1"]);
    let url = gate.url();
    let origin = url.trim_end_matches('/');
    let mut client = daemon.connect();
    client.send(plain("a", &url) + &plain("b", &url));
    client.take(2);
    gate.wait_for_requests(1);
    let (status, stdout, stderr) = ctl(&daemon, &["set", origin, "maxConnections=2"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.contains("maxConnections"), "{stdout}");
    gate.wait_for_requests(2);
    let told = endpoint(&daemon);
    assert_eq!(
        (&told["maxConnections"], &told["set"]),
        (&json!(2), &json!(["maxConnections"]))
    );
    let (_, stdout, _) = ctl(&daemon, &["endpoints"]);
    let mark = format!("* {origin}: maxConnections by ctl set");
    assert!(stdout.lines().any(|line| line == mark), "{stdout}");
    for (pair, words) in [
        ("maxConnections=0", "maxConnections"),
        ("secret=x", "secret"),
        ("headers=x", "headers"),
        ("maxConections=3", "maxConnections"),
    ] {
        let (status, _, stderr) = ctl(&daemon, &["set", origin, pair]);
        assert_eq!((status, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains(words), "{pair}: {stderr}");
    }
    gate.open();
    client.take(2);
    daemon.stop();
}

#[test]
fn the_configuration_is_read_again_all_of_it_or_none() {
    let gate = Gate::start();
    let dir = TempDir::new();
    let file = dir.write("c.json", r#"{"defaults": {"maxConnections": 1}}"#);
    let daemon = Daemon::start(&["--config", file.to_str().expect("a plain name")]);
    let mut client = daemon.connect();
    client.send(plain("a", &gate.url()) + &plain("b", &gate.url()));
    client.take(2);
    gate.wait_for_requests(1);
    dir.write(
        "c.json",
        r#"{"defaults": {"maxConnections": 2, "timeout": 0}}"#,
    );
    let (status, _, stderr) = ctl(&daemon, &["reload"]);
    assert_eq!((status, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("timeout"), "{stderr}");
    assert_eq!(endpoint(&daemon)["maxConnections"], 1);
    dir.write("c.json", r#"{"defaults": {"maxConnections": 2}}"#);
    let (status, stdout, stderr) = ctl(&daemon, &["reload"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(stdout, "the configuration was read again\n");
    gate.wait_for_requests(2);
    gate.open();
    client.take(2);
    daemon.stop();
    let daemon = Daemon::start::<&str>(&[]);
    let (status, _, stderr) = ctl(&daemon, &["reload"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("--config"), "{stderr}");
    daemon.stop();
}
