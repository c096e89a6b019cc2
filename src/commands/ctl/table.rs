//! Answers as text for people: rows and columns, with units, and nothing that steers a terminal.
//!
//! Not here: what is asked (`ctl`).

use std::time::Duration;

use conduit::base::time::Wall;
use conduit::wire::dates::write_rfc3339_millis;
use conduit::wire::report::Outcome;
use serde_json::Value;

use crate::commands::columns::{GAP, columns, widths};
use crate::io::log as logger;

/// Columns of a wide terminal.
const COLUMNS: usize = 120;

/// What names have, whatever the figures are.
const NAME_CHARS_LEAST: usize = 16;

/// What `status` tells first, in groups; what it tells beside that follows them.
const STATUS_GROUPS: [&[&str]; 3] = [
    &["uptime", "draining", "clients"],
    &[
        "lines",
        "accepted",
        "pending",
        "pendingBytes",
        "parked",
        "storing",
        "resultsDropped",
        "answersDropped",
    ],
    &["origins", "originsHeld"],
];

/// The answer to `status`.
#[must_use]
pub fn status(data: &Value) -> String {
    let mut groups: Vec<Vec<(String, String)>> = Vec::new();
    let row = |name: &&str| Some(((*name).to_owned(), cell(name, data.get(name)?)));
    for names in STATUS_GROUPS {
        groups.push(names.iter().filter_map(row).collect());
    }
    let outcomes = Outcome::ALL.iter().filter_map(|outcome| {
        let count = data["outcomes"].get(outcome.name())?;
        Some((outcome.name().to_owned(), cell(outcome.name(), count)))
    });
    groups.push(outcomes.collect());
    let mut others = Vec::new();
    for (name, value) in data.as_object().into_iter().flatten() {
        let is_shown = name == "outcomes" || STATUS_GROUPS.concat().contains(&name.as_str());
        match value {
            _ if is_shown => {}
            Value::Array(held) if name == "held" => {
                groups.push(
                    held.iter()
                        .map(|one| ("held".to_owned(), held_row(one)))
                        .collect(),
                );
            }
            Value::Object(_) => groups.push(rows(name, value)),
            value => others.push((printable(name), cell(name, value))),
        }
    }
    groups.push(others);
    groups.retain(|group| !group.is_empty());
    let width = groups.iter().flatten().map(|(name, _)| name.len()).max();
    let text = |group: &Vec<(String, String)>| aligned(group, width.unwrap_or(0));
    groups.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// A client that is not read from: who, for how long, and why.
fn held_row(client: &Value) -> String {
    let count = |name: &str| client[name].as_u64().unwrap_or(0);
    let who = match (client["stdin"].as_bool(), client["pid"].as_u64()) {
        (Some(true), _) => "standard input".to_owned(),
        (_, Some(pid)) => format!("uid {}, process {pid}", count("uid")),
        (_, None) => format!("uid {}", count("uid")),
    };
    let time = duration(Duration::from_secs(count("seconds")));
    let (pending, unread) = (count("pending"), size(count("unreadBytes")));
    let by = plain_text(&client["by"]);
    format!("{who}, for {time}: {by}; {pending} jobs pending, {unread} unread")
}

/// The answer to `set`: whose setting it is, and what it is now.
#[must_use]
pub fn set(data: &Value) -> String {
    let mut rows = rows("origin", &data["origin"]);
    rows.extend(self::rows("", &data["settings"]));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    aligned(&rows, width)
}

/// Any other answer: a row for each value.
#[must_use]
pub fn plain(data: &Value) -> String {
    let rows = rows("", data);
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    aligned(&rows, width)
}

/// Some dead letters, below a head or without one.
#[must_use]
pub fn letters(letters: &[Value], has_head: bool) -> String {
    const HEAD: [&str; 7] = [
        "ENDED", "OUTCOME", "ATTEMPTS", "UID", "ID", "ORIGIN", "ERROR",
    ];
    if letters.is_empty() {
        return String::new();
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(letters.iter().map(|letter| {
        let error = &letter["error"];
        [
            date(&letter["ended"]),
            plain_text(&letter["outcome"]),
            plain_text(&letter["attempts"]),
            plain_text(&letter["uid"]),
            plain_text(&letter["id"]),
            plain_text(&letter["origin"]),
            format!(
                "{}: {}",
                plain_text(&error["kind"]),
                plain_text(&error["message"])
            ),
        ]
    }));
    columns(&rows, &[2, 3], usize::from(!has_head))
}

/// The answer to `endpoints`, at most 120 columns wide: names have what the figures leave.
#[must_use]
pub fn endpoints(data: &Value) -> String {
    const HEAD: [&str; 11] = [
        "ENDPOINT", "BREAKER", "BUSY/MAX", "IDLE", "QUEUED", "REQUESTS", "SCORE", "TIMEOUTS",
        "P50", "P99", "TIMEOUT",
    ];
    let list = data["endpoints"].as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        return "no endpoints yet\n".to_owned();
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(list.iter().map(endpoint));
    let figures: usize = widths(&rows)[1..].iter().map(|width| width + GAP).sum();
    let name_chars_max = COLUMNS.saturating_sub(figures).max(NAME_CHARS_LEAST);
    for (row, value) in rows.iter_mut().skip(1).zip(list) {
        let mark = if value["set"].is_array() { "*" } else { "" };
        row[0] = cut(&row[0], name_chars_max - mark.len()) + mark;
    }
    let mut text = columns(&rows, &[2, 3, 4, 5, 6, 7, 8, 9, 10], 0);
    let left = data["total"]
        .as_u64()
        .unwrap_or(0)
        .saturating_sub(list.len() as u64);
    if left > 0 {
        text.push_str(&format!("and {left} more\n"));
    }
    for row in list {
        let names = row["set"].as_array().map_or(&[][..], Vec::as_slice);
        let names: Vec<String> = names.iter().map(plain_text).collect();
        if !names.is_empty() {
            let origin = plain_text(&row["origin"]);
            text.push_str(&format!("* {origin}: {} by ctl set\n", names.join(", ")));
        }
    }
    text
}

fn endpoint(row: &Value) -> [String; 11] {
    let count = |name: &str| row[name].as_u64().unwrap_or(0);
    let queued = row["queued"].as_object().into_iter().flatten();
    let queued: u64 = queued.filter_map(|(_, count)| count.as_u64()).sum();
    let is_known = !row["score"].is_null();
    let known = |text: String| if is_known { text } else { "-".to_owned() };
    let millis = |name: &str| match row[name].as_u64() {
        Some(millis) => format!("{millis}ms"),
        None => "-".to_owned(),
    };
    let timeout = match row["timeout"].as_f64() {
        Some(seconds) if seconds < 100.0 => format!("{}s", (seconds * 1000.0).round() / 1000.0),
        Some(seconds) => format!("{}s", seconds.round()),
        None => "-".to_owned(),
    };
    [
        plain_text(&row["origin"]),
        plain_text(&row["breaker"]),
        known(format!("{}/{}", count("active"), count("maxConnections"))),
        known(count("idle").to_string()),
        known(queued.to_string()),
        count("requests").to_string(),
        known(count("score").to_string()),
        count("timeouts").to_string(),
        millis("p50Ms"),
        millis("p99Ms"),
        timeout,
    ]
}

/// The beginning of a name that is longer.
fn cut(name: &str, chars_max: usize) -> String {
    match name.chars().count() > chars_max {
        true => name.chars().take(chars_max - 1).collect::<String>() + "~",
        false => name.to_owned(),
    }
}

fn aligned(rows: &[(String, String)], width: usize) -> String {
    let row = |(name, value): &(String, String)| format!("{name:width$}  {value}\n");
    rows.iter().map(row).collect()
}

/// A row for each value; values inside objects are named by their path.
fn rows(name: &str, data: &Value) -> Vec<(String, String)> {
    let Value::Object(members) = data else {
        return vec![(printable(name), cell(name, data))];
    };
    let path = |key: &String| match name {
        "" => key.clone(),
        _ => format!("{name}.{key}"),
    };
    let inner = members.iter().map(|(key, value)| rows(&path(key), value));
    inner.flatten().collect()
}

/// A value as people read it; its name says what it counts.
fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) if name == "uptime" => {
            let seconds = number.as_f64().unwrap_or(0.0);
            duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
        }
        Value::Number(number) if name.to_ascii_lowercase().ends_with("bytes") => {
            number.as_u64().map_or_else(|| number.to_string(), size)
        }
        value => plain_text(value),
    }
}

