//! What the askers get, and for how long it is remembered.

use super::*;

#[test]
fn f84_f85_hosts_localhost_and_onion_need_no_query() {
    let mut world = World::new(1, "", |_| panic!("no query is needed"));
    let long = "x".repeat(64);
    let ready = |texts: &[&str]| known(Ok(ips(texts)));
    let table = [
        ("db", ready(&["10.0.0.9"])),
        ("api.example", ready(&["fd00::8", "10.0.0.8", "10.0.0.7"])),
        ("localhost", ready(&["::1", "127.0.0.1"])),
        ("a.b.localhost", ready(&["::1", "127.0.0.1"])),
        ("onion", failed(LookupError::Onion)),
        ("x.onion", failed(LookupError::Onion)),
        (&long, failed(LookupError::BadName)),
        ("", failed(LookupError::BadName)),
        ("a..b", failed(LookupError::BadName)),
    ];
    for (name, expected) in table {
        assert_eq!(world.lookup(name), expected, "{name}");
    }
}

#[test]
fn f85_other_special_names_are_asked_for_as_they_are() {
    let mut world = World::new(1, "", |asked| address(asked, 60));
    for name in [
        "metadata",
        "printer.local",
        "x.internal",
        "notlocalhost",
        "myonion",
    ] {
        assert_eq!(world.resolve(name), both(), "{name}");
        let message = &world.asked.last().unwrap().message;
        let labels = name.split('.').count();
        let asked_name = &message[13..13 + name.len()];
        assert_eq!(asked_name.len() - name.replace('.', "").len(), labels - 1);
        assert_eq!(message[12 + name.len() + 1], 0, "{name}: the root follows");
    }
}

#[test]
fn f83_search_and_ndots_are_never_applied() {
    let mut world = World::new(1, "", |asked| code(asked, 3));
    let conf =
        b"nameserver 192.0.2.1\nsearch google.internal a b c d e\ndomain f\noptions ndots:5\n";
    world.resolver.set_names(Arc::new(Names::parse(b"", conf)));
    for name in ["metadata", "one.two.three"] {
        world.asked.clear();
        assert_eq!(world.resolve(name), Err(LookupError::NoSuchName));
        assert_eq!(world.asked.len(), 2, "one question for each family");
        for asked in &world.asked {
            assert_eq!(asked.message[12 + name.len() + 1], 0, "the root follows");
        }
    }
}

#[test]
fn families_are_asked_side_by_side_and_alternate_in_the_result() {
    let mut world = World::new(1, "", |asked| {
        let records: Vec<(u16, u32, &[u8])> = match asked.family {
            Family::V4 => vec![
                (A, 60, &[192, 0, 2, 3]),
                (A, 60, &[192, 0, 2, 2]),
                (A, 60, &[192, 0, 2, 4]),
            ],
            Family::V6 => vec![(AAAA, 60, &V6)],
        };
        Reply::Messages(vec![(5, answer(&asked.message, 0, 0, &records))])
    });
    let expected = ips(&["2001:db8::1", "192.0.2.3", "192.0.2.2", "192.0.2.4"]);
    assert_eq!(world.resolve("a.example"), Ok(expected));
    assert_eq!(world.results[0].0, 5);
    assert_eq!(
        world.asked.iter().map(|a| a.at_ms).collect::<Vec<_>>(),
        [0, 0]
    );
    assert_ne!(
        world.asked[0].message[..2],
        world.asked[1].message[..2],
        "ids differ"
    );
}

#[test]
fn f80_addresses_are_cached_for_their_ttl_capped_at_five_minutes() {
    for (ttl, seconds) in [(60, 60), (300, 300), (604_800, 300), (0x8000_0000, 0)] {
        let mut world = World::new(1, "", move |asked| address(asked, ttl));
        assert_eq!(world.resolve("a.example"), both());
        if seconds > 0 {
            world.sleep(Duration::from_secs(seconds) - Duration::from_millis(1));
            assert_eq!(world.lookup("a.example"), known(both()));
            world.sleep(Duration::from_millis(1));
        }
        assert_eq!(world.asked.len(), 2, "{ttl}");
        assert_eq!(world.resolve("a.example"), both());
        assert_eq!(world.asked.len(), 4, "{ttl}");
    }
}

