//! Figures of the admin listener, run as those of `figures`: what it costs the deliveries beside it, and whether its
//! counts hold for long feeds. `CONDUIT_JOBS` sets how many jobs each run has.
//!
//! Not here: what it tells (`admin`), the same counts for short feeds (`counters`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::admin::{Siege, assert_lints_but_for_the_guides_name};
use crate::counters::{counters_agree_after_whole_requests, counters_agree_without_whole_requests};
use crate::figures::{jobs, jobs_or};
use crate::harness::conduit::Run;
use crate::harness::feed::plain;
use crate::harness::is_installed;
use crate::harness::monitor::{Monitor, watched};
use crate::harness::prometheus::Prometheus;
use crate::harness::servers::Sink;

/// Jobs under way at each origin where the time of each counts.
const WINDOW: usize = 10;

/// Jobs under way where only their number counts: more than there are connections for, and so many that are written
/// and read at a time (which fit into a pipe).
const BACKLOG: usize = 2_000;
const BATCH: usize = 400;

const MANY_ORIGINS: usize = 1_000;

/// Interleaved pairs of runs, with and without.
const ROUNDS: usize = 5;

fn quiet() -> (u16, Run) {
    watched(&["--log-level", "off"])
}

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
            let result = run.pass_result();
            assert!(result.is_delivered(), "{result:?}");
            write(run, &mut waiting);
            result.duration_ms()
        })
        .collect();
    durations.sort_by(f64::total_cmp);
    durations
}

