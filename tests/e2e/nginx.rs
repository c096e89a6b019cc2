//! Deliveries to nginx over plain HTTP: connections are kept, its limits on them obeyed, its answers understood.

use std::collections::BTreeSet;

use crate::harness::conduit::{Run, deliver};
use crate::harness::feed::{Feed, line, plain};
use crate::harness::servers::{Access, answer_of, nginx_with};
use crate::harness::wait_for;

fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

fn connections(log: &[Access]) -> usize {
    let numbers: BTreeSet<u64> = log.iter().map(|access| access.connection).collect();
    numbers.len()
}

#[test]
fn connections_are_kept_and_limited() {
    let Some((port, nginx)) = nginx_with("keepalive_requests 100000; location / { return 204; }")
    else {
        return;
    };
    let feed = Feed::generate(2_000, &[url(port, "/hook")], 1_024);
    let run = deliver(&["--max-connections", "8"], feed.text());
    run.assert_all_delivered(2_000);
    let log = nginx.log(2_000);
    assert_eq!(log.len(), 2_000, "each job was sent once");
    assert!(
        log.iter()
            .all(|access| access.port == port && access.status == 204)
    );
    let opened = connections(&log);
    let reused = log.iter().filter(|access| access.request > 1).count();
    assert!(opened <= 8, "{opened} connections");
    assert!(reused * 100 >= log.len() * 99, "{reused} reused");
}

#[test]
fn a_limit_of_requests_per_connection_fails_no_job() {
    let Some((port, nginx)) = nginx_with("keepalive_requests 10; location / { return 200 ok; }")
    else {
        return;
    };
    let feed = Feed::generate(500, &[url(port, "/")], 200);
    let run = deliver(&["--max-connections", "5"], feed.text());
    run.assert_all_delivered(500);
    let log = nginx.log(500);
    assert_eq!(log.len(), 500, "each job was sent once");
    assert!(log.iter().all(|access| access.request <= 10));
    assert!(connections(&log) >= 50, "{} connections", connections(&log));
}

#[test]
fn f01_a_connection_that_nginx_closed_in_a_pause_fails_no_job() {
    let Some((port, nginx)) = nginx_with("keepalive_timeout 1s; location / { return 200 ok; }")
    else {
        return;
    };
    let mut run = Run::local::<&str>(&[]);
    let quiet = run.process().sockets();
    run.write(&plain("before", &url(port, "/")));
    assert!(run.next_result().is_delivered());
    assert!(run.process().sockets() > quiet, "the connection is kept");
    wait_for("nginx to close the connection", || {
        (run.process().sockets() == quiet).then_some(())
    });
    run.write(&plain("after", &url(port, "/")));
    run.finish().assert_all_delivered(2);
    let log = nginx.log(2);
    assert_eq!((log.len(), connections(&log)), (2, 2));
}

/// An answer whose length nginx does not know when it starts.
const UNKNOWN_LENGTH: &str = "default_type text/html; sub_filter aa b; return 200 'aaaaaaaa';";

#[test]
fn a_chunked_answer_ends_where_it_says() {
    let directives = format!("keepalive_requests 100000; location / {{ {UNKNOWN_LENGTH} }}");
    let Some((port, nginx)) = nginx_with(&directives) else {
        return;
    };
    let answer = answer_of(port, "/").to_lowercase();
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    let feed = Feed::generate(200, &[url(port, "/")], 200);
    let run = deliver(&["--max-connections", "2"], feed.text());
    run.assert_all_delivered(200);
    let opened = connections(&nginx.log(200));
    assert!(opened <= 2, "{opened} connections");
}

#[test]
fn f31_an_answer_that_ends_with_its_connection_is_delivered() {
    let directives = format!("chunked_transfer_encoding off; location / {{ {UNKNOWN_LENGTH} }}");
    let Some((port, nginx)) = nginx_with(&directives) else {
        return;
    };
    let answer = answer_of(port, "/").to_lowercase();
    assert!(!answer.contains("chunked"), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
    let feed = Feed::generate(50, &[url(port, "/")], 200);
    let run = deliver(&["--max-connections", "2"], feed.text());
    run.assert_all_delivered(50);
    let log = nginx.log(50);
    assert_eq!((log.len(), connections(&log)), (50, 50));
}

#[test]
fn f08_a_413_before_the_body_is_sent_is_the_answer() {
    let directives = "client_max_body_size 1k; location / { return 200; }";
    let Some((port, nginx)) = nginx_with(directives) else {
        return;
    };
    let body = "x".repeat(1_000_000);
    let job = |id: &str| line(&serde_json::json!({"id": id, "url": url(port, "/"), "body": body}));
    let run = deliver(
        &["--max-connections", "2"],
        ["a", "b", "c", "d"].map(job).concat(),
    );
    for id in ["a", "b", "c", "d"] {
        run.of(id).assert_failed("rejected", "http", &["413"]);
        assert_eq!(run.of(id).status(), Some(413));
        assert!(
            run.of(id)
                .response()
                .is_some_and(|body| body.contains("413"))
        );
    }
    assert_eq!(
        connections(&nginx.log(4)),
        4,
        "no such connection is reused"
    );
}

#[test]
fn f02_a_fresh_connection_that_is_closed_without_an_answer_fails_its_job() {
    let Some((port, nginx)) = nginx_with("location / { return 444; }") else {
        return;
    };
    let run = deliver::<&str>(&[], plain("a", &url(port, "/")));
    run.of("a").assert_failed("exhausted", "reset", &[]);
    assert_eq!((run.of("a").status(), run.of("a").attempts()), (None, 1));
    assert_eq!(nginx.log(1).len(), 1, "it is not sent again");
}

#[test]
fn f01_a_reused_connection_that_is_closed_without_an_answer_is_replaced_once() {
    let Some((port, nginx)) =
        nginx_with("location / { return 200; } location /closed { return 444; }")
    else {
        return;
    };
    let feed = plain("before", &url(port, "/")) + &plain("closed", &url(port, "/closed"));
    let run = deliver(&["--max-connections", "1"], feed);
    run.of("closed").assert_failed("exhausted", "reset", &[]);
    assert_eq!(run.of("closed").attempts(), 1);
    let log = nginx.log(3);
    let seen: Vec<(u16, u64)> = log
        .iter()
        .map(|access| (access.status, access.request))
        .collect();
    assert_eq!(seen, [(200, 1), (444, 2), (444, 1)]);
    let flags = ["--max-connections", "1", "--resend-stale=false"];
    let feed = plain("before", &url(port, "/")) + &plain("closed", &url(port, "/closed"));
    let run = deliver(&flags, feed);
    run.of("closed").assert_failed("exhausted", "reset", &[]);
    assert_eq!(nginx.log(5).len(), 5, "it is sent once");
}

#[test]
fn f50_a_redirect_is_not_followed() {
    let Some((port, nginx)) = nginx_with(
        "location / { return 301 http://$host:$server_port/there; } location /there { return 200; }",
    ) else {
        return;
    };
    let run = deliver::<&str>(&[], plain("a", &url(port, "/")));
    run.of("a").assert_failed("rejected", "http", &["301"]);
    assert_eq!(run.of("a").status(), Some(301));
    let statuses: Vec<u16> = nginx.log(1).iter().map(|access| access.status).collect();
    assert_eq!(statuses, [301]);
}
