//! Deliveries over HTTPS to nginx with a private authority: who is trusted, what is said of who is not.

use std::path::PathBuf;

use serde_json::json;

use crate::harness::certs::{Authority, Certificate, OWN_NAMES};
use crate::harness::conduit::{Finished, Run, deliver};
use crate::harness::feed::{Feed, plain};
use crate::harness::peers::SServer;
use crate::harness::servers::{Nginx, Sink};
use crate::harness::{TempDir, free_port, wait_for};

/// A `server` block that speaks TLS.
fn server(port: u16, certificate: &Certificate, directives: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; \
         keepalive_requests 100000; {directives} location / {{ return 200 ok; }} }}\n",
        certificate.chain.display(),
        certificate.key.display()
    )
}

fn local(port: u16) -> String {
    format!("https://localhost:{port}/")
}

fn trusting(authority: &Authority, flags: &[&str], feed: impl Into<Vec<u8>>) -> Finished {
    let mut all = vec![PathBuf::from("--ca-file"), authority.file()];
    all.extend(flags.iter().map(PathBuf::from));
    deliver(&all, feed)
}

#[test]
fn both_versions_are_spoken_with_a_private_authority() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let port = free_port();
        let only = format!("ssl_protocols {version};");
        let Some(nginx) = Nginx::start(port, &server(port, &certificate, &only)) else {
            return;
        };
        let urls = ["127.0.0.1", "localhost"].map(|host| format!("https://{host}:{port}/hook"));
        let feed = Feed::generate(200, &urls, 1_024);
        let run = trusting(&authority, &["--max-connections", "4"], feed.text());
        run.assert_all_delivered(200);
        let log = nginx.log(200);
        assert!(log.iter().all(|access| access.protocol == version));
        assert!(log.iter().filter(|access| access.request == 1).count() <= 8);

        let run = deliver::<&str>(&[], plain("a", &urls[0]));
        let result = run.of("a");
        result.assert_failed("exhausted", "tls", &["issuer", "--ca-file"]);
        assert_eq!((result.status(), run.status), (None, Some(1)));
        assert_eq!(nginx.log(200).len(), 200, "no byte of HTTP has left");
    }
}

#[test]
fn bodies_of_many_records_arrive_byte_for_byte() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    let (chain, key) = (certificate.chain.display(), certificate.key.display());
    let sink = Sink::start(2, &["--tls", &format!("{chain},{key}")]);
    assert!(sink.urls.iter().all(|url| url.starts_with("https://")));
    for (count, bytes) in [(300, 1_024), (8, 1_000_000)] {
        let feed = Feed::generate(count, &sink.urls, bytes);
        let run = trusting(&authority, &["--max-connections", "2"], feed.text());
        run.assert_all_delivered(count);
    }
    let small = Feed::generate(300, &sink.urls, 1_024);
    let large = Feed::generate(8, &sink.urls, 1_000_000);
    let mut expected = [small.bodies(), large.bodies()].concat();
    expected.sort_unstable();
    assert_eq!(sink.stop().bodies, expected);
}

#[test]
fn f59_each_bad_certificate_has_its_clear_error_and_hurts_nobody_else() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let good = authority.certificate("good", OWN_NAMES);
    let expired = authority.expired();
    let other = authority.certificate("other", "DNS:other.example");
    let own = authority.self_signed();
    let ports = [(); 4].map(|()| free_port());
    let servers: String = ports
        .iter()
        .zip([&good, &expired, &other, &own])
        .map(|(port, certificate)| server(*port, certificate, ""))
        .collect();
    let Some(nginx) = Nginx::start(ports[3], &servers) else {
        return;
    };
    let url = |port: u16| format!("https://localhost:{port}/");
    let mut feed = Feed::generate(50, &[url(ports[0])], 200).text().to_owned();
    for (id, port) in ["expired", "wrong-name", "self-signed"]
        .iter()
        .zip(&ports[1..])
    {
        feed.push_str(&plain(id, &url(*port)));
    }
    let name_as_address = format!("https://127.0.0.1:{}/", ports[2]);
    feed.push_str(&plain("wrong-address", &name_as_address));
    feed.push_str(&plain("last", &url(ports[0])));
    let run = trusting(&authority, &[], feed);

    let failed = |id: &str, words: &[&str]| run.of(id).assert_failed("exhausted", "tls", words);
    failed("expired", &["certificate", "expired"]);
    failed(
        "wrong-name",
        &["not valid for", "localhost", "other.example"],
    );
    failed(
        "wrong-address",
        &["not valid for", "127.0.0.1", "other.example"],
    );
    failed("self-signed", &["certificate", "issuer is unknown"]);
    assert_eq!((run.count("delivered"), run.results.len()), (51, 55));
    assert!(run.of("last").is_delivered());
    run.assert_each_line_once();
    let log = nginx.log(51);
    assert!(log.iter().all(|access| access.port == ports[0]));
}

