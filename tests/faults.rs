//! The fault matrix: for each numbered fault what the engine makes of it, all four results of the attempt.
//!
//! A row is a fault's number, what happens to one attempt, and what must follow: the job's verdict, the breaker's
//! vote, whether the connection may carry another request, and whether the attempt counts (in the verdict, as the
//! fault list writes it). The engine is real; what happens is played to it.
//!
//! How each result is seen: the verdict in what comes out; the connection's fate in whether it was closed; the vote by
//! a failure before the attempt and one after it, with a breaker that opens at the second in a row: a failure opens
//! it at once, a success lets neither open it, and what has no vote lets the second do it.
//!
//! Not here: waits between attempts, holds, probes (`golden`); bytes of TLS and DNS (`io`, `wire`, `e2e`).

use std::sync::Arc;
use std::time::Duration;

use conduit::base::time::{Instant, Now, Wall};
use conduit::engine::Engine;
use conduit::engine::breaker::BreakerState;
use conduit::engine::event::{Cause, CauseKind, Input, Next, Note, Output, SockId};
use conduit::engine::policy::{AllowNet, Endpoint, Policy};
use conduit::wire::job::{Source, Timings};
use conduit::wire::job_line::JobLine;
use conduit::wire::names::Names;
use conduit::wire::report::Outcome;

use Fate::{Closed, Kept};
use Step::{At, Break, End, Fail, Got, Late, Sent, SentSome, Upset};
use Verdict::{Counted, Deferred, Delivered, Final, Free};
use Vote::{Failure, None as NoVote, Success};

const ORIGIN: &str = "http://127.0.0.1:8080";
const BODY: &str = "0123456789";

