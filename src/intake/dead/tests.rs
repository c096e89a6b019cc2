//! Questions about dead letters against a pretended journal.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::base::slab::Slab;
use crate::wire::job::User;
use crate::wire::report::Outcome;
use crate::wire::spool::SourceKind;

/// Letters by key, as a journal would have them.
#[derive(Default)]
struct World {
    dead: Dead,
    letters: BTreeMap<u64, Fetched>,
    unreadable: Vec<u64>,
    /// Keys of replayed jobs.
    next_key: u64,
    replayed: Vec<String>,
    refuses: Option<(bool, &'static str)>,
    durable: JobKey,
    /// Letters in memory at the same time, at most.
    fetching: usize,
    fetching_max: usize,
}

const NOW: u64 = 1_000_000;

impl World {
    fn with(count: u64, line_bytes: usize) -> World {
        let mut world = World {
            next_key: 1_000_000,
            ..World::default()
        };
        for key in 1..=count {
            let origin = ["https://a", "https://b"][key as usize % 2];
            let line = format!(
                r#"{{"url":"{origin}/","body":"{}"}}"#,
                "x".repeat(line_bytes)
            );
            let letter = Letter {
                id: format!("id-{key}").into(),
                origin: origin.into(),
                outcome: Outcome::Exhausted,
                kind: ErrorKind::Http,
                message: "the receiver answered 503".into(),
                attempts: 4,
                status: 503,
                ended: Wall::from_unix_seconds(NOW - key),
            };
            let fetched = Fetched {
                accepted: Wall::from_unix_seconds(NOW - 10_000),
                source: SourceKind::Socket,
                user: User::Own,
                generated_id: Some(letter.id.clone()),
                attempt: None,
                letter: Some(Box::new(letter)),
                line: line.into_bytes().into(),
            };
            world.letters.insert(key, fetched);
        }
        world
    }

    fn find(&self, query: &LetterQuery) -> FoundLetters {
        let all = self.letters.keys().copied().map(JobKey);
        let last = all.clone().next_back().unwrap_or_default();
        let (keys, missing) = match query {
            LetterQuery::After { after, max } => {
                let keys = all.filter(|key| key > after).take(*max).collect();
                (keys, Vec::new())
            }
            LetterQuery::Ids { ids, .. } => {
                let key = |id: &str| id.strip_prefix("id-")?.parse().ok();
                let is_known = |key: &u64| self.letters.contains_key(key);
                let known: Vec<u64> = ids
                    .iter()
                    .filter_map(|id| key(id).filter(is_known))
                    .collect();
                let is_missing = |id: &str| key(id).filter(is_known).is_none();
                let missing = ids.iter().filter(|id| is_missing(id)).cloned().collect();
                let mut keys: Vec<JobKey> = known.into_iter().map(JobKey).collect();
                keys.sort();
                (keys, missing)
            }
        };
        let has_more = match query {
            LetterQuery::After { max, .. } => keys.len() == *max,
            LetterQuery::Ids { .. } => false,
        };
        FoundLetters {
            keys,
            last,
            has_more,
            missing,
        }
    }

    fn perform(&mut self, step: Step) -> Option<Value> {
        match step {
            Step::Find(query) => self.dead.on_found(self.find(&query)),
            Step::Fetch(key) => {
                self.fetching += 1;
                self.fetching_max = self.fetching_max.max(self.fetching);
                return Some(json!(key.0));
            }
            Step::Forget(key) => {
                self.letters.remove(&key.0).expect("it is there");
            }
            Step::Replay(fetched) => {
                let letter = fetched.letter.expect("it is a letter");
                match self.refuses {
                    None => {
                        self.next_key += 1;
                        self.replayed.push(letter.id.to_string());
                        self.dead.on_replayed(JobKey(self.next_key));
                    }
                    Some((true, words)) => self.dead.on_stopped(ErrorKind::Spool, words),
                    Some((false, words)) => {
                        self.dead.on_refused(&letter.id, ErrorKind::Invalid, words);
                    }
                }
            }
            Step::Answer { text, .. } => {
                return Some(serde_json::from_slice(&text).expect("JSON"));
            }
        }
        None
    }

