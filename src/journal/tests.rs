//! The journal alone: what single inputs do. On a disk that forgets it is tested in `tests/journal`.

use std::collections::BTreeMap;

use super::event::{FileId, Known, Letter, SourceKind};
use super::recovery::Recovery;
use super::*;
use crate::base::rng::Rng;
use crate::wire::job::User;
use crate::wire::report::{ErrorKind, Outcome};

fn now() -> Now {
    Now {
        mono: Instant::from_nanos(1_000_000_000),
        wall: Wall::from_unix_seconds(1_700_000_000),
    }
}

fn submission<'a>(id: &'a str, line: &'a [u8]) -> Submission<'a> {
    Submission {
        id,
        user: User::Own,
        is_generated: false,
        payload: [line.len() as u64, 0],
        source: SourceKind::Stdin,
        line,
    }
}

/// A journal on an empty directory, whose disk does at once what it is told.
fn journal() -> Journal {
    let mut rng = Rng::from_seed([4; 32]);
    let recovery = Recovery::new(Settings::default(), std::iter::empty(), &mut rng);
    let (mut journal, summary) = recovery.finish(now()).expect("nothing is of a version");
    assert_eq!(summary, Default::default());
    drive(&mut journal);
    journal
}

/// Performs everything; what is left are the journal's own words.
fn drive(journal: &mut Journal) -> Vec<Output> {
    let mut said = Vec::new();
    while let Some(output) = journal.poll_output() {
        match output {
            Output::Disk { op, action } => {
                let performed = match action {
                    Action::Write { bytes, from, .. } => {
                        Performed::Written(bytes.len() - from as usize)
                    }
                    Action::Read { .. } => Performed::Bytes(Vec::new()),
                    _ => Performed::Done,
                };
                let result = Ok(performed);
                journal.handle_input(now(), Input::Performed { op, result });
            }
            other => said.push(other),
        }
    }
    said
}

#[test]
fn a_job_is_safe_when_its_batch_is_synced_and_not_before() {
    let mut journal = journal();
    let Verdict::New(key) = journal.submit(now(), &submission("a", b"{}")) else {
        panic!("there is room")
    };
    let Some(Output::Disk { op, action }) = journal.poll_output() else {
        panic!("it is written")
    };
    let Action::Write { file, bytes, .. } = action else {
        panic!("{action:?}")
    };
    assert!(journal.poll_output().is_none());
    let result = Ok(Performed::Written(bytes.len()));
    journal.handle_input(now(), Input::Performed { op, result });
    let Some(Output::Disk { op, action }) = journal.poll_output() else {
        panic!("it is synced")
    };
    assert_eq!(action, Action::Sync { file });
    assert!(journal.poll_output().is_none());
    let result = Ok(Performed::Done);
    journal.handle_input(now(), Input::Performed { op, result });
    let Some(Output::Durable { up_to }) = journal.poll_output() else {
        panic!("it is safe")
    };
    assert_eq!(up_to, key);
}

#[test]
fn f94_an_id_is_known_while_its_job_is_pending_and_once_it_is_delivered() {
    let mut journal = journal();
    let Verdict::New(key) = journal.submit(now(), &submission("a", b"{}")) else {
        panic!("there is room")
    };
    let known = Known::Pending(key);
    for (line, same_payload) in [(&b"{}"[..], true), (b"{ }", false)] {
        let verdict = journal.submit(now(), &submission("a", line));
        assert_eq!(
            verdict,
            Verdict::Duplicate {
                known,
                same_payload
            }
        );
    }
    drive(&mut journal);
    let how = How::Delivered;
    journal.handle_input(now(), Input::Done { key, how });
    let verdict = journal.submit(now(), &submission("a", b"{}"));
    let known = Known::Delivered;
    let same_payload = true;
    assert_eq!(
        verdict,
        Verdict::Duplicate {
            known,
            same_payload
        }
    );
}

#[test]
fn an_id_that_ended_otherwise_may_come_again() {
    let mut journal = journal();
    let Verdict::New(key) = journal.submit(now(), &submission("a", b"{}")) else {
        panic!("there is room")
    };
    drive(&mut journal);
    let how = How::Ended;
    journal.handle_input(now(), Input::Done { key, how });
    let verdict = journal.submit(now(), &submission("a", b"{}"));
    assert_eq!(verdict, Verdict::New(JobKey(key.0 + 1)));
}

