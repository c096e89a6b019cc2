//! The reference model: what is known of each job and each origin from outside, and what must follow from it.
//!
//! It learns from what was submitted, what receivers were sent and said, and what the engine tells; it never
//! looks inside. The breaker has a room of its own (`breaker`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conduit::base::time::{Instant, Now};
use conduit::engine::event::{BreakerOrder, Next, Note};
use conduit::engine::policy::Endpoint;
use conduit::wire::job::Job;
use conduit::wire::report::{Ending, ErrorKind, Outcome};
use conduit::wire::spool::Attempt;
use conduit::wire::url::Origin;

use super::breaker::{Breaker, Vote};
use super::scenario::{Denied, HostKind, Scenario};
use super::survival::Safety;

/// The wheel's tick, and so how late a timer may be.
pub const TICK: Duration = Duration::from_millis(2);
/// I14: so long after a deadline nothing of it may be alive.
pub const LATE_MAX: Duration = Duration::from_secs(1);

/// What is known of a job.
pub struct Book {
    pub origin: usize,
    bytes: u32,
    ttl: Duration,
    /// Its own limit of one attempt.
    timeout: Option<Duration>,
    /// When its line was there to be read.
    arrived: Instant,
    pub(super) accepted: Instant,
    /// Requests of this attempt that its receiver saw begin, and whether the last was on a kept-alive connection.
    pub(super) sent: u32,
    pub(super) was_reused: bool,
    /// Attempts that failed and count.
    pub failed: u32,
    /// Statuses that the receiver has answered, one bit each.
    answered: [u64; 16],
    /// What it was last asked to wait: at least, and at most (a date is reckoned from when it is read).
    pub(super) asked: Option<[Duration; 2]>,
    /// A head that came whole.
    pub(super) heard: Option<u16>,
    /// When its next attempt is due.
    pub(super) due: Instant,
    pub done: Option<Outcome>,
    pub ended: Instant,
    /// What the attempt took that delivered it.
    pub answered_in: Duration,
    has_result: bool,
    pub(super) safety: Safety,
}

/// How often each thing happened, by its kind and its name.
pub type Seen = BTreeMap<(&'static str, &'static str), u64>;

/// What is known of everything.
pub struct Model {
    pub books: Vec<Book>,
    pub breakers: Vec<Breaker>,
    /// Lines that are no jobs and not blank.
    pub no_jobs: u64,
    pub accepted: u64,
    pub ended: u64,
    pub results: u64,
    /// Attempts of all jobs that have ended.
    pub attempts: u64,
    /// Jobs that have ended, which is not known to be safe.
    pub(super) ended_unsafely: Vec<u32>,
    /// Room was so short in some life that ids of delivered jobs were forgotten: they may come once more.
    pub(super) has_forgotten: bool,
    /// When the process was started.
    pub(super) born: Instant,
    /// When the driver stood still, and until when.
    pauses: Vec<(Instant, Instant)>,
    /// Attempts may end uncounted: what began when is not known exactly.
    pub is_vague: bool,
    /// Attempts of which the receiver has seen a request begin.
    begun: Vec<u64>,
    /// Starts of the process: each begins with a full bucket.
    pub(super) starts: u64,
    /// What holds for each origin now, and the loosest that does at some time.
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    pub loosest: Vec<Endpoint>,
    /// No attempt may last longer.
    pub attempt_max: Duration,
    /// How often each thing happened that has a name: what a run never sees, it does not test.
    pub seen: Seen,
}

impl Book {
    pub fn new(
        now: Instant,
        origin: usize,
        bytes: u32,
        ttl: Duration,
        timeout: Option<Duration>,
    ) -> Book {
        let never = Instant::from_nanos(0);
        Book {
            origin,
            bytes,
            ttl,
            timeout,
            arrived: now,
            accepted: never,
            sent: 0,
            was_reused: false,
            failed: 0,
            answered: [0; 16],
            asked: None,
            heard: None,
            due: never,
            done: None,
            ended: never,
            answered_in: Duration::ZERO,
            has_result: false,
            safety: Safety::default(),
        }
    }

    /// From acceptance to outcome.
    pub fn took(&self) -> Duration {
        self.ended.since(self.accepted)
    }

    /// Whether an attempt that lasted so long ended with the job's time, of which waiting had left it little.
    fn had_scant_time(&self, endpoint: &Endpoint, started: Instant, elapsed: Duration) -> bool {
        let left = (self.accepted + self.ttl).since(started);
        let timeout = self.timeout.unwrap_or(endpoint.timeout);
        left < timeout.min(self.ttl) / 2 && elapsed + TICK >= left
    }

