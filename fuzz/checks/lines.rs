//! Lines out of any stream cut anywhere: the same as those of the whole text, in bounded memory.

use conduit::base::lines::{Line, LineBuffer};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let [max, sizes @ .., _] = data else { return };
    let max = usize::from(*max) % 80;
    // The first half says how the second is cut.
    let (sizes, stream) = sizes.split_at(sizes.len() / 2);
    assert_eq!(cut(max, stream, sizes), expected(max, stream));
}

/// `Err` holds the length of a line that was too long.
type Cut = Result<Vec<u8>, u64>;

fn cut(max: usize, mut stream: &[u8], sizes: &[u8]) -> Vec<Cut> {
    let mut buffer = LineBuffer::new(max);
    let mut spare = Vec::new();
    let mut lines = Vec::new();
    let mut sizes = sizes.iter();
    while !stream.is_empty() {
        let size = sizes.next().map_or(stream.len(), |size| usize::from(*size));
        let (chunk, rest) = stream.split_at(size.min(stream.len()));
        spare.extend_from_slice(chunk);
        buffer.feed(spare);
        stream = rest;
        while let Some(line) = buffer.next_line() {
            lines.push(own(line));
        }
        assert!(buffer.buffered() <= max + 1, "unfinished lines are bounded");
        spare = buffer.take_spent().unwrap_or_default();
    }
    lines.extend(buffer.finish().map(own));
    lines
}

/// The same from the whole text at once.
fn expected(max: usize, stream: &[u8]) -> Vec<Cut> {
    let text = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let last = lines.pop().filter(|last| !last.is_empty());
    lines
        .into_iter()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .chain(last)
        .map(|line| {
            if line.len() > max {
                Err(line.len() as u64)
            } else {
                Ok(line.to_vec())
            }
        })
        .collect()
}

fn own(line: Line<'_>) -> Cut {
    match line {
        Line::Whole(bytes) => Ok(bytes.to_vec()),
        Line::TooLong { bytes } => Err(bytes),
    }
}
