//! Which settings hold for which origin: entries under an origin, or under a pattern of host names.
//!
//! A key is an origin (`https://hooks.example.com`, `https://[2001:db8::1]:8443`) or a pattern: `*.` in place of the
//! first labels of its host (`https://*.example.com`). A pattern stands for every name with at least one more label
//! in front of its suffix, so `https://*.example.com` does not hold for `https://example.com`. Scheme and port must
//! be those of the key; a port that is left out is the scheme's own. An exact entry goes before a pattern, a longer
//! pattern before a shorter one.
//!
//! The keys are the operator's own, so they need no seeded hash; a look-up is one search for each label of the host.
//!
//! Not here: what the entries say (`config`), how they are merged with what holds in general (`config`).

use std::collections::BTreeMap;
use std::fmt;

use crate::wire::url::{Host, Origin, Url, UrlError};

/// Values by origin, or by pattern of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints<T> {
    /// By [`Origin::text`], and by pattern in the same spelling.
    entries: BTreeMap<Box<str>, T>,
}

/// Why a text is no key; the message says what was found and what was expected, and repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not the beginning of a URL.
    Url(UrlError),
    /// Something follows host and port.
    Path,
    /// A `*` that does not stand alone for the first labels of a name.
    Star,
    /// There is an entry under this key, be it in another spelling.
    Twice,
}

impl<T> Endpoints<T> {
    /// Adds an entry under an origin or a pattern, in whatever spelling.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing has changed.
    pub fn insert(&mut self, key: &str, value: T) -> Result<(), KeyError> {
        let key = canonical_key(key)?;
        if self.entries.contains_key(&key) {
            return Err(KeyError::Twice);
        }
        self.entries.insert(key, value);
        Ok(())
    }

    /// Adds an origin's own entry, or puts it in the former one's place.
    pub fn put(&mut self, origin: &Origin, value: T) {
        self.entries.insert(origin.text.clone(), value);
    }

    /// An origin's own entry, whatever patterns there are.
    #[must_use]
    pub fn own(&self, origin: &Origin) -> Option<&T> {
        self.entries.get(&origin.text)
    }

    /// Whether an entry under this key could be added.
    ///
    /// # Errors
    /// [`KeyError`]: it could not.
    pub fn check(&self, key: &str) -> Result<(), KeyError> {
        match self.entries.contains_key(&canonical_key(key)?) {
            true => Err(KeyError::Twice),
            false => Ok(()),
        }
    }

    /// What holds for this origin: its own entry, else that of the longest pattern.
    #[must_use]
    pub fn get(&self, origin: &Origin) -> Option<&T> {
        self.matching(origin).next().map(|(_, value)| value)
    }

    /// All entries that hold for this origin with their keys, the most specific first.
    pub fn matching<'a>(&'a self, origin: &Origin) -> impl Iterator<Item = (&'a str, &'a T)> {
        let (scheme, authority) = origin
            .text
            .split_at(origin.text.len() - origin.authority().len());
        let name = match &origin.host {
            // Where there are no entries, no text is made to look for them.
            Host::Name(name) if !self.entries.is_empty() => &**name,
            Host::Name(_) | Host::Ip(_) => "",
        };
        let patterns = name.match_indices('.').filter_map(move |(dot, _)| {
            let suffix = &authority[dot..];
            self.find(&format!("{scheme}*{suffix}"))
        });
        self.find(&origin.text).into_iter().chain(patterns)
    }

    /// All entries, by their keys as conduit spells them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    fn find(&self, key: &str) -> Option<(&str, &T)> {
        let (key, value) = self.entries.get_key_value(key)?;
        Some((key, value))
    }
}

impl<T> Default for Endpoints<T> {
    /// Without entries.
    fn default() -> Endpoints<T> {
        Endpoints {
            entries: BTreeMap::new(),
        }
    }
}

