//! What may be asked of conduit itself: the words behind `ctl`, and the fields that go with each.
//!
//! Every field is checked, and one that a verb does not have is an error that names it: a typing mistake must not
//! purge what was to be kept.
//!
//! Not here: the answers (`ctl`), the same as words of a command line (the binary's `flags`).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::wire::ctl::shown;
use crate::wire::json::{self, Kind, Members};
use crate::wire::spool::JobKey;
use crate::wire::url::Url;

/// What may be asked.
pub const VERBS: [&str; 11] = [
    "status",
    "endpoints",
    "drain",
    "breaker reset",
    "breaker isolate",
    "set",
    "reload",
    "dead list",
    "dead export",
    "dead replay",
    "dead purge",
];

/// Dead letters that one question is about at most: beyond them it is to be asked again.
pub const LETTERS_MAX: usize = 1_000;

/// Ages beyond this are no mistake, and as good as this: a hundred years.
const AGE_SECONDS_MAX: f64 = 100.0 * 366.0 * 86400.0;

/// A setting's name, and its value as a command line has it.
pub type Setting = (Box<str>, Box<str>);

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// How far things are.
    Status,
    /// How each endpoint is, the worst first.
    Endpoints {
        /// At most so many of them; none: as many as an answer holds.
        limit: Option<usize>,
    },
    /// No more jobs, and the end once each has its result.
    Drain {
        /// Take jobs again instead.
        cancel: bool,
    },
    /// The origin's breaker is to close.
    BreakerReset {
        /// Whose, as results name it.
        origin: Box<str>,
    },
    /// The origin's breaker is to stay open until it is reset.
    BreakerIsolate {
        /// Whose, as results name it.
        origin: Box<str>,
    },
    /// A setting of an origin, until the next start.
    Set {
        /// Whose, as results name it.
        origin: Box<str>,
        /// Which, and what it is to be.
        setting: Setting,
    },
    /// The configuration is to be read again.
    Reload,
    /// What dead letters there are.
    DeadList(Letters),
    /// The same as job lines.
    DeadExport(Letters),
    /// They are to be jobs again.
    DeadReplay(Letters),
    /// They are not wanted any more.
    DeadPurge(Letters),
}

/// Which dead letters: those that all of this is true of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    /// Their ids are among these; none: whatever they are.
    pub ids: Option<Vec<Box<str>>>,
    /// They should have gone there; the text that results have.
    pub origin: Option<Box<str>>,
    /// So much time has passed since they ended.
    pub older_than: Option<Duration>,
    /// They are this user's.
    pub uid: Option<u32>,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// At most so many in one answer.
    pub limit: Option<usize>,
}

/// How far an answer got, so that the next question goes on there: `AFTER-LAST`.
///
/// Letters that were written after the first question are not looked at: what is replayed and dies once more would be
/// found again for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// What was looked at last.
    pub after: JobKey,
    /// The last one that is to be looked at.
    pub last: JobKey,
}

impl Request {
    /// What `verb` means with these fields, or what is wrong with them.
    pub(super) fn read<'a>(
        verb: &str,
        fields: Vec<(Cow<'a, str>, &'a str)>,
    ) -> Result<Request, String> {
        let mut fields = Fields { fields };
        let request = match verb {
            "status" => Request::Status,
            "endpoints" => Request::Endpoints {
                limit: fields.count("limit")?,
            },
            "drain" => Request::Drain {
                cancel: fields.switch("cancel")?.unwrap_or(false),
            },
            "breaker reset" => Request::BreakerReset {
                origin: fields.required_origin()?,
            },
            "breaker isolate" => Request::BreakerIsolate {
                origin: fields.required_origin()?,
            },
            "set" => Request::Set {
                origin: fields.required_origin()?,
                setting: fields.setting()?,
            },
            "reload" => Request::Reload,
            "dead list" => Request::DeadList(fields.letters()?),
            "dead export" => Request::DeadExport(fields.letters()?),
            "dead replay" => {
                fields.demand_choice()?;
                Request::DeadReplay(fields.letters()?)
            }
            "dead purge" => {
                fields.demand_choice()?;
                Request::DeadPurge(fields.letters()?)
            }
            other => {
                let verbs = VERBS.join(", ");
                return Err(format!("ctl: expected one of {verbs}, found {other}"));
            }
        };
        fields.finish(verb)?;
        Ok(request)
    }
}

