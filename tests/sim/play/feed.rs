//! The lines that come in: jobs at their times, now and then something that is no job, cut anywhere.

use std::time::Duration;

use conduit::base::time::Instant;

use super::dice::Dice;
use super::model::{Book, Model};
use super::scenario::{Arrivals, Scenario};
use super::servers::request::body_of;

/// Bytes of a chunk at most.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is to be read, and what has been.
pub struct Feed {
    arrivals: Vec<Arrivals>,
    /// The current arrivals, and how many of them have come.
    at: usize,
    come: u32,
    jobs: u32,
    /// The origins' weights, added up.
    weights: Vec<u64>,
    lines: Vec<u8>,
    /// Each job's line, to be sent again.
    kept: Vec<Vec<u8>>,
    given: usize,
    is_end_told: bool,
}

impl Feed {
    pub fn new(plan: &Scenario) -> Feed {
        let mut sum = 0;
        let weights = plan.origins.iter().map(|origin| {
            sum += u64::from(origin.weight);
            sum
        });
        Feed {
            weights: weights.collect(),
            arrivals: plan.arrivals.clone(),
            at: 0,
            come: 0,
            jobs: 0,
            lines: Vec::new(),
            kept: Vec::new(),
            given: 0,
            is_end_told: false,
        }
    }

    /// Lines arrive that are due. Says when the next are.
    pub fn arrive(
        &mut self,
        now: Instant,
        dice: &mut Dice,
        plan: &Scenario,
        model: &mut Model,
    ) -> Option<Instant> {
        while let Some(due) = self.next_due() {
            if due > now {
                return Some(due);
            }
            self.come += 1;
            self.write_job(now, dice, plan, model);
            if plan.bad_lines && dice.chance(3) {
                self.write_no_job(dice, model);
            }
        }
        None
    }

    /// The next chunk of what is there.
    pub fn take_chunk(&mut self, cut: bool, dice: &mut Dice) -> Option<Vec<u8>> {
        let left = &self.lines[self.given..];
        if left.is_empty() {
            return None;
        }
        let most = left.len().min(CHUNK_BYTES);
        let take = if cut {
            1 + dice.below(most as u64) as usize
        } else {
            most
        };
        let chunk = left[..take].to_vec();
        self.given += take;
        if self.given == self.lines.len() {
            self.lines.clear();
            self.given = 0;
        }
        Some(chunk)
    }

    /// Whether the end is reached, where the sender `may` end; true once.
    pub fn end_now(&mut self, may: bool) -> bool {
        let is_over = self.lines.is_empty() && self.at == self.arrivals.len();
        let ends = may && is_over && !self.is_end_told;
        self.is_end_told |= ends;
        ends
    }

    /// A new connection begins with these jobs.
    pub fn begin_again(&mut self, jobs: &[u32]) {
        self.lines.clear();
        self.given = 0;
        self.is_end_told = false;
        self.add_again(jobs);
    }

    /// These jobs are sent once more.
    pub fn add_again(&mut self, jobs: &[u32]) {
        for job in jobs {
            self.lines.extend_from_slice(&self.kept[*job as usize]);
        }
    }

    fn next_due(&mut self) -> Option<Instant> {
        loop {
            let arrivals = self.arrivals.get(self.at)?;
            if self.come < arrivals.jobs {
                let span = arrivals.to.saturating_sub(arrivals.from);
                let due = arrivals.from + span * self.come / arrivals.jobs;
                return Some(Instant::from_nanos(0) + due);
            }
            self.at += 1;
            self.come = 0;
        }
    }

    fn write_job(&mut self, now: Instant, dice: &mut Dice, plan: &Scenario, model: &mut Model) {
        let job = self.jobs;
        self.jobs += 1;
        let total = self.weights.last().copied().unwrap_or(1);
        let drawn = dice.below(total);
        let origin = match plan.take_turns {
            true => job as usize % plan.origins.len(),
            false => self.weights.partition_point(|sum| *sum <= drawn),
        };
        let bytes = match dice.below(500) {
            0 => 100_000,
            1..20 => dice.between(2_000, 20_000),
            _ => dice.between(20, 200),
        };
        let body = body_of(job, bytes as u32);
        let mut line = format!(
            "{{\"id\":\"j{job}\",\"url\":\"{}/hook\",\"payload\":",
            plan.url(origin)
        )
        .into_bytes();
        line.extend_from_slice(&body);
        let endpoint = &plan.policy.endpoint;
        let (mut ttl, mut timeout) = (endpoint.ttl, None);
        if plan.own_limits && dice.chance(20) {
            ttl = Duration::from_secs(dice.between(1, 60));
            line.extend_from_slice(format!(",\"ttl\":{}", ttl.as_secs()).as_bytes());
        }
        if plan.own_limits && dice.chance(20) {
            let own = Duration::from_secs(dice.between(1, 12));
            line.extend_from_slice(format!(",\"timeout\":{}", own.as_secs()).as_bytes());
            timeout = Some(own);
        }
        line.extend_from_slice(b"}\n");
        self.lines.extend_from_slice(&line);
        if plan.spool.is_some() {
            self.kept.push(line);
        }
        model.on_submitted(Book::new(now, origin, bytes as u32, ttl, timeout));
    }

    fn write_no_job(&mut self, dice: &mut Dice, model: &mut Model) {
        let lines = [
            "\n",
            "what is this\n",
            "{\"url\":\"http://127.1/\"}\n",
            "{\"id\":\"k1\",\"url\":\"ftp://x/\"}\n",
        ];
        let line = dice.pick(&lines);
        model.no_jobs += u64::from(line.len() > 1);
        self.lines.extend_from_slice(line.as_bytes());
    }
}
