//! Each way in which an attempt can end: what follows for job, breaker and connection, and what is said of it.

use super::*;
use Accounting::{Counted, Free};
use Fate::{Close, Keep};
use Vote::{Failure as F, Neutral, Success as S};

fn answered(status: u16) -> Happened {
    Happened::Answered {
        status,
        excerpt: None,
        sent_with: None,
        retry_after: None,
    }
}

fn cause(kind: CauseKind) -> Cause {
    Cause {
        kind,
        message: "x".into(),
    }
}

#[test]
fn answers() {
    let table = [
        (200, Verdict::Delivered, S, Keep),
        (204, Verdict::Delivered, S, Keep),
        (299, Verdict::Delivered, S, Keep),
        (300, Verdict::Rejected, S, Keep), // F50: redirects are not followed
        (307, Verdict::Rejected, S, Keep),
        (400, Verdict::Rejected, S, Keep),
        (408, Verdict::Retry, F, Close), // F51
        (410, Verdict::Rejected, S, Keep),
        (421, Verdict::Rejected, S, Close),   // F54
        (425, Verdict::Retry, F, Close),      // F54
        (429, Verdict::Retry, Neutral, Keep), // F52
        (500, Verdict::Retry, F, Keep),
        (501, Verdict::Retry, F, Keep), // F55
        (511, Verdict::Retry, F, Keep),
        (600, Verdict::Retry, F, Keep), // F30
        (999, Verdict::Retry, F, Keep),
    ];
    for (status, verdict, vote, fate) in table {
        let expected = Judgement {
            verdict,
            vote,
            fate,
            accounting: Counted,
        };
        assert_eq!(
            judge(&answered(status), &Statuses::transient()),
            expected,
            "{status}"
        );
    }
}

#[test]
fn the_answers_that_are_tried_again_are_a_setting() {
    let mut again = Statuses::default();
    assert!(again.add("404"));
    for (status, verdict, vote) in [
        (204, Verdict::Delivered, S),
        (404, Verdict::Retry, F),
        (408, Verdict::Rejected, S),
        (429, Verdict::Rejected, Neutral),
        (503, Verdict::Rejected, S),
        (700, Verdict::Rejected, S),
    ] {
        let judged = judge(&answered(status), &again);
        assert_eq!((judged.verdict, judged.vote), (verdict, vote), "{status}");
    }
}

#[test]
fn failures() {
    let table = [
        (
            Happened::TimedOut(Clock::Attempt(Duration::ZERO)),
            Verdict::Retry,
            F,
            Counted,
        ),
        (
            Happened::TimedOut(Clock::Ttl(Duration::ZERO)),
            Verdict::Expired,
            F,
            Counted,
        ),
        (
            Happened::TimedOut(Clock::ScantTtl(Duration::ZERO)),
            Verdict::Expired,
            Neutral,
            Counted,
        ),
        (
            Happened::TimedOut(Clock::Adaptive(Duration::ZERO)),
            Verdict::Retry,
            F,
            Counted,
        ),
        (
            Happened::TimedOut(Clock::Outgrown(Duration::ZERO)),
            Verdict::Retry,
            Neutral,
            Counted,
        ),
        (
            Happened::TimedOut(Clock::Lookup(Duration::ZERO)),
            Verdict::Deferred,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::TimedOut(Clock::AttemptLookup(Duration::ZERO)),
            Verdict::Deferred,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::NoAddress {
                message: "x".into(),
                told: None,
            },
            Verdict::Retry,
            F,
            Counted,
        ),
        (
            Happened::SameAbsence("x".into()),
            Verdict::Retry,
            Neutral,
            Counted,
        ),
        (
            Happened::Unresolved("x".into()),
            Verdict::Deferred,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::ConnectFailed(cause(CauseKind::Refused)),
            Verdict::Retry,
            F,
            Counted,
        ),
        (
            Happened::ConnectFailed(cause(CauseKind::Tls)),
            Verdict::Retry,
            F,
            Counted,
        ),
        (
            Happened::ConnectFailed(cause(CauseKind::Local)),
            Verdict::Deferred,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::ConnectFailed(cause(CauseKind::NoNetwork)),
            Verdict::Deferred,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::Broken(cause(CauseKind::Reset)),
            Verdict::Retry,
            F,
            Counted,
        ),
        (
            Happened::Broken(cause(CauseKind::Local)),
            Verdict::Deferred,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::Stale { sent: true },
            Verdict::Resend,
            Neutral,
            Free,
        ),
        (Happened::Malformed("x".into()), Verdict::Retry, F, Counted),
        (
            Happened::Forbidden,
            Verdict::Blocked,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::Expired {
                ttl: Duration::ZERO,
                waited_for: None,
            },
            Verdict::Expired,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::Cancelled,
            Verdict::Cancelled,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::Abandoned, // F156
            Verdict::Cancelled,
            Neutral,
            Counted,
        ),
        (
            Happened::Paused, // F87
            Verdict::Deferred,
            Neutral,
            Accounting::None,
        ),
        (
            Happened::CircuitOpen,
            Verdict::GivenUp,
            Neutral,
            Accounting::None,
        ),
    ];
    for (happened, verdict, vote, accounting) in table {
        let expected = Judgement {
            verdict,
            vote,
            fate: Close,
            accounting,
        };
        assert_eq!(
            judge(&happened, &Statuses::transient()),
            expected,
            "{happened:?}"
        );
    }
}

