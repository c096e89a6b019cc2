//! `conduit top`: `ctl endpoints` again and again, on a page of its own.
//!
//! Not here: the page (`io/terminal`), the table (`ctl/table`).

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::ctl::table;
use crate::commands::peer::Peer;
use crate::commands::{complain, exit};
use crate::flags::TopOptions;
use crate::io::terminal::{Screen, Wake};

/// How long conduit may take to answer, until that is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rows of the page that are no endpoints.
const ROWS_ABOVE: usize = 3;

/// Draws until it is enough.
#[must_use]
pub fn execute(options: &TopOptions) -> ExitCode {
    // The page is gone when this is back, so that what went wrong can be read.
    match show(options) {
        Ok(()) => exit::DONE,
        Err(Stopped::Refused(reason)) => {
            complain(&format!("refused: {reason}"));
            exit::NOT_ALL
        }
        Err(Stopped::Lost(reason)) => {
            complain(&reason);
            exit::unable()
        }
    }
}

enum Stopped {
    Refused(String),
    Lost(String),
}

fn show(options: &TopOptions) -> Result<(), Stopped> {
    let mut peer = Peer::connect(options.socket.as_deref()).map_err(Stopped::Lost)?;
    peer.set_patience(PATIENCE).map_err(Stopped::Lost)?;
    let no_screen = |error: io::Error| {
        Stopped::Lost(format!("top: {error} (conduit ctl endpoints needs none)"))
    };
    let mut screen = Screen::open().map_err(no_screen)?;
    loop {
        let (rows, _) = screen.size();
        let limit = rows.saturating_sub(ROWS_ABOVE).clamp(1, 1_000);
        let status = ask(&mut peer, &json!({"ctl": "status"}))?;
        let endpoints = ask(&mut peer, &json!({"ctl": "endpoints", "limit": limit}))?;
        let drawn = screen.draw(&page(&status, &endpoints));
        let lost = |error: io::Error| Stopped::Lost(format!("top: {error}"));
        drawn.map_err(lost)?;
        if screen.wait(options.interval).map_err(lost)? == Wake::Quit {
            return Ok(());
        }
    }
}

fn ask(peer: &mut Peer, question: &Value) -> Result<Value, Stopped> {
    let answer = peer.ask(question).map_err(Stopped::Lost)?;
    answer.data.map_err(Stopped::Refused)
}

fn page(status: &Value, endpoints: &Value) -> String {
    let count = |data: &Value, name: &str| data[name].as_u64().unwrap_or(0);
    let uptime = Duration::from_secs(count(status, "uptime"));
    let draining = if status["draining"] == true {
        ", draining"
    } else {
        ""
    };
    format!(
        "conduit, up {}{draining}: {} endpoints, {} with an open breaker, {} jobs pending      (q quits)\n\n{}",
        table::duration(uptime),
        count(endpoints, "total"),
        count(status, "originsHeld"),
        count(status, "pending"),
        table::endpoints(endpoints)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_line_about_all_and_one_for_each() {
        let status = json!({"uptime": 61, "draining": true, "originsHeld": 1, "pending": 3});
        let endpoints = json!({"endpoints": [{"origin": "https://a", "requests": 1}], "total": 1});
        let page = page(&status, &endpoints);
        let lines: Vec<&str> = page.lines().collect();
        let expected =
            "conduit, up 1 min 1 s, draining: 1 endpoints, 1 with an open breaker, 3 jobs pending";
        assert!(lines[0].starts_with(expected), "{page}");
        assert_eq!(lines.len(), ROWS_ABOVE + 1);
        assert!(lines[3].starts_with("https://a "), "{page}");
    }
}
