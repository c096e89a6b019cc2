//! The words of `conduit ctl`: which question they are, checked as far as that can be done without the answer.
//!
//! Not here: how a command line is cut (`flags`), what is done with the question (`commands/ctl`).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use conduit::wire::ctl::request::origin;

use crate::config::value;
use crate::flags::clients::{SOCKET, flags, unexpected};
use crate::flags::{Flag, UsageError, Word, all_at_once, bad_value, nearest, path, switch, wrong};
use crate::io::log::quoted;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// How it is.
    Status,
    /// How its endpoints are.
    Endpoints {
        /// At most so many, the worst first.
        limit: Option<u64>,
    },
    /// To take no more jobs, and to end when all have their results.
    Drain {
        /// To take jobs again.
        cancel: bool,
    },
    /// To close an origin's breaker, or to hold it open.
    Breaker {
        /// Which.
        order: Order,
        /// Whose.
        origin: Box<str>,
    },
    /// To change a setting of an origin.
    Set {
        /// Whose.
        origin: Box<str>,
        /// Its name and its value.
        setting: (String, String),
    },
    /// To read its configuration again.
    Reload,
    /// Something about dead letters.
    Dead {
        /// What.
        deed: Deed,
        /// Which.
        choice: Choice,
    },
}

/// What is to become of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It closes.
    Reset,
    /// It stays open until it is reset.
    Isolate,
}

/// What is to be done with dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Shown.
    List,
    /// Given out as job lines.
    Export,
    /// Delivered once more.
    Replay,
    /// Removed.
    Purge,
}

/// Which dead letters: those that all of this is true of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Their ids; empty: whatever they are.
    pub ids: Vec<String>,
    /// Where they should have gone.
    pub origin: Option<Box<str>>,
    /// So much time has passed since they ended.
    pub older_than: Option<Duration>,
    /// Whose they are (uid).
    pub uid: Option<u32>,
    /// All of them.
    pub all: bool,
    /// At most so many, the oldest first.
    pub limit: Option<u64>,
}

/// The flags of `conduit ctl`.
pub const CTL_FLAGS: [Flag; 9] = [
    SOCKET,
    flag("json", "", "print answers as they came, instead of a table"),
    flag("cancel", "", "with drain: take jobs again"),
    flag("id", "ID", "with dead: the letter of this job; repeatable"),
    flag("origin", "ORIGIN", "with dead: the letters to this origin"),
    flag(
        "older-than",
        "AGE",
        "with dead: the letters that ended so long ago or longer; 90, 15m, 2h, 30d",
    ),
    flag(
        "uid",
        "UID",
        "with dead: the letters of this user's jobs; without it --id means whoever's",
    ),
    flag(
        "all",
        "",
        "with dead replay and purge: all letters; else say which",
    ),
    flag(
        "limit",
        "N",
        "with endpoints and dead: at most so many of them",
    ),
];

const fn flag(name: &'static str, placeholder: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        placeholder,
        help,
        default: None,
    }
}

const VERBS: [&str; 7] = [
    "status",
    "endpoints",
    "drain",
    "breaker",
    "set",
    "reload",
    "dead",
];

const DEEDS: [&str; 4] = ["list", "export", "replay", "purge"];

/// Letters and endpoints that can be asked for.
const LIMIT_MAX: u64 = 1_000_000_000;

/// The longest age that can be asked for, in seconds: ten years.
const AGE_SECONDS_MAX: u64 = 10 * 366 * 86_400;

