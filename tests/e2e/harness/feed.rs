//! Job lines, and what must arrive for them.

use std::fmt::Write as _;

use serde_json::Value;

/// Jobs with payloads of their own, so that a body that arrives at the wrong place is noticed.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    text: String,
    bodies: Vec<Body>,
}

/// What a receiver must have seen of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Body {
    /// The `webhook-id`.
    pub(crate) id: String,
    /// The body's length.
    pub(crate) bytes: u64,
    /// The body's CRC-32.
    pub(crate) crc32: u32,
}

impl Feed {
    /// `count` jobs, taking turns at `urls`, each payload of about `bytes`.
    pub(crate) fn generate(count: usize, urls: &[String], bytes: usize) -> Feed {
        let mut feed = Feed::default();
        for (number, url) in (0..count).zip(urls.iter().cycle()) {
            let id = format!("job-{number}");
            let payload = payload(number, bytes);
            feed.push(&id, url, &payload);
        }
        feed
    }

    /// Adds a job with this payload, which must be JSON.
    pub(crate) fn push(&mut self, id: &str, url: &str, payload: &str) {
        writeln!(
            self.text,
            "{{\"id\":\"{id}\",\"url\":\"{url}\",\"payload\":{payload}}}"
        )
        .expect("a String takes what is written");
        self.bodies.push(Body::new(id, payload.as_bytes()));
    }

    /// The lines.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What must arrive, ordered by id.
    pub(crate) fn bodies(&self) -> Vec<Body> {
        let mut bodies = self.bodies.clone();
        bodies.sort_unstable();
        bodies
    }
}

impl Body {
    /// What a receiver sees of a job with this body.
    pub(crate) fn new(id: &str, body: &[u8]) -> Body {
        Body {
            id: id.to_owned(),
            bytes: body.len() as u64,
            crc32: crc32(body),
        }
    }
}

/// A job line of these fields.
pub(crate) fn line(fields: &Value) -> String {
    format!("{fields}\n")
}

/// A job line with an id and a URL only.
pub(crate) fn plain(id: &str, url: &str) -> String {
    line(&serde_json::json!({"id": id, "url": url, "payload": {"of": id}}))
}

/// JSON with everything that a careless sender would change: white space, escapes, big numbers, repeated keys,
/// key order, other alphabets.
fn payload(number: usize, bytes: usize) -> String {
    let mut text = format!(
        "{{ \"z\":{number},\"a\" : [1e400, 12345678901234567890,\t-0.0],\"a\":\"\\u0041\\/\\ud800 \
         Zürich 東京\",\"text\":\""
    );
    while text.len() + 2 < bytes {
        text.push(char::from(b'a' + ((text.len() * 7 + number) % 26) as u8));
    }
    text.push_str("\"}");
    text
}

/// The CRC-32 of zlib and gzip (RFC 1952 section 8), by its definition.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in bytes {
        crc = (crc >> 8) ^ CRC_OF_BYTE[usize::from(crc as u8 ^ byte)];
    }
    !crc
}

const CRC_OF_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[test]
fn the_checksum_is_that_of_zlib() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
}
