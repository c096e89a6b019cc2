//! Whole runs in one process: a feed from memory, receivers on loopback, results into memory.

use super::*;
use crate::io::front::run;
use crate::io::sys::Thread;
use conduit::engine::policy::AllowNet;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// Results, shared with the test that reads them when the run is over.
#[derive(Clone, Debug, Default)]
struct Results(Arc<Mutex<Vec<u8>>>);

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Results {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn settings(workers: u16) -> Settings {
    Settings {
        allow_http: true,
        allow_net: vec![AllowNet {
            net: Ipv4Addr::LOCALHOST.into(),
            prefix: 32,
            port: None,
        }],
        workers: Some(workers),
        ..Settings::default()
    }
}

fn prepare(settings: &Settings, source: impl Read + Send + 'static) -> (Setup, Results) {
    let results = Results::default();
    let setup = Setup {
        source: Box::new(source),
        sink: Box::new(results.clone()),
        ..setup(settings).unwrap()
    };
    (setup, results)
}

/// Answers every request on every connection, after `before` was called for it; the port.
fn receiver(before: impl Fn() + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, before) = (stream.unwrap(), before.clone());
            thread::spawn(move || answer(stream, &before));
        }
    });
    port
}

fn answer(stream: impl Read + Write, before: &dyn Fn()) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
        before();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.get_mut().write_all(answer).unwrap();
    }
}

fn feed(jobs: usize, urls: &[String], payload: &str) -> Vec<u8> {
    let line = |n: usize| {
        format!(
            "{{\"url\":\"{}\",\"payload\":\"{payload}\"}}\n",
            urls[n % urls.len()]
        )
    };
    (0..jobs).map(line).collect::<String>().into_bytes()
}

fn plain_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/hook")
}

/// Every line has one result, and it is `delivered`.
fn assert_all_delivered(results: &Results, jobs: usize) {
    let mut numbers: Vec<usize> = results
        .lines()
        .iter()
        .map(|line| {
            assert!(line.contains("\"outcome\":\"delivered\""), "{line}");
            let (_, rest) = line.split_once("\"line\":").unwrap();
            rest.split([',', '}']).next().unwrap().parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=jobs));
}

#[test]
fn every_job_gets_one_result_however_many_loops_there_are() {
    let urls: Vec<String> = (0..5).map(|_| plain_url(receiver(|| {}))).collect();
    for workers in [1, 3] {
        let (setup, results) = prepare(&settings(workers), Cursor::new(feed(2000, &urls, "small")));
        let ended = run(setup).unwrap();
        assert!(
            matches!(
                ended,
                Ended::Finished {
                    all_delivered: true
                }
            ),
            "{ended:?}"
        );
        assert_all_delivered(&results, 2000);
    }
}

#[test]
fn large_bodies_arrive_whole() {
    let url = plain_url(receiver(|| {}));
    let payload = "x".repeat(900_000);
    let (setup, results) = prepare(&settings(1), Cursor::new(feed(20, &[url], &payload)));
    run(setup).unwrap();
    assert_all_delivered(&results, 20);
}

#[test]
fn an_empty_feed_ends_at_once() {
    let (setup, results) = prepare(&settings(2), io::empty());
    let ended = run(setup).unwrap();
    assert!(matches!(
        ended,
        Ended::Finished {
            all_delivered: true
        }
    ));
    assert!(results.lines().is_empty());
}

#[test]
fn tls_end_to_end_verifies_the_address_and_delivers() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/io/testdata");
    let chain = vec![CertificateDer::from_pem_file(data.join("leaf.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(data.join("leaf.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crate::io::tls::provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let server = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = StreamOwned::new(server, stream.unwrap());
            thread::spawn(move || answer(stream, &|| {}));
        }
    });
    let settings = Settings {
        ca_file: Some(data.join("ca.pem")),
        ..settings(1)
    };
    let urls = [format!("https://127.0.0.1:{port}/hook")];
    let payload = "x".repeat(100_000);
    let (setup, results) = prepare(&settings, Cursor::new(feed(100, &urls, &payload)));
    run(setup).unwrap();
    assert_all_delivered(&results, 100);
}

/// Takes nothing: its reader has left.
struct Left;

impl Write for Left {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn f89_a_run_whose_results_nobody_takes_ends() {
    let (source, mut feeder) = UnixStream::pair().unwrap();
    let (mut setup, _) = prepare(&settings(1), source);
    setup.sink = Box::new(Left);
    let url = plain_url(receiver(|| {}));
    feeder.write_all(&feed(3, &[url], "small")).unwrap();
    // The feed stays open: it is not its end that ends the run.
    assert!(matches!(run(setup).unwrap(), Ended::SinkGone));
}

#[test]
fn f88_a_signal_ends_the_intake_and_requests_in_flight_are_finished() {
    for workers in [1, 2] {
        let (source, mut feeder) = UnixStream::pair().unwrap();
        let (setup, results) = prepare(&settings(workers), source);
        let main = Thread::this();
        let url = plain_url(receiver(move || main.signal(libc::SIGTERM)));
        feeder.write_all(&feed(1, &[url], "small")).unwrap();
        let ended = run(setup).unwrap();
        assert!(
            matches!(
                ended,
                Ended::Finished {
                    all_delivered: true
                }
            ),
            "{ended:?}"
        );
        assert_all_delivered(&results, 1);
    }
}

#[test]
fn f88_what_outlives_the_shutdown_timeout_is_cut() {
    let (source, mut feeder) = UnixStream::pair().unwrap();
    let settings = Settings {
        shutdown_timeout: Duration::ZERO,
        ..settings(1)
    };
    let (setup, results) = prepare(&settings, source);
    let main = Thread::this();
    let url = plain_url(receiver(move || {
        main.signal(libc::SIGTERM);
        thread::park();
    }));
    feeder.write_all(&feed(1, &[url], "small")).unwrap();
    let ended = run(setup).unwrap();
    assert!(matches!(
        ended,
        Ended::Finished {
            all_delivered: false
        }
    ));
    let lines = results.lines();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("\"outcome\":\"cancelled\""),
        "{}",
        lines[0]
    );
}

#[test]
fn f119_two_signals_at_once_are_one() {
    let (source, _feeder) = UnixStream::pair().unwrap();
    let (setup, _) = prepare(&settings(1), source);
    // Both are pending before the first turn. One that comes later is a story of `tests/e2e`.
    Thread::this().signal(libc::SIGTERM);
    Thread::this().signal(libc::SIGINT);
    let ended = run(setup).unwrap();
    assert!(matches!(ended, Ended::Finished { .. }), "{ended:?}");
}
