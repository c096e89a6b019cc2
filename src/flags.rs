//! The command line, in two steps: what was typed (words cut by lexopt, each flag known to its command), then
//! what it means ([`Command`], every value checked).
//!
//! The table of settings is the grammar: a flag that is no setting stands in one of the short lists here.
//! Whatever is wrong is one line that names the word it is about.
//!
//! Not here: names, ranges and help of settings (`config/table`), the help's text (`commands/help`).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::table::{self, SETTINGS, Setting};
use crate::config::{BadValue, Settings, value};
use crate::io::log::quoted;

/// What the user wants.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// `conduit run`
    Run(RunOptions),
    /// `conduit sink`
    Sink(SinkOptions),
    /// `conduit demo`
    Demo(DemoOptions),
    /// `conduit help`, `--help`, `-h`
    Help(Topic),
    /// `--version`, `-V`
    Version,
}

/// What `conduit run` is to do.
#[derive(Debug, PartialEq)]
pub struct RunOptions {
    /// Every setting.
    pub settings: Settings,
}

/// What `conduit demo` is to do.
#[derive(Debug, PartialEq)]
pub struct DemoOptions {
    /// Those of [`DEMO_SETTINGS`] as given, the others as built in.
    pub settings: Settings,
}

/// What `conduit sink` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkOptions {
    /// Where to listen, at least one; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// The status of every answer, 200 to 999.
    pub status: u16,
    /// How long an answer takes, at least and at most.
    pub delay: (Duration, Duration),
    /// Certificate chain and key, both PEM, to speak TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A file that gets a line for each request.
    pub log: Option<PathBuf>,
}

/// What help is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// All commands.
    Commands,
    /// `conduit run`
    Run,
    /// `conduit sink`
    Sink,
    /// `conduit demo`
    Demo,
}

/// A flag that is no setting.
#[derive(Debug)]
pub struct Flag {
    /// Its name, without the hyphens in front.
    pub name: &'static str,
    /// What stands for its value in help.
    pub placeholder: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// What holds without it.
    pub default: Option<&'static str>,
}

/// Why a command line can't be obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// Nothing was typed.
    Nothing,
    /// This is wrong, in one line.
    Wrong(String),
}

/// The names of the commands, in the order of the help.
pub const COMMANDS: [&str; 4] = ["run", "sink", "demo", "help"];

/// The settings that `conduit demo` takes, by name.
pub const DEMO_SETTINGS: [&str; 4] = ["maxConnections", "workers", "logLevel", "logFormat"];

/// The flags of `conduit sink`.
pub const SINK_FLAGS: [Flag; 5] = [
    Flag {
        name: "listen",
        placeholder: "ADDR:PORT",
        help: "where to listen; may be repeated; port 0 takes a free one",
        default: Some("127.0.0.1:0"),
    },
    Flag {
        name: "status",
        placeholder: "CODE",
        help: "of every answer",
        default: Some("200"),
    },
    Flag {
        name: "delay",
        placeholder: "MIN[-MAX]",
        help: "seconds until the answer, at random between the two, such as 0.005-0.2",
        default: Some("0"),
    },
    Flag {
        name: "tls",
        placeholder: "CERT,KEY",
        help: "speak TLS with this certificate chain and key (two PEM files)",
        default: None,
    },
    Flag {
        name: "log",
        placeholder: "FILE",
        help: "append a line for each request: webhook-id, status, body bytes, crc32",
        default: None,
    },
];

/// Statuses that end an exchange; those below are interim.
const STATUS_LEAST: u64 = 200;
const STATUS_MOST: u64 = 999;
const DELAY_MOST: Duration = Duration::from_secs(3600);

