//! Every range's edges, every disguise of IPv4, and the rules of `--allow-net`.

use super::*;
use crate::engine::policy::Nat64Prefix;

fn policy(allow_net: &[&str], allow_port: &[u16]) -> Policy {
    Policy {
        allow_net: allow_net
            .iter()
            .map(|text| AllowNet::parse(text).unwrap())
            .collect(),
        allow_port: allow_port.to_vec(),
        ..Policy::default()
    }
}

fn is_allowed(policy: &Policy, ip: &str, port: u16) -> bool {
    check(policy, SocketAddr::new(ip.parse().unwrap(), port)).is_ok()
}

/// First and last address of each forbidden range, and the neighbours where they are allowed.
const EDGES: &[(&str, &str, Option<&str>, Option<&str>)] = &[
    ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
    (
        "10.0.0.0",
        "10.255.255.255",
        Some("9.255.255.255"),
        Some("11.0.0.0"),
    ),
    (
        "100.64.0.0",
        "100.127.255.255",
        Some("100.63.255.255"),
        Some("100.128.0.0"),
    ),
    (
        "127.0.0.0",
        "127.255.255.255",
        Some("126.255.255.255"),
        Some("128.0.0.0"),
    ),
    (
        "169.254.0.0",
        "169.254.255.255",
        Some("169.253.255.255"),
        Some("169.255.0.0"),
    ),
    (
        "172.16.0.0",
        "172.31.255.255",
        Some("172.15.255.255"),
        Some("172.32.0.0"),
    ),
    (
        "192.0.0.0",
        "192.0.0.255",
        Some("191.255.255.255"),
        Some("192.0.1.0"),
    ),
    (
        "192.0.2.0",
        "192.0.2.255",
        Some("192.0.1.255"),
        Some("192.0.3.0"),
    ),
    (
        "192.31.196.0",
        "192.31.196.255",
        Some("192.31.195.255"),
        Some("192.31.197.0"),
    ),
    (
        "192.52.193.0",
        "192.52.193.255",
        Some("192.52.192.255"),
        Some("192.52.194.0"),
    ),
    (
        "192.88.99.0",
        "192.88.99.255",
        Some("192.88.98.255"),
        Some("192.88.100.0"),
    ),
    (
        "192.168.0.0",
        "192.168.255.255",
        Some("192.167.255.255"),
        Some("192.169.0.0"),
    ),
    (
        "192.175.48.0",
        "192.175.48.255",
        Some("192.175.47.255"),
        Some("192.175.49.0"),
    ),
    (
        "198.18.0.0",
        "198.19.255.255",
        Some("198.17.255.255"),
        Some("198.20.0.0"),
    ),
    (
        "198.51.100.0",
        "198.51.100.255",
        Some("198.51.99.255"),
        Some("198.51.101.0"),
    ),
    (
        "203.0.113.0",
        "203.0.113.255",
        Some("203.0.112.255"),
        Some("203.0.114.0"),
    ),
    (
        "224.0.0.0",
        "239.255.255.255",
        Some("223.255.255.255"),
        None,
    ),
    ("240.0.0.0", "255.255.255.255", None, None),
    (
        "168.63.129.16",
        "168.63.129.16",
        Some("168.63.129.15"),
        Some("168.63.129.17"),
    ),
    (
        "::",
        "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        None,
        Some("2000::"),
    ),
    (
        "2001::",
        "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2000:ffff::"),
        Some("2001:200::"),
    ),
    (
        "2001:db8::",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"),
        Some("2001:db9::"),
    ),
    (
        "2002::",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        Some("2003::"),
    ),
    (
        "2620:4f:8000::",
        "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
        Some("2620:4f:7fff:ffff:ffff:ffff:ffff:ffff"),
        Some("2620:4f:8001::"),
    ),
    (
        "3fff::",
        "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        Some("3fff:1000::"),
    ),
    (
        "4000::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        None,
    ),
];

#[test]
fn every_range_is_forbidden_to_its_edges_and_no_further() {
    let policy = Policy::default();
    for (first, last, before, behind) in EDGES {
        assert!(!is_allowed(&policy, first, 443), "{first}");
        assert!(!is_allowed(&policy, last, 443), "{last}");
        for neighbour in [before, behind].into_iter().flatten() {
            assert!(is_allowed(&policy, neighbour, 443), "{neighbour}");
        }
    }
}

