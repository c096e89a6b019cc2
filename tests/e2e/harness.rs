//! What all stories share: processes that end with their owner, directories that vanish, ports, patience.
//!
//! Not here: conduit itself (`conduit`), its servers (`servers`, `peers`, `names`, `gate`), its socket (`socket`), its
//! spool (`spool`), its admin listener (`monitor`, `prometheus`), networks of their own (`world`), certificates
//! (`certs`), job lines (`feed`).

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) mod certs;
pub(crate) mod conduit;
pub(crate) mod feed;
pub(crate) mod gate;
pub(crate) mod monitor;
pub(crate) mod names;
pub(crate) mod peers;
pub(crate) mod prometheus;
pub(crate) mod servers;
pub(crate) mod socket;
pub(crate) mod spool;
pub(crate) mod world;

/// How long anything may take before its test fails; far more than it needs on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// Below what Linux gives to outgoing connections, so that no test's connection takes a server's port.
const PORT_LEAST: u16 = 12_000;
const PORT_COUNT: u16 = 18_000;

/// Ports in that range that conduit does not connect to (27017 is MongoDB's).
const PORTS_AVOIDED: [u16; 1] = [27_017];

/// A child process, killed and reaped by its id when its owner goes.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// A directory that vanishes with its owner.
#[derive(Debug)]
pub(crate) struct TempDir {
    path: PathBuf,
}

impl Process {
    /// Starts it.
    pub(crate) fn spawn(command: &mut Command) -> Process {
        match command.spawn() {
            Ok(child) => Process { child },
            Err(error) => panic!("{command:?} did not start: {error}"),
        }
    }

    /// The child, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("every system has sh").success(), "{kill}");
    }

    /// Whether one of its threads has this name.
    pub(crate) fn has_thread(&self, name: &str) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        let names = tasks
            .flatten()
            .map(|task| fs::read_to_string(task.path().join("comm")));
        names.flatten().any(|comm| comm.trim_end() == name)
    }

    /// How many sockets it holds, listeners included.
    pub(crate) fn sockets(&self) -> usize {
        let names = fs::read_dir(format!("/proc/{}/fd", self.id())).expect("it runs");
        // A descriptor that goes away in between is none.
        let links = names.filter_map(|name| fs::read_link(name.ok()?.path()).ok());
        links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// How much memory it has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most that it has had.
    pub(crate) fn resident_bytes_most(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        number.expect("the kernel says how much") * 1024
    }

    /// The time that processors have spent on all its threads, as the scheduler counts it. None of them ends early.
    pub(crate) fn cpu_time(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        let nanos = threads.map(|thread| {
            let path = thread.expect("it runs").path().join("schedstat");
            let stat = fs::read_to_string(path).expect("a thread runs on");
            let (on_cpu, _) = stat.split_once(' ').expect("three numbers");
            on_cpu.parse::<u64>().expect("a number")
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("a process to end", || {
            self.child
                .try_wait()
                .expect("the child is ours to wait for")
        })
    }
}

impl Drop for Process {
    /// Both fail only where the process has ended already.
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

impl TempDir {
    /// A new, empty one.
    pub(crate) fn new() -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("conduit-e2e-{}-{count}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).expect("the name is new");
        TempDir { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file inside.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).expect("the directory is ours");
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} is left over: {error}", self.path.display());
        }
    }
}

/// Looks until `ready` gives something.
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        thread::sleep(GLANCE);
    }
}

/// A port of 127.0.0.1 on which nobody listens. It is this process's until it ends: no other run of these tests, at
/// the same time, gets it, and no connection of anybody takes it, for the system chooses from others.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static KEPT: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let start = (std::process::id() % u32::from(PORT_COUNT)) as u16;
    for _ in 0..PORT_COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORT_LEAST + start.wrapping_add(step) % PORT_COUNT;
        if PORTS_AVOIDED.contains(&port) {
            continue;
        }
        let Some(claim) = claim_port(port) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            KEPT.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(claim);
            return port;
        }
    }
    panic!("no free port");
}

/// What shows other runs of these tests that a port is taken, for as long as it lives: a name that only one can have,
/// in the same network namespace as the port; none if it has been taken.
fn claim_port(port: u16) -> Option<UnixListener> {
    let name = format!("conduit-e2e-port-{port}");
    let address = UnixAddr::from_abstract_name(name).expect("it is short");
    UnixListener::bind_addr(&address).ok()
}

/// Waits until somebody takes connections there.
pub(crate) fn wait_for_port(port: u16) {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_for("a server to listen", || {
        TcpStream::connect_timeout(&addr, PATIENCE).ok()
    });
}

/// Connections that somebody holds open at this port of 127.0.0.1, on the side that has taken them or is about to.
pub(crate) fn connections_at(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    // As the kernel writes it: the address as a number of this machine.
    let local = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel says all");
    let sockets = table.lines().map(|line| line.split_whitespace().collect());
    sockets
        .filter(|words: &Vec<&str>| words[1] == local && words[3] == ESTABLISHED)
        .count()
}

/// In how many seconds the kernel asks whether the peer is still there, of the only connection to this URL's port of
/// 127.0.0.1, if that is idle.
pub(crate) fn seconds_to_probe(url: &str) -> Option<u64> {
    const KEEP_ALIVE: &str = "02";
    let port = url.trim_end_matches('/').rsplit_once(':')?.1;
    let port: u16 = port.parse().expect("a URL with a port");
    let remote = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel says all");
    let mut sockets = table.lines().map(|line| line.split_whitespace().collect());
    let socket = sockets.find(|words: &Vec<&str>| words[2] == remote)?;
    let (timer, ticks) = socket[5].split_once(':')?;
    let ticks = u64::from_str_radix(ticks, 16).expect("a number of ticks");
    // A hundred to the second, whatever the kernel's own clock.
    (timer == KEEP_ALIVE).then(|| ticks.div_ceil(100))
}

/// Whether a program is installed; if it is not, the story is skipped, or fails with `CONDUIT_E2E=all`.
pub(crate) fn is_installed(program: &str, package: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|dir| dir.join(program).is_file());
    if !found {
        skip(&format!(
            "{program} is not installed (apt-get install {package})"
        ));
    }
    found
}

/// Whether root runs the tests; if not, the story is skipped, or fails with `CONDUIT_E2E=all`.
pub(crate) fn is_root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        skip("only root may do this");
    }
    root
}

/// Skips a story for something that is missing and could be there; with `CONDUIT_E2E=all` that is a failure.
pub(crate) fn skip(why: &str) {
    assert!(
        env::var_os("CONDUIT_E2E").is_none_or(|value| value != "all"),
        "{why}"
    );
    unavailable(why);
}

/// Skips a story for something that this machine can't give, whatever is installed.
pub(crate) fn unavailable(why: &str) {
    eprintln!("skipped: {why}");
}
