//! Signatures as a receiver verifies them, by Python's hmac and by openssl; and secrets, which nobody sees.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::conduit::deliver;
use crate::harness::feed::line;
use crate::harness::gate::{Gate, Request};
use crate::harness::{TempDir, is_installed};

const SYMMETRIC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Its seed is this text.
const ASYMMETRIC: &str = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=";
const SEED: &str = "TESTSIGNINGKEYDONOTUSETHISFORANY";

/// What stands before the seed in an Ed25519 private key (RFC 8410 section 7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Prints the signature of the file for this key, both as in the header.
const HMAC: &str = "\
import base64, hashlib, hmac, sys
key = base64.b64decode(sys.argv[1])
with open(sys.argv[2], 'rb') as content:
    tag = hmac.new(key, content.read(), hashlib.sha256).digest()
print(base64.b64encode(tag).decode())
";

/// A request's signatures by their version, and a file of what they sign.
fn signed(request: &Request, dir: &TempDir) -> Vec<(String, String)> {
    let [id, timestamp] = ["webhook-id", "webhook-timestamp"].map(|name| request.field(name));
    let body = std::str::from_utf8(&request.body).expect("these bodies are text");
    dir.write("content", &format!("{id}.{timestamp}.{body}"));
    let signatures = request.field("webhook-signature").split(' ');
    let parts = signatures.map(|signature| signature.split_once(',').expect("version and base64"));
    parts
        .map(|(version, base64)| (version.to_owned(), base64.to_owned()))
        .collect()
}

fn run(dir: &TempDir, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("it is installed");
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {said}, {output:?}"
    );
    said
}

/// What a receiver gets of jobs with these secrets, each with a body of another kind.
fn received(secret: &serde_json::Value) -> Vec<Request> {
    let gate = Gate::start();
    gate.open();
    let url = gate.url();
    let jobs = [
        json!({"id": "a", "url": url, "secret": secret, "payload": {"of": ["Z\u{fc}rich", 1.0]}}),
        json!({"id": "b", "url": url, "secret": secret, "body": "x".repeat(300_000)}),
        json!({"id": "c", "url": url, "secret": secret, "method": "DELETE"}),
        json!({"url": url, "secret": secret, "payload": null, "headers": {"X-Long": "y".repeat(2_000)}}),
    ];
    let count = jobs.len();
    let feed: String = jobs.iter().map(line).collect();
    deliver::<&str>(&[], feed).assert_all_delivered(count);
    let requests = gate.received();
    assert_eq!(requests.len(), count);
    requests
}

#[test]
fn pythons_hmac_gives_the_same_signatures() {
    if !is_installed("python3", "python3") {
        return;
    }
    let dir = TempDir::new();
    for request in received(&json!(SYMMETRIC)) {
        let signatures = signed(&request, &dir);
        let key = SYMMETRIC.strip_prefix("whsec_").expect("its prefix");
        let expected = run(&dir, "python3", &["-c", HMAC, key, "content"]);
        assert_eq!(signatures, [("v1".to_owned(), expected)]);
    }
}

#[test]
fn an_endpoints_secrets_and_headers_hold_for_jobs_without_their_own() {
    if !is_installed("python3", "python3") {
        return;
    }
    let gate = Gate::start();
    gate.open();
    let (origin, dir) = (gate.url(), TempDir::new());
    let file = dir.write("secret", &format!("{SYMMETRIC}\n"));
    let settings = json!({"webhookEndpoints": {
        origin.trim_end_matches('/'): {"secretFile": file, "headers": {"Authorization": "Bearer t0ken", "X-A": "1"}},
    }});
    let config = dir.write("conduit.json", &settings.to_string());
    let feed: String = [
        json!({"id": "a", "url": origin, "payload": 1, "headers": {"x-a": "2"}}),
        json!({"id": "b.c", "url": origin}),
    ]
    .iter()
    .map(line)
    .collect();
    let delivered = deliver(&[std::path::PathBuf::from("--config"), config], feed);
    assert!(delivered.of("a").is_delivered());
    let refused = delivered.of("b.c");
    refused.assert_failed("invalid", "invalid", &["id", "dot"]);
    let requests = gate.received();
    let [request] = &requests[..] else {
        panic!("{requests:?}")
    };
    let fields = ["Authorization", "X-A"].map(|name| request.field(name));
    assert_eq!(fields, ["Bearer t0ken", "2"]);
    let key = SYMMETRIC.strip_prefix("whsec_").expect("its prefix");
    let signatures = signed(request, &dir);
    let expected = run(&dir, "python3", &["-c", HMAC, key, "content"]);
    assert_eq!(signatures, [("v1".to_owned(), expected)]);
}

#[test]
fn openssl_verifies_the_signatures_of_a_private_key() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let dir = TempDir::new();
    let key = [&PKCS8[..], SEED.as_bytes()].concat();
    std::fs::write(dir.join("key.der"), key).expect("the directory is ours");
    let public = "pkey -inform DER -in key.der -pubout -out public.pem";
    run(&dir, "openssl", &public.split(' ').collect::<Vec<_>>());
    for request in received(&json!([SYMMETRIC, ASYMMETRIC])) {
        let signatures = signed(&request, &dir);
        let versions: Vec<&str> = signatures.iter().map(|(version, _)| &**version).collect();
        assert_eq!(versions, ["v1", "v1a"]);
        dir.write("signature.base64", &signatures[1].1);
        let decode = "base64 -d -A -in signature.base64 -out signature";
        run(&dir, "openssl", &decode.split(' ').collect::<Vec<_>>());
        let verify =
            "pkeyutl -verify -pubin -inkey public.pem -rawin -in content -sigfile signature";
        run(&dir, "openssl", &verify.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn secrets_are_seen_nowhere() {
    let gate = Gate::start();
    gate.open();
    // A secret that is none has the same right.
    let feed: String = [
        json!({"id": "a", "url": gate.url(), "secret": [SYMMETRIC, ASYMMETRIC]}),
        json!({"id": "b", "url": gate.url(), "secret": &SYMMETRIC[..20]}),
        json!({"id": "c", "url": gate.url(), "secret": [ASYMMETRIC, 1, SYMMETRIC]}),
        json!({"id": "d.e", "url": gate.url(), "secret": SYMMETRIC}),
        json!({"id": "f", "url": "http://127.0.0.1:1/", "secret": SYMMETRIC}),
    ]
    .iter()
    .map(line)
    .collect();
    let run = deliver(&["--log-level", "trace", "--timings"], feed);
    assert!(run.of("a").is_delivered());
    run.of("b")
        .assert_failed("invalid", "invalid", &["secret", "base64"]);
    run.of("c")
        .assert_failed("invalid", "invalid", &["secret", "array of strings"]);
    run.of("d.e")
        .assert_failed("invalid", "invalid", &["id", "dot", "signed"]);
    assert_eq!((run.results.len(), gate.requests()), (5, 1));
    let shown = format!("{run:?} {:?}", gate.received());
    for part in [&SYMMETRIC[6..14], &ASYMMETRIC[5..14], SEED] {
        assert!(!shown.contains(part), "{shown}");
    }
}
