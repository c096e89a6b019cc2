//! What names cost whose servers are silent: `cargo test --release --test e2e figures_dns -- --ignored --nocapture
//! --test-threads 1`. A third of them is of one zone, the others are of many.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::harness::conduit::CONDUIT;
use crate::harness::feed::plain;
use crate::harness::names::NameServer;
use crate::harness::servers::Sink;
use crate::harness::world::World;

/// Times of so many new names, and of one that was known before and has expired, beside so many silent ones.
pub(crate) fn measure(silent: usize, healthy: usize, most_ms: f64) {
    let Some(world) = World::new() else {
        return;
    };
    // A receiver that takes its time, so that what was known expires meanwhile, again and again.
    let delay = ["--delay", "0.02"];
    let _sink = Sink::start_by(world.command(CONDUIT), &["127.0.0.1:8080"], &delay);
    world.set("resolv.conf", "nameserver 127.0.0.1\n");
    let rule = "if (name.endsWith('.silent')) return undefined;
                return {addrs: type === 'A' ? ['127.0.0.1'] : [], ttl: 1};";
    let Some(_server) = NameServer::scripted(&world, rule) else {
        return;
    };
    let mut run = world.run(&["--ttl", "120", "--shutdown-timeout", "0"]);
    run.write(&plain("warm", "http://known.test:8080/"));
    assert!(run.next_result().is_delivered());
    let began = Instant::now();
    for n in 0..silent {
        let zone = if n % 3 == 0 { 0 } else { n };
        run.write(&plain(
            "silent",
            &format!("http://n{n}.zone{zone}.silent:8080/"),
        ));
    }
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for n in 0..healthy {
        for (what, url) in [
            ("new", format!("http://h{n}.new{n}.test:8080/")),
            ("known", "http://known.test:8080/".to_owned()),
        ] {
            run.write(&plain(what, &url));
            let result = loop {
                let result = run.next_result();
                if result.id() != Some("silent") {
                    break result;
                }
            };
            assert!(result.is_delivered(), "{result:?}");
            times.entry(what).or_default().push(result.duration_ms());
        }
    }
    for (what, times) in &mut times {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
        let (p50, p99) = (at(50), at(99));
        println!("{silent} silent names: {what}: p50 {p50:.1} ms, p99 {p99:.1} ms");
    }
    println!("within {:.1} s", began.elapsed().as_secs_f64());
    let worst = times["new"].last();
    assert!(worst.is_some_and(|worst| *worst <= most_ms), "{worst:?} ms");
}

#[test]
#[ignore = "a figure: takes a while"]
fn names_beside_600_silent_ones() {
    measure(600, 200, 1_000.0);
}

#[test]
#[ignore = "a figure: takes a while"]
fn names_beside_2_000_silent_ones() {
    measure(2_000, 200, 1_000.0);
}

#[test]
#[ignore = "a figure: takes a while"]
fn names_beside_10_000_silent_ones() {
    measure(10_000, 200, 1_000.0);
}
