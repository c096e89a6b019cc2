//! Servers in trouble: whom the resolver asks, when, and what it makes of it.

use super::*;

#[test]
fn f69_a_server_that_fails_is_followed_by_the_next_at_once() {
    for rcode in [2, 5, 9] {
        let mut world = World::new(3, "", move |asked| match asked.server {
            1 => code(asked, rcode),
            2 => Reply::Refused,
            _ => address(asked, 60),
        });
        assert_eq!(world.resolve("a.example"), both());
        assert_eq!(world.asked_v4(), [(0, 1), (5, 2), (5, 3)]);
    }
}

#[test]
fn f69_when_all_servers_fail_it_is_local_trouble_and_a_thousand_jobs_make_one_query() {
    let mut world = World::new(2, "", |asked| code(asked, 2));
    for _ in 0..1_000 {
        assert_eq!(world.lookup("a.example"), Lookup::Pending);
    }
    world.drive();
    assert_eq!(
        world.asked_v4(),
        [(0, 1), (5, 2)],
        "each server is asked once"
    );
    assert_eq!(world.results.len(), 1_000);
    assert!(
        world
            .results
            .iter()
            .all(|(_, _, result)| outcome(result) == SERVFAIL)
    );
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        let before = world.asked.len();
        world.sleep(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert_eq!(world.resolve("a.example"), SERVFAIL);
        assert_eq!(world.asked.len(), before, "{seconds}");
        world.sleep(Duration::from_millis(1));
        assert_eq!(world.resolve("a.example"), SERVFAIL);
        assert_eq!(world.asked.len(), before + 4, "{seconds}");
    }
}

#[test]
fn f77_silent_servers_are_asked_in_turn_as_resolv_conf_says() {
    let mut world = World::new(2, "timeout:3 attempts:2", |_| Reply::Silence);
    assert_eq!(world.resolve("a.example"), SILENT);
    assert_eq!(
        world.asked_v4(),
        [(0, 1), (3_000, 2), (6_000, 1), (9_000, 2)]
    );
    assert_eq!(world.results[0].0, 12_000);
    // Without options the second server is reached well within the time of a connect.
    let mut world = World::new(2, "", |asked| match asked.server {
        1 => Reply::Silence,
        _ => address(asked, 60),
    });
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.results[0].0, 2_005);
}

#[test]
fn f77_a_slow_server_is_still_heard_after_the_next_was_asked() {
    let mut world = World::new(2, "timeout:1", |asked| match asked.server {
        1 => match address(asked, 60) {
            Reply::Messages(mut messages) => {
                messages[0].0 = 1_500;
                Reply::Messages(messages)
            }
            other => other,
        },
        _ => Reply::Silence,
    });
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.results[0].0, 1_500);
}

#[test]
fn f77_a_slow_family_is_waited_for_50_ms_and_then_kept_for_later() {
    let mut world = World::new(1, "timeout:5", |asked| {
        let Reply::Messages(mut messages) = address(asked, 60) else {
            panic!("it answers")
        };
        if asked.family == Family::V6 {
            messages[0].0 = 700;
        }
        Reply::Messages(messages)
    });
    assert_eq!(world.lookup("a.example"), Lookup::Pending);
    while world.results.is_empty() {
        assert!(world.step());
    }
    let only_v4 = ips(&["192.0.2.1"]);
    assert_eq!(
        (world.results[0].0, world.result(0)),
        (55, Ok(only_v4.clone()))
    );
    // Who comes meanwhile gets the same, without a query; and all of them are told what comes in the end (F151).
    assert_eq!(world.lookup("a.example"), early(Ok(only_v4)));
    world.drive();
    for n in 1..=2 {
        assert_eq!((world.results[n].0, world.result(n)), (700, both()));
    }
    assert_eq!(world.lookup("a.example"), known(both()));
    assert_eq!((world.asked.len(), world.results.len()), (2, 3));
}

#[test]
fn f77_a_slow_family_that_comes_within_50_ms_is_part_of_the_result() {
    let mut world = World::new(1, "", |asked| {
        let Reply::Messages(mut messages) = address(asked, 60) else {
            panic!("it answers")
        };
        if asked.family == Family::V4 {
            messages[0].0 = 54;
        }
        Reply::Messages(messages)
    });
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.results[0].0, 54);
}

