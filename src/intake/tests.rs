//! Stories: a shell and engines made of a few vectors, and a clock that only the story moves.

use std::time::Duration;

use super::client::{CHUNKS_AHEAD, RESULT_BYTES_MAX};
use super::event::{Access, EngineId};
use super::ledger::{GRANT_LINES, PACE, WAITING_MIN};
use super::orders::What;
use super::*;
use crate::base::time::Wall;
use crate::wire::health::Status;
use crate::wire::report::{ErrorKind, Failure};
use crate::wire::spool::{JobKey, Refusal};

const SETTINGS: Settings = Settings {
    max_job_bytes: 10_000,
    max_pending: 100_000,
    max_pending_bytes: 256 << 20,
    max_queued: 10_000,
    max_connections: 50,
    ttl: Duration::from_secs(3600),
    max_client_pending: 10_000,
    serves: false,
    spools: false,
    uid: 0,
    engines: 2,
    timings: false,
};

mod chance;
mod letters;
mod limits;
mod orders;
mod pretend;
mod sockets;
mod spool;
mod users;

struct World {
    intake: Intake,
    now: Now,
    stdin: ClientId,
    reads: usize,
    out: Vec<(EngineId, Box<Job>)>,
    /// Whose chunks are asked for.
    asked: Vec<ClientId>,
    /// Clients that are to be written to, and that were closed.
    writes: Vec<ClientId>,
    closed: Vec<ClientId>,
    /// Whose breakers are to be what.
    breakers: Vec<(EngineId, String, bool)>,
    engines_asked: Vec<EngineId>,
    /// What is to be said in the log of dead letters.
    taken: Vec<(&'static str, usize)>,
    /// What is to be said in the log of jobs whose client may be gone.
    revived: Vec<String>,
    /// The journal, where there is one.
    pretend: pretend::Pretend,
}

impl World {
    fn new(settings: Settings) -> World {
        let now = Now {
            mono: Instant::default(),
            wall: Wall::from_unix_seconds(1_700_000_000),
        };
        let mut intake = Intake::new(now, settings, Rng::from_seed([1; 32]), [2, 3]);
        let stdin = intake.open(Kind::Feed);
        World {
            intake,
            now,
            stdin,
            reads: 0,
            out: Vec::new(),
            asked: Vec::new(),
            writes: Vec::new(),
            closed: Vec::new(),
            breakers: Vec::new(),
            engines_asked: Vec::new(),
            taken: Vec::new(),
            revived: Vec::new(),
            pretend: pretend::Pretend::default(),
        }
    }

    /// Another process, a minute later, with what is on disk.
    fn restart(self, settings: Settings) -> World {
        let mut world = World {
            pretend: self.pretend.restart(),
            ..World::new(settings)
        };
        world.now.wall = Wall::from_unix_seconds(self.now.wall.unix_seconds() + 60);
        world.settle();
        world
    }

    /// All that was stored up to this key is safe.
    fn durable(&mut self, up_to: u64) {
        let up_to = JobKey(up_to);
        self.pretend.durable(up_to);
        self.input(Input::Durable { up_to });
        self.settle();
    }

    fn refusal(&mut self, refusal: Option<Refusal>) {
        self.input(Input::Spool { refusal });
        self.settle();
    }

    /// Reads what is wanted from disk, and what is wanted then.
    fn read_disk(&mut self) {
        while !self.pretend.wanted.is_empty() {
            let key = self.pretend.wanted.remove(0);
            let fetched = self.pretend.fetch(key);
            self.input(Input::Fetched { key, fetched });
            self.settle();
        }
    }

    fn input(&mut self, input: Input) {
        self.intake.handle_input(self.now, input);
        self.intake.check_invariants();
    }

