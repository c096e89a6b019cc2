//! The configuration file: JSON, read whole, every mistake named by line, column and path.
//!
//!   { "logLevel": "warn", "timeout": 10,            the process's settings, and general ones
//!     "defaults": { "timeout": 5 },                 what holds for every endpoint
//!     "webhookEndpoints": { "https://a.example": { "timeout": 30 } } }
//!
//! Values are turned into the texts that flags have, checked, and kept with their places: what they mean is the
//! table's business. The value of a secret or a header is never shown.
//!
//! Not here: which source goes before which, files that a value names (`load`).

use std::borrow::Cow;
use std::ffi::OsString;

use conduit::wire::endpoints::{Endpoints, KeyError};
use conduit::wire::job_line::Headers;
use conduit::wire::json::{self, Elements, Kind as Shape, Member, Members};
use conduit::wire::shape::Mistaken;

use crate::config::source::{Given, Place, Problem, Said, Source};
use crate::config::spelling::nearest;
use crate::config::table::{ENDPOINT_SETTINGS, Group, Kind, SETTINGS, Setting};
use crate::config::{Settings, value};
use crate::io::log::quoted;

/// Bytes of a file; a larger one is no configuration.
pub const FILE_BYTES_MAX: usize = 64 << 20;

const DEFAULTS: &str = "defaults";
const ENDPOINTS: &str = "webhookEndpoints";

/// What the file says.
#[derive(Debug, Default)]
pub struct Contents {
    /// What holds in general: the top level, then `defaults`.
    pub general: Said,
    /// What holds for origins and patterns of them.
    pub endpoints: Endpoints<Said>,
    /// What stands where nothing can hold, for its key is wrong or stands there already.
    pub astray: Vec<Said>,
}

/// What may stand at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Top,
    /// `defaults`, or one of `webhookEndpoints`.
    Endpoint,
}

/// A member of an object.
struct Known<'a> {
    key: Cow<'a, str>,
    member: Member<'a>,
    /// Its key stands there for the first time.
    is_first: bool,
}

struct Reader<'a> {
    text: &'a str,
    cursor: Cursor<'a>,
    problems: &'a mut Vec<Problem>,
}

/// Finds lines and columns: fast where places are asked for in their order.
struct Cursor<'a> {
    name: &'a str,
    text: &'a str,
    offset: usize,
    line: usize,
    column: usize,
}

/// Reads the bytes of the file `name`. What is wrong goes to `problems`, and what is right is still there.
pub fn read(name: &str, bytes: &[u8], problems: &mut Vec<Problem>) -> Contents {
    let mut contents = Contents::default();
    match json_text(name, bytes) {
        Ok(text) => Reader::new(name, text, problems).top(text.trim_ascii(), &mut contents),
        Err(problem) => problems.push(problem),
    }
    contents
}

/// Reads one setting of the top level; what else the file says may be wrong.
///
/// # Errors
/// The file is no object in JSON, or the setting stands there wrongly, or twice.
pub fn read_one(name: &str, bytes: &[u8], setting: &str) -> Result<Option<Given>, Problem> {
    let text = json_text(name, bytes)?;
    let mut problems = Vec::new();
    let mut reader = Reader::new(name, text, &mut problems);
    let mut said = Said::default();
    for known in reader.members(text.trim_ascii(), "", Some(setting)) {
        reader.setting(&known, "", Level::Top, &mut said);
    }
    match problems.pop() {
        Some(problem) => Err(problem),
        None => Ok(said.given.pop()),
    }
}

/// The bytes of the file `name` as JSON.
fn json_text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = first
        .into_iter()
        .find(|line| !line.is_empty() && !line.starts_with(b"#"));
    if let Some(mistaken @ (Mistaken::Utf16 | Mistaken::Yaml)) = first.and_then(Mistaken::of) {
        return Err(Problem::new(format!("{name}:1:1"), mistaken.to_string()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        let valid = std::str::from_utf8(valid).expect("so far it is valid");
        let place = Cursor::new(name, valid).at(valid.len());
        Problem::new(place, "expected UTF-8, found a byte that is none")
    })?;
    json::check(text).map_err(|error| no_json(name, text, error))?;
    Ok(text)
}

