//! `conduit check`: whether `conduit run` would start with this configuration; with `--print`, what holds and who said
//! so.
//!
//! What is wrong was said by whoever read the sources: here all is right.
//!
//! Not here: reading and checking (`config/load`).

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::commands::columns::columns;
use crate::commands::{help, run};
use crate::config::load::{Loaded, Sources, Values};
use crate::config::source::{Given, shown};
use crate::config::table::{Default, ENDPOINT_SETTINGS, SETTINGS, Setting};
use crate::config::{Machine, Settings};

/// Prints that all is right, or all that holds.
pub fn execute(sources: &Sources, loaded: &Loaded, print: bool) -> ExitCode {
    if !print {
        return help::print(&summary(sources, loaded));
    }
    match run::machine() {
        Ok(machine) => help::print(&settings(loaded, &machine)),
        Err(refusal) => refusal.report(),
    }
}

fn summary(sources: &Sources, loaded: &Loaded) -> String {
    let count = loaded.values.endpoints.iter().count();
    let endpoints = match count {
        0 => String::new(),
        1 => ", 1 entry for endpoints".to_owned(),
        _ => format!(", {count} entries for endpoints"),
    };
    match &sources.file {
        Some(path) => format!("{} is right{endpoints}\n", shown(path.as_os_str())),
        None => "the configuration is right (no --config)\n".to_owned(),
    }
}

/// One line for each setting: name, value, where it comes from.
struct Table {
    rows: Vec<[String; 3]>,
}

fn settings(loaded: &Loaded, machine: &Machine) -> String {
    let mut out = String::new();
    let values = &loaded.values;
    let mut table = Table { rows: Vec::new() };
    for setting in SETTINGS {
        match values.general(setting) {
            Some(given) => table.add(given),
            None => table.add_default(setting, &loaded.settings, machine),
        }
    }
    for setting in ENDPOINT_SETTINGS {
        if let Some(given) = values.general(setting) {
            table.add(given);
        }
    }
    out.push_str(&columns(&table.rows, &[], 0));
    for (key, _) in values.endpoints.iter() {
        writeln!(out, "\n{key}").expect("a String takes what is written");
        out.push_str(&columns(&endpoint(values, key).rows, &[], 0));
    }
    out
}

/// What an entry says, and what it has from the patterns around it; all else holds as in general.
fn endpoint(values: &Values, key: &str) -> Table {
    let chain = values.chain(key);
    let mut table = Table { rows: Vec::new() };
    for setting in SETTINGS.iter().chain(ENDPOINT_SETTINGS) {
        if let Some((Some(_), given)) = values.holding(setting, chain.iter().copied()) {
            table.add(given);
        }
    }
    table
}

impl Table {
    fn add(&mut self, given: &Given) {
        let name = given.setting.name.to_owned();
        let source = given.source.to_string();
        self.rows.push([name, given.shown(), source]);
    }

    fn add_default(&mut self, setting: &Setting, settings: &Settings, machine: &Machine) {
        let (value, source) = match setting.default {
            Default::Value(text) => (text.to_owned(), "built in".to_owned()),
            Default::Machine(words) => {
                let value = match setting.name {
                    "ttl" => settings.of_endpoint().endpoint.ttl.as_secs().to_string(),
                    "workers" => settings.workers(machine).to_string(),
                    "maxConnectionsTotal" => settings.max_connections_total(machine).to_string(),
                    "maxPendingBytes" => settings.max_pending_bytes(machine).to_string(),
                    _ => words.to_owned(),
                };
                let source = match value == words {
                    true => "built in".to_owned(),
                    false => format!("built in: {words}"),
                };
                (value, source)
            }
            Default::Nothing => ("none".to_owned(), "built in".to_owned()),
        };
        self.rows.push([setting.name.to_owned(), value, source]);
    }
}