    /// Pulls until nothing is left to do now.
    fn settle(&mut self) -> &mut World {
        loop {
            let output = self.intake.poll_output(self.now);
            match output {
                Some(Output::Read { client, buffer }) => {
                    self.asked.push(client);
                    assert!(buffer.is_none_or(|buffer| buffer.is_empty()));
                    self.reads += 1;
                }
                Some(Output::Deliver { engine, job }) => self.out.push((engine, job)),
                Some(Output::Store {
                    job,
                    source,
                    is_generated,
                    line,
                }) => {
                    let now = self.now;
                    let verdict = self.pretend.store(
                        now,
                        (&job.id, job.source.user),
                        is_generated,
                        source,
                        &line,
                    );
                    self.intake.handle_input(
                        self.now,
                        Input::Stored {
                            job,
                            is_generated,
                            line,
                            verdict,
                        },
                    );
                }
                Some(Output::Settle { key, how }) => self.pretend.settle(key, &how),
                Some(Output::Fetch { key }) => self.pretend.wanted.push(key),
                Some(Output::FindLetters(query)) => {
                    let found = Box::new(self.pretend.find_letters(&query));
                    let found = Input::LettersFound(found);
                    self.intake.handle_input(self.now, found);
                }
                Some(Output::Forget { key }) => self.pretend.forget(key),
                Some(Output::Delivered { id, .. }) => self.revived.push(id.into()),
                Some(Output::LettersTaken(taken)) => self.taken.push((taken.deed, taken.count)),
                None if self.intake.wants_found() => {
                    let found = self.pretend.next_pending(self.now);
                    self.intake.handle_input(self.now, Input::Found(found));
                }
                Some(Output::Write { client }) => self.writes.push(client),
                Some(Output::Close { client }) => self.closed.push(client),
                Some(Output::Ask { engine, .. }) => self.engines_asked.push(engine),
                Some(Output::Breaker {
                    engine,
                    origin,
                    isolates,
                    ..
                }) => self
                    .breakers
                    .push((engine, origin.text.to_string(), isolates)),
                Some(Output::Change(change)) => {
                    let result = match change.what() {
                        What::Reload => Err("no file".into()),
                        What::Set { .. } => Ok(()),
                    };
                    let changed = Input::Changed { change, result };
                    self.intake.handle_input(self.now, changed);
                }
                None if self.intake.has_work() => {}
                None => break,
            }
            self.intake.check_invariants();
        }
        let timeout = self.intake.poll_timeout();
        assert!(timeout.is_none_or(|at| at > self.now.mono), "no busy loop");
        self
    }

    fn chunk(&mut self, text: impl Into<Vec<u8>>) -> &mut World {
        let client = self.stdin;
        self.reads = self.reads.saturating_sub(1);
        self.input(Input::Chunk {
            client,
            bytes: text.into(),
        });
        self.settle()
    }

    fn end(&mut self) -> &mut World {
        let client = self.stdin;
        self.input(Input::End {
            client,
            error: None,
        });
        self.settle()
    }

    /// The oldest job to `host` that is out comes back.
    fn done(&mut self, host: &str, outcome: Outcome) {
        let at = self
            .out
            .iter()
            .position(|(_, job)| job.origin.text.ends_with(host));
        let (engine, mut job) = self.out.remove(at.expect("a job of the host is out"));
        job.progress.ended = self.now.mono;
        job.progress.attempts = 1;
        let failure = (outcome != Outcome::Delivered).then(|| {
            Box::new(Failure {
                kind: ErrorKind::Http,
                message: "no".into(),
                excerpt: None,
            })
        });
        let ending = Ending { outcome, failure };
        self.input(Input::Done {
            engine,
            job,
            ending,
        });
    }

    fn appetite(&mut self, engine: u16, waiting: u64, busy: u32) {
        self.input(Input::Appetite {
            engine: EngineId(engine),
            waiting: waiting as u32,
            busy,
        });
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
    }

    /// Takes the results, without having written them.
    fn take(&mut self) -> (usize, String) {
        let mut bytes = Vec::new();
        let count = self.intake.take_results(self.stdin, &mut bytes);
        (count, String::from_utf8(bytes).expect("results are UTF-8"))
    }

    fn written(&mut self, bytes: usize) {
        let client = self.stdin;
        self.input(Input::Written { client, bytes });
    }

    fn results(&mut self) -> String {
        let (count, text) = self.take();
        self.written(count);
        text
    }

    fn hosts(&self, host: &str) -> usize {
        self.out
            .iter()
            .filter(|(_, job)| job.origin.text.ends_with(host))
            .count()
    }
}

impl World {
    fn connect(&mut self, access: Access) -> ClientId {
        let client = self.intake.open(Kind::Socket(access));
        self.settle();
        client
    }

    fn says(&mut self, client: ClientId, text: impl Into<Vec<u8>>) {
        let bytes = text.into();
        self.input(Input::Chunk { client, bytes });
        self.settle();
    }

    fn leaves(&mut self, client: ClientId) {
        self.input(Input::Gone { client });
        self.settle();
    }

