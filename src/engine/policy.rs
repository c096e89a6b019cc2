//! The settings that the engine obeys, as plain values, checked whole by whoever built them.
//!
//! Not here: names, ranges and help of the settings (`config/table` in the binary), which addresses are
//! forbidden (`guard`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::wire::endpoints::Endpoints;
use crate::wire::job_line::Headers;
use crate::wire::signature::Secrets;
use crate::wire::url::Origin;

/// The shell's number for what TLS is done with beside the general settings: a client certificate; 0 stands for none.
pub type TlsProfile = u64;

/// The shell's number for those who vouch for receivers: another one each time that they are others.
pub type Trust = u64;

/// What the engine obeys; shared by all loops, swapped whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `http://` destinations are allowed.
    pub allow_http: bool,
    /// Ranges that are allowed although the guard's rules forbid them.
    pub allow_net: Vec<AllowNet>,
    /// Ports that are allowed beside the guard's own.
    pub allow_port: Vec<u16>,
    /// Prefixes behind which a gateway of our own network takes an IPv4 address out of an IPv6 one.
    pub nat64_prefix: Vec<Nat64Prefix>,
    /// Sockets this engine may hold open at once: its share of `maxConnectionsTotal`.
    pub max_connections_total: u32,
    /// Origins that it may remember, those with jobs and connections included: its share of `maxOrigins`.
    pub max_origins: u32,
    /// By whose word a receiver is who it says it is.
    pub trust: Trust,
    /// What holds for an endpoint that has no settings of its own.
    pub endpoint: Arc<Endpoint>,
    /// What holds for those that have: whole settings, not only what differs.
    pub endpoints: Arc<Endpoints<Arc<Endpoint>>>,
}

/// The settings of one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// How long after its acceptance a job is worth delivering that says nothing of that itself.
    pub ttl: Duration,
    /// Bytes of a non-2xx answer's body that its result shows.
    pub response_bytes: u32,
    /// Connections per origin: connecting, idle and active.
    pub max_connections: u32,
    /// Older connections are not reused.
    pub connection_lifetime: Duration,
    /// Connections that were idle for so long are closed.
    pub idle_timeout: Duration,
    /// Look-up, TCP and TLS together, all addresses together.
    pub connect_timeout: Duration,
    /// One attempt, to the end of the response head.
    pub timeout: Duration,
    /// An attempt has three times the 99th percentile of the origin's, at least 1 s and at most `timeout`.
    pub adaptive_timeout: bool,
    /// As many attempts are under way at once as the origin takes well, at most `max_connections`.
    pub adaptive_concurrency: bool,
    /// For the rest of a response, after which its connection is closed instead of reused.
    pub drain_timeout: Duration,
    /// Bytes of the rest of a response, likewise.
    pub max_drain_bytes: u32,
    /// Bytes of a response's head, interim heads included.
    pub max_response_header_bytes: u32,
    /// Silence after which TCP asks whether the peer of a connection is still there.
    pub keep_alive_delay: Duration,
    /// How long after that a connection without an answer is given up.
    pub keep_alive_timeout: Duration,
    /// A reused connection that dies before the first response byte is no failed attempt.
    pub resend_stale: bool,
    /// After the nth failed attempt the wait is the nth of these; when there is none, the job is given up.
    pub retry_schedule: Arc<[Duration]>,
    /// Answers that say "again".
    pub retry_statuses: Statuses,
    /// The longest wait that `Retry-After` is obeyed for.
    pub max_retry_after: Duration,
    /// The longest time for which one job's `Retry-After` holds the other jobs of its origin.
    pub max_retry_after_hold: Duration,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long the breaker stays open before it lets a probe through.
    pub breaker_duration: Duration,
    /// What becomes of jobs while the breaker is open.
    pub on_circuit_open: OnCircuitOpen,
    /// How long this machine's own trouble puts a job off before it counts as a failed attempt.
    pub local_trouble_limit: Duration,
    /// Header fields of every request; a job's own of the same name stand in their place.
    pub headers: Arc<Headers>,
    /// What signs the requests of jobs that bring no secret of their own.
    pub secrets: Secrets,
    /// Which settings TLS has, the client certificate among them.
    pub tls_profile: TlsProfile,
    /// The names of settings that hold because somebody set them at run time (`ctl set`).
    pub set: Arc<[&'static str]>,
    /// Where the endpoint is, for metrics of latency by region.
    pub region: Option<Arc<str>>,
    /// Attempts that may begin in a second; none: as many as there are connections for.
    pub rate_limit: Option<Rate>,
}

