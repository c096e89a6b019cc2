//! Configuration from the outside: a file, the environment and flags together, `conduit check`, and reloads.

use std::process::Command;

use crate::harness::TempDir;
use crate::harness::conduit::{CONDUIT, LOCAL, Run, ask};
use crate::harness::feed::plain;
use crate::harness::servers::Sink;

/// What `conduit check` with these flags and variables says: status, standard output, standard error.
fn check(flags: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(CONDUIT);
    command.arg("check").args(flags);
    command.envs(variables.iter().copied());
    let output = command.output().expect("conduit starts");
    let text = |bytes| String::from_utf8(bytes).expect("conduit speaks UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn check_says_that_all_is_right_or_all_that_is_wrong() {
    let dir = TempDir::new();
    let good = dir.write(
        "good.json",
        r#"{"webhookEndpoints": {"https://a.example": {"timeout": 5}}}"#,
    );
    let good = good.to_str().unwrap();
    let (status, stdout, _) = check(&["--config", good], &[]);
    assert_eq!(status, Some(0));
    assert_eq!(stdout, format!("{good} is right, 1 entry for endpoints\n"));
    let bad = dir.write(
        "bad.json",
        "{\"timeout\": 0,\n \"webhookEndpoints\": {\"https://a.example\": {\"timeout\": 5, \"retries\": 1}}}",
    );
    let bad = bad.to_str().unwrap();
    let variables = [("CONDUITLLM__WEBHOOKS__IDLE_TIMEOUT_MINUTES", "soon")];
    let flags = ["--config", bad, "--workers", "many"];
    let (status, stdout, stderr) = check(&flags, &variables);
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    let expected = [
        format!("conduit: {bad}:1:13: timeout: expected seconds from 0.001 to 3600, found 0"),
        format!("conduit: {bad}:2:59: webhookEndpoints[\"https://a.example\"].retries: no such setting"),
        "conduit: CONDUITLLM__WEBHOOKS__IDLE_TIMEOUT_MINUTES: expected minutes from 0 to 43200, found \"soon\"".into(),
        "conduit: --workers: expected a whole number from 1 to 256, found \"many\"".into(),
    ];
    assert_eq!(stderr.lines().collect::<Vec<_>>(), expected);
    // `run` says the same, and starts nothing.
    let mut command = Command::new(CONDUIT);
    command.arg("run").args(flags).envs(variables);
    let run = Run::start(&mut command).finish();
    assert_eq!((run.status, run.stderr), (Some(2), stderr));
}

#[test]
fn check_print_shows_what_holds_and_who_said_so_but_no_secret() {
    let dir = TempDir::new();
    let file = dir.write(
        "c.json",
        r#"{"timeout": 9, "webhookEndpoints": {
"https://*.example.com": {"maxConnections": 5, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
"https://a.example.com": {"timeout": 3, "headers": {"Authorization": "Bearer hush"}, "secret": [ ]}}}"#,
    );
    let name = file.to_str().unwrap();
    let flags = ["--print", "--config", name, "--ttl", "60"];
    let variables = [("CONDUITLLM__WEBHOOKS__IDLE_TIMEOUT_MINUTES", "1.5")];
    let (status, stdout, stderr) = check(&flags, &variables);
    assert_eq!(status, Some(0), "{stderr}");
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = stdout.lines().map(words).collect();
    for expected in [
        format!("timeout 9 {name}:1:13"),
        "ttl 60 flag".to_owned(),
        "idleTimeout 90 CONDUITLLM__WEBHOOKS__IDLE_TIMEOUT_MINUTES".to_owned(),
        "drainTimeout 5 built in".to_owned(),
        "https://*.example.com".to_owned(),
        format!("maxConnections 5 {name}:2:45"),
        format!("secret *** {name}:2:58"),
        "https://a.example.com".to_owned(),
        format!("timeout 3 {name}:3:38"),
        format!("headers *** {name}:3:52"),
        format!("secret none {name}:3:96"),
        "listen 127.0.0.1:5000 built in".to_owned(),
    ] {
        assert!(rows.contains(&words(&expected)), "{expected}\n{stdout}");
    }
    assert!(!format!("{stdout}{stderr}").contains("hush"), "{stdout}");
    assert!(!format!("{stdout}{stderr}").contains("whsec"), "{stdout}");
}

#[test]
fn run_follows_the_file_the_environment_and_flags_and_warns_of_what_is_odd() {
    let sink = Sink::start(1, &[]);
    let dir = TempDir::new();
    let file = dir.write(
        "c.json",
        r#"{"allowHttp": true, "timings": true, "maxJobBytes": "2k"}"#,
    );
    let mut command = Command::new(CONDUIT);
    command.arg("run").arg("--config").arg(&file);
    command.args(["--max-job-bytes", "1k"]);
    command.env("CONDUITLLM__WEBHOOKS__ALLOW_NET", "127.0.0.0/8");
    command.env("CONDUITLLM__WEBHOOKS__ALLOW_NETS", "10.0.0.0/8");
    let long = plain(&"x".repeat(200), &sink.urls[0]) + &" ".repeat(1_100) + "\n";
    let run = Run::start(&mut command).feed((plain("a", &sink.urls[0]) + &long).into());
    assert!(run.of("a").is_delivered(), "{}", run.stderr);
    assert!(run.of("a").timing("connect").is_some(), "timings are on");
    let hint = "\"CONDUITLLM__WEBHOOKS__ALLOW_NETS\" is no setting: did you mean CONDUITLLM__WEBHOOKS__ALLOW_NET?";
    assert!(run.stderr.contains(hint), "{}", run.stderr);
    let exposed = "may be read by everybody";
    assert_eq!(
        run.stderr.contains(exposed),
        is_open(&file),
        "{}",
        run.stderr
    );
}

#[test]
fn an_endpoint_has_settings_of_its_own_and_its_jobs_go_before_them() {
    let sink = Sink::start(3, &["--status", "503"]);
    let [own, other, third] = [0, 1, 2].map(|n| sink.urls[n].trim_end_matches('/').to_owned());
    let dir = TempDir::new();
    let file = dir.write(
        "c.json",
        &format!(
            r#"{{"defaults": {{"retrySchedule": [0.01], "maxQueued": 7}}, "webhookEndpoints": {{
                "{own}": {{"retrySchedule": [0.01, 0.01, 0.01], "ttl": 20}},
                "{third}": {{"retryStatuses": [], "ttl": 30}}}}}}"#
        ),
    );
    let mut command = Command::new(CONDUIT);
    command
        .arg("run")
        .args(LOCAL)
        .args(["--retry-schedule", ""]);
    command.arg("--config").arg(&file);
    let feed: String = [("own", &own), ("other", &other), ("third", &third)]
        .iter()
        .map(|(id, url)| plain(id, url))
        .collect();
    let run = Run::start(&mut command).feed(feed.into());
    assert_eq!(run.of("own").attempts(), 4, "a flag does not override it");
    assert_eq!(run.of("other").attempts(), 1, "the flag");
    assert_eq!(run.of("third").outcome(), "rejected");
    assert!(sink.stop().statuses.iter().all(|status| *status == 503));
}

fn is_open(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let mode = std::fs::metadata(path).expect("it was written").mode();
    mode & 0o004 != 0
}

#[test]
fn a_file_that_is_not_there_is_exit_status_2() {
    let (status, stdout, stderr) =
        ask(&[&["run", "--config", "/nonexistent"][..], &LOCAL].concat());
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("--config: \"/nonexistent\""), "{stderr}");
}
