//! Stories of operators: endpoints asked for, breakers and settings ordered.

use std::sync::Arc;

use super::*;
use crate::intake::event::Access;
use crate::wire::endpoint_row::{Rows, Totals};
use crate::wire::url::Url;

const SERVING: Settings = Settings {
    serves: true,
    ..SETTINGS
};

fn world() -> World {
    let mut world = World::new(SERVING);
    world.settle();
    world
}

impl World {
    fn orders(&mut self, client: ClientId, question: &str) -> String {
        self.says(client, format!("{question}\n"));
        self.hears(client)
    }

    /// Every engine that was asked says that it knows no origin.
    fn engines_answer(&mut self) {
        for engine in std::mem::take(&mut self.engines_asked) {
            let rows = Box::new(Rows {
                rows: Vec::new(),
                next: None,
                totals: Totals::default(),
            });
            self.input(Input::Rows { engine, rows });
        }
        self.settle();
    }
}

#[test]
fn endpoints_are_answered_when_all_engines_have_said_and_answers_keep_their_order() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    world.says(client, "{\"ctl\":\"endpoints\"}\n{\"ctl\":\"status\"}\n");
    assert_eq!(world.hears(client), "", "the engines have not answered");
    assert_eq!(world.engines_asked.len(), 2);
    world.engines_answer();
    let heard = world.hears(client);
    let expected = "{\"ctl\":\"endpoints\",\"ok\":true,\"data\":{\"endpoints\":[],\"total\":0}}\n";
    assert!(heard.starts_with(expected), "{heard}");
    assert!(
        heard[expected.len()..].starts_with("{\"ctl\":\"status\""),
        "{heard}"
    );
}

#[test]
fn what_was_set_is_told_also_of_origins_that_were_never_used() {
    let mut world = world();
    let client = world.connect(Access::Control);
    for origin in ["https://b", "https://a"] {
        let set = format!("\"ctl\":\"set\",\"origin\":\"{origin}\",\"settings\":{{\"timeout\":2}}");
        world.orders(client, &format!("{{{set}}}"));
    }
    world.says(client, "{\"ctl\":\"endpoints\"}\n");
    world.engines_answer();
    let row = |origin: &str, breaker: &str| {
        format!("{{\"origin\":\"{origin}\",\"breaker\":\"{breaker}\",\"set\":[\"timeout\"]}}")
    };
    let heard = world.hears(client);
    let [a, b] = ["https://a", "https://b"].map(|origin| row(origin, "closed"));
    let expected = format!("\"data\":{{\"endpoints\":[{a},{b}],\"total\":2}}}}\n");
    assert!(heard.ends_with(&expected), "{heard}");
    // What else is known of it is told.
    world.says(client, line("b", "1"));
    let (engine, origin) = (world.out[0].0, world.out[0].1.origin.clone());
    let held = true;
    world.input(Input::Origin {
        engine,
        origin,
        held,
    });
    world.now.mono = world.now.mono + Duration::from_secs(1);
    world.settle();
    world.hears(client);
    world.says(client, "{\"ctl\":\"endpoints\",\"limit\":1}\n");
    world.engines_answer();
    let heard = world.hears(client);
    let expected = format!("\"data\":{{\"endpoints\":[{a}],\"total\":2}}}}\n");
    assert!(heard.ends_with(&expected), "{heard}");
    world.now.mono = world.now.mono + Duration::from_secs(1);
    world.says(client, "{\"ctl\":\"endpoints\"}\n");
    world.engines_answer();
    let heard = world.hears(client);
    assert!(heard.contains(&row("https://b", "open")), "{heard}");
}

#[test]
fn at_the_end_nobody_waits_for_endpoints() {
    let mut world = world();
    let client = world.connect(Access::Control);
    world.says(client, "{\"ctl\":\"endpoints\"}\n");
    world.input(Input::Stop);
    world.settle();
    let heard = world.hears(client);
    assert!(heard.contains("\"kind\":\"cancelled\""), "{heard}");
}