#[test]
fn a_timeout_names_its_clock() {
    let addr: SocketAddr = "127.0.0.1:81".parse().unwrap();
    let table = [
        (
            Clock::Attempt(Duration::from_secs(10)),
            "no complete response head within timeout (10 s)",
        ),
        (
            Clock::Connect(Duration::from_millis(2_500), addr),
            "no TCP connection to 127.0.0.1:81 within connectTimeout (2.5 s)",
        ),
        (
            Clock::Adaptive(Duration::from_secs(1)),
            "no complete response head within adaptiveTimeout (1 s)",
        ),
        (
            Clock::Outgrown(Duration::from_secs(1)),
            "no complete response head within adaptiveTimeout (1 s, which is longer by now)",
        ),
    ];
    for (clock, text) in table {
        let failure = Happened::TimedOut(clock).into_failure();
        assert_eq!(
            (failure.kind, &*failure.message),
            (ErrorKind::Timeout, text)
        );
    }
}

#[test]
fn what_an_attempt_says_of_its_receivers_load() {
    let second = Duration::from_secs(1);
    let table = [
        (answered(204), Strain::Fine),
        (answered(404), Strain::Fine),
        (answered(429), Strain::Refused),
        (answered(500), Strain::Unknown),
        (answered(503), Strain::Refused),
        (Happened::TimedOut(Clock::Attempt(second)), Strain::TimedOut),
        (
            Happened::TimedOut(Clock::Adaptive(second)),
            Strain::TimedOut,
        ),
        (
            Happened::TimedOut(Clock::Outgrown(second)),
            Strain::TimedOut,
        ),
        (
            Happened::TimedOut(Clock::AttemptConnecting(second)),
            Strain::TimedOut,
        ),
        (
            Happened::TimedOut(Clock::Connect(second, ([192, 0, 2, 1], 80).into())),
            Strain::Refused,
        ),
        // The job's own time and the name servers' silence say nothing of the receiver.
        (Happened::TimedOut(Clock::Ttl(second)), Strain::Unknown),
        (
            Happened::TimedOut(Clock::AttemptLookup(second)),
            Strain::Unknown,
        ),
        (Happened::Paused, Strain::Unknown),
        (Happened::Broken(cause(CauseKind::Reset)), Strain::Unknown),
    ];
    for (happened, expected) in table {
        let verdict = judge(&happened, &Statuses::transient()).verdict;
        assert_eq!(happened.strain(verdict), expected, "{happened:?}");
    }
    let never_again = judge(&answered(503), &Statuses::default()).verdict;
    assert_eq!(answered(503).strain(never_again), Strain::Refused);
}

#[test]
fn every_forbidden_destination_reads_the_same() {
    let failure = Happened::Forbidden.into_failure();
    assert_eq!(
        (failure.kind, &*failure.message),
        (ErrorKind::Policy, FORBIDDEN)
    );
    assert_eq!(failure.excerpt, None);
}
