//! A small internet of its own: a network namespace with nothing but loopback in it, and a root directory whose
//! `/etc` says what conduit is to believe about names. Both vanish with their owner.
//!
//! Ports 53 and 5000 (where conduit tells of itself), packet filters and addresses are a test's own there. Only root may
//! have one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::conduit::{CONDUIT, Run};
use super::{Process, TempDir, is_root, unavailable, wait_for};

/// A namespace and a root directory.
#[derive(Debug)]
pub(crate) struct World {
    /// Holds the namespace; ends when its input does, so that nothing outlives even a killed test.
    holder: Process,
    root: TempDir,
}

const UP: &str = "ip link set lo up && echo up && exec cat >/dev/null";

impl World {
    /// A new one with an empty `/etc`; none where there is no right to it.
    pub(crate) fn new() -> Option<World> {
        if !is_root() {
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", UP]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = Process::spawn(&mut command);
        let stdout = holder.child().stdout.take().expect("it is piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("a pipe can be read");
        if line.trim() != "up" {
            unavailable("no network namespace may be made here");
            return None;
        }
        let root = TempDir::new();
        fs::create_dir(root.join("etc")).expect("the directory is ours");
        fs::copy(CONDUIT, root.join("conduit")).expect("the binary can be read");
        Some(World { holder, root })
    }

    /// `program`, to be started inside the namespace (not in the root directory).
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        command.arg(program);
        command
    }

    /// Runs a line of shell inside the namespace and gives its output.
    pub(crate) fn shell(&self, line: &str) -> String {
        let mut command = self.command("sh");
        let output = command.args(["-c", line]).output().expect("sh runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {complaint}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Asks for a page inside the namespace, by node.
    pub(crate) fn get(&self, url: &str) -> String {
        let ask = "fetch(process.argv[1]).then(answer => answer.text()).then(text => process.stdout.write(text))";
        let mut command = self.command("node");
        let output = command.args(["-e", ask, url]).output().expect("node runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{url}: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Replaces `/etc/NAME`, as an editor would: all at once.
    pub(crate) fn set(&self, name: &str, text: &str) {
        let new = self.root.write("etc/new", text);
        fs::rename(new, self.root.join("etc").join(name)).expect("the directory is ours");
    }

    /// Starts `conduit run` with these flags, and plain HTTP to any address that the namespace may have.
    pub(crate) fn run(&self, flags: &[&str]) -> Run {
        let mut command = self.command("chroot");
        command.arg(self.root.path()).args(["/conduit", "run"]);
        command.args(WORLDLY).args(flags);
        Run::start(&mut command)
    }

    /// Waits until somebody takes datagrams on this port.
    pub(crate) fn wait_for_udp(&self, port: u16) {
        // Of a socket without a peer the kernel says that it is closed.
        const NO_PEER: &str = "07";
        let table = format!("/proc/{}/net/udp", self.holder.id());
        let local = format!(":{port:04X}");
        wait_for("a server to listen in the namespace", || {
            let sockets = fs::read_to_string(&table).expect("the namespace is there");
            let mut sockets = sockets.lines().map(|line| line.split_whitespace());
            let is_it = sockets.any(|mut words| {
                let is_there = words.nth(1).is_some_and(|addr| addr.ends_with(&local));
                is_there && words.nth(1) == Some(NO_PEER)
            });
            is_it.then_some(())
        });
    }
}

const WORLDLY: [&str; 5] = [
    "--allow-http",
    "--allow-net",
    "127.0.0.0/8,10.0.0.0/8,::1/128,fd00::/8",
    "--retry-schedule",
    "",
];
