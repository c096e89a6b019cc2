//! `/etc/hosts` and `/etc/resolv.conf` as values (hosts(5), resolv.conf(5)).
//!
//! Both files are optional and neither can fail: a line that makes no sense is skipped, as the C library does,
//! and [`Names::complaints`] says so. Names are absolute, so `search`, `domain` and `ndots` are without effect.
//!
//! Not here: reading and watching the files (`io/files`), what is asked of whom (`engine/resolver`).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// Name servers that are used, as in resolv.conf(5).
pub const SERVERS_MAX: usize = 3;
/// How long one server may take before the next is asked as well, unless `options timeout:` says otherwise.
/// Less than resolv.conf(5)'s 5 s: one dead server must not use up the time that a whole connect has.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// The most that `options timeout:` can say, in seconds.
pub const TIMEOUT_SECONDS_MAX: u8 = 30;
/// Rounds over all servers, unless `options attempts:` says otherwise.
pub const ATTEMPTS_DEFAULT: u8 = 2;
/// The most that `options attempts:` can say.
pub const ATTEMPTS_MAX: u8 = 5;

/// Complaints that are kept of one file.
const COMPLAINTS_MAX: usize = 16;
/// Characters of a bad word that a complaint shows.
const FOUND_CHARS_MAX: usize = 64;
const DNS_PORT: u16 = 53;

/// What both files say.
#[derive(Clone, Debug)]
pub struct Names {
    /// `/etc/hosts`.
    pub hosts: Hosts,
    /// `/etc/resolv.conf`.
    pub resolv_conf: ResolvConf,
    /// One for each line that was skipped, at most a few per file: file, line, what was found, what was expected.
    pub complaints: Vec<String>,
}

/// Names with addresses of their own, which no name server is asked for.
///
/// Sorted by name and, under one name, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// All names, lower-cased, one behind the other: one allocation instead of one for each of 100,000 lines.
    text: String,
    entries: Vec<Entry>,
}

/// Which name servers to ask, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// In the order in which they are asked; never empty, at most [`SERVERS_MAX`].
    pub servers: Vec<SocketAddr>,
    /// How long one server may take before the next is asked as well.
    pub timeout: Duration,
    /// Rounds over all servers, at least 1.
    pub attempts: u8,
    /// Begin with another server each time.
    pub rotate: bool,
    /// `options use-vc` stands there: ask over TCP only.
    pub use_vc: bool,
    /// `options edns0` stands there; we send EDNS to every server that bears it.
    pub edns0: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    bytes: u8,
    addr: IpAddr,
}

impl Names {
    /// Reads both files; a missing one is an empty one. Of a name server's zone (`fe80::1%2`) only numbers are known.
    #[must_use]
    pub fn parse(hosts: &[u8], resolv_conf: &[u8]) -> Names {
        Names::parse_zoned(hosts, resolv_conf, &|_| None)
    }

    /// As [`Names::parse`]; `zone_index` knows the names of this machine's network interfaces (`fe80::1%eth0`).
    #[must_use]
    pub fn parse_zoned(
        hosts: &[u8],
        resolv_conf: &[u8],
        zone_index: &dyn Fn(&str) -> Option<u32>,
    ) -> Names {
        let mut of_hosts = Complaints::new("/etc/hosts");
        let mut of_resolv_conf = Complaints::new("/etc/resolv.conf");
        let hosts = Hosts::parse(hosts, &mut of_hosts);
        let resolv_conf = ResolvConf::parse(resolv_conf, zone_index, &mut of_resolv_conf);
        let mut complaints = of_hosts.finish();
        complaints.extend(of_resolv_conf.finish());
        Names {
            hosts,
            resolv_conf,
            complaints,
        }
    }
}

impl Default for Names {
    /// Neither file is there.
    fn default() -> Names {
        Names::parse(b"", b"")
    }
}

