//! What is remembered of origins: how many, and how much memory that takes. The figures of many are run by hand, as
//! those of `figures`; `CONDUIT_JOBS` sets how many jobs each run has.
//!
//! Not here: which are forgotten first (`tests/golden`, `engine/unused`).

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::figures::jobs_or;
use crate::harness::conduit::{CONDUIT, Run};
use crate::harness::feed::plain;
use crate::harness::monitor::{Monitor, metrics, watched};
use crate::harness::servers::Sink;

/// Jobs that are written before their results are read: so many fit into pipes.
const BATCH: usize = 400;

const MIB: u64 = 1 << 20;

/// Addresses of this machine that are different origins, whose connections all come to one receiver.
fn hosts(sink: &Sink) -> impl Iterator<Item = String> + use<> {
    let (_, port) = sink.urls[0].rsplit_once(':').expect("it has a port");
    let port = port.trim_end_matches('/').to_owned();
    (0_u32..1 << 22).map(move |n| {
        let [_, b, c, d] = (n + 1).to_be_bytes();
        format!("http://127.{b}.{c}.{d}:{port}/")
    })
}

/// A receiver at all addresses of this machine.
fn everywhere() -> Sink {
    Sink::start_by(Command::new(CONDUIT), &["0.0.0.0:0"], &[])
}

/// Has each of these URLs one job; gives how many ended so.
fn one_job_each(run: &mut Run, urls: impl Iterator<Item = String>, outcome: &str) -> usize {
    let mut urls = urls.peekable();
    let mut ended = 0;
    while urls.peek().is_some() {
        let batch: Vec<String> = urls.by_ref().take(BATCH).collect();
        let lines: String = batch.iter().map(|url| plain("job", url)).collect();
        run.write(&lines);
        for _ in &batch {
            ended += usize::from(run.pass_result().outcome() == outcome);
        }
    }
    ended
}

/// Megabytes by which what happens makes it grow.
fn grown(run: &mut Run, happens: impl FnOnce(&mut Run)) -> f64 {
    let before = run.process().resident_bytes();
    happens(run);
    let after = run.process().resident_bytes();
    after.saturating_sub(before) as f64 / MIB as f64
}

#[test]
fn f111_a_thousand_origins_leave_no_more_than_max_origins() {
    let sink = everywhere();
    let flags = [
        "--workers",
        "3",
        "--max-origins",
        "100",
        "--max-connections-total",
        "30",
    ];
    let (port, mut run) = watched(&flags);
    let urls = || hosts(&sink).take(1_000);
    assert_eq!(one_job_each(&mut run, urls(), "delivered"), 1_000);
    let forbidden = (0..1_000).map(|n| format!("http://10.1.{}.{}/", n / 250, n % 250));
    assert_eq!(one_job_each(&mut run, forbidden, "blocked"), 1_000);
    let page = metrics(port);
    let requests = page.sum("conduit_webhook_requests_total", &[]);
    assert_eq!(requests, 1_000.0, "what was counted is counted for ever");
    let states = page.by("conduit_webhook_breaker_state", "endpoint", &[]);
    assert!((50..=100).contains(&states.len()), "{}", states.len());
    run.end_feed();
    drop(run.finish());
    drop(sink.stop());
}

#[test]
#[ignore = "a figure: takes a while"]
fn f111_forbidden_destinations_take_no_memory() {
    let mut command = Command::new(CONDUIT);
    command.args(["run", "--listen", "none", "--log-level", "off"]);
    let mut run = Run::start(&mut command);
    let count = jobs_or(300_000);
    let addresses = (0..count as u32).map(|n| {
        let [_, b, c, d] = n.to_be_bytes();
        format!("https://10.{b}.{c}.{d}/")
    });
    let names = (0..count).map(|n| format!("http://name-{n}.example/"));
    let grown = grown(&mut run, |run| {
        assert_eq!(one_job_each(run, addresses, "blocked"), count);
        assert_eq!(one_job_each(run, names, "blocked"), count);
    });
    println!("{count} addresses and {count} names that are forbidden: {grown:.1} MiB");
    assert!(grown <= 20.0, "{grown} MiB");
    run.end_feed();
    drop(run.finish());
}

#[test]
#[ignore = "a figure: takes a while"]
fn f111_a_million_hosts_fit_into_150_mb_and_health_answers_meanwhile() {
    let sink = everywhere();
    let flags = ["--log-level", "off", "--max-connections-total", "1000"];
    let (port, mut run) = watched(&flags);
    let is_over = AtomicBool::new(false);
    let count = jobs_or(1_000_000);
    let (slowest, grown) = thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let mut monitor = Monitor::connect(port);
            let mut slowest = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let answer = monitor.get("/health/ready", "");
                assert!([200, 503].contains(&answer.status));
                slowest = slowest.max(asked.elapsed());
            }
            slowest
        });
        let urls = hosts(&sink).take(count);
        let grown = grown(&mut run, |run| {
            let delivered = one_job_each(run, urls, "delivered");
            println!("{delivered} of {count} delivered");
        });
        is_over.store(true, Ordering::Relaxed);
        (asks.join().expect("it has asked"), grown)
    });
    println!("{count} hosts: {grown:.1} MiB, health within {slowest:?}");
    assert!(grown <= 150.0, "{grown} MiB");
    assert!(slowest <= Duration::from_millis(50), "{slowest:?}");
    run.end_feed();
    drop(run.finish());
    drop(sink.stop());
}
