//! The settings of this process, as values, and what the machines are told of them.
//!
//! [`table::SETTINGS`] is the one list of names, ranges, defaults and help; flags, help and README are
//! rendered from it or checked against it. Values come from flags, the environment and a file ([`load`]). A
//! [`Settings`] value is whole: every field was in its range when it was put there. Where the default is a property
//! of the machine, the field is `None` and [`Machine`] decides.
//!
//! Not here: the words of the command line (`flags`), what the engine does with its part
//! (`conduit::engine::policy`).

pub mod environment;
pub mod file;
pub mod live;
pub mod load;
pub mod source;
pub mod spelling;
pub mod table;
pub mod value;

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conduit::engine::policy::{AllowNet, Endpoint, Nat64Prefix, Policy};
use conduit::intake::limits::{EndpointLimits, Limits};
use conduit::journal;
use conduit::wire::endpoints::Endpoints;
use conduit::wire::request::signature_field_len;

use crate::config::table::{SETTINGS, Setting};
use crate::io::clients::CLIENTS_MAX;
use crate::io::log::Format;
use crate::io::tls::Identity;

/// The part of the open files that `maxConnectionsTotal` takes by default, in percent: the rest is for
/// clients, files and the name servers.
const CONNECTIONS_OF_OPEN_FILES: u64 = 80;

/// Open files that are no connections: streams, listeners, files that are read for a moment; what each loop waits on;
/// those of the spool.
const OWN_FILES: u64 = 14;
const FILES_PER_LOOP: u64 = 3;
const SPOOL_FILES: u64 = 18;

/// Queries to name servers that a loop may have open beside the dials they are for; where files are few, only one in
/// so many is kept for them.
const QUERIES_PER_LOOP: u64 = 64;
const FILES_PER_QUERY: u64 = 16;

/// Open files kept for clients of the admin listener (FAULTS F19): who asks whether all is well must be answered when
/// it is not.
const ADMIN_FILES: u64 = 8;

/// Clients of the socket that there is room for however many connections there are.
const CLIENTS_MIN: u64 = 8;

/// `maxPendingBytes` by default, unless a quarter of the memory limit is less.
const MAX_PENDING_BYTES: u64 = 256 * 1024 * 1024;

/// `ttl` by default where jobs survive the process.
const TTL_WITH_SPOOL: Duration = Duration::from_secs(24 * 3600);

/// What the settings say, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What holds for an endpoint that has no settings of its own; its `ttl` is the one below.
    pub endpoint: Endpoint,
    /// How long after its acceptance a job is worth delivering; `None`: an hour, with a spool a day.
    pub ttl: Option<Duration>,
    /// Files that the settings of such an endpoint name.
    pub files: EndpointFiles,
    /// What holds for the others, whole; shared, for there may be many.
    pub endpoints: Arc<Endpoints<EndpointSettings>>,
    /// The client certificates that [`Endpoint::tls_profile`] names.
    pub identities: Vec<Identity>,
    /// Sockets of the whole process; `None`: what the open-file limit suggests.
    pub max_connections_total: Option<u32>,
    /// `http://` destinations are allowed.
    pub allow_http: bool,
    /// Forbidden ranges that are allowed all the same.
    pub allow_net: Vec<AllowNet>,
    /// Prefixes of NAT64 gateways.
    pub nat64_prefix: Vec<Nat64Prefix>,
    /// Forbidden ports that are allowed all the same.
    pub allow_port: Vec<u16>,
    /// A PEM file of certificate authorities that are trusted beside Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// Bytes of a job line.
    pub max_job_bytes: u32,
    /// Jobs taken in and not ended.
    pub max_pending: u32,
    /// Their bytes; `None`: what the memory limit suggests.
    pub max_pending_bytes: Option<u64>,
    /// Jobs that may wait at one origin.
    pub max_queued: u32,
    /// Origins that may be remembered.
    pub max_origins: u32,
    /// Where a Unix socket takes jobs, if anywhere.
    pub socket: Option<PathBuf>,
    /// Users who may submit there.
    pub allow_uid: Vec<u32>,
    /// Users who may do everything there.
    pub control_uid: Vec<u32>,
    /// Pending jobs of one of its clients.
    pub max_client_pending: u32,
    /// Results carry where the last attempt's time went.
    pub timings: bool,
    /// The directory of accepted jobs, if there is one.
    pub spool: Option<PathBuf>,
    /// Bytes of its files; `None`: as many as there are.
    pub max_spool_bytes: Option<u64>,
    /// Bytes of dead letters in it.
    pub max_dead_bytes: u64,
    /// Where metrics and health are told.
    pub listen: Listen,
    /// Event loops; `None`: as many as there are CPUs.
    pub workers: Option<u16>,
    /// What requests in flight get after SIGTERM.
    pub shutdown_timeout: Duration,
    /// What is worth a log line.
    pub log_level: log::LevelFilter,
    /// What a log line looks like.
    pub log_format: Format,
}