    /// Goes on until there is an answer, or nothing more to do. What is read comes back the last first.
    fn run(&mut self) -> Option<Value> {
        let mut fetches = Vec::new();
        loop {
            let has_work = self.dead.has_work(self.durable);
            let now = Wall::from_unix_seconds(NOW);
            let step = self.dead.poll(now, self.durable);
            assert_eq!(has_work, step.is_some(), "it says when it has work");
            match step {
                Some(step) => match self.perform(step) {
                    Some(Value::Number(key)) => fetches.push(key.as_u64().expect("a key")),
                    Some(answer) => return Some(answer),
                    None => {}
                },
                None => {
                    let key = fetches.pop()?;
                    self.fetching -= 1;
                    let fetched = self.letters.get(&key).cloned().map(Box::new);
                    let fetched = fetched.filter(|_| !self.unreadable.contains(&key));
                    assert!(self.dead.on_fetched(JobKey(key), fetched).is_none());
                }
            }
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        let ctl = CtlLine::parse(question.to_string().as_bytes()).expect("a control line");
        assert_eq!(ctl.request.as_ref().err(), None);
        assert!(self.dead.ask(client(), 1, &ctl));
        let answer = self.run().expect("an answer");
        assert_eq!(answer["ok"], true, "{answer}");
        answer["data"].clone()
    }

    /// Asks until there is no next page; the pages.
    fn ask_all(&mut self, mut question: Value) -> Vec<Value> {
        let mut pages = Vec::new();
        loop {
            let page = self.ask(&question);
            let next = page["next"].clone();
            pages.push(page);
            if next.is_null() {
                return pages;
            }
            assert!(pages.len() < 10_000, "it never ends");
            question["after"] = next;
        }
    }
}

fn client() -> ClientId {
    ClientId(Slab::new().insert(()))
}

fn ids(letters: &Value) -> Vec<&str> {
    let letters = letters.as_array().expect("a list").iter();
    letters
        .map(|letter| letter["id"].as_str().expect("an id"))
        .collect()
}

#[test]
fn a_list_names_those_that_are_meant_the_oldest_first() {
    let mut world = World::with(6, 10);
    let all = world.ask(&json!({"ctl": "dead list"}));
    let expected = ["id-1", "id-2", "id-3", "id-4", "id-5", "id-6"];
    assert_eq!(ids(&all["letters"]), expected);
    assert!(all["next"].is_null());
    for (question, expected) in [
        (
            json!({"origin": "https://a"}),
            &["id-2", "id-4", "id-6"][..],
        ),
        (json!({"olderThan": 4}), &["id-4", "id-5", "id-6"]),
        (json!({"ids": ["id-5", "id-2", "id-5"]}), &["id-2", "id-5"]),
        (
            json!({"ids": ["id-5", "id-2"], "origin": "https://b"}),
            &["id-5"],
        ),
        (json!({"origin": "https://c"}), &[]),
    ] {
        let mut question = question;
        question["ctl"] = "dead list".into();
        let answer = world.ask(&question);
        let mut found = ids(&answer["letters"]);
        found.dedup();
        assert_eq!(found, expected, "{question}");
    }
    let answer = world.ask(&json!({"ctl": "dead list", "ids": ["id-7", "id-1", "x"]}));
    assert_eq!(answer["missing"], json!(["id-7", "x"]));
    assert_eq!(world.letters.len(), 6, "nothing has changed");
}

#[test]
fn long_lists_come_in_pages_and_few_letters_are_in_memory() {
    let mut world = World::with(2_500, 10);
    let pages = world.ask_all(json!({"ctl": "dead list"}));
    let sizes: Vec<usize> = pages
        .iter()
        .map(|page| ids(&page["letters"]).len())
        .collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
    assert_eq!(world.fetching_max, FETCHES_MAX);
    let pages = world.ask_all(json!({"ctl": "dead list", "limit": 700}));
    let found: Vec<&str> = pages
        .iter()
        .flat_map(|page| ids(&page["letters"]))
        .collect();
    assert_eq!((found.len(), found[2_499]), (2_500, "id-2500"));
    let mut world = World::with(30, 100_000);
    let pages = world.ask_all(json!({"ctl": "dead export"}));
    let count = |page: &Value| page["jobs"].as_array().expect("a list").len();
    assert_eq!(pages.iter().map(count).collect::<Vec<_>>(), [3; 10]);
    let line = pages[0]["jobs"][0].as_str().expect("a line");
    let job: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(
        (&job["id"], &job["dead"]["attempts"]),
        (&json!("id-1"), &json!(4))
    );
}

#[test]
fn what_can_t_be_read_is_counted_and_can_be_purged() {
    let mut world = World::with(3, 10);
    world.unreadable = vec![2];
    let answer = world.ask(&json!({"ctl": "dead list"}));
    assert_eq!(ids(&answer["letters"]), ["id-1", "id-3"]);
    assert_eq!(answer["unreadable"], 1);
    let answer = world.ask(&json!({"ctl": "dead purge", "origin": "https://a"}));
    assert_eq!(
        (&answer["purged"], &answer["unreadable"]),
        (&json!(0), &json!(1))
    );
    let answer = world.ask(&json!({"ctl": "dead purge", "all": true}));
    assert_eq!(answer, json!({"purged": 3}));
    assert!(world.letters.is_empty());
}

#[test]
fn those_that_are_purged_are_those_that_are_meant() {
    let mut world = World::with(2_100, 10);
    let pages =
        world.ask_all(json!({"ctl": "dead purge", "origin": "https://b", "olderThan": 100}));
    let purged = |page: &Value| page["purged"].as_u64().expect("a count");
    assert_eq!(pages.iter().map(purged).sum::<u64>(), 1_000);
    assert_eq!(world.letters.len(), 1_100);
    world.fetching_max = 0;
    let pages = world.ask_all(json!({"ctl": "dead purge", "all": true}));
    assert_eq!(pages.iter().map(purged).sum::<u64>(), 1_100);
    assert_eq!(
        (world.letters.len(), world.fetching_max),
        (0, 0),
        "nothing is read for it"
    );
}

#[test]
fn a_replay_is_answered_when_its_jobs_are_safe() {
    let mut world = World::with(3, 10);
    let ctl = CtlLine::parse(br#"{"ctl":"dead replay","origin":"https://b"}"#).expect("one");
    assert!(world.dead.ask(client(), 1, &ctl));
    assert_eq!(world.run(), None, "they are not safe yet");
    assert_eq!(world.replayed, ["id-1", "id-3"]);
    world.durable = JobKey(world.next_key - 1);
    assert_eq!(world.run(), None);
    world.durable = JobKey(world.next_key);
    let answer = world.run().expect("an answer");
    assert_eq!(answer["data"], json!({"replayed": 2}));
}

#[test]
fn a_replay_of_all_does_not_meet_those_that_die_again() {
    let mut world = World::with(1_500, 10);
    world.durable = JobKey(u64::MAX);
    let mut question = json!({"ctl": "dead replay", "all": true});
    let first = world.ask(&question);
    assert_eq!(first["replayed"], 1_000);
    for key in 2_000..2_010 {
        let again = world.letters[&1].clone();
        world.letters.insert(key, again);
    }
    question["after"] = first["next"].clone();
    let second = world.ask(&question);
    assert_eq!(second, json!({"replayed": 500}));
}

#[test]
fn what_can_t_be_replayed_is_said() {
    let mut world = World::with(2, 10);
    world.refuses = Some((false, "no"));
    let answer = world.ask(&json!({"ctl": "dead replay", "all": true}));
    let error = json!({"kind": "invalid", "message": "no"});
    let failed = json!([{"id": "id-1", "error": error}, {"id": "id-2", "error": error}]);
    assert_eq!(answer, json!({"replayed": 0, "failed": failed}));
    world.refuses = Some((true, "the disk is full"));
    let answer = world.ask(&json!({"ctl": "dead replay", "all": true}));
    let stopped = json!({"kind": "spool", "message": "the disk is full"});
    assert_eq!(answer, json!({"replayed": 0, "stopped": stopped}));
}

#[test]
fn who_leaves_is_not_read_for_and_at_the_end_all_are_answered() {
    let mut world = World::with(5_000, 10);
    let ctl = CtlLine::parse(br#"{"ctl":"dead list"}"#).expect("one");
    let client = client();
    assert!(world.dead.ask(client, 1, &ctl));
    world.dead.on_gone(client);
    let answer = world.run().expect("an answer that nobody reads");
    assert_eq!(answer["data"], json!({"letters": []}));
    assert_eq!(world.fetching_max, 0);
    for _ in 0..QUESTIONS_MAX {
        assert!(world.dead.ask(client, 1, &ctl));
    }
    assert!(!world.dead.ask(client, 1, &ctl), "there is an end to it");
    assert_eq!(world.dead.stop().len(), QUESTIONS_MAX);
    assert!(!world.dead.has_work(JobKey(0)));
    let nobodys = world.dead.on_fetched(JobKey(1), None);
    assert!(nobodys.is_some(), "it comes too late");
}
