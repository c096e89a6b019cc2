//! Reloads and changes of single origins: what they give, and what they leave alone.

use std::fs;
use std::path::PathBuf;

use conduit::engine::policy::{Endpoint, OnCircuitOpen};
use conduit::wire::url::Url;

use super::*;
use crate::io::tls::Roots;
use std::sync::Arc;

const MACHINE: Machine = Machine {
    open_files: 20_000,
    cpus: 2,
    memory: None,
};

/// A run with a file that the test writes.
struct Run {
    file: PathBuf,
    live: Live,
    reader: Reader,
}

impl Run {
    fn start(name: &str, text: &str) -> Run {
        let name = format!("conduit-live-{}-{name}.json", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, text).unwrap();
        let sources = Sources {
            file: Some(file.clone()),
            ..Sources::default()
        };
        let settings = sources.load().unwrap().settings;
        let roots = Arc::new(Roots::default());
        let tls = Credentials {
            roots,
            identities: [].into(),
        };
        let listens_at = settings.listen.address();
        let (live, reader) = Live::new(sources, settings, MACHINE, tls, listens_at);
        Run { file, live, reader }
    }

    fn reload(&mut self, text: &str) -> Result<Change, String> {
        fs::write(&self.file, text).unwrap();
        let proposal = self.reader.read().map_err(|lines| lines.join("\n"))?;
        let (change, own) = self.take(proposal)?;
        assert_eq!(own.len(), 0, "the reader knows all of them");
        Ok(change)
    }

    /// What the front is to carry out where this was read.
    fn take(&mut self, proposal: Proposal) -> Result<(Change, Vec<Own>), String> {
        let (mut all, mut own) = (Vec::new(), Vec::new());
        let answer = self.live.answer(Question::Take(proposal), &mut |step| {
            match step {
                Step::All(change) => all.push(*change),
                Step::Own(one) => own.push(one),
            }
            Ok(())
        });
        let former = answer.map_err(|lines| lines.join("\n"))?;
        assert!(former.is_some() && all.len() == 1);
        Ok((all.remove(0), own))
    }

    fn set(&mut self, origin: &str, key: &str, value: &str) -> Result<Own, String> {
        let mut carried_out = None;
        let question = Question::Set { origin, key, value };
        let answer = self.live.answer(question, &mut |step| {
            let Step::Own(own) = step else {
                panic!("nothing else is concerned");
            };
            carried_out = Some(own);
            Ok(())
        });
        let own = answer.map(|_| carried_out.expect("it was to be carried out"));
        own.map_err(|lines| lines.join("\n"))
    }

    /// The front can't carry it out.
    fn take_in_vain(&mut self) {
        let cannot = || vec!["it can't".to_owned()];
        let question = Question::Take(self.reader.read().unwrap());
        let answer = self.live.answer(question, &mut |_| Err(cannot()));
        assert_eq!(answer.err(), Some(cannot()));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        fs::remove_file(&self.file).unwrap();
    }
}

fn of<'a>(change: &'a Change, url: &str) -> &'a Endpoint {
    let origin = Url::parse(url).unwrap().to_origin();
    change.policy.endpoint_of(&origin)
}

#[test]
fn a_reload_gives_what_the_file_says_now() {
    let mut run = Run::start("again", r#"{"defaults": {"maxConnections": 5}}"#);
    let change = run
        .reload(
            r#"{"defaults": {"maxConnections": 7}, "maxPending": 9, "shutdownTimeout": 3, "logLevel": "warn",
                "webhookEndpoints": {"https://a.example": {"maxConnections": 2, "maxQueued": 3}}}"#,
        )
        .unwrap();
    assert_eq!(change.policy.endpoint.max_connections, 7);
    assert_eq!(of(&change, "https://a.example").max_connections, 2);
    assert_eq!(change.limits.max_pending, 9);
    let origin = Url::parse("https://a.example").unwrap().to_origin();
    let own = change.limits.endpoints.get(&origin).unwrap();
    assert_eq!((own.max_queued, own.max_connections), (3, 2));
    assert_eq!(change.shutdown_timeout.as_secs(), 3);
    assert_eq!(change.log_level, log::LevelFilter::Warn);
    assert!(change.tls.is_none(), "they are the same");
}

