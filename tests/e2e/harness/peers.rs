//! More servers that others wrote: haproxy, httpbin behind gunicorn, and `openssl s_server`, which answers by hand.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use super::certs::Certificate;
use super::{Process, TempDir, free_port, is_installed, skip, wait_for_port};

/// haproxy with a configuration of its own.
#[derive(Debug)]
pub(crate) struct Haproxy {
    /// Where it listens.
    pub(crate) port: u16,
    _process: Process,
    _dir: TempDir,
}

/// httpbin, served by gunicorn.
#[derive(Debug)]
pub(crate) struct Httpbin {
    port: u16,
    process: Process,
}

/// `openssl s_server`: takes one connection at a time, shows what it reads, sends what it is given.
#[derive(Debug)]
pub(crate) struct SServer {
    process: Process,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Haproxy {
    /// Starts it with these lines in its frontend (more sections may follow); none where it is not installed.
    pub(crate) fn start(lines: &str) -> Option<Haproxy> {
        if !is_installed("haproxy", "haproxy") {
            return None;
        }
        let port = free_port();
        let dir = TempDir::new();
        let config = HAPROXY.replace("PORT", &port.to_string());
        let config = dir.write("haproxy.cfg", &config.replace("LINES", lines));
        let mut command = Command::new("haproxy");
        command.arg("-db");
        command.arg("-f").arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        wait_for_port(port);
        Some(Haproxy {
            port,
            _process: process,
            _dir: dir,
        })
    }

    /// Where to send.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Httpbin {
    /// Starts it with these options of gunicorn's; none where it is not installed.
    ///
    /// `CONDUIT_E2E_PYTHON` names a Python that has gunicorn and httpbin; without it `python3` must.
    pub(crate) fn start(options: &[&str]) -> Option<Httpbin> {
        let python = env::var_os("CONDUIT_E2E_PYTHON").unwrap_or_else(|| "python3".into());
        let mut trial = Command::new(&python);
        trial.args(["-c", "import gunicorn, httpbin"]);
        trial.stdout(Stdio::null()).stderr(Stdio::null());
        if !trial.status().is_ok_and(|status| status.success()) {
            skip("no Python with gunicorn and httpbin (pip install, then CONDUIT_E2E_PYTHON=…)");
            return None;
        }
        let port = free_port();
        let mut command = Command::new(&python);
        command.args(["-m", "gunicorn", "--bind", &format!("127.0.0.1:{port}")]);
        command.args(["--worker-class", "gthread", "--threads", "8"]);
        command.args(options).arg("httpbin:app");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let process = Process::spawn(&mut command);
        wait_for_port(port);
        Some(Httpbin { port, process })
    }

    /// Where to send.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Httpbin {
    /// gunicorn's master ends its workers when it is asked to; killed, it would leave them.
    fn drop(&mut self) {
        self.process.signal("TERM");
        self.process.wait();
    }
}

impl SServer {
    /// Starts it on this port with this certificate and these options; who has a certificate has openssl.
    pub(crate) fn start(port: u16, certificate: &Certificate, options: &[&str]) -> SServer {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(&certificate.chain);
        command.arg("-key").arg(&certificate.key);
        command.args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::null());
        let mut process = Process::spawn(&mut command);
        let stdin = process.child().stdin.take().expect("it is piped");
        let stdout = process.child().stdout.take().expect("it is piped");
        let mut server = SServer {
            process,
            stdin,
            stdout: BufReader::new(stdout),
        };
        // Not by connecting: the one connection that it takes is conduit's.
        server.wait_for_line(|line| line == "ACCEPT");
        server
    }

    /// Waits for a request's head.
    pub(crate) fn wait_for_request(&mut self) {
        self.wait_for_line(|line| line.starts_with("POST "));
        self.wait_for_line(str::is_empty);
    }

    /// Sends bytes in a record of their own. With `-msg` it says when it does so: once a second record is on its
    /// way, the first one is sent for certain.
    pub(crate) fn send_record(&mut self, bytes: &str) {
        let written = self.stdin.write_all(bytes.as_bytes());
        written.expect("s_server reads");
        self.wait_for_line(|line| line.starts_with(">>>"));
    }

    /// Waits for its end and gives what it has shown meanwhile.
    pub(crate) fn wait(mut self) -> String {
        let mut shown = String::new();
        let read = self.stdout.read_to_string(&mut shown);
        read.expect("openssl writes text");
        self.process.wait();
        shown
    }

    /// Ends it at once: the kernel closes the connection, and no `close_notify` goes out before.
    pub(crate) fn kill(mut self) {
        self.process.signal("KILL");
        self.process.wait();
    }

    fn wait_for_line(&mut self, is_it: impl Fn(&str) -> bool) {
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line);
            assert!(read.expect("openssl writes text") > 0, "s_server ended");
            if is_it(line.trim_end()) {
                return;
            }
        }
    }
}

/// One process in the foreground; a port, and clocks that no test waits for.
const HAPROXY: &str = "\
global
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
frontend front
  bind 127.0.0.1:PORT
LINES
";