/// How TCP notices that the peer of a silent connection is gone; in whole seconds, as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe (`keepAliveDelay`).
    pub delay_seconds: u32,
    /// From the first probe to giving up (`keepAliveTimeout`).
    pub timeout_seconds: u32,
}

/// How many attempts may begin in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
    burst: u32,
}

/// What becomes of jobs while their origin's breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCircuitOpen {
    /// They wait.
    Hold,
    /// They end at once.
    Fail,
}

/// A set of statuses from 300 to 599, written as `408,425,429,5xx`. What is beyond 599 counts as 5xx (RFC 9110
/// section 15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// One bit a status, from 300 on.
    bits: [u64; 5],
}

/// A range of addresses that is allowed: `--allow-net CIDR[:PORT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowNet {
    /// The range's first address.
    pub net: IpAddr,
    /// How many leading bits of an address must equal `net`'s.
    pub prefix: u8,
    /// Allowed on this port only; `None`: the port rule stays as it is.
    pub port: Option<u16>,
}

/// A prefix of IPv6 addresses that hold an IPv4 address, which a NAT64 gateway connects to (RFC 6052).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat64Prefix {
    net: Ipv6Addr,
    /// 32, 40, 48, 56, 64 or 96.
    bits: u8,
}

/// Why a text is no [`AllowNet`]; the message says what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowNetError {
    /// Not an address, or brackets that don't match.
    Address(Box<str>),
    /// Not a prefix length of this address family.
    Prefix(Box<str>),
    /// Not a port from 1 to 65535.
    Port(Box<str>),
    /// The address goes on behind the prefix.
    HostBits {
        /// As it was written.
        found: Box<str>,
        /// The range that has no such bits.
        expected: AllowNet,
    },
    /// IPv4 written as `::ffff:…`: such addresses are judged as IPv4.
    Mapped(Box<str>),
}

impl Policy {
    /// What holds for this origin.
    #[must_use]
    pub fn endpoint_of(&self, origin: &Origin) -> &Arc<Endpoint> {
        self.endpoints.get(origin).unwrap_or(&self.endpoint)
    }
}

impl Endpoint {
    /// How dead peers of its connections are noticed.
    #[must_use]
    pub fn keep_alive(&self) -> KeepAlive {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        KeepAlive {
            delay_seconds: seconds(self.keep_alive_delay),
            timeout_seconds: seconds(self.keep_alive_timeout),
        }
    }
}

impl Rate {
    /// So many a second; one second's worth of them, rounded down but one at least, may begin at once after a pause.
    ///
    /// # Panics
    /// Unless it is from 0.001 to 1,000,000.
    #[must_use]
    pub fn per_second(number: f64) -> Rate {
        assert!((0.001..=1e6).contains(&number), "{number} is in the range");
        Rate {
            interval: Duration::from_secs_f64(1.0 / number),
            burst: (number as u32).max(1),
        }
    }

    /// From one to the next.
    #[must_use]
    pub const fn interval(self) -> Duration {
        self.interval
    }

    /// How many may begin at once after a pause.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

impl AllowNet {
    /// Reads `CIDR[:PORT]`: `10.2.0.0/16`, `10.2.0.0/16:8443`, `127.0.0.1`, `127.0.0.1:8080`, `fd00::/8`,
    /// `fd00::/8:443`, `[fd00::]/8:443`, `::1`, `[::1]:8080`. Without a prefix it is one address. An IPv6 address
    /// without prefix needs brackets in front of a port, as in a URL; names are not taken, since whoever
    /// serves the name would say what is allowed.
    ///
    /// # Errors
    /// [`AllowNetError`], also for bits behind the prefix: `10.2.3.4/16` may mean one address or 65,536.
    pub fn parse(text: &str) -> Result<AllowNet, AllowNetError> {
        let (addr, prefix, port) = split(text)?;
        let net: IpAddr = addr
            .parse()
            .map_err(|_| AllowNetError::Address(text.into()))?;
        if let IpAddr::V6(v6) = net
            && v6.to_ipv4_mapped().is_some()
        {
            return Err(AllowNetError::Mapped(text.into()));
        }
        let bits = if net.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => number(digits)
                .and_then(|n| u8::try_from(n).ok())
                .filter(|&n| n <= bits)
                .ok_or_else(|| AllowNetError::Prefix(text.into()))?,
        };
        let port = match port {
            None => None,
            Some(digits) => Some(
                number(digits)
                    .filter(|&port| port != 0)
                    .ok_or_else(|| AllowNetError::Port(text.into()))?,
            ),
        };
        let expected = AllowNet {
            net: clear_host_bits(net, prefix),
            prefix,
            port,
        };
        if expected.net != net {
            return Err(AllowNetError::HostBits {
                found: text.into(),
                expected,
            });
        }
        Ok(expected)
    }

