//! What stands in `deploy/`: the rules against promtool, the unit against systemd's own judge, and what the examples
//! start against conduit itself.
//!
//! Not here: the dashboard (`dashboard`).

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::harness::conduit::{CONDUIT, Run, ask};
use crate::harness::feed::plain;
use crate::harness::servers::Sink;
use crate::harness::{TempDir, is_installed, is_root, wait_for};

/// What a unit's exposure may be at most, of 10.
const EXPOSURE_MAX: f64 = 1.5;

/// What `shutdownTimeout` and the writing of the last results take by default, in seconds.
const SHUTDOWN_SECONDS: u64 = 27;

/// A user who is neither root nor conduit.
const STRANGER: u32 = 4_242;

/// Has directories of the machine hidden behind those of a test, installs, and becomes conduit as the unit says, with
/// systemd's part played by install and setpriv.
const INSTALL_AND_START: &str = "\
    mount --bind root/etc /etc
    mount --bind root/run /run
    mount --bind root/var/lib /var/lib
    mount --bind root/usr/local/bin /usr/local/bin
    INSTALL
    install -d -o USER -g GROUP -m RUNTIME_MODE /run/conduit
    install -d -o USER -g GROUP -m STATE_MODE /var/lib/conduit
    umask UMASK
    exec setpriv --reuid USER --regid GROUP --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all START";

#[test]
fn every_alert_is_set_off_by_its_series_and_by_no_other() {
    if !is_installed("promtool", "prometheus") {
        return;
    }
    let rules = deploy("prometheus/alerts.yml");
    let tests = deploy("prometheus/alerts_test.yml");
    promtool(&["check", "rules"], &rules);
    promtool(&["test", "rules"], &tests);
    promtool(&["check", "config"], &deploy("prometheus/prometheus.yml"));
    let tested = fs::read_to_string(&tests).unwrap();
    for name in words_after(&fs::read_to_string(&rules).unwrap(), "- alert: ") {
        assert!(
            tested.contains(&format!("alertname: {name}\n")),
            "{name} has no test"
        );
    }
}

#[test]
fn the_sidecar_is_scraped_as_the_job_that_alerts_go_by() {
    if !is_installed("promtool", "prometheus") {
        return;
    }
    // What Kubernetes would find, for no Kubernetes is here.
    let container = |name: &str, port: &str, phase: &str| {
        let meta = [
            ("namespace", "shop"),
            ("pod_name", "application-0"),
            ("pod_phase", phase),
            ("pod_container_name", name),
            ("pod_container_port_name", port),
        ];
        let meta = meta.map(|(key, value)| (format!("__meta_kubernetes_{key}"), json!(value)));
        let labels: Map<String, Value> = meta.into_iter().collect();
        json!({"targets": ["10.0.0.1:5000"], "labels": labels})
    };
    let sidecar = read("kubernetes/sidecar.yaml");
    let names = words_after(&sidecar, "- name: ");
    assert_eq!(names[..2], ["conduit", "metrics"], "container and port");
    let found = json!([
        container("conduit", "metrics", "Running"),
        container("conduit", "other", "Running"),
        container("application", "metrics", "Running"),
        container("conduit", "metrics", "Succeeded"),
    ]);
    let config = read("prometheus/kubernetes.yml");
    let finding = "kubernetes_sd_configs:\n      - role: pod\n";
    assert!(config.contains(finding), "{config}");
    let config = config.replace(finding, &format!("static_configs: {found}\n"));
    let dir = TempDir::new();
    dir.write("alerts.yml", &read("prometheus/alerts.yml"));
    let config = dir.write("prometheus.yml", &config);
    promtool(&["check", "config"], &config);
    let output = Command::new("promtool")
        // So long it listens for more targets; these are there at once.
        .args(["check", "service-discovery", "--timeout=2s"])
        .arg(config)
        .arg("conduit")
        .output()
        .expect("it is installed");
    let targets: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let scraped: Vec<&Value> = targets
        .as_array()
        .expect("targets")
        .iter()
        .map(|target| &target["labels"])
        .filter(|labels| !labels["job"].is_null())
        .collect();
    let [labels] = scraped[..] else {
        panic!("{targets:#}");
    };
    assert_eq!(labels["job"], "conduit");
    assert_eq!(labels["instance"], "shop/application-0");
    assert_eq!(labels["__metrics_path__"], "/metrics");
}

