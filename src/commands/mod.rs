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
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use conduit::wire::text::{escape_steering, steers};

use crate::io::log::{self as logger, quoted};
use crate::io::{stdio, sys};

/// What gives the job lines: this file, else standard input.
///
/// # Errors
/// It can't be opened, in one line.
pub fn jobs(file: Option<&Path>) -> Result<Box<dyn Read + Send>, String> {
    let Some(path) = file else {
        if sys::was_closed(0) {
            return Err("standard input is closed, and no FILE was named".to_owned());
        }
        return stdio::stdin().map_err(|error| format!("can't read standard input: {error}"));
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

/// JSON that somebody else has written, as it may be shown: nothing in it steers the terminal, and it means the same.
#[must_use]
pub fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            // In JSON these can only be white space between values, or be missing their escape.
            '\0'..='\x1f' if letter != '\n' => out.push(' '),
            _ if steers(letter) && letter != '\n' => {
                escape_steering(letter, |part| out.push_str(part));
            }
            _ => out.push(letter),
        }
    }
    out
}

/// Says in one line on standard error why a command can't do what it was told. A command that a person has typed writes
/// no log: no time, no level.
pub fn complain(reason: &str) {
    // What conduit answered is not to steer the terminal.
    logger::say(&format!("conduit: {}\n", logger::printable(reason, false)));
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
