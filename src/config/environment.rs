//! The environment as a source of settings: `CONDUITLLM__WEBHOOKS__` and a setting's name in upper snake case.
//!
//! Four settings have the operations guide's names instead, and no other; two of them are in minutes.
//!
//! Not here: what goes before what (`load`), variables that are no settings (`CONDUIT_SOCKET` of the clients).

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::config::source::{Given, Problem, Said, Source};
use crate::config::spelling::nearest;
use crate::config::table::{Kind, SETTINGS, Setting};
use crate::config::{Settings, value};
use crate::io::log::quoted;

/// What every variable begins with.
pub const PREFIX: &str = "CONDUITLLM__WEBHOOKS__";

/// Settings with names of their own.
const GUIDES: [(&str, &str, Unit); 4] = [
    ("timeout", "DEFAULT_TIMEOUT", Unit::AsIs),
    ("maxConnections", "MAX_CONNECTIONS_PER_SERVER", Unit::AsIs),
    (
        "connectionLifetime",
        "CONNECTION_LIFETIME_MINUTES",
        Unit::Minutes,
    ),
    ("idleTimeout", "IDLE_TIMEOUT_MINUTES", Unit::Minutes),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// What the setting's flag takes.
    AsIs,
    Minutes,
}

/// The variable of a setting.
#[must_use]
pub fn variable(setting: &Setting) -> String {
    format!("{PREFIX}{}", rest_of_name(setting).0)
}

/// What the variables say, in the order of the table. What can't be understood goes to `problems`, a name that is no
/// setting's to `warnings`.
pub fn read(
    variables: &[(OsString, OsString)],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Said {
    let names: Vec<String> = SETTINGS.iter().map(variable).collect();
    for (name, _) in variables {
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) {
            if !names.iter().any(|known| *known == name) {
                warnings.push(unknown(&name, &names));
            }
        } else if let Some(meant) = near_miss(&name) {
            warnings.push(format!(
                "environment: {} is not read: did you mean {meant}?",
                quoted(&name)
            ));
        }
    }
    let mut said = Said::default();
    for setting in SETTINGS {
        match read_one(variables, setting) {
            Ok(one) => said.given.extend(one),
            Err(problem) => {
                said.refused.push(setting);
                problems.push(problem);
            }
        }
    }
    said
}

/// What the variables say of one setting.
///
/// # Errors
/// It can't be understood.
pub fn read_one(
    variables: &[(OsString, OsString)],
    setting: &'static Setting,
) -> Result<Option<Given>, Problem> {
    let name = variable(setting);
    let named = variables.iter().find(|(known, _)| *known == *name);
    named
        .map(|(_, text)| value_of(setting, text, &name))
        .transpose()
}

/// The variable that was meant by one without the prefix: with other separators or letters, one underscore, or with
/// the program's own name before the setting's. `CONDUIT_SOCKET` is no mistake: the clients read it.
fn near_miss(name: &str) -> Option<String> {
    /// Nobody means a setting by so long a name.
    const NAME_BYTES_MAX: usize = 100;
    if name.len() > NAME_BYTES_MAX || name == "CONDUIT_SOCKET" {
        return None;
    }
    let plain = plain(name);
    let rest = [
        "CONDUITLLMWEBHOOKS",
        "CONDUITWEBHOOKS",
        "CONDUITLLMWEBHOOK",
        "CONDUITLLM",
        "CONDUIT",
    ];
    let rests = rest.iter().filter_map(|prefix| plain.strip_prefix(prefix));
    let rests: Vec<&str> = rests.collect();
    let setting = SETTINGS.iter().find(|setting| {
        let own =
            [rest_of_name(setting).0, upper_snake(setting.name)].map(|name| self::plain(&name));
        rests.iter().any(|rest| own.iter().any(|name| name == rest))
    });
    match setting {
        Some(setting) => Some(variable(setting)),
        None => {
            let is_ours = plain.starts_with("CONDUITLLMWEBHOOKS");
            is_ours.then(|| format!("a name that begins with {PREFIX}"))
        }
    }
}

/// A name's letters and digits.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

