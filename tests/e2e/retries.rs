//! Trying again: what fails now and then, what is down for a while, and who says when to come back.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::harness::conduit::{CONDUIT, JobResult, Run, deliver};
use crate::harness::feed::{Feed, plain};
use crate::harness::peers::{Haproxy, Httpbin};
use crate::harness::servers::{Nginx, Node, Sink, nginx_with};
use crate::harness::{TempDir, free_port, wait_for};

/// Two retries, soon.
const TWICE: [&str; 2] = ["--retry-schedule", "0.05,0.1"];

/// More retries than anything here needs, and a breaker that stays out of it.
const STUBBORN: [&str; 4] = [
    "--retry-schedule",
    "0.1,0.1,0.1,0.2,0.2,0.2,0.4,0.4,0.4,0.8,0.8,0.8,1.6,1.6,1.6",
    "--breaker-failures",
    "1000000",
];

fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

#[test]
fn f02_a_fresh_connection_that_is_closed_without_an_answer_is_tried_again_to_the_end() {
    let Some((port, nginx)) = nginx_with("location / { return 444; }") else {
        return;
    };
    let run = deliver(&TWICE, plain("a", &url(port, "/")));
    run.of("a").assert_failed("exhausted", "reset", &[]);
    assert_eq!((run.of("a").attempts(), run.status), (3, Some(1)));
    let log = nginx.log(3);
    assert_eq!(log.len(), 3, "each attempt was sent once");
    let connections: BTreeSet<u64> = log.iter().map(|access| access.connection).collect();
    assert_eq!(connections.len(), 3, "each on a connection of its own");
}

#[test]
fn f03_resets_before_in_and_after_the_head_are_tried_again() {
    let script = "\
        const breaks = [
          socket => socket.resetAndDestroy(),
          socket => socket.write('HTTP/1.1 200 OK\\r\\nConte', () => socket.resetAndDestroy()),
          socket => socket.write('HTTP/1.1 503 No\\r\\nContent-Length: 9\\r\\n\\r\\nhal',
            () => socket.resetAndDestroy()),
        ];
        const server = net.createServer(socket => {
          socket.on('error', () => {});
          socket.once('data', () => {
            const last = 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n';
            (breaks.shift() ?? (socket => socket.write(last)))(socket);
          });
        });";
    let Some(node) = Node::start(script) else {
        return;
    };
    let run = deliver(&STUBBORN, plain("a", &node.url("/")));
    assert!(run.of("a").is_delivered(), "{run:?}");
    assert_eq!(run.of("a").attempts(), 4);
}

#[test]
fn f52_a_429_of_a_limit_is_waited_out() {
    let port = free_port();
    // Not `return` at once: it would go before the limit.
    let servers = format!(
        "limit_req_zone $server_port zone=all:1m rate=10r/s; limit_req_status 429;
         server {{ listen 127.0.0.1:{port}; limit_req zone=all burst=2 nodelay;
         add_header Retry-After 1 always;
         location / {{ try_files /none @ok; }} location @ok {{ return 204; }} }}"
    );
    let Some(nginx) = Nginx::start(port, &servers) else {
        return;
    };
    let feed = Feed::generate(12, &[url(port, "/")], 100);
    let run = deliver(&STUBBORN, feed.text());
    run.assert_delivered_in_the_end(12);
    let log = nginx.log(13);
    let limited = log.iter().filter(|access| access.status == 429).count();
    assert!(limited > 0, "nothing was limited");
    let attempts: u64 = run.results.iter().map(|result| result.attempts()).sum();
    assert_eq!(attempts as usize, log.len(), "each attempt was sent once");
    for result in run.results.iter().filter(|result| result.attempts() > 1) {
        assert!(result.duration_ms() >= 1_000.0, "{result:?}");
    }
    assert!(
        !run.stderr.contains("circuit breaker open"),
        "{}",
        run.stderr
    );
}

/// Answers 429 or 503 with this `Retry-After`, and later 200.
fn comes_back(status: u16, retry_after: &str) -> String {
    format!(
        "let requests = 0;
         const server = http.createServer((request, response) => {{
           request.resume();
           request.on('end', () => {{
             response.sendDate = true;
             if (++requests > 1) return response.end();
             const value = {retry_after};
             response.writeHead({status}, {{'Retry-After': value}});
             response.end();
           }});
         }});"
    )
}

