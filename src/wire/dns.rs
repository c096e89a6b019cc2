//! DNS messages (RFC 1035): one question out, the addresses, the absence or the failure that its answer tells.
//!
//! Invariants: no byte of a message is read out of its bounds; a compression pointer leads strictly backwards
//! and a name has at most 255 bytes, so that every loop ends; an answer counts only with the id and the
//! question that were asked. Aliases are followed inside the one message.
//!
//! Not here: which server is asked, retries, time and the cache (`engine/resolver`), sockets (`io/udp`).

pub mod framing;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The largest datagram that we ask for: no fragments on any usual path (DNS flag day 2020).
pub const EDNS_PAYLOAD_BYTES: u16 = 1232;
/// Aliases that are followed from the asked name to the one with addresses.
pub const CHAIN_LINKS_MAX: usize = 16;
/// Addresses that are taken from one answer.
pub const ADDRESSES_MAX: usize = 32;

/// Records of the answer section that are looked at: bounds the work on a message of lies.
const RECORDS_MAX: usize = 256;
/// Pointers followed within one name: an honest writer needs one.
const JUMPS_MAX: usize = 32;
/// A name on the wire, its length bytes and the root included (RFC 1035 section 3.1).
const NAME_BYTES_MAX: usize = 255;
/// A label (RFC 1035 section 3.1).
const LABEL_BYTES_MAX: usize = 63;

const HEADER_BYTES: usize = 12;
const FLAG_RESPONSE: u16 = 0x8000;
const FLAG_TRUNCATED: u16 = 0x0200;
const FLAG_RECURSION_DESIRED: u16 = 0x0100;
const OPCODE_MASK: u16 = 0x7800;
const RCODE_MASK: u16 = 0x000f;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_AAAA: u16 = 28;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records (RFC 3596).
    V6,
}

/// What is asked: the addresses of one family of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// Absolute, without the root's dot.
    pub name: &'a str,
    /// Which addresses.
    pub family: Family,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name has addresses of the asked family.
    Addresses {
        /// In the order of the message, each once; never empty, at most [`ADDRESSES_MAX`].
        addrs: Vec<IpAddr>,
        /// The smallest along the chain of aliases.
        ttl: Duration,
    },
    /// The name exists and has no address of this family (RFC 2308 section 2.2).
    NoData {
        /// How long that may be believed; zero without an SOA record (RFC 2308 section 5).
        ttl: Duration,
    },
    /// NXDOMAIN: there is no such name.
    NoSuchName {
        /// As in [`Answer::NoData`].
        ttl: Duration,
    },
    /// The aliases run in a circle, or are more than [`CHAIN_LINKS_MAX`].
    AliasChain,
    /// SERVFAIL, REFUSED and other codes by which a server says that it doesn't know.
    ServerFailure(u8),
    /// FORMERR: to a query with EDNS often a server that doesn't know EDNS (RFC 6891 section 7).
    FormatError,
    /// NOTIMP: likewise.
    NotImplemented,
    /// The answer did not fit: whatever did, it has to be asked over TCP (RFC 2181 section 9).
    Truncated,
}

/// Why a message is not the answer that is waited for. Such a message is dropped, the wait goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not a response, or one to another question or id (RFC 5452 section 9).
    NotOurs,
    /// Lengths, counts or pointers that don't hold.
    Malformed,
}

/// A name that no DNS message can carry: empty, with an empty or too long label, or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError;

