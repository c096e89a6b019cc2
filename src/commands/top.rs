//! `conduit top`: `ctl endpoints` again and again, on a page of its own.
//!
//! Not here: the page (`io/terminal`), the table (`ctl/table`).

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::ctl::table;
use crate::commands::peer::{Answer, Peer};
use crate::commands::{complain, exit};
use crate::flags::TopOptions;
use crate::io::clock;
use crate::io::terminal::{Screen, Wake};

/// How long conduit may take to answer, until that is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rows above those of the endpoints.
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
    let peer = Peer::connect(options.socket.as_deref()).map_err(Stopped::Lost)?;
    peer.set_nonblocking().map_err(Stopped::Lost)?;
    let screen = Screen::open(&peer).map_err(|error| {
        Stopped::Lost(format!("top: {error} (conduit ctl endpoints needs none)"))
    })?;
    let mut top = Top { peer, screen };
    while top.draw()? && top.pause(options.interval)? {}
    Ok(())
}

/// Whoever waits here for an answer or for the time waits for keys and signals too.
struct Top {
    peer: Peer,
    screen: Screen,
}

/// What was waited for.
enum Heard {
    Answer(Answer),
    /// It is time.
    Time,
    /// It is enough.
    Quit,
}

impl Top {
    /// Asks and draws; whether it goes on.
    fn draw(&mut self) -> Result<bool, Stopped> {
        let (rows, _) = self.screen.size();
        let limit = rows.saturating_sub(ROWS_ABOVE).clamp(1, 1_000);
        let Some(status) = self.ask(&json!({"ctl": "status"}))? else {
            return Ok(false);
        };
        let question = json!({"ctl": "endpoints", "limit": limit});
        let Some(endpoints) = self.ask(&question)? else {
            return Ok(false);
        };
        let drawn = self.screen.draw(&page(&status, endpoints, rows));
        drawn.map_err(no_terminal)?;
        Ok(true)
    }

    /// Whether it goes on after so long.
    fn pause(&mut self, time: Duration) -> Result<bool, Stopped> {
        match self.listen(time)? {
            Heard::Time => Ok(true),
            Heard::Quit => Ok(false),
            Heard::Answer(_) => {
                let reason = "conduit answers what it was not asked";
                Err(Stopped::Lost(reason.to_owned()))
            }
        }
    }

    /// The answer; nothing if it is enough before it comes.
    fn ask(&mut self, question: &Value) -> Result<Option<Value>, Stopped> {
        self.peer.send(question);
        match self.listen(PATIENCE)? {
            Heard::Answer(answer) => answer.data.map(Some).map_err(Stopped::Refused),
            Heard::Time => Err(Stopped::Lost("conduit does not answer".to_owned())),
            Heard::Quit => Ok(None),
        }
    }

    fn listen(&mut self, time: Duration) -> Result<Heard, Stopped> {
        let until = clock::now().mono + time;
        loop {
            if let Some(answer) = self.peer.receive().map_err(Stopped::Lost)? {
                return Ok(Heard::Answer(answer));
            }
            match self.screen.wait(until).map_err(no_terminal)? {
                Wake::News => {}
                Wake::Time => return Ok(Heard::Time),
                Wake::Quit => return Ok(Heard::Quit),
            }
        }
    }
}

fn no_terminal(error: io::Error) -> Stopped {
    Stopped::Lost(format!("top: {error}"))
}

/// The page for so many rows: what is said below the endpoints takes the place of the last of them.
fn page(status: &Value, mut endpoints: Value, rows: usize) -> String {
    let head = head(status, &endpoints);
    loop {
        let text = head.clone() + &table::endpoints(&endpoints);
        let over = text.lines().count().saturating_sub(rows);
        let list = endpoints["endpoints"].as_array_mut();
        match list.filter(|list| over > 0 && list.len() > 1) {
            None => return text,
            // An endpoint has a row, and one below if something is set of it.
            Some(list) => list.truncate(list.len().saturating_sub(over.div_ceil(2)).max(1)),
        }
    }
}

fn head(status: &Value, endpoints: &Value) -> String {
    let count = |data: &Value, name: &str| data[name].as_u64().unwrap_or(0);
    let uptime = Duration::from_secs(count(status, "uptime"));
    let draining = if status["draining"] == true {
        ", draining"
    } else {
        ""
    };
    let some = |count: u64, what: &str| {
        let ending = if count == 1 { "" } else { "s" };
        format!("{count} {what}{ending}")
    };
    // The way out stands where no narrow terminal cuts it off.
    format!(
        "conduit, up {}{draining}: {}, {} with an open breaker, {} pending\n(q quits)\n",
        table::duration(uptime),
        some(count(endpoints, "total"), "endpoint"),
        count(status, "originsHeld"),
        some(count(status, "pending"), "job"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_line_about_all_and_one_for_each() {
        let status = json!({"uptime": 61, "draining": true, "originsHeld": 1, "pending": 3});
        let endpoints = json!({"endpoints": [{"origin": "https://a", "requests": 1}], "total": 1});
        let page = page(&status, endpoints, 24);
        let lines: Vec<&str> = page.lines().collect();
        let expected =
            "conduit, up 1 min 1 s, draining: 1 endpoint, 1 with an open breaker, 3 jobs pending";
        assert_eq!(lines[..2], [expected, "(q quits)"], "{page}");
        assert_eq!(lines.len(), ROWS_ABOVE + 1);
        assert!(lines[3].starts_with("https://a "), "{page}");
    }

    #[test]
    fn what_stands_below_the_endpoints_has_its_place_on_a_full_page() {
        let status = json!({});
        let row = |n: usize| json!({"origin": format!("https://{n}"), "set": ["timeout"]});
        let plain = |n: usize| json!({"origin": format!("https://{n}")});
        // (endpoints, how many there are, rows, how many are shown)
        for (endpoints, total, rows, shown) in [
            (vec![plain(0), plain(1), plain(2)], 3, 6, 3),
            (vec![plain(0), plain(1), plain(2)], 9, 6, 2),
            (vec![plain(0), plain(1), row(2)], 3, 6, 2),
            (vec![row(0), plain(1), plain(2)], 3, 6, 1),
            (vec![row(0), row(1), row(2)], 3, 8, 2),
            (vec![row(0), row(1), row(2)], 3, 9, 3),
            (vec![row(0), row(1)], 9, 2, 1),
        ] {
            let endpoints = json!({"endpoints": endpoints, "total": total});
            let page = page(&status, endpoints, rows);
            let lines: Vec<&str> = page.lines().collect();
            let count = lines.iter().filter(|line| line.starts_with("https://"));
            assert_eq!(count.count(), shown, "{page}");
            assert!(lines.len() <= rows || shown == 1, "{page}");
            let more = format!("and {} more", total - shown);
            assert_eq!(lines.contains(&&*more), shown < total, "{page}");
        }
    }
}
