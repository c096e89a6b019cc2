//! Sources together: what goes before what, and what is wrong with the files that values name.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;
use crate::config::EndpointSettings;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A directory with files of this test.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Files {
        let name = format!("conduit-load-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        Files(dir)
    }

    fn write(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// The sources with this for a configuration file.
    fn sources(&self, text: &str) -> Sources {
        Sources {
            file: Some(self.write("c.json", 0o600, text)),
            ..Sources::default()
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn flag(name: &str, text: &str) -> (&'static Setting, OsString) {
    (Setting::named(name).unwrap(), text.into())
}

fn endpoint<'a>(loaded: &'a Loaded, url: &str) -> &'a EndpointSettings {
    let origin = Url::parse(url).unwrap().to_origin();
    loaded.settings.endpoints.get(&origin).unwrap()
}

fn problems(sources: &Sources) -> Vec<String> {
    let problems = sources.load().expect_err("something is wrong");
    problems.iter().map(Problem::to_string).collect()
}

#[test]
fn flags_go_before_variables_those_before_defaults_and_the_top_level_is_last() {
    let files = Files::new("order");
    let mut sources = files.sources(
        r#"{"defaults": {"timeout": 2, "ttl": 2, "idleTimeout": 2},
            "timeout": 1, "ttl": 1, "idleTimeout": 1, "drainTimeout": 1}"#,
    );
    sources.environment = vec![
        ("CONDUITLLM__WEBHOOKS__DEFAULT_TIMEOUT".into(), "3".into()),
        ("CONDUITLLM__WEBHOOKS__TTL".into(), "3".into()),
    ];
    sources.flags = vec![flag("timeout", "4")];
    let loaded = sources.load().unwrap();
    let general = &loaded.settings.of_endpoint().endpoint;
    let seconds = [
        general.timeout,
        general.ttl,
        general.idle_timeout,
        general.drain_timeout,
        general.connect_timeout,
    ];
    assert_eq!(seconds.map(|time| time.as_secs()), [4, 3, 2, 1, 5]);
    let source = |name| {
        let setting = Setting::named(name).unwrap();
        let given = loaded.values.general(setting);
        given.map(|given| given.source.to_string())
    };
    let file = |rest: &str| {
        Some(format!(
            "{}:{rest}",
            sources.file.as_ref().unwrap().display()
        ))
    };
    assert_eq!(source("timeout"), Some("flag".to_owned()));
    assert_eq!(source("ttl"), Some("CONDUITLLM__WEBHOOKS__TTL".to_owned()));
    assert_eq!(source("idleTimeout"), file("1:54"));
    assert_eq!(source("drainTimeout"), file("2:71"));
    assert_eq!(source("connectTimeout"), None);
}

#[test]
fn the_most_specific_entry_that_says_something_holds_for_it() {
    let files = Files::new("entries");
    let mut sources = files.sources(
        r#"{"timeout": 1, "maxQueued": 11, "keepAliveDelay": 31,
            "webhookEndpoints": {
              "https://*.example.com": {"timeout": 2, "ttl": 2, "maxQueued": 12, "region": "us"},
              "https://*.eu.example.com": {"ttl": 3, "region": "eu"},
              "https://a.eu.example.com": {"timeout": 4, "keepAliveDelay": 34},
              "https://x.example.com": {"timeout": 5},
              "https://other.example": {}}}"#,
    );
    sources.flags = vec![flag("timeout", "9"), flag("drainTimeout", "9")];
    let loaded = sources.load().unwrap();
    let general = loaded.settings.of_endpoint();
    assert_eq!(general.endpoint.timeout, Duration::from_secs(9));
    // (URL, timeout, ttl, drainTimeout, maxQueued, keepAliveDelay, region)
    for (url, timeout, ttl, queued, delay, region) in [
        ("https://a.eu.example.com", 4, 3, 12, 34, Some("eu")),
        ("https://b.eu.example.com", 2, 3, 12, 31, Some("eu")),
        ("https://b.example.com", 2, 2, 12, 31, Some("us")),
        ("https://x.example.com", 5, 2, 12, 31, Some("us")),
        ("https://other.example", 9, 3600, 11, 31, None),
    ] {
        let found = endpoint(&loaded, url);
        assert_eq!(found.endpoint.timeout.as_secs(), timeout, "{url}");
        assert_eq!(found.endpoint.ttl.as_secs(), ttl, "{url}");
        assert_eq!(found.endpoint.drain_timeout.as_secs(), 9, "{url}");
        assert_eq!(found.max_queued, queued, "{url}");
        assert_eq!(found.endpoint.keep_alive_delay.as_secs(), delay, "{url}");
        assert_eq!(found.endpoint.region.as_deref(), region, "{url}");
    }
}

