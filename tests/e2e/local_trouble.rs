//! This machine's own trouble: name servers that fail, a network that is not there. It puts jobs off, and no attempt
//! is counted.

use crate::dns::world_with_sink;
use crate::harness::feed::plain;
use crate::harness::names::NameServer;
use crate::harness::world::World;
use crate::network::filtered;

/// Asserts that a job is put off for what the log says in these words, and that no attempt is counted.
fn assert_put_off(world: &World, flags: &[&str], words: &str) {
    let mut run = world.run(flags);
    run.write(&plain("a", "http://receiver.example:8080/"));
    run.wait_for_log(&["own trouble", words]);
    // It would wait for an hour.
    run.process().signal("TERM");
    let result = run.next_result();
    result.assert_failed("cancelled", "cancelled", &[]);
    assert_eq!((result.attempts(), result.status()), (0, None));
    run.finish();
}

#[test]
fn f69_a_refusal_of_all_name_servers_puts_the_job_off() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    // Of what no option names it knows nothing and may ask nobody.
    let Some(_server) = NameServer::dnsmasq(&world, "127.0.0.1", &[]) else {
        return;
    };
    assert_put_off(&world, &[], "answered REFUSED");
}

#[test]
fn f69_a_failure_of_all_name_servers_puts_the_job_off() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    // Whom it would have to ask does not listen.
    let zone =
        "  tcp-upstream: yes\nforward-zone:\n  name: example.\n  forward-addr: 127.0.0.9@5353\n";
    let Some(_server) = NameServer::unbound(&world, "127.0.0.1", zone) else {
        return;
    };
    // However long it looks for somebody who does.
    let flags = ["--connect-timeout", "25"];
    assert_put_off(&world, &flags, "answered SERVFAIL");
}

#[test]
fn f69_silence_of_all_name_servers_puts_the_job_off() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    // Queries for this zone are dropped.
    let zone = "local-zone: example. deny\n";
    let Some(_server) = NameServer::unbound(&world, "127.0.0.1", zone) else {
        return;
    };
    assert_put_off(&world, &["--connect-timeout", "0.2"], "no answer");
}

#[test]
fn f11_a_network_without_a_route_puts_the_job_off_until_there_is_one() {
    let Some((world, _sink)) = world_with_sink(&["0.0.0.0:8080"]) else {
        return;
    };
    let mut run = world.run(&[]);
    run.write(&plain("a", "http://10.1.2.3:8080/"));
    run.wait_for_log(&["own trouble", "unreachable"]);
    world.shell("ip addr add 10.1.2.3/32 dev lo");
    run.finish().assert_all_delivered(1);
}

#[test]
fn f69_a_name_server_that_is_heard_again_is_asked_again() {
    let Some((world, _sink)) = filtered(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    let known = ["--host-record=receiver.example,127.0.0.1"];
    let Some(_server) = NameServer::dnsmasq(&world, "127.0.0.1", &known) else {
        return;
    };
    world.shell("iptables -I INPUT -p udp --dport 53 -j DROP");
    let mut run = world.run(&["--connect-timeout", "0.3"]);
    run.write(&plain("a", "http://receiver.example:8080/"));
    run.wait_for_log(&["receiver.example"]);
    world.shell("iptables -F INPUT");
    run.finish().assert_all_delivered(1);
}
