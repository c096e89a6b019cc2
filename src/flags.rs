//! The command line, in two steps: what was typed (words cut by lexopt, each flag known to its command), then
//! what it means ([`Command`], every value checked).
//!
//! The table of settings is the grammar: a flag that is no setting stands in one of the short lists here.
//! Whatever is wrong is one line that names the word it is about, and all of it is told at once.
//!
//! Not here: names, ranges and help of settings (`config/table`), the help's text (`commands/help`), flags that are no
//! settings (`sink`, `clients`, `ctl`).

mod clients;
mod ctl;
mod health;
mod sink;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use crate::config::load::{self, Sources};
use crate::config::spelling::nearest;
use crate::config::table::{self, SETTINGS, Setting};
use crate::config::{BadValue, Settings, value};
use crate::io::log::quoted;

pub use clients::{SUBMIT_FLAGS, SubmitOptions, TOP_FLAGS, TopOptions};
pub use ctl::{CTL_FLAGS, Choice, CtlOptions, Deed, Order, Verb};
pub use health::{HEALTH_FLAGS, HealthOptions, HealthPlace};
pub use sink::{SINK_FLAGS, SinkOptions};

/// What the user wants.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// `conduit run`
    Run(RunOptions),
    /// `conduit check`
    Check(CheckOptions),
    /// `conduit explain`
    Explain(ExplainOptions),
    /// `conduit submit`
    Submit(SubmitOptions),
    /// `conduit ctl`
    Ctl(CtlOptions),
    /// `conduit top`
    Top(TopOptions),
    /// `conduit health`
    Health(HealthOptions),
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
    /// Where settings come from, the environment still left out; no value is checked.
    pub sources: Sources,
}

/// What `conduit check` is to do.
#[derive(Debug, PartialEq)]
pub struct CheckOptions {
    /// As [`RunOptions::sources`].
    pub sources: Sources,
    /// Show what holds, and who said so.
    pub print: bool,
}

/// What `conduit explain` is to do.
#[derive(Debug, PartialEq)]
pub struct ExplainOptions {
    /// As [`RunOptions::sources`].
    pub sources: Sources,
    /// Where the job lines are; none: on standard input.
    pub file: Option<PathBuf>,
    /// Explain in JSON.
    pub json: bool,
}

/// What `conduit demo` is to do.
#[derive(Debug, PartialEq)]
pub struct DemoOptions {
    /// Those of [`DEMO_SETTINGS`] as given, the others as built in.
    pub settings: Box<Settings>,
}

/// What help is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// All commands.
    Commands,
    /// `conduit run`
    Run,
    /// `conduit check`
    Check,
    /// `conduit explain`
    Explain,
    /// `conduit submit`
    Submit,
    /// `conduit ctl`
    Ctl,
    /// `conduit top`
    Top,
    /// `conduit health`
    Health,
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
    /// This is wrong, a line each.
    Wrong(String),
}

/// The names of the commands, in the order of the help.
pub const COMMANDS: [&str; 10] = [
    "run", "check", "explain", "submit", "ctl", "top", "health", "sink", "demo", "help",
];

const CONFIG: Flag = Flag {
    name: "config",
    placeholder: "FILE",
    help: "settings in JSON, for single endpoints too",
    default: None,
};

/// The flags of `conduit run` that are no settings.
pub const RUN_FLAGS: [Flag; 1] = [Flag {
    help: "settings in JSON, for single endpoints too; SIGHUP has it read again",
    ..CONFIG
}];

/// The flags of `conduit check` that are no settings.
pub const CHECK_FLAGS: [Flag; 2] = [
    CONFIG,
    Flag {
        name: "print",
        placeholder: "",
        help: "show what holds, and where each value comes from",
        default: None,
    },
];

/// The flags of `conduit explain` that are no settings.
pub const EXPLAIN_FLAGS: [Flag; 2] = [
    CONFIG,
    Flag {
        name: "json",
        placeholder: "",
        help: "one JSON object for each job",
        default: None,
    },
];

/// The settings that `conduit demo` takes, by name.
pub const DEMO_SETTINGS: [&str; 4] = ["maxConnections", "workers", "logLevel", "logFormat"];

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
        Typed::Flags(typed, words, mistakes) if mistakes.is_empty() => {
            topic.meaning(&typed, &words)
        }
        Typed::Flags(typed, _, mut mistakes) => {
            mistakes.extend(topic.bad_values(&typed));
            Err(wrong(mistakes.join("\n")))
        }
    }
}

