//! What names that nobody answers for may take from the others, and what an answer is worth that comes late.

use super::*;

/// Answers for names that begin so, and keeps silent about all others.
fn only(prefix: &'static str, ttl: u32) -> impl FnMut(&Asked) -> Reply {
    move |asked| match asked.message[13..].starts_with(prefix.as_bytes()) {
        true => address(asked, ttl),
        false => Reply::Silence,
    }
}

impl World {
    /// Time passes, and what happens in it.
    fn pass(&mut self, millis: u64) {
        let end = self.now.mono + Duration::from_millis(millis);
        let next = |world: &World| {
            let event = world.events.first_key_value().map(|(key, _)| key.0);
            event.into_iter().chain(world.resolver.poll_timeout()).min()
        };
        while next(self).is_some_and(|at| at <= end) {
            self.step();
        }
        self.now.mono = end;
    }

    /// How long this asker waited for addresses.
    fn waited(&self, asker: Key, since_ms: u64) -> u64 {
        let told = self.results.iter().find(|(_, told, _)| *told == asker);
        let (ms, _, result) = told.expect("it is told");
        assert_eq!(outcome(result), both());
        ms - since_ms
    }

    /// Names that are new, one each 50 ms: how long each waits.
    fn newcomers(&mut self, count: usize) -> Vec<u64> {
        let mut came = Vec::new();
        for n in 0..count {
            let asker = self.askers.insert(());
            let lookup = self.ask(&format!("ok.new{n}.example"), asker, None);
            assert_eq!(lookup, Lookup::Pending);
            came.push((asker, self.ms()));
            self.drain();
            self.pass(50);
        }
        self.pass(2_000);
        let waited = came.iter().map(|(asker, ms)| self.waited(*asker, *ms));
        waited.collect()
    }
}

#[test]
fn f113_beside_names_that_nobody_answers_for_a_new_one_is_found_within_a_second() {
    for names in [600, 10_000] {
        for in_zones in [1, 10, names] {
            let mut world = World::new(1, "", only("ok", 60));
            for n in 0..names {
                let zone = n % in_zones;
                world.lookup(&format!("n{n}.silent{zone}.example"));
            }
            let worst = world.newcomers(40).into_iter().max();
            let what = format!("{names} names in {in_zones} zones: {worst:?} ms");
            assert!(worst.is_some_and(|ms| ms <= 1_000), "{what}");
            // When all of them have been silent once, it is no worse.
            world.pass(60_000);
            for n in 0..names {
                let zone = n % in_zones;
                world.lookup(&format!("n{n}.silent{zone}.example"));
            }
            world.drain();
            world.pass(1_000);
            assert!(world.sockets.len() <= 4 * 112, "{}", world.sockets.len());
        }
    }
}

#[test]
fn f113_names_come_as_fast_as_they_may_and_none_waits_for_ever() {
    let mut world = World::new(1, "", only("ok", 60));
    world.lookup("ok.early.example");
    for n in 0..2_000 {
        world.lookup(&format!("n{n}.z{n}.example"));
    }
    // One of those in the middle exists.
    let asker = world.askers.insert(());
    assert_eq!(world.ask("ok.middle.example", asker, None), Lookup::Pending);
    let since = world.ms();
    for n in 2_000..4_000 {
        world.lookup(&format!("n{n}.z{n}.example"));
    }
    world.drive();
    assert!(world.waited(asker, since) < 60_000);
}

#[test]
fn f113_a_known_name_that_would_have_to_wait_for_its_turn_is_told_what_is_known_at_once() {
    let mut world = World::new(1, "", only("ok", 30));
    assert_eq!(world.resolve("ok.known.example"), both());
    world.sleep(Duration::from_secs(31));
    for n in 0..1_000 {
        world.lookup(&format!("n{n}.z{n}.example"));
    }
    let asked = world.asked.len();
    assert_eq!(world.lookup("ok.known.example"), early(both()));
    assert_eq!(world.asked.len(), asked, "it waits for its turn");
    world.pass(1_000);
    assert_eq!(world.lookup("ok.known.example"), known(both()), "it had it");
}

#[test]
fn f113_names_that_were_silent_have_few_places_and_come_back_with_an_answer() {
    let mut world = World::new(1, "", |_| Reply::Silence);
    for n in 0..200 {
        world.lookup(&format!("n{n}.z{n}.example"));
    }
    world.drive();
    world.sleep(FAILURE_TTL_MAX);
    world.sockets_peak = 0;
    for n in 0..200 {
        world.lookup(&format!("n{n}.z{n}.example"));
    }
    assert_eq!(world.resolver.places.taken(), 16);
    // The name servers are back.
    world.script = Box::new(|asked| address(asked, 60));
    let told = world.results.len();
    world.drive();
    let good = world.results[told..].iter().filter(|told| told.2.is_ok());
    assert!(good.count() >= 200 - 16);
}

