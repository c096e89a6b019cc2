//! How a connection comes up, or does not: look-up, guard, a race of the addresses, TLS.
//!
//! A connection that comes up takes the job it was made for, or the first in line if that job has left. A dial
//! that fails ends the attempt of the job it was made for, and concerns nobody if that job has left. While it waits for
//! addresses it is no connection yet and has no place: who looks up names takes nothing from those who know theirs.
//!
//! Not here: the stages of a dial (`dial`), when one is made for which job (`dispatch`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::base::slab::Key;
use crate::base::time::Now;
use crate::engine::close_reason::CloseReason;
use crate::engine::connection::Connection;
use crate::engine::dial::{Dial, Next, Purpose};
use crate::engine::event::{Cause, CauseKind, Note, Output, SockId};
use crate::engine::guard::Rule;
use crate::engine::origin::Origin;
use crate::engine::outcome::Happened;
use crate::engine::resolver::{Ask, Failure, Found, Lookup, Rest};
use crate::engine::{Alarm, Engine, Owner, Place, STEPS_A_CALL, guard};
use crate::wire::job::Job;
use crate::wire::url::Host;

impl Engine {
    /// Dials while more jobs wait than dials are on their way, and there is room.
    pub(super) fn dial_more(&mut self, now: Now, origin: Key) {
        if self.origins[origin].is_forbidden {
            return self.refuse_waiting(now, origin);
        }
        for _ in 0..STEPS_A_CALL {
            let entry = &self.origins[origin];
            let room = entry.pool.len() < entry.endpoint.max_connections as usize;
            if entry.queue.in_line() <= entry.pool.dials() || !room {
                return;
            }
            let Some(job) = entry.next_to_dial(now.mono) else {
                return;
            };
            // Nobody gives way before it is known that there is somebody to connect to.
            if !self.has_spare_place(origin) {
                return self.want_place(origin);
            }
            self.origins[origin].queue.set_dialed(job);
            self.dial(now, origin, Purpose::InLine(job));
        }
        self.revisit(origin);
    }

    /// Begins a dial, and with it an attempt of the job that it is for.
    pub(super) fn dial(&mut self, now: Now, origin: Key, purpose: Purpose) {
        let entry = &mut self.origins[origin];
        let waiting = entry
            .queue
            .get(purpose.job())
            .expect("a dial is made for a job that waits");
        let (attempt, since, was_last) = match waiting.attempt {
            Some(attempt) => (attempt, waiting.since, false),
            None => {
                let usual = entry.dialed_attempt_limit();
                let mut attempt = waiting.new_attempt(now.mono, usual);
                let short_since = entry.short_since(now.mono, attempt.is_retry);
                let since = waiting.since.max(short_since);
                let priority = waiting.job.priority;
                let was_last = entry.on_begin(now.mono, priority, &mut attempt);
                (attempt, since, was_last)
            }
        };
        let dial = Dial::new(now.mono, purpose, entry.endpoint.connect_timeout);
        let connection = entry.pool.insert(Connection::dialing(dial));
        if let Some(waiting) = entry.queue.get_mut(purpose.job()) {
            waiting.job.progress.on_begin(attempt.queued);
            waiting.attempt = Some(attempt);
            waiting.since = since;
            waiting.dial = Some(connection);
        }
        let host = Arc::clone(&entry.name);
        self.enter_share(origin);
        if was_last {
            self.wait_for_token(now, origin);
        }
        let place = Place { origin, connection };
        self.arm(place);
        let alarm = Alarm::Waiting {
            origin,
            job: purpose.job(),
        };
        let timer = self.wheel.arm(attempt.deadline, alarm);
        self.set_timer(origin, purpose.job(), timer);
        match &host.host {
            Host::Ip(ip) => {
                let (addrs, rest) = ([*ip].into(), Rest::Known);
                self.on_addresses(now, place, &Found { addrs, rest });
            }
            Host::Name(name) => self.look_up(now, place, name, purpose),
        }
    }

