//! What must hold on its own, each told as a short story.

use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::time::Wall;
use conduit::journal::Settings;
use conduit::journal::event::{
    Attempt, Corruption, FileId, Input, JobKey, Refusal, Stream, Verdict,
};
use conduit::journal::recovery::{Recovery, Unusable};
use conduit::wire::report::ErrorKind;

use crate::model::{End, State};
use crate::world::World;

const FIRST: FileId = FileId {
    stream: Stream::Jobs,
    number: 1,
};

fn settings() -> Settings {
    Settings {
        segment_bytes: 16 * 1024,
        max_dead_bytes: 64 * 1024,
        remembered: 100,
        ..Settings::default()
    }
}

/// Jobs of 100 bytes, each safe before the next.
fn submit_one_by_one(world: &mut World, jobs: usize) -> Vec<JobKey> {
    let mut keys = Vec::new();
    for n in 0..jobs {
        let verdict = world.submit(&format!("job-{n}"), vec![b'x'; 100], false);
        let Verdict::New(key) = verdict else {
            panic!("{verdict:?}")
        };
        keys.push(key);
        world.settle();
        assert_eq!(world.model.jobs[&key].state, State::Acknowledged);
    }
    keys
}

/// Jobs of 300 bytes, until one is refused because the disk is full: how many were not.
fn submit_until_full(world: &mut World) -> u32 {
    let mut jobs = 0;
    loop {
        match world.submit(&format!("job-{jobs}"), vec![b'x'; 300], false) {
            Verdict::New(_) => jobs += 1,
            Verdict::Refused(Refusal::Behind) => {}
            Verdict::Refused(Refusal::Full) => return jobs,
            verdict => panic!("{verdict:?}"),
        }
        for _ in 0..20 {
            world.perform_one();
        }
        world.pass(Duration::from_millis(10));
    }
}

fn failed_attempt(attempts: u32, due: Wall) -> Attempt {
    Attempt {
        attempts,
        due,
        status: 503,
        kind: ErrorKind::Http,
        message: "the answer was 503".into(),
    }
}

/// After a restart, and so soon that nothing is cleaned yet.
fn submit_another(world: &mut World) {
    world.pull();
    while world.journal.refusal(100).is_some() {
        world.perform_one();
    }
    let verdict = world.submit("other", vec![b'y'; 100], false);
    let Verdict::New(key) = verdict else {
        panic!("{verdict:?}")
    };
    while world.model.jobs[&key].state != State::Acknowledged {
        world.perform_one();
    }
}

fn pending(world: &mut World) -> Vec<JobKey> {
    let now = world.now;
    std::iter::from_fn(|| world.journal.next_pending(now))
        .map(|pending| pending.key)
        .collect()
}

#[test]
fn what_comes_while_the_disk_is_busy_is_one_batch() {
    let mut world = World::calm(settings());
    let before = world.journal.status().syncs;
    for n in 0..100 {
        world.submit(&format!("job-{n}"), vec![b'x'; 20], false);
        world.pull();
    }
    world.settle();
    let syncs = world.journal.status().syncs - before;
    assert!(
        syncs <= 8,
        "the first alone, the others by batches: {syncs}"
    );
}

#[test]
fn f98_damage_before_a_good_batch_is_loud_and_costs_one_job() {
    let mut world = World::calm(settings());
    let keys = submit_one_by_one(&mut world, 10);
    // 96 bytes of header, then batches of 20 + 59 + 100 bytes.
    let at = 96 + 3 * 179 + 20;
    world.disk.damage(FIRST, at + 70);
    let summary = world.restart();
    let corruption = Corruption {
        file: FIRST,
        offset: at as u64,
    };
    assert_eq!(summary.corruptions, [corruption]);
    let kept: Vec<JobKey> = keys
        .iter()
        .filter(|key| **key != keys[3])
        .copied()
        .collect();
    assert_eq!(pending(&mut world), kept);
}

#[test]
fn f98_a_damaged_batch_header_is_searched_over() {
    let mut world = World::calm(settings());
    let keys = submit_one_by_one(&mut world, 5);
    world.disk.damage(FIRST, 96 + 179 + 6);
    let summary = world.restart();
    assert_eq!(summary.corrupt_places, 1);
    assert_eq!(summary.corruptions[0].offset, 96 + 179);
    assert_eq!(pending(&mut world), [keys[0], keys[2], keys[3], keys[4]]);
}

#[test]
fn f98_a_torn_tail_is_left_out_silently() {
    let mut world = World::calm(settings());
    let keys = submit_one_by_one(&mut world, 5);
    world.disk.damage(FIRST, 96 + 4 * 179 + 100);
    let summary = world.restart();
    assert_eq!(summary.corrupt_places, 0);
    assert_eq!(pending(&mut world), keys[..4]);
}

