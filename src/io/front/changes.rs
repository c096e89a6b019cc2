//! Other settings for a run under way: asked for, passed on to all loops and to intake, and said in the log. What was
//! done to dead letters is said there too.
//!
//! Not here: what they are (`config/live`), what an engine makes of them (`engine/revision`).

use conduit::base::time::Instant;
use conduit::intake::event::{ClientId, Input, Kind, LettersTaken};
use conduit::intake::held::STANDS_STILL_AFTER;
use conduit::intake::orders::{self, What};
use conduit::wire::url::Origin;

use crate::io::front::{Front, Stage, shares};
use crate::io::log as logger;
use crate::io::steering::{Change, Question};
use crate::io::turn::{Orders, ToWorker};

/// Who stands still is told of, up to so many: one is enough to look.
const STANDING_TOLD_MAX: usize = 5;

impl Front {
    /// Carries out what a client of the socket has ordered.
    ///
    /// # Errors
    /// All that is wrong with it, in one line.
    pub(super) fn change(&mut self, change: &orders::Change) -> Result<(), Box<str>> {
        let user = self.user(change.client);
        let result = match &change.what {
            What::Reload => self.reload(user),
            What::Set { origin, setting } => self.set(user, origin, &setting.0, &setting.1),
        };
        result.map_err(|reasons| reasons.join("; ").into())
    }

    /// Reads the configuration again: all of it takes effect, or none.
    ///
    /// # Errors
    /// All that keeps it from that, a line each; it is in the log too.
    pub(super) fn reload(&mut self, user: Option<u32>) -> Result<(), Vec<String>> {
        if !self.rereads {
            return Err(vec![
                "expected --config, found none: nothing to read again".into(),
            ]);
        }
        if self.stage != Stage::Running {
            log::warn!("the end is near: the configuration is not read again");
            return Err(vec!["the end is near".into()]);
        }
        self.notify.reloading();
        let answer = self.ask(Question::Reload);
        match &answer {
            Ok(()) => log::info!(user = user; "the configuration was read again"),
            Err(reasons) => {
                for reason in reasons {
                    log::error!(
                        target: logger::EACH,
                        user = user;
                        "the configuration stays as it was: {reason}"
                    );
                }
            }
        }
        self.notify.ready();
        answer
    }

    /// Changes a setting of one origin until the end of the run.
    ///
    /// # Errors
    /// What is wrong with it.
    fn set(
        &mut self,
        user: Option<u32>,
        origin: &str,
        key: &str,
        value: &str,
    ) -> Result<(), Vec<String>> {
        self.ask(Question::Set { origin, key, value })?;
        log::info!(
            user = user,
            origin = origin,
            setting = key,
            value = value;
            "set until the end of this run"
        );
        Ok(())
    }

    /// Whose a client of the socket is, as long as it is connected.
    pub(super) fn user(&self, client: ClientId) -> Option<u32> {
        self.clients.as_ref()?.user(client)
    }

    /// Says what somebody wants of a breaker.
    pub(super) fn tell_breaker(&self, client: ClientId, origin: &Origin, isolates: bool) {
        let what = match isolates {
            true => "isolated by order",
            false => "circuit breaker reset by order",
        };
        log::info!(user = self.user(client), origin = &*origin.text; "{what}");
    }

    /// Says who stands still, once a minute.
    pub(super) fn tell_held(&mut self, now: Instant) {
        if !self.standing.is_due(now, self.intake.held().next()) {
            return;
        }
        for held in self.intake.held().take(STANDING_TOLD_MAX) {
            let time = now.since(held.since);
            if time < STANDS_STILL_AFTER {
                break;
            }
            let who = match held.kind {
                Kind::Feed => "standard input",
                Kind::Socket(_) => "a client of the socket",
            };
            log::warn!(
                user = self.user(held.client),
                seconds = time.as_secs();
                "{who} is held: {}", held.by
            );
        }
    }

    /// Says what somebody has done to dead letters.
    pub(super) fn tell_letters(&self, taken: &LettersTaken) {
        let which = &taken.which;
        log::info!(
            user = self.user(taken.client),
            count = taken.count,
            ids = which.ids.as_ref().map(Vec::len),
            origin = which.origin.as_deref(),
            uid = which.uid,
            older_than = which.older_than.map(|age| age.as_secs_f64());
            "dead letters were {}", taken.deed
        );
    }

    fn ask(&mut self, question: Question<'_>) -> Result<(), Vec<String>> {
        let steering = self.steering.take();
        let mut steering =
            steering.ok_or_else(|| vec!["nothing can be changed here".to_owned()])?;
        let answer = steering(question, &mut |change| self.follow(change));
        self.steering = Some(steering);
        answer
    }

    /// What may fail comes first: then nothing has changed.
    fn follow(&mut self, change: Change) -> Result<(), Vec<String>> {
        let now = self.turn.now();
        if let Some(clients) = &mut self.clients {
            let set = clients.set_users(now, change.users, &mut self.intake);
            set.map_err(|error| vec![format!("the socket's mode can't be changed: {error}")])?;
            clients.set_most(change.clients_max);
        }
        logger::install(change.log_level, change.log_format);
        for warning in &change.warnings {
            log::warn!(target: logger::EACH, "{warning}");
        }
        let loops = self.workers.len() + 1;
        let loops = u16::try_from(loops).expect("there are at most 65,535 workers");
        let share_of = shares(change.policy, loops);
        let orders_for = |number| Orders {
            policy: share_of(number),
            tls: change.tls.clone(),
        };
        for (worker, number) in self.orders.iter_mut().zip(1..) {
            worker.push(ToWorker::Orders(Box::new(orders_for(number))));
        }
        self.turn.obey(orders_for(0));
        self.intake
            .handle_input(now, Input::Limits(Box::new(change.limits)));
        if let Some(spool) = &mut self.spool {
            spool.set_max_dead_bytes(now, change.max_dead_bytes);
        }
        self.shutdown_timeout = change.shutdown_timeout;
        Ok(())
    }
}
