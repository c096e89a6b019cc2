//! Pages as Prometheus reads them.
//!
//! Not here: that promtool finds nothing wrong with them (`tests/e2e`).

use super::*;
use crate::base::map::Map;
use crate::wire::endpoint_row::{BreakerState, EndpointState};
use crate::wire::tally::{Answers, AttemptEnd, Durations};

const STATE: EndpointState = EndpointState {
    active: 3,
    idle: 2,
    max: 50,
    timeout: Duration::from_millis(2_500),
    concurrency: 25,
    score: 87,
    p50: None,
    p99: None,
    attempts: 4,
    queued: [1, 20, 300],
    pending: 7,
    breaker: BreakerState::HalfOpen,
};

fn endpoint(name: &str) -> Endpoint {
    let mut endpoint = Endpoint::new(name.into());
    endpoint.state = Some(STATE);
    let tally = &mut endpoint.tally;
    tally.on_attempt(AttemptEnd::Status(204, Duration::from_millis(7)), false);
    tally.on_attempt(AttemptEnd::Status(204, Duration::from_micros(40_500)), true);
    tally.on_attempt(AttemptEnd::Status(503, Duration::from_secs(50)), true);
    tally.on_attempt(AttemptEnd::Timeout, false);
    tally.statuses.add(Answers::Class(5), 6);
    tally.opened = 9;
    tally.closed.add("idle", 4);
    tally.trips = 2;
    endpoint
}

fn page(format: Format, endpoints: &[Endpoint], bytes: usize) -> String {
    let mut eu = Durations::default();
    eu.add(Duration::from_millis(7));
    let facts = Facts {
        regions: vec![("eu".into(), eu)],
        version: "1.2.3",
        spool: Some(Spool {
            jobs: 7,
            syncs: 3,
            dead_letters_dropped: 5,
            corruptions: 2,
            is_refusing: true,
            ..Spool::default()
        }),
        process: Process {
            cpu: Some(Duration::from_millis(1_500)),
            open_files: Some(12),
            started: Some(Duration::from_secs(1_700_000_000)),
            ..Process::default()
        },
        ..Facts::default()
    };
    let mut page = Page::new(format, facts);
    while !page.write_some(endpoints, bytes) {}
    String::from_utf8(page.into_bytes()).expect("text")
}

#[test]
fn every_sample_stands_under_its_heading_and_a_page_is_the_same_in_pieces() {
    let endpoints = [endpoint("https://a"), endpoint("https://b")];
    for format in [Format::Text, Format::OpenMetrics] {
        let whole = page(format, &endpoints, usize::MAX / 2);
        assert_eq!(page(format, &endpoints, 1), whole);
        let mut seen: Map<Box<str>, ()> = Map::new([1, 2]);
        let mut family = "";
        for line in whole.lines() {
            if let Some(heading) = line.strip_prefix("# TYPE ") {
                let name = heading.split(' ').next().expect("a name");
                assert!(seen.insert(name.into(), ()).is_none(), "{name} comes twice");
                family = name;
            }
            let is_sample = !line.starts_with('#');
            assert!(
                !is_sample || line.starts_with(family),
                "{line} under {family}"
            );
        }
        assert_eq!(whole.ends_with("\n# EOF\n"), format == Format::OpenMetrics);
    }
}

