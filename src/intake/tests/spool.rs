//! Stories of jobs and the spool: when they are accepted, duplicates, trouble, limits, restarts, the end.

use super::*;
use crate::intake::event::Access;
use crate::wire::spool::{Attempt, JobKey, Refusal};

const SPOOLING: Settings = Settings {
    serves: true,
    spools: true,
    ..SETTINGS
};

fn world() -> World {
    let mut world = World::new(SPOOLING);
    world.settle();
    world
}

fn letter(ends: &[(JobKey, &'static str)]) -> Vec<(u64, &'static str)> {
    ends.iter().map(|(key, how)| (key.0, *how)).collect()
}

#[test]
fn a_job_is_accepted_and_sent_when_it_is_safe_and_answers_keep_their_order() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "1") + "nonsense\n" + &line("a", "2"));
    assert_eq!((world.hears(client), world.out.len()), (String::new(), 0));
    assert_eq!(world.intake.progress().storing, 2);
    world.durable(1);
    assert_eq!(
        summary(&world.hears(client)),
        ["1 1 accepted", "- 2 invalid"]
    );
    assert_eq!((world.out.len(), world.intake.progress().accepted), (1, 1));
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(letter(&world.pretend.ends), [(1, "delivered")]);
    world.durable(2);
    assert_eq!(
        summary(&world.hears(client)),
        ["1 1 delivered", "2 3 accepted"]
    );
    world.done("a", Outcome::Rejected);
    world.settle();
    assert_eq!(world.pretend.ends.last(), Some(&(JobKey(2), "rejected")));
    assert!(!world.intake.has_jobs());
}

#[test]
fn f94_a_duplicate_is_told_so_and_hears_of_the_job_too() {
    let mut world = world();
    let (one, two) = (world.connect(Access::Submit), world.connect(Access::Submit));
    world.says(one, line("a", "1"));
    world.says(two, line("a", "1"));
    world.hangs_up(two);
    assert_eq!(world.hears(two), "", "not before the first is safe");
    world.durable(1);
    assert_eq!(world.hears(one), accepted("1", 1));
    let heard = world.hears(two);
    assert_eq!(
        heard,
        "{\"id\":\"1\",\"line\":1,\"outcome\":\"duplicate\",\"known\":\"pending\",\"samePayload\":true,\
         \"attempts\":0,\"durationMs\":0,\"origin\":\"https://a\",\"error\":{\"kind\":\"duplicate\",\
         \"message\":\"a job with this id is known already (pending)\"}}\n"
    );
    world.says(one, line("b", "1"));
    assert!(world.hears(one).contains("\"samePayload\":false"));
    assert!(!world.closed.contains(&two), "the result is still to come");
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(
        summary(&world.hears(one)),
        ["1 2 delivered", "1 1 delivered"]
    );
    assert_eq!(summary(&world.hears(two)), ["1 1 delivered"]);
    assert!(world.closed.contains(&two));
    world.says(one, line("a", "1"));
    let heard = world.hears(one);
    assert!(heard.contains("\"known\":\"delivered\""), "{heard}");
    assert_eq!(
        world.intake.progress().outcomes[Outcome::Duplicate.index()],
        3
    );
}

#[test]
fn f112_duplicates_of_what_is_being_stored_count_as_pending() {
    let mut world = World::new(Settings {
        max_pending: 100,
        ..SPOOLING
    });
    world.settle();
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "1").repeat(1_000));
    for _ in 0..4 {
        world.chunk(line("a", "1").repeat(250));
    }
    let progress = world.intake.progress();
    assert_eq!(
        (progress.lines, progress.storing),
        (25, 1),
        "a quarter of the limit may be on its way"
    );
    let first = world.intake.ledger.storing_bytes();
    assert!(first > 24 * 300, "{first} bytes of 24 answers");
    assert_eq!(progress.pending_bytes, first);
    world.durable(1);
    let progress = world.intake.progress();
    assert_eq!(progress.lines, 2_000, "they go on when it is safe");
    assert_eq!(progress.outcomes[Outcome::Duplicate.index()], 1_999);
    assert_eq!(world.intake.ledger.storing_bytes(), 0);
}

