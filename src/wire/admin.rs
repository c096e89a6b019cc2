//! Requests to the admin listener, and the heads of its answers.
//!
//! It is read by monitoring, and must not be of use to anybody else: GET and HEAD of a few paths, no body, a bounded
//! head. A web page that a user of this machine opens can make a browser send requests here; so any `Origin` is
//! refused, and where only this machine is listened to, any `Host` that is a name but `localhost` (DNS rebinding).
//!
//! Not here: sockets and deadlines (`io/admin`), what is answered (`metrics`, `health`).

use std::net::{IpAddr, Ipv6Addr};

use crate::base::time::Wall;
use crate::wire::dates::write_imf_fixdate;
use crate::wire::metrics::Format;
use crate::wire::metrics::accept::Accept;

/// The longest head.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The most header fields.
const FIELDS_MAX: usize = 64;

/// What lies at the front of a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// No whole head yet.
    Partial,
    /// A request.
    Request {
        /// What is asked.
        request: Request,
        /// Bytes of its head.
        bytes: usize,
    },
    /// None that can be answered otherwise; the connection is closed afterwards.
    Refused {
        /// Why.
        refusal: Refusal,
        /// It is a HEAD, as far as can be told: its answer has no body (RFC 9110 section 9.3.2).
        is_head: bool,
    },
}

/// A request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What for; or why not.
    pub target: Result<Target, Refusal>,
    /// HEAD: the head alone.
    pub is_head: bool,
    /// How metrics are to be written.
    pub format: Format,
    /// What becomes of the connection afterwards.
    pub keeps: bool,
    /// It is kept, and a client of HTTP/1.0 must be told so.
    pub is_told: bool,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// What there is.
    Index,
    /// Whether the process runs.
    Live,
    /// Whether it can do its work.
    Ready,
    /// Metrics.
    Metrics,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP, or not as it should be.
    Malformed,
    /// A body, which nothing here takes.
    Body,
    /// It comes from a web page.
    Origin,
    /// It was sent to a name that may be anybody's.
    Host,
    /// There is no such path.
    NotFound,
    /// Neither GET nor HEAD.
    Method,
    /// The head is too long.
    TooLong,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    Version,
}

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// 200, 503, or a refusal's.
    pub status: u16,
    /// What the body is.
    pub content_type: &'a str,
    /// How long it is, whether or not it is sent.
    pub body_bytes: usize,
    /// The connection is closed after it.
    pub closes: bool,
    /// A client of HTTP/1.0 is told that it is not.
    pub is_told: bool,
}

/// What `GET /` answers.
pub const INDEX: &str = "conduit\n\n\
    /health/live   whether the process runs\n\
    /health/ready  whether it can do its work: 200 or 503, and why\n\
    /metrics       for Prometheus\n";

/// What `GET /health/live` answers.
pub const LIVE: &str = "{\"status\":\"Healthy\"}\n";

/// The `Content-Type` of plain texts, and of JSON.
pub const PLAIN: &str = "text/plain; charset=utf-8";
/// See [`PLAIN`].
pub const JSON: &str = "application/json";

/// Reads the request at the front of `bytes`; `on_loopback`: only this machine is listened to.
#[must_use]
pub fn parse(bytes: &[u8], on_loopback: bool) -> Parsed {
    // Empty lines before a request are to be passed over (RFC 9112 section 2.2).
    let blank = bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let start = blank.count();
    let refused = |refusal| Parsed::Refused {
        refusal,
        is_head: bytes[start..].starts_with(b"HEAD "),
    };
    match head_end(&bytes[start..]) {
        None if bytes.len() >= HEAD_BYTES_MAX => refused(Refusal::TooLong),
        None => Parsed::Partial,
        Some(end) if start + end > HEAD_BYTES_MAX => refused(Refusal::TooLong),
        Some(end) => match read_head(&bytes[start..start + end], on_loopback) {
            Ok(request) => Parsed::Request {
                request,
                bytes: start + end,
            },
            Err(refusal) => refused(refusal),
        },
    }
}