#[test]
fn the_forms_of_ipv6_that_hide_ipv4_do_not_help() {
    let hidden = [
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "::1",
        "::",
        "100::1",
        "100:0:0:1::1",
        "5f00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "fe80::5efe:7f00:1",
    ];
    for ip in hidden {
        assert!(!is_allowed(&Policy::default(), ip, 443), "{ip}");
    }
}

#[test]
fn mapped_addresses_are_judged_and_dialled_as_ipv4() {
    let mapped =
        |v4: &str, port| -> SocketAddr { format!("[::ffff:{v4}]:{port}").parse().unwrap() };
    assert_eq!(
        check(&Policy::default(), mapped("8.8.8.8", 443)),
        Ok("8.8.8.8:443".parse().unwrap())
    );
    assert_eq!(
        check(&policy(&["127.0.0.1:8080"], &[]), mapped("127.0.0.1", 8080)),
        Ok("127.0.0.1:8080".parse().unwrap())
    );
    assert!(check(&policy(&["::/0"], &[]), mapped("127.0.0.1", 443)).is_err());
}

/// The same rules once more, as plain comparisons of octets: written from the registries, not from the tables.
fn is_global_v4(a: u8, b: u8, c: u8) -> bool {
    !(a == 0
        || a == 10
        || a == 127
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a, b, c) == (192, 31, 196)
        || (a, b, c) == (192, 52, 193)
        || (a, b, c) == (192, 88, 99)
        || (a, b, c) == (192, 175, 48)
        || (a == 198 && (18..20).contains(&b))
        || (a, b, c) == (198, 51, 100)
        || (a, b, c) == (203, 0, 113))
}

#[test]
fn all_of_ipv4_agrees_with_a_plain_classification() {
    let policy = Policy::default();
    let judge = |a, b, c, d| {
        let addr = SocketAddr::from(([a, b, c, d], 443));
        check(&policy, addr).is_ok()
    };
    // The edges of all /16 …
    for high in 0..=u16::MAX {
        let [a, b] = high.to_be_bytes();
        for (c, d) in [(0, 0), (255, 255)] {
            assert_eq!(judge(a, b, c, d), is_global_v4(a, b, c), "{a}.{b}.{c}.{d}");
        }
    }
    // … and of all /24 where the lists have some that are not whole /16.
    for (a, b) in [
        (192, 0),
        (192, 31),
        (192, 52),
        (192, 88),
        (192, 175),
        (198, 51),
        (203, 0),
    ] {
        for c in 0..=255 {
            for d in [0, 255] {
                assert_eq!(judge(a, b, c, d), is_global_v4(a, b, c), "{a}.{b}.{c}.{d}");
            }
        }
    }
}

#[test]
fn all_of_ipv6_agrees_with_a_plain_classification_by_its_first_32_bits() {
    let policy = Policy::default();
    let mut checked = 0_u32;
    for a in 0..=u16::MAX {
        // All /16; inside the ones with narrower ranges all /23 and their edges.
        let seconds: Vec<u16> = match a {
            0x2001 | 0x2002 | 0x3fff => (0..=u16::MAX).step_by(0xff).collect(),
            _ => vec![0, u16::MAX],
        };
        for b in seconds {
            let expected = (0x2000..0x4000).contains(&a)
                && a != 0x2002
                && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
                && !(a == 0x3fff && b < 0x1000);
            let ip = Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 9);
            let addr = SocketAddr::new(ip.into(), 443);
            assert_eq!(check(&policy, addr).is_ok(), expected, "{ip}");
            checked += 1;
        }
    }
    assert!(checked > 2 * 65_536);
}

