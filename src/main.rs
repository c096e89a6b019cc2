//! The binary's root: from the command line to a command, from its end to an exit status.
//!
//! The pure core is the library beside it; here and in `io` live the words of the user and the syscalls.
//!
//! Not here: what a command line means (`flags`), what a command does (`commands`).

mod commands;
mod config;
mod flags;
mod io;
/// A table for its readers: what tests compare with the program and the README.
#[cfg(test)]
mod limits;

use std::process::ExitCode;

use crate::commands::exit;
use crate::config::Settings;
use crate::config::load::{Loaded, Sources};
use crate::config::source::Problem;
use crate::flags::{Command, HealthOptions, HealthPlace, UsageError};

fn main() -> ExitCode {
    io::log::install_panic_hook();
    let status = start();
    io::log::flush();
    status
}

fn start() -> ExitCode {
    match flags::parse(std::env::args_os().skip(1)) {
        Ok(command) => execute(command),
        Err(UsageError::Nothing) => complain(commands::help::nothing_typed()),
        Err(UsageError::Wrong(what)) => {
            let lines = what.lines().map(|line| format!("conduit: {line}\n"));
            complain(&lines.collect::<String>())
        }
    }
}

fn execute(command: Command) -> ExitCode {
    match command {
        Command::Run(options) => configured(options.sources, begin_run, commands::run::execute),
        Command::Check(options) => configured(options.sources, plain_log, |sources, loaded| {
            commands::check::execute(&sources, &loaded, options.print)
        }),
        Command::Explain(options) => configured(options.sources, plain_log, |_, loaded| {
            commands::explain::execute(&loaded, options.file.as_deref(), options.json)
        }),
        Command::Demo(options) => {
            install_log(&options.settings);
            commands::demo::execute(options)
        }
        Command::Submit(options) => {
            install_log(&Settings::default());
            commands::submit::execute(&options)
        }
        Command::Ctl(options) => {
            install_log(&Settings::default());
            commands::ctl::execute(&options)
        }
        Command::Top(options) => {
            install_log(&Settings::default());
            commands::top::execute(&options)
        }
        Command::Health(options) => {
            install_log(&Settings::default());
            ask_health(options)
        }
        Command::Sink(options) => {
            install_log(&Settings::default());
            commands::sink::execute(options)
        }
        Command::Help(topic) => {
            install_log(&Settings::default());
            commands::help::execute(topic)
        }
        Command::Version => {
            install_log(&Settings::default());
            commands::help::version()
        }
    }
}

fn install_log(settings: &Settings) {
    quiet_log(settings);
    io::log::start();
}

/// Before a run starts a thread, it has something to do: until then its lines wait.
fn begin_run(sources: &Sources, settings: &Settings) {
    quiet_log(settings);
    commands::run::announce(sources, settings);
}

fn quiet_log(settings: &Settings) {
    io::log::install(settings.log_level, settings.log_format);
}

/// Whatever the settings say: a person reads what a command that only looks at them has to say.
fn plain_log(_: &Sources, _: &Settings) {
    install_log(&Settings::default());
}

/// Executes a command with all that the sources say; what is odd in it is logged first.
fn configured(
    sources: Sources,
    log: impl FnOnce(&Sources, &Settings),
    command: impl FnOnce(Sources, Loaded) -> ExitCode,
) -> ExitCode {
    let sources = with_environment(sources);
    match sources.load() {
        Ok(loaded) => {
            log(&sources, &loaded.settings);
            for warning in &loaded.warnings {
                log::warn!(target: io::log::EACH, "{warning}");
            }
            command(sources, loaded)
        }
        Err(problems) => complain_of(&problems),
    }
}

/// Where to ask is what the same words and variables have told the conduit that is asked. Whatever else is wrong with
/// them by now, that one may be well.
fn ask_health(options: HealthOptions) -> ExitCode {
    if let Some(place) = options.place {
        return commands::health::execute(options.live, &place);
    }
    match with_environment(options.sources).listen() {
        Err(problem) => complain(&format!(
            "conduit: {problem} (--url or --listen says where to ask without it)\n"
        )),
        Ok(listen) => match HealthPlace::of(listen) {
            Some(place) => commands::health::execute(options.live, &place),
            None => complain(
                "conduit: listen: expected an address to ask at, found none (--url says where else)\n",
            ),
        },
    }
}

fn with_environment(sources: Sources) -> Sources {
    Sources {
        environment: std::env::vars_os().collect(),
        ..sources
    }
}

/// Says all that is wrong, one line each.
fn complain_of(problems: &[Problem]) -> ExitCode {
    let lines = problems
        .iter()
        .map(|problem| format!("conduit: {problem}\n"));
    complain(&lines.collect::<String>())
}

/// Wrong usage is no event of a running process, so it is no log line.
fn complain(text: &str) -> ExitCode {
    io::log::say(text);
    exit::usage()
}
