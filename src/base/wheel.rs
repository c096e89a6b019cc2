//! A timer wheel: values that come back when their time has come.
//!
//! The hierarchical wheel of Varghese and Lauck 1987, "Hashed and hierarchical timing wheels", scheme 7: ticks of
//! one millisecond, levels of 64 slots, a bitmap of the occupied ones. Eight levels (64⁸ ticks) hold every
//! [`Instant`] there is, so no deadline lies beyond the horizon. A timer stands on the level of the highest
//! six-bit digit in which its tick differs from the current one, in the slot of that digit; when the current tick
//! enters a slot of a higher level, its timers move down. Arm and cancel are O(1), and touch no allocator once
//! the wheel has held as many timers before; a timer moves down at most seven times in its life.
//!
//! - No timer fires before its deadline; it may fire up to a tick later.
//! - Timers fire in the order of their ticks, those of one tick in the order in which they were armed. A
//!   deadline that has passed already counts as the current tick.
//! - Slots behind the current tick are empty, and on the levels above the lowest so is the current slot.
//!
//! Not here: what the timers mean (each owner keeps its own deadlines as fields), who reads the clock.

use std::num::NonZeroU32;

use crate::base::time::Instant;

const TICK_NANOS: u64 = 1_000_000;
const SLOT_BITS: usize = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 8;
const SENTINELS: usize = LEVELS * SLOTS;

/// Values with deadlines.
#[derive(Debug)]
pub struct Wheel<T> {
    /// The tick whose slot is being emptied; all earlier ones are.
    tick: u64,
    /// The latest time that [`Wheel::expire`] was told.
    now: Instant,
    /// Bit `l`: level `l` has an occupied slot.
    occupied_levels: u8,
    /// Bit `s` of `[l]`: slot `s` of level `l` holds timers.
    occupied: [u64; LEVELS],
    /// Circular lists: the first [`SENTINELS`] links are the slots' ends, link `SENTINELS + i` is entry `i`'s.
    links: Vec<Link>,
    entries: Vec<Entry<T>>,
    /// The first free entry; the others follow through `Link::next`.
    free: Option<u32>,
    len: usize,
}

/// The name of an armed timer; it finds nothing once the timer has fired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: NonZeroU32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    next: u32,
    prev: u32,
}

#[derive(Debug)]
struct Entry<T> {
    deadline: Instant,
    tick: u64,
    generation: NonZeroU32,
    /// `None`: the entry is free.
    value: Option<T>,
}

impl<T> Wheel<T> {
    /// A wheel without timers, whose time is `start`.
    #[must_use]
    pub fn new(start: Instant) -> Wheel<T> {
        Wheel {
            tick: tick_at(start),
            now: start,
            occupied_levels: 0,
            occupied: [0; LEVELS],
            links: (0..SENTINELS as u32).map(Link::alone).collect(),
            entries: Vec::new(),
            free: None,
            len: 0,
        }
    }

    /// Sets a timer; [`Wheel::expire`] gives its value back.
    ///
    /// # Panics
    /// With 2³² − 512 timers in it.
    pub fn arm(&mut self, deadline: Instant, value: T) -> TimerId {
        // What is due by now must not wait for the next tick.
        let due = if deadline <= self.now {
            tick_at(deadline)
        } else {
            deadline.as_nanos().div_ceil(TICK_NANOS)
        };
        let tick = due.max(self.tick);
        let id = self.take_entry(deadline, tick, value);
        self.len += 1;
        self.put(id.index, tick);
        id
    }

