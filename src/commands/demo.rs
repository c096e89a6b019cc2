//! `conduit demo`: 1,000 webhooks to receivers on this machine's loopback, through the path of `run`.
//!
//! A [`Sink`] with a listener for each origin answers on one thread; [`Feed`] is the stdin of the run and
//! [`Results`] its stdout. Only the ports of that sink are allowed as destinations, and no port is fixed.
//!
//! Not here: delivery (`run`), the receivers (`sink`).

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::engine::policy::AllowNet;
use serde::Deserialize;

use crate::commands::run::{self, Refusal};
use crate::commands::sink::{Grouped, Sink, Tally};
use crate::commands::{complain, exit};
use crate::flags::{DemoOptions, SinkOptions};
use crate::io::front::{self, Ended};
use crate::io::{clock, log as logger, stdio};

const JOBS: u64 = 1_000;
const ORIGINS: usize = 10;
const JOBS_PER_SECOND: u64 = 400;
/// How long the receivers take, at least and at most.
const DELAY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
/// How often the feed looks what is due.
const FEED_PACE: Duration = Duration::from_millis(10);
/// How often the live line is drawn.
const REDRAW: Duration = Duration::from_millis(100);
const BAR_CELLS: u64 = 30;

/// The jobs, as `run` reads them from stdin: paced, so reading blocks.
struct Feed {
    addrs: Vec<SocketAddr>,
    start: Instant,
    written: Arc<AtomicU64>,
    /// Lines not read yet.
    ready: Vec<u8>,
    /// Nothing is ever sent on it; waiting for that is what paces the feed, and its end ends the wait.
    pace: mpsc::Receiver<()>,
}

/// Takes what `run` writes to stdout.
struct Results {
    seen: Arc<Mutex<Seen>>,
    written: Arc<AtomicU64>,
    /// The front of a line that came in pieces.
    partial: Vec<u8>,
    live: Option<Live>,
}

/// What the results said.
#[derive(Debug, Default)]
struct Seen {
    outcomes: BTreeMap<String, u64>,
    /// Of those delivered.
    duration_ms: Vec<f64>,
}

/// A line of a result, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultLine {
    outcome: String,
    duration_ms: f64,
}

/// The line on a terminal that shows how far it is.
struct Live {
    start: Instant,
    drawn: Instant,
}

/// Why there is nothing to sum up.
enum Stopped {
    /// A setting that can't be followed, or a machine that can't be run on.
    Refused(Refusal),
    /// The system would not go on.
    Broken(io::Error),
    /// A second signal.
    Early(ExitCode),
}

/// What is printed at the end.
struct Summary {
    seen: Seen,
    tally: Tally,
    took: Duration,
}

/// Runs the demonstration. Exit status 0 only if every job was delivered; 3 if it could not run.
pub(crate) fn execute(options: DemoOptions) -> ExitCode {
    let finished = demonstrate(options).and_then(|summary| {
        let mut stdout = stdio::output()?;
        write!(stdout, "{summary}")?;
        stdout.flush()?;
        Ok(summary.seen.delivered())
    });
    match finished {
        Ok(JOBS) => exit::DONE,
        Ok(_) => exit::NOT_ALL,
        Err(Stopped::Refused(refusal)) => refusal.report(),
        Err(Stopped::Early(status)) => status,
        Err(Stopped::Broken(error)) => {
            complain(&format!("demo: {error}"));
            exit::unable()
        }
    }
}

fn demonstrate(options: DemoOptions) -> Result<Summary, Stopped> {
    let sink = Sink::bind(&receivers())?;
    let mut settings = options.settings;
    settings.allow_http = true;
    settings.allow_net = sink.addrs().iter().map(|addr| only(*addr)).collect();
    // Before any thread starts: it blocks the signals that end a run.
    let mut setup = run::setup(&settings).map_err(Stopped::Refused)?;
    let on_terminal = io::stderr().is_terminal();
    let start = clock::now().mono;
    let written = Arc::new(AtomicU64::new(0));
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (running, pace) = mpsc::channel();
    let feed = Feed {
        addrs: sink.addrs().to_vec(),
        start,
        written: Arc::clone(&written),
        ready: Vec::new(),
        pace,
    };
    let results = Results {
        seen: Arc::clone(&seen),
        written,
        partial: Vec::new(),
        live: on_terminal.then_some(Live {
            start,
            drawn: start,
        }),
    };
    let stopper = sink.stopper();
    let served = thread::Builder::new()
        .name("receivers".to_owned())
        .spawn(move || sink.run())?;
    setup.source = Box::new(feed);
    setup.sink = Box::new(results);
    let ended = front::run(setup);
    let took = clock::now().mono.since(start);
    if on_terminal {
        logger::status("");
    }
    drop(running);
    stopper.stop()?;
    let tally = served
        .join()
        .map_err(|_| io::Error::other("the receivers' thread panicked"))??;
    if let ended @ Ended::Killed { .. } = ended? {
        return Err(Stopped::Early(run::status(&ended)));
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Summary { seen, tally, took })
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Broken(error)
    }
}

