//! Stories of dead letters: asked for over the socket, given out, replayed, purged.

use super::*;
use crate::intake::event::Access;
use crate::wire::spool::Refusal;

const SPOOLING: Settings = Settings {
    serves: true,
    spools: true,
    ..SETTINGS
};

/// A world in which these jobs of a client that has left have died, as 1, 2, …
fn world_of_dead(ids: &[&str]) -> World {
    let mut world = World::new(SPOOLING);
    world.settle();
    let client = world.connect(Access::Submit);
    let jobs: String = ids.iter().map(|id| line("a", id)).collect();
    world.says(client, jobs);
    world.durable(ids.len() as u64);
    for _ in ids {
        world.done("a", Outcome::Exhausted);
        world.settle();
    }
    world.leaves(client);
    world.hangs_up(client);
    world.pretend.ends.clear();
    world
}

impl World {
    /// What the client hears to a question, once the disk has been read.
    fn asks(&mut self, client: ClientId, question: &str) -> String {
        self.says(client, format!("{question}\n"));
        self.read_disk();
        self.hears(client)
    }
}

#[test]
fn letters_are_listed_given_out_and_purged_and_answers_keep_their_order() {
    let mut world = world_of_dead(&["1", "2"]);
    let client = world.connect(Access::Control);
    world.says(client, "{\"ctl\":\"dead list\"}\n{\"ctl\":\"status\"}\n");
    assert_eq!(world.hears(client), "", "the first is to be read");
    world.read_disk();
    let heard = world.hears(client);
    let lines: Vec<&str> = heard.lines().collect();
    assert!(
        lines[0]
            .starts_with("{\"ctl\":\"dead list\",\"ok\":true,\"data\":{\"letters\":[{\"id\":\"1\"")
    );
    assert!(lines[0].contains("{\"id\":\"2\"") && !lines[0].contains("payload"));
    assert!(lines[1].starts_with("{\"ctl\":\"status\""));
    let heard = world.asks(client, "{\"ctl\":\"dead export\",\"ids\":[\"2\",\"3\"]}");
    let job = "{\"jobs\":[\"{\\\"url\\\":\\\"https://a/\\\",\\\"id\\\":\\\"2\\\",";
    assert!(heard.contains(job), "{heard}");
    assert!(heard.ends_with("],\"missing\":[\"3\"]}}\n"), "{heard}");
    let heard = world.asks(client, "{\"ctl\":\"dead purge\",\"ids\":[\"1\"]}");
    assert_eq!(
        heard,
        "{\"ctl\":\"dead purge\",\"ok\":true,\"data\":{\"purged\":1}}\n"
    );
    assert_eq!(world.pretend.letters.len(), 1);
    world.asks(client, "{\"ctl\":\"dead purge\",\"ids\":[\"1\"]}");
    assert_eq!(
        world.taken,
        [("purged", 1)],
        "and nothing of what does nothing"
    );
}

#[test]
fn a_replayed_letter_is_a_job_again_under_its_id_and_gone_once_it_is_safe() {
    let mut world = world_of_dead(&["1", "2"]);
    let client = world.connect(Access::Control);
    world.pass(Duration::from_secs(7));
    let heard = world.asks(client, "{\"ctl\":\"dead replay\",\"ids\":[\"1\"]}");
    assert_eq!(
        (heard.as_str(), world.out.len()),
        ("", 0),
        "it is not safe yet"
    );
    assert_eq!(world.pretend.letters.len(), 2);
    world.durable(3);
    assert_eq!(
        world.hears(client),
        "{\"ctl\":\"dead replay\",\"ok\":true,\"data\":{\"replayed\":1}}\n"
    );
    assert_eq!(world.taken, [("replayed", 1)]);
    assert_eq!(world.pretend.letters.len(), 1);
    let (_, job) = &world.out[0];
    assert_eq!((&*job.id, job.progress.attempts), ("1", 0));
    assert_eq!(
        (job.accepted.mono, job.age),
        (world.now.mono, Duration::ZERO)
    );
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(world.hears(client), "", "the result is nobody's");
    assert_eq!(world.pretend.ends, [(JobKey(3), "delivered")]);
    assert!(!world.intake.has_jobs());
}

#[test]
fn a_letter_whose_id_is_pending_is_not_replayed() {
    let mut world = world_of_dead(&["1"]);
    let client = world.connect(Access::Control);
    world.says(client, line("b", "1"));
    let heard = world.asks(client, "{\"ctl\":\"dead replay\",\"all\":true}");
    assert_eq!(heard, "", "behind the answer to the job");
    world.durable(2);
    let heard = world.hears(client);
    let (first, second) = heard.split_once('\n').expect("two lines");
    assert!(first.contains("\"accepted\""));
    assert!(
        second
            .contains("\"replayed\":0,\"failed\":[{\"id\":\"1\",\"error\":{\"kind\":\"duplicate\"")
    );
}

