//! A scanner over one line of JSON (RFC 8259): says whether all of it is JSON, and where the members of its
//! object stand.
//!
//! Values are handed out verbatim, as slices of the line, and nothing below the first level is kept: a payload
//! is walked once, most of it eight bytes at a time, and never rebuilt. Nesting is counted in a word of bits
//! instead of on the call stack, so no line can exhaust it. Lone surrogates in `\u` escapes, repeated keys and
//! numbers of any size pass: they are well-formed JSON, and whoever reads the value decides.
//!
//! Not here: UTF-8 (a `&str` comes in), what the members mean (`job_line`), writing JSON (`report`).

use std::borrow::Cow;
use std::fmt;

/// Levels of objects and arrays that a line may have, the outermost included.
pub const DEPTH_MAX: u32 = u128::BITS;

/// The members of one object, in their order.
#[derive(Debug)]
pub struct Members<'a> {
    scanner: Scanner<'a>,
    state: State,
}

/// The elements of one array, in their order.
#[derive(Debug)]
pub struct Elements<'a> {
    scanner: Scanner<'a>,
    state: State,
}

/// One member of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key as it stood, with its quotes and escapes.
    pub key: &'a str,
    /// The value as it stood, without the white space around it.
    pub value: &'a str,
}

/// What kind of value a piece of JSON is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// `-1.5e3`
    Number,
    /// `true` or `false`
    Boolean,
    /// `null`
    Null,
}

/// Why and where a line is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The byte that is wrong, counted from 1; one past the last where the line ends too early.
    pub column: usize,
    /// The character there; `None` at the end of the line.
    pub found: Option<char>,
    /// What could have stood there instead.
    pub expected: &'static str,
}

/// Checks that `text` is exactly one JSON value, with white space around it or not.
pub fn check(text: &str) -> Result<(), Error> {
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    scanner.skip_value(0)?;
    scanner.expect_end()
}

/// The string that `raw`, a checked JSON string with its quotes, stands for.
///
/// Borrows where there is no escape. A lone surrogate is an error: it stands for no character.
pub fn unescape(raw: &str) -> Result<Cow<'_, str>, LoneSurrogate> {
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .expect("the scanner hands strings out with both quotes");
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw)
        .map(Cow::Owned)
        .map_err(|_| LoneSurrogate)
}

/// Half of a surrogate pair without its other half, in a `\u` escape (RFC 8259 section 8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoneSurrogate;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    BeforeFirst,
    AfterMember,
    AfterLast,
}

#[derive(Debug)]
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// The objects (1) and arrays (0) around the scanner, the innermost in the lowest bit.
#[derive(Clone, Copy, Debug)]
struct Nesting {
    bits: u128,
    depth: u32,
}

/// What stands before the next value's first byte, or after the last value's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Value,
    Separator,
}

impl<'a> Members<'a> {
    /// The members of the object that `text` is expected to be.
    #[must_use]
    pub const fn new(text: &'a str) -> Members<'a> {
        Members {
            scanner: Scanner::new(text),
            state: State::BeforeFirst,
        }
    }

    /// The next member. `Ok(None)` says that the object ended and nothing but white space follows it, so all
    /// of the text has been checked. Not to be called again after an error.
    pub fn next_member(&mut self) -> Result<Option<Member<'a>>, Error> {
        let scanner = &mut self.scanner;
        scanner.skip_space();
        match self.state {
            State::BeforeFirst => {
                scanner.expect(b'{', "an object, '{'")?;
                scanner.skip_space();
                if scanner.peek() == Some(b'}') {
                    return self.end();
                }
            }
            State::AfterMember => match scanner.peek() {
                Some(b',') => {
                    scanner.at += 1;
                    scanner.skip_space();
                }
                Some(b'}') => return self.end(),
                _ => return Err(scanner.error("',' or '}'")),
            },
            State::AfterLast => return Ok(None),
        }
        let scanner = &mut self.scanner;
        let key = scanner.key()?;
        let start = scanner.at;
        scanner.skip_value(1)?;
        self.state = State::AfterMember;
        Ok(Some(Member {
            key,
            value: &scanner.text[start..scanner.at],
        }))
    }