#[test]
fn names_and_numbers_are_those_of_the_contract() {
    let text = page(Format::Text, &[endpoint("https://a")], 1_000);
    for line in [
        "# TYPE conduit_webhook_requests_total counter",
        "conduit_webhook_requests_total{status=\"204\",endpoint=\"https://a\"} 2",
        "conduit_webhook_requests_total{status=\"503\",endpoint=\"https://a\"} 1",
        "conduit_webhook_requests_total{status=\"5xx\",endpoint=\"https://a\"} 6",
        "conduit_webhook_requests_total{status=\"timeout\",endpoint=\"https://a\"} 1",
        "conduit_webhook_requests_total{status=\"error\",endpoint=\"https://a\"} 0",
        "conduit_webhook_timeouts_total{endpoint=\"https://a\"} 1",
        "conduit_webhook_duration_ms_bucket{endpoint=\"https://a\",le=\"10\"} 1",
        "conduit_webhook_duration_ms_bucket{endpoint=\"https://a\",le=\"40\"} 1",
        "conduit_webhook_duration_ms_bucket{endpoint=\"https://a\",le=\"80\"} 2",
        "conduit_webhook_duration_ms_bucket{endpoint=\"https://a\",le=\"40960\"} 2",
        "conduit_webhook_duration_ms_bucket{endpoint=\"https://a\",le=\"+Inf\"} 3",
        "conduit_webhook_duration_ms_sum{endpoint=\"https://a\"} 50047.5",
        "conduit_webhook_duration_ms_count{endpoint=\"https://a\"} 3",
        "conduit_webhook_duration_seconds_bucket{le=\"0.08\"} 2",
        "conduit_webhook_duration_seconds_bucket{le=\"40.96\"} 2",
        "conduit_webhook_duration_seconds_count 3",
        "conduit_webhook_active_requests 4",
        "conduit_http_pool_active_connections{endpoint=\"https://a\"} 3",
        "conduit_http_pool_max_connections{endpoint=\"https://a\"} 50",
        "conduit_http_pool_idle_connections{endpoint=\"https://a\"} 2",
        "conduit_http_pool_connections_opened_total{endpoint=\"https://a\"} 9",
        "conduit_http_pool_connections_closed_total{endpoint=\"https://a\",reason=\"idle\"} 4",
        "conduit_http_pool_reused_total{endpoint=\"https://a\"} 0",
        "conduit_http_pool_resends_total{endpoint=\"https://a\"} 0",
        "conduit_http_pool_wait_seconds_bucket{le=\"0.001\"} 0",
        "conduit_webhook_outcomes_total{outcome=\"delivered\"} 0",
        "conduit_webhook_retries_total{endpoint=\"https://a\"} 2",
        "conduit_webhook_breaker_state{endpoint=\"https://a\"} 1",
        "conduit_webhook_breaker_trips_total{endpoint=\"https://a\"} 2",
        "conduit_webhook_queued{endpoint=\"https://a\",priority=\"normal\"} 20",
        "conduit_webhook_timeout_seconds{endpoint=\"https://a\"} 2.5",
        "conduit_webhook_concurrency_limit{endpoint=\"https://a\"} 25",
        "conduit_webhook_endpoint_score{endpoint=\"https://a\"} 87",
        "conduit_webhook_region_duration_seconds_bucket{region=\"eu\",le=\"0.01\"} 1",
        "conduit_webhook_region_duration_seconds_count{region=\"eu\"} 1",
        "conduit_spool_jobs 7",
        "conduit_spool_syncs_total 3",
        "# TYPE conduit_spool_dead_letters_dropped_total counter",
        "conduit_spool_dead_letters_dropped_total 5",
        "# TYPE conduit_spool_corruptions_total counter",
        "conduit_spool_corruptions_total 2",
        "# TYPE conduit_spool_refusing gauge",
        "conduit_spool_refusing 1",
        "conduit_build_info{version=\"1.2.3\"} 1",
        "process_cpu_seconds_total 1.5",
        "process_open_fds 12",
        "process_start_time_seconds 1700000000",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn open_metrics_wants_points_in_floats_and_no_total_in_a_familys_name() {
    let text = page(Format::OpenMetrics, &[endpoint("https://a")], 1_000);
    for line in [
        "# TYPE conduit_webhook_requests counter",
        "conduit_webhook_requests_total{status=\"204\",endpoint=\"https://a\"} 2",
        "conduit_webhook_duration_ms_bucket{endpoint=\"https://a\",le=\"10.0\"} 1",
        "# TYPE process_cpu_seconds counter",
        "process_start_time_seconds 1700000000.0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn an_origin_that_is_forgotten_keeps_its_counters_alone() {
    let mut gone = endpoint("https://a");
    gone.state = None;
    let text = page(Format::Text, &[gone], 1_000);
    assert!(text.contains("\nconduit_webhook_timeouts_total{endpoint=\"https://a\"} 1\n"));
    assert!(!text.contains("\nconduit_webhook_breaker_state{"));
    assert!(text.contains("\nconduit_webhook_active_requests 0\n"));
}

#[test]
fn without_any_origin_every_family_has_its_heading() {
    let text = page(Format::Text, &[], 1_000);
    for family in &FAMILIES {
        assert!(
            text.contains(&format!("# TYPE {} ", family.name)),
            "{}",
            family.name
        );
    }
}

#[test]
fn f105_values_of_labels_are_escaped() {
    let text = page(Format::Text, &[endpoint("a\"b\\c\nd")], 1_000);
    assert!(text.contains("{endpoint=\"a\\\"b\\\\c\\nd\"}"), "{text}");
}
