//! Offending texts for every check, and innocent ones that look like them.

use super::{MAX_COLUMNS, MAX_LINES, check};

/// Each text in its file, and all complaints about it (without the file's name).
#[track_caller]
fn assert_complaints(cases: &[(&str, &str, &[&str])]) {
    for (file, code, expected) in cases {
        // Line 1 is the opening, so the code begins on line 2.
        let found = check(file, &format!("//! Opening.\n{code}\n"));
        let expected: Vec<String> = expected
            .iter()
            .map(|what| format!("{file}:{what}"))
            .collect();
        assert_eq!(found, expected, "{code}");
    }
}

#[test]
fn a_floor_that_names_one_above_or_beside_is_seen() {
    assert_complaints(&[
        (
            "src/base/slab.rs",
            "use crate::wire::job::Job;",
            &["2: base may not name wire"],
        ),
        ("src/base/slab.rs", "use crate::base::time::Instant;", &[]),
        (
            "src/wire/job.rs",
            "use crate::{base::rng, engine};",
            &["2: wire may not name engine"],
        ),
        (
            "src/wire/job.rs",
            "\nfn f(x: &crate::intake::X) {}",
            &["3: wire may not name intake"],
        ),
        (
            "src/engine/mod.rs",
            "use crate::intake::event::Input;",
            &["2: engine may not name intake"],
        ),
        (
            "src/engine/mod.rs",
            "use super::intake;",
            &["2: engine may not name intake"],
        ),
        (
            "src/engine/mod.rs",
            "use super::*;",
            &["2: engine may not name *"],
        ),
        (
            "src/intake/ledger.rs",
            "use super::super::engine;",
            &["2: intake may not name engine"],
        ),
        (
            "src/intake/ledger.rs",
            "use crate::{\n    wire::{job::Job, url},\n    journal::X,\n};",
            &["4: intake may not name journal"],
        ),
        (
            "src/intake/ledger.rs",
            "mod tests { use super::super::super::engine; }",
            &["2: intake may not name engine"],
        ),
        (
            "src/intake/ledger.rs",
            "mod tests { use super::super::admission; }",
            &[],
        ),
        (
            "src/io/turn.rs",
            "use crate::commands::run;",
            &["2: io may not name commands"],
        ),
        (
            "src/io/turn.rs",
            "use conduit::{engine::Engine, intake::X};",
            &[],
        ),
        (
            "src/commands/run.rs",
            "use crate::{io::turn, config};\nuse conduit::engine;",
            &[],
        ),
        ("src/lib.rs", "pub use crate::engine::Engine;", &[]),
        (
            "src/base/slab.rs",
            "// use crate::wire;\n/* crate::wire:: /* */ */ const X: &str = \"crate::wire::x\";",
            &[],
        ),
    ]);
}

#[test]
fn a_leaf_of_the_engine_that_names_a_stranger_is_seen() {
    assert_complaints(&[
        (
            "src/engine/backoff.rs",
            "use crate::engine::breaker::Breaker;",
            &["2: engine::backoff may not name engine::breaker"],
        ),
        (
            "src/engine/backoff.rs",
            "use super::breaker;",
            &["2: engine::backoff may not name engine::breaker"],
        ),
        (
            "src/engine/backoff.rs",
            "use crate::engine::{event, policy::Policy};",
            &[],
        ),
        (
            "src/engine/backoff.rs",
            "mod tests { use super::*; use super::Backoff as B; }",
            &[],
        ),
        (
            "src/engine/backoff.rs",
            "use crate::engine::Engine;",
            &["2: engine::backoff may not name engine::Engine"],
        ),
        (
            "src/engine/backoff.rs",
            "use crate::engine;\nuse super::*;",
            &[
                "2: engine::backoff may not name engine::mod",
                "3: engine::backoff may not name engine::*",
            ],
        ),
        (
            "src/engine/origin.rs",
            "use crate::engine::{pool::Pool, connection, queue, throttle, breaker};",
            &[],
        ),
        (
            "src/engine/origin.rs",
            "use crate::engine::dial::Dial;",
            &["2: engine::origin may not name engine::dial"],
        ),
        (
            "src/engine/pool.rs",
            "use crate::engine::{connection::X, queue::Y};",
            &["2: engine::pool may not name engine::queue"],
        ),
        (
            "src/engine/connection.rs",
            "use super::{dial, exchange::{self, Exchange}};",
            &[],
        ),
        (
            "src/engine/connection/idle.rs",
            "use crate::engine::{connection, exchange, pool::X};",
            &["2: engine::connection may not name engine::pool"],
        ),
        (
            "src/engine/mod.rs",
            "use self::{dial::Dial, origin::Origin};",
            &[],
        ),
        (
            "src/engine/tests.rs",
            "use crate::engine::{dial::Dial, Engine};",
            &[],
        ),
    ]);
}

