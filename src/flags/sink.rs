//! The words of `conduit sink`.
//!
//! Not here: how a command line is cut (`flags`), what the command does (`commands/sink`).

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{BadValue, value};
use crate::flags::clients::flags;
use crate::flags::{Flag, UsageError, Word, all_at_once, bad_value};

/// What `conduit sink` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkOptions {
    /// Where to listen, at least one; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// The status of every answer, 200 to 999.
    pub status: u16,
    /// How long an answer takes, at least and at most.
    pub delay: (Duration, Duration),
    /// Certificate chain and key, both PEM, to speak TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A file that gets a line for each request.
    pub log: Option<PathBuf>,
}

/// The flags of `conduit sink`.
pub const SINK_FLAGS: [Flag; 5] = [
    Flag {
        name: "listen",
        placeholder: "ADDR:PORT",
        help: "where to listen; may be repeated; port 0 takes a free one",
        default: Some("127.0.0.1:0"),
    },
    Flag {
        name: "status",
        placeholder: "CODE",
        help: "of every answer",
        default: Some("200"),
    },
    Flag {
        name: "delay",
        placeholder: "MIN[-MAX]",
        help: "seconds until the answer, at random between the two, such as 0.005-0.2",
        default: Some("0"),
    },
    Flag {
        name: "tls",
        placeholder: "CERT,KEY",
        help: "speak TLS with this certificate chain and key (two PEM files)",
        default: None,
    },
    Flag {
        name: "log",
        placeholder: "FILE",
        help: "append a line for each request: webhook-id, status, body bytes, crc32",
        default: None,
    },
];

/// Statuses that end an exchange; those below are interim.
const STATUS_LEAST: u64 = 200;
const STATUS_MOST: u64 = 999;
const DELAY_MOST: Duration = Duration::from_secs(3600);

/// What the words after `sink` mean.
pub(super) fn sink_options(typed: &[(Word, OsString)]) -> Result<SinkOptions, UsageError> {
    let mut options = SinkOptions {
        listen: Vec::new(),
        status: 200,
        delay: (Duration::ZERO, Duration::ZERO),
        tls: None,
        log: None,
    };
    all_at_once(flags(typed), |(name, value)| {
        put_sink(&mut options, name, value).map_err(|bad| bad_value(name, &bad))
    })?;
    if options.listen.is_empty() {
        options.listen.push(SocketAddr::from(([127, 0, 0, 1], 0)));
    }
    Ok(options)
}

fn put_sink(options: &mut SinkOptions, name: &str, text: &OsStr) -> Result<(), BadValue> {
    match name {
        "listen" => options.listen.push(listen_addr(text)?),
        "status" => {
            let status = value::count(text, STATUS_LEAST, STATUS_MOST)?;
            options.status = u16::try_from(status).expect("checked against 999");
        }
        "delay" => options.delay = delay(text)?,
        "tls" => options.tls = Some(cert_and_key(text)?),
        "log" => options.log = Some(value::path(text)?),
        _ => unreachable!("{name} is in SINK_FLAGS but put nowhere"),
    }
    Ok(())
}

fn listen_addr(text: &OsStr) -> Result<SocketAddr, BadValue> {
    text.to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            let expected = "an IP address and a port, such as 127.0.0.1:8080 or [::1]:0";
            value::bad(text, expected.to_owned())
        })
}

fn delay(text: &OsStr) -> Result<(Duration, Duration), BadValue> {
    let bound = |text: &str| value::seconds(OsStr::new(text), Duration::ZERO, DELAY_MOST).ok();
    let (least, most) = match text.to_str().and_then(|text| text.split_once('-')) {
        Some((least, most)) => (bound(least), bound(most)),
        None => {
            let both = text.to_str().and_then(bound);
            (both, both)
        }
    };
    match (least, most) {
        (Some(least), Some(most)) if least <= most => Ok((least, most)),
        _ => {
            let most = DELAY_MOST.as_secs();
            let expected = format!("seconds from 0 to {most}, or two of them as MIN-MAX");
            Err(value::bad(text, expected))
        }
    }
}

fn cert_and_key(text: &OsStr) -> Result<(PathBuf, PathBuf), BadValue> {
    match text.to_str().and_then(|text| text.split_once(',')) {
        Some((cert, key)) if !cert.is_empty() && !key.is_empty() => Ok((cert.into(), key.into())),
        _ => Err(value::bad(text, "two files' names, CERT,KEY".to_owned())),
    }
}
