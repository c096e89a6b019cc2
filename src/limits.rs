//! Every quantity that a stranger can make grow: who chooses it, its limit, who counts it, what happens at the limit.
//!
//! A stranger is whoever may submit, whoever receives, answers look-ups, asks the listener, or does not read. A row
//! names its limit by the constant or the setting itself, so it can't tell of another; the README's table is this one,
//! and the tests below compare the two, look for each setting and file that is named, and for the test that shows what
//! happens at the limit. Who adds something that grows adds a row, which is one [`Quantity`], in its place.
//!
//! Not here: limits of what an operator chooses (the configuration's own size).

use conduit::engine::resolver::{LOOKUPS_MAX, NAMES_MAX, PLACES_MAX, YIELDED_MAX};
use conduit::engine::{EXCERPT_BYTES_MAX, LATENCY_RESTING_MAX};
use conduit::intake::client::RESULT_BYTES_MAX;
use conduit::intake::survey::ENDPOINTS_MAX;
use conduit::intake::{ENDPOINT_QUESTIONS_MAX, HALF_LINE_KEPT, LETTER_QUESTIONS_MAX};
use conduit::journal::{MESSAGES_MAX, UNSYNCED_BYTES_MAX};
use conduit::wire::body::{EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};
use conduit::wire::ctl::LETTERS_MAX;
use conduit::wire::dns::{ADDRESSES_MAX, CHAIN_LINKS_MAX};
use conduit::wire::job_line::{HEADER_FIELDS_MAX, ID_BYTES_MAX};
use conduit::wire::json::DEPTH_MAX;
use conduit::wire::response::FIELDS_MAX;
use conduit::wire::tally::STATUSES_MAX;

use crate::config::live::ORIGINS_SET_MAX;
use crate::io::admin::{PEERS_MAX, UNREAD_BYTES_MAX};
use crate::io::clients::CLIENTS_MAX;
use crate::io::stdio::CHUNK_BYTES;
use crate::io::tls::{SESSION_NAMES, TICKETS_PER_NAME, UNSENT_BYTES_MAX};

/// Something that a stranger can make grow.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// Of what.
    pub what: &'static str,
    /// Whose choice it is.
    pub whose: Whose,
    /// How much there may be.
    pub limit: Limit,
    /// The file that counts it.
    pub counted_in: &'static str,
    /// What becomes of more.
    pub beyond: &'static str,
    /// The test that shows that.
    pub test: &'static str,
}

