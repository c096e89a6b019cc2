//! The Unix socket: who gets which answer when, whom it costs what, its file, and its end.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::conduit::{Run, ask};
use crate::harness::feed::{line, plain};
use crate::harness::gate::Gate;
use crate::harness::servers::Sink;
use crate::harness::socket::{Client, Daemon, summary, wait_until_it_listens};
use crate::harness::{TempDir, is_installed, wait_for};

#[test]
fn each_line_has_a_first_answer_in_order_and_its_result_after_it() {
    let gate = Gate::start();
    let daemon = Daemon::start::<&str>(&[]);
    let mut client = daemon.connect();
    client.send(plain("a", &gate.url()) + "\nnonsense\n" + &plain("b", &gate.url())[..30]);
    assert_eq!(client.take(2), ["a 1 accepted", "- 3 invalid"]);
    gate.wait_for_requests(1);
    client.send(&plain("b", &gate.url())[30..]);
    assert_eq!(client.next(), "b 4 accepted");
    gate.wait_for_requests(2);
    gate.open();
    let mut results = client.take(2);
    results.sort();
    assert_eq!(results, ["a 1 delivered", "b 4 delivered"]);
    client.end();
    assert!(client.has_ended(), "all was said: it is closed");
    let run = daemon.stop();
    assert_eq!((run.status, run.results.len()), (Some(0), 0), "{run:?}");
}

#[test]
fn it_says_where_it_listens() {
    let daemon = Daemon::start::<&str>(&[]);
    let path = daemon.path();
    let path = path.to_str().expect("a plain name");
    daemon.run.wait_for_log(&["INFO listening at", path]);
    daemon.stop();
}

#[test]
fn clients_do_not_hear_of_each_other_and_neither_does_stdout() {
    let sink = Sink::start(1, &[]);
    let mut daemon = Daemon::start::<&str>(&[]);
    let mut clients: Vec<Client> = (0..50).map(|_| daemon.connect()).collect();
    daemon.run.write(&plain("feed", &sink.urls[0]));
    for (number, client) in clients.iter_mut().enumerate() {
        let jobs: String = (0..20)
            .map(|job| plain(&format!("{number}-{job}"), &sink.urls[0]))
            .collect();
        client.send(jobs.trim_end());
        client.end();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let mut lines = client.rest();
        assert_eq!(lines.len(), 40, "{lines:?}");
        lines.sort();
        let mut expected: Vec<String> = (0..20)
            .flat_map(|job| {
                ["accepted", "delivered"]
                    .map(|outcome| format!("{number}-{job} {} {outcome}", job + 1))
            })
            .collect();
        expected.sort();
        assert_eq!(lines, expected);
    }
    let run = daemon.stop();
    run.of("feed");
    assert_eq!((run.status, run.results.len()), (Some(0), 1), "{run:?}");
}

#[test]
fn the_end_of_stdin_means_nothing() {
    let sink = Sink::start(1, &[]);
    let mut daemon = Daemon::start::<&str>(&[]);
    daemon.run.write(&plain("feed", &sink.urls[0]));
    daemon.run.end_feed();
    assert!(daemon.run.next_result().is_delivered());
    let mut client = daemon.connect();
    client.send(plain("a", &sink.urls[0]));
    assert_eq!(client.take(2), ["a 1 accepted", "a 1 delivered"]);
    assert_eq!(daemon.stop().status, Some(0));
}

