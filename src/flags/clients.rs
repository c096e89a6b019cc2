//! The words of the commands that talk to a running conduit: `submit` and `ctl`.
//!
//! Not here: how a command line is cut (`flags`), what the commands do (`commands`).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::config::{BadValue, value};
use crate::flags::{Flag, UsageError, Word, bad_value, nearest, wrong};
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

/// What `conduit ctl` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CtlOptions {
    /// What is asked.
    pub verb: Verb,
    /// Where conduit listens, if the command line says so.
    pub socket: Option<PathBuf>,
    /// The answer as it came, instead of a table.
    pub json: bool,
}

/// What is asked of a running conduit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// How it is.
    Status,
    /// To take no more jobs, and to end when all have their results.
    Drain {
        /// To take jobs again.
        cancel: bool,
    },
}

const SOCKET: Flag = Flag {
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

/// The flags of `conduit ctl`.
pub const CTL_FLAGS: [Flag; 3] = [
    SOCKET,
    Flag {
        name: "cancel",
        placeholder: "",
        help: "with drain: take jobs again",
        default: None,
    },
    Flag {
        name: "json",
        placeholder: "",
        help: "print the answer as it came, instead of a table",
        default: None,
    },
];

const VERBS: [&str; 2] = ["status", "drain"];

/// What the words after `submit` mean.
pub(super) fn submit_options(
    typed: &[(Word, OsString)],
    words: &[OsString],
) -> Result<SubmitOptions, UsageError> {
    let mut options = SubmitOptions::default();
    match words {
        [] => {}
        [file] if file == "-" => {}
        [file] if !file.is_empty() => options.file = Some(PathBuf::from(file)),
        [file] => return Err(unexpected("submit", file, "expected a file's name")),
        [_, more, ..] => return Err(unexpected("submit", more, "it takes one file")),
    }
    for (name, value) in flags(typed) {
        match name {
            "socket" => options.socket = Some(socket(value)?),
            "wait" => options.wait = switch(name, value)?,
            _ => unreachable!("{name} is in SUBMIT_FLAGS but put nowhere"),
        }
    }
    Ok(options)
}

/// What the words after `ctl` mean.
pub(super) fn ctl_options(
    typed: &[(Word, OsString)],
    words: &[OsString],
) -> Result<CtlOptions, UsageError> {
    let mut cancels = false;
    let mut options = CtlOptions {
        verb: Verb::Status,
        socket: None,
        json: false,
    };
    for (name, value) in flags(typed) {
        match name {
            "socket" => options.socket = Some(socket(value)?),
            "cancel" => cancels = switch(name, value)?,
            "json" => options.json = switch(name, value)?,
            _ => unreachable!("{name} is in CTL_FLAGS but put nowhere"),
        }
    }
    let Some((verb, more)) = words.split_first() else {
        let verbs = VERBS.join(" or ");
        return Err(wrong(format!("ctl: expected {verbs}, found nothing")));
    };
    if let Some(word) = more.first() {
        return Err(unexpected("ctl", word, "one thing at a time"));
    }
    options.verb = match verb.to_str() {
        Some("status") if cancels => {
            return Err(wrong("--cancel: goes with drain only".to_owned()));
        }
        Some("status") => Verb::Status,
        Some("drain") => Verb::Drain { cancel: cancels },
        Some(_) | None => {
            let word = verb.to_string_lossy();
            let hint = match nearest(&word, VERBS.into_iter()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("expected {}", VERBS.join(" or ")),
            };
            return Err(unexpected("ctl", verb, &hint));
        }
    };
    Ok(options)
}

fn flags(typed: &[(Word, OsString)]) -> impl Iterator<Item = (&'static str, &OsStr)> {
    typed.iter().filter_map(|(word, value)| match word {
        Word::Flag(flag) => Some((flag.name, value.as_os_str())),
        Word::Setting(_) => None,
    })
}

fn socket(text: &OsStr) -> Result<PathBuf, UsageError> {
    if text.is_empty() {
        let bad = value::bad(text, "a file's name".to_owned());
        return Err(bad_value("socket", &bad));
    }
    Ok(PathBuf::from(text))
}

fn switch(name: &str, text: &OsStr) -> Result<bool, UsageError> {
    value::switch(text).map_err(|bad: BadValue| bad_value(name, &bad))
}

fn unexpected(command: &str, word: &OsStr, hint: &str) -> UsageError {
    let word = quoted(&word.to_string_lossy());
    wrong(format!("{command}: unexpected {word}: {hint}"))
}