    fn look_up(&mut self, now: Now, place: Place, name: &str, purpose: Purpose) {
        let Origin { pool, queue, .. } = &*self.origins[place.origin];
        let job = queue.get(purpose.job()).map(|waiting| &waiting.job);
        let ask = Ask {
            name,
            asker: place.origin,
            until: pool[place.connection].deadline(),
            failed: job.and_then(|job| job.progress.failed),
        };
        match self.resolver.lookup(now, ask) {
            Lookup::Ready(found) => self.on_addresses(now, place, &found),
            Lookup::Failed(failure) => self.fail_dial(now, place, unresolved(name, &failure)),
            Lookup::Pending => {}
        }
        self.pump_resolver(now);
    }

    /// A look-up that some dials of this origin wait for has addresses, or has ended.
    pub(super) fn on_resolved(&mut self, now: Now, origin: Key, result: &Result<Found, Failure>) {
        let Some(entry) = self.origins.get(origin) else {
            return;
        };
        let name = Arc::clone(&entry.name);
        let Host::Name(host) = &name.host else {
            return;
        };
        let awaits =
            |connection: &Connection| connection.dial().is_some_and(Dial::awaits_addresses);
        let awaiting = entry
            .pool
            .iter()
            .filter(|(_, connection)| awaits(connection));
        let awaiting: Vec<Key> = awaiting.map(|(key, _)| key).collect();
        for connection in awaiting {
            let place = Place { origin, connection };
            let dial = self.origins[origin].pool.get(connection);
            match (result, dial.and_then(Connection::dial)) {
                // One that failed has made this one fail too, or sent it back.
                (_, None) => {}
                (Ok(found), Some(dial)) if dial.is_resolving() => {
                    self.on_addresses(now, place, found);
                }
                (Ok(found), Some(_)) => self.on_more(now, place, found),
                (Err(failure), Some(dial)) if dial.is_resolving() => {
                    self.fail_dial(now, place, unresolved(host, failure));
                }
                (Err(_), Some(_)) => self.join(now, place, &[], false),
            }
        }
    }

    /// Addresses of a dial are known: those that the guard lets pass are tried in turn. That none may be is known only
    /// when all are.
    fn on_addresses(&mut self, now: Now, place: Place, found: &Found) {
        let (mut allowed, refused) = self.allowed(place, &found.addrs);
        if allowed.is_empty() {
            let (ip, rule) = refused.expect("there is an address, and none is allowed");
            return match found.rest {
                Rest::Coming => {}
                Rest::Known => self.refuse_dial(now, place, Some(ip), rule.to_string()),
                Rest::Unknown(error) => {
                    let name = &self.origins[place.origin].name.host;
                    let Host::Name(name) = name else {
                        unreachable!("an address is no look-up's")
                    };
                    let happened = unresolved(name, &Failure { error, told: None });
                    self.fail_dial(now, place, happened);
                }
            };
        }
        if !self.has_place(place.origin) {
            return self.send_back(now, place);
        }
        let entry = &mut self.origins[place.origin];
        entry.preference.sort(now.mono, &mut allowed);
        entry.pool.on_addresses();
        let is_open = found.rest == Rest::Coming;
        let dial = entry.pool[place.connection].dial_mut();
        let next = dial
            .expect("it waits for addresses")
            .on_addresses(now.mono, allowed, is_open);
        self.enter_share(place.origin);
        self.follow(now, place, next);
    }

    /// The other addresses of a dial are known, after some of them: they join.
    fn on_more(&mut self, now: Now, place: Place, found: &Found) {
        let (allowed, _) = self.allowed(place, &found.addrs);
        self.join(now, place, &allowed, found.rest == Rest::Coming);
    }

