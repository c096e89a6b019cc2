//! Whatever clients of the socket do, in whatever order: each line has one first answer, in order, each accepted job
//! one result after it, and in the end nothing is left.

use super::*;

const SERVING: Settings = Settings {
    serves: true,
    max_pending: 40,
    max_queued: 12,
    max_connections: 2,
    max_client_pending: 7,
    ..SETTINGS
};

/// The same with a spool.
const SPOOLING: Settings = Settings {
    spools: true,
    ..SERVING
};

const HOSTS: [&str; 3] = ["a", "b", "c"];

/// A client as the other side sees it.
struct Peer {
    id: ClientId,
    sent: Vec<u8>,
    given: usize,
    heard: String,
    has_ended: bool,
    has_left: bool,
}

struct Chance {
    world: World,
    rng: Rng,
    peers: Vec<Peer>,
    named: usize,
    spools: bool,
}

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    fn connect(&mut self) {
        let access = if self.below(2) == 0 {
            Access::Submit
        } else {
            Access::Control
        };
        let mut sent = String::new();
        for _ in 0..self.below(30) {
            // With a spool some ids come again.
            self.named += usize::from(!self.spools || self.below(10) > 0);
            let host = HOSTS[self.below(3)];
            match self.below(8) {
                0 => sent.push('\n'),
                1 => sent.push_str("nonsense\n"),
                2 => sent.push_str("{\"ctl\":\"status\"}\n"),
                _ => sent.push_str(&line(host, &self.named.to_string())),
            }
        }
        let id = self.world.intake.open(Kind::Socket(access));
        self.peers.push(Peer {
            id,
            sent: sent.into_bytes(),
            given: 0,
            heard: String::new(),
            has_ended: false,
            has_left: false,
        });
    }

    fn step(&mut self) {
        let peer = self.below(self.peers.len().max(1));
        match self.below(10) {
            0 => self.connect(),
            1..=3 if !self.peers.is_empty() => self.say(peer),
            4 | 5 if !self.peers.is_empty() => self.listen(peer),
            6 if !self.peers.is_empty() && self.below(20) == 0 => self.leave(peer),
            7 if !self.world.out.is_empty() => {
                let at = self.below(self.world.out.len());
                let (engine, job) = &self.world.out[at];
                let (engine, origin) = (*engine, std::sync::Arc::clone(&job.origin));
                let held = self.below(2) == 0;
                self.world.input(Input::Origin {
                    engine,
                    origin,
                    held,
                });
            }
            _ => self.finish_one(),
        }
        self.world.settle();
        if self.spools {
            self.turn_disk();
        }
    }

    /// Something becomes safe, is read, is refused, is put off, or falls due.
    fn turn_disk(&mut self) {
        match self.below(12) {
            0..=2 => {
                let last = self.world.pretend.last();
                let up_to = last.saturating_sub(self.below(4) as u64);
                self.world.durable(up_to);
            }
            3..=5 => self.read_one(),
            6 => {
                let refusals = [Refusal::Full, Refusal::Trouble, Refusal::Behind];
                let refusal = refusals.get(self.below(30)).copied();
                self.world.pretend.refusal = refusal;
                self.world.refusal(refusal);
                if let Some(refusal @ (Refusal::Full | Refusal::Trouble)) = refusal {
                    self.world.input(Input::SpoolFailed { refusal });
                }
            }
            7 if !self.world.out.is_empty() => {
                let at = self.below(self.world.out.len());
                let (_, mut job) = self.world.out.remove(at);
                job.progress.due = self.world.now.mono + Duration::from_secs(100);
                self.world.input(Input::Postponed { job });
                self.world.settle();
            }
            8 => {
                self.world.pass(Duration::from_secs(30));
                self.world.settle();
            }
            _ => {}
        }
    }

    /// One of the reads ends, in any order.
    fn read_one(&mut self) {
        if self.world.pretend.wanted.is_empty() {
            return;
        }
        let at = self.below(self.world.pretend.wanted.len());
        self.world.pretend.wanted.swap(0, at);
        let key = self.world.pretend.wanted.remove(0);
        let fetched = self.world.pretend.fetch(key);
        self.world.input(Input::Fetched { key, fetched });
        self.world.settle();
    }

    /// The disk does all that it was asked for.
    fn calm_disk(&mut self) {
        self.world.pretend.refusal = None;
        self.world.refusal(None);
        let last = self.world.pretend.last();
        self.world.durable(last);
        self.world.pass(Duration::from_secs(100));
        self.world.settle();
        while !self.world.pretend.wanted.is_empty() {
            self.read_one();
        }
    }

    /// A piece of what it has to say, if it is asked; or its end.
    fn say(&mut self, peer: usize) {
        let step = 1 + self.below(400);
        let peer = &mut self.peers[peer];
        let client = peer.id;
        let Some(asked) = self.world.asked.iter().position(|id| *id == client) else {
            return;
        };
        if peer.has_ended {
            return;
        }
        let rest = &peer.sent[peer.given..];
        if rest.is_empty() {
            peer.has_ended = true;
            return self.world.input(Input::End {
                client,
                error: None,
            });
        }
        let bytes = rest[..step.min(rest.len())].to_vec();
        peer.given += bytes.len();
        self.world.asked.remove(asked);
        self.world.input(Input::Chunk { client, bytes });
    }

    fn listen(&mut self, peer: usize) {
        let peer = &mut self.peers[peer];
        let client = peer.id;
        let mut bytes = Vec::new();
        let count = self.world.intake.take_results(client, &mut bytes);
        peer.heard
            .push_str(&String::from_utf8(bytes).expect("UTF-8"));
        if count > 0 {
            self.world.input(Input::Written {
                client,
                bytes: count,
            });
        }
    }

    fn leave(&mut self, peer: usize) {
        let peer = &mut self.peers[peer];
        let client = peer.id;
        if !peer.has_left && !self.world.closed.contains(&client) {
            peer.has_left = true;
            self.world.input(Input::Gone { client });
        }
    }

    fn finish_one(&mut self) {
        if self.world.out.is_empty() {
            return;
        }
        let at = self.below(self.world.out.len());
        let host = self.world.out[at].1.origin.text.clone();
        self.world.done(&host, Outcome::Delivered);
    }
}

