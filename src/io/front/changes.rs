//! Other settings for a run under way: asked for, passed on to all loops and to intake, and said in the log. What was
//! done to dead letters is said there too.
//!
//! Not here: what they are (`config/live`), what an engine makes of them (`engine/revision`).

use std::mem;
use std::sync::Arc;

use conduit::base::time::{Instant, Now};
use conduit::engine::event::Input as EngineInput;
use conduit::engine::policy::Policy;
use conduit::intake::event::{ClientId, Input, Kind, LettersTaken};
use conduit::intake::held::STANDS_STILL_AFTER;
use conduit::intake::orders::{Change as Order, What};
use conduit::wire::url::Origin;

use crate::io::front::{Front, Stage};
use crate::io::log as logger;
use crate::io::rereading::Rereading;
use crate::io::steering::{Change, Own, Question, Step};
use crate::io::turn::{Orders, ToWorker};

const THE_END: &str = "the end is near";

/// Who stands still is told of, up to so many: one is enough to look.
const STANDING_TOLD_MAX: usize = 5;

impl Front {
    /// Carries out what a client of the socket has ordered, or has it wait for what is to be read.
    pub(super) fn change(&mut self, now: Now, order: Box<Order>) {
        let What::Set { origin, setting } = order.what() else {
            return self.ask_reload(now, Some(order));
        };
        let (key, value) = (&*setting.0, &*setting.1);
        let result = self.ask(Question::Set { origin, key, value });
        if result.is_ok() {
            log::info!(
                user = self.user(order.client),
                origin = &**origin,
                setting = key,
                value = value;
                "set until the end of this run"
            );
        }
        self.tell(now, order, &result);
    }

    /// The configuration is to be read again, at the word of a client or of a signal.
    pub(super) fn ask_reload(&mut self, now: Now, order: Option<Box<Order>>) {
        let refusal = match &self.rereading {
            _ if self.stage != Stage::Running => {
                log::warn!("the end is near: the configuration is not read again");
                THE_END
            }
            None => "expected --config, found none: nothing to read again",
            Some(_) => "too many wait for it already",
        };
        let refused = match &mut self.rereading {
            Some(rereading) if self.stage == Stage::Running => rereading.ask(order).err(),
            Some(_) | None => order,
        };
        if let Some(order) = refused {
            self.tell(now, order, &Err(vec![refusal.to_owned()]));
        }
    }

    /// Begins to read the configuration where somebody has asked, and takes what was read: all of it takes effect, or
    /// none and the log says why.
    pub(super) fn run_rereading(&mut self, now: Now) {
        let Some(rereading) = &mut self.rereading else {
            return;
        };
        rereading.handle_timeout(now.mono);
        if let Some((outcome, orders)) = rereading.poll() {
            let answer = match outcome {
                // Who waited for it was told already.
                _ if self.stage != Stage::Running => return,
                Ok(proposal) => self.ask(Question::Take(proposal)),
                Err(reasons) => Err(reasons),
            };
            // A signal has no user, and of several clients the first is named.
            let user = orders.first().and_then(|order| self.user(order.client));
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
            for order in orders {
                self.tell(now, Box::new(order), &answer);
            }
        }
        let rereading = self.rereading.as_mut();
        if rereading.is_some_and(|rereading| rereading.begin(now.mono)) {
            self.notify.reloading();
        }
    }

    /// Nobody waits for the configuration any more.
    pub(super) fn give_up_rereading(&mut self, now: Now) {
        let rereading = self.rereading.as_mut();
        let orders = rereading.map_or_else(Vec::new, Rereading::give_up);
        for order in orders {
            self.tell(now, Box::new(order), &Err(vec![THE_END.to_owned()]));
        }
    }

    /// Tells intake what came of an order.
    fn tell(&mut self, now: Now, change: Box<Order>, result: &Result<(), Vec<String>>) {
        let result = result.as_ref().map(|&()| ());
        let result = result.map_err(|reasons| reasons.join("; ").into());
        self.intake
            .handle_input(now, Input::Changed { change, result });
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
        let answer = steering(question, &mut |step| match step {
            Step::All(change) => self.follow(*change),
            Step::Own(own) => {
                self.follow_own(own);
                Ok(())
            }
        });
        self.steering = Some(steering);
        let former = answer?;
        if let Some(rereading) = &mut self.rereading {
            rereading.keep(former);
        }
        Ok(())
    }

    /// Every loop may come to own the origin, so all are told.
    fn follow_own(&mut self, own: Own) {
        let now = self.turn.now();
        let Own {
            origin,
            endpoint,
            limits,
        } = own;
        for worker in &mut self.orders {
            let (origin, endpoint) = (Arc::clone(&origin), Arc::clone(&endpoint));
            worker.push(ToWorker::Own { origin, endpoint });
        }
        let input = Input::Own {
            origin: Arc::clone(&origin),
            limits,
        };
        self.intake.handle_input(now, input);
        let input = EngineInput::Own { origin, endpoint };
        self.turn.net.handle_input(now, input);
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
        let former = mem::replace(&mut self.policy, share_of(0));
        if let Some(rereading) = &mut self.rereading {
            rereading.keep(Some(Box::new(former)));
        }
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

/// What each engine obeys: its share of what the process may hold open and remember.
pub(super) fn shares(policy: Policy, workers: u16) -> impl Fn(u16) -> Arc<Policy> {
    let count = u32::from(workers);
    let (each, left) = (policy.max_origins / count, policy.max_origins % count);
    let of = |max_origins: u32, policy: Policy| {
        Arc::new(Policy {
            max_connections_total: (policy.max_connections_total / count).max(1),
            max_origins,
            ..policy
        })
    };
    let (first, others) = (of(each + 1, policy.clone()), of(each, policy));
    move |number| {
        Arc::clone(if u32::from(number) < left {
            &first
        } else {
            &others
        })
    }
}
