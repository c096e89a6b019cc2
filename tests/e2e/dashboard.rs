//! The dashboard of `deploy/`, against a real Prometheus that scrapes a real conduit.
//!
//! Not here: the alerts (`deploy`), the page of metrics itself (`admin`).

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::deploy::{promtool, read};
use crate::harness::feed::plain;
use crate::harness::servers::Sink;
use crate::harness::socket::Daemon;
use crate::harness::{
    PATIENCE, Process, TempDir, free_port, is_installed, wait_for, wait_for_port,
};

#[test]
fn figures_of_the_dashboard_are_what_their_panels_say() {
    if !is_installed("promtool", "prometheus") {
        return;
    }
    // A busy origin, a dead one, and one that nothing is sent to; a spool that holds more than memory.
    let series = [
        (
            "requests_total",
            r#"endpoint="busy",status="200""#,
            "0+60x10",
        ),
        (
            "requests_total",
            r#"endpoint="dead",status="error""#,
            "0+60x10",
        ),
        ("queued", r#"endpoint="busy",priority="high""#, "7x10"),
        ("queued", r#"endpoint="dead",priority="low""#, "3x10"),
        ("queued", r#"endpoint="idle",priority="low""#, "0x10"),
        ("http_pool_active_connections", r#"endpoint="busy""#, "5x10"),
        ("http_pool_active_connections", r#"endpoint="dead""#, "0x10"),
        ("http_pool_active_connections", r#"endpoint="idle""#, "0x10"),
        ("http_pool_idle_connections", r#"endpoint="busy""#, "1x10"),
        ("http_pool_idle_connections", r#"endpoint="dead""#, "0x10"),
        ("http_pool_idle_connections", r#"endpoint="idle""#, "0x10"),
        ("http_pool_max_connections", r#"endpoint="busy""#, "6x10"),
        ("http_pool_max_connections", r#"endpoint="dead""#, "4x10"),
        ("http_pool_max_connections", r#"endpoint="idle""#, "50x10"),
        ("active_requests", "", "5x10"),
        ("spool_jobs", "", "1005x10"),
    ];
    let series = series.map(|(name, labels, values)| {
        let owner = match name.split_once('_') {
            Some(("http" | "spool", _)) => "conduit",
            _ => "conduit_webhook",
        };
        let name = format!("{owner}_{name}{{job=\"conduit\",instance=\"a\",{labels}}}");
        json!({"series": name, "values": values})
    });
    let figures = [
        ("Success rate", json!([{"labels": "{}", "value": 0.5}])),
        (
            "Success rate",
            json!([{"labels": "{endpoint=\"busy\"}", "value": 1}, {"labels": "{endpoint=\"dead\"}", "value": 0}]),
        ),
        ("Pool utilisation", json!([{"labels": "{}", "value": 0.5}])),
        ("Waiting", json!([{"labels": "{}", "value": 1000}])),
    ];
    let mut panels = panels();
    let checks = figures.map(|(title, samples)| {
        // One after the other where panels have the same title.
        let at = panels.iter().position(|panel| panel["title"] == title);
        let panel = panels.remove(at.expect("there is one"));
        let expr = panel["targets"][0]["expr"].as_str().expect("a query");
        let expr = expr.replace("$__rate_interval", "4m");
        let expr = expr.replace("$instance", ".*").replace("$endpoint", ".*");
        json!({"expr": expr, "eval_time": "5m", "exp_samples": samples})
    });
    let tests = json!({"evaluation_interval": "1m", "tests":
        [{"interval": "1m", "input_series": series, "promql_expr_test": checks}]});
    let dir = TempDir::new();
    promtool(
        &["test", "rules"],
        &dir.write("tests.yml", &tests.to_string()),
    );
}

#[test]
fn every_query_of_the_dashboard_has_an_answer() {
    if !is_installed("prometheus", "prometheus") {
        return;
    }
    let good = Sink::start(1, &[]);
    let bad = Sink::start(1, &["--status", "503"]);
    let dir = TempDir::new();
    let endpoint =
        |sink: &Sink, region: &str| format!("\"{}\":{{\"region\":\"{region}\"}}", sink.urls[0]);
    let endpoints = [endpoint(&good, "eu"), endpoint(&bad, "us")].join(",");
    let config = dir.write(
        "conduit.json",
        &format!("{{\"webhookEndpoints\":{{{endpoints}}}}}"),
    );
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let spool = dir.join("spool");
    let daemon = Daemon::start(&[
        "--spool",
        spool.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "--listen",
        &listen,
        "--retry-schedule",
        "0.1,0.1",
        // So that some are closed while it is watched.
        "--connection-lifetime",
        "0.2",
    ]);
    let prometheus = Prometheus::start(&dir, &listen);
    let mut client = daemon.connect();
    let mut count = 0;
    for query in queries() {
        wait_for(&query, || {
            // Rates need requests while it is watched.
            for sink in [&good, &bad] {
                count += 1;
                client.send(plain(&format!("job-{count}"), &sink.urls[0]));
            }
            client.take(2);
            prometheus.has_answer(&query).then_some(())
        });
    }
}

/// A Prometheus that scrapes one address.
struct Prometheus {
    port: u16,
    _process: Process,
}

impl Prometheus {
    fn start(dir: &TempDir, target: &str) -> Prometheus {
        let config = format!(
            "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\n\
             scrape_configs: [{{job_name: conduit, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        let config = dir.write("prometheus.yml", &config);
        let port = free_port();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            dir.join("tsdb").display()
        ));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        wait_for_port(port);
        Prometheus {
            port,
            _process: process,
        }
    }

    /// Whether this query yields at least one series; one that Prometheus refuses is a failure.
    fn has_answer(&self, query: &str) -> bool {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let request = format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        if answer.starts_with("HTTP/1.0 503") {
            // It is not ready yet.
            return false;
        }
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let body: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{query}: {error}: {answer}"));
        assert_eq!(body["status"], "success", "{query}: {body}");
        !body["data"]["result"]
            .as_array()
            .expect("a vector")
            .is_empty()
    }
}

/// The panels of the dashboard.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("grafana/conduit.json")).expect("it is JSON");
    dashboard["panels"].as_array().expect("panels").clone()
}

/// The queries of all panels, with the variables filled in.
fn queries() -> Vec<String> {
    let panels = panels();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let queries: Vec<String> = targets
        .map(|target| target["expr"].as_str().expect("an expression"))
        .map(|expr| expr.replace("$__rate_interval", "10s"))
        .map(|expr| expr.replace("$instance", ".*").replace("$endpoint", ".*"))
        .collect();
    assert!(
        queries.len() > 20 && queries.iter().all(|query| !query.contains('$')),
        "{queries:?}"
    );
    queries
}