#[test]
fn the_tables_hold_ranges_without_host_bits_that_do_not_overlap() {
    for (n, range) in FORBIDDEN_V4.iter().enumerate() {
        let text = format!("{}/{}", range.net, range.prefix);
        assert!(AllowNet::parse(&text).is_ok(), "{text}");
        assert!(range.class.contains(&text), "{}", range.class);
        for other in &FORBIDDEN_V4[n + 1..] {
            let shorter = range.prefix.min(other.prefix);
            let differ = range.net.to_bits() ^ other.net.to_bits();
            assert_ne!(differ >> (32 - shorter), 0, "{text}");
        }
    }
    for range in &FORBIDDEN_V6 {
        let text = format!("{}/{}", range.net, range.prefix);
        assert!(AllowNet::parse(&text).is_ok(), "{text}");
        let text = text.trim_end_matches("/128");
        assert!(range.class.contains(text), "{}", range.class);
    }
}

#[test]
fn ports_of_line_protocols_and_below_1024_are_forbidden() {
    let policy = Policy::default();
    for port in [80, 443, 1024, 3000, 8080, 8443, 65535] {
        assert!(is_allowed(&policy, "8.8.8.8", port), "{port}");
    }
    for port in [0, 1, 22, 25, 79, 81, 442, 444, 1023] {
        assert!(!is_allowed(&policy, "8.8.8.8", port), "{port}");
    }
    for (port, _) in SERVICES {
        assert!(!is_allowed(&policy, "8.8.8.8", port), "{port}");
        assert!(is_allowed(&policy, "8.8.8.8", port + 7), "{port}");
    }
}

/// `--allow-net`, `--allow-port`, address and port to connect to, verdict.
type Case = (
    &'static [&'static str],
    &'static [u16],
    &'static str,
    u16,
    bool,
);

#[test]
fn what_allow_net_and_allow_port_open() {
    #[rustfmt::skip]
    let table: &[Case] = &[
        // An entry without a port opens the range and leaves the ports as they are.
        (&["10.2.0.0/16"], &[], "10.2.3.4", 443, true),
        (&["10.2.0.0/16"], &[], "10.2.3.4", 8443, true),
        (&["10.2.0.0/16"], &[], "10.2.3.4", 25, false),
        (&["10.2.0.0/16"], &[25], "10.2.3.4", 25, true),
        (&["10.2.0.0/16"], &[], "10.3.0.0", 443, false),
        // One with a port opens that port there, and no other.
        (&["10.2.0.0/16:6379"], &[], "10.2.3.4", 6379, true),
        (&["10.2.0.0/16:6379"], &[], "10.2.3.4", 443, false),
        (&["10.2.0.0/16:6379"], &[], "8.8.8.8", 6379, false),
        (&["8.8.8.0/24:25"], &[], "8.8.8.8", 25, true),
        (&["8.8.8.0/24:25"], &[], "8.8.8.8", 443, true),
        (&["8.8.8.0/24:25"], &[], "8.8.9.8", 25, false),
        (&["10.2.0.0/16:25", "10.2.0.0/16"], &[], "10.2.3.4", 443, true),
        // The longest prefix wins, and the operator's entry a tie.
        (&["0.0.0.0/0"], &[], "10.2.3.4", 443, false),
        (&["10.0.0.0/7"], &[], "10.2.3.4", 443, false),
        (&["10.0.0.0/8"], &[], "10.2.3.4", 443, true),
        (&["10.0.0.0/9"], &[], "10.2.3.4", 443, true),
        (&["10.0.0.0/9"], &[], "10.128.0.0", 443, false),
        (&["0.0.0.0/0:25"], &[], "8.8.8.8", 25, true),
        (&["0.0.0.0/0:25", "10.2.0.0/16"], &[], "10.2.3.4", 25, false),
        (&["127.0.0.1"], &[], "127.0.0.1", 443, true),
        (&["127.0.0.1"], &[], "127.0.0.2", 443, false),
        // IPv6; one address is always an exact entry.
        (&["::1"], &[], "::1", 443, true),
        (&["::/96"], &[], "::1", 443, false),
        (&["fd12::/16"], &[], "fd12::1", 443, true),
        (&["fc00::/7"], &[], "fd12::1", 443, true),
        (&["fc00::/6"], &[], "fd12::1", 443, false),
        (&["::/0"], &[], "fd12::1", 443, false),
        (&["4000::/3"], &[], "4000::1", 443, true),
        (&["::/0"], &[], "4000::1", 443, false),
        (&["[2001:db8:1::]/48:25"], &[], "2001:db8:1::1", 25, true),
        // Metadata: the exact address or nothing, in every form.
        (&["169.254.169.0/24"], &[], "169.254.169.254", 80, false),
        (&["169.254.169.254/31"], &[], "169.254.169.254", 80, false),
        (&["169.254.169.254"], &[], "169.254.169.254", 80, true),
        (&["169.254.169.254:80"], &[], "169.254.169.254", 80, true),
        (&["169.254.169.254:80"], &[], "169.254.169.254", 443, false),
        (&["168.63.129.0/24"], &[], "168.63.129.16", 80, false),
        (&["168.63.129.16"], &[], "168.63.129.16", 80, true),
        (&["100.100.100.0/24"], &[], "100.100.100.200", 80, false),
        (&["192.0.0.128/25"], &[], "192.0.0.192", 80, false),
        (&["fd00:ec2::/32"], &[], "fd00:ec2::254", 80, false),
        (&["fd00:ec2::/32"], &[], "fd00:ec2::253", 80, true),
        (&["fd00:ec2::23"], &[], "fd00:ec2::23", 80, true),
        (&["fd20:ce::/64"], &[], "fd20:ce::254", 80, false),
        (&["64:ff9b::a000:0/100"], &[], "64:ff9b::169.254.169.254", 80, false),
        (&["64:ff9b::a000:0/100"], &[], "64:ff9b::169.254.169.253", 80, true),
        (&["2002:a9fe::/32"], &[], "2002:a9fe:a9fe::1", 80, false),
        // Port 0 is none.
        (&["127.0.0.1"], &[0], "127.0.0.1", 0, false),
    ];
    for (allow_net, allow_port, ip, port, expected) in table {
        assert_eq!(
            is_allowed(&policy(allow_net, allow_port), ip, *port),
            *expected,
            "{allow_net:?} {allow_port:?} {ip} {port}"
        );
    }
}

