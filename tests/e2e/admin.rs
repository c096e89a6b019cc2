//! The admin listener: what it tells, whom it refuses, and that nobody who asks can hold up a delivery.
//!
//! Not here: whether its counts are right (`counters`), figures (`figures_admin`), the grammar of requests
//! (`src/wire/admin`).

use std::net::TcpListener;
use std::ops::Range;
use std::process::Command;
use std::time::Instant;

use crate::harness::conduit::{CONDUIT, LOCAL, Run, ask};
use crate::harness::feed::plain;
use crate::harness::gate::Gate;
use crate::harness::monitor::{Monitor, get, metrics, watched};
use crate::harness::prometheus::complaints_of_promtool;
use crate::harness::servers::Sink;
use crate::harness::socket::{Client, Daemon, wait_until_it_listens};
use crate::harness::world::World;
use crate::harness::{Process, TempDir, connections_at, free_port, wait_for};

#[test]
fn each_path_is_answered_over_one_connection() {
    let (port, run) = watched(&[]);
    let mut monitor = Monitor::connect(port);
    let index = monitor.get("/", "");
    assert_eq!(index.status, 200);
    assert!(index.body.contains("/health/ready"), "{}", index.body);
    assert_eq!(monitor.get("/health/live", "").status, 200);
    let ready = monitor.get("/health/ready", "");
    assert_eq!(ready.status, 200, "{}", ready.body);
    let ready = ready.json();
    assert_eq!(ready["status"], "Healthy");
    let pool = &ready["checks"]["http_connection_pool"];
    assert_eq!(pool["description"], "Connections: 0/0 (0.0%)");
    for check in ["intake", "resolver", "spool", "hardening"] {
        assert!(ready["checks"][check]["status"].is_string(), "{ready}");
    }
    let metrics = monitor.get("/metrics", "");
    assert!(
        metrics
            .head
            .contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n")
    );
    let open = "Accept: application/openmetrics-text; version=1.0.0\r\n";
    let metrics = monitor.get("/metrics", open);
    assert!(
        metrics
            .head
            .contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0")
    );
    assert!(metrics.body.ends_with("\n# EOF\n"), "{}", metrics.body);
    assert_eq!(monitor.get("/nothing", "").status, 404);
    monitor.send("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(monitor.answer(false).status, 200);
    // Two at once, the second of which is the last.
    monitor.send(
        "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n\
         GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(monitor.answer(true).status, 200);
    let last = monitor.answer(true);
    assert!(
        last.head.contains("\r\nConnection: close\r\n"),
        "{}",
        last.head
    );
    assert!(monitor.is_at_end());
    run.finish().assert_all_delivered(0);
}

#[test]
fn whom_it_is_not_for_it_refuses() {
    let (port, run) = watched(&[]);
    for (request, status) in [
        (
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
            405,
        ),
        (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n",
            403,
        ),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", 400),
        ("GET /metrics HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
    ] {
        let mut monitor = Monitor::connect(port);
        monitor.send(request);
        let answer = monitor.answer(true);
        assert_eq!(answer.status, status, "{request}: {}", answer.body);
    }
    // The answer to a HEAD is a head, also where it is refused.
    for fields in ["Host: evil.example", "Host: localhost\r\nOrigin: null"] {
        let mut monitor = Monitor::connect(port);
        monitor.send(&format!("HEAD / HTTP/1.1\r\n{fields}\r\n\r\n"));
        let answer = monitor.answer(false);
        assert_eq!(answer.status, 403, "{}", answer.head);
        assert!(
            answer
                .head
                .contains("\r\nX-Content-Type-Options: nosniff\r\n")
        );
        assert!(monitor.is_at_end(), "no body");
    }
    let mut monitor = Monitor::connect(port);
    monitor.send(&format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(8 * 1024)));
    assert_eq!(monitor.answer(true).status, 431);
    assert!(monitor.is_at_end());
    run.finish().assert_all_delivered(0);
}

#[test]
fn no_job_reaches_the_listener_whatever_is_allowed() {
    let (port, mut run) = watched(&["--allow-net", "127.0.0.0/8"]);
    for (id, host) in [("a", "127.0.0.1"), ("b", "127.9.9.9"), ("c", "localhost")] {
        run.write(&plain(id, &format!("http://{host}:{port}/metrics")));
        let result = run.next_result();
        result.assert_failed("blocked", "policy", &["not allowed"]);
        assert_eq!((result.attempts(), result.status()), (0, None));
        run.wait_for_log(&[id, "--listen", "nothing allows it"]);
    }
    run.finish();
    let exactly = format!("127.0.0.1/32:{port}");
    let listen = format!("127.0.0.1:{port}");
    let mut run = Run::local(&["--listen", &listen, "--allow-net", &exactly]);
    run.write(&plain("a", &format!("http://{listen}/metrics")));
    run.next_result().assert_failed("blocked", "policy", &[]);
    run.finish();
}

/// Its own interfaces' addresses are this machine too, public ones included.
#[test]
fn no_job_reaches_the_listener_at_an_address_of_an_interface() {
    let Some(world) = World::new() else {
        return;
    };
    world.shell("ip address add 8.8.4.4/32 dev lo; ip address add 2001:4860::8844/128 dev lo");
    let sink = Sink::start_by(world.command(CONDUIT), &["8.8.4.4:8080"], &[]);
    let mut run = world.run(&["--listen", "0.0.0.0:5000"]);
    for host in ["8.8.4.4", "[2001:4860::8844]"] {
        run.write(&plain("a", &format!("http://{host}:5000/metrics")));
        run.next_result().assert_failed("blocked", "policy", &[]);
    }
    run.write(&plain("b", "http://8.8.4.4:8080/"));
    assert!(run.next_result().is_delivered());
    run.finish();
    assert_eq!(sink.stop().connections, 1);
}

#[test]
fn a_busy_pool_is_measured_and_unhealthy() {
    let gate = Gate::start();
    let (port, mut run) = watched(&["--max-connections", "2"]);
    for id in ["a", "b", "c"] {
        run.write(&plain(id, &gate.url()));
    }
    gate.wait_for_requests(2);
    let ready = wait_for("the third job to wait", || {
        let ready = get(port, "/health/ready");
        let data = &ready.json()["checks"]["http_connection_pool"]["data"];
        (data["pendingRequests"] == 1).then_some(ready)
    });
    assert_eq!(ready.status, 503);
    let pool = &ready.json()["checks"]["http_connection_pool"];
    assert_eq!(pool["description"], "Connections: 2/2 (100.0%)");
    assert_eq!(pool["data"]["activeConnections"], 2);
    assert_eq!(pool["data"]["idleConnections"], 0);
    assert_eq!(pool["data"]["utilization"], "100.0%");
    let (status, stdout, _) = ask(&["health", "--url", &format!("http://localhost:{port}")]);
    assert_eq!(status, Some(1), "{stdout}");
    assert!(stdout.contains("100.0%"), "{stdout}");
    let live = ["health", "--live", "--listen", &format!("0.0.0.0:{port}")];
    assert_eq!(ask(&live).0, Some(0));
    let metrics = metrics(port);
    assert_eq!(metrics.count("conduit_webhook_active_requests", &[]), 2);
    assert_eq!(
        metrics.count("conduit_http_pool_active_connections", &[]),
        2
    );
    assert_eq!(
        metrics.count("conduit_webhook_queued", &[("priority", "normal")]),
        1
    );
    gate.open();
    run.finish().assert_all_delivered(3);
    let (status, _, stderr) = ask(&live);
    assert_eq!(status, Some(1), "nobody listens: {stderr}");
    assert!(
        stderr.starts_with("conduit: no answer from http://"),
        "{stderr}"
    );
}

#[test]
fn health_asks_a_conduit_that_is_well_whatever_has_become_of_its_configuration() {
    let (port, run) = watched(&[]);
    let dir = TempDir::new();
    let listen = format!("\"listen\": \"127.0.0.1:{port}\"");
    let file = dir.write(
        "c.json",
        &format!(r#"{{{listen}, "timeout": 0, "defaults": {{"secretFile": "/nonexistent"}}}}"#),
    );
    let mut command = Command::new(CONDUIT);
    command.args(["health", "--live", "--config"]).arg(&file);
    // Of a daemon, which has its socket from a flag.
    command.env("CONDUITLLM__WEBHOOKS__ALLOW_UID", "1000");
    let output = command.output().expect("conduit starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    dir.write("c.json", &format!("{{{listen},"));
    let output = command.output().expect("conduit starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("expected a key") && stderr.contains("--url"),
        "{stderr}"
    );
    run.finish().assert_all_delivered(0);
}

#[test]
fn from_sigterm_on_it_is_alive_and_not_ready() {
    let gate = Gate::start();
    let (port, mut run) = watched(&[]);
    run.write(&plain("a", &gate.url()));
    gate.wait_for_requests(1);
    run.process().signal("TERM");
    run.wait_for_log(&["SIGTERM"]);
    let ready = get(port, "/health/ready");
    assert_eq!(ready.status, 503, "{}", ready.body);
    let intake = &ready.json()["checks"]["intake"];
    assert_eq!(intake["status"], "Unhealthy", "{intake}");
    assert_eq!(get(port, "/health/live").status, 200);
    assert_eq!(
        metrics(port).count("conduit_webhook_active_requests", &[]),
        1
    );
    gate.open();
    let finished = run.finish();
    assert_eq!(finished.count("delivered"), 1);
}

#[test]
fn a_port_that_is_taken_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = taken.local_addr().expect("it is bound").to_string();
    let (status, _, stderr) = ask(&["run", "--listen", &address]);
    assert_eq!(status, Some(3), "{stderr}");
    assert!(
        stderr.contains(&address) && stderr.contains("--listen"),
        "{stderr}"
    );
    let (status, _, stderr) = ask(&["run", "--listen", "localhost:5000"]);
    assert_eq!(status, Some(2), "{stderr}");
    // Whoever has it, somebody else or we do.
    let default = TcpListener::bind("127.0.0.1:5000");
    let (status, _, stderr) = ask(&["run"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.contains("127.0.0.1:5000"), "{stderr}");
    let dir = TempDir::new();
    let socket = dir.join("socket");
    let socket = socket.to_str().expect("UTF-8");
    let (status, _, stderr) = ask(&["run", "--socket", socket]);
    assert_eq!(status, Some(3), "a daemon is watched: {stderr}");
    drop(default);
}

#[test]
fn promtool_finds_nothing_wrong_but_the_guides_name() {
    let sink = Sink::start(2, &[]);
    let (port, mut run) = watched(&[]);
    for url in &sink.urls {
        run.write(&plain(url, url));
        assert!(run.next_result().is_delivered());
    }
    let page = metrics(port).page().to_owned();
    for family in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = family.split_once(' ').expect("a name and a type");
        assert!(page.contains(&format!("# HELP {name} ")), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
    }
    run.finish();
    assert_lints_but_for_the_guides_name(&page);
}

/// promtool, where it is installed, complains of `conduit_webhook_duration_ms` alone.
pub(crate) fn assert_lints_but_for_the_guides_name(page: &str) {
    let Some(complaints) = complaints_of_promtool(page) else {
        return;
    };
    let [complaint] = &complaints[..] else {
        panic!("{complaints:#?}");
    };
    assert!(
        complaint.starts_with("conduit_webhook_duration_ms "),
        "{complaint}"
    );
}

#[test]
fn a_daemon_tells_of_jobs_of_its_socket() {
    let sink = Sink::start(1, &[]);
    let port = free_port();
    let daemon = Daemon::start(&["--listen", &format!("127.0.0.1:{port}")]);
    let mut client = daemon.connect();
    client.send(plain("a", &sink.urls[0]));
    wait_for("the delivery to be counted", || {
        let metrics = metrics(port);
        (metrics.count(
            "conduit_webhook_outcomes_total",
            &[("outcome", "delivered")],
        ) == 1)
            .then_some(())
    });
    daemon.stop();
}

#[test]
fn clients_that_never_read_hold_up_nobody() {
    let sink = Sink::start(Siege::ORIGINS, &[]);
    let urls = Siege::urls(&sink);
    let (port, mut run) = watched(&[]);
    let round = |run: &mut Run| {
        for url in &urls {
            run.write(&plain("job", url));
        }
        for _ in &urls {
            assert!(run.next_result().is_delivered());
        }
    };
    round(&mut run);
    let siege = Siege::of(port, run.process());
    // 65 of them push out the first.
    let rude: Vec<Monitor> = (0..100).map(|_| Monitor::rude(port)).collect();
    round(&mut run);
    // Who comes after them is served, so none of them waits to be taken.
    assert_eq!(get(port, "/health/live").status, 200);
    let held = connections_at(port);
    assert!((1..=64).contains(&held), "{held}");
    siege.assert_over(run.process(), rude);
    run.finish().assert_all_delivered(2 * urls.len());
}

/// What a process was before clients came that never read.
#[derive(Debug)]
pub(crate) struct Siege {
    port: u16,
    resident_bytes: u64,
    page_bytes: usize,
}

impl Siege {
    /// Enough for a page that no kernel takes whole from a writer whose reader does not read: Linux takes 4 MiB.
    pub(crate) const ORIGINS: usize = 1_000;

    /// Pages that are being read take 32 MiB at most; beside them stand the newest and the one that is being written,
    /// and what the allocator keeps between pages of different sizes.
    const GROWN_MOST: u64 = 128 * 1024 * 1024;

    /// What kernels hold of an answer that nobody reads, at both ends.
    const BUFFERED_MOST: usize = 1024 * 1024;

    /// Where to send, by long names.
    pub(crate) fn urls(sink: &Sink) -> Vec<String> {
        let name = format!("{}.localhost", "a".repeat(54));
        let urls = sink.urls.iter();
        urls.map(|url| url.replace("127.0.0.1", &name)).collect()
    }

    /// Before they come, and when all origins are known.
    pub(crate) fn of(port: u16, process: &Process) -> Siege {
        const BYTES_LEAST: usize = 4_400_000;
        let page_bytes = metrics(port).page().len();
        assert!(page_bytes >= BYTES_LEAST, "{page_bytes} bytes");
        Siege {
            port,
            resident_bytes: process.resident_bytes(),
            page_bytes,
        }
    }

    /// All of them are cut off with a part of their page, and what they have cost in memory is bounded.
    pub(crate) fn assert_over(&self, process: &Process, rude: impl IntoIterator<Item = Monitor>) {
        wait_for("those who do not read to be cut off", || {
            (connections_at(self.port) == 0).then_some(())
        });
        let (mut count, mut bytes_most) = (0, 0);
        for mut client in rude {
            let bytes = client.bytes_to_end();
            assert!(
                bytes <= Siege::BUFFERED_MOST,
                "{bytes} of {}",
                self.page_bytes
            );
            bytes_most = bytes_most.max(bytes);
            count += 1;
        }
        let grown = process.resident_bytes_most() - self.resident_bytes;
        let page = self.page_bytes;
        println!("{count} clients of a page of {page} bytes: {bytes_most} sent, {grown} of memory");
        assert!(grown <= Siege::GROWN_MOST, "{grown} bytes");
    }
}

#[test]
fn f19_liveness_is_answered_while_clients_of_the_socket_have_all_descriptors_that_they_can() {
    let sink = Sink::start(1, &[]);
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let dir = TempDir::new();
    let socket = dir.join("socket");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh", CONDUIT, "run"]);
    command
        .args(LOCAL)
        .args(["--listen", &listen, "--workers", "2"]);
    // More than there can be.
    command.args(["--max-connections-total", "1000"]);
    command.arg("--socket").arg(&socket);
    let run = Run::start(&mut command);
    run.wait_for_log(&["maxConnectionsTotal", "leave"]);
    wait_until_it_listens(&socket);
    let mut first = Client::connect(&socket);
    let mut others: Vec<Client> = (0..60).map(|_| Client::connect(&socket)).collect();
    let refused = others.pop().and_then(|mut last| last.line());
    assert_eq!(refused.expect("a reason")["error"]["kind"], "limit");
    let url = format!("http://{listen}");
    for _ in 0..20 {
        let (status, _, stderr) = ask(&["health", "--live", "--url", &url]);
        assert_eq!(status, Some(0), "{stderr}");
    }
    assert!(metrics(port).sum("process_open_fds", &[]) <= 64.0);
    first.send(plain("a", &sink.urls[0]));
    assert_eq!(first.take(2), ["a 1 accepted", "a 1 delivered"]);
    run.process().signal("TERM");
    let finished = run.finish();
    let stderr = finished.stderr;
    assert!(!stderr.contains("can't be accepted"), "{stderr}");
}

#[test]
fn f106_who_does_not_finish_a_request_is_cut_off() {
    // It gives 5 s for a request; an idle connection has two minutes.
    const SECONDS: Range<f64> = 4.0..15.0;
    let (port, run) = watched(&[]);
    let mut slow = Monitor::connect(port);
    let started = Instant::now();
    slow.send("GET /metrics HT");
    let mut quick = Monitor::connect(port);
    assert_eq!(quick.get("/health/live", "").status, 200);
    assert!(slow.is_at_end());
    let took = started.elapsed().as_secs_f64();
    assert!(SECONDS.contains(&took), "{took} s");
    // Who has asked and been answered may ask again later.
    assert_eq!(quick.get("/health/live", "").status, 200);
    run.finish().assert_all_delivered(0);
}

#[test]
fn the_demo_listens_nowhere() {
    let demo = Command::new(CONDUIT).arg("demo").output().expect("it runs");
    let said = String::from_utf8_lossy(&demo.stderr);
    assert!(!said.contains("metrics"), "{said}");
}
