//! The simulator's tests: many short runs of everything at once, and staged ones that give a figure each.
//!
//! A run that fails names its seed and shows how it came to it; `CONDUIT_SIM_SEED=N cargo test --test sim short --
//! --nocapture` plays it again, and nothing else. `CONDUIT_SIM_SEEDS=N` plays so many seeds.
//! `CONDUIT_SIM_SEEDS=10000 cargo test --release --test sim survival -- --nocapture` is a night's work for the spool.

mod figures;
mod play;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conduit::base::time::Instant;
use figures::{Figures, Span};
use play::dice::{Dice, expand};
use play::model::Seen;
use play::scenario::{SHORT, SURVIVAL, Scenario, Size};
use play::staged;
use play::world::World;

const SEEDS: u64 = 256;
const SURVIVAL_SEEDS: u64 = 64;
const HOURS: u64 = 4;

/// What the short runs must come across: what never happens in them they say nothing of.
const TO_BE_SEEN: [(&str, &str); 49] = [
    ("closed", "body"),
    ("closed", "close_asked"),
    ("closed", "close_delimited"),
    ("closed", "desync"),
    ("closed", "drain"),
    ("closed", "early_answer"),
    ("closed", "evicted"),
    ("closed", "http10"),
    ("closed", "idle"),
    ("closed", "length_and_encoding"),
    ("closed", "lifetime"),
    ("closed", "max_requests"),
    ("closed", "peer_closed"),
    ("closed", "policy"),
    ("closed", "protocol"),
    ("closed", "reset"),
    ("closed", "stale"),
    ("closed", "surplus"),
    ("closed", "status"),
    ("closed", "timeout"),
    ("closed", "unsolicited"),
    ("failure", "connect"),
    ("failure", "dns"),
    ("failure", "gone"),
    ("failure", "http"),
    ("failure", "protocol"),
    ("failure", "reset"),
    ("failure", "timeout"),
    ("failure", "tls"),
    ("note", "breaker opens"),
    ("note", "breaker closes"),
    ("note", "held ms"),
    ("note", "local trouble"),
    ("note", "isolated"),
    ("note", "refused"),
    ("note", "stood still ms"),
    ("order", "isolate"),
    ("order", "reset"),
    ("outcome", "blocked"),
    ("outcome", "delivered"),
    ("outcome", "exhausted"),
    ("outcome", "expired"),
    ("outcome", "rejected"),
    ("policy", "swap"),
    ("spool", "attempted"),
    ("spool", "postponed"),
    ("wire", "late half"),
    ("wire", "query over tcp"),
    ("wire", "resend"),
];

#[test]
fn short() {
    let seen = Mutex::new(Seen::new());
    each_seed("CONDUIT_SIM_SEEDS", SEEDS, |seed| {
        let first = short_run(seed, SHORT);
        let second = short_run(seed, SHORT);
        assert_eq!(
            first.trace.hash(),
            second.trace.hash(),
            "seed {seed} plays two different runs"
        );
        let mut seen = seen.lock().expect("no run has failed");
        for (what, times) in &first.model.seen {
            *seen.entry(*what).or_default() += times;
        }
    });
    let seen = seen.into_inner().expect("no run has failed");
    for ((kind, name), times) in &seen {
        println!("short: {kind:<8} {name:<18} {times:>8} times");
    }
    let missing = TO_BE_SEEN.iter().filter(|what| !seen.contains_key(what));
    let missing: Vec<_> = missing.collect();
    assert!(
        missing.is_empty() || number_of("CONDUIT_SIM_SEED").is_some(),
        "never seen: {missing:?}"
    );
}

/// The same for runs with a spool.
const TO_BE_SURVIVED: [&str; 11] = [
    "copied",
    "duplicate",
    "ended, and found",
    "found",
    "kill",
    "letters dropped",
    "once more",
    "power cut",
    "recovered",
    "refused",
    "trouble",
];

#[test]
fn survival() {
    let seen = Mutex::new(Seen::new());
    each_seed("CONDUIT_SIM_SEEDS", SURVIVAL_SEEDS, |seed| {
        let first = survival_run(seed);
        let second = survival_run(seed);
        assert_eq!(
            first.trace.hash(),
            second.trace.hash(),
            "seed {seed} plays two different runs"
        );
        let mut seen = seen.lock().expect("no run has failed");
        for (what, times) in &first.model.seen {
            *seen.entry(*what).or_default() += times;
        }
    });
    let seen = seen.into_inner().expect("no run has failed");
    for ((kind, name), times) in &seen {
        println!("survival: {kind:<8} {name:<18} {times:>8} times");
    }
    let missing = TO_BE_SURVIVED
        .iter()
        .filter(|name| !seen.contains_key(&("spool", **name)));
    let missing: Vec<_> = missing.collect();
    assert!(
        missing.is_empty() || number_of("CONDUIT_SIM_SEED").is_some(),
        "never seen: {missing:?}"
    );
}

