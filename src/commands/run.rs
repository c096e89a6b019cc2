//! `conduit run`: delivers the jobs of standard input, and writes their results to standard output.
//!
//! Not here: the loop (`io::turn`), flags (`flags`), which settings there are (`config`).

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use conduit::base::rng::Rng;
use conduit::engine::policy::AllowNet;
use conduit::intake;

use crate::commands::exit;
use crate::config::live::Live;
use crate::config::load::{Loaded, Sources};
use crate::config::{Listen, Machine, Settings};
use crate::io::front::{self, Ended, Setup};
use crate::io::notify::Notify;
use crate::io::signal::Signals;
use crate::io::socket::{Socket, Users};
use crate::io::spool::Opened;
use crate::io::steering::Steering;
use crate::io::tls::{Credentials, Roots};
use crate::io::{admin, cgroup, clock, entropy, log as logger, stdio, sys};

/// Why a run could not start.
#[derive(Debug)]
pub struct Refusal {
    /// The exit status.
    status: ExitCode,
    /// The reason, in one line.
    reason: String,
}

/// Runs until the feed has ended and every job has its result, or a signal says so.
#[must_use]
pub fn execute(sources: Sources, loaded: Loaded) -> ExitCode {
    let setup = match standard_setup(sources, &loaded.settings) {
        Ok(setup) => setup,
        Err(refusal) => return refusal.report(),
    };
    match front::run(setup) {
        Ok(ended) => status(&ended),
        Err(error) => cannot("go on", &error).report(),
    }
}

/// The exit status that says how a run ended; the reason has been logged when it happened.
#[must_use]
pub fn status(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Finished {
            all_delivered: true,
        } => exit::DONE,
        Ended::Finished {
            all_delivered: false,
        } => exit::NOT_ALL,
        Ended::SinkGone => exit::unable(),
        Ended::Killed { signal } => exit::signalled(u8::try_from(*signal).unwrap_or(0)),
    }
}

impl Refusal {
    /// Says why, and gives the exit status.
    #[must_use]
    pub fn report(self) -> ExitCode {
        log::error!("{}", self.reason);
        self.status
    }
}

fn standard_setup(sources: Sources, settings: &Settings) -> Result<Setup, Refusal> {
    streams_are_open(settings)?;
    let mut setup = setup(settings)?;
    if sources.file.is_some() {
        setup.rereads = true;
        setup.signals = Signals::block(true).map_err(|error| cannot("block signals", &error))?;
    }
    tell_of_few_files(settings, &machine()?);
    setup.notify = Notify::from_environment();
    // It must not start before: the environment is changed while there is one thread only.
    logger::start();
    setup.source = stdio::stdin().map_err(|error| cannot("open standard input", &error))?;
    setup.sink = stdio::stdout().map_err(|error| cannot("open standard output", &error))?;
    if let Some(path) = &settings.spool {
        setup.spool = Some(open_spool(path, settings)?);
    }
    let has_file =
        stdio::stdin_is_file().map_err(|error| cannot("look at standard input", &error))?;
    if let Some(path) = &settings.socket {
        setup.socket = Some(listen(path, settings)?);
    }
    setup.listener = listener(settings)?;
    let listens_at = setup.listener.as_ref().map(TcpListener::local_addr);
    let listens_at = listens_at
        .transpose()
        .map_err(|error| cannot("look where it listens", &error))?;
    let tls = setup.tls.clone();
    let (mut live, mut reader) = Live::new(sources, settings.clone(), machine()?, tls, listens_at);
    setup.steering = Some(Steering {
        read: Box::new(move || reader.read()),
        answer: Box::new(move |question, follow| live.answer(question, follow)),
    });
    if has_file && io::stderr().is_terminal() {
        setup.progress = Some(logger::status);
    }
    Ok(setup)
}

/// A run whose jobs or results have no way is none. A daemon has them at its socket, and those that start one often
/// close what they have no use for; but then no job is to come on standard input whose result goes nowhere.
fn streams_are_open(settings: &Settings) -> Result<(), Refusal> {
    let (no_feed, no_results) = (sys::was_closed(0), sys::was_closed(1));
    let is_daemon = settings.socket.is_some() && no_feed;
    let what = match (no_feed, no_results) {
        _ if is_daemon => return Ok(()),
        (true, _) => "standard input is closed: there are no jobs (</dev/null is an empty one)",
        (_, true) => {
            "standard output is closed: results have nowhere to go (>/dev/null throws them away)"
        }
        (false, false) => return Ok(()),
    };
    Err(Refusal {
        status: exit::unable(),
        reason: format!("can't start: {what}"),
    })
}

/// The first line of the log: which conduit this is, and what it was told.
pub fn announce(sources: &Sources, settings: &Settings) {
    let workers = machine().map(|machine| settings.workers(&machine));
    let file = sources.file.as_deref().map(Path::to_string_lossy);
    log::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        configuration = file.as_deref().unwrap_or("none"),
        workers = workers.ok();
        "conduit starts"
    );
    // An entry wider than the whole of loopback does not open it (`engine/guard`).
    let is_loopback = |allow: &&AllowNet| allow.net.is_loopback();
    for allow in settings.allow_net.iter().filter(is_loopback) {
        let (net, prefix) = (allow.net, allow.prefix);
        log::info!(
            target: logger::EACH,
            "jobs may reach this machine's own services: --allow-net {net}/{prefix} opens loopback"
        );
    }
}

