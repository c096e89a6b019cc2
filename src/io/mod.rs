//! Floor 3: every system call, and the loop that drives the machines of the floors below.
//!
//! [`turn`] is where to start: one turn of the loop, phase by phase. [`front`] is what the first loop has
//! beside its engine, [`net`] performs what an engine asks for, [`stream`] and [`udp`] are its sockets.

pub mod accepting;
pub mod admin;
pub mod cgroup;
pub mod clients;
pub mod clock;
pub mod disk;
#[cfg(test)]
mod disk_tests;
pub mod entropy;
pub mod files;
pub mod front;
pub mod log;
pub mod mailbox;
pub mod net;
pub mod notify;
pub mod own;
pub mod places;
pub mod process;
pub mod progress;
pub mod rereading;
pub mod results;
pub mod signal;
pub mod socket;
pub mod spool;
pub mod stdio;
pub mod steering;
pub mod stream;
pub mod sys;
pub mod terminal;
pub mod tls;
pub mod turn;
pub mod udp;
