//! Deliveries to haproxy: silence, refusals and pauses as a load balancer has them.

use crate::harness::conduit::{Run, deliver};
use crate::harness::feed::{Feed, plain};
use crate::harness::peers::Haproxy;
use crate::harness::wait_for;

#[test]
fn f12_a_connection_that_is_dropped_in_silence_runs_into_the_timeout() {
    let lines = "\
        http-request silent-drop if { path /drop }\n\
        http-request return status 200\n";
    let Some(haproxy) = Haproxy::start(lines) else {
        return;
    };
    let feed = plain("before", &haproxy.url("/"))
        + &plain("drop", &haproxy.url("/drop"))
        + &plain("after", &haproxy.url("/"));
    let run = deliver(&["--timeout", "0.5", "--max-connections", "1"], feed);
    let result = run.of("drop");
    result.assert_failed("exhausted", "timeout", &["timeout (0.5 s)"]);
    assert_eq!((result.attempts(), result.status()), (1, None));
    assert!(run.of("before").is_delivered() && run.of("after").is_delivered());
}

#[test]
fn f02_a_connection_that_is_closed_without_an_answer_fails_its_job() {
    let lines = "\
        http-request reject if { path /reject }\n\
        http-request return status 200\n";
    let Some(haproxy) = Haproxy::start(lines) else {
        return;
    };
    let feed = plain("reject", &haproxy.url("/reject")) + &plain("after", &haproxy.url("/"));
    let run = deliver(&["--max-connections", "1"], feed);
    run.of("reject").assert_failed("exhausted", "reset", &[]);
    assert_eq!(run.of("reject").attempts(), 1);
    assert!(run.of("after").is_delivered());
}

#[test]
fn f51_a_408_is_an_answer() {
    let lines = "\
        http-request return status 408 content-type text/plain string late if { path /408 }\n\
        http-request return status 200\n";
    let Some(haproxy) = Haproxy::start(lines) else {
        return;
    };
    let feed = plain("late", &haproxy.url("/408")) + &plain("after", &haproxy.url("/"));
    let run = deliver(&["--max-connections", "1"], feed);
    let result = run.of("late");
    result.assert_failed("exhausted", "http", &["408"]);
    assert_eq!((result.attempts(), result.status()), (1, Some(408)));
    assert_eq!(result.response(), Some("late"));
    assert!(run.of("after").is_delivered());
}

#[test]
fn a_503_of_a_balancer_without_servers_is_an_answer() {
    let Some(haproxy) = Haproxy::start("default_backend none\nbackend none\n") else {
        return;
    };
    let run = deliver::<&str>(&[], plain("a", &haproxy.url("/")));
    run.of("a").assert_failed("exhausted", "http", &["503"]);
    assert_eq!(run.of("a").status(), Some(503));
    let response = run.of("a").response().unwrap();
    assert!(response.contains("No server is available"), "{response}");
}

#[test]
fn f01_connections_that_are_closed_after_short_pauses_fail_no_job() {
    let lines = "\
        timeout http-keep-alive 1ms\n\
        http-request return status 200\n";
    let Some(haproxy) = Haproxy::start(lines) else {
        return;
    };
    // Every answer may be followed by a close, which meets the next request on its way.
    let feed = Feed::generate(500, &[haproxy.url("/")], 200);
    let run = deliver(&["--max-connections", "4"], feed.text());
    run.assert_all_delivered(500);
}

#[test]
fn f01_a_connection_that_was_closed_in_a_pause_fails_no_job() {
    let lines = "\
        timeout http-keep-alive 50ms\n\
        http-request return status 200\n";
    let Some(haproxy) = Haproxy::start(lines) else {
        return;
    };
    let mut run = Run::local::<&str>(&["--timings"]);
    let quiet = run.process().sockets();
    for id in ["a", "b", "c"] {
        run.write(&plain(id, &haproxy.url("/")));
        let result = run.next_result();
        assert!(result.is_delivered());
        assert_eq!(result.is_reused(), Some(false));
        wait_for("haproxy to close the connection", || {
            (run.process().sockets() == quiet).then_some(())
        });
    }
    run.finish().assert_all_delivered(3);
}