#[test]
fn f121_an_absence_is_no_answer_to_who_has_failed_of_it_and_a_thousand_ask_once() {
    let mut world = World::new(1, "", |asked| {
        let mut message = answer(&asked.message, 0, 3, &[(6, 3_600, &soa(60))]);
        message.swap(7, 9);
        Reply::Messages(vec![(5, message)])
    });
    assert_eq!(world.resolve("a.example"), Err(LookupError::NoSuchName));
    let failed = world.now.mono;
    world.script = Box::new(|asked| address(asked, 60));
    world.pass(1_000);
    let first = world.lookup("a.example");
    assert_eq!(
        error_of(first),
        Some(LookupError::NoSuchName),
        "it is known"
    );
    for _ in 0..1_000 {
        let asker = world.askers.insert(());
        let lookup = world.ask("a.example", asker, Some(failed));
        assert_eq!(lookup, Lookup::Pending);
    }
    world.drain();
    assert_eq!(world.asked_v4().len(), 2, "once then, once now");
    world.drive();
    assert_eq!(world.results.len(), 1_001);
    assert_eq!(world.lookup("a.example"), known(both()));
}

#[test]
fn f121_an_absence_that_was_told_since_is_an_answer() {
    let mut world = World::new(1, "", |asked| {
        let mut message = answer(&asked.message, 0, 3, &[(6, 3_600, &soa(60))]);
        message.swap(7, 9);
        Reply::Messages(vec![(5, message)])
    });
    let failed = world.now.mono;
    assert_eq!(world.resolve("a.example"), Err(LookupError::NoSuchName));
    let asker = world.askers.insert(());
    let lookup = world.ask("a.example", asker, Some(failed));
    assert_eq!(error_of(lookup), Some(LookupError::NoSuchName));
}

#[test]
fn f122_an_answer_counts_for_as_long_as_a_connection_has() {
    let slow = |asked: &Asked| match address(asked, 60) {
        Reply::Messages(mut messages) if asked.at_ms == 0 => {
            messages[0].0 = 4_200;
            Reply::Messages(messages)
        }
        _ => Reply::Silence,
    };
    let mut world = World::new(1, "", slow);
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.results[0].0, 4_200);
    // Not for longer, where nothing comes.
    let mut world = World::new(1, "", |_| Reply::Silence);
    assert_eq!(world.resolve("a.example"), SILENT);
    assert_eq!(world.results[0].0, 5_000);
    // Nor where all have said that they don't know.
    let mut world = World::new(1, "", |asked| code(asked, 2));
    assert_eq!(world.resolve("a.example"), SERVFAIL);
    assert_eq!(world.results[0].0, 5);
}

#[test]
fn f151_whichever_family_comes_first_all_are_told_of_both_in_the_end() {
    for (late, late_ms) in [Family::V4, Family::V6]
        .into_iter()
        .flat_map(|family| [60, 700, 1_500].map(|ms| (family, ms)))
    {
        for ttl in [0, 60] {
            let mut world = World::new(1, "", move |asked| match address(asked, ttl) {
                Reply::Messages(mut messages) if asked.family == late => {
                    messages[0].0 = late_ms;
                    Reply::Messages(messages)
                }
                other => other,
            });
            assert_eq!(world.lookup("a.example"), Lookup::Pending);
            world.drive();
            let told: Vec<(u64, usize, Rest)> = world
                .results
                .iter()
                .map(|(ms, _, found)| {
                    let found = found.as_ref().expect("addresses");
                    (*ms, found.addrs.len(), found.rest)
                })
                .collect();
            assert_eq!(told, [(55, 1, Rest::Coming), (late_ms, 2, Rest::Known)]);
        }
    }
}

#[test]
fn f151_a_family_of_which_nobody_knows_is_not_taken_for_empty() {
    let mut world = World::new(1, "", |asked| match asked.family {
        Family::V6 => address(asked, 60),
        Family::V4 => code(asked, 2),
    });
    let lookup = world.lookup("a.example");
    assert_eq!(lookup, Lookup::Pending);
    world.drive();
    let error = LookupError::Servers(ServerTrouble::Code(2));
    let rest = world.results[0].2.as_ref().expect("addresses").rest;
    assert_eq!(rest, Rest::Unknown(error));
}

#[test]
fn f122_who_asks_on_and_on_makes_no_look_up_longer() {
    let mut world = World::new(1, "", |asked| match asked.at_ms {
        0..3_000 => Reply::Silence,
        _ => address(asked, 60),
    });
    for _ in 0..12 {
        world.lookup("a.example");
        world.pass(1_000);
    }
    world.drive();
    assert_eq!(world.lookup("a.example"), known(both()));
}
