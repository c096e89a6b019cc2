//! `conduit ctl dead`: page after page, until there is no more or it is enough.
//!
//! Not here: what a page holds (`conduit::intake`), how it looks (`table`).

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use conduit::wire::ctl::LETTERS_MAX;
use serde_json::{Value, json};

use crate::commands::ctl::table;
use crate::commands::peer::{Answer, Peer};
use crate::commands::{complain, exit, help, printable_json};
use crate::flags::{Choice, Deed};

/// Asks for all pages and shows each.
///
/// # Errors
/// Why the connection is of no more use, in one line.
pub fn ask(peer: &mut Peer, deed: Deed, choice: &Choice, json: bool) -> Result<ExitCode, String> {
    let mut walk = Walk {
        deed,
        json,
        left: choice.limit.unwrap_or(u64::MAX),
        done: 0,
        has_head: false,
        is_well: true,
    };
    let groups: Vec<Option<&[String]>> = match choice.ids.is_empty() {
        true => vec![None],
        false => choice.ids.chunks(LETTERS_MAX).map(Some).collect(),
    };
    for ids in groups {
        let mut after = None;
        loop {
            let answer = peer.ask(&walk.question(choice, ids, after.as_deref()))?;
            if let Some(status) = walk.show(&answer) {
                return Ok(status);
            }
            let next = answer.data.as_ref().ok().map(|data| &data["next"]);
            after = next.and_then(Value::as_str).map(str::to_owned);
            if after.is_none() || walk.left == 0 {
                break;
            }
        }
    }
    Ok(walk.finish())
}

/// How far it has come.
struct Walk {
    deed: Deed,
    json: bool,
    /// Letters that are still wanted.
    left: u64,
    /// Letters so far.
    done: u64,
    /// The table's head is written.
    has_head: bool,
    is_well: bool,
}

impl Walk {
    fn question(&self, choice: &Choice, ids: Option<&[String]>, after: Option<&str>) -> Value {
        let verb = match self.deed {
            Deed::List => "dead list",
            Deed::Export => "dead export",
            Deed::Replay => "dead replay",
            Deed::Purge => "dead purge",
        };
        let mut question = json!({"ctl": verb});
        let mut put = |name: &str, value: Value| question[name] = value;
        if let Some(ids) = ids {
            put("ids", json!(ids));
        }
        if let Some(origin) = &choice.origin {
            put("origin", json!(origin));
        }
        if let Some(age) = choice.older_than {
            put("olderThan", json!(age.as_secs_f64()));
        }
        if let Some(uid) = choice.uid {
            put("uid", json!(uid));
        }
        if choice.all && matches!(self.deed, Deed::Replay | Deed::Purge) {
            put("all", json!(true));
        }
        if self.left < LETTERS_MAX as u64 {
            put("limit", json!(self.left));
        }
        if let Some(after) = after {
            put("after", json!(after));
        }
        question
    }

    /// Shows a page; the exit status, if it is the last one whatever it says.
    fn show(&mut self, answer: &Answer) -> Option<ExitCode> {
        let data = match &answer.data {
            Ok(data) => data,
            Err(message) => {
                if self.json {
                    let _refused_all_the_same = help::print(&printable_json(&answer.line));
                } else {
                    complain(&format!("refused: {message}"));
                }
                return Some(exit::NOT_ALL);
            }
        };
        let (count, text) = self.page(data);
        self.done += count;
        self.left = self.left.saturating_sub(count);
        let text = if self.json && self.deed != Deed::Export {
            printable_json(&answer.line)
        } else {
            text
        };
        match help::print(&text) {
            ExitCode::SUCCESS => {}
            status => return Some(status),
        }
        self.complain_of(data);
        (!data["stopped"].is_null()).then(|| self.finish())
    }

    /// How many letters a page is about, and its text.
    fn page(&mut self, data: &Value) -> (u64, String) {
        let list = |name: &str| data[name].as_array().map_or(&[][..], Vec::as_slice);
        let count = |name: &str| data[name].as_u64().unwrap_or(0);
        match self.deed {
            Deed::List => {
                let letters = list("letters");
                let text = table::letters(letters, !self.has_head);
                self.has_head |= !letters.is_empty();
                (letters.len() as u64, text)
            }
            Deed::Export => {
                let jobs = list("jobs");
                let lines = jobs.iter().filter_map(Value::as_str);
                let text: String = lines.map(|line| format!("{line}\n")).collect();
                // A file gets them byte for byte; who looks at them is not to be steered.
                let text = match io::stdout().is_terminal() {
                    true => printable_json(&text),
                    false => text,
                };
                (jobs.len() as u64, text)
            }
            Deed::Replay => (count("replayed"), String::new()),
            Deed::Purge => (count("purged"), String::new()),
        }
    }

    /// Says what a page was not able to do.
    fn complain_of(&mut self, data: &Value) {
        let list = |name: &str| data[name].as_array().map_or(&[][..], Vec::as_slice);
        let mut complaints = Vec::new();
        for id in list("missing") {
            complaints.push(format!("no dead letter has the id {id}"));
        }
        for failed in list("failed") {
            let message = failed["error"]["message"].as_str().unwrap_or("no reason");
            complaints.push(format!("{}: {message}", failed["id"]));
        }
        if let Some(count) = data["unreadable"].as_u64() {
            complaints.push(format!("{count} dead letters can't be read from disk"));
        }
        if let Some(message) = data["stopped"]["message"].as_str() {
            complaints.push(format!("stopped: {message}"));
        }
        self.is_well &= complaints.is_empty();
        complaints.iter().for_each(|text| complain(text));
    }

    fn finish(&self) -> ExitCode {
        let text = match self.deed {
            _ if self.json => String::new(),
            Deed::List if self.done == 0 && self.is_well => "no dead letters\n".to_owned(),
            Deed::List | Deed::Export => String::new(),
            Deed::Replay => format!("replayed  {}\n", self.done),
            Deed::Purge => format!("purged  {}\n", self.done),
        };
        match help::print(&text) {
            ExitCode::SUCCESS if !self.is_well => exit::NOT_ALL,
            status => status,
        }
    }
}
