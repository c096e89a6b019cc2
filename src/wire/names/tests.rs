//! Both files with what stands in them out there, and what is made of it.

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
             expected a network interface of this machine behind the %",
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

#[test]
fn f83_a_link_local_name_server_is_asked_in_its_zone() {
    let zones = |name: &str| (name == "eth0").then_some(7);
    let table = [
        ("fe80::1%eth0", "[fe80::1%7]:53"),
        ("fe80::1%3", "[fe80::1%3]:53"),
        ("fe80::1", "[fe80::1]:53"),
        (
            "fe80::1%eth1",
            "a network interface of this machine behind the %",
        ),
        (
            "fe80::1%",
            "a network interface of this machine behind the %",
        ),
        (
            "2001:db8::1%eth0",
            "a zone only with a link-local IPv6 address",
        ),
        (
            "192.0.2.1%eth0",
            "a zone only with a link-local IPv6 address",
        ),
        ("fe80::x%eth0", "an IP address"),
    ];
    for (word, expected) in table {
        let file = format!("nameserver {word}\n");
        let names = Names::parse_zoned(b"", file.as_bytes(), &zones);
        let servers = &names.resolv_conf.servers;
        match names.complaints.first() {
            None => assert_eq!(servers[0].to_string(), expected),
            Some(said) => assert!(said.ends_with(&format!("expected {expected}")), "{said}"),
        }
        let is_server = expected.ends_with(":53");
        assert_eq!(
            (servers.len() == 1, names.complaints.is_empty()),
            (is_server, is_server)
        );
    }
}

#[test]
fn f83_name_servers_behind_the_third_are_not_asked() {
    let (conf, complaints) = resolv_conf(
        &(1..=6)
            .map(|n| format!("nameserver 192.0.2.{n}\n"))
            .collect::<String>(),
    );
    let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]);
    assert_eq!(complaints.len(), 3);
}
