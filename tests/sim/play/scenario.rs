//! What a run consists of: jobs, origins and their faults, name servers, the network, and this machine's own
//! trouble, each with its time. Decoded from bytes.
//!
//! Each run switches some faults fully off (swarm): a fault that is always there hides what happens without it.
//! After `faults_end` everything is healthy, so that everything can end.
//!
//! Not here: runs that are staged for one figure (`staged`).
//!

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use conduit::engine::event::BreakerOrder;
use conduit::engine::policy::{Endpoint, OnCircuitOpen, Policy, Rate};
use conduit::wire::endpoints::Endpoints;
use conduit::wire::url::Url;

use super::dice::Dice;
use super::dns::NameServerMode;
use super::servers::{Mode, Phase, ResetAt};
use super::spool::SpoolPlan;

/// A run.
pub struct Scenario {
    pub jobs: u32,
    /// When jobs come: so many, evenly from one time to another; one after the other.
    pub arrivals: Vec<Arrivals>,
    pub policy: Policy,
    /// Other settings, and when they begin to hold.
    pub swaps: Vec<(Duration, Policy)>,
    /// What somebody wants of the origins' breakers, and when.
    pub orders: Vec<(Duration, usize, BreakerOrder)>,
    pub engines: u16,
    /// Jobs that intake takes in before the first has ended.
    pub max_pending: usize,
    pub origins: Vec<OriginPlan>,
    pub name_servers: Vec<Vec<NameServerPhase>>,
    pub dns_ttl: u32,
    /// Connects fail with a cause of this machine, from one time to another.
    pub local_trouble: Vec<(Duration, Duration)>,
    /// The driver stops for so long.
    pub pauses: Vec<(Duration, Duration)>,
    pub net: NetPlan,
    /// Lines that are no jobs stand between the others.
    pub bad_lines: bool,
    /// Nobody takes results for a while.
    pub slow_reader: bool,
    /// Jobs with a time to live or a timeout of their own.
    pub own_limits: bool,
    /// Jobs are in a spool, and some of those that are put off come back as a later start finds them.
    pub spools: bool,
    /// A real journal beside intake, on a disk and in a process that fail.
    pub spool: Option<SpoolPlan>,
    /// Origins get their jobs in turn, not as the dice say.
    pub take_turns: bool,
    pub faults_end: Duration,
}

/// Jobs that come evenly spread.
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    pub jobs: u32,
    pub from: Duration,
    pub to: Duration,
}

/// One origin.
pub struct OriginPlan {
    pub secure: bool,
    pub host: HostKind,
    /// It has an IPv6 address, and what becomes of those who use that.
    pub v6: Option<Reach>,
    /// Its name leads to a forbidden address: alone, or beside its others.
    pub denied: Denied,
    pub phases: Vec<Phase>,
    pub think: Duration,
    /// One way.
    pub latency: Duration,
    /// Its share of the jobs.
    pub weight: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// A name server knows it.
    Name,
    /// `/etc/hosts` does.
    HostsFile,
    /// An address.
    Literal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Fine,
    BlackHole,
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    No,
    /// Beside an allowed one.
    Mixed,
    Only,
}

#[derive(Clone, Copy, Debug)]
pub struct NameServerPhase {
    pub until: Duration,
    pub mode: NameServerMode,
}

/// How bytes travel.
#[derive(Clone, Copy, Debug)]
pub struct NetPlan {
    /// How often, of a hundred times, bytes are taken or arrive in pieces.
    pub cuts: u64,
    /// How often an input comes for a socket that the engine has closed.
    pub stale_inputs: u64,
}

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub jobs: u32,
    pub origins: u64,
}

pub const SHORT: Size = Size {
    jobs: 2_000,
    origins: 24,
};
/// With a spool, whose crashes bring work of their own.
pub const SURVIVAL: Size = Size {
    jobs: 1_000,
    origins: 12,
};
/// For the fuzzer, which wants many runs a second.
pub const SMALL: Size = Size {
    jobs: 100,
    origins: 6,
};

