//! The texts of `--help` and `--version`, rendered from the table of settings for 80 columns.
//!
//! Not here: what a flag means (`flags`), ranges and defaults (`config/table`).

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::commands::{complain, exit};
use crate::config::table::{Default, Group, Kind, Setting};
use crate::flags::{Flag, Topic};
use crate::io::stdio;

/// Columns that every terminal has.
const WIDTH: usize = 80;

/// Where the explanations start: behind the longest flag.
const EXPLAINED_FROM: usize = 37;

const ABOUT: &str = "\
Usage: conduit COMMAND [OPTIONS]

Sends webhooks: JSON lines in, HTTP requests out over pooled connections, one
result line for each job.

Commands:
  run     deliver jobs from standard input, results to standard output
  check   say what is wrong with the configuration, or what holds
  explain say what would happen to jobs, and send nothing
  submit  send jobs to a running conduit, over its Unix socket
  ctl     steer a running conduit: status, breakers, limits, dead letters
  top     show how the endpoints of a running conduit are, again and again
  health  ask a running conduit whether all is well, for health checks
  sink    receive requests, for trials and tests
  demo    deliver 1,000 webhooks to a receiver of its own, and say how it went
  help    explain a command

  -h, --help       this text, or that of a command: conduit run --help
  -V, --version    the version

Try: conduit demo
";

const RUN: &str = "\
Usage: conduit run [OPTIONS] < JOBS > RESULTS

Delivers jobs: one JSON object a line on standard input, one result line for
each on standard output, in the order in which jobs end. Ends when standard
input has ended and every job has its result; with --socket, when it is told to.

  {\"url\":\"https://example.com/hook\",\"payload\":{\"event\":\"paid\"}}

Every setting is also a key of the --config file, and an environment variable:
--max-pending is CONDUITLLM__WEBHOOKS__MAX_PENDING. Flags go before variables,
variables before the file.

Exit status: 0 all delivered, 1 not all, 2 wrong usage, 3 could not start or
go on, 128 + N ended by a second signal N. With --socket 0 after SIGTERM,
SIGINT, ctl drain or, without a --config to read again, SIGHUP.
";

const CHECK: &str = "\
Usage: conduit check [OPTIONS]

Reads flags, environment and --config file as conduit run would, and says all
that is wrong with them, each with its place; it starts nothing. Takes every
flag of conduit run (see conduit run --help).

Exit status: 0 all is right, 2 something is wrong.
";

const EXPLAIN: &str = "\
Usage: conduit explain [OPTIONS] [FILE]

Says of each job line in FILE, else (or with -) on standard input, what would
happen to it: whether it may be sent, with which request, under which settings
and where each of them comes from. Takes every flag of conduit run (see conduit
run --help). Sends nothing and looks up no names.

Exit status: 0 all may be sent, as far as can be said without their addresses,
1 not all, 2 wrong usage, 3 the lines can't be read.
";

const SUBMIT: &str = "\
Usage: conduit submit [OPTIONS] [FILE]

Sends job lines from FILE, else (or with -) from standard input, to a running
conduit, and prints its first answer to each: accepted, or why not.

Exit status: 0 all accepted (with --wait: delivered), 1 not all, 2 wrong usage,
3 could not connect, or the connection was lost.
";

const CTL: &str = "\
Usage: conduit ctl status|endpoints|reload [OPTIONS]
       conduit ctl drain [--cancel] [OPTIONS]
       conduit ctl breaker reset|isolate ORIGIN [OPTIONS]
       conduit ctl set ORIGIN KEY=VALUE [OPTIONS]
       conduit ctl dead list|export|replay|purge [OPTIONS]

Steers a running conduit over its Unix socket.

  status     how it is
  endpoints  how each endpoint is, the worst first
  drain      take no more jobs, and end when every job has its result
  breaker    close an endpoint's circuit breaker, or hold it open until reset
  set        change a limit of an endpoint until the next start
  reload     read the configuration again: all of it takes effect, or none
  dead       what the spool keeps of jobs that failed for good: list them,
             export them as job lines for conduit submit, replay or purge them

Exit status: 0 done, 1 refused, 2 wrong usage, 3 could not connect, or the
connection was lost.
";

const SINK: &str = "\
Usage: conduit sink [OPTIONS]

Answers every HTTP request alike, and prints where it listens. Counts by status
are printed at the end (SIGINT or SIGTERM).
";

const TOP: &str = "\
Usage: conduit top [OPTIONS]

Shows how the endpoints of a running conduit are, the worst first, again and
again. Standard output must be a terminal; q ends it.

Exit status: 0 ended by a key or a signal, 1 refused, 2 wrong usage, 3 no
terminal, could not connect, or the connection was lost.
";

const HEALTH: &str = "\
Usage: conduit health [OPTIONS]

Asks /health/ready (with --live: /health/live) of a running conduit, and prints
the answer. Where, is said by --url, else by --listen, its variable or its key
in the --config file, of which nothing else is read.

Exit status: 0 Healthy or Degraded, 1 Unhealthy or no answer, 2 wrong usage, or
nothing says where.
";

const DEMO: &str = "\
Usage: conduit demo [OPTIONS]

Starts a receiver on ports of its own at 127.0.0.1, delivers 1,000 generated
jobs over 10 origins by plain HTTP, and sums up: latencies, connections, reuse.
Exit status: 0 if all were delivered.
";

const NOTHING: &str = "\
Usage: conduit run|check|explain|submit|ctl|top|health|sink|demo|help [OPTIONS]
Try conduit demo, or conduit --help.
";

const VALUES: &str = "\
Seconds may have a fraction (2.5); BYTES take k, m or g (64k); a switch takes
=false; lists grow with each flag, an empty value starts them anew.
";

/// The text about `topic`.
#[must_use]
pub fn text(topic: Topic) -> String {
    let about = match topic {
        Topic::Commands => return ABOUT.to_owned(),
        Topic::Run => RUN,
        Topic::Check => CHECK,
        Topic::Explain => EXPLAIN,
        Topic::Submit => SUBMIT,
        Topic::Ctl => CTL,
        Topic::Top => TOP,
        Topic::Health => HEALTH,
        Topic::Sink => SINK,
        Topic::Demo => DEMO,
    };
    let mut out = about.to_owned();
    let flags = topic.flags().iter().map(flag_row);
    match topic {
        // A few settings stand among the flags; all there are stand under headings, in the text of run.
        Topic::Health | Topic::Demo => {
            section(&mut out, "Options", flags.chain(topic.settings().map(row)));
        }
        _ => section(&mut out, "Options", flags),
    }
    if topic == Topic::Run {
        for group in Group::ALL {
            let settings = topic.settings().filter(|setting| setting.group == group);
            section(&mut out, group.title(), settings.map(row));
        }
        out.push('\n');
        out.push_str(VALUES);
    }
    out
}

/// What is said to somebody who typed nothing.
#[must_use]
pub const fn nothing_typed() -> &'static str {
    NOTHING
}