#[test]
fn f53_a_retry_after_lengthens_the_wait() {
    // A date has no fraction: two seconds from now are more than one.
    let date = "new Date(Date.now() + 2000).toUTCString()";
    for (status, value) in [(429, "'1'"), (503, "'1'"), (429, date), (503, date)] {
        let Some(node) = Node::start(&comes_back(status, value)) else {
            return;
        };
        let run = deliver(&TWICE, plain("a", &node.url("/")));
        assert!(run.of("a").is_delivered(), "{status} {value}: {run:?}");
        assert_eq!(run.of("a").attempts(), 2);
        let least = 1_000.0;
        assert!(
            run.of("a").duration_ms() >= least,
            "{status} {value}: {run:?}"
        );
    }
}

#[test]
fn f53_a_retry_after_that_means_nothing_or_is_over_is_ignored() {
    let values = [
        "'0'",
        "'-60'",
        "'60.'",
        "'60 s'",
        "'tomorrow'",
        "''",
        "new Date(0).toUTCString()",
    ];
    for value in values {
        let Some(node) = Node::start(&comes_back(503, value)) else {
            return;
        };
        let run = deliver(&TWICE, plain("a", &node.url("/")));
        assert!(run.of("a").is_delivered(), "{value}: {run:?}");
        assert_eq!(run.of("a").attempts(), 2);
        assert!(run.of("a").duration_ms() < 20_000.0, "{value}: {run:?}");
    }
}

#[test]
fn f53_a_retry_after_is_obeyed_no_longer_than_we_say() {
    for value in [
        "'86400'",
        "'100000000000000000000'",
        "'Fri, 01 Jan 2999 00:00:00 GMT'",
    ] {
        let Some(node) = Node::start(&comes_back(429, value)) else {
            return;
        };
        let flags = ["--max-retry-after", "0.3", "--retry-schedule", "0.05"];
        let run = deliver(&flags, plain("a", &node.url("/")));
        assert!(run.of("a").is_delivered(), "{value}: {run:?}");
        let took = run.of("a").duration_ms();
        assert!((300.0..20_000.0).contains(&took), "{value}: {run:?}");
    }
}

#[test]
fn f55_a_server_error_now_and_then_is_tried_again_and_one_for_ever_is_exhausted() {
    let Some(httpbin) = Httpbin::start(&[]) else {
        return;
    };
    let now_and_then: String = (0..20)
        .map(|number| plain(&number.to_string(), &httpbin.url("/status/200:0.5,503:0.5")))
        .collect();
    // All sixteen attempts of one of these fail in one of three thousand runs at worst.
    let run = deliver(&STUBBORN, now_and_then);
    run.assert_delivered_in_the_end(20);
    assert!(run.results.iter().any(|result| result.attempts() > 1));
    let run = deliver(&TWICE, plain("a", &httpbin.url("/status/503")));
    run.of("a").assert_failed("exhausted", "http", &["503"]);
    assert_eq!(
        (run.of("a").attempts(), run.of("a").status()),
        (3, Some(503))
    );
    let run = deliver(&TWICE, plain("a", &httpbin.url("/status/404")));
    run.of("a").assert_failed("rejected", "http", &["404"]);
    assert_eq!(run.of("a").attempts(), 1);
}

#[test]
fn a_backend_that_comes_back_behind_a_balancer_gets_its_jobs() {
    let backend = free_port();
    let lines = format!(
        "default_backend one\nbackend one\n  retries 0\n  server one 127.0.0.1:{backend}\n"
    );
    let Some(haproxy) = Haproxy::start(&lines) else {
        return;
    };
    let mut run = Run::local(&STUBBORN);
    let feed = Feed::generate(20, &[haproxy.url("/")], 300);
    run.write(feed.text());
    run.wait_for_log(&["attempt failed", "503"]);
    let addr = format!("127.0.0.1:{backend}");
    let sink = Sink::start_by(Command::new(CONDUIT), &[&addr], &[]);
    let run = run.finish();
    run.assert_delivered_in_the_end(20);
    assert!(run.results.iter().any(|result| result.attempts() > 1));
    assert_eq!(sink.stop().bodies, feed.bodies());
}