fn unknown<'a>(name: &'a str, names: &'a [String]) -> String {
    let name_of = |setting: &Setting| {
        let plain = format!("{PREFIX}{}", upper_snake(setting.name));
        (plain == name).then(|| variable(setting))
    };
    let hint = SETTINGS.iter().find_map(name_of).or_else(|| {
        let rest = |name: &'a str| name.strip_prefix(PREFIX).unwrap_or(name);
        let meant = nearest(rest(name), names.iter().map(|name| rest(name)))?;
        Some(format!("{PREFIX}{meant}"))
    });
    let hint = hint.map_or(String::new(), |meant| format!(": did you mean {meant}?"));
    format!("environment: {} is no setting{hint}", quoted(name))
}

fn value_of(setting: &'static Setting, text: &OsStr, name: &str) -> Result<Given, Problem> {
    let text = match (setting.kind, rest_of_name(setting).1) {
        (Kind::Seconds(least, most, _), Unit::Minutes) => value::minutes(text, least, most)
            .map(in_seconds)
            .map_err(|bad| Problem::new(name, bad.to_string()))?,
        _ => text.to_owned(),
    };
    let given = Given {
        setting,
        text,
        source: Source::Environment(name.to_owned()),
    };
    let checked = Settings::default().put(setting, &given.text);
    match checked {
        Ok(()) => Ok(given),
        Err(bad) => Err(given.problem(&bad)),
    }
}

fn in_seconds(time: Duration) -> OsString {
    match time.subsec_nanos() {
        0 => time.as_secs().to_string(),
        nanos => format!("{}.{nanos:09}", time.as_secs()),
    }
    .into()
}

/// What follows the prefix.
fn rest_of_name(setting: &Setting) -> (String, Unit) {
    GUIDES
        .iter()
        .find(|(name, _, _)| *name == setting.name)
        .map_or_else(
            || (upper_snake(setting.name), Unit::AsIs),
            |(_, rest, unit)| ((*rest).to_owned(), *unit),
        )
}

