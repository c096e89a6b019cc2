//! What operators order over the socket: breakers, settings, the configuration read again.
//!
//! Not here: who may (`control`), what becomes of a breaker (`engine`), what settings there are (the shell).

use std::sync::Arc;

use crate::intake::Intake;
use crate::intake::event::{ClientId, Output};
use crate::wire::ctl::request::Setting;
use crate::wire::ctl::{CtlLine, Request};
use crate::wire::report::ErrorKind;
use crate::wire::text::push_json_string;
use crate::wire::url::Url;

/// An order that the shell is to carry out.
#[derive(Debug)]
pub struct Change {
    what: What,
    /// Who wants it.
    pub client: ClientId,
    line: u64,
    ctl: CtlLine,
}

/// What is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A setting of an origin, until the next start.
    Set {
        /// Whose.
        origin: Box<str>,
        /// Its name, and its value as a command line has it.
        setting: Setting,
    },
    /// Everything, as it is configured now.
    Reload,
}

impl Change {
    /// What is to change.
    #[must_use]
    pub const fn what(&self) -> &What {
        &self.what
    }
}

impl Intake {
    /// Carries out the order of a client, which is its last line.
    pub(super) fn order(&mut self, id: ClientId, ctl: &CtlLine) {
        let what = match &ctl.request {
            Ok(Request::BreakerReset { origin }) => {
                return self.order_breaker(id, ctl, origin, false);
            }
            Ok(Request::BreakerIsolate { origin }) => {
                return self.order_breaker(id, ctl, origin, true);
            }
            Ok(Request::Set { origin, setting }) => What::Set {
                origin: origin.clone(),
                setting: setting.clone(),
            },
            Ok(Request::Reload) => What::Reload,
            Ok(_) | Err(_) => unreachable!("only orders are handed in"),
        };
        let client = &mut self.clients[id.0];
        let line = client.line();
        client.expect(line);
        let ctl = ctl.clone();
        let client = id;
        self.outputs.push_back(Output::Change(Box::new(Change {
            what,
            client,
            line,
            ctl,
        })));
    }

    /// The shell has carried an order out, or says why not.
    pub(super) fn on_changed(&mut self, change: &Change, result: Result<(), Box<str>>) {
        let Change {
            what,
            client,
            line,
            ctl,
        } = change;
        if let Err(message) = result {
            return self.refuse_ctl(*client, *line, ctl, ErrorKind::Invalid, &message);
        }
        if let What::Set { origin, setting } = what {
            self.asked.on_set(origin, &setting.0);
        }
        let mut text = Vec::new();
        ctl.write_done(&mut text, |out| match what {
            What::Reload => out.extend_from_slice(b"{}"),
            What::Set { origin, setting } => {
                let (name, value) = setting;
                out.extend_from_slice(b"{\"origin\":");
                push_json_string(out, origin);
                out.extend_from_slice(b",\"settings\":{");
                push_json_string(out, name);
                out.push(b':');
                push_value(out, value);
                out.extend_from_slice(b"}}");
            }
        });
        self.answer_ctl(*client, *line, &text);
    }

    fn order_breaker(&mut self, id: ClientId, ctl: &CtlLine, origin: &str, isolates: bool) {
        let line = self.clients[id.0].line();
        let origin = Url::parse(origin).map(|url| Arc::new(url.to_origin()));
        let origin = origin.expect("the question was checked");
        let engine = match isolates {
            true => Some(self.ledger.on_isolating(&origin)),
            false => self.ledger.engine_of(&origin),
        };
        let Some(engine) = engine else {
            let message = "nothing was sent to this origin lately, so it has no breaker to reset";
            return self.refuse_ctl(id, line, ctl, ErrorKind::Invalid, message);
        };
        let mut text = Vec::new();
        ctl.write_done(&mut text, |out| {
            out.extend_from_slice(b"{\"origin\":");
            push_json_string(out, &origin.text);
            let breaker = if isolates { "isolated" } else { "closed" };
            out.extend_from_slice(format!(",\"breaker\":\"{breaker}\"}}").as_bytes());
        });
        self.outputs.push_back(Output::Breaker {
            engine,
            origin,
            isolates,
            client: id,
        });
        self.answer_ctl(id, line, &text);
    }
}

/// Appends a setting's value: a number, if it is one, else a string.
fn push_value(out: &mut Vec<u8>, value: &str) {
    match serde_json::from_str::<serde_json::Number>(value) {
        Ok(_) => out.extend_from_slice(value.trim().as_bytes()),
        Err(_) => push_json_string(out, value),
    }
}