/// A string without its quotes, anything else as JSON; no answer is to steer the terminal.
fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Null => "-".to_owned(),
        value => printable(&value.to_string()),
    }
}

fn printable(text: &str) -> String {
    logger::printable(text, false)
}

/// Unix seconds as a date, to the second.
fn date(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_f64() else {
        return "-".to_owned();
    };
    let mut text = String::new();
    write_rfc3339_millis(Wall::from_unix_seconds(seconds as u64), &mut text);
    text.truncate(text.len() - ".000Z".len());
    text + "Z"
}

/// `3 d 4 h`, `2 min 5 s`: the two largest units.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let at = units.iter().position(|(length, _)| seconds >= *length);
    let at = at.unwrap_or(units.len() - 1);
    let (length, name) = units[at];
    let first = format!("{} {name}", seconds / length);
    match units.get(at + 1) {
        Some((shorter, name)) if seconds % length >= *shorter => {
            format!("{first} {} {name}", seconds % length / shorter)
        }
        Some(_) | None => first,
    }
}

/// `512 B`, `1.5 KiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut number = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().expect("there are some");
    while number >= 1023.95
        && let Some(next) = units.next()
    {
        number /= 1024.0;
        unit = next;
    }
    format!("{number:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_in_groups_with_units() {
        let data = json!({
            "outcomes": {"delivered": 12, "rejected": 0},
            "pending": 3, "pendingBytes": 1536, "uptime": 7384, "draining": false, "clients": 1,
            "held": [{"stdin": false, "uid": 1000, "pid": 77, "pending": 3, "unreadBytes": 2048,
                "seconds": 7200, "by": "its results are not\u{1b} read"}],
            "n\u{1b}w": "a\u{1b}b", "spool": {"letters": 4, "fileBytes": 100},
        });
        let expected = "\
uptime           2 h 3 min
draining         no
clients          1

pending          3
pendingBytes     1.5 KiB

delivered        12
rejected         0

held             uid 1000, process 77, for 2 h: its results are not\\u001b read; 3 jobs pending, 2.0 KiB unread

spool.fileBytes  100 B
spool.letters    4

n\\u001bw         a\\u001bb
";
        assert_eq!(status(&data), expected);
    }

    #[test]
    fn any_answer_is_a_table_of_names_and_values() {
        let data = json!({"draining": true, "pending": 3});
        assert_eq!(plain(&data), "draining  yes\npending   3\n");
    }

    #[test]
    fn what_was_set_stands_below_whose_it_is() {
        let data = json!({"origin": "https://a", "settings": {"maxConnections": 20}});
        let expected = "origin          https://a\nmaxConnections  20\n";
        assert_eq!(set(&data), expected);
    }

    #[test]
    fn letters_stand_in_columns_below_one_head() {
        let letter = |id: &str| {
            json!({"id": id, "uid": 1000, "origin": "https://a", "outcome": "exhausted", "attempts": 4,
                   "error": {"kind": "http", "message": "the receiver\n answered 503"},
                   "ended": 1_700_000_000.25})
        };
        let first = letters(&[letter("a"), letter("order-1")], true);
        let expected = "\
ENDED                 OUTCOME    ATTEMPTS   UID  ID       ORIGIN     ERROR
2023-11-14T22:13:20Z  exhausted         4  1000  a        https://a  http: the receiver\\n answered 503
2023-11-14T22:13:20Z  exhausted         4  1000  order-1  https://a  http: the receiver\\n answered 503
";
        assert_eq!(first, expected);
        assert_eq!(letters(&[letter("a")], false).lines().count(), 1);
        assert_eq!(letters(&[], true), "");
    }

    #[test]
    fn endpoints_fit_a_wide_terminal() {
        let most = u64::from(u32::MAX);
        let row = json!({"origin": format!("https://{}.example:65535", "x".repeat(200)),
            "breaker": "half-open", "active": 65_535, "maxConnections": 65_535, "idle": 65_535,
            "queued": {"high": 1_000_000, "normal": 8_000_000, "low": 1_000_000}, "requests": most,
            "score": 100, "timeouts": 99_999_999, "p50Ms": 40_960, "p99Ms": 40_960,
            "timeout": 3599.5, "set": ["timeout"]});
        let gone = json!({"origin": "other", "requests": 0, "set": ["timeout", "maxQueued"]});
        let text = endpoints(&json!({"endpoints": [row, gone], "total": 7}));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        // Below the table names are whole, for who has to type them.
        for line in &lines[..4] {
            assert!(line.chars().count() <= 120, "{}: {line}", line.len());
        }
        assert!(
            lines[1].contains("65535/65535") && lines[1].contains(" 10000000 "),
            "{text}"
        );
        assert!(
            lines[1].contains("  100  ") && lines[1].ends_with(" 40960ms    3600s"),
            "{text}"
        );
        assert!(
            lines[2].starts_with("other* ") && lines[2].ends_with("  -"),
            "{text}"
        );
        assert_eq!(lines[3], "and 5 more");
        assert!(lines[4].ends_with(":65535: timeout by ctl set"), "{text}");
        assert_eq!(lines[5], "* other: timeout, maxQueued by ctl set");
        assert_eq!(endpoints(&json!({"endpoints": []})), "no endpoints yet\n");
        // Usual figures leave room for longer names.
        let usual = json!({"origin": "https://hooks.partner-one.example", "breaker": "closed",
            "active": 3, "maxConnections": 50, "timeout": 0.25, "set": ["timeout"]});
        let text = endpoints(&json!({"endpoints": [usual]}));
        assert!(
            text.contains("\nhttps://hooks.partner-one.example*  closed"),
            "{text}"
        );
        assert!(text.contains("  0.25s\n"), "{text}");
    }

    #[test]
    fn durations_and_sizes_have_two_digits_or_so() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (125, "2 min 5 s"),
            (3601, "1 h"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (5 << 40, "5.0 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