fn receivers() -> SinkOptions {
    SinkOptions {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); ORIGINS],
        status: 200,
        delay: DELAY,
        tls: None,
        log: None,
    }
}

/// Exactly this address and port.
fn only(addr: SocketAddr) -> AllowNet {
    AllowNet {
        net: addr.ip(),
        prefix: if addr.is_ipv4() { 32 } else { 128 },
        port: Some(addr.port()),
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            if self.written.load(Ordering::Relaxed) == JOBS {
                return Ok(0);
            }
            self.write_due(clock::now().mono);
            if self.ready.is_empty()
                && let Err(mpsc::RecvTimeoutError::Disconnected) = self.pace.recv_timeout(FEED_PACE)
            {
                return Ok(0);
            }
        }
        let bytes = self.ready.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&self.ready[..bytes]);
        self.ready.drain(..bytes);
        Ok(bytes)
    }
}

impl Feed {
    /// Writes the lines that are due by now.
    fn write_due(&mut self, now: Instant) {
        let millis = u64::try_from(now.since(self.start).as_millis()).unwrap_or(u64::MAX);
        let due = (millis.saturating_mul(JOBS_PER_SECOND) / 1_000).min(JOBS);
        let written = self.written.load(Ordering::Relaxed);
        for number in written + 1..=due {
            let addr = self.addrs[number as usize % self.addrs.len()];
            self.ready.extend_from_slice(line(number, addr).as_bytes());
        }
        self.written.store(due.max(written), Ordering::Relaxed);
    }
}

