//! Counters: what conduit's metrics say of attempts, beside what the receivers themselves have counted, to the unit.
//!
//! Not here: the other metrics (`admin`), what counting costs (`figures_admin`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::certs::Authority;
use crate::harness::conduit::Run;
use crate::harness::feed::plain;
use crate::harness::monitor::{Metrics, get, metrics, watched};
use crate::harness::servers::Node;
use crate::harness::world::World;
use crate::harness::{is_installed, wait_for};

/// Jobs under way at any time: neither pipe fills up.
const WINDOW: usize = 400;

/// Attempts by status, or connections by the reason of their end.
type Counts = BTreeMap<String, u64>;

/// What the results of a feed say.
#[derive(Debug, Default)]
struct Told {
    outcomes: Counts,
    attempts: u64,
    /// Attempts beyond the first of each job.
    retries: u64,
}

/// Delivers these job lines, a window of them at a time.
fn deliver(run: &mut Run, feed: impl IntoIterator<Item = String>) -> Told {
    let mut feed = feed.into_iter();
    let mut under_way = 0;
    let mut told = Told::default();
    loop {
        let room = WINDOW - under_way;
        for line in feed.by_ref().take(room) {
            run.write(&line);
            under_way += 1;
        }
        if under_way == 0 {
            return told;
        }
        let result = run.pass_result();
        under_way -= 1;
        *told
            .outcomes
            .entry(result.outcome().to_owned())
            .or_default() += 1;
        told.attempts += result.attempts();
        told.retries += result.attempts().saturating_sub(1);
    }
}

fn counts(value: &Value) -> Counts {
    let counts = value.as_object().expect("counts");
    let count = |value: &Value| value.as_u64().expect("a count");
    counts
        .iter()
        .map(|(name, value)| (name.clone(), count(value)))
        .collect()
}

/// Those that are not zero.
fn by(metrics: &Metrics, name: &str, label: &str, endpoint: &str) -> Counts {
    let mut counts = metrics.by(name, label, &[("endpoint", endpoint)]);
    counts.retain(|_, count| *count > 0);
    counts
}

/// What all attempts of all jobs must have left, whatever became of them.
fn assert_all_told(metrics: &Metrics, told: &Told) {
    let total = |name| metrics.count(name, &[]);
    let attempts = metrics.by("conduit_webhook_requests_total", "status", &[]);
    let errors = attempts.get("error").copied().unwrap_or_default();
    let timeouts = attempts.get("timeout").copied().unwrap_or_default();
    assert_eq!(attempts.values().sum::<u64>(), told.attempts);
    assert_eq!(total("conduit_webhook_timeouts_total"), timeouts);
    assert_eq!(total("conduit_webhook_retries_total"), told.retries);
    assert_eq!(
        total("conduit_webhook_duration_ms_count"),
        told.attempts - errors - timeouts,
        "a time for each answer"
    );
    let mut outcomes = metrics.by("conduit_webhook_outcomes_total", "outcome", &[]);
    outcomes.retain(|_, count| *count > 0);
    assert_eq!(outcomes, told.outcomes);
    println!("{} attempts, {:?}", told.attempts, told.outcomes);
}

/// Delivers so many jobs to a receiver that reads each request whole and then answers, or does not. Its late answers
/// come when the attempt has been given up for that long again.
pub(crate) fn counters_agree_after_whole_requests(jobs: usize, timeout: Duration) {
    let late = (2 * timeout).as_millis().to_string();
    let script = include_str!("harness/faulty.js").replace("LATE_MS", &late);
    let Some(node) = Node::start(&script) else {
        return;
    };
    let receiver = || get(node.port, "/").json();
    let (port, mut run) = watched(&[
        "--retry-schedule",
        "0.01,0.01,0.01",
        "--timeout",
        &timeout.as_secs_f64().to_string(),
        "--max-connections",
        "200",
        "--breaker-failures",
        "1000000",
        "--log-level",
        "off",
    ]);
    let url = format!("http://127.0.0.1:{}/hook", receiver()["port"]);
    let told = deliver(&mut run, (0..jobs).map(|job| plain(&job.to_string(), &url)));
    let endpoint = url.trim_end_matches("/hook");
    // A receiver may see the end of a connection after conduit.
    let (metrics, own) = wait_for("the receiver to have seen all ends", || {
        let (metrics, own) = (metrics(port), receiver());
        let closed = metrics.count("conduit_http_pool_connections_closed_total", &[]);
        (own["ended"].as_u64() == Some(closed)).then_some((metrics, own))
    });
    let statuses = by(
        &metrics,
        "conduit_webhook_requests_total",
        "status",
        endpoint,
    );
    let reasons = by(
        &metrics,
        "conduit_http_pool_connections_closed_total",
        "reason",
        endpoint,
    );
    println!("{own}\n{statuses:?}\nclosed: {reasons:?}");
    assert_eq!(statuses, counts(&own["statuses"]));
    let of = |name: &str| own[name].as_u64().expect("a count");
    let resends = metrics.count("conduit_http_pool_resends_total", &[]);
    assert_eq!(resends, of("resends"));
    assert_eq!(of("requests"), statuses.values().sum::<u64>() + resends);
    assert_eq!(of("resendsOnUsed"), 0, "a resend takes a fresh connection");
    // All have happened, and to fresh connections too what on used ones makes a resend.
    let faults = counts(&own["faults"]);
    assert_eq!(faults.len(), 6, "{faults:?}");
    let broken = counts(&own["broken"]);
    for reason in ["reset", "protocol", "timeout"] {
        assert_eq!(reasons.get(reason), broken.get(reason), "{reason}");
    }
    assert!(
        broken["reset"] > faults["cut"] && broken["stale"] > 0,
        "{broken:?}"
    );
    // With a connection that has died under a request go those that are idle for longer.
    assert!(reasons["stale"] >= broken["stale"], "{reasons:?}");
    let opened = metrics.count("conduit_http_pool_connections_opened_total", &[]);
    assert_eq!(opened, of("accepted"));
    assert_all_told(&metrics, &told);
    run.finish();
}

