//! The words of `conduit health`.
//!
//! Not here: how a command line is cut (`flags`), what the command does (`commands/health`).

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, SocketAddr};

use crate::config::Settings;
use crate::flags::{Flag, UsageError, Word, wrong};
use crate::io::log::quoted;

/// What `conduit health` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthOptions {
    /// Only whether the process runs.
    pub live: bool,
    /// Where to ask: the first that answers counts.
    pub addresses: Vec<SocketAddr>,
    /// What stands before the path of the question.
    pub prefix: String,
}

/// The flags of `conduit health`, beside the setting `listen`.
pub const HEALTH_FLAGS: [Flag; 2] = [
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

/// What the words after `health` mean; `settings` are those of the same words.
pub(super) fn health_options(
    typed: &[(Word, OsString)],
    settings: &Settings,
) -> Result<HealthOptions, UsageError> {
    let mut options = HealthOptions {
        live: false,
        addresses: Vec::new(),
        prefix: String::new(),
    };
    for (word, value) in typed {
        match (word, value.to_str()) {
            (Word::Setting(_), _) => {}
            (Word::Flag(flag), Some("true" | "false")) if flag.name == "live" => {
                options.live = value == "true";
            }
            (Word::Flag(flag), Some(text)) if flag.name == "url" => {
                (options.addresses, options.prefix) = url(text).ok_or_else(|| bad_url(value))?;
            }
            (Word::Flag(flag), _) if flag.name == "url" => return Err(bad_url(value)),
            (Word::Flag(flag), _) => {
                return Err(wrong(format!("--{}: expected true or false", flag.name)));
            }
        }
    }
    if options.addresses.is_empty() {
        let Some(address) = settings.listen.address() else {
            return Err(wrong(
                "--listen: expected an address to ask at, found none".to_owned(),
            ));
        };
        options.addresses.push(reachable(address));
    }
    Ok(options)
}

/// The addresses that a URL names, and its path without a slash at the end.
fn url(text: &str) -> Option<(Vec<SocketAddr>, String)> {
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
        vec![[127, 0, 0, 1].into(), [0, 0, 0, 0, 0, 0, 0, 1].into()]
    } else {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        vec![bare.unwrap_or(host).parse().ok()?]
    };
    let addresses = ips
        .into_iter()
        .map(|ip| reachable(SocketAddr::new(ip, port)));
    Some((addresses.collect(), prefix))
}

/// Who listens everywhere is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => [127, 0, 0, 1].into(),
        IpAddr::V6(ip) if ip.is_unspecified() => [0, 0, 0, 0, 0, 0, 0, 1].into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
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
    use crate::config::Listen;

    #[test]
    fn urls_name_addresses_and_a_place_there() {
        for (text, addresses, prefix) in [
            ("http://127.0.0.1:5000", &["127.0.0.1:5000"][..], ""),
            ("http://127.0.0.1", &["127.0.0.1:80"], ""),
            ("http://localhost:7/", &["127.0.0.1:7", "[::1]:7"], ""),
            ("http://[::1]:5000/a/b/", &["[::1]:5000"], "/a/b"),
            ("http://[::1]", &["[::1]:80"], ""),
            ("http://0.0.0.0:5000", &["127.0.0.1:5000"], ""),
        ] {
            let expected: Vec<SocketAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            assert_eq!(url(text), Some((expected, prefix.to_owned())), "{text}");
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
    fn without_a_url_what_is_listened_at_counts() {
        let asked = |listen| {
            let settings = Settings {
                listen,
                ..Settings::default()
            };
            health_options(&[], &settings).map(|options| options.addresses)
        };
        let local: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(asked(Listen::Default), Ok(vec![local]));
        let everywhere = "[::]:80".parse().unwrap();
        assert_eq!(
            asked(Listen::At(everywhere)),
            Ok(vec!["[::1]:80".parse().unwrap()])
        );
        assert!(asked(Listen::Nowhere).is_err());
    }
}