impl Scenario {
    /// The run that the dice say.
    pub fn decode(dice: &mut Dice, size: Size) -> Scenario {
        let swarm = Swarm(dice.below(0x1_0000) | dice.below(0x1_0000) << 16);
        let jobs = size.jobs / 2 + dice.below(u64::from(size.jobs / 2)) as u32 + 1;
        let span = Duration::from_secs(dice.between(1, 60));
        let faults_end = span + Duration::from_secs(dice.between(1, 120));
        let origins = dice.between(1, size.origins);
        let mut policy = policy(dice, swarm);
        // The number of jobs is as good as dice, and leaves the meaning of those as it is.
        let endpoint = Arc::make_mut(&mut policy.endpoint);
        endpoint.adaptive_timeout = jobs.is_multiple_of(2);
        endpoint.adaptive_concurrency = jobs.is_multiple_of(3);
        let origins = (0..origins)
            .map(|_| origin(dice, swarm, faults_end))
            .collect();
        let servers = dice.between(1, 3);
        let name_servers = (0..servers)
            .map(|_| name_server(dice, swarm, faults_end))
            .collect();
        let windows = |dice: &mut Dice, on: bool, longest: u64| -> Vec<(Duration, Duration)> {
            let count = if on { dice.between(1, 3) } else { 0 };
            let mut windows: Vec<_> = (0..count)
                .map(|_| {
                    let from = Duration::from_millis(dice.below(span.as_millis() as u64));
                    (
                        from,
                        Duration::from_millis(dice.between(1, longest * 1_000)),
                    )
                })
                .collect();
            windows.sort();
            windows
        };
        let burst = jobs / 3;
        let half = span / 2;
        let mut plan = Scenario {
            jobs,
            arrivals: vec![
                arrivals(jobs - 2 * burst, Duration::ZERO, half),
                arrivals(burst, half, half + span / 20),
                arrivals(burst, half + span / 20, span),
            ],
            policy,
            swaps: Vec::new(),
            orders: Vec::new(),
            engines: dice.between(1, 2) as u16,
            max_pending: if dice.chance(20) {
                50 + dice.below(500) as usize
            } else {
                100_000
            },
            origins,
            name_servers,
            dns_ttl: dice.pick(&[0, 1, 30, 300]),
            local_trouble: windows(dice, swarm.has(20), 10),
            pauses: windows(dice, swarm.has(21), 8),
            net: NetPlan {
                cuts: if swarm.has(22) {
                    dice.pick(&[5, 30, 90])
                } else {
                    0
                },
                stale_inputs: if swarm.has(23) { 20 } else { 0 },
            },
            bad_lines: swarm.has(24),
            slow_reader: swarm.has(25),
            own_limits: swarm.has(26),
            spools: false,
            spool: None,
            take_turns: false,
            faults_end,
        };
        plan.decode_more(dice);
        plan
    }

    /// The same run with a spool, whose sender is a client of the socket.
    pub fn with_spool(mut self, dice: &mut Dice) -> Scenario {
        self.spools = false;
        self.bad_lines = false;
        // What a start reads of its settings is another story.
        self.swaps.clear();
        self.spool = Some(SpoolPlan::decode(dice, &self));
        self
    }

    /// What came later to runs, so that all before it is decoded as it was.
    fn decode_more(&mut self, dice: &mut Dice) {
        self.spools = dice.chance(40);
        if self.spools && dice.chance(50) {
            // Now and then a wait for which a job leaves its engine.
            let endpoint = Arc::make_mut(&mut self.policy.endpoint);
            let waits = endpoint.retry_schedule.iter();
            endpoint.retry_schedule = waits
                .map(|wait| *wait + Duration::from_secs(dice.pick(&[0, 55, 90])))
                .collect();
        }
        if dice.chance(40) {
            self.policy = self.with_own_settings(dice, self.policy.clone());
        }
        if dice.chance(40) {
            let last = self.faults_end.as_millis() as u64;
            let mut times: Vec<u64> = (0..dice.between(1, 4)).map(|_| dice.below(last)).collect();
            times.sort_unstable();
            for at in times {
                let mut policy = self.policy.clone();
                change(dice, Arc::make_mut(&mut policy.endpoint));
                policy.max_connections_total = dice.pick(&[2, 10, 40, 1024]);
                policy.allow_http = !dice.chance(15);
                policy.endpoints = Arc::default();
                let policy = self.with_own_settings(dice, policy);
                self.swaps.push((Duration::from_millis(at), policy));
            }
            // What is forbidden for a while is no fault that the model could foretell.
            let end = (self.faults_end, self.policy.clone());
            self.swaps.push(end);
        }
        if dice.chance(30) {
            self.order_breakers(dice);
        }
    }

