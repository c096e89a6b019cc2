//! Whether conduit can do its work: the checks of `/health/ready`, and where the lines between good and bad are.
//!
//! A check is about what somebody can act on. The pool is measured, not estimated: what the engines have told when
//! they were asked for this very report.
//!
//! Not here: how a report is written (`wire/health`), how engines are asked (`survey`).

use std::time::Duration;

use crate::base::time::Instant;
use crate::intake::event::Kind;
use crate::intake::held::{Held, STANDS_STILL_AFTER};
use crate::intake::survey::{PoolState, Survey};
use crate::wire::endpoint_row::PutOff;
use crate::wire::health::{Check, Status, Value};
use crate::wire::spool::Refusal;

/// Trouble of this machine's own is shown for so long: jobs that it puts off come again sooner than that.
const TROUBLE_SHOWN: Duration = Duration::from_secs(60);

/// From so much of its connections in use on a pool is Degraded, beyond so much Unhealthy.
const POOL_DEGRADED_PERCENT: u64 = 70;
const POOL_UNHEALTHY_PERCENT: u64 = 90;

/// What intake knows of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Jobs are not taken in: why not.
    pub(super) closed: Option<&'static str>,
    /// There is a socket, whose jobs are refused at a limit.
    pub(super) serves: bool,
    /// There is a spool, to which they go instead.
    pub(super) spools: bool,
    /// Why it takes no jobs.
    pub(super) refusal: Option<Refusal>,
    pub(super) pending: usize,
    pub(super) pending_max: usize,
    pub(super) pending_bytes: usize,
    pub(super) pending_bytes_max: usize,
    /// They are refused from here on, those of low priority first.
    pub(super) is_scarce: bool,
    /// Who is not read from for the longest time, and how many are not.
    pub(super) standing: Option<(Held, usize)>,
}

/// The checks that the machines of this floor can answer for.
pub(super) fn checks(now: Instant, survey: &Survey, situation: &Situation) -> Vec<Check> {
    let missing: Vec<u16> = survey.missing().collect();
    let names = survey.totals().filter_map(|totals| totals.names.as_ref());
    let local = survey.totals().filter_map(|totals| totals.local.as_ref());
    vec![
        pool(survey.pool(), &missing),
        intake(now, situation),
        spool(situation),
        trouble(now, "resolver", names, "names are resolved"),
        trouble(now, "local", local, "this machine puts no job off"),
    ]
}

fn pool(pool: PoolState, missing: &[u16]) -> Check {
    let PoolState {
        active,
        idle,
        max,
        pending,
    } = pool;
    // Tenths of a percent, rounded.
    let tenths = (active * 1_000 + max / 2).checked_div(max).unwrap_or(0);
    let utilization = format!("{}.{}%", tenths / 10, tenths % 10);
    let status = if active * 100 > max * POOL_UNHEALTHY_PERCENT || !missing.is_empty() {
        Status::Unhealthy
    } else if active * 100 >= max * POOL_DEGRADED_PERCENT && max > 0 {
        Status::Degraded
    } else {
        Status::Healthy
    };
    let mut description = format!("Connections: {active}/{max} ({utilization})");
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(u16::to_string).collect();
        let missing = missing.join(", ");
        description += &format!("; no answer within a second from loop {missing}");
    }
    Check {
        name: "http_connection_pool",
        status,
        description,
        data: vec![
            ("activeConnections", Value::Number(active)),
            ("maxConnections", Value::Number(max)),
            ("utilization", Value::Text(utilization.into())),
            ("idleConnections", Value::Number(idle)),
            ("pendingRequests", Value::Number(pending)),
        ],
    }
}