    /// Takes a timer back; `None` if it has fired or was cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation != id.generation {
            return None;
        }
        // A freed entry's generation is its next one, so only `arm` has made this id.
        let value = entry.value.take()?;
        self.unlink(id.index);
        self.free_entry(id.index);
        Some(value)
    }

    /// The value of the next timer that is due at `now`; `None` if there is none, and then
    /// [`Wheel::next_deadline`] is later than `now`. A `now` earlier than a former one counts as that.
    pub fn expire(&mut self, now: Instant) -> Option<T> {
        self.now = self.now.max(now);
        let target = tick_at(self.now);
        while let Some((level, slot)) = self.first_occupied() {
            let start = self.slot_start(level, slot);
            if start > target {
                break;
            }
            self.tick = start.max(self.tick);
            let sentinel = level * SLOTS + slot;
            if level == 0 {
                return Some(self.pop(sentinel));
            }
            self.move_down(sentinel);
        }
        // The next slot begins after the target, so the target differs from it in the same digit as the current
        // tick does: every timer is where it would be put from there.
        self.tick = self.tick.max(target);
        None
    }

    /// When [`Wheel::expire`] should be called next; `None` without timers, or before [`Instant::FAR_FUTURE`],
    /// which never comes. Not later than the tick of the next timer, and earlier only while that stands on a
    /// higher level (each level costs a long timer one call).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let (level, slot) = self.first_occupied()?;
        let tick = self.slot_start(level, slot);
        tick.checked_mul(TICK_NANOS).map(Instant::from_nanos)
    }

    /// The deadline that the timer was armed with; `None` if it has fired or was cancelled.
    #[must_use]
    pub fn deadline(&self, id: TimerId) -> Option<Instant> {
        let entry = self.entries.get(id.index as usize)?;
        (entry.generation == id.generation && entry.value.is_some()).then_some(entry.deadline)
    }

    /// How many timers are armed.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is armed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn take_entry(&mut self, deadline: Instant, tick: u64, value: T) -> TimerId {
        if let Some(index) = self.free {
            let next = self.links[SENTINELS + index as usize].next;
            self.free = (next != index + SENTINELS as u32).then(|| next - SENTINELS as u32);
            let entry = &mut self.entries[index as usize];
            entry.deadline = deadline;
            entry.tick = tick;
            entry.value = Some(value);
            return TimerId {
                index,
                generation: entry.generation,
            };
        }
        let link = u32::try_from(self.links.len()).expect("a wheel holds fewer than 2^32 timers");
        self.links.push(Link::alone(link));
        self.entries.push(Entry {
            deadline,
            tick,
            generation: NonZeroU32::MIN,
            value: Some(value),
        });
        TimerId {
            index: link - SENTINELS as u32,
            generation: NonZeroU32::MIN,
        }
    }

    /// Puts an entry that is in no list, and holds no value any more, on the free list.
    fn free_entry(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        // The last one of the free list names itself.
        let next = self.free.unwrap_or(index) + SENTINELS as u32;
        self.links[SENTINELS + index as usize].next = next;
        self.free = Some(index);
        self.len -= 1;
    }

    /// Appends an entry to the slot in which a timer of this tick belongs now.
    fn put(&mut self, index: u32, tick: u64) {
        debug_assert!(tick >= self.tick, "a timer in a slot that is done");
        let level = (tick ^ self.tick).checked_ilog2().unwrap_or(0) as usize / SLOT_BITS;
        let slot = (tick >> (level * SLOT_BITS)) as usize % SLOTS;
        self.occupied_levels |= 1 << level;
        self.occupied[level] |= 1 << slot;

        let sentinel = level * SLOTS + slot;
        let link = index + SENTINELS as u32;
        let last = self.links[sentinel].prev;
        self.links[link as usize] = Link {
            next: sentinel as u32,
            prev: last,
        };
        self.links[last as usize].next = link;
        self.links[sentinel].prev = link;
    }

    /// Takes an entry out of its slot's list.
    fn unlink(&mut self, index: u32) {
        let Link { next, prev } = self.links[SENTINELS + index as usize];
        self.links[prev as usize].next = next;
        self.links[next as usize].prev = prev;
        if next == prev {
            // Both neighbours are the same: the sentinel, whose slot is empty now.
            self.mark_empty(next as usize);
        }
    }

    fn mark_empty(&mut self, sentinel: usize) {
        let (level, slot) = (sentinel / SLOTS, sentinel % SLOTS);
        self.occupied[level] &= !(1 << slot);
        if self.occupied[level] == 0 {
            self.occupied_levels &= !(1 << level);
        }
    }

    /// Takes the first value out of an occupied slot.
    fn pop(&mut self, sentinel: usize) -> T {
        let index = self.links[sentinel].next - SENTINELS as u32;
        let value = self.entries[index as usize].value.take();
        self.unlink(index);
        self.free_entry(index);
        value.expect("an entry in a slot's list holds a value")
    }

    /// Empties an occupied slot, which the current tick has entered, into the levels below.
    fn move_down(&mut self, sentinel: usize) {
        let mut link = self.links[sentinel].next;
        self.links[sentinel] = Link::alone(sentinel as u32);
        self.mark_empty(sentinel);
        while link != sentinel as u32 {
            let next = self.links[link as usize].next;
            let index = link - SENTINELS as u32;
            self.put(index, self.entries[index as usize].tick);
            link = next;
        }
    }

    /// The level and slot that hold the next timers. Those of a level all stand in the slot of the level above
    /// that the current tick is in, so they come before all that is on the levels above.
    fn first_occupied(&self) -> Option<(usize, usize)> {
        if self.occupied_levels == 0 {
            return None;
        }
        let level = self.occupied_levels.trailing_zeros() as usize;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// The first tick of a slot.
    fn slot_start(&self, level: usize, slot: usize) -> u64 {
        let shift = level * SLOT_BITS;
        ((self.tick >> shift & !(SLOTS as u64 - 1)) | slot as u64) << shift
    }
}

