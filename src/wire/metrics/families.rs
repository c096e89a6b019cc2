//! The families of metrics: their names, which are the contract, what they mean, and where their numbers come from.
//!
//! Not here: how a sample is written (the parent).

use std::time::Duration;

use crate::wire::endpoint_row::{Endpoint, EndpointState};
use crate::wire::metrics::{Facts, Format, Spool};
use crate::wire::report::Outcome;
use crate::wire::tally::{Durations, Tally};

/// One family.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
}

/// What its numbers are.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Where its samples come from.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    PerEndpoint(fn(&mut Samples<'_>, &Endpoint)),
    Whole(fn(&mut Samples<'_>, &Facts, &[Endpoint])),
}

/// Where samples go.
pub(super) struct Samples<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) format: Format,
    pub(super) name: &'static str,
}

use Kind::{Counter, Gauge};
use Shape::{PerEndpoint, Whole};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// All families, in the order of the page.
pub(super) static FAMILIES: [Family; 40] = [
    Family {
        name: "conduit_webhook_requests_total",
        help: "Attempts that ended, by the status of the answer, timeout or error; a resend is none.",
        kind: Counter,
        shape: PerEndpoint(requests),
    },
    Family {
        name: "conduit_webhook_timeouts_total",
        help: "Attempts that ended because a clock ran out.",
        kind: Counter,
        shape: PerEndpoint(|samples, one| counter(samples, one, |tally| tally.timeouts)),
    },
    Family {
        name: "conduit_webhook_duration_ms",
        help: "From an attempt's start to the end of the response head, in milliseconds.",
        kind: Kind::Histogram,
        shape: PerEndpoint(|samples, one| {
            let label = Some(("endpoint", &*one.name));
            samples.histogram(label, &one.tally.durations, MILLISECOND);
        }),
    },
    Family {
        name: "conduit_webhook_duration_seconds",
        help: "From an attempt's start to the end of the response head, over all endpoints.",
        kind: Kind::Histogram,
        shape: Whole(|samples, _, endpoints| {
            let mut all = Durations::default();
            for one in endpoints {
                all += &one.tally.durations;
            }
            samples.histogram(None, &all, SECOND);
        }),
    },
    Family {
        name: "conduit_webhook_active_requests",
        help: "Attempts under way.",
        kind: Gauge,
        shape: Whole(|samples, _, endpoints| {
            let states = endpoints.iter().filter_map(|one| one.state);
            samples.number(&[], states.map(|state| u64::from(state.attempts)).sum());
        }),
    },
    Family {
        name: "conduit_http_pool_active_connections",
        help: "Connections on their way up, or with a request on them.",
        kind: Gauge,
        shape: PerEndpoint(|samples, one| gauge(samples, one, |state| state.active)),
    },
    Family {
        name: "conduit_http_pool_max_connections",
        help: "Connections that the endpoint may have.",
        kind: Gauge,
        shape: PerEndpoint(|samples, one| gauge(samples, one, |state| state.max)),
    },
    Family {
        name: "conduit_http_pool_idle_connections",
        help: "Connections without a request on them.",
        kind: Gauge,
        shape: PerEndpoint(|samples, one| gauge(samples, one, |state| state.idle)),
    },
    Family {
        name: "conduit_http_pool_connections_opened_total",
        help: "Connections that came up.",
        kind: Counter,
        shape: PerEndpoint(|samples, one| counter(samples, one, |tally| tally.opened)),
    },
    Family {
        name: "conduit_http_pool_connections_closed_total",
        help: "Connections that had come up and were closed, by the reason.",
        kind: Counter,
        shape: PerEndpoint(|samples, one| {
            for (reason, count) in one.tally.closed.iter() {
                samples.number(&[("endpoint", &one.name), ("reason", reason)], count);
            }
        }),
    },
    Family {
        name: "conduit_http_pool_reused_total",
        help: "Requests that went out on a connection which had carried one before.",
        kind: Counter,
        shape: PerEndpoint(|samples, one| counter(samples, one, |tally| tally.reused)),
    },
    Family {
        name: "conduit_http_pool_resends_total",
        help: "Requests sent once more because a kept-alive connection had died under them.",
        kind: Counter,
        shape: PerEndpoint(|samples, one| counter(samples, one, |tally| tally.resends)),
    },
    Family {
        name: "conduit_http_pool_wait_seconds",
        help: "How long jobs that were due waited for a connection.",
        kind: Kind::Histogram,
        shape: Whole(|samples, facts, _| samples.histogram(None, &facts.waits, SECOND)),
    },
    Family {
        name: "conduit_webhook_outcomes_total",
        help: "Results, by their outcome.",
        kind: Counter,
        shape: Whole(|samples, facts, _| {
            for outcome in Outcome::ALL {
                let count = facts.outcomes[outcome.index()];
                samples.number(&[("outcome", outcome.name())], count);
            }
        }),
    },
    Family {
        name: "conduit_webhook_retries_total",
        help: "Attempts that ended of jobs which had been tried before.",
        kind: Counter,
        shape: PerEndpoint(|samples, one| counter(samples, one, |tally| tally.retries)),
    },
    Family {
        name: "conduit_webhook_breaker_state",
        help: "The circuit breaker: 0 closed, 1 half-open, 2 open.",
        kind: Gauge,
        shape: PerEndpoint(|samples, one| {
            gauge(samples, one, |state| state.breaker.number() as u32)
        }),
    },
    Family {
        name: "conduit_webhook_breaker_trips_total",
        help: "How often the circuit breaker has opened.",
        kind: Counter,
        shape: PerEndpoint(|samples, one| counter(samples, one, |tally| tally.trips)),
    },
    Family {
        name: "conduit_webhook_region_duration_seconds",
        help: "From an attempt's start to the end of the response head, by the region of the endpoint.",
        kind: Kind::Histogram,
        shape: Whole(|samples, facts, _| {
            for (region, durations) in &facts.regions {
                samples.histogram(Some(("region", region)), durations, SECOND);
            }
        }),
    },
    Family {
        name: "conduit_webhook_timeout_seconds",
        help: "What an attempt may take.",
        kind: Gauge,
        shape: PerEndpoint(|samples, one| {
            if let Some(state) = &one.state {
                samples.seconds(&[("endpoint", &one.name)], state.timeout);
            }
        }),
    },
    Family {
        name: "conduit_webhook_concurrency_limit",
        help: "Requests that may be under way at once.",
        kind: Gauge,
        shape: PerEndpoint(|samples, one| gauge(samples, one, |state| state.concurrency)),
    },
    Family {
        name: "conduit_webhook_endpoint_score",
        help: "How reliable the endpoint is, from 0 to 100.",
        kind: Gauge,
        shape: PerEndpoint(|samples, one| gauge(samples, one, |state| state.score.into())),
    },
    Family {
        name: "conduit_webhook_queued",
        help: "Jobs that wait, for a connection or for their next attempt.",
        kind: Gauge,
        shape: PerEndpoint(queued),
    },
    Family {
        name: "conduit_spool_jobs",
        help: "Accepted jobs on disk that have not ended.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.jobs)),
    },
    Family {
        name: "conduit_spool_dead_letters",
        help: "Jobs on disk that were not delivered and are kept.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.dead_letters)),
    },
    Family {
        name: "conduit_spool_bytes",
        help: "Bytes of the spool's files.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.file_bytes)),
    },
    Family {
        name: "conduit_spool_unsynced_bytes",
        help: "Bytes that are not safe on disk yet.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.unsynced_bytes)),
    },
    Family {
        name: "conduit_spool_written_bytes_total",
        help: "Bytes written to the spool.",
        kind: Counter,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.written_bytes)),
    },
    Family {
        name: "conduit_spool_syncs_total",
        help: "How often the spool was synced.",
        kind: Counter,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.syncs)),
    },
    Family {
        name: "conduit_spool_dead_letters_dropped_total",
        help: "Dead letters that were dropped, the oldest first, because maxDeadBytes was reached.",
        kind: Counter,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.dead_letters_dropped)),
    },
    Family {
        name: "conduit_spool_corruptions_total",
        help: "Places in the spool that can't be read, found at start or since.",
        kind: Counter,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.corruptions)),
    },
    Family {
        name: "conduit_spool_refusing",
        help: "1 while no job is taken in, because the disk or maxSpoolBytes is full, or the disk fails; else 0.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| spool(samples, facts, |spool| spool.is_refusing.into())),
    },
    Family {
        name: "conduit_loops_missing",
        help: "Event loops that did not answer within a second: what they last said stands here.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| samples.number(&[], facts.loops_missing)),
    },
    Family {
        name: "conduit_log_lines_dropped_total",
        help: "Lines of the log that were dropped because nobody read standard error in time.",
        kind: Counter,
        shape: Whole(|samples, facts, _| samples.number(&[], facts.log_lines_dropped)),
    },
    Family {
        name: "conduit_build_info",
        help: "Always 1; the labels say which conduit this is.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| samples.number(&[("version", facts.version)], 1)),
    },
    Family {
        name: "process_cpu_seconds_total",
        help: "Processor time, user and system.",
        kind: Counter,
        shape: Whole(|samples, facts, _| seconds(samples, facts.process.cpu)),
    },
    Family {
        name: "process_resident_memory_bytes",
        help: "Memory in use.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| number(samples, facts.process.resident_bytes)),
    },
    Family {
        name: "process_virtual_memory_bytes",
        help: "Address space.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| number(samples, facts.process.virtual_bytes)),
    },
    Family {
        name: "process_open_fds",
        help: "Open file descriptors.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| number(samples, facts.process.open_files)),
    },
    Family {
        name: "process_max_fds",
        help: "How many file descriptors may be open.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| number(samples, facts.process.open_files_max)),
    },
    Family {
        name: "process_start_time_seconds",
        help: "When the process began, in seconds since 1970.",
        kind: Gauge,
        shape: Whole(|samples, facts, _| seconds(samples, facts.process.started)),
    },
];

