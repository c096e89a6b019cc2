//! End to end: the real binary against real servers, on loopback.
//!
//! Each test is a short story: servers start, a feed goes in, results come out. Servers that are not part of
//! this repository (nginx, haproxy, httpbin, …) are skipped with a word on stderr where they are not installed;
//! `CONDUIT_E2E=all` makes that a failure. No test waits for a duration, only for conditions, with one deadline.
//!
//! Not here: what needs no process (`src`, the golden traces), comparisons with other senders (`benches`).

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "the tests stand outside the program: they own clocks and threads, and talk to who runs them"
)]

mod adaptivity;
mod admin;
mod binary;
mod config;
mod control;
mod counters;
mod crash;
mod dashboard;
mod deploy;
mod dns;
mod errors;
mod explain;
mod figures;
mod figures_admin;
mod figures_dns;
mod figures_origins;
mod figures_spool;
mod full_disk;
mod haproxy;
mod harness;
mod httpbin;
mod letters;
mod local_trouble;
mod name_servers;
mod network;
mod nginx;
mod node;
mod reload;
mod retries;
mod runbook;
mod shutdown;
mod signatures;
mod sink;
mod socket;
mod spool;
mod streams;
mod submit;
mod surplus;
mod syscalls;
mod systemd;
mod tls;
mod top;
mod unread_log;
mod users;