#[test]
fn f98_damage_before_the_end_that_a_later_segment_names_is_loud() {
    let mut world = World::calm(settings());
    submit_one_by_one(&mut world, 5);
    world.restart();
    // The next segment says where the first ended.
    let mut others = 0;
    while world
        .disk
        .with_content("jobs-", b"zzzz")
        .iter()
        .all(|file| *file == FIRST)
    {
        let _it_may_have_to_wait =
            world.submit(&format!("other-{others}"), vec![b'z'; 3_000], false);
        others += 1;
        world.settle();
    }
    // Nothing good stands behind it in its own file.
    world
        .disk
        .rewrite(FIRST, |bytes| bytes[96 + 4 * 179 + 100..].fill(0));
    let summary = world.restart();
    assert_eq!(
        summary.corruptions,
        [Corruption {
            file: FIRST,
            offset: 96 + 4 * 179
        }]
    );
    assert!((5..5 + others).contains(&summary.pending), "{summary:?}");
}

#[test]
fn f98_a_segment_without_its_header_is_read_all_the_same() {
    let mut world = World::calm(settings());
    let keys = submit_one_by_one(&mut world, 3);
    // So that another segment tells the seeds.
    world.restart();
    submit_another(&mut world);
    world.disk.damage(FIRST, 2);
    let summary = world.restart();
    assert_eq!(
        summary.corruptions,
        [Corruption {
            file: FIRST,
            offset: 0
        }]
    );
    assert_eq!(pending(&mut world)[..3], keys);
}

#[test]
fn what_a_killed_process_has_not_synced_is_safe_once_it_was_found() {
    for seed in 0..50 {
        let mut world = World::seeded(settings(), seed);
        submit_one_by_one(&mut world, 1);
        let Verdict::New(key) = world.submit("written", vec![b'x'; 3_000], false) else {
            panic!("it is taken in")
        };
        world.pass(Duration::from_millis(10));
        world.perform_write();
        world.restart();
        assert!(pending(&mut world).contains(&key), "it is there");
        let again = world.submit("written", vec![b'x'; 3_000], false);
        assert!(matches!(again, Verdict::Duplicate { .. }), "{again:?}");
        world.pull();
        let state = world.model.jobs[&key].state;
        assert_eq!(state, State::Acknowledged, "it may be told so");
        world.cut_power();
        world.restart();
        assert!(pending(&mut world).contains(&key), "seed {seed}");
    }
}

#[test]
fn what_can_not_be_synced_at_start_ends_it() {
    let mut world = World::calm(settings());
    submit_one_by_one(&mut world, 3);
    world.disk.faults.sync = 1_000;
    let files = world.disk.files();
    let names = files.iter().map(|(name, bytes)| (name.as_str(), *bytes));
    let mut rng = Rng::from_seed([1; 32]);
    let mut recovery = Recovery::new(settings(), names, &mut rng);
    while let Some((op, action)) = recovery.poll_output() {
        let result = world.disk.perform(&action, &mut rng);
        recovery.handle_input(op, result);
    }
    let unusable = recovery.finish(world.now).expect_err("nothing is safe");
    assert_eq!(
        unusable.to_string(),
        "jobs-0000000001.log can't be synced (error 5)"
    );
}

#[test]
fn f102_a_file_of_another_version_ends_it_and_nothing_is_touched() {
    let mut world = World::calm(settings());
    submit_one_by_one(&mut world, 3);
    // Version 2 becomes 0x57.
    world.disk.damage(FIRST, 8);
    let files = world.disk.files();
    let names = files.iter().map(|(name, bytes)| (name.as_str(), *bytes));
    let mut rng = Rng::from_seed([1; 32]);
    let mut recovery = Recovery::new(settings(), names, &mut rng);
    while let Some((op, action)) = recovery.poll_output() {
        let result = world.disk.perform(&action, &mut rng);
        recovery.handle_input(op, result);
    }
    let unknown = recovery.finish(world.now).expect_err("it is not ours");
    assert_eq!(
        unknown,
        Unusable::Version {
            file: FIRST,
            version: 0x57
        }
    );
    assert_eq!(
        unknown.to_string(),
        "jobs-0000000001.log is of version 87: expected version 1 to 2; nothing was touched"
    );
}