/// What the words after the program's name mean.
///
/// # Errors
/// If they mean nothing: exit status 2.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(words.into_iter().collect::<Vec<_>>());
    let topic = match parser.next()? {
        None => return Err(UsageError::Nothing),
        Some(lexopt::Arg::Short('h') | lexopt::Arg::Long("help")) => {
            return Ok(Command::Help(Topic::Commands));
        }
        Some(lexopt::Arg::Short('V') | lexopt::Arg::Long("version")) => {
            return Ok(Command::Version);
        }
        Some(lexopt::Arg::Value(word)) if word == "help" => return help(&mut parser),
        Some(lexopt::Arg::Value(word)) => command_topic(&word)?,
        Some(flag @ (lexopt::Arg::Short(_) | lexopt::Arg::Long(_))) => {
            return Err(wrong(format!(
                "expected a command ({}), found {}: flags follow their command",
                COMMANDS.join(", "),
                quoted(&dashed(&flag))
            )));
        }
    };
    match topic.read(&mut parser)? {
        Typed::Help => Ok(Command::Help(topic)),
        Typed::Version => Ok(Command::Version),
        Typed::Flags(typed) => topic.meaning(&typed),
    }
}

/// What was typed after a command.
enum Typed {
    Help,
    Version,
    /// Flags by name, with their values, in the order they stood in.
    Flags(Vec<(Word, OsString)>),
}

/// A flag that is known.
#[derive(Clone, Copy)]
enum Word {
    Setting(&'static Setting),
    Sink(&'static Flag),
}

impl Topic {
    /// The command's name; empty for all of them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Commands => "",
            Topic::Run => "run",
            Topic::Sink => "sink",
            Topic::Demo => "demo",
        }
    }

    /// The settings that the command takes as flags.
    pub fn settings(self) -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(move |setting| match self {
            Topic::Run => true,
            Topic::Demo => DEMO_SETTINGS.contains(&setting.name),
            Topic::Sink | Topic::Commands => false,
        })
    }

    fn words(self) -> Vec<Word> {
        let flags: &'static [Flag] = match self {
            Topic::Sink => &SINK_FLAGS,
            Topic::Commands | Topic::Run | Topic::Demo => &[],
        };
        let settings = self.settings().map(Word::Setting);
        settings.chain(flags.iter().map(Word::Sink)).collect()
    }

    /// The first step: words to flags with values.
    fn read(self, parser: &mut lexopt::Parser) -> Result<Typed, UsageError> {
        let words = self.words();
        let mut typed = Vec::new();
        while let Some(arg) = parser.next()? {
            let name = match arg {
                lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Typed::Help),
                lexopt::Arg::Short('V') | lexopt::Arg::Long("version") => {
                    return Ok(Typed::Version);
                }
                lexopt::Arg::Long(name) => name.to_owned(),
                lexopt::Arg::Short(_) => return Err(self.unknown_flag(&dashed(&arg), &words)),
                lexopt::Arg::Value(word) => return Err(self.unexpected(&word)),
            };
            let Some(word) = words.iter().find(|word| word.name() == name) else {
                return Err(self.unknown_flag(&format!("--{name}"), &words));
            };
            let value = if word.is_switch() {
                parser.optional_value().unwrap_or_else(|| "true".into())
            } else {
                parser
                    .value()
                    .map_err(|_| wrong(format!("--{name}: expected a value, found nothing")))?
            };
            typed.push((*word, value));
        }
        Ok(Typed::Flags(typed))
    }

    /// The second step: flags with values to a command.
    fn meaning(self, typed: &[(Word, OsString)]) -> Result<Command, UsageError> {
        Ok(match self {
            Topic::Run => Command::Run(RunOptions {
                settings: settings(typed)?,
            }),
            Topic::Demo => Command::Demo(DemoOptions {
                settings: settings(typed)?,
            }),
            Topic::Sink => Command::Sink(sink_options(typed)?),
            Topic::Commands => Command::Help(self),
        })
    }

    fn unknown_flag(self, flag: &str, words: &[Word]) -> UsageError {
        let names: Vec<String> = words.iter().map(|word| word.name()).collect();
        let hint = match nearest(flag, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean --{name}?"),
            None => format!("see conduit {} --help", self.name()),
        };
        wrong(format!(
            "{} has no flag {}: {hint}",
            self.name(),
            quoted(flag)
        ))
    }

    fn unexpected(self, word: &OsStr) -> UsageError {
        let hint = match self {
            Topic::Run => "jobs are read from standard input (conduit run < FILE)",
            Topic::Commands | Topic::Sink | Topic::Demo => "every option is a flag",
        };
        let word = quoted(&word.to_string_lossy());
        wrong(format!(
            "{} takes no argument, found {word}: {hint}",
            self.name()
        ))
    }
}