    /// From when it could be read to outcome: what holds back the feed counts too.
    pub fn took_in_all(&self) -> Duration {
        self.ended.since(self.arrived)
    }

    fn has_answered(&self, status: u16) -> bool {
        let bit = usize::from(status);
        self.answered[bit / 64] >> (bit % 64) & 1 == 1
    }
}

impl Model {
    pub fn new(plan: &Scenario) -> Model {
        let endpoints = plan.endpoints(&plan.policy);
        let loosest = plan.loosest();
        let own = if plan.own_limits {
            Duration::from_secs(12)
        } else {
            Duration::ZERO
        };
        let fragile = plan.name_servers.iter().any(|phases| !phases.is_empty());
        Model {
            books: Vec::with_capacity(plan.jobs as usize),
            breakers: endpoints
                .iter()
                .map(|endpoint| Breaker::new(endpoint))
                .collect(),
            no_jobs: 0,
            accepted: 0,
            ended: 0,
            attempts: 0,
            results: 0,
            ended_unsafely: Vec::new(),
            has_forgotten: false,
            born: Instant::from_nanos(0),
            pauses: Vec::new(),
            is_vague: !plan.pauses.is_empty() || !plan.local_trouble.is_empty() || fragile,
            begun: vec![0; plan.origins.len()],
            starts: 1,
            endpoints,
            attempt_max: loosest.iter().map(|of| of.timeout).fold(own, Duration::max),
            loosest,
            seen: Seen::new(),
        }
    }

    pub fn see(&mut self, kind: &'static str, name: &'static str) {
        *self.seen.entry((kind, name)).or_default() += 1;
    }

    pub fn body_bytes(&self, job: u32) -> u32 {
        self.books[job as usize].bytes
    }

    pub fn on_submitted(&mut self, book: Book) {
        self.books.push(book);
    }

    /// Other settings hold from now on.
    pub fn on_swap(&mut self, endpoints: Vec<Arc<Endpoint>>) {
        for (breaker, endpoint) in self.breakers.iter_mut().zip(&endpoints) {
            breaker.on_swap(endpoint);
        }
        self.endpoints = endpoints;
        self.see("policy", "swap");
    }

    /// Somebody wants a breaker closed, or open until they do.
    pub fn on_order(
        &mut self,
        now: Instant,
        plan: &Scenario,
        origin: &Origin,
        order: BreakerOrder,
    ) {
        let origin = self.origin_of(plan, origin);
        self.breakers[origin].on_order(now, order);
        self.see(
            "order",
            match order {
                BreakerOrder::Reset => "reset",
                BreakerOrder::Isolate => "isolate",
            },
        );
    }

    pub fn on_pause(&mut self, now: Instant, lasts: Duration) {
        self.pauses.push((now, now + lasts));
    }

    /// Intake has taken a job in. Gives its number.
    pub fn on_accepted(&mut self, now: Instant, job: &Job) -> u32 {
        let number = number_of(&job.id);
        let book = &mut self.books[number as usize];
        assert!(book.done.is_none(), "j{number} is taken in after its end");
        book.accepted = now;
        book.due = now;
        self.accepted += 1;
        number
    }

    /// A receiver sees a request begin.
    pub fn on_request(&mut self, job: u32, origin: usize, is_reused: bool, now: Instant) {
        let late = self.pauses_between(self.books[job as usize].accepted, now) + LATE_MAX;
        let book = &mut self.books[job as usize];
        assert_eq!(book.origin, origin, "j{job} goes to its own origin");
        assert!(book.done.is_none(), "j{job} is over and is sent again");
        assert!(now >= book.due, "I6: j{job} goes out before it is due");
        let age = now.since(book.accepted);
        assert!(
            age <= book.ttl + late,
            "I14: j{job} goes out at the age of {age:?}"
        );
        let is_resend = book.sent > 0;
        // Attempts of before the run's first second have their share too.
        if !is_resend {
            self.begun[origin] += 1;
            if let Some(rate) = self.loosest[origin].rate_limit {
                let most = now.as_nanos() / rate.interval().as_nanos() as u64;
                let most = most + self.starts * (u64::from(rate.burst()) + 1);
                let begun = self.begun[origin];
                assert!(
                    begun <= most,
                    "{begun} attempts at {origin}, at most {most}"
                );
            }
        }
        if is_resend && !self.is_vague {
            assert!(
                self.loosest[origin].resend_stale,
                "I5: j{job} is sent again"
            );
            assert_eq!(book.sent, 1, "I5: j{job} is sent again and again");
            assert!(
                book.was_reused && !is_reused,
                "I5: j{job} goes again only from a kept-alive connection to a fresh one"
            );
        }
        book.sent += 1;
        book.was_reused = is_reused;
        if is_resend {
            self.see("wire", "resend");
        }
    }

