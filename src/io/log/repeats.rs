//! Lines that repeat: how many of a kind are written in a second, and what is said of the others.
//!
//! A kind is a place in the program and the origin that the line is about, so that one receiver's trouble does not
//! hide another's. Origins are strangers' to choose: beyond [`ORIGINS_MAX`] in a second those of a place share a kind.
//!
//! Not here: where lines go (`outlet`), what they look like (`line`).

use std::collections::BTreeMap;
use std::time::Duration;

use conduit::base::time::Instant;
use log::Level;

/// Lines of a kind that are written in a second.
const LINES_MAX: u64 = 10;

/// Kinds with an origin of their own in a second.
const ORIGINS_MAX: usize = 128;

const SECOND: Duration = Duration::from_secs(1);

/// Where in the program a line is from: file and line.
pub type Site = (&'static str, u32);

/// What was written in the second that runs.
#[derive(Debug, Default)]
pub struct Repeats {
    began: Instant,
    kinds: BTreeMap<Site, Kinds>,
    /// Kinds with an origin.
    origins: usize,
    /// Whether lines were held back.
    has_more: bool,
}

/// The kinds of a place.
#[derive(Debug, Default)]
struct Kinds {
    /// Lines about no origin, or about one for which there was no room.
    common: Option<Kind>,
    origins: BTreeMap<Box<str>, Kind>,
}

#[derive(Debug)]
struct Kind {
    level: Level,
    message: Box<str>,
    count: u64,
}

/// What is said of lines that were held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct More {
    pub level: Level,
    /// What the first of them said.
    pub message: Box<str>,
    pub origin: Option<Box<str>>,
    /// How many were held back.
    pub count: u64,
}

impl Repeats {
    /// Whether this line is to be written. What is left of a second that is over must have been taken before.
    pub fn admit(
        &mut self,
        site: Site,
        origin: Option<&str>,
        level: Level,
        message: impl FnOnce() -> Box<str>,
    ) -> bool {
        let kinds = self.kinds.entry(site).or_default();
        let new = |message: Box<str>| Kind {
            level,
            message,
            count: 0,
        };
        let kind = match origin {
            Some(origin) if kinds.origins.contains_key(origin) => kinds.origins.get_mut(origin),
            Some(origin) if self.origins < ORIGINS_MAX => {
                self.origins += 1;
                Some(kinds.origins.entry(origin.into()).or_insert(new(message())))
            }
            Some(_) | None => Some(kinds.common.get_or_insert_with(|| new(message()))),
        };
        let kind = kind.expect("it is there, or was just put there");
        kind.count += 1;
        let is_written = kind.count <= LINES_MAX;
        self.has_more |= !is_written;
        is_written
    }

    /// When there is something to be said of lines that were held back.
    pub fn due(&self) -> Option<Instant> {
        self.has_more.then(|| self.began + SECOND)
    }

    /// What was held back in a second that is over, if one is; then another begins.
    pub fn take(&mut self, now: Instant) -> Vec<More> {
        match now.since(self.began) >= SECOND {
            true => self.take_all(now),
            false => Vec::new(),
        }
    }

    /// What was held back, though the second may not be over.
    pub fn take_all(&mut self, now: Instant) -> Vec<More> {
        let ended = std::mem::replace(
            self,
            Repeats {
                began: now,
                ..Repeats::default()
            },
        );
        if !ended.has_more {
            return Vec::new();
        }
        let kinds = ended.kinds.into_values().flat_map(|kinds| {
            let common = kinds.common.map(|kind| (None, kind));
            let origins = kinds.origins.into_iter();
            common
                .into_iter()
                .chain(origins.map(|(origin, kind)| (Some(origin), kind)))
        });
        let more = kinds.filter(|(_, kind)| kind.count > LINES_MAX);
        more.map(|(origin, kind)| More {
            level: kind.level,
            message: kind.message,
            origin,
            count: kind.count - LINES_MAX,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = ("src/a.rs", 7);

    fn admitted(repeats: &mut Repeats, origin: Option<&str>, lines: u64) -> u64 {
        let admit = |_: &u64| repeats.admit(SITE, origin, Level::Warn, || "attempt failed".into());
        (0..lines).filter(admit).count() as u64
    }

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    #[test]
    fn ten_of_a_kind_are_written_in_a_second_and_the_others_summed_up() {
        let mut repeats = Repeats::default();
        assert_eq!(admitted(&mut repeats, Some("https://a"), 10), 10);
        assert_eq!(repeats.due(), None);
        assert_eq!(admitted(&mut repeats, Some("https://a"), 2_345), 0);
        assert_eq!(admitted(&mut repeats, Some("https://b"), 11), 10);
        assert_eq!(admitted(&mut repeats, None, 4), 4);
        assert_eq!(repeats.due(), Some(at(1_000)));
        assert_eq!(repeats.take(at(999)), []);
        let more = |origin: &str, count| More {
            level: Level::Warn,
            message: "attempt failed".into(),
            origin: Some(origin.into()),
            count,
        };
        assert_eq!(
            repeats.take(at(1_000)),
            [more("https://a", 2_345), more("https://b", 1)]
        );
        assert_eq!(repeats.due(), None);
        assert_eq!(admitted(&mut repeats, Some("https://a"), 11), 10);
    }

    #[test]
    fn origins_of_strangers_take_a_bounded_place() {
        let mut repeats = Repeats::default();
        for number in 0..ORIGINS_MAX {
            let origin = number.to_string();
            assert_eq!(admitted(&mut repeats, Some(&origin), 1), 1);
        }
        let others = (0..1_000).map(|number| format!("x{number}"));
        let written: u64 = others
            .map(|origin| admitted(&mut repeats, Some(&origin), 1))
            .sum();
        assert_eq!(written, LINES_MAX);
        let more = repeats.take_all(at(5));
        assert_eq!((more.len(), more[0].count), (1, 990));
        assert_eq!(more[0].origin, None);
    }
}
