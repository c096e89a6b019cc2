//! `conduit ctl`: asks a running conduit something, over its socket, and shows the answer.
//!
//! Not here: which questions there are (`conduit::wire::ctl`), finding the socket (`peer`).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::commands::{exit, help, peer};
use crate::flags::{CtlOptions, Verb};

/// An answer is not longer than this.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Asks and shows.
#[must_use]
pub fn execute(options: &CtlOptions) -> ExitCode {
    let line = match ask(options) {
        Ok(line) => line,
        Err(reason) => {
            log::error!("{reason}");
            return exit::unable();
        }
    };
    let Ok(answer) = serde_json::from_str::<Value>(&line) else {
        log::error!("conduit's answer is no JSON");
        return exit::unable();
    };
    let is_done = answer["ok"] == true;
    if !is_done && !options.json {
        let message = answer["error"]["message"].as_str().unwrap_or("no reason");
        log::error!("refused: {message}");
        return exit::NOT_ALL;
    }
    let text = if options.json {
        line
    } else {
        table(&answer["data"])
    };
    match help::print(&text) {
        ExitCode::SUCCESS if !is_done => exit::NOT_ALL,
        status => status,
    }
}

fn ask(options: &CtlOptions) -> Result<String, String> {
    let question = match options.verb {
        Verb::Status => "{\"ctl\":\"status\"}\n",
        Verb::Drain { cancel: false } => "{\"ctl\":\"drain\"}\n",
        Verb::Drain { cancel: true } => "{\"ctl\":\"drain\",\"cancel\":true}\n",
    };
    let mut stream = peer::connect(options.socket.as_deref())?;
    let lost = |error: std::io::Error| format!("the connection to conduit was lost: {error}");
    // Turned away, it may find the peer gone: the reason can still be read.
    let written = stream.write_all(question.as_bytes());
    let mut line = String::new();
    let read = BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut line);
    match read {
        Ok(0) => Err(match written {
            Err(error) => lost(error),
            Ok(()) => "conduit closed the connection without an answer".to_owned(),
        }),
        Ok(_) => Ok(line),
        Err(error) => Err(lost(error)),
    }
}

/// A row for each value, those of an object below it.
fn table(data: &Value) -> String {
    let mut rows = Vec::new();
    collect("", data, &mut rows);
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let row = |(name, value): &(String, String)| format!("{name:width$}  {value}\n");
    rows.iter().map(row).collect()
}

fn collect(indent: &str, data: &Value, rows: &mut Vec<(String, String)>) {
    let Some(object) = data.as_object() else {
        return rows.push((indent.to_owned(), data.to_string()));
    };
    for (name, value) in object {
        match value {
            Value::Object(_) => {
                rows.push((format!("{indent}{name}"), String::new()));
                collect(&format!("{indent}  "), value, rows);
            }
            Value::String(text) => rows.push((format!("{indent}{name}"), text.clone())),
            value => rows.push((format!("{indent}{name}"), value.to_string())),
        }
    }
    for (_, value) in rows {
        // No answer is to steer the terminal.
        value.retain(|letter| !letter.is_control());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_table_of_names_and_values() {
        let data =
            serde_json::json!({"pending": 3, "outcomes": {"delivered": 12}, "x": "a\u{1b}b"});
        assert_eq!(
            table(&data),
            "outcomes     \n  delivered  12\npending      3\nx            ab\n"
        );
    }
}
