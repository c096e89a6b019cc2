//! Runs that are staged for one figure: the guide's hour, isolation, a receiver that comes back, one that is weak.
//!
//! Not here: what is measured in them and must come out (the tests of the same names).

use std::sync::Arc;
use std::time::Duration;

use conduit::engine::policy::Policy;

use super::dice::Dice;
use super::scenario::{Arrivals, NetPlan, OriginPlan, Reach, Scenario, arrivals};
use super::servers::{Mode, Phase, ResetAt};

const MINUTE: Duration = Duration::from_secs(60);

/// 60 minutes at 1,000 jobs a minute, and every 10 minutes 100 a second for 10 s; of 40 origins 10 misbehave.
pub fn the_guides_hour(dice: &mut Dice) -> Scenario {
    let mut plan = empty();
    for minute in 0..60 {
        let from = MINUTE * minute;
        let burst = if minute % 10 == 5 {
            Duration::from_secs(10)
        } else {
            Duration::ZERO
        };
        if !burst.is_zero() {
            plan.push(arrivals(1_000, from, from + burst));
        }
        plan.push(arrivals(1_000, from + burst, from + MINUTE));
    }
    plan.scenario.faults_end = MINUTE * 60;
    for index in 0..40 {
        let mut origin = OriginPlan::healthy();
        origin.secure = index % 3 == 0;
        origin.think = Duration::from_millis(dice.between(5, 150));
        origin.latency = Duration::from_millis(dice.between(1, 40));
        origin.weight = dice.between(1, 4) as u32;
        plan.scenario.origins.push(origin);
    }
    for (index, mode) in misbehaviours().into_iter().enumerate() {
        plan.scenario.origins[index].phases = phases(dice, mode, MINUTE * 60);
    }
    plan.scenario.origins[9].v6 = Some(Reach::BlackHole);
    // Not all healthy receivers are dull.
    for (index, mode) in [
        Mode::StaleClose(2_000),
        Mode::CloseDelimited,
        Mode::Slow(300),
    ]
    .into_iter()
    .enumerate()
    {
        plan.scenario.origins[10 + index].phases = vec![Phase {
            until: MINUTE * 60,
            mode,
        }];
    }
    plan.scenario.net.cuts = 5;
    plan.scenario
}

/// The origins that misbehave in the guide's hour.
pub const MISBEHAVING: usize = 10;

fn misbehaviours() -> [Mode; MISBEHAVING] {
    [
        Mode::BlackHole,
        Mode::Refuse,
        Mode::Status(503),
        Mode::RetryAfter {
            status: 429,
            seconds: 10,
            as_date: false,
        },
        Mode::Reset(ResetAt::Head),
        Mode::Drip {
            head: true,
            millis: 300,
        },
        Mode::Mute,
        Mode::TlsBad,
        Mode::NoSuchName,
        Mode::Slow(2_000),
    ]
}

/// Minutes of misbehaviour with minutes of health between.
fn phases(dice: &mut Dice, mode: Mode, until: Duration) -> Vec<Phase> {
    let mut phases = Vec::new();
    let mut at = Duration::ZERO;
    while at < until {
        for mode in [Mode::Healthy, mode] {
            at += Duration::from_secs(dice.between(60, 400));
            phases.push(Phase {
                until: at.min(until),
                mode,
            });
        }
    }
    phases
}

/// Seven healthy receivers at full speed; `with_sick`: beside a dead, a dripping and a very slow one. The healthy
/// ones get the same jobs at the same times either way.
pub fn isolation(with_sick: bool) -> Scenario {
    let mut plan = empty();
    let lasts = Duration::from_secs(20);
    plan.push(arrivals(40_000, Duration::ZERO, lasts));
    plan.scenario.faults_end = lasts;
    plan.scenario.take_turns = true;
    for index in 0..10 {
        let mut origin = OriginPlan::healthy();
        origin.think = Duration::from_millis(100);
        let mode = match index {
            0 => Mode::BlackHole,
            1 => Mode::Drip {
                head: true,
                millis: 500,
            },
            2 => Mode::Slow(10_000),
            _ => Mode::Healthy,
        };
        if with_sick {
            origin.phases = vec![Phase { until: lasts, mode }];
        }
        plan.scenario.origins.push(origin);
    }
    plan.scenario
}

/// One origin that is down for 90 s while 5,000 jobs come for it.
pub fn herd() -> Scenario {
    let mut plan = empty();
    plan.push(arrivals(100, Duration::ZERO, HERD_DOWN_FROM));
    plan.push(arrivals(5_000, HERD_DOWN_FROM, HERD_DOWN_UNTIL));
    plan.scenario.faults_end = HERD_DOWN_UNTIL;
    let mut origin = OriginPlan::healthy();
    origin.think = Duration::from_millis(100);
    origin.phases = vec![
        Phase {
            until: HERD_DOWN_FROM,
            mode: Mode::Healthy,
        },
        Phase {
            until: HERD_DOWN_UNTIL,
            mode: Mode::Refuse,
        },
    ];
    plan.scenario.origins.push(origin);
    plan.scenario
}

/// When the receiver of [`herd`] goes down, and when it is back.
pub const HERD_DOWN_FROM: Duration = Duration::from_secs(10);
pub const HERD_DOWN_UNTIL: Duration = Duration::from_secs(100);

