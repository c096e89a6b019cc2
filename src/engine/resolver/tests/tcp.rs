//! DNS over TCP: when an answer is cut, or always where resolv.conf says so (F71, F83).

use super::*;

fn cut(asked: &Asked) -> Reply {
    Reply::Messages(vec![(
        5,
        answer(&asked.message, 2, 0, &[(A, 60, &[9, 9, 9, 9])]),
    )])
}

/// The answer as it goes over TCP.
fn framed(asked: &Asked) -> Vec<u8> {
    let Reply::Messages(mut messages) = address(asked, 60) else {
        panic!("it answers")
    };
    let (_, mut message) = messages.remove(0);
    framing::frame(&mut message);
    message
}

#[test]
fn f71_a_cut_answer_is_asked_for_again_over_tcp_of_the_same_server() {
    let mut world = World::new(2, "", |asked| match asked.tcp {
        false => cut(asked),
        true => address(asked, 60),
    });
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.asked_v4(), [(0, 1), (5, 1)]);
    assert_eq!(world.results[0].0, 10);
    let [udp, tcp] = [&world.asked[0], &world.asked[2]];
    assert_eq!(udp.message[2..], tcp.message[2..], "the same query");
    assert_ne!(udp.message[..2], tcp.message[..2], "with an id of its own");
}

#[test]
fn f71_an_answer_over_tcp_may_come_in_pieces() {
    let whole = framed(&Asked {
        at_ms: 0,
        server: 1,
        family: Family::V4,
        edns: false,
        tcp: true,
        message: [&[0; 12][..], &[1, b'a', 0, 0, 1, 0, 1]].concat(),
    });
    for at in 0..whole.len() {
        let mut world = World::new(1, "use-vc", move |asked| {
            let mut first = framed(asked);
            let rest = first.split_off(at.min(first.len()));
            Reply::Stream(vec![(1, first), (3, rest)])
        });
        assert_eq!(world.resolve("a"), both(), "{at}");
        assert_eq!(world.results[0].0, 3, "{at}");
    }
}

#[test]
fn f71_one_message_is_read_and_the_connection_closed() {
    let mut world = World::new(1, "use-vc", |asked| {
        let surplus = [framed(asked), framed(asked)].concat();
        Reply::Stream(vec![(1, surplus), (900, vec![1])])
    });
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.results[0].0, 1);
    assert_eq!(world.sockets, []);
}

#[test]
fn f71_whoever_fails_over_tcp_is_followed_by_the_next_server() {
    type Script = fn(&Asked) -> Reply;
    let table: [(Script, ServerTrouble); 5] = [
        (|_| Reply::Refused, ServerTrouble::Unreachable),
        (|asked| cut(asked), ServerTrouble::Truncated),
        // It ends before the answer is whole, or before there is any of it.
        (
            |asked| {
                let mut part = framed(asked);
                part.pop();
                Reply::Stream(vec![(1, part)])
            },
            ServerTrouble::Broken,
        ),
        (|_| Reply::Stream(Vec::new()), ServerTrouble::Broken),
        // What it says answers another question.
        (
            |asked| {
                let mut other = framed(asked);
                other[2] ^= 1;
                Reply::Stream(vec![(1, other)])
            },
            ServerTrouble::Broken,
        ),
    ];
    for (script, trouble) in table {
        let by_tcp = move |asked: &Asked| match asked.tcp {
            false => cut(asked),
            true => script(asked),
        };
        let mut world = World::new(1, "", by_tcp);
        let error = LookupError::Servers(trouble);
        assert_eq!(world.resolve("a.example"), Err(error));
        assert_eq!(world.asked.len(), 4, "{trouble:?}: once over each");
        let mut world = World::new(2, "", move |asked| match asked.server {
            1 => by_tcp(asked),
            _ => address(asked, 60),
        });
        assert_eq!(world.resolve("a.example"), both());
        // It has answered, so it is not dead, and is asked first again.
        assert_eq!(world.lookup("b.example"), Lookup::Pending);
        assert_eq!(world.asked.last().unwrap().server, 1, "{trouble:?}");
    }
}

#[test]
fn f71_silence_over_tcp_has_the_time_that_any_query_has() {
    let mut world = World::new(2, "timeout:1", |asked| match (asked.server, asked.tcp) {
        (1, false) => cut(asked),
        (1, true) => Reply::Silence,
        _ => address(asked, 60),
    });
    assert_eq!(world.resolve("a.example"), both());
    assert_eq!(world.asked_v4(), [(0, 1), (5, 1), (1_005, 2)]);
}

#[test]
fn f76_a_server_that_bears_no_edns_over_tcp_is_asked_over_tcp_without() {
    let mut world = World::new(1, "use-vc", |asked| match asked.edns {
        true => code(asked, 1),
        false => address(asked, 60),
    });
    assert_eq!(world.resolve("a.example"), both());
    assert!(world.asked.iter().all(|asked| asked.tcp));
    assert_eq!(world.asked.len(), 4);
}

#[test]
fn f83_use_vc_asks_over_tcp_from_the_start() {
    let mut world = World::new(2, "use-vc", |asked| match asked.server {
        1 => Reply::Refused,
        _ => address(asked, 60),
    });
    assert_eq!(world.resolve("a.example"), both());
    assert!(world.asked.iter().all(|asked| asked.tcp));
    assert_eq!(world.asked_v4(), [(0, 1), (0, 2)]);
    // Nobody listens there: the next look-up begins with the other.
    assert_eq!(world.lookup("b.example"), Lookup::Pending);
    assert_eq!(world.asked.last().unwrap().server, 2);
}
