//! Job lines: nothing panics, every mistake is told in one tame line, every job fits its room, its result is JSON,
//! and as a dead letter it is given out as the same job.

use std::sync::Arc;

use conduit::base::time::{Now, Wall};
use conduit::wire::job::Source;
use conduit::wire::job_line::{Body, JobLine};
use conduit::wire::letter_line;
use conduit::wire::masks::Masks;
use conduit::wire::report::{Ending, ErrorKind, Failure, Outcome, Report};
use conduit::wire::request::signature_field_len;
use conduit::wire::spool::{Fetched, Letter, SourceKind};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    match JobLine::parse(data) {
        Ok(line) => {
            check_letter(data, &line);
            check_job(line);
        }
        Err(bad) => {
            let failure = Failure {
                kind: ErrorKind::Invalid,
                message: bad.error.to_string().into(),
                excerpt: None,
            };
            assert!(failure.message.len() < 1_000, "{}", failure.message);
            check_report(&Report::of_line(
                bad.id.as_deref(),
                1,
                Outcome::Invalid,
                &failure,
            ));
        }
    }
}

/// A dead letter that is given out is the same job again.
fn check_letter(data: &[u8], job: &JobLine<'_>) {
    let letter = Letter {
        id: job.id.as_deref().unwrap_or("generated").into(),
        origin: "https://a.example".into(),
        outcome: Outcome::Expired,
        kind: ErrorKind::Ttl,
        message: "\u{1b}too late\n".into(),
        attempts: 0,
        status: 0,
        ended: Wall::default(),
    };
    let fetched = Fetched {
        accepted: Wall::default(),
        source: SourceKind::Socket,
        user: conduit::wire::job::User::default(),
        generated_id: None,
        attempt: None,
        letter: None,
        line: data.into(),
    };
    let mut line = Vec::new();
    assert!(letter_line::write_job_line(&mut line, &fetched, &letter));
    let again = JobLine::parse(&line).expect("a job line again");
    assert_eq!(again.id.as_deref(), Some(&*letter.id));
    assert_eq!(again.body, job.body);
    assert_eq!(again.url, job.url);
    assert_eq!(again.headers, job.headers);
    assert_eq!(
        (again.timeout, again.ttl, again.priority),
        (job.timeout, job.ttl, job.priority)
    );
}

fn check_job(line: JobLine<'_>) {
    let payload = match line.body {
        Body::Payload(json) => Some(json.to_owned()),
        _ => None,
    };
    let id = line.id.as_deref().unwrap_or("generated").into();
    let origin = Arc::new(line.url.to_origin());
    let mut job = line.into_job(id, Source::default(), origin, Now::default());
    if let Some(payload) = payload {
        assert_eq!(job.message.body(), payload.as_bytes());
    }
    let variable = job.target.len() + job.origin.text.len() + job.id.len() + job.headers.len();
    let variable = variable + job.kind.as_deref().map_or(0, str::len);
    let signature = job.secrets.sign(&job.id, 1, &mut job.message);
    let signature_bytes = signature.as_deref().map_or(0, str::len);
    assert_eq!(signature_bytes, job.secrets.signature_len());
    let room = job.message.room().len();
    assert!(room >= 251 + variable + signature_field_len(signature_bytes));
    // The worst answer: one that echoes all that was sent, and more.
    let mut masks = Masks::default();
    masks.add_fields(&job.headers);
    masks.add_secrets(&job.secrets);
    let secrets: Vec<String> = job.secrets.texts().collect();
    let echo = [
        &job.headers,
        job.message.body(),
        secrets.concat().as_bytes(),
    ]
    .concat();
    let excerpt = masks.apply(&echo);
    for secret in secrets {
        let is_shown = excerpt
            .windows(secret.len())
            .any(|shown| shown == secret.as_bytes());
        assert!(!is_shown, "a secret is shown");
    }
    let ending = Ending {
        outcome: Outcome::Rejected,
        failure: Some(Box::new(Failure {
            kind: ErrorKind::Http,
            message: "the answer was 400".into(),
            excerpt: Some(excerpt.into()),
        })),
    };
    check_report(&Report::of_job(&job, &ending, true));
}

fn check_report(report: &Report<'_>) {
    let mut out = Vec::new();
    report.write(&mut out);
    let line = std::str::from_utf8(&out).expect("a result is UTF-8");
    let line = line.strip_suffix('\n').expect("a result ends its line");
    assert!(!line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')));
    serde_json::from_str::<serde::de::IgnoredAny>(line).expect("a result is JSON");
}
