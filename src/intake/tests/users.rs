//! Stories of several users at the socket: what is one's is no other's.

use super::*;
use crate::intake::HALF_LINE_MAX;
use crate::intake::event::Access;
use crate::wire::job::User;

const SPOOLING: Settings = Settings {
    serves: true,
    spools: true,
    ..SETTINGS
};

impl World {
    fn connect_user(&mut self, uid: u32, access: Access) -> ClientId {
        let user = User::of(uid, self.intake.settings.uid);
        let id = self
            .intake
            .open_for((user, Some(uid + 7)), Kind::Socket(access));
        self.settle();
        id
    }

    fn waits(&mut self, time: Duration) {
        self.pass(time);
        self.settle();
    }
}

#[test]
fn f118_the_same_id_of_two_users_is_two_jobs_and_each_hears_of_its_own() {
    let mut world = World::new(SPOOLING);
    world.settle();
    let (a, b) = (
        world.connect_user(1000, Access::Submit),
        world.connect_user(1001, Access::Submit),
    );
    world.says(a, line("a", "order-2"));
    world.says(b, line("b", "order-2"));
    world.durable(2);
    for id in [a, b] {
        let heard = world.hears(id);
        assert_eq!(
            heard,
            "{\"id\":\"order-2\",\"line\":1,\"outcome\":\"accepted\"}\n"
        );
    }
    // Whoever's it is says it again.
    world.says(b, line("b", "order-2"));
    assert!(world.hears(b).contains("\"outcome\":\"duplicate\""));
    world.done("b", Outcome::Delivered);
    world.settle();
    let heard = world.hears(b);
    assert_eq!(
        heard.matches("\"outcome\":\"delivered\"").count(),
        2,
        "{heard}"
    );
    assert_eq!(world.hears(a), "", "its job is pending");
    world.done("a", Outcome::Delivered);
    world.settle();
    assert!(world.hears(a).contains("https://a\""));
}

#[test]
fn f118_letters_say_whose_they_are_and_are_chosen_by_that() {
    let mut world = World::new(SPOOLING);
    world.settle();
    let users = [0, 1000];
    for (uid, key) in users.into_iter().zip(1..) {
        let client = world.connect_user(uid, Access::Submit);
        world.says(client, line("a", "order-1"));
        world.durable(key);
        world.done("a", Outcome::Rejected);
        world.settle();
    }
    let client = world.connect(Access::Control);
    let mut ask = |question: &str| {
        world.says(client, format!("{question}\n"));
        world.read_disk();
        world.hears(client)
    };
    let both = ask(r#"{"ctl":"dead list","ids":["order-1"]}"#);
    assert!(
        both.contains(r#""uid":0,"#) && both.contains(r#""uid":1000,"#),
        "{both}"
    );
    for question in [
        r#"{"ctl":"dead list","uid":1000}"#,
        r#"{"ctl":"dead list","ids":["order-1"],"uid":1000}"#,
    ] {
        let heard = ask(question);
        assert!(
            heard.contains(r#""uid":1000,"#) && !heard.contains(r#""uid":0,"#),
            "{heard}"
        );
    }
    let heard = ask(r#"{"ctl":"dead list","ids":["order-1"],"uid":1001}"#);
    assert!(heard.contains(r#""missing":["order-1"]"#), "{heard}");
    let heard = ask(r#"{"ctl":"dead purge","uid":1000}"#);
    assert!(heard.contains(r#""purged":1"#), "{heard}");
    let left = ask(r#"{"ctl":"dead list"}"#);
    assert!(
        left.contains(r#""uid":0,"#) && !left.contains(r#""uid":1000,"#),
        "{left}"
    );
    // Replayed, it is the same user's job again.
    let heard = ask(r#"{"ctl":"dead replay","ids":["order-1"],"uid":1000}"#);
    assert!(heard.contains(r#""replayed":0"#), "{heard}");
}

#[test]
fn f139_status_says_who_is_held_for_how_long_and_by_what_to_whom_that_concerns() {
    let mut world = World::new(Settings {
        serves: true,
        max_client_pending: 2,
        ..SETTINGS
    });
    let held = world.connect_user(1000, Access::Submit);
    let jobs: String = ["1", "2", "3"].iter().map(|id| line("a", id)).collect();
    world.says(held, jobs);
    world.waits(Duration::from_secs(61));
    let own = world.connect_user(1000, Access::Submit);
    let other = world.connect_user(1001, Access::Submit);
    let master = world.connect(Access::Control);
    for (client, is_told) in [(own, true), (other, false), (master, true)] {
        world.says(client, "{\"ctl\":\"status\"}\n");
        let heard = world.hears(client);
        assert!(heard.contains("\"heldClients\":1,"), "{heard}");
        let entry = "{\"stdin\":false,\"uid\":1000,\"pid\":1007,\"pending\":2,\"unreadBytes\":";
        assert_eq!(heard.contains(entry), is_told, "{heard}");
        let why = "\"seconds\":61,\"by\":\"none of its 2 jobs has ended (maxClientPending)\"}";
        assert_eq!(heard.contains(why), is_told, "{heard}");
    }
    world.done("a", Outcome::Delivered);
    world.settle();
    world.done("a", Outcome::Delivered);
    world.settle();
    world.says(master, "{\"ctl\":\"status\"}\n");
    let heard = world.hears(master);
    assert!(heard.contains("\"heldClients\":0,\"held\":[]"), "{heard}");
}

#[test]
fn f117_half_a_line_waits_for_thirty_seconds_and_then_its_client_is_told() {
    let mut world = World::new(Settings {
        serves: true,
        ..SETTINGS
    });
    let half = world.connect_user(1000, Access::Submit);
    let slow = world.connect_user(1000, Access::Submit);
    let idle = world.connect_user(1000, Access::Submit);
    world.says(half, "{\"url\":");
    world.says(slow, "{\"url\"");
    world.waits(HALF_LINE_MAX / 2);
    // A byte now and then does not make it last longer; a whole line does.
    world.says(half, "\"");
    world.says(slow, ":1}\n{\"url\"");
    assert!(world.hears(slow).contains("invalid"));
    world.waits(HALF_LINE_MAX / 2 - Duration::from_millis(1));
    assert_eq!(world.hears(half), "");
    world.waits(Duration::from_millis(1));
    let told = world.hears(half);
    assert!(
        told.contains("\"kind\":\"limit\"") && told.contains("30 s"),
        "{told}"
    );
    assert!(world.closed.contains(&half), "it is closed once it is told");
    assert_eq!(world.hears(slow), "", "its line began later");
    world.waits(HALF_LINE_MAX / 2);
    assert!(world.hears(slow).contains("30 s"));
    world.waits(HALF_LINE_MAX * 10);
    assert_eq!(world.hears(idle), "", "no line, no limit");
    assert_eq!(world.closed.len(), 2);
}

#[test]
fn f117_a_line_longer_than_may_be_that_never_ends_is_half_a_line_too() {
    let mut world = World::new(Settings {
        serves: true,
        ..SETTINGS
    });
    let client = world.connect_user(1000, Access::Submit);
    for _ in 0..4 {
        world.says(client, "x".repeat(SETTINGS.max_job_bytes));
    }
    world.waits(HALF_LINE_MAX);
    assert!(world.hears(client).contains("30 s"));
}