    fn join(&mut self, now: Now, place: Place, addrs: &[SocketAddr], is_open: bool) {
        let dial = self.origins[place.origin].pool[place.connection].dial_mut();
        let dial = dial.expect("it is on its way up");
        let (closed, next) = dial.on_more(now.mono, addrs, is_open);
        if let Some(sock) = closed {
            self.sockets.remove(sock.0);
            self.outputs.push_back(Output::Close { sock });
            self.give_back_racer(place.origin);
        }
        self.follow(now, place, next);
    }

    /// Of these addresses those that the guard lets pass, and one that it does not.
    fn allowed(&self, place: Place, ips: &[IpAddr]) -> (Vec<SocketAddr>, Option<(IpAddr, Rule)>) {
        let port = self.origins[place.origin].name.port;
        let mut allowed = Vec::with_capacity(ips.len());
        let mut refused = None;
        for ip in ips {
            match guard::check(&self.policy, SocketAddr::new(*ip, port)) {
                Ok(addr) => allowed.push(addr),
                Err(rule) => refused = Some((*ip, rule)),
            }
        }
        (allowed, refused)
    }

    /// While a dial waited for addresses the last place has gone: its job waits for one, as if the attempt had not
    /// begun.
    fn send_back(&mut self, now: Now, place: Place) {
        let origin = place.origin;
        let dial = self.origins[origin].pool[place.connection].dial();
        let job = dial.expect("it waits for addresses").purpose().job();
        self.want_place(origin);
        self.close(place, CloseReason::ConnectFailed);
        let Some(mut waiting) = self.dequeue(origin, job) else {
            return;
        };
        waiting.dial = None;
        let (attempt, deadline) = (waiting.attempt, waiting.expires);
        let queue = &mut self.origins[origin].queue;
        let (job, is_unbegun) = queue.restore(waiting);
        let begun = attempt.filter(|_| is_unbegun);
        let deadline = match attempt {
            Some(attempt) if !is_unbegun => attempt.deadline,
            Some(_) | None => deadline,
        };
        self.recount(origin);
        let timer = self.wheel.arm(deadline, Alarm::Waiting { origin, job });
        self.set_timer(origin, job, timer);
        if let Some(attempt) = begun {
            self.on_unbegun(now, origin, &attempt);
        }
    }

    /// Does what a dial needs next.
    pub(super) fn follow(&mut self, now: Now, place: Place, next: Next) {
        match next {
            Next::Connect(addr) => self.connect(now, place, addr),
            Next::Wait => self.arm(place),
            Next::GiveUp(Happened::ConnectFailed(cause)) if cause.kind == CauseKind::Own => {
                self.refuse_dial(now, place, None, cause.message.into_string());
            }
            Next::GiveUp(happened) => self.fail_dial(now, place, happened),
        }
    }

    /// The only place that asks for a connection to a receiver: the very address is checked once more. The first
    /// socket of a dial has the connection's own place; a second one needs another.
    fn connect(&mut self, now: Now, place: Place, addr: SocketAddr) {
        let addr = match guard::check(&self.policy, addr) {
            Ok(checked) => checked,
            Err(rule) => {
                return self.refuse_dial(now, place, Some(addr.ip()), rule.to_string());
            }
        };
        let is_second = self.origins[place.origin].pool[place.connection]
            .socks()
            .next()
            .is_some();
        let has_place = !is_second || self.has_place(place.origin);
        let dial = self.origins[place.origin].pool[place.connection].dial_mut();
        let dial = dial.expect("it asks for a connection");
        if has_place {
            let sock = SockId(self.sockets.insert(Owner::Connection(place)));
            dial.on_begun(now.mono, sock);
            let keep_alive = self.origins[place.origin].endpoint.keep_alive();
            self.outputs.push_back(Output::Connect {
                sock,
                addr,
                keep_alive,
            });
            if is_second {
                self.origins[place.origin].racers += 1;
                self.enter_share(place.origin);
            }
        } else {
            dial.put_off(now.mono);
        }
        self.arm(place);
    }

