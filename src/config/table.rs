//! The table of settings: for each its name, range, default, help and place in [`Settings`].
//!
//! A setting has one name everywhere: camel case here and in files, kebab case as a flag. The order is the
//! order in which help and README show them.
//!
//! Not here: how a value is written (`value`), what the settings are for in detail (the README).

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use conduit::engine::policy::{AllowNet, Nat64Prefix, OnCircuitOpen, Rate, Statuses};
use conduit::wire::job_line::Headers;
use conduit::wire::signature::Secrets;

use crate::config::{BadValue, Listen, Settings, value};
use crate::io::log::Format;

/// At most so many event loops.
pub const WORKERS_MAX: u16 = 256;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name, in camel case.
    pub name: &'static str,
    /// Under which heading help shows it.
    pub group: Group,
    /// What it takes, and where that goes.
    pub kind: Kind,
    /// What holds if nobody says anything.
    pub default: Default,
    /// What it is, in one line, lower case, without a full stop.
    pub help: &'static str,
}

/// A heading of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One job, one attempt.
    Delivery,
    /// What happens after a failure.
    Retries,
    /// Connections and their pools.
    Connections,
    /// What may be connected to, and whom to trust.
    Security,
    /// What is taken in, and what comes out.
    Intake,
    /// The Unix socket and its clients.
    Socket,
    /// Jobs on disk.
    Spool,
    /// The process as a whole.
    Process,
    /// Log lines.
    Logging,
    /// One endpoint: no flag and no variable, only the file says it.
    Endpoint,
}

/// What a setting takes, its range, and where the value goes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Seconds, with a fraction if need be.
    Seconds(Duration, Duration, fn(&mut Settings, Duration)),
    /// A whole number.
    Count(u64, u64, fn(&mut Settings, u64)),
    /// Bytes.
    Bytes(u64, u64, fn(&mut Settings, u64)),
    /// On or off.
    Switch(fn(&mut Settings, bool)),
    /// A list of address ranges.
    Nets(fn(&mut Settings, Vec<AllowNet>)),
    /// A list of numbers of seconds.
    Schedule(Duration, Duration, fn(&mut Settings, Vec<Duration>)),
    /// A list of statuses.
    Statuses(fn(&mut Settings, Statuses)),
    /// A list of NAT64 prefixes.
    Nat64(fn(&mut Settings, Vec<Nat64Prefix>)),
    /// A list of ports.
    Ports(fn(&mut Settings, Vec<u16>)),
    /// A list of user ids.
    Uids(fn(&mut Settings, Vec<u32>)),
    /// A number, with a fraction if need be.
    Rate(f64, f64, fn(&mut Settings, f64)),
    /// A word of so many characters at most.
    Word(usize, fn(&mut Settings, String)),
    /// An object of header fields, in JSON.
    Headers(fn(&mut Settings, Headers)),
    /// One secret or a list of them, in JSON.
    Secrets(fn(&mut Settings, Secrets)),
    /// A file's name.
    File(fn(&mut Settings, PathBuf)),
    /// A place in the file system.
    Path(fn(&mut Settings, PathBuf)),
    /// An address to listen at, or none.
    Listen(fn(&mut Settings, Listen)),
    /// One of these words, by its index.
    Choice(&'static [&'static str], fn(&mut Settings, usize)),
}

/// What holds if nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This value.
    Value(&'static str),
    /// What these words say of the machine.
    Machine(&'static str),
    /// Nothing: an empty list, no file.
    Nothing,
}

impl Group {
    /// All headings of flags, in the order of the help.
    pub const ALL: [Group; 9] = [
        Group::Delivery,
        Group::Retries,
        Group::Connections,
        Group::Security,
        Group::Intake,
        Group::Socket,
        Group::Spool,
        Group::Process,
        Group::Logging,
    ];

    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Group::Delivery => "Delivery",
            Group::Retries => "Retries and circuit breaker",
            Group::Connections => "Connections",
            Group::Security => "Security",
            Group::Intake => "Intake and results",
            Group::Socket => "Unix socket",
            Group::Spool => "Spool",
            Group::Process => "Process",
            Group::Logging => "Logging",
            Group::Endpoint => "Endpoints",
        }
    }
}

