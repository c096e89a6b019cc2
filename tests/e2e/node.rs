//! Deliveries to node: answers in pieces, interim answers, and servers that do not answer as they should.

use std::fmt::Write as _;

use crate::harness::conduit::{Finished, Run, deliver};
use crate::harness::feed::{Feed, plain};
use crate::harness::servers::Node;

/// Sends a job with this id to each path of a server that is made by `script`.
fn deliver_to(script: &str, flags: &[&str], paths: &[&str]) -> Option<Finished> {
    let node = Node::start(script)?;
    let feed: String = paths
        .iter()
        .map(|path| plain(path.trim_start_matches('/'), &node.url(path)))
        .collect();
    Some(deliver(flags, feed))
}

/// A server that answers with the bytes that `raw` gives for a path, as they are, and keeps the connection.
fn raw_server(answers: &[(&str, &str)]) -> String {
    let mut table = String::new();
    for (path, javascript) in answers {
        writeln!(table, "  '{path}': socket => {{ {javascript} }},")
            .expect("a String takes what is written");
    }
    format!(
        "const answers = {{\n{table}}};\n\
         const server = net.createServer(socket => {{\n\
           let head = '', heard = false;\n\
           socket.on('error', () => {{}});\n\
           socket.on('data', data => {{\n\
             head += data.toString('latin1');\n\
             if (heard || !head.includes('\\r\\n\\r\\n')) return;\n\
             heard = true;\n\
             answers[head.split(' ')[1]](socket);\n\
           }});\n\
         }});"
    )
}

#[test]
fn chunks_that_come_in_pieces_keep_the_connection() {
    let script = "\
        let connections = 0;
        const server = http.createServer((request, response) => {
          request.resume();
          request.on('end', () => {
            response.writeHead(connections > 2 ? 500 : 200, {'Trailer': 'X-Sum'});
            let pieces = 0;
            const piece = () => {
              if (++pieces > 5) { response.addTrailers({'X-Sum': '1'}); return response.end(); }
              response.write('piece '.repeat(pieces * 50));
              setImmediate(piece);
            };
            piece();
          });
        });
        server.on('connection', () => { connections += 1; });";
    let Some(node) = Node::start(script) else {
        return;
    };
    let feed = Feed::generate(100, &[node.url("/")], 500);
    // More than two connections and the server answers 500.
    let run = deliver(&["--max-connections", "2"], feed.text());
    run.assert_all_delivered(100);
}

#[test]
fn f24_interim_answers_are_skipped() {
    let script = "\
        const server = http.createServer((request, response) => {
          response.writeContinue();
          response.writeProcessing();
          response.writeEarlyHints({'link': '</a>; rel=preload'});
          response.writeEarlyHints({'link': '</b>; rel=preload'});
          request.resume();
          request.on('end', () => { response.statusCode = 201; response.end('done'); });
        });";
    let Some(node) = Node::start(script) else {
        return;
    };
    let feed = Feed::generate(20, &[node.url("/")], 300);
    let run = deliver(&["--max-connections", "1"], feed.text());
    run.assert_all_delivered(20);
    assert!(
        run.results
            .iter()
            .all(|result| result.status() == Some(201))
    );
}

#[test]
fn f25_a_flood_of_interim_answers_ends_at_the_limit_of_a_head() {
    let final_head = "HTTP/1.1 204 No Content\\r\\n\\r\\n";
    let interim = |status: u16| format!("'HTTP/1.1 {status} Wait\\r\\n\\r\\n'");
    let many = |status: u16| {
        let interim = interim(status);
        format!("socket.write({interim}.repeat(200) + '{final_head}');")
    };
    let endless = format!(
        "const more = () => {{ while (socket.write({})); socket.once('drain', more); }}; more();",
        interim(103)
    );
    let script = raw_server(&[
        ("/102", &many(102)),
        ("/103", &many(103)),
        ("/endless", &endless),
        (
            "/long",
            &format!(
                "socket.write({}.repeat(3200) + '{final_head}');",
                interim(102)
            ),
        ),
    ]);
    let paths = ["/102", "/103", "/endless", "/long"];
    let Some(run) = deliver_to(&script, &["--timeout", "20"], &paths) else {
        return;
    };
    assert!(run.of("102").is_delivered() && run.of("103").is_delivered());
    for id in ["endless", "long"] {
        let result = run.of(id);
        result.assert_failed("exhausted", "protocol", &["maxResponseHeaderBytes"]);
        assert_eq!((result.attempts(), result.status()), (1, None));
    }
}

