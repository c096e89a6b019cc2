//! Job lines: what is read of good ones, what is said of bad ones.

use super::*;

const URL: &str = r#""url":"https://a.example/hook?x=1""#;

fn parse(line: &str) -> JobLine<'_> {
    JobLine::parse(line.as_bytes()).unwrap_or_else(|bad| panic!("{line}: {}", bad.error))
}

fn job(line: &str) -> Box<Job> {
    let parsed = parse(line);
    let origin = Arc::new(parsed.url.to_origin());
    let id = parsed.id.as_deref().unwrap_or("generated").into();
    parsed.into_job(id, Source::default(), origin, Now::default())
}

/// The id, and what is said.
fn bad(line: impl AsRef<[u8]>) -> (Option<String>, String) {
    let line = line.as_ref();
    match JobLine::parse(line) {
        Ok(parsed) => panic!("{}: {parsed:?}", String::from_utf8_lossy(line)),
        Err(bad) => (bad.id.map(String::from), bad.error.to_string()),
    }
}

#[test]
fn every_field_is_read() {
    let line = r#"{"id":"job-1","url":"https://a.example:8443/hook?x=1","type":"order.paid","method":"PUT",
        "headers":{"X-A":"1","content-type":"text/plain","USER-AGENT":"me"},"timeout":2.5,"ttl":60,
        "priority":"low","payload": {"a" : [1, 1e999, "\ud800"], "a":2} ,"dead":{"x":1,"x":"\ud800"}}"#;
    let parsed = parse(line);
    assert_eq!(parsed.id.as_deref(), Some("job-1"));
    assert_eq!(parsed.url.target, "/hook?x=1");
    assert_eq!(parsed.priority, Priority::Low);
    let job = job(line);
    assert_eq!(&*job.id, "job-1");
    assert_eq!(&*job.origin.text, "https://a.example:8443");
    assert_eq!(&*job.target, "/hook?x=1");
    assert_eq!(job.method, Method::Put);
    assert_eq!(job.kind.as_deref(), Some("order.paid"));
    assert_eq!(
        &*job.headers,
        b"X-A: 1\r\ncontent-type: text/plain\r\nUSER-AGENT: me\r\n"
    );
    assert_eq!(job.content_type, None, "the job's own stands");
    assert!(job.has_user_agent);
    assert_eq!(job.timeout, Some(Duration::from_millis(2500)));
    assert_eq!(job.ttl, Some(Duration::from_secs(60)));
    assert_eq!(
        job.message.body(),
        br#"{"a" : [1, 1e999, "\ud800"], "a":2}"#
    );
}