#[test]
fn the_guides_hour() {
    let variable = "CONDUIT_SIM_HOURS";
    each_seed(variable, HOURS, |seed| {
        let mut dice = Dice::from_seed(seed);
        let plan = staged::the_guides_hour(&mut dice);
        let replay =
            format!("CONDUIT_SIM_SEED={seed} cargo test --test sim the_guides_hour -- --nocapture");
        let world = play::play(plan, dice, replay);
        let healthy = Figures::of(&world, |origin| origin >= staged::MISBEHAVING);
        let sick = Figures::of(&world, |origin| origin < staged::MISBEHAVING);
        let (trips, false_trips) = trips(&world);
        println!("hour {seed}: healthy {healthy}");
        println!("hour {seed}: sick    {sick}; {trips} trips there, {false_trips} elsewhere");
        assert!(healthy.delivered_percent() > 99.5);
        assert!(healthy.percentile(950) < Duration::from_secs(5));
        assert_eq!(false_trips, 0, "a breaker opens at a healthy origin");
    });
}

/// Breakers opened, at origins that misbehave and at others.
fn trips(world: &World) -> (usize, usize) {
    let trips = world
        .model
        .breakers
        .iter()
        .map(|breaker| breaker.trips.len());
    let trips: Vec<usize> = trips.collect();
    let (sick, healthy) = trips.split_at(staged::MISBEHAVING);
    (sick.iter().sum(), healthy.iter().sum())
}

#[test]
fn isolation() {
    let figures = [false, true].map(|with_sick| {
        let replay = "cargo test --test sim isolation -- --nocapture".to_owned();
        let world = play::play(staged::isolation(with_sick), Dice::from_seed(0), replay);
        let figures = Figures::of(&world, |origin| origin >= 3);
        println!("isolation, sick ones beside: {with_sick:>5}: {figures}");
        [figures.percentile(990), figures.waited_percentile(990)].map(|p99| p99.as_secs_f64())
    });
    let [without, with] = figures;
    let (taken_in, in_all) = (with[0] / without[0], with[1] / without[1]);
    println!(
        "isolation: p99 of the healthy ones with / without: {taken_in:.3} once taken in, {in_all:.3} in all"
    );
    assert!(taken_in <= 1.2, "I15: a sick origin slows the healthy ones");
    // One feed is one line: how far it is read past the sick ones' jobs is intake's measure, and a coarse one.
    assert!(in_all <= 1.5, "a sick origin holds back the feed");
}

#[test]
fn herd() {
    let replay = "cargo test --test sim herd -- --nocapture".to_owned();
    let world = play::play(staged::herd(), Dice::from_seed(0), replay);
    let receiver = &world.receivers[0];
    let from = staged::HERD_DOWN_FROM.as_secs() as usize;
    println!(
        "herd: down from {from} s to {} s",
        staged::HERD_DOWN_UNTIL.as_secs()
    );
    for (second, requests) in receiver
        .requests
        .iter()
        .enumerate()
        .filter(|(_, requests)| **requests > 0)
    {
        println!("herd: second {second:>4}: {requests:>4} requests begun");
    }
    let figures = Figures::of(&world, |_| true);
    let back = Instant::from_nanos(0) + staged::HERD_DOWN_UNTIL;
    let (during, after): (Vec<Instant>, Vec<Instant>) = world.model.breakers[0]
        .trips
        .iter()
        .partition(|at| **at < back);
    let (during, after) = (during.len(), after.len());
    println!("herd: {figures}");
    println!(
        "herd: at most {} at once, {during} trips before it was back, {after} after",
        receiver.in_flight_max
    );
    assert_eq!(figures.delivered, figures.jobs);
    assert!(receiver.in_flight_max <= 50);
    assert_eq!(after, 0, "the load that comes back brings it down again");
}

#[test]
fn revival() {
    let replay = "cargo test --test sim revival -- --nocapture".to_owned();
    let world = play::play(staged::revival(), Dice::from_seed(0), replay);
    let figures = Figures::of(&world, |_| true);
    let back = Instant::from_nanos(0) + staged::REVIVAL_DOWN_UNTIL;
    let trips = &world.model.breakers[0].trips;
    let after = trips.iter().filter(|at| **at > back).count();
    println!("revival: {figures}, {after} trips after it was back");
    // Half of the jobs come after its return.
    assert_eq!(after, 0, "attempts without time are held against it");
    assert!(
        figures.delivered_percent() > 50.0,
        "load does not come back"
    );
}

