//! Dates: never a panic, and what is written reads back.

use conduit::base::time::Wall;
use conduit::wire::dates::{parse_http_date, write_imf_fixdate, write_rfc3339_millis};

/// 9999-12-31T23:59:59Z: the last second that has four digits for its year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    if let Some(date) = parse_http_date(data) {
        assert!(date.unix_seconds() <= LAST_SECOND);
    }
    let Some(bytes) = data.first_chunk::<8>() else {
        return;
    };
    let seconds = u64::from_le_bytes(*bytes) % (LAST_SECOND.min(u64::MAX / 1_000_000_000) + 1);
    let date = Wall::from_unix_seconds(seconds);
    let mut written = String::new();
    write_imf_fixdate(date, &mut written);
    assert_eq!(parse_http_date(written.as_bytes()), Some(date), "{written}");
    let mut stamp = String::new();
    write_rfc3339_millis(date, &mut stamp);
    assert!(
        stamp.ends_with(".000Z") && stamp.len() == "2026-11-24T04:35:01.123Z".len(),
        "{stamp}"
    );
}