#[test]
fn f88_at_sigterm_clients_get_what_becomes_of_their_jobs_before_they_are_closed() {
    let gate = Gate::start();
    let daemon = Daemon::start(&["--max-connections", "2"]);
    let mut client = daemon.connect();
    let jobs: String = (0..5).map(|n| plain(&n.to_string(), &gate.url())).collect();
    client.send(jobs);
    assert_eq!(client.take(5).last().unwrap(), "4 5 accepted");
    gate.wait_for_requests(2);
    daemon.run.process().signal("TERM");
    let mut cancelled = client.take(3);
    cancelled.sort();
    assert_eq!(
        cancelled,
        ["2 3 cancelled", "3 4 cancelled", "4 5 cancelled"]
    );
    let path = daemon.path();
    wait_for("the file to go", || (!path.exists()).then_some(()));
    gate.open();
    let mut delivered = client.rest();
    delivered.sort();
    assert_eq!(delivered, ["0 1 delivered", "1 2 delivered"]);
    let run = daemon.run.finish();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(gate.requests(), 2, "nothing new is started");
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_file_goes_too() {
    let gate = Gate::start();
    let mut daemon = Daemon::start::<&str>(&[]);
    let mut client = daemon.connect();
    client.send(plain("a", &gate.url()));
    gate.wait_for_requests(1);
    daemon.run.process().signal("TERM");
    let path = daemon.path();
    wait_for("the file to go", || (!path.exists()).then_some(()));
    // It counts from one second after the first on; what was in flight has its result.
    wait_for("the second signal to count", || {
        daemon.run.process().signal("INT");
        daemon.run.has_ended().then_some(())
    });
    let heard: Vec<Value> = std::iter::from_fn(|| client.line()).collect();
    let [accepted, cut] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(
        (&accepted["outcome"], &cut["outcome"]),
        (&json!("accepted"), &json!("cancelled"))
    );
    assert_eq!(cut["attempts"], 1, "it was sent: {cut}");
    assert_eq!(daemon.run.finish().status, Some(130));
}

#[test]
fn f119_two_signals_at_once_are_one() {
    let gate = Gate::start();
    let daemon = Daemon::start::<&str>(&[]);
    let mut client = daemon.connect();
    client.send(plain("a", &gate.url()));
    gate.wait_for_requests(1);
    for _ in 0..2 {
        daemon.run.process().signal("TERM");
    }
    let path = daemon.path();
    wait_for("the file to go", || (!path.exists()).then_some(()));
    gate.open();
    assert_eq!(client.rest(), ["a 1 accepted", "a 1 delivered"]);
    assert_eq!(daemon.run.finish().status, Some(0));
}

#[test]
fn f156_what_was_sent_and_not_waited_for_counts_as_an_attempt() {
    let gate = Gate::start();
    let daemon = Daemon::start(&["--shutdown-timeout", "0.2"]);
    let mut client = daemon.connect();
    for n in 0..20 {
        client.send(plain(&n.to_string(), &gate.url()));
    }
    gate.wait_for_requests(20);
    daemon.run.process().signal("TERM");
    let lines: Vec<Value> = std::iter::from_fn(|| client.line()).collect();
    let cut: Vec<&Value> = lines
        .iter()
        .filter(|line| line["outcome"] == "cancelled")
        .collect();
    assert_eq!(cut.len(), 20, "{lines:?}");
    for line in cut {
        assert_eq!(line["attempts"], 1, "{line}");
        let message = line["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains("without waiting for the answer"),
            "{message}"
        );
    }
    assert_eq!(daemon.run.finish().status, Some(0));
}

#[test]
fn draining_ends_it_when_every_job_has_its_result() {
    let gate = Gate::start();
    let daemon = Daemon::start::<&str>(&[]);
    let mut client = daemon.connect();
    client.send(plain("a", &gate.url()));
    assert_eq!(client.next(), "a 1 accepted");
    let mut operator = daemon.connect();
    let answer = operator.ask("{\"ctl\":\"drain\"}");
    assert_eq!(answer["data"], json!({"draining": true, "pending": 1}));
    client.send(plain("b", &gate.url()));
    let refused = client.line().unwrap();
    assert_eq!(summary(&refused), "b 2 overloaded");
    assert_eq!(refused["error"]["kind"], "limit");
    operator.ask("{\"ctl\":\"drain\",\"cancel\":true}");
    client.send(plain("c", &gate.url()));
    assert_eq!(client.next(), "c 3 accepted");
    operator.ask("{\"ctl\":\"drain\"}");
    gate.open();
    let mut results = client.rest();
    results.sort();
    assert_eq!(results, ["a 1 delivered", "c 3 delivered"]);
    assert!(operator.has_ended());
    let run = daemon.run.finish();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
}

#[test]
fn a_client_that_does_not_read_holds_no_drain_up_for_ever() {
    let daemon = Daemon::start(&["--shutdown-timeout", "0.2"]);
    let mut deaf = daemon.connect();
    // More answers than the kernel keeps for it, and than conduit does.
    deaf.send("x\n".repeat(20_000));
    let mut operator = daemon.connect();
    wait_for("the answers to pile up", || {
        let lines = &operator.ask("{\"ctl\":\"status\"}")["data"]["lines"];
        (lines.as_u64() > Some(5_000)).then_some(())
    });
    let answer = operator.ask("{\"ctl\":\"drain\"}");
    assert_eq!(answer["data"], json!({"draining": true, "pending": 0}));
    let run = daemon.run.finish();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    drop(deaf);
}

#[test]
fn beyond_max_queued_a_job_is_overloaded() {
    let gate = Gate::start();
    let sink = Sink::start(1, &[]);
    let daemon = Daemon::start(&["--max-connections", "1", "--max-queued", "3"]);
    let mut client = daemon.connect();
    let jobs: String = (1..=5)
        .map(|n| plain(&n.to_string(), &gate.url()))
        .collect();
    client.send(jobs + &plain("other", &sink.urls[0]));
    let answers = client.take(4);
    assert!(answers.iter().all(|answer| answer.ends_with("accepted")));
    let refused = client.line().unwrap();
    assert_eq!(summary(&refused), "5 5 overloaded");
    assert_eq!(
        (&refused["error"]["kind"], &refused["attempts"]),
        (&json!("limit"), &json!(0))
    );
    assert_eq!(
        client.take(2),
        ["other 6 accepted", "other 6 delivered"],
        "another origin is unaffected"
    );
    gate.open();
    daemon.stop();
}

#[test]
fn a_client_at_max_client_pending_waits_and_no_other_does() {
    let gate = Gate::start();
    let daemon = Daemon::start(&["--max-client-pending", "2"]);
    let (mut greedy, mut other) = (daemon.connect(), daemon.connect());
    let jobs: String = (0..4).map(|n| plain(&n.to_string(), &gate.url())).collect();
    greedy.send(jobs);
    assert_eq!(greedy.take(2), ["0 1 accepted", "1 2 accepted"]);
    gate.wait_for_requests(2);
    other.send(plain("a", &gate.url()));
    assert_eq!(other.next(), "a 1 accepted");
    gate.wait_for_requests(3);
    assert_eq!(gate.requests(), 3);
    gate.open();
    assert_eq!(other.next(), "a 1 delivered");
    let rest = greedy.take(6);
    for outcome in ["accepted", "delivered"] {
        assert!(rest.contains(&format!("3 4 {outcome}")), "{rest:?}");
    }
    daemon.stop();
}

#[test]
fn a_client_that_does_not_read_costs_only_itself() {
    let sink = Sink::start(1, &[]);
    let daemon = Daemon::start::<&str>(&[]);
    let stalled = daemon.connect();
    let mut writer = stalled.writer();
    let url = sink.urls[0].clone();
    // Far more than buffers hold: it blocks until it is read from.
    let sender = std::thread::spawn(move || {
        use std::io::Write as _;
        (0..60_000).try_for_each(|n| writer.write_all(plain(&n.to_string(), &url).as_bytes()))
    });
    let mut other = daemon.connect();
    wait_for("the first client to be held", || {
        let lines = |other: &mut Client| {
            other.ask("{\"ctl\":\"status\"}")["data"]["lines"]
                .as_u64()
                .expect("a count")
        };
        let before = lines(&mut other);
        other.send(plain("a", &sink.urls[0]));
        other.take(2);
        // Its own three lines, and none of the other's.
        (before > 1000 && lines(&mut other) == before + 2).then_some(())
    });
    stalled.leave();
    // It has left: what it had sent is delivered all the same, and the rest can't be sent.
    let _broken_pipe = sender.join().expect("the sender does not panic");
    let run = daemon.stop();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
}

#[test]
fn jobs_of_a_client_that_left_go_on() {
    let gate = Gate::start();
    let daemon = Daemon::start::<&str>(&[]);
    let mut client = daemon.connect();
    client.send(plain("a", &gate.url()));
    assert_eq!(client.next(), "a 1 accepted");
    client.send(plain("b", &gate.url()));
    drop(client);
    gate.wait_for_requests(2);
    gate.open();
    let mut operator = daemon.connect();
    let data = wait_for("both results", || {
        let data = operator.ask("{\"ctl\":\"status\"}")["data"].clone();
        (data["outcomes"]["delivered"] == 2).then_some(data)
    });
    assert!(data["resultsDropped"].as_u64() >= Some(2), "{data}");
    assert_eq!(data["clients"], 1);
    daemon.stop();
}

#[test]
fn a_client_that_left_takes_no_place_while_its_jobs_go_on() {
    let gate = Gate::start();
    let daemon = Daemon::start::<&str>(&[]);
    for id in ["read", "half-closed", "unread"] {
        let mut client = daemon.connect();
        client.send(plain(id, &gate.url()));
        match id {
            "read" => assert_eq!(client.next(), "read 1 accepted"),
            "half-closed" => client.end(),
            _ => {}
        }
    }
    gate.wait_for_requests(3);
    let mut operator = daemon.connect();
    wait_for("the three to be forgotten", || {
        let data = operator.ask("{\"ctl\":\"status\"}")["data"].clone();
        (data["clients"] == 1 && data["pending"] == 3).then_some(())
    });
    gate.open();
    daemon.stop();
}

#[test]
fn a_question_that_makes_no_sense_is_answered() {
    let daemon = Daemon::start::<&str>(&[]);
    let mut client = daemon.connect();
    let answer = client.ask("{\"ctl\":\"breaker reset\",\"origin\":\"https://a\"}");
    assert_eq!(answer["ctl"], "breaker reset");
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["error"]["kind"], "invalid");
    let status = client.ask("{\"ctl\":\"status\"}");
    assert_eq!(
        (&status["ok"], &status["data"]["clients"]),
        (&json!(true), &json!(1))
    );
    daemon.stop();
}