/// Whose choice a quantity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Whoever submits jobs.
    Submitter,
    /// Whoever may connect to the socket.
    Client,
    /// Whoever receives deliveries.
    Receiver,
    /// Whoever answers look-ups.
    NameServer,
    /// Whoever asks the listener of health and metrics.
    Asker,
    /// Whoever may control conduit.
    Controller,
}

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// What these settings say, the first to be reached.
    Settings(&'static [&'static str]),
    /// A part of what a setting says: one in so many.
    PartOf(&'static str, u32),
    /// So many.
    Count(usize),
    /// So many bytes.
    Bytes(usize),
    /// So many for each of what another row counts.
    Each(usize, &'static str),
    /// So many bytes for each of what another row counts.
    BytesEach(usize, &'static str),
}

const PENDING: &[&str] = &["maxPending", "maxPendingBytes"];

/// All of them, from a job line to its end.
pub const QUANTITIES: &[Quantity] = &[
    Quantity {
        what: "bytes of a job line",
        whose: Whose::Submitter,
        limit: Limit::Settings(&["maxJobBytes"]),
        counted_in: "src/base/lines.rs",
        beyond: "the line is discarded as it comes, and `invalid`",
        test: "f92_a_gigabyte_without_an_end_is_discarded_in_constant_memory",
    },
    Quantity {
        what: "nesting of a job line",
        whose: Whose::Submitter,
        limit: Limit::Count(DEPTH_MAX as usize),
        counted_in: "src/wire/json.rs",
        beyond: "`invalid`",
        test: "f93_nesting_is_counted_to_128_and_needs_no_stack",
    },
    Quantity {
        what: "characters of an `id`",
        whose: Whose::Submitter,
        limit: Limit::Count(ID_BYTES_MAX),
        counted_in: "src/wire/job_line.rs",
        beyond: "`invalid`",
        test: "ids_are_visible_ascii",
    },
    Quantity {
        what: "headers of a job",
        whose: Whose::Submitter,
        limit: Limit::Count(HEADER_FIELDS_MAX),
        counted_in: "src/wire/job_line.rs",
        beyond: "`invalid`",
        test: "headers_have_a_limit",
    },
    Quantity {
        what: "jobs in memory, and their bytes",
        whose: Whose::Submitter,
        limit: Limit::Settings(PENDING),
        counted_in: "src/intake/ledger.rs",
        beyond: "standard input waits; jobs of the socket end `overloaded`, with a spool they go to disk",
        test: "at_a_limit_jobs_of_the_socket_are_overloaded_and_the_feed_is_held",
    },
    Quantity {
        what: "jobs on their way to disk, duplicates of them, and their bytes",
        whose: Whose::Submitter,
        limit: Limit::PartOf("maxPending", 4),
        counted_in: "src/intake/ledger.rs",
        beyond: "no line is read until the disk is done",
        test: "f112_duplicates_of_what_is_being_stored_count_as_pending",
    },
    Quantity {
        what: "bytes that are written and not synced",
        whose: Whose::Submitter,
        limit: Limit::Bytes(UNSYNCED_BYTES_MAX),
        counted_in: "src/journal/mod.rs",
        beyond: "no line is read until the disk is done",
        test: "what_comes_while_the_disk_is_busy_is_one_batch",
    },
    Quantity {
        what: "jobs on disk, each with 200 bytes in memory",
        whose: Whose::Submitter,
        limit: Limit::Settings(&["maxSpoolBytes"]),
        counted_in: "src/journal/shelf.rs",
        beyond: "standard input waits; jobs of the socket end `overloaded`, kind `spool`",
        test: "f96_a_full_disk_refuses_jobs_and_still_takes_their_ends",
    },
    Quantity {
        what: "jobs that wait at one origin",
        whose: Whose::Submitter,
        limit: Limit::Settings(&["maxQueued"]),
        counted_in: "src/intake/ledger.rs",
        beyond: "those of the socket end `overloaded`, with a spool they go to disk",
        test: "beyond_max_queued_at_one_origin_only_that_ones_jobs_are_overloaded",
    },
    Quantity {
        what: "origins remembered",
        whose: Whose::Submitter,
        limit: Limit::Settings(&["maxOrigins"]),
        counted_in: "src/engine/forgetting.rs",
        beyond: "the longest unused is forgotten; its counters go on under its name or as `other`",
        test: "f111_a_thousand_origins_leave_no_more_than_max_origins",
    },
    Quantity {
        what: "names of endpoints in metrics",
        whose: Whose::Submitter,
        limit: Limit::Count(ENDPOINTS_MAX),
        counted_in: "src/intake/survey.rs",
        beyond: "the others are counted together as `other`",
        test: "beyond_a_thousand_origins_share_a_name_and_their_counters_never_go_back",
    },
    Quantity {
        what: "names whose addresses are kept",
        whose: Whose::Submitter,
        limit: Limit::Each(NAMES_MAX, "loop"),
        counted_in: "src/engine/resolver/cache.rs",
        beyond: "one of them gives way, and none of them to a name without an address",
        test: "no_more_names_are_remembered_than_the_limit",
    },
    Quantity {
        what: "look-ups under way",
        whose: Whose::Submitter,
        limit: Limit::Each(PLACES_MAX, "loop"),
        counted_in: "src/engine/resolver/places.rs",
        beyond: "the others wait, each parent domain in its turn",
        test: "only_so_many_names_are_asked_for_at_a_time",
    },
    Quantity {
        what: "look-ups that are slow, and have left their place to others",
        whose: Whose::NameServer,
        limit: Limit::Each(YIELDED_MAX, "loop"),
        counted_in: "src/engine/resolver/places.rs",
        beyond: "the longest ends as silence of the name servers",
        test: "f113_names_come_as_fast_as_they_may_and_none_waits_for_ever",
    },
    Quantity {
        what: "look-ups that wait",
        whose: Whose::Submitter,
        limit: Limit::Each(LOOKUPS_MAX, "loop"),
        counted_in: "src/engine/resolver.rs",
        beyond: "the attempt is put off, as with all trouble of this machine's own",
        test: "only_so_many_names_are_asked_for_at_a_time",
    },
    Quantity {
        what: "clients of the socket",
        whose: Whose::Client,
        limit: Limit::Count(CLIENTS_MAX),
        counted_in: "src/io/clients.rs",
        beyond: "one too many is told so and sent away",
        test: "one_client_too_many_is_told_so",
    },
    Quantity {
        what: "bytes read ahead of a client",
        whose: Whose::Client,
        limit: Limit::BytesEach(CHUNK_BYTES, "client"),
        counted_in: "src/intake/client.rs",
        beyond: "it is not read from",
        test: "a_client_that_does_not_read_is_not_read_from",
    },
    Quantity {
        what: "bytes of lines that have not come whole",
        whose: Whose::Client,
        limit: Limit::PartOf("maxPendingBytes", 4),
        counted_in: "src/intake/reading.rs",
        beyond: "who has a line beyond the next row's bytes is told so (`limit`) and closed, unless it is the only one",
        test: "f145_half_lines_are_counted_and_take_no_more_than_their_part",
    },
    Quantity {
        what: "bytes of such a line that are kept in any case",
        whose: Whose::Client,
        limit: Limit::BytesEach(HALF_LINE_KEPT, "client"),
        counted_in: "src/intake/reading.rs",
        beyond: "as above",
        test: "f145_half_lines_are_counted_and_take_no_more_than_their_part",
    },
    Quantity {
        what: "jobs of a client that have no result yet, duplicates included",
        whose: Whose::Client,
        limit: Limit::Settings(&["maxClientPending"]),
        counted_in: "src/intake/client.rs",
        beyond: "it is not read from",
        test: "a_client_waits_for_its_own_jobs_and_nobody_elses",
    },
    Quantity {
        what: "bytes of answers and results that a client does not read",
        whose: Whose::Client,
        limit: Limit::BytesEach(RESULT_BYTES_MAX, "client"),
        counted_in: "src/intake/client.rs",
        beyond: "it is not read from; they count in `maxPendingBytes`",
        test: "f90_a_stalled_reader_holds_its_own_lines_and_nothing_else",
    },
    Quantity {
        what: "questions about dead letters that wait",
        whose: Whose::Client,
        limit: Limit::Count(LETTER_QUESTIONS_MAX),
        counted_in: "src/intake/dead.rs",
        beyond: "refused (`limit`)",
        test: "in_any_weather_whoever_waits_is_told_once",
    },
    Quantity {
        what: "questions about endpoints that wait",
        whose: Whose::Client,
        limit: Limit::Count(ENDPOINT_QUESTIONS_MAX),
        counted_in: "src/intake/asked.rs",
        beyond: "refused (`limit`)",
        test: "endpoints_are_answered_when_all_engines_have_said_and_answers_keep_their_order",
    },
    Quantity {
        what: "letters of one answer, ids of one question",
        whose: Whose::Controller,
        limit: Limit::Count(LETTERS_MAX),
        counted_in: "src/wire/ctl/request.rs",
        beyond: "more come with the next question; more ids are refused",
        test: "long_lists_come_in_pages_and_few_letters_are_in_memory",
    },
    Quantity {
        what: "origins with settings of `ctl set`",
        whose: Whose::Controller,
        limit: Limit::Count(ORIGINS_SET_MAX),
        counted_in: "src/config/live.rs",
        beyond: "refused",
        test: "only_limits_of_one_origin_can_be_set",
    },
    Quantity {
        what: "connections to receivers, all together",
        whose: Whose::Submitter,
        limit: Limit::Settings(&["maxConnectionsTotal"]),
        counted_in: "src/engine/places.rs",
        beyond: "the longest idle gives way; a freed one goes to the origin with the fewest",
        test: "a_freed_place_goes_to_the_origin_with_the_fewest_connections",
    },
    Quantity {
        what: "connections to one origin",
        whose: Whose::Submitter,
        limit: Limit::Settings(&["maxConnections"]),
        counted_in: "src/engine/pool.rs",
        beyond: "its jobs wait",
        test: "f17_f49_a_connection_carries_one_request_at_a_time_first_in_first_out",
    },
    Quantity {
        what: "addresses of a name",
        whose: Whose::NameServer,
        limit: Limit::Count(ADDRESSES_MAX),
        counted_in: "src/wire/dns.rs",
        beyond: "the others are passed over",
        test: "no_more_addresses_than_the_limit_are_taken",
    },
    Quantity {
        what: "links of a chain of aliases",
        whose: Whose::NameServer,
        limit: Limit::Count(CHAIN_LINKS_MAX),
        counted_in: "src/engine/resolver/inquiry.rs",
        beyond: "the attempt fails, kind `dns`",
        test: "f74_endless_aliases_are_the_names_fault",
    },
    Quantity {
        what: "bytes of a response's head, interim heads included",
        whose: Whose::Receiver,
        limit: Limit::Settings(&["maxResponseHeaderBytes"]),
        counted_in: "src/engine/exchange.rs",
        beyond: "the attempt fails, kind `protocol`",
        test: "f24_to_f44_heads",
    },
    Quantity {
        what: "fields of a head",
        whose: Whose::Receiver,
        limit: Limit::Count(FIELDS_MAX),
        counted_in: "src/wire/response.rs",
        beyond: "the attempt fails, kind `protocol`",
        test: "f44_counts_fields",
    },
    Quantity {
        what: "bytes of a body that are read over, so that its connection can be kept",
        whose: Whose::Receiver,
        limit: Limit::Settings(&["maxDrainBytes", "drainTimeout"]),
        counted_in: "src/engine/exchange.rs",
        beyond: "the connection is closed",
        test: "f31_to_f47_bodies",
    },
    Quantity {
        what: "bytes of chunk extensions",
        whose: Whose::Receiver,
        limit: Limit::Bytes(EXTENSION_BYTES_MAX as usize),
        counted_in: "src/wire/body.rs",
        beyond: "the connection is closed",
        test: "f37_extensions_are_read_over_within_a_budget",
    },
    Quantity {
        what: "bytes of trailers",
        whose: Whose::Receiver,
        limit: Limit::Bytes(TRAILER_BYTES_MAX as usize),
        counted_in: "src/wire/body.rs",
        beyond: "the connection is closed",
        test: "f40_trailers_are_read_over_within_a_budget",
    },
    Quantity {
        what: "bytes of a body that a result shows",
        whose: Whose::Receiver,
        limit: Limit::Settings(&["responseBytes"]),
        counted_in: "src/engine/exchange.rs",
        beyond: "the rest is not shown",
        test: "f31_to_f47_bodies",
    },
    Quantity {
        what: "bytes of bodies kept for jobs that wait for another attempt",
        whose: Whose::Receiver,
        limit: Limit::BytesEach(EXCERPT_BYTES_MAX, "loop"),
        counted_in: "src/engine/conclude.rs",
        beyond: "that job's is dropped",
        test: "excerpts_of_answers_to_jobs_that_wait_are_bounded",
    },
    Quantity {
        what: "statuses that one origin is counted by",
        whose: Whose::Receiver,
        limit: Limit::Each(STATUSES_MAX, "origin"),
        counted_in: "src/wire/tally.rs",
        beyond: "the others are counted by their class",
        test: "a_receiver_that_answers_with_every_status_is_counted_by_a_few_and_their_classes",
    },
    Quantity {
        what: "latencies kept of an origin at rest",
        whose: Whose::Receiver,
        limit: Limit::Each(LATENCY_RESTING_MAX, "origin"),
        counted_in: "src/engine/latency.rs",
        beyond: "the older ones are forgotten",
        test: "a_receiver_that_answers_after_ever_other_times_does_not_make_it_large",
    },
    Quantity {
        what: "seconds that a receiver may ask to be left alone",
        whose: Whose::Receiver,
        limit: Limit::Settings(&["maxRetryAfter", "maxRetryAfterHold"]),
        counted_in: "src/engine/backoff.rs",
        beyond: "it is asked again then",
        test: "f53_retry_after_is_read_strictly_and_the_longest_counts",
    },
    Quantity {
        what: "names whose TLS sessions are kept",
        whose: Whose::Submitter,
        limit: Limit::Each(SESSION_NAMES, "loop"),
        counted_in: "src/io/tls.rs",
        beyond: "the oldest gives way",
        test: "f64_tickets_and_key_updates_are_no_plaintext_and_resume",
    },
    Quantity {
        what: "TLS session tickets kept of one name",
        whose: Whose::Receiver,
        limit: Limit::Each(TICKETS_PER_NAME, "name"),
        counted_in: "src/io/tls.rs",
        beyond: "the oldest gives way",
        test: "f64_tickets_and_key_updates_are_no_plaintext_and_resume",
    },
    Quantity {
        what: "bytes of TLS records that the peer does not take",
        whose: Whose::Receiver,
        limit: Limit::BytesEach(UNSENT_BYTES_MAX, "connection"),
        counted_in: "src/io/tls.rs",
        beyond: "no more are made",
        test: "no_more_than_two_records_wait_unsent",
    },
    Quantity {
        what: "bytes of dead letters",
        whose: Whose::Submitter,
        limit: Limit::Settings(&["maxDeadBytes"]),
        counted_in: "src/journal/letters.rs",
        beyond: "the oldest are dropped, counted and logged",
        test: "dead_letters_are_kept_with_what_they_died_of_and_the_oldest_go_first",
    },
    Quantity {
        what: "different messages of failed attempts kept for jobs on disk",
        whose: Whose::Receiver,
        limit: Limit::Count(MESSAGES_MAX),
        counted_in: "src/journal/index.rs",
        beyond: "further ones are not told apart",
        test: "attempts_are_kept_until_the_end_and_their_words_once",
    },
    Quantity {
        what: "connections of the listener",
        whose: Whose::Asker,
        limit: Limit::Count(PEERS_MAX),
        counted_in: "src/io/admin.rs",
        beyond: "who waits longest gives way",
        test: "f19_liveness_is_answered_while_clients_of_the_socket_have_all_descriptors_that_they_can",
    },
    Quantity {
        what: "bytes of a question to the listener",
        whose: Whose::Asker,
        limit: Limit::BytesEach(conduit::wire::admin::HEAD_BYTES_MAX, "connection"),
        counted_in: "src/wire/admin.rs",
        beyond: "431, and the connection is closed",
        test: "a_head_is_no_longer_than_it_may_be",
    },
    Quantity {
        what: "bytes of pages that are read slowly",
        whose: Whose::Asker,
        limit: Limit::Bytes(UNREAD_BYTES_MAX),
        counted_in: "src/io/admin.rs",
        beyond: "who has had one for longest is cut off",
        test: "f106_pages_that_are_read_slowly_are_bounded_together_and_the_oldest_go",
    },
];

impl Whose {
    /// In the README's words.
    const fn words(self) -> &'static str {
        match self {
            Whose::Submitter => "who submits",
            Whose::Client => "a client of the socket",
            Whose::Receiver => "the receiver",
            Whose::NameServer => "the name server",
            Whose::Asker => "who asks the listener",
            Whose::Controller => "who may control",
        }
    }
}

impl Limit {
    /// The settings that it names.
    fn settings(self) -> Vec<&'static str> {
        match self {
            Limit::Settings(names) => names.to_vec(),
            Limit::PartOf(name, _) => vec![name],
            Limit::Count(_) | Limit::Bytes(_) | Limit::Each(..) | Limit::BytesEach(..) => {
                Vec::new()
            }
        }
    }

    /// In the README's words.
    fn words(self) -> String {
        match self {
            Limit::Settings(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                names.join(", ")
            }
            Limit::PartOf(name, part) => format!("a {} of `{name}`", ordinal(part)),
            Limit::Count(count) => grouped(count),
            Limit::Bytes(bytes) => size(bytes),
            Limit::Each(count, each) => format!("{} per {each}", grouped(count)),
            Limit::BytesEach(bytes, each) => format!("{} per {each}", size(bytes)),
        }
    }
}

