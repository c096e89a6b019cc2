//! The survey, asked and answered by hand.
//!
//! Not here: what the engines themselves tell (`engine/tests`).

use std::sync::Arc;

use super::*;
use crate::base::time::Wall;
use crate::wire::tally::{Answers, AttemptEnd};
use crate::wire::url::Url;

const IDLE: EndpointState = EndpointState {
    active: 0,
    idle: 1,
    max: 50,
    timeout: Duration::from_secs(10),
    concurrency: 50,
    score: 100,
    p50: None,
    p99: None,
    attempts: 0,
    queued: [0; 3],
    pending: 0,
    breaker: BreakerState::Closed,
};

fn at(millis: u64) -> Now {
    Now {
        mono: Instant::default() + Duration::from_millis(millis),
        wall: Wall::default(),
    }
}

fn origin(host: &str) -> Arc<Origin> {
    let url = format!("https://{host}/");
    Arc::new(Url::parse(&url).expect("a URL").to_origin())
}

fn tally(attempts: u64) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..attempts {
        tally.on_attempt(AttemptEnd::Timeout, false);
    }
    tally
}

fn row(host: &str, attempts: u64) -> EndpointRow {
    EndpointRow {
        origin: origin(host),
        state: IDLE,
        tally: tally(attempts),
    }
}

fn rows(rows: Vec<EndpointRow>, next: Option<u32>) -> Rows {
    Rows {
        rows,
        next,
        totals: Totals::default(),
    }
}

fn asks(survey: &mut Survey) -> Vec<(u16, u32)> {
    let asks = std::iter::from_fn(|| survey.poll_ask());
    asks.map(|(engine, from)| (engine.0, from)).collect()
}

fn shown(survey: &Survey) -> Vec<(&str, u64, bool)> {
    let endpoints = survey.endpoints().iter();
    endpoints
        .map(|endpoint| {
            (
                &*endpoint.name,
                endpoint.tally.attempts(),
                endpoint.state.is_some(),
            )
        })
        .collect()
}

#[test]
fn every_engine_is_asked_a_few_rows_at_a_time_and_what_they_tell_adds_up() {
    let mut survey = Survey::new(2, [1, 2]);
    let ticket = survey.ask(at(0));
    assert_eq!(asks(&mut survey), [(0, 0), (1, 0)]);
    survey.on_rows(at(1), EngineId(0), rows(vec![row("a", 3)], Some(7)));
    survey.on_rows(at(1), EngineId(1), rows(vec![row("b", 5)], None));
    assert_eq!(asks(&mut survey), [(0, 7)]);
    assert!(!survey.is_over(ticket));
    survey.on_rows(at(2), EngineId(0), rows(vec![row("c", 1)], None));
    assert!(survey.is_over(ticket));
    let expected = [
        ("https://a", 3, true),
        ("https://b", 5, true),
        ("https://c", 1, true),
    ];
    assert_eq!(shown(&survey), expected);
    let pool = PoolState {
        active: 0,
        idle: 3,
        max: 150,
        pending: 0,
    };
    assert_eq!((survey.pool(), survey.missing().count()), (pool, 0));
}

#[test]
fn who_asks_while_others_are_told_gets_the_next_round_which_begins_no_sooner_than_the_gap() {
    let mut survey = Survey::new(1, [1, 2]);
    let first = survey.ask(at(0));
    assert_eq!(asks(&mut survey), [(0, 0)]);
    let second = survey.ask(at(1));
    assert!(second > first);
    survey.on_rows(at(2), EngineId(0), rows(vec![], None));
    assert!(survey.is_over(first) && !survey.is_over(second));
    assert_eq!(survey.ask(at(3)), second, "those who wait get the same");
    assert_eq!(survey.poll_timeout(), Some(at(100).mono));
    assert_eq!(asks(&mut survey), []);
    survey.handle_timeout(at(100));
    assert_eq!(asks(&mut survey), [(0, 0)]);
    survey.on_rows(at(101), EngineId(0), rows(vec![], None));
    assert!(survey.is_over(second));
    assert_eq!(survey.poll_timeout(), None);
}

