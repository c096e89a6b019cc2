//! The scanner: what it hands out, what it refuses, and that serde_json agrees.

use super::*;

fn members(text: &str) -> Result<Vec<(&str, &str)>, Error> {
    let mut members = Members::new(text);
    let mut all = Vec::new();
    while let Some(member) = members.next_member()? {
        all.push((member.key, member.value));
    }
    assert_eq!(members.next_member(), Ok(None), "the end stays the end");
    Ok(all)
}

/// What serde_json says of the same text, our own limit of nesting put on top (its reader of ignored
/// values has none).
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

#[test]
fn members_come_verbatim_and_in_order() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("{}", &[]),
        (" \t{ \r} ", &[]),
        (r#"{"a":1}"#, &[("\"a\"", "1")]),
        (
            r#" { "a" : [ 1 , {"b": "}" } ] , "a" : "\"x" } "#,
            &[("\"a\"", r#"[ 1 , {"b": "}" } ]"#), ("\"a\"", r#""\"x""#)],
        ),
        (
            r#"{"\u0061":-0.5e+10,"":null}"#,
            &[(r#""\u0061""#, "-0.5e+10"), ("\"\"", "null")],
        ),
        (
            r#"{"é":"\ud800 ü 漢字漢字"}"#,
            &[("\"é\"", r#""\ud800 ü 漢字漢字""#)],
        ),
    ];
    for (text, expected) in table {
        assert_eq!(members(text).as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn f93_errors_name_column_found_and_expected() {
    let table = [
        (
            "",
            "column 1: expected an object, '{', found the end of the line",
        ),
        ("[1]", "column 1: expected an object, '{', found '['"),
        ("{\"a\" 1}", "column 6: expected ':', found '1'"),
        (
            "{\"a\":1 \"b\"",
            "column 8: expected ',' or '}', found '\"'",
        ),
        ("{\"a\":1,}", "column 8: expected a key, '\"', found '}'"),
        ("{\"a\":[1,]}", "column 9: expected a value, found ']'"),
        ("{\"a\":[1}", "column 8: expected ',' or ']', found '}'"),
        (
            "{\"a\":{\"b\":1]}",
            "column 12: expected ',' or '}', found ']'",
        ),
        ("{\"a\":01}", "column 7: expected ',' or '}', found '1'"),
        ("{\"a\":-}", "column 7: expected a digit, found '}'"),
        ("{\"a\":1.}", "column 8: expected a digit, found '}'"),
        ("{\"a\":1e+}", "column 9: expected a digit, found '}'"),
        (
            "{\"a\":tru}",
            "column 9: expected true, false or null, found '}'",
        ),
        ("{\"a\":é}", "column 6: expected a value, found 'é'"),
        (
            "{\"a\":\"x",
            "column 8: expected '\"' at the end of the string, found the end of the line",
        ),
        (
            "{\"a\":\"\u{1}\"}",
            "column 7: expected no control character in a string, found control character U+0001",
        ),
        (
            "{\"a\":\"12345678\0\"}",
            "column 15: expected no control character in a string, found control character U+0000",
        ),
        (
            "{\"a\":\"\\x\"}",
            "column 8: expected one of \" \\ / b f n r t u after a backslash, found 'x'",
        ),
        (
            "{\"a\":\"\\u12g4\"}",
            "column 11: expected four hexadecimal digits after \\u, found 'g'",
        ),
        ("{} x", "column 4: expected the end of the line, found 'x'"),
    ];
    for (text, expected) in table {
        let error = members(text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn f93_nesting_is_counted_to_128_and_needs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        for depth in [1, 127, 128, 129, 1_000_000] {
            let text = open.repeat(depth) + "1" + &close.repeat(depth);
            assert_eq!(check(&text).is_ok(), depth <= 128, "{depth} × {open}");
        }
    }
    let inner = |depth: usize| format!("{{\"p\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(members(&inner(127)).map(|all| all.len()), Ok(1));
    let error = members(&inner(128)).expect_err("one too many");
    assert_eq!(
        error.to_string(),
        "column 133: expected at most 128 levels of objects and arrays, found '['"
    );
}

#[test]
fn strings_are_searched_the_same_at_every_offset() {
    for stop in ['"', '\\', '\u{0}', '\u{1f}'] {
        for offset in 0..40 {
            let text = format!("{}{stop}{}", "a".repeat(offset), "\"".repeat(9));
            assert_eq!(
                plain_prefix(text.as_bytes()),
                offset,
                "{stop:?} at {offset}"
            );
        }
    }
    let plain = "é~\u{7f} !#[]\u{80}漢\u{10ffff}".repeat(3);
    for (end, _) in plain.char_indices() {
        assert_eq!(plain_prefix(&plain.as_bytes()[..end]), end);
    }
}

#[test]
fn unescape_borrows_when_it_can_and_refuses_lone_surrogates() {
    assert!(matches!(
        unescape("\"plain é\""),
        Ok(Cow::Borrowed("plain é"))
    ));
    assert_eq!(
        unescape(r#""a\/b\u00e9\ud83d\ude00\n""#).as_deref(),
        Ok("a/bé😀\n")
    );
    assert_eq!(unescape(r#""\ud800""#), Err(LoneSurrogate));
    assert_eq!(unescape(r#""\udc00\ud800""#), Err(LoneSurrogate));
}

#[test]
fn kinds_go_by_the_first_byte() {
    let table = [
        ("{}", "an object"),
        ("[]", "an array"),
        ("\"\"", "a string"),
        ("-1", "a number"),
        ("true", "a boolean"),
        ("null", "null"),
    ];
    for (raw, name) in table {
        assert_eq!(Kind::of(raw).name(), name);
    }
}

#[test]
fn f93_agrees_with_serde_json_on_every_mutation_of_a_line() {
    let seeds = [
        r#"{"url":"https://a/","id":"a\n\u00e9","payload":{"a":[1,-2.5e-3,true,null,{"b":"c"}],"d":""},"t":0.5}"#,
        r#"[{"é":"\ud83d\ude00"},[[]],{"":[{}]},1E5,0,-0,false, "x" ]"#,
    ];
    let splices = [
        "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "1", "-", ".", "e", "u", "t", " ", "\t",
        "\u{0}", "\u{7f}", "é", "\r", "\\u", "\\ud8", "null",
    ];
    let mut seen = [0_usize; 2];
    for seed in seeds {
        for (at, here) in seed.char_indices() {
            let (before, after) = (&seed[..at], &seed[at + here.len_utf8()..]);
            let cut = [before.to_owned(), format!("{before}{after}")];
            let changed = splices.iter().flat_map(|s| {
                [
                    format!("{before}{s}{after}"),
                    format!("{before}{s}{here}{after}"),
                ]
            });
            for text in cut.into_iter().chain(changed) {
                let accepted = check(&text).is_ok();
                assert_eq!(accepted, is_json(&text), "{text}");
                let object = text
                    .trim_start_matches([' ', '\t', '\r', '\n'])
                    .starts_with('{');
                assert_eq!(members(&text).is_ok(), accepted && object, "{text}");
                seen[usize::from(accepted)] += 1;
            }
        }
    }
    assert!(
        seen[0] > 1_000 && seen[1] > 1_000,
        "both answers are tried: {seen:?}"
    );
}

fn elements(text: &str) -> Result<Vec<&str>, Error> {
    let mut elements = Elements::new(text);
    let mut all = Vec::new();
    while let Some(element) = elements.next_element()? {
        all.push(element);
    }
    assert_eq!(elements.next_element(), Ok(None), "the end stays the end");
    Ok(all)
}

#[test]
fn elements_are_handed_out_as_they_stood() {
    for (text, expected) in [
        ("[]", &[][..]),
        (" [ ] ", &[]),
        ("[1]", &["1"]),
        (
            "[ 1 , \"a,b\" ,[2,3], {\"k\":[]} ]\n",
            &["1", "\"a,b\"", "[2,3]", "{\"k\":[]}"],
        ),
    ] {
        assert_eq!(elements(text), Ok(expected.to_vec()), "{text}");
    }
    for (text, column) in [
        ("", 1),
        ("{}", 1),
        ("[", 2),
        ("[1", 3),
        ("[1,]", 4),
        ("[1 2]", 4),
        ("[1}", 3),
        ("[1] 2", 5),
    ] {
        let error = elements(text).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
    }
}