#[test]
fn f72_wrong_answers_are_dropped_and_the_right_one_is_waited_for() {
    let mut world = World::new(1, "", |asked| {
        let evil: &[u8] = &[6, 6, 6, 6];
        let forged = |at: usize, flip: u8| {
            let mut message = answer(&asked.message, 0, 0, &[(A, 60, evil)]);
            message[at] ^= flip;
            message
        };
        let Reply::Messages(right) = address(asked, 60) else {
            panic!("it answers")
        };
        let mut messages = vec![
            (1, forged(0, 1)),
            (1, forged(1, 0x80)),
            (2, forged(2, 0x80)),
            (2, forged(13, 1)),
            (3, Vec::new()),
            (3, forged(7, 0x0f)),
        ];
        messages.extend(right);
        Reply::Messages(messages)
    });
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!((world.asked.len(), world.results[0].0), (2, 5));
}

#[test]
fn f76_a_server_without_edns_is_asked_without_from_then_on() {
    for rcode in [1, 4] {
        let mut world = World::new(1, "", move |asked| match asked.edns {
            true => code(asked, rcode),
            false => address(asked, 60),
        });
        assert_eq!(world.resolve("a.example"), both());
        let edns: Vec<bool> = world.asked.iter().map(|asked| asked.edns).collect();
        assert_eq!(edns, [true, true, false, false]);
        assert_eq!(world.resolve("b.example"), both());
        assert!(world.asked[4..].iter().all(|asked| !asked.edns));
        // A server that refuses that too has failed.
        let mut world = World::new(1, "", move |asked| code(asked, rcode));
        let error = LookupError::Servers(ServerTrouble::Code(rcode));
        assert_eq!(world.resolve("a.example"), Err(error));
        assert_eq!(world.asked.len(), 4);
    }
}

#[test]
fn a_dead_server_is_asked_last_for_a_while() {
    let mut world = World::new(2, "", |asked| match asked.server {
        1 => Reply::Silence,
        _ => address(asked, 60),
    });
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.resolve("b.example"), both());
    world.sleep(SUSPICION);
    assert_eq!(world.resolve("c.example"), both());
    let servers: Vec<u8> = world.asked_v4().iter().map(|asked| asked.1).collect();
    assert_eq!(servers, [1, 2, 2, 1, 2]);
}

#[test]
fn a_server_that_is_slow_with_one_name_keeps_its_place() {
    let mut world = World::new(2, "", |asked| match (asked.message[13], asked.server) {
        (b's', 1) => Reply::Silence,
        _ => address(asked, 60),
    });
    assert_eq!(world.lookup("slow.example"), Lookup::Pending);
    world.now.mono = world.now.mono + Duration::from_secs(1);
    assert_eq!(world.lookup("a.example"), Lookup::Pending);
    world.drive();
    assert_eq!(world.resolve("b.example"), both());
    let servers: Vec<u8> = world.asked_v4().iter().map(|asked| asked.1).collect();
    assert_eq!(servers, [1, 1, 2, 1]);
}

#[test]
fn f83_rotate_begins_with_another_server_each_time() {
    let mut world = World::new(3, "rotate", |asked| address(asked, 60));
    for name in ["a", "b", "c", "d"] {
        assert_eq!(world.resolve(name), both());
    }
    let servers: Vec<u8> = world.asked_v4().iter().map(|asked| asked.1).collect();
    assert_eq!(servers, [1, 2, 3, 1]);
}

#[test]
fn f83_new_servers_end_what_the_old_ones_said() {
    let mut world = World::new(1, "", |asked| match asked.server {
        1 => code(asked, 2),
        _ => address(asked, 60),
    });
    assert_eq!(world.lookup("a.example"), Lookup::Pending);
    world.resolver.set_names(names(2, 1, ""));
    world.drive();
    assert_eq!(world.result(0), SERVFAIL, "it ends as it began");
    assert_eq!(world.resolve("a.example"), both(), "and is not remembered");
    // The same servers: the cache stays; the hosts file counts at once.
    world.resolver.set_names(names(2, 1, "rotate"));
    assert_eq!(world.lookup("a.example"), known(both()));
    let hosts = Names::parse(b"10.1.1.1 a.example", b"nameserver 192.0.2.2");
    world.resolver.set_names(Arc::new(hosts));
    assert_eq!(world.lookup("a.example"), known(Ok(ips(&["10.1.1.1"]))));
}