#[test]
fn what_is_read_stays_until_it_is_released() {
    let mut survey = Survey::new(1, [1, 2]);
    let first = survey.ask(at(0));
    survey.hold(at(0), Some(first));
    let second = survey.ask(at(1));
    // The next is asked for and due when this one ends, and begins only when it is read.
    asks(&mut survey);
    survey.on_rows(at(500), EngineId(0), rows(vec![row("a", 1)], None));
    assert!(survey.is_over(first));
    assert_eq!((asks(&mut survey), survey.poll_timeout()), (vec![], None));
    survey.handle_timeout(at(501));
    assert_eq!(asks(&mut survey), []);
    survey.hold(at(502), Some(second));
    assert_eq!(asks(&mut survey), [(0, 0)]);
    survey.ask(at(503));
    survey.on_rows(at(900), EngineId(0), rows(vec![row("a", 2)], None));
    assert_eq!((asks(&mut survey), survey.poll_timeout()), (vec![], None));
    survey.hold(at(901), None);
    assert_eq!(asks(&mut survey), [(0, 0)]);
}

#[test]
fn a_loop_that_does_not_answer_is_missing_and_what_it_last_said_stands() {
    let mut survey = Survey::new(2, [1, 2]);
    survey.ask(at(0));
    asks(&mut survey);
    survey.on_rows(at(1), EngineId(0), rows(vec![row("a", 1)], None));
    survey.on_rows(at(1), EngineId(1), rows(vec![row("b", 1)], None));
    let ticket = survey.ask(at(1_000));
    asks(&mut survey);
    survey.on_rows(at(1_001), EngineId(0), rows(vec![row("a", 2)], None));
    assert_eq!(survey.poll_timeout(), Some(at(2_001).mono));
    survey.handle_timeout(at(2_001));
    assert!(survey.is_over(ticket));
    assert_eq!(survey.missing().collect::<Vec<_>>(), [1]);
    let expected = [("https://a", 2, true), ("https://b", 1, true)];
    assert_eq!(shown(&survey), expected);
    // It is not asked again before it has answered, and its late answer is of no round any more.
    survey.ask(at(3_000));
    assert_eq!(asks(&mut survey), [(0, 0)]);
    survey.on_rows(at(3_001), EngineId(1), rows(vec![row("b", 9)], None));
    assert_eq!(asks(&mut survey), [(1, 0)]);
    survey.on_rows(at(3_002), EngineId(1), rows(vec![row("b", 10)], None));
    survey.on_rows(at(3_002), EngineId(0), rows(vec![row("a", 2)], None));
    assert_eq!((shown(&survey)[1].1, survey.missing().count()), (10, 0));
}

#[test]
fn what_was_counted_at_an_origin_outlives_it() {
    let mut survey = Survey::new(1, [1, 2]);
    survey.on_retired(EngineId(0), &origin("a"), 0, &tally(3));
    assert_eq!(shown(&survey), [("https://a", 3, false)]);
    survey.ask(at(0));
    survey.on_rows(at(0), EngineId(0), rows(vec![row("a", 1)], Some(1)));
    assert_eq!(shown(&survey), [("https://a", 4, true)]);
    survey.on_retired(EngineId(0), &origin("a"), 0, &tally(1));
    survey.on_rows(at(0), EngineId(0), rows(vec![], None));
    assert_eq!(shown(&survey), [("https://a", 4, false)]);
}