fn ordinal(part: u32) -> String {
    match part {
        2 => "half".to_owned(),
        4 => "quarter".to_owned(),
        other => format!("{other}th"),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        mib if mib % (1 << 20) == 0 => format!("{} MiB", mib >> 20),
        kib if kib % (1 << 10) == 0 => format!("{} KiB", kib >> 10),
        bytes => format!("{} bytes", grouped(bytes)),
    }
}

/// With commas between thousands.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The README's table.
fn table() -> String {
    let mut out =
        String::from("| what grows | who chooses it | limit | beyond it |\n|---|---|---|---|\n");
    for quantity in QUANTITIES {
        let Quantity {
            what,
            whose,
            limit,
            beyond,
            ..
        } = quantity;
        out += &format!(
            "| {what} | {} | {} | {beyond} |\n",
            whose.words(),
            limit.words()
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Setting;
    use std::fs;
    use std::path::Path;

    /// All sources and tests, one after the other.
    fn all_text(dir: &Path, out: &mut String) {
        for entry in fs::read_dir(dir).expect("the source tree is readable") {
            let path = entry.expect("the source tree is readable").path();
            if path.is_dir() {
                all_text(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                *out += &fs::read_to_string(&path).expect("sources are readable UTF-8");
            }
        }
    }

    /// All that is wrong with a row.
    fn wrong_with(quantity: &Quantity, text: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let Quantity {
            what,
            limit,
            counted_in,
            test,
            ..
        } = quantity;
        let mut wrong = Vec::new();
        for name in limit.settings() {
            if Setting::named(name).is_none() {
                wrong.push(format!("{what}: there is no setting {name}"));
            }
        }
        if !root.join(counted_in).is_file() {
            wrong.push(format!("{what}: there is no {counted_in}"));
        }
        let begins = format!("fn {test}() {{");
        let is_test = |(at, _): (usize, &str)| {
            let before = &text.as_bytes()[at.saturating_sub(80)..at];
            before.windows(7).any(|window| window == b"#[test]")
        };
        if !text.match_indices(&begins).any(is_test) {
            wrong.push(format!("{what}: there is no test {test}"));
        }
        wrong
    }

    #[test]
    fn every_row_names_settings_a_file_and_a_test_that_there_are() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut text = String::new();
        all_text(&root.join("src"), &mut text);
        all_text(&root.join("tests"), &mut text);
        let wrong: Vec<String> = QUANTITIES
            .iter()
            .flat_map(|quantity| wrong_with(quantity, &text))
            .collect();
        assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
        let nonsense = Quantity {
            limit: Limit::Settings(&["maxNonsense"]),
            counted_in: "src/nonsense.rs",
            test: concat!("no_", "such_test"),
            ..QUANTITIES[0]
        };
        assert_eq!(wrong_with(&nonsense, &text).len(), 3, "it can fail");
    }

    #[test]
    fn nothing_stands_there_twice() {
        for (index, one) in QUANTITIES.iter().enumerate() {
            let again = QUANTITIES[..index]
                .iter()
                .any(|other| other.what == one.what);
            assert!(!again, "{}", one.what);
        }
    }

    #[test]
    fn the_readmes_table_is_this_one() {
        let readme = include_str!("../README.md");
        let table = table();
        assert!(readme.contains(&table), "the README should have\n{table}");
    }

    #[test]
    fn limits_are_written_as_people_read_them() {
        for (limit, words) in [
            (Limit::Settings(PENDING), "`maxPending`, `maxPendingBytes`"),
            (Limit::PartOf("maxPending", 4), "a quarter of `maxPending`"),
            (Limit::Count(1_000), "1,000"),
            (Limit::Count(65_536), "65,536"),
            (Limit::Bytes(32 << 20), "32 MiB"),
            (Limit::BytesEach(8 << 10, "client"), "8 KiB per client"),
            (Limit::Each(999, "loop"), "999 per loop"),
        ] {
            assert_eq!(limit.words(), words);
        }
    }
}