impl Word {
    fn name(self) -> String {
        match self {
            Word::Setting(setting) => setting.flag(),
            Word::Sink(flag) => flag.name.to_owned(),
        }
    }

    const fn is_switch(self) -> bool {
        matches!(self, Word::Setting(setting) if matches!(setting.kind, table::Kind::Switch(_)))
    }
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> UsageError {
        // Such as a value behind `--help=`; the library's words name the flag.
        let mut text = String::new();
        crate::io::log::escape(&error.to_string(), &mut text);
        wrong(text)
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Nothing => f.write_str("no command"),
            UsageError::Wrong(what) => f.write_str(what),
        }
    }
}

fn help(parser: &mut lexopt::Parser) -> Result<Command, UsageError> {
    match parser.next()? {
        None => Ok(Command::Help(Topic::Commands)),
        Some(lexopt::Arg::Value(word)) if word == "help" => Ok(Command::Help(Topic::Commands)),
        Some(lexopt::Arg::Value(word)) => Ok(Command::Help(command_topic(&word)?)),
        Some(lexopt::Arg::Short('h') | lexopt::Arg::Long("help")) => {
            Ok(Command::Help(Topic::Commands))
        }
        Some(flag) => Err(wrong(format!(
            "help: expected a command, found {}",
            quoted(&dashed(&flag))
        ))),
    }
}

fn command_topic(word: &OsStr) -> Result<Topic, UsageError> {
    match word.to_str() {
        Some("run") => Ok(Topic::Run),
        Some("sink") => Ok(Topic::Sink),
        Some("demo") => Ok(Topic::Demo),
        Some(_) | None => {
            let word = word.to_string_lossy();
            let hint = match nearest(&word, COMMANDS.into_iter()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("the commands are {}", COMMANDS.join(", ")),
            };
            Err(wrong(format!("no command {}: {hint}", quoted(&word))))
        }
    }
}

fn settings(typed: &[(Word, OsString)]) -> Result<Settings, UsageError> {
    let mut settings = Settings::default();
    let mut lists: Vec<(&'static Setting, OsString)> = Vec::new();
    for (word, value) in typed {
        let Word::Setting(setting) = *word else {
            continue;
        };
        let text = if setting.kind.is_list() {
            joined(&mut lists, setting, value)
        } else {
            value
        };
        settings
            .put(setting, text)
            .map_err(|bad| bad_value(&setting.flag(), &bad))?;
    }
    Ok(settings)
}

/// What a list's flag has given so far; an empty value starts it anew.
fn joined<'a>(
    lists: &'a mut Vec<(&'static Setting, OsString)>,
    setting: &'static Setting,
    value: &OsStr,
) -> &'a OsStr {
    let known = lists.iter().position(|(s, _)| s.name == setting.name);
    let index = known.unwrap_or_else(|| {
        lists.push((setting, OsString::new()));
        lists.len() - 1
    });
    let list = &mut lists[index].1;
    if value.is_empty() {
        list.clear();
    } else {
        if !list.is_empty() {
            list.push(",");
        }
        list.push(value);
    }
    list
}

fn sink_options(typed: &[(Word, OsString)]) -> Result<SinkOptions, UsageError> {
    let mut options = SinkOptions {
        listen: Vec::new(),
        status: 200,
        delay: (Duration::ZERO, Duration::ZERO),
        tls: None,
        log: None,
    };
    for (word, value) in typed {
        let Word::Sink(flag) = *word else { continue };
        put_sink(&mut options, flag.name, value).map_err(|bad| bad_value(flag.name, &bad))?;
    }
    if options.listen.is_empty() {
        options.listen.push(SocketAddr::from(([127, 0, 0, 1], 0)));
    }
    Ok(options)
}

