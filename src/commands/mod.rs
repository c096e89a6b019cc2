//! The commands of the binary, one file each, and what they share: exit statuses, complaints.

pub mod check;
pub mod ctl;
pub mod demo;
pub mod explain;
pub mod health;
pub mod help;
pub mod peer;
pub mod run;
pub mod sink;
pub mod submit;
pub mod top;

use std::io::Write as _;

/// Says in one line on standard error why a command can't do what it was told. A command that a person has typed writes
/// no log: no time, no level.
pub fn complain(reason: &str) {
    let mut text = String::from("conduit: ");
    // What conduit answered is not to steer the terminal.
    text.extend(reason.chars().filter(|letter| !letter.is_control()));
    text.push('\n');
    // If standard error is gone too, the status still says it.
    let _nobody_to_tell = std::io::stderr().write_all(text.as_bytes());
}

/// What the process tells its parent.
pub mod exit {
    use std::process::ExitCode;

    /// All was done.
    pub const DONE: ExitCode = ExitCode::SUCCESS;

    /// Done, but not every job was delivered.
    pub const NOT_ALL: ExitCode = ExitCode::FAILURE;

    /// Wrong usage or configuration.
    #[must_use]
    pub fn usage() -> ExitCode {
        ExitCode::from(2)
    }

    /// Could not start, connect or go on.
    #[must_use]
    pub fn unable() -> ExitCode {
        ExitCode::from(3)
    }

    /// What a second signal that asks for the end leaves behind, as a shell would report it.
    #[must_use]
    pub fn signalled(signal: u8) -> ExitCode {
        ExitCode::from(128_u8.saturating_add(signal))
    }
}
