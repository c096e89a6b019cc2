//! Cases for heads: each is also cut at every byte, and followed by other bytes.

use super::*;

/// Parses `text`, and checks that every prefix is incomplete or wrong, and that what follows is left alone.
fn parse_all_ways(text: &str) -> Result<Head, HeadError> {
    let bytes = text.as_bytes();
    let outcome = match parse(bytes) {
        Ok(Some((head, head_bytes))) => {
            assert_eq!(head_bytes, bytes.len(), "{text:?}");
            Ok(head)
        }
        Ok(None) => panic!("incomplete: {text:?}"),
        Err(error) => Err(error),
    };
    for split in 0..bytes.len() {
        match parse(&bytes[..split]) {
            Ok(None) => {}
            Err(error) => assert_eq!(Err(error), outcome, "{text:?} cut at {split}"),
            Ok(Some(_)) => panic!("{text:?} cut at {split} is a head"),
        }
    }
    if outcome.is_ok() {
        for rest in ["x", "\r\n", "HTTP/1.1 500 No\r\n\r\n", "\0"] {
            let longer = format!("{text}{rest}");
            let found = parse(longer.as_bytes()).map(|head| head.map(|(_, bytes)| bytes));
            assert_eq!(found, Ok(Some(bytes.len())), "{longer:?}");
        }
    }
    outcome
}