/// Keeps conduit as busy as it can be while `goes_on`, which is told how many jobs are delivered; gives their number.
fn saturate(run: &mut Run, urls: &[String], mut goes_on: impl FnMut(usize) -> bool) -> usize {
    let lines: Vec<String> = urls.iter().map(|url| plain("job", url)).collect();
    let mut lines = lines.iter().cycle();
    let (mut written, mut delivered) = (0, 0);
    loop {
        if goes_on(delivered) {
            while written + BATCH <= delivered + BACKLOG {
                let batch: String = lines.by_ref().take(BATCH).map(String::as_str).collect();
                run.write(&batch);
                written += BATCH;
            }
        }
        if delivered == written {
            return delivered;
        }
        for _ in 0..BATCH {
            let result = run.pass_result();
            assert!(result.is_delivered(), "{result:?}");
        }
        delivered += BATCH;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median over interleaved pairs of runs of what `figure` gives with, divided by what it gives without.
fn median_ratio(unit: &str, mut figure: impl FnMut(bool) -> f64) -> f64 {
    let ratios = (0..ROUNDS)
        .map(|_| {
            let (without, with) = (figure(false), figure(true));
            let ratio = with / without;
            println!("{without:.2} {unit} without, {with:.2} {unit} with: {ratio:.3}");
            ratio
        })
        .collect();
    let median = median(ratios);
    println!("median of the ratios: {median:.3}");
    median
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

/// By hand: Prometheus scrapes no more often than once a second.
#[test]
#[ignore = "a figure: takes a while"]
fn a_scrape_of_a_thousand_origins_is_quick() {
    const MS_MOST: f64 = 100.0;
    let sink = Sink::start(MANY_ORIGINS, &[]);
    let (port, mut run) = quiet();
    deliver(&mut run, &sink.urls, 2 * MANY_ORIGINS);
    let (p99, _) = scrapes_by_hand(port, 60);
    assert!(p99 <= MS_MOST, "{p99} ms");
}

/// The 99th percentile in milliseconds of so many scrapes over one connection, and the last page.
fn scrapes_by_hand(port: u16, count: usize) -> (f64, String) {
    let mut monitor = Monitor::connect(port);
    let mut page = String::new();
    let mut took: Vec<f64> = (0..count)
        .map(|_| {
            let started = Instant::now();
            page = monitor.get("/metrics", "").body;
            let took = started.elapsed();
            // As often as scrapers come at most; pages take their time from deliveries only so often.
            thread::sleep(Duration::from_secs(1).saturating_sub(took));
            took.as_secs_f64() * 1_000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let (p50, p99) = (took[count / 2], took[count * 99 / 100]);
    let bytes = page.len();
    println!("{count} scrapes by hand of {bytes} bytes: p50 {p50:.2} ms, p99 {p99:.2} ms");
    (p99, page)
}

#[test]
#[ignore = "a figure: takes a while"]
fn prometheus_scrapes_a_thousand_origins_under_full_load() {
    const SCRAPES: f64 = 100.0;
    let sink = Sink::start(MANY_ORIGINS, &[]);
    let (port, mut run) = quiet();
    saturate(&mut run, &sink.urls, |delivered| {
        delivered < 2 * MANY_ORIGINS
    });
    let page = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            if let Some(prometheus) = Prometheus::start(port) {
                prometheus.wait_for_scrapes(SCRAPES);
                let ms = |quantile: f64| {
                    let series = "scrape_duration_seconds[1h]";
                    let query = format!("1000 * quantile_over_time({quantile}, {series})");
                    prometheus.value(&query).expect("it has scraped")
                };
                println!(
                    "{SCRAPES} scrapes by Prometheus: p50 {:.2} ms, p99 {:.2} ms, {} have failed",
                    ms(0.5),
                    ms(0.99),
                    prometheus.failed_scrapes()
                );
            }
            scrapes_by_hand(port, 60).1
        });
        let started = Instant::now();
        let delivered = saturate(&mut run, &sink.urls, |_| !watcher.is_finished());
        let rate = delivered as f64 / started.elapsed().as_secs_f64();
        println!("{rate:.0} deliveries a second meanwhile");
        watcher.join().expect("it has seen all it wanted to")
    });
    assert_lints_but_for_the_guides_name(&page);
}

/// Conduit's own CPU time of a delivery under full load, in microseconds, with Prometheus scraping every second ÷
/// without.
fn cpu_ratio_of_scraping(origins: usize) -> Option<f64> {
    if !is_installed("prometheus", "prometheus") {
        return None;
    }
    let sink = Sink::start(origins, &[]);
    let jobs = jobs_or(400_000);
    Some(median_ratio("µs of CPU a delivery", |is_scraped| {
        let (port, mut run) = quiet();
        saturate(&mut run, &sink.urls, |delivered| {
            delivered < BACKLOG.max(2 * origins)
        });
        let prometheus = is_scraped.then(|| Prometheus::start(port)).flatten();
        let started = Instant::now();
        let before = run.process().cpu_time();
        let delivered = saturate(&mut run, &sink.urls, |delivered| delivered < jobs);
        let spent = run.process().cpu_time() - before;
        if let Some(prometheus) = prometheus {
            // The first was before, the last may be under way.
            let least = started.elapsed().as_secs_f64().floor();
            let (count, failed) = (prometheus.scrapes(), prometheus.failed_scrapes());
            assert!(count >= least, "{count} scrapes, not {least}");
            println!("{count} scrapes, {failed} have failed");
        }
        spent.as_secs_f64() * 1e6 / delivered as f64
    }))
}

#[test]
#[ignore = "a figure: takes a while"]
fn scraping_every_second_costs_deliveries_little() {
    const RATIO_MOST: f64 = 1.02;
    if let Some(ratio) = cpu_ratio_of_scraping(10) {
        assert!(ratio <= RATIO_MOST, "{ratio}, at most {RATIO_MOST}");
    }
}

#[test]
#[ignore = "a figure: takes a while"]
fn scraping_a_thousand_origins_every_second_has_its_price() {
    let ratio = cpu_ratio_of_scraping(MANY_ORIGINS);
    // No limit: a thousand origins are many more samples than ten, and each of them is written anew each second.
    assert!(ratio.is_none_or(|ratio| ratio > 0.0), "{ratio:?}");
}

#[test]
#[ignore = "a figure: takes a while"]
fn two_hundred_clients_that_never_read_cost_deliveries_little() {
    const ORIGINS: usize = 10;
    const CLIENTS: usize = 200;
    const RATIO_MOST: f64 = 1.1;
    // All of them are there at any time; whoever has been cut off meanwhile comes again after so long, as one does that
    // scrapes every 15 s.
    const COMES_EVERY: Duration = Duration::from_secs(15);
    // So many that a run lasts far longer than it takes all of them to come.
    let jobs = jobs_or(500_000);
    let sink = Sink::start(Siege::ORIGINS, &[]);
    let urls = Siege::urls(&sink);
    let ratio = median_ratio("ms at p95", |is_beset| {
        let (port, mut run) = quiet();
        deliver(&mut run, &urls, urls.len());
        let few = &urls[..ORIGINS];
        deliver(&mut run, few, 2_000);
        let siege = Siege::of(port, run.process());
        let (started, before) = (Instant::now(), run.process().cpu_time());
        let is_over = AtomicBool::new(false);
        let (durations, rude) = thread::scope(|scope| {
            let besieging = scope.spawn(|| {
                let mut rude = VecDeque::new();
                while is_beset && !is_over.load(Ordering::Relaxed) {
                    if rude.len() == CLIENTS {
                        thread::sleep(COMES_EVERY / CLIENTS as u32);
                        rude.pop_front();
                    }
                    rude.push_back(Monitor::rude(port));
                }
                rude
            });
            let durations = deliver(&mut run, few, jobs);
            is_over.store(true, Ordering::Relaxed);
            let seconds = started.elapsed().as_secs_f64();
            let cpu = (run.process().cpu_time() - before).as_secs_f64();
            println!("{seconds:.1} s, of which conduit was busy for {cpu:.1} s");
            (durations, besieging.join().expect("conduit takes them all"))
        });
        siege.assert_over(run.process(), rude);
        durations[durations.len() * 95 / 100]
    });
    assert!(ratio <= RATIO_MOST, "{ratio}, at most {RATIO_MOST}");
}