#[test]
fn counters_agree_with_a_receiver_that_reads_whole_requests() {
    counters_agree_after_whole_requests(2_000, Duration::from_secs(2));
}

/// Names of each kind that a name server fails for: a resolver asks for few of a zone at once, and some of these are
/// never answered.
const NAMES: usize = 20;

/// Names that don't exist, at most: origins beyond 1,000 would share their counts.
const GONE_NAMES_MAX: usize = 500;

/// Delivers so many jobs to receivers that no request gets to, and to one that closes connections behind its answers.
///
/// What can't be equal by nature: a connection that is reset as soon as it is accepted may be so before conduit has
/// seen it come up, so of those only the attempts are compared; and whether a connection that its receiver closes is
/// idle then or has a request on it that nobody reads only conduit knows, so both together are. Of look-ups conduit
/// counts none, but here they follow from the attempts or the names: a name that does not exist is asked for again by
/// who has failed of that, and every other name has one job and one attempt.
pub(crate) fn counters_agree_without_whole_requests(jobs: usize) {
    let Some(world) = World::new() else {
        return;
    };
    let Some(authority) = Authority::new().filter(|_| is_installed("iptables", "iptables")) else {
        return;
    };
    let Some(receivers) = Receivers::start(&world, &authority) else {
        return;
    };
    world.shell("iptables -I INPUT -p tcp --dport 8081 --syn -j REJECT --reject-with tcp-reset");
    let refused = || {
        let rule = world.shell("iptables -nvxL INPUT 1");
        let packets = rule.split_whitespace().next().expect("a rule");
        packets.parse::<u64>().expect("a count")
    };
    // All who ask for a name that is never answered wait for the same look-up.
    let servers = "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n";
    world.set("resolv.conf", servers);
    world.set("conduit.json", &settings_of_names());
    let (urls, gone_names) = receivers.urls(jobs);
    let mut run = world.run(&[
        "--config",
        "/etc/conduit.json",
        "--retry-schedule",
        "0.01",
        "--breaker-failures",
        "1000000",
        "--log-level",
        "off",
    ]);
    let lines = urls
        .iter()
        .zip(0..)
        .map(|(url, job)| plain(&job.to_string(), url));
    let told = deliver(&mut run, lines);
    // Names lead there as well.
    let brief = format!(":{}", receivers.port("brief"));
    // A receiver may see the end of a connection after conduit.
    let (metrics, own) = wait_for("the receivers to have seen all ends", || {
        let metrics = Metrics::on(world.get("http://127.0.0.1:5000/metrics"));
        let own = receivers.counts();
        let closed = Tally::of(&metrics, &brief).closed;
        let mut others = ["untrusted", "cut", "slammed", "reset"].into_iter();
        let is_over = own["brief"]["ended"].as_u64() == Some(closed)
            && others.all(|name| own[name]["ended"] == own[name]["accepted"]);
        is_over.then_some((metrics, own))
    });
    println!("{own}");
    let of = |name: &str, what: &str| own[name][what].as_u64().expect("a count");
    let tally = |name: &str| Tally::of(&metrics, &receivers.at(name));

    let failed = |errors: u64, opened: u64| Tally {
        errors,
        opened,
        closed: opened,
        ..Tally::default()
    };
    assert_eq!(Tally::of(&metrics, REFUSED), failed(refused(), 0));
    let untrusted = of("untrusted", "accepted");
    assert_eq!(tally("untrusted"), failed(untrusted, 0));
    assert_eq!(
        (of("untrusted", "failed"), of("untrusted", "secured")),
        (untrusted, 0)
    );
    assert_eq!(tally("cut"), failed(of("cut", "hellos"), 0));
    assert_eq!(of("cut", "hellos"), of("cut", "accepted"));
    let slammed = of("slammed", "accepted");
    assert_eq!(tally("slammed"), failed(slammed, slammed));
    assert_eq!(tally("reset").errors, of("reset", "accepted"));
    let expected = Tally {
        answers: of("brief", "requests"),
        opened: of("brief", "accepted"),
        closed: of("brief", "ended"),
        ..Tally::default()
    };
    let seen = Tally::of(&metrics, &brief);
    assert!(seen.resends > 0, "no request has met with an end: {seen:?}");
    assert_eq!(Tally { resends: 0, ..seen }, expected);

    let names = NAMES as u64;
    let of_names = |kind: &str| Tally::of(&metrics, &format!(".{kind}.example:"));
    let queries = |kind: &str| of("queries", kind);
    let gone = of_names("gone");
    // Asked for anew by the first retry, at the latest, and no more often than somebody fails of it.
    let asked = queries("gone") / 2;
    assert!(
        (2 * gone_names as u64..=gone.errors).contains(&asked),
        "{asked}: {gone:?}"
    );
    assert_eq!(gone, failed(gone.errors, 0));
    for kind in ["broken", "silent"] {
        assert_eq!(of_names(kind), failed(names, 0), "{kind}");
        assert_eq!(queries(kind), 2 * names, "{kind}");
    }
    // The first look-up is no attempt: it fails for want of a name server.
    assert_eq!(of_names("shaky").errors, 0);
    assert_eq!(queries("shaky"), 4 * names);
    assert_all_told(&metrics, &told);
    run.finish();
}

