//! The commands of the binary, one file each, and what they share: exit statuses, complaints, where jobs come from.

pub mod check;
pub mod columns;
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

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::Path;

use crate::io::log::quoted;

/// What gives the job lines: this file, else standard input.
///
/// # Errors
/// It can't be opened, in one line.
pub fn jobs(file: Option<&Path>) -> Result<Box<dyn Read + Send>, String> {
    let Some(path) = file else {
        return Ok(Box::new(io::stdin()));
    };
    let open = || match File::open(path)? {
        file if file.metadata()?.is_dir() => Err(io::Error::from(ErrorKind::IsADirectory)),
        file => Ok(file),
    };
    match open() {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => {
            let path = quoted(&path.to_string_lossy());
            Err(format!("can't open {path}: {error}"))
        }
    }
}

/// Says in one line on standard error why a command can't do what it was told. A command that a person has typed writes
/// no log: no time, no level.
pub fn complain(reason: &str) {
    let mut text = String::from("conduit: ");
    // What conduit answered is not to steer the terminal.
    text.extend(reason.chars().filter(|letter| !letter.is_control()));
    text.push('\n');
    // If standard error is gone too, the status still says it.
    let _nobody_to_tell = io::stderr().write_all(text.as_bytes());
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