fn head(text: &str) -> Head {
    parse_all_ways(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Status line and fields, then framing and fitness.
fn check(cases: &[(&str, Framing, Option<Unfit>)]) {
    for (text, framing, unfit) in cases {
        let head = head(&format!("{}\r\n\r\n", text.replace('|', "\r\n")));
        assert_eq!((head.framing, head.unfit), (*framing, *unfit), "{text}");
    }
}

fn check_errors(cases: &[(&str, HeadError)]) {
    for (text, error) in cases {
        let text = format!("{}\r\n\r\n", text.replace('|', "\r\n"));
        assert_eq!(parse_all_ways(&text), Err(*error), "{text:?}");
    }
}

#[test]
#[rustfmt::skip]
fn plain_heads() {
    check(&[
        ("HTTP/1.1 200 OK|Content-Length: 5", Framing::Length(5), None),
        ("HTTP/1.1 200|Content-Length: 0", Framing::Length(0), None),
        ("HTTP/1.1 200 |content-length:5 \t", Framing::Length(5), None),
        ("HTTP/1.1 204 No Content", Framing::Empty, None),
        ("HTTP/1.1 404 Nicht gefunden: ä|Content-Length: 00007", Framing::Length(7), None),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked", Framing::Chunked, None),
        ("HTTP/1.1 200 OK|X: |Y:|Content-Length: 1", Framing::Length(1), None),
    ]);
}

#[test]
fn f14_connection_close_in_any_case_list_or_line() {
    let close = Some(Unfit::CloseAsked);
    let ok = |fields: &str| {
        head(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n\r\n"
        ))
    };
    for fields in [
        "Connection: close",
        "connection: CLOSE",
        "CONNECTION: Keep-Alive, Close",
        "Connection: ,, x ,close\t,",
        "Connection: keep-alive\r\nConnection: close",
        "Connection: close\r\nConnection: keep-alive",
    ] {
        assert_eq!(ok(fields).unfit, close, "{fields}");
    }
    for fields in [
        "Connection: keep-alive",
        "Connection: closed",
        "Connection: not close",
        "Connection:",
        "Proxy-Connection: close",
        "X-Connection: close",
    ] {
        assert_eq!(ok(fields).unfit, None, "{fields}");
    }
}

#[test]
#[rustfmt::skip]
fn f24_f27_interim_heads() {
    for (status, interim) in [
        (100, true),
        (102, true),
        (103, true),
        (199, true),
        (200, false),
    ] {
        let head = head(&format!("HTTP/1.1 {status} X\r\nLink: </x>\r\n\r\n"));
        assert_eq!(head.status, status);
        assert_eq!(head.is_interim(), interim, "{status}");
        assert_eq!(head.framing == Framing::Empty, interim, "{status}");
    }
    check_errors(&[
        ("HTTP/1.1 101 Switching Protocols|Upgrade: h2c|Connection: Upgrade", HeadError::Upgrade),
        ("HTTP/1.1 101", HeadError::Upgrade),
    ]);
}

#[test]
#[rustfmt::skip]
fn f28_http10_closes_unless_told_otherwise() {
    check(&[
        ("HTTP/1.0 200 OK|Content-Length: 5", Framing::Length(5), Some(Unfit::Http10)),
        ("HTTP/1.0 200 OK", Framing::UntilClose, Some(Unfit::Http10)),
        ("HTTP/1.0 204 OK|Connection: Keep-Alive", Framing::Empty, None),
        ("HTTP/1.0 200 OK|Connection: x, keep-alive|Content-Length: 5", Framing::Length(5), None),
        ("HTTP/1.0 200 OK|Connection: keep-alive, close", Framing::UntilClose, Some(Unfit::CloseAsked)),
        ("HTTP/1.0 200 OK|Connection: keep-alive", Framing::UntilClose, Some(Unfit::CloseDelimited)),
        (
            "HTTP/1.0 200 OK|Connection: keep-alive|Transfer-Encoding: chunked",
            Framing::Chunked,
            Some(Unfit::EncodingInHttp10),
        ),
    ]);
}

#[test]
#[rustfmt::skip]
fn f29_only_http_1_0_and_1_1() {
    check_errors(&[
        ("HTTP/0.9 200 OK", HeadError::Version),
        ("HTTP/1.2 200 OK", HeadError::Version),
        ("HTTP/2 200 OK", HeadError::Version),
        ("HTTP/2.0 200 OK", HeadError::Version),
        ("HTTP/1.10 200 OK", HeadError::Version),
        ("HTTP/1.1", HeadError::Version),
        ("HTTP/1.1\t200 OK", HeadError::Version),
        ("HTTP/11111111111111111111111111111111111111 200 OK", HeadError::Version),
        ("HEAT/1.1 200 OK", HeadError::Version),
        ("http/1.1 200 OK", HeadError::Version),
        ("ICY 200 OK", HeadError::Version),
        ("PRI * HTTP/2.0", HeadError::Version),
        ("SSH-2.0-OpenSSH_9.2", HeadError::Version),
        ("<html>hello</html>", HeadError::Version),
        ("\0\0\u{12}\u{4}\0\0\0\0\0\0", HeadError::Version),
        (" HTTP/1.1 200 OK", HeadError::Version),
        ("|HTTP/1.1 200 OK", HeadError::EmptyLine),
        ("\nHTTP/1.1 200 OK", HeadError::EmptyLine),
    ]);
}

#[test]
fn f30_statuses_are_three_digits_from_100_on() {
    for (status, class) in [
        (100, 1),
        (200, 2),
        (226, 2),
        (299, 2),
        (300, 3),
        (499, 4),
        (500, 5),
        (599, 5),
        (600, 5),
        (700, 5),
        (999, 5),
    ] {
        let head = head(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((head.status, head.class()), (status, class));
        assert_eq!(head.is_success(), class == 2, "{status}");
    }
    check_errors(&[
        ("HTTP/1.1 000 X", HeadError::Status),
        ("HTTP/1.1 099 X", HeadError::Status),
        ("HTTP/1.1 20 X", HeadError::Status),
        ("HTTP/1.1 2", HeadError::Status),
        ("HTTP/1.1 2000 X", HeadError::Status),
        ("HTTP/1.1 -200 X", HeadError::Status),
        ("HTTP/1.1  200 X", HeadError::Status),
        ("HTTP/1.1 2x0 X", HeadError::Status),
        ("HTTP/1.1 200X", HeadError::Status),
        ("HTTP/1.1 200\tOK", HeadError::Status),
        ("HTTP/1.1 200 O\0K", HeadError::Status),
        ("HTTP/1.1 200 O\rK", HeadError::Status),
        ("HTTP/1.1 OK", HeadError::Status),
    ]);
}

#[test]
#[rustfmt::skip]
fn f31_f32_bodies_by_rule() {
    let forbidden = Some(Unfit::ForbiddenBody);
    check(&[
        ("HTTP/1.1 200 OK", Framing::UntilClose, Some(Unfit::CloseDelimited)),
        ("HTTP/1.1 500 No|Connection: close", Framing::UntilClose, Some(Unfit::CloseAsked)),
        ("HTTP/1.1 204 No|Content-Length: 0", Framing::Empty, None),
        ("HTTP/1.1 204 No|Content-Length: 5", Framing::Empty, forbidden),
        ("HTTP/1.1 204 No|Content-Length: rubbish", Framing::Empty, forbidden),
        ("HTTP/1.1 204 No|Transfer-Encoding: chunked", Framing::Empty, forbidden),
        ("HTTP/1.1 304 No|Content-Length: 5", Framing::Empty, None),
        ("HTTP/1.1 304 No|Transfer-Encoding: chunked", Framing::Empty, None),
        ("HTTP/1.1 100 Go|Content-Length: 5", Framing::Empty, forbidden),
        ("HTTP/1.1 205 Reset|Content-Length: 0", Framing::Length(0), None),
    ]);
}

#[test]
#[rustfmt::skip]
fn f33_rejects_bad_content_length() {
    for value in [
        "-1",
        "+5",
        "5 5",
        "0x5",
        "18446744073709551616",
        "99999999999999999999999",
        "rubbish",
        "",
        " ",
        "5;",
        "5.0",
        "5,",
        ",5",
        "5,,5",
        "\"5\"",
        "٥",
        "5\t5",
        "1e3",
        "5, 6",
        "5,5,6",
        "5, x",
    ] {
        let text = format!("HTTP/1.1 200 OK|Content-Length: {value}");
        check_errors(&[(&text, HeadError::ContentLength)]);
    }
    check_errors(&[
        ("HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 6", HeadError::ContentLength),
        ("HTTP/1.1 200 OK|Content-Length: x|Content-Length: 5", HeadError::ContentLength),
    ]);
    check(&[("HTTP/1.1 200 OK|Content-Length: 18446744073709551615", Framing::Length(u64::MAX), None)]);
}

#[test]
#[rustfmt::skip]
fn f34_accepts_equal_content_lengths() {
    check(&[
        ("HTTP/1.1 200 OK|Content-Length: 5, 5", Framing::Length(5), None),
        ("HTTP/1.1 200 OK|Content-Length: 5,5 ,\t05", Framing::Length(5), None),
        ("HTTP/1.1 200 OK|Content-Length: 5|X: y|content-length: 5", Framing::Length(5), None),
    ]);
}

#[test]
#[rustfmt::skip]
fn f35_transfer_encoding_wins_over_length() {
    let both = Some(Unfit::LengthAndEncoding);
    check(&[
        ("HTTP/1.1 200 OK|Content-Length: 5|Transfer-Encoding: chunked", Framing::Chunked, both),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: rubbish", Framing::Chunked, both),
        ("HTTP/1.1 200 OK|Transfer-Encoding: gzip|Content-Length: 5", Framing::UntilClose, both),
        ("HTTP/1.1 200 OK|Transfer-Encoding:|Content-Length: 5", Framing::UntilClose, both),
    ]);
}

#[test]
#[rustfmt::skip]
fn f36_chunked_counts_once_and_last() {
    let unknown = Some(Unfit::UnknownEncoding);
    check(&[
        ("HTTP/1.1 200 OK|Transfer-Encoding: CHUNKED", Framing::Chunked, None),
        ("HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked", Framing::Chunked, None),
        ("HTTP/1.1 200 OK|Transfer-Encoding: gzip|transfer-encoding: chunked", Framing::Chunked, None),
        ("HTTP/1.1 200 OK|Transfer-Encoding: ,chunked,", Framing::Chunked, None),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked, gzip", Framing::UntilClose, unknown),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked, chunked", Framing::UntilClose, unknown),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked|Transfer-Encoding: chunked", Framing::UntilClose, unknown),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked, gzip, chunked", Framing::UntilClose, unknown),
        ("HTTP/1.1 200 OK|Transfer-Encoding: identity", Framing::UntilClose, unknown),
        ("HTTP/1.1 200 OK|Transfer-Encoding: xchunked", Framing::UntilClose, unknown),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked;q=1", Framing::UntilClose, unknown),
        ("HTTP/1.1 200 OK|Transfer-Encoding: \"chunked\"", Framing::UntilClose, unknown),
        ("HTTP/1.1 200 OK|Transfer-Encoding:", Framing::UntilClose, unknown),
    ]);
}

