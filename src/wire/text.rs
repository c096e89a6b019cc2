//! Text for machines and terminals alike: JSON strings, numbers, and a peer's bytes made fit to show.
//!
//! What is written holds no control character of any kind, no line break of any alphabet and nothing that turns or
//! hides what stands beside it, whatever went in: one line stays one line, and nobody's terminal or eye obeys it.
//!
//! Not here: reading JSON (`json`), the lines that these make up (`report`), what is masked in them (`masks`).

/// Whether a character steers what shows it instead of being shown: controls (C0, DEL, C1), line and paragraph
/// separators, those of bidirectional text, of zero width, of annotations, and tags.
#[must_use]
pub const fn steers(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// A character as JSON writes those that are not to be shown: `\u001b`, beyond U+FFFF in two parts.
pub fn escape_steering(c: char, mut push: impl FnMut(&str)) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for unit in c.encode_utf16(&mut [0; 2]) {
        let digits = [12, 8, 4, 0].map(|shift| HEX[usize::from(*unit >> shift & 15)]);
        push("\\u");
        push(std::str::from_utf8(&digits).expect("digits are ASCII"));
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends a whole number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a peer's `bytes` as a JSON string, invalid UTF-8 replaced.
pub fn push_json_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    push_lossy(out, bytes);
    out.push(b'"');
}

fn push_lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        push_escaped(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    let mut shown = 0;
    for (at, c) in text.char_indices() {
        let short = match c {
            '"' | '\\' => c,
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            c if steers(c) => 'u',
            _ => continue,
        };
        out.extend_from_slice(&bytes[shown..at]);
        shown = at + c.len_utf8();
        match short {
            'u' => escape_steering(c, |part| out.extend_from_slice(part.as_bytes())),
            short => out.extend_from_slice(&[b'\\', short as u8]),
        }
    }
    out.extend_from_slice(&bytes[shown..]);
}

/// Whether it stands in a JSON string as it is: visible ASCII and spaces, no quote, no backslash. Written so
/// that the compiler tests many bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| {
        plain & (*byte >= b' ') & (*byte < 0x7f) & (*byte != b'"') & (*byte != b'\\')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_string(text: &str) -> String {
        let mut out = Vec::new();
        push_json_string(&mut out, text);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn every_character_goes_there_and_back_and_none_breaks_a_line() {
        for code in (0..0x3000).chain([0xfeff, 0xfffa, 0xfffd, 0x1f600, 0xe0041, 0x10ffff]) {
            let Some(c) = char::from_u32(code) else {
                continue;
            };
            let text = format!("a{c}é");
            let json = json_string(&text);
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
            let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert!(!json.contains(breaks), "{code:x}: {json:?}");
            assert!(!json.contains(steers), "{code:x}: {json:?}");
        }
    }

    #[test]
    fn escapes_are_short() {
        for (text, json) in [
            ("", "\"\""),
            ("plain ~", "\"plain ~\""),
            ("\"\\/\n\r\t", r#""\"\\/\n\r\t""#),
            (
                "\u{0}\u{1b}\u{7f}\u{9b}\u{a0}\u{2028}",
                "\"\\u0000\\u001b\\u007f\\u009b\u{a0}\\u2028\"",
            ),
            (
                "\u{200b}\u{202e}\u{2066}\u{feff}\u{e0041}\u{1f600}",
                "\"\\u200b\\u202e\\u2066\\ufeff\\udb40\\udc41\u{1f600}\"",
            ),
        ] {
            assert_eq!(json_string(text), json);
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 204, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8_lossy(&out), number.to_string());
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        for (bytes, json) in [
            (&b""[..], "\"\""),
            (b"\xff\"\xe6\xbc", "\"\u{fffd}\\\"\u{fffd}\""),
            (b"7\x00\xc3\xa9", "\"7\\u0000é\""),
        ] {
            let mut out = Vec::new();
            push_json_bytes(&mut out, bytes);
            assert_eq!(String::from_utf8_lossy(&out), json);
        }
    }
}