#[test]
fn a_restart_of_the_receiver_loses_no_job() {
    let port = free_port();
    let server = format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}");
    let Some(mut nginx) = Nginx::start(port, &server) else {
        return;
    };
    let mut run = Run::local(&STUBBORN);
    for round in 0..3 {
        run.write(&plain(&format!("up-{round}"), &url(port, "/")));
        assert!(run.next_result().is_delivered());
        nginx.stop();
        for number in 0..10 {
            run.write(&plain(&format!("down-{round}-{number}"), &url(port, "/")));
        }
        run.wait_for_log(&["attempt failed", &format!("id=down-{round}-"), "refused"]);
        nginx = Nginx::start(port, &server).expect("it is installed");
        for _ in 0..10 {
            assert!(run.next_result().is_delivered());
        }
    }
    run.finish().assert_delivered_in_the_end(33);
}

#[test]
fn a_reload_of_the_receiver_while_jobs_flow_loses_none() {
    const RELOADS: usize = 4;
    let port = free_port();
    let server = format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}");
    let Some(nginx) = Nginx::start_with_workers(port, &server) else {
        return;
    };
    let mut run = Run::local(&[&STUBBORN[..], &["--max-connections", "4"]].concat());
    let mut jobs = 0;
    for reload in 0..=RELOADS {
        if reload > 0 {
            nginx.process().signal("HUP");
        }
        wait_for("another worker to answer", || {
            for _ in 0..10 {
                run.write(&plain(&jobs.to_string(), &url(port, "/")));
                jobs += 1;
            }
            for _ in 0..10 {
                assert!(run.next_result().is_delivered());
            }
            let log = nginx.log(1);
            let workers: BTreeSet<u32> = log.iter().map(|access| access.worker).collect();
            (workers.len() > reload).then_some(())
        });
    }
    run.finish().assert_delivered_in_the_end(jobs);
}

/// nginx that answers 503 while a file is there; its port, its file.
const MAINTENANCE: &str = "location / { if (-f maintenance) { return 503; } return 200; }";

#[test]
fn a_receiver_that_is_down_for_a_while_opens_its_breaker_and_gets_every_job_in_the_end() {
    let flag = TempDir::new();
    let file = flag.write("maintenance", "");
    let server = MAINTENANCE.replace("maintenance", &file.display().to_string());
    let Some((port, nginx)) = nginx_with(&server) else {
        return;
    };
    let sink = Sink::start(1, &[]);
    let flags = ["--max-connections", "1", "--breaker-seconds", "0.5"];
    let mut run = Run::local(&[&flags[..], &STUBBORN[..2]].concat());
    for number in 0..50 {
        run.write(&plain(&number.to_string(), &url(port, "/")));
    }
    run.wait_for_log(&["circuit breaker open", &format!(":{port}")]);
    run.write(&plain("other", &sink.urls[0]));
    assert!(
        run.next_result().is_delivered(),
        "another origin is unaffected"
    );
    fs::remove_file(file).expect("it is there");
    let run = run.finish();
    run.assert_delivered_in_the_end(51);
    let log = nginx.log(55);
    let statuses: Vec<u16> = log.iter().map(|access| access.status).collect();
    assert_eq!(statuses[..5], [503; 5], "five failures open it");
    let failed = statuses.iter().filter(|&&status| status == 503).count();
    assert_eq!(statuses.len(), 50 + failed);
    // Whatever failed after the fifth was a probe, one in half a second.
    let took = run.results.iter().map(|result| result.duration_ms());
    let probes = took.fold(0.0, f64::max) / 500.0;
    assert!((failed - 5) as f64 <= probes, "{failed} failed");
    assert!(
        run.stderr.contains("circuit breaker closed"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_open_breaker_may_end_jobs_at_once() {
    let Some((port, nginx)) = nginx_with("location / { return 503; }") else {
        return;
    };
    let flags = ["--max-connections", "1", "--on-circuit-open", "fail"];
    let feed: String = (0..20)
        .map(|number| plain(&number.to_string(), &url(port, "/")))
        .collect();
    let run = deliver(&flags, feed);
    assert_eq!((run.count("exhausted"), run.status), (20, Some(1)));
    let open = |result: &&JobResult| result.kind() == "circuitOpen";
    assert_eq!(run.results.iter().filter(open).count(), 15);
    assert_eq!(nginx.log(5).len(), 5, "five failures open it");
}
