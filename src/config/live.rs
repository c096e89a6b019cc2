//! The configuration of a run under way: read again, and changed for single origins.
//!
//! What `ctl set` changed lies over what the sources say: it survives a reload, and goes before an origin's own entry.
//!
//! Not here: who asks and who may (`io/front`, intake), what takes effect where (`io/front`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;

use conduit::engine::policy::{Policy, Trust};
use conduit::wire::endpoints::Endpoints;

use crate::config::load::{Loaded, Sources};
use crate::config::source::Problem;
use crate::config::spelling::nearest;
use crate::config::table::{ENDPOINT_SETTINGS, Kind, SETTINGS, Setting};
use crate::config::{Listen, Machine, Settings, value};
use crate::io::log::quoted;
use crate::io::socket::Users;
use crate::io::steering::{Change, Follow, Question};
use crate::io::tls::Credentials;

/// Origins that `ctl set` may have changed something of.
pub const ORIGINS_SET_MAX: usize = 10_000;

/// What `ctl set` has changed: by origin, each setting once.
type Overlay = BTreeMap<Box<str>, Vec<(&'static Setting, OsString)>>;

/// The configuration of a run.
#[derive(Debug)]
pub struct Live {
    sources: Sources,
    machine: Machine,
    taken: Taken,
    state: State,
}

/// What the start took, for good.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// What was said of the listener, and where it is.
    listen: Listen,
    listens_at: Option<SocketAddr>,
    /// Event loops.
    workers: u16,
}

/// What holds: replaced whole, once a change is carried out.
#[derive(Clone, Debug)]
struct State {
    /// What the sources said when they were last right.
    settings: Settings,
    overlay: Overlay,
    tls: Credentials,
    /// How many times others were trusted than before.
    trust: Trust,
}

impl Live {
    /// That of a run that has started with these settings, and listens there for questions after metrics and health.
    #[must_use]
    pub fn new(
        sources: Sources,
        settings: Settings,
        machine: Machine,
        tls: Credentials,
        listens_at: Option<SocketAddr>,
    ) -> Live {
        Live {
            sources,
            machine,
            taken: Taken {
                listen: settings.listen,
                listens_at,
                workers: settings.workers(&machine),
            },
            state: State {
                settings,
                overlay: Overlay::new(),
                tls,
                trust: 0,
            },
        }
    }

    /// Answers the front: has it carry out what follows from its question.
    ///
    /// # Errors
    /// All that is wrong, or keeps it from being carried out, a line each; then nothing has changed.
    pub fn answer(
        &mut self,
        question: Question<'_>,
        follow: Follow<'_>,
    ) -> Result<(), Vec<String>> {
        let next = match question {
            Question::Reload => self.read_again(),
            Question::Set { origin, key, value } => self
                .set(origin, key, value)
                .map_err(|problem| vec![problem]),
        };
        let (next, warnings) = next.map_err(|problems| -> Vec<String> {
            let lines = problems.iter().map(Problem::to_string);
            lines.collect()
        })?;
        let mut change = next.change(&self.machine);
        let are_others = !next.tls.are_same(&self.state.tls);
        change.tls = are_others.then(|| next.tls.clone());
        change.warnings = warnings;
        follow(change)?;
        self.state = next;
        Ok(())
    }

    /// What holds by the sources as they are now, and what is to be said of it. Its errors are all that is wrong, and
    /// settings that can't change while it runs.
    fn read_again(&self) -> Result<(State, Vec<String>), Vec<Problem>> {
        let Loaded {
            settings,
            roots,
            warnings,
            ..
        } = self.sources.load()?;
        let names = self.need_a_restart(&settings);
        if !names.is_empty() {
            let what = "expected as they were until a restart, found changed";
            return Err(vec![Problem::new(names.join(", "), what)]);
        }
        let tls = Credentials {
            roots,
            identities: settings.identities.clone().into(),
        };
        let trusts_others = tls.roots != self.state.tls.roots;
        let next = State {
            settings,
            overlay: self.state.overlay.clone(),
            tls,
            trust: self.state.trust + Trust::from(trusts_others),
        };
        Ok((next, warnings))
    }

