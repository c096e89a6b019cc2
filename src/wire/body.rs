//! Where a response body ends, and what of its bytes is content (RFC 9112 sections 6 and 7).
//!
//!   chunked:  Size --LF--> Data --size bytes--> DataEnd --CRLF--> Size
//!              \__ size 0 __> Trailer --empty line--> done
//!
//! Bytes beyond the end are never consumed: what to think of them is the caller's affair. Chunk extensions and
//! trailers are read over, each within a budget; trailers never become part of the head.
//!
//! Not here: which framing a response has (`response`), how much of a body is worth reading (the engine).

use std::fmt;

use crate::wire::response::Framing;

/// Bytes of chunk extensions in one response (F37).
pub const EXTENSION_BYTES_MAX: u32 = 16 * 1024;

/// Bytes of a trailer section (F40).
pub const TRAILER_BYTES_MAX: u32 = 8 * 1024;

/// Reads one body, cut anywhere.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

/// What one call of [`Decoder::decode`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// How many bytes of the input are used up.
    pub consumed: usize,
    /// The content among them.
    pub data: &'a [u8],
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A chunk size that is no hexadecimal number of 64 bits (F38).
    ChunkSize {
        /// The byte found.
        found: u8,
    },
    /// A chunk size beyond 64 bits (F38).
    ChunkTooLarge,
    /// A line of the chunked framing, or the data of a chunk, that does not end in CRLF (F39).
    LineEnd {
        /// The byte found.
        found: u8,
    },
    /// More than [`EXTENSION_BYTES_MAX`].
    ExtensionsTooLong,
    /// More than [`TRAILER_BYTES_MAX`].
    TrailerTooLong,
    /// The connection ended first.
    CutShort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    /// So many bytes are to come.
    Length(u64),
    UntilClose,
    Chunked {
        /// Bytes of extensions so far.
        extension_bytes: u32,
        at: Chunk,
    },
    Trailer {
        bytes: u32,
        at: TrailerLine,
    },
    /// An error was found; nothing more is read.
    Failed(BodyError),
}

/// Where in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In the size; `digits` of it were read.
    Size {
        size: u64,
        digits: u8,
    },
    /// In white space or extensions behind the size.
    Extension {
        size: u64,
    },
    /// The CR of the size line was read.
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// Before the CR behind the data.
    DataCr,
    /// Before its LF.
    DataLf,
}

/// Where in a line of the trailer section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrailerLine {
    Start,
    Inside,
    /// A CR was read; `empty`: as the line's first byte.
    Lf {
        empty: bool,
    },
}

impl Decoder {
    /// A decoder for a body with this framing.
    #[must_use]
    pub const fn new(framing: Framing) -> Decoder {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(bytes) => State::Length(bytes),
            Framing::UntilClose => State::UntilClose,
            Framing::Chunked => State::Chunked {
                extension_bytes: 0,
                at: Chunk::START,
            },
        };
        Decoder { state }
    }

    /// Reads on. To be called until all of the input is consumed or the body is done; each call makes progress.
    ///
    /// # Errors
    /// [`BodyError`]; the same again if called again.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<'a>, BodyError> {
        let mut consumed = 0;
        while let Some(byte) = input.get(consumed) {
            let rest = &input[consumed..];
            let (next, used, content) = match self.state {
                State::Done => break,
                State::Failed(error) => return Err(error),
                State::UntilClose => (State::UntilClose, rest.len(), true),
                State::Length(left) => {
                    let used = within(left, rest.len());
                    (after_length(left - used as u64), used, true)
                }
                State::Chunked {
                    extension_bytes,
                    at: Chunk::Data { left },
                } => {
                    let used = within(left, rest.len());
                    let left = left - used as u64;
                    let at = if left == 0 {
                        Chunk::DataCr
                    } else {
                        Chunk::Data { left }
                    };
                    (
                        State::Chunked {
                            extension_bytes,
                            at,
                        },
                        used,
                        true,
                    )
                }
                State::Chunked {
                    extension_bytes,
                    at,
                } => (on_framing(extension_bytes, at, *byte), 1, false),
                State::Trailer { bytes, at } => (on_trailer(bytes, at, *byte), 1, false),
            };
            self.state = next;
            consumed += used;
            if content {
                return Ok(Decoded {
                    consumed,
                    data: &rest[..used],
                });
            }
        }
        match self.state {
            State::Failed(error) => Err(error),
            _ => Ok(Decoded {
                consumed,
                data: &[],
            }),
        }
    }

    /// Whether the body is at its end.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// [`BodyError::CutShort`], unless the body was at its end or lasts until the connection does.
    pub const fn on_end(&self) -> Result<(), BodyError> {
        match self.state {
            State::Done | State::UntilClose => Ok(()),
            State::Failed(error) => Err(error),
            State::Length(_) | State::Chunked { .. } | State::Trailer { .. } => {
                Err(BodyError::CutShort)
            }
        }
    }
}