/// Writes a query behind whatever `out` holds.
///
/// # Errors
/// [`NameError`], with nothing written.
pub fn encode(
    id: u16,
    question: Question<'_>,
    edns: bool,
    out: &mut Vec<u8>,
) -> Result<(), NameError> {
    check_name(question.name)?;
    out.reserve(HEADER_BYTES + question.name.len() + 2 + 4 + 11);
    for word in [id, FLAG_RECURSION_DESIRED, 1, 0, 0, u16::from(edns)] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for label in question.name.split('.') {
        let length = u8::try_from(label.len()).expect("check_name: a label has at most 63 bytes");
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    for word in [question.family.record_type(), CLASS_IN] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    if edns {
        // OPT (RFC 6891 section 6.1.2): root name, our buffer in the class, version 0, no flags, no options.
        out.push(0);
        for word in [TYPE_OPT, EDNS_PAYLOAD_BYTES, 0, 0, 0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    Ok(())
}

/// Whether a name fits into a question.
///
/// # Errors
/// [`NameError`].
pub fn check_name(name: &str) -> Result<(), NameError> {
    // On the wire: a length byte for each label, and the root's.
    let fits = name.len() + 2 <= NAME_BYTES_MAX;
    if fits
        && name
            .split('.')
            .all(|label| (1..=LABEL_BYTES_MAX).contains(&label.len()))
    {
        Ok(())
    } else {
        Err(NameError)
    }
}

/// Reads the answer to `question`, asked with `id`.
///
/// # Errors
/// [`DecodeError`]: the message is to be dropped.
pub fn decode(message: &[u8], id: u16, question: Question<'_>) -> Result<Answer, DecodeError> {
    let header = Header::read(message)?;
    if header.id != id
        || header.flags & FLAG_RESPONSE == 0
        || header.flags & OPCODE_MASK != 0
        || (header.questions != 1 && !header.may_lack_question())
    {
        return Err(DecodeError::NotOurs);
    }
    let mut reader = Reader {
        message,
        at: HEADER_BYTES,
    };
    if header.questions == 1 && !reader.is_question(question)? {
        return Err(DecodeError::NotOurs);
    }
    match header.rcode() {
        0 | 3 => read_sections(reader, &header, question),
        1 => Ok(Answer::FormatError),
        4 => Ok(Answer::NotImplemented),
        rcode => Ok(Answer::ServerFailure(rcode)),
    }
}

impl Family {
    const fn record_type(self) -> u16 {
        match self {
            Family::V4 => TYPE_A,
            Family::V6 => TYPE_AAAA,
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a name of at most 253 bytes with labels of 1 to 63")
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::NotOurs => "not the answer to this query",
            DecodeError::Malformed => "a malformed DNS message",
        })
    }
}

impl std::error::Error for NameError {}
impl std::error::Error for DecodeError {}

/// Everything behind the question, of an answer with code NOERROR or NXDOMAIN.
fn read_sections(
    mut reader: Reader<'_>,
    header: &Header,
    question: Question<'_>,
) -> Result<Answer, DecodeError> {
    let truncated = header.flags & FLAG_TRUNCATED != 0;
    if truncated && header.rcode() == 0 {
        return Ok(Answer::Truncated);
    }
    let mut records = Vec::new();
    let whole = reader.read_records(header.answers, &mut records);
    if !truncated {
        whole?;
    }
    let chain = follow(reader.message, &records, question)?;
    if header.rcode() == 0 {
        match chain {
            Chain::Addresses { addrs, ttl } => return Ok(Answer::Addresses { addrs, ttl }),
            Chain::TooLong => return Ok(Answer::AliasChain),
            Chain::DeadEnd { .. } => {}
        }
    }
    let limit = match chain {
        Chain::DeadEnd { ttl } => ttl,
        Chain::Addresses { .. } | Chain::TooLong => None,
    };
    // Under NXDOMAIN a cut message says no less; only its lifetime may be lost.
    let ttl = match reader.negative_ttl(header.authorities) {
        Ok(ttl) => ttl,
        Err(_) if truncated => Duration::ZERO,
        Err(error) => return Err(error),
    };
    let ttl = limit.map_or(ttl, |limit| ttl.min(limit));
    Ok(match header.rcode() {
        0 => Answer::NoData { ttl },
        _ => Answer::NoSuchName { ttl },
    })
}

/// Where the aliases of an answer lead.
enum Chain {
    Addresses { addrs: Vec<IpAddr>, ttl: Duration },
    DeadEnd { ttl: Option<Duration> },
    TooLong,
}

/// Walks from the asked name over its aliases to the addresses; the records may stand in any order.
fn follow(
    message: &[u8],
    records: &[Record],
    question: Question<'_>,
) -> Result<Chain, DecodeError> {
    let mut name = HEADER_BYTES;
    let mut ttl: Option<Duration> = None;
    let shorter = |ttl: Option<Duration>, other: Duration| ttl.map_or(other, |t| t.min(other));
    for _ in 0..=CHAIN_LINKS_MAX {
        let mut alias = None;
        let mut addrs = Vec::new();
        for record in records {
            if record.kind != question.family.record_type() && record.kind != TYPE_CNAME {
                continue;
            }
            if !same_name(message, record.owner, name)? {
                continue;
            }
            if record.kind == TYPE_CNAME {
                alias = alias.or(Some(record));
                continue;
            }
            let addr = record.address(message, question.family)?;
            if addrs.len() < ADDRESSES_MAX && !addrs.contains(&addr) {
                addrs.push(addr);
            }
            ttl = Some(shorter(ttl, record.ttl));
        }
        if !addrs.is_empty() {
            let ttl = ttl.unwrap_or(Duration::ZERO);
            return Ok(Chain::Addresses { addrs, ttl });
        }
        let Some(alias) = alias else {
            return Ok(Chain::DeadEnd { ttl });
        };
        ttl = Some(shorter(ttl, alias.ttl));
        name = alias.data;
    }
    Ok(Chain::TooLong)
}

struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
    authorities: u16,
}

impl Header {
    fn read(message: &[u8]) -> Result<Header, DecodeError> {
        let mut reader = Reader { message, at: 0 };
        let header = Header {
            id: reader.u16()?,
            flags: reader.u16()?,
            questions: reader.u16()?,
            answers: reader.u16()?,
            authorities: reader.u16()?,
        };
        reader.u16()?;
        Ok(header)
    }

    fn rcode(&self) -> u8 {
        (self.flags & RCODE_MASK) as u8
    }

    /// A server that could not even read the query answers with the bare header; what depends on the
    /// question (addresses, NXDOMAIN) is not believed without it.
    fn may_lack_question(&self) -> bool {
        self.questions == 0 && !matches!(self.rcode(), 0 | 3)
    }
}

/// A resource record (RFC 1035 section 4.1.3); its data lies whole in the message.
struct Record {
    owner: usize,
    kind: u16,
    ttl: Duration,
    data: usize,
    data_bytes: usize,
}

impl Record {
    fn address(&self, message: &[u8], family: Family) -> Result<IpAddr, DecodeError> {
        let data = &message[self.data..self.data + self.data_bytes];
        match family {
            Family::V4 => <[u8; 4]>::try_from(data).map(|octets| Ipv4Addr::from(octets).into()),
            Family::V6 => <[u8; 16]>::try_from(data).map(|octets| Ipv6Addr::from(octets).into()),
        }
        .map_err(|_| DecodeError::Malformed)
    }
}

/// A place in a message.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self
            .message
            .get(self.at..)
            .and_then(|rest| rest.first_chunk())
            .ok_or(DecodeError::Malformed)?;
        self.at += N;
        Ok(*bytes)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_be_bytes)
    }

    /// Steps behind a name: its labels here, or the pointer that ends them.
    fn skip_name(&mut self) -> Result<(), DecodeError> {
        loop {
            let [length] = self.take()?;
            match length {
                0 => return Ok(()),
                1..=63 => self.at += usize::from(length),
                0xc0.. => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(DecodeError::Malformed),
            }
        }
    }

    /// Reads the question section's one entry and compares it, ignoring case (RFC 4343).
    fn is_question(&mut self, question: Question<'_>) -> Result<bool, DecodeError> {
        let mut labels = Labels::new(self.message, self.at);
        let mut expected = question.name.split('.');
        let mut same = true;
        while let Some(label) = labels.next()? {
            let label_expected = expected.next().unwrap_or_default();
            same &= label.eq_ignore_ascii_case(label_expected.as_bytes());
        }
        same &= expected.next().is_none();
        self.skip_name()?;
        let kind = self.u16()?;
        let class = self.u16()?;
        Ok(same && kind == question.family.record_type() && class == CLASS_IN)
    }

    /// The next record; `None` if it is of another class.
    fn read_record(&mut self) -> Result<Option<Record>, DecodeError> {
        let owner = self.at;
        self.skip_name()?;
        Labels::check(self.message, owner)?;
        let kind = self.u16()?;
        let class = self.u16()?;
        let seconds = self.u32()?;
        let data_bytes = usize::from(self.u16()?);
        let data = self.at;
        if self.message.len().saturating_sub(data) < data_bytes {
            return Err(DecodeError::Malformed);
        }
        self.at += data_bytes;
        // A TTL is a signed number that is never negative: with the top bit it means 0 (RFC 2181 section 8).
        let seconds = if seconds >> 31 == 0 { seconds } else { 0 };
        Ok((class == CLASS_IN).then_some(Record {
            owner,
            kind,
            ttl: Duration::from_secs(seconds.into()),
            data,
            data_bytes,
        }))
    }

    /// Steps over a whole section, collecting up to [`RECORDS_MAX`] of its records.
    fn read_records(&mut self, count: u16, records: &mut Vec<Record>) -> Result<(), DecodeError> {
        for _ in 0..count {
            let Some(record) = self.read_record()? else {
                continue;
            };
            if record.kind == TYPE_CNAME {
                Labels::check(self.message, record.data)?;
            }
            if records.len() < RECORDS_MAX {
                records.push(record);
            }
        }
        Ok(())
    }

    /// How long an absence may be believed: the lesser of the SOA record's TTL and its MINIMUM field
    /// (RFC 2308 section 5); zero if there is none.
    fn negative_ttl(&mut self, authorities: u16) -> Result<Duration, DecodeError> {
        for _ in 0..authorities {
            let Some(record) = self.read_record()? else {
                continue;
            };
            if record.kind != TYPE_SOA {
                continue;
            }
            let mut data = Reader {
                message: &self.message[..record.data + record.data_bytes],
                at: record.data,
            };
            data.skip_name()?;
            data.skip_name()?;
            data.take::<16>()?;
            let minimum = Duration::from_secs(data.u32()?.into());
            return Ok(minimum.min(record.ttl));
        }
        Ok(Duration::ZERO)
    }
}