#[test]
fn ends_alone_wait_a_moment_for_company() {
    let mut journal = journal();
    let Verdict::New(key) = journal.submit(now(), &submission("a", b"{}")) else {
        panic!("there is room")
    };
    drive(&mut journal);
    let how = How::Ended;
    journal.handle_input(now(), Input::Done { key, how });
    assert!(drive(&mut journal).is_empty());
    assert!(!journal.is_flushed());
    let due = journal.poll_timeout().expect("it is written soon");
    assert_eq!(due, now().mono + appender::LAZY);
    journal.flush(now());
    drive(&mut journal);
    assert!(journal.is_flushed());
}

#[test]
fn stale_inputs_are_counted_and_ignored() {
    let mut journal = journal();
    let key = JobKey(77);
    let op = OpId(1 << 40);
    let result = Ok(Performed::Done);
    let how = How::Delivered;
    for input in [
        Input::Done { key, how },
        Input::Forget { key },
        Input::Performed { op, result },
    ] {
        journal.handle_input(now(), input);
    }
    assert_eq!(journal.status().stale_inputs, 3);
    journal.handle_input(now(), Input::Fetch { key });
    let said = drive(&mut journal);
    assert!(
        matches!(said[..], [Output::Fetched { fetched: None, .. }]),
        "{said:?}"
    );
    journal.check_invariants();
}

/// Performs everything as a disk does that forgets nothing.
fn drive_on(disk: &mut BTreeMap<FileId, Vec<u8>>, journal: &mut Journal) -> Vec<Output> {
    let mut said = Vec::new();
    while let Some(output) = journal.poll_output() {
        let Output::Disk { op, action } = output else {
            said.push(output);
            continue;
        };
        let result = Ok(perform(disk, action));
        journal.handle_input(now(), Input::Performed { op, result });
    }
    said
}

/// The same until all is safe that was said.
fn settle(disk: &mut BTreeMap<FileId, Vec<u8>>, journal: &mut Journal) {
    while !journal.is_flushed() {
        journal.flush(now());
        drive_on(disk, journal);
    }
}

fn perform(disk: &mut BTreeMap<FileId, Vec<u8>>, action: Action) -> Performed {
    match action {
        Action::Write {
            file,
            offset,
            bytes,
            from,
        } => {
            let (file, offset) = (disk.entry(file).or_default(), offset as usize);
            file.resize(file.len().max(offset + bytes.len()), 0);
            file[offset..offset + bytes.len()].copy_from_slice(&bytes);
            Performed::Written(bytes.len() - from as usize)
        }
        Action::Read {
            file,
            offset,
            bytes,
        } => {
            let file = disk.get(&file).map_or(&[][..], Vec::as_slice);
            let start = file.len().min(offset as usize);
            let end = file.len().min(start + bytes as usize);
            Performed::Bytes(file[start..end].to_vec())
        }
        Action::Allocate { file, bytes } => {
            let file = disk.entry(file).or_default();
            file.resize(file.len().max(bytes as usize), 0);
            Performed::Done
        }
        Action::Delete { file } => {
            disk.remove(&file);
            Performed::Done
        }
        Action::Create { .. } | Action::Sync { .. } | Action::SyncDir | Action::SetAside { .. } => {
            Performed::Done
        }
    }
}

fn restart(disk: &mut BTreeMap<FileId, Vec<u8>>) -> Journal {
    let files: Vec<_> = disk
        .iter()
        .map(|(file, bytes)| (file.name(), bytes.len() as u64))
        .collect();
    let names = files.iter().map(|(name, bytes)| (name.as_str(), *bytes));
    let mut rng = Rng::from_seed([5; 32]);
    let mut recovery = Recovery::new(Settings::default(), names, &mut rng);
    while let Some((op, action)) = recovery.poll_output() {
        let performed = perform(disk, action);
        recovery.handle_input(op, Ok(performed));
    }
    let (journal, summary) = recovery.finish(now()).expect("its version is known");
    assert_eq!(summary.corrupt_places, 0, "{summary:?}");
    journal
}