impl Chunk {
    const START: Chunk = Chunk::Size { size: 0, digits: 0 };
}

/// One byte of the framing between the data of two chunks (RFC 9112 section 7.1). Lines end in CRLF and in
/// nothing else: where two readers disagree on that, one reads a response that the other never saw.
fn on_framing(extension_bytes: u32, at: Chunk, byte: u8) -> State {
    let at = match (at, byte) {
        (Chunk::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
            if digits == 16 {
                return State::Failed(BodyError::ChunkTooLarge);
            }
            Chunk::Size {
                size: size << 4 | hex_value(byte),
                digits: digits + 1,
            }
        }
        (Chunk::Size { size, digits: 1.. }, b'\r') => Chunk::SizeLf { size },
        (Chunk::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Chunk::Extension { size },
        (Chunk::Size { .. }, b'\n') => return State::Failed(BodyError::LineEnd { found: byte }),
        (Chunk::Size { .. }, _) => return State::Failed(BodyError::ChunkSize { found: byte }),
        (Chunk::Extension { size }, b'\r') => Chunk::SizeLf { size },
        (Chunk::Extension { .. } | Chunk::DataCr, b'\n') => {
            return State::Failed(BodyError::LineEnd { found: byte });
        }
        (Chunk::Extension { size }, _) => {
            let extension_bytes = extension_bytes + 1;
            if extension_bytes > EXTENSION_BYTES_MAX {
                return State::Failed(BodyError::ExtensionsTooLong);
            }
            return State::Chunked {
                extension_bytes,
                at: Chunk::Extension { size },
            };
        }
        (Chunk::SizeLf { size: 0 }, b'\n') => {
            return State::Trailer {
                bytes: 0,
                at: TrailerLine::Start,
            };
        }
        (Chunk::SizeLf { size }, b'\n') => Chunk::Data { left: size },
        (Chunk::DataCr, b'\r') => Chunk::DataLf,
        (Chunk::DataLf, b'\n') => Chunk::START,
        (Chunk::SizeLf { .. } | Chunk::DataCr | Chunk::DataLf, _) => {
            return State::Failed(BodyError::LineEnd { found: byte });
        }
        (Chunk::Data { .. }, _) => unreachable!("data is taken as a whole"),
    };
    State::Chunked {
        extension_bytes,
        at,
    }
}

/// One byte of the trailer section (RFC 9112 section 7.1.2), which is read over.
fn on_trailer(bytes: u32, at: TrailerLine, byte: u8) -> State {
    let bytes = bytes + 1;
    if bytes > TRAILER_BYTES_MAX {
        return State::Failed(BodyError::TrailerTooLong);
    }
    let at = match (at, byte) {
        (TrailerLine::Start, b'\r') => TrailerLine::Lf { empty: true },
        (TrailerLine::Inside, b'\r') => TrailerLine::Lf { empty: false },
        (TrailerLine::Lf { empty: true }, b'\n') => return State::Done,
        (TrailerLine::Lf { empty: false }, b'\n') => TrailerLine::Start,
        (TrailerLine::Lf { .. }, _) | (_, b'\n') => {
            return State::Failed(BodyError::LineEnd { found: byte });
        }
        (TrailerLine::Start | TrailerLine::Inside, _) => TrailerLine::Inside,
    };
    State::Trailer { bytes, at }
}

const fn after_length(left: u64) -> State {
    if left == 0 {
        State::Done
    } else {
        State::Length(left)
    }
}

fn within(left: u64, len: usize) -> usize {
    usize::try_from(left).map_or(len, |left| left.min(len))
}

fn hex_value(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    })
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::ChunkSize { found } => {
                write!(
                    f,
                    "expected a hexadecimal chunk size, found '{}'",
                    found.escape_ascii()
                )
            }
            BodyError::ChunkTooLarge => f.write_str("chunk size longer than 16 digits"),
            BodyError::LineEnd { found } => {
                write!(
                    f,
                    "expected CRLF in the chunked framing, found '{}'",
                    found.escape_ascii()
                )
            }
            BodyError::ExtensionsTooLong => {
                write!(
                    f,
                    "more than {EXTENSION_BYTES_MAX} bytes of chunk extensions"
                )
            }
            BodyError::TrailerTooLong => {
                write!(f, "trailer section longer than {TRAILER_BYTES_MAX} bytes")
            }
            BodyError::CutShort => f.write_str("the connection ended before the body"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content, the bytes left over, and whether the body was done; or what was wrong.
    type Read = Result<(Vec<u8>, usize, bool), BodyError>;

    fn read(framing: Framing, pieces: &[&[u8]]) -> Read {
        let mut decoder = Decoder::new(framing);
        let (mut content, mut left_over) = (Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !decoder.is_done() {
                let decoded = decoder.decode(rest)?;
                assert!(decoded.consumed > 0, "each call makes progress");
                content.extend_from_slice(decoded.data);
                rest = &rest[decoded.consumed..];
            }
            left_over += rest.len();
        }
        Ok((content, left_over, decoder.is_done()))
    }

    /// Whole, byte by byte, and split at every index: always the same.
    fn check(framing: Framing, input: &[u8], expected: &Read) {
        assert_eq!(
            read(framing, &[input]),
            *expected,
            "{}",
            input.escape_ascii()
        );
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(
            read(framing, &bytes),
            *expected,
            "{} byte by byte",
            input.escape_ascii()
        );
        for at in 0..input.len() {
            let (first, second) = input.split_at(at);
            let read = read(framing, &[first, second]);
            assert_eq!(read, *expected, "{} split at {at}", input.escape_ascii());
        }
    }

    fn done(content: &str, left_over: usize) -> Read {
        Ok((content.into(), left_over, true))
    }

    fn open(content: &str) -> Read {
        Ok((content.into(), 0, false))
    }

    #[test]
    fn bodies_without_chunks() {
        check(Framing::Empty, b"x", &done("", 1));
        check(Framing::Length(0), b"", &done("", 0));
        check(Framing::Length(3), b"abc", &done("abc", 0));
        check(Framing::Length(3), b"abcde", &done("abc", 2)); // F47
        check(Framing::Length(4), b"abc", &open("abc"));
        check(Framing::Length(u64::MAX), b"abc", &open("abc"));
        check(Framing::UntilClose, b"abc", &open("abc"));
    }

    #[test]
    fn chunked_bodies() {
        let table: &[(&[u8], Read)] = &[
            (b"0\r\n\r\n", done("", 0)),
            (b"3\r\nabc\r\n0\r\n\r\n", done("abc", 0)),
            (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", done("abcde", 0)),
            (b"3\r\nabc\r\n0\r\n\r\nHTTP", done("abc", 4)),
            (b"A\r\n0123456789\r\n00\r\n\r\n", done("0123456789", 0)),
            (
                b"a\r\n0123456789\r\n0000000000000000\r\n\r\n",
                done("0123456789", 0),
            ),
            (b"3\r\nabc\r\n", open("abc")),
            (b"3\r\nab", open("ab")),
            (b"3\r\n\r\n\r\r\n0\r\n\r\n", done("\r\n\r", 0)),
        ];
        for (input, expected) in table {
            check(Framing::Chunked, input, expected);
        }
    }

    #[test]
    fn f37_extensions_are_read_over_within_a_budget() {
        check(
            Framing::Chunked,
            b"3;a=b;c=\"d\"\r\nabc\r\n0 ; x\r\n\r\n",
            &done("abc", 0),
        );
        let filler = "x".repeat(EXTENSION_BYTES_MAX as usize);
        let fits = format!("0;{filler}\r\n\r\n");
        assert_eq!(read(Framing::Chunked, &[fits.as_bytes()]), done("", 0));
        let many = format!("1;{filler}\r\na\r\n1;x\r\nb\r\n0\r\n\r\n");
        assert_eq!(
            read(Framing::Chunked, &[many.as_bytes()]),
            Err(BodyError::ExtensionsTooLong)
        );
    }

    #[test]
    fn f38_sizes_that_are_none() {
        let found = |found| BodyError::ChunkSize { found };
        let table: &[(&[u8], BodyError)] = &[
            (b"\r\nabc", found(b'\r')),
            (b"-1\r\n", found(b'-')),
            (b"+1\r\n", found(b'+')),
            (b" 1\r\n", found(b' ')),
            (b"0x5\r\n", found(b'x')),
            (b"5_0\r\n", found(b'_')),
            (b"g\r\n", found(b'g')),
            (b";x\r\n", found(b';')),
            (b"10000000000000000\r\n", BodyError::ChunkTooLarge),
            (b"00000000000000001\r\n", BodyError::ChunkTooLarge),
        ];
        for (input, error) in table {
            check(Framing::Chunked, input, &Err(*error));
        }
        check(Framing::Chunked, b"ffffffffffffffff\r\nabc", &open("abc"));
    }

    #[test]
    fn f39_lines_end_in_crlf_only() {
        let found = |found| BodyError::LineEnd { found };
        let table: &[(&[u8], BodyError)] = &[
            (b"3\nabc\r\n", found(b'\n')),
            (b"3;x\nabc\r\n", found(b'\n')),
            (b"3\rabc", found(b'a')),
            (b"3\r\nabcd", found(b'd')),
            (b"3\r\nabc\n", found(b'\n')),
            (b"3\r\nabc\r0", found(b'0')),
            (b"0\r\n\n", found(b'\n')),
            (b"0\r\nA: b\n", found(b'\n')),
            (b"0\r\n\rx", found(b'x')),
        ];
        for (input, error) in table {
            check(Framing::Chunked, input, &Err(*error));
        }
    }

    #[test]
    fn f40_trailers_are_read_over_within_a_budget() {
        let input = b"1\r\na\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(Framing::Chunked, input, &done("a", 0));
        let filler = "x".repeat(TRAILER_BYTES_MAX as usize - 4);
        let fits = format!("0\r\n{filler}\r\n\r\n");
        assert_eq!(read(Framing::Chunked, &[fits.as_bytes()]), done("", 0));
        let long = format!("0\r\nx{filler}\r\n\r\n");
        assert_eq!(
            read(Framing::Chunked, &[long.as_bytes()]),
            Err(BodyError::TrailerTooLong)
        );
    }

    #[test]
    fn the_end_of_the_connection_ends_few_bodies() {
        let end_after = |framing, bytes: &[u8]| {
            let mut decoder = Decoder::new(framing);
            for byte in bytes.chunks(1) {
                decoder.decode(byte).expect("these are right so far");
            }
            decoder.on_end()
        };
        assert_eq!(end_after(Framing::UntilClose, b"abc"), Ok(()));
        assert_eq!(end_after(Framing::Length(3), b"abc"), Ok(()));
        assert_eq!(
            end_after(Framing::Length(4), b"abc"),
            Err(BodyError::CutShort)
        );
        assert_eq!(
            end_after(Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\n"),
            Ok(())
        );
        for cut in ["", "3", "3\r\nabc", "3\r\nabc\r\n", "0\r\n", "0\r\n\r"] {
            let end = end_after(Framing::Chunked, cut.as_bytes());
            assert_eq!(end, Err(BodyError::CutShort), "{cut:?}");
        }
    }
}
