//! Names, as unbound and dnsmasq know them: what does not exist, what nobody answers, what changes meanwhile.

use std::fmt::Write as _;

use crate::harness::conduit::{CONDUIT, Finished, Run};
use crate::harness::feed::plain;
use crate::harness::names::NameServer;
use crate::harness::servers::Sink;
use crate::harness::wait_for;
use crate::harness::world::World;
use crate::network::filtered;

const BOTH_FAMILIES: &str = "127.0.0.1 receiver.example\n::1 receiver.example\n";
const RECEIVER: &str = "http://receiver.example:8080/";

/// A world in which a sink listens on port 8080 of these addresses.
pub(crate) fn world_with_sink(addrs: &[&str]) -> Option<(World, Sink)> {
    let world = World::new()?;
    let sink = Sink::start_by(world.command(CONDUIT), addrs, &[]);
    Some((world, sink))
}

/// Delivers a job to each of these names, which is also its id.
fn deliver_to(world: &World, flags: &[&str], names: &[&str]) -> Finished {
    let job = |name: &&str| plain(name, &format!("http://{name}:8080/"));
    let feed: String = names.iter().map(job).collect();
    world.run(flags).feed(feed.into())
}

#[test]
fn f68_a_name_that_unbound_does_not_know_or_has_no_address_for_fails_the_attempt() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    let zone = "\
        local-zone: example. static\n\
        local-data: \"receiver.example. A 127.0.0.1\"\n\
        local-data: \"mail.example. MX 1 receiver.example.\"\n";
    let Some(_server) = NameServer::unbound(&world, "127.0.0.1", zone) else {
        return;
    };
    assert_only_the_receiver_has_an_address(&world);
}

#[test]
fn f68_a_name_that_dnsmasq_does_not_know_or_has_no_address_for_fails_the_attempt() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    let options = [
        "--local=/example/",
        "--host-record=receiver.example,127.0.0.1",
        "--mx-host=mail.example,receiver.example",
    ];
    let Some(_server) = NameServer::dnsmasq(&world, "127.0.0.1", &options) else {
        return;
    };
    assert_only_the_receiver_has_an_address(&world);
}

fn assert_only_the_receiver_has_an_address(world: &World) {
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    let known = ["receiver.example", "RECEIVER.Example"];
    let gone = ("gone.example", "does not exist");
    let without = ("mail.example", "no address");
    let names = [known[0], known[1], gone.0, without.0];
    let run = deliver_to(world, &[], &names);
    assert!(known.iter().all(|name| run.of(name).is_delivered()));
    for (name, word) in [gone, without] {
        let result = run.of(name);
        result.assert_failed("exhausted", "dns", &[name, word]);
        assert_eq!(result.attempts(), 1);
    }
}

#[test]
fn f77_a_name_server_that_refuses_or_is_not_there_is_passed_over() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    let servers = "nameserver 127.0.0.3\nnameserver 127.0.0.2\nnameserver 127.0.0.1\n";
    world.set("resolv.conf", servers);
    let known = ["--host-record=receiver.example,127.0.0.1"];
    let Some(_refuses) = NameServer::dnsmasq(&world, "127.0.0.2", &[]) else {
        return;
    };
    let Some(_knows) = NameServer::dnsmasq(&world, "127.0.0.1", &known) else {
        return;
    };
    deliver_to(&world, &[], &["receiver.example"]).assert_all_delivered(1);
}

#[test]
fn f74_aliases_are_followed_inside_one_answer() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    let options = [
        "--host-record=receiver.example,127.0.0.1",
        "--cname=one.example,receiver.example",
        "--cname=two.example,one.example",
        "--cname=three.example,two.example",
    ];
    let Some(_server) = NameServer::dnsmasq(&world, "127.0.0.1", &options) else {
        return;
    };
    let names = ["one.example", "three.example"];
    deliver_to(&world, &[], &names).assert_all_delivered(2);
}

