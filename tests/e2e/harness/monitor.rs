//! A client of the admin listener that speaks HTTP by hand, and what it reads.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use serde_json::Value;

use super::conduit::Run;
use super::{PATIENCE, free_port, wait_for_port};

/// One connection.
#[derive(Debug)]
pub(crate) struct Monitor {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its head, lines ended by CR LF.
    pub(crate) head: String,
    /// Its body.
    pub(crate) body: String,
}

/// A page of metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    page: String,
}

impl Monitor {
    /// Connects.
    pub(crate) fn connect(port: u16) -> Monitor {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("conduit listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Monitor {
            stream: BufReader::new(stream),
        }
    }

    /// Sends this.
    pub(crate) fn send(&mut self, text: &str) {
        let sent = self.stream.get_mut().write_all(text.as_bytes());
        sent.expect("conduit reads");
    }

    /// Reads an answer; `has_body`: it is not to a HEAD.
    pub(crate) fn answer(&mut self, has_body: bool) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let bytes = self.stream.read_line(&mut head).expect("conduit answers");
            assert!(bytes > 0, "the connection ended after {head:?}");
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .expect("every answer has a length");
        let length = if has_body {
            length.parse().expect("a number")
        } else {
            0
        };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the whole body");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Answer {
            status: status.expect("a status"),
            head,
            body: String::from_utf8(body).expect("text"),
        }
    }

    /// Asks for a path with these header lines, each ended by CR LF.
    pub(crate) fn get(&mut self, path: &str, fields: &str) -> Answer {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
        ));
        self.answer(true)
    }

    /// One that asks for all metrics and never reads them.
    pub(crate) fn rude(port: u16) -> Monitor {
        let mut rude = Monitor::connect(port);
        rude.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        rude
    }

    /// Whether the connection ends here, without another byte.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.bytes_to_end() == 0
    }

    /// How many more bytes come before the connection is closed or reset, which it must be.
    pub(crate) fn bytes_to_end(&mut self) -> usize {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("no end after {} bytes: {error}", rest.len()),
        }
        rest.len()
    }
}

/// A run that tells of itself at this port.
pub(crate) fn watched(flags: &[&str]) -> (u16, Run) {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let run = Run::local(&[&["--listen", &listen], flags].concat());
    wait_for_port(port);
    (port, run)
}

/// Asks once.
pub(crate) fn get(port: u16, path: &str) -> Answer {
    Monitor::connect(port).get(path, "")
}

/// All metrics as they are now.
pub(crate) fn metrics(port: u16) -> Metrics {
    let answer = get(port, "/metrics");
    assert_eq!(answer.status, 200, "{}", answer.head);
    Metrics { page: answer.body }
}

impl Answer {
    /// The body, which is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

impl Metrics {
    /// Those on a page that was had otherwise.
    pub(crate) fn on(page: String) -> Metrics {
        Metrics { page }
    }

    /// The page itself.
    pub(crate) fn page(&self) -> &str {
        &self.page
    }

    /// The sum of a metric's samples that have all of these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name, labels).map(|(_, value)| value).sum()
    }

    /// The same as a whole number.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        whole(name, self.sum(name, labels))
    }

    /// The same, whole numbers all, for each value of one label.
    pub(crate) fn by(
        &self,
        name: &str,
        label: &str,
        labels: &[(&str, &str)],
    ) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (all, value) in self.samples(name, labels) {
            let (_, rest) = all.split_once(&format!("{label}=\"")).expect("the label");
            let (of, _) = rest.split_once('"').expect("a value ends");
            *counts.entry(of.to_owned()).or_default() += whole(name, value);
        }
        counts
    }

    /// The labels of a metric's samples that have all of these, and their values.
    fn samples(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = (&str, f64)> {
        let wanted: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        self.page.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (all, value) = rest.rsplit_once(' ')?;
            let is_it = (all.is_empty() || all.starts_with('{'))
                && wanted.iter().all(|label| all.contains(label));
            is_it.then(|| (all, value.parse().expect("a number")))
        })
    }
}

fn whole(name: &str, value: f64) -> u64 {
    assert!(value >= 0.0 && value.fract() == 0.0, "{name}: {value}");
    value as u64
}
