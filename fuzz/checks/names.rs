//! `/etc/hosts` and `/etc/resolv.conf` from any bytes: never a panic, and the limits hold.

use std::net::IpAddr;

use conduit::wire::names::{ATTEMPTS_MAX, Names, SERVERS_MAX};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    // The first zero byte parts the files.
    let (hosts, resolv_conf) = match data.iter().position(|&byte| byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let names = Names::parse(hosts, resolv_conf);
    assert!((1..=SERVERS_MAX).contains(&names.resolv_conf.servers.len()));
    assert!((1..=ATTEMPTS_MAX).contains(&names.resolv_conf.attempts));
    assert!(!names.resolv_conf.timeout.is_zero());
    assert!(names.complaints.len() <= 34);
    for line in hosts.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .map(str::from_utf8);
        let Some(Ok(addr)) = words.next() else {
            continue;
        };
        let Ok(addr) = addr.parse::<IpAddr>() else {
            continue;
        };
        for name in words.flatten() {
            let is_name = name.len() <= 253 && !name.ends_with('.');
            if is_name && name.bytes().all(|byte| byte.is_ascii_graphic()) {
                let name = name.to_ascii_lowercase();
                assert!(names.hosts.addresses(&name).any(|known| known == addr));
            }
        }
    }
}
