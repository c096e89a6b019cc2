//! Files, right and wrong: what they give, and what is said of them.

use super::*;

fn read_text(text: &str) -> (Contents, Vec<String>) {
    let mut problems = Vec::new();
    let contents = read("c.json", text.as_bytes(), &mut problems);
    let problems = problems.iter().map(Problem::to_string).collect();
    (contents, problems)
}

fn in_words(given: &[Given]) -> Vec<String> {
    given.iter().map(|given| format!("{given:?}")).collect()
}

#[track_caller]
fn assert_wrong(text: &str, expected: &[&str]) {
    let (_, problems) = read_text(text);
    assert_eq!(problems, expected, "{text}");
}

#[test]
fn values_come_with_their_places_the_defaults_last() {
    let text = "\u{feff}{\n  \"defaults\": {\"timeout\": 2.5,\n    \"retrySchedule\": [1, 2e1]},\n  \
                \"timeout\": 1e1, \"maxPendingBytes\": \"64m\", \"maxDrainBytes\": 5, \"é\u{e9}\": 1,\n  \
                \"allowHttp\": true, \"allowNet\": [\"10.0.0.0/8\", \"::1\"], \"allowPort\": [],\n  \
                \"retryStatuses\": [404, \"5xx\"], \"caFile\": \"a\\u0062c\", \"logLevel\": \"warn\"}";
    let (contents, problems) = read_text(text);
    assert_eq!(problems, [r#"c.json:4:65: ["éé"]: no such setting"#]);
    assert_eq!(
        in_words(&contents.general.given),
        [
            "timeout=10 (c.json:4:14)",
            "maxPendingBytes=64m (c.json:4:38)",
            "maxDrainBytes=5 (c.json:4:62)",
            "allowHttp=true (c.json:5:16)",
            "allowNet=10.0.0.0/8,::1 (c.json:5:34)",
            "allowPort=\"\" (c.json:5:70)",
            "retryStatuses=404,5xx (c.json:6:20)",
            "caFile=abc (c.json:6:44)",
            "logLevel=warn (c.json:6:68)",
            "timeout=2.5 (c.json:2:27)",
            "retrySchedule=1,20 (c.json:3:22)",
        ]
    );
}

#[test]
fn every_setting_can_stand_in_a_file() {
    let value = |setting: &Setting| {
        match setting.kind {
            Kind::Seconds(..) | Kind::Count(..) | Kind::Rate(..) => "1",
            Kind::Bytes(..) => "\"1m\"",
            Kind::Switch(_) => "true",
            Kind::Nets(_) => "[\"10.0.0.0/8\"]",
            Kind::Schedule(..) => "[1, 2]",
            Kind::Statuses(_) => "[404, \"5xx\"]",
            Kind::Nat64(_) => "[\"64:ff9b::/96\"]",
            Kind::Ports(_) | Kind::Uids(_) => "[1000]",
            Kind::Word(..) | Kind::File(_) | Kind::Path(_) => "\"a\"",
            Kind::Headers(_) => "{\"X-A\": \"b\"}",
            Kind::Secrets(_) => "[]",
            Kind::Listen(_) => "\"[::1]:80\"",
            Kind::Choice(words, _) => return format!("\"{}\"", words[0]),
        }
        .to_owned()
    };
    for setting in SETTINGS.iter().chain(ENDPOINT_SETTINGS) {
        let mut text = format!("{{\"{}\": {}}}", setting.name, value(setting));
        if setting.group == Group::Endpoint {
            text = format!("{{\"defaults\": {text}}}");
        }
        let (contents, problems) = read_text(&text);
        assert_eq!(
            (contents.general.given.len(), problems),
            (1, vec![]),
            "{text}"
        );
    }
}

#[test]
fn endpoints_have_origins_and_patterns_for_keys() {
    let text = r#"{"webhookEndpoints": {
        "https://Fast-Endpoint.com": {"timeout": 5, "maxConnections": 20, "maxQueued": 7},
        "https://*.example.com:8443": {"region": "eu", "headers": {"X-A": "secret words"}},
        "http://[::1]:8080": {}}}"#;
    let (contents, problems) = read_text(text);
    assert_eq!(problems, [] as [&str; 0]);
    let endpoints: Vec<_> = contents
        .endpoints
        .iter()
        .map(|(key, given)| (key, in_words(&given.given).join(" ")))
        .collect();
    assert_eq!(
        endpoints,
        [
            ("http://[::1]:8080", String::new()),
            (
                "https://*.example.com:8443",
                "region=eu (c.json:3:50) headers=*** (c.json:3:67)".to_owned()
            ),
            (
                "https://fast-endpoint.com",
                "timeout=5 (c.json:2:50) maxConnections=20 (c.json:2:71) maxQueued=7 (c.json:2:88)"
                    .to_owned()
            ),
        ]
    );
}