#[test]
fn clocks_sockets_threads_and_chance_below_io_are_seen() {
    assert_complaints(&[
        (
            "src/engine/mod.rs",
            "use std::time::Instant;",
            &["2: engine may not name std::time::Instant: it reads a clock"],
        ),
        (
            "src/engine/mod.rs",
            "use std::time::{Duration, Instant as I};",
            &["2: engine may not name std::time::Instant: it reads a clock"],
        ),
        ("src/engine/mod.rs", "use std::time::Duration;", &[]),
        (
            "src/engine/mod.rs",
            "use std::time;",
            &["2: engine may not name std::time::self: it brings a clock"],
        ),
        (
            "src/engine/mod.rs",
            "use std::{fmt, time::{self, *}};",
            &[
                "2: engine may not name std::time::*: it brings a clock",
                "2: engine may not name std::time::self: it brings a clock",
            ],
        ),
        (
            "src/wire/url.rs",
            "use std::time::SystemTime;",
            &["2: wire may not use SystemTime: it is a clock"],
        ),
        (
            "src/intake/mod.rs",
            "\nuse std::collections::{HashMap, HashSet};",
            &[
                "3: intake may not use HashMap: it iterates in hash order",
                "3: intake may not use HashSet: it iterates in hash order",
            ],
        ),
        ("src/base/map.rs", "use std::collections::HashMap;", &[]),
        (
            "src/base/map.rs",
            "use std::collections::HashSet;",
            &["2: base may not use HashSet: it iterates in hash order"],
        ),
        (
            "src/base/map.rs",
            "use std::hash::RandomState;",
            &["2: base may not use RandomState: it asks the system for randomness"],
        ),
        (
            "src/journal/mod.rs",
            "use std::net::{IpAddr, UdpSocket};",
            &["2: journal may not use UdpSocket: it is a socket"],
        ),
        (
            "src/journal/mod.rs",
            "use std::fs::File;",
            &["2: journal may not name std::fs: it touches files"],
        ),
        (
            "src/wire/dns.rs",
            "use std::net;\nfn f() { net::TcpStream::connect(x); }",
            &["3: wire may not use TcpStream: it is a socket"],
        ),
        (
            "src/wire/dns.rs",
            "fn f() { ::std::thread::spawn(g); }",
            &["2: wire may not name std::thread: it starts threads"],
        ),
        (
            "src/wire/dns.rs",
            "fn f() { getrandom::fill(x); log::info!(\"\"); }",
            &[
                "2: wire may not name getrandom: it asks the system for randomness",
                "2: wire may not name log: it logs, and the core only hands out notes",
            ],
        ),
        (
            "src/wire/dns.rs",
            "fn f() { Vec::<std::process::Child>::new(); }",
            &["2: wire may not name std::process: it touches processes"],
        ),
        (
            "src/wire/dns.rs",
            "//! HashMap std::time::Instant\nconst X: &[u8] = br#\"\"HashMap\"#;\nconst Y: char = '\"';",
            &[],
        ),
        (
            "src/io/clock.rs",
            "use std::time::{Instant, SystemTime};\nuse std::collections::HashMap;",
            &[],
        ),
    ]);
}

#[test]
fn unsafe_outside_its_room_is_seen() {
    let complaint: &[&str] = &["3: `unsafe` belongs in src/io/sys.rs"];
    let code = "#![forbid(unsafe_code)]\nfn f<'a>() { unsafe { g('u') } }";
    assert_complaints(&[
        ("src/io/stream.rs", code, complaint),
        ("src/lib.rs", code, complaint),
        ("src/io/sys.rs", code, &[]),
        (
            "src/io/stream.rs",
            "// unsafe\nconst X: &str = \"\\\"unsafe\";",
            &[],
        ),
    ]);
}

#[test]
fn untidy_text_is_seen() {
    let long = format!("// {}", "ä".repeat(MAX_COLUMNS - 3));
    let too_long = format!("{long}.");
    assert_complaints(&[
        ("src/main.rs", "fn f() {\n\tg();\n}", &["3: a tab"]),
        (
            "src/main.rs",
            "fn f() {} ",
            &["2: a space at the end of a line"],
        ),
        (
            "src/main.rs",
            "fn f() {}\r",
            &["2: a space at the end of a line"],
        ),
        ("src/main.rs", &long, &[]),
        ("src/main.rs", &too_long, &["2: 121 columns, at most 120"]),
        ("src/main.rs", &"\n".repeat(MAX_LINES - 2), &[]),
        (
            "src/main.rs",
            &"\n".repeat(MAX_LINES - 1),
            &["801: a file has at most 800 lines"],
        ),
    ]);
    assert_eq!(
        check("src/main.rs", "fn main() {}\n"),
        ["src/main.rs:1: a file opens with `//!` and what it is for"]
    );
}