fn intake(now: Instant, situation: &Situation) -> Check {
    let Situation {
        closed,
        serves,
        spools,
        refusal: _,
        pending,
        pending_max,
        pending_bytes,
        pending_bytes_max,
        is_scarce,
        standing,
    } = *situation;
    let is_full = pending >= pending_max || pending_bytes >= pending_bytes_max;
    let (status, description) = match closed {
        Some(why) => (Status::Unhealthy, why),
        // Of the feed nothing is refused: it is read no faster than its jobs end.
        None if !serves => (Status::Healthy, "jobs are taken in"),
        None if is_full && spools => (Status::Degraded, "at a limit: jobs wait on disk"),
        None if is_full => (Status::Unhealthy, "at a limit: jobs are refused"),
        None if is_scarce => (
            Status::Degraded,
            "near a limit: jobs of low priority are refused",
        ),
        None => (Status::Healthy, "jobs are taken in"),
    };
    let standing = standing.filter(|(held, _)| now.since(held.since) >= STANDS_STILL_AFTER);
    let (status, description) = match standing {
        Some((held, count)) if status == Status::Healthy => {
            (Status::Degraded, in_words(now, &held, count))
        }
        Some(_) | None => (status, description.to_owned()),
    };
    Check {
        name: "intake",
        status,
        description,
        data: vec![
            ("pending", Value::Number(pending as u64)),
            ("maxPending", Value::Number(pending_max as u64)),
            ("pendingBytes", Value::Number(pending_bytes as u64)),
            ("maxPendingBytes", Value::Number(pending_bytes_max as u64)),
        ],
    }
}

/// Who stands still, and how many others are held.
fn in_words(now: Instant, held: &Held, count: usize) -> String {
    let who = match held.kind {
        Kind::Feed => "standard input",
        Kind::Socket(_) => "a client of the socket",
    };
    let seconds = now.since(held.since).as_secs();
    let by = held.by;
    let others = match count - 1 {
        0 => String::new(),
        others => format!("; held beside it: {others}"),
    };
    format!("{who} is held for {seconds} s: {by}{others}")
}

/// Whether accepted jobs can be made safe.
fn spool(situation: &Situation) -> Check {
    let (status, description) = match (situation.spools, situation.refusal) {
        (false, _) => (
            Status::Healthy,
            "no spool: accepted jobs are in memory alone",
        ),
        (true, None) => (Status::Healthy, "jobs are made safe"),
        (true, Some(Refusal::Behind)) => (
            Status::Degraded,
            "the disk is slower than the jobs come, or not ready yet",
        ),
        (true, Some(Refusal::Full)) => (
            Status::Unhealthy,
            "the disk is full, or maxSpoolBytes reached: no job is taken in",
        ),
        (true, Some(Refusal::Trouble)) => (Status::Unhealthy, "the disk fails: no job is taken in"),
    };
    Check {
        name: "spool",
        status,
        description: description.to_owned(),
        data: Vec::new(),
    }
}