impl<'a> Reader<'a> {
    const fn new(name: &'a str, text: &'a str, problems: &'a mut Vec<Problem>) -> Reader<'a> {
        Reader {
            text,
            cursor: Cursor::new(name, text),
            problems,
        }
    }

    fn top(&mut self, raw: &'a str, contents: &mut Contents) {
        let mut defaults = Said::default();
        for known in self.members(raw, "", None) {
            match (&*known.key, known.is_first) {
                (DEFAULTS, true) => self.settings(&known, DEFAULTS, &mut defaults),
                (DEFAULTS, false) => {
                    let mut astray = Said::default();
                    self.settings(&known, DEFAULTS, &mut astray);
                    contents.astray.push(astray);
                }
                (ENDPOINTS, is_first) => self.endpoints(known.member.value, is_first, contents),
                _ => self.setting(&known, "", Level::Top, &mut contents.general),
            }
        }
        contents.general.append(defaults);
    }

    fn endpoints(&mut self, raw: &'a str, is_first: bool, contents: &mut Contents) {
        for known in self.members(raw, ENDPOINTS, None) {
            let path = format!("{ENDPOINTS}[{}]", quoted(&known.key));
            let mut said = Said::default();
            self.settings(&known, &path, &mut said);
            match contents.endpoints.check(&known.key) {
                Ok(()) if is_first && known.is_first => {
                    let inserted = contents.endpoints.insert(&known.key, said);
                    inserted.expect("it was checked");
                    continue;
                }
                Err(KeyError::Twice) if !is_first => {}
                Err(error) if known.is_first => {
                    self.wrong(known.member.key, &path, error.to_string());
                }
                Ok(()) | Err(_) => {}
            }
            contents.astray.push(said);
        }
    }

    fn settings(&mut self, object: &Known<'a>, path: &str, said: &mut Said) {
        for known in self.members(object.member.value, path, None) {
            self.setting(&known, path, Level::Endpoint, said);
        }
    }

    /// What stands there again is looked at, and does not count.
    fn setting(&mut self, known: &Known<'a>, path: &str, level: Level, said: &mut Said) {
        let path = joined(path, &known.key);
        let setting = match find(&known.key, level) {
            Ok(setting) => setting,
            Err(what) => return self.wrong(known.member.key, &path, what),
        };
        let value = known.member.value;
        let text = self.value(setting, value, &path);
        match text {
            _ if !known.is_first => {}
            None => said.refused.push(setting),
            Some(text) => {
                let at = self.at(value);
                let source = Source::File(Place { at, path });
                said.given.push(Given {
                    setting,
                    text,
                    source,
                });
            }
        }
    }

    /// The value as a flag would have it, if the setting takes it.
    fn value(&mut self, setting: &Setting, raw: &'a str, path: &str) -> Option<OsString> {
        let words = shape(setting.kind);
        match (setting.kind, Shape::of(raw)) {
            (Kind::Seconds(..) | Kind::Count(..) | Kind::Rate(..), Shape::Number)
            | (Kind::Bytes(..), Shape::Number | Shape::String)
            | (Kind::Switch(_), Shape::Boolean)
            | (
                Kind::File(_) | Kind::Path(_) | Kind::Listen(_) | Kind::Choice(..) | Kind::Word(..),
                Shape::String,
            ) => {
                let text = scalar(raw);
                self.checked(setting, &text, raw, path)
            }
            (kind, Shape::Array) if kind.is_list() => self.list(setting, raw, path),
            (Kind::Headers(_), _) => match Headers::parse(raw) {
                Ok(_) => Some(raw.into()),
                Err(error) => {
                    // The error says which of the headers.
                    let at = self.at(raw);
                    let parent = path.strip_suffix("headers").unwrap_or(path);
                    self.problems
                        .push(Problem::new(at, format!("{parent}{error}")));
                    None
                }
            },
            (Kind::Secrets(_), _) => match value::json_secrets(raw) {
                Ok(_) => Some(raw.into()),
                Err((index, what)) => {
                    let path = index.map_or(path.to_owned(), |index| format!("{path}[{index}]"));
                    self.wrong(raw, &path, what);
                    None
                }
            },
            _ => {
                let expected = expected(setting);
                self.wrong(
                    raw,
                    path,
                    format!("expected {expected}{words}, found {}", found(raw)),
                );
                None
            }
        }
    }

    fn list(&mut self, setting: &Setting, raw: &'a str, path: &str) -> Option<OsString> {
        let mut elements = Elements::new(raw);
        let mut texts = Vec::new();
        let mut all_right = true;
        let mut index = 0;
        while let Some(raw) = elements.next_element().expect("it was checked") {
            let path = format!("{path}[{index}]");
            let is_scalar = matches!(Shape::of(raw), Shape::Number | Shape::String);
            let text = if is_scalar { scalar(raw) } else { "".into() };
            // One element, not several, and not the empty list.
            let text = match text.is_empty() || text.contains(',') {
                true => Cow::Borrowed(","),
                false => text,
            };
            let checked = self.checked(setting, &text, raw, &path);
            all_right &= checked.is_some();
            texts.extend(checked);
            index += 1;
        }
        all_right.then(|| texts.join(",".as_ref()))
    }

    fn checked(
        &mut self,
        setting: &Setting,
        text: &str,
        raw: &'a str,
        path: &str,
    ) -> Option<OsString> {
        match Settings::default().put(setting, text.as_ref()) {
            Ok(()) => Some(text.into()),
            Err(bad) => {
                let what = format!("expected {}, found {}", bad.expected, found(raw));
                self.wrong(raw, path, what);
                None
            }
        }
    }

    /// The members of what is expected to be an object; only those of this name, if there is one.
    fn members(&mut self, raw: &'a str, path: &str, only: Option<&str>) -> Vec<Known<'a>> {
        if Shape::of(raw) != Shape::Object {
            let what = format!("expected an object, found {}", found(raw));
            self.wrong(raw, path, what);
            return Vec::new();
        }
        let mut known = Vec::new();
        let mut keys = std::collections::BTreeMap::new();
        let mut members = Members::new(raw);
        while let Some(member) = members.next_member().expect("it was checked") {
            let key = json::unescape(member.key);
            if only.is_some_and(|name| key.as_deref() != Ok(name)) {
                continue;
            }
            let Ok(key) = key else {
                let what = "expected a key without half a surrogate pair (\\ud800 to \\udfff)";
                self.wrong(member.key, path, what);
                continue;
            };
            let first = keys.get(&key).copied();
            if let Some(first) = first {
                let path = match path {
                    ENDPOINTS => format!("{path}[{}]", quoted(&key)),
                    _ => joined(path, &key),
                };
                let first = self.at(first);
                self.wrong(
                    member.key,
                    &path,
                    format!("expected once, found again (first at {first})"),
                );
            }
            keys.entry(key.clone()).or_insert(member.key);
            known.push(Known {
                key,
                member,
                is_first: first.is_none(),
            });
        }
        known
    }

    fn wrong(&mut self, raw: &str, path: &str, what: impl Into<String>) {
        let at = self.at(raw);
        let place = match path {
            "" => at,
            _ => format!("{at}: {path}"),
        };
        self.problems.push(Problem::new(place, what));
    }

    /// Where a piece of the text stands.
    fn at(&mut self, piece: &str) -> String {
        let offset = piece.as_ptr() as usize - self.text.as_ptr() as usize;
        self.cursor.at(offset)
    }
}

impl<'a> Cursor<'a> {
    const fn new(name: &'a str, text: &'a str) -> Cursor<'a> {
        Cursor {
            name,
            text,
            offset: 0,
            line: 1,
            column: 1,
        }
    }

    /// `FILE:LINE:COLUMN` of a byte.
    fn at(&mut self, offset: usize) -> String {
        if offset < self.offset {
            *self = Cursor::new(self.name, self.text);
        }
        for letter in self.text[self.offset..offset].chars() {
            if letter == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.offset = offset;
        format!("{}:{}:{}", self.name, self.line, self.column)
    }
}

/// The setting that may stand there under this name, or what is wrong with it.
fn find(key: &str, level: Level) -> Result<&'static Setting, String> {
    let setting = Setting::named(key);
    let is_own = |setting: &Setting| setting.group == Group::Endpoint;
    match (level, setting) {
        (Level::Top, Some(setting)) if is_own(setting) => Err(format!(
            "concerns endpoints, expected in {ENDPOINTS} or {DEFAULTS}"
        )),
        (Level::Endpoint, Some(setting)) if !setting.is_per_endpoint() => {
            Err("concerns the whole process, expected at the top level".to_owned())
        }
        (_, Some(setting)) => Ok(setting),
        (_, None) => {
            let own = ENDPOINT_SETTINGS.iter().map(|setting| setting.name);
            let names = SETTINGS.iter().filter(|setting| match level {
                Level::Top => true,
                Level::Endpoint => setting.is_per_endpoint(),
            });
            let names = names.map(|setting| setting.name);
            let meant = match level {
                Level::Top => nearest(key, names.chain([DEFAULTS, ENDPOINTS])),
                Level::Endpoint => nearest(key, names.chain(own)),
            };
            Err(match meant {
                Some(meant) => format!("no such setting, did you mean {meant}?"),
                None => "no such setting".to_owned(),
            })
        }
    }
}

/// What a value is in JSON, where the words for its range don't say it.
const fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Seconds(..) | Kind::Count(..) | Kind::Rate(..) => " as a JSON number",
        Kind::Bytes(..) => " as a JSON number or a string",
        Kind::Nets(_) | Kind::Nat64(_) => " in an array of strings",
        Kind::Ports(_) | Kind::Schedule(..) | Kind::Uids(_) => " in an array of numbers",
        Kind::Statuses(_) => " in an array of numbers and strings",
        Kind::File(_) | Kind::Path(_) | Kind::Listen(_) | Kind::Choice(..) | Kind::Word(..) => {
            " as a JSON string"
        }
        Kind::Switch(_) | Kind::Headers(_) | Kind::Secrets(_) => "",
    }
}

