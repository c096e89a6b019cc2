//! The verdict on a destination: whether conduit may connect to this address and port (SSRF protection).
//!
//! Judged is the address that will be connected to, each time, whatever name led there. Forbidden is what is
//! not globally routable: of IPv6 all outside 2000::/3 and some ranges inside, of IPv4 a list (IANA's special-purpose
//! registries, RFC 6890, and what clouds put elsewhere). `--allow-net` entries open parts of it:
//! - an entry as wide as the forbidden range around the address, or narrower, opens it; a wider one does not,
//!   so `0.0.0.0/0` opens nothing by accident;
//! - addresses that hand out a machine's credentials (metadata) need the exact entry;
//! - ports are 80, 443 and from 1024 up, without those of servers that would take a request's body for
//!   commands; `--allow-port` adds one everywhere, an entry with a port adds it there;
//! - what no receiver can have is opened by nothing: multicast, broadcast, the unspecified address;
//! - this machine on the port of our own listener is opened by nothing.
//!
//! Not here: what a result says of a refusal, the same for every rule (`outcome`), reading of the entries
//! (`policy`), which addresses are this machine's (`io/own`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::engine::policy::{AllowNet, Policy};
use crate::wire::url::Scheme;

/// Which rule forbids a destination. The text is for the log, never for a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Plaintext HTTP.
    Scheme,
    /// The address is forbidden; the port may be as well.
    Address {
        /// As it would have been connected to.
        addr: SocketAddr,
        /// What kind of address it is, and who says so.
        class: &'static str,
        /// The port is forbidden too.
        port_too: bool,
    },
    /// No receiver can be at this address: no connection leads there, or it names none. No entry opens it.
    Nowhere {
        /// As it would have been connected to.
        addr: SocketAddr,
        /// What kind of address it is, and who says so.
        class: &'static str,
    },
    /// The address is fine, the port is forbidden.
    Port {
        /// As it would have been connected to.
        addr: SocketAddr,
        /// The server that usually listens there, where that is the reason.
        service: Option<&'static str>,
    },
    /// It is this machine, on the port of this process's own listener. Judged by the shell, which knows both; no entry
    /// opens it: deny wins ties, and the listener is no receiver.
    OwnListener {
        /// As it would have been connected to.
        addr: SocketAddr,
    },
}

/// Judges a destination and gives it back in the form to connect to: IPv4 written as IPv6 (`::ffff:0:0/96`) is
/// judged and dialled as IPv4. Of an address behind a `--nat64-prefix` the IPv4 address in it is judged, for that is
/// what the gateway connects to; it is dialled as it is.
///
/// # Errors
/// The [`Rule`] that forbids it.
pub fn check(policy: &Policy, addr: SocketAddr) -> Result<SocketAddr, Rule> {
    let port = addr.port();
    let dialled = SocketAddr::new(addr.ip().to_canonical(), port);
    let ip = judged(policy, dialled.ip());
    let canonical = SocketAddr::new(ip, port);
    let forbidden = classify(ip);
    // The entries that reach this address; what they open it for depends on their port.
    let opens = |allow: &AllowNet| {
        allow.contains(ip)
            && match forbidden {
                None => true,
                Some(Forbidden {
                    exact_only: true, ..
                }) => allow.is_exact(),
                Some(Forbidden { prefix, .. }) => allow.prefix >= prefix.max(1),
            }
    };
    let mut address_open = forbidden.is_none();
    let mut port_open = is_port_open(policy, port);
    for allow in policy.allow_net.iter().filter(|allow| opens(allow)) {
        match allow.port {
            None => address_open = true,
            Some(allowed) if allowed == port => {
                address_open = true;
                port_open = true;
            }
            Some(_) => {}
        }
    }
    match forbidden {
        Some(Forbidden { class, .. }) if is_nowhere(ip) => Err(Rule::Nowhere {
            addr: canonical,
            class,
        }),
        Some(Forbidden { class, .. }) if !address_open => Err(Rule::Address {
            addr: canonical,
            class,
            port_too: !port_open,
        }),
        _ if !port_open || port == 0 => Err(Rule::Port {
            addr: canonical,
            service: service(port),
        }),
        _ => Ok(dialled),
    }
}

