//! Figures of the admin listener, run as those of `figures`: what it costs the deliveries beside it.
//!
//! Not here: what it tells (`admin`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::counters::{counters_agree_after_whole_requests, counters_agree_without_whole_requests};
use crate::figures::jobs;
use crate::harness::conduit::Run;
use crate::harness::feed::plain;
use crate::harness::monitor::{Monitor, get, metrics, watched};
use crate::harness::servers::Sink;

/// Jobs under way at each origin.
const WINDOW: usize = 10;

/// Delivers so many jobs, a window of them at a time, and gives their `durationMs` in order of size.
fn deliver(run: &mut Run, urls: &[String], count: usize) -> Vec<f64> {
    let mut waiting: VecDeque<&String> = urls.iter().cycle().take(count).collect();
    let write = |run: &mut Run, waiting: &mut VecDeque<&String>| {
        if let Some(url) = waiting.pop_front() {
            run.write(&plain("job", url));
        }
    };
    for _ in 0..urls.len() * WINDOW {
        write(run, &mut waiting);
    }
    let mut durations: Vec<f64> = (0..count)
        .map(|_| {
            let result = run.next_result();
            assert!(result.is_delivered(), "{result:?}");
            write(run, &mut waiting);
            result.duration_ms()
        })
        .collect();
    durations.sort_by(f64::total_cmp);
    durations
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "a figure: takes a while"]
fn counters_agree_with_a_receiver_that_reads_whole_requests_many_times() {
    counters_agree_after_whole_requests(jobs(), Duration::from_secs(1));
}

#[test]
#[ignore = "a figure: takes a while"]
fn counters_agree_with_receivers_that_read_no_request_many_times() {
    counters_agree_without_whole_requests(jobs());
}

#[test]
#[ignore = "a figure: takes a while"]
fn a_scrape_of_a_thousand_origins_is_quick() {
    const ORIGINS: usize = 1_000;
    const SCRAPES: usize = 200;
    const MS_MOST: f64 = 100.0;
    let sink = Sink::start(ORIGINS, &[]);
    let (port, mut run) = watched(&["--log-level", "off"]);
    deliver(&mut run, &sink.urls[..], 2 * ORIGINS);
    let mut monitor = Monitor::connect(port);
    let mut bytes = 0;
    let mut took: Vec<f64> = (0..SCRAPES)
        .map(|_| {
            let started = Instant::now();
            bytes = monitor.get("/metrics", "").body.len();
            let took = started.elapsed();
            // The next survey begins no sooner than this after the last: that is no cost of the scrape.
            thread::sleep(Duration::from_millis(110).saturating_sub(took));
            took.as_secs_f64() * 1_000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let p99 = took[SCRAPES * 99 / 100];
    println!(
        "{ORIGINS} origins, {bytes} bytes: p50 {:.2} ms, p99 {p99:.2} ms",
        took[SCRAPES / 2]
    );
    assert!(p99 <= MS_MOST, "{p99} ms");
}

#[test]
#[ignore = "a figure: takes a while"]
fn scraping_every_second_costs_deliveries_little() {
    const ORIGINS: usize = 10;
    const ROUNDS: usize = 5;
    const RATIO_MOST: f64 = 1.05;
    let sink = Sink::start(ORIGINS, &[]);
    let cpu = |scrapes: bool| {
        let (port, mut run) = watched(&["--log-level", "off"]);
        deliver(&mut run, &sink.urls, 2_000);
        let before = run.process().cpu_time();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            if scrapes {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        assert_eq!(get(port, "/metrics").status, 200);
                        thread::sleep(Duration::from_secs(1));
                    }
                });
            }
            deliver(&mut run, &sink.urls, jobs());
            is_over.store(true, Ordering::Relaxed);
        });
        (run.process().cpu_time() - before).as_secs_f64() / jobs() as f64
    };
    let ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (without, with) = (cpu(false), cpu(true));
            let ratio = with / without;
            println!(
                "{:.2} µs a delivery, {:.2} µs while scraped: {ratio:.3}",
                without * 1e6,
                with * 1e6
            );
            ratio
        })
        .collect();
    let median = median(ratios);
    println!("median of the ratios: {median:.3}, at most {RATIO_MOST}");
    assert!(median <= RATIO_MOST, "{median}");
}

#[test]
#[ignore = "a figure: takes a while"]
fn two_hundred_clients_that_never_read_cost_deliveries_little() {
    const ORIGINS: usize = 10;
    const CLIENTS: usize = 200;
    const ROUNDS: usize = 5;
    const RATIO_MOST: f64 = 1.2;
    let sink = Sink::start(ORIGINS, &[]);
    let p95 = |clients: usize| {
        let (port, mut run) = watched(&["--log-level", "off"]);
        deliver(&mut run, &sink.urls, 2_000);
        let is_over = AtomicBool::new(false);
        let durations = thread::scope(|scope| {
            scope.spawn(|| {
                // Whoever is sent away comes again: there are so many of them at any time.
                let mut rude: VecDeque<Monitor> = VecDeque::new();
                while !is_over.load(Ordering::Relaxed) && clients > 0 {
                    if rude.len() == clients {
                        rude.pop_front();
                        thread::sleep(Duration::from_millis(10));
                    }
                    let mut client = Monitor::connect(port);
                    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    rude.push_back(client);
                }
            });
            let durations = deliver(&mut run, &sink.urls, jobs());
            is_over.store(true, Ordering::Relaxed);
            durations
        });
        assert!(metrics(port).count("conduit_webhook_requests_total", &[]) as usize >= jobs());
        durations[durations.len() * 95 / 100]
    };
    let ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (without, with) = (p95(0), p95(CLIENTS));
            let ratio = with / without;
            println!("p95 {without:.2} ms alone, {with:.2} ms beside them: {ratio:.2}");
            ratio
        })
        .collect();
    let median = median(ratios);
    println!("median of the ratios: {median:.2}, at most {RATIO_MOST}");
    assert!(median <= RATIO_MOST, "{median}");
}
