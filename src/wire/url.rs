//! URLs: from the text in a job line to scheme, host, port and request target, or the reason why not.
//!
//! The grammar is RFC 3986, strictly: nothing is repaired, the path and query stay byte for byte. On top of it
//! stands policy: `http` and `https` only, no userinfo, a port that exists, and a host that is a DNS name, four
//! decimal octets or a bracketed IPv6 address. Whatever else the C library would read as an address (`127.1`,
//! `0x7f.1`, `2130706433`, `0177.0.0.1`) is an error, because a guard that judges a name must not find out
//! later that it was an address.
//!
//! Invariants: a [`Url`]'s host is canonical (lower case, no root dot, IPv6 as in RFC 5952), so two spellings
//! of one origin give one text; no error repeats any part of the URL, whose query may be a secret.
//!
//! Not here: which addresses and ports are forbidden (`engine/guard`), looking names up (`engine/resolver`).

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fluent_uri::{ParseError, ParseErrorKind, Uri};

/// The longest DNS name, without its root dot (RFC 1035 section 2.3.4: 255 octets on the wire).
pub const NAME_BYTES_MAX: usize = 253;

/// The longest label of a DNS name (RFC 1035 section 2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// An absolute `http` or `https` URL that passed policy; borrows what was canonical already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// Plaintext or TLS.
    pub scheme: Scheme,
    /// Lower case, no root dot; IPv6 in brackets, as RFC 5952 writes it.
    pub host: Cow<'a, str>,
    /// As written, or the scheme's own; never 0.
    pub port: u16,
    /// Path and query, byte for byte as written; `/` stands for an empty path. Never empty, no fragment.
    pub target: Cow<'a, str>,
}

/// How an origin is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plaintext.
    Http,
    /// TLS.
    Https,
}

/// Who is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name: absolute, lower case, without its root dot.
    Name(Box<str>),
    /// An address that stood in the URL.
    Ip(IpAddr),
}

/// Scheme, host and port (RFC 6454 section 4): what connections, queues and breakers belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Plaintext or TLS.
    pub scheme: Scheme,
    /// Who.
    pub host: Host,
    /// Never 0.
    pub port: u16,
    /// `scheme://host[:port]`, the port only where it is not the scheme's own: the origin's name in keys,
    /// results and metrics.
    pub text: Box<str>,
}

/// An origin as the key of a map: found by its text, of which there is one in memory for all that know the origin.
#[derive(Clone, Debug)]
pub struct ByText(pub Arc<Origin>);

impl PartialEq for ByText {
    fn eq(&self, other: &ByText) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for ByText {}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl Borrow<str> for ByText {
    fn borrow(&self) -> &str {
        &self.0.text
    }
}

/// Why a text is no URL that conduit delivers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It begins with neither `http://` nor `https://`.
    Scheme,
    /// A byte that RFC 3986 does not allow where it stands.
    Character {
        /// Its offset in the text.
        at: usize,
        /// What sort of byte it is.
        found: Found,
    },
    /// A `%` without two hexadecimal digits.
    PercentEncoding {
        /// The offset of the `%`.
        at: usize,
    },
    /// `user:password@`, even if empty.
    UserInfo,
    /// Nothing stands where the host should.
    NoHost,
    /// A host with a character that no DNS name has.
    HostCharacter,
    /// An empty or overlong label between two dots of the host.
    Label,
    /// A label of the host that begins or ends with a hyphen.
    Hyphen,
    /// A DNS name that is too long as a whole.
    HostLength,
    /// A host that reads as a number and is not four decimal octets.
    Ipv4,
    /// Brackets around something other than an IPv6 address without zone.
    Ipv6,
    /// A port outside 1 to 65535.
    Port,
}

/// The sort of a byte that may not stand where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Space.
    Space,
    /// Tab, line feed, NUL and their like; DEL.
    Control,
    /// The first byte of a character outside ASCII.
    NonAscii,
    /// `\`.
    Backslash,
    /// Anything else.
    Other,
    /// The text ended there.
    End,
}

