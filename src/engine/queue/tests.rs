//! Which job is next, and who counts as what.

use std::sync::Arc;

use super::*;
use crate::base::time::Now;
use crate::wire::job::{Message, Method, Progress, Source};
use crate::wire::url::Url;

fn waiting(line: u64) -> Waiting {
    let origin = Url::parse("https://example.com/").unwrap().to_origin();
    let job = Job {
        id: "a".into(),
        source: Source {
            line,
            ..Source::default()
        },
        origin: Arc::new(origin),
        target: "/".into(),
        method: Method::Post,
        kind: None,
        headers: Box::default(),
        content_type: None,
        has_user_agent: false,
        secrets: Default::default(),
        timeout: None,
        ttl: None,
        priority: Priority::Normal,
        accepted: Now::default(),
        message: Message::default(),
        age: std::time::Duration::ZERO,
        spooled: None,
        progress: Progress::default(),
    };
    Waiting::new(Box::new(job), Instant::default(), Instant::FAR_FUTURE)
}

/// A job that has been tried before.
fn again(line: u64) -> Waiting {
    let mut waiting = waiting(line);
    waiting.job.progress.attempts = 1;
    waiting
}

/// The lines of the jobs in the order in which they get a connection.
fn drain(queue: &mut Queue, may_retry: bool) -> Vec<u64> {
    std::iter::from_fn(|| {
        let waiting = queue.remove(queue.next(may_retry)?)?;
        queue.on_begin(waiting.job.priority, waiting.is_retry());
        Some(waiting.job.source.line)
    })
    .collect()
}

/// Marks the next job to dial for.
fn dial(queue: &mut Queue) -> Option<Key> {
    let key = queue.next_to_dial(true)?;
    queue.set_dialed(key);
    Some(key)
}

fn begin_dial(queue: &mut Queue, key: Key) {
    let waiting = queue.get_mut(key).unwrap();
    let attempt = waiting.new_attempt(
        Instant::default(),
        Limit::Timeout(Endpoint::default().timeout),
    );
    waiting.attempt = Some(attempt);
    queue.set_dialed(key);
}

#[test]
fn f104_first_attempts_go_before_retries_and_every_fifth_place_is_a_retrys() {
    let mut queue = Queue::default();
    for line in 1..=9 {
        queue.push_back(again(line));
    }
    for line in 11..=19 {
        queue.push_back(waiting(line));
    }
    assert_eq!(queue.in_line(), 18);
    let expected = [
        11, 12, 13, 14, 1, 15, 16, 17, 18, 2, 19, 3, 4, 5, 6, 7, 8, 9,
    ];
    assert_eq!(drain(&mut queue, true), expected);
}

#[test]
fn priorities_are_served_by_weight_and_none_starves() {
    let mut queue = Queue::default();
    for (start, priority) in [
        (100, Priority::Low),
        (200, Priority::Normal),
        (300, Priority::High),
    ] {
        for line in start..start + 30 {
            let mut waiting = waiting(line);
            waiting.job.priority = priority;
            queue.push_back(waiting);
        }
    }
    let order = drain(&mut queue, true);
    let classes = |from: usize, to: usize| {
        [3, 2, 1].map(|class| {
            order[from..to]
                .iter()
                .filter(|n| **n / 100 == class)
                .count()
        })
    };
    assert_eq!(classes(0, 21), [16, 4, 1]);
    assert_eq!(classes(21, 40), [14, 4, 1], "then no high one is left");
    assert_eq!(classes(40, 45), [0, 4, 1]);
    assert_eq!(order.len(), 90);
    let only_low = &order[75..];
    assert!(only_low.is_sorted(), "first in, first out: {only_low:?}");
}

#[test]
fn f104_retries_beyond_their_budget_are_passed_over() {
    let mut queue = Queue::default();
    queue.push_back(again(1));
    for line in 11..=17 {
        queue.push_back(waiting(line));
    }
    assert_eq!(drain(&mut queue, false), [11, 12, 13, 14, 15, 16, 17]);
    assert_eq!((queue.next(false), queue.longest_due(false)), (None, None));
    assert_eq!(drain(&mut queue, true), [1]);
}