#[test]
fn f83_search_domains_are_never_tried() {
    let Some((world, sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set(
        "resolv.conf",
        "nameserver 127.0.0.1\nsearch internal example\noptions ndots:5\n",
    );
    let zone = "\
        local-zone: . static\n\
        local-data: \"metadata.internal. A 127.0.0.1\"\n\
        local-data: \"receiver.example. A 127.0.0.1\"\n";
    let Some(_server) = NameServer::unbound(&world, "127.0.0.1", zone) else {
        return;
    };
    let run = deliver_to(&world, &[], &["metadata", "receiver", "receiver.example"]);
    for name in ["metadata", "receiver"] {
        run.of(name).assert_failed("exhausted", "dns", &[name]);
    }
    assert!(run.of("receiver.example").is_delivered());
    assert_eq!(sink.stop().bodies.len(), 1);
}

#[test]
fn f83_name_servers_that_change_while_it_runs_are_asked_from_then_on() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", "nameserver 127.0.0.2\n");
    let known = [
        "--local=/example/",
        "--host-record=receiver.example,127.0.0.1",
    ];
    let Some(_ignorant) = NameServer::dnsmasq(&world, "127.0.0.2", &known[..1]) else {
        return;
    };
    let Some(_knows) = NameServer::dnsmasq(&world, "127.0.0.1", &known) else {
        return;
    };
    let mut run = world.run(&PATIENT);
    run.write(&plain("first", "http://other.example:8080/"));
    run.next_result().assert_failed("exhausted", "dns", &[]);
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    wait_for_delivery(&mut run);
    assert_eq!(run.finish().status, Some(1), "the first job has failed");
}

#[test]
fn f84_a_hosts_file_that_changes_while_it_runs_is_obeyed() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    // A port at which nobody listens; the file's addresses go before the name server's, of which there is none.
    world.set("hosts", "127.0.0.2 other.example receiver.example\n");
    let mut run = world.run(&PATIENT);
    run.write(&plain("before", RECEIVER));
    run.next_result()
        .assert_failed("exhausted", "connect", &["refused"]);
    world.set("hosts", "127.0.0.1 receiver.example\n");
    wait_for_delivery(&mut run);
    assert_eq!(run.finish().status, Some(1), "the first job has failed");
}

/// However many jobs fail meanwhile.
const PATIENT: [&str; 2] = ["--breaker-failures", "1000000"];

/// Sends jobs, one after the other, until one arrives.
fn wait_for_delivery(run: &mut Run) {
    wait_for("a delivery", || {
        run.write(&plain("again", RECEIVER));
        run.next_result().is_delivered().then_some(())
    });
}

#[test]
fn f71_an_answer_that_is_too_long_for_a_datagram_is_asked_for_over_tcp() {
    let Some((world, _sink)) = world_with_sink(&["0.0.0.0:8080"]) else {
        return;
    };
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    // 100 addresses take 1,600 bytes and more; the sink listens at all of them.
    let mut zone = "  max-udp-size: 512\n  local-zone: example. static\n".to_owned();
    for last in 1..=100 {
        let record = format!("receiver.example. A 127.0.0.{last}");
        writeln!(zone, "  local-data: \"{record}\"").expect("a String takes what is written");
    }
    let Some(_server) = NameServer::unbound(&world, "127.0.0.1", &zone) else {
        return;
    };
    deliver_to(&world, &[], &["receiver.example"]).assert_all_delivered(1);
}

#[test]
fn f78_a_family_that_is_refused_gives_way_to_the_other() {
    for addr in ["127.0.0.1:8080", "[::1]:8080"] {
        let Some((world, _sink)) = world_with_sink(&[addr]) else {
            return;
        };
        world.set("hosts", BOTH_FAMILIES);
        let run = deliver_to(&world, &[], &["receiver.example", "localhost"]);
        run.assert_all_delivered(2);
    }
}
#[test]
fn f78_a_family_that_is_swallowed_gives_way_to_the_other_soon() {
    for (filter, addr) in [("ip6tables", "127.0.0.1:8080"), ("iptables", "[::1]:8080")] {
        let Some((world, _sink)) = filtered(&[addr]) else {
            return;
        };
        world.shell(&format!("{filter} -A INPUT -p tcp --dport 8080 -j DROP"));
        world.set("hosts", BOTH_FAMILIES);
        // Neither clock is waited for.
        let flags = ["--connect-timeout", "20", "--timeout", "20"];
        let run = deliver_to(&world, &flags, &["receiver.example"]);
        run.assert_all_delivered(1);
        assert!(run.results[0].duration_ms() < 10_000.0, "{run:?}");
    }
}

#[test]
fn f78_a_machine_without_ipv6_delivers_over_ipv4() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.shell("ip -6 addr flush dev lo");
    world.set("hosts", BOTH_FAMILIES);
    deliver_to(&world, &[], &["receiver.example", "localhost"]).assert_all_delivered(2);
}

#[test]
fn f78_addresses_that_all_fail_are_one_attempt() {
    let Some((world, _sink)) = filtered(&["127.0.0.9:8080"]) else {
        return;
    };
    let hosts = "127.0.0.1 refused.example swallowed.example\n\
                 127.0.0.2 refused.example swallowed.example\n\
                 ::1 refused.example swallowed.example\n";
    world.set("hosts", hosts);
    world.shell("iptables -A INPUT -d 127.0.0.2 -p tcp --dport 8081 -j DROP");
    let feed = plain("refused", "http://refused.example:8080/")
        + &plain("swallowed", "http://swallowed.example:8081/");
    let run = world.run(&["--connect-timeout", "1"]).feed(feed.into());
    run.of("refused")
        .assert_failed("exhausted", "connect", &["refused"]);
    run.of("swallowed")
        .assert_failed("exhausted", "timeout", &["connectTimeout (1 s)"]);
    assert!(run.results.iter().all(|result| result.attempts() == 1));
}