    fn end(&mut self) -> Result<Option<Member<'a>>, Error> {
        self.scanner.at += 1;
        self.state = State::AfterLast;
        self.scanner.expect_end()?;
        Ok(None)
    }
}

impl<'a> Elements<'a> {
    /// The elements of the array that `text` is expected to be.
    #[must_use]
    pub const fn new(text: &'a str) -> Elements<'a> {
        Elements {
            scanner: Scanner::new(text),
            state: State::BeforeFirst,
        }
    }

    /// The next element as it stood, without the white space around it. `Ok(None)` says that the array ended and
    /// nothing but white space follows it. Not to be called again after an error.
    pub fn next_element(&mut self) -> Result<Option<&'a str>, Error> {
        let scanner = &mut self.scanner;
        scanner.skip_space();
        match self.state {
            State::BeforeFirst => {
                scanner.expect(b'[', "an array, '['")?;
                scanner.skip_space();
                if scanner.peek() == Some(b']') {
                    return self.end();
                }
            }
            State::AfterMember => match scanner.peek() {
                Some(b',') => {
                    scanner.at += 1;
                    scanner.skip_space();
                }
                Some(b']') => return self.end(),
                _ => return Err(scanner.error("',' or ']'")),
            },
            State::AfterLast => return Ok(None),
        }
        let scanner = &mut self.scanner;
        let start = scanner.at;
        scanner.skip_value(1)?;
        self.state = State::AfterMember;
        Ok(Some(&scanner.text[start..scanner.at]))
    }

    fn end(&mut self) -> Result<Option<&'a str>, Error> {
        self.scanner.at += 1;
        self.state = State::AfterLast;
        self.scanner.expect_end()?;
        Ok(None)
    }
}

impl Kind {
    /// The kind of a checked value, by its first byte.
    ///
    /// # Panics
    /// If `raw` is no value of [`Members`].
    #[must_use]
    pub fn of(raw: &str) -> Kind {
        match raw.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => panic!("a checked value starts like one"),
        }
    }

    /// With its article, for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Boolean => "a boolean",
            Kind::Null => "null",
        }
    }
}