#[test]
fn f89_nobody_to_read_stdout_is_exit_3_and_clients_get_their_results() {
    let gate = Gate::start();
    let sink = Sink::start(1, &[]);
    let mut daemon = Daemon::start::<&str>(&[]);
    let mut client = daemon.connect();
    client.send(plain("a", &gate.url()));
    assert_eq!(client.next(), "a 1 accepted");
    gate.wait_for_requests(1);
    daemon.run.stop_reading();
    let path = daemon.path();
    wait_for("the file to go", || {
        daemon.run.write(&plain("feed", &sink.urls[0]));
        (!path.exists()).then_some(())
    });
    gate.open();
    assert_eq!(client.rest(), ["a 1 delivered"]);
    let run = daemon.run.finish();
    assert_eq!(run.status, Some(3), "{}", run.stderr);
}

#[test]
fn without_descriptors_connections_wait_and_nothing_else_does() {
    let sink = Sink::start(1, &[]);
    let dir = TempDir::new();
    let socket = dir.join("socket");
    if !is_installed("prlimit", "util-linux") {
        return;
    }
    let run = Run::local(&[OsStr::new("--socket"), socket.as_os_str()]);
    wait_until_it_listens(&socket);
    let mut first = Client::connect(&socket);
    // It listens before it has opened all that it will: who answers is up.
    first.ask("{\"ctl\":\"status\"}");
    // What it has at start it shares out; this comes later, and takes even that.
    let pid = run.process().id();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let limit = format!("--nofile={}", open.count() + 4);
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--pid={pid}")).arg(limit);
    assert!(prlimit.status().expect("it is installed").success());
    let mut others: Vec<Client> = (0..60).map(|_| Client::connect(&socket)).collect();
    let mut last = others.pop().unwrap();
    last.send("{\"ctl\":\"status\"}\n");
    run.wait_for_log(&["can't be accepted"]);
    let before = run.process().cpu_time();
    first.send(plain("a", &sink.urls[0]));
    assert_eq!(first.next(), "a 2 accepted");
    drop(others);
    assert_eq!(last.line().unwrap()["ok"], true, "its turn comes");
    let spent = run.process().cpu_time() - before;
    assert!(spent.as_secs_f64() < 0.5, "no busy loop: {spent:?}");
    run.process().signal("TERM");
    let finished = run.finish();
    let told = finished.stderr.matches("can't be accepted").count();
    assert_eq!(told, 1, "once a minute: {}", finished.stderr);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o7777
}