#[test]
fn f44_thousands_of_header_fields_are_too_many() {
    let script = "\
        const server = http.createServer((request, response) => {
          request.resume();
          request.on('end', () => {
            const count = Number(request.url.slice(1));
            for (let n = 0; n < count; n++) response.setHeader('X-' + n, '1');
            response.end();
          });
        });";
    let Some(run) = deliver_to(script, &[], &["/3000", "/200"]) else {
        return;
    };
    run.of("3000")
        .assert_failed("exhausted", "protocol", &["256"]);
    assert_eq!(run.of("3000").status(), None);
    assert!(run.of("200").is_delivered());
}

#[test]
fn f07_an_answer_that_comes_before_a_reset_in_the_middle_of_the_body_is_read() {
    let answer = "'HTTP/1.1 413 Too Large\\r\\nContent-Length: 4\\r\\n\\r\\nbig!'";
    let script = raw_server(&[(
        "/",
        &format!("socket.pause(); socket.write({answer}, () => socket.resetAndDestroy());"),
    )]);
    let Some(node) = Node::start(&script) else {
        return;
    };
    let body = "x".repeat(900_000);
    let job = |id: &str| serde_json::json!({"id": id, "url": node.url("/"), "body": body});
    let ids = ["a", "b", "c", "d", "e", "f"];
    let feed: String = ids.iter().map(|id| format!("{}\n", job(id))).collect();
    let run = deliver::<&str>(&[], feed);
    for id in ids {
        run.of(id).assert_failed("rejected", "http", &["413"]);
        assert_eq!(run.of(id).response(), Some("big!"));
    }
}

#[test]
fn f08_an_answer_is_read_while_the_server_reads_nothing_of_the_body() {
    let answer = "'HTTP/1.1 413 Too Large\\r\\nContent-Length: 4\\r\\n\\r\\nbig!'";
    let script = raw_server(&[("/", &format!("socket.pause(); socket.write({answer});"))]);
    let Some(node) = Node::start(&script) else {
        return;
    };
    // More than the buffers of both ends hold.
    let body = "x".repeat(16_000_000);
    let job = serde_json::json!({"id": "a", "url": node.url("/"), "body": body, "timeout": 5});
    let run = deliver(
        &["--max-job-bytes", "20000000", "--retry-schedule", ""],
        format!("{job}\n"),
    );
    run.of("a").assert_failed("rejected", "http", &["413"]);
    assert_eq!(run.of("a").response(), Some("big!"));
}

#[test]
fn f46_endless_bodies_are_delivered_and_take_no_memory() {
    const JOBS: usize = 40;
    const GROWN_MOST: u64 = 16 << 20;
    let script = "\
        const server = http.createServer((request, response) => {
          request.resume();
          const piece = Buffer.alloc(65536, 'x');
          const more = () => { while (response.write(piece)); };
          response.on('drain', more);
          more();
        });";
    let Some(node) = Node::start(script) else {
        return;
    };
    let mut run = Run::local(&["--max-drain-bytes", "4m", "--max-connections", "8"]);
    run.write(&plain("first", &node.url("/")));
    assert!(run.next_result().is_delivered());
    let before = run.process().resident_bytes();
    for number in 0..JOBS {
        run.write(&plain(&number.to_string(), &node.url("/")));
    }
    for _ in 0..JOBS {
        assert!(run.next_result().is_delivered());
    }
    let grown = run.process().resident_bytes().saturating_sub(before);
    assert!(grown <= GROWN_MOST, "{grown} bytes");
    run.finish().assert_all_delivered(JOBS + 1);
}

