//! Stories of limits that one origin has for itself, and of those that change.

use std::sync::Arc;

use super::*;
use crate::intake::limits::EndpointLimits;
use crate::wire::url::Url;

const SERVING: Settings = Settings {
    serves: true,
    max_queued: 5,
    max_connections: 2,
    ..SETTINGS
};

fn of_a(max_queued: usize) -> Limits {
    let mut limits = Limits::of(&SERVING);
    let own = EndpointLimits {
        max_queued,
        max_connections: 1,
        ttl: SERVING.ttl,
        signs: false,
        head_bytes: 0,
    };
    limits.endpoints.insert("https://a", Arc::new(own)).unwrap();
    limits
}

impl World {
    fn limit(&mut self, limits: Limits) {
        self.input(Input::Limits(Box::new(limits)));
        self.settle();
    }

    /// Jobs of `host`, out of so many, that are accepted.
    fn accepts(&mut self, client: ClientId, host: &str, count: usize) -> usize {
        self.says(client, line(host, "j").repeat(count));
        self.hears(client).matches("accepted").count()
    }
}

#[test]
fn an_origin_with_limits_of_its_own_has_those_and_no_other() {
    let mut world = World::new(SERVING);
    world.limit(of_a(2));
    let client = world.connect(Access::Submit);
    assert_eq!(world.accepts(client, "a", 20), 3);
    assert_eq!(world.accepts(client, "b", 20), 7);
    world.held("a", true);
    world.done("a", Outcome::Expired);
    assert_eq!(world.accepts(client, "a", 20), 0, "none is on its way");
    world.done("a", Outcome::Expired);
    assert_eq!(world.accepts(client, "a", 20), 1);
    world.chunk(line("a", "feed"));
    assert_eq!(summary(&world.results()), ["feed 1 overloaded"]);
}

#[test]
fn changed_limits_hold_for_origins_that_are_known_already() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Submit);
    assert_eq!(world.accepts(client, "a", 20), 7);
    world.limit(of_a(9));
    assert_eq!(world.accepts(client, "a", 20), 3);
    world.limit(of_a(3));
    assert_eq!(world.accepts(client, "a", 20), 0);
    assert_eq!(world.hosts("a"), 10, "what is in stays");
    (0..7).for_each(|_| world.done("a", Outcome::Delivered));
    assert_eq!(world.accepts(client, "a", 20), 1);
    world.limit(Limits::of(&SERVING));
    assert_eq!(world.accepts(client, "a", 20), 3, "the entry is gone");
}

#[test]
fn f144_limits_of_one_origin_hold_there_at_once_until_all_are_told() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Submit);
    assert_eq!(world.accepts(client, "a", 20), 7);
    let origin = |name: &str| Arc::new(Url::parse(name).unwrap().to_origin());
    let limits = **of_a(9).endpoints.own(&origin("https://a")).unwrap();
    for name in ["https://a", "https://b"] {
        let origin = origin(name);
        world.input(Input::Own { origin, limits });
    }
    assert_eq!(world.accepts(client, "a", 20), 3);
    assert_eq!(
        world.accepts(client, "b", 20),
        10,
        "it was not known before"
    );
    assert_eq!(world.accepts(client, "c", 20), 7);
    world.limit(Limits::of(&SERVING));
    (0..7).for_each(|_| world.done("b", Outcome::Delivered));
    assert_eq!(world.accepts(client, "b", 20), 4);
}

#[test]
fn a_limit_that_is_lifted_lets_those_go_on_that_waited_for_it() {
    let few = Settings {
        max_pending: 3,
        max_client_pending: 2,
        ..SERVING
    };
    let mut world = World::new(few);
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "j").repeat(4));
    assert_eq!(world.hosts("a"), 2, "it is not read from");
    world.chunk(line("b", "f").repeat(3));
    assert_eq!(world.hosts("b"), 1, "the feed is held");
    world.limit(Limits {
        max_pending: 6,
        max_client_pending: 10,
        ..Limits::of(&few)
    });
    assert_eq!(world.hosts("a") + world.hosts("b"), 6);
    assert_eq!(
        world.hears(client).matches("accepted").count(),
        world.hosts("a")
    );
}

#[test]
fn line_length_and_timings_change_for_clients_that_are_there() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Submit);
    world.limit(Limits {
        max_job_bytes: 100,
        timings: true,
        ..Limits::of(&SERVING)
    });
    world.says(client, line("a", "short") + &line("a", &"x".repeat(100)));
    let heard = world.hears(client);
    assert!(
        heard.contains("expected at most 100 bytes (maxJobBytes)"),
        "{heard}"
    );
    world.done("a", Outcome::Delivered);
    let heard = world.hears(client);
    assert!(heard.contains("\"timings\""), "{heard}");
}

#[test]
fn where_an_endpoint_signs_an_id_has_no_dot_and_the_head_has_its_room() {
    let mut world = World::new(SERVING);
    let mut limits = of_a(9);
    let signing = EndpointLimits {
        signs: true,
        head_bytes: 1_000,
        ..limits.endpoint
    };
    limits
        .endpoints
        .insert("https://signed", Arc::new(signing))
        .unwrap();
    world.limit(limits);
    let client = world.connect(Access::Submit);
    world.says(
        client,
        line("signed", "a.b") + &line("signed", "ab") + &line("a", "a.b"),
    );
    let heard = world.hears(client);
    let expected = "id: expected none with a dot, for the job is signed, found one";
    let invalid = heard.lines().find(|line| line.contains("invalid"));
    assert!(
        invalid.is_some_and(|line| line.contains(expected)),
        "{heard}"
    );
    assert_eq!(heard.matches("accepted").count(), 2, "{heard}");
}

#[test]
fn f149_limits_health_and_status_count_the_same_bytes() {
    let mut world = World::new(Settings {
        serves: true,
        max_pending_bytes: 3_000,
        ..SETTINGS
    });
    let client = world.connect(Access::Submit);
    let mut lines = 0;
    while world.intake.progress().outcomes[Outcome::Overloaded.index()] == 0 {
        lines += 1;
        world.says(client, line("a", &lines.to_string()));
        let told = world.intake.progress().pending_bytes;
        let health = world.intake.health(world.now);
        let check = health.iter().find(|check| check.name == "intake");
        let data = check.expect("it is there").data.iter();
        let of_health = data.filter(|(name, _)| *name == "pendingBytes");
        let shown: Vec<String> = of_health.map(|(_, value)| format!("{value:?}")).collect();
        assert_eq!(shown, [format!("Number({told})")]);
    }
    assert!(lines > 2, "{lines}");
    let told = world.intake.progress().pending_bytes;
    assert!(told >= 3_000, "that is the limit: {told}");
}
