//! Dead letters as lines: what a list says of one, and the job line that it becomes again.
//!
//! A list never shows headers, secret, body or query. An exported line has every field of the job as it stood, byte
//! for byte, an `id` in any case, and `dead`: what became of it. Whoever reads jobs ignores that.
//!
//! Not here: which letters (`intake/dead`), where they lie (`journal`).

use std::borrow::Cow;

use crate::base::time::Wall;
use crate::wire::json::{self, Member, Members};
use crate::wire::spool::{Fetched, Letter};
use crate::wire::text::{push_json_string, push_number};

/// Appends what a list says of a letter, as one JSON value; `uid` is whose id it has.
pub fn write_summary(out: &mut Vec<u8>, letter: &Letter, uid: u32, accepted: Wall) {
    out.extend_from_slice(b"{\"id\":");
    push_json_string(out, &letter.id);
    out.extend_from_slice(b",\"uid\":");
    push_number(out, u64::from(uid));
    out.push(b',');
    write_fate(out, letter, accepted);
    out.push(b'}');
}

/// Appends the letter as a job line, without its end. Says whether it is one: what can't be read as an object is none,
/// and then nothing is appended.
pub fn write_job_line(out: &mut Vec<u8>, fetched: &Fetched, letter: &Letter) -> bool {
    let Ok(text) = std::str::from_utf8(&fetched.line) else {
        return false;
    };
    let start = out.len();
    out.push(b'{');
    let is_whole = copy_members(out, text, &letter.id);
    if !is_whole {
        out.truncate(start);
        return false;
    }
    out.extend_from_slice(b"\"dead\":{");
    write_fate(out, letter, fetched.accepted);
    out.extend_from_slice(b"}}");
    true
}

/// Every member but `dead`, each with a comma behind it, and an `id` if there is none.
fn copy_members(out: &mut Vec<u8>, text: &str, id: &str) -> bool {
    let mut members = Members::new(text);
    let mut has_id = false;
    let id_at = out.len();
    loop {
        let Member { key, value } = match members.next_member() {
            Ok(Some(member)) => member,
            Ok(None) => break,
            Err(_) => return false,
        };
        match json::unescape(key) {
            Ok(Cow::Borrowed("dead")) => continue,
            Ok(name) if name == "dead" => continue,
            Ok(name) => has_id |= name == "id",
            Err(_) => return false,
        }
        for part in [key, ":", value, ","] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    if !has_id {
        let mut member = b"\"id\":".to_vec();
        push_json_string(&mut member, id);
        member.push(b',');
        out.splice(id_at..id_at, member);
    }
    true
}

/// `"origin":…,"outcome":…`: what is told of a letter beside its id.
fn write_fate(out: &mut Vec<u8>, letter: &Letter, accepted: Wall) {
    out.extend_from_slice(b"\"origin\":");
    push_json_string(out, &letter.origin);
    out.extend_from_slice(b",\"outcome\":\"");
    out.extend_from_slice(letter.outcome.name().as_bytes());
    out.push(b'"');
    if letter.status != 0 {
        out.extend_from_slice(b",\"status\":");
        push_number(out, u64::from(letter.status));
    }
    out.extend_from_slice(b",\"attempts\":");
    push_number(out, u64::from(letter.attempts));
    out.extend_from_slice(b",\"error\":{\"kind\":\"");
    out.extend_from_slice(letter.kind.name().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    push_json_string(out, &letter.message);
    out.extend_from_slice(b"},\"accepted\":");
    push_seconds(out, accepted);
    out.extend_from_slice(b",\"ended\":");
    push_seconds(out, letter.ended);
}

/// Unix seconds with three digits behind the point.
fn push_seconds(out: &mut Vec<u8>, time: Wall) {
    let millis = time.unix_millis();
    push_number(out, millis / 1000);
    out.extend_from_slice(format!(".{:03}", millis % 1000).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::job::User;
    use crate::wire::job_line::{Body, JobLine};
    use crate::wire::report::{ErrorKind, Outcome};
    use crate::wire::spool::SourceKind;

    fn letter() -> Letter {
        Letter {
            id: "order-1".into(),
            origin: "https://a.example".into(),
            outcome: Outcome::Exhausted,
            kind: ErrorKind::Http,
            message: "the receiver answered \"503\"".into(),
            attempts: 4,
            status: 503,
            ended: Wall::from_unix_nanos(1_700_000_100_250_999_999),
        }
    }

    fn exported(line: &str) -> Option<String> {
        let fetched = Fetched {
            accepted: Wall::from_unix_seconds(1_700_000_000),
            source: SourceKind::Socket,
            user: User::Own,
            generated_id: None,
            attempt: None,
            letter: None,
            line: line.as_bytes().into(),
        };
        let mut out = b"before".to_vec();
        let is_one = write_job_line(&mut out, &fetched, &letter());
        let text = String::from_utf8(out).expect("UTF-8");
        let line = text.strip_prefix("before").expect("it is kept");
        assert_eq!(is_one, !line.is_empty());
        is_one.then(|| line.to_owned())
    }

    const FATE: &str = concat!(
        r#""origin":"https://a.example","outcome":"exhausted","status":503,"attempts":4,"#,
        r#""error":{"kind":"http","message":"the receiver answered \"503\""},"#,
        r#""accepted":1700000000.000,"ended":1700000100.250"#
    );

    #[test]
    fn a_list_says_what_became_of_it_and_nothing_of_what_it_holds() {
        let mut out = Vec::new();
        let accepted = Wall::from_unix_seconds(1_700_000_000);
        write_summary(&mut out, &letter(), 65_534, accepted);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text, format!(r#"{{"id":"order-1","uid":65534,{FATE}}}"#));
        assert!(json::check(&text).is_ok());
    }

    #[test]
    fn an_exported_line_is_the_job_again_with_what_became_of_it() {
        let payload = r#"{ "a" : 1e3, "b":"\u00e9\ud800" }"#;
        for (line, start) in [
            (
                format!(r#" {{"id" : "order-1", "url":"https://a.example/x?y","payload":{payload} }} "#),
                format!(r#"{{"id":"order-1","url":"https://a.example/x?y","payload":{payload},"#),
            ),
            (
                format!(r#"{{"payload":{payload},"url":"https://a.example"}}"#),
                format!(r#"{{"id":"order-1","payload":{payload},"url":"https://a.example","#),
            ),
            (
                r#"{"dead":{"x":1,"x":2},"\u0069d":"order-1","url":"https://a.example","de\u0061d":7}"#
                    .to_owned(),
                r#"{"\u0069d":"order-1","url":"https://a.example","#.to_owned(),
            ),
        ] {
            let found = exported(&line).expect("a job line");
            assert_eq!(found, format!(r#"{start}"dead":{{{FATE}}}}}"#));
            let job = JobLine::parse(found.as_bytes()).expect("a job line again");
            assert_eq!(job.id.as_deref(), Some("order-1"));
            if let Body::Payload(found) = job.body {
                assert_eq!(found, payload);
            }
        }
    }

    #[test]
    fn what_is_no_object_is_no_job_line() {
        for line in ["", "7", "{\"url\":", "{\"\\ud800\":1}"] {
            assert_eq!(exported(line), None, "{line}");
        }
    }
}