    /// Whether the address lies in the range; the port is not looked at.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.net.is_ipv4() && clear_host_bits(addr, self.prefix) == self.net
    }

    /// Whether the range is one address.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.prefix == if self.net.is_ipv4() { 32 } else { 128 }
    }
}

impl Nat64Prefix {
    /// Reads `64:ff9b::/96`; none of any other length than RFC 6052 section 2.2 has.
    #[must_use]
    pub fn parse(text: &str) -> Option<Nat64Prefix> {
        let range = AllowNet::parse(text).ok()?;
        match (range.net, range.prefix, range.port) {
            (IpAddr::V6(net), bits @ (32 | 40 | 48 | 56 | 64 | 96), None) => {
                Some(Nat64Prefix { net, bits })
            }
            _ => None,
        }
    }

    /// The IPv4 address in one of this prefix (RFC 6052 section 2.2).
    #[must_use]
    pub fn embedded(&self, ip: IpAddr) -> Option<Ipv4Addr> {
        let IpAddr::V6(v6) = ip else {
            return None;
        };
        let all = v6.to_bits();
        if (all ^ self.net.to_bits()) >> (128 - self.bits) != 0 {
            return None;
        }
        let v4 = match self.bits {
            96 => all,
            // Of the shorter prefixes bits 64 to 71 are none of the address.
            bits => ((all >> 64 << 56) | (all & ((1 << 56) - 1))) >> (120 - 32 - bits),
        };
        Some(Ipv4Addr::from_bits((v4 & u128::from(u32::MAX)) as u32))
    }
}

impl fmt::Display for Nat64Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.net, self.bits)
    }
}

impl Statuses {
    /// The default: request timeout, too early, too many requests, and all that the server blames on itself.
    #[must_use]
    pub fn transient() -> Statuses {
        let mut statuses = Statuses::default();
        for entry in ["408", "425", "429", "5xx"] {
            assert!(statuses.add(entry), "a status or a class");
        }
        statuses
    }

    /// Adds what an entry names: a status (`408`) or a class (`5xx`), of 3xx to 5xx. Whether it does.
    #[must_use]
    pub fn add(&mut self, entry: &str) -> bool {
        let (first, last) = match entry.strip_suffix("xx").map(str::parse::<u16>) {
            Some(Ok(class @ 3..=5)) => (class * 100, class * 100 + 99),
            Some(_) => return false,
            None => match number(entry) {
                Some(status @ 300..=599) => (status, status),
                Some(_) | None => return false,
            },
        };
        for status in first..=last {
            let bit = usize::from(status - 300);
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
        true
    }

    /// Whether the status is one of them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        let bit = match status {
            0..300 => return false,
            300..600 => usize::from(status - 300),
            600.. => return self.contains(500),
        };
        self.bits[bit / 64] >> (bit % 64) & 1 == 1
    }
}

impl fmt::Display for AllowNet {
    /// As [`AllowNet::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.net, self.port) {
            (IpAddr::V6(net), Some(port)) => write!(f, "[{net}]/{}:{port}", self.prefix),
            (net, Some(port)) => write!(f, "{net}/{}:{port}", self.prefix),
            (net, None) => write!(f, "{net}/{}", self.prefix),
        }
    }
}

impl AllowNetError {
    /// What was expected in place of [`AllowNetError::found`].
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            AllowNetError::Address(_) => {
                "an IP address with or without /PREFIX and :PORT, such as 10.2.0.0/16:8443"
                    .to_owned()
            }
            AllowNetError::Prefix(_) => {
                "a prefix length of at most 32 (IPv4) or 128 (IPv6) behind the /".to_owned()
            }
            AllowNetError::Port(_) => "a port from 1 to 65535 behind the :".to_owned(),
            AllowNetError::Mapped(_) => "the IPv4 form, such as 10.2.0.0/16".to_owned(),
            AllowNetError::HostBits { expected, .. } => expected.to_string(),
        }
    }

    /// The entry as it was given.
    #[must_use]
    pub fn found(&self) -> &str {
        match self {
            AllowNetError::Address(found)
            | AllowNetError::Prefix(found)
            | AllowNetError::Port(found)
            | AllowNetError::Mapped(found)
            | AllowNetError::HostBits { found, .. } => found,
        }
    }
}