/// Where the head ends, its empty line included. A line may end without CR (RFC 9112 section 2.2).
fn head_end(bytes: &[u8]) -> Option<usize> {
    let ends = bytes.iter().zip(0..).filter(|(byte, _)| **byte == b'\n');
    ends.map(|(_, at)| at)
        .find_map(|at| match &bytes[at + 1..] {
            [b'\n', ..] => Some(at + 2),
            [b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        })
}

fn read_head(head: &[u8], on_loopback: bool) -> Result<Request, Refusal> {
    let text = std::str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
    let mut lines = text.lines();
    let line = lines.next().ok_or(Refusal::Malformed)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    let is_1_1 = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        other if other.starts_with("HTTP/") => return Err(Refusal::Version),
        _ => return Err(Refusal::Malformed),
    };
    if !is_token(method) || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::Malformed);
    }
    let fields = Fields::read(lines)?;
    let (authority, path) = split_target(target);
    match fields.host {
        Some(_) => {}
        None if is_1_1 => return Err(Refusal::Malformed),
        None => {}
    }
    let host = authority.or(fields.host);
    if fields.has_origin {
        return Err(Refusal::Origin);
    }
    if on_loopback && !host.is_none_or(is_own) {
        return Err(Refusal::Host);
    }
    let is_get = matches!(method, "GET" | "HEAD");
    if fields.has_body && is_get {
        return Err(Refusal::Body);
    }
    // A body is not read: what follows it would be taken for a request.
    let keeps = !fields.says_close && !fields.has_body && (is_1_1 || fields.says_keep_alive);
    let target = match path {
        _ if !is_get => Err(Refusal::Method),
        "/" => Ok(Target::Index),
        "/health/live" => Ok(Target::Live),
        "/health/ready" => Ok(Target::Ready),
        "/metrics" => Ok(Target::Metrics),
        _ => Err(Refusal::NotFound),
    };
    Ok(Request {
        target,
        is_head: method == "HEAD",
        format: fields.accept.format(),
        keeps,
        is_told: keeps && !is_1_1,
    })
}

/// A target's authority, if it has one, and its path (RFC 9112 section 3.2).
fn split_target(target: &str) -> (Option<&str>, &str) {
    let (authority, path) = match target.strip_prefix("http://") {
        None => (None, target),
        Some(rest) => {
            let slash = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(&rest[..slash]), &rest[slash..])
        }
    };
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    (authority, if path.is_empty() { "/" } else { path })
}

/// What the header fields say, as far as it matters.
struct Fields<'a> {
    host: Option<&'a str>,
    has_origin: bool,
    has_body: bool,
    says_close: bool,
    says_keep_alive: bool,
    accept: Accept,
}

