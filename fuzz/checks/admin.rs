//! Requests to the admin listener: never a panic, the same however they are cut, and nothing of a web page gets in.

use conduit::wire::admin::{HEAD_BYTES_MAX, Parsed, Refusal, Target, parse};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let whole = parse(data, true);
    match whole {
        Parsed::Partial => assert!(data.len() < HEAD_BYTES_MAX),
        Parsed::Refused { refusal, is_head } => {
            assert!((400..600).contains(&refusal.status()));
            assert!(!is_head || data.windows(5).any(|window| window == b"HEAD "));
        }
        Parsed::Request { request, bytes } => {
            assert!(bytes <= data.len().min(HEAD_BYTES_MAX));
            // What lies behind it changes nothing, and without its last byte it is none.
            assert_eq!(parse(&data[..bytes], true), whole);
            assert_eq!(parse(&data[..bytes - 1], true), Parsed::Partial);
            let head = data[..bytes].to_ascii_lowercase();
            if request.target.is_ok() {
                let is_there = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
                assert!(!is_there(b"\norigin:"), "a web page is answered");
                assert!(is_there(b"get ") || is_there(b"head "));
                assert_ne!(request.target, Err(Refusal::Method));
            }
            let elsewhere = parse(data, false);
            assert_eq!(
                elsewhere, whole,
                "loopback forbids more, and changes nothing"
            );
            assert!(request.target != Ok(Target::Metrics) || is_at(&head, b"/metrics"));
        }
    }
}

fn is_at(head: &[u8], path: &[u8]) -> bool {
    head.windows(path.len()).any(|window| window == path)
}