#[test]
fn a_breaker_is_told_to_the_engine_that_has_the_origin_or_will_have_it() {
    let mut world = world();
    let client = world.connect(Access::Control);
    let heard = world.orders(
        client,
        "{\"ctl\":\"breaker reset\",\"origin\":\"https://a\"}",
    );
    assert!(heard.contains("\"ok\":false"), "nobody knows it: {heard}");
    let heard = world.orders(
        client,
        "{\"ctl\":\"breaker isolate\",\"origin\":\"https://A:443/\"}",
    );
    let done = "\"data\":{\"origin\":\"https://a\",\"breaker\":\"isolated\"}}\n";
    assert!(heard.ends_with(done), "{heard}");
    world.says(client, line("a", "1"));
    let (engine, _) = &world.out[0];
    let engine = *engine;
    assert_eq!(world.breakers, [(engine, "https://a".to_owned(), true)]);
    let heard = world.orders(
        client,
        "{\"ctl\":\"breaker reset\",\"origin\":\"https://a\"}",
    );
    assert!(heard.contains("\"breaker\":\"closed\""), "{heard}");
    assert_eq!(world.breakers[1], (engine, "https://a".to_owned(), false));
}

#[test]
fn an_origin_that_is_isolated_while_its_engine_forgets_it_stays_there_and_is_held() {
    let mut world = world();
    let client = world.connect(Access::Control);
    // Both engines have it by chance, so that the next new origin goes to the second.
    world.says(client, line("a", "1"));
    world.says(client, line("b", "2"));
    let a = EngineId(0);
    assert_eq!((world.out[0].0, world.out[1].0), (a, EngineId(1)));
    world.done("a", Outcome::Delivered);
    world.says(client, line("b", "3"));
    world.settle();
    world.hears(client);
    let isolate = "{\"ctl\":\"breaker isolate\",\"origin\":\"https://a\"}";
    let heard = world.orders(client, isolate);
    assert!(heard.contains("\"breaker\":\"isolated\""), "{heard}");
    // The engine has forgotten it before the order came, and makes it anew.
    let origin = || Arc::new(Url::parse("https://a").expect("a URL").to_origin());
    world.input(Input::OriginRetired {
        engine: a,
        origin: origin(),
        slot: 0,
        tally: Box::default(),
    });
    let held = |held| Input::Origin {
        engine: a,
        origin: origin(),
        held,
    };
    world.input(held(true));
    assert_eq!(world.intake.progress().origins_held, 1);
    for id in ["4", "5", "6"] {
        world.says(client, line("c", id));
    }
    world.says(client, line("a", "7"));
    let last = world.out.last().expect("a job");
    assert_eq!((&*last.1.id, last.0), ("7", a));
    // Reset and unused, it is forgotten as ever.
    world.done("a", Outcome::Delivered);
    world.input(held(false));
    world.input(Input::OriginRetired {
        engine: a,
        origin: origin(),
        slot: 0,
        tally: Box::default(),
    });
    assert_eq!(world.intake.progress().origins_held, 0);
    assert_eq!(world.intake.progress().origins, 2);
}

#[test]
fn settings_are_the_shells_and_its_word_is_the_answer() {
    let mut world = world();
    let client = world.connect(Access::Control);
    for (sent, told) in [
        ("\"timeout\":2.5", "\"timeout\":2.5"),
        ("\"timeout\":\"2.5\"", "\"timeout\":2.5"),
        ("\"maxDrainBytes\":\"64k\"", "\"maxDrainBytes\":\"64k\""),
        ("\"onCircuitOpen\":\"fail\"", "\"onCircuitOpen\":\"fail\""),
    ] {
        let start = "{\"ctl\":\"set\",";
        let of = "\"origin\":\"https://a\",\"settings\":";
        assert_eq!(
            world.orders(client, &format!("{start}{of}{{{sent}}}}}")),
            format!("{start}\"ok\":true,\"data\":{{{of}{{{told}}}}}}}\n")
        );
    }
    assert_eq!(
        world.orders(client, "{\"ctl\":\"reload\"}"),
        "{\"ctl\":\"reload\",\"ok\":false,\"error\":{\"kind\":\"invalid\",\"message\":\"no file\"}}\n"
    );
}

#[test]
fn who_may_only_submit_may_order_nothing() {
    let mut world = world();
    let client = world.connect(Access::Submit);
    for question in [
        "{\"ctl\":\"breaker isolate\",\"origin\":\"https://a\"}",
        "{\"ctl\":\"breaker reset\",\"origin\":\"https://a\"}",
        "{\"ctl\":\"set\",\"origin\":\"https://a\",\"settings\":{\"timeout\":2}}",
        "{\"ctl\":\"reload\"}",
    ] {
        let heard = world.orders(client, question);
        assert!(heard.contains("\"kind\":\"policy\""), "{question}: {heard}");
    }
    assert!(world.breakers.is_empty());
}
