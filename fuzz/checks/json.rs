//! The scanner against serde_json: one accepts what the other accepts. serde_json reads what it ignores to any
//! depth, so our own limit is put on top.

use conduit::wire::json::{self, DEPTH_MAX, Kind, Members};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let accepted = json::check(text).is_ok();
    assert_eq!(accepted, is_json(text));
    let mut members = Members::new(text);
    let mut rest = text;
    let all = loop {
        match members.next_member() {
            Ok(Some(member)) => {
                // Verbatim and in order: each stands in what is left of the text.
                let key = rest.find(member.key).expect("a key is a slice of the text");
                rest = &rest[key + member.key.len()..];
                let value = rest
                    .find(member.value)
                    .expect("a value is a slice of the text");
                rest = &rest[value + member.value.len()..];
                json::check(member.value).expect("a value is JSON by itself");
                let _ = json::unescape(member.key);
                if Kind::of(member.value) == Kind::String {
                    let ours = json::unescape(member.value).ok();
                    let theirs: Option<String> = serde_json::from_str(member.value).ok();
                    assert_eq!(ours.as_deref(), theirs.as_deref());
                }
            }
            Ok(None) => break true,
            Err(error) => {
                assert!((1..=text.len() + 1).contains(&error.column));
                break false;
            }
        }
    };
    let is_object = text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{');
    assert_eq!(all, accepted && is_object);
}

fn is_json(text: &str) -> bool {
    let mut depth = 0_u32;
    let mut deepest = 0;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest <= DEPTH_MAX && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