/// Prints the text about `topic`.
pub fn execute(topic: Topic) -> ExitCode {
    print(&text(topic))
}

/// Prints name and version.
pub fn version() -> ExitCode {
    print(concat!("conduit ", env!("CARGO_PKG_VERSION"), "\n"))
}

/// Prints a text. A reader that has seen enough (`conduit --help | head`) is told nothing more, but the status says so.
pub fn print(text: &str) -> ExitCode {
    let written = || {
        let mut stdout = stdio::output()?;
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    };
    match written() {
        Ok(()) => exit::DONE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::unable(),
        Err(error) => {
            complain(&format!("can't write to standard output: {error}"));
            exit::unable()
        }
    }
}

/// A flag, and what it is.
struct Row {
    flag: String,
    words: String,
}

fn row(setting: &Setting) -> Row {
    let mut words = setting.help.to_owned();
    let mut flag = with_placeholder(&setting.flag(), setting.kind.placeholder());
    match (setting.kind, setting.default) {
        // A switch says what it does; only one that is on needs to be told that it can be off.
        (Kind::Switch(_), Default::Value("true")) => flag.push_str("=false"),
        (Kind::Switch(_), _) => {}
        (_, default) => {
            if let Some(default) = default.words() {
                add_default(&mut words, default);
            }
        }
    }
    Row { flag, words }
}

fn flag_row(flag: &Flag) -> Row {
    let mut words = flag.help.to_owned();
    if let Some(default) = flag.default {
        add_default(&mut words, default);
    }
    Row {
        flag: with_placeholder(flag.name, flag.placeholder),
        words,
    }
}