/// Receivers, and the name server, of `failing.js`.
struct Receivers<'a> {
    world: &'a World,
    node: Node,
    ports: Value,
}

/// What conduit counts of the endpoints whose name has something in it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    errors: u64,
    answers: u64,
    opened: u64,
    closed: u64,
    resends: u64,
}

const REFUSED: &str = "http://127.0.0.1:8081";

impl<'a> Receivers<'a> {
    fn start(world: &'a World, authority: &Authority) -> Option<Receivers<'a>> {
        let own = authority.self_signed();
        let script = include_str!("harness/failing.js")
            .replace("CERT", own.chain.to_str().expect("a plain name"))
            .replace("KEY", own.key.to_str().expect("a plain name"));
        let node = Node::start_by(world.command("node"), &script)?;
        let mut receivers = Receivers {
            world,
            node,
            ports: Value::Null,
        };
        receivers.ports = receivers.counts()["ports"].clone();
        Some(receivers)
    }

    fn counts(&self) -> Value {
        let page = self.world.get(&self.node.url("/"));
        serde_json::from_str(&page).expect("JSON")
    }

    fn port(&self, name: &str) -> u64 {
        self.ports[name].as_u64().expect("a port")
    }

    /// The endpoint.
    fn at(&self, name: &str) -> String {
        let is_tls = matches!(name, "untrusted" | "cut");
        let scheme = if is_tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port(name))
    }

    /// Where so many jobs go beside those of the names; and how many names there are that don't exist.
    fn urls(&self, jobs: usize) -> (Vec<String>, usize) {
        const KINDS: [&str; 9] = [
            "refused",
            "untrusted",
            "cut",
            "slammed",
            "brief",
            "brief",
            "reset",
            "brief",
            "gone",
        ];
        let mut urls = Vec::new();
        for name in 0..NAMES {
            for (kind, port) in [
                ("broken", 8080),
                ("silent", 8080),
                ("shaky", self.port("brief")),
            ] {
                urls.push(format!("http://n{name}.{kind}.example:{port}"));
            }
        }
        let each = jobs / KINDS.len();
        let gone_names = each.min(GONE_NAMES_MAX);
        for round in 0..each {
            urls.extend(KINDS.map(|kind| match kind {
                "refused" => REFUSED.to_owned(),
                // Jobs for the same name follow each other.
                "gone" => format!("http://n{}.gone.example:8080", round * gone_names / each),
                receiver => self.at(receiver),
            }));
        }
        (urls, gone_names)
    }
}

/// One attempt for names that their server fails for; it counts at once.
fn settings_of_names() -> String {
    let mut endpoints = serde_json::Map::new();
    for name in 0..NAMES {
        for kind in ["broken", "silent"] {
            let endpoint = format!("http://n{name}.{kind}.example:8080");
            let settings =
                json!({"retrySchedule": [], "localTroubleLimit": 0, "connectTimeout": 0.5});
            endpoints.insert(endpoint, settings);
        }
    }
    json!({"webhookEndpoints": endpoints}).to_string()
}

impl Tally {
    fn of(metrics: &Metrics, endpoint: &str) -> Tally {
        let sum = |name: &str, labels: &[(&str, &str)]| -> u64 {
            let counts = metrics.by(name, "endpoint", labels).into_iter();
            counts
                .filter(|(name, _)| name.contains(endpoint))
                .map(|(_, count)| count)
                .sum()
        };
        let attempts = |labels: &[(&str, &str)]| sum("conduit_webhook_requests_total", labels);
        let errors = attempts(&[("status", "error")]);
        Tally {
            errors,
            answers: attempts(&[]) - errors,
            opened: sum("conduit_http_pool_connections_opened_total", &[]),
            closed: sum("conduit_http_pool_connections_closed_total", &[]),
            resends: sum("conduit_http_pool_resends_total", &[]),
        }
    }
}

#[test]
fn counters_agree_with_receivers_that_read_no_request() {
    counters_agree_without_whole_requests(1_000);
}
