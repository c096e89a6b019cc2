//! A spool without room: what is acknowledged is safe, what is not is refused, what is there is delivered, and intake
//! goes on by itself as soon as there is room.

use std::process::Command;

use crate::harness::conduit::{CONDUIT, Run};
use crate::harness::monitor::metrics;
use crate::harness::servers::Sink;
use crate::harness::socket::wait_until_it_listens;
use crate::harness::spool::{Ledger, Spool, Submitter, payload};
use crate::harness::{free_port, is_installed, is_root, unavailable, wait_for};

const JOBS: u64 = 10_000;

#[test]
fn f96_a_full_file_system_refuses_jobs_and_takes_them_again_when_there_is_room() {
    if !is_root() {
        return;
    }
    let spool = Spool::new();
    std::fs::create_dir(spool.path()).expect("the directory is ours");
    let sink = Sink::start(1, &["--delay", "0.02"]);
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=1m,mode=700 conduit-e2e \"$0\" && exec \"$@\"";
    command.args(["--mount", "sh", "-c", mount]);
    command.arg(spool.path()).arg(CONDUIT);
    let mut run = spool.run_by(&mut command, &["--max-connections", "50"]);
    if !spool.listens(&mut run) {
        let run = run.finish();
        assert!(
            run.stderr.contains("mount") || run.stderr.contains("unshare"),
            "{}",
            run.stderr
        );
        return unavailable("nothing may be mounted here");
    }
    let mut ledger = Ledger::default();
    for number in 0..JOBS {
        let id = format!("job-{number}");
        ledger.add(&id, &sink.urls[0], &payload(number, 200));
    }
    let (taken, refused) = submit(&spool, &mut ledger);
    println!("1 MiB: {taken} of {JOBS} acknowledged, {refused} refused");
    assert!(taken > 1_000, "{taken}");
    assert!(refused > 1_000, "{refused}");
    run.wait_for_log(&["spool"]);
    remount(&run, &spool, "64m");
    // It tries again by itself, soon.
    wait_for("room", || {
        (submit(&spool, &mut ledger).1 == 0).then_some(())
    });
    let (taken_later, _) = submit(&spool, &mut ledger);
    assert_eq!(taken_later, 0, "nothing was left");
    let run = spool.drain(run);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_arrived(&sink, &ledger);
}

#[test]
fn f97_a_limit_of_file_sizes_kills_nothing_and_when_it_is_raised_jobs_are_taken_in() {
    if !is_installed("prlimit", "util-linux") {
        return;
    }
    let spool = Spool::new();
    let sink = Sink::start(1, &[]);
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let flags = ["--log-level", "info", "--listen", &listen];
    let run = spool.run_by(limited().arg(CONDUIT), &flags);
    wait_until_it_listens(&spool.socket());
    let mut ledger = Ledger::default();
    for number in 0..100 {
        ledger.add(
            &format!("job-{number}"),
            &sink.urls[0],
            &payload(number, 5_000),
        );
    }
    let (_, refused) = submit(&spool, &mut ledger);
    assert!(refused > 0, "half a megabyte does not fit");
    let refusing = || metrics(port).count("conduit_spool_refusing", &[]);
    assert_eq!(refusing(), 1);
    let raise = format!("prlimit --pid {} --fsize=unlimited", run.process().id());
    let status = Command::new("sh").args(["-c", &raise]).status();
    assert!(status.expect("every system has sh").success(), "{raise}");
    wait_for("room", || {
        (submit(&spool, &mut ledger).1 == 0).then_some(())
    });
    assert_eq!(refusing(), 0);
    let run = spool.drain(run);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_arrived(&sink, &ledger);
}

#[test]
fn f97_what_is_written_in_part_only_is_not_acknowledged() {
    if !is_installed("strace", "strace") {
        return;
    }
    let spool = Spool::new();
    let sink = Sink::start(1, &[]);
    let mut command = limited();
    // Without room kept ahead, writes themselves reach the limit.
    let without = ["-D", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf"];
    command.arg("strace").args(without);
    command.args([
        "-e",
        "trace=fallocate",
        "-e",
        "inject=fallocate:error=EOPNOTSUPP",
        CONDUIT,
    ]);
    let run = spool.run_by(&mut command, &["--log-level", "info"]);
    wait_until_it_listens(&spool.socket());
    let mut ledger = Ledger::default();
    for number in 0..10 {
        ledger.add(
            &format!("early-{number}"),
            &sink.urls[0],
            &payload(number, 5_000),
        );
    }
    assert_eq!(submit(&spool, &mut ledger), (10, 0));
    for number in 0..100 {
        ledger.add(
            &format!("late-{number}"),
            &sink.urls[0],
            &payload(number, 5_000),
        );
    }
    let submitter = Submitter::start(&spool.socket(), ledger.unacknowledged());
    run.wait_for_log(&["no jobs are taken in"]);
    run.process().signal("KILL");
    let run = run.finish();
    while let Some(line) = submitter.next() {
        ledger.hear(&line);
    }
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    let run = spool.drain(spool.start::<&str>(&[]));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("can't be read"), "{}", run.stderr);
    assert_arrived(&sink, &ledger);
}

/// A command in front of conduit's whose files may have 100 KiB.
fn limited() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -f 200 && exec \"$@\"", "sh"]);
    command
}

/// Sends all that was not acknowledged and hears what becomes of it: how many were acknowledged and refused.
fn submit(spool: &Spool, ledger: &mut Ledger) -> (usize, usize) {
    let (taken, refused) = (ledger.acknowledged(), ledger.refused);
    let submitter = Submitter::start(&spool.socket(), ledger.unacknowledged());
    while !ledger.has_all() {
        let line = submitter.next().expect("it runs");
        ledger.hear(&line);
    }
    (ledger.acknowledged() - taken, ledger.refused - refused)
}

fn assert_arrived(sink: &Sink, ledger: &Ledger) {
    let seen = sink.so_far();
    let mut bodies: Vec<_> = seen.iter().map(|(body, ..)| body).collect();
    bodies.sort_unstable();
    for (id, job) in ledger.jobs().filter(|(_, job)| job.is_acknowledged) {
        assert!(
            bodies.binary_search(&&job.body).is_ok(),
            "{id} was acknowledged and is lost"
        );
    }
}

fn remount(run: &Run, spool: &Spool, size: &str) {
    let mut command = Command::new("nsenter");
    command.arg(format!("--mount=/proc/{}/ns/mnt", run.process().id()));
    command.args(["mount", "-o", &format!("remount,size={size}")]);
    let output = command
        .arg(spool.path())
        .output()
        .expect("util-linux has it");
    assert!(output.status.success(), "{output:?}");
}
