//! Loop 0: what is beside its engine. Intake, the two streams, signals, the other loops, and the end.
//!
//!   Running --signal, nobody takes results--> Draining --shutdownTimeout--> Aborted --> given up
//!      \____________ every job has its result, and it is written: finished ____________/
//!
//! Not here: the phases that all loops have (`turn`), what is read when and how much (intake).

use std::io::{self, Read, Write};
use std::mem;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::time::{Instant, Now};
use conduit::engine::event::{Appetite, BreakerOrder, Input as EngineInput, Note};
use conduit::engine::policy::Policy;
use conduit::intake::event::{ClientId, EngineId, Input, Kind, Output};
use conduit::intake::limits::Limits;
use conduit::intake::{self, Intake};
use conduit::wire::names::Names;

use crate::io::admin::{Admin, FIRST_TOKEN};
use crate::io::clients::Clients;
use crate::io::clock;
use crate::io::files::NameFiles;
use crate::io::mailbox::Mailbox;
use crate::io::net::Upward;
use crate::io::notify::Notify;
use crate::io::progress::{Progress, Standing, Waits};
use crate::io::rereading::Rereading;
use crate::io::results::Results;
use crate::io::signal::{self, Asked, Meaning, Signals};
use crate::io::socket::Socket;
use crate::io::spool::{Opened, Spool};
use crate::io::stdio::{Feed, Report};
use crate::io::steering::{Answer, Steering};
use crate::io::tls::Credentials;
use crate::io::turn::{FromWorker, Plan, ToWorker, Turn, Worker};

mod changes;

/// Jobs taken from the feed in one turn, at most.
const PULLS_PER_TURN: u32 = 128;

/// How long results have to be written after everything was cut, before they are given up: with the default
/// `shutdownTimeout` still within the 30 seconds that service managers allow.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

/// Everything that a run needs.
pub struct Setup {
    /// What the engines obey; `max_connections_total` and `max_origins` are the process's: each gets its share.
    pub policy: Policy,
    /// What intake obeys; `engines` is set here.
    pub intake: intake::Settings,
    /// What of it may change, and what single origins have of it for themselves.
    pub limits: Limits,
    /// Loops, and engines: at least one.
    pub workers: u16,
    /// Where all randomness comes from.
    pub seed: [u8; 32],
    /// Whose certificates are trusted, and which are shown.
    pub tls: Credentials,
    /// What requests in flight get after a signal.
    pub shutdown_timeout: Duration,
    /// The feed: read on a thread of its own, which may block in it.
    pub source: Box<dyn Read + Send>,
    /// Takes the results: whole lines, on a thread of its own, which may block in it.
    pub sink: Box<dyn Write + Send>,
    /// Where clients connect, if anywhere: the end of the feed is then not the end.
    pub socket: Option<Socket>,
    /// Clients that may be connected there at the same time.
    pub clients_max: usize,
    /// Where accepted jobs are kept until they end, if anywhere; `intake` says so too.
    pub spool: Option<Opened>,
    /// Where metrics and health are told, if anywhere.
    pub listener: Option<TcpListener>,
    /// Told when the run is up, and when its end begins.
    pub notify: Notify,
    /// Signals that were blocked before any thread was started.
    pub signals: Signals,
    /// Told whatever an engine finds worth a log line.
    pub note: fn(&Note),
    /// Shows how far it has come, a few times a second.
    pub progress: Option<fn(&str)>,
    /// Says what other settings hold, if any can.
    pub steering: Option<Steering>,
    /// There is a file to read again: SIGHUP asks for that, and not for the end.
    pub rereads: bool,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Every job that was read has its result, and it is written.
    Finished {
        /// Every result was `delivered` or `duplicate`, and the feed was read to its end; or there is a socket, whose
        /// clients were told.
        all_delivered: bool,
    },
    /// Nobody takes results any more: they stop at some job.
    SinkGone,
    /// A second signal: what was in flight was cut, and has its result.
    Killed {
        /// Its number.
        signal: i32,
    },
}

/// Delivers what the source gives until it has ended, or a signal has.
///
/// # Errors
/// The system's, where it can't start or go on.
pub fn run(setup: Setup) -> io::Result<Ended> {
    assert!(setup.workers > 0, "somebody must work");
    Front::start(setup)?.run()
}