impl<'a> Scanner<'a> {
    const fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Error> {
        if self.peek() != Some(byte) {
            return Err(self.error(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn expect_end(&mut self) -> Result<(), Error> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("the end of the line")),
        }
    }

    /// Stands on a key; goes to its value's first byte.
    #[inline]
    fn key(&mut self) -> Result<&'a str, Error> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.error("a key, '\"'"));
        }
        self.skip_string()?;
        let key = &self.text[start..self.at];
        self.skip_space();
        self.expect(b':', "':'")?;
        self.skip_space();
        Ok(key)
    }

    /// Stands on a value's first byte, inside `depth` objects or arrays; goes past its last.
    fn skip_value(&mut self, depth: u32) -> Result<(), Error> {
        let mut nesting = Nesting { bits: 0, depth };
        let mut next = Next::Value;
        loop {
            next = match next {
                Next::Value => self.begin_value(&mut nesting)?,
                Next::Separator if nesting.depth == depth => return Ok(()),
                Next::Separator => self.end_value(&mut nesting)?,
            };
        }
    }

    /// A value, if it is a scalar; its opening, if it is not.
    #[inline]
    fn begin_value(&mut self, nesting: &mut Nesting) -> Result<Next, Error> {
        match self.peek() {
            Some(b'"') => self.skip_string()?,
            Some(b'{') => return self.open(nesting, true),
            Some(b'[') => return self.open(nesting, false),
            Some(b'-' | b'0'..=b'9') => self.skip_number()?,
            Some(b't') => self.skip_word(b"true")?,
            Some(b'f') => self.skip_word(b"false")?,
            Some(b'n') => self.skip_word(b"null")?,
            _ => return Err(self.error("a value")),
        }
        Ok(Next::Separator)
    }

    /// What follows a value inside an object or array.
    #[inline]
    fn end_value(&mut self, nesting: &mut Nesting) -> Result<Next, Error> {
        self.skip_space();
        let in_object = nesting.bits & 1 == 1;
        match (self.peek(), in_object) {
            (Some(b','), true) => {
                self.at += 1;
                self.skip_space();
                self.key()?;
                Ok(Next::Value)
            }
            (Some(b','), false) => {
                self.at += 1;
                self.skip_space();
                Ok(Next::Value)
            }
            (Some(b'}'), true) | (Some(b']'), false) => Ok(self.close(nesting)),
            (_, true) => Err(self.error("',' or '}'")),
            (_, false) => Err(self.error("',' or ']'")),
        }
    }

    fn open(&mut self, nesting: &mut Nesting, object: bool) -> Result<Next, Error> {
        if nesting.depth == DEPTH_MAX {
            return Err(self.error("at most 128 levels of objects and arrays"));
        }
        nesting.depth += 1;
        nesting.bits = nesting.bits << 1 | u128::from(object);
        self.at += 1;
        self.skip_space();
        match (self.peek(), object) {
            (Some(b'}'), true) | (Some(b']'), false) => Ok(self.close(nesting)),
            (_, true) => self.key().map(|_| Next::Value),
            (_, false) => Ok(Next::Value),
        }
    }

    fn close(&mut self, nesting: &mut Nesting) -> Next {
        nesting.depth -= 1;
        nesting.bits >>= 1;
        self.at += 1;
        Next::Separator
    }

    /// Stands on the opening quote; goes past the closing one.
    #[inline]
    fn skip_string(&mut self) -> Result<(), Error> {
        self.at += 1;
        loop {
            self.at += plain_prefix(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.skip_escape()?,
                Some(_) => return Err(self.error("no control character in a string")),
                None => return Err(self.error("'\"' at the end of the string")),
            }
        }
    }

    fn skip_escape(&mut self) -> Result<(), Error> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    match self.peek() {
                        Some(byte) if byte.is_ascii_hexdigit() => self.at += 1,
                        _ => return Err(self.error("four hexadecimal digits after \\u")),
                    }
                }
            }
            _ => return Err(self.error("one of \" \\ / b f n r t u after a backslash")),
        }
        Ok(())
    }

    fn skip_number(&mut self) -> Result<(), Error> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.skip_digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    /// At least one.
    fn skip_digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error("a digit"));
        }
        Ok(())
    }

    fn skip_word(&mut self, word: &'static [u8]) -> Result<(), Error> {
        for byte in word {
            self.expect(*byte, "true, false or null")?;
        }
        Ok(())
    }

    #[cold]
    fn error(&self, expected: &'static str) -> Error {
        Error {
            column: self.at + 1,
            // Every byte before this one was consumed as ASCII or as a whole character of a string.
            found: self
                .text
                .get(self.at..)
                .and_then(|rest| rest.chars().next()),
            expected,
        }
    }
}

/// How many bytes stand before the first quote, backslash or control character.
///
/// Eight at a time. In each test below a borrow can only mark bytes above a true one, so the lowest mark of a
/// little-endian word is exact.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const QUOTES: u64 = ONES * b'"' as u64;
    const BACKSLASHES: u64 = ONES * b'\\' as u64;
    const SPACES: u64 = ONES * b' ' as u64;
    let mut at = 0;
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ QUOTES;
        let backslash = word ^ BACKSLASHES;
        let marks = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(SPACES) & !word);
        if marks & HIGHS != 0 {
            return at + (marks & HIGHS).trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + tail
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
        .unwrap_or(tail.len())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "column {}: expected {}, found ",
            self.column, self.expected
        )?;
        match self.found {
            None => f.write_str("the end of the line"),
            Some(found) if found.is_control() => {
                write!(f, "control character U+{:04X}", found as u32)
            }
            Some(found) => write!(f, "'{found}'"),
        }
    }
}

#[cfg(test)]
mod tests;
