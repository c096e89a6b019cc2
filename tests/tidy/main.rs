//! The walls of the house, held by a test: which file may name which, and what a source file looks like.
//!
//! Each source file is cut into words (comments and literals left out) and its paths are followed: `crate::`,
//! `super::` and use groups too. Rules and exceptions are the tables below; a new one goes there, with its
//! reason. Every check is shown offending texts (`cases`), for a check that cannot fail holds nothing.
//!
//! Not here: how a file is cut (`source`), what the compiler and clippy hold already (`[lints]`, clippy.toml).

mod cases;
mod source;

use std::fs;
use std::path::Path;

use source::{Named, Token, module_of, named_paths, tokens};

const MAX_LINES: usize = 800;
const MAX_COLUMNS: usize = 120;
/// The one file that may say `unsafe`.
const UNSAFE_ROOM: &str = "src/io/sys.rs";
/// The one file that may build on std's hash table.
const HASH_ROOM: &str = "src/base/map.rs";

/// What each floor may name of the others. Whatever is not in this table is the binary, on top of all.
const FLOORS: [(&str, &[&str]); 6] = [
    ("base", &[]),
    ("wire", &["base"]),
    ("engine", &["base", "wire"]),
    ("intake", &["base", "wire"]),
    ("journal", &["base", "wire"]),
    ("io", &["base", "wire", "engine", "intake", "journal"]),
];

/// The floors without clock, socket, file, thread and chance.
const PURE: [&str; 5] = ["base", "wire", "engine", "intake", "journal"];

/// What every leaf of the engine may name.
const COMMON_LEAVES: [&str; 5] = ["attempt", "close_reason", "event", "outcome", "policy"];
/// The engine's rooms beside its `mod`: like that one, they may name all leaves.
const PARENT: [&str; 8] = [
    "dispatch",
    "dialing",
    "queries",
    "conclude",
    "revision",
    "asking",
    "forgetting",
    "sharing",
];
/// The engine's leaves that own others, and which. Its `mod` (and that one's tests) may name all.
const OWNERS: [(&str, &[&str]); 3] = [
    (
        "origin",
        &[
            "queue",
            "places",
            "pool",
            "throttle",
            "unused",
            "rate",
            "breaker",
            "preference",
            "idle_time",
            "latency",
            "adaptive_timeout",
            "adaptive_concurrency",
            "score",
            "connection",
        ],
    ),
    ("pool", &["connection", "dial"]),
    ("connection", &["dial", "exchange"]),
];

/// Paths that no pure floor may name, nor anything below them.
const IMPURE_PATHS: [(&str, &str); 18] = [
    ("std::time::Instant", "reads a clock"),
    ("std::time::self", "brings a clock"),
    ("std::time::*", "brings a clock"),
    ("std::thread", "starts threads"),
    ("std::fs", "touches files"),
    ("std::env", "reads the environment"),
    ("std::process", "touches processes"),
    ("std::os", "makes syscalls"),
    ("std::io::stdin", "makes syscalls"),
    ("std::io::stdout", "makes syscalls"),
    ("std::io::stderr", "makes syscalls"),
    ("getrandom", "asks the system for randomness"),
    ("aws_lc_rs::rand", "asks the system for randomness"),
    ("mio", "makes syscalls"),
    ("libc", "makes syscalls"),
    ("rustls", "belongs to io/tls"),
    ("lexopt", "reads the command line"),
    ("log", "logs, and the core only hands out notes"),
];

/// Words that no pure floor may use, whichever way it came by them.
const IMPURE_WORDS: [(&str, &str); 10] = [
    ("SystemTime", "is a clock"),
    ("RandomState", "asks the system for randomness"),
    ("HashMap", "iterates in hash order"),
    ("HashSet", "iterates in hash order"),
    ("TcpStream", "is a socket"),
    ("TcpListener", "is a socket"),
    ("UdpSocket", "is a socket"),
    ("UnixStream", "is a socket"),
    ("UnixListener", "is a socket"),
    ("UnixDatagram", "is a socket"),
];

#[test]
fn the_walls_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    list_sources(root, "src", &mut files);
    assert!(files.iter().any(|file| file == HASH_ROOM), "{files:?}");
    let mut complaints = Vec::new();
    for file in files {
        let text = fs::read_to_string(root.join(&file)).expect("sources are readable UTF-8");
        complaints.extend(check(&file, &text));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn ci_installs_what_the_stories_ask_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ci = fs::read_to_string(root.join(".ci/run")).expect("it is there");
    let listed: Vec<&str> = ci.split([' ', '\n', ';']).collect();
    let mut files = Vec::new();
    list_sources(root, "tests/e2e", &mut files);
    let mut asked = 0;
    for file in files {
        let text = fs::read_to_string(root.join(&file)).expect("sources are readable UTF-8");
        for call in text.split("is_installed(").skip(1) {
            // A call names two literals: program and package. The definition names none.
            let (arguments, _) = call.split_once(')').expect("a call ends");
            let words: Vec<&str> = arguments.split('"').collect();
            let [_, program, _, package, _] = words[..] else {
                continue;
            };
            let pair = format!("{program}:{package}");
            assert!(listed.contains(&pair.as_str()), "{file}: no {pair}");
            asked += 1;
        }
    }
    assert!(asked > 10, "{asked}");
}