impl Link {
    /// An empty list's sentinel.
    const fn alone(link: u32) -> Link {
        Link {
            next: link,
            prev: link,
        }
    }
}

const fn tick_at(now: Instant) -> u64 {
    now.as_nanos() / TICK_NANOS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::rng::Rng;

    const MS: u64 = TICK_NANOS;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn drain<T>(wheel: &mut Wheel<T>, now: Instant) -> Vec<T> {
        std::iter::from_fn(|| wheel.expire(now)).collect()
    }

    #[test]
    fn fires_in_order_and_never_early() {
        let mut wheel = Wheel::new(at(0));
        wheel.arm(at(5 * MS), "5 first");
        wheel.arm(at(3 * MS), "3");
        wheel.arm(at(5 * MS), "5 second");
        wheel.arm(at(4 * MS + 1), "a bit after 4");
        assert_eq!(wheel.next_deadline(), Some(at(3 * MS)));
        assert_eq!(drain(&mut wheel, at(3 * MS - 1)), [""; 0]);
        assert_eq!(drain(&mut wheel, at(3 * MS)), ["3"]);
        assert_eq!(drain(&mut wheel, at(5 * MS - 1)), [""; 0]);
        assert_eq!(wheel.next_deadline(), Some(at(5 * MS)));
        assert_eq!(
            drain(&mut wheel, at(5 * MS)),
            ["5 first", "5 second", "a bit after 4"]
        );
        assert_eq!(wheel.next_deadline(), None);
        assert!(wheel.is_empty());
    }

    #[test]
    fn what_is_past_or_due_now_fires_at_the_next_call() {
        let start = at(7 * MS + 900);
        let mut wheel = Wheel::new(start);
        wheel.arm(at(0), 'a');
        wheel.arm(start, 'b');
        wheel.arm(at(7 * MS + 901), 'c');
        assert_eq!(drain(&mut wheel, start), ['a', 'b']);
        assert_eq!(wheel.next_deadline(), Some(at(8 * MS)));
        wheel.arm(start, 'd');
        assert_eq!(wheel.next_deadline(), Some(at(7 * MS)));
        assert_eq!(drain(&mut wheel, at(8 * MS)), ['d', 'c']);
    }

    #[test]
    fn one_tick_keeps_the_order_of_arming_across_levels() {
        let mut wheel = Wheel::new(at(0));
        let deadline = at(5000 * MS);
        wheel.arm(deadline, 0);
        for (value, now) in [(1, 4095), (2, 4096), (3, 4990), (4, 4999)] {
            assert_eq!(wheel.expire(at(now * MS)), None);
            wheel.arm(deadline, value);
        }
        assert_eq!(drain(&mut wheel, deadline), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn cancelled_timers_do_not_fire_and_their_names_find_nothing() {
        let mut wheel = Wheel::new(at(0));
        let first = wheel.arm(at(MS), 1);
        let second = wheel.arm(at(MS), 2);
        assert_eq!(wheel.deadline(first), Some(at(MS)));
        assert_eq!(wheel.cancel(first), Some(1));
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(wheel.deadline(first), None);
        let third = wheel.arm(at(9 * MS), 3);
        assert_eq!(third.index, first.index);
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(wheel.len(), 2);
        assert_eq!(drain(&mut wheel, at(MS)), [2]);
        assert_eq!(wheel.cancel(second), None);
        assert_eq!(wheel.cancel(third), Some(3));
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn freed_entries_are_used_again() {
        let mut wheel = Wheel::new(at(0));
        for round in 0..10 {
            let ids: Vec<TimerId> = (0..100).map(|n| wheel.arm(at(n * MS), n)).collect();
            for id in ids {
                assert!(wheel.cancel(id).is_some(), "round {round}");
            }
        }
        assert_eq!(wheel.entries.len(), 100);
    }

    #[test]
    fn the_far_future_has_a_slot() {
        let mut wheel = Wheel::new(at(0));
        let id = wheel.arm(Instant::FAR_FUTURE, "end of time");
        assert_eq!(wheel.expire(at(u64::MAX / 2)), None);
        assert_eq!(wheel.deadline(id), Some(Instant::FAR_FUTURE));
        // The way there is long, but it has an end.
        let mut calls = 0;
        while let Some(next) = wheel.next_deadline() {
            calls += 1;
            assert_eq!(wheel.expire(next), None);
        }
        assert!(calls < LEVELS, "{calls}");
    }

    #[test]
    fn a_clock_that_goes_back_is_not_followed() {
        let mut wheel = Wheel::new(at(100 * MS));
        assert_eq!(wheel.expire(at(50 * MS)), None);
        wheel.arm(at(60 * MS), ());
        assert_eq!(wheel.expire(at(50 * MS)), Some(()));
    }

    #[test]
    fn a_long_timer_costs_one_call_a_level() {
        let mut wheel = Wheel::new(at(123 * MS));
        wheel.arm(at(123 * MS) + Duration::from_secs(30 * 86_400), ());
        let mut calls = 0;
        while let Some(next) = wheel.next_deadline() {
            calls += 1;
            wheel.expire(next);
        }
        assert!(calls <= 6, "{calls}");
    }

    /// The same timers in a list, searched from end to end.
    #[derive(Default)]
    struct Model {
        /// (tick, serial, id, deadline)
        armed: Vec<(u64, u64, TimerId, Instant)>,
        serial: u64,
    }

    impl Model {
        fn first_due(&mut self, now: Instant) -> Option<u64> {
            let index = (0..self.armed.len()).min_by_key(|&index| {
                let (tick, serial, ..) = self.armed[index];
                (tick, serial)
            })?;
            (self.armed[index].0 <= tick_at(now)).then(|| self.armed.remove(index).1)
        }
    }

    fn random_deadline(rng: &mut Rng, now: Instant) -> Instant {
        let range = [
            0,
            MS,
            64 * MS,
            5_000 * MS,
            300_000 * MS,
            1 << 50,
            u64::MAX / 4,
        ];
        let ahead = 1 + range[rng.below(range.len() as u64) as usize];
        let deadline = now + Duration::from_nanos(rng.below(ahead));
        if rng.below(10) == 0 {
            deadline - Duration::from_nanos(rng.below(100 * MS))
        } else {
            deadline
        }
    }

    /// Lets all that is due come out, some of it at a time, and checks what the contract says of the rest.
    fn expire_both(wheel: &mut Wheel<u64>, model: &mut Model, now: Instant, at_most: u64) {
        for _ in 0..at_most {
            let fired = wheel.expire(now);
            assert_eq!(fired, model.first_due(now));
            if fired.is_none() {
                let next = wheel.next_deadline();
                assert!(next.is_none_or(|next| next > now), "busy loop at {now:?}");
                break;
            }
        }
        let true_next = model.armed.iter().map(|(tick, ..)| *tick).min();
        match (wheel.next_deadline(), true_next) {
            (Some(next), Some(true_next)) => {
                assert!(tick_at(next) <= true_next, "wakes up too late")
            }
            (Some(next), None) => panic!("wakes up at {next:?} for nothing"),
            (None, true_next) => {
                assert!(true_next.is_none_or(|tick| tick.checked_mul(MS).is_none()))
            }
        }
        assert_eq!(wheel.len(), model.armed.len());
    }

    fn arm_both(wheel: &mut Wheel<u64>, model: &mut Model, deadline: Instant) {
        let tick = if deadline <= wheel.now {
            tick_at(deadline)
        } else {
            deadline.as_nanos().div_ceil(MS)
        };
        let id = wheel.arm(deadline, model.serial);
        model
            .armed
            .push((tick.max(wheel.tick), model.serial, id, deadline));
        model.serial += 1;
    }

    #[test]
    fn random_operations_agree_with_a_sorted_list() {
        for seed in 0..8 {
            let mut rng = Rng::from_seed([seed; 32]);
            let mut now = at(rng.below(1 << 45));
            let mut wheel = Wheel::new(now);
            let mut model = Model::default();
            let mut dead = Vec::new();
            for _ in 0..5_000 {
                match rng.below(10) {
                    0..4 => {
                        let deadline = random_deadline(&mut rng, now);
                        arm_both(&mut wheel, &mut model, deadline);
                    }
                    4..6 if !model.armed.is_empty() => {
                        let index = rng.below(model.armed.len() as u64) as usize;
                        let (_, serial, id, deadline) = model.armed.remove(index);
                        assert_eq!(wheel.deadline(id), Some(deadline));
                        assert_eq!(wheel.cancel(id), Some(serial));
                        dead.push(id);
                    }
                    6 if !dead.is_empty() => {
                        let id = dead[rng.below(dead.len() as u64) as usize];
                        assert_eq!(wheel.cancel(id), None);
                        assert_eq!(wheel.deadline(id), None);
                    }
                    7 => {
                        // As the loop does: sleep until the wheel asks to be called.
                        now = wheel.next_deadline().unwrap_or(now).max(now);
                        expire_both(&mut wheel, &mut model, now, u64::MAX);
                    }
                    _ => {
                        let jump = [1, 3 * MS, 700 * MS, 90_000 * MS, 1 << 52];
                        let jump = jump[rng.below(jump.len() as u64) as usize];
                        now = now + Duration::from_nanos(rng.below(jump));
                        let at_most = [1, 3, u64::MAX][rng.below(3) as usize];
                        expire_both(&mut wheel, &mut model, now, at_most);
                    }
                }
            }
        }
    }
}
