//! The journal alone: what single inputs do. On a disk that forgets it is tested in `tests/journal`.

use super::event::{Known, SourceKind};
use super::recovery::Recovery;
use super::*;
use crate::base::rng::Rng;

fn now() -> Now {
    Now {
        mono: Instant::from_nanos(1_000_000_000),
        wall: Wall::from_unix_seconds(1_700_000_000),
    }
}

fn submission<'a>(id: &'a str, line: &'a [u8]) -> Submission<'a> {
    Submission {
        id,
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