/// All `.rs` files under `dir`, by their names from the root, in their order.
fn list_sources(root: &Path, dir: &str, files: &mut Vec<String>) {
    let mut names: Vec<String> = fs::read_dir(root.join(dir))
        .expect("the source tree is readable")
        .map(|entry| entry.expect("the source tree is readable").file_name())
        .map(|name| name.into_string().expect("source names are UTF-8"))
        .collect();
    names.sort();
    for name in names {
        let path = format!("{dir}/{name}");
        if root.join(&path).is_dir() {
            list_sources(root, &path, files);
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

/// All that is wrong with one file, as `file:line: what`.
fn check(file: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let named = named_paths(&module_of(file), &tokens);
    let mut found = check_text(text);
    found.extend(check_floors(file, &named));
    found.extend(check_leaves(file, &named));
    found.extend(check_purity(file, &tokens, &named));
    found.extend(check_unsafe(file, &tokens));
    found.sort();
    found
        .into_iter()
        .map(|(line, what)| format!("{file}:{line}: {what}"))
        .collect()
}

fn check_text(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push((1, "a file opens with `//!` and what it is for".to_owned()));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push((lines, format!("a file has at most {MAX_LINES} lines")));
    }
    for (index, line) in text.split('\n').enumerate() {
        let columns = line.chars().count();
        if line.contains('\t') {
            found.push((index + 1, "a tab".to_owned()));
        }
        if line.ends_with(char::is_whitespace) {
            found.push((index + 1, "a space at the end of a line".to_owned()));
        }
        if columns > MAX_COLUMNS {
            found.push((
                index + 1,
                format!("{columns} columns, at most {MAX_COLUMNS}"),
            ));
        }
    }
    found
}

fn check_floors(file: &str, named: &[Named]) -> Vec<(usize, String)> {
    let module = module_of(file);
    let Some((floor, below)) = FLOORS.iter().find(|(floor, _)| is_in(&module, floor)) else {
        return Vec::new();
    };
    named
        .iter()
        .filter(|named| named.ours)
        .filter_map(|named| {
            let other = named.path.first().map_or("crate", String::as_str);
            let allowed = other == *floor || below.contains(&other);
            (!allowed).then(|| (named.line, format!("{floor} may not name {other}")))
        })
        .collect()
}

fn check_leaves(file: &str, named: &[Named]) -> Vec<(usize, String)> {
    let module = module_of(file);
    let [floor, leaf, ..] = module.as_slice() else {
        return Vec::new();
    };
    if floor != "engine" || leaf == "tests" || PARENT.contains(&leaf.as_str()) {
        return Vec::new();
    }
    let owned = OWNERS.iter().find(|(owner, _)| owner == leaf);
    let owned = owned.map_or(&[][..], |(_, owned)| owned);
    named
        .iter()
        .filter(|named| named.ours && is_in(&named.path, "engine"))
        .filter_map(|named| {
            let other = named.path.get(1).map_or("mod", String::as_str);
            let allowed = other == leaf || COMMON_LEAVES.contains(&other) || owned.contains(&other);
            (!allowed).then(|| {
                (
                    named.line,
                    format!("engine::{leaf} may not name engine::{other}"),
                )
            })
        })
        .collect()
}

fn check_purity(file: &str, tokens: &[Token], named: &[Named]) -> Vec<(usize, String)> {
    let module = module_of(file);
    let Some(floor) = PURE.iter().find(|floor| is_in(&module, floor)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for Named { path, line, .. } in named.iter().filter(|named| !named.ours) {
        // A module that is named alone is brought in whole, like its `self`.
        let whole = [path.join("::"), "self".to_owned()].join("::");
        for (forbidden, why) in IMPURE_PATHS {
            let below = whole.strip_prefix(forbidden);
            if below.is_some_and(|rest| rest.is_empty() || rest.starts_with("::")) {
                found.push((*line, format!("{floor} may not name {forbidden}: it {why}")));
            }
        }
    }
    for Token { text, line } in tokens {
        for (forbidden, why) in IMPURE_WORDS {
            if text == forbidden && !(forbidden == "HashMap" && file == HASH_ROOM) {
                found.push((*line, format!("{floor} may not use {forbidden}: it {why}")));
            }
        }
    }
    found
}

fn check_unsafe(file: &str, tokens: &[Token]) -> Vec<(usize, String)> {
    tokens
        .iter()
        .filter(|token| token.text == "unsafe" && file != UNSAFE_ROOM)
        .map(|token| (token.line, format!("`unsafe` belongs in {UNSAFE_ROOM}")))
        .collect()
}

fn is_in(module: &[String], floor: &str) -> bool {
    module.first().is_some_and(|first| first == floor)
}
