//! How all origins stand: asked of the engines a few rows at a time, added up, and kept for whoever asks.
//!
//!   Resting --asked, and GAP since the last round began--> Collecting --all told, or ANSWER_TIMEOUT--> Resting
//!
//! Who asks gets a ticket, the number of the first round that begins after that: what it shows is no older than the
//! question. At most [`ENDPOINTS_MAX`] origins are kept by name, those that are used first, for as long as the process
//! lives, and all others together: so a metric neither goes back nor vanishes when its origin is forgotten. An origin
//! is used once something was counted there, or its breaker is not closed: a stranger who names thousands of hosts that
//! are blocked takes nobody's name. A loop that does not answer in time is missing, and what it last said stands.
//!
//! Invariants: what was counted at an origin is in exactly one place, its engine's last told rows or the past. An
//! origin of the others that is forgotten after its row of this round was told goes to the past when the next begins.
//! While there are names left nothing was counted at the others, so none of their counters goes back when one gets a
//! name.
//!
//! Not here: what an engine counts (`engine/asking`), how it is written (`wire/metrics`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::map::Map;
use crate::base::time::{Instant, Now};
use crate::intake::event::EngineId;
use crate::wire::endpoint_row::{
    BreakerState, Endpoint, EndpointRow, EndpointState, OTHER, Rows, Totals,
};
use crate::wire::tally::{Durations, Tally, Waits};
use crate::wire::url::Origin;

/// Origins that are kept by name.
pub const ENDPOINTS_MAX: usize = 1_000;

/// From the beginning of one round to that of the next, at least.
pub const GAP: Duration = Duration::from_millis(100);

/// What a loop has to answer, beginning when one last did.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of a round.
pub type Ticket = u64;

/// How all origins stand.
#[derive(Debug)]
pub struct Survey {
    engines: Vec<Told>,
    /// Places in `endpoints`.
    places: Map<Box<str>, usize>,
    /// The others; then those with a name, in the order in which they got it. So whoever reads on while one gets a name
    /// finds the rest where it was.
    endpoints: Vec<Endpoint>,
    /// Of each of them what it is made of; of the others nothing.
    parts: Vec<Parts>,
    /// There have been any.
    has_others: bool,
    /// The statuses that the others' answers are shown by.
    statuses: Vec<u16>,
    stage: Stage,
    /// Rounds that have begun.
    round: Ticket,
    began: Option<Instant>,
    is_asked: bool,
    /// Somebody is to read what this round shows: none begins after it until that is done.
    held: Option<Ticket>,
    asks: VecDeque<(EngineId, u32)>,
    /// Whether the next round, and this one, keeps every row for whoever wants them all.
    wants_rows: bool,
    keeps_rows: bool,
    rows: Vec<EndpointRow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Resting,
    Collecting { until: Instant },
}

/// What a named origin is made of.
#[derive(Debug, Default)]
struct Parts {
    /// What was counted there before it was last forgotten.
    past: Option<Box<Tally>>,
    /// Whose row stands, and since which round.
    live: Option<(EngineId, Ticket)>,
    /// The statuses that its answers are shown by.
    statuses: Vec<u16>,
}

/// What an engine has told.
#[derive(Debug, Default)]
struct Told {
    /// The round in which it was last asked, while it has not answered.
    asked_in: Option<Ticket>,
    progress: Progress,
    /// Of this round so far; of the last that was whole.
    building: Sums,
    whole: Sums,
    totals: Totals,
    is_missing: bool,
    /// Of origins without a name that are forgotten: what no rows contain any more; what those of this round do not
    /// contain; what they do, or may.
    past: Tally,
    gone_before: Tally,
    gone_after: Tally,
}

/// How much of a round an engine has told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    All,
    /// The slots before this one.
    UpTo(u32),
}

#[derive(Debug, Default)]
struct Sums {
    pool: PoolState,
    others: Option<Box<(EndpointState, Tally)>>,
}

/// The connections of all origins that have one, or a job that waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    /// On their way up, or with a request on them.
    pub active: u64,
    /// Without one.
    pub idle: u64,
    /// What `maxConnections` allows.
    pub max: u64,
    /// Jobs that could be sent now if a connection were free.
    pub pending: u64,
}

impl Survey {
    /// A survey of so many engines.
    #[must_use]
    pub fn new(engines: u16, seed: [u64; 2]) -> Survey {
        Survey {
            engines: (0..engines).map(|_| Told::default()).collect(),
            places: Map::new(seed),
            endpoints: vec![Endpoint::new(OTHER.into())],
            parts: vec![Parts::default()],
            has_others: false,
            statuses: Vec::new(),
            stage: Stage::Resting,
            round: 0,
            began: None,
            is_asked: false,
            held: None,
            asks: VecDeque::new(),
            wants_rows: false,
            keeps_rows: false,
            rows: Vec::new(),
        }
    }