/// Where metrics and health are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At [`LISTEN`], if nobody else is there.
    Default,
    /// There.
    At(SocketAddr),
    /// Nowhere.
    Nowhere,
}

/// The address of [`Listen::Default`].
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);
/// What holds for one endpoint, or for the endpoints of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSettings {
    /// What engines obey.
    pub endpoint: Endpoint,
    /// Jobs that may wait there.
    pub max_queued: u32,
}

/// Files that the settings of an endpoint name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointFiles {
    /// Secrets, one a line.
    pub secret: Option<PathBuf>,
    /// The certificate that is shown.
    pub client_cert: Option<PathBuf>,
    /// Its private key.
    pub client_key: Option<PathBuf>,
}

/// What this machine offers: the defaults of settings that no constant fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The open-file limit, after the soft one was raised to the hard one.
    pub open_files: u64,
    /// CPUs that this process may run on.
    pub cpus: usize,
    /// The memory limit of this process's cgroup in bytes, where there is one.
    pub memory: Option<u64>,
}

/// A value that a setting does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// What the setting takes, in words.
    pub expected: String,
    /// What was there, escaped and cut.
    pub found: String,
}

impl Settings {
    /// Puts in the value that a flag (an environment variable, a file) gave for a setting. A list replaces
    /// the former one.
    ///
    /// # Errors
    /// If the setting does not take it; the settings are then as before.
    pub fn put(&mut self, setting: &Setting, text: &OsStr) -> Result<(), BadValue> {
        setting.kind.put(self, text)
    }

    /// What an engine obeys that may hold `max_connections_total` sockets: its share of
    /// [`Settings::max_connections_total`].
    #[must_use]
    pub fn policy(&self, max_connections_total: u32) -> Policy {
        Policy {
            allow_http: self.allow_http,
            allow_net: self.allow_net.clone(),
            allow_port: self.allow_port.clone(),
            nat64_prefix: self.nat64_prefix.clone(),
            max_connections_total,
            max_origins: self.max_origins,
            trust: 0,
            endpoint: Arc::new(self.of_endpoint().endpoint),
            endpoints: Arc::new(self.each(|own| Arc::new(own.endpoint.clone()))),
        }
    }

    /// What intake obeys, beside what holds from start to end.
    #[must_use]
    pub fn limits(&self, machine: &Machine) -> Limits {
        let max_pending_bytes = self.max_pending_bytes(machine);
        Limits {
            max_job_bytes: self.max_job_bytes as usize,
            max_pending: self.max_pending as usize,
            max_pending_bytes: usize::try_from(max_pending_bytes).unwrap_or(usize::MAX),
            max_client_pending: self.max_client_pending as usize,
            timings: self.timings,
            endpoint: self.of_endpoint().limits(),
            endpoints: self.each(|own| Arc::new(own.limits())),
        }
    }

    /// Something of each entry, under its key.
    fn each<T>(&self, of: impl Fn(&EndpointSettings) -> T) -> Endpoints<T> {
        let mut endpoints = Endpoints::default();
        for (key, own) in self.endpoints.iter() {
            let inserted = endpoints.insert(key, of(own));
            inserted.expect("a key that was taken is taken again");
        }
        endpoints
    }

    /// What the journal of the spool obeys.
    #[must_use]
    pub fn journal(&self) -> journal::Settings {
        let own = self.endpoints.iter().map(|(_, own)| &own.endpoint);
        let longest = own.chain([&self.endpoint]).flat_map(|endpoint| {
            let schedule = endpoint.retry_schedule.iter().copied();
            schedule.chain([endpoint.max_retry_after])
        });
        let longest = longest.max().unwrap_or_default();
        journal::Settings {
            max_spool_bytes: self.max_spool_bytes,
            max_dead_bytes: self.max_dead_bytes,
            // Waits are lengthened by up to a fifth.
            max_wait: longest + longest / 5,
            ..journal::Settings::default()
        }
    }

    /// What of this an endpoint may have for itself.
    #[must_use]
    pub fn of_endpoint(&self) -> EndpointSettings {
        let mut endpoint = self.endpoint.clone();
        endpoint.ttl = match (self.ttl, &self.spool) {
            (Some(ttl), _) => ttl,
            (None, Some(_)) => TTL_WITH_SPOOL,
            (None, None) => endpoint.ttl,
        };
        EndpointSettings {
            endpoint,
            max_queued: self.max_queued,
        }
    }