/// What the setting takes, in words.
fn expected(setting: &Setting) -> String {
    // Nothing takes this; what a file's name may be is told for the empty one.
    let refused = [",\0", ""].iter().find_map(|text| {
        let put = Settings::default().put(setting, text.as_ref());
        put.err()
    });
    refused.map_or_else(|| "another value".to_owned(), |bad| bad.expected)
}

/// A number, a string or a boolean as a flag has it.
fn scalar(raw: &str) -> Cow<'_, str> {
    match Shape::of(raw) {
        // Half a surrogate pair stands for no character: such a value is no setting's.
        Shape::String => json::unescape(raw).unwrap_or(Cow::Borrowed("\0")),
        // 1e3 is 1000; what is no finite number is left to the table to refuse.
        Shape::Number if raw.contains(['e', 'E']) => match raw.parse::<f64>() {
            Ok(number) if number.is_finite() => Cow::Owned(number.to_string()),
            Ok(_) | Err(_) => Cow::Borrowed(raw),
        },
        Shape::Number | Shape::Boolean => Cow::Borrowed(raw),
        Shape::Object | Shape::Array | Shape::Null => Cow::Borrowed(""),
    }
}

/// A value as an error shows it.
fn found(raw: &str) -> Cow<'_, str> {
    /// Bytes of a number.
    const SHOWN_MAX: usize = 40;
    match Shape::of(raw) {
        Shape::String => match json::unescape(raw) {
            Ok(text) => Cow::Owned(quoted(&text)),
            Err(_) => Cow::Borrowed("a string with half a surrogate pair"),
        },
        Shape::Number if raw.len() > SHOWN_MAX => Cow::Owned(format!("{}…", &raw[..SHOWN_MAX])),
        Shape::Number | Shape::Boolean | Shape::Null => Cow::Borrowed(raw),
        shape @ (Shape::Object | Shape::Array) => Cow::Borrowed(shape.name()),
    }
}

fn joined(path: &str, key: &str) -> String {
    let is_plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match (path, is_plain) {
        ("", true) => key.to_owned(),
        (_, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", quoted(key)),
    }
}

fn no_json(name: &str, text: &str, error: json::Error) -> Problem {
    let expected = match error.expected {
        "the end of the line" => "the end of the file",
        other => other,
    };
    let found = match error.found {
        None => "the end of the file".to_owned(),
        Some(found) => quoted(&found.to_string()),
    };
    let what = format!("expected {expected}, found {found}");
    Problem::new(Cursor::new(name, text).at(error.column - 1), what)
}

#[cfg(test)]
mod tests;