/// Whether no receiver can have this address.
fn is_nowhere(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    ip.is_multicast() || ip.is_unspecified() || is_broadcast
}

/// The address that will be reached.
fn judged(policy: &Policy, ip: IpAddr) -> IpAddr {
    let mut embedded = policy
        .nat64_prefix
        .iter()
        .filter_map(|prefix| prefix.embedded(ip));
    embedded.next().map_or(ip, IpAddr::V4)
}

/// Judges the scheme: `http://` only where it is allowed.
///
/// # Errors
/// [`Rule::Scheme`].
pub fn check_scheme(policy: &Policy, scheme: Scheme) -> Result<(), Rule> {
    match scheme {
        Scheme::Https => Ok(()),
        Scheme::Http if policy.allow_http => Ok(()),
        Scheme::Http => Err(Rule::Scheme),
    }
}

/// Whether a port is allowed at any address that is: else only an entry with this port allows it.
#[must_use]
pub fn is_port_open(policy: &Policy, port: u16) -> bool {
    port_is_usual(port) || policy.allow_port.contains(&port)
}

impl fmt::Display for Rule {
    /// What is forbidden, why, and the flag that would allow it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Rule::Scheme => f.write_str("http:// is not encrypted; --allow-http would allow it"),
            Rule::Address {
                addr,
                class,
                port_too,
            } => {
                let flag = exactly(addr, port_too.then_some(addr.port()));
                let ip = addr.ip();
                write!(f, "{ip} is {class}; --allow-net {flag} would allow it")
            }
            Rule::Nowhere { addr, class } => {
                let ip = addr.ip();
                write!(f, "{ip} is {class}, and no receiver's; nothing allows it")
            }
            Rule::OwnListener { addr } => write!(
                f,
                "{addr} is this machine, and the port is that of conduit's own listener (--listen); nothing allows it"
            ),
            Rule::Port { addr, service } => {
                let port = addr.port();
                let flag = exactly(addr, Some(port));
                match service {
                    _ if port == 0 => return f.write_str("port 0 cannot be connected to"),
                    Some(service) => write!(f, "port {port} is {service}'s")?,
                    None => write!(f, "port {port} is not 80, 443 or 1024 and above")?,
                }
                write!(
                    f,
                    "; --allow-port {port} or --allow-net {flag} would allow it"
                )
            }
        }
    }
}

/// A forbidden range around an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Forbidden {
    prefix: u8,
    class: &'static str,
    /// No wider entry opens it.
    exact_only: bool,
}

struct Range4 {
    net: Ipv4Addr,
    prefix: u8,
    class: &'static str,
}

struct Range6 {
    net: Ipv6Addr,
    prefix: u8,
    class: &'static str,
}

const fn v4(octets: [u8; 4], prefix: u8, class: &'static str) -> Range4 {
    let [a, b, c, d] = octets;
    let net = Ipv4Addr::new(a, b, c, d);
    Range4 { net, prefix, class }
}

const fn v6(high: [u16; 4], low: [u16; 4], prefix: u8, class: &'static str) -> Range6 {
    let ([a, b, c, d], [e, f, g, h]) = (high, low);
    let net = Ipv6Addr::new(a, b, c, d, e, f, g, h);
    Range6 { net, prefix, class }
}

