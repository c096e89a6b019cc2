//! The receivers: what each does with a connection and with a request, at which time.
//!
//! Not here: what it reads (`request`), the bytes that it answers (`answer`), how bytes travel (`network`).

pub mod answer;
pub mod request;

use std::time::Duration;

/// What a receiver is like for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It answers 2xx.
    Healthy,
    /// It answers 2xx after about so many milliseconds.
    Slow(u32),
    /// It serves so many requests at a time, each as long as it thinks; so many more wait for that, and the rest it
    /// answers 503 at once. What its client has given up it serves all the same.
    Capacity { workers: u16, queue: u16 },
    /// It answers with this status.
    Status(u16),
    /// It answers with this status and `Retry-After`, in seconds or as a date.
    RetryAfter {
        status: u16,
        seconds: u32,
        as_date: bool,
    },
    /// It answers this status as soon as it has read the head.
    Early(u16),
    /// It resets.
    Reset(ResetAt),
    /// Byte by byte, one in so many milliseconds: the head, or the body.
    Drip { head: bool, millis: u32 },
    /// It reads, and never answers.
    Mute,
    /// It never reads either.
    NoWindow,
    /// Nobody listens.
    Refuse,
    /// Not even a SYN is answered.
    BlackHole,
    /// The certificate is bad.
    TlsBad,
    /// The handshake never ends.
    TlsMute,
    /// Behind the response comes more.
    Surplus,
    /// Some time after the response comes something that nobody asked for.
    Unsolicited,
    /// The response's framing is wrong, in one of several ways.
    Misframed(u8),
    /// So many interim heads come first.
    Interim(u16),
    /// The end of the connection ends the response.
    CloseDelimited,
    /// HTTP/1.0, with or without `keep-alive`.
    Http10 { keep_alive: bool },
    /// It closes a connection that was idle for so many milliseconds.
    StaleClose(u32),
    /// `Keep-Alive: timeout=…, max=…`, and acts on it.
    Hint { seconds: u32, max: u32 },
    /// The name does not exist.
    NoSuchName,
    /// The name has no address.
    NoData,
}

/// When a connection is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetAt {
    /// Instead of an answer.
    Once,
    /// In the middle of the head.
    Head,
    /// In the middle of the body.
    Body,
}

/// One receiver, as far as it changes with time.
#[derive(Debug)]
pub struct Receiver {
    phases: Vec<Phase>,
    at: usize,
    /// How long it takes to answer when nothing is wrong.
    pub think: Duration,
    /// Sockets on their way to it or up, those on the way included.
    pub sockets: u32,
    /// Of these, up.
    pub up: u32,
    /// Requests begun, and not yet answered or given up.
    pub in_flight: u32,
    /// Of these, the most there ever were at once.
    pub in_flight_max: u32,
    /// Requests begun in each second of the run.
    pub requests: Vec<u32>,
    /// When each of its workers is done with what it has, from the run's start.
    workers: Vec<Duration>,
}

/// A mode, until a time from the run's start.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    pub until: Duration,
    pub mode: Mode,
}

impl Receiver {
    /// A receiver that goes through these phases and is healthy afterwards.
    pub fn new(phases: Vec<Phase>, think: Duration) -> Receiver {
        Receiver {
            phases,
            at: 0,
            think,
            sockets: 0,
            up: 0,
            in_flight: 0,
            in_flight_max: 0,
            requests: Vec::new(),
            workers: Vec::new(),
        }
    }

    /// A request that takes `think` waits for one of `workers`. When it is done, from now; none: too many wait.
    pub fn serve(
        &mut self,
        since_start: Duration,
        workers: u16,
        queue: u16,
        think: Duration,
    ) -> Option<Duration> {
        self.workers.sort_unstable();
        // Workers that are no more finish what they have; whoever waits waits for those that are left.
        self.workers.resize(workers.into(), since_start);
        let ahead: Duration = self
            .workers
            .iter()
            .map(|free| free.saturating_sub(since_start))
            .sum();
        if ahead >= self.think * u32::from(workers + queue) {
            return None;
        }
        let free = self.workers.iter_mut().min().expect("it has a worker");
        *free = (*free).max(since_start) + think;
        Some(*free - since_start)
    }

    /// A request begins.
    pub fn on_request(&mut self, since_start: Duration) {
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
        let second = since_start.as_secs() as usize;
        if self.requests.len() <= second {
            self.requests.resize(second + 1, 0);
        }
        self.requests[second] += 1;
    }

    /// What it is like at this time, which never goes back by much.
    pub fn mode(&mut self, since_start: Duration) -> Mode {
        while let Some(phase) = self.phases.get(self.at) {
            if since_start < phase.until {
                return phase.mode;
            }
            self.at += 1;
        }
        Mode::Healthy
    }
}

impl Mode {
    /// Whether a delivery may fail or be late on account of this.
    pub const fn is_sick(self) -> bool {
        !matches!(
            self,
            Mode::Healthy
                | Mode::StaleClose(_)
                | Mode::CloseDelimited
                | Mode::Http10 { .. }
                | Mode::Hint { .. }
                | Mode::Surplus
                | Mode::Interim(0..=20)
        )
    }
}