    /// A receiver has begun to answer.
    pub fn on_answer(&mut self, job: u32, status: u16, asked: Option<[Duration; 2]>) {
        let book = &mut self.books[job as usize];
        book.answered[usize::from(status) / 64] |= 1 << (status % 64);
        book.asked = asked;
    }

    /// The head of an answer to this job has arrived whole.
    pub fn on_head_heard(&mut self, job: u32, status: u16) {
        self.books[job as usize].heard = Some(status);
    }

    /// P1: a 2xx whose head has arrived is the job's end.
    pub fn check_delivered(&self, job: u32, status: u16) {
        let book = &self.books[job as usize];
        assert_eq!(
            book.done,
            Some(Outcome::Delivered),
            "P1: the {status} to j{job} has arrived"
        );
    }

    /// A job has come back. Gives its number.
    pub fn on_done(&mut self, now: Instant, plan: &Scenario, job: &Job, ending: &Ending) -> u32 {
        let number = number_of(&job.id);
        self.ended += 1;
        self.see("outcome", ending.outcome.name());
        let late = self.pauses_between(self.books[number as usize].accepted, now) + LATE_MAX;
        let book = &mut self.books[number as usize];
        assert!(book.done.is_none(), "I17: j{number} ends twice");
        book.done = Some(ending.outcome);
        book.ended = now;
        if plan.spool.is_some() {
            self.ended_unsafely.push(number);
        }
        let progress = &job.progress;
        let counted = book.failed + u32::from(ending.outcome == Outcome::Delivered);
        self.attempts += u64::from(progress.attempts);
        assert_eq!(progress.attempts, counted, "I5: attempts of j{number}");
        assert!(
            progress.attempts as usize <= self.loosest[book.origin].retry_schedule.len() + 1,
            "I5: attempts of j{number}"
        );
        // What had ended before may come back after a crash, and what is not safe is not looked at, however late that is.
        let safe = book.safety.since.max(self.born);
        let age = book.took().min(now.since(safe));
        let is_late = book.took() > book.ttl + late && age > late;
        // Nobody looks at one that waits on disk until there is room for it, or until it is read after a start.
        let parks = plan.spool.as_ref().is_some_and(|spool| spool.parks(plan));
        let may_be_late = parks || book.safety.is_found;
        assert!(
            !is_late || may_be_late,
            "I14: j{number} outlived its ttl: {:?}",
            book.took()
        );
        match ending.outcome {
            Outcome::Delivered => {
                assert!((200..300).contains(&progress.status) && ending.failure.is_none());
                assert_eq!(
                    book.heard,
                    Some(progress.status),
                    "I4: what j{number} was answered"
                );
            }
            Outcome::Expired | Outcome::Rejected | Outcome::Exhausted | Outcome::Blocked => {
                assert!(ending.failure.is_some(), "j{number} failed of something");
            }
            Outcome::Overloaded
            | Outcome::Invalid
            | Outcome::Duplicate
            | Outcome::Kept
            | Outcome::Cancelled => panic!("j{number} ended {:?}", ending.outcome),
        }
        if progress.status != 0 {
            assert!(
                book.has_answered(progress.status) || !is_ours(progress.status),
                "I4: {} to j{number}",
                progress.status
            );
        }
        if let Some(excerpt) = ending
            .failure
            .as_ref()
            .and_then(|failure| failure.excerpt.as_ref())
        {
            let expected = format!("answer to j{number}");
            let shown = excerpt.len().min(expected.len());
            assert_eq!(
                excerpt[..shown],
                expected.as_bytes()[..shown],
                "I4: the answer to j{number}"
            );
        }
        self.check_expected(plan, number);
        if ending.outcome == Outcome::Delivered {
            let started = self.started(number, job.progress.timings.queued);
            let book = &mut self.books[number as usize];
            book.answered_in = now.since(started);
            let origin = book.origin;
            self.vote(now, origin, started, Vote::Success);
        }
        number
    }

    /// The spool is told how far a job is: at the moment at which its attempt has failed.
    pub fn on_attempted(&mut self, now: Now, number: u32, attempt: &Attempt) {
        let book = &self.books[number as usize];
        let wait = book.due.since(now.mono).as_nanos() as u64;
        assert_eq!(
            (attempt.attempts, attempt.due.unix_nanos()),
            (book.failed, now.wall.unix_nanos() + wait),
            "what the spool is told of j{number}"
        );
        self.see("spool", "attempted");
    }