impl<'a> Url<'a> {
    /// Reads `text` and checks it; O(n), and no allocation if the host is canonical and the path not empty.
    ///
    /// # Errors
    /// [`UrlError`], which never repeats the text.
    pub fn parse(text: &'a str) -> Result<Url<'a>, UrlError> {
        let scheme = Scheme::of(text).ok_or(UrlError::Scheme)?;
        let authority_start = scheme.prefix().len();
        let uri = Uri::parse(text).map_err(|error| grammar_error(text, authority_start, error))?;
        // A text with this prefix has an authority, be it empty.
        let authority = uri.authority().ok_or(UrlError::NoHost)?;
        if authority.has_userinfo() {
            return Err(UrlError::UserInfo);
        }
        let port = match authority.port() {
            None => scheme.default_port(),
            Some(digits) if digits.is_empty() => scheme.default_port(),
            Some(digits) => parse_port(digits.as_str())?,
        };
        let target = &text[authority_start + authority.as_str().len()..];
        // In a valid URI the first `#` begins the fragment.
        let target = match uri.fragment() {
            Some(fragment) => &target[..target.len() - fragment.len() - 1],
            None => target,
        };
        Ok(Url {
            scheme,
            host: canonical_host(authority.host())?,
            port,
            target: if target.starts_with('/') {
                Cow::Borrowed(target)
            } else if target.is_empty() {
                Cow::Borrowed("/")
            } else {
                Cow::Owned(format!("/{target}"))
            },
        })
    }

    /// Appends `scheme://host[:port]`, the text of [`Origin::text`].
    pub fn write_origin(&self, out: &mut String) {
        out.push_str(self.scheme.prefix());
        out.push_str(&self.host);
        if self.port != self.scheme.default_port() {
            out.push(':');
            push_decimal(self.port, out);
        }
    }

    /// The origin, as a value of its own.
    #[must_use]
    pub fn to_origin(&self) -> Origin {
        let mut text = String::with_capacity(self.host.len() + 14);
        self.write_origin(&mut text);
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        Origin {
            scheme: self.scheme,
            host: match bare.parse::<IpAddr>() {
                Ok(ip) => Host::Ip(ip),
                Err(_) => Host::Name(bare.into()),
            },
            port: self.port,
            text: text.into(),
        }
    }
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URL without one means: 80 or 443.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        }
    }

    /// Schemes are compared without case (RFC 3986 section 3.1).
    fn of(text: &str) -> Option<Scheme> {
        [Scheme::Https, Scheme::Http].into_iter().find(|scheme| {
            let prefix = scheme.prefix().as_bytes();
            text.as_bytes()
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        })
    }
}

impl Origin {
    /// `host[:port]`: the value of the `Host` header (RFC 9110 section 7.2).
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.text[self.scheme.prefix().len()..]
    }

    /// Whether it is spoken to under TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Https)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            UrlError::Scheme => {
                f.write_str("url begins with neither http:// nor https://, expected one of them")
            }
            UrlError::Character { at, found } => {
                write!(f, "url has {} at byte {at}, {}", found.name(), found.advice())
            }
            UrlError::PercentEncoding { at } => write!(
                f,
                "url has a % at byte {at} without two hexadecimal digits after it, expected %25 for a % itself"
            ),
            UrlError::UserInfo => {
                f.write_str("url has userinfo (…@) in it, expected none: use a header")
            }
            UrlError::NoHost => f.write_str("url has no host, expected a DNS name or an address"),
            UrlError::HostCharacter => f.write_str(
                "url's host has a character that no DNS name has, expected letters, digits, hyphens, \
                 underscores and dots (others only as xn--…)",
            ),
            UrlError::Label => write!(
                f,
                "url's host has an empty or overlong label, expected 1 to {LABEL_BYTES_MAX} characters between dots"
            ),
            UrlError::Hyphen => f.write_str(
                "url's host has a label that begins or ends with a hyphen, expected a letter, a digit or an \
                 underscore there",
            ),
            UrlError::HostLength => write!(
                f,
                "url's host is too long, expected at most {NAME_BYTES_MAX} characters"
            ),
            UrlError::Ipv4 => f.write_str(
                "url's host ends in a number but is no IPv4 address, expected four decimal octets \
                 without leading zeros",
            ),
            UrlError::Ipv6 => f.write_str(
                "url's host has brackets around something else, expected an IPv6 address without zone",
            ),
            UrlError::Port => f.write_str("url's port is out of range, expected 1 to 65535"),
        }
    }
}

impl std::error::Error for UrlError {}

impl Found {
    const fn of(byte: Option<u8>) -> Found {
        match byte {
            None => Found::End,
            Some(b' ') => Found::Space,
            Some(b'\\') => Found::Backslash,
            Some(0..=0x1f | 0x7f) => Found::Control,
            Some(0x80..) => Found::NonAscii,
            Some(_) => Found::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Found::Space => "a space",
            Found::Control => "a control character",
            Found::NonAscii => "a character outside ASCII",
            Found::Backslash => "a backslash",
            Found::Other => "a character that may not stand there",
            Found::End => "its end",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Found::Backslash => "expected / or %5C",
            Found::NonAscii => "expected it percent-encoded, or xn--… in a host",
            Found::Space | Found::Control | Found::Other => "expected it percent-encoded",
            Found::End => "expected more",
        }
    }
}