/// The labels of a name, pointers followed (RFC 1035 section 4.1.4).
struct Labels<'a> {
    message: &'a [u8],
    at: usize,
    /// Where the labels that are being read began: a pointer must lead in front of it.
    segment: usize,
    jumps: usize,
    bytes: usize,
}

impl<'a> Labels<'a> {
    fn new(message: &'a [u8], at: usize) -> Labels<'a> {
        Labels {
            message,
            at,
            segment: at,
            jumps: 0,
            bytes: 1,
        }
    }

    /// Walks a whole name, so that a broken one spoils the message wherever it stands.
    fn check(message: &[u8], at: usize) -> Result<(), DecodeError> {
        let mut labels = Labels::new(message, at);
        while labels.next()?.is_some() {}
        Ok(())
    }

    /// The next label; `None` at the root.
    fn next(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        loop {
            let rest = self.message.get(self.at..).unwrap_or_default();
            match *rest {
                [0, ..] => return Ok(None),
                [length @ 1..=63, ref rest @ ..] => {
                    let label = rest
                        .get(..usize::from(length))
                        .ok_or(DecodeError::Malformed)?;
                    self.at += 1 + label.len();
                    self.bytes += 1 + label.len();
                    if self.bytes > NAME_BYTES_MAX {
                        return Err(DecodeError::Malformed);
                    }
                    return Ok(Some(label));
                }
                [high @ 0xc0..=0xff, low, ..] => {
                    let target = usize::from(u16::from_be_bytes([high & 0x3f, low]));
                    self.jumps += 1;
                    let backwards = (HEADER_BYTES..self.segment).contains(&target);
                    if !backwards || self.jumps > JUMPS_MAX {
                        return Err(DecodeError::Malformed);
                    }
                    self.at = target;
                    self.segment = target;
                }
                _ => return Err(DecodeError::Malformed),
            }
        }
    }
}

/// Whether the names at two places of a message are one, ignoring case (RFC 4343).
fn same_name(message: &[u8], one: usize, other: usize) -> Result<bool, DecodeError> {
    let mut ones = Labels::new(message, one);
    let mut others = Labels::new(message, other);
    loop {
        match (ones.next()?, others.next()?) {
            (None, None) => return Ok(true),
            (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
            _ => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;