#[test]
fn the_log_names_address_rule_and_flag() {
    let table = [
        (
            "127.0.0.1:8080",
            "127.0.0.1 is loopback (127.0.0.0/8, RFC 1122); --allow-net 127.0.0.1/32 would allow it",
        ),
        (
            "[::ffff:10.0.0.1]:22",
            "10.0.0.1 is private (10.0.0.0/8, RFC 1918); --allow-net 10.0.0.1/32:22 would allow it",
        ),
        (
            "[::1]:22",
            "::1 is loopback (::1, RFC 4291); --allow-net [::1]/128:22 would allow it",
        ),
        (
            "169.254.169.254:80",
            "169.254.169.254 is a cloud's metadata service; --allow-net 169.254.169.254/32 would allow it",
        ),
        (
            "[4000::1]:443",
            "4000::1 is not global unicast (outside 2000::/3, RFC 4291); --allow-net 4000::1/128 would allow it",
        ),
        (
            "8.8.8.8:25",
            "port 25 is not 80, 443 or 1024 and above; --allow-port 25 or --allow-net 8.8.8.8/32:25 would allow it",
        ),
        (
            "8.8.8.8:6379",
            "port 6379 is Redis's; --allow-port 6379 or --allow-net 8.8.8.8/32:6379 would allow it",
        ),
        ("8.8.8.8:0", "port 0 cannot be connected to"),
    ];
    for (addr, expected) in table {
        let addr: SocketAddr = addr.parse().unwrap();
        let text = check(&Policy::default(), addr).unwrap_err().to_string();
        assert_eq!(text, expected);
        // The flag it names does what it says.
        if let Some((_, flag)) = text.split_once("--allow-net ") {
            let flag = flag.split(' ').next().unwrap();
            assert!(check(&policy(&[flag], &[]), addr).is_ok(), "{flag}");
        }
    }
    let addr = "10.0.0.1:5000".parse().unwrap();
    assert_eq!(
        Rule::OwnListener { addr }.to_string(),
        "10.0.0.1:5000 is this machine, and the port is that of conduit's own listener (--listen); nothing allows it"
    );
}