    fn order_breakers(&mut self, dice: &mut Dice) {
        let last = self.faults_end.as_nanos() as u64;
        for _ in 0..dice.between(1, 8) {
            let at = Duration::from_nanos(dice.below(last));
            let origin = dice.below(self.origins.len() as u64) as usize;
            let order = dice.pick(&[BreakerOrder::Reset, BreakerOrder::Isolate]);
            self.orders.push((at, origin, order));
            if order == BreakerOrder::Isolate {
                let end = (self.faults_end, origin, BreakerOrder::Reset);
                self.orders.push(end);
            }
        }
        self.orders.sort_by_key(|(at, ..)| *at);
    }

    /// Gives some origins settings of their own.
    fn with_own_settings(&self, dice: &mut Dice, policy: Policy) -> Policy {
        let mut endpoints = Endpoints::clone(&policy.endpoints);
        let mut keys: Vec<String> = (0..self.origins.len()).map(|n| self.url(n)).collect();
        keys.push("https://*.example".to_owned());
        keys.push("http://*.example:8080".to_owned());
        for key in keys {
            let mut endpoint = Endpoint::clone(&policy.endpoint);
            if dice.chance(30) {
                change(dice, &mut endpoint);
                // Origins of forbidden addresses share one.
                let (Ok(()) | Err(_)) = endpoints.insert(&key, Arc::new(endpoint));
            }
        }
        Policy {
            endpoints: Arc::new(endpoints),
            ..policy
        }
    }