impl<'a> Fields<'a> {
    fn read(lines: std::str::Lines<'a>) -> Result<Fields<'a>, Refusal> {
        let mut fields = Fields {
            host: None,
            has_origin: false,
            has_body: false,
            says_close: false,
            says_keep_alive: false,
            accept: Accept::default(),
        };
        for (line, number) in lines.filter(|line| !line.is_empty()).zip(1..) {
            if number > FIELDS_MAX {
                return Err(Refusal::TooLong);
            }
            let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
            let value = value.trim_matches([' ', '\t']);
            if !is_token(name)
                || value
                    .bytes()
                    .any(|byte| byte.is_ascii_control() && byte != b'\t')
            {
                return Err(Refusal::Malformed);
            }
            fields.take(name, value)?;
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str, value: &'a str) -> Result<(), Refusal> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("Host") {
            if self.host.replace(value).is_some() {
                return Err(Refusal::Malformed);
            }
        } else if is("Origin") {
            self.has_origin = true;
        } else if is("Transfer-Encoding") {
            self.has_body = true;
        } else if is("Content-Length") {
            match value.parse::<u64>() {
                Ok(length) => self.has_body |= length > 0,
                Err(_) => return Err(Refusal::Malformed),
            }
        } else if is("Connection") {
            for option in value.split(',').map(str::trim) {
                self.says_close |= option.eq_ignore_ascii_case("close");
                self.says_keep_alive |= option.eq_ignore_ascii_case("keep-alive");
            }
        } else if is("Accept") {
            self.accept.take(value);
        }
        Ok(())
    }
}

/// Whether a host is an address, or `localhost`: no name that somebody else's name server answers for.
fn is_own(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest
            .split_once(']')
            .is_some_and(|(ip, port)| ip.parse::<Ipv6Addr>().is_ok() && is_port(port));
    }
    let (host, port) = match authority.find(':') {
        Some(at) => authority.split_at(at),
        None => (authority, ""),
    };
    let is_ip = host.parse::<IpAddr>().is_ok();
    (is_ip || host.eq_ignore_ascii_case("localhost")) && is_port(port)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

impl Refusal {
    /// The status that says so.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Refusal::Malformed | Refusal::Body => 400,
            Refusal::Origin | Refusal::Host => 403,
            Refusal::NotFound => 404,
            Refusal::Method => 405,
            Refusal::TooLong => 431,
            Refusal::Version => 505,
        }
    }

    /// The same in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Refusal::Malformed => "not a request of HTTP/1.1 or HTTP/1.0\n",
            Refusal::Body => "no request here has a body\n",
            Refusal::Origin => "requests of web pages (Origin) are refused\n",
            Refusal::Host => "expected Host to be an IP address or localhost\n",
            Refusal::NotFound => "no such path; GET / lists them\n",
            Refusal::Method => "expected GET or HEAD\n",
            Refusal::TooLong => "the request's head is too long\n",
            Refusal::Version => "expected HTTP/1.1 or HTTP/1.0\n",
        }
    }
}

