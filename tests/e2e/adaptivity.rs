//! A receiver that loses nine tenths of its capacity and gets it back, with and without `adaptiveTimeout` and
//! `adaptiveConcurrency`: `cargo test --release --test e2e adaptivity -- --ignored --nocapture`.
//!
//! Not here: the same over minutes and in three kinds of trouble (`tests/sim`, `adaptivity`).

use std::time::{Duration, Instant};

use crate::harness::conduit::Run;
use crate::harness::feed::plain;
use crate::harness::servers::{Node, answer_of};

/// Serves so many requests at a time, each for 50 ms; 25 more wait for that, the rest is answered 503.
const RECEIVER: &str = "\
    let workers = 50, busy = 0, waiting = [];
    const next = () => {
      while (busy < workers && waiting.length > 0) {
        const response = waiting.shift();
        busy++;
        setTimeout(() => { busy--; response.end('ok'); next(); }, 50);
      }
    };
    const server = http.createServer((request, response) => {
      request.resume();
      request.on('end', () => {
        if (request.url.startsWith('/workers/')) {
          workers = Number(request.url.slice(9));
          response.end('so be it');
          return next();
        }
        if (busy >= workers && waiting.length >= 25) { response.statusCode = 503; return response.end(); }
        waiting.push(response);
        next();
      });
    });
    server.keepAliveTimeout = 60000;";

const WORKERS: u32 = 50;
/// Jobs under way at any time: some of them wait here.
const WINDOW: usize = 200;
const WELL: Duration = Duration::from_secs(6);
const WEAK: Duration = Duration::from_secs(30);
/// From then on it must be as before.
const BACK: Duration = Duration::from_secs(12);

/// What came of a while.
#[derive(Debug, Default)]
struct While {
    delivered: usize,
    seconds: f64,
    failed_attempts: u64,
    /// From a request's first byte to its answer's; in order.
    answered_ms: Vec<f64>,
}

impl While {
    fn goodput(&self) -> f64 {
        self.delivered as f64 / self.seconds
    }

    fn p99_ms(&self) -> f64 {
        self.answered_ms[self.answered_ms.len() * 99 / 100]
    }
}

#[test]
#[ignore = "a figure: takes a while"]
fn a_receiver_that_loses_nine_tenths_of_its_capacity_is_used_to_what_is_left() {
    let switches = ["--adaptive-timeout", "--adaptive-concurrency"];
    let played = [&[][..], &switches[..]].map(|switches| {
        let whiles = play(switches)?;
        println!("with {switches:?}");
        for (when, span) in ["well", "weak", "on the way back", "back"]
            .iter()
            .zip(&whiles)
        {
            println!(
                "  {when}: {:.1} delivered a second, answers p99 {:.0} ms, {} attempts failed",
                span.goodput(),
                span.p99_ms(),
                span.failed_attempts
            );
        }
        Some(whiles)
    });
    let [Some(without), Some(with)] = played else {
        return;
    };
    let [before, weak, _, back] = with;
    assert!(weak.goodput() >= without[1].goodput(), "it delivers less");
    assert!(
        weak.failed_attempts < without[1].failed_attempts,
        "attempts are wasted"
    );
    assert!(
        back.goodput() > before.goodput() * 0.8,
        "it does not recover"
    );
}

/// Well, weak, and well again; the last in two parts. None where node is not installed.
fn play(switches: &[&str]) -> Option<[While; 4]> {
    let node = Node::start(RECEIVER)?;
    let url = node.url("/");
    let port = url.trim_end_matches('/').rsplit(':').next();
    let port: u16 = port.and_then(|port| port.parse().ok()).expect("a port");
    let flags = ["--timings", "--breaker-seconds", "5", "--log-level", "off"];
    let mut run = Run::local(&[&flags[..], switches].concat());
    run.write(&plain("first", &url).repeat(WINDOW));
    let mut spend = |lasts: Duration| {
        let started = Instant::now();
        let mut span = While::default();
        while started.elapsed() < lasts {
            let result = run.next_result();
            let delivered = result.is_delivered();
            span.failed_attempts += result.attempts() - u64::from(delivered);
            if delivered {
                span.delivered += 1;
                span.answered_ms.extend(result.timing("firstByte"));
            }
            run.write(&plain("next", &url));
        }
        span.seconds = started.elapsed().as_secs_f64();
        span.answered_ms.sort_by(f64::total_cmp);
        span
    };
    let well = spend(WELL);
    answer_of(port, &format!("/workers/{}", WORKERS / 10));
    let weak = spend(WEAK);
    answer_of(port, &format!("/workers/{WORKERS}"));
    Some([well, weak, spend(BACK), spend(WELL)])
}