/// What the words after `ctl` mean.
pub(super) fn ctl_options(
    typed: &[(Word, OsString)],
    words: &[OsString],
) -> Result<CtlOptions, UsageError> {
    let words = texts(words)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (verb, rest) = match words.split_first() {
        Some((verb, rest)) => (*verb, rest),
        None => {
            let verbs = VERBS.join(", ");
            return Err(wrong(format!(
                "ctl: expected one of {verbs}, found nothing"
            )));
        }
    };
    let mut flags = Typed::read(typed)?;
    let verb = match verb {
        "status" => Verb::Status,
        "endpoints" => Verb::Endpoints {
            limit: flags.choice.limit.take(),
        },
        "drain" => Verb::Drain {
            cancel: std::mem::take(&mut flags.cancel),
        },
        "breaker" => breaker(rest)?,
        "set" => set(rest)?,
        "reload" => Verb::Reload,
        "dead" => dead(rest, &mut flags)?,
        other => return Err(unknown(other, &VERBS)),
    };
    let arguments = match verb {
        Verb::Breaker { .. } | Verb::Set { .. } => 2,
        Verb::Dead { .. } => 1,
        Verb::Status | Verb::Endpoints { .. } | Verb::Drain { .. } | Verb::Reload => 0,
    };
    if let Some(word) = rest.get(arguments) {
        return Err(unexpected("ctl", OsStr::new(word), "one thing at a time"));
    }
    flags.finish()?;
    Ok(CtlOptions {
        verb,
        socket: flags.socket,
        json: flags.json,
    })
}

fn breaker(words: &[&str]) -> Result<Verb, UsageError> {
    let order = match words.first().copied() {
        Some("reset") => Order::Reset,
        Some("isolate") => Order::Isolate,
        Some(other) => return Err(unknown(other, &["reset", "isolate"])),
        None => return Err(missing("ctl breaker", "reset or isolate")),
    };
    let origin = match words.get(1) {
        Some(text) => read_origin("ctl breaker", text)?,
        None => {
            return Err(missing(
                "ctl breaker",
                "an origin, such as https://example.com",
            ));
        }
    };
    Ok(Verb::Breaker { order, origin })
}

fn set(words: &[&str]) -> Result<Verb, UsageError> {
    let Some((text, pairs)) = words.split_first() else {
        return Err(missing("ctl set", "an origin, such as https://example.com"));
    };
    let origin = read_origin("ctl set", text)?;
    let Some(pair) = pairs.first() else {
        return Err(missing("ctl set", "KEY=VALUE, such as maxConnections=20"));
    };
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Verb::Set {
            origin,
            setting: (name.to_owned(), value.to_owned()),
        }),
        Some(_) | None => {
            let found = quoted(pair);
            Err(wrong(format!("ctl set: expected KEY=VALUE, found {found}")))
        }
    }
}

fn dead(words: &[&str], flags: &mut Typed) -> Result<Verb, UsageError> {
    let deed = match words.first().copied() {
        Some("list") => Deed::List,
        Some("export") => Deed::Export,
        Some("replay") => Deed::Replay,
        Some("purge") => Deed::Purge,
        Some(other) => return Err(unknown(other, &DEEDS)),
        None => return Err(missing("ctl dead", "list, export, replay or purge")),
    };
    let choice = std::mem::take(&mut flags.choice);
    let is_chosen = !choice.ids.is_empty()
        || choice.origin.is_some()
        || choice.older_than.is_some()
        || choice.uid.is_some();
    if choice.all && is_chosen {
        let text = "--all: goes without --id, --origin, --older-than and --uid";
        return Err(wrong(text.to_owned()));
    }
    if matches!(deed, Deed::Replay | Deed::Purge) && !choice.all && !is_chosen {
        let name = words[0];
        return Err(wrong(format!(
            "ctl dead {name}: expected --id, --origin, --older-than, --uid or --all, found none of them"
        )));
    }
    Ok(Verb::Dead { deed, choice })
}

/// What is wrong with the flags, whatever the words are.
pub(super) fn flags_alone(typed: &[(Word, OsString)]) -> Result<(), UsageError> {
    Typed::read(typed).map(|_| ())
}

/// The flags, whatever they go with.
#[derive(Default)]
struct Typed {
    socket: Option<PathBuf>,
    json: bool,
    cancel: bool,
    choice: Choice,
}

