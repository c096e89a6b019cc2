//! Other settings for a run under way: asked for, passed on to all loops and to intake, and said in the log. What was
//! done to dead letters is said there too.
//!
//! Not here: what they are (`config/live`), what an engine makes of them (`engine/revision`).

use conduit::intake::event::{Input, LettersTaken};
use conduit::intake::orders::What;

use crate::io::front::{Front, Stage, shares};
use crate::io::log as logger;
use crate::io::steering::{Change, Question};
use crate::io::turn::{Orders, ToWorker};

impl Front {
    /// Carries out what a client of the socket has ordered.
    ///
    /// # Errors
    /// All that is wrong with it, in one line.
    pub(super) fn change(&mut self, what: &What) -> Result<(), Box<str>> {
        let result = match what {
            What::Reload => self.reload(),
            What::Set { origin, setting } => self.set(origin, &setting.0, &setting.1),
        };
        result.map_err(|reasons| reasons.join("; ").into())
    }

    /// Reads the configuration again: all of it takes effect, or none.
    ///
    /// # Errors
    /// All that keeps it from that, a line each; it is in the log too.
    pub(super) fn reload(&mut self) -> Result<(), Vec<String>> {
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
            Ok(()) => log::info!("the configuration was read again"),
            Err(reasons) => {
                for reason in reasons {
                    log::error!(target: logger::EACH, "the configuration stays as it was: {reason}");
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
    fn set(&mut self, origin: &str, key: &str, value: &str) -> Result<(), Vec<String>> {
        self.ask(Question::Set { origin, key, value })?;
        log::info!(origin = origin, setting = key, value = value; "set until the end of this run");
        Ok(())
    }

    /// Says what somebody has done to dead letters.
    pub(super) fn tell_letters(&self, taken: &LettersTaken) {
        let clients = self.clients.as_ref();
        let which = &taken.which;
        log::info!(
            user = clients.and_then(|clients| clients.user(taken.client)),
            count = taken.count,
            ids = which.ids.as_ref().map(Vec::len),
            origin = which.origin.as_deref(),
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