    /// Somebody wants to know how things stand from now on.
    pub fn ask(&mut self, now: Now) -> Ticket {
        self.is_asked = true;
        let ticket = self.round + 1;
        self.begin(now);
        ticket
    }

    /// The same, with every row: [`Survey::take_rows`] gives them when the round is over.
    pub fn ask_rows(&mut self, now: Now) -> Ticket {
        self.wants_rows = true;
        self.ask(now)
    }

    /// An engine has told of some of its origins.
    pub fn on_rows(&mut self, now: Now, engine: EngineId, rows: Rows) {
        let told = &mut self.engines[usize::from(engine.0)];
        let asked_in = told.asked_in.take();
        told.totals = rows.totals;
        if self.stage == Stage::Resting {
            return;
        }
        if asked_in != Some(self.round) {
            // That was of a round that is over.
            return self.ask_engine(engine, 0);
        }
        self.stage = Stage::Collecting {
            until: now.mono + ANSWER_TIMEOUT,
        };
        for row in rows.rows {
            self.on_row(engine, row);
        }
        let told = &mut self.engines[usize::from(engine.0)];
        if let Some(next) = rows.next {
            told.progress = Progress::UpTo(next);
            return self.ask_engine(engine, next);
        }
        told.progress = Progress::All;
        told.is_missing = false;
        told.whole = std::mem::take(&mut told.building);
        told.past.add_all(&std::mem::take(&mut told.gone_before));
        self.forget_untold(engine);
        if self
            .engines
            .iter()
            .all(|told| told.progress == Progress::All)
        {
            self.end(now);
        }
    }

    /// An engine has forgotten an origin, and hands over what was counted there.
    pub fn on_retired(&mut self, engine: EngineId, origin: &Origin, slot: u32, tally: &Tally) {
        let is_used = *tally != Tally::default();
        if let Some(place) = self.place_of(origin, is_used) {
            let Parts { past, statuses, .. } = &mut self.parts[place];
            let past = past.get_or_insert_default();
            past.add_all(tally);
            past.fold(statuses);
            self.endpoints[place].tally.clone_from(past);
            self.endpoints[place].state = None;
            self.parts[place].live = None;
            return;
        }
        let is_collecting = self.stage != Stage::Resting;
        let told = &mut self.engines[usize::from(engine.0)];
        match told.progress {
            Progress::UpTo(next) if is_collecting && slot >= next => {
                told.gone_before.add_all(tally)
            }
            Progress::UpTo(_) | Progress::All => told.gone_after.add_all(tally),
        }
    }

    /// Lets the clocks run out that have.
    pub fn handle_timeout(&mut self, now: Now) {
        if let Stage::Collecting { until } = self.stage
            && until <= now.mono
        {
            for told in &mut self.engines {
                told.is_missing = told.progress != Progress::All;
            }
            self.end(now);
        }
        self.begin(now);
    }

