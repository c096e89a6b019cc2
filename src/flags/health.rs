//! The words of `conduit health`.
//!
//! Not here: how a command line is cut (`flags`), what the command does (`commands/health`).

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::Listen;
use crate::config::load::Sources;
use crate::flags::clients::flags;
use crate::flags::{CONFIG, Flag, UsageError, Word, all_at_once, switch, wrong};
use crate::io::log::quoted;

/// What `conduit health` is to do.
#[derive(Debug, PartialEq)]
pub struct HealthOptions {
    /// Only whether the process runs.
    pub live: bool,
    /// Where to ask, if the command line says so.
    pub place: Option<HealthPlace>,
    /// What says where conduit listens, without that.
    pub sources: Sources,
}

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthPlace {
    /// The first that answers counts.
    pub addresses: Vec<SocketAddr>,
    /// What stands before the path of the question.
    pub prefix: String,
}

/// The flags of `conduit health`, beside the setting `listen`.
pub const HEALTH_FLAGS: [Flag; 3] = [
    CONFIG,
    Flag {
        name: "live",
        placeholder: "",
        help: "ask only whether the process runs",
        default: None,
    },
    Flag {
        name: "url",
        placeholder: "URL",
        help: "where to ask: http://, an IP address or localhost, and a port",
        default: Some("what --listen says"),
    },
];

/// What the words after `health` mean; `sources` are those of the same words.
pub(super) fn health_options(
    typed: &[(Word, OsString)],
    sources: Sources,
) -> Result<HealthOptions, UsageError> {
    let mut options = HealthOptions {
        live: false,
        place: None,
        sources,
    };
    all_at_once(flags(typed), |(name, text)| {
        match name {
            "live" => options.live = switch(name, text)?,
            "url" => {
                let place = text.to_str().and_then(url);
                options.place = Some(place.ok_or_else(|| bad_url(text))?);
            }
            // That is one of the sources.
            "config" => {}
            _ => unreachable!("{name} is in HEALTH_FLAGS but put nowhere"),
        }
        Ok(())
    })?;
    Ok(options)
}

/// What is wrong with the flags that are no settings.
pub(super) fn flags_alone(typed: &[(Word, OsString)]) -> Result<(), UsageError> {
    health_options(typed, Sources::default()).map(|_| ())
}

impl HealthPlace {
    /// Where conduit listens by its settings; none: nowhere.
    #[must_use]
    pub fn of(listen: Listen) -> Option<HealthPlace> {
        Some(HealthPlace {
            addresses: reachable(listen.address()?),
            prefix: String::new(),
        })
    }
}

/// The addresses that a URL names, and its path without a slash at the end.
fn url(text: &str) -> Option<HealthPlace> {
    let rest = text.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let prefix = path.trim_end_matches('/').to_owned();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, 80),
    };
    let ips: Vec<IpAddr> = if host.eq_ignore_ascii_case("localhost") {
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    } else {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        vec![bare.unwrap_or(host).parse().ok()?]
    };
    let addresses = ips
        .into_iter()
        .flat_map(|ip| reachable(SocketAddr::new(ip, port)));
    Some(HealthPlace {
        addresses: addresses.collect(),
        prefix,
    })
}

/// Who listens everywhere is reached on loopback: on the one of its family, or on the other where that one is switched
/// off or filtered.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let ips: Vec<IpAddr> = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4, v6],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
        ip => vec![ip],
    };
    let ips = ips.into_iter();
    ips.map(|ip| SocketAddr::new(ip, address.port())).collect()
}

fn bad_url(found: &OsStr) -> UsageError {
    wrong(format!(
        "--url: expected http://, an IP address or localhost, and a port, found {}",
        quoted(&found.to_string_lossy())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_addresses_and_a_place_there() {
        for (text, addresses, prefix) in [
            ("http://127.0.0.1:5000", &["127.0.0.1:5000"][..], ""),
            ("http://127.0.0.1", &["127.0.0.1:80"], ""),
            ("http://localhost:7/", &["127.0.0.1:7", "[::1]:7"], ""),
            ("http://[::1]:5000/a/b/", &["[::1]:5000"], "/a/b"),
            ("http://[::1]", &["[::1]:80"], ""),
            ("http://0.0.0.0:5000", &["127.0.0.1:5000", "[::1]:5000"], ""),
            ("http://[::]:5000", &["[::1]:5000", "127.0.0.1:5000"], ""),
        ] {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            let place = HealthPlace {
                addresses: addresses.collect(),
                prefix: prefix.to_owned(),
            };
            assert_eq!(url(text), Some(place), "{text}");
        }
        for text in [
            "https://127.0.0.1",
            "127.0.0.1:5000",
            "http://example.com",
            "http://127.0.0.1:x",
            "http://127.0.0.1:70000",
            "http://",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/\r\nHost: x",
        ] {
            assert_eq!(url(text), None, "{text}");
        }
    }

    #[test]
    fn f129_without_a_url_what_is_listened_at_counts_and_both_loopbacks_where_that_is_everywhere() {
        let asked = |listen| HealthPlace::of(listen).map(|place| place.addresses);
        let local: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(asked(Listen::Default), Some(vec![local]));
        let (v4, v6): (SocketAddr, SocketAddr) =
            ("127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap());
        for (everywhere, expected) in [("[::]:80", [v6, v4]), ("0.0.0.0:80", [v4, v6])] {
            let everywhere = Listen::At(everywhere.parse().unwrap());
            assert_eq!(asked(everywhere), Some(expected.to_vec()));
        }
        assert_eq!(asked(Listen::Nowhere), None);
    }
}