impl Cursor {
    /// Reads what [`Cursor`]'s `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Cursor> {
        let (after, last) = text.split_once('-')?;
        let number = |text: &str| text.parse().ok().map(JobKey);
        Some(Cursor {
            after: number(after)?,
            last: number(last)?,
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.after.0, self.last.0)
    }
}

/// The fields beside `ctl` that nobody has asked for yet.
struct Fields<'a> {
    fields: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Fields<'a> {
    /// The field's value as it stands.
    fn take(&mut self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(at) = self.fields.iter().position(|(key, _)| key == name) else {
            return Ok(None);
        };
        let (_, value) = self.fields.remove(at);
        match self.fields.iter().any(|(key, _)| key == name) {
            true => Err(format!("{name}: expected once, found twice")),
            false => Ok(Some(value)),
        }
    }

    fn finish(&self, verb: &str) -> Result<(), String> {
        match self.fields.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("{verb} has no field {}", shown(key))),
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, String> {
        let Some(value) = self.take(name)? else {
            return Ok(None);
        };
        text(name, value).map(Some)
    }

    fn switch(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(value) => Err(unexpected(name, "true or false", value)),
        }
    }

    fn count(&mut self, name: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.take(name)? else {
            return Ok(None);
        };
        match value.parse() {
            Ok(count) if (1..=LETTERS_MAX).contains(&count) => Ok(Some(count)),
            Ok(_) | Err(_) => {
                let expected = format!("a whole number from 1 to {LETTERS_MAX}");
                Err(unexpected(name, &expected, value))
            }
        }
    }

    fn seconds(&mut self, name: &str) -> Result<Option<Duration>, String> {
        let Some(value) = self.take(name)? else {
            return Ok(None);
        };
        let number = (Kind::of(value) == Kind::Number).then(|| value.parse::<f64>().ok());
        match number.flatten().filter(|number| *number >= 0.0) {
            Some(number) => Ok(Some(Duration::from_secs_f64(number.min(AGE_SECONDS_MAX)))),
            None => Err(unexpected(name, "a number of seconds from 0 on", value)),
        }
    }

    fn origin(&mut self) -> Result<Option<Box<str>>, String> {
        let Some(text) = self.text("origin")? else {
            return Ok(None);
        };
        origin(&text)
            .map(Some)
            .ok_or_else(|| wrong_origin(&shown(&text)))
    }

    fn required_origin(&mut self) -> Result<Box<str>, String> {
        self.origin()?.ok_or_else(|| wrong_origin("nothing"))
    }

    /// The only member of `settings`: several could not be told apart if one of them is wrong.
    fn setting(&mut self) -> Result<Setting, String> {
        const EXPECTED: &str = "an object with one setting";
        let value = self.take("settings")?;
        let value = value.ok_or_else(|| format!("settings: expected {EXPECTED}, found nothing"))?;
        let mut setting: Option<Setting> = None;
        let mut members = Members::new(value);
        loop {
            let member = members.next_member();
            let member = member.map_err(|_| unexpected("settings", EXPECTED, value))?;
            let Some(member) = member else {
                break;
            };
            let name = text("settings", member.key)?;
            if setting.is_some() {
                return Err(format!(
                    "settings: expected one, found {} too",
                    shown(&name)
                ));
            }
            let value = match Kind::of(member.value) {
                Kind::String => text(&shown(&name), member.value)?,
                Kind::Number | Kind::Boolean => Cow::Borrowed(member.value),
                Kind::Object | Kind::Array | Kind::Null => {
                    let expected = "a number or a string";
                    return Err(unexpected(&shown(&name), expected, member.value));
                }
            };
            setting = Some((name.into(), value.into()));
        }
        setting.ok_or_else(|| "settings: expected one, found none".to_owned())
    }

    /// What changes letters must be told which: all of them only if that is said.
    fn demand_choice(&mut self) -> Result<(), String> {
        let is_all = self.switch("all")?.unwrap_or(false);
        let mut names = self.fields.iter().map(|(key, _)| &**key);
        let is_choice = |key: &str| matches!(key, "ids" | "origin" | "olderThan" | "uid");
        match (is_all, names.any(is_choice)) {
            (true, true) => Err("all: expected alone, found beside a choice of letters".to_owned()),
            (false, false) => Err(
                "expected ids, origin, olderThan, uid or \"all\":true, found none of them"
                    .to_owned(),
            ),
            (true, false) | (false, true) => Ok(()),
        }
    }

    fn letters(&mut self) -> Result<Letters, String> {
        let after = match self.text("after")? {
            None => None,
            Some(text) => {
                let expected = "what an answer gave as next";
                let cursor = Cursor::parse(&text);
                Some(cursor.ok_or_else(|| unexpected("after", expected, &text))?)
            }
        };
        Ok(Letters {
            ids: self.ids()?,
            origin: self.origin()?,
            older_than: self.seconds("olderThan")?,
            uid: self.uid()?,
            after,
            limit: self.count("limit")?,
        })
    }

    fn uid(&mut self) -> Result<Option<u32>, String> {
        let Some(value) = self.take("uid")? else {
            return Ok(None);
        };
        match value.parse() {
            Ok(uid) => Ok(Some(uid)),
            Err(_) => Err(unexpected("uid", "a user's number", value)),
        }
    }

    fn ids(&mut self) -> Result<Option<Vec<Box<str>>>, String> {
        const EXPECTED: &str = "a list of ids";
        let Some(value) = self.take("ids")? else {
            return Ok(None);
        };
        let ids: Vec<Box<str>> =
            serde_json::from_str(value).map_err(|_| unexpected("ids", EXPECTED, value))?;
        match ids.len() {
            1..=LETTERS_MAX => Ok(Some(ids)),
            count => Err(format!(
                "ids: expected from 1 to {LETTERS_MAX}, found {count}"
            )),
        }
    }
}