#[test]
fn what_is_no_json_is_named_by_line_and_column() {
    assert_wrong(
        "{\n \"timeout\": 5,\n}",
        &["c.json:3:1: expected a key, '\"', found \"}\""],
    );
    assert_wrong(
        "",
        &["c.json:1:1: expected a value, found the end of the file"],
    );
    assert_wrong(
        "{}\n{}",
        &["c.json:2:1: expected the end of the file, found \"{\""],
    );
    assert_wrong("[1]", &["c.json:1:1: expected an object, found an array"]);
    let mut problems = Vec::new();
    read("c.json", b"{\n\"a\xc3\xa4\xff\": 1}", &mut problems);
    assert_eq!(
        problems[0].to_string(),
        "c.json:2:4: expected UTF-8, found a byte that is none"
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    assert_wrong(
        r#"{"timeout": 0, "maxPendng": 1, "maxConnections": 1.5,
"ttl": 5, "ttl": 6, "defaults": 7}"#,
        &[
            "c.json:2:11: ttl: expected once, found again (first at c.json:2:1)",
            "c.json:1:13: timeout: expected seconds from 0.001 to 3600, found 0",
            "c.json:1:16: maxPendng: no such setting, did you mean maxPending?",
            "c.json:1:50: maxConnections: expected a whole number from 1 to 65535, found 1.5",
            "c.json:2:33: defaults: expected an object, found 7",
        ],
    );
}

#[test]
fn a_setting_stands_where_it_concerns_something() {
    assert_wrong(
        r#"{"region": "eu", "defaults": {"maxPending": 5, "region": "eu"}}"#,
        &[
            "c.json:1:2: region: concerns endpoints, expected in webhookEndpoints or defaults",
            "c.json:1:31: defaults.maxPending: concerns the whole process, expected at the top level",
        ],
    );
    for key in [
        "maxConnectionsTotal",
        "maxPendingBytes",
        "socket",
        "allowNet",
    ] {
        let text = format!(r#"{{"webhookEndpoints":{{"https://a.example":{{"{key}":1}}}}}}"#);
        let (_, problems) = read_text(&text);
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].ends_with("expected at the top level"),
            "{problems:?}"
        );
    }
    assert_wrong(
        r#"{"webhookEndpoint": {}}"#,
        &["c.json:1:2: webhookEndpoint: no such setting, did you mean webhookEndpoints?"],
    );
}