#[test]
fn f96_while_the_disk_is_full_the_socket_is_refused_and_the_feed_waits() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    world.pretend.refusal = Some(Refusal::Full);
    world.chunk(line("a", "held") + &line("a", "next"));
    world.says(client, line("a", "1"));
    let heard = world.hears(client);
    assert!(heard.contains("\"outcome\":\"overloaded\""), "{heard}");
    assert!(heard.contains("{\"kind\":\"spool\",\"message\":\"the spool is full\"}"));
    assert_eq!((world.out.len(), world.intake.progress().storing), (0, 0));
    world.says(client, line("a", "2"));
    assert!(world.hears(client).contains("\"kind\":\"spool\""));
    world.pretend.refusal = None;
    world.refusal(None);
    assert_eq!(world.intake.progress().storing, 2, "nothing was lost");
    world.says(client, line("a", "3"));
    world.durable(3);
    assert_eq!(world.out.len(), 3);
    assert_eq!(world.hears(client), accepted("3", 3));
}

#[test]
fn f97_when_the_disk_fails_the_socket_waits_for_it_no_longer_and_the_feed_does() {
    let mut world = world();
    let (one, two) = (world.connect(Access::Submit), world.connect(Access::Submit));
    world.says(one, line("a", "1") + &line("a", "2"));
    world.says(two, line("a", "1"));
    world.chunk(line("a", "feed"));
    world.input(Input::SpoolFailed {
        refusal: Refusal::Trouble,
    });
    world.settle();
    assert_eq!(
        summary(&world.hears(one)),
        ["1 1 overloaded", "2 2 overloaded"]
    );
    assert_eq!(
        summary(&world.hears(two)),
        ["1 1 overloaded"],
        "no duplicate of nothing"
    );
    assert_eq!(letter(&world.pretend.ends), [(1, "ended"), (2, "ended")]);
    assert_eq!((world.out.len(), world.intake.progress().storing), (0, 1));
    world.durable(3);
    assert_eq!(world.out.len(), 1, "the feed's");
    world.says(one, line("a", "1"));
    world.durable(4);
    assert_eq!(world.hears(one), accepted("1", 3));
}

#[test]
fn a_disk_that_is_behind_makes_everybody_wait_and_nobody_lose() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    world.pretend.refusal = Some(Refusal::Behind);
    world.says(client, line("a", "1") + &line("a", "2"));
    world.chunk(line("a", "feed"));
    assert_eq!(
        (world.hears(client), world.intake.progress().storing),
        (String::new(), 0)
    );
    world.pretend.refusal = None;
    world.refusal(None);
    world.durable(3);
    assert_eq!(
        summary(&world.hears(client)),
        ["1 1 accepted", "2 2 accepted"]
    );
    assert_eq!(world.out.len(), 3);
}

#[test]
fn only_so_much_is_on_its_way_to_disk() {
    let mut world = World::new(Settings {
        max_pending: 8,
        ..SPOOLING
    });
    world.settle();
    let client = world.connect(Access::Submit);
    let lines: String = (0..6).map(|n| line("a", &n.to_string())).collect();
    world.says(client, lines);
    assert_eq!(world.intake.progress().storing, 2, "a quarter");
    world.durable(2);
    assert_eq!(world.intake.progress().storing, 2);
    world.durable(4);
    world.durable(6);
    assert_eq!(world.intake.progress().storing, 0);
    assert_eq!(world.out.len(), 6);
}

