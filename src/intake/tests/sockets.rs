//! Stories of clients of the socket: first answers, limits, who waits for whom, questions, and the end.

use super::*;
use crate::intake::event::Access;

const SERVING: Settings = Settings {
    serves: true,
    ..SETTINGS
};

#[test]
fn each_line_has_its_first_answer_in_order_and_its_result_after_it() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Submit);
    let text = line("a", "1") + "\nnonsense\n" + &line("a", "2") + &line("a", "3")[..20];
    world.says(client, text);
    assert_eq!(world.writes, [client], "said once");
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(world.writes, [client], "and not again before it is fetched");
    let heard = world.hears(client);
    assert!(heard.starts_with(&accepted("1", 1)), "{heard}");
    assert_eq!(
        summary(&heard),
        [
            "1 1 accepted",
            "- 3 invalid",
            "2 4 accepted",
            "1 1 delivered"
        ]
    );
    world.says(client, &line("a", "3").as_bytes()[20..]);
    assert_eq!(world.hears(client), accepted("3", 5));
    world.done("a", Outcome::Delivered);
    world.done("a", Outcome::Delivered);
    assert_eq!(
        summary(&world.hears(client)),
        ["2 4 delivered", "3 5 delivered"]
    );
    assert_eq!(world.results(), "", "the feed is told nothing of it");
    assert!(!world.intake.is_finished());
}

#[test]
fn who_loses_control_is_refused_it_from_the_next_line_on() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Control);
    let access = Some(Access::Submit);
    world.input(Input::Access { client, access });
    world.says(client, "{\"ctl\":\"drain\"}\n{\"ctl\":\"status\"}\n");
    let heard = world.hears(client);
    let answers: Vec<&str> = heard.lines().collect();
    assert!(answers[0].contains("\"kind\":\"policy\""), "{heard}");
    assert!(answers[1].contains("\"draining\":false"), "{heard}");
    world.says(client, line("a", "1"));
    assert_eq!(world.hears(client), accepted("1", 3), "it may still submit");
    let access = Some(Access::Control);
    world.input(Input::Access { client, access });
    world.says(client, "{\"ctl\":\"drain\"}\n");
    assert!(world.hears(client).contains("\"draining\":true"));
}

#[test]
fn who_may_do_nothing_any_more_is_told_of_what_was_read_and_closed() {
    let mut world = World::new(SERVING);
    let (one, two) = (world.connect(Access::Submit), world.connect(Access::Submit));
    world.says(one, line("a", "1") + &line("a", "2")[..20]);
    for client in [one, two] {
        let access = None;
        world.input(Input::Access { client, access });
    }
    world.settle();
    assert_eq!(world.closed, [two], "nothing is owed to it");
    world.says(one, line("a", "2")[20..].to_owned() + &line("a", "3"));
    assert_eq!(world.hears(one), accepted("1", 1), "and no more is read");
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(summary(&world.hears(one)), ["1 1 delivered"]);
    assert_eq!(world.closed, [two, one]);
    assert_eq!(world.intake.progress().pending, 0);
}

#[test]
fn lines_count_on_each_connection_and_a_stream_that_ended_is_closed_when_all_is_told() {
    let mut world = World::new(SERVING);
    let (one, two) = (world.connect(Access::Submit), world.connect(Access::Submit));
    world.says(one, line("a", "1"));
    world.says(two, line("a", "2").trim_end());
    world.hangs_up(two);
    assert_eq!(world.hears(one), accepted("1", 1));
    assert_eq!(
        world.hears(two),
        accepted("2", 1),
        "a last line without its end counts"
    );
    world.done("a", Outcome::Delivered);
    world.hears(one);
    assert!(world.closed.is_empty(), "the one is open, the other waits");
    world.done("a", Outcome::Delivered);
    world.settle();
    assert!(world.closed.is_empty(), "its result is not written");
    world.hears(two);
    assert_eq!(world.closed, [two]);
    assert_eq!(world.intake.progress().clients, 1);
}

