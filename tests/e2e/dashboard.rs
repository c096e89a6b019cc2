//! The dashboard of `deploy/`, against a real Prometheus that scrapes a real conduit.
//!
//! Not here: the alerts (`deploy`), the page of metrics itself (`admin`).

use std::collections::BTreeSet;
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
fn figures_are_what_their_panels_say() {
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
fn every_query_has_an_answer_and_heeds_the_variables() {
    if !is_installed("prometheus", "prometheus") {
        return;
    }
    let good = Sink::start(1, &[]);
    let bad = Sink::start(1, &["--status", "503"]);
    let urls = [&good.urls[0], &bad.urls[0]];
    let dir = TempDir::new();
    let endpoint = |url: &str, region: &str| format!("\"{url}\":{{\"region\":\"{region}\"}}");
    let endpoints = [endpoint(urls[0], "eu"), endpoint(urls[1], "us")].join(",");
    let config = dir.write(
        "conduit.json",
        &format!("{{\"webhookEndpoints\":{{{endpoints}}}}}"),
    );
    let listen = format!("127.0.0.1:{}", free_port());
    let spool = dir.join("spool");
    let daemon = Daemon::start(&[
        "--config",
        config.to_str().unwrap(),
        "--spool",
        spool.to_str().unwrap(),
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
    let mut wait_until = |what: &str, is_so: &dyn Fn() -> bool| {
        wait_for(what, || {
            // Rates need requests while it is watched.
            for url in urls {
                count += 1;
                client.send(plain(&format!("job-{count}"), url));
            }
            client.take(2);
            is_so().then_some(())
        });
    };

    // The variables offer what there is.
    let origins = urls.map(|url| url.trim_end_matches('/').to_owned());
    let mut offered = origins.to_vec();
    offered.sort_unstable();
    for (name, expected) in [("instance", vec![listen.clone()]), ("endpoint", offered)] {
        let query = Filled::all().fill(&variable(name));
        wait_until(&query, &|| prometheus.label_values(&query) == expected);
    }

    let chosen = Filled::of(&[&listen], &[&origins[0], &origins[1]]);
    let elsewhere = Filled::of(&["10.0.0.1:5000"], &[&origins[0], &origins[1]]);
    let one = Filled::of(&[&listen], &[&origins[0]]);
    for target in targets() {
        // Such a part answers whatever is asked.
        let expr = target.expr.replace(" or vector(0)", "");
        for filled in [&Filled::all(), &chosen] {
            let query = filled.fill(&expr);
            wait_until(&query, &|| {
                let samples = prometheus.ask(&query);
                let has_legend = |sample: &Sample| {
                    let labels = &sample.labels;
                    target.legend.iter().all(|name| labels[name].is_string())
                };
                assert!(samples.iter().all(has_legend), "{query}: {samples:?}");
                samples.iter().any(|sample| sample.value.is_finite())
            });
        }
        let samples = prometheus.ask(&elsewhere.fill(&expr));
        assert!(samples.is_empty(), "{expr}: {samples:?}");
        if expr.contains("$endpoint") {
            let others = |sample: &Sample| sample.labels["endpoint"] == origins[1].as_str();
            let samples = prometheus.ask(&one.fill(&expr));
            assert!(!samples.iter().any(others), "{expr}: {samples:?}");
        }
    }

    // What the alerts look at is there.
    let rules = read("prometheus/alerts.yml");
    let words = rules.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let is_series = |word: &&str| word.starts_with("conduit_") || word.starts_with("process_");
    let series: BTreeSet<&str> = words.filter(is_series).collect();
    assert!(series.len() > 10, "{series:?}");
    for name in series {
        wait_until(name, &|| !prometheus.ask(name).is_empty());
    }
}

/// What stands in place of the dashboard's variables.
struct Filled {
    instance: String,
    endpoint: String,
}

impl Filled {
    /// As with "All".
    fn all() -> Filled {
        let all = || ".*".to_owned();
        Filled {
            instance: all(),
            endpoint: all(),
        }
    }

    /// As with these chosen.
    fn of(instances: &[&str], endpoints: &[&str]) -> Filled {
        Filled {
            instance: one_of(instances),
            endpoint: one_of(endpoints),
        }
    }

    fn fill(&self, text: &str) -> String {
        let text = text
            .replace("$__rate_interval", "10s")
            .replace("$instance", &self.instance)
            .replace("$endpoint", &self.endpoint);
        assert!(!text.contains('$'), "{text}");
        text
    }
}

/// Several values as Grafana writes them for Prometheus: a regular expression within a string.
fn one_of(values: &[&str]) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|value| value.replace('.', "\\\\."))
        .collect();
    format!("({})", values.join("|"))
}

/// A query of a panel.
struct Target {
    expr: String,
    /// The labels that its legend names.
    legend: Vec<String>,
}

/// One series of an answer.
#[derive(Debug)]
struct Sample {
    labels: Value,
    value: f64,
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

    /// What this query yields; nothing while Prometheus is not ready. One that it refuses is a failure.
    fn ask(&self, query: &str) -> Vec<Sample> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let request = format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        if answer.starts_with("HTTP/1.0 503") {
            return Vec::new();
        }
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let body: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{query}: {error}: {answer}"));
        assert_eq!(body["status"], "success", "{query}: {body}");
        let series = body["data"]["result"].as_array().expect("a vector");
        let samples = series.iter().map(|one| Sample {
            labels: one["metric"].clone(),
            value: one["value"][1]
                .as_str()
                .and_then(|value| value.parse().ok())
                .expect("a number, or NaN"),
        });
        samples.collect()
    }

    /// What `label_values(SELECTOR, LABEL)` offers.
    fn label_values(&self, query: &str) -> Vec<String> {
        let inside = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inside.and_then(|it| it.rsplit_once(", ")).expect("both");
        let samples = self.ask(&format!("count by ({label}) ({selector})"));
        let mut values: Vec<String> = samples
            .iter()
            .map(|sample| sample.labels[label].as_str().expect("a label").to_owned())
            .collect();
        values.sort_unstable();
        values
    }
}

/// The query behind a variable.
fn variable(name: &str) -> String {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let variable = variables.iter().find(|variable| variable["name"] == name);
    let query = &variable.expect("there is one")["query"]["query"];
    query.as_str().expect("a query").to_owned()
}

/// The queries of all panels.
fn targets() -> Vec<Target> {
    let panels = panels();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let targets: Vec<Target> = targets
        .map(|target| Target {
            expr: text(&target["expr"]),
            legend: text(&target["legendFormat"])
                .split("{{")
                .skip(1)
                .filter_map(|rest| Some(rest.split_once("}}")?.0.to_owned()))
                .collect(),
        })
        .collect();
    assert!(targets.len() > 20);
    targets
}

/// The panels of the dashboard.
fn panels() -> Vec<Value> {
    dashboard()["panels"].as_array().expect("panels").clone()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/conduit.json")).expect("it is JSON")
}
