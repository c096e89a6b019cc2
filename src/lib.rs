//! conduit, the pure core: everything that is decided, and nothing that touches the world.
//!
//! ```text
//!       stdin, clients of a socket                   stdout, the same clients
//!               |  line                    answer, result line  ^
//!  FLOOR 3   io/stdio, io/clients    io/turn: the loop, every syscall      (the binary)
//!  ----------------------------------------------------------------------------------
//!  FLOOR 2   intake: admission -> ledger --job--> engine: origin -> queue -> pool
//!                 ^                                  |    dial -> connection -> exchange
//!                 |____________ job, ending _________|    resolver, guard, outcome
//!                 | job, its end  ^ safe, read back        (with a spool)
//!            journal: appender -> segments on disk; recovery at start; letters, delivered ids
//!  FLOOR 1   wire: url  job_line  ctl  request  response  body  dns  names  report
//!  FLOOR 0   base: time  rng  slab  map  finder  wheel  lines
//! ```
//!
//! A floor names the floors below it and nothing else; `engine`, `intake` and `journal` do not name each other:
//! what passes between them are values of `wire`. They are state machines without input or output of their own:
//! time is an argument, randomness a seed, I/O an input or an output, so the same inputs give the same outputs,
//! byte for byte. The binary (`main.rs`, `commands/`, `io/`) drives them, and Cargo compiles it as a crate of
//! its own, so that the core cannot name it even by mistake. `tests/tidy.rs` holds these walls.
//!
//! Where to start: [`engine::event`] is the vocabulary, [`engine`] the contract, `tests/golden` shows both at
//! work; then follow one job: [`wire::job_line`], [`intake`], `engine/dispatch`, `engine/connection`,
//! [`wire::report`].

#![forbid(unsafe_code)]

pub mod base;
pub mod engine;
pub mod intake;
pub mod journal;
pub mod wire;