fn of_user<'a>(user: User, id: &'a str, line: &'a [u8]) -> Submission<'a> {
    Submission {
        user,
        source: SourceKind::Socket,
        ..submission(id, line)
    }
}

fn taken(verdict: Verdict) -> JobKey {
    match verdict {
        Verdict::New(key) => key,
        other => panic!("{other:?}"),
    }
}

fn dead(journal: &mut Journal, key: JobKey) {
    let letter = Letter {
        id: "order-1".into(),
        origin: "https://a.example".into(),
        outcome: Outcome::Rejected,
        kind: ErrorKind::Http,
        message: "the receiver answered 400".into(),
        attempts: 1,
        status: 400,
        ended: now().wall,
    };
    let how = How::Dead(Box::new(letter));
    journal.handle_input(now(), Input::Done { key, how });
}

fn letters_of(journal: &Journal, user: Option<User>) -> Vec<JobKey> {
    let ids = vec!["order-1".into()];
    journal.find_letters(&LetterQuery::Ids { ids, user }).keys
}

const USERS: [User; 3] = [User::Own, User::Other(1000), User::Other(1001)];

#[test]
fn f118_ids_are_known_for_each_user_apart_also_after_a_restart() {
    let mut disk = BTreeMap::new();
    let mut journal = restart(&mut disk);
    drive_on(&mut disk, &mut journal);
    let mut keys = Vec::new();
    for user in USERS {
        keys.push(taken(
            journal.submit(now(), &of_user(user, "order-1", b"{}")),
        ));
    }
    drive_on(&mut disk, &mut journal);
    for _ in 0..2 {
        for (user, key) in USERS.iter().zip(&keys) {
            let verdict = journal.submit(now(), &of_user(*user, "order-1", b"{}"));
            let known = Known::Pending(*key);
            let same_payload = true;
            assert_eq!(
                verdict,
                Verdict::Duplicate {
                    known,
                    same_payload
                }
            );
        }
        journal = restart(&mut disk);
        drive_on(&mut disk, &mut journal);
    }
    let found: Vec<_> = std::iter::from_fn(|| journal.next_pending(now())).collect();
    assert!(
        found.iter().all(|pending| pending.line_bytes == 2),
        "{found:?}"
    );
    for (user, key) in USERS.iter().zip(&keys) {
        journal.handle_input(now(), Input::Fetch { key: *key });
        let said = drive_on(&mut disk, &mut journal);
        let [
            Output::Fetched {
                fetched: Some(fetched),
                ..
            },
        ] = &said[..]
        else {
            panic!("{said:?}")
        };
        assert_eq!((fetched.user, &*fetched.line), (*user, &b"{}"[..]));
    }
    // Delivered for one, it is still pending for another, and unknown to a third.
    let (key, how) = (keys[1], How::Delivered);
    journal.handle_input(now(), Input::Done { key, how });
    let (key, how) = (keys[2], How::Ended);
    journal.handle_input(now(), Input::Done { key, how });
    settle(&mut disk, &mut journal);
    for _ in 0..2 {
        let mut known = |user| match journal.submit(now(), &of_user(user, "order-1", b"{}")) {
            Verdict::Duplicate { known, .. } => known,
            other => panic!("{other:?}"),
        };
        assert_eq!(known(User::Own), Known::Pending(keys[0]));
        assert_eq!(known(User::Other(1000)), Known::Delivered);
        journal = restart(&mut disk);
        drive_on(&mut disk, &mut journal);
    }
    taken(journal.submit(now(), &of_user(User::Other(1001), "order-1", b"{}")));
}

#[test]
fn f118_who_submits_an_id_again_removes_its_own_dead_letter_only() {
    let mut disk = BTreeMap::new();
    let mut journal = restart(&mut disk);
    drive_on(&mut disk, &mut journal);
    let mut keys = Vec::new();
    for user in USERS {
        keys.push(taken(
            journal.submit(now(), &of_user(user, "order-1", b"{}")),
        ));
    }
    drive_on(&mut disk, &mut journal);
    for key in &keys {
        dead(&mut journal, *key);
    }
    settle(&mut disk, &mut journal);
    for _ in 0..2 {
        assert_eq!(letters_of(&journal, None), keys, "whoever's");
        for (user, key) in USERS.iter().zip(&keys) {
            assert_eq!(letters_of(&journal, Some(*user)), [*key]);
        }
        journal = restart(&mut disk);
        drive_on(&mut disk, &mut journal);
    }
    taken(journal.submit(now(), &of_user(USERS[1], "order-1", b"{}")));
    settle(&mut disk, &mut journal);
    assert_eq!(letters_of(&journal, None), [keys[0], keys[2]]);
}