    /// These without the entries of endpoints.
    #[must_use]
    pub fn without_endpoints(&self) -> Settings {
        Settings {
            endpoints: Arc::default(),
            ..self.clone()
        }
    }

    /// How many event loops run.
    #[must_use]
    pub fn workers(&self, machine: &Machine) -> u16 {
        self.workers.unwrap_or_else(|| {
            let cpus = u16::try_from(machine.cpus).unwrap_or(u16::MAX);
            cpus.clamp(1, table::WORKERS_MAX)
        })
    }

    /// How many sockets the process may hold open towards receivers and name servers: not more than the open-file
    /// limit leaves, and at least one for each event loop.
    #[must_use]
    pub fn max_connections_total(&self, machine: &Machine) -> u32 {
        let share = machine.open_files.saturating_mul(CONNECTIONS_OF_OPEN_FILES) / 100;
        let wanted = self.max_connections_total.map_or(share, u64::from);
        // Where the limit is small, a fifth of it is less than the process itself needs.
        let clients = self.socket.as_ref().map_or(0, |_| CLIENTS_MIN);
        let left = machine
            .open_files
            .saturating_sub(self.own_files(machine) + clients);
        let connections = u32::try_from(wanted.min(left)).unwrap_or(u32::MAX);
        connections.max(u32::from(self.workers(machine)))
    }

    /// How many clients the socket may have at once: as many as the open-file limit leaves beside all connections.
    #[must_use]
    pub fn max_clients(&self, machine: &Machine) -> usize {
        let others = self.own_files(machine) + u64::from(self.max_connections_total(machine));
        let left = machine.open_files.saturating_sub(others).max(CLIENTS_MIN);
        usize::try_from(left).map_or(CLIENTS_MAX, |left| left.min(CLIENTS_MAX))
    }

    /// Open files that are neither connections nor clients of the socket.
    fn own_files(&self, machine: &Machine) -> u64 {
        let workers = u64::from(self.workers(machine));
        let loops = FILES_PER_LOOP * workers;
        let queries = (QUERIES_PER_LOOP * workers).min(machine.open_files / FILES_PER_QUERY);
        let spool = self.spool.as_ref().map_or(0, |_| SPOOL_FILES);
        let admin = self.listen.address().map_or(0, |_| ADMIN_FILES);
        OWN_FILES + loops + queries + spool + admin
    }

    /// How many bytes of jobs may be pending.
    #[must_use]
    pub fn max_pending_bytes(&self, machine: &Machine) -> u64 {
        self.max_pending_bytes.unwrap_or_else(|| {
            let quarter = machine.memory.map_or(u64::MAX, |memory| memory / 4);
            quarter.min(MAX_PENDING_BYTES)
        })
    }
}

impl Listen {
    /// The address, if there is one.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Listen::Default => Some(LISTEN),
            Listen::At(address) => Some(address),
            Listen::Nowhere => None,
        }
    }
}

impl EndpointSettings {
    /// What intake obeys of it.
    #[must_use]
    pub fn limits(&self) -> EndpointLimits {
        EndpointLimits {
            max_queued: self.max_queued as usize,
            max_connections: self.endpoint.max_connections as usize,
            ttl: self.endpoint.ttl,
            signs: !self.endpoint.secrets.is_empty(),
            head_bytes: self.endpoint.headers.fields.len()
                + signature_field_len(self.endpoint.secrets.signature_len()),
        }
    }
}