#[test]
fn at_a_limit_jobs_of_the_socket_are_overloaded_and_the_feed_is_held() {
    let few = Settings {
        max_pending: 10,
        ..SERVING
    };
    let mut world = World::new(few);
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "j").repeat(11));
    let heard = world.hears(client);
    assert_eq!(heard.matches("accepted").count(), 10);
    let last = heard.lines().last().unwrap();
    assert!(
        last.contains("\"line\":11,\"outcome\":\"overloaded\",\"attempts\":0"),
        "{last}"
    );
    assert!(last.contains("\"id\":\"j\"") && last.contains("\"origin\":\"https://a\""));
    assert!(last.contains("\"kind\":\"limit\"") && last.contains("maxPending"));
    world.chunk(line("b", "feed"));
    assert_eq!(world.hosts("b"), 0, "held, not refused");
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(world.hosts("b"), 1);
}

#[test]
fn bytes_are_a_limit_too() {
    let mut world = World::new(Settings {
        max_pending_bytes: 5_000,
        ..SERVING
    });
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "j").repeat(100));
    let heard = world.hears(client);
    assert!(heard.contains("maxPendingBytes"), "{heard}");
    assert!(world.intake.progress().pending_bytes < 6_000);
}

#[test]
fn what_is_left_above_80_percent_is_not_for_low_priority() {
    let mut world = World::new(Settings {
        max_pending: 10,
        ..SERVING
    });
    let client = world.connect(Access::Submit);
    let low = "{\"url\":\"https://a/\",\"id\":\"low\",\"priority\":\"low\"}\n";
    world.says(
        client,
        line("a", "j").repeat(7) + low + low + &line("a", "j"),
    );
    let heard = summary(&world.hears(client));
    assert_eq!(
        heard[7..],
        ["low 8 accepted", "low 9 overloaded", "j 10 accepted"]
    );
}

#[test]
fn beyond_max_queued_at_one_origin_only_that_ones_jobs_are_overloaded() {
    let mut world = World::new(Settings {
        max_queued: 5,
        max_connections: 2,
        ..SERVING
    });
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "j").repeat(8) + &line("b", "other"));
    let heard = world.hears(client);
    assert_eq!(heard.matches("\"j\"").count(), 8);
    assert_eq!(world.hosts("a"), 7, "two on their way, five waiting");
    assert!(heard.contains("maxQueued"), "{heard}");
    assert_eq!(world.hosts("b"), 1);
    world.done("a", Outcome::Delivered);
    world.done("a", Outcome::Delivered);
    world.held("a", true);
    world.says(client, line("a", "j"));
    assert!(
        world.hears(client).contains("overloaded"),
        "with an open breaker none is on its way"
    );
}

#[test]
fn the_feed_passes_over_lines_of_an_origin_that_is_held_back_and_full() {
    let mut world = World::new(Settings {
        max_queued: 5,
        ..SETTINGS
    });
    world.chunk(line("dead", "d").repeat(8));
    assert_eq!(world.hosts("dead"), 8, "slow is not dead");
    world.held("dead", true);
    world.chunk(line("dead", "d") + &line("a", "1"));
    assert_eq!((world.hosts("dead"), world.hosts("a")), (8, 1));
    let results = world.results();
    assert_eq!(summary(&results), ["d 9 overloaded"], "{results}");
    assert!(results.contains("\"kind\":\"limit\"") && results.contains("maxQueued"));
    world.held("dead", false);
    world.chunk(line("dead", "d"));
    assert_eq!(world.hosts("dead"), 9);
}

#[test]
fn at_a_limit_the_feed_is_held_unless_the_next_line_is_one_of_those() {
    let mut world = World::new(Settings {
        max_pending: 5,
        max_queued: 5,
        ..SETTINGS
    });
    let text = line("dead", "d").repeat(5);
    world.chunk(text);
    world.held("dead", true);
    world.chunk(line("dead", "d") + &line("a", "1") + &line("a", "2"));
    assert_eq!(summary(&world.results()), ["d 6 overloaded"]);
    assert_eq!((world.out.len(), world.intake.has_work()), (5, false));
    world.end();
    assert!(!world.intake.is_finished());
    world.done("dead", Outcome::Expired);
    world.settle();
    assert_eq!(world.hosts("a"), 1, "one for one");
    world.done("dead", Outcome::Expired);
    world.settle();
    assert_eq!(world.hosts("a"), 2);
}

