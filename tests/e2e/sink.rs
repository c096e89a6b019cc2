//! Deliveries to conduit's own sink: what goes in arrives, byte for byte, and each job has its result.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::conduit::deliver;
use crate::harness::feed::{Body, Feed, line, plain};
use crate::harness::servers::Sink;

#[test]
fn a_thousand_jobs_to_ten_origins_arrive_byte_for_byte() {
    let sink = Sink::start(10, &[]);
    let feed = Feed::generate(1_000, &sink.urls, 1_024);
    let run = deliver::<&str>(&[], feed.text());
    run.assert_all_delivered(1_000);
    assert!(
        run.results
            .iter()
            .all(|result| result.status() == Some(200))
    );
    let origins: BTreeSet<&str> = run.results.iter().map(|result| result.origin()).collect();
    assert_eq!(origins, sink.urls.iter().map(String::as_str).collect());
    let seen = sink.stop();
    assert_eq!(seen.bodies, feed.bodies());
    assert!(seen.connections <= 500, "{} connections", seen.connections);
}

#[test]
fn two_workers_deliver_what_one_does() {
    let sink = Sink::start(10, &["--status", "204"]);
    let feed = Feed::generate(1_000, &sink.urls, 300);
    let run = deliver(&["--workers", "2"], feed.text());
    run.assert_all_delivered(1_000);
    assert!(
        run.results
            .iter()
            .all(|result| result.status() == Some(204))
    );
    assert_eq!(sink.stop().bodies, feed.bodies());
}

#[test]
fn large_bodies_arrive_whole() {
    let sink = Sink::start(1, &[]);
    let feed = Feed::generate(8, &sink.urls, 1_000_000);
    let run = deliver(&["--max-connections", "2"], feed.text());
    run.assert_all_delivered(8);
    assert_eq!(sink.stop().bodies, feed.bodies());
}

#[test]
fn a_job_without_an_id_gets_one_that_sorts_by_time() {
    let sink = Sink::start(1, &[]);
    let jobs = format!("{{\"url\":\"{}\",\"payload\":1}}\n", sink.urls[0]).repeat(20);
    let run = deliver(&["--max-connections", "1"], jobs);
    run.assert_all_delivered(20);
    let mut by_line = run.results.clone();
    by_line.sort_by_key(|result| result.line());
    let ids: Vec<&str> = by_line.iter().filter_map(|result| result.id()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for id in &ids {
        // UUIDv7 (RFC 9562 section 5.7): version 7, variant 10.
        let is_v7 = id.len() == 36 && id.as_bytes()[14] == b'7';
        assert!(is_v7 && b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
    let sent: Vec<String> = sink.stop().bodies.into_iter().map(|body| body.id).collect();
    assert_eq!(sent, ids, "the result's id is the one that was sent");
}

#[test]
fn every_method_and_every_kind_of_body() {
    let sink = Sink::start(1, &[]);
    let url = &sink.urls[0];
    let jobs = [
        (json!({"payload": null}), &b"null"[..]),
        (json!({"payload": "text"}), b"\"text\""),
        (json!({"method": "PUT", "payload": [1]}), b"[1]"),
        (json!({"method": "PATCH", "body": "a=1"}), b"a=1"),
        (json!({"method": "DELETE"}), b""),
        (json!({"method": "GET"}), b""),
        (json!({"method": "POST"}), b""),
        (json!({"bodyBase64": "AP8="}), b"\x00\xff"),
        (json!({"body": "Zürich"}), "Zürich".as_bytes()),
        (json!({"type": "paid", "payload": {}}), b"{}"),
        (json!({"headers": {"X-Own": "1", "User-Agent": "me"}}), b""),
    ];
    let mut feed = String::new();
    let mut expected = Vec::new();
    for (number, (mut fields, body)) in jobs.into_iter().enumerate() {
        let id = format!("job-{number:02}");
        fields["id"] = json!(id);
        fields["url"] = json!(format!("{url}/path?query=1"));
        feed.push_str(&line(&fields));
        expected.push(Body::new(&id, body));
    }
    let run = deliver::<&str>(&[], feed);
    run.assert_all_delivered(expected.len());
    assert_eq!(sink.stop().bodies, expected);
}

#[test]
fn a_4xx_is_rejected_with_its_status_and_not_sent_again() {
    for status in ["400", "404", "422"] {
        let sink = Sink::start(1, &["--status", status]);
        let run = deliver::<&str>(&[], plain("a", &sink.urls[0]));
        run.of("a").assert_failed("rejected", "http", &[status]);
        assert_eq!(run.of("a").status(), status.parse().ok());
        assert!(run.of("a").response().is_some(), "{run:?}");
        assert_eq!((run.status, run.of("a").attempts()), (Some(1), 1));
        assert_eq!(sink.stop().statuses.len(), 1);
    }
}

#[test]
fn a_410_says_that_the_receiver_is_gone() {
    let sink = Sink::start(1, &["--status", "410"]);
    let run = deliver::<&str>(&[], plain("a", &sink.urls[0]));
    run.of("a").assert_failed("rejected", "gone", &["410"]);
}

#[test]
fn a_503_is_exhausted_with_its_status() {
    let sink = Sink::start(1, &["--status", "503"]);
    let run = deliver::<&str>(&[], plain("a", &sink.urls[0]));
    run.of("a").assert_failed("exhausted", "http", &["503"]);
    assert_eq!((run.of("a").status(), run.status), (Some(503), Some(1)));
}

#[test]
fn timings_are_told_on_request_only() {
    let sink = Sink::start(1, &["--delay", "0.02"]);
    let feed = Feed::generate(3, &sink.urls, 100);
    let run = deliver(&["--timings", "--max-connections", "1"], feed.text());
    run.assert_all_delivered(3);
    let reused: Vec<_> = run
        .results
        .iter()
        .map(|result| result.is_reused())
        .collect();
    assert_eq!(reused, [Some(false), Some(true), Some(true)]);
    for result in &run.results {
        for name in ["queued", "dns", "connect", "tls", "firstByte"] {
            assert!(result.timing(name).is_some(), "no {name}: {result:?}");
        }
        assert!(result.timing("firstByte") >= Some(20.0), "{result:?}");
        assert!(result.duration_ms() >= 20.0, "{result:?}");
    }
    let run = deliver::<&str>(&[], feed.text());
    assert!(
        run.results
            .iter()
            .all(|result| result.is_reused().is_none())
    );
}

#[test]
fn f91_a_feed_may_have_a_bom_blank_lines_crlf_and_no_last_newline() {
    let sink = Sink::start(1, &[]);
    let job = |id: &str| plain(id, &sink.urls[0]).trim_end().to_owned();
    let feed = format!("\u{feff}{}\r\n\n\r\n{}", job("a"), job("b"));
    let run = deliver::<&str>(&[], feed);
    run.assert_all_delivered(2);
    assert_eq!((run.of("a").line(), run.of("b").line()), (1, 4));
}

#[test]
fn an_empty_feed_is_done_at_once() {
    let run = deliver::<&str>(&[], "");
    run.assert_all_delivered(0);
}
