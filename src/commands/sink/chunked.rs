//! The chunked coding of a request body, taken off byte by byte (RFC 9112 section 7.1).
//!
//!   Size --CRLF--> Data --all read--> DataCr --> DataLf --> Size ...
//!     \--CRLF, size 0--> Trailer --empty line--> done
//!
//! Strict: a line ends in CRLF, a size is hexadecimal digits, extensions and trailers are skipped within
//! [`LINE_BYTES_MAX`]. The sender under test has a decoder of its own (for responses); this one is apart on
//! purpose, so that a mistake in the one is not agreed with by the other.
//!
//! Not here: how long a body may be (`request`).

/// The longest size line with its extensions, and the longest trailer section.
pub(super) const LINE_BYTES_MAX: usize = 8192;

/// Where in a chunked body the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    place: Place,
    /// Bytes of the current size line or of the trailer section so far.
    line_bytes: usize,
}

/// What the next bytes of a chunked body are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Content.
    Data(&'a [u8]),
    /// The last byte of the body has been read.
    End,
    /// All input is used; the body goes on.
    More,
}

/// This is not the chunked coding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerLine,
    TrailerLf,
    LastLf,
}

impl Chunked {
    /// At the start of a body.
    pub(super) const fn new() -> Chunked {
        Chunked {
            place: Place::SIZE,
            line_bytes: 0,
        }
    }

    /// Takes the next piece off the front of `input`.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, Malformed> {
        loop {
            if let Place::Data { left } = self.place {
                return Ok(self.data(left, input));
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(Piece::More);
            };
            *input = rest;
            if self.place == Place::LastLf {
                return if byte == b'\n' {
                    Ok(Piece::End)
                } else {
                    Err(Malformed)
                };
            }
            self.place = self.step(byte)?;
        }
    }

    fn data<'a>(&mut self, left: u64, input: &mut &'a [u8]) -> Piece<'a> {
        if input.is_empty() {
            return Piece::More;
        }
        let take = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let (data, rest) = input.split_at(take);
        *input = rest;
        let left = left - take as u64;
        self.place = if left == 0 {
            Place::DataCr
        } else {
            Place::Data { left }
        };
        Piece::Data(data)
    }

    fn step(&mut self, byte: u8) -> Result<Place, Malformed> {
        self.line_bytes += 1;
        if self.line_bytes > LINE_BYTES_MAX {
            return Err(Malformed);
        }
        match (self.place, byte) {
            (Place::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).ok_or(Malformed)?;
                if digits == 16 {
                    return Err(Malformed);
                }
                Ok(Place::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                })
            }
            (Place::Size { digits: 0, .. }, _) => Err(Malformed),
            (Place::Size { size, .. } | Place::Extension { size }, b'\r') => {
                Ok(Place::SizeLf { size })
            }
            (Place::Size { size, .. }, b';' | b' ' | b'\t') => Ok(Place::Extension { size }),
            (Place::Size { .. }, _) => Err(Malformed),
            (Place::Extension { size }, _) if !is_control(byte) => Ok(Place::Extension { size }),
            (Place::SizeLf { size: 0 }, b'\n') => {
                self.line_bytes = 0;
                Ok(Place::TrailerStart)
            }
            (Place::SizeLf { size }, b'\n') => {
                self.line_bytes = 0;
                Ok(Place::Data { left: size })
            }
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => {
                self.line_bytes = 0;
                Ok(Place::SIZE)
            }
            (Place::TrailerStart, b'\r') => Ok(Place::LastLf),
            (Place::TrailerLine, b'\r') => Ok(Place::TrailerLf),
            (Place::TrailerStart | Place::TrailerLine, _) if !is_control(byte) => {
                Ok(Place::TrailerLine)
            }
            (Place::TrailerLf, b'\n') => Ok(Place::TrailerStart),
            (
                Place::Extension { .. }
                | Place::SizeLf { .. }
                | Place::Data { .. }
                | Place::DataCr
                | Place::DataLf
                | Place::TrailerStart
                | Place::TrailerLine
                | Place::TrailerLf
                | Place::LastLf,
                _,
            ) => Err(Malformed),
        }
    }
}

impl Place {
    const SIZE: Place = Place::Size { size: 0, digits: 0 };
}

/// Whether no text of a line may hold this byte (RFC 9110 section 5.5: tab is allowed).
const fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content, and what follows the body; `None` if it goes on.
    type Decoded = Result<Option<(Vec<u8>, Vec<u8>)>, Malformed>;

    fn decode(pieces: &[&[u8]]) -> Decoded {
        let mut chunked = Chunked::new();
        let mut content = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let mut input = *piece;
            loop {
                match chunked.next(&mut input)? {
                    Piece::Data(data) => content.extend_from_slice(data),
                    Piece::More => break,
                    Piece::End => {
                        let mut rest = input.to_vec();
                        rest.extend(pieces[index + 1..].concat());
                        return Ok(Some((content, rest)));
                    }
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn every_split_gives_the_same_content() {
        let done = |content: &str, rest: &str| Ok(Some((content.into(), rest.into())));
        let cases: [(&str, Decoded); 19] = [
            ("0\r\n\r\n", done("", "")),
            ("3\r\nabc\r\n0\r\n\r\n", done("abc", "")),
            ("3\r\nabc\r\n0\r\n\r\nPOST", done("abc", "POST")),
            (
                "A\r\n0123456789\r\n1\r\n\n\r\n00\r\n\r\n",
                done("0123456789\n", ""),
            ),
            ("2;a=b;c=\"d e\"\r\nhi\r\n0;x\r\n\r\n", done("hi", "")),
            ("2 \r\nhi\r\n0\r\n\r\n", done("hi", "")),
            ("0\r\nX-A: b\r\nX-C:\td\r\n\r\n", done("", "")),
            ("3\r\nab", Ok(None)),
            ("0\r\n", Ok(None)),
            ("\r\n", Err(Malformed)),
            ("g\r\n", Err(Malformed)),
            ("+3\r\nabc\r\n", Err(Malformed)),
            ("0x3\r\nabc\r\n", Err(Malformed)),
            ("3\nabc\r\n", Err(Malformed)),
            ("3\r\nabcd\r\n", Err(Malformed)),
            ("3\r\nabc\n0\r\n\r\n", Err(Malformed)),
            ("3;\nabc\r\n", Err(Malformed)),
            ("0\r\nX: a\nb\r\n\r\n", Err(Malformed)),
            ("11111111111111111\r\n", Err(Malformed)),
        ];
        for (text, expected) in cases {
            let bytes = text.as_bytes();
            assert_eq!(decode(&[bytes]), expected, "{text:?} whole");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(&single), expected, "{text:?} byte by byte");
            for at in 0..=bytes.len() {
                let (front, back) = bytes.split_at(at);
                assert_eq!(decode(&[front, back]), expected, "{text:?} at {at}");
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extension = format!("1;{}", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(decode(&[extension.as_bytes()]), Err(Malformed));
        let trailers = format!("0\r\n{}", "X: y\r\n".repeat(LINE_BYTES_MAX / 6 + 1));
        assert_eq!(decode(&[trailers.as_bytes()]), Err(Malformed));
    }
}
