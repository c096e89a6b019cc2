//! What goes wrong is said clearly, at its own line, and everything else in the feed is unaffected.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::json;

use crate::harness::conduit::{CONDUIT, LOCAL, Run, ask, deliver};
use crate::harness::feed::{line, plain};
use crate::harness::servers::Sink;
use crate::harness::{TempDir, free_port, is_root};

#[test]
fn f93_a_bad_line_is_named_and_hurts_no_other() {
    let sink = Sink::start(1, &[]);
    let url = sink.urls[0].as_str();
    let table = bad_lines(url);
    let mut feed = Vec::new();
    for (number, (bad, _)) in table.iter().enumerate() {
        feed.extend_from_slice(plain(&format!("good-{number}"), url).as_bytes());
        feed.extend_from_slice(bad.trim_ascii_end());
        feed.push(b'\n');
    }
    let run = deliver::<&str>(&[], feed);
    assert_eq!(run.results.len(), 2 * table.len());
    assert_eq!(run.status, Some(1));
    for (number, (_, words)) in table.iter().enumerate() {
        let good_line = 2 * number as u64 + 1;
        let good = run.of(&format!("good-{number}"));
        assert_eq!((good.outcome(), good.line()), ("delivered", good_line));
        let bad = run.of_line(good_line + 1);
        bad.assert_failed("invalid", "invalid", words);
        assert_eq!(bad.attempts(), 0);
    }
    assert_eq!(sink.stop().bodies.len(), table.len());
}

/// Lines that are wrong, and what their results must name.
fn bad_lines(url: &str) -> Vec<(Vec<u8>, &'static [&'static str])> {
    let too_long = line(&json!({"id": "long", "url": url, "body": "x".repeat(1 << 20)}));
    let deep = format!("{{\"url\":\"{url}\",\"payload\":{}}}", "[".repeat(200));
    vec![
        (b"not json".to_vec(), &["column 1", "expected"]),
        (b"[1]".to_vec(), &["expected"]),
        (
            b"{\"id\":\"x\",\"payload\":{}}".to_vec(),
            &["url", "expected"],
        ),
        (
            line(&json!({"url": url, "payloda": 1})).into(),
            &["payloda", "payload"],
        ),
        (
            format!("{{\"url\":\"{url}\",\"id\":\"a\",\"id\":\"b\"}}").into(),
            &["id", "twice"],
        ),
        (too_long.into(), &["maxJobBytes"]),
        (deep.into(), &["128"]),
        (b"{\"url\":\"\xff\"}".to_vec(), &["UTF-8"]),
        (
            line(&json!({"url": url, "timeout": "abc"})).into(),
            &["timeout", "abc", "seconds"],
        ),
        (
            line(&json!({"url": url, "timeout": 4000})).into(),
            &["timeout", "4000", "3600"],
        ),
        (
            line(&json!({"url": url, "payload": 1, "body": "b"})).into(),
            &["body", "payload"],
        ),
        (
            line(&json!({"url": "ftp://example.com/"})).into(),
            &["url", "http"],
        ),
        (
            line(&json!({"url": "https://user:pw@example.com/"})).into(),
            &["url"],
        ),
        (line(&json!({"url": "http://0x7f.1/"})).into(), &["url"]),
        (
            line(&json!({"url": url, "headers": {"Host": "other"}})).into(),
            &["Host"],
        ),
        (
            line(&json!({"url": url, "headers": {"X-A": "a\r\nX-B: b"}})).into(),
            &["X-A"],
        ),
        (
            line(&json!({"url": url, "method": "HEAD"})).into(),
            &["method", "HEAD"],
        ),
        (
            line(&json!({"url": url, "bodyBase64": "%%"})).into(),
            &["bodyBase64"],
        ),
    ]
}

#[test]
fn an_id_that_could_be_read_names_its_bad_job() {
    let jobs = [
        json!({"id": "known", "url": 5}),
        json!({"url": 5, "id": "later"}),
        json!({"id": "with space", "url": "https://example.com/"}),
    ];
    let run = deliver::<&str>(&[], jobs.iter().map(line).collect::<String>());
    let ids: Vec<_> = run.results.iter().map(|result| result.id()).collect();
    assert_eq!(ids, [Some("known"), Some("later"), None]);
}

#[test]
fn f11_a_refused_port_is_a_connect_error() {
    let sink = Sink::start(1, &[]);
    let port = free_port();
    let refused = plain("refused", &format!("http://127.0.0.1:{port}/"));
    let feed = [
        plain("a", &sink.urls[0]),
        refused,
        plain("b", &sink.urls[0]),
    ]
    .concat();
    let run = deliver::<&str>(&[], feed);
    run.of("refused")
        .assert_failed("exhausted", "connect", &["refused"]);
    assert_eq!((run.count("delivered"), run.status), (2, Some(1)));
}

#[test]
fn f85_an_onion_name_has_no_address() {
    let sink = Sink::start(1, &[]);
    let feed = plain("onion", "https://example.onion/") + &plain("a", &sink.urls[0]);
    let run = deliver::<&str>(&[], feed);
    run.of("onion")
        .assert_failed("exhausted", "dns", &["onion"]);
    assert!(run.of("a").is_delivered());
}