#[test]
fn a_wrong_type_says_what_json_is_expected() {
    for (value, expected) in [
        (
            r#""timeout": "5""#,
            "seconds from 0.001 to 3600 as a JSON number, found \"5\"",
        ),
        (
            r#""timeout": null"#,
            "seconds from 0.001 to 3600 as a JSON number, found null",
        ),
        (r#""timeout": -1"#, "seconds from 0.001 to 3600, found -1"),
        (
            r#""timeout": 1e999"#,
            "seconds from 0.001 to 3600, found 1e999",
        ),
        (r#""resendStale": "true""#, "true or false, found \"true\""),
        (r#""resendStale": 1"#, "true or false, found 1"),
        (
            r#""maxDrainBytes": true"#,
            "a number of bytes from 0 to 1g (64k, 1m, 1g) as a JSON number or a string, found true",
        ),
        (
            r#""retrySchedule": "1,2""#,
            "seconds from 0.001 to 2592000 in an array of numbers, found \"1,2\"",
        ),
        (
            r#""onCircuitOpen": "Hold""#,
            "one of hold, fail, found \"Hold\"",
        ),
        (
            r#""onCircuitOpen": 1"#,
            "one of hold, fail as a JSON string, found 1",
        ),
        (r#""caFile": """#, "a file's name, found \"\""),
        (r#""caFile": "\u0000""#, "a file's name, found \"\\u0000\""),
        (
            r#""caFile": ["a"]"#,
            "a file's name as a JSON string, found an array",
        ),
        (
            r#""logLevel": {}"#,
            "one of off, error, warn, info, debug, trace as a JSON string, found an object",
        ),
    ] {
        let (_, problems) = read_text(&format!("{{{value}}}"));
        let [problem] = problems.as_slice() else {
            panic!("{value} gave {problems:?}")
        };
        assert!(
            problem.ends_with(&format!(": expected {expected}")),
            "{problem}"
        );
    }
}

#[test]
fn one_element_of_a_list_is_wrong_by_itself() {
    assert_wrong(
        r#"{"allowPort": [22, "25,26", "", [1], 70000, "x"]}"#,
        &[
            "c.json:1:20: allowPort[1]: expected a whole number from 1 to 65535, found \"25,26\"",
            "c.json:1:29: allowPort[2]: expected a whole number from 1 to 65535, found \"\"",
            "c.json:1:33: allowPort[3]: expected a whole number from 1 to 65535, found an array",
            "c.json:1:38: allowPort[4]: expected a whole number from 1 to 65535, found 70000",
            "c.json:1:45: allowPort[5]: expected a whole number from 1 to 65535, found \"x\"",
        ],
    );
}

#[test]
fn a_key_that_is_no_origin_and_one_that_stands_twice_are_named() {
    assert_wrong(
        r#"{"webhookEndpoints": {"https://a.example/hook": {}, "https://b.example": {},
"https://B.example:443": {}, "https://b.example": {}, "https://c.example": 5}}"#,
        &[
            "c.json:2:30: webhookEndpoints[\"https://b.example\"]: expected once, found again (first at c.json:1:53)",
            "c.json:1:23: webhookEndpoints[\"https://a.example/hook\"]: something follows host and port, expected \
             an origin such as https://hooks.example.com",
            "c.json:2:1: webhookEndpoints[\"https://B.example:443\"]: the same origin or pattern stands there \
             already, expected it once",
            "c.json:2:76: webhookEndpoints[\"https://c.example\"]: expected an object, found 5",
        ],
    );
}

#[test]
fn headers_follow_the_rules_of_jobs_and_nothing_secret_is_shown() {
    for (headers, expected) in [
        (
            r#"{"Host": "hush"}"#,
            "defaults.headers.Host: header frames or routes",
        ),
        (
            r#"{"webhook-id": "hush"}"#,
            "defaults.headers.webhook-id: header",
        ),
        (
            r#"{"X-A": "hush\r\nX-B: b"}"#,
            "defaults.headers.X-A: header",
        ),
        (
            r#"{"X-A": 5}"#,
            "defaults.headers.X-A: expected a string, found a number",
        ),
        (
            r#"{"X-A": "hush", "x-a": "b"}"#,
            "defaults.headers.x-a: expected once",
        ),
        (
            r#""hush""#,
            "defaults.headers: expected an object of strings, found a string",
        ),
    ] {
        let (_, problems) = read_text(&format!(r#"{{"defaults": {{"headers": {headers}}}}}"#));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains(&format!("c.json:1:26: {expected}")),
            "{problems:?}"
        );
        assert!(!problems[0].contains("hush"), "{problems:?}");
    }
    for (secret, place) in [
        (r#""hush""#, "secret: "),
        (
            r#"["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_hush"]"#,
            "secret[1]: ",
        ),
        (r#"[5]"#, "secret[0]: expected a string"),
        (r#"{"a": "hush"}"#, "secret: expected a string"),
    ] {
        let (_, problems) = read_text(&format!(r#"{{"defaults": {{"secret": {secret}}}}}"#));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains(&format!(": defaults.{place}")),
            "{problems:?}"
        );
        assert!(!problems[0].contains("hush"), "{problems:?}");
    }
    let (contents, problems) = read_text(r#"{"defaults": {"secret": [], "headers": {}}}"#);
    assert_eq!((contents.general.given.len(), problems.len()), (2, 0));
}

#[test]
fn what_is_found_can_forge_no_line_and_floods_none() {
    let long = "x".repeat(10_000);
    let (_, problems) = read_text(&format!(
        "{{\"a\\nb\u{85}\": 1, \"logLevel\": \"\\u001b[2J\\n{long}\", \"ttl\": 1{}}}",
        "0".repeat(10_000)
    ));
    assert_eq!(problems.len(), 3);
    for problem in problems {
        assert!(problem.len() < 300, "{problem}");
        assert!(!problem.contains(char::is_control), "{problem:?}");
    }
}

#[test]
fn places_in_a_long_line_are_found_in_a_moment() {
    // A walk from the start for each of them would take minutes.
    let entries: Vec<String> = (0..100_000)
        .map(|n| format!(r#""https://h{n}.example":{{"timeout":5}}"#))
        .collect();
    let text = format!(r#"{{"webhookEndpoints":{{{}}}}}"#, entries.join(","));
    let (contents, problems) = read_text(&text);
    assert_eq!(
        (contents.endpoints.iter().count(), problems.len()),
        (100_000, 0)
    );
}
