//! What was typed, and what it means.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

mod readme;

/// What a line means, the values of its settings checked.
fn parse_line(line: &[&str]) -> Result<Command, UsageError> {
    let command = parse(line.iter().map(OsString::from))?;
    if let Command::Run(options) = &command {
        let loaded = options.sources.load();
        loaded.map_err(|problems| UsageError::Wrong(problems[0].to_string()))?;
    }
    Ok(command)
}

fn run(line: &[&str]) -> Settings {
    match parse(["run"].iter().chain(line).map(OsString::from)) {
        Ok(Command::Run(options)) => {
            let mut settings = Settings::default();
            for (setting, text) in &options.sources.flags {
                settings.put(setting, text).expect("the setting takes it");
            }
            settings
        }
        other => panic!("{line:?} gave {other:?}"),
    }
}

fn sink(line: &[&str]) -> SinkOptions {
    match parse_line(&[&["sink"], line].concat()) {
        Ok(Command::Sink(options)) => options,
        other => panic!("{line:?} gave {other:?}"),
    }
}

#[test]
fn all_that_is_wrong_with_a_command_line_is_told_at_once() {
    for (line, expected) in [
        (
            "run --max-conections 5 --timeout x extra --ttl",
            &[
                "--max-connections?",
                "extra",
                "--ttl: expected a value",
                "--timeout: ",
            ][..],
        ),
        (
            "sink --status 7 --delay x --nonsense",
            &["--nonsense", "--status: ", "--delay: "],
        ),
        (
            "demo --workers 0 --max-connections x",
            &["--workers: ", "--max-connections: "],
        ),
        ("submit --wait=x --what a.ndjson", &["--what", "--wait: "]),
        (
            "ctl status --id x --all",
            &["--id: goes with", "--all: goes with"],
        ),
        (
            "ctl dead list --limit 0 --older-than x",
            &["--limit: ", "--older-than: "],
        ),
        ("top --interval x --json", &["--json", "--interval: "]),
        ("health --url x --live=7", &["--url: ", "--live: "]),
        ("explain --json=x -q", &["-q", "--json: "]),
    ] {
        let error = parse(line.split(' ').map(OsString::from))
            .expect_err(line)
            .to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{line}: {error}");
        for part in expected {
            assert!(
                lines.iter().any(|line| line.contains(part)),
                "{line}: {error}"
            );
        }
    }
}

#[test]
fn help_and_version_are_everywhere() {
    use Topic::{Commands, Demo, Run, Sink};
    for (line, expected) in [
        (&["--help"][..], Command::Help(Commands)),
        (&["-h"], Command::Help(Commands)),
        (&["help"], Command::Help(Commands)),
        (&["help", "help"], Command::Help(Commands)),
        (&["help", "--help"], Command::Help(Commands)),
        (&["help", "run"], Command::Help(Run)),
        (&["run", "--help"], Command::Help(Run)),
        (&["run", "-h"], Command::Help(Run)),
        (&["sink", "--status", "204", "-h"], Command::Help(Sink)),
        // Whoever asks for help gets it, though a value is wrong.
        (&["run", "--timeout", "soon", "--help"], Command::Help(Run)),
        (&["demo", "--help"], Command::Help(Demo)),
        (&["help", "demo"], Command::Help(Demo)),
        (&["--version"], Command::Version),
        (&["-V"], Command::Version),
        (&["run", "--version"], Command::Version),
        (&["sink", "-V"], Command::Version),
    ] {
        assert_eq!(parse_line(line), Ok(expected), "{line:?}");
    }
}

