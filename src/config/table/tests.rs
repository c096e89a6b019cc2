//! The table as a whole: every row has its place, its range and its line in the README.

use super::*;

fn find(name: &str) -> &'static Setting {
    SETTINGS
        .iter()
        .find(|setting| setting.name == name)
        .unwrap()
}

#[test]
fn names_are_unique_and_become_flags() {
    let all = SETTINGS.iter().chain(ENDPOINT_SETTINGS);
    let mut names: Vec<&str> = all.map(|setting| setting.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SETTINGS.len() + ENDPOINT_SETTINGS.len());
    for (name, flag) in [
        ("ttl", "ttl"),
        ("maxConnections", "max-connections"),
        ("maxResponseHeaderBytes", "max-response-header-bytes"),
        ("caFile", "ca-file"),
    ] {
        assert_eq!(find(name).flag(), flag);
    }
}

#[test]
fn every_setting_has_its_own_place() {
    let changed = |setting: &Setting| {
        let text = match setting.kind {
            Kind::Seconds(..) | Kind::Count(..) => "7",
            Kind::Bytes(MIB, ..) => "77m",
            Kind::Bytes(..) => "77k",
            Kind::Switch(_) if setting.default == Default::Value("true") => "false",
            Kind::Switch(_) => "true",
            Kind::Nets(_) => "10.0.0.0/8",
            Kind::Nat64(_) => "64:ff9b::/96",
            Kind::Ports(_) => "22",
            Kind::Schedule(..) => "7,7",
            Kind::Statuses(_) => "404",
            Kind::Uids(_) => "1000",
            Kind::Rate(..) => "7.5",
            Kind::Headers(_) => r#"{"X-A":"a"}"#,
            Kind::Secrets(_) => r#""whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw""#,
            Kind::Word(..) | Kind::File(_) | Kind::Path(_) => "some.file",
            Kind::Listen(_) => "none",
            Kind::Choice(words, _) => words[1],
        };
        let mut settings = Settings::default();
        settings.put(setting, OsStr::new(text)).unwrap();
        settings
    };
    let rows: Vec<&Setting> = SETTINGS.iter().chain(ENDPOINT_SETTINGS).collect();
    let all: Vec<Settings> = rows.iter().map(|row| changed(row)).collect();
    for (index, settings) in all.iter().enumerate() {
        assert_ne!(
            *settings,
            Settings::default(),
            "{} is put nowhere",
            rows[index].name
        );
        assert!(
            !all[..index].contains(settings),
            "{} is put where another is",
            rows[index].name
        );
    }
}

#[test]
fn ranges_hold_at_both_ends() {
    for (name, inside, outside) in [
        ("maxConnections", ["1", "65535"], ["0", "65536"]),
        ("timeout", ["0.001", "3600"], ["0", "3600.001"]),
        ("ttl", ["0.001", "2592000"], ["0", "2592001"]),
        ("idleTimeout", ["0", "2592000"], ["-1", "2592001"]),
        ("keepAliveDelay", ["1", "32767"], ["0.9", "32768"]),
        ("maxJobBytes", ["1k", "1g"], ["1023", "2g"]),
        ("maxDrainBytes", ["0", "1g"], ["", "2g"]),
        ("responseBytes", ["0", "1m"], ["-1", "2m"]),
        ("workers", ["1", "256"], ["0", "257"]),
    ] {
        let setting = find(name);
        let mut settings = Settings::default();
        for text in inside {
            assert_eq!(settings.put(setting, OsStr::new(text)), Ok(()), "{name}");
        }
        for text in outside {
            let refused = settings.put(setting, OsStr::new(text));
            assert!(refused.is_err(), "{name} took {text:?}");
        }
    }
}

#[test]
fn choices_and_their_words_go_together() {
    assert_eq!(LEVELS.len(), LEVEL_FILTERS.len());
    for (word, filter) in LEVELS.iter().zip(LEVEL_FILTERS) {
        assert_eq!(filter.as_str().to_lowercase(), *word);
    }
    assert_eq!(FORMATS.len(), LOG_FORMATS.len());
    assert_eq!(ON_CIRCUIT_OPEN, ["hold", "fail"]);
    assert_eq!(ON_CIRCUIT_OPENS, [OnCircuitOpen::Hold, OnCircuitOpen::Fail]);
    assert_eq!(FORMATS, ["text", "json"]);
    assert_eq!(LOG_FORMATS, [Format::Text, Format::Json]);
}

#[test]
fn an_endpoint_has_what_concerns_its_deliveries_connections_and_load() {
    let not_its_own = |setting: &&Setting| !setting.is_per_endpoint();
    let names = SETTINGS.iter().filter(not_its_own).map(|s| s.name);
    for name in names {
        let endpoint = Settings::default().endpoint;
        let mut settings = Settings::default();
        for text in ["7", "77k", "true", "22", "10.0.0.0/8", "error", "json"] {
            // Whichever of these it takes: none is put into an endpoint.
            let _refused = settings.put(find(name), OsStr::new(text));
        }
        assert_eq!(settings.endpoint, endpoint, "{name}");
    }
    for name in [
        "ttl",
        "responseBytes",
        "maxQueued",
        "keepAliveDelay",
        "keepAliveTimeout",
        "maxConnections",
        "onCircuitOpen",
        "region",
    ] {
        assert!(Setting::named(name).unwrap().is_per_endpoint(), "{name}");
    }
}

#[test]
fn the_readme_names_every_setting_with_its_default() {
    let readme = include_str!("../../../README.md");
    for setting in SETTINGS {
        let row = format!(
            "| `{}` | `--{}` | {} |",
            setting.name,
            setting.flag(),
            setting.default.words().unwrap_or("none")
        );
        assert!(readme.contains(&row), "README.md lacks the row {row}");
    }
    for setting in ENDPOINT_SETTINGS {
        let row = format!("| `{}` | ", setting.name);
        assert!(readme.contains(&row), "README.md lacks the row {row}");
    }
}
