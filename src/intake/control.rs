//! Control: what clients of the socket ask of conduit itself, and the answers.
//!
//! Not here: how such a line reads (`wire/ctl`), what drains or stops (`mod`).

use std::time::Duration;

use crate::intake::Progress;
use crate::intake::event::Access;
use crate::intake::held::HeldBy;
use crate::wire::ctl::{CtlLine, Request};
use crate::wire::report::{ErrorKind, Outcome};
use crate::wire::text::{push_json_string, push_number};

/// What is known at the moment of a question.
#[derive(Clone, Debug)]
pub(super) struct Situation {
    pub(super) progress: Progress,
    pub(super) uptime: Duration,
    pub(super) is_draining: bool,
    pub(super) has_spool: bool,
    /// Who is not read from, those first that have been held for longest, [`HELD_MAX`] at most; and how many are.
    pub(super) held: Vec<HeldClient>,
    pub(super) held_count: usize,
}

/// Held clients that one answer tells of.
pub(super) const HELD_MAX: usize = 16;

/// A client that is not read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldClient {
    pub(super) is_feed: bool,
    pub(super) uid: u32,
    pub(super) pid: Option<u32>,
    /// Its jobs that are out, and bytes of answers and results that it has not read.
    pub(super) pending: usize,
    pub(super) unread_bytes: usize,
    pub(super) by: HeldBy,
    pub(super) time: Duration,
}

/// What follows from a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// It is answered.
    Nothing,
    /// No more jobs.
    Drain,
    /// Jobs again.
    Reopen,
    /// It is an order about breakers or settings.
    Operate,
    /// It is about dead letters, and answered later.
    Letters,
    /// It is about endpoints, and answered when the engines have said how they are.
    Endpoints {
        /// At most so many of them.
        limit: Option<usize>,
    },
}

/// Appends the answer, and says what is to be done.
pub(super) fn answer(
    ctl: &CtlLine,
    access: Access,
    situation: &Situation,
    out: &mut Vec<u8>,
) -> Order {
    match &ctl.request {
        Err(wrong) => ctl.write_refused(out, ErrorKind::Invalid, wrong),
        Ok(Request::Status) => ctl.write_done(out, |out| status(situation, out)),
        Ok(Request::Endpoints { limit }) => return Order::Endpoints { limit: *limit },
        Ok(_) if access < Access::Control => {
            let message = "this user may submit jobs, not control conduit (--control-uid)";
            ctl.write_refused(out, ErrorKind::Policy, message);
        }
        Ok(Request::Drain { cancel }) => {
            let is_draining = !*cancel;
            ctl.write_done(out, |out| {
                let pending = situation.progress.pending as u64;
                out.extend_from_slice(b"{\"draining\":");
                push_bool(out, is_draining);
                push_count(out, "pending", pending);
                out.push(b'}');
            });
            return if is_draining {
                Order::Drain
            } else {
                Order::Reopen
            };
        }
        Ok(
            Request::DeadList(_)
            | Request::DeadExport(_)
            | Request::DeadReplay(_)
            | Request::DeadPurge(_),
        ) if situation.has_spool => return Order::Letters,
        Ok(
            Request::DeadList(_)
            | Request::DeadExport(_)
            | Request::DeadReplay(_)
            | Request::DeadPurge(_),
        ) => {
            let message = "there is no spool (--spool), so there are no dead letters";
            ctl.write_refused(out, ErrorKind::Spool, message);
        }
        Ok(
            Request::BreakerReset { .. }
            | Request::BreakerIsolate { .. }
            | Request::Set { .. }
            | Request::Reload,
        ) => return Order::Operate,
    }
    Order::Nothing
}

fn status(situation: &Situation, out: &mut Vec<u8>) {
    let progress = &situation.progress;
    let millis = u64::try_from(situation.uptime.as_millis()).unwrap_or(u64::MAX);
    out.extend_from_slice(b"{\"uptime\":");
    push_number(out, millis / 1000);
    out.extend_from_slice(b",\"draining\":");
    push_bool(out, situation.is_draining);
    push_count(out, "clients", progress.clients as u64);
    push_count(out, "lines", progress.lines);
    push_count(out, "accepted", progress.accepted);
    push_count(out, "pending", progress.pending as u64);
    push_count(out, "pendingBytes", progress.pending_bytes as u64);
    if situation.has_spool {
        push_count(out, "parked", progress.parked as u64);
        push_count(out, "storing", progress.storing as u64);
    }
    push_count(out, "origins", progress.origins as u64);
    push_count(out, "originsHeld", progress.origins_held as u64);
    push_count(out, "resultsDropped", progress.results_dropped);
    push_count(out, "answersDropped", progress.answers_dropped);
    out.extend_from_slice(b",\"outcomes\":{");
    let mut separator = "";
    for outcome in Outcome::ALL {
        out.extend_from_slice(format!("{separator}\"{}\":", outcome.name()).as_bytes());
        push_number(out, progress.outcomes[outcome.index()]);
        separator = ",";
    }
    out.extend_from_slice(b"}");
    push_count(out, "heldClients", situation.held_count as u64);
    out.extend_from_slice(b",\"held\":[");
    for (at, client) in situation.held.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_held(out, client);
    }
    out.extend_from_slice(b"]}");
}

fn push_held(out: &mut Vec<u8>, client: &HeldClient) {
    out.extend_from_slice(b"{\"stdin\":");
    push_bool(out, client.is_feed);
    push_count(out, "uid", u64::from(client.uid));
    if let Some(pid) = client.pid {
        push_count(out, "pid", u64::from(pid));
    }
    push_count(out, "pending", client.pending as u64);
    push_count(out, "unreadBytes", client.unread_bytes as u64);
    push_count(out, "seconds", client.time.as_secs());
    out.extend_from_slice(b",\"by\":");
    push_json_string(out, &client.by.to_string());
    out.push(b'}');
}

fn push_count(out: &mut Vec<u8>, name: &str, count: u64) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    push_number(out, count);
}

fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}