fn grammar_error(text: &str, authority_start: usize, error: ParseError) -> UrlError {
    let at = error.index();
    let in_brackets = text[authority_start..].starts_with('[')
        && !text[authority_start..at].contains(['/', '?', '#', ']']);
    match error.kind() {
        _ if in_brackets => UrlError::Ipv6,
        ParseErrorKind::InvalidIpv6Addr => UrlError::Ipv6,
        ParseErrorKind::InvalidPctEncodedOctet => UrlError::PercentEncoding { at },
        ParseErrorKind::UnexpectedChar => UrlError::Character {
            at,
            found: Found::of(text.as_bytes().get(at).copied()),
        },
    }
}

/// `digits` are decimal digits, at least one.
fn parse_port(digits: &str) -> Result<u16, UrlError> {
    match digits.parse::<u16>() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(UrlError::Port),
    }
}

fn canonical_host(host: &str) -> Result<Cow<'_, str>, UrlError> {
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if let Some(literal) = host.strip_prefix('[') {
        return canonical_ipv6(host, literal.strip_suffix(']').ok_or(UrlError::Ipv6)?);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    check_name(name)?;
    let last_label = name.rsplit('.').next().unwrap_or(name);
    // An address has no root dot, so it is `host` that must be one.
    if is_number(last_label) && host.parse::<Ipv4Addr>().is_err() {
        return Err(UrlError::Ipv4);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

fn canonical_ipv6<'a>(host: &'a str, literal: &str) -> Result<Cow<'a, str>, UrlError> {
    let address: Ipv6Addr = literal.parse().map_err(|_| UrlError::Ipv6)?;
    // std writes RFC 5952, IPv4-mapped addresses with a dotted quad as its section 5 recommends.
    let canonical = format!("[{address}]");
    if canonical == host {
        Ok(Cow::Borrowed(host))
    } else {
        Ok(Cow::Owned(canonical))
    }
}

/// One rule for a name, whether it is looked up, written into a head or verified under TLS: RFC 1123 section 2.1 with
/// underscores, which is what a certificate can be asked for too. What no certificate can carry is told at once, not
/// after four attempts.
fn check_name(name: &str) -> Result<(), UrlError> {
    for label in name.split('.') {
        let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !label.bytes().all(is_of_names) {
            return Err(UrlError::HostCharacter);
        }
        if !(1..=LABEL_BYTES_MAX).contains(&label.len()) {
            return Err(UrlError::Label);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(UrlError::Hyphen);
        }
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(UrlError::HostLength);
    }
    Ok(())
}