impl PartialEq for Setting {
    /// A name stands once in the table.
    fn eq(&self, other: &Setting) -> bool {
        self.name == other.name
    }
}

impl Eq for Setting {}

impl Setting {
    /// The setting of this name, be it one that only endpoints have.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Setting> {
        let mut all = SETTINGS.iter().chain(ENDPOINT_SETTINGS);
        all.find(|setting| setting.name == name)
    }

    /// Whether an endpoint may have a value of its own.
    #[must_use]
    pub fn is_per_endpoint(&self) -> bool {
        match self.group {
            Group::Delivery | Group::Retries | Group::Endpoint => true,
            Group::Connections => self.name != "maxConnectionsTotal",
            Group::Intake => ["maxQueued", "responseBytes"].contains(&self.name),
            Group::Security | Group::Socket | Group::Spool | Group::Process | Group::Logging => {
                false
            }
        }
    }

    /// The setting whose place this one takes where both are said: the more specific of the two holds.
    #[must_use]
    pub fn rival(&self) -> Option<&'static str> {
        match self.name {
            "secret" => Some("secretFile"),
            "secretFile" => Some("secret"),
            _ => None,
        }
    }

    /// The setting's name as a flag, without the hyphens in front.
    #[must_use]
    pub fn flag(&self) -> String {
        let mut flag = String::with_capacity(self.name.len() + 4);
        for letter in self.name.chars() {
            if letter.is_ascii_uppercase() {
                flag.push('-');
            }
            flag.push(letter.to_ascii_lowercase());
        }
        flag
    }
}

impl Kind {
    /// Checks `text` and puts it where it belongs.
    ///
    /// # Errors
    /// If it is not such a value, or out of range.
    pub fn put(self, settings: &mut Settings, text: &OsStr) -> Result<(), BadValue> {
        match self {
            Kind::Seconds(least, most, put) => put(settings, value::seconds(text, least, most)?),
            Kind::Count(least, most, put) => put(settings, value::count(text, least, most)?),
            Kind::Bytes(least, most, put) => put(settings, value::bytes(text, least, most)?),
            Kind::Switch(put) => put(settings, value::switch(text)?),
            Kind::Nets(put) => put(settings, value::nets(text)?),
            Kind::Nat64(put) => put(settings, value::nat64_prefixes(text)?),
            Kind::Ports(put) => put(settings, value::ports(text)?),
            Kind::Schedule(least, most, put) => put(settings, value::schedule(text, least, most)?),
            Kind::Statuses(put) => put(settings, value::statuses(text)?),
            Kind::Uids(put) => put(settings, value::uids(text)?),
            Kind::Headers(put) => put(settings, value::headers(text)?),
            Kind::Secrets(put) => put(settings, value::secrets(text)?),
            Kind::Rate(least, most, put) => put(settings, value::rate(text, least, most)?),
            Kind::Word(most, put) => put(settings, value::word(text, most)?),
            Kind::File(put) | Kind::Path(put) => put(settings, value::path(text)?),
            Kind::Listen(put) => put(settings, value::listen(text)?),
            Kind::Choice(words, put) => put(settings, value::choice(text, words)?),
        }
        Ok(())
    }

    /// What stands for the value in help; empty for a switch.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Kind::Seconds(..) => "SECONDS",
            Kind::Count(..) => "N",
            Kind::Bytes(..) => "BYTES",
            Kind::Switch(_) => "",
            Kind::Nets(_) => "CIDR[:PORT],...",
            Kind::Nat64(_) => "PREFIX,...",
            Kind::Ports(_) => "PORT,...",
            Kind::Schedule(..) => "SECONDS,...",
            Kind::Statuses(_) => "STATUS,...",
            Kind::Uids(_) => "UID,...",
            Kind::Rate(..) => "N",
            Kind::Headers(_) | Kind::Secrets(_) => "JSON",
            Kind::Word(..) => "WORD",
            Kind::File(_) => "FILE",
            Kind::Path(_) => "PATH",
            Kind::Listen(_) => "IP:PORT",
            Kind::Choice(..) => "WORD",
        }
    }

    /// Whether the value must not be shown.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Kind::Headers(_) | Kind::Secrets(_))
    }

    /// Whether further values of the same source add to the first.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(
            self,
            Kind::Nets(_)
                | Kind::Nat64(_)
                | Kind::Ports(_)
                | Kind::Schedule(..)
                | Kind::Statuses(_)
                | Kind::Uids(_)
        )
    }
}