impl Default for Settings {
    /// The table's defaults.
    fn default() -> Settings {
        let mut settings = Settings {
            endpoint: Endpoint::default(),
            ttl: None,
            files: EndpointFiles::default(),
            endpoints: Arc::default(),
            identities: Vec::new(),
            max_connections_total: None,
            allow_http: false,
            allow_net: Vec::new(),
            allow_port: Vec::new(),
            nat64_prefix: Vec::new(),
            ca_file: None,
            max_job_bytes: 0,
            max_pending: 0,
            max_pending_bytes: None,
            max_queued: 0,
            max_origins: 0,
            socket: None,
            allow_uid: Vec::new(),
            control_uid: Vec::new(),
            max_client_pending: 0,
            timings: false,
            spool: None,
            max_spool_bytes: None,
            max_dead_bytes: 0,
            listen: Listen::Default,
            workers: None,
            shutdown_timeout: Duration::ZERO,
            log_level: log::LevelFilter::Info,
            log_format: Format::Text,
        };
        for setting in SETTINGS {
            if let table::Default::Value(text) = setting.default {
                settings
                    .put(setting, OsStr::new(text))
                    .expect("the table's defaults are in range: a test puts in each");
            }
        }
        settings
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine {
        open_files: 20_000,
        cpus: 2,
        memory: None,
    };

    #[test]
    fn the_defaults_are_those_of_the_engine() {
        let settings = Settings::default();
        assert_eq!(settings.endpoint, Endpoint::default());
        assert_eq!(settings.policy(1024), Policy::default());
    }

    #[test]
    fn jobs_of_a_spool_live_longer_unless_somebody_says_how_long() {
        let mut settings = Settings::default();
        let ttl = |settings: &Settings| settings.policy(1024).endpoint.ttl.as_secs();
        assert_eq!(ttl(&settings), 3600);
        settings.spool = Some("spool".into());
        assert_eq!(ttl(&settings), 86_400);
        settings.ttl = Some(Duration::from_secs(7));
        assert_eq!(ttl(&settings), 7);
        settings.endpoint.max_retry_after = Duration::from_secs(10);
        assert_eq!(settings.journal().max_wait, Duration::from_secs(12));
        assert_eq!(settings.journal().max_dead_bytes, 256 << 20);
    }

    #[test]
    fn what_the_engine_does_not_know_has_its_defaults_too() {
        let settings = Settings::default();
        assert_eq!(settings.max_job_bytes, 1 << 20);
        assert_eq!(settings.max_pending, 100_000);
        assert_eq!(settings.shutdown_timeout, Duration::from_secs(25));
        assert_eq!(settings.log_level, log::LevelFilter::Info);
        assert_eq!(settings.log_format, Format::Text);
        assert!(!settings.timings);
    }

    #[test]
    fn the_machine_decides_where_nobody_did() {
        let settings = Settings::default();
        assert_eq!(settings.workers(&MACHINE), 2);
        assert_eq!(settings.max_connections_total(&MACHINE), 16_000);
        let few_files = Machine {
            open_files: 40,
            ..MACHINE
        };
        assert_eq!(settings.max_connections_total(&few_files), 10);
        assert_eq!(settings.max_pending_bytes(&MACHINE), 256 << 20);
        let small = Machine {
            memory: Some(64 << 20),
            cpus: 100_000,
            open_files: 16,
        };
        assert_eq!(settings.max_pending_bytes(&small), 16 << 20);
        assert_eq!(settings.workers(&small), table::WORKERS_MAX);
        assert_eq!(
            settings.max_connections_total(&small),
            u32::from(table::WORKERS_MAX)
        );
    }

    #[test]
    fn a_value_given_stands_above_the_machine() {
        let mut settings = Settings::default();
        for (name, text) in [
            ("workers", "7"),
            ("maxConnectionsTotal", "40"),
            ("maxPendingBytes", "1g"),
        ] {
            let setting = SETTINGS.iter().find(|setting| setting.name == name);
            let setting = setting.unwrap();
            settings.put(setting, OsStr::new(text)).unwrap();
        }
        let machine = Machine {
            memory: Some(1 << 20),
            ..MACHINE
        };
        assert_eq!(settings.workers(&machine), 7);
        assert_eq!(settings.max_connections_total(&machine), 40);
        assert_eq!(settings.max_pending_bytes(&machine), 1 << 30);
    }

    #[test]
    fn f19_whatever_the_open_file_limit_some_are_kept_for_the_admin_listener() {
        let mut settings = Settings {
            socket: Some("socket".into()),
            ..Settings::default()
        };
        for (spool, given, open_files, connections, clients) in [
            (None, None, 1_000_000, 800_000, 1024),
            (None, None, 1024, 819, 113),
            (Some("spool"), None, 1024, 819, 95),
            (None, Some(5_000), 1024, 924, 8),
            (None, Some(100), 1024, 100, 832),
            (None, None, 64, 24, 8),
            // Even less is not enough for all: nothing is kept then.
            (None, None, 30, 2, 8),
        ] {
            settings.spool = spool.map(Into::into);
            settings.max_connections_total = given;
            let machine = Machine {
                open_files,
                ..MACHINE
            };
            let found = (
                settings.max_connections_total(&machine),
                settings.max_clients(&machine),
            );
            assert_eq!(found, (connections, clients), "{open_files}");
        }
    }

    #[test]
    fn a_value_refused_leaves_the_settings_alone() {
        for setting in SETTINGS {
            let mut settings = Settings::default();
            let bad = OsStr::new("no such value, I hope");
            match settings.put(setting, bad) {
                Err(error) => {
                    assert!(error.to_string().contains("no such value"), "{error}");
                    assert_eq!(settings, Settings::default(), "{}", setting.name);
                }
                Ok(()) => assert!(
                    ["caFile", "socket", "spool"].contains(&setting.name),
                    "any text is a file's name"
                ),
            }
        }
    }
}