#[test]
fn adaptivity() {
    for weak in staged::WEAK {
        let [without, with] = [false, true].map(|adapts| play_weak(weak, adapts));
        let name = weak.name;
        println!("adaptivity, {name}, off: {without}");
        println!("adaptivity, {name}, on:  {with}");
        println!(
            "adaptivity, {name}: goodput while weak {:.1} -> {:.1} a second, p99 {:.1?} -> {:.1?}",
            without.weak.goodput(),
            with.weak.goodput(),
            without.weak.p99(),
            with.weak.p99()
        );
        let bounds = weak.bounds;
        let capacity = f64::from(staged::WEAK_WORKERS) / weak.think.as_secs_f64();
        let goodput = with.weak.goodput();
        assert_eq!(with.all.delivered, with.all.jobs, "{name}");
        assert!(goodput > capacity * bounds.used, "{name}: little is used");
        assert!(
            goodput > without.weak.goodput() * bounds.gained,
            "{name}: little is gained"
        );
        assert!(
            with.all.failed <= without.all.failed + bounds.failed_more,
            "{name}: attempts are wasted"
        );
        assert!(with.weak.p50() < bounds.p50, "{name}: answers come late");
        assert!(
            with.weak.p99() < without.weak.p99(),
            "{name}: some come late"
        );
        // As if nothing had been: full load, full speed, nothing limited.
        assert!(
            with.after.goodput() > with.before.goodput() * 0.98,
            "{name}"
        );
        assert!(with.after.p99() <= with.before.p99() * 11 / 10, "{name}");
        assert!(
            with.after.p99_of_jobs() <= with.before.p99_of_jobs() * 11 / 10,
            "{name}"
        );
        assert_eq!(with.after.failed, 0, "{name}");
    }
}

/// What comes of a receiver that is weak for a while.
struct Weathered {
    trips: usize,
    before: Span,
    weak: Span,
    after: Span,
    all: Span,
}

fn play_weak(weak: staged::Weak, adapts: bool) -> Weathered {
    let replay = "cargo test --test sim adaptivity -- --nocapture".to_owned();
    let plan = staged::adaptivity(weak, adapts);
    let world = play::play(plan, Dice::from_seed(0), replay);
    let [from, until, ends] = [staged::WEAK_FROM, staged::WEAK_UNTIL, staged::WEAK_ENDS];
    Weathered {
        trips: world.model.breakers[0].trips.len(),
        before: Span::of(&world, Duration::ZERO, from),
        weak: Span::of(&world, from, until),
        after: Span::of(&world, ends - from, ends),
        all: Span::of(&world, Duration::ZERO, Duration::MAX),
    }
}

impl std::fmt::Display for Weathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} trips", self.trips)?;
        writeln!(f, "    before  {}", self.before)?;
        writeln!(f, "    weak    {}", self.weak)?;
        writeln!(f, "    after   {}", self.after)?;
        write!(f, "    in all  {}", self.all)
    }
}

fn short_run(seed: u64, size: Size) -> World {
    let mut dice = Dice::from_bytes(&expand(seed));
    let plan = Scenario::decode(&mut dice, size);
    let replay = format!("CONDUIT_SIM_SEED={seed} cargo test --test sim short -- --nocapture");
    play::play(plan, dice, replay)
}

fn survival_run(seed: u64) -> World {
    let mut dice = Dice::from_bytes(&expand(seed));
    let plan = Scenario::decode(&mut dice, SURVIVAL).with_spool(&mut dice);
    let replay = format!("CONDUIT_SIM_SEED={seed} cargo test --test sim survival -- --nocapture");
    play::play(plan, dice, replay)
}

/// Plays the seeds on all processors.
fn each_seed(variable: &str, seeds: u64, run: impl Fn(u64) + Sync) {
    if let Some(seed) = number_of("CONDUIT_SIM_SEED") {
        return run(seed);
    }
    let seeds = number_of(variable).unwrap_or(seeds);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _stop = StopOthers(&next);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    run(seed);
                }
            });
        }
    });
}

/// A run that fails ends the others' turn too.
struct StopOthers<'a>(&'a AtomicU64);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(u64::MAX / 2, Ordering::Relaxed);
        }
    }
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
