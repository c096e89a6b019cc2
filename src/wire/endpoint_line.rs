//! One endpoint as `ctl endpoints` tells of it, and which of two hurts more.
//!
//! Not here: how the numbers come together (`intake/survey`), the same as metrics (`metrics`).

use std::cmp::Ordering;

use crate::wire::endpoint_row::{BreakerState, Endpoint};
use crate::wire::tally::Tally;
use crate::wire::text::{push_json_string, push_number};

/// The names of the priorities, in the order of their queues.
const PRIORITIES: [&str; 3] = ["high", "normal", "low"];

/// Appends one JSON value; `set` are the names of settings that `ctl set` has changed.
pub fn write(out: &mut Vec<u8>, endpoint: &Endpoint, set: &[Box<str>]) {
    let tally = &endpoint.tally;
    out.extend_from_slice(b"{\"origin\":");
    push_json_string(out, &endpoint.name);
    if let Some(state) = &endpoint.state {
        let breaker = state.breaker.name();
        out.extend_from_slice(format!(",\"breaker\":\"{breaker}\"").as_bytes());
        push(out, "score", u64::from(state.score));
        push(out, "active", u64::from(state.active));
        push(out, "idle", u64::from(state.idle));
        push(out, "maxConnections", u64::from(state.max));
        let timeout = state.timeout.as_secs_f64();
        out.extend_from_slice(format!(",\"timeout\":{timeout},\"queued\":{{").as_bytes());
        for (number, (name, count)) in PRIORITIES.iter().zip(state.queued).enumerate() {
            let comma = if number > 0 { "," } else { "" };
            out.extend_from_slice(format!("{comma}\"{name}\":{count}").as_bytes());
        }
        out.push(b'}');
        push(out, "pendingRequests", u64::from(state.pending));
    }
    push(out, "requests", tally.attempts());
    push(out, "succeeded", succeeded(tally));
    push(out, "timeouts", tally.timeouts);
    push(out, "errors", tally.errors);
    push(out, "retries", tally.retries);
    push(out, "trips", tally.trips);
    push(out, "opened", tally.opened);
    push(out, "reused", tally.reused);
    let times = endpoint.state.map(|state| [state.p50, state.p99]);
    for (name, time) in ["p50Ms", "p99Ms"].iter().zip(times.into_iter().flatten()) {
        if let Some(time) = time {
            push(out, name, time.as_micros().div_ceil(1000) as u64);
        }
    }
    write_set(out, set);
    out.push(b'}');
}

/// The same for an origin of which nothing else is known by its name.
pub fn write_set_only(out: &mut Vec<u8>, origin: &str, breaker: BreakerState, set: &[Box<str>]) {
    out.extend_from_slice(b"{\"origin\":");
    push_json_string(out, origin);
    out.extend_from_slice(format!(",\"breaker\":\"{}\"", breaker.name()).as_bytes());
    write_set(out, set);
    out.push(b'}');
}

fn write_set(out: &mut Vec<u8>, set: &[Box<str>]) {
    for (number, name) in set.iter().enumerate() {
        let before = if number == 0 { ",\"set\":[" } else { "," };
        out.extend_from_slice(before.as_bytes());
        push_json_string(out, name);
    }
    if !set.is_empty() {
        out.push(b']');
    }
}

/// The one that hurts more first: the breaker, then the score, then timeouts, then the queue.
#[must_use]
pub fn worse_first(one: &Endpoint, other: &Endpoint) -> Ordering {
    let breaker = |endpoint: &Endpoint| endpoint.state.map(|state| state.breaker.number());
    let score = |endpoint: &Endpoint| endpoint.state.map_or(u8::MAX, |state| state.score);
    let timeouts = |endpoint: &Endpoint| endpoint.tally.timeouts;
    let queued = |endpoint: &Endpoint| endpoint.state.map(|state| sum(state.queued));
    breaker(other)
        .cmp(&breaker(one))
        .then_with(|| score(one).cmp(&score(other)))
        .then_with(|| timeouts(other).cmp(&timeouts(one)))
        .then_with(|| queued(other).cmp(&queued(one)))
        .then_with(|| one.name.cmp(&other.name))
}

/// Requests that were answered with a 2xx.
fn succeeded(tally: &Tally) -> u64 {
    let good = tally.statuses.iter();
    let good = good.filter(|(answers, _)| answers.is_success());
    good.map(|(_, count)| count).sum()
}

fn sum(queued: [u32; 3]) -> u64 {
    queued.iter().map(|count| u64::from(*count)).sum()
}

fn push(out: &mut Vec<u8>, name: &str, count: u64) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    push_number(out, count);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::endpoint_row::EndpointState;
    use crate::wire::tally::AttemptEnd;

    fn endpoint(name: &str, breaker: BreakerState, score: u8, queued: u32) -> Endpoint {
        let mut endpoint = Endpoint::new(name.into());
        endpoint.state = Some(EndpointState {
            active: 2,
            idle: 1,
            max: 50,
            timeout: Duration::from_millis(2500),
            concurrency: 50,
            score,
            p50: Some(Duration::from_micros(1_500)),
            p99: None,
            attempts: 2,
            queued: [0, queued, 1],
            pending: 3,
            breaker,
        });
        endpoint
    }

    #[test]
    fn an_endpoint_is_one_value() {
        let mut out = Vec::new();
        let mut one = endpoint("https://a", BreakerState::HalfOpen, 70, 7);
        for status in [204, 503] {
            let end = AttemptEnd::Status(status, Duration::from_millis(15));
            one.tally.on_attempt(end, false);
        }
        one.tally.on_attempt(AttemptEnd::Timeout, true);
        write(&mut out, &one, &["timeout".into(), "maxQueued".into()]);
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            concat!(
                r#"{"origin":"https://a","breaker":"half-open","score":70,"active":2,"idle":1,"maxConnections":50,"#,
                r#""timeout":2.5,"queued":{"high":0,"normal":7,"low":1},"pendingRequests":3,"#,
                r#""requests":3,"succeeded":1,"timeouts":1,"errors":0,"retries":1,"trips":0,"#,
                r#""opened":0,"reused":0,"p50Ms":2,"set":["timeout","maxQueued"]}"#
            )
        );
        let mut out = Vec::new();
        write(&mut out, &Endpoint::new("other".into()), &[]);
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(
            text.starts_with(r#"{"origin":"other","requests":0"#),
            "{text}"
        );
    }

    #[test]
    fn what_hurts_comes_first() {
        use BreakerState::{Closed, Open};
        let mut all = [
            endpoint("b", Closed, 100, 0),
            endpoint("a", Closed, 100, 0),
            endpoint("queue", Closed, 100, 9),
            endpoint("failing", Closed, 50, 0),
            endpoint("open", Open, 100, 0),
            Endpoint::new("forgotten".into()),
        ];
        all.sort_by(worse_first);
        let names: Vec<&str> = all.iter().map(|endpoint| &*endpoint.name).collect();
        assert_eq!(names, ["open", "failing", "queue", "a", "b", "forgotten"]);
    }
}