#[test]
fn f96_a_full_disk_refuses_jobs_and_still_takes_their_ends() {
    let mut world = World::calm(settings());
    world.disk.faults.capacity = Some(16 * 1024 * 5);
    let jobs = submit_until_full(&mut world);
    assert!(jobs > 50, "{jobs}");
    let open: Vec<JobKey> = world.model.jobs.keys().copied().collect();
    for key in &open {
        while world.model.jobs[key].state != State::Acknowledged {
            world.perform_one();
        }
        world.end(*key, End::Delivered);
    }
    // Not a byte more than was there: nothing may have needed it.
    world.settle();
    assert_eq!(world.journal.status().pending, 0);
    let verdict = world.submit("afterwards", vec![b'x'; 300], false);
    assert!(
        matches!(verdict, Verdict::New(_)),
        "there is room again: {verdict:?}"
    );
    assert!(world.disk.peak_bytes <= 16 * 1024 * 5);
}

#[test]
fn a_small_disk_takes_jobs_in() {
    for (max_spool_bytes, disk_bytes) in [(None, 1 << 20), (Some(1 << 20), 1 << 40)] {
        let settings = Settings {
            max_spool_bytes,
            ..Settings::default()
        };
        let mut world = World::calm(settings.fitting(disk_bytes));
        world.disk.faults.capacity = Some(disk_bytes);
        let jobs = submit_until_full(&mut world);
        // Of 1 MiB: 359 bytes each, an eighth for dead letters and as much for more to come, one segment and a quarter kept free, and one byte in so
        // many is a header.
        assert!(jobs > 1_300, "{jobs}");
        assert!(world.disk.peak_bytes <= 1 << 20);
    }
    let large = Settings::default().fitting(1 << 40);
    assert_eq!(large.segment_bytes, Settings::default().segment_bytes);
    assert_eq!(large.dead_bytes(), Settings::default().dead_bytes());
}

#[test]
fn f96_a_full_disk_is_tried_again_though_nothing_else_happens() {
    let mut world = World::calm(settings());
    world.disk.faults.capacity = Some(16 * 1024 * 5);
    submit_until_full(&mut world);
    let open: Vec<JobKey> = world.model.jobs.keys().copied().collect();
    for key in &open {
        while world.model.jobs[key].state != State::Acknowledged {
            world.perform_one();
        }
    }
    // Attempts take what room there is, and none of that which is kept for ends.
    for attempts in 1..40 {
        for key in &open {
            let attempt = failed_attempt(attempts, world.now.wall);
            let input = Input::Attempted { key: *key, attempt };
            world.journal.handle_input(world.now, input);
        }
        world.pass(Duration::from_millis(300));
        for _ in 0..20 {
            world.perform_one();
        }
    }
    assert_eq!(world.journal.refusal(4_000), Some(Refusal::Full));
    world.disk.faults.capacity = None;
    world.settle();
    assert!(world.journal.is_flushed());
    assert_eq!(world.journal.refusal(100), None);
}

#[test]
fn f99_a_failed_sync_is_made_good_in_another_file() {
    let mut world = World::calm(settings());
    world.disk.faults.sync = 1_000;
    let Verdict::New(key) = world.submit("job", vec![b'x'; 100], false) else {
        panic!("it is taken in")
    };
    world.pull();
    while world.totals.troubles == 0 {
        world.perform_one();
    }
    assert_eq!(world.journal.refusal(100), Some(Refusal::Trouble));
    assert_eq!(
        world.model.jobs[&key].state,
        State::Submitted,
        "not acknowledged"
    );
    world.disk.faults.sync = 0;
    world.settle();
    assert_eq!(world.model.jobs[&key].state, State::Acknowledged);
    assert_eq!(
        (world.totals.recovered, world.journal.refusal(100)),
        (1, None)
    );
    world.restart();
    assert_eq!(pending(&mut world), [key]);
}

#[test]
fn dead_letters_are_kept_with_what_they_died_of_and_the_oldest_go_first() {
    let mut world = World::calm(settings());
    let keys = submit_one_by_one(&mut world, 700);
    for key in &keys {
        world.end(*key, End::Dead);
        world.settle();
    }
    let letters = world.journal.letters(JobKey(0), usize::MAX);
    assert_eq!(letters.len() as u64, 700 - world.totals.dropped);
    assert_eq!(letters, keys[world.totals.dropped as usize..]);
    assert!((100..400).contains(&letters.len()), "{}", letters.len());
    world.restart();
    world.settle();
    assert_eq!(world.journal.letters(JobKey(0), usize::MAX), letters);
    // Submitted again, the letter goes.
    let last = letters.len() - 1;
    let id = world.model.jobs[&letters[last]].id.clone();
    assert!(matches!(
        world.submit(&id, vec![b'x'; 9], false),
        Verdict::New(_)
    ));
    world.settle();
    assert_eq!(
        world.journal.letters(JobKey(0), usize::MAX),
        letters[..last]
    );
}

