//! Reading: whose line comes next, and what becomes of it on the spot.
//!
//! Not here: clients that come and go, results of jobs (`mod`), what a line is (`admission`).

use crate::base::lines::Line;
use crate::base::slab::Key;
use crate::base::time::Now;
use crate::intake::admission::{self, Admitted, Storage};
use crate::intake::control::{self, HeldClient, Order};
use crate::intake::event::{Access, ClientId, Kind, Output};
use crate::intake::held::{Held, HeldBy};
use crate::intake::ledger::Feed;
use crate::intake::spooled::Spooled;
use crate::intake::{FEED, HALF_LINE_MAX, Intake, Phase};
use crate::wire::ctl::{CtlLine, Request};
use crate::wire::job::{Job, Source, User};
use crate::wire::report::{self, ErrorKind, Outcome};
use crate::wire::shape::Mistaken;

/// So much of a line is kept until its end comes whatever others have: the number of clients bounds all of it.
pub const HALF_LINE_KEPT: usize = 16 * 1024;

/// What a look at one of the queues gave.
#[derive(Debug)]
pub(super) enum Served {
    Output(Output),
    /// A line was read from which no output follows.
    Line,
    Nothing,
}

impl Intake {
    /// One step of the client whose turn it is in this queue.
    pub(super) fn serve(&mut self, now: Now, queue: usize) -> Served {
        while let Some(id) = self.queues[queue].front().copied() {
            let pending_max = self.settings.max_client_pending;
            let Some(client) = self.clients.get_mut(id.0) else {
                self.queues[queue].pop_front();
                continue;
            };
            if let Some(buffer) = client.ask() {
                return Served::Output(Output::Read { client: id, buffer });
            }
            if let Some(by) = client.stalled_by(pending_max) {
                self.hold(now, id, by);
                self.dequeue(queue, id);
                self.close_if_over(id);
                continue;
            }
            if (queue == FEED && !self.may_feed(id)) || !self.may_store() {
                match self.feed() {
                    Feed::Full if queue == FEED => {
                        self.hold(now, id, HeldBy::AllJobs(self.ledger.jobs()));
                    }
                    // Its pace is that of the jobs; what the spool refuses has its own words.
                    Feed::Open | Feed::Sated | Feed::Full => self.release(id),
                }
                return Served::Nothing;
            }
            self.release(id);
            if let Some(held) = self.clients[id.0].held.take() {
                return self.take_in(id, held);
            }
            let Some(admitted) = self.read_line(now, id) else {
                if self.has_too_long_a_half(id) {
                    let max = self.ledger.half_lines_max();
                    self.end_half(id, &format!(
                        "lines that have not come whole take {max} bytes already (a quarter of maxPendingBytes)"
                    ));
                    continue;
                }
                // A line longer than all its chunks has used them up: then it asks for more.
                if let Some(buffer) = self.clients[id.0].ask() {
                    return Served::Output(Output::Read { client: id, buffer });
                }
                self.dequeue(queue, id);
                self.watch_half(now, id);
                self.close_if_over(id);
                continue;
            };
            self.clients[id.0].half_since = None;
            self.queues[queue].rotate_left(1);
            return match admitted {
                Admitted::Job(candidate)
                    if queue == FEED && self.feed() == Feed::Full && !candidate.is_for_disk =>
                {
                    self.clients[id.0].held = Some(candidate);
                    Served::Line
                }
                Admitted::Job(candidate) => self.take_in(id, candidate),
                Admitted::Control(ctl) => {
                    self.on_control(now, id, &ctl);
                    Served::Line
                }
                Admitted::Blank | Admitted::Refused(_) => Served::Line,
            };
        }
        Served::Nothing
    }

    /// Whether the feed's next line may be read. At a limit it may only if origins are held back: it may be for one of
    /// these, and then its job is not to hold the others.
    pub(super) fn may_feed(&self, id: ClientId) -> bool {
        let is_free = || {
            let client = self.clients.get(id.0);
            client.is_none_or(|client| client.held.is_none())
        };
        self.phase == Phase::Open
            && self.refusal().is_none()
            && match self.feed() {
                Feed::Open => true,
                Feed::Sated => false,
                Feed::Full => self.ledger.origins_held() > 0 && is_free(),
            }
    }