#[test]
fn a_reload_that_is_wrong_or_needs_a_restart_changes_nothing() {
    let mut run = Run::start("wrong", r#"{"timeout": 5}"#);
    let wrong = run.reload(r#"{"timeout": 0, "tll": 5}"#).unwrap_err();
    assert_eq!(wrong.lines().count(), 2, "{wrong}");
    assert!(wrong.contains(":1:13: timeout: expected"), "{wrong}");
    let refused =
        run.reload(r#"{"timeout": 6, "socket": "/tmp/other", "workers": 7, "spool": "/tmp/s"}"#);
    assert_eq!(
        refused.unwrap_err(),
        "socket, spool, workers: expected as they were until a restart, found changed"
    );
    let own = run.set("https://a.example", "ttl", "9").unwrap();
    assert_eq!(own.endpoint.timeout.as_secs(), 5);
    let change = run.reload(r#"{"timeout": 6}"#).unwrap();
    assert_eq!(change.policy.endpoint.timeout.as_secs(), 6);
}

#[test]
fn what_was_set_goes_before_the_entry_survives_a_reload_and_is_marked() {
    let text = r#"{"webhookEndpoints": {"https://a.example": {"timeout": 3, "ttl": 30},
                   "https://*.example.com": {"timeout": 4}}}"#;
    let mut run = Run::start("set", text);
    run.set("https://A.example:443", "timeout", "2").unwrap();
    run.set("https://a.example", "onCircuitOpen", "fail")
        .unwrap();
    run.set("https://a.example", "timeout", "1.5").unwrap();
    run.set("https://x.example.com", "maxQueued", "8").unwrap();
    let change = run.reload(text).unwrap();
    let own = of(&change, "https://a.example");
    assert_eq!(own.timeout.as_millis(), 1500);
    assert_eq!(own.ttl.as_secs(), 30, "the entry's");
    assert_eq!(own.on_circuit_open, OnCircuitOpen::Fail);
    assert_eq!(*own.set, ["onCircuitOpen", "timeout"]);
    let other = of(&change, "https://x.example.com");
    assert_eq!(other.timeout.as_secs(), 4, "the pattern's");
    let origin = Url::parse("https://x.example.com").unwrap().to_origin();
    assert_eq!(change.limits.endpoints.get(&origin).unwrap().max_queued, 8);
    assert!(of(&change, "https://y.example.com").set.is_empty());
    assert_eq!(change.policy.endpoints.iter().count(), 3);
}

#[test]
fn only_limits_of_one_origin_can_be_set() {
    let mut run = Run::start("refuse", "{}");
    for (origin, key, value, expected) in [
        (
            "https://a.example",
            "timeout",
            "0",
            "https://a.example timeout: expected seconds",
        ),
        (
            "https://a.example",
            "timeuot",
            "5",
            "set: expected one of an endpoint's limits, such as timeout",
        ),
        ("https://a.example", "headers", "{}", "set: expected one of"),
        ("https://a.example", "secret", "x", "set: expected one of"),
        (
            "https://a.example",
            "maxPending",
            "5",
            "set: expected one of",
        ),
        (
            "https://a.example",
            "retryStatuses",
            "404",
            "set: expected one of",
        ),
        (
            "https://a.example/hook",
            "timeout",
            "5",
            "\"https://a.example/hook\": something follows",
        ),
        (
            "https://*.a.example",
            "timeout",
            "5",
            "\"https://*.a.example\": expected an origin",
        ),
    ] {
        let refused = run.set(origin, key, value).unwrap_err();
        assert!(refused.starts_with(expected), "{refused}");
    }
    let change = run.reload("{}").unwrap();
    assert_eq!(change.policy.endpoints.iter().count(), 0);
}

#[test]
fn what_could_not_be_carried_out_holds_neither_now_nor_after_the_next_change() {
    let mut run = Run::start("in-vain", r#"{"timeout": 5}"#);
    let origin = "https://a.example";
    fs::write(&run.file, r#"{"timeout": 6, "maxPending": 7}"#).unwrap();
    run.take_in_vain();
    let own = run.set(origin, "maxConnections", "3").unwrap();
    assert_eq!(*own.endpoint.set, ["maxConnections"]);
    assert_eq!(own.endpoint.ttl.as_secs(), 3600);
    assert_eq!(own.endpoint.timeout.as_secs(), 5);
    assert_eq!(run.live.state.settings.max_pending, 100_000);
}

#[test]
fn credentials_that_could_not_be_carried_out_are_still_new_the_next_time() {
    let mut run = Run::start("credentials", "{}");
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/src/io/testdata/ca.pem");
    let text = format!(r#"{{"caFile": "{ca}"}}"#);
    fs::write(&run.file, &text).unwrap();
    run.take_in_vain();
    let change = run.reload(&text).unwrap();
    assert!(change.tls.is_some());
    assert_eq!(change.policy.trust, 1);
    let change = run.reload(&text).unwrap();
    assert!(change.tls.is_none(), "they are the same");
    assert_eq!(change.policy.trust, 1);
    assert_eq!(run.reload("{}").unwrap().policy.trust, 2);
}

#[test]
fn what_holds_already_may_be_spelt_out_and_left_out_again() {
    let mut run = Run::start("spelt-out", "{}");
    let refused = |names: &str| {
        Err(format!(
            "{names}: expected as they were until a restart, found changed"
        ))
    };
    for (text, expected) in [
        (r#"{"listen": "127.0.0.1:5000", "workers": 2}"#, Ok(())),
        ("{}", Ok(())),
        (r#"{"workers": 2}"#, Ok(())),
        (
            r#"{"listen": "127.0.0.1:5001", "workers": 2}"#,
            refused("listen"),
        ),
        (
            r#"{"listen": "none", "workers": 3}"#,
            refused("listen, workers"),
        ),
        (r#"{"listen": "127.0.0.1:5000"}"#, Ok(())),
    ] {
        assert_eq!(run.reload(text).map(drop), expected, "{text}");
    }
}

#[test]
fn where_it_listens_is_what_the_start_took() {
    let mut run = Run::start("port", r#"{"listen": "127.0.0.1:0"}"#);
    run.live.taken.listens_at = Some(([127, 0, 0, 1], 4321).into());
    for (port, is_taken) in [(4321, true), (0, true), (4322, false), (0, true)] {
        let answer = run.reload(&format!(r#"{{"listen": "127.0.0.1:{port}"}}"#));
        assert_eq!(answer.is_ok(), is_taken, "{port}");
    }
    let mut run = Run::start("in-use", "{}");
    // Another process had the default address.
    run.live.taken.listens_at = None;
    for (text, is_taken) in [
        (r#"{"listen": "none"}"#, true),
        ("{}", true),
        (r#"{"listen": "127.0.0.1:5000"}"#, false),
    ] {
        assert_eq!(run.reload(text).is_ok(), is_taken, "{text}");
    }
}

#[test]
fn f144_what_is_set_while_the_file_is_read_lies_over_what_was_read() {
    let mut run = Run::start("meanwhile", r#"{"timeout": 5}"#);
    run.set("https://a.example", "ttl", "9").unwrap();
    fs::write(&run.file, r#"{"timeout": 6}"#).unwrap();
    let proposal = run.reader.read().unwrap();
    // Neither of these is in what was read.
    run.set("https://a.example", "maxQueued", "3").unwrap();
    let own = run.set("https://b.example", "ttl", "7").unwrap();
    assert_eq!(own.endpoint.timeout.as_secs(), 5, "what holds so far");
    let (change, own) = run.take(proposal).unwrap();
    assert_eq!(of(&change, "https://a.example").ttl.as_secs(), 9);
    let own: Vec<_> = own
        .iter()
        .map(|own| {
            let (name, endpoint) = (&*own.origin.text, &own.endpoint);
            (
                name,
                endpoint.ttl.as_secs(),
                endpoint.timeout.as_secs(),
                own.limits.max_queued,
            )
        })
        .collect();
    assert_eq!(
        own,
        [
            ("https://a.example", 9, 6, 3),
            ("https://b.example", 7, 6, 10_000)
        ]
    );
    let change = run.reload("{}").unwrap();
    assert_eq!(of(&change, "https://b.example").ttl.as_secs(), 7);
    assert_eq!(of(&change, "https://a.example").ttl.as_secs(), 9);
}

#[test]
fn f144_ten_thousand_origins_may_be_set_and_no_more() {
    let mut run = Run::start("many", "{}");
    for number in 0..ORIGINS_SET_MAX {
        let origin = format!("https://h{number}.example");
        run.set(&origin, "maxConnections", "3").unwrap();
    }
    let refused = run.set("https://more.example", "ttl", "3").unwrap_err();
    assert!(refused.contains("at most 10000 origins"), "{refused}");
    run.set("https://h7.example", "ttl", "3").unwrap();
    let change = run.reload("{}").unwrap();
    assert_eq!(change.policy.endpoints.iter().count(), ORIGINS_SET_MAX);
    assert_eq!(of(&change, "https://h7.example").ttl.as_secs(), 3);
}
