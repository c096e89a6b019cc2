//! The figures that the README promises, as tests that print what they measured. They take a while:
//! `cargo test --release --test e2e figures -- --ignored --nocapture --test-threads 1`; `CONDUIT_JOBS` sets
//! how many jobs (100,000 and more: each origin opens its 50 connections in any case).

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::Instant;

use crate::harness::conduit::{CONDUIT, Run, deliver};
use crate::harness::feed::{Feed, plain};
use crate::harness::servers::{Nginx, Node, Sink};
use crate::harness::world::World;
use crate::harness::{free_port, is_installed, wait_for};

const ORIGINS: usize = 10;
const CONNECTIONS_MOST: usize = 50;

/// Bytes of memory for an idle plaintext connection.
const IDLE_BYTES_MOST: u64 = 6 * 1024;

pub(crate) fn jobs() -> usize {
    jobs_or(100_000)
}

/// The same for a figure that needs another number of them, unless `CONDUIT_JOBS` says how many.
pub(crate) fn jobs_or(usual: usize) -> usize {
    let count = env::var("CONDUIT_JOBS").ok();
    count.map_or(usual, |count| {
        count.parse().expect("CONDUIT_JOBS is a whole number")
    })
}

/// At least 99.5 % of the requests went over a connection that had been used before.
fn assert_reused(requests: usize, connections: usize) {
    let reused = 100.0 - 100.0 * connections as f64 / requests as f64;
    println!("{requests} requests on {connections} connections, {reused:.2} % reused");
    assert!(connections * 1_000 <= requests * 5, "{reused:.2} %");
}

#[test]
#[ignore = "a figure: takes a while"]
fn a_long_feed_to_sinks_arrives_byte_for_byte_on_kept_connections() {
    let sink = Sink::start(ORIGINS, &[]);
    let feed = Feed::generate(jobs(), &sink.urls, 1_024);
    let started = Instant::now();
    let run = deliver::<&str>(&[], feed.text());
    let took = started.elapsed().as_secs_f64();
    println!("{:.0} deliveries a second", jobs() as f64 / took);
    run.assert_all_delivered(jobs());
    let seen = sink.stop();
    assert_eq!(seen.bodies, feed.bodies());
    let connections = usize::try_from(seen.connections).expect("a count");
    assert!(connections <= ORIGINS * CONNECTIONS_MOST, "{connections}");
    assert_reused(jobs(), connections);
}

#[test]
#[ignore = "a figure: takes a while"]
fn a_long_feed_to_nginx_is_delivered_on_kept_connections() {
    let ports: Vec<u16> = (0..ORIGINS).map(|_| free_port()).collect();
    let servers: String = ports
        .iter()
        .map(|port| {
            format!(
                "server {{ listen 127.0.0.1:{port} backlog=1024; keepalive_requests 100000; \
                 location / {{ return 200 ok; }} }}\n"
            )
        })
        .collect();
    let Some(nginx) = Nginx::start(ports[ORIGINS - 1], &servers) else {
        return;
    };
    let urls: Vec<String> = ports
        .iter()
        .map(|port| format!("http://127.0.0.1:{port}/hook"))
        .collect();
    let feed = Feed::generate(jobs(), &urls, 1_024);
    let run = deliver::<&str>(&[], feed.text());
    run.assert_all_delivered(jobs());
    let log = nginx.log(jobs());
    assert_eq!(log.len(), jobs(), "each job was sent once");
    let mut opened: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for access in &log {
        opened
            .entry(access.port)
            .or_default()
            .insert(access.connection);
    }
    for (port, connections) in &opened {
        assert!(
            connections.len() <= CONNECTIONS_MOST,
            "{port}: {}",
            connections.len()
        );
    }
    assert_reused(jobs(), opened.values().map(BTreeSet::len).sum());
}