/// One origin that needs a while for each answer, and is down for longer than a job's time to live, under constant load:
/// whichever job waits for longest is about to expire.
pub fn revival() -> Scenario {
    let mut plan = empty();
    Arc::make_mut(&mut plan.scenario.policy.endpoint).ttl = REVIVAL_TTL;
    plan.push(arrivals(480, Duration::ZERO, Duration::from_secs(480)));
    plan.scenario.faults_end = REVIVAL_DOWN_UNTIL;
    let mut origin = OriginPlan::healthy();
    origin.think = Duration::from_millis(1_500);
    origin.phases = vec![Phase {
        until: REVIVAL_DOWN_UNTIL,
        mode: Mode::Refuse,
    }];
    plan.scenario.origins.push(origin);
    plan.scenario
}

/// When the receiver of [`revival`] is back, and how long its jobs live.
pub const REVIVAL_DOWN_UNTIL: Duration = Duration::from_secs(240);
pub const REVIVAL_TTL: Duration = Duration::from_secs(120);

/// A receiver that loses nine tenths of its capacity for a while.
#[derive(Clone, Copy, Debug)]
pub struct Weak {
    pub name: &'static str,
    pub think: Duration,
    /// Requests that may wait for their turn there.
    pub queue: u16,
    pub jobs_a_second: u32,
    pub bounds: WeakBounds,
}

/// What must come of it where the endpoint's settings adapt.
#[derive(Clone, Copy, Debug)]
pub struct WeakBounds {
    /// Of what it can serve while it is weak, this part is delivered, and so many times what is without.
    pub used: f64,
    pub gained: f64,
    /// So many more attempts fail in all.
    pub failed_more: u32,
    /// Half of the attempts take no longer while it is weak.
    pub p50: Duration,
}

/// One that answers 503 when it has enough to do, one that makes its clients wait, one where they wait in vain.
pub const WEAK: [Weak; 3] = [
    Weak {
        name: "sheds",
        think: Duration::from_millis(200),
        queue: 5,
        jobs_a_second: 100,
        bounds: WeakBounds {
            used: 0.9,
            gained: 10.0,
            failed_more: 0,
            p50: Duration::from_millis(500),
        },
    },
    Weak {
        name: "slows",
        think: Duration::from_millis(200),
        queue: 1_000,
        jobs_a_second: 100,
        bounds: WeakBounds {
            used: 0.9,
            gained: 0.98,
            failed_more: 50,
            p50: Duration::from_millis(500),
        },
    },
    Weak {
        name: "stalls",
        think: Duration::from_millis(1_200),
        queue: 1_000,
        jobs_a_second: 20,
        bounds: WeakBounds {
            used: 0.6,
            gained: 1.5,
            failed_more: 0,
            p50: Duration::from_millis(3_000),
        },
    },
];

/// One such origin under constant load, of which it can serve two and a half times as much when it is well, and a
/// quarter when it is not; the endpoint's settings adapt or don't.
pub fn adaptivity(weak: Weak, adapts: bool) -> Scenario {
    let mut plan = empty();
    let endpoint = Arc::make_mut(&mut plan.scenario.policy.endpoint);
    endpoint.adaptive_timeout = adapts;
    endpoint.adaptive_concurrency = adapts;
    let jobs = weak.jobs_a_second * WEAK_ENDS.as_secs() as u32;
    plan.push(arrivals(jobs, Duration::ZERO, WEAK_ENDS));
    plan.scenario.faults_end = WEAK_UNTIL;
    let mut origin = OriginPlan::healthy();
    origin.think = weak.think;
    let phase = |until, workers| Phase {
        until,
        mode: Mode::Capacity {
            workers,
            queue: weak.queue,
        },
    };
    origin.phases = vec![
        phase(WEAK_FROM, WEAK_WORKERS * 10),
        phase(WEAK_UNTIL, WEAK_WORKERS),
        phase(WEAK_ENDS * 2, WEAK_WORKERS * 10),
    ];
    plan.scenario.origins.push(origin);
    plan.scenario
}

/// Requests that the receiver of [`adaptivity`] serves at a time while it is weak.
pub const WEAK_WORKERS: u16 = 5;
/// When the receiver of [`adaptivity`] loses its capacity, when it has it back, and when the last job comes.
pub const WEAK_FROM: Duration = Duration::from_secs(60);
pub const WEAK_UNTIL: Duration = Duration::from_secs(300);
pub const WEAK_ENDS: Duration = Duration::from_secs(600);

/// A scenario in the making.
struct Stage {
    scenario: Scenario,
}

impl Stage {
    fn push(&mut self, arrivals: Arrivals) {
        self.scenario.jobs += arrivals.jobs;
        self.scenario.arrivals.push(arrivals);
    }
}

/// The built-in settings, one engine, no faults.
fn empty() -> Stage {
    Stage {
        scenario: Scenario {
            jobs: 0,
            arrivals: Vec::new(),
            policy: Policy {
                allow_http: true,
                ..Policy::default()
            },
            swaps: Vec::new(),
            orders: Vec::new(),
            engines: 1,
            max_pending: 100_000,
            origins: Vec::new(),
            name_servers: vec![Vec::new(), Vec::new()],
            dns_ttl: 60,
            local_trouble: Vec::new(),
            pauses: Vec::new(),
            net: NetPlan {
                cuts: 0,
                stale_inputs: 0,
            },
            bad_lines: false,
            slow_reader: false,
            own_limits: false,
            spools: false,
            spool: None,
            take_turns: false,
            faults_end: Duration::ZERO,
        },
    }
}
