//! The binary itself: static, self-explaining, at home in an empty directory.

use std::fs;
use std::process::{Command, Output};

use crate::errors::in_root;
use crate::harness::conduit::{CONDUIT, ask};
use crate::harness::{TempDir, is_installed, is_root};

/// The flags of `conduit run` by the contract.
const RUN_FLAGS: [&str; 24] = [
    "--max-connections",
    "--max-connections-total",
    "--connection-lifetime",
    "--idle-timeout",
    "--connect-timeout",
    "--timeout",
    "--drain-timeout",
    "--max-drain-bytes",
    "--max-response-header-bytes",
    "--keep-alive-delay",
    "--keep-alive-timeout",
    "--resend-stale",
    "--ttl",
    "--max-job-bytes",
    "--response-bytes",
    "--max-pending",
    "--max-pending-bytes",
    "--shutdown-timeout",
    "--workers",
    "--timings",
    "--ca-file",
    "--allow-http",
    "--allow-net",
    "--allow-port",
];

const SINK_FLAGS: [&str; 5] = ["--listen", "--status", "--delay", "--tls", "--log"];

fn output(command: &mut Command) -> (String, Output) {
    let output = command.output().expect("it is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output)
}

#[test]
fn it_is_static_and_resolves_names_itself() {
    if !is_installed("readelf", "binutils") || !is_installed("nm", "binutils") {
        return;
    }
    let (headers, _) = output(Command::new("readelf").args(["-lW", CONDUIT]));
    assert!(headers.contains("LOAD"), "{headers}");
    assert!(!headers.contains("INTERP"), "{headers}");
    let (symbols, _) = output(Command::new("nm").arg(CONDUIT));
    assert!(symbols.contains(" main"), "the binary has its symbols");
    // A mark of the linker's warning (`n`) may stay behind; the function itself must not.
    let getaddrinfo = symbols
        .lines()
        .find(|line| line.contains("getaddrinfo") && !line.contains(" n __evoke_link_warning"));
    assert_eq!(getaddrinfo, None);
}

#[test]
fn help_of_every_command_names_each_of_its_flags() {
    let table: [(&[&str], &[&str]); 5] = [
        (&["--help"], &["run", "sink", "demo", "--help", "--version"]),
        (&["run", "--help"], &RUN_FLAGS),
        (&["run", "--help"], &["--log-level", "--log-format"]),
        (&["sink", "--help"], &SINK_FLAGS),
        (&["demo", "--help"], &["conduit demo"]),
    ];
    for (arguments, words) in table {
        let (status, stdout, stderr) = ask(arguments);
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{arguments:?}");
        for word in words {
            assert!(
                stdout.contains(word),
                "{arguments:?} says nothing of {word}"
            );
        }
        let widest = stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{arguments:?}: {widest:?} columns");
    }
}

#[test]
fn it_says_its_version() {
    for arguments in [&["--version"][..], &["run", "--version"]] {
        let (status, stdout, _) = ask(arguments);
        let expected = format!("conduit {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((status, stdout), (Some(0), expected), "{arguments:?}");
    }
}

#[test]
fn the_demo_delivers_a_thousand_of_a_thousand() {
    let (status, stdout, stderr) = ask(&["demo"]);
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("delivered 1,000 of 1,000"), "{stdout}");
    for word in ["p50", "p95", "p99", "connections"] {
        assert!(stdout.contains(word), "no {word}: {stdout}");
    }
    assert!(!stdout.contains('\u{1b}'), "no colours into a pipe");
    assert!(!stderr.contains('\r'), "no progress without a terminal");
}

#[test]
fn it_runs_in_an_empty_directory() {
    if !is_root() {
        return;
    }
    let root = TempDir::new();
    fs::copy(CONDUIT, root.join("conduit")).unwrap();
    let (version, output_of_version) = output(&mut in_root(root.path(), &["--version"], &[]));
    assert!(output_of_version.status.success(), "{output_of_version:?}");
    assert!(version.starts_with("conduit "), "{version}");
    let (summary, output_of_demo) = output(&mut in_root(root.path(), &["demo"], &[]));
    assert!(output_of_demo.status.success(), "{output_of_demo:?}");
    assert!(summary.contains("delivered 1,000 of 1,000"), "{summary}");
}