impl Typed {
    fn read(typed: &[(Word, OsString)]) -> Result<Typed, UsageError> {
        let mut all = Typed::default();
        all_at_once(flags(typed), |(name, value)| {
            let choice = &mut all.choice;
            match name {
                "socket" => all.socket = Some(path(name, value)?),
                "json" => all.json = switch(name, value)?,
                "cancel" => all.cancel = switch(name, value)?,
                "id" => choice.ids.push(text(value)?),
                "origin" => choice.origin = Some(read_origin("--origin", &text(value)?)?),
                "older-than" => choice.older_than = Some(age(value)?),
                "uid" => {
                    let uid = value::count(value, 0, u64::from(u32::MAX));
                    let uid = uid.map_err(|bad| bad_value(name, &bad))?;
                    choice.uid = u32::try_from(uid).ok();
                }
                "all" => choice.all = switch(name, value)?,
                "limit" => {
                    let limit = value::count(value, 1, LIMIT_MAX);
                    choice.limit = Some(limit.map_err(|bad| bad_value(name, &bad))?);
                }
                _ => unreachable!("{name} is in CTL_FLAGS but put nowhere"),
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// What is left was taken by no verb.
    fn finish(&self) -> Result<(), UsageError> {
        let Choice {
            ids,
            origin,
            older_than,
            uid,
            all,
            limit,
        } = &self.choice;
        let left = [
            ("cancel", "drain", self.cancel),
            ("id", "dead", !ids.is_empty()),
            ("origin", "dead", origin.is_some()),
            ("older-than", "dead", older_than.is_some()),
            ("uid", "dead", uid.is_some()),
            ("all", "dead", *all),
            ("limit", "endpoints and dead", limit.is_some()),
        ];
        let left = left.iter().filter(|(_, _, is_left)| *is_left);
        all_at_once(left, |(name, verbs, _)| {
            Err(wrong(format!("--{name}: goes with {verbs} only")))
        })
    }
}

/// Seconds, or a number with `s`, `m`, `h` or `d` behind it.
fn age(text: &OsStr) -> Result<Duration, UsageError> {
    let typed = text.to_str().unwrap_or("");
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let unit = units.iter().find(|(unit, _)| typed.ends_with(unit));
    let (number, factor) = match unit {
        Some((unit, factor)) => (&typed[..typed.len() - unit.len()], *factor),
        None => (typed, 1),
    };
    let most = Duration::from_secs(AGE_SECONDS_MAX / factor);
    let seconds = value::seconds(OsStr::new(number), Duration::ZERO, most);
    let factor = u32::try_from(factor).expect("a day has few seconds");
    seconds.map(|seconds| seconds * factor).map_err(|_| {
        let expected = "an age, such as 90, 15m, 2h or 30d".to_owned();
        bad_value("older-than", &value::bad(text, expected))
    })
}

fn read_origin(place: &str, text: &str) -> Result<Box<str>, UsageError> {
    origin(text).ok_or_else(|| {
        let found = quoted(text);
        wrong(format!(
            "{place}: expected scheme, host and port, such as https://example.com, found {found}"
        ))
    })
}

fn texts(words: &[OsString]) -> Result<Vec<String>, UsageError> {
    words.iter().map(|word| text(word)).collect()
}

fn text(word: &OsStr) -> Result<String, UsageError> {
    match word.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(unexpected("ctl", word, "expected UTF-8")),
    }
}

fn missing(command: &str, expected: &str) -> UsageError {
    wrong(format!("{command}: expected {expected}, found nothing"))
}

fn unknown(word: &str, words: &[&str]) -> UsageError {
    let hint = match nearest(word, words.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("expected one of {}", words.join(", ")),
    };
    unexpected("ctl", OsStr::new(word), &hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Command, parse};

    fn ctl(words: &[&str]) -> Result<CtlOptions, String> {
        let words = [&["ctl"], words].concat();
        match parse(words.iter().map(OsString::from)) {
            Ok(Command::Ctl(options)) => Ok(options),
            Err(error) => Err(error.to_string()),
            Ok(other) => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn every_question_is_understood() {
        let a: Box<str> = "https://a.example".into();
        let choice = Choice {
            ids: vec!["x".to_owned(), "y".to_owned()],
            origin: Some(a.clone()),
            uid: Some(65_534),
            older_than: Some(Duration::from_secs(7200)),
            all: false,
            limit: Some(5),
        };
        let all = Choice {
            all: true,
            ..Choice::default()
        };
        let origin = || a.clone();
        let typed = "dead list --id x --id=y --origin https://A.example/ --older-than 2h --uid 65534 --limit 5";
        for (line, verb) in [
            ("status", Verb::Status),
            ("endpoints", Verb::Endpoints { limit: None }),
            ("endpoints --limit 9", Verb::Endpoints { limit: Some(9) }),
            ("drain", Verb::Drain { cancel: false }),
            ("drain --cancel", Verb::Drain { cancel: true }),
            ("reload", Verb::Reload),
            (
                "breaker reset https://a.example",
                Verb::Breaker {
                    order: Order::Reset,
                    origin: origin(),
                },
            ),
            (
                "breaker isolate HTTPS://a.example:443",
                Verb::Breaker {
                    order: Order::Isolate,
                    origin: origin(),
                },
            ),
            (
                "set https://a.example onCircuitOpen=fail",
                Verb::Set {
                    origin: origin(),
                    setting: ("onCircuitOpen".to_owned(), "fail".to_owned()),
                },
            ),
            (
                typed,
                Verb::Dead {
                    deed: Deed::List,
                    choice,
                },
            ),
            (
                "dead export",
                Verb::Dead {
                    deed: Deed::Export,
                    choice: Choice::default(),
                },
            ),
            (
                "dead purge --all",
                Verb::Dead {
                    deed: Deed::Purge,
                    choice: all,
                },
            ),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let expected = CtlOptions {
                verb,
                socket: None,
                json: false,
            };
            assert_eq!(ctl(&words), Ok(expected), "{line}");
        }
        let options = ctl(&["--json", "status", "--socket", "/s"]).unwrap();
        assert_eq!((options.json, options.socket), (true, Some("/s".into())));
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_it() {
        for (line, expected) in [
            (
                "",
                "ctl: expected one of status, endpoints, drain, breaker, set, reload, dead, found nothing",
            ),
            ("sttus", "ctl: unexpected \"sttus\": did you mean status?"),
            ("status x", "ctl: unexpected \"x\": one thing at a time"),
            ("dead list x", "ctl: unexpected \"x\": one thing at a time"),
            ("status --cancel", "--cancel: goes with drain only"),
            ("drain --id x", "--id: goes with dead only"),
            (
                "reload --limit 7",
                "--limit: goes with endpoints and dead only",
            ),
            (
                "endpoints --limit 0",
                "--limit: expected a whole number from 1 to 1000000000, found \"0\"",
            ),
            (
                "breaker",
                "ctl breaker: expected reset or isolate, found nothing",
            ),
            (
                "breaker rest",
                "ctl: unexpected \"rest\": did you mean reset?",
            ),
            (
                "breaker reset",
                "ctl breaker: expected an origin, such as https://example.com, found nothing",
            ),
            (
                "breaker reset a",
                "ctl breaker: expected scheme, host and port, such as https://example.com, found \"a\"",
            ),
            (
                "breaker reset https://a https://b",
                "ctl: unexpected \"https://b\": one thing at a time",
            ),
            (
                "set https://a",
                "ctl set: expected KEY=VALUE, such as maxConnections=20, found nothing",
            ),
            (
                "set https://a x",
                "ctl set: expected KEY=VALUE, found \"x\"",
            ),
            (
                "dead",
                "ctl dead: expected list, export, replay or purge, found nothing",
            ),
            (
                "dead purge",
                "ctl dead purge: expected --id, --origin, --older-than, --uid or --all, found none of them",
            ),
            (
                "dead replay --all --id x",
                "--all: goes without --id, --origin, --older-than and --uid",
            ),
            (
                "dead list --older-than soon",
                "--older-than: expected an age, such as 90, 15m, 2h or 30d, found \"soon\"",
            ),
        ] {
            let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            assert_eq!(ctl(&words), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn ages_have_units() {
        for (text, seconds) in [
            ("90", 90.0),
            ("1.5s", 1.5),
            ("15m", 900.0),
            ("2h", 7200.0),
            ("0.5d", 43_200.0),
            ("0", 0.0),
        ] {
            let age = age(OsStr::new(text)).expect("an age");
            assert_eq!(age, Duration::from_secs_f64(seconds), "{text}");
        }
        for text in ["", "h", "-1", "1w", "99999d", "1 h"] {
            assert!(age(OsStr::new(text)).is_err(), "{text}");
        }
    }
}
