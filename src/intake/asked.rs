//! Questions that wait for a survey: `ctl endpoints`.
//!
//! What `ctl set` has changed is told also of origins that the survey has no name for: those that were never used, and
//! those beyond its thousand.
//!
//! Not here: the survey (`survey`), what is told of an endpoint (`wire/endpoint_line`).

use std::collections::{BTreeMap, VecDeque};

use crate::base::time::Now;
use crate::intake::Intake;
use crate::intake::event::ClientId;
use crate::intake::survey::Ticket;
use crate::wire::ctl::CtlLine;
use crate::wire::endpoint_line;
use crate::wire::endpoint_row::BreakerState;
use crate::wire::report::ErrorKind;
use crate::wire::text::push_number;

/// Questions that wait, from all clients.
pub const QUESTIONS_MAX: usize = 64;

/// The questions, the first of which waits for the earliest survey.
#[derive(Debug, Default)]
pub(super) struct Asked {
    waiting: VecDeque<Question>,
    /// What `ctl set` has changed, by origin: the names of settings.
    set: BTreeMap<Box<str>, Vec<Box<str>>>,
}

#[derive(Debug)]
struct Question {
    ticket: Ticket,
    client: ClientId,
    line: u64,
    ctl: CtlLine,
    /// At most so many endpoints.
    limit: Option<usize>,
}

impl Asked {
    /// `ctl set` has changed a setting of this origin.
    pub(super) fn on_set(&mut self, origin: &str, name: &str) {
        let names = self.set.entry(origin.into()).or_default();
        if names.iter().all(|known| **known != *name) {
            names.push(name.into());
        }
    }
}

impl Intake {
    /// Takes in the question of a client, which is its last line.
    pub(super) fn ask_endpoints(
        &mut self,
        now: Now,
        id: ClientId,
        ctl: &CtlLine,
        limit: Option<usize>,
    ) {
        let line = self.clients[id.0].line();
        if self.asked.waiting.len() >= QUESTIONS_MAX {
            let message = format!("{QUESTIONS_MAX} such questions wait already");
            return self.refuse_ctl(id, line, ctl, ErrorKind::Limit, &message);
        }
        self.clients[id.0].expect(line);
        let ticket = self.survey.ask(now);
        self.asked.waiting.push_back(Question {
            ticket,
            client: id,
            line,
            ctl: ctl.clone(),
            limit,
        });
    }

    /// Answers the question whose survey is over, if there is one.
    pub(super) fn serve_asked(&mut self) -> bool {
        if !self.has_asked_work() {
            return false;
        }
        let Some(question) = self.asked.waiting.pop_front() else {
            return false;
        };
        let mut endpoints: Vec<_> = self.survey.endpoints().iter().collect();
        endpoints.sort_by(|one, other| endpoint_line::worse_first(one, other));
        let set = &self.asked.set;
        let is_named = |origin: &str| self.survey.is_named(origin);
        let unnamed: Vec<_> = set.iter().filter(|(origin, _)| !is_named(origin)).collect();
        let total = endpoints.len() + unnamed.len();
        let limit = question.limit.unwrap_or(usize::MAX);
        let shown = endpoints.len().min(limit);
        let mut text = Vec::new();
        question.ctl.write_done(&mut text, |out| {
            out.extend_from_slice(b"{\"endpoints\":[");
            for (number, endpoint) in endpoints[..shown].iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                let set = set.get(&endpoint.name).map_or(&[][..], Vec::as_slice);
                endpoint_line::write(out, endpoint, set);
            }
            for (number, (origin, set)) in (shown..limit).zip(unnamed) {
                if number > 0 {
                    out.push(b',');
                }
                let breaker = match self.ledger.is_held(origin) {
                    true => BreakerState::Open,
                    false => BreakerState::Closed,
                };
                endpoint_line::write_set_only(out, origin, breaker, set);
            }
            out.extend_from_slice(b"],\"total\":");
            push_number(out, total as u64);
            out.push(b'}');
        });
        self.answer_ctl(question.client, question.line, &text);
        true
    }

    /// Whether a question can be answered.
    pub(super) fn has_asked_work(&self) -> bool {
        let first = self.asked.waiting.front();
        first.is_some_and(|question| self.survey.is_over(question.ticket))
    }

    /// No survey is waited for any longer.
    pub(super) fn stop_asked(&mut self) {
        for question in std::mem::take(&mut self.asked.waiting) {
            let Question {
                client, line, ctl, ..
            } = question;
            let message = "shut down before it was known";
            self.refuse_ctl(client, line, &ctl, ErrorKind::Cancelled, message);
        }
    }

    /// Refuses what was asked.
    pub(super) fn refuse_ctl(
        &mut self,
        id: ClientId,
        line: u64,
        ctl: &CtlLine,
        kind: ErrorKind,
        message: &str,
    ) {
        let mut text = Vec::new();
        ctl.write_refused(&mut text, kind, message);
        self.answer_ctl(id, line, &text);
    }
}