impl Default {
    /// The default in words; `None` if there is nothing to say.
    #[must_use]
    pub const fn words(self) -> Option<&'static str> {
        match self {
            Default::Value(words) | Default::Machine(words) => Some(words),
            Default::Nothing => None,
        }
    }
}

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
const LEVEL_FILTERS: [log::LevelFilter; 6] = [
    log::LevelFilter::Off,
    log::LevelFilter::Error,
    log::LevelFilter::Warn,
    log::LevelFilter::Info,
    log::LevelFilter::Debug,
    log::LevelFilter::Trace,
];
const FORMATS: &[&str] = &["text", "json"];
const LOG_FORMATS: [Format; 2] = [Format::Text, Format::Json];

const ON_CIRCUIT_OPEN: &[&str] = &["hold", "fail"];
const ON_CIRCUIT_OPENS: [OnCircuitOpen; 2] = [OnCircuitOpen::Hold, OnCircuitOpen::Fail];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const ZERO: Duration = Duration::ZERO;
/// The clocks tick in milliseconds.
const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
/// The longest that Linux takes for TCP_KEEPIDLE and TCP_KEEPINTVL.
const TCP_KEEP_ALIVE_MAX: Duration = Duration::from_secs(32_767);

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "timeout",
        group: Group::Delivery,
        kind: Kind::Seconds(TICK, HOUR, |s, v| s.endpoint.timeout = v),
        default: Default::Value("10"),
        help: "one attempt, to the end of the response head",
    },
    Setting {
        name: "adaptiveTimeout",
        group: Group::Delivery,
        kind: Kind::Switch(|s, v| s.endpoint.adaptive_timeout = v),
        default: Default::Value("false"),
        help: "3 times the origin's 99th percentile instead, between 1 s and timeout",
    },
    Setting {
        name: "ttl",
        group: Group::Delivery,
        kind: Kind::Seconds(TICK, MONTH, |s, v| s.ttl = Some(v)),
        default: Default::Machine("3600, with a spool 86400"),
        help: "after this a job is given up",
    },
    Setting {
        name: "resendStale",
        group: Group::Delivery,
        kind: Kind::Switch(|s, v| s.endpoint.resend_stale = v),
        default: Default::Value("true"),
        help: "do not send again when a reused connection dies before the first response byte",
    },
    Setting {
        name: "retrySchedule",
        group: Group::Retries,
        kind: Kind::Schedule(TICK, MONTH, |s, v| s.endpoint.retry_schedule = v.into()),
        default: Default::Value("2,4,8"),
        help: "waits before each retry, lengthened by up to 20 %; \"\": no retry",
    },
    Setting {
        name: "retryStatuses",
        group: Group::Retries,
        kind: Kind::Statuses(|s, v| s.endpoint.retry_statuses = v),
        default: Default::Value("408,425,429,5xx"),
        help: "answers after which a job is tried again",
    },
    Setting {
        name: "maxRetryAfter",
        group: Group::Retries,
        kind: Kind::Seconds(ZERO, MONTH, |s, v| s.endpoint.max_retry_after = v),
        default: Default::Value("3600"),
        help: "the longest wait that a receiver's Retry-After is obeyed for",
    },
    Setting {
        name: "maxRetryAfterHold",
        group: Group::Retries,
        kind: Kind::Seconds(ZERO, MONTH, |s, v| s.endpoint.max_retry_after_hold = v),
        default: Default::Value("60"),
        help: "the longest that one job's Retry-After holds the other jobs of its origin",
    },
    Setting {
        name: "breakerFailures",
        group: Group::Retries,
        kind: Kind::Count(1, 1_000_000, |s, v| s.endpoint.breaker_failures = v as u32),
        default: Default::Value("5"),
        help: "failures in a row that open an origin's circuit breaker",
    },
    Setting {
        name: "breakerSeconds",
        group: Group::Retries,
        kind: Kind::Seconds(TICK, MONTH, |s, v| s.endpoint.breaker_duration = v),
        default: Default::Value("60"),
        help: "how long it stays open before it lets one probe through",
    },
    Setting {
        name: "onCircuitOpen",
        group: Group::Retries,
        kind: Kind::Choice(ON_CIRCUIT_OPEN, |s, v| {
            s.endpoint.on_circuit_open = ON_CIRCUIT_OPENS[v];
        }),
        default: Default::Value("hold"),
        help: "hold: jobs wait until it closes; fail: they end at once",
    },
    Setting {
        name: "localTroubleLimit",
        group: Group::Retries,
        kind: Kind::Seconds(ZERO, MONTH, |s, v| s.endpoint.local_trouble_limit = v),
        default: Default::Value("300"),
        help: "after so long in a row this machine's own trouble counts as a failed attempt",
    },
    Setting {
        name: "maxConnections",
        group: Group::Connections,
        kind: Kind::Count(1, 65_535, |s, v| s.endpoint.max_connections = v as u32),
        default: Default::Value("50"),
        help: "per origin: connecting, idle and active ones",
    },
    Setting {
        name: "adaptiveConcurrency",
        group: Group::Connections,
        kind: Kind::Switch(|s, v| s.endpoint.adaptive_concurrency = v),
        default: Default::Value("false"),
        help: "as many requests at once as the origin takes well, at most maxConnections",
    },
    Setting {
        name: "maxConnectionsTotal",
        group: Group::Connections,
        kind: Kind::Count(1, 1_000_000, |s, v| {
            s.max_connections_total = Some(v as u32)
        }),
        default: Default::Machine("80 % of the open-file limit"),
        help: "of the whole process; when reached, the longest idle one gives way",
    },
    Setting {
        name: "connectionLifetime",
        group: Group::Connections,
        kind: Kind::Seconds(ZERO, MONTH, |s, v| s.endpoint.connection_lifetime = v),
        default: Default::Value("300"),
        help: "older connections are not reused",
    },
    Setting {
        name: "idleTimeout",
        group: Group::Connections,
        kind: Kind::Seconds(ZERO, MONTH, |s, v| s.endpoint.idle_timeout = v),
        default: Default::Value("120"),
        help: "connections idle for so long are closed",
    },
    Setting {
        name: "connectTimeout",
        group: Group::Connections,
        kind: Kind::Seconds(TICK, HOUR, |s, v| s.endpoint.connect_timeout = v),
        default: Default::Value("5"),
        help: "look-up, TCP and TLS together, all addresses together",
    },
    Setting {
        name: "drainTimeout",
        group: Group::Connections,
        kind: Kind::Seconds(ZERO, HOUR, |s, v| s.endpoint.drain_timeout = v),
        default: Default::Value("5"),
        help: "for the rest of a response; then the connection is closed instead of reused",
    },
    Setting {
        name: "maxDrainBytes",
        group: Group::Connections,
        kind: Kind::Bytes(0, GIB, |s, v| s.endpoint.max_drain_bytes = v as u32),
        default: Default::Value("64k"),
        help: "of the rest of a response, likewise",
    },
    Setting {
        name: "maxResponseHeaderBytes",
        group: Group::Connections,
        kind: Kind::Bytes(KIB, 16 * MIB, |s, v| {
            s.endpoint.max_response_header_bytes = v as u32;
        }),
        default: Default::Value("64k"),
        help: "of a response's head, interim heads included",
    },
    Setting {
        name: "keepAliveDelay",
        group: Group::Connections,
        kind: Kind::Seconds(SECOND, TCP_KEEP_ALIVE_MAX, |s, v| {
            s.endpoint.keep_alive_delay = v;
        }),
        default: Default::Value("30"),
        help: "idle time after which TCP asks whether the peer is still there",
    },
    Setting {
        name: "keepAliveTimeout",
        group: Group::Connections,
        kind: Kind::Seconds(SECOND, TCP_KEEP_ALIVE_MAX, |s, v| {
            s.endpoint.keep_alive_timeout = v;
        }),
        default: Default::Value("20"),
        help: "for the answer to that",
    },
    Setting {
        name: "allowHttp",
        group: Group::Security,
        kind: Kind::Switch(|s, v| s.allow_http = v),
        default: Default::Value("false"),
        help: "deliver to http:// too",
    },
    Setting {
        name: "allowNet",
        group: Group::Security,
        kind: Kind::Nets(|s, v| s.allow_net = v),
        default: Default::Nothing,
        help: "addresses to allow although they are not globally routable, such as 10.2.0.0/16:8443",
    },
    Setting {
        name: "nat64Prefix",
        group: Group::Security,
        kind: Kind::Nat64(|s, v| s.nat64_prefix = v),
        default: Default::Nothing,
        help: "prefixes of the network's NAT64 gateways: the IPv4 address behind one is judged",
    },
    Setting {
        name: "allowPort",
        group: Group::Security,
        kind: Kind::Ports(|s, v| s.allow_port = v),
        default: Default::Nothing,
        help: "ports to allow beside 80, 443 and most from 1024 up",
    },
    Setting {
        name: "caFile",
        group: Group::Security,
        kind: Kind::File(|s, v| s.ca_file = Some(v)),
        default: Default::Nothing,
        help: "certificate authorities (PEM) to trust beside Mozilla's",
    },
    Setting {
        name: "maxJobBytes",
        group: Group::Intake,
        kind: Kind::Bytes(KIB, GIB, |s, v| s.max_job_bytes = v as u32),
        default: Default::Value("1m"),
        help: "of a job line; a longer one is invalid",
    },
    Setting {
        name: "maxPending",
        group: Group::Intake,
        kind: Kind::Count(1, 100_000_000, |s, v| s.max_pending = v as u32),
        default: Default::Value("100000"),
        help: "jobs taken in and not ended; at the limit, standard input waits, and jobs of the socket end overloaded",
    },
    Setting {
        name: "maxPendingBytes",
        group: Group::Intake,
        kind: Kind::Bytes(64 * KIB, 1024 * GIB, |s, v| s.max_pending_bytes = Some(v)),
        default: Default::Machine("256m, or a quarter of the memory limit if that is less"),
        help: "their bytes, likewise",
    },
    Setting {
        name: "maxQueued",
        group: Group::Intake,
        kind: Kind::Count(1, 100_000_000, |s, v| s.max_queued = v as u32),
        default: Default::Value("10000"),
        help: "jobs that wait at one origin; beyond it those of the socket end overloaded",
    },
    Setting {
        name: "maxOrigins",
        group: Group::Intake,
        kind: Kind::Count(1, 10_000_000, |s, v| s.max_origins = v as u32),
        default: Default::Value("100000"),
        help: "origins that are remembered; the longest unused go first, those only ever blocked at once",
    },
    Setting {
        name: "responseBytes",
        group: Group::Intake,
        kind: Kind::Bytes(0, MIB, |s, v| s.endpoint.response_bytes = v as u32),
        default: Default::Value("1024"),
        help: "of a non-2xx answer's body that its result shows",
    },
    Setting {
        name: "timings",
        group: Group::Intake,
        kind: Kind::Switch(|s, v| s.timings = v),
        default: Default::Value("false"),
        help: "show in results where the last attempt's time went",
    },
    Setting {
        name: "socket",
        group: Group::Socket,
        kind: Kind::Path(|s, v| s.socket = Some(v)),
        default: Default::Nothing,
        help: "take jobs from a Unix socket there too, until a signal or ctl drain ends conduit",
    },
    Setting {
        name: "allowUid",
        group: Group::Socket,
        kind: Kind::Uids(|s, v| s.allow_uid = v),
        default: Default::Nothing,
        help: "users who may submit jobs and ask for the status, beside root and conduit's own",
    },
    Setting {
        name: "controlUid",
        group: Group::Socket,
        kind: Kind::Uids(|s, v| s.control_uid = v),
        default: Default::Nothing,
        help: "users who may do everything",
    },
    Setting {
        name: "maxClientPending",
        group: Group::Socket,
        kind: Kind::Count(1, 100_000_000, |s, v| s.max_client_pending = v as u32),
        default: Default::Value("10000"),
        help: "pending jobs of one client, which is not read from while it has so many",
    },
    Setting {
        name: "spool",
        group: Group::Spool,
        kind: Kind::Path(|s, v| s.spool = Some(v)),
        default: Default::Nothing,
        help: "a directory in which accepted jobs survive a crash, until they have ended",
    },
    Setting {
        name: "maxSpoolBytes",
        group: Group::Spool,
        kind: Kind::Bytes(MIB, 1024 * 1024 * GIB, |s, v| s.max_spool_bytes = Some(v)),
        default: Default::Nothing,
        help: "of all files in it; beyond, no jobs are taken in",
    },
    Setting {
        name: "maxDeadBytes",
        group: Group::Spool,
        kind: Kind::Bytes(0, 1024 * 1024 * GIB, |s, v| s.max_dead_bytes = v),
        default: Default::Value("256m"),
        help: "of jobs that were not delivered and are kept there; the oldest go first, 0 keeps none",
    },
    Setting {
        name: "listen",
        group: Group::Process,
        kind: Kind::Listen(|s, v| s.listen = v),
        // Whether it was named matters: so it is not put in like one that was.
        default: Default::Machine("127.0.0.1:5000"),
        help: "where metrics and health are told, over HTTP; none: nowhere",
    },
    Setting {
        name: "workers",
        group: Group::Process,
        kind: Kind::Count(1, WORKERS_MAX as u64, |s, v| s.workers = Some(v as u16)),
        default: Default::Machine("CPUs available"),
        help: "event loops",
    },
    Setting {
        name: "shutdownTimeout",
        group: Group::Process,
        kind: Kind::Seconds(ZERO, DAY, |s, v| s.shutdown_timeout = v),
        default: Default::Value("25"),
        help: "what requests in flight get after the signal that ends conduit",
    },
    Setting {
        name: "logLevel",
        group: Group::Logging,
        kind: Kind::Choice(LEVELS, |s, v| s.log_level = LEVEL_FILTERS[v]),
        default: Default::Value("info"),
        help: "off, error, warn, info, debug or trace",
    },
    Setting {
        name: "logFormat",
        group: Group::Logging,
        kind: Kind::Choice(FORMATS, |s, v| s.log_format = LOG_FORMATS[v]),
        default: Default::Value("text"),
        help: "text, or json: one object a line",
    },
];

