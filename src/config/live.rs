//! The configuration of a run under way: read again, and changed for single origins.
//!
//! What `ctl set` changed lies over what the sources say: it survives a reload, and goes before an origin's own entry.
//!
//! Two halves: [`Live`] belongs to the loop and does nothing that grows with files or with what was set; [`Reader`]
//! belongs to another thread, reads files and makes of them, and of all that was set, what the loop swaps in. What is
//! set while it reads is handed to it in a map that both know ([`News`]); what it has not taken from there the loop
//! puts over what it has made.
//!
//! Not here: who asks and who may (`io/front`, intake), what takes effect where (`io/front`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conduit::engine::policy::{Policy, Trust};
use conduit::intake::limits::Limits;
use conduit::wire::endpoints::Endpoints;
use conduit::wire::url::{Origin, Url};

use crate::config::load::{Loaded, Sources};
use crate::config::source::Problem;
use crate::config::spelling::nearest;
use crate::config::table::{ENDPOINT_SETTINGS, Kind, SETTINGS, Setting};
use crate::config::{EndpointSettings, Listen, Machine, Settings, value};
use crate::io::log::quoted;
use crate::io::socket::Users;
use crate::io::steering::{Change, Follow, Former, Own, Proposal, Question, Step};
use crate::io::tls::Credentials;

/// Origins that `ctl set` may have changed something of.
pub const ORIGINS_SET_MAX: usize = 10_000;