/// Says so where more connections are wanted than the system allows.
fn tell_of_few_files(settings: &Settings, machine: &Machine) {
    let allowed = settings.max_connections_total(machine);
    if let Some(wanted) = settings.max_connections_total
        && wanted > allowed
    {
        let files = machine.open_files;
        log::warn!("maxConnectionsTotal is {wanted}, but {files} open files leave {allowed}");
    }
}

fn open_spool(path: &Path, settings: &Settings) -> Result<Opened, Refusal> {
    let seed = entropy::seed().map_err(|error| cannot("get random bytes", &error))?;
    let journal = settings.journal();
    let opened = Opened::open(path, journal, &mut Rng::from_seed(seed), clock::now());
    opened.map_err(|error| Refusal {
        status: exit::unable(),
        reason: error.to_string(),
    })
}

fn listen(path: &Path, settings: &Settings) -> Result<Socket, Refusal> {
    let users = Users {
        submit: settings.allow_uid.clone(),
        control: settings.control_uid.clone(),
    };
    let place = logger::quoted(&path.to_string_lossy()).to_string();
    let socket =
        Socket::bind(path, users).map_err(|error| cannot(&format!("listen at {place}"), &error))?;
    log::info!("listening at {place}");
    Ok(socket)
}

/// Where metrics and health are told. Nobody named the default address, so a run that ends with its feed does without
/// where somebody else has it; a daemon is watched, and says at once that it can't be.
fn listener(settings: &Settings) -> Result<Option<TcpListener>, Refusal> {
    let Some(address) = settings.listen.address() else {
        return Ok(None);
    };
    match admin::bind(address) {
        Ok(listener) => {
            log::info!("metrics and health at http://{}", bound(&listener, address));
            Ok(Some(listener))
        }
        Err(error) if settings.listen == Listen::Default && settings.socket.is_none() => {
            log::warn!("no metrics, no health (--listen): can't listen at {address}: {error}");
            Ok(None)
        }
        Err(error) => Err(cannot(&format!("listen at {address} (--listen)"), &error)),
    }
}

/// Where it listens: of a port 0 the system has made another.
fn bound(listener: &TcpListener, address: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(address)
}

/// Everything that a run needs, as the settings say; its feed is empty, and its results go nowhere until the
/// caller puts in its own. Blocks the signals that end a run: call it before any thread starts.
///
/// # Errors
/// A setting that can't be followed, or a machine that can't be run on.
pub fn setup(settings: &Settings) -> Result<Setup, Refusal> {
    let roots = Roots::read(settings.ca_file.as_deref()).map_err(|reason| Refusal {
        status: exit::usage(),
        reason: format!("--ca-file: {reason}"),
    })?;
    let machine = machine()?;
    let limits = settings.limits(&machine);
    Ok(Setup {
        policy: settings.policy(settings.max_connections_total(&machine)),
        intake: intake::Settings {
            max_job_bytes: limits.max_job_bytes,
            max_pending: limits.max_pending,
            max_pending_bytes: limits.max_pending_bytes,
            max_queued: limits.endpoint.max_queued,
            max_connections: limits.endpoint.max_connections,
            ttl: limits.endpoint.ttl,
            max_client_pending: limits.max_client_pending,
            serves: settings.socket.is_some(),
            spools: settings.spool.is_some(),
            uid: sys::user_id(),
            engines: settings.workers(&machine),
            timings: settings.timings,
        },
        limits,
        workers: settings.workers(&machine),
        seed: entropy::seed().map_err(|error| cannot("get random bytes", &error))?,
        tls: Credentials {
            roots: Arc::new(roots.0),
            identities: settings.identities.clone().into(),
        },
        shutdown_timeout: settings.shutdown_timeout,
        source: Box::new(io::empty()),
        sink: Box::new(io::sink()),
        socket: None,
        clients_max: settings.max_clients(&machine),
        spool: None,
        listener: None,
        notify: Notify::default(),
        signals: Signals::block(false).map_err(|error| cannot("block signals", &error))?,
        note: logger::note,
        progress: None,
        steering: None,
        rereads: false,
    })
}

/// What this machine offers, after the open-file limit was raised as far as it goes.
///
/// # Errors
/// The system's, where the limit can't be read.
pub fn machine() -> Result<Machine, Refusal> {
    Ok(Machine {
        open_files: sys::raise_open_file_limit()
            .map_err(|error| cannot("raise the open-file limit", &error))?,
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        memory: cgroup::memory_limit(),
    })
}

fn cannot(what: &str, error: &io::Error) -> Refusal {
    Refusal {
        status: exit::unable(),
        reason: format!("can't {what}: {error}"),
    }
}

#[cfg(test)]
mod tests;