    /// Settings that differ from what holds, however that was said, and can't change while it runs.
    fn need_a_restart(&self, new: &Settings) -> Vec<&'static str> {
        let (old, taken) = (&self.state.settings, &self.taken);
        let listens_there = new.listen.address() == taken.listens_at;
        let differ = [
            ("socket", old.socket != new.socket),
            ("spool", old.spool != new.spool),
            ("maxSpoolBytes", old.max_spool_bytes != new.max_spool_bytes),
            ("listen", taken.listen != new.listen && !listens_there),
            ("workers", taken.workers != new.workers(&self.machine)),
        ];
        let changed = differ.into_iter().filter(|(_, differs)| *differs);
        changed.map(|(name, _)| name).collect()
    }

    /// What holds with another setting of one origin. Its error is what is wrong with that.
    fn set(&self, origin: &str, key: &str, text: &str) -> Result<(State, Vec<String>), Problem> {
        let origin = origin_of(origin)?;
        let setting = settable(key)?;
        let mut trial = Settings::default();
        trial.put(setting, OsStr::new(text)).map_err(|bad| {
            let place = format!("{origin} {key}");
            Problem::new(place, bad.to_string())
        })?;
        let mut next = self.state.clone();
        let overlay = &mut next.overlay;
        if overlay.len() == ORIGINS_SET_MAX && !overlay.contains_key(&origin) {
            let what =
                format!("expected at most {ORIGINS_SET_MAX} origins with settings of ctl set");
            return Err(Problem::new(origin, what));
        }
        let own = overlay.entry(origin).or_default();
        own.retain(|(known, _)| *known != setting);
        own.push((setting, text.into()));
        Ok((next, Vec::new()))
    }
}

impl State {
    /// All of it, but for what is said of it, and its credentials.
    fn change(&self, machine: &Machine) -> Change {
        let settings = overlaid(&self.settings, &self.overlay);
        Change {
            policy: Policy {
                trust: self.trust,
                ..settings.policy(settings.max_connections_total(machine))
            },
            clients_max: settings.max_clients(machine),
            limits: settings.limits(machine),
            tls: None,
            shutdown_timeout: settings.shutdown_timeout,
            max_dead_bytes: settings.max_dead_bytes,
            users: Users {
                submit: settings.allow_uid,
                control: settings.control_uid,
            },
            log_level: settings.log_level,
            log_format: settings.log_format,
            warnings: Vec::new(),
        }
    }
}

/// The settings with what `ctl set` changed over them.
fn overlaid(settings: &Settings, overlay: &Overlay) -> Settings {
    if overlay.is_empty() {
        return settings.clone();
    }
    let mut endpoints = Endpoints::default();
    for (origin, changed) in overlay {
        let mut own = settings.for_origin(origin);
        for (setting, text) in changed {
            let put = own.put(setting, text);
            put.expect("the value was checked when it was set");
        }
        let mut own = own.of_endpoint();
        own.endpoint.set = changed.iter().map(|(setting, _)| setting.name).collect();
        let inserted = endpoints.insert(origin, own);
        inserted.expect("an origin stands once in the overlay");
    }
    for (key, own) in settings.endpoints.iter() {
        if !overlay.contains_key(key) {
            let inserted = endpoints.insert(key, own.clone());
            inserted.expect("a key that was taken is taken again");
        }
    }
    Settings {
        endpoints,
        ..settings.clone()
    }
}

/// The origin as conduit spells it.
fn origin_of(text: &str) -> Result<Box<str>, Problem> {
    let mut one = Endpoints::default();
    let wrong = |what: String| Problem::new(quoted(text), what);
    one.insert(text, ())
        .map_err(|error| wrong(error.to_string()))?;
    let key = one.iter().next().map_or("", |(key, ())| key);
    match key.contains('*') {
        true => Err(wrong("expected an origin, found a pattern".to_owned())),
        false => Ok(key.into()),
    }
}

/// The setting of this name, if it is one that `ctl set` takes: a number, or `onCircuitOpen`.
fn settable(key: &str) -> Result<&'static Setting, Problem> {
    let is_number = |setting: &Setting| {
        matches!(
            setting.kind,
            Kind::Seconds(..) | Kind::Count(..) | Kind::Bytes(..) | Kind::Rate(..)
        )
    };
    let takes = |setting: &&Setting| {
        setting.is_per_endpoint() && (is_number(setting) || setting.name == "onCircuitOpen")
    };
    if let Some(setting) = Setting::named(key).filter(takes) {
        return Ok(setting);
    }
    let all = SETTINGS.iter().chain(ENDPOINT_SETTINGS).filter(takes);
    let names: Vec<&str> = all.map(|setting| setting.name).collect();
    let expected = match nearest(key, names.iter().copied()) {
        Some(meant) if meant != key => format!("one of an endpoint's limits, such as {meant}"),
        _ => format!("one of {}", names.join(", ")),
    };
    let bad = value::bad(OsStr::new(key), expected);
    Err(Problem::new("set", bad.to_string()))
}

#[cfg(test)]
mod tests;
