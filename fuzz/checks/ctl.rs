//! Control lines: never a panic, no job line among them, and each answer is one short line of JSON.

use conduit::wire::ctl::{CtlLine, Cursor, Request};
use conduit::wire::job_line::JobLine;
use conduit::wire::report::ErrorKind;

/// What an answer without data may have at most, in bytes: what it repeats is cut.
const ANSWER_BYTES_MAX: usize = 2048;

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let Some(ctl) = CtlLine::parse(data) else {
        return;
    };
    assert!(JobLine::parse(data).is_err(), "it is one or the other");
    if let Ok(Request::DeadList(letters)) = &ctl.request
        && let Some(cursor) = letters.after
    {
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
    }
    let mut answers = Vec::new();
    ctl.write_done(&mut answers, |out| out.extend_from_slice(b"{}"));
    let wrong = ctl.request.as_ref().map_or_else(|wrong| &**wrong, |_| "no");
    ctl.write_refused(&mut answers, ErrorKind::Invalid, wrong);
    assert!(answers.len() <= ANSWER_BYTES_MAX);
    let text = String::from_utf8(answers).expect("answers are UTF-8");
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(conduit::wire::json::check(line).is_ok(), "{line}");
    }
}