/// No two of them overlap.
const FORBIDDEN_V4: [Range4; 18] = [
    v4([0, 0, 0, 0], 8, "this network (0.0.0.0/8, RFC 1122)"),
    v4([10, 0, 0, 0], 8, "private (10.0.0.0/8, RFC 1918)"),
    v4(
        [100, 64, 0, 0],
        10,
        "carrier-grade NAT (100.64.0.0/10, RFC 6598)",
    ),
    v4([127, 0, 0, 0], 8, "loopback (127.0.0.0/8, RFC 1122)"),
    v4(
        [169, 254, 0, 0],
        16,
        "link-local (169.254.0.0/16, RFC 3927)",
    ),
    v4([172, 16, 0, 0], 12, "private (172.16.0.0/12, RFC 1918)"),
    v4([192, 0, 0, 0], 24, "for protocols (192.0.0.0/24, RFC 6890)"),
    v4(
        [192, 0, 2, 0],
        24,
        "for documentation (192.0.2.0/24, RFC 5737)",
    ),
    v4([192, 31, 196, 0], 24, "AS112 (192.31.196.0/24, RFC 7535)"),
    v4(
        [192, 52, 193, 0],
        24,
        "AMT relays (192.52.193.0/24, RFC 7450)",
    ),
    v4(
        [192, 88, 99, 0],
        24,
        "6to4 relays (192.88.99.0/24, RFC 7526)",
    ),
    v4([192, 168, 0, 0], 16, "private (192.168.0.0/16, RFC 1918)"),
    v4([192, 175, 48, 0], 24, "AS112 (192.175.48.0/24, RFC 7534)"),
    v4(
        [198, 18, 0, 0],
        15,
        "for benchmarks (198.18.0.0/15, RFC 2544)",
    ),
    v4(
        [198, 51, 100, 0],
        24,
        "for documentation (198.51.100.0/24, RFC 5737)",
    ),
    v4(
        [203, 0, 113, 0],
        24,
        "for documentation (203.0.113.0/24, RFC 5737)",
    ),
    v4([224, 0, 0, 0], 4, "multicast (224.0.0.0/4, RFC 5771)"),
    v4([240, 0, 0, 0], 4, "reserved (240.0.0.0/4, RFC 1112)"),
];

/// Ranges inside 2000::/3, and those outside that have a name; the first that matches counts.
const FORBIDDEN_V6: [Range6; 18] = [
    v6([0; 4], [0; 4], 128, "unspecified (::, RFC 4291)"),
    v6([0; 4], [0, 0, 0, 1], 128, "loopback (::1, RFC 4291)"),
    v6([0; 4], [0; 4], 96, "IPv4-compatible (::/96, RFC 4291)"),
    v6(
        [0; 4],
        [0xffff, 0, 0, 0],
        96,
        "IPv4-translated (::ffff:0:0:0/96, RFC 2765)",
    ),
    v6(
        [0x64, 0xff9b, 0, 0],
        [0; 4],
        96,
        "NAT64 (64:ff9b::/96, RFC 6052)",
    ),
    v6(
        [0x64, 0xff9b, 1, 0],
        [0; 4],
        48,
        "local NAT64 (64:ff9b:1::/48, RFC 8215)",
    ),
    v6(
        [0x100, 0, 0, 0],
        [0; 4],
        64,
        "discard-only (100::/64, RFC 6666)",
    ),
    v6(
        [0x100, 0, 0, 1],
        [0; 4],
        64,
        "a dummy prefix (100:0:0:1::/64, RFC 9780)",
    ),
    v6(
        [0x2001, 0, 0, 0],
        [0; 4],
        23,
        "for protocols (2001::/23, RFC 2928)",
    ),
    v6(
        [0x2001, 0xdb8, 0, 0],
        [0; 4],
        32,
        "for documentation (2001:db8::/32, RFC 3849)",
    ),
    v6([0x2002, 0, 0, 0], [0; 4], 16, "6to4 (2002::/16, RFC 3056)"),
    v6(
        [0x2620, 0x4f, 0x8000, 0],
        [0; 4],
        48,
        "AS112 (2620:4f:8000::/48, RFC 7534)",
    ),
    v6(
        [0x3fff, 0, 0, 0],
        [0; 4],
        20,
        "for documentation (3fff::/20, RFC 9637)",
    ),
    v6(
        [0x5f00, 0, 0, 0],
        [0; 4],
        16,
        "segment routing (5f00::/16, RFC 9602)",
    ),
    v6([0xfc00, 0, 0, 0], [0; 4], 7, "private (fc00::/7, RFC 4193)"),
    v6(
        [0xfe80, 0, 0, 0],
        [0; 4],
        10,
        "link-local (fe80::/10, RFC 4291)",
    ),
    v6(
        [0xfec0, 0, 0, 0],
        [0; 4],
        10,
        "site-local (fec0::/10, RFC 3879)",
    ),
    v6(
        [0xff00, 0, 0, 0],
        [0; 4],
        8,
        "multicast (ff00::/8, RFC 4291)",
    ),
];

