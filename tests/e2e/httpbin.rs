//! Deliveries to httpbin behind gunicorn, a server that closes idle connections after 2 s: every status, bodies
//! that drip or have no length, redirects.

use crate::harness::conduit::{Run, deliver};
use crate::harness::feed::{line, plain};
use crate::harness::peers::Httpbin;
use crate::harness::wait_for;

#[test]
fn f26_an_interim_head_without_a_final_one_is_no_answer() {
    // gunicorn takes the 100 for a final answer, waits for the next request, and closes.
    let Some(httpbin) = Httpbin::start(&["--keep-alive", "1"]) else {
        return;
    };
    let run = deliver::<&str>(&[], plain("a", &httpbin.url("/status/100")));
    run.of("a").assert_failed("exhausted", "reset", &[]);
    assert_eq!((run.of("a").attempts(), run.of("a").status()), (1, None));
}

#[test]
fn f27_a_switch_of_protocols_that_nobody_asked_for_is_a_protocol_error() {
    let Some(httpbin) = Httpbin::start(&[]) else {
        return;
    };
    let feed =
        plain("101", &httpbin.url("/status/101")) + &plain("after", &httpbin.url("/status/204"));
    let run = deliver(&["--max-connections", "1"], feed);
    run.of("101")
        .assert_failed("exhausted", "protocol", &["101"]);
    assert!(run.of("after").is_delivered());
}

#[test]
fn f55_each_status_has_its_outcome() {
    let Some(httpbin) = Httpbin::start(&[]) else {
        return;
    };
    let table = [
        ("200", "delivered"),
        ("201", "delivered"),
        ("299", "delivered"),
        ("300", "rejected"),
        ("304", "rejected"),
        ("400", "rejected"),
        ("404", "rejected"),
        ("408", "exhausted"),
        ("418", "rejected"),
        ("421", "rejected"),
        ("425", "exhausted"),
        ("429", "exhausted"),
        ("500", "exhausted"),
        ("501", "exhausted"),
        ("503", "exhausted"),
        ("511", "exhausted"),
        ("599", "exhausted"),
    ];
    let feed: String = table
        .iter()
        .map(|(status, _)| plain(status, &httpbin.url(&format!("/status/{status}"))))
        .collect();
    let run = deliver(&["--max-connections", "4"], feed);
    for (status, outcome) in table {
        let result = run.of(status);
        assert_eq!(result.outcome(), outcome, "{result:?}");
        assert_eq!(result.status(), status.parse().ok());
        assert_eq!(result.attempts(), 1);
    }
    let gone = deliver::<&str>(&[], plain("410", &httpbin.url("/status/410")));
    gone.of("410").assert_failed("rejected", "gone", &["410"]);
}

#[test]
fn f13_a_delay_beyond_the_timeout_is_named_and_one_below_is_waited_for() {
    let Some(httpbin) = Httpbin::start(&[]) else {
        return;
    };
    let job = |id: &str, timeout: f64| {
        line(&serde_json::json!({"id": id, "url": httpbin.url("/delay/1"), "timeout": timeout}))
    };
    let run = deliver::<&str>(&[], job("late", 0.5) + &job("in-time", 9.0));
    run.of("late")
        .assert_failed("exhausted", "timeout", &["timeout (0.5 s)"]);
    assert!(run.of("in-time").is_delivered());
    assert!(run.of("in-time").duration_ms() >= 1_000.0);
}

#[test]
fn f45_bodies_that_drip_or_have_no_length_are_delivered_at_their_heads() {
    let Some(httpbin) = Httpbin::start(&[]) else {
        return;
    };
    let get = |id: &str, path: &str| {
        line(&serde_json::json!({"id": id, "url": httpbin.url(path), "method": "GET"}))
    };
    let feed = get("drip", "/drip?duration=60&numbytes=60&code=200")
        + &get("stream", "/stream-bytes/100000?chunk_size=1000")
        + &get("bytes", "/bytes/100000")
        + &get("lines", "/stream/20")
        + &get("gzip", "/gzip");
    let run = deliver(&["--drain-timeout", "20"], feed);
    run.assert_all_delivered(5);
    assert!(
        run.results
            .iter()
            .all(|result| result.duration_ms() < 15_000.0)
    );
}

#[test]
fn f50_redirects_are_not_followed() {
    let Some(httpbin) = Httpbin::start(&[]) else {
        return;
    };
    let get = |id: &str, path: &str| {
        line(&serde_json::json!({"id": id, "url": httpbin.url(path), "method": "GET"}))
    };
    let feed = get("relative", "/relative-redirect/2")
        + &get("absolute", "/absolute-redirect/2")
        + &plain(
            "to",
            &httpbin.url("/redirect-to?url=http%3A%2F%2F169.254.169.254%2F"),
        );
    let run = deliver::<&str>(&[], feed);
    for id in ["relative", "absolute", "to"] {
        run.of(id).assert_failed("rejected", "http", &["302"]);
        assert_eq!(run.of(id).attempts(), 1);
    }
}

#[test]
fn f01_a_connection_that_gunicorn_closed_in_a_pause_fails_no_job() {
    let Some(httpbin) = Httpbin::start(&["--keep-alive", "1"]) else {
        return;
    };
    let mut run = Run::local::<&str>(&[]);
    let quiet = run.process().sockets();
    run.write(&plain("before", &httpbin.url("/status/200")));
    assert!(run.next_result().is_delivered());
    wait_for("gunicorn to close the connection", || {
        (run.process().sockets() == quiet).then_some(())
    });
    run.write(&plain("after", &httpbin.url("/status/200")));
    run.finish().assert_all_delivered(2);
}