/// What was typed after a command.
enum Typed {
    Help,
    Version,
    /// Flags by name, with their values, and words that are no flags, in the order they stood in; and what is wrong
    /// with the others.
    Flags(Vec<(Word, OsString)>, Vec<OsString>, Vec<String>),
}

/// A flag that is known.
#[derive(Clone, Copy)]
enum Word {
    Setting(&'static Setting),
    Flag(&'static Flag),
}

impl Topic {
    /// The command's name; empty for all of them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Commands => "",
            Topic::Run => "run",
            Topic::Check => "check",
            Topic::Explain => "explain",
            Topic::Submit => "submit",
            Topic::Ctl => "ctl",
            Topic::Top => "top",
            Topic::Health => "health",
            Topic::Sink => "sink",
            Topic::Demo => "demo",
        }
    }

    /// The settings that the command takes as flags.
    pub fn settings(self) -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(move |setting| match self {
            Topic::Run | Topic::Check | Topic::Explain => true,
            Topic::Demo => DEMO_SETTINGS.contains(&setting.name),
            Topic::Health => setting.name == "listen",
            Topic::Submit | Topic::Ctl | Topic::Top | Topic::Sink | Topic::Commands => false,
        })
    }

    /// The command's flags that are no settings.
    #[must_use]
    pub const fn flags(self) -> &'static [Flag] {
        match self {
            Topic::Run => &RUN_FLAGS,
            Topic::Check => &CHECK_FLAGS,
            Topic::Explain => &EXPLAIN_FLAGS,
            Topic::Submit => &SUBMIT_FLAGS,
            Topic::Ctl => &CTL_FLAGS,
            Topic::Top => &TOP_FLAGS,
            Topic::Health => &HEALTH_FLAGS,
            Topic::Sink => &SINK_FLAGS,
            Topic::Commands | Topic::Demo => &[],
        }
    }

    fn words(self) -> Vec<Word> {
        let settings = self.settings().map(Word::Setting);
        settings
            .chain(self.flags().iter().map(Word::Flag))
            .collect()
    }

    /// The first step: words to flags with values.
    fn read(self, parser: &mut lexopt::Parser) -> Result<Typed, UsageError> {
        let words = self.words();
        let (mut typed, mut plain, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
        // The word behind a flag that nobody knows may be its value.
        let mut was_unknown = false;
        while let Some(arg) = parser.next()? {
            let is_behind_unknown = std::mem::take(&mut was_unknown);
            let name = match arg {
                lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(Typed::Help),
                lexopt::Arg::Short('V') | lexopt::Arg::Long("version") => {
                    return Ok(Typed::Version);
                }
                lexopt::Arg::Long(name) => name.to_owned(),
                lexopt::Arg::Short(_) => {
                    mistakes.push(self.unknown_flag(&dashed(&arg), &words).to_string());
                    continue;
                }
                lexopt::Arg::Value(_) if is_behind_unknown => continue,
                lexopt::Arg::Value(word)
                    if matches!(self, Topic::Submit | Topic::Ctl | Topic::Explain) =>
                {
                    plain.push(word);
                    continue;
                }
                lexopt::Arg::Value(word) => {
                    mistakes.push(self.unexpected(&word).to_string());
                    continue;
                }
            };
            let Some(word) = words.iter().find(|word| word.name() == name) else {
                mistakes.push(self.unknown_flag(&format!("--{name}"), &words).to_string());
                was_unknown = parser.optional_value().is_none();
                continue;
            };
            if word.is_switch() {
                let value = parser.optional_value().unwrap_or_else(|| "true".into());
                typed.push((*word, value));
            } else if let Ok(value) = parser.value() {
                typed.push((*word, value));
            } else {
                mistakes.push(format!("--{name}: expected a value, found nothing"));
            }
        }
        Ok(Typed::Flags(typed, plain, mistakes))
    }

    /// What is wrong with the values of flags, whatever else is.
    fn bad_values(self, typed: &[(Word, OsString)]) -> Vec<String> {
        let settings = settings(typed).err();
        let flags = match self {
            Topic::Submit => clients::submit_flags(typed).err(),
            Topic::Ctl => ctl::flags_alone(typed).err(),
            Topic::Top => clients::top_options(typed).err(),
            Topic::Health => health::flags_alone(typed).err(),
            Topic::Sink => sink::sink_options(typed).err(),
            Topic::Check | Topic::Explain => {
                let switches = ["print", "json"].map(|name| is_on(name, typed).err());
                switches.into_iter().flatten().next()
            }
            Topic::Run | Topic::Demo | Topic::Commands => None,
        };
        let both = settings.into_iter().chain(flags);
        both.map(|wrong| wrong.to_string()).collect()
    }

    /// The second step: flags with values to a command.
    fn meaning(
        self,
        typed: &[(Word, OsString)],
        words: &[OsString],
    ) -> Result<Command, UsageError> {
        Ok(match self {
            Topic::Run => Command::Run(RunOptions {
                sources: sources(typed)?,
            }),
            Topic::Check => Command::Check(CheckOptions {
                sources: sources(typed)?,
                print: is_on("print", typed)?,
            }),
            Topic::Explain => Command::Explain(ExplainOptions {
                sources: sources(typed)?,
                file: clients::job_file(self.name(), words)?,
                json: is_on("json", typed)?,
            }),
            Topic::Demo => Command::Demo(DemoOptions {
                settings: settings(typed)?.into(),
            }),
            Topic::Submit => Command::Submit(clients::submit_options(typed, words)?),
            Topic::Ctl => Command::Ctl(ctl::ctl_options(typed, words)?),
            Topic::Top => Command::Top(clients::top_options(typed)?),
            Topic::Health => Command::Health(health::health_options(typed, sources(typed)?)?),
            Topic::Sink => Command::Sink(sink::sink_options(typed)?),
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
            Topic::Commands
            | Topic::Check
            | Topic::Explain
            | Topic::Submit
            | Topic::Ctl
            | Topic::Top
            | Topic::Health
            | Topic::Sink
            | Topic::Demo => "every option is a flag",
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
            Word::Flag(flag) => flag.name.to_owned(),
        }
    }

    const fn is_switch(self) -> bool {
        match self {
            Word::Setting(setting) => matches!(setting.kind, table::Kind::Switch(_)),
            Word::Flag(flag) => flag.placeholder.is_empty(),
        }
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
        Some("check") => Ok(Topic::Check),
        Some("explain") => Ok(Topic::Explain),
        Some("submit") => Ok(Topic::Submit),
        Some("ctl") => Ok(Topic::Ctl),
        Some("top") => Ok(Topic::Top),
        Some("health") => Ok(Topic::Health),
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
    all_at_once(load::flags(of_settings(typed)), |(setting, text)| {
        let put = settings.put(setting, &text);
        put.map_err(|bad| bad_value(&setting.flag(), &bad))
    })?;
    Ok(settings)
}

/// Does this with each, and says of all of them what is wrong.
fn all_at_once<T>(
    each: impl IntoIterator<Item = T>,
    mut put: impl FnMut(T) -> Result<(), UsageError>,
) -> Result<(), UsageError> {
    let mistakes: Vec<String> = each
        .into_iter()
        .filter_map(|one| put(one).err())
        .map(|mistake| mistake.to_string())
        .collect();
    match mistakes.is_empty() {
        true => Ok(()),
        false => Err(wrong(mistakes.join("\n"))),
    }
}

fn sources(typed: &[(Word, OsString)]) -> Result<Sources, UsageError> {
    let mut words = typed.iter().rev();
    let file = words.find(|(word, _)| word.name() == CONFIG.name);
    let file = file.map(|(_, text)| path(CONFIG.name, text)).transpose()?;
    Ok(Sources {
        flags: load::flags(of_settings(typed)),
        environment: Vec::new(),
        file,
    })
}

/// The value of a switch, the last that was typed.
fn is_on(name: &str, typed: &[(Word, OsString)]) -> Result<bool, UsageError> {
    let mut is_on = false;
    for (_, text) in typed.iter().filter(|(word, _)| word.name() == name) {
        is_on = switch(name, text)?;
    }
    Ok(is_on)
}

/// `true` or `false`.
fn switch(flag: &str, text: &OsStr) -> Result<bool, UsageError> {
    value::switch(text).map_err(|bad| bad_value(flag, &bad))
}

/// The name of a file, or of a socket.
fn path(flag: &str, text: &OsStr) -> Result<PathBuf, UsageError> {
    value::path(text).map_err(|bad| bad_value(flag, &bad))
}

fn of_settings(typed: &[(Word, OsString)]) -> impl Iterator<Item = (&'static Setting, OsString)> {
    typed.iter().filter_map(|(word, text)| match *word {
        Word::Setting(setting) => Some((setting, text.clone())),
        Word::Flag(_) => None,
    })
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

#[cfg(test)]
mod tests;