#[test]
fn f63_a_server_that_speaks_no_tls_is_named_as_such() {
    let port = free_port();
    let server = format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}");
    let Some(_nginx) = Nginx::start(port, &server) else {
        return;
    };
    let run = deliver::<&str>(&[], plain("a", &format!("https://127.0.0.1:{port}/")));
    run.of("a")
        .assert_failed("exhausted", "tls", &["does not speak TLS"]);
}

#[test]
fn f63_a_server_of_old_versions_only_is_refused() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    for version in ["-tls1", "-tls1_1"] {
        let port = free_port();
        // At level 0 openssl still speaks them.
        let options = [version, "-cipher", "ALL:@SECLEVEL=0", "-naccept", "1"];
        let server = SServer::start(port, &certificate, &options);
        let run = trusting(&authority, &[], plain("a", &local(port)));
        run.of("a").assert_failed("exhausted", "tls", &["version"]);
        assert_eq!(run.of("a").attempts(), 1);
        assert!(!server.wait().contains("POST"));
    }
}

#[test]
fn f61_a_server_that_asks_for_another_curve_gets_it() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    for curve in ["secp384r1", "prime256v1", "X25519"] {
        let port = free_port();
        let only = format!("ssl_protocols TLSv1.3; ssl_ecdh_curve {curve};");
        let Some(nginx) = Nginx::start(port, &server(port, &certificate, &only)) else {
            return;
        };
        let feed = Feed::generate(20, &[local(port)], 200);
        let run = trusting(&authority, &["--max-connections", "2"], feed.text());
        run.assert_all_delivered(20);
        assert_eq!(nginx.log(20).len(), 20);
    }
}

#[test]
fn f60_a_server_that_demands_a_certificate_refuses_without_one() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    // In 1.3 the refusal comes after the handshake is done for the client, with its request on the way.
    for (version, alert) in [
        ("-tls1_2", "handshake failure"),
        ("-tls1_3", "certificate required"),
    ] {
        let port = free_port();
        let options = [version, "-Verify", "1", "-naccept", "1"];
        let server = SServer::start(port, &certificate, &options);
        let run = trusting(&authority, &[], plain("a", &local(port)));
        run.of("a").assert_failed("exhausted", "tls", &[alert]);
        assert_eq!((run.of("a").attempts(), run.of("a").status()), (1, None));
        assert!(!server.wait().contains("POST"));
    }
    // nginx says it in HTTP.
    let port = free_port();
    let demand = format!(
        "ssl_verify_client on; ssl_client_certificate {};",
        authority.file().display()
    );
    let Some(_nginx) = Nginx::start(port, &server(port, &certificate, &demand)) else {
        return;
    };
    let run = trusting(&authority, &[], plain("a", &local(port)));
    run.of("a").assert_failed("rejected", "http", &["400"]);
}

#[test]
fn f60_a_server_that_demands_a_certificate_gets_the_endpoints() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    let own = authority.certificate("sender", "DNS:sender.example");
    let trust = authority.file();
    let dir = TempDir::new();
    let demand = format!(
        "ssl_verify_client on; ssl_client_certificate {};",
        trust.display()
    );
    for version in ["TLSv1.2", "TLSv1.3"] {
        let ports = [free_port(), free_port()];
        let directives = format!("ssl_protocols {version}; {demand}");
        let servers = ports.map(|port| server(port, &certificate, &directives));
        let Some(nginx) = Nginx::start(ports[1], &servers.concat()) else {
            return;
        };
        // Only the endpoint that has one shows it, and its connections are kept.
        let settings = json!({
            "caFile": trust,
            "maxConnections": 2,
            "webhookEndpoints": {
                format!("https://localhost:{}", ports[0]): {"clientCert": own.chain, "clientKey": own.key},
            },
        });
        let config = dir.write("conduit.json", &settings.to_string());
        let mut feed = Feed::generate(50, &[local(ports[0])], 200)
            .text()
            .to_owned();
        feed.push_str(&plain("other", &local(ports[1])));
        let run = deliver(&[PathBuf::from("--config"), config], feed);
        assert_eq!(run.count("delivered"), 50, "{run:?}");
        run.of("other").assert_failed("rejected", "http", &["400"]);
        let log = nginx.log(51);
        assert!(log.iter().all(|access| access.protocol == version));
        let opened = log
            .iter()
            .filter(|access| access.request == 1 && access.port == ports[0]);
        assert!(opened.count() <= 2);
    }
}

