//! The README's runbook, played: who has nothing but its commands finds what is wrong, mends it, and sees that it is
//! mended, all in one and the same process.
//!
//! Each command is taken as it stands there, with this trial's ports, file and binary in place of the runbook's.
//!
//! Not here: whether every command line of the README can be read (`src/flags/tests/readme`), what the orders do in
//! detail (`control`, `letters`).

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::harness::conduit::CONDUIT;
use crate::harness::feed::plain;
use crate::harness::servers::Sink;
use crate::harness::socket::{Client, Daemon};
use crate::harness::{TempDir, free_port, wait_for};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Where jobs go, and how many of them are under way or wait at any time.
const LOADS: [(&str, usize); 3] = [
    ("http://fast.localhost:8001/", 1),
    ("http://slow.localhost:8002/", 24),
    ("http://late.localhost:8003/", 4),
];

/// A conduit, its file and what the runbook calls its receivers.
struct Trial {
    daemon: Daemon,
    dir: TempDir,
    /// The README's lines; a command that goes on in the next line is one.
    readme: Vec<String>,
    /// What stands in the README, and what it is here.
    names: Vec<(&'static str, String)>,
}

/// What a command has said.
struct Said {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// One line of `ctl endpoints`.
#[derive(Debug)]
struct Row {
    endpoint: String,
    breaker: String,
    busy: u64,
    max: u64,
    queued: u64,
    requests: u64,
    timeouts: u64,
    timeout: String,
}

/// Somebody who always has as many jobs pending.
struct Load {
    is_enough: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[test]
fn an_operator_who_has_only_the_readme_mends_it_all_without_a_restart() {
    let fast = Sink::start(1, &[]);
    let slow = Sink::start(1, &["--delay", "0.1-0.3"]);
    let late = Sink::start(1, &["--delay", "0.1-0.3"]);
    let down = format!("127.0.0.1:{}", free_port());
    let failing = sink_at(&down, &["--status", "503"]);
    let places = [&fast.urls[0], &slow.urls[0], &late.urls[0], &down];
    let mut trial = Trial::start(places.map(|place| port(place)));
    let loads = LOADS.map(|(url, count)| {
        let url = trial.translated(url);
        Load::start(trial.daemon.connect(), url, count)
    });

    high_utilisation(&trial);
    frequent_timeouts(&trial);
    let mended = tripped_breaker(&trial, failing, &down);

    assert!(!trial.daemon.run.has_ended(), "no restart");
    loads.into_iter().for_each(Load::stop);
    mended.stop();
    trial.daemon.stop();
}

/// "High pool utilisation".
fn high_utilisation(trial: &Trial) {
    let health = "conduit health | jq -c '.checks.http_connection_pool | [.status, .description]'";
    wait_for("a busy pool", || {
        let (_, status, utilization) = trial.pool(health);
        (status != "Healthy" && utilization >= 70.0).then_some(())
    });
    let slow = "http://slow.localhost:8002";
    let row = wait_for("the endpoint whose pool is full", || {
        let row = trial.row("conduit ctl endpoints", slow);
        (row.busy == row.max && row.queued > 0).then_some(row)
    });
    assert_eq!(row.max, 20);
    let explained = trial.run(
        concat!(
            r#"echo '{"url":"http://slow.localhost:8002/hooks"}' | conduit explain --config conduit.json "#,
            "| grep -E '^  (timeout|maxConnections) '"
        ),
    );
    for words in [["timeout", "10"], ["maxConnections", "20"]] {
        let is_it = |line: &str| line.split_whitespace().take(2).eq(words);
        assert!(explained.stdout.lines().any(is_it), "{}", explained.stdout);
    }
    trial.run("conduit ctl set http://slow.localhost:8002 maxConnections=40");
    let utilization = wait_for("the pool to be well", || match trial.pool(health) {
        (Some(0), status, utilization) if status == "Healthy" => Some(utilization),
        _ => None,
    });
    assert!(utilization < 70.0, "{utilization}");
    let row = trial.row("conduit ctl endpoints", "http://slow.localhost:8002*");
    assert_eq!(row.max, 40, "{row:?}");
    trial.configure(40);
    trial.run("conduit check --config conduit.json && conduit ctl reload");
}

/// "Frequent timeouts".
fn frequent_timeouts(trial: &Trial) {
    let row = |endpoint| trial.row("conduit ctl endpoints", endpoint);
    let late = wait_for("time-outs", || {
        Some(row("http://late.localhost:8003")).filter(|row| row.timeouts > 0)
    });
    assert_eq!(late.timeout, "0.25s");
    trial.run("conduit ctl set http://late.localhost:8003 timeout=2");
    let late = || row("http://late.localhost:8003*");
    let set = late();
    assert_eq!(set.timeout, "2s", "{set:?}");
    // What began before has the old limit, in which none of the three others ends more than three attempts.
    let before = wait_for("attempts to end", || {
        Some(late()).filter(|row| row.requests > set.requests + 12)
    });
    let after = wait_for("more attempts", || {
        Some(late()).filter(|row| row.requests > before.requests + 40)
    });
    assert_eq!(after.timeouts, before.timeouts, "{after:?}");
    let check = concat!(
        r#"echo '{"url":"http://late.localhost:8003/hooks","method":"GET","timeout":5}' "#,
        "| conduit run --config conduit.json --listen none --timings | jq -c '[.outcome, .timings]'"
    );
    let result: Value = serde_json::from_str(&trial.run(check).stdout).expect("one result");
    assert!(
        result["timings"]["firstByte"].as_f64() >= Some(100.0),
        "{result}"
    );
}

/// "Circuit breaker trips"; gives the receiver, mended.
fn tripped_breaker(trial: &Trial, failing: Sink, down: &str) -> Sink {
    let ids: Vec<String> = (1..=20).map(|number| format!("order-{number}")).collect();
    let url = trial.translated("http://down.localhost:8004/hooks");
    let lines: String = ids.iter().map(|id| plain(id, &url)).collect();
    trial.daemon.connect().send(lines);
    let first = || trial.rows("conduit ctl endpoints --limit 1").remove(0);
    let row = wait_for("the breaker to open", || {
        Some(first()).filter(|row| row.breaker == "open" && row.queued > 0)
    });
    assert_eq!(row.endpoint, trial.translated("http://down.localhost:8004"));
    trial
        .daemon
        .run
        .wait_for_log(&["circuit breaker open", &row.endpoint]);
    let check = concat!(
        r#"echo '{"url":"http://down.localhost:8004/hooks","method":"GET"}' "#,
        "| conduit run --config conduit.json --listen none --log-level off ",
        "| jq -c '[.outcome, .status, .error.message]'"
    );
    let checked = |status| {
        let said = trial.try_to_run(check);
        assert_eq!(said.status, Some(status), "{} {}", said.stdout, said.stderr);
    };
    checked(1);
    let list = "conduit ctl dead list --origin http://down.localhost:8004 --limit 2";
    wait_for("dead letters", || {
        let dead = trial.run(list).stdout;
        (dead.contains("  order-") && dead.contains("the receiver answered 503")).then_some(())
    });
    trial.run("conduit ctl breaker isolate http://down.localhost:8004");
    assert_eq!(first().breaker, "isolated");
    failing.stop();
    let mended = sink_at(down, &[]);
    checked(0);
    assert_eq!(first().breaker, "isolated", "it waits for its reset");
    trial.run("conduit ctl breaker reset http://down.localhost:8004");
    let row = || trial.row("conduit ctl endpoints", "http://down.localhost:8004");
    wait_for("the breaker to be closed and the queue to be empty", || {
        let row = row();
        (row.breaker == "closed" && row.queued == 0).then_some(())
    });
    trial.run("conduit ctl dead replay --origin http://down.localhost:8004");
    wait_for("every job to arrive", || {
        let seen = mended.so_far();
        let seen: BTreeSet<&str> = seen.iter().map(|(body, ..)| body.id.as_str()).collect();
        ids.iter()
            .all(|id| seen.contains(id.as_str()))
            .then_some(())
    });
    assert_eq!(trial.run(list).stdout, "no dead letters\n");
    mended
}

impl Trial {
    fn start([fast, slow, late, down]: [&str; 4]) -> Trial {
        let dir = TempDir::new();
        let admin = free_port();
        let file = dir.join("conduit.json");
        let (listen, spool) = (format!("127.0.0.1:{admin}"), dir.join("spool"));
        let path = |path: &Path| path.to_str().expect("a plain name").to_owned();
        let names = vec![
            (":8001", format!(":{fast}")),
            (":8002", format!(":{slow}")),
            (":8003", format!(":{late}")),
            (":8004", format!(":{down}")),
            ("conduit.json", path(&file)),
        ];
        write_config(&dir, &names, 20);
        let flags = [
            "--config",
            &path(&file),
            "--spool",
            &path(&spool),
            "--listen",
            &listen,
        ];
        let daemon = Daemon::start(&flags);
        let readme = fs::read_to_string(README).expect("it lies beside the sources");
        let readme = readme.replace("\\\n    ", "");
        let readme = readme.lines().map(str::to_owned).collect();
        let mut trial = Trial {
            daemon,
            dir,
            readme,
            names,
        };
        trial.names.push((
            "conduit health",
            format!("conduit health --url http://{listen}"),
        ));
        trial
    }