    fn hangs_up(&mut self, client: ClientId) {
        self.input(Input::End {
            client,
            error: None,
        });
        self.settle();
    }

    /// What the client reads now.
    fn hears(&mut self, client: ClientId) -> String {
        let mut bytes = Vec::new();
        let count = self.intake.take_results(client, &mut bytes);
        self.writes.retain(|id| *id != client);
        self.input(Input::Written {
            client,
            bytes: count,
        });
        self.settle();
        String::from_utf8(bytes).expect("answers are UTF-8")
    }

    fn held(&mut self, host: &str, held: bool) {
        let (engine, job) = self
            .out
            .iter()
            .find(|(_, job)| job.origin.text.ends_with(host))
            .expect("a job of the host is out");
        let input = Input::Origin {
            engine: *engine,
            origin: std::sync::Arc::clone(&job.origin),
            held,
        };
        self.input(input);
    }
}

fn accepted(id: &str, line: u64) -> String {
    format!("{{\"id\":\"{id}\",\"line\":{line},\"outcome\":\"accepted\"}}\n")
}

/// Id, line and outcome of each line.
fn summary(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |key: &str| value[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", text("id"), value["line"], text("outcome"))
    };
    text.lines().map(line).collect()
}

fn line(host: &str, id: &str) -> String {
    format!("{{\"url\":\"https://{host}/\",\"id\":\"{id}\",\"payload\":1}}\n")
}

#[test]
fn a_line_becomes_a_job_and_the_job_a_result() {
    let mut world = World::new(SETTINGS);
    world.settle();
    assert_eq!(world.reads, CHUNKS_AHEAD);
    world.chunk(line("a", "j1"));
    assert_eq!(
        world.reads, CHUNKS_AHEAD,
        "a chunk's place is asked for anew"
    );
    let (engine, job) = &world.out[0];
    assert_eq!((engine.0, &*job.id, job.source.line), (0, "j1", 1));
    assert_eq!(job.accepted, world.now);
    world.end();
    world.pass(Duration::from_micros(3_250));
    assert!(!world.intake.is_finished());
    world.done("a", Outcome::Delivered);
    assert!(!world.intake.is_finished(), "not before it is written");
    assert_eq!(
        world.results(),
        "{\"id\":\"j1\",\"line\":1,\"outcome\":\"delivered\",\"attempts\":1,\
         \"durationMs\":3.25,\"origin\":\"https://a\"}\n"
    );
    assert!(world.intake.is_finished() && world.intake.all_delivered());
}

#[test]
fn f91_lines_may_be_cut_anywhere_and_end_as_they_like() {
    let text = format!(
        "\u{feff}{}\r\n\n  \t\n{}",
        line("a", "é").trim_end().replace('é', "e"),
        line("a", "2").trim_end()
    );
    for cut in 1..text.len() {
        let mut world = World::new(SETTINGS);
        world
            .chunk(&text.as_bytes()[..cut])
            .chunk(&text.as_bytes()[cut..])
            .end();
        let ids: Vec<(&str, u64)> = world
            .out
            .iter()
            .map(|(_, job)| (&*job.id, job.source.line))
            .collect();
        assert_eq!(ids, [("e", 1), ("2", 4)], "cut at {cut}");
        assert_eq!(world.results(), "");
        assert_eq!(world.intake.progress().lines, 4);
    }
}

#[test]
fn f92_f93_a_bad_line_has_its_result_and_harms_no_other() {
    let mut world = World::new(SETTINGS);
    world
        .chunk("{\"url\":1,\"id\":\"bad\"}\n\0\n")
        .chunk(vec![b'x'; 10_001])
        .chunk("\n");
    world.chunk(line("a", "good")).end();
    assert_eq!(
        world.results(),
        "{\"id\":\"bad\",\"line\":1,\"outcome\":\"invalid\",\"attempts\":0,\"durationMs\":0,\
         \"error\":{\"kind\":\"invalid\",\
         \"message\":\"url: expected a string, found a number\"}}\n\
         {\"line\":2,\"outcome\":\"invalid\",\"attempts\":0,\"durationMs\":0,\"error\":{\"kind\":\"invalid\",\
         \"message\":\"column 1: expected an object, '{', found control character U+0000\"}}\n\
         {\"line\":3,\"outcome\":\"invalid\",\"attempts\":0,\"durationMs\":0,\"error\":{\"kind\":\"invalid\",\
         \"message\":\"line: expected at most 10000 bytes (maxJobBytes), found 10001\"}}\n"
    );
    world.done("a", Outcome::Delivered);
    assert!(world.results().contains("\"id\":\"good\",\"line\":4"));
    assert!(world.intake.is_finished() && !world.intake.all_delivered());
    assert_eq!(
        world.intake.progress().outcomes[Outcome::Invalid.index()],
        3
    );
}

#[test]
fn many_bad_lines_take_many_polls() {
    let mut world = World::new(SETTINGS);
    world.settle();
    let client = world.stdin;
    world.input(Input::Chunk {
        client,
        bytes: "x\n".repeat(200).into_bytes(),
    });
    let read = world.intake.poll_output(world.now);
    assert!(
        matches!(read, Some(Output::Read { .. })),
        "its chunk is cut, the next is asked for"
    );
    let before = world.intake.progress().lines;
    assert!(world.intake.poll_output(world.now).is_none());
    assert_eq!(
        world.intake.progress().lines - before,
        u64::from(LINES_PER_POLL)
    );
    assert!(world.intake.has_work());
    world.settle();
    assert_eq!(world.intake.progress().lines, 200);
    assert!(!world.intake.has_work());
}

#[test]
fn jobs_without_id_get_one_that_sorts() {
    let mut world = World::new(SETTINGS);
    world.chunk("{\"url\":\"https://a/\"}\n".repeat(3));
    let ids: Vec<&str> = world.out.iter().map(|(_, job)| &*job.id).collect();
    assert!(
        ids.is_sorted() && ids[0] != ids[1] && ids[1] != ids[2],
        "{ids:?}"
    );
    assert!(
        ids.iter().all(|id| id.starts_with("018bcfe5-6800-7")),
        "{ids:?}"
    );
}

#[test]
fn origins_are_shared_out_and_stay_until_they_are_retired() {
    let mut world = World::new(SETTINGS);
    world.chunk(
        [
            line("a", "1"),
            line("b", "2"),
            line("a", "3"),
            line("c", "4"),
        ]
        .concat(),
    );
    let engines: Vec<u16> = world.out.iter().map(|(engine, _)| engine.0).collect();
    assert_eq!(engines, [0, 1, 0, 1]);
    assert!(std::sync::Arc::ptr_eq(
        &world.out[0].1.origin,
        &world.out[2].1.origin
    ));
    let origin = world.out[1].1.origin.clone();
    let retired = |origin: &std::sync::Arc<_>| Input::OriginRetired {
        engine: EngineId(1),
        origin: std::sync::Arc::clone(origin),
        slot: 0,
        tally: Box::default(),
    };
    world.input(retired(&origin));
    assert_eq!(
        world.intake.progress().origins,
        3,
        "a job is still on its way"
    );
    world.done("b", Outcome::Delivered);
    world.done("c", Outcome::Delivered);
    world.done("a", Outcome::Delivered);
    world.chunk(line("b", "5"));
    assert_eq!(
        world.out.last().map(|(engine, _)| engine.0),
        Some(1),
        "it stays"
    );
    world.done("b", Outcome::Delivered);
    world.done("a", Outcome::Delivered);
    world.input(retired(&origin));
    assert_eq!(world.intake.progress().origins, 2);
    world.chunk(line("b", "6"));
    assert_eq!(
        world.out.last().map(|(engine, _)| engine.0),
        Some(0),
        "the lowest of equals"
    );
}

#[test]
fn the_feed_is_held_when_enough_waits() {
    let mut world = World::new(SETTINGS);
    world.chunk(line("slow", "j").repeat(3_000));
    assert_eq!(
        world.out.len() as u64,
        WAITING_MIN,
        "what the engine has not heard of counts as waiting"
    );
    world.appetite(0, WAITING_MIN - 10, 10);
    world.settle();
    assert_eq!(world.out.len() as u64, WAITING_MIN + 10);
    world.appetite(0, WAITING_MIN + 100, 200);
    world.settle();
    let expected = WAITING_MIN + 10 + (8 * 200 - WAITING_MIN - 100);
    assert_eq!(
        world.out.len() as u64,
        expected,
        "eight for each busy connection"
    );
    assert!(world.intake.poll_timeout().is_some());
}

#[test]
fn large_jobs_hold_the_feed_sooner() {
    let mut world = World::new(Settings {
        max_job_bytes: 2 << 20,
        ..SETTINGS
    });
    let big = format!(
        "{{\"url\":\"https://a/\",\"body\":\"{}\"}}\n",
        "x".repeat(1 << 20)
    );
    world.chunk(big.repeat(40));
    assert_eq!(world.out.len(), 16, "16 MiB");
    world.pass(PACE);
    world.settle();
    assert_eq!(world.out.len(), 17, "a grant ends with its bytes");
}

#[test]
fn a_slow_origin_does_not_hide_the_jobs_of_a_healthy_one() {
    let mut world = World::new(SETTINGS);
    let mixed = [line("slow", "s").repeat(50), line("fast", "f")].concat();
    world.chunk(mixed.repeat(100));
    let fast = world.hosts("fast");
    assert_eq!(fast, WAITING_MIN as usize / 51);
    world.appetite(0, WAITING_MIN, 50);
    // The healthy one's jobs come back, and each brings the next ones in.
    for _ in 0..100 {
        world.done("fast", Outcome::Delivered);
        world.settle();
    }
    assert_eq!(world.hosts("fast"), 0);
    assert_eq!(world.hosts("slow"), 5_000);
}

#[test]
fn equal_origins_are_granted_nothing() {
    let mut world = World::new(SETTINGS);
    let hosts: String = (0..200).map(|n| line(&format!("h{n}"), "j")).collect();
    world.chunk(hosts.repeat(20));
    let before = world.out.len();
    assert_eq!(before as u64, WAITING_MIN);
    for n in 0..20 {
        world.done(&format!("h{n}"), Outcome::Delivered);
        world.settle();
    }
    assert_eq!(world.out.len(), before - 20, "nobody is in anybody's way");
}

#[test]
fn a_block_of_one_origins_jobs_is_read_past_at_the_pace() {
    let mut world = World::new(SETTINGS);
    world.chunk([line("slow", "s").repeat(1_500), line("fast", "f")].concat());
    assert_eq!(world.hosts("fast"), 0);
    // The first second has seen enough.
    for seconds in 0..=2 {
        let due = world.intake.poll_timeout().expect("held");
        world.now.mono = due - Duration::from_nanos(1);
        world.settle();
        world.now.mono = due;
        world.settle();
        let granted = (seconds * GRANT_LINES as usize).min(477);
        assert_eq!(world.out.len(), WAITING_MIN as usize + granted);
    }
    assert_eq!(world.hosts("fast"), 1);
    assert_eq!(world.intake.poll_timeout(), None, "nothing is left to read");
}

#[test]
fn hard_limits_hold_whatever_is_granted() {
    let few = Settings {
        max_pending: 10,
        ..SETTINGS
    };
    let small = Settings {
        max_pending_bytes: 5_000,
        ..SETTINGS
    };
    for settings in [few, small] {
        let mut world = World::new(settings);
        world.chunk(line("a", "j").repeat(100));
        let held = world.out.len();
        let progress = world.intake.progress();
        let last = world.out[0].1.footprint();
        assert!(
            held == 10
                || (progress.pending_bytes >= 5_000 && progress.pending_bytes < 5_000 + last)
        );
        world.pass(PACE * 10);
        world.settle();
        assert_eq!(world.out.len(), held);
        assert_eq!(world.intake.poll_timeout(), None, "time changes nothing");
        world.done("a", Outcome::Delivered);
        world.results();
        world.settle();
        assert_eq!(world.out.len(), held, "one for one");
    }
}

#[test]
fn f90_a_stalled_reader_holds_its_own_lines_and_nothing_else() {
    let mut world = World::new(SETTINGS);
    world.settle();
    let bad = "x".repeat(9_000) + "\n";
    let mut chunks = 0;
    while world.intake.result_bytes(world.stdin) < RESULT_BYTES_MAX {
        world.chunk("x\n".repeat(100));
        chunks += 1;
        assert!(chunks < 1_000);
    }
    let lines = world.intake.progress().lines;
    world.chunk(line("a", "held"));
    world.chunk(bad);
    assert_eq!((world.out.len(), world.intake.progress().lines), (0, lines));
    let other = world.intake.open(Kind::Feed);
    world.input(Input::Chunk {
        client: other,
        bytes: line("a", "other").into_bytes(),
    });
    world.settle();
    assert_eq!(&*world.out[0].1.id, "other");
    let (taken, _) = world.take();
    world.settle();
    assert_eq!(world.out.len(), 1, "taken is not written");
    world.written(taken);
    world.settle();
    assert_eq!(&*world.out[1].1.id, "held");
}

#[test]
fn f159_who_stands_still_is_known_and_told_by_health_after_a_minute() {
    let mut world = World::new(SETTINGS);
    let second = Duration::from_secs(1);
    world.now.mono = world.now.mono + second;
    while world.intake.result_bytes(world.stdin) < RESULT_BYTES_MAX {
        world.chunk("x\n".repeat(100));
    }
    world.now.mono = world.now.mono + second;
    world.chunk(line("a", "held"));
    let held: Vec<Held> = world.intake.held().collect();
    assert_eq!(held.len(), 1);
    assert_eq!(
        (held[0].client, held[0].kind, held[0].since),
        (world.stdin, Kind::Feed, Instant::default() + second),
        "since it was first passed over"
    );
    assert!(matches!(held[0].by, held::HeldBy::Unread(bytes) if bytes >= RESULT_BYTES_MAX));
    let check = |world: &World| {
        let checks = world.intake.health(world.now);
        let check = checks.into_iter().find(|check| check.name == "intake");
        check.map(|check| (check.status, check.description))
    };
    let healthy = (Status::Healthy, "jobs are taken in".to_owned());
    world.now.mono = held[0].since + 59 * second;
    assert_eq!(check(&world), Some(healthy.clone()));
    world.now.mono = world.now.mono + second;
    let (status, description) = check(&world).expect("there is one");
    assert_eq!(status, Status::Degraded);
    let start = "standard input is held for 60 s: its results are not read: ";
    assert!(description.starts_with(start), "{description}");
    let (taken, _) = world.take();
    world.written(taken);
    world.settle();
    assert_eq!(world.intake.held().count(), 0);
    assert_eq!(check(&world), Some(healthy));
}

#[test]
fn f89_results_of_a_client_that_left_are_dropped_and_counted() {
    let mut world = World::new(SETTINGS);
    world.chunk([line("a", "1"), line("a", "2"), "x\n".to_owned()].concat());
    world.done("a", Outcome::Delivered);
    let client = world.stdin;
    world.input(Input::Gone { client });
    world.settle();
    assert_eq!(world.intake.progress().results_dropped, 2);
    world.done("a", Outcome::Delivered);
    let progress = world.intake.progress();
    assert_eq!(
        (
            progress.results_dropped,
            progress.result_bytes,
            progress.ended
        ),
        (3, 0, 2)
    );
    world.input(Input::Written { client, bytes: 5 });
    world.input(Input::End {
        client,
        error: None,
    });
    world.chunk("late");
    let progress = world.intake.progress();
    assert_eq!((progress.stale_inputs, progress.unread_bytes), (3, 4));
    assert!(world.intake.is_finished());
    assert_eq!(world.take().0, 0);
    let next = world.intake.open(Kind::Feed);
    assert_ne!(next, client, "a new client in the same place is another");
}

#[test]
fn stop_reads_nothing_more_and_awaits_what_is_out() {
    let mut world = World::new(Settings {
        max_pending: 1,
        ..SETTINGS
    });
    let second = line("a", "2");
    world.chunk(line("a", "1") + &second);
    world.input(Input::Stop);
    world.settle();
    world.done("a", Outcome::Delivered);
    world.settle();
    assert!(world.out.is_empty());
    assert_eq!(world.intake.progress().unread_bytes, second.len() as u64);
    world.chunk("more");
    assert_eq!(
        world.intake.progress().unread_bytes,
        second.len() as u64 + 4
    );
    assert!(!world.intake.is_finished());
    assert!(world.results().contains("\"id\":\"1\""));
    assert!(world.intake.is_finished() && !world.intake.all_delivered());
    world.intake.open(Kind::Feed);
    assert!(world.intake.poll_output(world.now).is_none());
    world.intake.check_invariants();
}

#[test]
fn a_stream_that_breaks_is_no_success() {
    let mut world = World::new(SETTINGS);
    let client = world.stdin;
    world.input(Input::End {
        client,
        error: Some("input/output error".into()),
    });
    world.settle();
    assert!(world.intake.is_finished() && !world.intake.all_delivered());
}

#[test]
fn an_output_is_small() {
    assert!(size_of::<Output>() <= 64, "{}", size_of::<Output>());
}