/// What only endpoints have, in the file: for all of them in `defaults`, for some in `webhookEndpoints`.
pub const ENDPOINT_SETTINGS: &[Setting] = &[
    Setting {
        name: "headers",
        group: Group::Endpoint,
        kind: Kind::Headers(|s, v| s.endpoint.headers = v.into()),
        default: Default::Nothing,
        help: "header fields of every request, unless the job has its own of the same name",
    },
    Setting {
        name: "secret",
        group: Group::Endpoint,
        kind: Kind::Secrets(|s, v| {
            s.endpoint.secrets = v;
            s.files.secret = None;
        }),
        default: Default::Nothing,
        help: "what signs the requests of jobs that bring no secret of their own",
    },
    Setting {
        name: "secretFile",
        group: Group::Endpoint,
        kind: Kind::File(|s, v| {
            s.endpoint.secrets = Secrets::default();
            s.files.secret = Some(v);
        }),
        default: Default::Nothing,
        help: "the same from a file, a secret a line",
    },
    Setting {
        name: "clientCert",
        group: Group::Endpoint,
        kind: Kind::File(|s, v| s.files.client_cert = Some(v)),
        default: Default::Nothing,
        help: "the certificate (PEM) that conduit shows, its own first",
    },
    Setting {
        name: "clientKey",
        group: Group::Endpoint,
        kind: Kind::File(|s, v| s.files.client_key = Some(v)),
        default: Default::Nothing,
        help: "the certificate's private key (PEM)",
    },
    Setting {
        name: "region",
        group: Group::Endpoint,
        kind: Kind::Word(64, |s, v| s.endpoint.region = Some(v.into())),
        default: Default::Nothing,
        help: "where the endpoint is, for metrics of latency by region",
    },
    Setting {
        name: "rateLimit",
        group: Group::Endpoint,
        kind: Kind::Rate(0.001, 1_000_000.0, |s, v| {
            s.endpoint.rate_limit = Some(Rate::per_second(v));
        }),
        default: Default::Nothing,
        help: "requests a second, at most",
    },
];

#[cfg(test)]
mod tests;
