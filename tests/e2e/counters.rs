//! Counters: what conduit's metrics say of attempts, beside what the receivers themselves have counted, to the unit.
//!
//! Not here: the other metrics (`admin`), what counting costs (`figures_admin`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::harness::conduit::Run;
use crate::harness::feed::plain;
use crate::harness::monitor::{Metrics, get, metrics, watched};
use crate::harness::servers::Node;
use crate::harness::wait_for;

/// Jobs under way at any time: neither pipe fills up.
const WINDOW: usize = 400;

/// Attempts by status, or connections by the reason of their end.
type Counts = BTreeMap<String, u64>;

/// What the results of a feed say.
#[derive(Debug, Default)]
struct Told {
    outcomes: Counts,
    attempts: u64,
    /// Attempts beyond the first of each job.
    retries: u64,
}

/// Delivers these job lines, a window of them at a time.
fn deliver(run: &mut Run, feed: impl IntoIterator<Item = String>) -> Told {
    let mut feed = feed.into_iter();
    let mut under_way = 0;
    let mut told = Told::default();
    loop {
        let room = WINDOW - under_way;
        for line in feed.by_ref().take(room) {
            run.write(&line);
            under_way += 1;
        }
        if under_way == 0 {
            return told;
        }
        let result = run.pass_result();
        under_way -= 1;
        *told
            .outcomes
            .entry(result.outcome().to_owned())
            .or_default() += 1;
        told.attempts += result.attempts();
        told.retries += result.attempts().saturating_sub(1);
    }
}

fn counts(value: &Value) -> Counts {
    let counts = value.as_object().expect("counts");
    let count = |value: &Value| value.as_u64().expect("a count");
    counts
        .iter()
        .map(|(name, value)| (name.clone(), count(value)))
        .collect()
}

/// Those that are not zero.
fn by(metrics: &Metrics, name: &str, label: &str, endpoint: &str) -> Counts {
    let mut counts = metrics.by(name, label, &[("endpoint", endpoint)]);
    counts.retain(|_, count| *count > 0);
    counts
}

/// What all attempts of all jobs must have left, whatever became of them.
fn assert_all_told(metrics: &Metrics, told: &Told) {
    let total = |name| metrics.count(name, &[]);
    let attempts = metrics.by("conduit_webhook_requests_total", "status", &[]);
    let errors = attempts.get("error").copied().unwrap_or_default();
    let timeouts = attempts.get("timeout").copied().unwrap_or_default();
    assert_eq!(attempts.values().sum::<u64>(), told.attempts);
    assert_eq!(total("conduit_webhook_timeouts_total"), timeouts);
    assert_eq!(total("conduit_webhook_retries_total"), told.retries);
    assert_eq!(
        total("conduit_webhook_duration_ms_count"),
        told.attempts - errors - timeouts,
        "a time for each answer"
    );
    let mut outcomes = metrics.by("conduit_webhook_outcomes_total", "outcome", &[]);
    outcomes.retain(|_, count| *count > 0);
    assert_eq!(outcomes, told.outcomes);
    println!("{} attempts, {:?}", told.attempts, told.outcomes);
}

/// Delivers so many jobs to a receiver that reads each request whole and then answers, or does not. Its late answers
/// come when the attempt has been given up for that long again.
pub(crate) fn counters_agree_after_whole_requests(jobs: usize, timeout: Duration) {
    let late = (2 * timeout).as_millis().to_string();
    let script = include_str!("harness/faulty.js").replace("LATE_MS", &late);
    let Some(node) = Node::start(&script) else {
        return;
    };
    let receiver = || get(node.port, "/").json();
    let (port, mut run) = watched(&[
        "--retry-schedule",
        "0.01,0.01,0.01",
        "--timeout",
        &timeout.as_secs_f64().to_string(),
        "--max-connections",
        "200",
        "--breaker-failures",
        "1000000",
        "--log-level",
        "off",
    ]);
    let url = format!("http://127.0.0.1:{}/hook", receiver()["port"]);
    let told = deliver(&mut run, (0..jobs).map(|job| plain(&job.to_string(), &url)));
    let endpoint = url.trim_end_matches("/hook");
    // A receiver may see the end of a connection after conduit.
    let (metrics, own) = wait_for("the receiver to have seen all ends", || {
        let (metrics, own) = (metrics(port), receiver());
        let closed = metrics.count("conduit_http_pool_connections_closed_total", &[]);
        (own["ended"].as_u64() == Some(closed)).then_some((metrics, own))
    });
    let statuses = by(
        &metrics,
        "conduit_webhook_requests_total",
        "status",
        endpoint,
    );
    let reasons = by(
        &metrics,
        "conduit_http_pool_connections_closed_total",
        "reason",
        endpoint,
    );
    println!("{own}\n{statuses:?}\nclosed: {reasons:?}");
    assert_eq!(statuses, counts(&own["statuses"]));
    let of = |name: &str| own[name].as_u64().expect("a count");
    let resends = metrics.count("conduit_http_pool_resends_total", &[]);
    assert_eq!(resends, of("resends"));
    assert_eq!(of("requests"), statuses.values().sum::<u64>() + resends);
    assert_eq!(of("resendsOnUsed"), 0, "a resend takes a fresh connection");
    // All have happened, and to fresh connections too what on used ones makes a resend.
    let faults = counts(&own["faults"]);
    assert_eq!(faults.len(), 6, "{faults:?}");
    let broken = counts(&own["broken"]);
    for reason in ["reset", "protocol", "timeout"] {
        assert_eq!(reasons.get(reason), broken.get(reason), "{reason}");
    }
    assert!(
        broken["reset"] > faults["cut"] && broken["stale"] > 0,
        "{broken:?}"
    );
    // With a connection that has died under a request go those that are idle for longer.
    assert!(reasons["stale"] >= broken["stale"], "{reasons:?}");
    let opened = metrics.count("conduit_http_pool_connections_opened_total", &[]);
    assert_eq!(opened, of("accepted"));
    assert_all_told(&metrics, &told);
    run.finish();
}

#[test]
fn counters_agree_with_a_receiver_that_reads_whole_requests() {
    counters_agree_after_whole_requests(2_000, Duration::from_secs(2));
}