impl fmt::Display for AllowNetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected {}, found \"{}\"",
            self.expected(),
            self.found().escape_debug()
        )
    }
}

impl std::error::Error for AllowNetError {}

impl Default for Endpoint {
    /// The built-in values that the README lists.
    fn default() -> Endpoint {
        Endpoint {
            ttl: Duration::from_secs(3600),
            response_bytes: 1024,
            max_connections: 50,
            connection_lifetime: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            adaptive_timeout: false,
            adaptive_concurrency: false,
            drain_timeout: Duration::from_secs(5),
            max_drain_bytes: 64 * 1024,
            max_response_header_bytes: 64 * 1024,
            keep_alive_delay: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(20),
            resend_stale: true,
            retry_schedule: [2, 4, 8].map(Duration::from_secs).into(),
            retry_statuses: Statuses::transient(),
            max_retry_after: Duration::from_secs(3600),
            max_retry_after_hold: Duration::from_secs(60),
            breaker_failures: 5,
            breaker_duration: Duration::from_secs(60),
            on_circuit_open: OnCircuitOpen::Hold,
            local_trouble_limit: Duration::from_secs(300),
            headers: Arc::default(),
            secrets: Secrets::default(),
            tls_profile: 0,
            set: [].into(),
            region: None,
            rate_limit: None,
        }
    }
}

impl Default for Policy {
    /// The built-in values; nothing that is not globally routable is allowed.
    fn default() -> Policy {
        Policy {
            allow_http: false,
            allow_net: Vec::new(),
            allow_port: Vec::new(),
            nat64_prefix: Vec::new(),
            max_connections_total: 1024,
            max_origins: 100_000,
            trust: 0,
            endpoint: Arc::default(),
            endpoints: Arc::default(),
        }
    }
}

/// Cuts `CIDR[:PORT]` into address, prefix and port.
fn split(text: &str) -> Result<(&str, Option<&str>, Option<&str>), AllowNetError> {
    let (addr, rest) = if let Some(inner) = text.strip_prefix('[') {
        // Brackets are for IPv6 only.
        inner
            .split_once(']')
            .filter(|(addr, _)| addr.contains(':'))
            .ok_or_else(|| AllowNetError::Address(text.into()))?
    } else {
        let end = match text.find('/') {
            Some(slash) => slash,
            // Without a prefix a single colon can only part a port from IPv4.
            None if text.matches(':').count() == 1 => text.find(':').unwrap_or(text.len()),
            None => text.len(),
        };
        text.split_at(end)
    };
    match (rest.strip_prefix('/'), rest.strip_prefix(':')) {
        (Some(rest), _) => match rest.split_once(':') {
            Some((prefix, port)) => Ok((addr, Some(prefix), Some(port))),
            None => Ok((addr, Some(rest), None)),
        },
        (None, Some(port)) => Ok((addr, None, Some(port))),
        (None, None) if rest.is_empty() => Ok((addr, None, None)),
        (None, None) => Err(AllowNetError::Address(text.into())),
    }
}

/// Decimal digits only: no sign, no leading zero.
fn number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