    /// A job leaves its engine until it is due. Gives its number.
    pub fn on_postponed(&mut self, now: Instant, job: &Job) -> u32 {
        let number = number_of(&job.id);
        let book = &self.books[number as usize];
        assert!(job.spooled.is_some(), "j{number} is nowhere else");
        assert_eq!(job.progress.due, book.due, "when j{number} is due");
        assert!(book.due.since(now) > Duration::from_secs(60));
        self.see("spool", "postponed");
        number
    }

    /// Jobs whose fate is clear from the scenario alone.
    fn check_expected(&self, plan: &Scenario, job: u32) {
        let book = &self.books[job as usize];
        let origin = &plan.origins[book.origin];
        let outcome = book.done.expect("it has just ended");
        if origin.denied == Denied::Only {
            assert!(
                outcome != Outcome::Delivered,
                "P4: j{job} went to a forbidden address"
            );
            let is_looked_up = origin.host == HostKind::Name;
            let is_named = origin.phases.is_empty() && plan.name_servers.iter().all(Vec::is_empty);
            // An isolated one may have its jobs fail before anybody looks where they go.
            let is_ordered = plan.orders.iter().any(|(_, of, _)| *of == book.origin);
            if !plan.own_limits && !is_ordered && (is_named || !is_looked_up) {
                assert_eq!(outcome, Outcome::Blocked, "I12: j{job}");
            }
        } else if plan.is_untroubled(book.origin) {
            assert_eq!(
                (outcome, book.failed),
                (Outcome::Delivered, 0),
                "nothing is wrong where j{job} goes"
            );
        }
    }

    /// When the attempt of this job began that has just succeeded.
    fn started(&self, job: u32, queued: Duration) -> Instant {
        self.books[job as usize].due + queued
    }

    /// The engine tells something. Gives what the trace shows of it.
    pub fn on_note(
        &mut self,
        now: Instant,
        plan: &Scenario,
        note: &Note,
    ) -> (&'static str, [u64; 2]) {
        match note {
            Note::AttemptFailed {
                id,
                attempt,
                kind,
                message,
                status,
                elapsed,
                next,
                ..
            } => {
                let job = number_of(id);
                self.see("failure", kind.name());
                let failure = Failed {
                    attempt: *attempt,
                    kind: *kind,
                    is_outgrown: message.ends_with("longer by now)"),
                    status: *status,
                    elapsed: *elapsed,
                    next: *next,
                };
                self.on_attempt_failed(now, job, failure);
                (
                    "attempt failed",
                    [job.into(), u64::from(*status) << 8 | *kind as u64],
                )
            }
            Note::Breaker { origin, open_for } => {
                let origin = self.origin_of(plan, origin);
                self.breakers[origin].on_told(now, *open_for);
                let what = if open_for.is_some() {
                    "breaker opens"
                } else {
                    "breaker closes"
                };
                (what, [origin as u64, 0])
            }
            Note::Isolated { origin } => {
                let origin = self.origin_of(plan, origin);
                assert!(self.breakers[origin].is_isolated(), "nobody wanted it");
                ("isolated", [origin as u64, 0])
            }
            Note::Held { origin, delay } => {
                let origin = self.origin_of(plan, origin);
                assert!(
                    *delay <= self.endpoints[origin].max_retry_after_hold,
                    "a hold is bounded"
                );
                self.breakers[origin].on_held(now, *delay);
                ("held ms", [origin as u64, delay.as_millis() as u64])
            }
            Note::LocalTrouble { put_off, .. } => ("local trouble", [*put_off, 0]),
            Note::StoodStill { late } => {
                assert!(
                    self.pauses.iter().any(|(from, _)| *from <= now),
                    "nobody stood still"
                );
                ("stood still ms", [late.as_millis() as u64, 0])
            }
            Note::Refused { id, .. } => ("refused", [number_of(id).into(), 0]),
        }
    }