#[test]
#[rustfmt::skip]
fn f41_folded_lines_are_read_and_cost_the_connection() {
    let folded = Some(Unfit::FoldedLine);
    check(&[
        ("HTTP/1.1 200 OK|X: a| b|Content-Length: 5", Framing::Length(5), folded),
        ("HTTP/1.1 200 OK|Content-Length:|\t5", Framing::Length(5), folded),
        ("HTTP/1.1 200 OK|Transfer-Encoding: gzip,| chunked", Framing::Chunked, folded),
        ("HTTP/1.1 200 OK|Content-Length: 5| ", Framing::Length(5), folded),
        ("HTTP/1.1 200 OK|Connection: keep-alive,| close|Content-Length: 0", Framing::Length(0), folded),
    ]);
    check_errors(&[("HTTP/1.1 200 OK|Content-Length: 5| 5", HeadError::ContentLength)]);
}

#[test]
fn f42_bare_lf_costs_the_connection_and_bare_cr_the_response() {
    let lf = Some(Unfit::BareLf);
    for text in [
        "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\n",
        "HTTP/1.1 200\nContent-Length: 5\r\n\r\n",
    ] {
        let head = head(text);
        assert_eq!(
            (head.framing, head.unfit),
            (Framing::Length(5), lf),
            "{text:?}"
        );
    }
    check_errors(&[
        ("HTTP/1.1 200 OK|X: a\rb", HeadError::FieldValue),
        ("HTTP/1.1 200 OK|X: a\r\r\nY: b", HeadError::FieldValue),
        ("HTTP/1.1 200 OK|X: a\0b", HeadError::FieldValue),
        ("HTTP/1.1 200 OK|X: \u{1b}[0m", HeadError::FieldValue),
        ("HTTP/1.1 200 OK|X: a\u{7f}", HeadError::FieldValue),
        ("HTTP/1.1 200 OK|X\r: a", HeadError::FieldName),
        ("HTTP/1.1 200 OK|\rX: a", HeadError::NewLine),
        ("HTTP/1.1 200\rX: a", HeadError::Status),
    ]);
}

