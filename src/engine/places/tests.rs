//! Who gets a place, and whose idle connection gives way.

use super::*;
use std::time::Duration;

const MAX: u32 = 100;

fn key(n: u64) -> Key {
    Key::from_bits(1 << 32 | n)
}

fn at(seconds: u64) -> Instant {
    Instant::default() + Duration::from_secs(seconds)
}

fn share(standing: Standing, open: u32, idle: u32) -> Share {
    Share {
        standing,
        open,
        racers: 0,
        idle,
        resolving: 0,
    }
}

/// Places of which proven, new and failing origins have so many, and of these so many are idle.
fn places(shares: [(u32, u32); 3]) -> Places {
    let mut places = Places::default();
    for (standing, (open, idle)) in STANDINGS.into_iter().zip(shares) {
        places.enter(Share::default(), share(standing, open, idle));
        if idle > 0 {
            places.file_idle(standing, at(standing as u64), key(standing as u64));
        }
    }
    places
}

fn free(places: &Places) -> [bool; 3] {
    STANDINGS.map(|standing| places.has_free(MAX, standing))
}

#[test]
fn a_freed_place_goes_to_the_origin_with_the_fewest_connections() {
    let mut places = Places::default();
    places.want(key(1), Standing::Proven, 7);
    places.want(key(2), Standing::New, 0);
    let wish = places.want(key(3), Standing::New, 3);
    places.forget(key(3), wish);
    assert_eq!(places.next_wanting(MAX), Some(key(2)));
    assert_eq!(places.next_wanting(MAX), Some(key(1)));
    assert_eq!(places.next_wanting(MAX), None);
}

#[test]
fn f114_a_fifth_is_kept_for_proven_origins_and_a_fifth_is_the_most_for_failing_ones() {
    assert_eq!(free(&places([(0, 0), (79, 0), (0, 0)])), [true; 3]);
    assert_eq!(
        free(&places([(0, 0), (80, 0), (0, 0)])),
        [true, false, false]
    );
    assert_eq!(
        free(&places([(0, 0), (60, 0), (20, 0)])),
        [true, false, false]
    );
    assert_eq!(
        free(&places([(0, 0), (0, 0), (20, 0)])),
        [true, true, false]
    );
    assert_eq!(free(&places([(20, 0), (80, 0), (0, 0)])), [false; 3]);
    assert_eq!(free(&places([(100, 0), (0, 0), (0, 0)])), [false; 3]);
}

#[test]
fn f114_idle_connections_of_proven_origins_give_way_to_others_only_while_those_have_few() {
    let gives_way =
        |places: &Places, standing| places.longest_idle(MAX, standing).map(|(of, ..)| of);
    let few = places([(81, 81), (19, 0), (0, 0)]);
    assert_eq!(gives_way(&few, Standing::New), Some(Standing::Proven));
    let enough = places([(80, 80), (20, 0), (0, 0)]);
    assert_eq!(gives_way(&enough, Standing::New), None);
    assert_eq!(gives_way(&enough, Standing::Proven), Some(Standing::Proven));
    let own = places([(60, 60), (40, 1), (0, 0)]);
    assert_eq!(gives_way(&own, Standing::New), Some(Standing::New));
    let failing = places([(60, 60), (20, 0), (20, 1)]);
    assert_eq!(
        gives_way(&failing, Standing::Failing),
        Some(Standing::Failing)
    );
    assert!(!failing.has_free(MAX, Standing::Failing));
}

#[test]
fn f114_among_equals_the_newest_and_the_oldest_come_in_turn() {
    let mut places = Places::default();
    for n in 0..30_000 {
        places.want(key(n), Standing::New, 0);
    }
    let first: Vec<Key> = (0..12).filter_map(|_| places.next_wanting(MAX)).collect();
    assert!(
        first.contains(&key(29_999)) && first.contains(&key(0)),
        "{first:?}"
    );
}

#[test]
fn f114_no_standing_waits_for_ever_among_equals() {
    let mut places = Places::default();
    let mut came = [0; 3];
    for n in 0..90 {
        for standing in STANDINGS {
            places.want(key(n * 3 + standing as u64), standing, 0);
        }
        let next = places.next_wanting(MAX).expect("somebody");
        came[(next.to_bits() % (1 << 32) % 3) as usize] += 1;
    }
    assert_eq!(came, [30; 3]);
}

#[test]
fn the_longest_idle_of_all_gives_way_to_a_proven_origin() {
    let places = places([(30, 1), (30, 1), (20, 1)]);
    let expected = (Standing::Proven, at(0), key(0));
    assert_eq!(places.longest_idle(MAX, Standing::Proven), Some(expected));
    assert_eq!((places.open(), places.busy()), (80, 77));
}