#[test]
fn a_line_that_waits_for_room_at_the_end_has_its_result() {
    let mut world = World::new(Settings {
        max_pending: 5,
        max_queued: 5,
        ..SETTINGS
    });
    world.chunk(line("dead", "d").repeat(5));
    world.held("dead", true);
    world.chunk(line("a", "1"));
    world.input(Input::Stop);
    assert_eq!(summary(&world.results()), ["1 6 cancelled"]);
}

#[test]
fn an_origin_that_was_forgotten_is_not_held_back_any_more() {
    let mut world = World::new(Settings {
        max_queued: 1,
        ..SETTINGS
    });
    world.chunk(line("dead", "d"));
    world.held("dead", true);
    assert_eq!(world.intake.progress().origins_held, 1);
    let (engine, origin) = (world.out[0].0, world.out[0].1.origin.clone());
    world.input(Input::OriginRetired {
        engine,
        origin,
        slot: 0,
        tally: Box::default(),
    });
    assert_eq!(world.intake.progress().origins_held, 0);
    world.chunk(line("dead", "d"));
    assert_eq!(world.hosts("dead"), 2);
}

#[test]
fn a_client_waits_for_its_own_jobs_and_nobody_elses() {
    let mut world = World::new(Settings {
        max_client_pending: 3,
        ..SERVING
    });
    let (greedy, other) = (world.connect(Access::Submit), world.connect(Access::Submit));
    world.says(greedy, line("a", "g").repeat(5));
    assert_eq!(world.out.len(), 3);
    assert_eq!(world.hears(greedy).lines().count(), 3);
    assert!(!world.intake.has_work(), "no busy loop");
    world.says(other, line("b", "o"));
    assert_eq!(world.hosts("b"), 1);
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(world.hosts("a"), 3, "one for one");
    assert_eq!(
        summary(&world.hears(greedy)),
        ["g 1 delivered", "g 4 accepted"]
    );
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Submit);
    let mut chunks = 0;
    while world.intake.result_bytes(client) < RESULT_BYTES_MAX {
        world.says(client, "x\n".repeat(100));
        chunks += 1;
        assert!(chunks < 1_000);
    }
    let before = world.intake.progress().lines;
    world.says(client, line("a", "held"));
    assert_eq!(world.intake.progress().lines, before);
    assert!(!world.intake.has_work());
    world.hears(client);
    assert_eq!(world.hosts("a"), 1);
}

/// The beginning of a line that goes on.
fn half(bytes: usize) -> String {
    let begun = "{\"url\":\"https://a/\",\"payload\":\"";
    begun.to_owned() + &"x".repeat(bytes - begun.len())
}

#[test]
fn f145_half_lines_are_counted_and_take_no_more_than_their_part() {
    const KIB: usize = 1024;
    let mut world = World::new(Settings {
        max_pending_bytes: 1024 * KIB,
        max_job_bytes: 1024 * KIB,
        ..SERVING
    });
    let clients: Vec<ClientId> = (0..20).map(|_| world.connect(Access::Submit)).collect();
    for round in 0..4 {
        for client in &clients {
            let part = match round {
                0 => half(16 * KIB),
                _ => "x".repeat(16 * KIB),
            };
            world.says(*client, part);
        }
    }
    let progress = world.intake.progress();
    assert!(progress.half_line_bytes >= 192 * KIB, "{progress:?}");
    assert!(
        progress.half_line_bytes <= (256 + 20 * 16) * KIB,
        "{progress:?}"
    );
    assert_eq!(
        progress.pending_bytes,
        progress.half_line_bytes + progress.result_bytes
    );
    let whole = world.connect(Access::Submit);
    let lines = line("a", "1") + &line("a", "2");
    let (one, other) = lines.split_at(lines.len() - 7);
    world.says(whole, one);
    world.says(whole, other);
    let accepted = accepted("1", 1) + &accepted("2", 2);
    assert_eq!(world.hears(whole), accepted, "whole lines go on");
    let mut closed = 0;
    for client in &clients {
        world.says(*client, "\"}\n".to_owned() + &line("b", "3"));
        let heard = world.hears(*client);
        let is_told = heard.starts_with(
            "{\"error\":{\"kind\":\"limit\",\"message\":\"lines that have not come whole take 262144 bytes \
             already (a quarter of maxPendingBytes): the connection is closed\"}}\n",
        );
        let ends = "\"line\":2,\"outcome\":\"accepted\"}\n";
        assert!(is_told || heard.ends_with(ends), "{heard}");
        closed += usize::from(is_told);
    }
    assert!((10..20).contains(&closed), "{closed}");
    assert_eq!(world.intake.progress().half_line_bytes, 0);
}

