//! The report of `/health/ready`: named checks, and the worst of them on top.
//!
//! Not here: what is checked, and where the lines between good and bad are (`intake/health`).

use crate::wire::text::{push_json_string, push_number};

/// How something is, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    #[default]
    Healthy,
    /// Something is amiss, and the work goes on.
    Degraded,
    /// It does not.
    Unhealthy,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What came out.
    pub status: Status,
    /// The same in words.
    pub description: String,
    /// And in numbers.
    pub data: Vec<(&'static str, Value)>,
}

/// A value of a check's `data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Number(u64),
    /// On or off.
    Bool(bool),
    /// Text.
    Text(Box<str>),
}

impl Status {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Status::Healthy => "Healthy",
            Status::Degraded => "Degraded",
            Status::Unhealthy => "Unhealthy",
        }
    }

    /// The status of the answer that says so.
    #[must_use]
    pub const fn http(self) -> u16 {
        match self {
            Status::Healthy | Status::Degraded => 200,
            Status::Unhealthy => 503,
        }
    }
}

/// The worst of all checks.
#[must_use]
pub fn worst(checks: &[Check]) -> Status {
    let statuses = checks.iter().map(|check| check.status);
    statuses.max().unwrap_or_default()
}

/// Appends the report, in one line.
pub fn write(checks: &[Check], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"status\":");
    push_json_string(out, worst(checks).name());
    out.extend_from_slice(b",\"checks\":{");
    for (check, index) in checks.iter().zip(0..) {
        if index > 0 {
            out.push(b',');
        }
        push_json_string(out, check.name);
        out.extend_from_slice(b":{\"status\":");
        push_json_string(out, check.status.name());
        out.extend_from_slice(b",\"description\":");
        push_json_string(out, &check.description);
        out.extend_from_slice(b",\"data\":{");
        for ((name, value), index) in check.data.iter().zip(0..) {
            if index > 0 {
                out.push(b',');
            }
            push_json_string(out, name);
            out.push(b':');
            match value {
                Value::Number(number) => push_number(out, *number),
                Value::Bool(true) => out.extend_from_slice(b"true"),
                Value::Bool(false) => out.extend_from_slice(b"false"),
                Value::Text(text) => push_json_string(out, text),
            }
        }
        out.extend_from_slice(b"}}");
    }
    out.extend_from_slice(b"}}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_status_is_the_worst() {
        let check = |name, status| Check {
            name,
            status,
            description: "said \"so\"".to_owned(),
            data: vec![("n", Value::Number(7)), ("is", Value::Bool(true))],
        };
        let checks = [check("a", Status::Healthy), check("b", Status::Degraded)];
        let mut out = Vec::new();
        write(&checks, &mut out);
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "{\"status\":\"Degraded\",\"checks\":{\
             \"a\":{\"status\":\"Healthy\",\"description\":\"said \\\"so\\\"\",\"data\":{\"n\":7,\"is\":true}},\
             \"b\":{\"status\":\"Degraded\",\"description\":\"said \\\"so\\\"\",\"data\":{\"n\":7,\"is\":true}}}}\n"
        );
        assert_eq!(worst(&checks).http(), 200);
        assert_eq!(worst(&[check("a", Status::Unhealthy)]).http(), 503);
        assert_eq!(worst(&[]), Status::Healthy);
    }
}