/// What `ctl set` has changed of one origin, each setting once.
type Changed = Vec<(&'static Setting, OsString)>;

/// What `ctl set` has changed.
type Overlay = BTreeMap<Box<str>, Changed>;

/// What was set and the reader has not taken yet: all of each origin.
type News = Arc<Mutex<Overlay>>;

/// The configuration of a run, on the loop.
#[derive(Debug)]
pub struct Live {
    machine: Machine,
    taken: Taken,
    state: State,
    overlay: Overlay,
    news: News,
}

/// Reads it again, elsewhere.
#[derive(Debug)]
pub struct Reader {
    sources: Sources,
    machine: Machine,
    overlay: Overlay,
    news: News,
}

/// What was read, and what the machines are to be told of it.
#[derive(Debug)]
struct Reread {
    settings: Settings,
    tls: Credentials,
    policy: Policy,
    limits: Limits,
    warnings: Vec<String>,
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
#[derive(Debug)]
struct State {
    /// What the sources said when they were last right.
    settings: Settings,
    /// Of that all but the entries of endpoints.
    general: Settings,
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
    ) -> (Live, Reader) {
        let news = News::default();
        let live = Live {
            machine,
            taken: Taken {
                listen: settings.listen,
                listens_at,
                workers: settings.workers(&machine),
            },
            state: State::new(settings, tls, 0),
            overlay: Overlay::new(),
            news: Arc::clone(&news),
        };
        let reader = Reader {
            sources,
            machine,
            overlay: Overlay::new(),
            news,
        };
        (live, reader)
    }

    /// Answers the front: has it carry out what follows from its question.
    ///
    /// # Errors
    /// All that is wrong, or keeps it from being carried out, a line each; then nothing has changed.
    ///
    /// # Panics
    /// If what is to be taken is not what [`Reader::read`] gave.
    pub fn answer(
        &mut self,
        question: Question<'_>,
        follow: Follow<'_>,
    ) -> Result<Former, Vec<String>> {
        match question {
            Question::Take(proposal) => {
                let reread = proposal.downcast().expect("it is what the reader gave");
                self.take(*reread, follow).map(Some)
            }
            Question::Set { origin, key, value } => {
                let set = self.set(origin, key, value);
                let own = set.map_err(|problem| vec![problem.to_string()])?;
                follow(Step::Own(own)).map(|()| None)
            }
        }
    }

    /// Has the front follow what was read; what held before.
    fn take(
        &mut self,
        reread: Reread,
        follow: Follow<'_>,
    ) -> Result<Box<dyn std::any::Any + Send>, Vec<String>> {
        let Reread {
            settings,
            tls,
            policy,
            limits,
            warnings,
        } = reread;
        let names = self.need_a_restart(&settings);
        if !names.is_empty() {
            let what = "expected as they were until a restart, found changed";
            let problem = Problem::new(names.join(", "), what);
            return Err(vec![problem.to_string()]);
        }
        let trusts_others = tls.roots != self.state.tls.roots;
        let trust = self.state.trust + Trust::from(trusts_others);
        let are_others = !tls.are_same(&self.state.tls);
        let change = Change {
            policy: Policy { trust, ..policy },
            limits,
            tls: are_others.then(|| tls.clone()),
            shutdown_timeout: settings.shutdown_timeout,
            clients_max: settings.max_clients(&self.machine),
            max_dead_bytes: settings.max_dead_bytes,
            users: Users {
                submit: settings.allow_uid.clone(),
                control: settings.control_uid.clone(),
            },
            log_level: settings.log_level,
            log_format: settings.log_format,
            warnings,
        };
        follow(Step::All(Box::new(change)))?;
        let next = State::new(settings, tls, trust);
        let former = mem::replace(&mut self.state, next);
        // What was set since the reader took the news is in nothing that it has made.
        let since: Vec<Box<str>> = lock(&self.news).keys().cloned().collect();
        for origin in since {
            let own = self.own(&origin);
            follow(Step::Own(own))?;
        }
        Ok(Box::new(former))
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
    fn set(&mut self, origin: &str, key: &str, text: &str) -> Result<Own, Problem> {
        let origin = origin_of(origin)?;
        let setting = settable(key)?;
        let mut trial = self.state.general.clone();
        trial.put(setting, OsStr::new(text)).map_err(|bad| {
            let place = format!("{origin} {key}");
            Problem::new(place, bad.to_string())
        })?;
        if self.overlay.len() >= ORIGINS_SET_MAX && !self.overlay.contains_key(&origin) {
            let what =
                format!("expected at most {ORIGINS_SET_MAX} origins with settings of ctl set");
            return Err(Problem::new(origin, what));
        }
        let changed = self.overlay.entry(origin.clone()).or_default();
        changed.retain(|(known, _)| *known != setting);
        changed.push((setting, text.into()));
        lock(&self.news).insert(origin.clone(), changed.clone());
        Ok(self.own(&origin))
    }

    /// What holds at an origin that something was set of.
    fn own(&self, origin: &str) -> Own {
        let State {
            settings, general, ..
        } = &self.state;
        let origin = parsed(origin);
        let changed = &self.overlay[&*origin.text];
        let own = overlaid_one(settings, general, &origin, changed);
        Own {
            origin: Arc::new(origin),
            limits: own.limits(),
            endpoint: Arc::new(own.endpoint),
        }
    }
}

impl State {
    fn new(settings: Settings, tls: Credentials, trust: Trust) -> State {
        State {
            general: settings.without_endpoints(),
            settings,
            tls,
            trust,
        }
    }
}

impl Reader {
    /// What holds by the sources as they are now and by what was set.
    ///
    /// # Errors
    /// All that is wrong, a line each.
    pub fn read(&mut self) -> Result<Proposal, Vec<String>> {
        let loaded = self.sources.load().map_err(|problems| -> Vec<String> {
            let lines = problems.iter().map(Problem::to_string);
            lines.collect()
        })?;
        let Loaded {
            settings,
            roots,
            warnings,
            ..
        } = loaded;
        let news = mem::take(&mut *lock(&self.news));
        self.overlay.extend(news);
        let overlaid = overlaid(&settings, &self.overlay);
        Ok(Box::new(Reread {
            policy: overlaid.policy(overlaid.max_connections_total(&self.machine)),
            limits: overlaid.limits(&self.machine),
            tls: Credentials {
                roots,
                identities: settings.identities.clone().into(),
            },
            settings,
            warnings,
        }))
    }
}

fn lock(news: &News) -> MutexGuard<'_, Overlay> {
    // Each origin's entry is put in whole.
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The settings with what `ctl set` changed over them.
fn overlaid(settings: &Settings, overlay: &Overlay) -> Settings {
    let general = settings.without_endpoints();
    let mut endpoints = Endpoints::clone(&settings.endpoints);
    for (origin, changed) in overlay {
        let origin = parsed(origin);
        let own = overlaid_one(settings, &general, &origin, changed);
        endpoints.put(&origin, own);
    }
    Settings {
        endpoints: Arc::new(endpoints),
        ..general
    }
}

/// What holds at one origin.
fn overlaid_one(
    settings: &Settings,
    general: &Settings,
    origin: &Origin,
    changed: &Changed,
) -> EndpointSettings {
    let mut own = general.clone();
    if let Some(entry) = settings.endpoints.get(origin) {
        own.ttl = Some(entry.endpoint.ttl);
        own.endpoint = entry.endpoint.clone();
        own.max_queued = entry.max_queued;
    }
    for (setting, text) in changed {
        let put = own.put(setting, text);
        put.expect("the value was checked when it was set");
    }
    let mut own = own.of_endpoint();
    own.endpoint.set = changed.iter().map(|(setting, _)| setting.name).collect();
    own
}

fn parsed(origin: &str) -> Origin {
    let url = Url::parse(origin).expect("it was checked when something of it was set");
    url.to_origin()
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