/// Whether `inet_aton` would read `label` as a number: decimal, octal, or hexadecimal with `0x`, be it bare.
fn is_number(label: &str) -> bool {
    match label.as_bytes() {
        [b'0', b'x' | b'X', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

fn push_decimal(value: u16, out: &mut String) {
    let mut divisor = 10_000;
    while divisor > 1 && value / divisor == 0 {
        divisor /= 10;
    }
    while divisor > 0 {
        out.push(char::from(b'0' + (value / divisor % 10) as u8));
        divisor /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, then the origin's text and the target.
    #[rustfmt::skip]
    const GOOD: &[(&str, &str, &str)] = &[
        ("https://example.com/hook", "https://example.com", "/hook"), ("http://h", "http://h", "/"),
        ("http://h:/", "http://h", "/"), ("http://h:80/", "http://h", "/"),
        ("http://h:443/", "http://h:443", "/"), ("https://h:443/", "https://h", "/"),
        ("https://h:0000443/", "https://h", "/"), ("https://h:1/", "https://h:1", "/"),
        ("https://h:65535/", "https://h:65535", "/"), ("https://h:8080/", "https://h:8080", "/"),
        ("HTTPS://Api.Example.COM/Hook", "https://api.example.com", "/Hook"),
        ("https://example.com./x", "https://example.com", "/x"),
        ("https://EXAMPLE.com.:444/x", "https://example.com:444", "/x"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example", "/"),
        ("http://my_svc/", "http://my_svc", "/"), ("http://_a.b--c/", "http://_a.b--c", "/"),
        ("http://1and1.com/", "http://1and1.com", "/"),
        ("http://127.0.0.1.nip.io/", "http://127.0.0.1.nip.io", "/"), ("http://0xyz/", "http://0xyz", "/"),
        ("http://0x7f.com/", "http://0x7f.com", "/"), ("http://h?a=1", "http://h", "/?a=1"),
        ("http://h?", "http://h", "/?"), ("http://h#f", "http://h", "/"), ("http://h?#", "http://h", "/?"),
        ("http://h/p?q#f", "http://h", "/p?q"), ("http://h/p#f?q/@", "http://h", "/p"),
        ("http://h/a//b/../c/./%7e%7E%2f", "http://h", "/a//b/../c/./%7e%7E%2f"),
        ("http://h/@;:=?a=b&c=%20/?@:", "http://h", "/@;:=?a=b&c=%20/?@:"),
        ("http://h//evil/", "http://h", "//evil/"), ("http://127.0.0.1:9/x", "http://127.0.0.1:9", "/x"),
        ("http://255.255.255.255/", "http://255.255.255.255", "/"), ("http://[::1]/", "http://[::1]", "/"),
        ("http://[::1]:8080/x", "http://[::1]:8080", "/x"), ("http://[::1]:/x", "http://[::1]", "/x"),
        ("http://[2001:DB8:0:0:0:0:0:1]/", "http://[2001:db8::1]", "/"),
        ("http://[0:0:0:0:0:0:0:0]?q", "http://[::]", "/?q"),
        ("http://[::FFFF:7f00:1]/", "http://[::ffff:127.0.0.1]", "/"),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:127.0.0.1]", "/"),
    ];

    #[test]
    fn f18_origins_have_one_spelling() {
        for &(text, origin, target) in GOOD {
            let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.target, target, "{text}");
            let mut written = String::new();
            url.write_origin(&mut written);
            assert_eq!(written, origin, "{text}");
            let value = url.to_origin();
            assert_eq!(&*value.text, origin, "{text}");
            let (_, authority) = origin.split_once("://").unwrap();
            assert_eq!(value.authority(), authority, "{text}");
            assert_eq!(value.is_secure(), origin.starts_with("https:"), "{text}");
            let again = Url::parse(&value.text).unwrap();
            assert_eq!(again.to_origin(), value, "{text}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        let host = |text: &str| Url::parse(text).unwrap().to_origin().host;
        let ip = |text: &str| Host::Ip(text.parse().unwrap());
        let name = |text: &str| Host::Name(text.into());
        assert_eq!(host("http://Example.com./"), name("example.com"));
        assert_eq!(host("http://10.0.0.1/"), ip("10.0.0.1"));
        assert_eq!(host("http://[::1]/"), ip("::1"));
        assert_eq!(host("http://[::ffff:10.0.0.1]/"), ip("::ffff:10.0.0.1"));
        assert_eq!(host("http://10.0.0.1.example/"), name("10.0.0.1.example"));
    }

    #[test]
    fn a_canonical_url_is_borrowed() {
        let url = Url::parse("https://api.example.com:8443/hook?x=1#f").unwrap();
        assert!(matches!(url.host, Cow::Borrowed(_)));
        assert!(matches!(url.target, Cow::Borrowed(_)));
    }

    #[test]
    fn f108_rejects_what_policy_forbids() {
        #[rustfmt::skip]
        let characters = [
            ("http://h:-1/", 9, Found::Other), ("http://h:8o/", 10, Found::Other),
            ("http://h:80:80/", 11, Found::Other), ("http://h/a#b#c", 12, Found::Other),
            ("http://h/a|b", 10, Found::Other), ("http://h/{id}", 9, Found::Other),
            ("http://h/a b", 10, Found::Space), ("http://h/a\tb", 10, Found::Control),
            ("http://h/a\r\nX: y", 10, Found::Control), ("http://h/\n", 9, Found::Control),
            ("http://h/\0", 9, Found::Control), ("http://h/\x7f", 9, Found::Control),
            ("http://h\\@evil/", 8, Found::Backslash), ("http://h/a\\b", 10, Found::Backslash),
            ("http://h/ä", 9, Found::NonAscii), ("http://bücher.example/", 8, Found::NonAscii),
            ("http://①②⑦.⓪.⓪.①/", 7, Found::NonAscii),
        ];
        for (text, at, found) in characters {
            assert_eq!(
                Url::parse(text),
                Err(UrlError::Character { at, found }),
                "{text:?}"
            );
        }
        let percent = |at| UrlError::PercentEncoding { at };
        #[rustfmt::skip]
        let others: &[(UrlError, &[&str])] = &[
            (UrlError::Scheme, &[
                "", "example.com/x", "//example.com/x", "/x", "http:/h/x", "http:h", "http", "ftp://h/",
                "httpss://h/", "file:///etc/passwd", " http://h/", "ht\ntp://h/",
            ]),
            (UrlError::NoHost, &["http://", "http:///x", "http://?x", "http://#x", "http://:80/"]),
            (UrlError::UserInfo, &[
                "http://user@h/", "http://user:pw@h/", "http://@h/", "http://a:b@[::1]/", "http://a%40b@h/",
            ]),
            (UrlError::Port, &[
                "http://h:0/", "http://h:000/", "http://h:65536/", "http://h:99999999999999999999/",
            ]),
            (percent(9), &["http://h/%", "http://h/%4", "http://h/%%41"]),
            (percent(12), &["http://h/?a=%zz", "http://h/?a=%4"]),
            (UrlError::HostCharacter, &[
                "http://%31.com/", "http://127%2e0.0.1/", "http://a,b/", "http://a~b/", "http://a(b)/",
                "http://*.example.com/",
            ]),
            (UrlError::Hyphen, &[
                "http://-/", "http://-a/", "http://a-/", "https://a-.hook.test/", "https://a.-b.test/",
                "https://a.b-", "https://xn--.test/", "https://-.test./",
            ]),
            (UrlError::Label, &["http://.com/", "http://a..b/", "http://a../", "http://./"]),
        ];
        for (expected, texts) in others {
            for text in *texts {
                assert_eq!(Url::parse(text), Err(*expected), "{text:?}");
            }
        }
    }

    #[test]
    fn what_only_inet_aton_reads_is_an_error() {
        #[rustfmt::skip]
        let hosts = [
            "127.1", "127.0.1", "0x7f.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "0X7F000001",
            "0177.0.0.1", "017700000001", "0", "0x", "1", "127.0.0.01", "127.0.0.256", "127.0.0.1.",
            "127.0.0.0x1", "1.2.3.4.5", "127.0.0.1000", "00.0.0.0", "1.", "a.1", "a.0x1f",
            "256.1.1.1", "4294967296", "a.99999999999999999999",
        ];
        for host in hosts {
            for (before, after) in [("http://", "/"), ("https://", ""), ("http://", ":80/x")] {
                let text = format!("{before}{host}{after}");
                assert_eq!(Url::parse(&text), Err(UrlError::Ipv4), "{text}");
            }
        }
    }

    #[test]
    fn brackets_hold_an_ipv6_address_and_nothing_else() {
        #[rustfmt::skip]
        let literals = [
            "[]", "[::1", "[::1%25eth0]", "[fe80::1%eth0]", "[127.0.0.1]", "[v1.x]",
            "[1:2:3:4:5:6:7:8:9]", "[:::]", "[::1::]", "[12345::]", "[g::]", "[ ::1]",
            "[1:2:3:4:5:6:7::8]", "[::1.2.3.256]",
        ];
        for literal in literals {
            let text = format!("http://{literal}/");
            assert_eq!(Url::parse(&text), Err(UrlError::Ipv6), "{text}");
        }
        assert!(Url::parse("http://[::1]x/").is_err());
        assert!(Url::parse("http://::1/").is_err());
    }

    #[test]
    fn names_have_limits() {
        let label = "a".repeat(LABEL_BYTES_MAX);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(longest.len(), NAME_BYTES_MAX);
        assert!(Url::parse(&format!("http://{longest}/")).is_ok());
        assert!(Url::parse(&format!("http://{longest}./")).is_ok());
        let error = |host: &str| Url::parse(&format!("http://{host}/")).unwrap_err();
        assert_eq!(error(&format!("{longest}b")), UrlError::HostLength);
        assert_eq!(error(&format!("{label}a.com")), UrlError::Label);
    }

    #[test]
    fn errors_never_repeat_the_url() {
        for text in [
            "http://h/x?token=SECRET SECRET",
            "http://SECRET:SECRET@h/",
            "http://SECRET:SE/CRET@h/",
            "http://SECRET,/?SECRET",
            "SECRET:SECRET@h",
            "http://h:65536/?SECRET",
            "http://h/?SECRET=%zz",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(!error.to_string().contains("SECRET"), "{error}");
            assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
        }
        let error = Url::parse("http://h/a\\b").unwrap_err().to_string();
        assert_eq!(error, "url has a backslash at byte 10, expected / or %5C");
    }

    #[test]
    fn decimals_have_no_leading_zeros() {
        for value in (0..=u16::MAX).step_by(9).chain([u16::MAX]) {
            let mut out = String::new();
            push_decimal(value, &mut out);
            assert_eq!(out, value.to_string());
        }
    }
}