#[test]
fn names_come_from_hosts_and_from_the_name_server_and_nowhere_else() {
    let Some(server) = is_root().then(name_server).flatten() else {
        println!("skipped: needs root (for chroot) and UDP port 53 on loopback");
        return;
    };
    let sink = Sink::start(1, &[]);
    let root = TempDir::new();
    fs::create_dir(root.join("etc")).unwrap();
    fs::copy(CONDUIT, root.join("conduit")).unwrap();
    root.write("etc/hosts", "127.0.0.1 receiver.example alias\n");
    root.write("etc/resolv.conf", &format!("nameserver {}\n", server.ip()));
    let port = sink.urls[0].rsplit(':').next().unwrap();
    // All of them wait for one look-up.
    let known: String = (0..20)
        .map(|n| {
            plain(
                &format!("known-{n}"),
                &format!("http://known.example:{port}/"),
            )
        })
        .collect();
    let feed = [
        known,
        plain("hosts", &format!("http://receiver.example:{port}/")),
        plain("alias", &format!("http://alias:{port}/")),
        plain("local", &format!("http://localhost:{port}/")),
        plain("unknown", &format!("http://unknown.example:{port}/")),
    ];
    let run = Run::start(&mut in_root(root.path(), &["run"], &LOCAL)).feed(feed.concat().into());
    for id in ["hosts", "alias", "local"] {
        assert!(run.of(id).is_delivered(), "{run:?}");
    }
    assert_eq!(run.count("delivered"), 23, "{run:?}");
    run.of("unknown")
        .assert_failed("exhausted", "dns", &["unknown.example", "does not exist"]);
}

/// conduit in an empty world of its own.
pub(crate) fn in_root(root: &Path, arguments: &[&str], more: &[&str]) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg("/conduit").args(arguments).args(more);
    command
}

/// A name server for as long as the process lives: `known.example` is 127.0.0.1 and has no IPv6 address, and
/// no other name exists (RFC 1035 section 4.1). None where port 53 can't be had.
fn name_server() -> Option<SocketAddr> {
    const KNOWN: &[u8] = b"\x05known\x07example";
    const NO_ERROR: [u8; 2] = [0x81, 0x80];
    const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];
    let last = (std::process::id() % 250) as u8 + 2;
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 53, 53, last), 53)).ok()?;
    let addr = socket.local_addr().expect("it is bound");
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((bytes, peer)) = socket.recv_from(&mut buffer) {
            // The question: labels up to the empty one, then type and class.
            let Some(name) = buffer[12..bytes].iter().position(|&byte| byte == 0) else {
                continue;
            };
            let is_known = &buffer[12..12 + name] == KNOWN;
            let wants_v4 = buffer[12 + name + 2] == 1;
            let mut answer = buffer[..12 + name + 5].to_vec();
            let code = if is_known { NO_ERROR } else { NO_SUCH_NAME };
            answer[2..4].copy_from_slice(&code);
            answer[4..12].copy_from_slice(&[0, 1, 0, u8::from(is_known && wants_v4), 0, 0, 0, 0]);
            if is_known && wants_v4 {
                // The name as in the question, A, IN, a minute, four bytes.
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            let _asked_again_if_lost = socket.send_to(&answer, peer);
        }
    });
    Some(addr)
}

#[test]
fn what_policy_forbids_reads_the_same_and_the_log_says_why() {
    let sink = Sink::start(1, &[]);
    let port = sink.urls[0].rsplit(':').next().unwrap();
    let url = |scheme: &str, rest: &str| format!("{scheme}://127.0.0.1{rest}");
    // (flags, URL, words of the log)
    let table: [(&[&str], String, &[&str]); 4] = [
        (
            &["--allow-net", "127.0.0.0/8"],
            url("http", &format!(":{port}/")),
            &["--allow-http"],
        ),
        (
            &["--allow-http"],
            url("http", &format!(":{port}/")),
            &["--allow-net", "127.0.0.1"],
        ),
        (&LOCAL, url("http", ":22/"), &["22", "--allow-"]),
        (
            &["--allow-http"],
            "http://169.254.169.254/latest".to_owned(),
            &["169.254.169.254"],
        ),
    ];
    let mut messages = Vec::new();
    for (flags, url, words) in table {
        let mut command = Command::new(CONDUIT);
        command.arg("run").args(flags);
        let run = Run::start(&mut command).feed(plain("a", &url).into());
        let result = run.of("a");
        result.assert_failed("blocked", "policy", &[]);
        assert_eq!((result.attempts(), result.status()), (0, None));
        assert_eq!(run.status, Some(1));
        for word in words {
            assert!(run.stderr.contains(word), "no {word}: {}", run.stderr);
        }
        messages.push(result.message().to_owned());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(sink.stop().bodies, []);
}

#[test]
fn exit_statuses_are_those_of_the_contract() {
    let wrong: [(&[&str], &str); 8] = [
        (&["run", "--no-such-flag"], "--no-such-flag"),
        (&["run", "--max-connections", "abc"], "--max-connections"),
        (&["run", "--max-connections", "0"], "--max-connections"),
        (&["run", "--timeout", "-1"], "--timeout"),
        (&["run", "--allow-net", "nonsense"], "--allow-net"),
        (&["sink", "--status", "99"], "--status"),
        (&["deliver"], "deliver"),
        (&["run", "--timeout"], "--timeout"),
    ];
    for (arguments, place) in wrong {
        let (status, stdout, stderr) = ask(arguments);
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains(place), "{arguments:?}: {stderr}");
    }
    let (status, _, _) = ask::<&str>(&[]);
    assert_eq!(status, Some(2), "no command");
    let (status, stdout, _) = ask(&["run"]);
    assert_eq!((status, stdout.as_str()), (Some(0), ""), "an empty feed");
}