impl Kind {
    /// Its name in both formats.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

fn requests(samples: &mut Samples<'_>, one: &Endpoint) {
    for (answers, count) in one.tally.statuses.iter() {
        let status = answers.to_string();
        samples.number(&[("status", &status), ("endpoint", &one.name)], count);
    }
    for (status, count) in [("timeout", one.tally.timeouts), ("error", one.tally.errors)] {
        samples.number(&[("status", status), ("endpoint", &one.name)], count);
    }
}

fn queued(samples: &mut Samples<'_>, one: &Endpoint) {
    let Some(state) = one.state else {
        return;
    };
    for (priority, count) in ["high", "normal", "low"].into_iter().zip(state.queued) {
        let labels = [("endpoint", &*one.name), ("priority", priority)];
        samples.number(&labels, u64::from(count));
    }
}

fn counter(samples: &mut Samples<'_>, one: &Endpoint, of: fn(&Tally) -> u64) {
    samples.number(&[("endpoint", &one.name)], of(&one.tally));
}

/// How an origin stands that is forgotten nobody can say.
fn gauge(samples: &mut Samples<'_>, one: &Endpoint, of: fn(&EndpointState) -> u32) {
    if let Some(state) = &one.state {
        samples.number(&[("endpoint", &one.name)], u64::from(of(state)));
    }
}

fn number(samples: &mut Samples<'_>, value: Option<u64>) {
    if let Some(value) = value {
        samples.number(&[], value);
    }
}

fn spool(samples: &mut Samples<'_>, facts: &Facts, of: fn(&Spool) -> u64) {
    if let Some(spool) = &facts.spool {
        samples.number(&[], of(spool));
    }
}

fn seconds(samples: &mut Samples<'_>, value: Option<Duration>) {
    if let Some(value) = value {
        samples.seconds(&[], value);
    }
}