#[test]
fn the_limit_of_dead_letters_that_holds_already_drops_none() {
    // Less than one letter: the newest are kept all the same, while they are being written.
    let max = 1;
    let mut world = World::calm(Settings {
        max_dead_bytes: max,
        ..settings()
    });
    for key in submit_one_by_one(&mut world, 1) {
        world.end(key, End::Dead);
    }
    world.settle();
    world.limit_letters(max);
    world.settle();
    assert_eq!(world.journal.status().letters, 1);
    world.limit_letters(max + 1);
    world.settle();
    assert_eq!(world.journal.status().letters, 0);
}

#[test]
fn other_limits_of_dead_letters_hold_at_once() {
    let mut world = World::calm(settings());
    let keys = submit_one_by_one(&mut world, 300);
    let die = |world: &mut World, keys: &[JobKey]| {
        for key in keys {
            world.end(*key, End::Dead);
            world.settle();
        }
    };
    let dead_bytes = |world: &World| -> u64 {
        let files = world.disk.files().into_iter();
        let dead = files.filter(|(name, _)| name.starts_with("dead"));
        // A segment that is made ahead has its header, and no letter.
        dead.map(|(_, bytes)| bytes)
            .filter(|bytes| *bytes > 96)
            .sum()
    };
    die(&mut world, &keys[..200]);
    assert!(dead_bytes(&world) > 20_000, "{}", dead_bytes(&world));
    let (all, dropped) = (200, world.totals.dropped);
    assert_eq!(dropped, 0);
    for max in [16 * 1024, 1024, 0] {
        world.limit_letters(max);
        world.settle();
        assert!(dead_bytes(&world) <= max, "{} of {max}", dead_bytes(&world));
        // Whole segments go, which were of 4 KiB here.
        let least = max.saturating_sub(5 * 1024);
        assert!(
            dead_bytes(&world) >= least,
            "{} of {max}",
            dead_bytes(&world)
        );
        let letters = world.journal.letters(JobKey(0), usize::MAX);
        assert_eq!(letters, keys[world.totals.dropped as usize..all]);
    }
    assert_eq!(world.totals.dropped as usize, all, "none are kept");
    die(&mut world, &keys[200..210]);
    assert_eq!((world.journal.status().letters, dead_bytes(&world)), (0, 0));
    world.limit_letters(64 * 1024);
    die(&mut world, &keys[210..]);
    let letters = world.journal.letters(JobKey(0), usize::MAX);
    assert_eq!(letters, keys[210..]);
    world.restart();
    world.settle();
    assert_eq!(world.journal.letters(JobKey(0), usize::MAX), letters);
}

#[test]
fn f86_a_clock_that_jumps_moves_no_job_beyond_its_bounds() {
    let mut world = World::calm(settings());
    let keys = submit_one_by_one(&mut world, 2);
    let due = Wall::from_unix_seconds(world.now.wall.unix_seconds() + 50_000);
    for key in &keys {
        let attempt = failed_attempt(2, due);
        let key = *key;
        world
            .journal
            .handle_input(world.now, Input::Attempted { key, attempt });
    }
    world.settle();
    let accepted = world.now.wall;
    for (seconds, wait, age) in [
        (-5_000, 3600, 0),
        (0, 3600, 0),
        (49_000, 1000, 49_000),
        (90_000, 0, 90_000),
    ] {
        world.now.wall =
            Wall::from_unix_seconds(accepted.unix_seconds().saturating_add_signed(seconds));
        world.restart();
        let found = world.journal.next_pending(world.now).expect("a job");
        assert_eq!(
            found.due.since(world.now.mono).as_secs().abs_diff(wait),
            0,
            "{seconds}"
        );
        assert!(
            found.age.as_secs().abs_diff(age) <= 5,
            "{seconds}: {:?}",
            found.age
        );
        assert!(found.accepted <= world.now.wall);
        assert_eq!(found.attempts, 2);
    }
}

#[test]
fn few_jobs_that_stay_do_not_keep_the_disk() {
    let mut world = World::calm(settings());
    let staying = submit_one_by_one(&mut world, 1);
    for n in 0..3_000 {
        world.submit(&format!("other-{n}"), vec![b'x'; 200], false);
        world.settle();
        let open = world.model.jobs.keys().next_back().copied();
        world.end(open.expect("just submitted"), End::Delivered);
        world
            .model
            .jobs
            .retain(|key, job| staying.contains(key) || !matches!(job.state, State::Ended { .. }));
        world.model.delivered.clear();
    }
    world.settle();
    assert!(
        world.disk.peak_bytes < 12 * 16 * 1024,
        "{}",
        world.disk.peak_bytes
    );
    let status = world.journal.status();
    assert!(status.copied < 150, "once for each {status:?}");
    world.restart();
    assert_eq!(pending(&mut world), staying);
}