#[test]
fn f118_a_spool_of_version_1_is_read_and_its_jobs_are_the_own_users() {
    let mut disk = BTreeMap::new();
    let mut journal = restart(&mut disk);
    drive_on(&mut disk, &mut journal);
    let key = taken(journal.submit(now(), &submission("order-1", b"{}")));
    drive_on(&mut disk, &mut journal);
    for bytes in disk
        .values_mut()
        .filter(|bytes| bytes.len() >= HEADER_BYTES)
    {
        // What the version before wrote differs in this alone.
        bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    }
    let mut journal = restart(&mut disk);
    let verdict = journal.submit(now(), &submission("order-1", b"{}"));
    let known = Known::Pending(key);
    assert!(matches!(verdict, Verdict::Duplicate { known: of, .. } if of == known));
    drive_on(&mut disk, &mut journal);
    taken(journal.submit(now(), &of_user(USERS[1], "order-1", b"{}")));
    drive_on(&mut disk, &mut journal);
    let versions: Vec<u8> = disk.values().map(|bytes| bytes[8]).collect();
    assert!(
        versions.contains(&2),
        "who can't tell users apart refuses it: {versions:?}"
    );
}

#[test]
fn f120_a_letter_is_found_from_the_moment_its_end_is_told() {
    let mut disk = BTreeMap::new();
    let mut journal = restart(&mut disk);
    drive_on(&mut disk, &mut journal);
    let key = taken(journal.submit(now(), &submission("order-1", b"{}")));
    drive_on(&mut disk, &mut journal);
    dead(&mut journal, key);
    let all = LetterQuery::After {
        after: JobKey(0),
        max: 10,
    };
    // Nothing has gone to disk yet, then some, then all of it.
    let mut steps = 0;
    loop {
        let found = journal.find_letters(&all);
        assert_eq!((&found.keys[..], found.last), (&[key][..], key), "{steps}");
        assert_eq!(letters_of(&journal, None), [key], "{steps}");
        let output = match journal.poll_output() {
            Some(output) => output,
            None if journal.is_flushed() => break,
            None => {
                journal.flush(now());
                continue;
            }
        };
        if let Output::Disk { op, action } = output {
            let result = Ok(perform(&mut disk, action));
            journal.handle_input(now(), Input::Performed { op, result });
        }
        steps += 1;
    }
    assert!(
        steps >= 4,
        "{steps}: it was read, written and synced meanwhile"
    );
}

#[test]
fn f120_a_letter_on_its_way_to_disk_is_read_forgotten_and_submitted_again() {
    for deed in ["read", "forget", "submit"] {
        let mut disk = BTreeMap::new();
        let mut journal = restart(&mut disk);
        drive_on(&mut disk, &mut journal);
        let key = taken(journal.submit(now(), &submission("order-1", b"{}")));
        drive_on(&mut disk, &mut journal);
        dead(&mut journal, key);
        match deed {
            "read" => {
                journal.handle_input(now(), Input::Fetch { key });
                let said = drive_on(&mut disk, &mut journal);
                let fetched = said.iter().find_map(|output| match output {
                    Output::Fetched { fetched, .. } => fetched.as_deref(),
                    _ => None,
                });
                let fetched = fetched.expect("it is there");
                let letter = fetched.letter.as_deref().expect("and a letter");
                assert_eq!((letter.status, &*fetched.line), (400, &b"{}"[..]));
                continue;
            }
            "forget" => journal.handle_input(now(), Input::Forget { key }),
            _ => _ = taken(journal.submit(now(), &submission("order-1", b"{}"))),
        }
        assert_eq!(letters_of(&journal, None), [], "{deed}");
        settle(&mut disk, &mut journal);
        let journal = restart(&mut disk);
        assert_eq!(letters_of(&journal, None), [], "{deed}");
    }
}