    /// Gives the slow endpoint so many connections in the file.
    fn configure(&self, max_connections: u32) {
        write_config(&self.dir, &self.names, max_connections);
    }

    /// A text of the runbook's in this trial's words.
    fn translated(&self, text: &str) -> String {
        let text = text.to_owned();
        self.names
            .iter()
            .fold(text, |text, (there, here)| text.replace(there, here))
    }

    /// Runs a command of the runbook, which may fail.
    fn try_to_run(&self, line: &str) -> Said {
        // Behind a command may stand what is said of it.
        let is_it = |text: &String| {
            let command = text
                .strip_prefix("$ ")
                .and_then(|text| text.split("  #").next());
            command.is_some_and(|command| command.trim_end() == line)
        };
        let is_shown = self.readme.iter().any(is_it);
        assert!(is_shown, "the README has no command {line:?}");
        // What only makes it shorter for a reader may not be installed.
        let line = line.split(" | jq").next().unwrap_or(line);
        let bin = Path::new(CONDUIT).parent().expect("it lies in a directory");
        let paths = env::var_os("PATH").unwrap_or_default();
        let paths = [bin.to_owned()].into_iter().chain(env::split_paths(&paths));
        let output = Command::new("sh")
            .args(["-c", &self.translated(line)])
            .env("PATH", env::join_paths(paths).expect("no colon in it"))
            .env("CONDUIT_SOCKET", self.daemon.path())
            .output()
            .expect("every system has sh");
        let text = |bytes| String::from_utf8(bytes).expect("conduit writes UTF-8");
        Said {
            status: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs a command of the runbook.
    fn run(&self, line: &str) -> Said {
        let said = self.try_to_run(line);
        assert_eq!(said.status, Some(0), "{line}: {}", said.stderr);
        said
    }

    /// Exit status, the pool's status and its utilisation in percent.
    fn pool(&self, line: &str) -> (Option<i32>, String, f64) {
        let said = self.try_to_run(line);
        let health: Value = serde_json::from_str(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", said.stdout, said.stderr));
        let pool = &health["checks"]["http_connection_pool"];
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let utilization = text(&pool["data"]["utilization"]);
        let utilization = utilization.trim_end_matches('%').parse();
        (
            said.status,
            text(&pool["status"]),
            utilization.expect("a number"),
        )
    }

    /// The table of endpoints.
    fn rows(&self, line: &str) -> Vec<Row> {
        let table = self.run(line).stdout;
        let rows = table
            .lines()
            .skip(1)
            .filter(|line| line.starts_with("http"));
        rows.map(Row::parse).collect()
    }

    /// One row of it.
    fn row(&self, line: &str, endpoint: &str) -> Row {
        let endpoint = self.translated(endpoint);
        let mut rows = self.rows(line).into_iter();
        let found = rows.find(|row| row.endpoint == endpoint);
        found.unwrap_or_else(|| panic!("no row of {endpoint}"))
    }
}

impl Row {
    fn parse(line: &str) -> Row {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let &[
            endpoint,
            breaker,
            busy,
            _idle,
            queued,
            requests,
            _score,
            timeouts,
            _p50,
            _p99,
            timeout,
        ] = cells.as_slice()
        else {
            panic!("not a row of endpoints: {line:?}");
        };
        let number = |cell: &str| cell.parse().expect("a number");
        let (busy, max) = busy.split_once('/').expect("BUSY/MAX");
        Row {
            endpoint: endpoint.to_owned(),
            breaker: breaker.to_owned(),
            busy: number(busy),
            max: number(max),
            queued: number(queued),
            requests: number(requests),
            timeouts: number(timeouts),
            timeout: timeout.to_owned(),
        }
    }
}

impl Load {
    fn start(mut client: Client, url: String, count: usize) -> Load {
        let is_enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_enough);
        let thread = thread::spawn(move || {
            let job = |number: usize| plain(&format!("{number}@{url}"), &url);
            client.send((0..count).map(job).collect::<String>());
            let (mut sent, mut pending) = (count, count);
            while pending > 0 {
                if client.next().ends_with(" accepted") {
                    continue;
                }
                pending -= 1;
                if !told.load(Ordering::Relaxed) {
                    client.send(job(sent));
                    (sent, pending) = (sent + 1, pending + 1);
                }
            }
        });
        Load { is_enough, thread }
    }

    /// Sends no more, and waits for the results.
    fn stop(self) {
        self.is_enough.store(true, Ordering::Relaxed);
        self.thread.join().expect("the client does not panic");
    }
}

/// The runbook's file, with times of a test's.
fn write_config(dir: &TempDir, names: &[(&str, String)], max_connections: u32) {
    let text = format!(
        r#"{{
          "allowHttp": true,
          "allowNet": ["127.0.0.1/32"],
          "defaults": {{ "maxConnections": 5 }},
          "webhookEndpoints": {{
            "http://slow.localhost:8002": {{ "maxConnections": {max_connections} }},
            "http://late.localhost:8003": {{
              "timeout": 0.25, "retrySchedule": [0.05, 0.05, 0.05], "breakerFailures": 1000
            }},
            "http://down.localhost:8004": {{ "retrySchedule": [] }}
          }}
        }}"#
    );
    let text = names
        .iter()
        .fold(text, |text, (there, here)| text.replace(there, here));
    dir.write("conduit.json", &text);
}

fn sink_at(address: &str, flags: &[&str]) -> Sink {
    Sink::start_by(Command::new(CONDUIT), &[address], flags)
}

/// `127.0.0.1:PORT` or `http://127.0.0.1:PORT/`.
fn port(url: &str) -> &str {
    let (_, port) = url.rsplit_once(':').expect("it names a port");
    port.trim_end_matches('/')
}