#[test]
fn where_its_endpoint_signs_by_now_a_letter_with_a_dot_in_its_id_stays_one() {
    let mut world = world_of_dead(&["1.2", "3"]);
    let mut limits = Limits::of(&SPOOLING);
    limits.endpoint.signs = true;
    world.input(Input::Limits(Box::new(limits)));
    let client = world.connect(Access::Control);
    world.asks(client, "{\"ctl\":\"dead replay\",\"all\":true}");
    world.durable(3);
    let heard = world.hears(client);
    let expected = "\"replayed\":1,\"failed\":[{\"id\":\"1.2\",\"error\":{\"kind\":\"invalid\"";
    assert!(heard.contains(expected), "{heard}");
    assert_eq!(world.pretend.letters.len(), 1);
    assert_eq!((world.out.len(), &*world.out[0].1.id), (1, "3"));
}

#[test]
fn while_the_disk_is_behind_a_replay_waits_and_while_it_is_full_it_stops() {
    let mut world = world_of_dead(&["1", "2"]);
    let client = world.connect(Access::Control);
    world.pretend.refusal = Some(Refusal::Behind);
    let heard = world.asks(client, "{\"ctl\":\"dead replay\",\"all\":true}");
    assert_eq!((heard.as_str(), world.intake.has_work()), ("", false));
    world.pretend.refusal = None;
    world.refusal(None);
    world.read_disk();
    world.durable(4);
    let heard = world.hears(client);
    assert!(heard.contains("{\"replayed\":2}"), "{heard}");
    let mut world = world_of_dead(&["1", "2"]);
    let client = world.connect(Access::Control);
    world.pretend.refusal = Some(Refusal::Full);
    let heard = world.asks(client, "{\"ctl\":\"dead replay\",\"all\":true}");
    let stopped =
        "{\"replayed\":0,\"stopped\":{\"kind\":\"spool\",\"message\":\"the spool is full\"}}";
    assert!(heard.contains(stopped), "{heard}");
    assert_eq!(world.pretend.letters.len(), 2);
}

#[test]
fn who_may_only_submit_may_not_ask_for_letters() {
    let mut world = world_of_dead(&["1"]);
    let client = world.connect(Access::Submit);
    for verb in [
        "list",
        "export",
        "replay\",\"all\":true,\"x\":\"",
        "purge\",\"ids\":[\"1\"],\"x\":\"",
    ] {
        let heard = world.asks(client, &format!("{{\"ctl\":\"dead {verb}\"}}"));
        assert!(heard.contains("\"ok\":false"), "{heard}");
        assert!(!heard.contains("https://a"), "{heard}");
    }
    let heard = world.asks(client, "{\"ctl\":\"dead purge\",\"all\":true}");
    assert!(heard.contains("\"kind\":\"policy\""), "{heard}");
    assert_eq!(world.pretend.letters.len(), 1);
}

#[test]
fn without_a_spool_there_are_no_letters() {
    let mut world = World::new(Settings {
        spools: false,
        ..SPOOLING
    });
    let client = world.connect(Access::Control);
    let heard = world.asks(client, "{\"ctl\":\"dead list\"}");
    assert!(heard.contains("\"kind\":\"spool\""), "{heard}");
    assert!(heard.contains("there is no spool (--spool)"), "{heard}");
}

#[test]
fn at_the_end_whoever_waits_is_answered_and_nothing_is_replayed() {
    let mut world = world_of_dead(&["1"]);
    let client = world.connect(Access::Control);
    world.says(client, "{\"ctl\":\"drain\"}\n");
    let heard = world.hears(client);
    assert!(heard.contains("\"draining\":true"), "{heard}");
    let heard = world.asks(client, "{\"ctl\":\"dead replay\",\"all\":true}");
    assert!(heard.contains("\"stopped\":{\"kind\":\"limit\""), "{heard}");
    world.says(client, "{\"ctl\":\"dead list\"}\n");
    world.input(Input::Stop);
    world.settle();
    let heard = world.hears(client);
    assert!(heard.contains("shut down before it was done"), "{heard}");
    world.read_disk();
    assert_eq!(
        world.intake.progress().stale_inputs,
        1,
        "nobody waits for it"
    );
    assert!(world.intake.is_finished());
}

#[test]
fn who_has_left_is_not_answered() {
    let mut world = world_of_dead(&["1"]);
    let client = world.connect(Access::Control);
    world.says(client, "{\"ctl\":\"dead list\"}\n");
    world.hangs_up(client);
    assert!(
        !world.closed.contains(&client),
        "the answer is still to come"
    );
    world.leaves(client);
    assert!(world.closed.contains(&client));
    world.read_disk();
    let other = world.connect(Access::Control);
    let heard = world.asks(other, "{\"ctl\":\"dead list\"}");
    assert!(heard.contains("\"id\":\"1\""), "{heard}");
}