#[test]
fn what_is_wrong_is_one_line_that_names_it() {
    for (line, expected) in [
        (
            &["run", "--max-connections", "abc"][..],
            r#"--max-connections: expected a whole number from 1 to 65535, found "abc""#,
        ),
        (
            &["run", "--timeout=0"],
            r#"--timeout: expected seconds from 0.001 to 3600, found "0""#,
        ),
        (
            &["run", "--timeout"],
            "--timeout: expected a value, found nothing",
        ),
        (
            &["run", "--timings=maybe"],
            r#"--timings: expected true or false, found "maybe""#,
        ),
        (
            &["run", "--ca-file", ""],
            r#"--ca-file: expected a file's name, found """#,
        ),
        (
            &["run", "--allow-port", "22", "--allow-port", "x"],
            r#"--allow-port: expected a whole number from 1 to 65535, found "x""#,
        ),
        (
            &["run", "--max-conections", "5"],
            r#"run has no flag "--max-conections": did you mean --max-connections?"#,
        ),
        (
            &["run", "--maxConnections", "5"],
            r#"run has no flag "--maxConnections": did you mean --max-connections?"#,
        ),
        (
            &["run", "--frobnicate"],
            r#"run has no flag "--frobnicate": see conduit run --help"#,
        ),
        (
            &["run", "-x"],
            r#"run has no flag "-x": see conduit run --help"#,
        ),
        (
            &["run", "jobs.ndjson"],
            r#"run takes no argument, found "jobs.ndjson": jobs are read from standard input (conduit run < FILE)"#,
        ),
        (
            &["demo", "--ttl", "5"],
            r#"demo has no flag "--ttl": see conduit demo --help"#,
        ),
        (&["rum"], r#"no command "rum": did you mean run?"#),
        (
            &["frobnicate"],
            "no command \"frobnicate\": the commands are run, check, explain, submit, ctl, top, health, \
               sink, demo, help",
        ),
        (&["help", "rnu"], r#"no command "rnu": did you mean run?"#),
        (
            &["--timeout", "5", "run"],
            "expected a command (run, check, explain, submit, ctl, top, health, sink, demo, help), found \
             \"--timeout\": flags follow their command",
        ),
        (
            &["run", "a\nb"],
            r#"run takes no argument, found "a\nb": jobs are read from standard input (conduit run < FILE)"#,
        ),
        (
            &["sink", "--listen", "localhost:80"],
            r#"--listen: expected an IP address and a port, such as 127.0.0.1:8080 or [::1]:0, found "localhost:80""#,
        ),
        (
            &["sink", "--status", "100"],
            r#"--status: expected a whole number from 200 to 999, found "100""#,
        ),
        (
            &["sink", "--delay", "2-1"],
            r#"--delay: expected seconds from 0 to 3600, or two of them as MIN-MAX, found "2-1""#,
        ),
        (
            &["sink", "--tls", "cert.pem"],
            r#"--tls: expected two files' names, CERT,KEY, found "cert.pem""#,
        ),
    ] {
        let error = parse_line(line).unwrap_err();
        assert_eq!(error.to_string(), expected, "{line:?}");
    }
    assert_eq!(parse_line(&[]), Err(UsageError::Nothing));
}

#[test]
fn run_takes_every_setting() {
    for setting in SETTINGS {
        let flag = format!("--{}", setting.flag());
        match setting.default {
            table::Default::Value(text) => {
                assert_eq!(run(&[&format!("{flag}={text}")]), Settings::default());
            }
            table::Default::Machine(_) => {
                let text = match setting.kind {
                    table::Kind::Bytes(..) => "1m",
                    table::Kind::Listen(_) => "none",
                    _ => "3",
                };
                assert_ne!(run(&[&flag, text]), Settings::default());
            }
            table::Default::Nothing if setting.kind.is_list() => {
                assert_eq!(run(&[&flag, ""]), Settings::default());
            }
            table::Default::Nothing => {
                let is_bytes = matches!(setting.kind, table::Kind::Bytes(..));
                let text = if is_bytes { "77m" } else { "file" };
                assert_ne!(run(&[&flag, text]), Settings::default());
            }
        }
    }
    let settings = run(&["--max-connections", "7", "--timeout=2.5", "--timings"]);
    assert_eq!(settings.endpoint.max_connections, 7);
    assert_eq!(settings.endpoint.timeout, Duration::from_millis(2500));
    assert!(settings.timings);
    assert_eq!(run(&[]), Settings::default());
}

#[test]
fn switches_take_a_value_behind_an_equals_sign_only() {
    assert!(run(&["--allow-http"]).allow_http);
    assert!(!run(&["--allow-http", "--allow-http=false"]).allow_http);
    assert!(!run(&["--resend-stale=false"]).endpoint.resend_stale);
    let error = parse_line(&["run", "--allow-http", "false"]).unwrap_err();
    assert!(error.to_string().contains(r#"found "false""#), "{error}");
}

#[test]
fn lists_grow_with_each_flag_and_start_anew_with_an_empty_one() {
    for (line, expected) in [
        (&["--allow-port", "22"][..], &[22][..]),
        (&["--allow-port", "22,25", "--allow-port=26"], &[22, 25, 26]),
        (&["--allow-port", "22", "--allow-port", ""], &[]),
        (
            &["--allow-port=22", "--allow-port=", "--allow-port=25"],
            &[25],
        ),
    ] {
        assert_eq!(run(line).allow_port, expected, "{line:?}");
    }
    let nets = run(&["--allow-net", "10.0.0.0/8", "--allow-net=127.0.0.1/32:8443"]).allow_net;
    assert_eq!(nets.len(), 2);
    assert_eq!(nets[1].port, Some(8443));
}

#[test]
fn the_last_value_of_a_flag_counts() {
    assert_eq!(
        run(&["--max-pending", "5", "--max-pending", "6"]).max_pending,
        6
    );
}

#[test]
fn sink_options_as_typed_and_as_built_in() {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    assert_eq!(
        sink(&[]),
        SinkOptions {
            listen: vec![local],
            status: 200,
            delay: (Duration::ZERO, Duration::ZERO),
            tls: None,
            log: None,
        }
    );
    let options = sink(&[
        "--listen",
        "127.0.0.1:8080",
        "--listen=[::1]:0",
        "--status=503",
        "--delay",
        "0.005-0.2",
        "--tls",
        "cert.pem,key.pem",
        "--log",
        "requests.log",
    ]);
    assert_eq!(options.listen.len(), 2);
    assert_eq!(options.listen[1], "[::1]:0".parse().unwrap());
    assert_eq!(options.status, 503);
    assert_eq!(
        options.delay,
        (Duration::from_millis(5), Duration::from_millis(200))
    );
    assert_eq!(options.tls, Some(("cert.pem".into(), "key.pem".into())));
    assert_eq!(options.log, Some("requests.log".into()));
    let second = Duration::from_secs(1);
    assert_eq!(sink(&["--delay", "1"]).delay, (second, second));
}

#[test]
fn demo_takes_a_few_settings() {
    let Ok(Command::Demo(options)) = parse_line(&["demo", "--workers", "2", "--max-connections=5"])
    else {
        panic!("demo was not understood")
    };
    assert_eq!(options.settings.workers, Some(2));
    assert_eq!(options.settings.endpoint.max_connections, 5);
    assert_eq!(Topic::Demo.settings().count(), DEMO_SETTINGS.len());
}

#[cfg(unix)]
#[test]
fn words_that_are_no_text_are_refused_or_file_names() {
    use std::os::unix::ffi::OsStringExt;
    let raw = OsString::from_vec(b"ca-\xff.pem".to_vec());
    let words = [
        OsString::from("run"),
        OsString::from("--ca-file"),
        raw.clone(),
    ];
    match parse(words) {
        Ok(Command::Run(options)) => assert_eq!(options.sources.flags[0].1, raw),
        other => panic!("{other:?}"),
    }
    assert!(matches!(parse([raw.clone()]), Err(UsageError::Wrong(_))));
    let words = [OsString::from("run"), OsString::from("--ttl"), raw];
    match parse(words) {
        Ok(Command::Run(options)) => assert!(options.sources.load().is_err()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn submit_takes_one_file() {
    let submit = |file: Option<&str>, wait| {
        Ok(Command::Submit(SubmitOptions {
            file: file.map(PathBuf::from),
            socket: Some(PathBuf::from("/s")),
            wait,
        }))
    };
    assert_eq!(
        parse_line(&["submit", "--socket", "/s"]),
        submit(None, false)
    );
    assert_eq!(
        parse_line(&["submit", "-", "--socket", "/s"]),
        submit(None, false),
        "a dash is standard input"
    );
    assert_eq!(
        parse_line(&["submit", "f", "--wait", "--socket=/s"]),
        submit(Some("f"), true)
    );
    for (words, expected) in [
        (
            &["submit", "a", "b"][..],
            "submit: unexpected \"b\": it takes one file",
        ),
        (
            &["submit", "--socket", ""],
            "--socket: expected a file's name, found \"\"",
        ),
        (
            &["submit", "--wait=maybe"],
            "--wait: expected true or false, found \"maybe\"",
        ),
    ] {
        assert_eq!(
            parse_line(words),
            Err(UsageError::Wrong(expected.to_owned())),
            "{words:?}"
        );
    }
}