#[test]
fn f143_what_is_no_job_lines_is_hinted_at_once_and_nothing_of_it_is_delivered() {
    let sink = Sink::start(1, &[]);
    let url = sink.urls[0].as_str();
    let job = |id: &str| plain(id, url).trim_end().to_owned();
    let array = format!("[\n{},\n{},\n{}\n]\n", job("a"), job("b"), job("c"));
    let alone = format!("[\n{}\n]\n", job("a"));
    let inner = format!("{{\n\"payload\":\n{}\n}}\n", job("a"));
    let pretty = format!("{{\n  \"id\": \"a\",\n  \"url\": \"{url}\"\n}}\n").repeat(3);
    let yaml = format!("- id: a\n  url: {url}\n");
    let (mark, wide) = (std::iter::once(0xfeff_u16), job("a"));
    let wide = mark.chain(wide.encode_utf16());
    let utf16: Vec<u8> = wide.flat_map(u16::to_le_bytes).collect();
    for (feed, hint) in [
        (array.into_bytes(), "jq -c '.[]'"),
        (alone.into_bytes(), "jq -c '.[]'"),
        (inner.into_bytes(), "jq -c ."),
        (pretty.into_bytes(), "jq -c ."),
        (yaml.into_bytes(), "YAML"),
        (utf16, "UTF-16"),
    ] {
        let run = deliver::<&str>(&[], feed);
        assert_eq!(run.count("invalid"), run.results.len(), "{run:?}");
        assert_eq!(
            run.stderr
                .matches("standard input: this looks like")
                .count(),
            1
        );
        assert!(run.stderr.contains(hint), "{}", run.stderr);
    }
    // One line more is the price of an array that was only begun; the rest is unaffected.
    let feed = format!("[\n{}\n{}\n", job("refused"), job("taken"));
    let run = deliver::<&str>(&[], feed);
    assert_eq!(
        (run.of("refused").outcome(), run.of("taken").outcome()),
        ("invalid", "delivered")
    );
    assert_eq!(sink.stop().bodies.len(), 1);
}

#[test]
fn f128_a_name_that_no_certificate_can_carry_is_invalid_at_once() {
    for host in ["a-.hook.test", "-.test", "a.-b.test", "xn--.test"] {
        for scheme in ["https", "http"] {
            let run = deliver::<&str>(&[], plain("a", &format!("{scheme}://{host}/")));
            run.of("a").assert_failed("invalid", "invalid", &["hyphen"]);
            assert_eq!(run.of("a").attempts(), 0);
        }
    }
}

#[test]
fn f142_a_nearly_right_variable_and_a_quoted_path_are_told() {
    let dir = TempDir::new();
    let check = |name: &str, value: &str| {
        let mut command = Command::new(CONDUIT);
        command
            .arg("check")
            .env(name, value)
            .current_dir(dir.path());
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for (value, words) in [("\"sp\"", "without quotes"), ("sp\r", "carriage return")] {
        let (status, stderr) = check("CONDUITLLM__WEBHOOKS__SPOOL", value);
        assert_eq!(status, Some(2), "{stderr}");
        assert!(
            stderr.contains(words) && !stderr.contains('\r'),
            "{stderr:?}"
        );
    }
    let (status, stderr) = check("CONDUITLLM_WEBHOOKS_MAX_PENDING", "5");
    assert_eq!(status, Some(0), "{stderr}");
    assert!(
        stderr.contains("did you mean CONDUITLLM__WEBHOOKS__MAX_PENDING?"),
        "{stderr}"
    );
}

#[test]
fn f143_a_configuration_in_another_language_is_recognised() {
    let dir = TempDir::new();
    let utf16: Vec<u8> = [0xfeff_u16]
        .into_iter()
        .chain("{}".encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    for (contents, words) in [
        (&b"# limits\ntimeout: 5\n"[..], "looks like YAML"),
        (b"---\ntimeout: 5\n", "looks like YAML"),
        (&utf16, "looks like UTF-16"),
        (b"[{\"timeout\": 5}]", "expected an object, found an array"),
    ] {
        let path = dir.join("conduit.json");
        fs::write(&path, contents).unwrap();
        let path = path.to_str().unwrap();
        let (status, _, stderr) = ask(&["check", "--config", path]);
        assert_eq!(status, Some(2), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
}