    /// All settings that hold at some time.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        let swapped = self.swaps.iter().map(|(_, policy)| policy);
        std::iter::once(&self.policy).chain(swapped)
    }

    /// What holds for each origin.
    pub fn endpoints(&self, policy: &Policy) -> Vec<Arc<Endpoint>> {
        (0..self.origins.len())
            .map(|origin| {
                let url = self.url(origin);
                let url = Url::parse(&url).expect("origins have URLs");
                Arc::clone(policy.endpoint_of(&url.to_origin()))
            })
            .collect()
    }

    /// Of each limit of time and number the largest that holds for the origin at some time.
    pub fn loosest(&self) -> Vec<Endpoint> {
        let mut all = self.policies().map(|policy| self.endpoints(policy));
        let first = all.next().unwrap_or_default();
        let mut loosest: Vec<Endpoint> = first.iter().map(|first| Endpoint::clone(first)).collect();
        for endpoints in all {
            for (loosest, other) in loosest.iter_mut().zip(&endpoints) {
                loosen(loosest, other);
            }
        }
        loosest
    }

    /// The addresses that the origin's name has, forbidden ones included.
    pub fn addresses(&self, origin: usize, wants_v6: bool) -> Vec<IpAddr> {
        let plan = &self.origins[origin];
        let mut addrs = Vec::new();
        if wants_v6 {
            if plan.v6.is_some() && plan.denied != Denied::Only {
                addrs.push(v6_of(origin));
            }
            if self.is_v6_forbidden(origin) {
                addrs.push(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, origin as u16).into());
            }
            return addrs;
        }
        if plan.denied != Denied::No && !self.is_v6_forbidden(origin) {
            addrs.push(Ipv4Addr::new(10, 0, (origin >> 8) as u8, origin as u8).into());
        }
        if plan.denied != Denied::Only {
            addrs.push(v4_of(origin));
        }
        addrs
    }

    /// Whether what is forbidden beside something allowed is the whole of a family.
    fn is_v6_forbidden(&self, origin: usize) -> bool {
        let plan = &self.origins[origin];
        plan.denied == Denied::Mixed && plan.v6.is_none() && origin.is_multiple_of(2)
    }

    /// By how much the answer about one family of an origin's name is later than that about the other: that must decide
    /// nothing but time (F151), of which an attempt has enough.
    pub fn lateness(&self, origin: usize, wants_v6: bool, at: Duration) -> Duration {
        let is_late = wants_v6 == origin.is_multiple_of(4) && at < self.faults_end;
        if !is_late {
            return Duration::ZERO;
        }
        let url = self.url(origin);
        let url = Url::parse(&url).expect("origins have URLs");
        let name = url.to_origin();
        let clocks = self.policies().flat_map(|policy| {
            let endpoint = policy.endpoint_of(&name);
            [endpoint.timeout, endpoint.connect_timeout]
        });
        let most = clocks.min().unwrap_or_default() / 4;
        Duration::from_millis([0, 0, 60, 700, 1_500][origin % 5]).min(most)
    }

    /// The origin that has this address, and whether it is its IPv6 one.
    ///
    /// # Panics
    /// If nobody has it, or nobody may connect to it.
    pub fn origin_at(&self, addr: SocketAddr) -> (usize, bool) {
        let (origin, is_v6) = match addr.ip() {
            IpAddr::V4(v4) => {
                let [20, 0, high, low] = v4.octets() else {
                    panic!("I12: {addr} is forbidden");
                };
                (usize::from(high) << 8 | usize::from(low), false)
            }
            IpAddr::V6(v6) => (usize::from(v6.segments()[7]), true),
        };
        let plan = self
            .origins
            .get(origin)
            .unwrap_or_else(|| panic!("I12: nobody has {addr}"));
        let known = if is_v6 { v6_of(origin) } else { v4_of(origin) };
        assert_eq!(addr, SocketAddr::new(known, plan.port()), "I12");
        assert!(plan.denied != Denied::Only, "I12: {addr} is forbidden");
        (origin, is_v6)
    }

    /// What stands in `/etc/hosts` and `/etc/resolv.conf`.
    pub fn names(&self) -> (String, String) {
        let mut hosts = String::new();
        for (index, plan) in self.origins.iter().enumerate() {
            if plan.host != HostKind::HostsFile {
                continue;
            }
            for addr in [true, false]
                .into_iter()
                .flat_map(|v6| self.addresses(index, v6))
            {
                hosts += &format!("{addr} o{index}.example\n");
            }
        }
        let servers: String = (0..self.name_servers.len())
            .map(|index| format!("nameserver {}\n", name_server_at(index).ip()))
            .collect();
        (hosts, servers)
    }

    /// Scheme, host and port of the origin.
    pub fn url(&self, origin: usize) -> String {
        let plan = &self.origins[origin];
        let scheme = if plan.secure { "https" } else { "http" };
        let port = match (plan.secure, plan.port()) {
            (true, 443) | (false, 80) => String::new(),
            (_, port) => format!(":{port}"),
        };
        match plan.host {
            HostKind::Literal if plan.denied == Denied::Only => {
                format!("{scheme}://10.0.0.1{port}")
            }
            HostKind::Literal => format!("{scheme}://{}{port}", v4_of(origin)),
            HostKind::Name | HostKind::HostsFile => format!("{scheme}://o{origin}.example{port}"),
        }
    }

    /// Whether nothing at all can go wrong with a job of this origin.
    pub fn is_untroubled(&self, origin: usize) -> bool {
        let plan = &self.origins[origin];
        let needs_names = plan.host == HostKind::Name;
        let names_fine = self.name_servers.iter().flatten().all(|phase| {
            matches!(
                phase.mode,
                NameServerMode::Fine | NameServerMode::NoEdns | NameServerMode::Truncates
            )
        });
        plan.denied != Denied::Only
            && plan.v6.is_none_or(|reach| reach == Reach::Fine)
            && plan.phases.iter().all(|phase| !phase.mode.is_sick())
            && (!needs_names || names_fine)
            && self.local_trouble.is_empty()
            && self.pauses.is_empty()
            && !self.own_limits
            && self.orders.iter().all(|(_, of, _)| *of != origin)
            && (plan.secure || self.policies().all(|policy| policy.allow_http))
    }
}

impl OriginPlan {
    /// One that is healthy and known to a name server.
    pub fn healthy() -> OriginPlan {
        OriginPlan {
            secure: false,
            host: HostKind::Name,
            v6: None,
            denied: Denied::No,
            phases: Vec::new(),
            think: Duration::from_millis(20),
            latency: Duration::from_millis(5),
            weight: 1,
        }
    }

    pub const fn port(&self) -> u16 {
        match (self.secure, self.weight % 2) {
            (true, _) => 443,
            (false, 0) => 80,
            (false, _) => 8080,
        }
    }
}

/// Where the name server is.
pub fn name_server_at(index: usize) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(192, 0, 2, 53 + index as u8).into(), 53)
}

fn v4_of(origin: usize) -> IpAddr {
    Ipv4Addr::new(20, 0, (origin >> 8) as u8, origin as u8).into()
}

fn v6_of(origin: usize) -> IpAddr {
    Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0, 0, origin as u16).into()
}

pub const fn arrivals(jobs: u32, from: Duration, to: Duration) -> Arrivals {
    Arrivals { jobs, from, to }
}

