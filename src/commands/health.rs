//! `conduit health`: asks a running conduit whether all is well, for images that hold no curl.
//!
//! Not here: what is answered (`io/admin`), where to ask (`flags/health`).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::commands::exit;
use crate::flags::HealthPlace;

/// How long connecting, and each read and write, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// More of an answer is not read.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Asks, prints the answer, and says by the exit status whether it was 200.
#[must_use]
pub fn execute(live: bool, place: &HealthPlace) -> ExitCode {
    let path = if live {
        "/health/live"
    } else {
        "/health/ready"
    };
    let target = if place.prefix.ends_with(path) {
        place.prefix.clone()
    } else {
        format!("{}{path}", place.prefix)
    };
    let mut last = None;
    for address in &place.addresses {
        match ask(*address, &target) {
            Ok(answer) => return tell(&answer),
            Err(error) => last = Some((address, error)),
        }
    }
    if let Some((address, error)) = last {
        log::error!("no answer from http://{address}{target}: {error}");
    }
    exit::NOT_ALL
}

/// An answer: its status and its body.
struct Answer {
    status: u16,
    body: String,
}

fn tell(answer: &Answer) -> ExitCode {
    let text = answer.body.trim_end();
    // The exit status says it to whoever does not read.
    let _nobody_reads = writeln!(io::stdout(), "{text}");
    match answer.status {
        200 => exit::DONE,
        _ => exit::NOT_ALL,
    }
}

fn ask(address: SocketAddr, target: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| {
        let what = "expected an answer in HTTP/1.1, found none";
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some(Answer {
        status: status.parse().ok()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\n{}\n").unwrap();
        assert_eq!((answer.status, &*answer.body), (503, "{}\n"));
        for bad in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n"] {
            assert!(parse(bad).is_none());
        }
    }
}