#[test]
fn the_file_is_private_unless_the_user_of_each_connection_decides() {
    let daemon = Daemon::start::<&str>(&[]);
    assert_eq!(mode(&daemon.path()), 0o600);
    daemon.stop();
    for flag in ["--allow-uid", "--control-uid"] {
        let daemon = Daemon::start(&[flag, "12345"]);
        assert_eq!(mode(&daemon.path()), 0o666);
        let path = daemon.path();
        let run = daemon.stop();
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        assert!(!path.exists(), "the file is removed");
    }
}

#[test]
fn a_stale_file_is_replaced_and_a_live_one_is_not() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let text = path.to_str().unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let number = fs::metadata(&path).unwrap().ino();
    let (status, _, stderr) = ask(&["run", "--socket", text]);
    assert_eq!(status, Some(3), "{stderr}");
    assert!(stderr.contains("listens there already"), "{stderr}");
    assert_eq!(
        fs::metadata(&path).unwrap().ino(),
        number,
        "it is left alone"
    );
    drop(listener);
    let run = Run::local(&["--socket", text]);
    wait_until_it_listens(&path);
    run.process().signal("TERM");
    assert_eq!(run.finish().status, Some(0));
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let dir = TempDir::new();
    let path = dir.write("socket", "precious");
    let missing = dir.join("no/such/directory");
    for path in [&path, &missing] {
        let (status, _, stderr) = ask(&["run", "--socket", path.to_str().unwrap()]);
        assert_eq!(status, Some(3), "{stderr}");
        assert!(stderr.contains(path.to_str().unwrap()), "{stderr}");
    }
    assert_eq!(fs::read_to_string(path).unwrap(), "precious");
}