    /// When the next clock runs out.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Collecting { until } => Some(until),
            Stage::Resting if self.is_asked && !self.is_held() => {
                Some(self.began.map_or(Instant::default(), |began| began + GAP))
            }
            Stage::Resting => None,
        }
    }

    /// The next engine to be asked, and from which slot on.
    pub fn poll_ask(&mut self) -> Option<(EngineId, u32)> {
        self.asks.pop_front()
    }

    /// Whether an engine is to be asked.
    #[must_use]
    pub fn has_asks(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Whether the round of this ticket is over, and what it shows can be read.
    #[must_use]
    pub fn is_over(&self, ticket: Ticket) -> bool {
        self.round > ticket || (self.round == ticket && self.stage == Stage::Resting)
    }

    /// Somebody is to read what the round of this ticket shows, over some time: what is there when it is over stays as
    /// it is, but for origins that are forgotten, until this is said of a later ticket, or of none.
    pub fn hold(&mut self, now: Now, last: Option<Ticket>) {
        self.held = last;
        self.begin(now);
    }

    /// Every row of the last round, if it was asked for them and nobody has taken them.
    pub fn take_rows(&mut self) -> Vec<EndpointRow> {
        std::mem::take(&mut self.rows)
    }

    /// Whether this origin has a name.
    #[must_use]
    pub fn is_named(&self, origin: &str) -> bool {
        self.places.get(origin).is_some()
    }

    /// The others together, if there are any, and all origins that have a name.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints[usize::from(!self.has_others)..]
    }

    /// All connections.
    #[must_use]
    pub fn pool(&self) -> PoolState {
        let mut all = PoolState::default();
        for told in &self.engines {
            all.active += told.whole.pool.active;
            all.idle += told.whole.pool.idle;
            all.max += told.whole.pool.max;
            all.pending += told.whole.pool.pending;
        }
        all
    }

    /// How long jobs waited for a connection.
    #[must_use]
    pub fn waits(&self) -> Waits {
        let mut all = Waits::default();
        for told in &self.engines {
            all += &told.totals.waits;
        }
        all
    }

    /// How long attempts took, by `region`.
    #[must_use]
    pub fn regions(&self) -> Vec<(Arc<str>, Durations)> {
        let mut all = Totals::default();
        for told in &self.engines {
            all.add_regions(&told.totals);
        }
        all.regions
    }

    /// What each engine counts for all its origins together.
    pub fn totals(&self) -> impl Iterator<Item = &Totals> {
        self.engines.iter().map(|told| &told.totals)
    }

    /// Loops that did not answer in time.
    pub fn missing(&self) -> impl Iterator<Item = u16> {
        let loops = self.engines.iter().zip(0_u16..);
        loops
            .filter(|(told, _)| told.is_missing)
            .map(|(_, number)| number)
    }

    /// Begins a round, if one is asked for and may begin.
    fn begin(&mut self, now: Now) {
        let is_due = self.began.is_none_or(|began| now.mono >= began + GAP);
        if !self.is_asked || self.is_held() || !is_due || self.stage != Stage::Resting {
            return;
        }
        self.is_asked = false;
        self.round += 1;
        self.began = Some(now.mono);
        self.stage = Stage::Collecting {
            until: now.mono + ANSWER_TIMEOUT,
        };
        self.keeps_rows = std::mem::take(&mut self.wants_rows);
        self.rows = Vec::new();
        for number in 0..self.engines.len() {
            let told = &mut self.engines[number];
            told.progress = Progress::UpTo(0);
            told.building = Sums::default();
            let gone = std::mem::take(&mut told.gone_after);
            told.gone_before.add_all(&gone);
            if told.asked_in.is_none() {
                self.ask_engine(EngineId(number as u16), 0);
            }
        }
    }

    fn is_held(&self) -> bool {
        self.held.is_some_and(|last| self.round >= last)
    }

    fn ask_engine(&mut self, engine: EngineId, from: u32) {
        self.engines[usize::from(engine.0)].asked_in = Some(self.round);
        self.asks.push_back((engine, from));
    }

    fn on_row(&mut self, engine: EngineId, row: EndpointRow) {
        let is_used = row.tally != Tally::default() || row.state.breaker != BreakerState::Closed;
        let place = self.place_of(&row.origin, is_used);
        let building = &mut self.engines[usize::from(engine.0)].building;
        building.pool.add(&row.state);
        if self.keeps_rows {
            self.rows.push(row.clone());
        }
        let Some(place) = place else {
            building.add_other(row);
            return;
        };
        let parts = &mut self.parts[place];
        parts.live = Some((engine, self.round));
        let endpoint = &mut self.endpoints[place];
        endpoint.state = Some(row.state);
        endpoint.tally = row.tally;
        if let Some(past) = &parts.past {
            endpoint.tally.add_all(past);
        }
        endpoint.tally.fold(&mut parts.statuses);
    }

    /// The place of an origin that has a name; it gets one if it is used and there is one left.
    fn place_of(&mut self, origin: &Origin, is_used: bool) -> Option<usize> {
        if let Some(place) = self.places.get(&*origin.text) {
            return Some(*place);
        }
        let place = self.endpoints.len();
        if place > ENDPOINTS_MAX || !is_used {
            return None;
        }
        self.places.insert(origin.text.clone(), place);
        self.parts.push(Parts::default());
        self.endpoints.push(Endpoint::new(origin.text.clone()));
        Some(place)
    }

    /// Rows of an engine that it has not told again are of origins that it has forgotten.
    fn forget_untold(&mut self, engine: EngineId) {
        for (parts, endpoint) in self.parts.iter_mut().zip(&mut self.endpoints) {
            if parts
                .live
                .is_some_and(|(of, round)| of == engine && round != self.round)
            {
                parts.live = None;
                endpoint.state = None;
            }
        }
    }

    fn end(&mut self, now: Now) {
        self.stage = Stage::Resting;
        self.sum_others();
        self.begin(now);
    }

    /// Adds up what is told and counted of the origins without a name.
    fn sum_others(&mut self) {
        let mut others = Endpoint::new(OTHER.into());
        for told in &self.engines {
            others.tally.add_all(&told.past);
            if let Some(more) = &told.whole.others {
                others.tally.add_all(&more.1);
                let state = others.state.map_or(more.0, |state| state.and(more.0));
                others.state = Some(state);
            }
        }
        others.tally.fold(&mut self.statuses);
        self.has_others |= others.state.is_some() || others.tally != Tally::default();
        self.endpoints[0] = others;
    }
}

impl PoolState {
    fn add(&mut self, state: &EndpointState) {
        if state.is_in_use() {
            self.active += u64::from(state.active);
            self.idle += u64::from(state.idle);
            self.max += u64::from(state.max);
            self.pending += u64::from(state.pending);
        }
    }
}

impl Sums {
    fn add_other(&mut self, row: EndpointRow) {
        match &mut self.others {
            None => self.others = Some(Box::new((row.state, row.tally))),
            Some(others) => {
                others.0 = others.0.and(row.state);
                others.1.add_all(&row.tally);
            }
        }
    }
}

#[cfg(test)]
mod tests;
