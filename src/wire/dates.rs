//! Dates as text: the three forms that HTTP knows, read and written, and RFC 3339 for logs.
//!
//! Reading is strict: case, zeros and spaces as the grammar has them (RFC 9110 section 5.6.7), every number in
//! its range. The name of the day must be one, but need not be the date's own. What lies outside [`Wall`]
//! (before 1970, after 2554) becomes its nearest end.
//!
//! Not here: reading the clock (`io/clock`), points in time as such (`base/time`).

use crate::base::time::Wall;

/// Two-digit years from this one on are of the 1900s, the others of the 2000s. The RFC's rule (no more than 50
/// years ahead) needs a clock, and differs from this one only for dates decades away.
const PIVOT_YEAR: u64 = 70;

const SECONDS_PER_DAY: u64 = 86_400;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const LONG_DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads an HTTP-date: `Sun, 06 Nov 1994 08:49:37 GMT`, or the two forms of old: `Sunday, 06-Nov-94 08:49:37
/// GMT` and `Sun Nov  6 08:49:37 1994`.
#[must_use]
pub fn parse_http_date(text: &[u8]) -> Option<Wall> {
    let mut cursor = Cursor(text);
    let date = if text.get(3) == Some(&b',') {
        imf_fixdate(&mut cursor)
    } else if text.get(3) == Some(&b' ') {
        asctime(&mut cursor)
    } else {
        rfc_850(&mut cursor)
    }?;
    if !cursor.0.is_empty() {
        return None;
    }
    date.to_wall()
}

/// Appends `Sun, 06 Nov 1994 08:49:37 GMT`, rounded down to the second.
pub fn write_imf_fixdate(wall: Wall, out: &mut String) {
    let civil = Civil::from_wall(wall);
    // 1970-01-01 was a Thursday.
    let weekday = (wall.unix_seconds() / SECONDS_PER_DAY + 3) % 7;
    out.push_str(DAYS[weekday as usize]);
    out.push_str(", ");
    push_digits(civil.day, 2, out);
    out.push(' ');
    out.push_str(MONTHS[civil.month as usize - 1]);
    out.push(' ');
    push_digits(civil.year, 4, out);
    out.push(' ');
    civil.push_time(out);
    out.push_str(" GMT");
}

/// Appends `1994-11-06T08:49:37.000Z` (RFC 3339), rounded down to the millisecond.
pub fn write_rfc3339_millis(wall: Wall, out: &mut String) {
    let civil = Civil::from_wall(wall);
    push_digits(civil.year, 4, out);
    out.push('-');
    push_digits(civil.month, 2, out);
    out.push('-');
    push_digits(civil.day, 2, out);
    out.push('T');
    civil.push_time(out);
    out.push('.');
    push_digits(wall.unix_millis() % 1000, 3, out);
    out.push('Z');
}

/// A date and time of day, in UTC.
struct Civil {
    year: u64,
    /// 1 to 12.
    month: u64,
    /// From 1.
    day: u64,
    hour: u64,
    minute: u64,
    /// 60 in a leap second.
    second: u64,
}

impl Civil {
    /// `None` if there is no such date or time.
    fn to_wall(&self) -> Option<Wall> {
        if !(1..=days_in_month(self.year, self.month)).contains(&self.day)
            || self.hour > 23
            || self.minute > 59
            || self.second > 60
        {
            return None;
        }
        let Some(days) = days_since_epoch(self.year, self.month, self.day) else {
            return Some(Wall::default());
        };
        let seconds = days * SECONDS_PER_DAY + self.hour * 3600 + self.minute * 60 + self.second;
        Some(Wall::from_unix_seconds(seconds))
    }

    fn from_wall(wall: Wall) -> Civil {
        let seconds = wall.unix_seconds();
        let (year, month, day) = date_of_day(seconds / SECONDS_PER_DAY);
        Civil {
            year,
            month,
            day,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }

    fn push_time(&self, out: &mut String) {
        push_digits(self.hour, 2, out);
        out.push(':');
        push_digits(self.minute, 2, out);
        out.push(':');
        push_digits(self.second, 2, out);
    }
}

fn imf_fixdate(cursor: &mut Cursor<'_>) -> Option<Civil> {
    cursor.one_of(&DAYS)?;
    cursor.literal(", ")?;
    let day = cursor.digits(2)?;
    cursor.literal(" ")?;
    let month = cursor.one_of(&MONTHS)?;
    cursor.literal(" ")?;
    let year = cursor.digits(4)?;
    cursor.literal(" ")?;
    let (hour, minute, second) = cursor.time()?;
    cursor.literal(" GMT")?;
    Some(Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    })
}

fn rfc_850(cursor: &mut Cursor<'_>) -> Option<Civil> {
    cursor.one_of(&LONG_DAYS)?;
    cursor.literal(", ")?;
    let day = cursor.digits(2)?;
    cursor.literal("-")?;
    let month = cursor.one_of(&MONTHS)?;
    cursor.literal("-")?;
    let year = match cursor.digits(2)? {
        year @ PIVOT_YEAR.. => 1900 + year,
        year => 2000 + year,
    };
    cursor.literal(" ")?;
    let (hour, minute, second) = cursor.time()?;
    cursor.literal(" GMT")?;
    Some(Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    })
}

fn asctime(cursor: &mut Cursor<'_>) -> Option<Civil> {
    cursor.one_of(&DAYS)?;
    cursor.literal(" ")?;
    let month = cursor.one_of(&MONTHS)?;
    cursor.literal(" ")?;
    let day = match cursor.literal(" ") {
        Some(()) => cursor.digits(1)?,
        None => cursor.digits(2)?,
    };
    cursor.literal(" ")?;
    let (hour, minute, second) = cursor.time()?;
    cursor.literal(" ")?;
    let year = cursor.digits(4)?;
    Some(Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    })
}

/// What has not been read yet; a failed reading takes nothing.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn literal(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected.as_bytes())?;
        Some(())
    }

    /// Gives the name's number, from 1.
    fn one_of(&mut self, names: &[&str]) -> Option<u64> {
        (1..).zip(names).find_map(|(number, name)| {
            self.literal(name)?;
            Some(number)
        })
    }

    fn digits(&mut self, count: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
        }
        self.0 = rest;
        Some(number)
    }

    fn time(&mut self) -> Option<(u64, u64, u64)> {
        let hour = self.digits(2)?;
        self.literal(":")?;
        let minute = self.digits(2)?;
        self.literal(":")?;
        Some((hour, minute, self.digits(2)?))
    }
}

const fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && !year.is_multiple_of(100)
            || month == 2 && year.is_multiple_of(400) =>
        {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;

/// From 0000-03-01 to 1970-01-01.
const EPOCH_DAY: u64 = 719_468;

/// The days from 1970-01-01 to a date of the Gregorian calendar; `None` before that. Years are taken to begin
/// in March, so that the leap day is the last: then the days before a month are (153 m + 2) / 5.
const fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * DAYS_PER_ERA + day_of_era).checked_sub(EPOCH_DAY)
}

/// The inverse of [`days_since_epoch`]: year, month, day.
const fn date_of_day(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_DAY;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

/// The last `count` digits of `number`.
fn push_digits(number: u64, count: u32, out: &mut String) {
    for place in (0..count).rev() {
        let digit = number / 10_u64.pow(place) % 10;
        out.push(char::from(b'0' + digit as u8));
    }
}