/// Which faults a run has at all.
#[derive(Clone, Copy)]
struct Swarm(u64);

impl Swarm {
    const fn has(self, fault: u32) -> bool {
        self.0 >> fault & 1 == 1
    }
}

fn policy(dice: &mut Dice, swarm: Swarm) -> Policy {
    let mut policy = Policy {
        allow_http: true,
        ..Policy::default()
    };
    let endpoint = Arc::make_mut(&mut policy.endpoint);
    if swarm.has(27) {
        policy.max_connections_total = dice.between(2, 40) as u32;
        endpoint.max_connections = dice.between(1, 8) as u32;
    }
    if swarm.has(28) {
        endpoint.idle_timeout = Duration::from_secs(dice.below(20));
        endpoint.connection_lifetime = Duration::from_secs(dice.below(60));
    }
    if swarm.has(29) {
        endpoint.resend_stale = false;
    }
    if swarm.has(30) {
        endpoint.timeout = Duration::from_secs(dice.between(1, 10));
        endpoint.connect_timeout = Duration::from_secs(dice.between(1, 5));
    }
    if swarm.has(31) {
        let waits = dice.below(4);
        endpoint.retry_schedule = (0..waits)
            .map(|_| Duration::from_secs(dice.below(10)))
            .collect();
        endpoint.breaker_failures = dice.between(1, 8) as u32;
        endpoint.breaker_duration = Duration::from_secs(dice.between(1, 60));
        endpoint.max_retry_after_hold = Duration::from_secs(dice.between(0, 60));
        if dice.chance(25) {
            endpoint.on_circuit_open = OnCircuitOpen::Fail;
        }
    }
    endpoint.response_bytes = dice.pick(&[1024, 1024, 64, 0]);
    policy
}

/// Other settings, of those whose change a run stands.
fn change(dice: &mut Dice, endpoint: &mut Endpoint) {
    let seconds = Duration::from_secs;
    match dice.below(7) {
        0 => endpoint.max_connections = dice.between(1, 60) as u32,
        1 => endpoint.idle_timeout = seconds(dice.below(20)),
        2 => endpoint.connection_lifetime = seconds(dice.below(60)),
        3 => {
            endpoint.timeout = seconds(dice.between(1, 10));
            endpoint.connect_timeout = seconds(dice.between(1, 5));
        }
        4 => {
            endpoint.breaker_failures = dice.between(1, 8) as u32;
            endpoint.breaker_duration = seconds(dice.between(1, 60));
            endpoint.on_circuit_open = dice.pick(&[OnCircuitOpen::Hold, OnCircuitOpen::Fail]);
        }
        5 => endpoint.rate_limit = Some(Rate::per_second(dice.pick(&[20.0, 33.3, 100.0, 1e4]))),
        _ => {
            let waits = dice.below(4);
            endpoint.retry_schedule = (0..waits).map(|_| seconds(dice.below(10))).collect();
            endpoint.max_retry_after_hold = seconds(dice.below(60));
            endpoint.resend_stale = dice.chance(50);
        }
    }
}

/// Of each limit the larger.
pub fn loosen(loosest: &mut Endpoint, other: &Endpoint) {
    let durations = |of: fn(&mut Endpoint) -> &mut Duration, loosest: &mut Endpoint| {
        let mut other = other.clone();
        *of(loosest) = (*of(loosest)).max(*of(&mut other));
    };
    durations(|endpoint| &mut endpoint.idle_timeout, loosest);
    durations(|endpoint| &mut endpoint.connection_lifetime, loosest);
    durations(|endpoint| &mut endpoint.timeout, loosest);
    durations(|endpoint| &mut endpoint.drain_timeout, loosest);
    durations(|endpoint| &mut endpoint.max_retry_after_hold, loosest);
    durations(|endpoint| &mut endpoint.breaker_duration, loosest);
    loosest.max_connections = loosest.max_connections.max(other.max_connections);
    let rates = loosest.rate_limit.zip(other.rate_limit);
    loosest.rate_limit = rates.map(|(a, b)| if a.interval() < b.interval() { a } else { b });
    loosest.resend_stale |= other.resend_stale;
    let (ours, others) = (&loosest.retry_schedule, &other.retry_schedule);
    let longest = (0..ours.len().max(others.len())).map(|index| {
        let wait = |of: &Arc<[Duration]>| of.get(index).copied().unwrap_or_default();
        wait(ours).max(wait(others))
    });
    loosest.retry_schedule = longest.collect();
}

