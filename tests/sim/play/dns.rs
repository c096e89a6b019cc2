//! The name servers: what each answers, over UDP and over TCP.
//!
//! Not here: how datagrams and connections travel (`network`), which origin has which addresses (`scenario`).

use std::net::IpAddr;

use super::servers::Mode;

/// What a name server is like for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameServerMode {
    /// It answers.
    Fine,
    /// It does not.
    Silent,
    /// Nobody listens there.
    Unreachable,
    /// It says that it failed (2), or refuses (5).
    Fails(u8),
    /// Whatever it answers over UDP is cut.
    Truncates,
    /// It sends nonsense, or an answer to somebody else, before its own.
    Noisy,
    /// It knows no EDNS.
    NoEdns,
}

/// What a query asks.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    id: [u8; 2],
    /// The question section.
    question: &'a [u8],
    /// The origin whose name is `o<number>.example`.
    pub origin: Option<usize>,
    pub wants_v6: bool,
    has_edns: bool,
}

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// Reads a query.
///
/// # Panics
/// If it is none.
pub fn read(query: &[u8]) -> Asked<'_> {
    assert!(query.len() > 16, "a query has a header and a question");
    assert_eq!(query[2..6], [1, 0, 0, 1], "recursion desired, one question");
    read_question(query)
}

/// Whose absence of addresses of which family an answer tells, if it tells one; it has a question.
pub fn absence(answer: &[u8]) -> Option<(usize, bool)> {
    let is_whole = answer.len() > 16 && answer[2] & 2 == 0;
    if !is_whole || !matches!(answer[3] & 15, 0 | 3) || answer[6..8] != [0, 0] {
        return None;
    }
    let asked = read_question(answer);
    Some((asked.origin?, asked.wants_v6))
}

fn read_question(query: &[u8]) -> Asked<'_> {
    let mut at = 12;
    let first = &query[at + 1..at + 1 + usize::from(query[at])];
    let name = std::str::from_utf8(first).expect("a label is text");
    while query[at] != 0 {
        at += 1 + usize::from(query[at]);
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    assert!(
        kind == TYPE_A || kind == TYPE_AAAA,
        "addresses are asked for"
    );
    Asked {
        id: [query[0], query[1]],
        question: &query[12..at + 5],
        origin: name
            .to_ascii_lowercase()
            .strip_prefix('o')
            .and_then(|number| number.parse().ok()),
        wants_v6: kind == TYPE_AAAA,
        has_edns: query.len() > at + 5,
    }
}

impl Asked<'_> {
    /// The answer of a server in this mode; none: silence. `addrs` are the asked family's, `host` is what the
    /// origin is like.
    pub fn answer(
        &self,
        mode: NameServerMode,
        over_tcp: bool,
        host: Mode,
        addrs: &[IpAddr],
        ttl: u32,
    ) -> Option<Vec<u8>> {
        match mode {
            NameServerMode::Silent | NameServerMode::Unreachable => return None,
            NameServerMode::Fails(code) => return Some(self.message(code, false, &[], 0)),
            NameServerMode::NoEdns if self.has_edns => return Some(self.message(1, false, &[], 0)),
            NameServerMode::Truncates if !over_tcp => return Some(self.message(0, true, &[], 0)),
            NameServerMode::Fine
            | NameServerMode::Noisy
            | NameServerMode::NoEdns
            | NameServerMode::Truncates => {}
        }
        Some(match host {
            Mode::NoSuchName => self.message(3, false, &[], ttl),
            Mode::NoData => self.message(0, false, &[], ttl),
            _ if self.origin.is_none() => self.message(3, false, &[], ttl),
            _ => self.message(0, false, addrs, ttl),
        })
    }

    fn message(&self, code: u8, cut: bool, addrs: &[IpAddr], ttl: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.question.len() + addrs.len() * 28);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&[0x81 | u8::from(cut) << 1, 0x80 | code]);
        let absent = addrs.is_empty() && matches!(code, 0 | 3) && !cut;
        for count in [1, addrs.len() as u16, u16::from(absent), 0] {
            out.extend_from_slice(&count.to_be_bytes());
        }
        out.extend_from_slice(self.question);
        for addr in addrs {
            // The owner is the asked name.
            out.extend_from_slice(&[0xc0, 12]);
            let kind = if self.wants_v6 { TYPE_AAAA } else { TYPE_A };
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 1]);
            out.extend_from_slice(&ttl.to_be_bytes());
            match addr {
                IpAddr::V4(v4) => {
                    out.extend_from_slice(&[0, 4]);
                    out.extend_from_slice(&v4.octets());
                }
                IpAddr::V6(v6) => {
                    out.extend_from_slice(&[0, 16]);
                    out.extend_from_slice(&v6.octets());
                }
            }
        }
        if absent {
            // An SOA of the root, whose minimum says how long the absence may be believed.
            out.extend_from_slice(&[0, 0, 6, 0, 1]);
            out.extend_from_slice(&ttl.to_be_bytes());
            out.extend_from_slice(&[0, 22, 0, 0]);
            out.extend_from_slice(&[0; 16]);
            out.extend_from_slice(&ttl.to_be_bytes());
        }
        out
    }
}