/// Loop 0.
struct Front {
    turn: Turn,
    intake: Intake,
    client: ClientId,
    clients: Option<Clients>,
    spool: Option<Spool>,
    /// Until when what the spool was told is waited for, once all else is done.
    closing: Option<Instant>,
    admin: Option<Admin>,
    /// What the engine of this loop is to tell of its origins: once a turn, as other engines do.
    own_ask: Option<u32>,
    is_draining: bool,
    /// Whoever began the feed was told what it looks like.
    has_hinted: bool,
    feed: Feed,
    has_feed_ended: bool,
    results: Results,
    reports: Arc<Mailbox<Report>>,
    workers: Vec<Worker>,
    /// What the workers are told at the end of the turn.
    orders: Vec<Vec<ToWorker>>,
    /// What each engine last said of itself.
    appetites: Vec<Appetite>,
    signals: Signals,
    /// What they have asked for, and the one that has ended it at once.
    asked: Asked,
    killed_by: Option<i32>,
    notify: Notify,
    names: NameFiles,
    stage: Stage,
    shutdown_timeout: Duration,
    progress: Progress,
    standing: Standing,
    steering: Option<Answer>,
    rereading: Option<Rereading>,
    /// What the engine of this loop obeys.
    policy: Arc<Policy>,
    /// Intake may have more for this loop at once.
    has_work: bool,
}

/// How far the shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Draining { abort_at: Instant },
    Aborted { give_up_at: Instant },
}

impl Front {
    /// Builds everything and starts the threads.
    ///
    /// # Errors
    /// The system's: descriptors or threads.
    pub fn start(setup: Setup) -> io::Result<Front> {
        let now = clock::now();
        let mut rng = Rng::from_seed(setup.seed);
        let (names, contents) = NameFiles::open();
        let listener = setup.listener.as_ref();
        let listens_at = listener.map(TcpListener::local_addr).transpose()?;
        let share_of = changes::shares(setup.policy, setup.workers);
        let mut plan = Plan {
            policy: share_of(0),
            tls: setup.tls,
            own_port: listens_at.map(|addr| addr.port()),
            note: setup.note,
            names: contents,
        };
        let turn = Turn::new(&plan, &mut rng)?;
        turn.watch(&setup.signals)?;
        let workers = (1..setup.workers)
            .map(|number| {
                plan.policy = share_of(number);
                Worker::start(number, Turn::new(&plan, &mut rng)?, turn.bell())
            })
            .collect::<io::Result<Vec<_>>>()?;
        let mut settings = setup.intake;
        settings.engines = setup.workers;
        let seed = [rng.next_u64(), rng.next_u64()];
        let mut intake = Intake::new(now, settings, rng, seed);
        intake.handle_input(now, Input::Limits(Box::new(setup.limits)));
        let client = intake.open(Kind::Feed);
        let reports = Arc::new(Mailbox::new(turn.bell()));
        let (read, steering) = setup
            .steering
            .map_or((None, None), |it| (Some(it.read), Some(it.answer)));
        let read = read.filter(|_| setup.rereads);
        let rereading = read.map(|read| Rereading::new(read, turn.bell()));
        let clients = setup
            .socket
            .map(|socket| Clients::open(socket, turn.registry()?, setup.clients_max))
            .transpose()?;
        assert_eq!(settings.spools, setup.spool.is_some(), "one word on it");
        let spool = setup
            .spool
            .map(|opened| Spool::start(opened, turn.bell()))
            .transpose()?;
        let admin = setup
            .listener
            .map(|listener| Admin::open(listener, turn.registry()?, now))
            .transpose()?;
        Ok(Front {
            intake,
            client,
            clients,
            spool,
            closing: None,
            admin,
            own_ask: None,
            is_draining: false,
            has_hinted: false,
            feed: Feed::start(setup.source, Arc::clone(&reports))?,
            has_feed_ended: false,
            results: Results::start(now.mono, setup.sink, Arc::clone(&reports))?,
            reports,
            orders: workers.iter().map(|_| Vec::new()).collect(),
            appetites: vec![Appetite::default(); usize::from(setup.workers)],
            workers,
            signals: setup.signals,
            asked: Asked::default(),
            killed_by: None,
            notify: setup.notify,
            names: names.watch(now.mono, turn.bell())?,
            stage: Stage::Running,
            shutdown_timeout: setup.shutdown_timeout,
            progress: Progress::new(now.mono, setup.progress),
            standing: Standing::default(),
            steering,
            rereading,
            policy: plan.policy,
            has_work: true,
            turn,
        })
    }

