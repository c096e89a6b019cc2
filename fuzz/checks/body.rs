//! Bodies: cut anywhere, the same content, the same bytes left over, the same error.

use conduit::wire::body::{BodyError, Decoder};
use conduit::wire::response::Framing;

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let [kind, size, input @ ..] = data else {
        return;
    };
    let framing = match kind % 4 {
        0 => Framing::Empty,
        1 => Framing::Length(u64::from(*size)),
        2 => Framing::UntilClose,
        _ => Framing::Chunked,
    };
    let whole = read(framing, input.chunks(input.len().max(1)));
    let step = usize::from(*size).max(1);
    assert_eq!(read(framing, input.chunks(1)), whole);
    assert_eq!(read(framing, input.chunks(step)), whole);
    if let Ok(read) = whole {
        assert!(read.content.len() + read.left_over <= input.len());
    }
}

#[derive(Debug, PartialEq)]
struct Read {
    content: Vec<u8>,
    left_over: usize,
    is_done: bool,
    end: Result<(), BodyError>,
}

fn read<'a>(framing: Framing, pieces: impl Iterator<Item = &'a [u8]>) -> Result<Read, BodyError> {
    let mut decoder = Decoder::new(framing);
    let (mut content, mut left_over) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = piece;
        while !rest.is_empty() && !decoder.is_done() {
            let decoded = decoder.decode(rest)?;
            assert!(decoded.consumed > 0 && decoded.consumed <= rest.len());
            content.extend_from_slice(decoded.data);
            rest = &rest[decoded.consumed..];
        }
        left_over += rest.len();
    }
    Ok(Read {
        content,
        left_over,
        is_done: decoder.is_done(),
        end: decoder.on_end(),
    })
}
