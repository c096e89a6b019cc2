//! Dials on a virtual clock: when which address is tried, who wins, and what is reported if nobody does.

use super::*;
use crate::engine::event::CauseKind;

const SECOND: Duration = Duration::from_secs(1);
const SIX: &str = "[2001:db8::1]:443";
const FOUR: &str = "192.0.2.1:443";
const FOUR_TOO: &str = "192.0.2.2:443";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn sock(n: u64) -> SockId {
    SockId::from_bits(1 << 32 | n)
}

fn cause(kind: CauseKind) -> Cause {
    Cause {
        kind,
        message: format!("{kind:?}").into(),
    }
}

fn dial() -> Dial {
    Dial::new(
        Instant::default(),
        Purpose::InLine(Key::from_bits(1 << 32)),
        SECOND * 5,
    )
}

/// A dial whose first address is under way on socket 0 since the beginning.
fn dialing(addrs: &[&str]) -> Dial {
    dialing_early(addrs, false)
}

/// The same; `is_open`: there may be other addresses.
fn dialing_early(addrs: &[&str], is_open: bool) -> Dial {
    let mut dial = dial();
    let start = Instant::default();
    let addresses = addrs.iter().map(|text| addr(text)).collect();
    let next = dial.on_addresses(start, addresses, is_open);
    assert_connect(next, addrs[0]);
    dial.on_begun(start, sock(0));
    dial
}