#[test]
fn f01_connections_that_end_right_after_their_answers_fail_no_job() {
    // Each end meets the next request on its way.
    for end in [
        "socket.end()",
        "socket.destroy()",
        "socket.resetAndDestroy()",
    ] {
        let script = format!(
            "const server = net.createServer(socket => {{
               socket.on('error', () => {{}});
               socket.on('data', data => {{
                 if (!data.toString('latin1').includes('POST')) return;
                 socket.write('HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n', () => {end});
               }});
             }});"
        );
        let Some(node) = Node::start(&script) else {
            return;
        };
        let feed = Feed::generate(200, &[node.url("/")], 100);
        let run = deliver(&["--max-connections", "4"], feed.text());
        run.assert_all_delivered(200);
    }
}

#[test]
fn f12_a_silent_server_runs_into_the_named_clock() {
    let script = raw_server(&[
        ("/silent", ""),
        ("/half", "socket.write('HTTP/1.1 200 OK\\r\\nContent-');"),
        (
            "/interim",
            "socket.write('HTTP/1.1 100 Continue\\r\\n\\r\\n');",
        ),
    ]);
    let paths = ["/silent", "/half", "/interim"];
    let Some(run) = deliver_to(&script, &["--timeout", "0.5"], &paths) else {
        return;
    };
    for id in ["silent", "half", "interim"] {
        let result = run.of(id);
        result.assert_failed("exhausted", "timeout", &["timeout (0.5 s)"]);
        assert!(result.duration_ms() >= 500.0, "{result:?}");
    }
}

#[test]
fn a_job_may_have_a_timeout_of_its_own() {
    let Some(node) = Node::start(&raw_server(&[("/", "")])) else {
        return;
    };
    let job = serde_json::json!({"id": "a", "url": node.url("/"), "timeout": 0.25});
    let run = deliver::<&str>(&[], format!("{job}\n"));
    run.of("a")
        .assert_failed("exhausted", "timeout", &["timeout (0.25 s)"]);
}

#[test]
fn f03_a_server_that_breaks_off_fails_the_attempt() {
    let script = raw_server(&[
        ("/reset", "socket.resetAndDestroy();"),
        ("/end", "socket.end();"),
        ("/half", "socket.end('HTTP/1.1 200 OK\\r\\nConte');"),
        (
            "/interim",
            "socket.end('HTTP/1.1 103 Early Hints\\r\\n\\r\\n');",
        ),
    ]);
    let paths = ["/reset", "/end", "/half", "/interim"];
    let Some(run) = deliver_to(&script, &[], &paths) else {
        return;
    };
    for id in ["reset", "end", "half", "interim"] {
        run.of(id).assert_failed("exhausted", "reset", &[]);
        assert_eq!(run.of(id).status(), None);
    }
}

