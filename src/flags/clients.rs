//! The words of `submit` and `top`, and what all commands share that talk to a running conduit.
//!
//! Not here: how a command line is cut (`flags`), the words of `ctl` (`ctl`), what the commands do (`commands`).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::value;
use crate::flags::{Flag, UsageError, Word, all_at_once, bad_value, path, switch, wrong};
use crate::io::log::quoted;

/// What `conduit submit` is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmitOptions {
    /// Where the jobs are; none: standard input.
    pub file: Option<PathBuf>,
    /// Where conduit listens, if the command line says so.
    pub socket: Option<PathBuf>,
    /// Whether results are waited for.
    pub wait: bool,
}

pub(super) const SOCKET: Flag = Flag {
    name: "socket",
    placeholder: "PATH",
    help: "where conduit listens",
    default: Some("CONDUIT_SOCKET, else /run/conduit/conduit.sock"),
};

/// The flags of `conduit submit`.
pub const SUBMIT_FLAGS: [Flag; 2] = [
    SOCKET,
    Flag {
        name: "wait",
        placeholder: "",
        help: "wait for the results, and print them too",
        default: None,
    },
];

/// What `conduit top` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopOptions {
    /// Where conduit listens, if the command line says so.
    pub socket: Option<PathBuf>,
    /// How often it is asked.
    pub interval: Duration,
}

/// The flags of `conduit top`.
pub const TOP_FLAGS: [Flag; 2] = [
    SOCKET,
    Flag {
        name: "interval",
        placeholder: "SECONDS",
        help: "how often the page is drawn",
        default: Some("1"),
    },
];

/// What the words after `top` mean.
pub(super) fn top_options(typed: &[(Word, OsString)]) -> Result<TopOptions, UsageError> {
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(3600));
    let mut options = TopOptions {
        socket: None,
        interval: Duration::from_secs(1),
    };
    all_at_once(flags(typed), |(name, value)| {
        match name {
            "socket" => options.socket = Some(path(name, value)?),
            "interval" => {
                let interval = value::seconds(value, least, most);
                options.interval = interval.map_err(|bad| bad_value(name, &bad))?;
            }
            _ => unreachable!("{name} is in TOP_FLAGS but put nowhere"),
        }
        Ok(())
    })?;
    Ok(options)
}

/// What the words after `submit` mean.
pub(super) fn submit_options(
    typed: &[(Word, OsString)],
    words: &[OsString],
) -> Result<SubmitOptions, UsageError> {
    Ok(SubmitOptions {
        file: job_file("submit", words)?,
        ..submit_flags(typed)?
    })
}

/// The same without the words that are no flags.
pub(super) fn submit_flags(typed: &[(Word, OsString)]) -> Result<SubmitOptions, UsageError> {
    let mut options = SubmitOptions::default();
    all_at_once(flags(typed), |(name, value)| {
        match name {
            "socket" => options.socket = Some(path(name, value)?),
            "wait" => options.wait = switch(name, value)?,
            _ => unreachable!("{name} is in SUBMIT_FLAGS but put nowhere"),
        }
        Ok(())
    })?;
    Ok(options)
}

/// Where the job lines are; none: on standard input.
pub(super) fn job_file(command: &str, words: &[OsString]) -> Result<Option<PathBuf>, UsageError> {
    match words {
        [] => Ok(None),
        [file] if file == "-" => Ok(None),
        [file] => match value::path(file) {
            Ok(path) => Ok(Some(path)),
            Err(_) => Err(unexpected(command, file, "expected a file's name")),
        },
        [_, more, ..] => Err(unexpected(command, more, "it takes one file")),
    }
}

/// The flags that were typed, with their values.
pub(super) fn flags(typed: &[(Word, OsString)]) -> impl Iterator<Item = (&'static str, &OsStr)> {
    typed.iter().filter_map(|(word, value)| match word {
        Word::Flag(flag) => Some((flag.name, value.as_os_str())),
        Word::Setting(_) => None,
    })
}

/// A word too many, or the wrong one.
pub(super) fn unexpected(command: &str, word: &OsStr, hint: &str) -> UsageError {
    let word = quoted(&word.to_string_lossy());
    wrong(format!("{command}: unexpected {word}: {hint}"))
}
