//! Deliveries over HTTPS to nginx with a private authority: who is trusted, what is said of who is not.

use std::path::PathBuf;

use crate::harness::certs::{Authority, Certificate, OWN_NAMES};
use crate::harness::conduit::{Finished, deliver};
use crate::harness::feed::{Feed, plain};
use crate::harness::free_port;
use crate::harness::servers::{Nginx, Sink};

/// A `server` block that speaks TLS.
fn server(port: u16, certificate: &Certificate, directives: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; \
         keepalive_requests 100000; {directives} location / {{ return 200 ok; }} }}\n",
        certificate.chain.display(),
        certificate.key.display()
    )
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