fn add_default(words: &mut String, default: &str) {
    write!(words, " [default: {default}]").expect("a String takes what is written");
}

fn with_placeholder(name: &str, placeholder: &str) -> String {
    match placeholder {
        "" => format!("  --{name}"),
        _ => format!("  --{name} {placeholder}"),
    }
}

fn section(out: &mut String, title: &str, rows: impl Iterator<Item = Row>) {
    write!(out, "\n{title}:\n").expect("a String takes what is written");
    for row in rows {
        out.push_str(&row.flag);
        let mut column = row.flag.len();
        for line in wrapped(&row.words, WIDTH - EXPLAINED_FROM) {
            let indent = EXPLAINED_FROM.saturating_sub(column).max(2);
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(&line);
            out.push('\n');
            column = 0;
        }
    }
}

/// `words` in lines of at most `width` columns, broken at spaces; what stands in brackets stays together where
/// it fits.
fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces(words, width) {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(piece);
        } else if line.len() + 1 + piece.len() <= width {
            line.push(' ');
            line.push_str(piece);
        } else {
            lines.push(piece.to_owned());
        }
    }
    lines
}

fn pieces(words: &str, width: usize) -> impl Iterator<Item = &str> {
    let (text, bracket) = match words.find('[') {
        Some(start) if words.len() - start <= width => words.split_at(start),
        Some(_) | None => (words, ""),
    };
    let bracket = Some(bracket).filter(|bracket| !bracket.is_empty());
    text.split_ascii_whitespace().chain(bracket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPICS: [Topic; 10] = [
        Topic::Commands,
        Topic::Run,
        Topic::Check,
        Topic::Explain,
        Topic::Submit,
        Topic::Ctl,
        Topic::Top,
        Topic::Health,
        Topic::Sink,
        Topic::Demo,
    ];

    #[test]
    fn every_text_fits_a_terminal() {
        for topic in TOPICS {
            for line in text(topic).lines() {
                assert!(line.len() <= WIDTH, "{} columns: {line}", line.len());
                assert!(line.is_ascii(), "{line}");
                assert_eq!(line.trim_end(), line, "space at the end of {line:?}");
            }
        }
    }

    #[test]
    fn every_flag_of_a_command_stands_in_its_text() {
        for topic in [Topic::Run, Topic::Demo] {
            let text = text(topic);
            for setting in topic.settings() {
                let flag = with_placeholder(&setting.flag(), setting.kind.placeholder());
                let line = text.lines().find(|line| line.starts_with(&flag));
                assert!(line.is_some(), "{flag} is missing");
            }
        }
        for topic in [
            Topic::Run,
            Topic::Check,
            Topic::Submit,
            Topic::Ctl,
            Topic::Top,
            Topic::Health,
            Topic::Sink,
        ] {
            let text = text(topic);
            for flag in topic.flags() {
                assert!(text.contains(&format!("\n  --{} ", flag.name)), "{text}");
            }
        }
    }

    #[test]
    fn every_group_has_settings() {
        for group in Group::ALL {
            assert!(
                Topic::Run.settings().any(|setting| setting.group == group),
                "{group:?} is empty"
            );
        }
    }

    #[test]
    fn flags_are_explained_with_their_defaults() {
        let text = text(Topic::Run);
        for line in [
            "  --max-connections N                per origin: connecting, idle and active",
            "  --max-response-header-bytes BYTES  of a response's head, interim heads",
            "  --allow-http                       deliver to http:// too",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("ones [default: 50]\n"), "{text}");
    }

    #[test]
    fn lines_break_at_spaces_and_before_brackets() {
        for (words, expected) in [
            ("", &[""][..]),
            ("one two", &["one two"]),
            ("one two three", &["one two", "three"]),
            ("abcdefghijklm n", &["abcdefghijklm", "n"]),
            ("one [a: b]", &["one [a: b]"]),
            ("one two [a: b]", &["one two", "[a: b]"]),
            ("one [a: b c d e]", &["one [a: b", "c d e]"]),
        ] {
            assert_eq!(wrapped(words, 10), expected, "{words:?}");
        }
    }

    #[test]
    fn the_command_list_names_every_command() {
        for command in crate::flags::COMMANDS {
            assert!(ABOUT.contains(&format!("\n  {command} ")), "{command}");
            assert!(NOTHING.contains(command), "{command}");
        }
    }
}