/// The one spelling of a key.
fn canonical_key(key: &str) -> Result<Box<str>, KeyError> {
    let authority = key.find("://").map_or(0, |colon| colon + 3);
    if key[authority..].contains(['/', '?', '#']) {
        return Err(KeyError::Path);
    }
    if !key.contains('*') {
        let url = Url::parse(key).map_err(KeyError::Url)?;
        return Ok(url.to_origin().text);
    }
    // With a label in its place the rest must be an origin.
    let (scheme, suffix) = key.split_once("*.").ok_or(KeyError::Star)?;
    if scheme.len() != authority || authority == 0 || suffix.contains('*') {
        return Err(KeyError::Star);
    }
    let sample = format!("{scheme}x.{suffix}");
    let origin = Url::parse(&sample).map_err(KeyError::Url)?.to_origin();
    let (prefix, rest) = origin.text.split_once("x.").ok_or(KeyError::Star)?;
    Ok(format!("{prefix}*.{rest}").into())
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Url(error) => error.fmt(f),
            KeyError::Path => f.write_str(
                "something follows host and port, expected an origin such as https://hooks.example.com",
            ),
            KeyError::Star => f.write_str(
                "a * stands elsewhere than for the first labels of a name, expected a pattern such as \
                 https://*.example.com",
            ),
            KeyError::Twice => {
                f.write_str("the same origin or pattern stands there already, expected it once")
            }
        }
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Url::parse(text).expect("a URL").to_origin()
    }

    fn endpoints(keys: &[&'static str]) -> Endpoints<&'static str> {
        let mut endpoints = Endpoints::default();
        for key in keys {
            assert_eq!(endpoints.insert(key, *key), Ok(()), "{key}");
        }
        endpoints
    }

    #[test]
    fn the_most_specific_entry_holds() {
        let endpoints = endpoints(&[
            "https://*.example.com",
            "https://*.eu.example.com",
            "https://a.eu.example.com",
            "https://*.example.com:8443",
            "http://*.example.com",
            "https://192.0.2.1",
            "https://[2001:DB8::0:1]:8443",
            "https://*.org",
        ]);
        for (url, expected) in [
            ("https://a.example.com/x", Some("https://*.example.com")),
            ("https://a.b.example.com", Some("https://*.example.com")),
            ("https://b.eu.example.com", Some("https://*.eu.example.com")),
            ("https://a.eu.example.com", Some("https://a.eu.example.com")),
            (
                "https://A.EU.example.com.",
                Some("https://a.eu.example.com"),
            ),
            (
                "https://x.a.eu.example.com",
                Some("https://*.eu.example.com"),
            ),
            ("https://eu.example.com", Some("https://*.example.com")),
            ("https://a.example.com:443", Some("https://*.example.com")),
            (
                "https://a.example.com:8443",
                Some("https://*.example.com:8443"),
            ),
            ("http://a.example.com", Some("http://*.example.com")),
            ("http://a.example.com:8080", None),
            ("https://example.com", None),
            ("https://badexample.com", None),
            ("https://a.example.com.evil.test", None),
            ("https://192.0.2.1", Some("https://192.0.2.1")),
            ("https://192.0.2.2", None),
            (
                "https://[2001:db8::1]:8443",
                Some("https://[2001:DB8::0:1]:8443"),
            ),
            ("https://x.org", Some("https://*.org")),
            ("https://org", None),
        ] {
            assert_eq!(endpoints.get(&origin(url)).copied(), expected, "{url}");
        }
        let origin = origin("https://a.eu.example.com");
        let keys: Vec<&str> = endpoints.matching(&origin).map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "https://a.eu.example.com",
                "https://*.eu.example.com",
                "https://*.example.com"
            ]
        );
    }

    #[test]
    fn a_key_has_one_spelling_and_stands_once() {
        let mut endpoints = endpoints(&["HTTPS://*.Example.COM:443", "http://B.example:80"]);
        for again in [
            "https://*.example.com",
            "https://*.example.com.",
            "http://b.example",
        ] {
            assert_eq!(endpoints.check(again), Err(KeyError::Twice), "{again}");
            assert_eq!(
                endpoints.insert(again, "again"),
                Err(KeyError::Twice),
                "{again}"
            );
        }
        assert_eq!(endpoints.check("http://c.example"), Ok(()));
        let keys: Vec<&str> = endpoints.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["http://b.example", "https://*.example.com"]);
    }

    #[test]
    fn what_is_no_key_is_refused_and_says_why() {
        for (key, expected) in [
            ("", "url begins with neither"),
            ("hooks.example.com", "url begins with neither"),
            ("ftp://hooks.example.com", "url begins with neither"),
            ("https://", "url has no host"),
            ("https://a.example/", "something follows"),
            ("https://a.example/hook", "something follows"),
            ("https://a.example?x", "something follows"),
            ("https://a.example#x", "something follows"),
            ("https://user@a.example", "url has userinfo"),
            ("https://a.example:0", "url's port"),
            ("https://*.a.example:65536", "url's port"),
            ("*", "a * stands elsewhere"),
            ("*.example.com", "a * stands elsewhere"),
            ("https://*", "a * stands elsewhere"),
            ("https://*example.com", "a * stands elsewhere"),
            ("https://a.*.example.com", "a * stands elsewhere"),
            ("https://a*.example.com", "a * stands elsewhere"),
            ("https://*.*.example.com", "a * stands elsewhere"),
            ("https://*.example.com:*", "a * stands elsewhere"),
            ("https://*.", "a * stands elsewhere"),
            ("https://*..a", "url's host has an empty"),
            ("https://*.0.0.1", "url's host ends in a number"),
            ("https://*.b@a.example", "url has userinfo"),
        ] {
            let refused = Endpoints::default().insert(key, ()).expect_err(key);
            assert!(
                refused.to_string().starts_with(expected),
                "{key}: {refused}"
            );
        }
    }
}
