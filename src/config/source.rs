//! Where a value comes from, and what is wrong with one.
//!
//! Not here: which source goes before which (`load`).

use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::config::BadValue;
use crate::config::table::Setting;

/// A value that somebody gave for a setting.
#[derive(Clone)]
pub struct Given {
    /// Which.
    pub setting: &'static Setting,
    /// The value, as a flag would have it. Of headers and secrets the JSON that stood there.
    pub text: OsString,
    /// Who gave it.
    pub source: Source,
}

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--config`.
    File(Place),
    /// The environment: the variable's name.
    Environment(String),
    /// The command line.
    Flag,
}

/// A place in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `FILE:LINE:COLUMN`; lines and characters count from 1.
    pub at: String,
    /// The way there through the file's objects, such as `defaults.timeout`.
    pub path: String,
}

/// What one place says: an entry for endpoints, or all places together that speak in general.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Values; a later one stands above an earlier one.
    pub given: Vec<Given>,
    /// Settings with a value that they don't take: what needs them beside it does not lack them.
    pub refused: Vec<&'static Setting>,
}

/// Something that is wrong, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: String,
    /// What was found there, and what was expected.
    pub what: String,
}

impl Given {
    /// Found this value, which the setting does not take.
    #[must_use]
    pub fn problem(&self, bad: &BadValue) -> Problem {
        Problem {
            place: self.place(),
            what: bad.to_string(),
        }
    }

    /// The value's place, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.source {
            Source::File(place) => place.to_string(),
            Source::Environment(name) => name.clone(),
            Source::Flag => format!("--{}", self.setting.flag()),
        }
    }

    /// The value as it may be shown: of what is secret only that it is there.
    #[must_use]
    pub fn shown(&self) -> String {
        let text = self.text.to_string_lossy();
        // The list or the object without anything in it.
        let is_empty = |text: &str| {
            let inner = text.get(1..text.len().saturating_sub(1));
            inner.is_some_and(|inner| inner.trim_ascii().is_empty())
        };
        match self.setting.kind.is_secret() {
            true if is_empty(&text) => "none".to_owned(),
            true => "***".to_owned(),
            false => shown(&self.text),
        }
    }
}

impl Said {
    /// The value that counts for the setting of this name.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&Given> {
        let mut given = self.given.iter().rev();
        given.find(|given| given.setting.name == name)
    }

    /// Whether there is a value for the setting of this name, right or wrong.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let mut refused = self.refused.iter();
        self.last(name).is_some() || refused.any(|setting| setting.name == name)
    }

    /// Adds what is said above it.
    pub fn append(&mut self, mut other: Said) {
        self.given.append(&mut other.given);
        self.refused.append(&mut other.refused);
    }
}

/// A value as a flag would have it, fit to show.
#[must_use]
pub fn shown(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    match text.is_empty() || text.contains(char::is_whitespace) || text.contains(char::is_control) {
        true => crate::io::log::quoted(&text),
        false => text.into_owned(),
    }
}

impl Problem {
    /// Something wrong at `place`.
    pub fn new(place: impl fmt::Display, what: impl Into<String>) -> Problem {
        Problem {
            place: place.to_string(),
            what: what.into(),
        }
    }
}

impl fmt::Debug for Given {
    /// Without what must not be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.setting.name;
        write!(f, "{name}={} ({})", self.shown(), self.source)
    }
}

impl fmt::Display for Source {
    /// As `check --print` names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(place) => f.write_str(&place.at),
            Source::Environment(name) => f.write_str(name),
            Source::Flag => f.write_str("flag"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.path)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
