//! `conduit ctl`: asks a running conduit something, over its socket, and shows the answer.
//!
//! What is asked about dead letters comes in pages: each answer says where the next question goes on.
//!
//! Not here: which questions there are (`conduit::wire::ctl`), how answers look (`table`), the socket (`peer`).

mod dead;
pub mod table;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::commands::peer::{Answer, Peer};
use crate::commands::{complain, exit, help, printable_json};
use crate::flags::{CtlOptions, Order, Verb};

/// Asks and shows.
#[must_use]
pub fn execute(options: &CtlOptions) -> ExitCode {
    match Peer::connect(options.socket.as_deref()).and_then(|peer| ask(peer, options)) {
        Ok(status) => status,
        Err(reason) => {
            complain(&reason);
            exit::unable()
        }
    }
}

fn ask(mut peer: Peer, options: &CtlOptions) -> Result<ExitCode, String> {
    let question = match &options.verb {
        Verb::Dead { deed, choice } => return dead::ask(&mut peer, *deed, choice, options.json),
        Verb::Status => json!({"ctl": "status"}),
        Verb::Endpoints { limit } => endpoints(*limit),
        Verb::Drain { cancel: false } => json!({"ctl": "drain"}),
        Verb::Drain { cancel: true } => json!({"ctl": "drain", "cancel": true}),
        Verb::Breaker { order, origin } => {
            let verb = match order {
                Order::Reset => "breaker reset",
                Order::Isolate => "breaker isolate",
            };
            json!({"ctl": verb, "origin": origin})
        }
        Verb::Set { origin, setting } => set(origin, setting),
        Verb::Reload => json!({"ctl": "reload"}),
    };
    let answer = peer.ask(&question)?;
    Ok(show(options, &answer))
}

fn endpoints(limit: Option<u64>) -> Value {
    let mut question = json!({"ctl": "endpoints"});
    if let Some(limit) = limit {
        question["limit"] = limit.into();
    }
    question
}

/// A value that is a number is sent as such.
fn set(origin: &str, (name, text): &(String, String)) -> Value {
    let value = match serde_json::from_str::<Value>(text) {
        Ok(number @ Value::Number(_)) => number,
        Ok(_) | Err(_) => Value::from(text.as_str()),
    };
    json!({"ctl": "set", "origin": origin, "settings": {name: value}})
}

fn show(options: &CtlOptions, answer: &Answer) -> ExitCode {
    let text = match &answer.data {
        _ if options.json => printable_json(&answer.line),
        Ok(data) => match options.verb {
            Verb::Status => table::status(data),
            Verb::Endpoints { .. } => table::endpoints(data),
            Verb::Set { .. } => table::set(data),
            Verb::Reload => "the configuration was read again\n".to_owned(),
            _ => table::plain(data),
        },
        Err(message) => {
            complain(&format!("refused: {message}"));
            return exit::NOT_ALL;
        }
    };
    match help::print(&text) {
        ExitCode::SUCCESS if answer.data.is_err() => exit::NOT_ALL,
        status => status,
    }
}