    fn on_attempt_failed(&mut self, now: Instant, number: u32, failed: Failed) {
        let late = self.pauses_between(now - failed.elapsed, now) + LATE_MAX;
        let started = now - failed.elapsed;
        let book = &mut self.books[number as usize];
        book.failed += 1;
        book.sent = 0;
        assert_eq!(
            failed.attempt, book.failed,
            "I5: attempts of j{number} are counted one by one"
        );
        // This machine's own trouble may put off what began long ago.
        let (endpoint, loosest) = (&self.endpoints[book.origin], &self.loosest[book.origin]);
        let timeout = book.timeout.unwrap_or(loosest.timeout);
        let limit = timeout.max(loosest.drain_timeout) + loosest.drain_timeout;
        assert!(
            failed.elapsed <= limit + late,
            "I14: an attempt of j{number} lasted {:?}",
            failed.elapsed
        );
        assert!(
            self.is_vague || started + TICK >= book.due,
            "I6: j{number} begun before it was due"
        );
        if failed.status != 0 {
            assert!(
                book.has_answered(failed.status) || !is_ours(failed.status),
                "I4: {} to j{number}",
                failed.status
            );
        }
        let is_final = failed.status != 0 && !endpoint.retry_statuses.contains(failed.status);
        match failed.next {
            Next::Retry(wait) => {
                assert!(!is_final, "{} to j{number} is final", failed.status);
                let scheduled = endpoint.retry_schedule.get(book.failed as usize - 1);
                let scheduled =
                    *scheduled.unwrap_or_else(|| panic!("I5: j{number} has no retry left"));
                let asked = book.asked.filter(|_| matches!(failed.status, 429 | 503));
                let asked = asked
                    .unwrap_or_default()
                    .map(|asked| asked.min(endpoint.max_retry_after));
                let [least, most] = asked.map(|asked| scheduled.max(asked));
                assert!(
                    wait >= least && wait <= most * 6 / 5 + TICK,
                    "I6: j{number} waits {wait:?}, not {least:?} to {most:?}"
                );
                book.due = now + wait;
            }
            Next::Ended(Outcome::Rejected) => {
                assert!(is_final, "{} to j{number} is not final", failed.status)
            }
            Next::Ended(Outcome::Exhausted) => {
                let none_left = book.failed as usize > endpoint.retry_schedule.len();
                assert!(
                    none_left,
                    "I5: j{number} is given up after {} attempts",
                    book.failed
                );
            }
            Next::Ended(Outcome::Expired) => {}
            Next::Ended(outcome) => panic!("j{number} ends {outcome:?} of a failed attempt"),
        }
        let origin = book.origin;
        let vote = match (failed.status, failed.kind) {
            (429, _) | (_, ErrorKind::Local) => Vote::Neutral,
            (0, ErrorKind::Timeout) if failed.is_outgrown => Vote::Neutral,
            (0, ErrorKind::Timeout) if book.had_scant_time(endpoint, started, failed.elapsed) => {
                Vote::Neutral
            }
            _ if is_final => Vote::Success,
            (0, ErrorKind::Dns) => self.breakers[origin].vote_of_absence(started),
            _ => Vote::Failure,
        };
        self.vote(now, origin, started, vote);
    }

    fn vote(&mut self, now: Instant, origin: usize, started: Instant, vote: Vote) {
        self.breakers[origin].on_vote(now, started, vote, self.is_vague);
    }

    /// Result lines have been written.
    pub fn on_results(&mut self, lines: &[u8]) {
        for line in lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            self.results += 1;
            let Some(rest) = line.strip_prefix(b"{\"id\":\"j") else {
                continue;
            };
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
            let job = digits.fold(0_usize, |number, digit| {
                number * 10 + usize::from(digit - b'0')
            });
            let book = &mut self.books[job];
            assert!(book.done.is_some(), "a result of j{job}, which is not over");
            assert!(!book.has_result, "I17: two results of j{job}");
            book.has_result = true;
        }
    }

    /// How long the driver stood still between two times.
    pub fn pauses_between(&self, from: Instant, to: Instant) -> Duration {
        self.pauses
            .iter()
            .map(|(start, end)| (*end).min(to).since((*start).max(from)))
            .sum()
    }

    pub(super) fn origin_of(&self, plan: &Scenario, origin: &Origin) -> usize {
        (0..plan.origins.len())
            .find(|index| plan.url(*index) == *origin.text)
            .unwrap_or_else(|| panic!("nobody is called {}", origin.text))
    }
}

/// What a note says of a failed attempt.
struct Failed {
    attempt: u32,
    kind: ErrorKind,
    /// It timed out where another would have had more time.
    is_outgrown: bool,
    status: u16,
    elapsed: Duration,
    next: Next,
}

/// Whether a status comes from a head that a receiver wrote for a job, not from one that is wrong.
const fn is_ours(status: u16) -> bool {
    status < 1000
}

pub(super) fn number_of(id: &str) -> u32 {
    id.strip_prefix('j')
        .and_then(|id| id.parse().ok())
        .expect("an id that was submitted")
}
