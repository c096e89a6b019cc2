//! How a receiver reads: every byte of every request is checked against what was submitted.

use std::fmt::Write as _;

/// Reads the requests of one connection, one at a time.
#[derive(Default)]
pub struct RequestReader {
    head: Vec<u8>,
    body: Option<Body>,
}

struct Body {
    job: u32,
    expected: Vec<u8>,
    read: usize,
}

/// What some bytes brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brought {
    /// The request's first byte.
    pub begun: bool,
    /// The end of the request's head, and whose it is.
    pub head_of: Option<u32>,
    /// The end of the request.
    pub whole: bool,
}

impl RequestReader {
    /// Reads bytes that are all of one request.
    ///
    /// # Panics
    /// If they are not, or if anything in it is not as it was submitted; `body_bytes` tells a job's size.
    pub fn read(
        &mut self,
        bytes: &[u8],
        unix_seconds: u64,
        body_bytes: &dyn Fn(u32) -> u32,
    ) -> Brought {
        let mut brought = Brought::default();
        if bytes.is_empty() {
            return brought;
        }
        let mut rest = bytes;
        if self.body.is_none() {
            brought.begun = self.head.is_empty();
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let from = before.saturating_sub(3);
            let Some(end) = find(&self.head[from..], b"\r\n\r\n").map(|at| from + at + 4) else {
                return brought;
            };
            rest = &bytes[end - before..];
            let head = std::str::from_utf8(&self.head[..end]).expect("a head is text");
            let body = check_head(head, unix_seconds, body_bytes);
            brought.head_of = Some(body.job);
            self.body = Some(body);
        }
        let body = self.body.as_mut().expect("the head is complete");
        let end = body.read + rest.len();
        assert!(
            end <= body.expected.len(),
            "bytes beyond the request of j{}: a pipelined one?",
            body.job
        );
        assert!(
            rest == &body.expected[body.read..end],
            "the body of j{} is not what was submitted",
            body.job
        );
        body.read = end;
        if end == body.expected.len() {
            brought.whole = true;
            self.head.clear();
            self.body = None;
        }
        brought
    }
}

/// The body that a job has: its number, and as much more as makes it `bytes` long.
pub fn body_of(job: u32, bytes: u32) -> Vec<u8> {
    let mut body = String::with_capacity(bytes as usize + 32);
    let _ = write!(body, "{{\"n\":{job},\"fill\":\"");
    let fill = (bytes as usize).saturating_sub(body.len() + 2);
    body.extend(std::iter::repeat_n('x', fill));
    body.push_str("\"}");
    body.into_bytes()
}

fn check_head(head: &str, unix_seconds: u64, body_bytes: &dyn Fn(u32) -> u32) -> Body {
    let mut lines = head.split("\r\n");
    let request_line = lines.next().unwrap_or_default();
    assert!(
        request_line.starts_with("POST /hook") && request_line.ends_with(" HTTP/1.1"),
        "{request_line:?}"
    );
    let (mut job, mut length, mut host) = (None, None, 0);
    for line in lines {
        let Some((name, value)) = line.split_once(": ") else {
            assert!(line.is_empty(), "{line:?}");
            continue;
        };
        if name.eq_ignore_ascii_case("webhook-id") {
            let number = value
                .strip_prefix('j')
                .and_then(|value| value.parse::<u32>().ok());
            assert!(job.is_none(), "two ids in {head:?}");
            job = Some(number.expect("an id that was submitted"));
        } else if name.eq_ignore_ascii_case("content-length") {
            assert!(length.is_none(), "two lengths in {head:?}");
            length = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("webhook-timestamp") {
            let sent: u64 = value.parse().expect("a number");
            assert!(sent <= unix_seconds, "a request from the future");
        } else if name.eq_ignore_ascii_case("host") {
            host += 1;
        }
    }
    assert_eq!(host, 1, "one Host in {head:?}");
    let job = job.expect("every request carries its id");
    let expected = body_of(job, body_bytes(job));
    assert_eq!(length, Some(expected.len()), "the length of j{job}");
    Body {
        job,
        expected,
        read: 0,
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
