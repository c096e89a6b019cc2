//! `/etc/hosts` and `/etc/resolv.conf` as values (hosts(5), resolv.conf(5)).
//!
//! Both files are optional and neither can fail: a line that makes no sense is skipped, as the C library does,
//! and [`Names::complaints`] says so. Names are absolute, so `search`, `domain` and `ndots` are without effect.
//!
//! Not here: reading and watching the files (`io/files`), what is asked of whom (`engine/resolver`).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
    /// Reads both files; a missing one is an empty one.
    #[must_use]
    pub fn parse(hosts: &[u8], resolv_conf: &[u8]) -> Names {
        let mut of_hosts = Complaints::new("/etc/hosts");
        let mut of_resolv_conf = Complaints::new("/etc/resolv.conf");
        let hosts = Hosts::parse(hosts, &mut of_hosts);
        let resolv_conf = ResolvConf::parse(resolv_conf, &mut of_resolv_conf);
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
    fn parse(file: &[u8], complaints: &mut Complaints) -> ResolvConf {
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
                Some(b"nameserver") => conf.add_server(number, words.next(), complaints),
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

    fn add_server(&mut self, line: usize, word: Option<&[u8]>, complaints: &mut Complaints) {
        let word = word.unwrap_or_default();
        match parse_addr(word) {
            Err(expected) => complaints.add(line, word, expected),
            Ok(_) if self.servers.len() == SERVERS_MAX => {
                complaints.add(line, word, "at most 3 name servers");
            }
            Ok(addr) => {
                let server = SocketAddr::new(addr, DNS_PORT);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(file: &str, name: &str) -> Vec<String> {
        let names = Names::parse(file.as_bytes(), b"");
        names
            .hosts
            .addresses(name)
            .map(|addr| addr.to_string())
            .collect()
    }

    fn resolv_conf(file: &str) -> (ResolvConf, Vec<String>) {
        let names = Names::parse(b"", file.as_bytes());
        (names.resolv_conf, names.complaints)
    }

    #[test]
    fn f84_hosts_gives_the_addresses_of_names_and_aliases() {
        let file = "# comment\n\
            127.0.0.1\tlocalhost\n\
            ::1 localhost ip6-localhost # loopback\r\n\
            10.0.0.5  API.Example.com api api.example.com\n\
            10.0.0.6 api.example.com.\n\
            2001:db8::1 api.example.com";
        let table: &[(&str, &[&str])] = &[
            ("localhost", &["127.0.0.1", "::1"]),
            ("ip6-localhost", &["::1"]),
            ("api", &["10.0.0.5"]),
            ("api.example.com", &["10.0.0.5", "10.0.0.6", "2001:db8::1"]),
            ("api.example.co", &[]),
            ("api.example.com.evil", &[]),
            ("comment", &[]),
            ("loopback", &[]),
            ("", &[]),
        ];
        for (name, expected) in table {
            assert_eq!(hosts(file, name), *expected, "{name}");
        }
        let complaints = Names::parse(file.as_bytes(), b"").complaints;
        assert!(complaints.is_empty(), "{complaints:?}");
    }

    #[test]
    fn f84_a_long_hosts_file_is_searched_not_walked() {
        let mut file = String::new();
        for n in 0..100_000_u32 {
            let addr = Ipv4Addr::from(0x0a00_0000 + n);
            writeln!(file, "{addr} host{n}.example alias{n}").unwrap();
        }
        let names = Names::parse(file.as_bytes(), b"");
        assert_eq!(names.hosts.len(), 200_000);
        for n in [0, 1, 4_711, 65_536, 99_999] {
            let expected = [IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n))];
            for name in [format!("host{n}.example"), format!("alias{n}")] {
                assert_eq!(
                    names.hosts.addresses(&name).collect::<Vec<_>>(),
                    expected,
                    "{name}"
                );
            }
        }
        assert_eq!(names.hosts.addresses("host100000.example").count(), 0);
    }

    #[test]
    fn f84_bad_lines_of_hosts_are_skipped_and_named() {
        let long = "x".repeat(254);
        let file = format!(
            "10.0.0.1\n300.1.1.1 a\nfe80::1%eth0 b\n10.0.0.2 c {long} d\n10.0.0.3 h\u{e4}user\n\x1b[31m e"
        );
        let names = Names::parse(file.as_bytes(), b"");
        let cut = "x".repeat(64);
        assert_eq!(
            names.complaints,
            [
                r#"/etc/hosts:1: found "10.0.0.1", expected a host name behind the address"#.to_owned(),
                r#"/etc/hosts:2: found "300.1.1.1", expected an IP address"#.to_owned(),
                r#"/etc/hosts:3: found "fe80::1%eth0", expected an IP address without a zone: zones are not supported"#
                    .to_owned(),
                format!(
                    r#"/etc/hosts:4: found "{cut}", expected a host name of 1 to 253 ASCII characters"#
                ),
                "/etc/hosts:5: found \"h\u{e4}user\", expected a host name of 1 to 253 ASCII characters".to_owned(),
                r#"/etc/hosts:6: found "\u{1b}[31m", expected an IP address"#.to_owned(),
            ]
        );
        assert_eq!(names.hosts.len(), 2);
        assert_eq!(names.hosts.addresses("d").count(), 1);
    }

    #[test]
    fn complaints_are_few_however_long_the_file() {
        let names = Names::parse("bad\n".repeat(1_000).as_bytes(), b"\xff\xfe\n");
        assert_eq!(names.complaints.len(), 16 + 1 + 1);
        assert_eq!(names.complaints[16], "/etc/hosts: and 984 more");
        assert!(names.complaints[17].starts_with("/etc/resolv.conf:1: found "));
    }

    #[test]
    fn f83_missing_or_empty_resolv_conf_means_loopback() {
        for file in [
            "",
            "\n\n",
            "# nothing\n; here\n",
            "search a b\nnameserver\n",
        ] {
            let (conf, _) = resolv_conf(file);
            let expected: Vec<SocketAddr> =
                vec!["127.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
            assert_eq!(conf.servers, expected, "{file:?}");
            assert_eq!(
                (conf.timeout, conf.attempts),
                (TIMEOUT_DEFAULT, ATTEMPTS_DEFAULT)
            );
        }
    }

    #[test]
    fn f83_resolv_conf_with_everything_in_it() {
        let (conf, complaints) = resolv_conf(
            "; generated\n\
             search a.svc.cluster.local svc.cluster.local\n\
             domain example.com\n\
             nameserver 10.96.0.10 # the cluster's\n\
             nameserver fe80::1%eth0\n\
             nameserver 2001:db8::53\n\
             nameserver 10.96.0.10\n\
             nameserver 192.0.2.1\n\
             nameserver 192.0.2.2\n\
             nameservr 192.0.2.3\n\
             options ndots:5 timeout:3 attempts:4 rotate use-vc edns0 trust-ad\n\
             sortlist 130.155.160.0\n",
        );
        let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(
            servers,
            ["10.96.0.10:53", "[2001:db8::53]:53", "192.0.2.1:53"]
        );
        assert_eq!(conf.timeout, Duration::from_secs(3));
        assert_eq!(conf.attempts, 4);
        assert!(conf.rotate && conf.use_vc && conf.edns0);
        assert_eq!(
            complaints,
            [
                "/etc/resolv.conf:5: found \"fe80::1%eth0\", \
                 expected an IP address without a zone: zones are not supported",
                r#"/etc/resolv.conf:9: found "192.0.2.2", expected at most 3 name servers"#,
                r#"/etc/resolv.conf:10: found "nameservr", expected nameserver, options or search"#,
            ]
        );
    }

    #[test]
    fn f83_options_are_cut_to_their_range() {
        let table = [
            ("timeout:0", 1, 2, 0),
            ("timeout:31", 30, 2, 0),
            ("timeout:99999", 30, 2, 0),
            ("timeout:-1", 2, 2, 1),
            ("timeout:", 2, 2, 1),
            ("timeout", 2, 2, 0),
            ("attempts:0", 2, 1, 0),
            ("attempts:9", 2, 5, 0),
            ("attempts:x", 2, 2, 1),
        ];
        for (option, seconds, attempts, complaints) in table {
            let (conf, said) = resolv_conf(&format!("options {option}\n"));
            assert_eq!(conf.timeout.as_secs(), seconds, "{option}");
            assert_eq!(conf.attempts, attempts, "{option}");
            assert_eq!(said.len(), complaints, "{option}");
        }
    }
}