fn put_sink(options: &mut SinkOptions, name: &str, text: &OsStr) -> Result<(), BadValue> {
    match name {
        "listen" => options.listen.push(listen_addr(text)?),
        "status" => {
            let status = value::count(text, STATUS_LEAST, STATUS_MOST)?;
            options.status = u16::try_from(status).expect("checked against 999");
        }
        "delay" => options.delay = delay(text)?,
        "tls" => options.tls = Some(cert_and_key(text)?),
        "log" if text.is_empty() => return Err(value::bad(text, "a file's name".to_owned())),
        "log" => options.log = Some(PathBuf::from(text)),
        _ => unreachable!("{name} is in SINK_FLAGS but put nowhere"),
    }
    Ok(())
}

fn listen_addr(text: &OsStr) -> Result<SocketAddr, BadValue> {
    text.to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            let expected = "an IP address and a port, such as 127.0.0.1:8080 or [::1]:0";
            value::bad(text, expected.to_owned())
        })
}

fn delay(text: &OsStr) -> Result<(Duration, Duration), BadValue> {
    let bound = |text: &str| value::seconds(OsStr::new(text), Duration::ZERO, DELAY_MOST).ok();
    let (least, most) = match text.to_str().and_then(|text| text.split_once('-')) {
        Some((least, most)) => (bound(least), bound(most)),
        None => {
            let both = text.to_str().and_then(bound);
            (both, both)
        }
    };
    match (least, most) {
        (Some(least), Some(most)) if least <= most => Ok((least, most)),
        _ => {
            let most = DELAY_MOST.as_secs();
            let expected = format!("seconds from 0 to {most}, or two of them as MIN-MAX");
            Err(value::bad(text, expected))
        }
    }
}

fn cert_and_key(text: &OsStr) -> Result<(PathBuf, PathBuf), BadValue> {
    match text.to_str().and_then(|text| text.split_once(',')) {
        Some((cert, key)) if !cert.is_empty() && !key.is_empty() => Ok((cert.into(), key.into())),
        _ => Err(value::bad(text, "two files' names, CERT,KEY".to_owned())),
    }
}

fn bad_value(flag: &str, bad: &BadValue) -> UsageError {
    wrong(format!("--{flag}: {bad}"))
}

const fn wrong(what: String) -> UsageError {
    UsageError::Wrong(what)
}

fn dashed(arg: &lexopt::Arg<'_>) -> String {
    match arg {
        lexopt::Arg::Short(letter) => format!("-{letter}"),
        lexopt::Arg::Long(name) => format!("--{name}"),
        lexopt::Arg::Value(value) => value.to_string_lossy().into_owned(),
    }
}

/// The name that was probably meant: the one with the fewest letters to change, if they are few.
fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody means one of the names with so long a word, and the table below grows with it.
    const TYPED_MAX: usize = 64;
    let typed = typed.trim_start_matches('-').to_lowercase();
    if typed.len() > TYPED_MAX {
        return None;
    }
    names
        .map(|name| (distance(&typed, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name)
}

/// How many letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    // The rows of the table that are still asked for: the one before the last, the last, and the next.
    let mut older = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut next = vec![0; to.len() + 1];
    for i in 0..from.len() {
        next[0] = i + 1;
        for j in 0..to.len() {
            let replaced = last[j] + usize::from(from[i] != to[j]);
            next[j + 1] = replaced.min(last[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && from[i] == to[j - 1] && from[i - 1] == to[j] {
                next[j + 1] = next[j + 1].min(older[j - 1] + 1);
            }
        }
        std::mem::swap(&mut older, &mut last);
        std::mem::swap(&mut last, &mut next);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests;