#[test]
fn an_origin_has_a_name_once_it_was_used_and_is_among_the_others_before() {
    let mut survey = Survey::new(1, [1, 2]);
    let told = |survey: &mut Survey, millis: u64, told: Vec<EndpointRow>| {
        survey.ask(at(millis));
        asks(survey);
        survey.on_rows(at(millis), EngineId(0), rows(told, None));
    };
    let queued = |host: &str| {
        let mut row = row(host, 0);
        row.state.queued = [0, 7, 0];
        row
    };
    let crowd = || (0..2 * ENDPOINTS_MAX).map(|number| row(&format!("n{number}"), 0));
    let mut first: Vec<EndpointRow> = crowd().collect();
    first.push(queued("a"));
    told(&mut survey, 0, first);
    assert_eq!(shown(&survey), [(OTHER, 0, true)]);
    let jobs = survey.endpoints()[0].state.map(|state| state.queued);
    assert_eq!(jobs, Some([0, 7, 0]), "gauges are told all the same");
    // What was never used leaves nothing behind.
    survey.on_retired(EngineId(0), &origin("n0"), 0, &Tally::default());
    let mut used = queued("a");
    used.tally = tally(3);
    let mut connected = row("b", 0);
    connected.tally.opened = 1;
    let mut isolated = row("c", 0);
    isolated.state.breaker = BreakerState::Open;
    let mut second: Vec<EndpointRow> = crowd().collect();
    second.extend([used, connected, isolated]);
    told(&mut survey, 1_000, second);
    let expected = [
        (OTHER, 0, true),
        ("https://a", 3, true),
        ("https://b", 0, true),
        ("https://c", 0, true),
    ];
    assert_eq!(shown(&survey), expected);
    let jobs = survey.endpoints()[0].state.map(|state| state.queued);
    assert_eq!(jobs, Some([0, 0, 0]), "they went with it");
    // Once there were others, they stay.
    told(&mut survey, 2_000, vec![row("a", 3)]);
    let left = [(OTHER, 0, false), ("https://a", 3, true)];
    assert_eq!(shown(&survey)[..2], left);
}

#[test]
fn whoever_reads_while_an_origin_gets_a_name_finds_the_rest_where_it_was() {
    let mut survey = Survey::new(1, [1, 2]);
    let ticket = survey.ask(at(0));
    asks(&mut survey);
    let told = vec![row("a", 1), row("b", 0)];
    survey.on_rows(at(0), EngineId(0), rows(told, None));
    survey.hold(at(0), Some(ticket));
    let before = survey.endpoints().to_vec();
    survey.on_retired(EngineId(0), &origin("b"), 1, &tally(2));
    assert_eq!(survey.endpoints()[..before.len()], before);
    assert_eq!(shown(&survey)[before.len()..], [("https://b", 2, false)]);
}

/// So many names that none is left for those of the test.
fn full(survey: &mut Survey) {
    for number in 0..ENDPOINTS_MAX {
        let origin = origin(&format!("n{number}"));
        survey.on_retired(EngineId(0), &origin, 0, &tally(1));
    }
}

fn others(survey: &Survey) -> Option<u64> {
    let first = survey.endpoints().first()?;
    (*first.name == *OTHER).then(|| first.tally.attempts())
}

/// One round at one engine, in which these are told, and these retire between the pages.
fn round(survey: &mut Survey, millis: u64, told: [&[(&str, u64)]; 2], gone: &[(&str, u32, u64)]) {
    survey.ask(at(millis));
    asks(survey);
    let page = |told: &[(&str, u64)]| told.iter().map(|(host, n)| row(host, *n)).collect();
    survey.on_rows(at(millis), EngineId(0), rows(page(told[0]), Some(10)));
    for (host, slot, attempts) in gone {
        survey.on_retired(EngineId(0), &origin(host), *slot, &tally(*attempts));
    }
    survey.on_rows(at(millis), EngineId(0), rows(page(told[1]), None));
}

#[test]
fn beyond_a_thousand_origins_share_a_name_and_their_counters_never_go_back() {
    let mut survey = Survey::new(1, [1, 2]);
    full(&mut survey);
    round(&mut survey, 0, [&[], &[]], &[]);
    assert_eq!(others(&survey), None, "there are none yet");
    round(&mut survey, 1_000, [&[("x", 2)], &[("y", 30)]], &[]);
    assert_eq!(others(&survey), Some(32));
    // One goes after it was told of, one before it would have been.
    let gone = [("x", 1, 2), ("y", 11, 30)];
    round(&mut survey, 2_000, [&[("x", 2)], &[("z", 400)]], &gone);
    assert_eq!(others(&survey), Some(432));
    round(&mut survey, 3_000, [&[], &[("z", 400)]], &[]);
    assert_eq!(others(&survey), Some(432));
    // One goes while nobody asks.
    survey.on_retired(EngineId(0), &origin("z"), 11, &tally(400));
    assert_eq!(others(&survey), Some(432));
    round(&mut survey, 4_000, [&[], &[]], &[]);
    assert_eq!(others(&survey), Some(432));
    assert_eq!(survey.endpoints().len(), ENDPOINTS_MAX + 1);
    assert!(survey.endpoints()[0].state.is_none());
}