#[test]
fn the_unit_is_hardened() {
    if !is_installed("systemd-analyze", "systemd") {
        return;
    }
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(deploy("systemd/conduit.service"))
        .output()
        .expect("it is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, level) = text
        .split_once("Overall exposure level for conduit.service: ")
        .unwrap_or_else(|| panic!("no level in {text}"));
    let level: f64 = level
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    assert!(level <= EXPOSURE_MAX, "exposure {level}");
}

#[test]
fn the_unit_can_tell_its_clients_apart() {
    // user_namespaces(7): SO_PEERCRED shows a user who is not mapped as 65534.
    let unit = read("systemd/conduit.service");
    let hides_users = unit.lines().any(|line| line.starts_with("PrivateUsers="));
    assert!(!hides_users, "--allow-uid could name nobody");
}

#[test]
fn the_unit_starts_with_what_its_header_has_installed() {
    let is_able = is_installed("setpriv", "util-linux")
        && is_installed("unshare", "util-linux")
        && is_installed("systemd-sysusers", "systemd");
    if !is_able || !is_root() {
        return;
    }
    let unit = read("systemd/conduit.service");
    let dir = TempDir::new();
    let root = dir.join("root");
    for name in ["etc", "run", "var/lib", "usr/local/bin"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    dir.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    dir.write("root/etc/group", "root:x:0:\n");
    fs::create_dir_all(dir.join("target/host/release")).unwrap();
    symlink(CONDUIT, dir.join("target/host/release/conduit")).unwrap();
    symlink(deploy("."), dir.join("deploy")).unwrap();
    let sink = Sink::start(1, &[]);
    let config = |secret: &str| {
        let entry = format!("\"{}\": {{\"secretFile\": \"{secret}\"}}", sink.urls[0]);
        format!(
            "{{\"allowHttp\": true, \"allowNet\": [\"127.0.0.0/8\"], \"allowUid\": [{STRANGER}],
               \"webhookEndpoints\": {{{entry}}}}}"
        )
    };
    dir.write("conduit.json", &config("/etc/conduit/secret"));
    dir.write(
        "secret",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n",
    );
    let mut install = header_commands(&unit);
    let readme = fs::read_to_string(deploy("../README.md")).unwrap();
    let told = format!("```\n{}\n", install.join("\n"));
    assert!(readme.contains(&told), "not in README: {told}");
    // A secret is installed as the configuration is.
    let of_config = install.iter().find(|line| line.contains("conduit.json"));
    install.push(of_config.unwrap().replace("conduit.json", "secret"));
    let setting = |name: &str| setting(&unit, name);
    let script = INSTALL_AND_START
        .replace("INSTALL", &install.join("\n"))
        .replace("RUNTIME_MODE", setting("RuntimeDirectoryMode"))
        .replace("STATE_MODE", setting("StateDirectoryMode"))
        .replace("USER", setting("User"))
        .replace("GROUP", setting("Group"))
        .replace("UMASK", setting("UMask"))
        .replace("START", setting("ExecStart"));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", &script]);
    command.env("CONDUITLLM__WEBHOOKS__LISTEN", "none");
    let mut run = Run::start(command.current_dir(dir.path()));
    let socket = root.join("run/conduit/conduit.sock");
    wait_for("the socket, or the end", || {
        let is_there = UnixStream::connect(&socket).is_ok();
        (is_there || run.has_ended()).then_some(())
    });
    if run.has_ended() {
        panic!("it did not start: {:?}", run.finish());
    }

    // Users that it names may submit.
    let jobs = dir.write("jobs", &plain("a", &sink.urls[0]));
    let id = STRANGER.to_string();
    let submit = Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .arg(root.join("usr/local/bin/conduit"))
        .args(["submit", "--wait", "--socket"])
        .arg(&socket)
        .stdin(fs::File::open(jobs).unwrap())
        .output()
        .expect("it is installed");
    assert_eq!(submit.status.code(), Some(0), "{submit:?}");

    // It reads again what root has changed.
    let installed = root.join("etc/conduit");
    fs::rename(installed.join("secret"), installed.join("new")).unwrap();
    fs::write(installed.join("conduit.json"), config("/etc/conduit/new")).unwrap();
    run.process().signal("HUP");
    run.wait_for_log(&["INFO", "read again"]);
    run.process().signal("TERM");
    let run = run.finish();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("WARN"), "{}", run.stderr);
}

#[test]
fn what_the_examples_start_is_a_command_that_conduit_takes() {
    for (file, flags) in [
        (
            "systemd/conduit.service",
            unit_flags(&read("systemd/conduit.service")),
        ),
        ("docker/Dockerfile", json_flags(&read("docker/Dockerfile"))),
        (
            "docker/compose.yaml",
            listed_flags(&read("docker/compose.yaml")),
        ),
        (
            "kubernetes/sidecar.yaml",
            listed_flags(&read("kubernetes/sidecar.yaml")),
        ),
    ] {
        assert!(
            flags.iter().any(|flag| flag.starts_with("--spool")),
            "{file}: {flags:?}"
        );
        let mut arguments = vec!["check".to_owned()];
        arguments.extend(flags);
        let (status, _, stderr) = ask(&arguments);
        assert_eq!(status, Some(0), "{file}: {stderr}");
    }
}

#[test]
fn the_examples_give_time_to_shut_down_and_ask_whether_it_lives() {
    for (file, name) in [
        ("systemd/conduit.service", "TimeoutStopSec="),
        ("docker/compose.yaml", "stop_grace_period: "),
        ("kubernetes/sidecar.yaml", "terminationGracePeriodSeconds: "),
    ] {
        let text = read(file);
        let seconds = words_after(&text, name);
        let seconds = seconds
            .first()
            .expect("it is there")
            .trim_end_matches('s')
            .parse::<u64>();
        assert!(
            seconds.expect("a number of seconds") >= SHUTDOWN_SECONDS,
            "{file}"
        );
    }
    let sidecar = read("kubernetes/sidecar.yaml");
    assert_eq!(
        words_after(&sidecar, "path: /health/"),
        ["live", "live", "live"]
    );
    assert!(read("docker/Dockerfile").contains("HEALTHCHECK"));
}

/// Runs promtool, which must find nothing wrong.
pub(crate) fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new("promtool").args(arguments).arg(file).output();
    let output = output.expect("it is installed");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{arguments:?} {}:\n{said}",
        file.display()
    );
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

