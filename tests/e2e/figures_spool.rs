//! What the spool costs, as tests that print what they measured. They take a while:
//! `cargo test --release --test e2e figures_spool -- --ignored --nocapture --test-threads 1`; `CONDUIT_JOBS` sets how many
//! jobs are sent at 20,000 a second (200,000), `CONDUIT_PENDING` how many a start finds (1,000,000).

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::conduit::Run;
use crate::harness::servers::Sink;
use crate::harness::socket::{Client, wait_until_it_listens};
use crate::harness::spool::{Spool, payload};
use crate::harness::{free_port, wait_for};

const A_SECOND: u64 = 20_000;

/// Lines that are sent at once.
const SLICE: u64 = 100;

const ORIGINS: usize = 10;

fn number_of(variable: &str, default: u64) -> u64 {
    let text = env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect("a whole number"))
}

#[test]
#[ignore = "a figure: takes a while"]
fn twenty_thousand_durable_deliveries_a_second() {
    let jobs = number_of("CONDUIT_JOBS", 200_000);
    let (spool, sink) = (Spool::new(), Sink::start(ORIGINS, &[]));
    let flags = ["--log-level", "warn", "--max-client-pending", "1000000"];
    let run = spool.start(&flags);
    wait_until_it_listens(&spool.socket());
    let stream = UnixStream::connect(spool.socket()).expect("conduit listens");
    let mut writer = stream.try_clone().expect("a descriptor");
    let (sent, times) = channel();
    let (before, written_before) = (cpu_of_threads(&run), written_bytes(&run));
    let started = Instant::now();
    let sender = thread::spawn(move || {
        let mut bytes = 0;
        for slice in 0..jobs / SLICE {
            let due = started + Duration::from_nanos(slice * SLICE * 1_000_000_000 / A_SECOND);
            wait_for("the next slice", || (Instant::now() >= due).then_some(()));
            let lines: String = (slice * SLICE..(slice + 1) * SLICE)
                .map(|number| {
                    let url = &sink.urls[number as usize % ORIGINS];
                    let payload = payload(number, 1_000);
                    format!("{{\"id\":\"{number}\",\"url\":\"{url}\",\"payload\":{payload}}}\n")
                })
                .collect();
            sent.send(Instant::now()).expect("somebody reads");
            bytes += lines.len() as u64;
            writer.write_all(lines.as_bytes()).expect("conduit reads");
        }
        (bytes, sink)
    });
    let mut waits = Vec::with_capacity(jobs as usize);
    let mut open = VecDeque::new();
    let mut delivered = 0;
    let mut lines = BufReader::new(stream).lines();
    while delivered < jobs / SLICE * SLICE {
        let line = lines.next().expect("it runs").expect("it is text");
        if line.contains("\"accepted\"") {
            if open.is_empty() {
                let at = times.recv().expect("it was sent");
                open.extend(std::iter::repeat_n(at, SLICE as usize));
            }
            let at = open.pop_front().expect("just put there");
            waits.push(at.elapsed());
        } else {
            assert!(line.contains("\"delivered\""), "{line}");
            delivered += 1;
        }
    }
    let took = started.elapsed().as_secs_f64();
    let (bytes, _sink) = sender.join().expect("the sender does not panic");
    let after = cpu_of_threads(&run);
    let written = written_bytes(&run) - written_before;
    waits.sort_unstable();
    let percentile = |percent: usize| waits[waits.len() * percent / 100 - 1];
    println!(
        "{delivered} delivered in {took:.2} s, {:.0} a second; accepted after p50 {:.1?}, p99 {:.1?}",
        delivered as f64 / took,
        percentile(50),
        percentile(99)
    );
    for (name, spent) in after {
        let earlier = before.iter().find(|(other, _)| *other == name);
        let spent = spent - earlier.map_or(Duration::ZERO, |(_, spent)| *spent);
        println!(
            "thread {name:<12} {:>5.1} % of a core",
            spent.as_secs_f64() * 100.0 / took
        );
    }
    println!(
        "{written} bytes written for {bytes} bytes of lines: {:.2} times",
        written as f64 / bytes as f64
    );
    let run = spool.drain(run);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
}

#[test]
#[ignore = "a figure: takes a while"]
fn a_start_with_a_million_jobs() {
    let jobs = number_of("CONDUIT_PENDING", 1_000_000);
    let spool = Spool::new();
    let nobody = format!("http://127.0.0.1:{}/", free_port());
    let flags = ["--log-level", "error", "--max-client-pending", "100000000"];
    let run = spool.start(&flags);
    wait_until_it_listens(&spool.socket());
    let stream = UnixStream::connect(spool.socket()).expect("conduit listens");
    let mut writer = stream.try_clone().expect("a descriptor");
    let started = Instant::now();
    let sender = thread::spawn(move || {
        for number in 0..jobs {
            let payload = payload(number, 100);
            let line =
                format!("{{\"id\":\"{number}\",\"url\":\"{nobody}\",\"payload\":{payload}}}\n");
            writer.write_all(line.as_bytes()).expect("conduit reads");
        }
    });
    let lines = BufReader::new(stream)
        .lines()
        .map(|line| line.expect("it is text"));
    let accepted = lines.filter(|line| line.contains("\"accepted\""));
    assert_eq!(accepted.take(jobs as usize).count() as u64, jobs);
    sender.join().expect("the sender does not panic");
    let rate = jobs as f64 / started.elapsed().as_secs_f64();
    let resident = run.process().resident_bytes();
    println!(
        "{rate:.0} accepted a second; {} MB resident then",
        resident / 1_000_000
    );
    run.process().signal("KILL");
    run.finish();
    let started = Instant::now();
    let run = spool.start(&flags);
    wait_until_it_listens(&spool.socket());
    let mut client = Client::connect(&spool.socket());
    let status = client.ask("{\"ctl\":\"status\"}");
    let took = started.elapsed().as_secs_f64();
    assert_eq!(status["ok"], true, "{status}");
    let first = run.process().resident_bytes();
    let pending = wait_for("all to be known", || {
        let status = client.ask("{\"ctl\":\"status\"}");
        let pending = status["data"]["pending"].as_u64()?;
        (pending >= jobs * 99 / 100).then_some(pending)
    });
    let known = started.elapsed().as_secs_f64();
    let resident = run.process().resident_bytes();
    println!(
        "{pending} jobs found: the socket answers after {took:.2} s ({} MB resident), all are known after {known:.2} s \
         ({} MB resident)",
        first / 1_000_000,
        resident / 1_000_000
    );
}

/// The time that processors have spent on each thread, by name.
fn cpu_of_threads(run: &Run) -> Vec<(String, Duration)> {
    let tasks = format!("/proc/{}/task", run.process().id());
    let tasks = fs::read_dir(tasks).expect("it runs").flatten();
    let threads = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|count| count.parse::<u64>().ok()).sum();
        Some((name.trim().to_owned(), Duration::from_millis(ticks * 10)))
    });
    threads.collect()
}

/// Bytes that it has had written to the disk (proc(5), `write_bytes`).
fn written_bytes(run: &Run) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", run.process().id())).expect("it runs");
    let bytes = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    bytes
        .expect("the kernel counts")
        .trim()
        .parse()
        .expect("a number")
}