#[test]
fn f92_a_gigabyte_without_a_newline_costs_no_memory() {
    let sink = Sink::start(1, &[]);
    let daemon = Daemon::start::<&str>(&[]);
    let mut client = daemon.connect();
    client.send(plain("a", &sink.urls[0]));
    client.take(2);
    let before = daemon.run.process().resident_bytes();
    let part = vec![b'x'; 1 << 20];
    for _ in 0..1024 {
        client.send(&part);
    }
    let after = daemon.run.process().resident_bytes();
    assert!(after < before + (8 << 20), "{before} bytes, then {after}");
    client.send(format!("\n{}", plain("b", &sink.urls[0])));
    let refused = client.line().unwrap();
    assert_eq!(summary(&refused), "- 2 invalid");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("found 1073741824"), "{message}");
    assert_eq!(client.take(2), ["b 3 accepted", "b 3 delivered"]);
    daemon.stop();
}

#[test]
fn f91_f93_hostile_lines_have_one_answer_each_and_harm_no_other() {
    let sink = Sink::start(1, &[]);
    let url = &sink.urls[0];
    let good = |id: &str, payload: &str| {
        format!("{{\"id\":\"{id}\",\"url\":\"{url}\",\"payload\":{payload}}}")
    };
    let deep = "[".repeat(500_000) + &"]".repeat(500_000);
    // What is in the payload is the receiver's business, if it is JSON and not too deep.
    let lines: [(Vec<u8>, &str); 11] = [
        (
            format!("\u{feff}{}\r", good("bom", "1")).into(),
            "bom 1 accepted",
        ),
        (good("deep", &deep).into(), "deep 2 invalid"),
        (
            good("big", "[1e999,99999999999999999999]").into(),
            "big 3 accepted",
        ),
        (good("lone", "\"\\ud800\"").into(), "lone 4 accepted"),
        (
            good("twice", "{\"a\":1,\"a\":2}").into(),
            "twice 5 accepted",
        ),
        (
            line(&json!({"id": "own", "url": url}))
                .trim_end()
                .replace("}", ",\"timeout\":1e999}")
                .into(),
            "own 6 invalid",
        ),
        (
            format!("{{\"id\":\"\\ud800\",\"url\":\"{url}\"}}").into(),
            "- 7 invalid",
        ),
        (
            format!("{{\"id\":\"dup\",\"url\":\"{url}\",\"url\":\"{url}\"}}").into(),
            "dup 8 invalid",
        ),
        (
            b"{\"id\":\"utf\",\"url\":\"\xff\"}".to_vec(),
            "utf 9 invalid",
        ),
        (b"\0".to_vec(), "- 10 invalid"),
        (good("\u{e9}", "1").into(), "- 11 invalid"),
    ];
    let daemon = Daemon::start(&["--max-job-bytes", "2m"]);
    let mut client = daemon.connect();
    for (line, _) in &lines {
        client.send([line.as_slice(), b"\n"].concat());
    }
    client.end();
    let heard = client.rest();
    let first: Vec<&String> = heard.iter().filter(|l| !l.ends_with("delivered")).collect();
    let expected: Vec<&str> = lines.iter().map(|(_, answer)| *answer).collect();
    assert_eq!(first, expected);
    assert_eq!(heard.len() - first.len(), 4, "{heard:?}");
    daemon.stop();
}

#[test]
fn users_without_a_socket_are_wrong_usage() {
    for flag in ["--allow-uid", "--control-uid"] {
        let (status, stdout, stderr) = ask(&["run", flag, "5"]);
        assert_eq!((status, &*stdout), (Some(2), ""), "{stderr}");
        assert!(stderr.contains("expected --socket"), "{stderr}");
    }
}
