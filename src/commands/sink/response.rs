//! The answers, rendered once: status line, framing, and what becomes of the connection.
//!
//! An answer has no content and no `Date`: a receiver for trials says as little as RFC 9112 lets it.

use crate::commands::sink::request::Persistence;

/// The interim answer to `Expect: 100-continue`.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The answers of one status, ready to send.
#[derive(Debug)]
pub(super) struct Answers {
    keep: Vec<u8>,
    keep_told: Vec<u8>,
    close: Vec<u8>,
}

impl Answers {
    /// For a final status, 200 to 999.
    pub(super) fn new(status: u16) -> Answers {
        Answers {
            keep: render(status, Persistence::Keep),
            keep_told: render(status, Persistence::KeepTold),
            close: render(status, Persistence::Close),
        }
    }

    /// The bytes of one answer.
    pub(super) fn get(&self, after: Persistence) -> &[u8] {
        match after {
            Persistence::Keep => &self.keep,
            Persistence::KeepTold => &self.keep_told,
            Persistence::Close => &self.close,
        }
    }
}

/// One answer's bytes.
pub(super) fn render(status: u16, after: Persistence) -> Vec<u8> {
    let connection = match after {
        Persistence::Keep => "",
        Persistence::KeepTold => "Connection: keep-alive\r\n",
        Persistence::Close => "Connection: close\r\n",
    };
    // 204 must not, 304 need not carry a length (RFC 9110 section 8.6).
    let length = match status {
        204 | 304 => "",
        _ => "Content-Length: 0\r\n",
    };
    format!(
        "HTTP/1.1 {status} {}\r\n{length}{connection}\r\n",
        reason(status)
    )
    .into_bytes()
}

/// The reason phrase of RFC 9110 section 15 (429, 431: RFC 6585); empty for a status it does not name.
pub(super) const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_status_length_and_fate() {
        let cases = [
            (
                200,
                Persistence::Keep,
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            ),
            (204, Persistence::Keep, "HTTP/1.1 204 No Content\r\n\r\n"),
            (
                599,
                Persistence::Keep,
                "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n",
            ),
            (
                503,
                Persistence::Close,
                "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ),
            (
                204,
                Persistence::KeepTold,
                "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n",
            ),
        ];
        for (status, after, expected) in cases {
            assert_eq!(
                render(status, after),
                expected.as_bytes(),
                "{status} {after:?}"
            );
            assert_eq!(Answers::new(status).get(after), expected.as_bytes());
        }
    }
}