#[test]
fn what_finds_no_room_waits_on_disk_and_comes_back_when_there_is_some() {
    let mut world = World::new(Settings {
        max_queued: 10,
        max_connections: 2,
        ..SPOOLING
    });
    world.settle();
    let client = world.connect(Access::Submit);
    let lines: String = (0..40).map(|n| line("a", &n.to_string())).collect();
    world.says(client, lines);
    world.durable(40);
    world.says(client, line("b", "other"));
    world.durable(41);
    assert_eq!(world.hears(client).lines().count(), 41, "all are accepted");
    assert_eq!((world.hosts("a"), world.hosts("b")), (12, 1));
    assert_eq!(world.intake.progress().parked, 28);
    let mut ids = Vec::new();
    while !world.out.is_empty() {
        ids.push(world.out[0].1.id.clone());
        let host = world.out[0].1.origin.text.clone();
        world.done(&host, Outcome::Delivered);
        world.settle();
        world.read_disk();
        assert!(world.hosts("a") <= 12);
    }
    ids.retain(|id| &**id != "other");
    let expected: Vec<Box<str>> = (0..40).map(|n| n.to_string().into()).collect();
    assert_eq!(ids, expected, "first in, first out");
    assert_eq!(world.pretend.ends.len(), 41);
    assert_eq!(summary(&world.hears(client)).len(), 41);
}

#[test]
fn a_dead_origins_jobs_on_disk_hold_back_nobody_elses() {
    let mut world = World::new(Settings {
        max_pending: 40,
        ..SPOOLING
    });
    world.settle();
    let client = world.connect(Access::Submit);
    for n in 0..100 {
        world.says(client, line("dead", &n.to_string()));
        world.durable(n + 1);
    }
    world.says(client, line("live", "x"));
    world.durable(101);
    world.read_disk();
    assert_eq!(world.hosts("live"), 1, "memory is full, but not for it");
    world.done("live", Outcome::Delivered);
    world.settle();
    assert_eq!(world.pretend.ends.len(), 1);
}

#[test]
fn a_dead_origins_jobs_of_the_feed_go_to_disk_instead_of_holding_it() {
    let mut world = World::new(Settings {
        max_queued: 3,
        ..SPOOLING
    });
    world.settle();
    world.chunk(line("dead", "1"));
    world.durable(1);
    world.held("dead", true);
    world.chunk(
        (2..=5)
            .map(|n| line("dead", &n.to_string()))
            .collect::<String>(),
    );
    world.durable(5);
    assert_eq!(
        (world.hosts("dead"), world.intake.progress().parked),
        (3, 2)
    );
    assert_eq!(world.results(), "");
}

#[test]
fn jobs_found_at_start_are_delivered_with_what_is_left_of_their_time() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    world.chunk(line("a", "feed") + "{\"url\":\"https://a/\"}\n");
    world.says(client, line("b", "socket"));
    world.durable(3);
    let generated = world.out[1].1.id.clone();
    world.pretend.entries[0].attempt = Some(Attempt {
        attempts: 2,
        due: Wall::from_unix_seconds(0),
        status: 503,
        kind: ErrorKind::Http,
        message: "no".into(),
    });
    let mut world = world.restart(Settings {
        serves: false,
        ..SPOOLING
    });
    world.end();
    assert!(!world.intake.is_finished(), "there are jobs");
    world.read_disk();
    let ids: Vec<&str> = world.out.iter().map(|(_, job)| &*job.id).collect();
    assert_eq!(ids, ["feed", &generated, "socket"]);
    let job = &world.out[0].1;
    assert_eq!((job.progress.attempts, job.progress.status), (2, 503));
    assert_eq!(job.age, Duration::from_secs(60));
    assert_eq!(job.accepted.wall, Wall::from_unix_seconds(1_700_000_000));
    assert_eq!(job.spooled, Some(JobKey(1)));
    for host in ["a", "a", "b"] {
        world.done(host, Outcome::Delivered);
        world.settle();
    }
    let results = world.results();
    assert!(
        results.starts_with(
            "{\"id\":\"feed\",\"outcome\":\"delivered\",\"status\":503,\"attempts\":1,\"durationMs\":60000,"
        ),
        "{results}"
    );
    assert_eq!(
        results.lines().count(),
        2,
        "the client of the socket is gone"
    );
    assert_eq!(world.pretend.ends.len(), 3);
    assert!(world.intake.is_finished() && world.intake.all_delivered());
}

