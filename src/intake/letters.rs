//! Dead letters in intake: the steps of `dead` performed, and letters that become jobs again.
//!
//! A replayed job keeps its id; its line is stored anew, so its `ttl` and its attempts begin again. No client hears of
//! its result. Once it is safe its letter is gone: the journal sees to that.
//!
//! Not here: which letters a question means (`dead`), what becomes of what is stored (`spooled`).

use crate::base::time::Now;
use crate::intake::admission::Candidate;
use crate::intake::dead::{QUESTIONS_MAX, Step};
use crate::intake::event::{ClientId, Output};
use crate::intake::limits::Limit;
use crate::intake::reading::Served;
use crate::intake::{Intake, Phase};
use crate::wire::ctl::CtlLine;
use crate::wire::job_error::JobError;
use crate::wire::job_line::JobLine;
use crate::wire::report::ErrorKind;
use crate::wire::spool::{Fetched, Known, Refusal, SourceKind, Verdict};

impl Intake {
    /// Takes in a client's question about dead letters, which is its last line.
    pub(super) fn ask_letters(&mut self, id: ClientId, ctl: &CtlLine) {
        let line = self.clients[id.0].line();
        if self.dead.ask(id, line, ctl) {
            return self.clients[id.0].expect(line);
        }
        let message = format!("{QUESTIONS_MAX} questions about dead letters wait already");
        self.refuse_ctl(id, line, ctl, ErrorKind::Limit, &message);
    }

    /// One step of what is asked about dead letters.
    pub(super) fn serve_letters(&mut self, now: Now) -> Served {
        if !self.has_letter_work() {
            return Served::Nothing;
        }
        if let Some(candidate) = self.dead.held.take() {
            return Served::Output(store(candidate));
        }
        let durable = self.spool().durable();
        match self.dead.poll(now.wall, durable) {
            None => Served::Nothing,
            Some(Step::Find(query)) => Served::Output(Output::FindLetters(Box::new(query))),
            Some(Step::Fetch(key)) => Served::Output(Output::Fetch { key }),
            Some(Step::Forget(key)) => Served::Output(Output::Forget { key }),
            Some(Step::Replay(fetched)) => self.replay(now, &fetched),
            Some(Step::Answer {
                client,
                line,
                text,
                taken,
            }) => {
                self.outputs.extend(taken.map(Output::LettersTaken));
                self.answer_ctl(client, line, &text);
                Served::Line
            }
        }
    }

    /// Whether [`Intake::serve_letters`] has something to do at once. While the disk is behind, nothing is replayed.
    pub(super) fn has_letter_work(&self) -> bool {
        let Some(spool) = self.spool.as_deref() else {
            return false;
        };
        let waits = self.dead.is_replay() && !self.may_store();
        !waits && (self.dead.held.is_some() || self.dead.has_work(spool.durable()))
    }

    /// What the journal makes of a job that was a dead letter.
    pub(super) fn on_replay_stored(&mut self, candidate: Candidate, verdict: Verdict) {
        let id = candidate.job.id.clone();
        match verdict {
            Verdict::New(key) => {
                self.on_new(key, candidate.job);
                self.spool().recovered += 1;
                self.dead.on_replayed(key);
            }
            Verdict::Duplicate { known, .. } => {
                let message = match known {
                    Known::Pending(_) => "a job with this id is pending",
                    Known::Delivered => "a job with this id was delivered",
                };
                self.dead.on_refused(&id, ErrorKind::Duplicate, message);
            }
            Verdict::Refused(Refusal::Behind) => {
                self.on_refusal(Some(Refusal::Behind));
                if self.phase == Phase::Open {
                    self.dead.held = Some(candidate);
                }
            }
            Verdict::Refused(refusal) => {
                self.on_refusal(Some(refusal));
                self.stop_replay(Limit::Spool(refusal));
            }
        }
    }

    /// No more is done: who still waits for an answer has it now.
    pub(super) fn stop_letters(&mut self) {
        for step in self.dead.stop() {
            if let Step::Answer {
                client,
                line,
                text,
                taken,
            } = step
            {
                self.outputs.extend(taken.map(Output::LettersTaken));
                self.answer_ctl(client, line, &text);
            }
        }
    }

    fn replay(&mut self, now: Now, fetched: &Fetched) -> Served {
        let letter_id = fetched.letter.as_ref().map(|letter| &*letter.id);
        let mut parsed = match JobLine::parse(&fetched.line) {
            Ok(parsed) => parsed,
            Err(bad) => {
                let message = bad.error.to_string();
                let id = letter_id.unwrap_or("");
                self.dead.on_refused(id, ErrorKind::Invalid, &message);
                return Served::Line;
            }
        };
        let limit = match self.spool().refusal() {
            _ if self.phase != Phase::Open => Some(Limit::Draining),
            Some(refusal) => Some(Limit::Spool(refusal)),
            None => {
                let beside = self.bytes_beside();
                self.ledger.limit_of_spool(parsed.priority, beside)
            }
        };
        if let Some(limit) = limit {
            self.stop_replay(limit);
            return Served::Line;
        }
        let is_generated = parsed.id.is_none();
        let id: Box<str> = match (&parsed.id, &fetched.generated_id) {
            (Some(id), _) => id.as_ref().into(),
            (None, Some(id)) => id.clone(),
            (None, None) => letter_id.unwrap_or("").into(),
        };
        let (origin, at_origin) = self.ledger.origin_and_limits(&parsed.url);
        if at_origin.signs && id.contains('.') {
            let message = JobError::DottedId.to_string();
            self.dead.on_refused(&id, ErrorKind::Invalid, &message);
            return Served::Line;
        }
        parsed.ttl.get_or_insert(at_origin.ttl);
        parsed.endpoint_head_bytes = at_origin.head_bytes;
        let source = self.source_of(SourceKind::Socket, fetched.user);
        Served::Output(store(Candidate {
            job: parsed.into_job(id, source, origin, now),
            line: fetched.line.clone(),
            is_generated,
            is_for_disk: true,
        }))
    }

    fn stop_replay(&mut self, limit: Limit) {
        let failure = limit.to_failure();
        self.dead.on_stopped(failure.kind, &failure.message);
    }

    /// The answer to a question that was not answered at once.
    pub(super) fn answer_ctl(&mut self, id: ClientId, line: u64, text: &[u8]) {
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.answers_dropped += 1;
            return;
        };
        let pending_max = self.settings.max_client_pending;
        let before = client.unwritten();
        client.answer(line, |out| out.extend_from_slice(text));
        let may_read = !client.is_stalled(pending_max);
        self.on_results(id, before);
        if may_read {
            self.enqueue(id);
        }
        self.close_if_over(id);
    }
}

fn store(candidate: Candidate) -> Output {
    let Candidate {
        job,
        line,
        is_generated,
        ..
    } = candidate;
    Output::Store {
        job,
        source: SourceKind::Socket,
        is_generated,
        line,
    }
}
