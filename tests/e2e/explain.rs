//! What `conduit explain` says of jobs, and what it keeps to itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::harness::TempDir;
use crate::harness::conduit::ask;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The exit status, and what is said, for these job lines.
fn explain(jobs: &[Value], flags: &[&str]) -> (Option<i32>, String) {
    let dir = TempDir::new();
    let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let feed = dir.write("jobs", &lines);
    let settings = json!({
        "idleTimeout": 30,
        "webhookEndpoints": {
            "https://signed.example": {
                "secret": SECRET, "headers": {"Authorization": "Bearer t0ken"}, "timeout": 7,
            },
        },
    });
    let config = dir.write("conduit.json", &settings.to_string());
    fs::set_permissions(&config, Permissions::from_mode(0o600)).expect("the file is ours");
    let (feed, config) = (feed.to_string_lossy(), config.to_string_lossy());
    let mut arguments = vec!["explain", &*feed, "--config", &*config];
    arguments.extend(flags);
    let (status, stdout, stderr) = ask(&arguments);
    assert_eq!(stderr, "");
    (status, stdout)
}

fn in_json(jobs: &[Value], flags: &[&str]) -> (Option<i32>, Vec<Value>) {
    let (status, stdout) = explain(jobs, &[flags, &["--json"]].concat());
    let lines = stdout.lines().map(serde_json::from_str);
    (status, lines.map(|line| line.expect("JSON")).collect())
}

#[test]
fn a_job_is_shown_with_its_request_and_the_source_of_each_setting() {
    let job = json!({
        "id": "a", "url": "https://signed.example/hook?key=5ecret", "ttl": 60, "payload": {"x": 1},
        "headers": {"X-Key": "hush"},
    });
    let (status, said) = in_json(std::slice::from_ref(&job), &["--drain-timeout", "3"]);
    let [said] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(
        (status, &said["verdict"]),
        (Some(0), &json!("dependsOnAddress"))
    );
    assert!(
        said["reason"].as_str().unwrap().contains("not looked up"),
        "{said}"
    );
    let request = said["request"].as_str().unwrap();
    assert!(
        request.starts_with("POST /hook?*** HTTP/1.1\nHost: signed.example\n"),
        "{request}"
    );
    for line in [
        "webhook-id: a",
        "Content-Length: 7",
        "X-Key: ***",
        "Authorization: ***",
    ] {
        assert!(
            request.lines().any(|other| other == line),
            "{line}: {request}"
        );
    }
    let signature = request
        .lines()
        .find(|line| line.starts_with("webhook-signature: v1,"));
    assert_eq!(signature.map(str::len), Some(19 + 47), "{request}");
    for (name, value, source) in [
        ("ttl", "60", "job"),
        ("timeout", "7", "(https://signed.example)"),
        ("secret", "***", "(https://signed.example)"),
        ("idleTimeout", "30", "conduit.json:1:"),
        ("drainTimeout", "3", "flag"),
        ("connectTimeout", "5", "built in"),
    ] {
        let setting = &said["settings"][name];
        assert_eq!(setting["value"], value, "{name}: {said}");
        assert!(
            setting["source"].as_str().unwrap().contains(source),
            "{name}: {said}"
        );
    }
    let (_, text) = explain(&[job], &[]);
    assert!(
        text.starts_with("line 1 a https://signed.example\n  dependsOnAddress: "),
        "{text}"
    );
    for hidden in ["5ecret", "t0ken", "hush", "MfKQ"] {
        assert!(
            !text.contains(hidden) && !said.to_string().contains(hidden),
            "{text}"
        );
    }
}

#[test]
fn what_would_be_refused_is_told_with_its_reason() {
    let jobs = [
        json!({"id": "http", "url": "http://example.com/"}),
        json!({"id": "private", "url": "https://10.0.0.1/"}),
        json!({"id": "port", "url": "https://8.8.8.8:25/"}),
        json!({"id": "name-port", "url": "https://example.com:25/"}),
        json!({"id": "local", "url": "https://localhost/"}),
        json!({"id": "good", "url": "https://8.8.8.8/"}),
        json!({"id": "d.t", "url": "https://signed.example/"}),
        json!({"id": "typo", "uri": "https://example.com/"}),
    ];
    let (status, said) = in_json(&jobs, &[]);
    assert_eq!((status, said.len()), (Some(1), jobs.len()));
    for (said, (verdict, words)) in said.iter().zip([
        ("blocked", "--allow-http"),
        ("blocked", "--allow-net 10.0.0.1/32"),
        ("blocked", "--allow-port 25"),
        ("blocked", "port 25 is forbidden at every address"),
        ("blocked", "127.0.0.1 is loopback"),
        ("allowed", "8.8.8.8:443"),
        ("invalid", "dot"),
        ("invalid", "did you mean url?"),
    ]) {
        assert_eq!(said["verdict"], verdict, "{said}");
        assert!(said["reason"].as_str().unwrap().contains(words), "{said}");
    }
    let (status, said) = in_json(&jobs[4..5], &["--allow-net", "127.0.0.0/8"]);
    assert_eq!((status, &said[0]["verdict"]), (Some(0), &json!("allowed")));
    // A port that is closed to all addresses is closed to a name's, unless an entry opens it for some.
    for (flags, status, verdict) in [
        (["--allow-net", "10.0.0.0/8"], 1, "blocked"),
        (["--allow-net", "10.0.0.0/8:26"], 1, "blocked"),
        (["--allow-net", "10.0.0.0/8:25"], 0, "dependsOnAddress"),
        (["--allow-port", "25"], 0, "dependsOnAddress"),
    ] {
        let (exit, said) = in_json(&jobs[3..4], &flags);
        assert_eq!(
            (exit, &said[0]["verdict"]),
            (Some(status), &json!(verdict)),
            "{flags:?}"
        );
    }
}