#[test]
fn what_goes_while_its_loop_is_missing_is_counted_when_it_is_back() {
    let mut survey = Survey::new(1, [1, 2]);
    full(&mut survey);
    round(&mut survey, 0, [&[("x", 2)], &[("y", 30)]], &[]);
    survey.ask(at(1_000));
    asks(&mut survey);
    survey.on_rows(at(1_000), EngineId(0), rows(vec![row("x", 2)], Some(10)));
    survey.on_retired(EngineId(0), &origin("y"), 11, &tally(30));
    survey.handle_timeout(at(2_000));
    assert_eq!(others(&survey), Some(32));
    survey.on_rows(at(2_100), EngineId(0), rows(vec![], None));
    round(&mut survey, 3_000, [&[("x", 2)], &[]], &[]);
    assert_eq!(others(&survey), Some(32));
}

#[test]
fn an_origin_is_shown_by_a_few_statuses_however_often_it_is_forgotten() {
    let mut survey = Survey::new(1, [1, 2]);
    let answered = |statuses: std::ops::Range<u16>| {
        let mut tally = Tally::default();
        for status in statuses {
            tally.on_attempt(AttemptEnd::Status(status, Duration::ZERO), false);
        }
        tally
    };
    for (name, shown_as, start) in [("a", "https://a", 0), ("x", OTHER, 100_000)] {
        if shown_as == OTHER {
            full(&mut survey);
        }
        for life in 0..9 {
            let from = 900 - 100 * life;
            let alive = EndpointRow {
                tally: answered(from..from + 32),
                ..row(name, 0)
            };
            let now = at(start + 1_000 * u64::from(life));
            survey.ask(now);
            asks(&mut survey);
            survey.on_rows(now, EngineId(0), rows(vec![alive.clone()], None));
            survey.on_retired(EngineId(0), &alive.origin, 0, &alive.tally);
        }
        let now = at(start + 10_000);
        survey.ask(now);
        asks(&mut survey);
        survey.on_rows(now, EngineId(0), rows(vec![], None));
        let mut all = survey.endpoints().iter();
        let shown = all.find(|endpoint| *endpoint.name == *shown_as);
        let shown = &shown.expect("it is shown").tally.statuses;
        let first_life = shown.get(Answers::Status(900));
        assert_eq!((shown.total(), first_life), (9 * 32, 1), "{name}");
        assert!(shown.iter().count() <= 32 + 5, "{shown:?}");
    }
}

#[test]
fn durations_by_region_are_those_of_all_engines() {
    let mut survey = Survey::new(2, [1, 2]);
    survey.ask(at(0));
    for (engine, region) in [(0, "eu"), (1, "us"), (1, "eu")] {
        let mut told = rows(vec![], (engine == 0 || region == "eu").then_some(1));
        for region in [region, "all"] {
            let took = Duration::from_millis(7);
            told.totals.on_answered(&region.into(), took);
        }
        survey.on_rows(at(0), EngineId(engine), told);
    }
    let regions = survey.regions();
    let counts: Vec<(&str, u64)> = regions
        .iter()
        .map(|(region, durations)| (&**region, durations.count()))
        .collect();
    assert_eq!(counts, [("all", 2), ("eu", 2)], "the newest of each engine");
}

#[test]
fn whoever_wants_every_row_gets_them_once() {
    let mut survey = Survey::new(1, [1, 2]);
    full(&mut survey);
    survey.ask_rows(at(0));
    survey.on_rows(
        at(0),
        EngineId(0),
        rows(vec![row("x", 2), row("n1", 1)], None),
    );
    assert_eq!(survey.take_rows().len(), 2);
    assert_eq!(survey.take_rows().len(), 0);
    round(&mut survey, 1_000, [&[("x", 2)], &[]], &[]);
    assert_eq!(survey.take_rows().len(), 0, "nobody asked for them");
}
