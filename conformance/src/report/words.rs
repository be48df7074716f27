//! Words and signs that several forms of a report share.

use squall_scenarios::{
    timing::{Punctuality, Timing},
    verdict::Verdict,
};

/// One sign for each verdict, so that no colour is needed to tell them apart.
pub const fn glyph(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Warn => "!",
        Verdict::Fail => "✗",
        Verdict::Inconclusive => "?",
        Verdict::Unsupported => "–",
        Verdict::Untested => "·",
    }
}

/// A moment as people write it.
pub fn date(unix: u64) -> String {
    let (year, month, day) = calendar(unix / 86_400);
    let second = unix % 86_400;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

/// The day of a moment: `2027-01-15`. Days compare as their text does.
pub fn day(unix: u64) -> String {
    let (year, month, day) = calendar(unix / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

fn calendar(days: u64) -> (u64, u64, u64) {
    // Days since 1 March of the year 0, so that a leap day ends a year; 400 years have 146 097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
}

/// A test's name as a sentence.
pub fn sentence(name: &str) -> String {
    name.replace('_', " ")
}

/// What a reason says was expected, and what was seen instead. The second is the whole reason where it does not say.
pub fn expected_and_seen(reason: &str) -> (Option<&str>, &str) {
    // Of several cases only the first would be split, and the others would stand on the wrong side.
    if reason.contains("; ") {
        return (None, reason);
    }
    let Some((_, rest)) = reason.split_once("expected ") else { return (None, reason) };
    for border in [", but ", ", got ", ", seen ", ", it ", ", still "] {
        if let Some((expected, seen)) = rest.split_once(border) {
            return (Some(expected), seen);
        }
    }
    (None, reason)
}

/// `the will: due 2.000 s after the end of the connection, came 3.412 s after it: late (4.000 s at most)`.
pub fn timing(timing: &Timing) -> String {
    let second = |us: u64| format!("{:.3} s", us as f64 / 1e6);
    let Timing { what, since, due_us, earliest_us, latest_us, .. } = timing;
    let came = match (timing.measured_us, timing.grade) {
        (None, _) => format!("it had not come after {}: missing", second(timing.given_up_us.unwrap_or(*latest_us))),
        (Some(us), Punctuality::Early) => {
            format!("it came after {}: early ({} at least)", second(us), second(*earliest_us))
        }
        (Some(us), Punctuality::Late) => format!("it came after {}: late ({} at most)", second(us), second(*latest_us)),
        (Some(us), _) => format!("it came after {}: in time", second(us)),
    };
    format!("{what}: due {} after {since}, {came}", second(*due_us))
}