#[test]
fn f145_who_is_alone_may_send_a_line_in_pieces_and_who_leaves_gives_back() {
    let mut world = World::new(Settings {
        max_pending_bytes: 128 * 1024,
        max_job_bytes: 1024 * 1024,
        ..SERVING
    });
    let client = world.connect(Access::Submit);
    world.says(client, half(100_000));
    world.says(client, "\"}\n");
    assert!(world.hears(client).contains("accepted"));
    world.says(client, half(100_000));
    let access = None;
    world.input(Input::Access { client, access });
    assert_eq!(world.intake.progress().half_line_bytes, 0);
    let other = world.connect(Access::Submit);
    world.says(other, half(50_000));
    world.input(Input::Stop);
    world.settle();
    assert_eq!(world.intake.progress().half_line_bytes, 0);
}

#[test]
fn jobs_of_a_client_that_left_go_on_and_its_results_are_dropped_and_counted() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "1"));
    world.hears(client);
    world.leaves(client);
    assert!(world.closed.is_empty(), "what it sent may still be read");
    world.says(client, line("a", "2"));
    world.hangs_up(client);
    assert_eq!(world.closed, [client]);
    assert_eq!(world.out.len(), 2);
    world.done("a", Outcome::Delivered);
    world.done("a", Outcome::Delivered);
    let progress = world.intake.progress();
    assert_eq!((progress.results_dropped, progress.result_bytes), (2, 0));
    assert_eq!(progress.answers_dropped, 1, "F149: that 2 was accepted");
    assert_eq!((progress.clients, progress.ended), (0, 2));
}

#[test]
fn a_client_that_left_with_too_many_pending_is_read_on_when_some_end() {
    let mut world = World::new(Settings {
        max_client_pending: 1,
        ..SERVING
    });
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "1") + &line("a", "2"));
    world.leaves(client);
    world.hangs_up(client);
    assert_eq!(world.out.len(), 1);
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(world.out.len(), 1);
    world.done("a", Outcome::Delivered);
    world.settle();
    assert_eq!(world.closed, [client]);
}

#[test]
fn the_feed_and_the_socket_take_turns() {
    let mut world = World::new(SERVING);
    let (one, two) = (world.connect(Access::Submit), world.connect(Access::Submit));
    for (client, host) in [(world.stdin, "f"), (one, "a"), (two, "b")] {
        let bytes = line(host, "j").repeat(100).into_bytes();
        world.input(Input::Chunk { client, bytes });
    }
    let mut order = String::new();
    while order.len() < 24 {
        if let Some(Output::Deliver { engine, job }) = world.intake.poll_output(world.now) {
            order.push_str(&job.origin.text["https://".len()..]);
            world.out.push((engine, job));
        }
    }
    for host in ["f", "a", "b"] {
        assert!(order.matches(host).count() >= 5, "{order}");
    }
}

#[test]
fn a_feed_without_appetite_does_not_hold_the_socket() {
    let mut world = World::new(SERVING);
    world.chunk(line("slow", "j").repeat(3_000));
    assert_eq!(world.out.len() as u64, WAITING_MIN);
    let client = world.connect(Access::Submit);
    world.says(client, line("a", "1"));
    assert_eq!(world.hosts("a"), 1);
}

#[test]
fn the_end_of_the_feed_is_not_the_end_where_there_is_a_socket() {
    let mut world = World::new(SERVING);
    world.end();
    assert!(!world.intake.is_finished());
    world.input(Input::Stop);
    assert!(world.intake.is_finished());
}

#[test]
fn after_stop_each_client_gets_its_results_and_is_closed() {
    let mut world = World::new(SERVING);
    let (busy, idle) = (world.connect(Access::Submit), world.connect(Access::Submit));
    world.says(busy, line("a", "1") + &line("a", "2")[..10]);
    world.hears(busy);
    world.input(Input::Stop);
    world.settle();
    assert_eq!(world.closed, [idle]);
    world.says(busy, line("a", "late"));
    world.done("a", Outcome::Cancelled);
    world.settle();
    assert_eq!(world.closed, [idle], "its result is not written");
    assert_eq!(summary(&world.hears(busy)), ["1 1 cancelled"]);
    assert_eq!(world.closed, [idle, busy]);
    assert!(world.intake.is_finished());
    let late = world.connect(Access::Submit);
    assert_eq!(world.closed, [idle, busy, late]);
}