/// Trouble that puts jobs off: they are tried again, so the work goes on as far as it can.
fn trouble<'a>(
    now: Instant,
    name: &'static str,
    troubles: impl Iterator<Item = &'a PutOff>,
    fine: &str,
) -> Check {
    let recent = troubles.filter(|trouble| now.since(trouble.at) < TROUBLE_SHOWN);
    match recent.max_by_key(|trouble| trouble.at) {
        None => Check {
            name,
            status: Status::Healthy,
            description: fine.to_owned(),
            data: Vec::new(),
        },
        Some(trouble) => {
            let seconds = now.since(trouble.at).as_secs();
            Check {
                name,
                status: Status::Degraded,
                description: format!("jobs are put off: {}", trouble.message),
                data: vec![("lastSeconds", Value::Number(seconds))],
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use(active: u64, max: u64) -> PoolState {
        PoolState {
            active,
            idle: 25,
            max,
            pending: 0,
        }
    }

    #[test]
    fn a_pool_is_degraded_from_70_percent_and_unhealthy_beyond_90() {
        for (active, max, status, description) in [
            (0, 0, Status::Healthy, "Connections: 0/0 (0.0%)"),
            (25, 50, Status::Healthy, "Connections: 25/50 (50.0%)"),
            (34, 50, Status::Healthy, "Connections: 34/50 (68.0%)"),
            (35, 50, Status::Degraded, "Connections: 35/50 (70.0%)"),
            (45, 50, Status::Degraded, "Connections: 45/50 (90.0%)"),
            (46, 50, Status::Unhealthy, "Connections: 46/50 (92.0%)"),
            (50, 20, Status::Unhealthy, "Connections: 50/20 (250.0%)"),
            (1, 3, Status::Healthy, "Connections: 1/3 (33.3%)"),
            (2, 3, Status::Healthy, "Connections: 2/3 (66.7%)"),
        ] {
            let check = pool(in_use(active, max), &[]);
            assert_eq!((check.status, &*check.description), (status, description));
        }
    }

    #[test]
    fn the_guides_words_are_those_of_the_report() {
        let mut out = Vec::new();
        crate::wire::health::write(&[pool(in_use(25, 50), &[])], &mut out);
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "{\"status\":\"Healthy\",\"checks\":{\"http_connection_pool\":{\"status\":\"Healthy\",\
             \"description\":\"Connections: 25/50 (50.0%)\",\"data\":{\"activeConnections\":25,\
             \"maxConnections\":50,\"utilization\":\"50.0%\",\"idleConnections\":25,\"pendingRequests\":0}}}}\n"
        );
    }

    #[test]
    fn a_loop_that_does_not_answer_is_no_healthy_one() {
        let check = pool(in_use(1, 50), &[0, 3]);
        assert_eq!(check.status, Status::Unhealthy);
        assert!(
            check.description.ends_with("from loop 0, 3"),
            "{}",
            check.description
        );
    }

    #[test]
    fn limits_matter_where_jobs_are_refused_at_them() {
        let open = Situation {
            closed: None,
            serves: true,
            spools: false,
            refusal: None,
            pending: 79,
            pending_max: 100,
            pending_bytes: 0,
            pending_bytes_max: 1_000,
            is_scarce: false,
            standing: None,
        };
        let full = Situation {
            pending: 100,
            is_scarce: true,
            ..open
        };
        for (situation, status) in [
            (open, Status::Healthy),
            (
                Situation {
                    is_scarce: true,
                    ..open
                },
                Status::Degraded,
            ),
            (full, Status::Unhealthy),
            (
                Situation {
                    serves: false,
                    ..full
                },
                Status::Healthy,
            ),
            (
                Situation {
                    pending_bytes: 1_000,
                    ..open
                },
                Status::Unhealthy,
            ),
            (
                Situation {
                    closed: Some("draining"),
                    ..open
                },
                Status::Unhealthy,
            ),
        ] {
            assert_eq!(
                intake(Instant::default(), &situation).status,
                status,
                "{situation:?}"
            );
        }
        let spools = Situation {
            spools: true,
            ..full
        };
        assert_eq!(intake(Instant::default(), &spools).status, Status::Degraded);
        for (refusal, status) in [
            (None, Status::Healthy),
            (Some(Refusal::Behind), Status::Degraded),
            (Some(Refusal::Full), Status::Unhealthy),
            (Some(Refusal::Trouble), Status::Unhealthy),
        ] {
            let situation = Situation { refusal, ..spools };
            assert_eq!(spool(&situation).status, status, "{refusal:?}");
        }
    }

    #[test]
    fn trouble_is_shown_for_a_minute() {
        let at = |seconds| Instant::default() + Duration::from_secs(seconds);
        let put_off = [PutOff {
            at: at(100),
            message: "no name server answers".into(),
        }];
        let check = trouble(at(159), "resolver", put_off.iter(), "fine");
        assert_eq!(check.status, Status::Degraded);
        assert_eq!(
            check.description,
            "jobs are put off: no name server answers"
        );
        assert_eq!(check.data, [("lastSeconds", Value::Number(59))]);
        let check = trouble(at(160), "resolver", put_off.iter(), "fine");
        assert_eq!(
            (check.status, &*check.description),
            (Status::Healthy, "fine")
        );
    }
}