    /// The client is passed over. One that has nothing left to be read waits for nothing.
    fn hold(&mut self, now: Now, id: ClientId, by: HeldBy) {
        let client = &mut self.clients[id.0];
        if client.is_read() {
            return;
        }
        let since = *client.held_since.get_or_insert(now.mono);
        self.held.hold(Held {
            client: id,
            kind: client.kind,
            by,
            since,
        });
    }

    /// The client is not passed over, or gone.
    pub(super) fn release(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id.0)
            && let Some(since) = client.held_since.take()
        {
            self.held.release(id, since);
        }
    }

    /// The client has nothing more to be read now: if that is half a line, the other half is not waited for for ever.
    fn watch_half(&mut self, now: Now, id: ClientId) {
        let client = &mut self.clients[id.0];
        if client.kind == Kind::Feed || !client.awaits_half() {
            return;
        }
        let since = *client.half_since.get_or_insert(now.mono);
        if !client.is_watched {
            client.is_watched = true;
            self.halves.insert((since, id));
        }
    }

    /// Gives up the clients whose half a line has waited for too long, and tells them.
    pub(super) fn end_halves(&mut self, now: Now) {
        while let Some((since, id)) = self.halves.first().copied()
            && since + HALF_LINE_MAX <= now.mono
        {
            self.halves.pop_first();
            let Some(client) = self.clients.get_mut(id.0) else {
                continue;
            };
            client.is_watched = false;
            let half_since = client.half_since.filter(|_| client.awaits_half());
            client.half_since = half_since;
            match half_since {
                None => {}
                Some(begun) if begun == since => {
                    let seconds = HALF_LINE_MAX.as_secs();
                    self.end_half(
                        id,
                        &format!("the other half of a line did not come for {seconds} s"),
                    );
                }
                Some(_) => self.watch_half(now, id),
            }
        }
    }

    /// The line of which the client has sent a part is not waited for, nor read what comes after it.
    fn end_half(&mut self, id: ClientId, why: &str) {
        let client = &mut self.clients[id.0];
        let message = format!("{why}: the connection is closed");
        let before = client.unwritten();
        client.answer(client.line() + 1, |out| {
            report::write_error(out, ErrorKind::Limit, &message);
        });
        self.on_results(id, before);
        self.give_up(id);
        self.close_if_over(id);
    }

    /// Nothing more is read of what a client sends, or has sent.
    pub(super) fn give_up(&mut self, id: ClientId) {
        self.progress.unread_bytes += self.clients[id.0].give_up() as u64;
        self.count_half(id);
        self.release(id);
    }

    fn read_line(&mut self, now: Now, id: ClientId) -> Option<Admitted> {
        let is_draining = self.phase == Phase::Draining;
        // What this client has of a line is about to be one: it does not keep itself out.
        let half_bytes = self.clients.get(id.0)?.half_bytes;
        let bytes_beside = self.bytes_beside() - half_bytes;
        let spool = self.spool.as_deref();
        let storage = spool.map_or(Storage::None, Spooled::storage);
        let Intake {
            clients,
            admission,
            ledger,
            mistaken: seen,
            ..
        } = self;
        let client = clients.get_mut(id.0)?;
        let before = client.unwritten();
        let (kind, user) = (client.kind, client.user);
        let (mut shape, mut mistaken) = (client.shape, None);
        let admitted = client.next_line(|number, line, results| {
            let situation = admission::Situation {
                source: Source {
                    client: id.0.to_bits(),
                    line: number,
                    user,
                },
                kind,
                bytes_beside,
                is_draining,
                storage,
                is_part: shape.expects_part(),
            };
            if kind == Kind::Feed {
                ledger.on_line();
            }
            let admitted = admission.admit(now, situation, line, ledger, results);
            if let (Line::Whole(line), false) = (line, matches!(admitted, Admitted::Blank)) {
                let is_refused = matches!(admitted, Admitted::Refused(Outcome::Invalid));
                shape.on_line(line, !is_refused);
                if is_refused && kind == Kind::Feed {
                    mistaken = Mistaken::of(line);
                }
            }
            admitted
        });
        client.shape = shape;
        *seen = seen.or(mistaken);
        self.count_half(id);
        let admitted = admitted?;
        let progress = &mut self.progress;
        progress.lines += 1;
        if let Admitted::Refused(outcome) = &admitted {
            progress.outcomes[outcome.index()] += 1;
        }
        self.on_results(id, before);
        Some(admitted)
    }

    /// Counts what the client has of a line whose end has not come.
    fn count_half(&mut self, id: ClientId) {
        let client = &mut self.clients[id.0];
        let now = client.half_line();
        let before = std::mem::replace(&mut client.half_bytes, now);
        self.progress.half_line_bytes += now;
        self.progress.half_line_bytes -= before;
    }

    /// Whether all such lines together take too much, and this one not little: who sends whole lines has one cut now
    /// and then.
    fn has_too_long_a_half(&self, id: ClientId) -> bool {
        let own = self.clients[id.0].half_bytes;
        let all = self.progress.half_line_bytes;
        own > HALF_LINE_KEPT && all > own && all > self.ledger.half_lines_max()
    }

    /// The job is accepted: from here on it is in the books, and its client is told. With a spool it is safe by now;
    /// until then it is nobody's but the spool's.
    pub(super) fn accept(&mut self, job: &Job) {
        self.progress.accepted += 1;
        let id = ClientId(Key::from_bits(job.source.client));
        if let Some(client) = self.clients.get_mut(id.0)
            && client.kind != Kind::Feed
        {
            let before = client.unwritten();
            let line = job.source.line;
            client.answer(line, |out| report::write_accepted(out, &job.id, line));
            self.on_results(id, before);
        }
    }

    /// The job goes to an engine.
    pub(super) fn hand_out(&mut self, job: Box<Job>) -> Output {
        let engine = self.ledger.on_handed_out(&job);
        Output::Deliver { engine, job }
    }

    fn on_control(&mut self, now: Now, id: ClientId, ctl: &CtlLine) {
        let held = match ctl.request {
            Ok(Request::Status) => self.held_clients(now, id),
            Ok(_) | Err(_) => Vec::new(),
        };
        let situation = control::Situation {
            held,
            held_count: self.held.len(),
            progress: self.progress(),
            uptime: now.mono.since(self.started),
            is_draining: self.phase == Phase::Draining,
            has_spool: self.spool.is_some(),
        };
        let client = &mut self.clients[id.0];
        let access = match client.kind {
            Kind::Feed => Access::Submit,
            Kind::Socket(access) => access,
        };
        let before = client.unwritten();
        let line = client.line();
        let order = client.answer(line, |out| control::answer(ctl, access, &situation, out));
        self.on_results(id, before);
        match order {
            Order::Nothing => {}
            Order::Drain => {
                self.phase = Phase::Draining;
                self.drained_by = Some(id);
                self.cancel_held(now);
            }
            Order::Reopen => {
                self.phase = Phase::Open;
                self.drained_by = Some(id);
            }
            Order::Operate => self.order(id, ctl),
            Order::Letters => self.ask_letters(id, ctl),
            Order::Endpoints { limit } => self.ask_endpoints(now, id, ctl, limit),
        }
    }

    /// Who is not read from, as `asker` may know it: who may only submit hears of its own user's clients.
    fn held_clients(&self, now: Now, asker: ClientId) -> Vec<HeldClient> {
        let asker = &self.clients[asker.0];
        let may_know =
            |user: User| matches!(asker.kind, Kind::Socket(Access::Control)) || user == asker.user;
        let clients = self.held.iter().filter_map(|held| {
            let client = self.clients.get(held.client.0)?;
            may_know(client.user).then(|| HeldClient {
                is_feed: client.kind == Kind::Feed,
                uid: client.user.uid(self.settings.uid),
                pid: client.pid,
                pending: client.pending,
                unread_bytes: client.unwritten(),
                by: held.by,
                time: now.mono.since(held.since),
            })
        });
        clients.take(control::HELD_MAX).collect()
    }

    /// Something was written for the client since it had `before` bytes: counts it, and has it fetched.
    pub(super) fn on_results(&mut self, id: ClientId, before: usize) {
        let client = &mut self.clients[id.0];
        if client.is_deaf {
            let dropped = client.drop_results();
            self.progress.on_dropped(dropped);
            return;
        }
        self.progress.result_bytes += client.unwritten() - before;
        let has_news = client.kind != Kind::Feed && client.result_bytes() > 0;
        if has_news && !client.is_announced {
            client.is_announced = true;
            self.outputs.push_back(Output::Write { client: id });
        }
    }
}