/// One job, in the manner of an order system.
fn line(number: u64, addr: SocketAddr) -> String {
    let cents = number * 7_919 % 100_000;
    format!(
        "{{\"url\":\"http://{addr}/hook\",\"id\":\"demo-{number:04}\",\"type\":\"order.paid\",\
         \"payload\":{{\"event\":\"order.paid\",\"order\":{number},\"currency\":\"EUR\",\
         \"total\":{}.{:02},\"customer\":{{\"id\":{},\"country\":\"NL\"}},\"items\":{}}}}}\n",
        cents / 100,
        cents % 100,
        number % 97,
        number % 9 + 1,
    )
}

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend_from_slice(bytes);
        let whole = match self.partial.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None => return Ok(bytes.len()),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for line in self.partial[..whole].split_inclusive(|byte| *byte == b'\n') {
            seen.add(serde_json::from_slice(line)?);
        }
        self.partial.drain(..whole);
        if let Some(live) = &mut self.live {
            live.draw(
                clock::now().mono,
                self.written.load(Ordering::Relaxed),
                &seen,
            );
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seen {
    fn add(&mut self, line: ResultLine) {
        if line.outcome == "delivered" {
            self.duration_ms.push(line.duration_ms);
        }
        *self.outcomes.entry(line.outcome).or_default() += 1;
    }

    fn delivered(&self) -> u64 {
        self.duration_ms.len() as u64
    }

    fn ended(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

impl Live {
    fn draw(&mut self, now: Instant, written: u64, seen: &Seen) {
        if now.since(self.drawn) >= REDRAW {
            self.drawn = now;
            logger::status(&progress(now.since(self.start), written, seen));
        }
    }
}

/// The text of the live line.
fn progress(took: Duration, written: u64, seen: &Seen) -> String {
    let cells = seen.ended() * BAR_CELLS / JOBS;
    let bar: String = (0..BAR_CELLS)
        .map(|cell| if cell < cells { '=' } else { ' ' })
        .collect();
    format!(
        "[{bar}] {} of {} delivered, {} in flight, {:.0}/s",
        Grouped(seen.delivered()),
        Grouped(JOBS),
        written.saturating_sub(seen.ended()),
        seen.ended() as f64 / took.as_secs_f64().max(0.001),
    )
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delivered = self.seen.delivered();
        writeln!(
            f,
            "delivered {} of {} in {:.1} s",
            Grouped(delivered),
            Grouped(JOBS),
            self.took.as_secs_f64()
        )?;
        for (outcome, count) in &self.seen.outcomes {
            if outcome != "delivered" {
                writeln!(f, "{outcome} {}", Grouped(*count))?;
            }
        }
        if delivered > 0 {
            let mut sorted = self.seen.duration_ms.clone();
            sorted.sort_by(f64::total_cmp);
            let [p50, p95, p99] = [50, 95, 99].map(|percent| percentile(&sorted, percent));
            writeln!(
                f,
                "\n  latency      p50 {p50:.1} ms   p95 {p95:.1} ms   p99 {p99:.1} ms"
            )?;
            writeln!(
                f,
                "               of which the receivers spent {} to {} ms each",
                DELAY.0.as_millis(),
                DELAY.1.as_millis()
            )?;
            writeln!(
                f,
                "  connections  {} opened for {} requests, {:.1} % reuse",
                Grouped(self.tally.connections),
                Grouped(self.tally.requests()),
                reuse_percent(&self.tally)
            )?;
        }
        writeln!(
            f,
            "\nPlain HTTP to {ORIGINS} receivers on this machine's loopback, on ports of their own; \
             no other\ndestination was allowed."
        )
    }
}

/// The value that `percent` of all are no larger than (nearest rank); `sorted` is not empty.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// How many of the requests went over a connection that had carried one before.
fn reuse_percent(tally: &Tally) -> f64 {
    let reused = tally.requests().saturating_sub(tally.connections);
    reused as f64 * 100.0 / tally.requests().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(running_for: Duration) -> (Feed, mpsc::Sender<()>) {
        let (running, pace) = mpsc::channel();
        let feed = Feed {
            addrs: vec![([127, 0, 0, 1], 1001).into(), ([127, 0, 0, 1], 1002).into()],
            start: clock::now().mono - running_for,
            written: Arc::default(),
            ready: Vec::new(),
            pace,
        };
        (feed, running)
    }

    #[test]
    fn the_feed_is_a_thousand_jobs_over_all_origins() {
        let (mut feed, _running) = feed(Duration::from_secs(60));
        let mut text = String::new();
        feed.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count() as u64, JOBS);
        for (index, line) in text.lines().enumerate() {
            let job: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(job["id"], format!("demo-{:04}", index + 1));
            assert_eq!(
                job["url"],
                format!("http://127.0.0.1:{}/hook", 1002 - index % 2)
            );
            assert_eq!(job["payload"]["order"], index + 1);
        }
    }

    #[test]
    fn the_feed_keeps_its_pace_and_ends_with_the_run() {
        let (mut feed, running) = feed(Duration::ZERO);
        feed.write_due(feed.start + Duration::from_millis(9));
        assert_eq!(feed.written.load(Ordering::Relaxed), 3);
        feed.write_due(feed.start + Duration::from_millis(10));
        assert_eq!(feed.written.load(Ordering::Relaxed), 4);
        assert_eq!(feed.ready.split_inclusive(|byte| *byte == b'\n').count(), 4);
        drop(running);
        feed.start = Instant::FAR_FUTURE;
        let mut text = String::new();
        assert_eq!(feed.read_to_string(&mut text).unwrap(), feed_line_bytes(4));
    }

    fn feed_line_bytes(jobs: u64) -> usize {
        (1..=jobs)
            .map(|number| line(number, ([127, 0, 0, 1], 1001).into()).len())
            .sum()
    }

    #[test]
    fn results_are_read_however_they_are_cut() {
        let text = b"{\"id\":\"a\",\"outcome\":\"delivered\",\"durationMs\":3.5}\n\
                     {\"outcome\":\"exhausted\",\"durationMs\":9,\"error\":{\"kind\":\"reset\"}}\n";
        for at in 0..=text.len() {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let mut results = Results {
                seen: Arc::clone(&seen),
                written: Arc::default(),
                partial: Vec::new(),
                live: None,
            };
            results.write_all(&text[..at]).unwrap();
            results.write_all(&text[at..]).unwrap();
            let seen = seen.lock().unwrap();
            assert_eq!(seen.duration_ms, [3.5]);
            assert_eq!(seen.outcomes["exhausted"], 1);
            assert_eq!(seen.ended(), 2);
        }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        let cases: [(&[f64], usize, f64); 5] = [
            (&hundred, 50, 50.0),
            (&hundred, 95, 95.0),
            (&hundred, 99, 99.0),
            (&[7.0], 50, 7.0),
            (&[1.0, 2.0, 3.0], 50, 2.0),
        ];
        for (sorted, percent, expected) in cases {
            assert_eq!(percentile(sorted, percent).to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn the_summary_says_what_was_not_delivered_too() {
        let mut seen = Seen::default();
        for number in 1..=4 {
            seen.add(ResultLine {
                outcome: if number < 4 { "delivered" } else { "exhausted" }.to_owned(),
                duration_ms: f64::from(number) * 10.0,
            });
        }
        let text = progress(Duration::from_secs(2), 10, &seen);
        assert!(
            text.ends_with("] 3 of 1,000 delivered, 6 in flight, 2/s"),
            "{text}"
        );
        let tally = Tally {
            connections: 1,
            answers: BTreeMap::from([(200, 4)]),
            ..Tally::default()
        };
        let summary = Summary {
            seen,
            tally,
            took: Duration::from_millis(2_540),
        };
        let text = summary.to_string();
        assert!(
            text.starts_with("delivered 3 of 1,000 in 2.5 s\nexhausted 1\n"),
            "{text}"
        );
        assert!(
            text.contains("p50 20.0 ms   p95 30.0 ms   p99 30.0 ms"),
            "{text}"
        );
        assert!(
            text.contains("1 opened for 4 requests, 75.0 % reuse"),
            "{text}"
        );
    }
}