#[test]
fn secrets_come_from_the_entry_or_its_file_and_the_specific_one_wins() {
    let files = Files::new("secrets");
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let path = files.write("secret", 0o600, &format!("\n{SECRET}\n{other}\n"));
    let text = format!(
        r#"{{"defaults": {{"secret": "{other}"}}, "webhookEndpoints": {{
            "https://file.example": {{"secretFile": "{0}"}},
            "https://none.example": {{"secret": []}},
            "https://*.example.com": {{"secretFile": "{0}"}},
            "https://a.example.com": {{"secret": ["{SECRET}"]}}}}}}"#,
        path.display()
    );
    let loaded = files.sources(&text).load().unwrap();
    let texts = |endpoint: &EndpointSettings| {
        let secrets: Vec<String> = endpoint.endpoint.secrets.texts().collect();
        secrets.join(" ")
    };
    assert_eq!(texts(&loaded.settings.of_endpoint()), other);
    let both = format!("{SECRET} {other}");
    for (url, expected) in [
        ("https://file.example", &*both),
        ("https://none.example", ""),
        ("https://b.example.com", &*both),
        ("https://a.example.com", SECRET),
    ] {
        assert_eq!(texts(endpoint(&loaded, url)), expected, "{url}");
    }
    assert_eq!(loaded.warnings, [] as [&str; 0]);
}

#[test]
fn client_certificates_are_read_and_each_endpoint_has_its_own() {
    let files = Files::new("identities");
    let certificate = include_str!("../../io/testdata/client.pem");
    let other = include_str!("../../io/testdata/leaf.pem");
    let cert = files.write("cert.pem", 0o644, certificate);
    let same = files.write("same.pem", 0o644, certificate);
    let other = files.write("other.pem", 0o644, other);
    let key = files.write("key.pem", 0o600, include_str!("../../io/testdata/leaf.key"));
    let identity = |cert: &Path, key: &Path| {
        let (cert, key) = (cert.display(), key.display());
        format!(r#"{{"clientCert": "{cert}", "clientKey": "{key}"}}"#)
    };
    let text = format!(
        r#"{{"defaults": {}, "webhookEndpoints": {{"https://same.example": {}, "https://other.example": {},
           "https://default.example": {{}}}}}}"#,
        identity(&cert, &key),
        identity(&same, &key),
        identity(&other, &key)
    );
    let loaded = files.sources(&text).load().unwrap();
    let profile = |url| endpoint(&loaded, url).endpoint.tls_profile;
    let general = loaded.settings.endpoint.tls_profile;
    assert!(general != 0);
    assert_eq!(profile("https://same.example"), general);
    assert_eq!(profile("https://default.example"), general);
    assert!(![0, general].contains(&profile("https://other.example")));
    assert_eq!(loaded.settings.identities.len(), 2);
    assert_eq!(loaded.warnings, [] as [&str; 0]);

    files.write("key.pem", 0o604, "none");
    let wrong = files.sources(&format!(
        r#"{{"webhookEndpoints": {{"https://a.example": {}, "https://b.example": {}}}}}"#,
        identity(&cert, &key),
        identity(Path::new("/nonexistent/cert"), &key)
    ));
    let found = problems(&wrong);
    for (found, expected) in found.iter().zip([
        [".clientKey: ", "key.pem\": expected a private key in PEM"],
        [
            ".clientCert: ",
            "\"/nonexistent/cert\": can't be read: No such file",
        ],
        [".clientKey: ", "key.pem\": expected a private key in PEM"],
    ]) {
        assert!(expected.iter().all(|part| found.contains(part)), "{found}");
    }
    assert_eq!(found.len(), 3);
}

#[test]
fn files_that_everybody_may_read_are_warned_of() {
    let files = Files::new("modes");
    let secret = files.write("secret", 0o644, SECRET);
    let text = format!(
        r#"{{"defaults": {{"secretFile": "{}"}}}}"#,
        secret.display()
    );
    let config = files.write("open.json", 0o604, &text);
    let sources = Sources {
        file: Some(config.clone()),
        ..Sources::default()
    };
    let warnings = sources.load().unwrap().warnings;
    let expected = [config, secret].map(|path| {
        let name = quoted(&path.to_string_lossy());
        format!("{name} may be read by everybody, and may hold secrets: chmod o-r")
    });
    assert_eq!(warnings, expected);
}