#[track_caller]
fn assert_connect(next: Next, expected: &str) {
    match next {
        Next::Connect(found) => assert_eq!(found, addr(expected)),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_gives_up(next: Next, expected: CauseKind) {
    match next {
        Next::GiveUp(Happened::ConnectFailed(cause)) => assert_eq!(cause.kind, expected),
        other => panic!("{other:?}"),
    }
}

fn after(millis: u64) -> Instant {
    Instant::default() + Duration::from_millis(millis)
}

#[test]
fn f78_the_next_address_follows_after_250_ms_and_a_third_when_one_has_failed() {
    let mut dial = dialing(&[SIX, FOUR, FOUR_TOO]);
    assert_eq!(dial.wakes_at(), after(250));
    assert!(matches!(dial.on_stagger(after(249)), Next::Wait));
    assert_connect(dial.on_stagger(after(250)), FOUR);
    dial.on_begun(after(250), sock(1));
    // Two are under way: nothing happens until one fails, or the time of the dial is over.
    assert_eq!(dial.wakes_at(), dial.deadline);
    assert!(matches!(dial.on_stagger(after(900)), Next::Wait));
    let refused = cause(CauseKind::Refused);
    assert_connect(dial.on_failed(after(950), sock(0), refused), FOUR_TOO);
    dial.on_begun(after(950), sock(2));
    assert_eq!(dial.racers().collect::<Vec<_>>(), [sock(1), sock(2)]);
}

#[test]
fn f78_the_first_that_is_up_wins_and_the_other_is_closed() {
    for (winner, loser, expected) in [(0, 1, SIX), (1, 0, FOUR)] {
        let mut dial = dialing(&[SIX, FOUR]);
        dial.on_begun(after(250), sock(1));
        let closed = dial.on_connected(after(300), sock(winner), false);
        assert_eq!(closed, Some(sock(loser)));
        assert_eq!(dial.winner(), Some(addr(expected)));
        assert_eq!(dial.racers().count(), 0);
        assert_eq!(dial.wakes_at(), dial.deadline);
        assert_eq!(dial.spent().connect, Duration::from_millis(300));
    }
    // Where there is no choice there is nothing to remember.
    let mut dial = dialing(&[SIX]);
    assert_eq!(dial.wakes_at(), dial.deadline);
    assert_eq!(dial.on_connected(after(300), sock(0), false), None);
    assert_eq!(dial.winner(), None);
}

#[test]
fn f78_after_a_failed_handshake_the_next_untried_address_follows() {
    let mut dial = dialing(&[SIX, FOUR, FOUR_TOO]);
    dial.on_begun(after(250), sock(1));
    assert_eq!(dial.on_connected(after(260), sock(1), true), Some(sock(0)));
    let tls = cause(CauseKind::Tls);
    assert_connect(dial.on_failed(after(270), sock(1), tls.clone()), FOUR_TOO);
    dial.on_begun(after(270), sock(2));
    assert_eq!(
        dial.wakes_at(),
        dial.deadline,
        "the loser is not tried again"
    );
    let refused = cause(CauseKind::Refused);
    // What a server said in TLS tells more than that nobody listens elsewhere.
    assert_gives_up(dial.on_failed(after(280), sock(2), refused), CauseKind::Tls);
}

#[test]
fn f11_a_refused_address_is_followed_at_once_and_the_last_failure_counts() {
    let mut dial = dialing(&[FOUR, FOUR_TOO]);
    let mut refused = cause(CauseKind::Refused);
    assert_connect(dial.on_failed(after(1), sock(0), refused.clone()), FOUR_TOO);
    dial.on_begun(after(1), sock(1));
    refused.message = "the last one".into();
    let Next::GiveUp(Happened::ConnectFailed(found)) =
        dial.on_failed(after(2), sock(1), refused.clone())
    else {
        panic!("none is left")
    };
    assert_eq!(found, refused);
}

#[test]
fn f11_of_the_failures_of_all_addresses_the_most_telling_counts() {
    use CauseKind::{NoNetwork, Other, Own, Refused, Reset, Tls, Unreachable};
    let table = [
        (NoNetwork, NoNetwork, NoNetwork),
        (NoNetwork, Unreachable, Unreachable),
        (Refused, NoNetwork, Refused),
        (Unreachable, Refused, Refused),
        (Refused, Unreachable, Refused),
        (Other, Unreachable, Other),
        (Reset, Refused, Reset),
        (Tls, Refused, Tls),
        (Own, Own, Own),
        (Own, NoNetwork, NoNetwork),
        (Refused, Own, Refused),
    ];
    for (one, other, expected) in table {
        let mut dial = dialing(&[SIX, FOUR]);
        assert_connect(dial.on_failed(after(1), sock(0), cause(one)), FOUR);
        dial.on_begun(after(1), sock(1));
        assert_gives_up(dial.on_failed(after(2), sock(1), cause(other)), expected);
    }
    let mut dial = dialing(&[SIX]);
    let only = dial.on_failed(after(1), sock(0), cause(NoNetwork));
    assert_gives_up(only, NoNetwork);
}

#[test]
fn f19_without_descriptors_no_further_address_is_tried_but_one_under_way_may_still_win() {
    let local = || cause(CauseKind::Local);
    let mut dial = dialing(&[SIX, FOUR]);
    assert_gives_up(dial.on_failed(after(1), sock(0), local()), CauseKind::Local);

    let mut dial = dialing(&[SIX, FOUR, FOUR_TOO]);
    dial.on_begun(after(250), sock(1));
    assert!(matches!(
        dial.on_failed(after(250), sock(1), local()),
        Next::Wait
    ));
    assert_eq!(dial.wakes_at(), dial.deadline);
    let refused = cause(CauseKind::Refused);
    assert_gives_up(
        dial.on_failed(after(300), sock(0), refused),
        CauseKind::Local,
    );
}

#[test]
fn without_a_place_the_next_address_waits_another_250_ms() {
    let mut dial = dialing(&[SIX, FOUR]);
    assert_connect(dial.on_stagger(after(250)), FOUR);
    dial.put_off(after(250));
    assert!(matches!(dial.on_stagger(after(250)), Next::Wait));
    assert_eq!(dial.wakes_at(), after(500));
    assert_connect(dial.on_stagger(after(500)), FOUR);
}

#[test]
fn f10_one_limit_covers_every_stage_and_names_the_one_it_ran_out_in() {
    let mut dial = dial();
    let start = Instant::default();
    let deadline = dial.deadline;
    assert!(matches!(
        dial.timed_out(),
        Happened::TimedOut(Clock::Lookup(_))
    ));
    let four = addr(FOUR);
    assert_connect(dial.on_addresses(start + SECOND, vec![four], false), FOUR);
    dial.on_begun(start + SECOND, sock(0));
    assert!(matches!(dial.timed_out(), Happened::TimedOut(Clock::Connect(_, a)) if a == four));
    assert_eq!(dial.on_connected(start + SECOND * 2, sock(0), true), None);
    assert!(matches!(dial.timed_out(), Happened::TimedOut(Clock::Handshake(_, a)) if a == four));
    dial.on_secured(start + SECOND * 4);
    assert_eq!((dial.deadline, dial.wakes_at()), (deadline, deadline));
    assert_eq!(
        dial.spent(),
        Spent {
            dns: SECOND,
            connect: SECOND,
            tls: SECOND * 2
        }
    );
}

#[test]
fn f151_addresses_that_come_late_join_whatever_those_before_them_have_come_to() {
    let refused = || cause(CauseKind::Refused);
    // Nothing is left: it waits, for as long as it has, and goes on with what comes.
    let mut dial = dialing_early(&[SIX], true);
    assert!(dial.awaits_addresses());
    assert!(matches!(
        dial.on_failed(after(1), sock(0), refused()),
        Next::Wait
    ));
    assert_eq!(dial.wakes_at(), dial.deadline);
    let (closed, next) = dial.on_more(after(900), &[addr(SIX), addr(FOUR)], false);
    assert_eq!(closed, None);
    assert_connect(next, FOUR);
    dial.on_begun(after(900), sock(1));
    assert!(!dial.awaits_addresses());
    assert_gives_up(
        dial.on_failed(after(901), sock(1), refused()),
        CauseKind::Refused,
    );

    // Nothing comes: it has failed as the addresses have that were known.
    let mut dial = dialing_early(&[SIX], true);
    _ = dial.on_failed(after(1), sock(0), refused());
    let (_, next) = dial.on_more(after(900), &[addr(SIX)], false);
    assert_gives_up(next, CauseKind::Refused);
    let mut dial = dialing_early(&[SIX], true);
    _ = dial.on_failed(after(1), sock(0), refused());
    assert!(matches!(dial.timed_out(), Happened::ConnectFailed(_)));

    // One is under way: the next follows when it would have.
    let mut dial = dialing_early(&[SIX], true);
    let (_, next) = dial.on_more(after(60), &[addr(SIX), addr(FOUR)], false);
    assert!(matches!(next, Next::Wait));
    assert_eq!(dial.wakes_at(), after(250));
    assert_connect(dial.on_stagger(after(250)), FOUR);

    // It is up, and fails in TLS.
    let mut dial = dialing_early(&[SIX], true);
    assert_eq!(dial.on_connected(after(5), sock(0), true), None);
    let (_, next) = dial.on_more(after(60), &[addr(SIX), addr(FOUR)], false);
    assert!(matches!(next, Next::Wait));
    assert_connect(
        dial.on_failed(after(70), sock(0), cause(CauseKind::Tls)),
        FOUR,
    );
}

#[test]
fn f151_where_two_of_one_family_are_under_way_a_late_one_of_the_other_takes_the_youngers_turn() {
    let mut dial = dialing_early(&[FOUR, FOUR_TOO], true);
    assert_connect(dial.on_stagger(after(250)), FOUR_TOO);
    dial.on_begun(after(250), sock(1));
    let all = [addr(SIX), addr(FOUR), addr(FOUR_TOO)];
    let (closed, next) = dial.on_more(after(900), &all, false);
    assert_eq!(closed, Some(sock(1)));
    assert_connect(next, SIX);
    dial.on_begun(after(900), sock(2));
    // It has its turn again when one of the two has failed.
    let refused = cause(CauseKind::Refused);
    assert_connect(dial.on_failed(after(950), sock(2), refused), FOUR_TOO);
}

#[test]
fn f151_what_says_nothing_of_the_receiver_is_known_as_such() {
    let dial = dial();
    assert!(dial.is_at_a_loss());
    for (kind, expected) in [(CauseKind::NoNetwork, true), (CauseKind::Refused, false)] {
        let mut dial = dialing_early(&[SIX], true);
        assert!(!dial.is_at_a_loss(), "it is tried");
        _ = dial.on_failed(after(1), sock(0), cause(kind));
        assert_eq!(dial.is_at_a_loss(), expected, "{kind:?}");
    }
}