#[test]
fn a_job_has_the_ttl_that_its_endpoint_had_when_it_was_accepted_also_on_disk() {
    let settings = Settings {
        max_queued: 1,
        max_connections: 1,
        ..SPOOLING
    };
    let mut world = World::new(settings);
    let set_ttl = |world: &mut World, seconds: u64| {
        let mut limits = Limits::of(&settings);
        limits.endpoint.ttl = Duration::from_secs(seconds);
        world.input(Input::Limits(Box::new(limits)));
        world.settle();
    };
    let client = world.connect(Access::Submit);
    let own = "{\"url\":\"https://a/\",\"id\":\"own\",\"ttl\":9}\n";
    world.says(
        client,
        line("a", "1") + &line("a", "2") + &line("a", "3") + own,
    );
    world.durable(4);
    assert_eq!(world.intake.progress().parked, 2);
    set_ttl(&mut world, 5);
    world.says(client, line("b", "later"));
    world.durable(5);
    let mut ttls = Vec::new();
    while world.hosts("a") > 0 {
        let (_, job) = &world.out[world.out.len() - 1];
        ttls.push((job.id.to_string(), job.ttl.unwrap().as_secs()));
        world.done("a", Outcome::Delivered);
        world.settle();
        world.read_disk();
    }
    ttls.dedup();
    let expected = [("later", 5), ("3", 3600), ("own", 9)];
    assert_eq!(ttls, expected.map(|(id, ttl)| (id.to_owned(), ttl)));
    // What a start finds has it from when it is read first: here the settings of then.
    let mut world = world.restart(settings);
    set_ttl(&mut world, 7);
    world.read_disk();
    let at = world.out.iter().position(|(_, job)| *job.id == *"later");
    let (_, mut job) = world.out.remove(at.expect("it was found"));
    assert_eq!(job.ttl, Some(Duration::from_secs(7)));
    job.progress.due = world.now.mono + Duration::from_secs(600);
    world.input(Input::Postponed { job });
    set_ttl(&mut world, 8);
    world.pass(Duration::from_secs(600));
    world.settle();
    world.read_disk();
    let mut jobs = world.out.iter().map(|(_, job)| job);
    let job = jobs.find(|job| *job.id == *"later").expect("it is back");
    assert_eq!(job.ttl, Some(Duration::from_secs(7)));
}

#[test]
fn a_line_that_no_longer_parses_ends_and_one_that_cant_be_read_stays() {
    let mut world = world();
    world.chunk(line("a", "1") + &line("a", "2"));
    world.durable(2);
    world.pretend.entries[0].line = b"{\"url\":7}".as_slice().into();
    let mut world = world.restart(SPOOLING);
    world.pretend.wanted.retain(|key| *key == JobKey(1));
    world.read_disk();
    assert_eq!(letter(&world.pretend.ends), [(1, "invalid")]);
    let input = Input::Fetched {
        key: JobKey(2),
        fetched: None,
    };
    world.input(input);
    world.settle();
    let results = world.results();
    assert!(results.contains("\"outcome\":\"invalid\""), "{results}");
    assert_eq!(world.pretend.ends.len(), 1);
    assert_eq!(world.intake.progress().outcomes[Outcome::Kept.index()], 1);
    assert!(!world.intake.has_jobs());
}

#[test]
fn a_job_whose_next_attempt_is_far_waits_on_disk() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "1"));
    world.durable(1);
    let (_, mut job) = world.out.remove(0);
    job.progress.due = world.now.mono + Duration::from_secs(600);
    world.input(Input::Postponed { job });
    world.settle();
    assert_eq!(
        (world.intake.progress().pending, world.pretend.wanted.len()),
        (1, 0)
    );
    let due = world.intake.poll_timeout().expect("it comes back");
    world.now.mono = due - Duration::from_nanos(1);
    world.settle();
    assert_eq!(world.pretend.wanted, []);
    world.now.mono = due;
    world.settle();
    world.read_disk();
    assert_eq!(world.out[0].1.source.line, 1);
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(
        summary(&world.hears(client)),
        ["1 1 accepted", "1 1 delivered"]
    );
}