#[test]
fn questions_are_answered_in_their_place() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Submit);
    world.pass(Duration::from_millis(2_500));
    let text = line("a", "1") + "{\"ctl\":\"status\"}\n" + &line("a", "2");
    world.says(client, text);
    let heard = world.hears(client);
    let lines: Vec<&str> = heard.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[1],
        "{\"ctl\":\"status\",\"ok\":true,\"data\":{\"uptime\":2,\"draining\":false,\"clients\":1,\"lines\":2,\
         \"accepted\":1,\"pending\":1,\"pendingBytes\":".to_owned()
            + &(world.out[0].1.footprint() + accepted("1", 1).len()).to_string()
            + ",\"origins\":1,\"originsHeld\":0,\"resultsDropped\":0,\"answersDropped\":0,\
               \"outcomes\":{\"delivered\":0,\"rejected\":0,\
               \"exhausted\":0,\"expired\":0,\"blocked\":0,\"overloaded\":0,\"invalid\":0,\"duplicate\":0,\"kept\":0,\
               \"cancelled\":0},\"heldClients\":0,\"held\":[]}}"
    );
    world.says(client, "{\"ctl\":\"dance\"}\n");
    assert_eq!(
        world.hears(client),
        "{\"ctl\":\"dance\",\"ok\":false,\"error\":{\"kind\":\"invalid\",\
         \"message\":\"ctl: expected one of status, endpoints, drain, breaker reset, breaker isolate, \
         set, reload, dead list, dead export, dead replay, dead purge, found dance\"}}\n"
    );
    world.chunk("{\"ctl\":\"status\"}\n");
    assert!(
        world.results().contains("\"outcome\":\"invalid\""),
        "the feed has jobs only"
    );
}

#[test]
fn draining_takes_no_jobs_until_it_is_cancelled_and_ends_when_all_have_their_results() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Control);
    world.says(
        client,
        line("a", "1") + "{\"ctl\":\"drain\"}\n" + &line("a", "2"),
    );
    let heard = world.hears(client);
    assert!(
        heard
            .contains("{\"ctl\":\"drain\",\"ok\":true,\"data\":{\"draining\":true,\"pending\":1}}")
    );
    assert!(
        heard.ends_with("draining: no more jobs are taken in\"}}\n"),
        "{heard}"
    );
    world.chunk(line("a", "feed"));
    assert_eq!(world.out.len(), 1, "the feed is held");
    assert!(!world.intake.has_work() && world.intake.is_draining());
    assert!(!world.intake.is_finished());
    world.says(client, "{\"ctl\":\"drain\",\"cancel\":true}\n");
    assert_eq!(world.out.len(), 2, "it goes on");
    world.says(client, line("a", "3") + "{\"ctl\":\"drain\"}\n");
    for _ in 0..3 {
        world.done("a", Outcome::Delivered);
    }
    world.settle();
    assert!(!world.intake.is_finished(), "results are not written");
    world.hears(client);
    world.results();
    assert!(world.intake.is_finished());
}

#[test]
fn who_may_only_submit_may_not_drain() {
    let mut world = World::new(SERVING);
    let client = world.connect(Access::Submit);
    world.says(client, "{\"ctl\":\"drain\"}\n");
    let heard = world.hears(client);
    assert!(
        heard.contains("\"ok\":false,\"error\":{\"kind\":\"policy\""),
        "{heard}"
    );
    assert!(!world.intake.is_draining());
}

#[test]
fn a_client_of_the_socket_keeps_no_chunk() {
    let mut world = World::new(SERVING);
    let reads = world.reads;
    let client = world.connect(Access::Submit);
    assert_eq!(world.reads, reads + CHUNKS_AHEAD + 1, "one ahead, not four");
    world.says(client, vec![b'x'; 5_000]);
    assert_eq!(world.reads, reads + CHUNKS_AHEAD + 2);
}