fn text<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, String> {
    let text = (Kind::of(value) == Kind::String).then(|| json::unescape(value).ok());
    text.flatten()
        .ok_or_else(|| unexpected(name, "a string", value))
}

/// The origin that a text stands for: an origin as results name it, or a URL without a path.
#[must_use]
pub fn origin(text: &str) -> Option<Box<str>> {
    let url = Url::parse(text).ok().filter(|url| url.target == "/")?;
    let mut origin = String::new();
    url.write_origin(&mut origin);
    Some(origin.into())
}

fn wrong_origin(found: &str) -> String {
    format!("origin: expected scheme, host and port, such as https://example.com, found {found}")
}

fn unexpected(name: &str, expected: &str, found: &str) -> String {
    format!("{name}: expected {expected}, found {}", shown(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ctl::CtlLine;

    fn request(line: &str) -> Result<Request, String> {
        let ctl = CtlLine::parse(line.as_bytes()).expect("a control line");
        ctl.request.map_err(Into::into)
    }

    #[test]
    fn every_verb_is_understood_with_its_fields() {
        let a: Box<str> = "https://a.example".into();
        let origin = || a.clone();
        let letters = Letters {
            ids: Some(vec!["1".into(), "x\ny".into()]),
            origin: Some(origin()),
            older_than: Some(Duration::from_millis(1500)),
            uid: Some(65_534),
            after: Some(Cursor {
                after: JobKey(7),
                last: JobKey(9),
            }),
            limit: Some(5),
        };
        let all = concat!(
            r#""ids":["1","x\ny"],"origin":"HTTPS://a.example:443/","#,
            r#""olderThan":1.5,"uid":65534,"after":"7-9","limit":5"#
        );
        for (fields, expected) in [
            (r#""ctl":"status""#, Request::Status),
            (r#""ctl":"endpoints""#, Request::Endpoints { limit: None }),
            (
                r#""ctl":"endpoints","limit":7"#,
                Request::Endpoints { limit: Some(7) },
            ),
            (r#""ctl":"drain""#, Request::Drain { cancel: false }),
            (
                r#""cancel":true,"ctl":"drain""#,
                Request::Drain { cancel: true },
            ),
            (
                r#""ctl":"breaker reset","origin":"https://a.example""#,
                Request::BreakerReset { origin: origin() },
            ),
            (
                r#""ctl":"breaker isolate","origin":"https://A.example""#,
                Request::BreakerIsolate { origin: origin() },
            ),
            (
                r#""ctl":"set","origin":"https://a.example","settings":{"timeout":2.5}"#,
                Request::Set {
                    origin: origin(),
                    setting: ("timeout".into(), "2.5".into()),
                },
            ),
            (
                r#""ctl":"set","origin":"https://a.example","settings":{"onCircuitOpen":"fail"}"#,
                Request::Set {
                    origin: origin(),
                    setting: ("onCircuitOpen".into(), "fail".into()),
                },
            ),
            (r#""ctl":"reload""#, Request::Reload),
            (
                r#""ctl":"dead list""#,
                Request::DeadList(Letters::default()),
            ),
            (
                &format!(r#""ctl":"dead export",{all}"#),
                Request::DeadExport(letters.clone()),
            ),
            (
                &format!(r#""ctl":"dead replay",{all}"#),
                Request::DeadReplay(letters.clone()),
            ),
            (
                r#""ctl":"dead purge","all":true"#,
                Request::DeadPurge(Letters::default()),
            ),
        ] {
            assert_eq!(request(&format!("{{{fields}}}")), Ok(expected), "{fields}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let ids = format!("[{}]", vec!["\"x\""; LETTERS_MAX + 1].join(","));
        for (fields, words) in [
            (r#""ctl":"dance""#, "dead purge, found dance"),
            (r#""ctl":7"#, "expected a string"),
            (r#""ctl":"status","x":1"#, "status has no field x"),
            (r#""ctl":"status","ctl":"drain""#, "no field ctl"),
            (r#""ctl":"reload","origin":"https://a""#, "no field origin"),
            (
                r#""ctl":"drain","cancel":1"#,
                "cancel: expected true or false, found 1",
            ),
            (
                r#""ctl":"drain","cancel":true,"cancel":true"#,
                "cancel: expected once",
            ),
            (
                r#""ctl":"endpoints","limit":0"#,
                "limit: expected a whole number from 1 to",
            ),
            (
                r#""ctl":"breaker reset""#,
                "origin: expected scheme, host and port",
            ),
            (r#""ctl":"breaker reset","origin":"a""#, "found a"),
            (
                r#""ctl":"breaker reset","origin":"https://a/b""#,
                "found https://a/b",
            ),
            (
                r#""ctl":"breaker reset","origin":7"#,
                "origin: expected a string, found 7",
            ),
            (
                r#""ctl":"set","origin":"https://a""#,
                "settings: expected an object",
            ),
            (
                r#""ctl":"set","origin":"https://a","settings":7"#,
                "found 7",
            ),
            (
                r#""ctl":"set","origin":"https://a","settings":{}"#,
                "expected one, found none",
            ),
            (
                r#""ctl":"set","origin":"https://a","settings":{"x":[]}"#,
                "x: expected a number or a string",
            ),
            (
                r#""ctl":"set","origin":"https://a","settings":{"x":1,"x":2}"#,
                "settings: expected one, found x too",
            ),
            (r#""ctl":"dead list","id":"x""#, "dead list has no field id"),
            (
                r#""ctl":"dead list","all":true"#,
                "dead list has no field all",
            ),
            (
                r#""ctl":"dead list","ids":[]"#,
                "ids: expected from 1 to 1000, found 0",
            ),
            (
                r#""ctl":"dead list","ids":"x""#,
                "ids: expected a list of ids",
            ),
            (&format!(r#""ctl":"dead list","ids":{ids}"#), "found 1001"),
            (
                r#""ctl":"dead list","olderThan":-1"#,
                "olderThan: expected a number",
            ),
            (
                r#""ctl":"dead list","uid":-1"#,
                "uid: expected a user's number",
            ),
            (
                r#""ctl":"dead list","olderThan":"2h""#,
                "olderThan: expected a number",
            ),
            (
                r#""ctl":"dead list","after":"7""#,
                "after: expected what an answer gave",
            ),
            (
                r#""ctl":"dead purge""#,
                "expected ids, origin, olderThan, uid or",
            ),
            (
                r#""ctl":"dead replay","all":false"#,
                "expected ids, origin, olderThan, uid or",
            ),
            (
                r#""ctl":"dead purge","all":true,"ids":["x"]"#,
                "all: expected alone",
            ),
        ] {
            let found = request(&format!("{{{fields}}}")).unwrap_err();
            assert!(found.contains(words), "{fields}: {found}");
        }
    }
}