#[test]
fn f29_what_is_not_http_1_is_a_protocol_error() {
    let many = "'X-Field: 1\\r\\n'.repeat(300)";
    let script = raw_server(&[
        ("/garbage", "socket.write('SSH-2.0-OpenSSH_9.2\\r\\n');"),
        ("/html", "socket.write('<html>hello</html>\\r\\n\\r\\n');"),
        (
            "/length",
            "socket.write('HTTP/1.1 200 OK\\r\\nContent-Length: -1\\r\\n\\r\\n');",
        ),
        ("/status", "socket.write('HTTP/1.1 2000 OK\\r\\n\\r\\n');"),
        (
            "/huge",
            "socket.write('HTTP/1.1 200 OK\\r\\nX-Huge: ' + 'x'.repeat(70000) + '\\r\\n\\r\\n');",
        ),
        (
            "/many",
            &format!("socket.write('HTTP/1.1 200 OK\\r\\n' + {many} + '\\r\\n');"),
        ),
        (
            "/switch",
            "socket.write('HTTP/1.1 101 Switching\\r\\nUpgrade: x\\r\\n\\r\\n');",
        ),
    ]);
    let paths = [
        "/garbage", "/html", "/length", "/status", "/huge", "/many", "/switch",
    ];
    let Some(run) = deliver_to(&script, &["--timeout", "5"], &paths) else {
        return;
    };
    for path in paths {
        run.of(&path[1..])
            .assert_failed("exhausted", "protocol", &[]);
    }
    assert_eq!((run.results.len(), run.status), (7, Some(1)));
}

#[test]
fn f45_a_2xx_is_delivered_at_its_head_whatever_becomes_of_the_body() {
    let head = "HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\n";
    let chunked = "HTTP/1.1 202 Accepted\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n";
    let script = raw_server(&[
        ("/slow", &format!("socket.write('{head}begin');")),
        (
            "/cut",
            &format!("socket.write('{head}begin', () => socket.resetAndDestroy());"),
        ),
        ("/chunk", &format!("socket.write('{chunked}zz\\r\\n');")),
    ]);
    let paths = ["/slow", "/cut", "/chunk"];
    let flags = ["--timeout", "30", "--drain-timeout", "20"];
    let Some(run) = deliver_to(&script, &flags, &paths) else {
        return;
    };
    run.assert_all_delivered(3);
    // Neither clock has run out: the head was enough.
    assert!(
        run.results
            .iter()
            .all(|result| result.duration_ms() < 15_000.0)
    );
}

#[test]
fn f48_bytes_on_an_idle_connection_are_no_answer() {
    // The second answer of each pair was never asked for: whoever takes it for one delivers to nobody.
    let script = "\
        const server = net.createServer(socket => {
          let requests = 0;
          socket.on('error', () => {});
          socket.on('data', data => {
            if (!data.toString('latin1').includes('POST')) return;
            requests += 1;
            const answer = requests > 1 ? '500 Reused' : '200 OK';
            socket.write(`HTTP/1.1 ${answer}\\r\\nContent-Length: 0\\r\\n\\r\\n`
              + 'HTTP/1.1 200 Forged\\r\\nContent-Length: 0\\r\\n\\r\\n');
          });
        });";
    let Some(node) = Node::start(script) else {
        return;
    };
    let feed = Feed::generate(10, &[node.url("/")], 100);
    let run = deliver(&["--max-connections", "1"], feed.text());
    run.assert_all_delivered(10);
}

#[test]
fn an_answer_that_is_not_2xx_shows_its_start_and_hides_what_was_sent() {
    let script = "\
        const server = http.createServer((request, response) => {
          request.resume();
          request.on('end', () => {
            response.statusCode = 401;
            response.end('no entry for ' + request.headers.authorization + ': ' + 'x'.repeat(5000));
          });
        });";
    let Some(node) = Node::start(script) else {
        return;
    };
    let secret = "Bearer 5ecret-t0ken";
    let job =
        serde_json::json!({"id": "a", "url": node.url("/"), "headers": {"Authorization": secret}});
    let run = deliver(&["--log-level", "trace"], format!("{job}\n"));
    run.of("a").assert_failed("rejected", "http", &["401"]);
    let response = run.of("a").response().unwrap();
    assert!(response.starts_with("no entry for ***: xxx"), "{response}");
    assert!(response.len() <= 1_024, "{} bytes", response.len());
    assert!(!format!("{run:?}").contains("5ecret"), "{run:?}");
    let run = deliver(&["--response-bytes", "0"], format!("{job}\n"));
    assert!(run.of("a").response().is_none(), "{run:?}");
}