    /// Turns until it is over.
    ///
    /// # Errors
    /// The system's: a loop that can't go on.
    pub fn run(mut self) -> io::Result<Ended> {
        let mut mail = Vec::new();
        self.notify.ready();
        loop {
            self.wait()?;
            self.turn.run_timers();
            self.turn.run_network();
            let now = self.turn.now();
            if self.turn.take_signal() {
                self.handle_signals(now)?;
            }
            self.run_own_timers(now);
            self.run_rereading(now);
            self.read_mail(now, &mut mail)?;
            self.read_clients(now);
            self.answer_own_ask(now);
            self.run_spool(now);
            self.run_intake(now);
            self.run_spool(now);
            if let Some(admin) = &mut self.admin {
                admin.work(now, &mut self.intake, self.spool.as_ref());
            }
            self.watch_draining(now);
            self.post_orders();
            self.flush(now);
            let is_over = self.intake.is_finished() && self.is_safe(now);
            if is_over || self.is_given_up(now) {
                return Ok(self.finish());
            }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let (reports, workers, spool) = (&self.reports, &self.workers, self.spool.as_ref());
        let (rereading, names) = (self.rereading.as_ref(), &self.names);
        let has_mail = || {
            !reports.is_empty()
                || workers.iter().any(|worker| !worker.outbox.is_empty())
                || spool.is_some_and(Spool::has_mail)
                || rereading.is_some_and(Rereading::has_mail)
                || names.has_mail()
        };
        let stage = match self.stage {
            Stage::Running => Instant::FAR_FUTURE,
            Stage::Draining { abort_at: at } | Stage::Aborted { give_up_at: at } => at,
        };
        let feed = self.intake.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
        let has_jobs = self.intake.progress().pending > 0;
        let names_due = names.poll_timeout(has_jobs);
        let rereading_due = rereading.map_or(Instant::FAR_FUTURE, Rereading::poll_timeout);
        let clients = self.clients.as_ref();
        let accept = clients.and_then(Clients::poll_timeout);
        let accept = accept.unwrap_or(Instant::FAR_FUTURE);
        let disk = spool
            .and_then(Spool::poll_timeout)
            .unwrap_or(Instant::FAR_FUTURE);
        let disk = disk.min(self.closing.unwrap_or(Instant::FAR_FUTURE));
        let own = [
            self.progress.next(),
            self.standing.next(self.intake.held().next()),
            self.notify.poll_timeout(),
            names_due,
            rereading_due,
            disk,
        ];
        let own = own.into_iter().min().unwrap_or(Instant::FAR_FUTURE);
        let admin = self.admin.as_ref();
        let deadline = admin.map_or(Instant::FAR_FUTURE, Admin::poll_timeout);
        let mut until = stage.min(feed).min(accept).min(own).min(deadline);
        let has_results = self.results.are_ready(&self.intake, self.client);
        let has_work = self.has_work || self.intake.has_work() || self.intake.wants_found();
        let has_own_work = self.own_ask.is_some() || admin.is_some_and(Admin::has_work);
        let has_client_work = has_own_work || clients.is_some_and(Clients::has_work);
        let has_asked = rereading.is_some_and(Rereading::has_work);
        if has_work || has_results || has_client_work || has_asked {
            until = self.turn.now().mono;
        }
        self.turn.wait(until, &has_mail)
    }

    fn run_own_timers(&mut self, now: Now) {
        self.notify.handle_timeout(now.mono);
        if let Some(names) = self.names.check(now.mono) {
            self.tell_names(now, &names);
        }
        if let Stage::Draining { abort_at } = self.stage
            && now.mono >= abort_at
        {
            log::warn!("shutdown timeout: what is left is cut");
            self.abort(now);
        }
        self.tell_held(now.mono);
        let waits = self.waits();
        self.progress
            .update(now.mono, &self.intake.progress(), waits);
    }

    /// What the jobs that are left wait for, if nothing else is left to do.
    fn waits(&self) -> Option<Waits> {
        let is_busy = |appetite: &Appetite| appetite.busy > 0 || appetite.waiting > 0;
        if !self.has_feed_ended || self.appetites.iter().any(is_busy) {
            return None;
        }
        let sum = |of: fn(&Appetite) -> u32| self.appetites.iter().map(of).sum::<u32>();
        let parked = self.intake.progress().parked;
        let next = self.appetites.iter().filter_map(|appetite| appetite.next);
        Some(Waits {
            later: sum(|appetite| appetite.later)
                .saturating_add(u32::try_from(parked).unwrap_or(u32::MAX)),
            held: sum(|appetite| appetite.held),
            next: next.chain(self.intake.poll_timeout()).min(),
        })
    }

    /// The first ends it in order, a second at once: what is in flight is cut, and still has its result.
    fn handle_signals(&mut self, now: Now) -> io::Result<()> {
        while let Some(number) = self.signals.next()? {
            if number == signal::HANGUP && self.rereading.is_some() {
                self.ask_reload(now, None);
                continue;
            }
            let name = signal::name(number);
            match self.asked.judge(now.mono) {
                Meaning::First => {
                    log::info!(
                        "{name}: no more intake, requests in flight get {} s",
                        self.shutdown_timeout.as_secs_f64()
                    );
                    self.stop(now);
                }
                Meaning::Echo => log::debug!("{name}: the end was asked for just now"),
                Meaning::Second => {
                    log::warn!("second {name}: what is left is cut");
                    self.killed_by = Some(number);
                    self.abort(now);
                }
            }
        }
        Ok(())
    }

    /// What is in flight is cut; its results are written, if somebody reads them in time.
    fn abort(&mut self, now: Now) {
        if let Stage::Aborted { .. } = self.stage {
            return;
        }
        self.stage = Stage::Aborted {
            give_up_at: now.mono + GIVE_UP_AFTER,
        };
        self.intake.handle_input(now, Input::Abort);
        self.turn.net.handle_input(now, EngineInput::Abort);
        self.orders
            .iter_mut()
            .for_each(|orders| orders.push(ToWorker::Abort));
    }

    /// No more intake; what is in flight is finished.
    fn stop(&mut self, now: Now) {
        if self.stage != Stage::Running {
            return;
        }
        self.notify.stopping();
        self.stage = Stage::Draining {
            abort_at: now.mono + self.shutdown_timeout,
        };
        self.give_up_rereading(now);
        self.intake.handle_input(now, Input::Stop);
        if let Some(clients) = &mut self.clients {
            clients.stop();
        }
        if !self.has_feed_ended {
            self.has_feed_ended = true;
            let (client, error) = (self.client, None);
            self.intake.handle_input(now, Input::End { client, error });
        }
        self.turn.net.handle_input(now, EngineInput::Drain);
        self.orders
            .iter_mut()
            .for_each(|orders| orders.push(ToWorker::Drain));
    }

    fn tell_names(&mut self, now: Now, names: &Arc<Names>) {
        for orders in &mut self.orders {
            orders.push(ToWorker::Names(Arc::clone(names)));
        }
        let names = Arc::clone(names);
        self.turn.net.handle_input(now, EngineInput::Names(names));
    }

    fn read_mail(&mut self, now: Now, mail: &mut Vec<Report>) -> io::Result<()> {
        self.reports.take(mail);
        for report in mail.drain(..) {
            self.handle_report(now, report);
        }
        let mut letters = Vec::new();
        for number in 0..self.workers.len() {
            self.workers[number].outbox.take(&mut letters);
            for letter in letters.drain(..) {
                match letter {
                    FromWorker::Upward(upward) => self.hand_up(now, number + 1, upward),
                    FromWorker::Broken(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn handle_report(&mut self, now: Now, report: Report) {
        let client = self.client;
        match report {
            Report::Chunk(_) | Report::End(_) if self.has_feed_ended => {}
            Report::Chunk(bytes) => self
                .intake
                .handle_input(now, Input::Chunk { client, bytes }),
            Report::End(error) => {
                self.has_feed_ended = true;
                let error = error.map(|error| error.to_string().into());
                self.intake.handle_input(now, Input::End { client, error });
            }
            Report::Written(batch) => {
                let bytes = self.results.on_written(batch);
                self.intake
                    .handle_input(now, Input::Written { client, bytes });
            }
            Report::Gone(error) => {
                log::error!("results can't be written any more: {error}");
                self.results.on_gone();
                self.intake.handle_input(now, Input::Gone { client });
                self.stop(now);
            }
        }
    }

    /// Takes in what clients of the socket have sent, within bounds.
    fn read_clients(&mut self, now: Now) {
        for nudge in self.turn.nudges().drain(..) {
            match (&mut self.admin, &mut self.clients) {
                (Some(admin), _) if nudge.token.0 >= FIRST_TOKEN => admin.handle_nudge(nudge),
                (_, Some(clients)) => clients.handle_nudge(nudge),
                (_, None) => {}
            }
        }
        if let Some(clients) = &mut self.clients {
            clients.read(now, &mut self.intake);
        }
    }

    /// Has the engine of this loop tell of some of its origins.
    fn answer_own_ask(&mut self, now: Now) {
        if let Some(from) = self.own_ask.take() {
            self.turn.net.handle_input(now, EngineInput::Ask { from });
        }
    }

    /// Says in the log that draining has begun, or was called off. Stops when no job is left: who then does not read
    /// its results has no longer for it than after a signal.
    fn watch_draining(&mut self, now: Now) {
        let is_draining = self.intake.is_draining();
        if is_draining && !self.intake.has_jobs() {
            self.stop(now);
        }
        if is_draining == self.is_draining {
            return;
        }
        self.is_draining = is_draining;
        let user = self
            .intake
            .drained_by()
            .and_then(|client| self.user(client));
        match is_draining {
            true => {
                log::info!(user = user; "draining: no more intake, the end follows the last result");
            }
            false if self.stage == Stage::Running => {
                log::info!(user = user; "draining was called off");
            }
            false => {}
        }
    }

    /// Takes jobs from intake, and tells it what became of them, until there is no more or it is enough.
    fn run_intake(&mut self, now: Now) {
        let mut left = PULLS_PER_TURN;
        self.hand_up_own(now);
        self.has_work = true;
        self.hint();
        while left > 0 {
            match self.intake.poll_output(now) {
                Some(output) => self.perform(now, output),
                None if !self.hand_up_own(now) => {
                    self.has_work = self.intake.has_work();
                    return;
                }
                None => {}
            }
            left -= 1;
        }
        self.hand_up_own(now);
    }

    /// Says once what the feed looks like, where that is no jobs.
    fn hint(&mut self) {
        if let Some(mistaken) = self.intake.mistaken()
            && !self.has_hinted
        {
            self.has_hinted = true;
            log::warn!("standard input: {mistaken}");
        }
    }

    fn perform(&mut self, now: Now, output: Output) {
        match output {
            Output::Read { client, buffer } if client == self.client => self.feed.ask(buffer),
            Output::Read { client, .. } => self.clients().ask(client),
            Output::Write { client } => self.clients().handle_results(client),
            Output::Close { client } => self.clients().close(client),
            Output::Ask { engine, from } => match engine.0.checked_sub(1) {
                None => self.own_ask = Some(from),
                Some(worker) => self.orders[usize::from(worker)].push(ToWorker::Ask { from }),
            },
            Output::Breaker {
                engine,
                origin,
                isolates,
                client,
            } => {
                self.tell_breaker(client, &origin, isolates);
                let order = match isolates {
                    true => BreakerOrder::Isolate,
                    false => BreakerOrder::Reset,
                };
                let worker = engine.0.checked_sub(1);
                match worker {
                    None => {
                        let input = EngineInput::Breaker { origin, order };
                        self.turn.net.handle_input(now, input);
                    }
                    Some(worker) => {
                        self.orders[usize::from(worker)].push(ToWorker::Breaker { origin, order })
                    }
                }
            }
            Output::Change(change) => self.change(now, change),
            Output::Deliver { engine, job } => match engine.0.checked_sub(1) {
                None => self.turn.net.handle_input(now, EngineInput::Job(job)),
                Some(worker) => self.orders[usize::from(worker)].push(ToWorker::Job(job)),
            },
            Output::Store {
                job,
                source,
                is_generated,
                line,
            } => {
                let verdict = self.spool().store(now, &job, source, is_generated, &line);
                let stored = Input::Stored {
                    job,
                    is_generated,
                    line,
                    verdict,
                };
                self.intake.handle_input(now, stored);
                if let Some(spool) = &mut self.spool {
                    spool.tell_refusal(now, &mut self.intake);
                }
            }
            Output::Settle { key, how } => self.spool().settle(now, key, how),
            Output::Fetch { key } => self.spool().fetch(now, key),
            Output::FindLetters(query) => {
                let found = Box::new(self.spool().find_letters(&query));
                let found = Input::LettersFound(found);
                self.intake.handle_input(now, found);
            }
            Output::Forget { key } => self.spool().forget(now, key),
            Output::LettersTaken(taken) => self.tell_letters(&taken),
            Output::Delivered {
                id,
                origin,
                attempts,
            } => log::info!(
                origin = &*origin.text,
                id = &*id,
                attempts = attempts;
                "delivered: a job of an earlier run, or a dead letter"
            ),
        }
    }

    fn spool(&mut self) -> &mut Spool {
        let spool = self.spool.as_mut();
        spool.expect("who is asked for jobs on disk has a spool")
    }

    /// What the disk has done, and what it is to do.
    fn run_spool(&mut self, now: Now) {
        if let Some(spool) = &mut self.spool {
            spool.run(now, &mut self.intake);
        }
    }

    /// Whether all is on disk that the spool was told; that is waited for, but not for ever.
    fn is_safe(&mut self, now: Now) -> bool {
        let Some(spool) = &mut self.spool else {
            return true;
        };
        let give_up_at = *self.closing.get_or_insert(now.mono + GIVE_UP_AFTER);
        spool.flush(now);
        spool.run(now, &mut self.intake);
        if spool.is_flushed() {
            return true;
        }
        let is_over = now.mono >= give_up_at;
        if is_over {
            log::error!(
                "spool: the end of some jobs could not be written: they will be delivered again"
            );
        }
        is_over
    }

    fn clients(&mut self) -> &mut Clients {
        let clients = self.clients.as_mut();
        clients.expect("intake knows clients of the socket only where there is one")
    }

    /// Whether the engine of this loop had anything for intake.
    fn hand_up_own(&mut self, now: Now) -> bool {
        if self.turn.net.upward().is_empty() {
            return false;
        }
        let mut upward = mem::take(self.turn.net.upward());
        for upward in upward.drain(..) {
            self.hand_up(now, 0, upward);
        }
        // The memory goes back: handing up causes nothing upward.
        *self.turn.net.upward() = upward;
        true
    }

    fn hand_up(&mut self, now: Now, number: usize, upward: Upward) {
        let engine = EngineId(u16::try_from(number).expect("there are at most 65,535 workers"));
        let input = match upward {
            Upward::Attempted { key, attempt } => {
                return self.spool().attempted(now, key, *attempt);
            }
            Upward::Postponed(job) => Input::Postponed { job },
            Upward::Done { job, ending } => Input::Done {
                engine,
                job,
                ending,
            },
            Upward::Origin { origin, held } => Input::Origin {
                engine,
                origin,
                held,
            },
            Upward::Retired {
                origin,
                slot,
                tally,
            } => Input::OriginRetired {
                engine,
                origin,
                slot,
                tally,
            },
            Upward::Rows(rows) => Input::Rows { engine, rows },
            Upward::Appetite(appetite) => {
                self.appetites[number] = appetite;
                Input::Appetite {
                    engine,
                    waiting: appetite.waiting,
                    busy: appetite.busy,
                }
            }
        };
        self.intake.handle_input(now, input);
    }

    fn post_orders(&mut self) {
        for (worker, orders) in self.workers.iter().zip(&mut self.orders) {
            worker.inbox.post_all(orders);
        }
    }

    fn flush(&mut self, now: Now) {
        let is_idle = self.turn.was_quiet() && !self.has_work;
        self.results
            .flush(now.mono, &mut self.intake, self.client, is_idle);
        if let Some(clients) = &mut self.clients {
            clients.write(now, &mut self.intake);
        }
    }

    fn is_given_up(&self, now: Now) -> bool {
        matches!(self.stage, Stage::Aborted { give_up_at } if now.mono >= give_up_at)
    }

    fn finish(mut self) -> Ended {
        self.hint();
        self.notify.stopping();
        self.progress.clear();
        self.turn.net.close();
        for worker in &self.workers {
            worker.inbox.post(ToWorker::Quit);
        }
        for worker in self.workers {
            if worker.thread.join().is_err() {
                log::error!("a worker has panicked");
            }
        }
        let is_finished = self.intake.is_finished();
        if !is_finished {
            log::error!("results are left that nobody took");
        }
        if let Some(spool) = &self.spool
            && spool.pending() > 0
        {
            let pending = spool.pending();
            log::info!("spool: {pending} jobs stay for the next start");
        }
        if let Some(signal) = self.killed_by {
            return Ended::Killed { signal };
        }
        if self.results.is_gone() {
            return Ended::SinkGone;
        }
        // What was lost may have been a job.
        let is_whole = self.spool.as_ref().is_none_or(|spool| !spool.is_corrupt());
        let all_delivered = is_finished && is_whole && self.intake.all_delivered();
        Ended::Finished {
            all_delivered: all_delivered || self.clients.is_some(),
        }
    }
}