#[test]
fn what_is_wrong_with_any_source_is_said_at_once() {
    let files = Files::new("wrong");
    let empty = files.write("empty", 0o600, "\n");
    let bad = files.write("bad", 0o600, &format!("{SECRET}\nwhsec_hush\n"));
    let text = format!(
        r#"{{"timeout": 0, "defaults": {{"secretFile": "/nonexistent/file"}}, "webhookEndpoints": {{
"https://a.example": {{"secretFile": "{}"}},
"https://b.example": {{"secretFile": "{}", "secret": "{SECRET}"}},
"https://c.example": {{"clientKey": "key.pem"}},
"https://d.example": {{"clientCert": "cert.pem"}}}}}}"#,
        empty.display(),
        bad.display()
    );
    let mut sources = files.sources(&text);
    sources.environment = vec![("CONDUITLLM__WEBHOOKS__TTL".into(), "x".into())];
    sources.flags = vec![
        flag("workers", "0"),
        flag("allowUid", "5"),
        flag("caFile", "/nonexistent/ca"),
    ];
    let found = problems(&sources);
    let expected = [
        ":1:13: timeout: expected seconds from 0.001 to 3600, found 0",
        "CONDUITLLM__WEBHOOKS__TTL: expected seconds from 0.001 to 2592000, found \"x\"",
        "--workers: expected a whole number from 1 to 256, found \"0\"",
        "--allow-uid: expected --socket beside it, found none",
        "--ca-file: can't read /nonexistent/ca: ",
        ":1:43: defaults.secretFile: \"/nonexistent/file\": can't be read: No such file",
        ":2:37: webhookEndpoints[\"https://a.example\"].secretFile: ",
        ":3:37: webhookEndpoints[\"https://b.example\"].secretFile: expected secret or secretFile, found both",
        ":3:37: webhookEndpoints[\"https://b.example\"].secretFile: ",
        ":4:36: webhookEndpoints[\"https://c.example\"].clientKey: \"key.pem\": can't be read",
        ":4:36: webhookEndpoints[\"https://c.example\"].clientKey: expected clientCert beside it, found none",
        ":5:37: webhookEndpoints[\"https://d.example\"].clientCert: \"cert.pem\": can't be read",
        ":5:37: webhookEndpoints[\"https://d.example\"].clientCert: expected clientKey beside it, found none",
    ];
    assert_wrong(&found, &expected);
    assert!(
        found[6].contains("expected 1 to 8 secrets, found 0"),
        "{found:#?}"
    );
    assert!(found[8].contains("line 2: expected whsec_"), "{found:#?}");
    assert!(
        !found.iter().any(|line| line.contains("hush")),
        "{found:#?}"
    );
}

/// The problems, each ended by one of these.
#[track_caller]
fn assert_wrong(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}\n{expected}");
    }
}

#[test]
fn what_stands_under_a_wrong_key_is_looked_at_too() {
    let files = Files::new("astray");
    let found = problems(&files.sources(
        r#"{"defaults": {}, "defaults": {"ttl": 0, "secretFile": "/nonexistent/1"}, "webhookEndpoints": {
"https://a.example": {"timeout": 5, "timeout": 0},
"https://a.example": {"timeout": 0, "secretFile": "/nonexistent/2"},
"https://A.example": {"secretFile": "/nonexistent/3"},
"ftp://a.example": {"clientCert": "/nonexistent/4"}},
"webhookEndpoints": {"https://a.example": {"secretFile": "/nonexistent/5"}, "a": {}}}"#,
    ));
    assert_wrong(
        &found,
        &[
            ":1:18: defaults: expected once, found again",
            ":6:1: webhookEndpoints: expected once, found again (first at ",
            ":1:38: defaults.ttl: expected seconds",
            ":3:1: webhookEndpoints[\"https://a.example\"]: expected once, found again (first at ",
            ":2:37: webhookEndpoints[\"https://a.example\"].timeout: expected once, found again",
            ":2:48: webhookEndpoints[\"https://a.example\"].timeout: expected seconds",
            ":3:34: webhookEndpoints[\"https://a.example\"].timeout: expected seconds",
            ":4:1: webhookEndpoints[\"https://A.example\"]: the same origin or pattern",
            ":5:1: webhookEndpoints[\"ftp://a.example\"]: url begins with neither",
            ":6:77: webhookEndpoints[\"a\"]: url begins with neither",
            "\"/nonexistent/1\": can't be read",
            "\"/nonexistent/2\": can't be read",
            "\"/nonexistent/3\": can't be read",
            "\"/nonexistent/4\": can't be read",
            "clientCert: expected clientKey beside it, found none",
            "\"/nonexistent/5\": can't be read",
        ],
    );
}