impl Hosts {
    fn parse(file: &[u8], complaints: &mut Complaints) -> Hosts {
        let mut hosts = Hosts::default();
        for (line, number) in file.split(|&byte| byte == b'\n').zip(1..) {
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            let mut words = words(line);
            let Some(addr_word) = words.next() else {
                continue;
            };
            let addr = match parse_addr(addr_word) {
                Ok(addr) => addr,
                Err(expected) => {
                    complaints.add(number, addr_word, expected);
                    continue;
                }
            };
            let mut named = false;
            for name in words {
                named = true;
                if !hosts.push(name, addr) {
                    complaints.add(number, name, "a host name of 1 to 253 ASCII characters");
                }
            }
            if !named {
                complaints.add(number, addr_word, "a host name behind the address");
            }
        }
        hosts.sort();
        hosts
    }

    /// The addresses of a name, which has to be in lower case and without a final dot; in the order of the
    /// file, each once.
    pub fn addresses(&self, name: &str) -> impl Iterator<Item = IpAddr> {
        let entries = &self.entries;
        let start = entries.partition_point(|entry| self.name(entry) < name);
        let bytes = entries[start..].partition_point(|entry| self.name(entry) == name);
        entries[start..start + bytes].iter().map(|entry| entry.addr)
    }

    /// How many pairs of a name and an address there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn name(&self, entry: &Entry) -> &str {
        &self.text[entry.start as usize..][..usize::from(entry.bytes)]
    }

    /// Takes a name as it stands in the file; false if it is none.
    fn push(&mut self, name: &[u8], addr: IpAddr) -> bool {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let Ok(name) = str::from_utf8(name) else {
            return false;
        };
        let Ok(start) = u32::try_from(self.text.len()) else {
            return false;
        };
        if !(1..=253).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return false;
        }
        self.text.push_str(name);
        self.text[start as usize..].make_ascii_lowercase();
        let bytes = u8::try_from(name.len()).expect("checked above: at most 253");
        self.entries.push(Entry { start, bytes, addr });
        true
    }

    /// Orders the entries for the look-up, and drops what is said twice.
    fn sort(&mut self) {
        let text = &self.text;
        let name = |entry: &Entry| &text[entry.start as usize..][..usize::from(entry.bytes)];
        // Stable, so that the order of the file is kept under one name.
        self.entries.sort_by(|a, b| name(a).cmp(name(b)));
        let mut kept: Vec<Entry> = Vec::with_capacity(self.entries.len());
        let mut group = 0;
        for entry in &self.entries {
            if kept
                .get(group)
                .is_none_or(|first| name(first) != name(entry))
            {
                group = kept.len();
            }
            // A name with very many addresses would make this quadratic: then duplicates may stay.
            let seen = &kept[group..];
            if seen.len() > 64 || !seen.iter().any(|other| other.addr == entry.addr) {
                kept.push(*entry);
            }
        }
        self.entries = kept;
    }
}

impl ResolvConf {
    fn parse(
        file: &[u8],
        zone_index: &dyn Fn(&str) -> Option<u32>,
        complaints: &mut Complaints,
    ) -> ResolvConf {
        let mut conf = ResolvConf {
            servers: Vec::new(),
            timeout: TIMEOUT_DEFAULT,
            attempts: ATTEMPTS_DEFAULT,
            rotate: false,
            use_vc: false,
            edns0: false,
        };
        for (line, number) in file.split(|&byte| byte == b'\n').zip(1..) {
            let mut words = words(line).take_while(|word| !matches!(word, [b'#' | b';', ..]));
            match words.next() {
                Some(b"nameserver") => {
                    let word = words.next().unwrap_or_default();
                    conf.add_server(number, word, parse_server(word, zone_index), complaints);
                }
                Some(b"options") => words.for_each(|option| conf.set(number, option, complaints)),
                // They concern relative names and the order of addresses, which are decided elsewhere.
                Some(b"search" | b"domain" | b"sortlist" | b"lookup" | b"family") | None => {}
                Some(word) => complaints.add(number, word, "nameserver, options or search"),
            }
        }
        if conf.servers.is_empty() {
            for addr in [
                IpAddr::from(Ipv4Addr::LOCALHOST),
                Ipv6Addr::LOCALHOST.into(),
            ] {
                conf.servers.push(SocketAddr::new(addr, DNS_PORT));
            }
        }
        conf
    }