#[test]
fn a_job_for_later_is_not_in_line() {
    let mut queue = Queue::default();
    let key = queue.insert_later(again(5));
    assert_eq!((queue.in_line(), queue.later(), queue.len()), (0, 1, 1));
    assert_eq!(queue.next(true), None);
    assert_eq!(queue.any(), Some(key));
    let due = queue.remove(key).unwrap();
    queue.push_back(due);
    assert_eq!(
        (queue.later(), queue.next(true)),
        (0, queue.next_to_dial(true))
    );
    assert_eq!(drain(&mut queue, true), [5]);
}

#[test]
fn f103_the_probe_is_the_job_that_has_been_due_for_longest_whenever_it_was_accepted() {
    let mut queue = Queue::default();
    let since = |mut waiting: Waiting, nanos, accepted| {
        waiting.since = Instant::from_nanos(nanos);
        waiting.job.accepted.mono = Instant::from_nanos(accepted);
        waiting
    };
    let young = queue.push_back(since(waiting(1), 7, 7));
    let old = queue.push_back(since(again(2), 3, 2));
    let accepted_first = queue.push_back(since(again(3), 9, 1));
    assert!(queue.get(accepted_first).is_some_and(Waiting::is_retry));
    assert_eq!(queue.next(true), Some(young));
    assert_eq!(queue.longest_due(true), Some(old));
    assert_eq!(queue.longest_due(false), Some(young));
    queue.set_dialed(old);
    assert_eq!(
        queue.longest_due(true),
        Some(young),
        "its attempt has begun"
    );
}

#[test]
fn f103_the_freshest_is_the_one_that_expires_last_of_those_that_have_not_begun() {
    let mut queue = Queue::default();
    let expiring = |mut waiting: Waiting, nanos| {
        waiting.expires = Instant::from_nanos(nanos);
        waiting
    };
    let keys = [3, 5, 7].map(|nanos| queue.push_back(expiring(waiting(nanos), nanos)));
    let retry = queue.push_back(expiring(again(6), 6));
    assert_eq!(queue.freshest(true), Some(keys[2]));
    begin_dial(&mut queue, keys[2]);
    assert_eq!(queue.freshest(true), Some(retry));
    assert_eq!(queue.freshest(false), Some(keys[1]));
    for key in [keys[0], keys[1], retry] {
        assert!(queue.next_to_dial(true).is_some());
        begin_dial(&mut queue, key);
    }
    assert_eq!(
        (queue.freshest(true), queue.next_to_dial(true)),
        (None, None)
    );
}

#[test]
fn first_in_first_out_behind_those_that_have_begun() {
    let mut queue = Queue::default();
    for line in 1..=3 {
        queue.push_back(waiting(line));
    }
    let mut first = waiting(0);
    first.job.priority = Priority::Low;
    queue.resume(first);
    assert_eq!(queue.in_line(), 4);
    assert_eq!(drain(&mut queue, true), [0, 1, 2, 3]);
    assert!(queue.is_empty());
}

#[test]
fn a_job_leaves_from_the_middle_and_from_both_ends() {
    let mut queue = Queue::default();
    let keys: Vec<Key> = (0..5).map(|line| queue.push_back(waiting(line))).collect();
    for gone in [2, 0, 4] {
        assert_eq!(
            queue.remove(keys[gone]).map(|w| w.job.source.line),
            Some(gone as u64)
        );
        assert!(queue.remove(keys[gone]).is_none());
    }
    assert_eq!(drain(&mut queue, true), [1, 3]);
}

#[test]
fn each_job_in_line_gets_one_dial_in_turn() {
    let mut queue = Queue::default();
    let keys: Vec<Key> = (0..3).map(|line| queue.push_back(waiting(line))).collect();
    assert_eq!(dial(&mut queue), Some(keys[0]));
    assert_eq!(dial(&mut queue), Some(keys[1]));
    let resumed = queue.resume(waiting(9));
    assert_eq!(queue.next_to_begin(true), Some(keys[2]));
    assert_eq!(dial(&mut queue), Some(resumed));
    queue.remove(keys[0]);
    assert_eq!(dial(&mut queue), Some(keys[2]));
    assert_eq!(dial(&mut queue), None);
    let late = queue.push_back(waiting(4));
    assert_eq!(dial(&mut queue), Some(late));
}

#[test]
fn a_job_that_stands_apart_is_not_in_line() {
    let mut queue = Queue::default();
    let apart = queue.insert_apart(waiting(7));
    assert_eq!((queue.in_line(), queue.len()), (0, 1));
    assert!(queue.next(true).is_none());
    assert_eq!(queue.remove(apart).map(|w| w.job.source.line), Some(7));
}