#[test]
fn what_is_wrong_is_not_missing() {
    let files = Files::new("refused");
    let mut sources = files.sources(
        r#"{"webhookEndpoints": {
"https://a.example": {"clientCert": "/nonexistent/1", "clientKey": 5},
"https://b.example": {"clientCert": "", "clientKey": "/nonexistent/2"},
"https://c.example": {"clientCert": 5, "clientKey": 6},
"https://d.example": {"secret": "hush", "secretFile": "/nonexistent/3"}}}"#,
    );
    sources.flags = vec![flag("allowUid", "5"), flag("socket", "")];
    assert_wrong(
        &problems(&sources),
        &[
            ":2:68: webhookEndpoints[\"https://a.example\"].clientKey: expected a file's name",
            ":3:37: webhookEndpoints[\"https://b.example\"].clientCert: expected a file's name",
            ":4:37: webhookEndpoints[\"https://c.example\"].clientCert: expected a file's name",
            ":4:53: webhookEndpoints[\"https://c.example\"].clientKey: expected a file's name",
            ":5:33: webhookEndpoints[\"https://d.example\"].secret: ",
            "--socket: expected a file's name",
            "].clientCert: \"/nonexistent/1\": can't be read",
            "].clientKey: \"/nonexistent/2\": can't be read",
            "].secretFile: expected secret or secretFile, found both",
            "].secretFile: \"/nonexistent/3\": can't be read",
        ],
    );
}

#[test]
fn a_file_that_is_not_there_or_too_long_is_named() {
    let missing = Sources {
        file: Some("/nonexistent/c.json".into()),
        ..Sources::default()
    };
    assert_eq!(
        problems(&missing),
        [
            "--config: \"/nonexistent/c.json\": can't be read: No such file or directory (os error 2)"
        ]
    );
    let endless = Sources {
        file: Some("/dev/zero".into()),
        ..Sources::default()
    };
    assert_eq!(
        problems(&endless),
        ["--config: \"/dev/zero\": expected at most 67108864 bytes, found more"]
    );
}

#[test]
fn where_it_listens_can_be_told_whatever_else_is_wrong() {
    let files = Files::new("listen");
    let broken = r#"{"listen": "127.0.0.1:1", "timeout": 0, "timeout": 1, "\ud800": 1,
        "defaults": {"secretFile": "/nonexistent"}}"#;
    let mut sources = files.sources(broken);
    let variable =
        |name: &str, text: &str| (format!("CONDUITLLM__WEBHOOKS__{name}"), text.to_owned());
    let variables = |all: &[(String, String)]| {
        let all = all.iter().map(|(name, text)| (name.into(), text.into()));
        all.collect::<Vec<(OsString, OsString)>>()
    };
    let at = |port| Ok(Listen::At(([127, 0, 0, 1], port).into()));
    sources.environment = variables(&[variable("ALLOW_UID", "x")]);
    assert_eq!(sources.listen(), at(1));
    // What goes before the file lets nobody look at it.
    sources.file = Some("/nonexistent/c.json".into());
    sources
        .environment
        .extend(variables(&[variable("LISTEN", "127.0.0.1:2")]));
    assert_eq!(sources.listen(), at(2));
    sources
        .environment
        .extend(variables(&[variable("LISTEN", "x")]));
    sources.flags = vec![flag("listen", "127.0.0.1:3"), flag("workers", "0")];
    assert_eq!(sources.listen(), at(3));
    assert_eq!(Sources::default().listen(), Ok(Listen::Default));
    assert_eq!(files.sources("{}").listen(), Ok(Listen::Default));
}

#[test]
fn where_it_listens_is_not_guessed() {
    let files = Files::new("no-listen");
    for (text, expected) in [
        (
            "{\"listen\": \"127.0.0.1:1\",",
            "c.json:1:26: expected a key",
        ),
        ("[]", "c.json:1:1: expected an object, found an array"),
        (
            r#"{"listen": "127.0.0.1"}"#,
            "c.json:1:12: listen: expected an IP address and a port",
        ),
        (
            r#"{"listen": 5}"#,
            "c.json:1:12: listen: expected an IP address",
        ),
        (
            r#"{"listen": "[::]:1", "listen": "[::]:2"}"#,
            "c.json:1:22: listen: expected once, found again",
        ),
    ] {
        let problem = files.sources(text).listen().expect_err(text).to_string();
        assert!(problem.contains(expected), "{problem}");
    }
    let missing = Sources {
        file: Some("/nonexistent/c.json".into()),
        ..Sources::default()
    };
    let problem = missing.listen().expect_err("it is not there").to_string();
    assert!(
        problem.starts_with("--config: \"/nonexistent/c.json\": can't be read: "),
        "{problem}"
    );
    let sources = Sources {
        flags: vec![flag("listen", "x")],
        ..Sources::default()
    };
    let problem = sources.listen().expect_err("no address").to_string();
    assert!(problem.starts_with("--listen: expected"), "{problem}");
}