#[test]
fn f59_no_byte_of_a_request_goes_to_a_server_that_is_not_trusted() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let bad = [
        (authority.early(), "not valid"),
        (authority.expired(), "expired"),
        (
            authority.certificate("other", "DNS:other.example"),
            "other.example",
        ),
        (authority.self_signed(), "issuer"),
    ];
    for (certificate, word) in bad {
        for version in ["-tls1_2", "-tls1_3"] {
            let port = free_port();
            let server = SServer::start(port, &certificate, &[version, "-naccept", "1"]);
            let run = trusting(&authority, &[], plain("a", &local(port)));
            run.of("a").assert_failed("exhausted", "tls", &[word]);
            assert_eq!((run.of("a").attempts(), run.of("a").status()), (1, None));
            assert!(!server.wait().contains("POST"));
        }
    }
}

#[test]
fn f67_a_connection_that_is_not_needed_any_more_is_closed_with_close_notify() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    let port = free_port();
    let mut server = SServer::start(port, &certificate, &["-msg", "-naccept", "1"]);
    let mut run = Run::local(&[PathBuf::from("--ca-file"), authority.file()]);
    run.write(&plain("a", &local(port)));
    server.wait_for_request();
    server.send_record("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(run.next_result().is_delivered());
    run.finish().assert_all_delivered(1);
    let shown = server.wait();
    let last = shown.lines().rfind(|line| line.starts_with("<<<"));
    assert!(
        last.is_some_and(|line| line.contains("close_notify")),
        "{shown}"
    );
}

#[test]
fn f57_a_connection_that_ends_without_close_notify_after_its_answer_fails_no_job() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    let port = free_port();
    let mut run = Run::local(&[PathBuf::from("--ca-file"), authority.file()]);
    let quiet = run.process().sockets();
    for id in ["first", "second"] {
        let mut server = SServer::start(port, &certificate, &["-msg"]);
        run.write(&plain(id, &local(port)));
        server.wait_for_request();
        server.send_record("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(run.next_result().is_delivered());
        server.kill();
        wait_for("the connection to be gone", || {
            (run.process().sockets() == quiet).then_some(())
        });
    }
    let run = run.finish();
    run.assert_all_delivered(2);
    assert!(!run.stderr.contains("WARN"), "{}", run.stderr);
}

#[test]
fn f58_a_body_that_is_cut_without_close_notify_changes_no_verdict() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    // (status and framing, outcome)
    let table = [
        ("200 OK\r\nContent-Length: 100", "delivered"),
        ("200 OK\r\nConnection: close", "delivered"),
        ("200 OK\r\nTransfer-Encoding: chunked", "delivered"),
        ("404 Not Found\r\nContent-Length: 100", "rejected"),
        ("404 Not Found\r\nConnection: close", "rejected"),
        ("503 Unavailable\r\nConnection: close", "exhausted"),
    ];
    for (head, outcome) in table {
        let port = free_port();
        let mut server = SServer::start(port, &certificate, &["-msg"]);
        let flags = ["--drain-timeout", "20"].map(PathBuf::from);
        let trust = [PathBuf::from("--ca-file"), authority.file()];
        let mut run = Run::local(&[flags, trust].concat());
        run.write(&plain("a", &local(port)));
        server.wait_for_request();
        server.send_record(&format!("HTTP/1.1 {head}\r\n\r\n8\r\npart"));
        server.send_record("more");
        server.kill();
        let result = run.next_result();
        assert_eq!(
            (result.outcome(), result.attempts()),
            (outcome, 1),
            "{head}"
        );
        assert!(result.duration_ms() < 15_000.0, "{result:?}");
        if outcome != "delivered" {
            assert!(result.response().unwrap().starts_with("8\r\npart"));
        }
        run.finish();
    }
}

#[test]
fn sessions_are_resumed_where_connections_are_not_kept() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let certificate = authority.certificate("good", OWN_NAMES);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let port = free_port();
        let once = format!("ssl_protocols {version}; ssl_session_cache shared:s:1m;");
        let block = server(port, &certificate, &once).replace("100000", "1");
        let Some(nginx) = Nginx::start(port, &block) else {
            return;
        };
        let feed = Feed::generate(20, &[format!("https://localhost:{port}/")], 200);
        let run = trusting(&authority, &["--max-connections", "1"], feed.text());
        run.assert_all_delivered(20);
        let log = nginx.log(20);
        let resumed = log.iter().filter(|access| access.is_resumed).count();
        assert!(log.iter().all(|access| access.request == 1));
        assert_eq!(resumed, 19, "{version}: all but the first");
    }
}

#[test]
fn a_file_of_authorities_that_holds_none_stops_the_start() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let key = authority.self_signed().key;
    for file in [key, PathBuf::from("/nowhere/ca.pem")] {
        let shown = file.display().to_string();
        let run = deliver(&[PathBuf::from("--ca-file"), file], "");
        assert_eq!(run.status, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(&shown), "{}", run.stderr);
    }
}