#[test]
#[ignore = "a figure: takes a while"]
fn an_idle_connection_is_small() {
    const MANY_ORIGINS: usize = 100;
    let flags = ["--idle-timeout", "600", "--log-level", "error"];
    // Long answers, so that each job opens a connection; short payloads, so that little else is kept.
    let sink = Sink::start(MANY_ORIGINS, &["--delay", "2"]);
    let idle_after = |jobs: usize| {
        let mut run = Run::local(&flags);
        for (number, url) in (0..jobs).zip(sink.urls.iter().cycle()) {
            run.write(&plain(&number.to_string(), url));
        }
        for _ in 0..jobs {
            assert!(run.next_result().is_delivered());
        }
        let sockets = wait_for("the connections to be idle", || {
            Some(run.process().sockets()).filter(|&count| count >= jobs)
        });
        (sockets as u64, run.process().resident_bytes())
    };
    let (few, base) = idle_after(MANY_ORIGINS);
    let (many, grown) = idle_after(MANY_ORIGINS * CONNECTIONS_MOST);
    let each = grown.saturating_sub(base) / (many - few);
    println!("{each} bytes an idle connection ({few} connections: {base}, {many}: {grown})");
    assert!(each <= IDLE_BYTES_MOST, "{each} bytes");
}

/// Jobs under way at each healthy origin: as many as it has connections.
const WINDOW: usize = CONNECTIONS_MOST;

/// Jobs under way at each sick origin: half of them wait for a connection.
const SICK_WINDOW: usize = 2 * CONNECTIONS_MOST;

/// A head that goes on for ever, a byte at a time.
const DRIPPING: &str = "\
    const server = net.createServer(socket => {
      socket.on('error', () => {});
      socket.resume();
      socket.write('HTTP/1.1 200 OK\\r\\nX-Drip: ');
      const drip = setInterval(() => socket.write('.'), 200);
      socket.on('close', () => clearInterval(drip));
    });";

#[test]
#[ignore = "a figure: takes a while"]
fn a_dead_a_dripping_and_a_slow_origin_cost_the_healthy_ones_little() {
    const RUNS: usize = 5;
    const RATIO_MOST: f64 = 1.5;
    let Some(world) = World::new().filter(|_| is_installed("iptables", "iptables")) else {
        return;
    };
    let healthy = Sink::start_by(world.command(CONDUIT), &["127.0.0.1:0"; 7], &[]);
    let slow = Sink::start_by(world.command(CONDUIT), &["127.0.0.1:0"], &["--delay", "10"]);
    let Some(dripping) = Node::start_by(world.command("node"), DRIPPING) else {
        return;
    };
    world.shell("iptables -A INPUT -d 127.0.0.99 -j DROP");
    let dead = "http://127.0.0.99:8080/".to_owned();
    let sick = [slow.urls[0].clone(), dripping.url("/"), dead];
    let mut ratios: Vec<f64> = (0..RUNS)
        .map(|_| {
            let without = p99_ms(&world, &healthy.urls, &[]);
            let with = p99_ms(&world, &healthy.urls, &sick);
            let ratio = with / without;
            println!("p99 {without:.2} ms alone, {with:.2} ms beside the sick: {ratio:.2}");
            ratio
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[RUNS / 2];
    println!("median of the ratios: {median:.2}, at most {RATIO_MOST}");
    assert!(median <= RATIO_MOST, "{ratios:?}");
}

/// The 99th percentile of `durationMs` at the healthy origins while all have their windows full.
fn p99_ms(world: &World, healthy: &[String], sick: &[String]) -> f64 {
    let mut run = world.run(&["--retry-schedule", "2,4,8", "--log-level", "off"]);
    let windows = [(healthy, WINDOW), (sick, SICK_WINDOW)];
    for (urls, window) in windows {
        for url in urls {
            run.write(&plain("first", url).repeat(window));
        }
    }
    let is_healthy = |origin: &str| {
        let mut urls = healthy.iter();
        urls.any(|url| url.trim_end_matches('/') == origin)
    };
    let started = Instant::now();
    let mut durations = Vec::new();
    while durations.len() < jobs() {
        let result = run.next_result();
        if is_healthy(result.origin()) {
            assert!(result.is_delivered(), "{result:?}");
            durations.push(result.duration_ms());
        }
        run.write(&plain("next", result.origin()));
    }
    let rate = jobs() as f64 / started.elapsed().as_secs_f64();
    let sockets = run.process().sockets();
    println!("{rate:.0} deliveries a second, {sockets} sockets");
    assert!(
        sockets > sick.len() * CONNECTIONS_MOST,
        "the sick are tried"
    );
    durations.sort_by(f64::total_cmp);
    durations[durations.len() * 99 / 100]
}
