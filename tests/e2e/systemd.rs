//! What a service manager is told, and what it and a process 1 rely on.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;

use crate::harness::conduit::{CONDUIT, Finished, LOCAL, Run};
use crate::harness::feed::plain;
use crate::harness::gate::Gate;
use crate::harness::socket::{Client, wait_until_it_listens};
use crate::harness::{PATIENCE, TempDir, is_installed, is_root};

/// Runs a command with SIGHUP as a service manager leaves it, whatever started these tests: `nohup` has it ignored,
/// and who is started so never hears of it.
const HEEDS_HANGUPS: [&str; 2] = ["env", "--default-signal=HUP"];

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn new(socket: UnixDatagram) -> Manager {
        socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Manager { socket }
    }

    fn next(&self) -> String {
        let mut buffer = [0; 64];
        let count = self.socket.recv(&mut buffer).expect("a word");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    fn has_more(&self) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        self.socket.recv(&mut [0; 64]).is_ok()
    }
}

fn run_with(name: &str, variables: &[(&str, &str)], flags: &[&str]) -> Run {
    let mut command = Command::new(CONDUIT);
    command.arg("run").args(LOCAL).args(flags);
    command.env("NOTIFY_SOCKET", name);
    command.envs(variables.iter().copied());
    Run::start(&mut command)
}

#[test]
fn it_says_when_it_is_ready_and_when_it_stops() {
    let dir = TempDir::new();
    let path = dir.join("notify");
    let socket = dir.join("socket");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let flags = ["--socket", socket.to_str().unwrap()];
    let run = run_with(path.to_str().unwrap(), &[], &flags);
    assert_eq!(manager.next(), "READY=1");
    // Ready means that clients can connect.
    let mut client = Client::connect(&socket);
    let gate = Gate::start();
    client.send(plain("a", &gate.url()));
    gate.wait_for_requests(1);
    run.process().signal("TERM");
    assert_eq!(manager.next(), "STOPPING=1");
    gate.open();
    assert_eq!(run.finish().status, Some(0));
    assert!(!manager.has_more(), "each is said once");
}

#[test]
fn an_abstract_name_is_one_too_and_a_feed_that_ends_is_an_end() {
    let name = format!("conduit-e2e-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    let run = run_with(&format!("@{name}"), &[], &[]).finish();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!([manager.next(), manager.next()], ["READY=1", "STOPPING=1"]);
}

#[test]
fn the_watchdog_hears_from_it_while_nothing_happens() {
    let dir = TempDir::new();
    let path = dir.join("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let name = path.to_str().unwrap();
    let run = run_with(name, &[("WATCHDOG_USEC", "100000")], &[]);
    assert_eq!(manager.next(), "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.next(), "WATCHDOG=1");
    }
    run.process().signal("KILL");
    run.finish();
}

#[test]
fn a_watchdog_of_another_process_and_a_manager_that_is_not_there_are_no_trouble() {
    let dir = TempDir::new();
    let path = dir.join("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let variables = [("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    let run = run_with(path.to_str().unwrap(), &variables, &[]).finish();
    assert_eq!(run.status, Some(0));
    assert_eq!([manager.next(), manager.next()], ["READY=1", "STOPPING=1"]);
    let run = run_with(dir.join("nobody").to_str().unwrap(), &[], &[]).finish();
    assert_eq!(run.status, Some(0));
    assert!(run.stderr.contains("service manager"), "{}", run.stderr);
}

#[test]
fn f88_as_process_1_signals_end_it_in_order() {
    if !is_root() || !is_installed("unshare", "util-linux") {
        return;
    }
    for signal in ["TERM", "INT", "HUP"] {
        let dir = TempDir::new();
        let socket = dir.join("socket");
        // The child of unshare is process 1 in the new namespace, and becomes conduit.
        let direct = format!(
            "exec \"$0\" run {} --socket {}",
            LOCAL.map(|word| format!("'{word}'")).join(" "),
            socket.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]);
        command
            .args(HEEDS_HANGUPS)
            .args(["sh", "-c", &direct, CONDUIT]);
        let run = Run::start(&mut command);
        wait_until_it_listens(&socket);
        let conduit = child_of(run.process().id());
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {conduit}")])
            .status();
        assert!(status.unwrap().success());
        let run = run.finish();
        assert_eq!(run.status, Some(0), "{signal}: {}", run.stderr);
        assert!(
            run.stderr.contains(&format!("SIG{signal}")),
            "{}",
            run.stderr
        );
    }
}

fn child_of(id: u32) -> u32 {
    let path = format!("/proc/{id}/task/{id}/children");
    let text = std::fs::read_to_string(path).expect("it runs");
    text.trim().parse().expect("one child")
}

#[test]
fn sighup_ends_it_like_sigterm_unless_it_was_to_be_ignored() {
    let run = hung_up(&HEEDS_HANGUPS, &[]);
    assert!(run.stderr.contains("SIGHUP"), "{}", run.stderr);
    let run = hung_up(&["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"], &["TERM"]);
    assert!(!run.stderr.contains("SIGHUP"), "{}", run.stderr);
}

/// What becomes of a daemon, started by way of `wrapper`, that gets SIGHUP and then these signals.
fn hung_up(wrapper: &[&str], then: &[&str]) -> Finished {
    let dir = TempDir::new();
    let socket = dir.join("socket");
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).args([CONDUIT, "run"]);
    command.args(LOCAL).arg("--socket").arg(&socket);
    let run = Run::start(&mut command);
    wait_until_it_listens(&socket);
    run.process().signal("HUP");
    for signal in then {
        run.process().signal(signal);
    }
    let run = run.finish();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run
}
