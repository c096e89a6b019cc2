//! Servers beside the program: its own sink, nginx and node, each ended with its owner.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use serde_json::Value;

use super::conduit::CONDUIT;
use super::feed::Body;
use super::{PATIENCE, Process, TempDir, free_port, is_installed, wait_for, wait_for_port};

/// `conduit sink`.
#[derive(Debug)]
pub(crate) struct Sink {
    /// One for each listener.
    pub(crate) urls: Vec<String>,
    process: Process,
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
    _dir: TempDir,
}

/// What a sink has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The bodies, ordered by id.
    pub(crate) bodies: Vec<Body>,
    /// The statuses it answered with, in the same order.
    pub(crate) statuses: Vec<u64>,
    /// How many connections it took.
    pub(crate) connections: u64,
}

/// nginx with a configuration of its own.
#[derive(Debug)]
pub(crate) struct Nginx {
    process: Process,
    has_workers: bool,
    dir: TempDir,
}

/// A line of nginx's access log.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The port it listens on.
    pub(crate) port: u16,
    /// The connection's number.
    pub(crate) connection: u64,
    /// Which request on it, from 1.
    pub(crate) request: u64,
    /// What it answered.
    pub(crate) status: u16,
    /// The id of the process that answered.
    pub(crate) worker: u32,
    /// The TLS version; `-` without.
    pub(crate) protocol: String,
    /// The TLS session was resumed.
    pub(crate) is_resumed: bool,
}

/// node with a script of its own.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) port: u16,
    _process: Process,
}

impl Sink {
    /// Starts it with so many listeners and these flags.
    pub(crate) fn start(listeners: usize, flags: &[&str]) -> Sink {
        let addrs = vec!["127.0.0.1:0"; listeners];
        Sink::start_by(Command::new(CONDUIT), &addrs, flags)
    }