#[test]
fn f79_a_ttl_of_zero_serves_all_who_wait_and_nobody_after() {
    let mut world = World::new(1, "", |asked| address(asked, 0));
    for _ in 0..1_000 {
        assert_eq!(world.lookup("a.example"), Lookup::Pending);
    }
    world.drive();
    assert_eq!(world.asked.len(), 2);
    assert_eq!(world.results.len(), 1_000);
    assert!(
        world
            .results
            .iter()
            .all(|(ms, _, result)| *ms == 5 && outcome(result) == both())
    );
    let mut askers: Vec<Key> = world.results.iter().map(|(_, asker, _)| *asker).collect();
    askers.dedup();
    assert_eq!(askers.len(), 1_000, "each is told once");
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.asked.len(), 4);
}

#[test]
fn f68_f70_absence_is_cached_as_the_soa_record_says_up_to_a_minute() {
    for (rcode, minimum, error, seconds) in [
        (3, Some(10), LookupError::NoSuchName, 10),
        (3, Some(900), LookupError::NoSuchName, 60),
        (3, None, LookupError::NoSuchName, 1),
        (0, Some(20), LookupError::NoAddress, 20),
        (0, Some(0), LookupError::NoAddress, 1),
    ] {
        let mut world = World::new(1, "", move |asked| {
            let mut message = match minimum {
                Some(minimum) => answer(&asked.message, 0, rcode, &[(6, 3600, &soa(minimum))]),
                None => answer(&asked.message, 0, rcode, &[]),
            };
            // The record stands in the authority section.
            message.swap(7, 9);
            Reply::Messages(vec![(5, message)])
        });
        assert_eq!(world.resolve("a.example"), Err(error));
        world.sleep(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert_eq!(error_of(world.lookup("a.example")), Some(error));
        world.sleep(Duration::from_millis(1));
        assert_eq!(
            world.lookup("a.example"),
            Lookup::Pending,
            "{rcode} {minimum:?}"
        );
    }
}

#[test]
fn one_family_is_enough_whatever_the_other_says() {
    for other in [0, 2, 3] {
        let mut world = World::new(1, "", move |asked| match asked.family {
            Family::V4 => address(asked, 60),
            Family::V6 => code(asked, other),
        });
        assert_eq!(
            world.resolve("a.example"),
            Ok(ips(&["192.0.2.1"])),
            "{other}"
        );
        // If IPv6 has failed it is tried again sooner.
        world.sleep(Duration::from_secs(31));
        let again = world.lookup("a.example");
        assert_eq!(again == Lookup::Pending, other == 2, "{other}");
    }
    let mut world = World::new(1, "", |asked| match asked.family {
        Family::V4 => code(asked, 0),
        Family::V6 => code(asked, 3),
    });
    assert_eq!(world.resolve("a.example"), Err(LookupError::NoAddress));
}

#[test]
fn f74_endless_aliases_are_the_names_fault() {
    let mut world = World::new(1, "", |asked| {
        let itself: &[u8] = &[0xc0, 12];
        let message = answer(&asked.message, 0, 0, &[(5, 60, itself)]);
        Reply::Messages(vec![(5, message)])
    });
    assert_eq!(world.resolve("a.example"), Err(LookupError::AliasChain));
    assert_eq!(
        error_of(world.lookup("a.example")),
        Some(LookupError::AliasChain)
    );
}

#[test]
fn who_cancels_is_not_told_and_the_answer_is_kept() {
    let mut world = World::new(1, "", |asked| address(asked, 60));
    let (one, other) = (world.askers.insert(()), world.askers.insert(()));
    for asker in [one, other] {
        assert_eq!(world.ask("a.example", asker, None), Lookup::Pending);
    }
    world.resolver.cancel(one);
    world.resolver.cancel(one);
    world.drain();
    world.drive();
    let [(5, told, result)] = &world.results[..] else {
        panic!("{:?}", world.results)
    };
    assert_eq!((*told, outcome(result)), (other, both()));
    world.resolver.cancel(other);
    assert_eq!(world.lookup("a.example"), known(both()));
}

#[test]
fn stale_queries_change_nothing() {
    let mut world = World::new(1, "", |asked| address(asked, 60));
    assert_eq!(world.lookup("a.example"), Lookup::Pending);
    let query = world.sockets[0];
    world.drive();
    assert_eq!(world.resolver.transmit(query), b"");
    world
        .resolver
        .handle_answer(world.now, query, &world.asked[0].message.clone());
    world.resolver.handle_query_failed(world.now, query);
    assert_eq!(world.resolver.poll_output(), None);
    assert_eq!(world.resolver.poll_timeout(), None);
}
