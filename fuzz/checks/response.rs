//! Response heads: however they are cut, the same answer or none yet; an error stays one.

use conduit::wire::response::{self, FIELDS_MAX};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let whole = response::parse(data);
    if let Ok(Some((head, bytes))) = &whole {
        assert!(*bytes <= data.len());
        assert!((100..=999).contains(&head.status) && head.status != 101);
        let lines = data[..*bytes].iter().filter(|byte| **byte == b'\n').count();
        assert!(lines <= 2 * FIELDS_MAX + 2 || data.contains(&b' '));
    }
    let mut failed = false;
    for end in 0..data.len() {
        match response::parse(&data[..end]) {
            Ok(None) => assert!(!failed, "an error is final"),
            Ok(Some((head, bytes))) => {
                let (expected, expected_bytes) = whole
                    .as_ref()
                    .ok()
                    .and_then(Option::as_ref)
                    .expect("what was complete stays so");
                assert_eq!((bytes, head.status), (*expected_bytes, expected.status));
                assert_eq!(
                    (head.framing, head.unfit),
                    (expected.framing, expected.unfit)
                );
                return;
            }
            Err(_) => failed = true,
        }
    }
    assert!(!failed || whole.is_err(), "an error is final");
}