impl Head<'_> {
    /// Appends it.
    pub fn write(&self, now: Wall, out: &mut Vec<u8>) {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "",
        };
        let mut head = format!("HTTP/1.1 {} {reason}\r\nDate: ", self.status);
        write_imf_fixdate(now, &mut head);
        head += &format!(
            "\r\nContent-Type: {}\r\nContent-Length: {}\r\nX-Content-Type-Options: nosniff\r\n\
             Cache-Control: no-store\r\n",
            self.content_type, self.body_bytes
        );
        if self.status == 405 {
            head += "Allow: GET, HEAD\r\n";
        }
        if self.closes {
            head += "Connection: close\r\n";
        } else if self.is_told {
            head += "Connection: keep-alive\r\n";
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head of these lines is read the same whole, and not at all while a byte of it is missing.
    fn read(lines: &str, on_loopback: bool) -> Parsed {
        let head = format!("{}\r\n\r\n", lines.replace('\n', "\r\n"));
        let whole = parse(head.as_bytes(), on_loopback);
        for end in 0..head.len() {
            assert_eq!(
                parse(&head.as_bytes()[..end], on_loopback),
                Parsed::Partial,
                "{end}"
            );
        }
        let more = format!("{head}GET / HTTP/1.1\r\n");
        assert_eq!(parse(more.as_bytes(), on_loopback), whole);
        let bare = head.replace("\r\n", "\n");
        match (parse(bare.as_bytes(), on_loopback), whole) {
            (Parsed::Request { request: one, .. }, Parsed::Request { request: two, .. }) => {
                assert_eq!(one, two)
            }
            (one, two) => assert_eq!(one, two),
        }
        whole
    }

    fn request(lines: &str) -> Result<Request, Refusal> {
        match read(lines, true) {
            Parsed::Request { request, .. } => Ok(request),
            Parsed::Refused { refusal, .. } => Err(refusal),
            Parsed::Partial => panic!("{lines} is whole"),
        }
    }

    fn target(lines: &str) -> Result<Target, Refusal> {
        request(lines).and_then(|request| request.target)
    }

    #[test]
    fn the_paths_that_there_are_and_the_others() {
        let host = "HTTP/1.1\nHost: 127.0.0.1:5000";
        for (asked, expected) in [
            ("GET /", Ok(Target::Index)),
            ("GET /health/live", Ok(Target::Live)),
            ("HEAD /health/ready", Ok(Target::Ready)),
            ("GET /metrics?x=1", Ok(Target::Metrics)),
            ("GET http://127.0.0.1:5000/metrics", Ok(Target::Metrics)),
            ("GET http://127.0.0.1:5000", Ok(Target::Index)),
            ("GET /metrics/", Err(Refusal::NotFound)),
            ("GET /../metrics", Err(Refusal::NotFound)),
            ("GET *", Err(Refusal::NotFound)),
            ("POST /metrics", Err(Refusal::Method)),
            ("OPTIONS *", Err(Refusal::Method)),
            ("get /metrics", Err(Refusal::Method)),
            ("GET http://evil.example/metrics", Err(Refusal::Host)),
            ("GET  /metrics", Err(Refusal::Malformed)),
            ("GE\u{e9}T /metrics", Err(Refusal::Malformed)),
            ("GET /metr\u{7f}ics", Err(Refusal::Malformed)),
        ] {
            assert_eq!(target(&format!("{asked} {host}")), expected, "{asked}");
        }
    }

    #[test]
    fn versions_and_whether_the_connection_stays() {
        for (lines, keeps, told) in [
            ("GET / HTTP/1.1\nHost: localhost", true, false),
            (
                "GET / HTTP/1.1\nHost: localhost\nConnection: x, Close",
                false,
                false,
            ),
            ("GET / HTTP/1.0", false, false),
            ("GET / HTTP/1.0\nConnection: Keep-Alive", true, true),
            (
                "GET / HTTP/1.0\nConnection: keep-alive, close",
                false,
                false,
            ),
        ] {
            let request = request(lines).expect(lines);
            assert_eq!((request.keeps, request.is_told), (keeps, told), "{lines}");
        }
        for (lines, refusal) in [
            ("GET / HTTP/2.0\nHost: localhost", Refusal::Version),
            ("GET / HTTP/1.2\nHost: localhost", Refusal::Version),
            ("GET /", Refusal::Malformed),
            ("GET / HTTP/1.1", Refusal::Malformed),
            (
                "GET / HTTP/1.1\nHost: localhost\nHost: localhost",
                Refusal::Malformed,
            ),
            ("GET / SMTP", Refusal::Malformed),
            (
                "GET / HTTP/1.1\nHost: localhost\nno colon",
                Refusal::Malformed,
            ),
            (
                "GET / HTTP/1.1\nHost: localhost\nName : value",
                Refusal::Malformed,
            ),
            (
                "GET / HTTP/1.1\nHost: localhost\nName: a\n folded",
                Refusal::Malformed,
            ),
            (
                "GET / HTTP/1.1\nHost: localhost\nName: a\u{1}b",
                Refusal::Malformed,
            ),
            (
                "GET / HTTP/1.1\nHost: localhost\nContent-Length: 1",
                Refusal::Body,
            ),
            (
                "GET / HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked",
                Refusal::Body,
            ),
            (
                "GET / HTTP/1.1\nHost: localhost\nContent-Length: x",
                Refusal::Malformed,
            ),
        ] {
            assert_eq!(request(lines), Err(refusal), "{lines}");
        }
        assert!(request("GET / HTTP/1.1\nHost: localhost\nContent-Length: 0").is_ok());
        let post = request("POST / HTTP/1.1\nHost: localhost\nContent-Length: 9").expect("one");
        assert_eq!((post.target, post.keeps), (Err(Refusal::Method), false));
    }

    #[test]
    fn web_pages_are_refused_and_names_where_only_this_machine_is_listened_to() {
        for (host, is_own) in [
            ("127.0.0.1", true),
            ("127.0.0.1:5000", true),
            ("10.0.0.7:80", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("LocalHost:5000", true),
            ("evil.example", false),
            ("evil.example:5000", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("[::1].evil.example", false),
            ("[evil.example]", false),
            ("::1", false),
            ("localhost:evil", false),
            ("", false),
        ] {
            let lines = format!("GET /metrics HTTP/1.1\nHost: {host}");
            let expected = is_own.then_some(Target::Metrics).ok_or(Refusal::Host);
            assert_eq!(target(&lines), expected, "{host}");
            let elsewhere = read(&lines, false);
            assert!(matches!(elsewhere, Parsed::Request { .. }), "{host}");
        }
        for origin in ["null", "http://127.0.0.1:5000", ""] {
            let lines = format!("GET /metrics HTTP/1.1\nHost: localhost\noRigin: {origin}");
            assert_eq!(target(&lines), Err(Refusal::Origin));
            let refused = Parsed::Refused {
                refusal: Refusal::Origin,
                is_head: false,
            };
            assert_eq!(read(&lines, false), refused);
        }
    }

    #[test]
    fn a_head_that_is_refused_is_known_as_one() {
        for (lines, is_head) in [
            ("HEAD / HTTP/1.1\nHost: evil.example", true),
            ("HEAD / HTTP/1.1\nHost: localhost\nOrigin: null", true),
            ("HEAD / HTTP/3.0\nHost: localhost", true),
            ("HEAD ", true),
            ("HEADER / HTTP/1.1", false),
            ("GET / HTTP/1.1\nHost: evil.example", false),
        ] {
            match read(lines, true) {
                Parsed::Refused { is_head: found, .. } => assert_eq!(found, is_head, "{lines}"),
                other => panic!("{other:?} for {lines}"),
            }
        }
        let long = format!("\r\nHEAD /{}", "x".repeat(HEAD_BYTES_MAX));
        let refused = Parsed::Refused {
            refusal: Refusal::TooLong,
            is_head: true,
        };
        assert_eq!(parse(long.as_bytes(), true), refused);
    }

    #[test]
    fn a_head_is_no_longer_than_it_may_be() {
        let long = |bytes: usize| {
            let start = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
            format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
        };
        let most = long(HEAD_BYTES_MAX);
        assert!(matches!(
            parse(most.as_bytes(), true),
            Parsed::Request { .. }
        ));
        let more = long(HEAD_BYTES_MAX + 1);
        let refused = Parsed::Refused {
            refusal: Refusal::TooLong,
            is_head: false,
        };
        assert_eq!(parse(more.as_bytes(), true), refused);
        assert_eq!(parse(&more.as_bytes()[..HEAD_BYTES_MAX], true), refused);
        assert_eq!(parse(&[b'\n'; HEAD_BYTES_MAX], true), refused);
        let many = format!("GET / HTTP/1.0\n{}", "A: b\n".repeat(FIELDS_MAX + 1));
        assert_eq!(request(many.trim_end()), Err(Refusal::TooLong));
    }

    #[test]
    fn metrics_are_written_as_prometheus_asks_for_them() {
        let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (accept, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text; version=1.0.0; q=0",
                Format::Text,
            ),
            ("text/plain", Format::Text),
            (
                "text/plain;q=0.1\nAccept: application/openmetrics-text;q=0.2",
                Format::OpenMetrics,
            ),
        ] {
            let lines = format!("GET /metrics HTTP/1.1\nHost: localhost\nAccept: {accept}");
            assert_eq!(request(&lines).expect("one").format, format, "{accept}");
        }
    }

    #[test]
    fn heads_of_answers_say_what_a_client_has_to_know() {
        let head = |status, closes, is_told| {
            let mut out = Vec::new();
            let head = Head {
                status,
                content_type: PLAIN,
                body_bytes: 7,
                closes,
                is_told,
            };
            head.write(Wall::from_unix_seconds(784_111_777), &mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(
            head(200, false, false),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: 7\r\n\
             X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\r\n"
        );
        assert!(
            head(405, true, false).contains("\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n")
        );
        assert!(head(200, false, true).ends_with("\r\nConnection: keep-alive\r\n\r\n"));
    }
}