#[test]
fn bodies_bring_their_media_type() {
    let json = Some("application/json");
    let bytes = Some("application/octet-stream");
    let table: &[(&str, &[u8], Option<&str>)] = &[
        (r#""payload":null"#, b"null", json),
        (r#""payload":"a\/b""#, br#""a\/b""#, json),
        (r#""payload": [ ] "#, b"[ ]", json),
        (r#""body":"a\/b\n""#, b"a/b\n", bytes),
        (r#""bodyBase64":"AP8\/""#, &[0, 0xff, 0x3f], bytes),
        (r#""body":"","headers":{}"#, b"", None),
        (r#""bodyBase64":"""#, b"", None),
        (
            r#""body":"x","headers":{"Content-Type":"text/plain"}"#,
            b"x",
            None,
        ),
        (r#""method":"DELETE""#, b"", None),
    ];
    for (fields, body, content_type) in table {
        let job = job(&format!("{{{URL},{fields}}}"));
        assert_eq!(job.message.body(), *body, "{fields}");
        assert_eq!(job.content_type, *content_type, "{fields}");
        assert!(!job.has_user_agent);
    }
}

#[test]
fn the_room_takes_the_longest_head() {
    let line = format!(
        r#"{{{URL},"id":"{}","type":"{}","headers":{{"X":"{}"}},"method":"DELETE","body":"x"}}"#,
        "i".repeat(256),
        "t".repeat(77),
        "h".repeat(1_000)
    );
    let mut job = job(&line);
    let number = u64::MAX;
    let head = format!(
        "DELETE {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Conduit-LLM/1.0\r\nAccept: */*\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {number}\r\nwebhook-id: {}\r\n\
         webhook-timestamp: {number}\r\nX-Webhook-Timestamp: {number}\r\n\
         X-Webhook-Type: {}\r\n{}\r\n",
        job.target,
        job.origin.text,
        job.id,
        job.kind.as_deref().unwrap_or_default(),
        String::from_utf8_lossy(&job.headers),
    );
    let room = job.message.room().len();
    assert!(
        room >= head.len() && room < head.len() + 128,
        "{room} for {}",
        head.len()
    );
    assert!(job.footprint() > room + size_of::<Job>());
}

#[test]
fn secrets_sign_and_their_signature_has_room() {
    let one = r#""secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa\u0053w""#;
    let two = r#""secret":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="]"#;
    let none = job(&format!("{{{URL}}}"));
    assert!(none.secrets.is_empty());
    for (field, signature_len) in [(one, 47), (two, 47 + 1 + 92)] {
        let mut signed = job(&format!("{{{URL},{field}}}"));
        assert_eq!(signed.secrets.signature_len(), signature_len);
        let more = signed.message.room().len() - none.message.len();
        assert!(more + 64 > 21 + signature_len && more < 21 + signature_len + 64);
        assert!(signed.footprint() > none.footprint() + more);
        assert!(!format!("{signed:?}").contains("MfKQ"), "{signed:?}");
    }
    // What the endpoint adds has its room too.
    let line = format!("{{{URL}}}");
    let mut parsed = parse(&line);
    parsed.endpoint_head_bytes = 1_024;
    let origin = Arc::new(parsed.url.to_origin());
    let job_of_endpoint = parsed.into_job(
        "generated".into(),
        Source::default(),
        origin,
        Now::default(),
    );
    assert_eq!(job_of_endpoint.message.len(), none.message.len() + 1_024);
    let dotted = |secret| format!(r#"{{{URL},"id":"a.b"{secret}}}"#);
    assert_eq!(&*job(&dotted("")).id, "a.b");
    let expected = "id: expected none with a dot, for the job is signed, found one";
    let said = bad(dotted(&format!(",{one}")));
    assert_eq!(said, (Some("a.b".into()), expected.into()));
}

#[test]
fn escapes_in_keys_and_urls_mean_what_they_say() {
    let parsed = parse(r#"{"\u0075rl":"https:\/\/a.example\/\u0061?b#c"}"#);
    assert_eq!(parsed.url.target, "/a?b");
    assert_eq!(parsed.url.host, "a.example");
    assert!(matches!(
        parse(&format!("{{{URL}}}")).url.target,
        Cow::Borrowed(_)
    ));
}

#[test]
fn numbers_have_ranges() {
    for (field, number, expected) in [
        ("timeout", "3600", Some(Duration::from_secs(3600))),
        ("timeout", "0.001", Some(Duration::from_millis(1))),
        ("timeout", "1e-300", Some(Duration::from_nanos(1))),
        ("timeout", "1E1", Some(Duration::from_secs(10))),
        ("timeout", "3600.001", None),
        ("timeout", "0", None),
        ("timeout", "-0.0", None),
        ("timeout", "-1", None),
        ("timeout", "1e999", None),
        ("timeout", "12345678901234567890", None),
        ("timeout", "\"5\"", None),
        ("timeout", "null", None),
        ("timeout", "true", None),
        ("ttl", "2592000", Some(Duration::from_secs(2_592_000))),
        ("ttl", "2592000.5", None),
    ] {
        let line = format!("{{{URL},\"{field}\":{number}}}");
        let found = JobLine::parse(line.as_bytes()).ok();
        let found = found.and_then(|parsed| parsed.timeout.or(parsed.ttl));
        assert_eq!(found, expected, "{field} {number}");
    }
}

#[test]
fn f93_mistakes_name_field_found_and_expected() {
    let table = [
        (
            r#""timeout":"abc""#,
            r#"timeout: expected a number of seconds, more than 0 and at most 3600, found "abc""#,
        ),
        (
            r#""timeout":1e999"#,
            "timeout: expected a number of seconds, more than 0 and at most 3600, found 1e999",
        ),
        (
            r#""ttl":[1]"#,
            "ttl: expected a number of seconds, more than 0 and at most 2592000 (30 days), found an array",
        ),
        (
            r#""timeot":1"#,
            "timeot: unknown field, did you mean timeout?",
        ),
        (
            r#""retry":1"#,
            "retry: unknown field, expected one of url, id, payload, body, bodyBase64, type, \
             method, headers, timeout, priority, ttl, secret, dead",
        ),
        (
            r#""method":"post""#,
            r#"method: expected "POST", "PUT", "PATCH", "DELETE" or "GET", found "post""#,
        ),
        (r#""type":5"#, "type: expected a string, found 5"),
        (r#""id":"a""#, "id: expected once, found twice"),
        (r#""\u0069d":"a""#, "id: expected once, found twice"),
        (
            r#""payload":1,"payload":1"#,
            "payload: expected once, found twice",
        ),
        (
            r#""payload":1,"body":"""#,
            "body: expected at most one of payload, body and bodyBase64, found payload too",
        ),
        (r#""body":7"#, "body: expected a string, found a number"),
        (
            r#""body":"\ud800""#,
            "body: expected characters, found half a surrogate pair in a \\u escape",
        ),
        (
            r#""bodyBase64":"Zg""#,
            "bodyBase64: expected base64 with padding, so a multiple of 4 characters, found 2",
        ),
        (
            r#""method":"GET","payload":null"#,
            "payload: expected no body with method GET, found one",
        ),
        (
            r#""body":"","method":"GET""#,
            "body: expected no body with method GET, found one",
        ),
        (
            r#""headers":[]"#,
            "headers: expected an object of strings, found an array",
        ),
        (
            r#""headers":{"X":7}"#,
            "headers.X: expected a string, found a number",
        ),
        (
            r#""headers":{"x-a":"1","X-A":"1"}"#,
            "headers.X-A: expected once, found twice (upper and lower case are the same)",
        ),
        (
            r#""headers":{"X":"\udc00"}"#,
            "headers.X: expected characters, found half a surrogate pair in a \\u escape",
        ),
        (
            r#""secret":"whsec_hidden""#,
            "secret: behind the prefix expected base64 with padding, so a multiple of 4 characters, found 6",
        ),
        (
            r#""secret":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","whsk_aGlk"]"#,
            "secret[1]: expected whsk_ and base64 of 32 bytes (the seed) or 64 (seed and public key), found 3 bytes",
        ),
        (
            r#""secret":"hidden""#,
            "secret: expected whsec_ (HMAC-SHA256) or whsk_ (Ed25519 private key) and base64, found neither prefix",
        ),
        (r#""secret":[]"#, "secret: expected 1 to 8 secrets, found 0"),
        (
            r#""secret":"\ud800""#,
            "secret: expected characters, found half a surrogate pair in a \\u escape",
        ),
        (
            r#""secret":["whsec_hidden",1]"#,
            "secret: expected a string or an array of strings, found an array of something else",
        ),
        (
            r#""secret":8"#,
            "secret: expected a string or an array of strings, found a number",
        ),
        (
            r#""priority":"urgent""#,
            r#"priority: expected "high", "normal" or "low", found "urgent""#,
        ),
        (r#""dead":1"#, "dead: expected an object, found a number"),
        (r#""\ud800":1"#, ""),
    ];
    for (fields, expected) in table {
        let (id, said) = bad(format!(r#"{{"id":"j",{URL},{fields}}}"#));
        assert_eq!(id.as_deref(), Some("j"), "{fields}");
        if expected.is_empty() {
            assert!(said.contains("unknown field"), "{said}");
        } else {
            assert_eq!(said, expected);
        }
    }
    assert_eq!(
        bad(r#"{"id":"j"}"#),
        (
            Some("j".into()),
            "url: expected a string, found no such field".into()
        )
    );
}

#[test]
fn ids_are_visible_ascii() {
    let long = "x".repeat(257);
    let said = "id: expected a string of 1 to 256 visible ASCII characters, found ";
    for (raw, found) in [
        (r#""""#, r#""""#.to_owned()),
        (r#""a b""#, r#""a b""#.to_owned()),
        (r#""é""#, r#""é""#.to_owned()),
        (r#""\n""#, r#""\n""#.to_owned()),
        ("17", "17".to_owned()),
        (&format!("\"{long}\""), format!("\"{}…", "x".repeat(63))),
    ] {
        let (id, text) = bad(format!(r#"{{"id":{raw},{URL}}}"#));
        assert_eq!((id, text), (None, format!("{said}{found}")));
    }
    let line = format!(r#"{{"id":"{}",{URL}}}"#, &long[1..]);
    assert_eq!(parse(&line).id.as_deref(), Some(&long[1..]));
}

#[test]
fn f93_the_id_is_told_wherever_it_stands() {
    let j = Some("j".to_owned());
    for (line, id, said) in [
        (
            &br#"{"timeout":0,"x":1,"id":"j"}"#[..],
            &j,
            "timeout: expected a number",
        ),
        (
            br#"{"id":"j","payload":[}"#,
            &j,
            "column 22: expected a value, found '}'",
        ),
        (
            br#"{"payload":[},"id":"j"}"#,
            &None,
            "column 13: expected a value, found '}'",
        ),
        (
            b"{\"id\":\"j\",\"payload\":\"\xff\"}",
            &j,
            "column 22: expected UTF-8, found a byte that is none",
        ),
        (
            br#"{"id":"j"} {"id":"k"}"#,
            &j,
            "column 12: expected the end of the line, found '{'",
        ),
        (
            b"{\"id\":\"j\"}\xff",
            &j,
            "column 11: expected UTF-8, found a byte that is none",
        ),
        (b"[]", &None, "column 1: expected an object, '{', found '['"),
        (
            b"\0",
            &None,
            "column 1: expected an object, '{', found control character U+0000",
        ),
    ] {
        let (found_id, found_said) = bad(line);
        assert_eq!(found_id, *id, "{said}");
        assert!(found_said.starts_with(said), "{found_said}");
    }
}

#[test]
fn f107_f109_headers_that_would_change_the_message_are_refused() {
    for (name, value) in [
        ("X-A", r"a\r\nB: c"),
        ("X-A", r"a\u0000"),
        ("X-A", r"a\n"),
        ("X A", "a"),
        ("X:A", "a"),
        (r"X\r\nA", "a"),
        ("", "a"),
        ("Host", "a"),
        ("content-LENGTH", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Keep-Alive", "a"),
        ("TE", "a"),
        ("Trailer", "a"),
        ("Upgrade", "a"),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "a"),
        ("webhook-id", "a"),
        ("X-Webhook-Type", "a"),
    ] {
        let (_, said) = bad(format!(
            r#"{{{URL},"headers":{{"Authorization":"hidden","{name}":"{value}"}}}}"#
        ));
        assert!(said.starts_with("headers."), "{name}: {said}");
        assert!(
            !said.contains("hidden") && !said.contains(['\r', '\n', '\0']),
            "{name}: {said}"
        );
    }
    let (_, said) = bad(format!(r#"{{{URL},"type":"a\nb"}}"#));
    assert!(said.starts_with("type: "), "{said}");
}

#[test]
fn f108_urls_are_refused_without_telling_their_secrets() {
    for url in [
        "https://user:hidden@a.example/",
        "https://a.example/\\r\\n?hidden",
        "https://a.example/ ?hidden",
        "https:///hidden",
        "https://a.example:0/?hidden",
        "https://a.example:65536/?hidden",
        "https://é.example/?hidden",
        "ftp://a.example/?hidden",
        "/hidden",
        "",
    ] {
        let (id, said) = bad(format!(r#"{{"url":"{url}","id":"j"}}"#));
        assert_eq!(id.as_deref(), Some("j"), "{url}");
        assert!(
            said.contains("url") && !said.contains("hidden"),
            "{url}: {said}"
        );
    }
}

#[test]
fn headers_have_a_limit() {
    let fields = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!("\"X-{n}\":\"\"")).collect();
        format!("{{{URL},\"headers\":{{{}}}}}", all.join(","))
    };
    assert_eq!(
        parse(&fields(256))
            .headers
            .fields
            .split(|byte| *byte == b'\n')
            .count(),
        257
    );
    assert_eq!(
        bad(fields(257)).1,
        "headers: expected at most 256 fields, found more"
    );
}

#[test]
fn names_and_fields_agree() {
    for (bit, name) in NAMES.iter().enumerate() {
        let field = Field::named(name).unwrap_or_else(|| panic!("{name} is a field"));
        assert_eq!(field as usize, bit);
        assert_eq!(field.name(), *name);
    }
}
