//! Addresses whose time is over, when the name servers can't say anything newer (F81, RFC 8767).

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const MILLI: Duration = Duration::from_millis(1);

/// A world whose servers answer once with this TTL, and what they do when that is over.
fn outage(servers: u8, ttl: u32, later: impl FnMut(&Asked) -> Reply + 'static) -> World {
    let mut world = World::new(servers, "", move |asked| address(asked, ttl));
    assert_eq!(world.resolve("a.example"), both());
    world.script = Box::new(later);
    world.sleep(Duration::from_secs(ttl.into()));
    world
}

#[test]
fn f81_expired_addresses_are_used_for_an_hour_when_all_servers_fail() {
    let table: [fn(&Asked) -> Reply; 3] = [
        |asked| code(asked, 2),
        |asked| code(asked, 5),
        |_| Reply::Refused,
    ];
    for later in table {
        let mut world = outage(2, 60, later);
        assert_eq!(world.resolve("a.example"), both());
        let asked = world.asked.len();
        // The failure is remembered as such: nobody is asked again at once.
        assert_eq!(addrs_of(world.lookup("a.example")), both().ok());
        world.sleep(Duration::from_secs(1) - MILLI);
        assert_eq!(addrs_of(world.lookup("a.example")), both().ok());
        assert_eq!(world.asked.len(), asked);
        world.sleep(MILLI);
        assert_eq!(world.lookup("a.example"), Lookup::Pending, "it asks again");
        world.drive();
        let start = world.now.mono;
        while world.now.mono.since(start) < HOUR {
            world.sleep(Duration::from_secs(40));
            let is_over = world.now.mono.since(start) >= HOUR;
            assert_eq!(world.resolve("a.example").is_ok(), !is_over);
        }
    }
}

#[test]
fn f81_silence_is_bridged_while_a_connection_still_has_time() {
    let mut world = outage(3, 60, |_| Reply::Silence);
    let start = world.ms();
    assert_eq!(world.lookup("a.example"), Lookup::Pending);
    while world.results.len() < 2 {
        assert!(world.step());
    }
    let (at_ms, _, result) = &world.results[1];
    assert_eq!((at_ms - start, outcome(result)), (1_800, both()));
    // Who comes while the servers still have their time gets the same at once.
    assert_eq!(addrs_of(world.lookup("a.example")), both().ok());
    world.drive();
    assert_eq!(world.results.len(), 4, "both are told how it ends");
    assert_eq!(addrs_of(world.lookup("a.example")), both().ok());
}

#[test]
fn f81_an_answer_in_time_or_after_it_replaces_what_was_stale() {
    let new: fn(&Asked, u64) -> Reply = |asked, ms| {
        let record: (u16, u32, &[u8]) = (A, 60, &[192, 0, 2, 99]);
        let records = match asked.family {
            Family::V4 => vec![record],
            Family::V6 => Vec::new(),
        };
        Reply::Messages(vec![(ms, answer(&asked.message, 0, 0, &records))])
    };
    let newer = ips(&["192.0.2.99"]);
    let mut world = outage(1, 60, move |asked| new(asked, 1_700));
    assert_eq!(world.resolve("a.example"), Ok(newer.clone()));
    let mut world = outage(1, 60, move |asked| new(asked, 1_900));
    assert_eq!(world.resolve("a.example"), both(), "it took too long");
    assert_eq!(world.lookup("a.example"), known(Ok(newer)));
}

#[test]
fn f81_absence_is_an_answer_and_ends_what_was_known() {
    for (rcode, error) in [(3, LookupError::NoSuchName), (0, LookupError::NoAddress)] {
        let script: fn(&Asked) -> Reply = match rcode {
            3 => |asked| code(asked, 3),
            _ => |asked| code(asked, 0),
        };
        let mut world = outage(1, 60, script);
        assert_eq!(world.resolve("a.example"), Err(error));
        world.script = Box::new(|asked| code(asked, 2));
        world.sleep(Duration::from_secs(60));
        assert_eq!(world.resolve("a.example"), SERVFAIL);
    }
    // Aliases in a circle are the name's own fault.
    let mut world = outage(1, 60, |asked| {
        let itself: &[u8] = &[0xc0, 12];
        let message = answer(&asked.message, 0, 0, &[(5, 60, itself)]);
        Reply::Messages(vec![(5, message)])
    });
    assert_eq!(world.resolve("a.example"), Err(LookupError::AliasChain));
}

#[test]
fn f79_f81_a_ttl_of_zero_is_not_kept_against_an_outage_either() {
    for ttl in [0, 0x8000_0000] {
        let mut world = World::new(1, "", move |asked| address(asked, ttl));
        assert_eq!(world.resolve("a.example"), both());
        world.script = Box::new(|asked| code(asked, 2));
        assert_eq!(world.resolve("a.example"), SERVFAIL);
    }
}

#[test]
fn f81_f83_other_name_servers_end_what_the_old_ones_said() {
    let mut world = outage(1, 60, |asked| code(asked, 2));
    world.resolver.set_names(names(2, 1, ""));
    assert_eq!(world.resolve("a.example"), SERVFAIL);
}