#[test]
fn f88_what_is_not_done_at_the_end_is_kept_and_the_next_start_delivers_it() {
    let mut world = World::new(Settings {
        max_queued: 1,
        max_connections: 0,
        ..SPOOLING
    });
    world.settle();
    let client = world.connect(Access::Submit);
    world.says(
        client,
        (1..=4)
            .map(|n| line("a", &n.to_string()))
            .collect::<String>(),
    );
    world.durable(3);
    assert_eq!((world.hosts("a"), world.intake.progress().parked), (1, 2));
    world.hears(client);
    world.input(Input::Stop);
    world.settle();
    assert_eq!(summary(&world.hears(client)), ["2 2 kept", "3 3 kept"]);
    world.done("a", Outcome::Cancelled);
    world.settle();
    assert_eq!(summary(&world.hears(client)), ["1 1 kept"]);
    assert!(!world.intake.is_finished(), "the disk is waited for");
    world.durable(4);
    assert_eq!(summary(&world.hears(client)), ["4 4 accepted", "4 4 kept"]);
    assert!(world.closed.contains(&client) && world.intake.is_finished());
    assert_eq!(world.pretend.ends, []);
    let mut world = world.restart(SPOOLING);
    for n in 1..=4 {
        world.read_disk();
        assert_eq!(&*world.out[0].1.id, n.to_string());
        world.done("a", Outcome::Delivered);
        world.settle();
    }
    assert_eq!(world.pretend.delivered, ["1", "2", "3", "4"]);
}

#[test]
fn what_is_not_safe_when_time_is_up_was_never_accepted() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    world.chunk(line("a", "feed"));
    world.says(client, line("a", "1"));
    world.input(Input::Stop);
    world.settle();
    assert!(!world.intake.is_finished());
    world.input(Input::Abort);
    world.settle();
    assert_eq!(summary(&world.results()), ["feed 1 cancelled"]);
    let heard = world.hears(client);
    assert_eq!(summary(&heard), ["1 1 overloaded"]);
    assert!(heard.contains("\"kind\":\"spool\""), "{heard}");
    assert!(world.intake.is_finished() && world.closed.contains(&client));
}

#[test]
fn a_signal_before_all_that_was_found_had_its_turn_is_no_success() {
    let mut world = world();
    world.chunk(line("a", "1"));
    world.durable(1);
    let pretend = world.pretend.restart();
    let mut world = World {
        pretend,
        ..World::new(SPOOLING)
    };
    world.input(Input::Stop);
    assert!(!world.intake.is_finished(), "nobody has looked yet");
    world.settle();
    assert!(world.intake.is_finished() && !world.intake.all_delivered());
    assert_eq!(
        (world.results(), world.pretend.entries.len()),
        (String::new(), 1)
    );
}

#[test]
fn a_job_of_high_priority_does_not_stand_behind_those_on_disk() {
    let mut world = World::new(Settings {
        max_queued: 4,
        max_connections: 0,
        ..SPOOLING
    });
    world.settle();
    let client = world.connect(Access::Submit);
    world.says(
        client,
        (1..=6)
            .map(|n| line("a", &n.to_string()))
            .collect::<String>(),
    );
    world.durable(6);
    assert_eq!((world.hosts("a"), world.intake.progress().parked), (4, 2));
    world.done("a", Outcome::Delivered);
    world.settle();
    let urgent = "{\"url\":\"https://a/\",\"id\":\"urgent\",\"priority\":\"high\"}\n";
    world.says(client, urgent.to_owned() + &line("a", "7"));
    world.durable(8);
    let last = world.out.last().map(|(_, job)| &*job.id);
    assert_eq!(last, Some("urgent"));
    assert_eq!(world.intake.progress().parked, 3, "the other stands behind");
}

#[test]
fn f148_what_an_earlier_run_had_accepted_is_said_when_it_is_delivered() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "1") + &line("a", "2"));
    world.durable(2);
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(world.revived, [""; 0], "its client was told");
    let mut world = world.restart(SPOOLING);
    world.read_disk();
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(world.revived, ["2"]);
}
