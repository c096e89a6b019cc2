//! Name servers that others wrote, each in a world of its own, and each with a configuration of its own; and one that
//! does what a test wants of it.

use std::process::Stdio;

use super::world::World;
use super::{Process, TempDir, is_installed};

/// A name server; ended with its owner.
#[derive(Debug)]
pub(crate) struct NameServer {
    _process: Process,
    _dir: TempDir,
}

impl NameServer {
    /// One that answers as this function body of `name`, `type` and `since` says (`names.js`); none without node.
    pub(crate) fn scripted(world: &World, rule: &str) -> Option<NameServer> {
        if !is_installed("node", "nodejs") {
            return None;
        }
        let dir = TempDir::new();
        let script = include_str!("names.js").replace("{ RULE }", &format!("{{ {rule} }}"));
        let script = dir.write("names.js", &script);
        let mut command = world.command("node");
        command.arg(script).stdin(Stdio::null());
        let process = Process::spawn(&mut command);
        world.wait_for_udp(53);
        Some(NameServer {
            _process: process,
            _dir: dir,
        })
    }

    /// unbound on port 53 of `addr` with these lines in its `server:` clause (more clauses may follow); none where
    /// it is not installed.
    pub(crate) fn unbound(world: &World, addr: &str, lines: &str) -> Option<NameServer> {
        if !is_installed("unbound", "unbound") {
            return None;
        }
        let dir = TempDir::new();
        let config = UNBOUND.replace("ADDR", addr).replace("LINES", lines);
        let config = dir.write("unbound.conf", &config);
        let mut command = world.command("unbound");
        command.args(["-d", "-c"]).arg(config);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        world.wait_for_udp(53);
        Some(NameServer {
            _process: process,
            _dir: dir,
        })
    }

    /// dnsmasq on port 53 of `addr` with these options and no server above it: what they don't name it refuses;
    /// none where it is not installed.
    pub(crate) fn dnsmasq(world: &World, addr: &str, options: &[&str]) -> Option<NameServer> {
        if !is_installed("dnsmasq", "dnsmasq-base") {
            return None;
        }
        let dir = TempDir::new();
        let mut command = world.command("dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null"]);
        command.args(["--no-resolv", "--no-hosts", "--pid-file", "--user=root"]);
        command.args(["--bind-interfaces", &format!("--listen-address={addr}")]);
        command.args(options).current_dir(dir.path());
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        world.wait_for_udp(53);
        Some(NameServer {
            _process: process,
            _dir: dir,
        })
    }
}

/// In the foreground, as root, without any file or socket of the machine's.
const UNBOUND: &str = r#"
server:
  interface: ADDR
  username: ""
  chroot: ""
  directory: ""
  pidfile: ""
  use-syslog: no
  num-threads: 1
  do-not-query-localhost: no
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  module-config: "iterator"
LINES
remote-control:
  control-enable: no
"#;