    pub(super) fn on_connected(&mut self, now: Now, sock: SockId) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        self.catch_up(now, place.origin);
        let origin = &mut self.origins[place.origin];
        let secure = origin.name.is_secure();
        let connection = &mut origin.pool[place.connection];
        let Some(dial) = connection.dial_mut() else {
            return;
        };
        let loser = dial.on_connected(now.mono, sock, secure);
        connection.sock = Some(sock);
        if let Some(sock) = loser {
            self.sockets.remove(sock.0);
            self.outputs.push_back(Output::Close { sock });
            self.give_back_racer(place.origin);
        }
        if self.refuse_in_time(now, place) {
            return;
        }
        if secure {
            let origin = &mut self.origins[place.origin];
            origin.pool[place.connection].on_secured_anew();
            self.outputs.push_back(Output::Secure {
                sock,
                origin: Arc::clone(&origin.name),
                profile: origin.endpoint.tls_profile,
            });
        } else {
            self.on_up(now, place);
        }
    }

    pub(super) fn on_secured(&mut self, now: Now, sock: SockId) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        self.catch_up(now, place.origin);
        let connection = &mut self.origins[place.origin].pool[place.connection];
        let is_doomed = connection.doomed().is_some();
        let Some(dial) = connection.dial_mut() else {
            return;
        };
        dial.on_secured(now.mono);
        if self.refuse_in_time(now, place) {
            return;
        }
        match is_doomed {
            true => self.dial_again(now, place),
            false => self.on_up(now, place),
        }
    }

    /// A dial has shown a certificate, or trusted somebody, that new settings don't: no request is for it.
    fn dial_again(&mut self, now: Now, place: Place) {
        let dial = self.origins[place.origin].pool[place.connection].dial();
        let purpose = dial.expect("it was on its way up").purpose();
        self.close(place, CloseReason::Policy);
        match self.origins[place.origin].queue.get_mut(purpose.job()) {
            Some(_) => self.dial(now, place.origin, purpose),
            None => self.revisit(place.origin),
        }
    }

    /// An address of a dial did not work; the shell has closed its socket.
    pub(super) fn on_connect_failed(&mut self, now: Now, sock: SockId, cause: Cause) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        self.sockets.remove(sock.0);
        let connection = &mut self.origins[place.origin].pool[place.connection];
        connection.sock = connection.sock.filter(|other| *other != sock);
        let Some(dial) = connection.dial_mut() else {
            let turn = connection.on_closed(&cause);
            return self.apply(now, place, turn);
        };
        let was_racing = dial.is_racing();
        let next = dial.on_failed(now.mono, sock, cause);
        if was_racing {
            self.give_back_racer(place.origin);
        }
        self.follow(now, place, next);
    }

    /// One of the two sockets of a dial is gone.
    fn give_back_racer(&mut self, origin: Key) {
        self.origins[origin].racers -= 1;
        self.enter_share(origin);
        self.offer_place();
    }

    /// The guard refuses a dial: the log says which address and why, the result does not.
    pub(super) fn refuse_dial(&mut self, now: Now, place: Place, ip: Option<IpAddr>, rule: String) {
        let entry = &mut self.origins[place.origin];
        let purpose = entry.pool[place.connection].dial().map(Dial::purpose);
        if let Some(waiting) = purpose.and_then(|purpose| entry.queue.get_mut(purpose.job())) {
            let note = refused_note(&waiting.job, ip, rule);
            self.outputs.push_back(Output::Note(Box::new(note)));
        }
        self.fail_dial(now, place, Happened::Forbidden);
    }

    /// A dial has failed: so has the attempt of the job it was made for, unless that job has left.
    pub(super) fn fail_dial(&mut self, now: Now, place: Place, happened: Happened) {
        let dial = self.origins[place.origin].pool[place.connection].dial();
        let dial = dial.expect("only a dial can fail as one");
        let (job, spent) = (dial.purpose().job(), dial.spent_until(now.mono));
        let reason = match &happened {
            Happened::TimedOut(_) => CloseReason::ConnectTimeout,
            Happened::Cancelled => CloseReason::Shutdown,
            _ => CloseReason::ConnectFailed,
        };
        self.close(place, reason);
        if let Happened::ConnectFailed(cause) = &happened {
            self.on_dial_failed(now, place.origin, cause.kind);
        }
        if let Some(mut waiting) = self.dequeue(place.origin, job) {
            spent.enter(&mut waiting.job.progress.timings);
            self.conclude(
                now,
                Some(place.origin),
                waiting.job,
                waiting.attempt,
                happened,
            );
        }
        self.revisit(place.origin);
    }

    /// If this machine's own trouble has failed a dial, further dials of the origin wait. An idle connection may hold
    /// what was wanting, and gives way (F19); where there is no way to the receiver (F11), it would be in vain.
    fn on_dial_failed(&mut self, now: Now, origin: Key, kind: CauseKind) {
        match kind {
            CauseKind::Local => _ = self.evict_longest_idle(self.origins[origin].standing),
            CauseKind::NoNetwork => {}
            CauseKind::Refused
            | CauseKind::Unreachable
            | CauseKind::Reset
            | CauseKind::Tls
            | CauseKind::Own
            | CauseKind::Other => return,
        }
        self.origins[origin].throttle.on_local_trouble(now.mono);
        self.arm_gate(now, origin);
    }

    /// A connection is up.
    pub(super) fn on_up(&mut self, now: Now, place: Place) {
        let revision = self.origins[place.origin].revision;
        debug_assert_eq!(revision, self.revision, "who says so has seen to that");
        if self.origins[place.origin].throttle.on_up() {
            self.revisit(place.origin);
        }
        let Origin {
            endpoint,
            pool,
            queue,
            preference,
            tally,
            ..
        } = &mut *self.origins[place.origin];
        let dial = pool[place.connection].dial().expect("it was on its way up");
        let (purpose, spent) = (dial.purpose(), dial.spent());
        if let Some(winner) = dial.winner() {
            preference.on_won(now.mono, winner.ip());
        }
        pool.on_up(purpose);
        // Shortened by up to 10 %, so that connections opened together don't all age together (F16).
        let lifetime = endpoint.connection_lifetime;
        let spread = u64::try_from(lifetime.as_millis() / 10).unwrap_or(u64::MAX);
        let lifetime = lifetime - Duration::from_millis(self.rng.below(spread + 1));
        pool[place.connection].on_up(now.mono, lifetime, endpoint);
        self.stats.connections_opened += 1;
        tally.opened += 1;
        let next = if queue.get_mut(purpose.job()).is_some() {
            Some(purpose.job())
        } else {
            self.origins[place.origin].next_job(now.mono)
        };
        match next.and_then(|job| self.dequeue(place.origin, job)) {
            Some(waiting) => self.start(now, place, waiting, spent),
            None => {
                self.set_idle(now, place);
                let doomed = self.origins[place.origin].pool[place.connection].doomed();
                if let Some(reason) = doomed.or_else(|| self.surplus(place.origin)) {
                    self.close(place, reason);
                }
            }
        }
    }

    pub(super) fn note_refused(&mut self, job: &Job, addr: Option<IpAddr>, rule: String) {
        let note = refused_note(job, addr, rule);
        self.outputs.push_back(Output::Note(Box::new(note)));
    }
}

fn refused_note(job: &Job, addr: Option<IpAddr>, rule: String) -> Note {
    Note::Refused {
        id: job.id.clone(),
        origin: Arc::clone(&job.origin),
        addr,
        rule: rule.into_boxed_str(),
    }
}

fn unresolved(name: &str, failure: &Failure) -> Happened {
    let Failure { error, told } = *failure;
    let message = format!("{name}: {error}").into_boxed_str();
    if error.is_local() {
        Happened::Unresolved(message)
    } else {
        Happened::NoAddress { message, told }
    }
}
