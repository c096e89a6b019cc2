//! Name servers that are slow, silent, late with one family, or know of a name only later: what their trouble may cost
//! and what not.

use crate::dns::world_with_sink;
use crate::harness::conduit::{Finished, Run};
use crate::harness::feed::plain;
use crate::harness::names::NameServer;
use crate::harness::wait_for;
use crate::harness::world::World;

const SERVER: &str = "nameserver 127.0.0.1\n";

/// A job for each of these names, which is also its id.
fn jobs(names: &[&str]) -> String {
    let job = |name: &&str| plain(name, &format!("http://{name}:8080/"));
    names.iter().map(job).collect()
}

fn deliver(world: &World, flags: &[&str], names: &[&str]) -> Finished {
    world.run(flags).feed(jobs(names).into())
}

#[test]
fn f121_a_name_that_comes_into_being_is_found_by_the_first_retry_whatever_its_absence_was_to_last()
{
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", SERVER);
    let rule = "if (since < 1000) return {rcode: 3, minimum: 60};
                return type === 'A' ? {addrs: ['127.0.0.1']} : {minimum: 60};";
    let Some(_server) = NameServer::scripted(&world, rule) else {
        return;
    };
    let feed: String = (0..5)
        .map(|n| plain(&format!("j{n}"), "http://new.test:8080/"))
        .collect();
    let run = world.run(&["--retry-schedule", "2,4"]).feed(feed.into());
    run.assert_delivered_in_the_end(5);
    assert!(run.results.iter().all(|result| result.attempts() == 2));
    assert!(
        run.results
            .iter()
            .all(|result| result.duration_ms() < 4_000.0)
    );
}

#[test]
fn f122_a_name_server_may_take_as_long_as_a_connection() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", SERVER);
    let rule = "const addrs = type === 'A' ? ['127.0.0.1'] : [];
                return {addrs, after: 4200};";
    let Some(_server) = NameServer::scripted(&world, rule) else {
        return;
    };
    let run = deliver(&world, &[], &["slow.test"]);
    run.assert_all_delivered(1);
    assert!(run.results[0].duration_ms() < 5_000.0, "{run:?}");
}

#[test]
fn f123_sixteen_aliases_are_followed_and_more_or_a_circle_fail_at_once() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", SERVER);
    let rule = "const aliases = Number(name.match(/[0-9]+/)[0]);
                const addrs = type === 'A' ? ['127.0.0.1'] : ['::1'];
                return {addrs, aliases, loop: name.startsWith('loop')};";
    let Some(_server) = NameServer::scripted(&world, rule) else {
        return;
    };
    let good = ["c1.test", "c8.test", "c9.test", "c12.test", "c16.test"];
    let bad = ["c17.test", "loop3.test", "loop1.test"];
    let all = [&good[..], &bad[..]].concat();
    let run = deliver(&world, &[], &all);
    assert!(
        good.iter().all(|name| run.of(name).is_delivered()),
        "{run:?}"
    );
    for name in bad {
        let result = run.of(name);
        result.assert_failed("exhausted", "dns", &[name, "alias"]);
        assert!(result.duration_ms() < 1_000.0, "{result:?}");
    }
}

#[test]
fn f151_the_family_whose_answer_comes_late_decides_nothing() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    // Nobody listens at fd00::2; there is no way to 2001:db8::1.
    let rule = "const [what, late, ms, ttl] = name.split('.')[0].split('-');
        const six = {loopback: '::9', metadata: 'fe80::1', refused: 'fd00::2', nowhere: '2001:db8::1'}[what];
        const addrs = type === 'A' ? ['127.0.0.1'] : [six];
        return {addrs, ttl: Number(ttl), after: type === late.toUpperCase() ? Number(ms) : 0};";
    let Some(_server) = NameServer::scripted(&world, rule) else {
        return;
    };
    world.shell("ip addr add fd00::2/128 dev lo");
    world.set("resolv.conf", SERVER);
    let mut names = Vec::new();
    for what in ["loopback", "metadata", "refused", "nowhere"] {
        for late in ["a", "aaaa"] {
            for ms in [60, 700, 1_500] {
                for ttl in [0, 60] {
                    names.push(format!("{what}-{late}-{ms}-{ttl}.test"));
                }
            }
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let flags = ["--allow-net", "127.0.0.0/8,fd00::/8,2001:db8::/32"];
    deliver(&world, &flags, &names).assert_all_delivered(names.len());
}

/// What health says of look-ups and the pool.
fn health(world: &World) -> serde_json::Value {
    let text = world.get("http://127.0.0.1:5000/health/ready");
    serde_json::from_str(&text).expect("health is JSON")
}

#[test]
fn f136_silent_name_servers_degrade_the_resolver_and_fill_no_pool() {
    let Some((world, _sink)) = world_with_sink(&["127.0.0.1:8080"]) else {
        return;
    };
    world.set("resolv.conf", SERVER);
    let Some(_server) = NameServer::scripted(&world, "return undefined;") else {
        return;
    };
    let mut run: Run = world.run(&[
        "--listen",
        "127.0.0.1:5000",
        "--max-connections-total",
        "40",
    ]);
    for n in 0..60 {
        run.write(&plain(&format!("j{n}"), "http://silent.test:8080/"));
    }
    // All of them wait for that name: others have the places, long before anybody gives up.
    for n in 0..40 {
        run.write(&plain(&format!("other{n}"), "http://127.0.0.1:8080/"));
    }
    for _ in 0..40 {
        let result = run.next_result();
        assert!(result.is_delivered(), "{result:?}");
        assert!(result.duration_ms() < 2_000.0, "{result:?}");
    }
    let pool = &health(&world)["checks"]["http_connection_pool"];
    assert_eq!(pool["data"]["activeConnections"], 0, "{pool}");
    let told = wait_for("a degraded resolver", || {
        let told = health(&world);
        let resolver = told["checks"]["resolver"]["status"].as_str();
        (resolver == Some("Degraded")).then_some(told)
    });
    let pool = &told["checks"]["http_connection_pool"];
    assert_eq!(pool["status"], "Healthy", "{told}");
    assert_eq!(pool["data"]["activeConnections"], 0, "{told}");
}

#[test]
fn f113_beside_many_names_that_nobody_answers_for_a_new_one_is_delivered_within_a_second() {
    crate::figures_dns::measure(600, 40, 1_000.0);
}
