//! A network that refuses, swallows and breaks off, by packet filters in a namespace of its own.

use crate::harness::conduit::CONDUIT;
use crate::harness::feed::plain;
use crate::harness::is_installed;
use crate::harness::servers::Sink;
use crate::harness::world::World;

const URL: &str = "http://127.0.0.1:8080/";

/// A world with packet filters, and a sink at these addresses.
pub(crate) fn filtered(addrs: &[&str]) -> Option<(World, Sink)> {
    let world = World::new()?;
    if !is_installed("iptables", "iptables") {
        return None;
    }
    let sink = Sink::start_by(world.command(CONDUIT), addrs, &[]);
    Some((world, sink))
}

#[test]
fn f11_a_filter_that_resets_is_a_refused_connection() {
    let Some((world, sink)) = filtered(&["127.0.0.1:8080"]) else {
        return;
    };
    world.shell("iptables -A INPUT -p tcp --dport 8080 -j REJECT --reject-with tcp-reset");
    let run = world.run(&[]).feed(plain("a", URL).into());
    run.of("a")
        .assert_failed("exhausted", "connect", &["refused"]);
    assert_eq!(run.of("a").attempts(), 1);
    assert_eq!(sink.stop().connections, 0);
}

#[test]
fn f10_a_swallowed_connection_runs_into_the_connect_timeout() {
    let Some((world, sink)) = filtered(&["127.0.0.1:8080"]) else {
        return;
    };
    world.shell("iptables -A INPUT -p tcp --dport 8080 -j DROP");
    let run = world.run(&[]).feed(plain("a", URL).into());
    let result = run.of("a");
    result.assert_failed("exhausted", "timeout", &["connectTimeout (5 s)"]);
    assert!((5_000.0..9_000.0).contains(&result.duration_ms()));
    assert_eq!((result.attempts(), result.status()), (1, None));
    assert_eq!(sink.stop().connections, 0);
}

#[test]
fn f12_a_connection_that_is_swallowed_in_the_middle_runs_into_the_timeout() {
    let Some((world, sink)) = filtered(&["127.0.0.1:8080"]) else {
        return;
    };
    let mut run = world.run(&["--timeout", "0.5"]);
    run.write(&plain("before", URL));
    assert!(run.next_result().is_delivered());
    world.shell("iptables -I INPUT -p tcp --dport 8080 -j DROP");
    run.write(&plain("during", URL));
    let result = run.next_result();
    result.assert_failed("exhausted", "timeout", &["timeout (0.5 s)"]);
    world.shell("iptables -F INPUT");
    run.write(&plain("after", URL));
    assert!(run.next_result().is_delivered());
    run.finish();
    // That which was in the middle is not used again.
    assert_eq!(sink.stop().connections, 2);
}