    /// Starts it by this command, which is to become `conduit`, with listeners at these addresses.
    pub(crate) fn start_by(mut command: Command, addrs: &[&str], flags: &[&str]) -> Sink {
        let dir = TempDir::new();
        let log = dir.join("sink.log");
        command.arg("sink").arg("--log").arg(&log).args(flags);
        for addr in addrs {
            command.args(["--listen", addr]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        let stdout = process.child().stdout.take().expect("it is piped");
        let mut stdout = BufReader::new(stdout);
        let urls = addrs
            .iter()
            .map(|_| {
                let mut line = String::new();
                stdout.read_line(&mut line).expect("a pipe can be read");
                let url = line.strip_prefix("listening on ").map(str::trim_end);
                url.unwrap_or_else(|| panic!("not where it listens: {line:?}"))
                    .to_owned()
            })
            .collect();
        Sink {
            urls,
            process,
            stdout,
            log,
            _dir: dir,
        }
    }

    /// Where it writes what it sees.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// What it has seen so far, in its order, each with the byte of its log at which its line ends.
    pub(crate) fn so_far(&self) -> Vec<(Body, u64, u64)> {
        let log = fs::read_to_string(&self.log).expect("the sink keeps a log");
        let mut end = 0;
        let whole = log
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole
            .map(|line| {
                end += line.len() as u64;
                let (body, status) = sink_entry(line);
                (body, status, end)
            })
            .collect()
    }

    /// Ends it and reads what it has seen.
    pub(crate) fn stop(mut self) -> Seen {
        self.process.signal("TERM");
        let mut summary = String::new();
        let read = self.stdout.read_to_string(&mut summary);
        read.expect("the summary is text");
        assert!(self.process.wait().success(), "{summary}");
        let numbers = summary.replace(',', "");
        let connections = numbers
            .split_once(" connections")
            .and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no count of connections in {summary:?}"));
        let log = fs::read_to_string(&self.log).expect("the sink keeps a log");
        let mut requests: Vec<(Body, u64)> = log.lines().map(sink_entry).collect();
        requests.sort_unstable();
        let (bodies, statuses) = requests.into_iter().unzip();
        Seen {
            bodies,
            statuses,
            connections,
        }
    }
}

impl Nginx {
    /// Starts it with these `server` blocks, waits until it listens on `port`; none where it is not installed.
    pub(crate) fn start(port: u16, servers: &str) -> Option<Nginx> {
        Nginx::start_from(port, &NGINX.replace("SERVERS", servers))
    }

    /// The same, but as a master with workers, which can reload.
    pub(crate) fn start_with_workers(port: u16, servers: &str) -> Option<Nginx> {
        let config = NGINX.replace("SERVERS", servers);
        let config = config.replace("master_process off;", "worker_processes 1;");
        let mut nginx = Nginx::start_from(port, &config)?;
        nginx.has_workers = true;
        Some(nginx)
    }

    fn start_from(port: u16, config: &str) -> Option<Nginx> {
        if !is_installed("nginx", "nginx-light") {
            return None;
        }
        let dir = TempDir::new();
        let config = dir.write("nginx.conf", config);
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path());
        command.arg("-e").arg(dir.join("error.log"));
        command.arg("-c").arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = Process::spawn(&mut command);
        wait_for_port(port);
        Some(Nginx {
            process,
            has_workers: false,
            dir,
        })
    }

    /// Ends it as an operator would: what is in flight is answered.
    pub(crate) fn stop(mut self) {
        self.process.signal("QUIT");
        self.process.wait();
    }

    /// Its access log, as soon as it has at least so many requests of conduit's.
    pub(crate) fn log(&self, requests: usize) -> Vec<Access> {
        let path = self.dir.join("access.log");
        wait_for("nginx to log all requests", || {
            let log = fs::read_to_string(&path).unwrap_or_default();
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            let lines: Vec<Access> = whole.lines().map(nginx_access).collect();
            (lines.len() >= requests).then_some(lines)
        })
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

impl Drop for Nginx {
    /// A master ends its workers when it is asked to; killed, it would leave them.
    fn drop(&mut self) {
        if self.has_workers {
            self.process.signal("TERM");
            self.process.wait();
        }
    }
}

impl Node {
    /// Starts `script`, which listens as `server`; none where node is not installed.
    pub(crate) fn start(script: &str) -> Option<Node> {
        Node::start_by(Command::new("node"), script)
    }

    /// The same by this command, which is to become `node`.
    pub(crate) fn start_by(mut command: Command, script: &str) -> Option<Node> {
        if !is_installed("node", "nodejs") {
            return None;
        }
        let script = format!(
            "const net = require('net'), http = require('http');\n{script}\n\
             server.listen(0, '127.0.0.1', () => console.log(server.address().port));"
        );
        command.args(["-e", &script]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        let stdout = process.child().stdout.take().expect("it is piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("a pipe can be read");
        Some(Node {
            port: line.trim().parse().expect("node says its port"),
            _process: process,
        })
    }

    /// Where to send.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// A port and nginx on it with one server of these directives.
pub(crate) fn nginx_with(directives: &str) -> Option<(u16, Nginx)> {
    let port = free_port();
    let server = format!("server {{ listen 127.0.0.1:{port}; {directives} }}");
    Some((port, Nginx::start(port, &server)?))
}

/// What a server answers to a bare POST, up to the end of the connection.
pub(crate) fn answer_of(port: u16, path: &str) -> String {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("the server listens");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .expect("the server reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the server answers");
    answer
}

/// One process, everything in its own directory; the log holds requests that carry a `webhook-id` only.
const NGINX: &str = "\
daemon off;
master_process off;
pid nginx.pid;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  map $http_webhook_id $is_conduit { '' 0; default 1; }
  log_format facts '$server_port $connection $connection_requests $status $pid $ssl_protocol $ssl_session_reused';
  access_log access.log facts if=$is_conduit;
  client_body_buffer_size 1m;
  SERVERS
}
";

fn nginx_access(line: &str) -> Access {
    let words: Vec<&str> = line.split(' ').collect();
    let &[port, connection, request, status, worker, protocol, resumed] = words.as_slice() else {
        panic!("not in the log's format: {line:?}");
    };
    Access {
        port: port.parse().expect("a port"),
        connection: connection.parse().expect("a number"),
        request: request.parse().expect("a number"),
        status: status.parse().expect("a status"),
        worker: worker.parse().expect("a process id"),
        protocol: protocol.to_owned(),
        is_resumed: resumed == "r",
    }
}

fn sink_entry(line: &str) -> (Body, u64) {
    let entry: Value = serde_json::from_str(line).expect("the log is JSON");
    let crc32 = entry["crc32"].as_str().expect("a checksum");
    let body = Body {
        id: entry["webhookId"].as_str().unwrap_or_default().to_owned(),
        bytes: entry["bytes"].as_u64().expect("a length"),
        crc32: u32::from_str_radix(crc32, 16).expect("hexadecimal digits"),
    };
    (body, entry["status"].as_u64().expect("a status"))
}
