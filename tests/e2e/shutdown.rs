//! Signals and ends: what is in flight is finished, nothing is told twice, nothing is forgotten.

use std::process::{Command, Stdio};

use crate::harness::Process;
use crate::harness::conduit::{CONDUIT, Finished, LOCAL, Run};
use crate::harness::feed::plain;
use crate::harness::gate::Gate;
use crate::harness::servers::Sink;
use crate::harness::wait_for;

const JOBS: u64 = 40;
const CONNECTIONS: usize = 5;

/// A run with all its connections busy, jobs waiting behind them, and a feed that has not ended.
fn busy(gate: &Gate, flags: &[&str]) -> Run {
    let connections = CONNECTIONS.to_string();
    let mut all = vec!["--max-connections", connections.as_str()];
    all.extend(flags);
    let mut run = Run::local(&all);
    let feed: String = (0..JOBS)
        .map(|number| plain(&format!("job-{number}"), &gate.url()))
        .collect();
    run.write(&feed);
    gate.wait_for_requests(CONNECTIONS);
    run
}

/// Every line that was read has one result; lines are read in order, so these are the first ones.
fn assert_a_result_for_each_line_read(run: &Finished) {
    let mut lines: Vec<u64> = run.results.iter().map(|result| result.line()).collect();
    lines.sort_unstable();
    let read = lines.len() as u64;
    assert_eq!(lines, (1..=read).collect::<Vec<_>>());
    assert!(read <= JOBS);
}

#[test]
fn f88_a_signal_lets_requests_in_flight_finish_and_cancels_the_rest() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::start();
        let mut run = busy(&gate, &[]);
        run.process().signal(signal);
        // What waits is given up at once; what is in flight is not.
        run.next_result()
            .assert_failed("cancelled", "cancelled", &[]);
        gate.open();
        let run = run.finish();
        assert_eq!(run.count("delivered"), CONNECTIONS, "{run:?}");
        assert_eq!(run.count("cancelled"), run.results.len() - CONNECTIONS);
        assert_eq!(run.status, Some(1), "{}", run.stderr);
        assert_eq!(gate.requests(), CONNECTIONS, "nothing new is started");
        assert_a_result_for_each_line_read(&run);
    }
}

#[test]
fn what_is_in_flight_after_the_shutdown_timeout_is_cut() {
    let gate = Gate::start();
    let run = busy(&gate, &["--shutdown-timeout", "0.2"]);
    run.process().signal("TERM");
    let run = run.finish();
    assert_eq!(run.count("cancelled"), run.results.len(), "{run:?}");
    assert!(run.results.len() >= CONNECTIONS, "{run:?}");
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    assert_a_result_for_each_line_read(&run);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, status) in [("TERM", 128 + 15), ("INT", 128 + 2)] {
        let gate = Gate::start();
        let mut run = busy(&gate, &[]);
        run.process().signal("TERM");
        run.next_result()
            .assert_failed("cancelled", "cancelled", &[]);
        // It counts from one second after the first on.
        wait_for("the second signal to count", || {
            run.process().signal(signal);
            run.has_ended().then_some(())
        });
        let run = run.finish();
        assert_eq!(run.status, Some(status));
        assert_eq!(run.count("cancelled"), run.results.len(), "{run:?}");
        assert_a_result_for_each_line_read(&run);
    }
}

#[test]
fn a_signal_with_nothing_in_flight_ends_it() {
    let sink = Sink::start(1, &[]);
    let mut run = Run::local::<&str>(&[]);
    run.write(&plain("a", &sink.urls[0]));
    assert!(run.next_result().is_delivered());
    run.process().signal("TERM");
    let run = run.finish();
    // Every result was `delivered`, and no line was left unread: nothing was left undone.
    assert_eq!((run.status, run.results.len()), (Some(0), 1), "{run:?}");
}

#[test]
fn f89_nobody_to_read_the_results_is_exit_3() {
    let sink = Sink::start(1, &[]);
    let mut command = Command::new(CONDUIT);
    command.arg("run").args(LOCAL);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command);
    drop(process.child().stdout.take());
    let mut stdin = process.child().stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, plain("a", &sink.urls[0]).as_bytes()).unwrap();
    // The feed stays open: it ends all the same.
    let status = process.wait();
    drop(stdin);
    let mut stderr = process.child().stderr.take().unwrap();
    let mut log = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut log).unwrap();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}