#[test]
fn f43_rejects_malformed_field_lines() {
    check_errors(&[
        ("HTTP/1.1 200 OK|Content-Length : 5", HeadError::FieldName),
        ("HTTP/1.1 200 OK|X\t: 5", HeadError::FieldName),
        ("HTTP/1.1 200 OK|no colon here", HeadError::FieldName),
        ("HTTP/1.1 200 OK|nocolon", HeadError::FieldName),
        ("HTTP/1.1 200 OK|: empty", HeadError::FieldName),
        ("HTTP/1.1 200 OK| X: leading space", HeadError::FieldName),
        ("HTTP/1.1 200 OK|\tX: leading tab", HeadError::FieldName),
        ("HTTP/1.1 200 OK|X(y): z", HeadError::FieldName),
        ("HTTP/1.1 200 OK|Ü: z", HeadError::FieldName),
    ]);
}

#[test]
fn f44_counts_fields() {
    let with = |fields: usize| format!("HTTP/1.1 204 No\r\n{}\r\n", "a: b\r\n".repeat(fields));
    assert_eq!(
        parse(with(FIELDS_MAX).as_bytes()).map(|head| head.is_some()),
        Ok(true)
    );
    assert_eq!(
        parse(with(FIELDS_MAX + 1).as_bytes()),
        Err(HeadError::TooManyFields)
    );
    let endless = "HTTP/1.1 204 No\r\n".to_owned() + &"a: b\r\n".repeat(FIELDS_MAX + 1) + "a";
    assert_eq!(parse(endless.as_bytes()), Err(HeadError::TooManyFields));
}

#[test]
fn f51_f54_statuses_that_want_another_connection() {
    for (status, unfit) in [
        (408, Some(Unfit::Status)),
        (421, Some(Unfit::Status)),
        (425, Some(Unfit::Status)),
        (429, None),
        (503, None),
    ] {
        let head = head(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(head.unfit, unfit, "{status}");
    }
}

#[test]
#[rustfmt::skip]
fn f53_delays_are_told_by_the_peers_clock() {
    let parse = |fields: &str| head(&format!("HTTP/1.1 503 X\r\n{fields}\r\n\r\n"));
    let now = Wall::from_unix_seconds(1_000_000_000);
    for (fields, delay) in [
        ("Retry-After: 120", Some(120)),
        ("Retry-After: 0", Some(0)),
        ("Retry-After: 99999999999999999999", Some(u64::MAX)),
        ("Retry-After: Sun, 09 Sep 2001 01:47:40 GMT", Some(60)),
        ("Retry-After: Sun, 09 Sep 2001 01:46:39 GMT", Some(0)),
        ("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        ("Date: rubbish\r\nRetry-After: Sun, 09 Sep 2001 01:47:40 GMT", Some(60)),
        ("Retry-After: -1", None),
        ("X: y", None),
    ] {
        let found = parse(fields).retry_delay(now);
        assert_eq!(found, delay.map(Duration::from_secs), "{fields}");
    }
}

#[test]
fn dripped_heads_are_parsed_seldom_and_never_too_late() {
    let fields = "X: some value\n folded\r\n".repeat(100);
    for end in ["\r\n\r\n", "\n\n", "\n\r\n"] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}Last: one{end}");
        let bytes = text.as_bytes();
        for step in [1, 2, 3, 5, 1000] {
            let (mut have, mut tried, mut parses) = (0, 0, 0);
            let head_bytes = loop {
                assert!(have < bytes.len(), "not seen with steps of {step}");
                have = (have + step).min(bytes.len());
                if !is_worth_parsing(&bytes[..have], tried) {
                    continue;
                }
                (tried, parses) = (have, parses + 1);
                if let Some((_, head_bytes)) = parse(&bytes[..have]).unwrap() {
                    break head_bytes;
                }
            };
            assert_eq!(head_bytes, bytes.len());
            assert!(parses <= 15, "{parses} with steps of {step}");
        }
    }
}
