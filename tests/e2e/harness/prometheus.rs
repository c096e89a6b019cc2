//! Prometheus as Debian has it: a server that scrapes conduit every second, and promtool.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::monitor::get;
use super::{Process, TempDir, free_port, is_installed, wait_for, wait_for_port};

/// A Prometheus with one target.
#[derive(Debug)]
pub(crate) struct Prometheus {
    port: u16,
    _process: Process,
    _dir: TempDir,
}

const CONFIG: &str = "\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: conduit
    static_configs:
      - targets: ['127.0.0.1:TARGET']
";

impl Prometheus {
    /// Starts one that scrapes this port every second, and waits for its first scrape; none where it is not installed.
    pub(crate) fn start(target: u16) -> Option<Prometheus> {
        if !is_installed("prometheus", "prometheus") {
            return None;
        }
        let port = free_port();
        let dir = TempDir::new();
        let config = dir.write(
            "prometheus.yml",
            &CONFIG.replace("TARGET", &target.to_string()),
        );
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            dir.join("data").display()
        ));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        wait_for_port(port);
        let prometheus = Prometheus {
            port,
            _process: process,
            _dir: dir,
        };
        wait_for("the first scrape", || prometheus.value("up"));
        Some(prometheus)
    }

    /// Waits until it has scraped so many times.
    pub(crate) fn wait_for_scrapes(&self, count: f64) {
        let mut seen = self.scrapes();
        while seen < count {
            seen = wait_for("another scrape", || {
                Some(self.scrapes()).filter(|now| *now > seen)
            });
        }
    }

    /// How often it has scraped, in vain or not.
    pub(crate) fn scrapes(&self) -> f64 {
        let scrapes = self.value("count_over_time(up[1h])");
        scrapes.expect("it has scraped")
    }

    /// How many of its scrapes have failed.
    pub(crate) fn failed_scrapes(&self) -> f64 {
        let failed = self.value("count_over_time(up[1h]) - sum_over_time(up[1h])");
        failed.expect("it has scraped")
    }

    /// What a query gives now, if it gives something: one number.
    pub(crate) fn value(&self, query: &str) -> Option<f64> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(self.port, &format!("/api/v1/query?query={escaped}"));
        // It is not ready at once.
        if answer.status == 503 {
            return None;
        }
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let answer = answer.json();
        let result = answer["data"]["result"].as_array().expect("a vector");
        let value = result.first()?["value"][1].as_str().expect("a value");
        Some(value.parse().expect("a number"))
    }
}

/// What promtool complains of on a page, line by line; none where it is not installed.
pub(crate) fn complaints_of_promtool(page: &str) -> Option<Vec<String>> {
    if !is_installed("promtool", "prometheus") {
        return None;
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(page.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("promtool writes text");
    Some(
        said.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}