    fn add_server(
        &mut self,
        line: usize,
        word: &[u8],
        server: Result<SocketAddr, &'static str>,
        complaints: &mut Complaints,
    ) {
        match server {
            Err(expected) => complaints.add(line, word, expected),
            Ok(_) if self.servers.len() == SERVERS_MAX => {
                complaints.add(line, word, "at most 3 name servers");
            }
            Ok(server) => {
                if !self.servers.contains(&server) {
                    self.servers.push(server);
                }
            }
        }
    }

    /// One word behind `options`; those that concern only the C library are without effect.
    fn set(&mut self, line: usize, option: &[u8], complaints: &mut Complaints) {
        let number = |prefix: &[u8], max: u8| {
            let digits = str::from_utf8(option.strip_prefix(prefix)?).ok()?;
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            // A number beyond u8 is beyond the maximum too, and cut to it as resolv.conf(5) says.
            is_number.then(|| digits.parse().unwrap_or(max).clamp(1, max))
        };
        match option {
            b"rotate" => self.rotate = true,
            b"use-vc" => self.use_vc = true,
            b"edns0" => self.edns0 = true,
            _ if option.starts_with(b"timeout:") => {
                match number(b"timeout:", TIMEOUT_SECONDS_MAX) {
                    Some(seconds) => self.timeout = Duration::from_secs(seconds.into()),
                    None => complaints.add(line, option, "timeout: and a number of seconds"),
                }
            }
            _ if option.starts_with(b"attempts:") => match number(b"attempts:", ATTEMPTS_MAX) {
                Some(attempts) => self.attempts = attempts,
                None => complaints.add(line, option, "attempts: and a number"),
            },
            _ => {}
        }
    }
}

/// What there is to say about one file, bounded.
struct Complaints {
    file: &'static str,
    said: Vec<String>,
    unsaid: usize,
}

impl Complaints {
    fn new(file: &'static str) -> Complaints {
        Complaints {
            file,
            said: Vec::new(),
            unsaid: 0,
        }
    }

    fn add(&mut self, line: usize, found: &[u8], expected: &str) {
        if self.said.len() == COMPLAINTS_MAX {
            self.unsaid += 1;
            return;
        }
        let mut text = format!("{}:{line}: found ", self.file);
        if found.is_empty() {
            text.push_str("nothing");
        } else {
            // Escaped: the text goes to a log, and a file must not forge its lines.
            let found: String = String::from_utf8_lossy(found)
                .chars()
                .take(FOUND_CHARS_MAX)
                .collect();
            let _infallible = write!(text, "\"{}\"", found.escape_debug());
        }
        let _infallible = write!(text, ", expected {expected}");
        self.said.push(text);
    }

    fn finish(mut self) -> Vec<String> {
        if self.unsaid > 0 {
            self.said
                .push(format!("{}: and {} more", self.file, self.unsaid));
        }
        self.said
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// An address as both files write it; the error says what was expected.
fn parse_addr(word: &[u8]) -> Result<IpAddr, &'static str> {
    if word.contains(&b'%') {
        return Err("an IP address without a zone: zones are not supported");
    }
    str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or("an IP address")
}

/// A name server's address. A link-local one needs the zone that it is in (RFC 4007 section 11), by number or by
/// the name of an interface; routers announce such servers (RFC 8106).
fn parse_server(
    word: &[u8],
    zone_index: &dyn Fn(&str) -> Option<u32>,
) -> Result<SocketAddr, &'static str> {
    let Some(at) = word.iter().position(|&byte| byte == b'%') else {
        return Ok(SocketAddr::new(parse_addr(word)?, DNS_PORT));
    };
    let zone = str::from_utf8(&word[at + 1..]).unwrap_or_default();
    let index = match zone.parse() {
        Ok(index) => Some(index),
        Err(_) => zone_index(zone),
    };
    match (parse_addr(&word[..at])?, index) {
        (IpAddr::V6(addr), Some(index)) if addr.is_unicast_link_local() => {
            Ok(SocketAddrV6::new(addr, DNS_PORT, 0, index).into())
        }
        (IpAddr::V6(addr), None) if addr.is_unicast_link_local() => {
            Err("a network interface of this machine behind the %")
        }
        _ => Err("a zone only with a link-local IPv6 address"),
    }
}

#[cfg(test)]
mod tests;
