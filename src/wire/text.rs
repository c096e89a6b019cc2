//! Text for machines and terminals alike: JSON strings, numbers, and a peer's bytes made fit to show.
//!
//! What is written holds no control character of any kind and no line break of any alphabet, whatever went in:
//! one line stays one line, and nobody's terminal obeys it.
//!
//! Not here: reading JSON (`json`), the lines that these make up (`report`).

/// The prefix of a masked value that is masked too, if a response was cut inside the value: shorter ones tell
/// nothing, and turn up by chance.
pub const CUT_PREFIX_BYTES_MIN: usize = 4;

const MASK: &[u8] = b"***";

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

/// Appends the peer's `bytes` as a JSON string: invalid UTF-8 replaced, and `***` in place of every value of
/// the `fields` (`Name: value\r\n`…) that went out with the request.
///
/// Values of any length are masked, the longest where several fit. Where `bytes` end inside a value, its
/// beginning is masked from [`CUT_PREFIX_BYTES_MIN`] bytes on. Of `Authorization` the credentials are masked
/// without their scheme too (RFC 9110 section 11.4): that is how they are echoed.
pub fn push_masked(out: &mut Vec<u8>, bytes: &[u8], fields: &[u8]) {
    let secrets = secrets(fields);
    out.push(b'"');
    let mut shown = 0;
    let mut at = 0;
    while at < bytes.len() && !secrets.is_empty() {
        let lengths = secrets.iter().map(|secret| overlap(&bytes[at..], secret));
        match lengths.max() {
            None | Some(0) => at += 1,
            Some(length) => {
                push_lossy(out, &bytes[shown..at]);
                out.extend_from_slice(MASK);
                at += length;
                shown = at;
            }
        }
    }
    push_lossy(out, &bytes[shown..]);
    out.push(b'"');
}

/// What must not be shown of `fields`: every value that is not empty.
fn secrets(fields: &[u8]) -> Vec<&[u8]> {
    let mut secrets = Vec::new();
    for field in fields.split(|byte| *byte == b'\n') {
        let Some(colon) = field.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let value = field[colon + 1..].trim_ascii();
        secrets.push(value);
        if field[..colon].eq_ignore_ascii_case(b"authorization")
            && let Some(scheme) = value.iter().position(|byte| *byte == b' ')
        {
            secrets.push(value[scheme..].trim_ascii());
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

/// The length of `value` if `bytes` start with it; all of `bytes` if they end inside it.
fn overlap(bytes: &[u8], value: &[u8]) -> usize {
    if bytes.len() >= value.len() {
        return if bytes.starts_with(value) {
            value.len()
        } else {
            0
        };
    }
    if bytes.len() >= CUT_PREFIX_BYTES_MIN && value.starts_with(bytes) {
        return bytes.len();
    }
    0
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
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => 'u',
            _ => continue,
        };
        out.extend_from_slice(&bytes[shown..at]);
        shown = at + c.len_utf8();
        out.push(b'\\');
        out.push(short as u8);
        if short == 'u' {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let code = c as usize;
            out.extend_from_slice(&[12, 8, 4, 0].map(|shift| HEX[code >> shift & 15]));
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

    fn masked(bytes: &[u8], fields: &[u8]) -> String {
        let mut out = Vec::new();
        push_masked(&mut out, bytes, fields);
        let out = String::from_utf8(out).expect("JSON is UTF-8");
        serde_json::from_str(&out).expect("a JSON string")
    }

    #[test]
    fn every_character_goes_there_and_back_and_none_breaks_a_line() {
        for code in (0..0x3000).chain([0xfffd, 0x1f600, 0x10ffff]) {
            let Some(c) = char::from_u32(code) else {
                continue;
            };
            let text = format!("a{c}é");
            let json = json_string(&text);
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
            let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert!(!json.contains(breaks), "{code:x}: {json:?}");
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
    fn a_response_repeats_no_value_of_a_header() {
        let fields = b"Authorization: Bearer abcdef\r\nX-Key: k1:k2\r\nX-Long: k1:k2:k3\r\nX-One: 7\r\nX-None: \r\n";
        let table: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"nothing", "nothing"),
            (b"got 'Bearer abcdef'!", "got '***'!"),
            (b"token abcdef", "token ***"),
            (b"Bearer only", "Bearer only"),
            (b"k1:k2", "***"),
            (b"k1:k2:k3k1:k2", "******"),
            (b"k1:k2:k", "***"),
            (b"a7b77", "a***b******"),
            (b"cut: Bearer abc", "cut: ***"),
            (b"cut: Bear", "cut: ***"),
            (b"cut: Bea", "cut: Bea"),
            (b"cut: abcd", "cut: ***"),
            (b"X-Key", "X-Key"),
            (b"\xffabcdef\xe6\xbc", "\u{fffd}***\u{fffd}"),
        ];
        for (bytes, expected) in table {
            assert_eq!(masked(bytes, fields), *expected);
        }
        assert_eq!(masked(b"7\x00\xc3\xa9", b""), "7\u{0}é");
    }
}