const NOT_GLOBAL_V6: Forbidden = Forbidden {
    prefix: 0,
    class: "not global unicast (outside 2000::/3, RFC 4291)",
    exact_only: false,
};

/// Addresses at which clouds hand a machine its credentials; some of them are public or in no special range.
const METADATA: [IpAddr; 9] = [
    // AWS, Azure, Google and most others; AWS ECS tasks and EKS pods.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Alibaba Cloud, Oracle Cloud, Azure's wireserver.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // AWS, EKS pods, Google.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Ports above 1023 whose servers read lines, or act on a request without asking who sent it.
const SERVICES: [(u16, &str); 13] = [
    (2049, "NFS"),
    (2375, "Docker"),
    (2376, "Docker"),
    (2379, "etcd"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5984, "CouchDB"),
    (6379, "Redis"),
    (8500, "Consul"),
    (9200, "Elasticsearch"),
    (10250, "the kubelet"),
    (11211, "memcached"),
    (27017, "MongoDB"),
];

/// The forbidden range around an address, if there is one. The address is canonical.
fn classify(ip: IpAddr) -> Option<Forbidden> {
    let ranged = match ip {
        IpAddr::V4(v4) => FORBIDDEN_V4
            .iter()
            .find(|range| (v4.to_bits() ^ range.net.to_bits()) >> (32 - range.prefix) == 0)
            .map(|range| (range.prefix, range.class)),
        IpAddr::V6(v6) => FORBIDDEN_V6
            .iter()
            .find(|range| (v6.to_bits() ^ range.net.to_bits()) >> (128 - range.prefix) == 0)
            .map(|range| (range.prefix, range.class)),
    };
    if METADATA.contains(&ip) || embedded_v4(ip).is_some_and(|v4| METADATA.contains(&v4)) {
        return Some(Forbidden {
            prefix: ranged.map_or(0, |(prefix, _)| prefix),
            class: "a cloud's metadata service",
            exact_only: true,
        });
    }
    match (ranged, ip) {
        (Some((prefix, class)), _) => Some(Forbidden {
            prefix,
            class,
            exact_only: false,
        }),
        (None, IpAddr::V6(v6)) if v6.to_bits() >> 125 != 0b001 => Some(NOT_GLOBAL_V6),
        (None, _) => None,
    }
}

/// The IPv4 address that a gateway would take out of an IPv6 one (all of these ranges are forbidden anyway).
fn embedded_v4(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = ip else {
        return None;
    };
    let low = (v6.to_bits() & u128::from(u32::MAX)) as u32;
    let embedded = match v6.segments() {
        [0x2002, high, low, ..] => u32::from(high) << 16 | u32::from(low),
        // Teredo keeps the client's address inverted (RFC 4380 section 4).
        [0x2001, 0, ..] => !low,
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, ..] => low,
        _ => return None,
    };
    Some(IpAddr::V4(embedded.into()))
}

fn port_is_usual(port: u16) -> bool {
    matches!(port, 80 | 443 | 1024..) && service(port).is_none()
}

fn service(port: u16) -> Option<&'static str> {
    SERVICES
        .iter()
        .find(|(known, _)| *known == port)
        .map(|(_, service)| *service)
}

/// The narrowest entry that opens an address.
fn exactly(addr: SocketAddr, port: Option<u16>) -> AllowNet {
    AllowNet {
        net: addr.ip(),
        prefix: if addr.is_ipv4() { 32 } else { 128 },
        port,
    }
}

#[cfg(test)]
mod tests;