fn clear_host_bits(addr: IpAddr, prefix: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & !host).into())
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & !host).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_net_reads_ranges_with_and_without_port() {
        let table = [
            ("10.2.0.0/16:8443", "10.2.0.0/16:8443"),
            ("10.2.0.0/16", "10.2.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("127.0.0.1:8080", "127.0.0.1/32:8080"),
            ("fd00::/8", "fd00::/8"),
            ("fd00::/8:443", "[fd00::]/8:443"),
            ("[fd00::]/8:443", "[fd00::]/8:443"),
            ("[fd00::]/8", "fd00::/8"),
            ("::/0", "::/0"),
            ("::1", "::1/128"),
            ("[::1]", "::1/128"),
            ("[::1]:65535", "[::1]/128:65535"),
            ("FD00::1:443", "fd00::1:443/128"),
        ];
        for (text, expected) in table {
            let allow = AllowNet::parse(text).unwrap();
            assert_eq!(allow.to_string(), expected);
            assert_eq!(AllowNet::parse(expected), Ok(allow));
        }
    }

    #[test]
    fn allow_net_refuses_the_rest_and_says_why() {
        let table = [
            ("", "expected an IP address"),
            ("localhost", "expected an IP address"),
            ("internal.example:80", "expected an IP address"),
            ("10.0.0/8", "expected an IP address"),
            ("010.0.0.0/8", "expected an IP address"),
            ("[10.0.0.0]/8", "expected an IP address"),
            ("[fd00::/8", "expected an IP address"),
            ("[fd00::]x", "expected an IP address"),
            ("fe80::1%eth0", "expected an IP address"),
            (" 10.0.0.0/8", "expected an IP address"),
            ("10.0.0.0/33", "expected a prefix length"),
            ("10.0.0.0/", "expected a prefix length"),
            ("10.0.0.0/08", "expected a prefix length"),
            ("10.0.0.0/+8", "expected a prefix length"),
            ("fd00::/129", "expected a prefix length"),
            ("10.0.0.0/8:0", "expected a port"),
            ("10.0.0.0/8:65536", "expected a port"),
            ("10.0.0.0/8:", "expected a port"),
            ("10.0.0.0/8:1:2", "expected a port"),
            ("::ffff:10.0.0.0/104", "expected the IPv4 form"),
            (
                "10.2.3.4/16:80",
                "expected 10.2.0.0/16:80, found \"10.2.3.4/16:80\"",
            ),
            ("fd00::1/8", "expected fd00::/8, found \"fd00::1/8\""),
        ];
        for (text, expected) in table {
            let message = AllowNet::parse(text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{text}: {message}");
            assert!(
                message.contains(&format!("found \"{text}\"")),
                "{text}: {message}"
            );
        }
    }

    #[test]
    fn rfc_6052_section_2_4_addresses_are_decoded() {
        for (prefix, ip) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
            ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
        ] {
            let parsed = Nat64Prefix::parse(prefix).unwrap();
            assert_eq!(parsed.to_string(), prefix);
            let embedded = |ip: &str| parsed.embedded(ip.parse().unwrap());
            assert_eq!(embedded(ip), Some(Ipv4Addr::new(192, 0, 2, 33)), "{prefix}");
            assert_eq!(embedded("2001:db9::192.0.2.33"), None);
            assert_eq!(embedded("192.0.2.33"), None);
        }
        for text in [
            "",
            "64:ff9b::",
            "64:ff9b::/95",
            "64:ff9b::/33",
            "10.0.0.0/8",
            "[64:ff9b::]/96:80",
            "64:ff9b::1/96",
        ] {
            assert_eq!(Nat64Prefix::parse(text), None, "{text}");
        }
    }

    #[test]
    fn statuses_are_single_or_whole_classes() {
        let statuses = Statuses::transient();
        for (status, expected) in [
            (200, false),
            (301, false),
            (404, false),
            (408, true),
            (425, true),
            (429, true),
            (500, true),
            (599, true),
            (600, true),
            (999, true),
        ] {
            assert_eq!(statuses.contains(status), expected, "{status}");
        }
        let mut only = Statuses::default();
        assert!(only.add("404") && only.add("3xx"));
        assert!(only.contains(404) && only.contains(307) && !only.contains(500));
        assert!(!only.contains(700), "as 500");
        for bad in [
            "", "xx", "2xx", "6xx", "200", "600", "4x", "-1", "0404", "4xxx",
        ] {
            assert!(!only.add(bad), "{bad}");
        }
    }

    #[test]
    fn allow_net_contains_its_first_and_last_address_only() {
        let table = [
            (
                "10.2.0.0/16",
                "10.2.0.0",
                "10.2.255.255",
                "10.1.255.255",
                "10.3.0.0",
            ),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", "::", "::1"),
            (
                "127.0.0.1",
                "127.0.0.1",
                "127.0.0.1",
                "127.0.0.0",
                "127.0.0.2",
            ),
            (
                "fd00::/8",
                "fd00::",
                "fdff:ffff::1",
                "fcff:ffff::",
                "fe00::",
            ),
        ];
        for (range, first, last, before, behind) in table {
            let range = AllowNet::parse(range).unwrap();
            let contains = |addr: &str| range.contains(addr.parse().unwrap());
            assert!(contains(first) && contains(last), "{range}");
            assert!(!contains(before) && !contains(behind), "{range}");
        }
    }
}