fn upper_snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(variables: &[(&str, &str)]) -> (Vec<Given>, Vec<String>, Vec<String>) {
        let variables: Vec<(OsString, OsString)> = variables
            .iter()
            .map(|(name, text)| (name.into(), text.into()))
            .collect();
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let given = read(&variables, &mut problems, &mut warnings).given;
        let problems = problems.iter().map(Problem::to_string).collect();
        (given, problems, warnings)
    }

    #[test]
    fn the_guides_names_are_the_only_ones_of_their_settings() {
        let (given, problems, warnings) = read_all(&[
            ("CONDUITLLM__WEBHOOKS__DEFAULT_TIMEOUT", "12.5"),
            ("CONDUITLLM__WEBHOOKS__MAX_CONNECTIONS_PER_SERVER", "7"),
            ("CONDUITLLM__WEBHOOKS__CONNECTION_LIFETIME_MINUTES", "5"),
            ("CONDUITLLM__WEBHOOKS__IDLE_TIMEOUT_MINUTES", "0.5"),
        ]);
        let given: Vec<_> = given
            .iter()
            .map(|given| (given.setting.name, given.text.to_str().unwrap()))
            .collect();
        assert_eq!(
            given,
            [
                ("timeout", "12.5"),
                ("maxConnections", "7"),
                ("connectionLifetime", "300"),
                ("idleTimeout", "30"),
            ]
        );
        assert_eq!((problems.len(), warnings.len()), (0, 0));
        for (name, meant) in [
            ("TIMEOUT", "DEFAULT_TIMEOUT"),
            ("MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_SERVER"),
            ("CONNECTION_LIFETIME", "CONNECTION_LIFETIME_MINUTES"),
            ("IDLE_TIMEOUT", "IDLE_TIMEOUT_MINUTES"),
        ] {
            let (given, problems, warnings) = read_all(&[(&format!("{PREFIX}{name}"), "5")]);
            assert_eq!((given.len(), problems.len()), (0, 0));
            let hint = format!("did you mean {PREFIX}{meant}?");
            assert!(warnings[0].ends_with(&hint), "{warnings:?}");
        }
    }

    #[test]
    fn every_other_setting_has_its_name_in_upper_snake_case() {
        let setting = |name| SETTINGS.iter().find(|setting| setting.name == name);
        for (name, expected) in [
            ("ttl", "CONDUITLLM__WEBHOOKS__TTL"),
            ("maxPendingBytes", "CONDUITLLM__WEBHOOKS__MAX_PENDING_BYTES"),
            ("socket", "CONDUITLLM__WEBHOOKS__SOCKET"),
        ] {
            assert_eq!(variable(setting(name).unwrap()), expected);
        }
        let mut names: Vec<String> = SETTINGS.iter().map(variable).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }

    #[test]
    fn f142_a_name_that_is_nearly_right_is_told_with_the_right_one() {
        for (name, expected) in [
            ("CONDUITLLM_WEBHOOKS_SPOOL", Some("SPOOL")),
            ("CONDUITLLM_WEBHOOKS__MAX_PENDING", Some("MAX_PENDING")),
            ("CONDUITLLM__WEBHOOKS_MAX_PENDING", Some("MAX_PENDING")),
            ("conduitllm__webhooks__spool", Some("SPOOL")),
            ("CONDUITLLM__WEBHOOK__SPOOL", Some("SPOOL")),
            ("CONDUITLLM:WEBHOOKS:MaxPending", Some("MAX_PENDING")),
            ("CONDUIT_WEBHOOKS_TIMEOUT", Some("DEFAULT_TIMEOUT")),
            ("CONDUIT__SPOOL", Some("SPOOL")),
            ("CONDUIT_SPOOL", Some("SPOOL")),
            ("CONDUITLLM_WEBHOOKS_NONE_SUCH", Some("")),
            ("CONDUIT_SOCKET", None),
            ("CONDUIT_PORT", None),
            ("CONDUIT_SERVICE_HOST", None),
            ("CONDUITLLM__OTHER__MAX_PENDING", None),
            ("SPOOL", None),
            ("PATH", None),
        ] {
            let (given, problems, warnings) = read_all(&[(name, "1")]);
            assert_eq!((given.len(), problems.len()), (0, 0));
            let found = warnings.first().map(String::as_str);
            match expected {
                Some(expected) => {
                    let hint = format!("{PREFIX}{expected}?");
                    assert!(
                        found.is_some_and(|found| found.ends_with(&hint)),
                        "{name}: {found:?}"
                    );
                }
                None => assert_eq!(found, None, "{name}"),
            }
        }
    }

    #[test]
    fn an_empty_value_is_the_empty_list_and_nothing_else() {
        let (given, problems, _) = read_all(&[
            ("CONDUITLLM__WEBHOOKS__RETRY_SCHEDULE", ""),
            ("CONDUITLLM__WEBHOOKS__TTL", ""),
        ]);
        assert_eq!(given.len(), 1);
        let mut settings = Settings::default();
        settings.put(given[0].setting, &given[0].text).unwrap();
        assert!(settings.endpoint.retry_schedule.is_empty());
        assert_eq!(
            problems,
            [r#"CONDUITLLM__WEBHOOKS__TTL: expected seconds from 0.001 to 2592000, found """#]
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_and_a_strange_name_is_a_warning() {
        let (given, problems, warnings) = read_all(&[
            ("CONDUITLLM__WEBHOOKS__IDLE_TIMEOUT_MINUTES", "50000"),
            ("CONDUITLLM__WEBHOOKS__MAX_PENDING", "many"),
            ("CONDUITLLM__WEBHOOKS__MAX_PENDNIG", "1"),
            ("CONDUITLLM__WEBHOOKS__X\n", "1"),
            ("CONDUITLLM__OTHER__MAX_PENDING", "x"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(given.len(), 0);
        assert_eq!(
            problems,
            [
                r#"CONDUITLLM__WEBHOOKS__IDLE_TIMEOUT_MINUTES: expected minutes from 0 to 43200, found "50000""#,
                r#"CONDUITLLM__WEBHOOKS__MAX_PENDING: expected a whole number from 1 to 100000000, found "many""#,
            ]
        );
        assert_eq!(
            warnings,
            [
                "environment: \"CONDUITLLM__WEBHOOKS__MAX_PENDNIG\" is no setting: did you mean \
                 CONDUITLLM__WEBHOOKS__MAX_PENDING?",
                "environment: \"CONDUITLLM__WEBHOOKS__X\\n\" is no setting",
            ]
        );
    }
}