fn origin(dice: &mut Dice, swarm: Swarm, faults_end: Duration) -> OriginPlan {
    let denied = match dice.below(20) {
        0 => Denied::Only,
        1 => Denied::Mixed,
        _ => Denied::No,
    };
    let v6 = match dice.below(6) {
        0 => Some(Reach::Fine),
        1 if swarm.has(19) => Some(dice.pick(&[Reach::BlackHole, Reach::Refuse])),
        _ => None,
    };
    let mut phases = Vec::new();
    if dice.chance(60) {
        let mut until = Duration::ZERO;
        while until < faults_end {
            until += Duration::from_millis(dice.around(faults_end.as_millis() as u64 / 3) + 100);
            phases.push(Phase {
                until: until.min(faults_end),
                mode: mode(dice, swarm),
            });
        }
    }
    let host = dice.pick(&[
        HostKind::Name,
        HostKind::Name,
        HostKind::HostsFile,
        HostKind::Literal,
    ]);
    OriginPlan {
        secure: dice.chance(40),
        host,
        v6: v6.filter(|_| host != HostKind::Literal),
        denied,
        phases,
        think: Duration::from_micros(dice.pick(&[0, 100, 2_000, 30_000, 200_000])),
        latency: Duration::from_micros(dice.pick(&[1, 50, 1_000, 40_000])),
        weight: dice.between(1, 8) as u32,
    }
}

/// One of the faults that the run has.
fn mode(dice: &mut Dice, swarm: Swarm) -> Mode {
    let fault = dice.below(19) as u32;
    if !swarm.has(fault) {
        return Mode::Healthy;
    }
    match fault {
        0 => dice.pick(&[
            Mode::Slow(50),
            Mode::Slow(500),
            Mode::Slow(5_000),
            Mode::Capacity {
                workers: 2,
                queue: 6,
            },
        ]),
        1 => Mode::Status(dice.pick(&[500, 502, 503, 599, 600, 999])),
        2 => Mode::Status(dice.pick(&[301, 400, 404, 410, 421, 425])),
        3 => Mode::RetryAfter {
            status: dice.pick(&[429, 503]),
            seconds: dice.below(20) as u32,
            as_date: dice.chance(30),
        },
        4 => Mode::Early(dice.pick(&[200, 202, 400, 408, 413, 503])),
        5 => Mode::Reset(dice.pick(&[ResetAt::Once, ResetAt::Head, ResetAt::Body])),
        6 => Mode::Drip {
            head: dice.chance(50),
            millis: dice.pick(&[10, 100, 2_000]),
        },
        7 => dice.pick(&[Mode::Mute, Mode::NoWindow]),
        8 => Mode::Refuse,
        9 => Mode::BlackHole,
        10 => dice.pick(&[Mode::TlsBad, Mode::TlsMute]),
        11 => Mode::Surplus,
        12 => Mode::Unsolicited,
        13 => Mode::Misframed(dice.below(9) as u8),
        14 => Mode::Interim(dice.pick(&[1, 20, 2_000])),
        15 => Mode::CloseDelimited,
        16 => Mode::Http10 {
            keep_alive: dice.chance(50),
        },
        17 => dice.pick(&[
            Mode::StaleClose(5),
            Mode::StaleClose(1_000),
            Mode::Hint { seconds: 2, max: 5 },
        ]),
        _ => dice.pick(&[Mode::NoSuchName, Mode::NoData]),
    }
}

fn name_server(dice: &mut Dice, swarm: Swarm, faults_end: Duration) -> Vec<NameServerPhase> {
    let mut phases = Vec::new();
    let mut until = Duration::ZERO;
    while swarm.has(18) && until < faults_end {
        until += Duration::from_millis(dice.around(faults_end.as_millis() as u64 / 3) + 100);
        phases.push(NameServerPhase {
            until: until.min(faults_end),
            mode: dice.pick(&[
                NameServerMode::Fine,
                NameServerMode::Silent,
                NameServerMode::Unreachable,
                NameServerMode::Fails(2),
                NameServerMode::Fails(5),
                NameServerMode::Truncates,
                NameServerMode::Noisy,
                NameServerMode::NoEdns,
            ]),
        });
    }
    phases
}

/// The same origin's settings, shared.
pub fn shared(policy: &Policy) -> Arc<Policy> {
    Arc::new(policy.clone())
}