/// What a peer that stayed must have heard: one first answer a line, in order; one result for each accepted job.
fn check(peer: &Peer) {
    let text = String::from_utf8(peer.sent.clone()).expect("UTF-8");
    let mut expected = text
        .lines()
        .zip(1_u64..)
        .filter(|(line, _)| !line.is_empty());
    let mut waiting = Vec::new();
    // Who was too slow within a line hears no more answers after it was told so.
    let mut was_cut = false;
    for heard in peer.heard.lines() {
        let value: serde_json::Value = serde_json::from_str(heard).expect("JSON");
        if value["ctl"].is_string() {
            let (line, _) = expected.next().expect("a line was asked");
            assert!(line.contains("ctl"), "{line}: {heard}");
            continue;
        }
        if value["line"].is_null() {
            assert_eq!(value["error"]["kind"], "limit", "{heard}");
            was_cut = true;
            continue;
        }
        let number = value["line"].as_u64().expect("a number");
        if let Some(at) = waiting.iter().position(|waiting| *waiting == number) {
            assert_eq!(value["outcome"], "delivered", "{heard}");
            waiting.remove(at);
            continue;
        }
        let (line, at) = expected.next().expect("a line was sent");
        assert!(!was_cut, "{heard}");
        assert_eq!(number, at, "{line}: {heard}");
        if value["outcome"] == "accepted" || value["known"] == "pending" {
            waiting.push(number);
        }
    }
    let left = expected.next().filter(|_| !was_cut);
    assert_eq!((left, waiting), (None, vec![]), "{}", peer.heard);
}

#[test]
fn whatever_clients_do_each_line_has_its_answer_and_each_job_its_result() {
    let progress = play(SERVING);
    assert!(progress[Outcome::Overloaded.index()] > 100, "{progress:?}");
}

#[test]
fn whatever_the_disk_does_each_line_has_its_answer_and_each_job_its_result() {
    let progress = play(SPOOLING);
    assert!(progress[Outcome::Overloaded.index()] > 10, "{progress:?}");
    assert!(progress[Outcome::Duplicate.index()] > 100, "{progress:?}");
}

/// Sixty worlds; how often which outcome was.
fn play(settings: Settings) -> [u64; Outcome::ALL.len()] {
    let mut left = 0;
    let mut outcomes = [0; Outcome::ALL.len()];
    for seed in 0..60 {
        let mut chance = Chance {
            world: World::new(settings),
            rng: Rng::from_seed([seed; 32]),
            peers: Vec::new(),
            named: 0,
            spools: settings.spools,
        };
        for _ in 0..600 {
            chance.step();
        }
        // In the end all say and hear the rest.
        while !chance
            .peers
            .iter()
            .all(|peer| chance.world.closed.contains(&peer.id))
        {
            if chance.spools {
                chance.calm_disk();
            }
            for peer in 0..chance.peers.len() {
                chance.say(peer);
                chance.world.settle();
                chance.listen(peer);
            }
            chance.finish_one();
            chance.world.settle();
        }
        while chance.world.intake.has_jobs() {
            if chance.spools {
                chance.calm_disk();
            }
            chance.finish_one();
            chance.world.settle();
        }
        let progress = chance.world.intake.progress();
        assert_eq!(
            (progress.pending, progress.result_bytes, progress.clients),
            (0, 0, 0)
        );
        assert_eq!(chance.world.pretend.entries.len(), 0, "all is settled");
        left += chance.peers.iter().filter(|peer| peer.has_left).count();
        for (sum, count) in outcomes.iter_mut().zip(progress.outcomes) {
            *sum += count;
        }
        chance
            .peers
            .iter()
            .filter(|peer| !peer.has_left)
            .for_each(check);
        chance.world.input(Input::Stop);
        assert!(chance.world.intake.is_finished());
    }
    assert!(left > 10, "{left}");
    outcomes
}
