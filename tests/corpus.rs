//! The inputs that fuzzing has found worth keeping, played again by plain `cargo test`.
//!
//! `fuzz/checks` holds a promise for each parser and for the machines; `fuzz/fuzz_targets` feeds it what libFuzzer thinks of, this test
//! what lies in `fuzz/corpus`. A finding becomes a file there, so that it stays found.

use std::fs;
use std::path::Path;

#[path = "../fuzz/checks/admin.rs"]
mod admin;
#[path = "../fuzz/checks/body.rs"]
mod body;
#[path = "../fuzz/checks/ctl.rs"]
mod ctl;
#[path = "../fuzz/checks/dates.rs"]
mod dates;
#[path = "../fuzz/checks/dns.rs"]
mod dns;
#[path = "../fuzz/checks/job.rs"]
mod job;
#[path = "../fuzz/checks/json.rs"]
mod json;
#[path = "../fuzz/checks/lines.rs"]
mod lines;
#[path = "../fuzz/checks/names.rs"]
mod names;
#[path = "../fuzz/checks/request.rs"]
mod request;
#[path = "../fuzz/checks/response.rs"]
mod response;
#[path = "../fuzz/checks/scenario.rs"]
mod scenario;
#[path = "../fuzz/checks/spool.rs"]
mod spool;
#[path = "../fuzz/checks/url.rs"]
mod url;

type Check = fn(&[u8]);

const CHECKS: [(&str, Check); 14] = [
    ("admin", admin::check),
    ("body", body::check),
    ("ctl", ctl::check),
    ("dates", dates::check),
    ("dns", dns::check),
    ("job", job::check),
    ("json", json::check),
    ("lines", lines::check),
    ("names", names::check),
    ("request", request::check),
    ("response", response::check),
    ("scenario", scenario::check),
    ("spool", spool::check),
    ("url", url::check),
];

#[test]
fn every_input_that_was_kept_still_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, check) in CHECKS {
        let folder = corpus.join(name);
        let mut inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("the folder is readable").path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "no input in {}", folder.display());
        for input in inputs {
            let bytes = fs::read(&input).expect("an input is readable");
            // The test's own output says which input it was, should the check panic.
            println!("{}", input.display());
            check(&bytes);
        }
    }
}

#[test]
fn every_check_has_its_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("the manifest is there");
    for (name, _) in CHECKS {
        assert!(
            fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(),
            "{name}"
        );
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