/// A file of `deploy/`.
pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(deploy(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The word that follows each `mark`.
fn words_after<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let rest = text.split(mark).skip(1);
    rest.filter_map(|rest| rest.split_whitespace().next())
        .collect()
}

/// The commands in the unit's opening comment, without those to a systemd that runs.
fn header_commands(unit: &str) -> Vec<String> {
    let lines = unit.lines().map_while(|line| line.strip_prefix('#'));
    let commands = lines.filter_map(|line| line.strip_prefix("   "));
    let commands = commands.filter(|command| !command.starts_with("systemctl "));
    commands.map(str::to_owned).collect()
}

/// What the unit sets this to.
fn setting<'a>(unit: &'a str, name: &str) -> &'a str {
    let mut lines = unit.lines().filter_map(|line| line.split_once('='));
    let found = lines.find(|(key, _)| *key == name);
    found.unwrap_or_else(|| panic!("no {name}=")).1
}

/// The flags of the unit's `ExecStart`, without the file that is not on this machine.
fn unit_flags(unit: &str) -> Vec<String> {
    let line = setting(unit, "ExecStart").strip_prefix("/usr/local/bin/conduit run ");
    let words: Vec<&str> = line.expect("it runs conduit").split(' ').collect();
    let pairs = words.chunks(2).filter(|pair| pair[0] != "--config");
    pairs.flatten().map(|&word| word.to_owned()).collect()
}

/// The flags of a Dockerfile's `CMD`.
fn json_flags(dockerfile: &str) -> Vec<String> {
    let command = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("CMD "));
    let words: Vec<String> =
        serde_json::from_str(command.expect("there is one")).expect("it is JSON");
    assert_eq!(words[0], "run");
    words[1..].to_vec()
}

/// The flags that a list in YAML holds.
fn listed_flags(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- --"));
    lines.map(|flag| format!("--{flag}")).collect()
}