/// What happens to the attempt.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Its connection takes the whole request.
    Sent,
    /// … or so many bytes.
    SentSome(usize),
    /// The receiver says this.
    Got(&'static str),
    /// … and closes its side.
    End(&'static str),
    /// The connection breaks.
    Break(CauseKind),
    /// Writing fails.
    Upset(CauseKind),
    /// TCP or TLS does not come up.
    Fail(CauseKind),
    /// So many seconds pass.
    At(u64),
    /// … while this process stands still.
    Late(u64),
}

/// Where the attempt begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    /// On a new connection, which is up.
    Fresh,
    /// On one that has carried a request before.
    Reused,
    /// On one that was idle for over a second: it is looked at before the request goes out.
    Idle,
    /// With a dial.
    Dial,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Delivered,
    /// A retry is due later, and this attempt counts.
    Counted,
    /// Sent again at once, and this one does not.
    Free,
    Final,
    /// A retry is due later, and this attempt does not count.
    Deferred,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Vote {
    Failure,
    Success,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Kept,
    Closed,
}

type Row = (&'static str, Start, &'static [Step], Verdict, Vote, Fate);

struct World {
    engine: Engine,
    mono: Instant,
    /// The connection on which the attempt is.
    sock: Option<SockId>,
    open: Vec<SockId>,
    opened: usize,
    closed: bool,
    jobs: u64,
    verdict: Option<Verdict>,
    /// The ids of the jobs that are over.
    done: Vec<String>,
    /// How long the last attempt that failed has its job wait.
    retry_in: Option<Duration>,
    /// The times of the last attempt of the last job that is over.
    timings: Timings,
}

impl World {
    fn new() -> World {
        World::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Endpoint)) -> World {
        let mut policy = Policy {
            allow_http: true,
            ..Policy::default()
        };
        policy
            .allow_net
            .push(AllowNet::parse("127.0.0.0/8").expect("a range"));
        let endpoint = Arc::make_mut(&mut policy.endpoint);
        endpoint.breaker_failures = 2;
        endpoint.max_connections = 1;
        endpoint.ttl = Duration::from_secs(100_000);
        endpoint.retry_schedule = [5_000, 5_000].map(Duration::from_secs).into();
        change(endpoint);
        let names = Names::parse(b"", b"nameserver 192.0.2.53\n");
        let mono = Instant::from_nanos(0);
        let now = now_at(mono);
        World {
            engine: Engine::new(now, Arc::new(policy), Arc::new(names), [7; 32]),
            mono,
            sock: None,
            open: Vec::new(),
            opened: 0,
            closed: false,
            jobs: 0,
            verdict: None,
            done: Vec::new(),
            retry_in: None,
            timings: Timings::default(),
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.engine.handle_input(now_at(self.mono), input);
        self.settle();
    }

    fn job(&mut self) {
        self.jobs += 1;
        let line = format!(
            r#"{{"id":"{}","url":"{ORIGIN}/","body":"{BODY}"}}"#,
            self.jobs
        );
        self.job_line(&line);
    }

    fn job_line(&mut self, line: &str) {
        let line = JobLine::parse(line.as_bytes()).expect("a job");
        let id = line.id.as_deref().expect("an id").into();
        let origin = Arc::new(line.url.to_origin());
        let job = line.into_job(id, Source::default(), origin, now_at(self.mono));
        self.verdict = None;
        self.opened = 0;
        self.input(Input::Job(job));
    }

    fn settle(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Connect { sock, .. } | Output::Query { sock, .. } => {
                    self.sock = Some(sock);
                    self.open.push(sock);
                    self.opened += 1;
                    self.closed = false;
                }
                Output::Close { sock } => {
                    self.open.retain(|open| *open != sock);
                    if self.sock == Some(sock) {
                        self.sock = None;
                        self.closed = true;
                    }
                }
                Output::Done { job, ending } => {
                    self.done.push(job.id.to_string());
                    self.timings = job.progress.timings;
                    self.verdict = Some(match ending.outcome {
                        Outcome::Delivered => Delivered,
                        Outcome::Exhausted => Final,
                        outcome => {
                            assert_eq!(outcome, Outcome::Rejected, "{ending:?}");
                            assert_eq!(job.progress.attempts, 1);
                            Final
                        }
                    });
                }
                Output::Note(note) => match *note {
                    Note::AttemptFailed {
                        next: Next::Retry(wait),
                        ..
                    } => {
                        self.verdict = Some(Counted);
                        self.retry_in = Some(wait);
                    }
                    Note::LocalTrouble { .. } => self.verdict = Some(Deferred),
                    _ => {}
                },
                _ => {}
            }
        }
        self.engine.check_invariants();
    }

    fn sock(&self) -> SockId {
        self.sock.expect("a socket is open")
    }

    fn sent(&mut self, most: usize) {
        let sock = self.sock();
        let shown = self.engine.transmit(sock).concat().len();
        let bytes = shown.min(most);
        if bytes > 0 {
            self.input(Input::Sent { sock, bytes });
        }
    }

    fn pass(&mut self, seconds: u64) {
        let target = self.mono + Duration::from_secs(seconds);
        loop {
            let due = self.engine.poll_timeout().filter(|due| *due <= target);
            self.mono = due.unwrap_or(target).max(self.mono);
            self.engine.handle_timeout(now_at(self.mono));
            self.settle();
            if due.is_none() {
                return;
            }
        }
    }

    fn step(&mut self, step: Step) {
        let kind_cause = |kind| Cause {
            kind,
            message: "as the row says".into(),
        };
        match step {
            Sent => self.sent(usize::MAX),
            SentSome(bytes) => self.sent(bytes),
            Got(text) | End(text) => {
                let sock = self.sock();
                let bytes = expand(text);
                let end = matches!(step, End(_));
                self.input(Input::Received {
                    sock,
                    bytes: &bytes,
                    end,
                    more: false,
                });
            }
            Break(kind) => {
                let sock = self.sock();
                self.closed = true;
                let cause = kind_cause(kind);
                self.input(Input::Closed { sock, cause });
            }
            Upset(kind) => {
                let sock = self.sock();
                let cause = kind_cause(kind);
                self.input(Input::WriteFailed { sock, cause });
            }
            Fail(kind) => {
                let sock = self.sock();
                self.closed = true;
                let cause = kind_cause(kind);
                self.input(Input::ConnectFailed { sock, cause });
            }
            At(seconds) => self.pass(seconds),
            Late(seconds) => {
                self.mono = self.mono + Duration::from_secs(seconds);
                self.engine.handle_timeout(now_at(self.mono));
                self.settle();
                self.pass(2);
            }
        }
    }

    /// A job whose attempt fails for certain, and leaves no connection behind.
    fn failure(&mut self) {
        self.job();
        self.fail_attempt();
    }

    fn fail_attempt(&mut self) {
        if self.opened > 0 {
            let sock = self.sock();
            self.input(Input::Connected { sock });
        }
        self.sent(usize::MAX);
        self.step(Got("nonsense\r\n\r\n"));
        assert_eq!(self.verdict, Some(Counted));
    }

    fn delivery(&mut self) {
        self.job();
        if self.opened > 0 {
            let sock = self.sock();
            self.input(Input::Connected { sock });
        }
        self.sent(usize::MAX);
        self.step(Got("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(self.verdict, Some(Delivered));
    }

    fn is_open(&self) -> bool {
        self.engine.breaker_state(self.mono, ORIGIN) == Some(BreakerState::Open)
    }
}

fn now_at(mono: Instant) -> Now {
    Now {
        mono,
        wall: Wall::from_unix_nanos(1_700_000_000_000_000_000 + mono.as_nanos()),
    }
}

/// In a text `|` stands for CR LF, `{N}` for N letters.
fn expand(text: &str) -> Vec<u8> {
    let text = text.replace('|', "\r\n");
    let mut bytes = Vec::new();
    let mut rest = &*text;
    while let Some((before, number, after)) = rest.split_once('{').and_then(|(before, behind)| {
        let (number, after) = behind.split_once('}')?;
        Some((before, number.parse::<usize>().ok()?, after))
    }) {
        bytes.extend_from_slice(before.as_bytes());
        bytes.resize(bytes.len() + number, b'x');
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Plays the row's attempt; gives its verdict and the connection's fate.
fn attempt(world: &mut World, start: Start, steps: &[Step]) -> (Verdict, Fate) {
    world.job();
    if start == Start::Fresh {
        let sock = world.sock();
        world.input(Input::Connected { sock });
    }
    let first = world.sock;
    world.opened = 0;
    for step in steps {
        world.step(*step);
    }
    let verdict = match world.verdict {
        Some(verdict) => verdict,
        None if world.opened > 0 && world.sock != first => Free,
        None => panic!("nothing has followed"),
    };
    let fate = if world.closed || world.sock != first {
        Closed
    } else {
        Kept
    };
    (verdict, fate)
}

fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (number, start, steps, verdict, vote, fate) in rows {
        let (seen, seen_vote) = play(*start, steps);
        if (seen, seen_vote) != ((*verdict, *fate), *vote) {
            wrong.push(format!(
                "{number} {steps:?}\n    expected {verdict:?} {vote:?} {fate:?}, found {:?} {seen_vote:?} {:?}",
                seen.0, seen.1
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn play(start: Start, steps: &[Step]) -> ((Verdict, Fate), Vote) {
    let mut world = World::new();
    if matches!(start, Start::Reused | Start::Idle) {
        // The success before the failure, so that there is a connection; then the failure must not take it.
        world.delivery();
        world.job();
        world.sent(usize::MAX);
        world.step(Got("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
    } else {
        world.failure();
    }
    if start == Start::Idle {
        world.pass(3);
    }
    let seen = attempt(&mut world, start, steps);
    if seen.0 == Free {
        // The free resend is the same attempt: it has no vote until that has ended.
        return (seen, if world.is_open() { Failure } else { NoVote });
    }
    if world.is_open() {
        return (seen, Failure);
    }
    if seen.0 == Deferred {
        // The job itself comes back soon, and is the next failure.
        world.pass(3);
        world.fail_attempt();
    } else {
        // Whatever is left of the row's connection is over before the next failure.
        world.pass(440);
        world.failure();
    }
    let vote = if world.is_open() { NoVote } else { Success };
    (seen, vote)
}

const OK: &str = "HTTP/1.1 200 OK|Content-Length: 0||";

#[test]
#[rustfmt::skip]
fn f01_to_f23_the_life_of_a_connection() {
    use CauseKind::{Local, NoNetwork, Refused, Reset, Unreachable};
    use Start::{Dial, Fresh, Idle, Reused};
    check(&[
        ("F01", Reused, &[Sent, End("")], Free, NoVote, Closed),
        ("F01", Reused, &[Sent, Break(Reset)], Free, NoVote, Closed),
        ("F01", Reused, &[SentSome(9), Upset(Reset), End("")], Free, NoVote, Closed),
        ("F02", Fresh, &[Sent, End("")], Counted, Failure, Closed),
        ("F02", Fresh, &[Sent, Break(Reset)], Counted, Failure, Closed),
        ("F03", Fresh, &[Sent, Got("HTTP/1.1 2"), Break(Reset)], Counted, Failure, Closed),
        ("F03", Reused, &[Sent, Got("HTTP/1.1 200 OK|"), End("")], Counted, Failure, Closed),
        ("F04", Idle, &[End("")], Free, NoVote, Closed),
        ("F04", Idle, &[Got("HTTP/1.1 408 Bye||")], Free, NoVote, Closed),
        ("F05", Fresh, &[Sent, End(OK)], Delivered, Success, Closed),
        ("F06", Fresh, &[SentSome(9), End("")], Counted, Failure, Closed),
        ("F07", Fresh,
            &[SentSome(9), Upset(Reset), Got("HTTP/1.1 413 Big|Content-Length: 0||")],
            Final, Success, Closed),
        ("F07", Fresh, &[SentSome(9), Upset(Reset), Break(Reset)], Counted, Failure, Closed),
        ("F08", Fresh, &[SentSome(9), Got("HTTP/1.1 413 Big|Content-Length: 0||")], Final, Success, Closed),
        ("F08", Fresh, &[SentSome(9), Got("HTTP/1.1 503 Busy|Content-Length: 0||")], Counted, Failure, Closed),
        ("F09", Fresh, &[SentSome(9), Got(OK), Sent], Delivered, Success, Closed),
        ("F10", Dial, &[At(6)], Counted, Failure, Closed),
        ("F11", Dial, &[Fail(Refused)], Counted, Failure, Closed),
        ("F11", Dial, &[Fail(Unreachable)], Counted, Failure, Closed),
        ("F11", Dial, &[Fail(NoNetwork)], Deferred, NoVote, Closed),
        ("F12", Fresh, &[Sent, At(11)], Counted, Failure, Closed),
        ("F13", Fresh, &[Sent, Got("HTTP/1.1 200 OK|A: "), At(11)], Counted, Failure, Closed),
        ("F14", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Connection: x, Close|Content-Length: 0||")],
            Delivered, Success, Closed),
        ("F15", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Keep-Alive: timeout=5, max=1|Content-Length: 0||")],
            Delivered, Success, Kept),
        ("F15", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Keep-Alive: timeout=1|Content-Length: 0||")],
            Delivered, Success, Closed),
        ("F19", Dial, &[Fail(Local)], Deferred, NoVote, Closed),
        ("F20", Fresh, &[SentSome(9), Upset(Local)], Deferred, NoVote, Closed),
        ("F20", Fresh, &[Sent, Break(Local)], Deferred, NoVote, Closed),
        ("F21", Dial, &[Fail(Local)], Deferred, NoVote, Closed),
        ("F23", Fresh, &[SentSome(9), At(11)], Counted, Failure, Closed),
        ("F87", Fresh, &[Sent, Late(30)], Deferred, NoVote, Closed),
        ("F87", Dial, &[Late(30)], Deferred, NoVote, Closed),
    ]);
}

#[test]
#[rustfmt::skip]
fn f24_to_f44_heads() {
    use Start::{Fresh, Reused};
    check(&[
        ("F24", Fresh,
            &[Sent, Got("HTTP/1.1 100 Continue||HTTP/1.1 200 OK|Content-Length: 0||")],
            Delivered, Success, Kept),
        ("F25", Fresh,
            &[Sent, Got("HTTP/1.1 103 Early|A: {40000}||"), Got("HTTP/1.1 103 Early|A: {40000}||")],
            Counted, Failure, Closed),
        ("F26", Fresh, &[Sent, End("HTTP/1.1 102 Wait||")], Counted, Failure, Closed),
        ("F26", Reused, &[Sent, End("HTTP/1.1 102 Wait||")], Counted, Failure, Closed),
        ("F27", Fresh, &[Sent, Got("HTTP/1.1 101 Switching|Upgrade: x||")], Counted, Failure, Closed),
        ("F28", Fresh, &[Sent, Got("HTTP/1.0 200 OK|Content-Length: 0||")], Delivered, Success, Closed),
        ("F28", Fresh,
            &[Sent, Got("HTTP/1.0 200 OK|Connection: keep-alive|Content-Length: 0||")],
            Delivered, Success, Kept),
        ("F28", Fresh,
            &[Sent, Got("HTTP/1.0 200 OK|Transfer-Encoding: chunked|Connection: keep-alive||0||")],
            Delivered, Success, Closed),
        ("F29", Fresh, &[Sent, Got("PRI * HTTP/2.0||")], Counted, Failure, Closed),
        ("F29", Fresh, &[Sent, Got("HEAT/1.1 200 OK||")], Counted, Failure, Closed),
        ("F29", Fresh, &[Sent, Got("ICY 200 OK||")], Counted, Failure, Closed),
        ("F29", Fresh, &[Sent, Got("<html>{40}")], Counted, Failure, Closed),
        ("F30", Fresh, &[Sent, Got("HTTP/1.1 099 No||")], Counted, Failure, Closed),
        ("F30", Fresh, &[Sent, Got("HTTP/1.1 20 No||")], Counted, Failure, Closed),
        ("F30", Fresh, &[Sent, Got("HTTP/1.1 -200 No||")], Counted, Failure, Closed),
        ("F30", Fresh, &[Sent, Got("HTTP/1.1 2000 No||")], Counted, Failure, Closed),
        ("F30", Fresh, &[Sent, Got("HTTP/1.1 600 Odd|Content-Length: 0||")], Counted, Failure, Kept),
        ("F33", Fresh, &[Sent, Got("HTTP/1.1 200 OK|Content-Length: -1||")], Counted, Failure, Closed),
        ("F33", Fresh, &[Sent, Got("HTTP/1.1 200 OK|Content-Length: +5||")], Counted, Failure, Closed),
        ("F33", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Content-Length: 18446744073709551616||")],
            Counted, Failure, Closed),
        ("F34", Fresh, &[Sent, Got("HTTP/1.1 200 OK|Content-Length: 2, 2||ok")], Delivered, Success, Kept),
        ("F34", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 3||ok")],
            Counted, Failure, Closed),
        ("F41", Fresh, &[Sent, Got("HTTP/1.1 200 OK|A: b| c|Content-Length: 0||")], Delivered, Success, Closed),
        ("F42", Fresh, &[Sent, Got("HTTP/1.1 200 OK\nContent-Length: 0\n\n")], Delivered, Success, Closed),
        ("F42", Fresh, &[Sent, Got("HTTP/1.1 200 OK|A: b\rc||")], Counted, Failure, Closed),
        ("F42", Fresh, &[Sent, Got("HTTP/1.1 200 OK|A: \0||")], Counted, Failure, Closed),
        ("F43", Fresh, &[Sent, Got("HTTP/1.1 200 OK|A : b||")], Counted, Failure, Closed),
        ("F43", Fresh, &[Sent, Got("HTTP/1.1 200 OK|no colon||")], Counted, Failure, Closed),
        ("F43", Fresh, &[Sent, Got("|HTTP/1.1 200 OK||")], Counted, Failure, Closed),
        ("F44", Fresh, &[Sent, Got("HTTP/1.1 200 OK|A: {66000}")], Counted, Failure, Closed),
        ("F45", Fresh, &[Sent, Got("H"), At(4), Got("T"), At(4), Got("T"), At(4)], Counted, Failure, Closed),
    ]);
}

#[test]
#[rustfmt::skip]
fn f31_to_f47_bodies() {
    use Start::Fresh;
    check(&[
        ("F31", Fresh, &[Sent, Got("HTTP/1.1 200 OK||until"), End(" close")], Delivered, Success, Closed),
        ("F32", Fresh, &[Sent, Got("HTTP/1.1 204 None|Content-Length: 2||no")], Delivered, Success, Closed),
        ("F35", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Content-Length: 3|Transfer-Encoding: chunked||0||")],
            Delivered, Success, Closed),
        ("F36", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Transfer-Encoding: gzip||zip"), End("")],
            Delivered, Success, Closed),
        ("F36", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Transfer-Encoding: chunked, chunked||0||"), At(6)],
            Delivered, Success, Closed),
        ("F37", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Transfer-Encoding: chunked||1;{20000}")],
            Delivered, Success, Closed),
        ("F38", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Transfer-Encoding: chunked||11111111111111111|")],
            Delivered, Success, Closed),
        ("F39", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Transfer-Encoding: chunked||1\nx|0||")],
            Delivered, Success, Closed),
        ("F40", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Transfer-Encoding: chunked||0|Content-Length: 9||")],
            Delivered, Success, Kept),
        ("F45", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Content-Length: 9||1"), At(3), Got("2"), At(3)],
            Delivered, Success, Closed),
        // Whose first bytes are part of the result, too: a drip does not prolong the time that they have.
        ("F45", Fresh,
            &[Sent, Got("HTTP/1.1 404 No|Content-Length: 9||1"), At(3), Got("2"), At(3)],
            Final, Success, Closed),
        ("F46", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Transfer-Encoding: chunked||fffff|{66000}")],
            Delivered, Success, Closed),
        ("F47", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Content-Length: 0||HTTP/1.1 200 OK|")],
            Delivered, Success, Closed),
        ("F56", Fresh,
            &[Sent, Got("HTTP/1.1 200 OK|Content-Encoding: gzip|Content-Length: 99999999||{66000}")],
            Delivered, Success, Closed),
        ("F57", Fresh, &[Sent, Got("HTTP/1.1 200 OK|Content-Length: 2||"), End("ok")], Delivered, Success, Closed),
        ("F58", Fresh, &[Sent, Got("HTTP/1.1 200 OK|Content-Length: 9||"), End("ok")], Delivered, Success, Closed),
        ("F58", Fresh, &[Sent, Got("HTTP/1.1 404 No|Content-Length: 9||"), End("no")], Final, Success, Closed),
    ]);
}

#[test]
#[rustfmt::skip]
fn f50_to_f55_statuses() {
    use Start::Fresh;
    check(&[
        ("F50", Fresh,
            &[Sent, Got("HTTP/1.1 307 There|Location: http://127.0.0.2/|Content-Length: 0||")],
            Final, Success, Kept),
        ("F51", Fresh, &[Sent, Got("HTTP/1.1 408 Slow|Content-Length: 0||")], Counted, Failure, Closed),
        ("F52", Fresh, &[Sent, Got("HTTP/1.1 429 Many|Content-Length: 0||")], Counted, NoVote, Kept),
        ("F54", Fresh, &[Sent, Got("HTTP/1.1 421 Elsewhere|Content-Length: 0||")], Final, Success, Closed),
        ("F54", Fresh, &[Sent, Got("HTTP/1.1 425 Early|Content-Length: 0||")], Counted, Failure, Closed),
        ("F55", Fresh, &[Sent, Got("HTTP/1.1 501 No|Content-Length: 0||")], Counted, Failure, Kept),
        ("F55", Fresh, &[Sent, Got("HTTP/1.1 505 No|Content-Length: 0||")], Counted, Failure, Kept),
        ("F55", Fresh, &[Sent, Got("HTTP/1.1 511 No|Content-Length: 0||")], Counted, Failure, Kept),
    ]);
}

#[test]
#[rustfmt::skip]
fn f59_to_f66_tls() {
    use CauseKind::Tls;
    use Start::{Dial, Fresh, Reused};
    check(&[
        ("F59", Dial, &[Fail(Tls)], Counted, Failure, Closed),
        ("F60", Dial, &[Fail(Tls)], Counted, Failure, Closed),
        // The alert of a server that wanted a certificate shows up with the first read (RFC 8446 section 4.4.2).
        ("F60", Fresh, &[Sent, Break(Tls)], Counted, Failure, Closed),
        ("F60", Reused, &[Sent, Break(Tls)], Counted, Failure, Closed),
        ("F63", Dial, &[Fail(Tls)], Counted, Failure, Closed),
        ("F66", Dial, &[At(6)], Counted, Failure, Closed),
    ]);
}

/// A receiver may ask to be left alone with a 429 or a 503; elsewhere the field is about something else (a 3xx: how
/// long the other place is not there yet, RFC 9110 section 10.2.3), and holds nobody back.
#[test]
fn f135_the_times_told_are_those_of_the_last_attempt_though_it_had_no_connection() {
    let seconds = Duration::from_secs;
    for (by, connect) in [(Fail(CauseKind::Refused), seconds(2)), (At(60), seconds(3))] {
        let mut world = World::with(|endpoint| {
            endpoint.retry_schedule = [seconds(5)].into();
            endpoint.connect_timeout = seconds(3);
            endpoint.idle_timeout = seconds(1);
        });
        world.job();
        world.pass(1);
        let sock = world.sock();
        world.input(Input::Connected { sock });
        world.sent(usize::MAX);
        world.pass(1);
        world.step(Got("HTTP/1.1 500 X|Content-Length: 0||"));
        assert_eq!(world.verdict, Some(Counted));
        let wait = world.retry_in.expect("it is tried again");
        world.pass(wait.as_secs());
        world.pass(1);
        // The dial of the retry is on its way, since less than a second.
        let begun = world.mono;
        assert!(world.sock.is_some());
        world.pass(1);
        world.step(by);
        assert_eq!(world.verdict, Some(Final), "{by:?} at {begun:?}");
        let times = world.timings;
        assert_eq!((times.dns, times.tls, times.first_byte), Default::default());
        let least = connect.saturating_sub(seconds(1));
        assert!((least..=connect).contains(&times.connect), "{times:?}");
        assert!(times.connect > seconds(1), "{times:?}");
    }
}

#[test]
fn f133_retry_after_lengthens_the_jobs_own_wait_on_any_status_that_is_retried() {
    for (status, asked, least, most) in [
        (502, "60", 60.0, 72.0),
        (504, "8.4", 9.0, 10.8),
        (500, "299.997", 300.0, 360.0),
        (408, "60", 60.0, 72.0),
        (425, "60", 60.0, 72.0),
        (429, "60", 60.0, 72.0),
        (503, "60", 60.0, 72.0),
        (500, "1", 5.0, 6.0),
        // Never beyond maxRetryAfter, however it is lengthened.
        (500, "3500", 3_500.0, 3_600.0),
        (500, "3600", 3_600.0, 3_600.0),
        (503, "86400", 3_600.0, 3_600.0),
    ] {
        let mut world = World::with(|endpoint| {
            endpoint.retry_schedule = [Duration::from_secs(5)].into();
        });
        world.job();
        let sock = world.sock();
        world.input(Input::Connected { sock });
        world.sent(usize::MAX);
        let answer = format!("HTTP/1.1 {status} X|Retry-After: {asked}|Content-Length: 0||");
        world.input(Input::Received {
            sock,
            bytes: &expand(&answer),
            end: false,
            more: false,
        });
        let wait = world.retry_in.expect("it is tried again").as_secs_f64();
        assert!(
            (least..=most).contains(&wait),
            "{status}, {asked}: {wait} s"
        );
    }
}

#[test]
fn f53_a_job_is_held_by_retry_after_of_another_with_429_and_503_only() {
    for (status, is_held) in [
        (200, false),
        (301, false),
        (404, false),
        (500, false),
        (429, true),
        (503, true),
    ] {
        let mut world = World::new();
        world.job();
        let sock = world.sock();
        world.input(Input::Connected { sock });
        world.sent(usize::MAX);
        let answer = format!("HTTP/1.1 {status} X|Retry-After: 60|Content-Length: 0||");
        world.input(Input::Received {
            sock,
            bytes: &expand(&answer),
            end: false,
            more: false,
        });
        world.job();
        let has_begun = !world.engine.transmit(sock).concat().is_empty();
        assert_eq!(has_begun, !is_held, "{status}");
    }
}

#[test]
fn f15_a_hint_never_raises_our_own_limit() {
    for (hints, gone_after) in [
        (&["timeout=3600"][..], 120),
        (&["timeout=9", "timeout=3600"], 8),
    ] {
        let mut world = World::new();
        for hint in hints {
            world.job();
            let sock = world.sock();
            if world.opened > 0 {
                world.input(Input::Connected { sock });
            }
            world.sent(usize::MAX);
            let answer = format!("HTTP/1.1 200 OK|Keep-Alive: {hint}|Content-Length: 0||");
            world.input(Input::Received {
                sock,
                bytes: &expand(&answer),
                end: false,
                more: false,
            });
        }
        world.pass(gone_after - 1);
        assert!(!world.closed, "{hints:?}");
        world.pass(1);
        assert!(world.closed, "{hints:?}");
    }
}

/// What a name server says of a name decides as any other fault does. The answers are the queries themselves, turned
/// around: no record in them, and this code.
#[test]
fn f68_to_f70_and_f85_names() {
    for (number, url, rcode, verdict) in [
        ("F68", "http://gone.example:8080/", 3, Counted),
        ("F69", "http://broken.example:8080/", 2, Deferred),
        ("F69", "http://refused.example:8080/", 5, Deferred),
        ("F70", "http://empty.example:8080/", 0, Counted),
    ] {
        let mut world = World::new();
        world.job_line(&format!(r#"{{"id":"a","url":"{url}"}}"#));
        // Both families, and whoever is asked again in the next rounds.
        for _ in 0..16 {
            let Some(sock) = world.sock else { break };
            let mut message = world.engine.transmit(sock).concat();
            message[2] |= 0x80;
            message[3] = 0x80 | rcode;
            world.input(Input::Answer {
                sock,
                message: &message,
            });
            world.sock = world.open.last().copied();
        }
        assert_eq!(world.verdict, Some(verdict), "{number} {url}");
    }
    let mut world = World::new();
    world.job_line(r#"{"id":"a","url":"http://x.onion:8080/"}"#);
    assert_eq!((world.verdict, world.open.len()), (Some(Counted), 0), "F85");
}

#[test]
fn f18_origins_that_differ_in_scheme_or_port_share_no_connection() {
    let mut world = World::new();
    world.delivery();
    for url in ["http://127.0.0.1:8081/", "http://127.0.0.2:8080/"] {
        world.job_line(&format!(r#"{{"id":"a","url":"{url}"}}"#));
        assert_eq!(world.opened, 1, "{url}");
    }
    world.job_line(r#"{"id":"a","url":"https://127.0.0.1:8080/"}"#);
    assert_eq!(world.opened, 1, "https");
    world.job();
    assert_eq!(world.opened, 0, "the same origin");
}

#[test]
fn f48_bytes_on_an_idle_connection_close_it_and_harm_no_job() {
    for (text, end) in [
        ("HTTP/1.1 408 Bye|Content-Length: 0||", false),
        ("x", true),
        ("", true),
    ] {
        let mut world = World::new();
        world.delivery();
        let sock = world.sock();
        let bytes = expand(text);
        world.input(Input::Received {
            sock,
            bytes: &bytes,
            end,
            more: false,
        });
        assert!(world.closed, "{text:?}");
        world.delivery();
        assert_eq!(world.opened, 1, "{text:?}");
        assert_eq!(
            world.engine.breaker_state(world.mono, ORIGIN),
            Some(BreakerState::Closed)
        );
    }
}

/// A response that was sent before its request can't be told from a true one in HTTP/1.1. What keeps it away: a
/// request goes out only on a connection that owes nothing, so no answer can be another job's.
#[test]
fn f17_f49_a_connection_carries_one_request_at_a_time_first_in_first_out() {
    let mut world = World::new();
    world.job();
    let sock = world.sock();
    world.input(Input::Connected { sock });
    world.sent(usize::MAX);
    world.job();
    world.job();
    for id in ["1", "2", "3"] {
        assert_eq!(world.opened, 0, "one connection is all there may be");
        let shown = world.engine.transmit(sock).concat();
        let shown = String::from_utf8_lossy(&shown);
        assert!(shown.is_empty() || shown.contains(&format!("webhook-id: {id}")));
        world.sent(usize::MAX);
        assert_eq!(
            world.engine.transmit(sock).concat(),
            b"",
            "until it is answered"
        );
        world.step(Got(OK));
        assert_eq!(world.done.last().map(String::as_str), Some(id));
    }
}

/// A connection whose response is over, while more may have come than was read. Its socket, and a second job behind.
fn f115_over_but_unread() -> (World, SockId) {
    let mut world = World::new();
    world.job();
    let sock = world.sock();
    world.input(Input::Connected { sock });
    world.sent(usize::MAX);
    world.input(Input::Received {
        sock,
        bytes: &expand("HTTP/1.1 200 OK|Content-Length: 0||"),
        end: false,
        more: true,
    });
    assert_eq!(world.verdict, Some(Delivered));
    world.job();
    let shown = world.engine.transmit(sock).concat();
    assert!(shown.is_empty(), "a request on a connection not read out");
    (world, sock)
}

#[test]
fn f115_what_came_behind_a_response_is_no_answer_to_the_next_request() {
    let (mut world, sock) = f115_over_but_unread();
    world.input(Input::Received {
        sock,
        bytes: &expand("HTTP/1.1 418 Teapot|Content-Length: 0||"),
        end: false,
        more: false,
    });
    assert_ne!(world.sock(), sock, "surplus costs the connection");
    assert_ne!(world.verdict, Some(Final), "the next job got the 418");
}

#[test]
fn f115_a_connection_that_is_read_out_is_reused() {
    let (mut world, sock) = f115_over_but_unread();
    world.closed = false;
    world.input(Input::Received {
        sock,
        bytes: b"",
        end: false,
        more: false,
    });
    assert!(!world.closed, "nothing is wrong with it");
    world.job();
    let shown = world.engine.transmit(sock).concat();
    assert!(!shown.is_empty(), "it carries the next request");
}