#[test]
fn what_is_odd_in_the_configuration_is_warned_of() {
    let dir = TempDir::new();
    let config = dir.write("c.json", "{}");
    fs::set_permissions(&config, Permissions::from_mode(0o644)).expect("the file is ours");
    let config = config.to_str().expect("a plain name");
    for command in ["explain", "check", "run"] {
        // Whoever asks sees it; a run says what its settings let it say.
        let (status, _, stderr) = ask(&[command, "--config", config, "--listen", "none"]);
        let mut lines = stderr.lines();
        let is_told =
            lines.any(|line| line.contains(" WARN ") && line.contains("may be read by everybody"));
        assert!(is_told && status == Some(0), "{command}: {stderr}");
        let (_, _, stderr) = ask(&[
            command,
            "--config",
            config,
            "--listen",
            "none",
            "--log-level",
            "error",
        ]);
        assert_eq!(stderr.is_empty(), command == "run", "{command}: {stderr}");
    }
}

#[test]
fn of_secret_and_secret_file_the_one_that_signs_is_shown() {
    let dir = TempDir::new();
    let file = dir.write("secret", SECRET);
    let file = file.to_str().expect("a plain name");
    let config = dir.write(
        "c.json",
        &json!({
            "defaults": {"secretFile": file},
            "webhookEndpoints": {
                "https://*.example.com": {"secret": SECRET},
                "https://a.example.com": {"secretFile": file},
            },
        })
        .to_string(),
    );
    let config = config.to_str().expect("a plain name");
    let feed: String = [
        json!({"url": "https://a.example.com/"}),
        json!({"url": "https://b.example.com/"}),
        json!({"url": "https://other.example/"}),
        json!({"url": "https://a.example.com/", "secret": SECRET}),
    ]
    .iter()
    .map(|job| format!("{job}\n"))
    .collect();
    let feed = dir.write("jobs", &feed);
    let feed = feed.to_str().expect("a plain name");
    let (_, stdout, _) = ask(&["explain", feed, "--json", "--config", config]);
    let shown: Vec<(Value, Value)> = stdout
        .lines()
        .map(|line| {
            let said: Value = serde_json::from_str(line).expect("JSON");
            let value = |name: &str| said["settings"][name]["value"].clone();
            (value("secret"), value("secretFile"))
        })
        .collect();
    let (hidden, none) = (json!("***"), Value::Null);
    let expected = [
        (none.clone(), json!(file)),
        (hidden.clone(), none.clone()),
        (none.clone(), json!(file)),
        (hidden, none),
    ];
    assert_eq!(shown, expected, "{stdout}");
    let (_, stdout, _) = ask(&["check", "--print", "--config", config]);
    let blocks: Vec<&str> = stdout.split("\n\n").collect();
    let has = |block: &str, name: &str| {
        let mut lines = block.lines();
        lines.any(|line| line.starts_with(&format!("{name} ")))
    };
    for (block, name) in [(0, "secretFile"), (1, "secret"), (2, "secretFile")] {
        for other in ["secret", "secretFile"] {
            assert_eq!(has(blocks[block], other), other == name, "{stdout}");
        }
    }
}

#[test]
fn wrong_usage_is_exit_2_and_lines_that_cannot_be_read_are_3() {
    for (arguments, status) in [
        (["explain", "/nonexistent/jobs"], 2),
        (["explain", "/"], 2),
        (["explain", "/proc/self/mem"], 3),
        (["explain", "--workers=0"], 2),
        (["explain", ""], 2),
    ] {
        let (exit, stdout, stderr) = ask(&arguments);
        assert_eq!((exit, &*stdout), (Some(status), ""), "{arguments:?}");
        assert!(stderr.starts_with("conduit: "), "{stderr}");
    }
}