#[test]
fn only_so_many_names_are_asked_for_at_a_time() {
    let mut world = World::new(1, "", |asked| address(asked, 60));
    let mut last = None;
    for n in 0..500 {
        let asker = world.askers.insert(());
        let lookup = world.ask(&format!("n{n}.example"), asker, None);
        assert_eq!(lookup, Lookup::Pending);
        last = Some(asker);
    }
    // One that has not begun is dropped when nobody waits for it.
    world.resolver.cancel(last.unwrap());
    world.drain();
    world.drive();
    assert_eq!(world.sockets_peak, 2 * 16, "they are of one zone");
    assert_eq!((world.results.len(), world.asked.len()), (499, 2 * 499));
}

/// Any mixture of servers and askers, from a seed: whoever asks and doesn't cancel is told the end once, nothing is
/// left over (`drive` looks), and the same seed gives the same.
fn any_weather(seed: u8) -> Vec<(u64, Key, Fact)> {
    let mut weather = Rng::from_seed([seed; 32]);
    let mut world = World::new(1 + seed % 3, "timeout:1", move |asked| {
        let delay = u64::from(weather.next_u32() % 1_500);
        let delayed = |reply: Reply| match reply {
            Reply::Messages(messages) => {
                Reply::Messages(messages.into_iter().map(|(_, m)| (delay, m)).collect())
            }
            other => other,
        };
        match weather.next_u32() % 12 {
            10 => Reply::Messages(vec![(delay, answer(&asked.message, 2, 0, &[]))]),
            11 if asked.tcp => Reply::Stream(vec![(delay, vec![0, 9, 1])]),
            0 => Reply::Silence,
            1 => Reply::Refused,
            2 => delayed(code(asked, (weather.next_u32() % 6) as u8)),
            3 => Reply::Messages(vec![(delay, answer(&asked.message, 2, 0, &[]))]),
            4 => Reply::Messages(vec![(delay, vec![0; 20])]),
            _ => delayed(address(asked, weather.next_u32() % 3)),
        }
    });
    let mut dice = Rng::from_seed([seed ^ 0xff; 32]);
    let (mut waiting, mut told) = (Vec::new(), 0);
    for _ in 0..1_000 {
        match dice.next_u32() % 8 {
            0..=3 => {
                let asker = world.askers.insert(());
                let name = format!("n{}.example", dice.next_u32() % 150);
                match world.ask(&name, asker, None) {
                    Lookup::Pending => waiting.push(asker),
                    Lookup::Ready(found) => {
                        assert!(!found.addrs.is_empty());
                        if found.rest == Rest::Coming {
                            waiting.push(asker);
                        }
                    }
                    Lookup::Failed(failure) => assert_ne!(failure.error, LookupError::BadName),
                }
                world.drain();
            }
            4 if !waiting.is_empty() => {
                let asker = waiting.swap_remove(dice.next_u32() as usize % waiting.len());
                world.resolver.cancel(asker);
            }
            _ => {
                world.step();
            }
        }
        for (_, asker, result) in &world.results[told..] {
            let at = waiting.iter().position(|other| other == asker);
            let at = at.expect("only who waits is told");
            let found = result.as_ref();
            assert!(found.is_ok_and(|found| !found.addrs.is_empty()) || result.is_err());
            if !found.is_ok_and(|found| found.rest == Rest::Coming) {
                waiting.swap_remove(at);
            }
        }
        told = world.results.len();
    }
    world.drive();
    let is_last = |result: &Fact| !matches!(result, Ok(found) if found.rest == Rest::Coming);
    let last = world.results[told..].iter().filter(|told| is_last(&told.2));
    assert_eq!(last.count(), waiting.len());
    world.results
}

#[test]
fn in_any_weather_whoever_waits_is_told_once() {
    let mut told = 0;
    for seed in 0..50 {
        let results = any_weather(seed);
        assert_eq!(results, any_weather(seed), "seed {seed}");
        told += results.len();
    }
    assert!(told > 5_000, "{told}");
}