#[test]
fn plaintext_needs_its_flag() {
    let allowing = Policy {
        allow_http: true,
        ..Policy::default()
    };
    assert_eq!(check_scheme(&Policy::default(), Scheme::Https), Ok(()));
    assert_eq!(check_scheme(&allowing, Scheme::Http), Ok(()));
    let refusal = check_scheme(&Policy::default(), Scheme::Http).unwrap_err();
    assert_eq!(refusal, Rule::Scheme);
    assert_eq!(
        refusal.to_string(),
        "http:// is not encrypted; --allow-http would allow it"
    );
}

#[test]
fn behind_a_nat64_prefix_the_address_inside_is_judged() {
    let none = policy(&[], &[]);
    let behind = |allow_net: &[&str]| Policy {
        nat64_prefix: ["64:ff9b::/96", "2001:db8:64::/48"]
            .map(|text| Nat64Prefix::parse(text).unwrap())
            .into(),
        ..policy(allow_net, &[])
    };
    let closed = behind(&[]);
    for (ip, without, with) in [
        ("64:ff9b::8.8.8.8", false, true),
        ("64:ff9b::10.0.0.1", false, false),
        ("64:ff9b::127.0.0.1", false, false),
        ("64:ff9b::169.254.169.254", false, false),
        ("64:ff9b::168.63.129.16", false, false),
        ("64:ff9b::1:8.8.8.8", false, false),
        ("2001:db8:64:808:8:800::", false, true),
        ("2001:db8:64:a00:0:100::", false, false),
        ("64:ff9b:1::8.8.8.8", false, false),
        ("2606:4700::1", true, true),
        ("8.8.8.8", true, true),
        ("10.0.0.1", false, false),
    ] {
        assert_eq!(is_allowed(&none, ip, 443), without, "{ip}");
        assert_eq!(is_allowed(&closed, ip, 443), with, "{ip}");
    }
    // Dialled is what the name said; ports are judged as ever.
    let addr = SocketAddr::new("64:ff9b::8.8.8.8".parse().unwrap(), 443);
    assert_eq!(check(&closed, addr), Ok(addr));
    assert!(!is_allowed(&closed, "64:ff9b::8.8.8.8", 25));
    // What opens an IPv4 address opens it behind the prefix, and says so.
    let open = behind(&["10.0.0.0/8"]);
    assert!(is_allowed(&open, "64:ff9b::10.0.0.1", 443));
    assert!(!is_allowed(&open, "64:ff9b::192.168.0.1", 443));
    let addr = SocketAddr::new("64:ff9b::10.0.0.1".parse().unwrap(), 443);
    let rule = check(&closed, addr).unwrap_err().to_string();
    assert_eq!(
        rule,
        "10.0.0.1 is private (10.0.0.0/8, RFC 1918); --allow-net 10.0.0.1/32 would allow it"
    );
}

#[test]
fn f158_no_flag_is_advised_where_none_helps() {
    let nowhere = [
        ("0.0.0.0", "0.0.0.0/32"),
        ("255.255.255.255", "255.255.255.255/32"),
        ("224.0.0.1", "224.0.0.0/4"),
        ("::", "::/128"),
        ("ff02::1", "ff00::/8"),
    ];
    for (ip, allow) in nowhere {
        let policy = policy(&[allow], &[]);
        let rule = check(&policy, SocketAddr::new(ip.parse().unwrap(), 443)).unwrap_err();
        let words = rule.to_string();
        assert!(matches!(rule, Rule::Nowhere { .. }), "{rule:?}");
        assert!(words.ends_with("; nothing allows it"), "{words}");
    }
    // What is advised for anything else helps.
    for ip in [
        "0.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "240.0.0.1",
        "::1",
        "fd00:ec2::254",
    ] {
        let addr = SocketAddr::new(ip.parse().unwrap(), 25);
        let words = check(&policy(&[], &[]), addr).unwrap_err().to_string();
        let (_, flag) = words.split_once("--allow-net ").unwrap();
        let flag = flag.strip_suffix(" would allow it").unwrap();
        assert_eq!(check(&policy(&[flag], &[]), addr), Ok(addr), "{words}");
    }
}
