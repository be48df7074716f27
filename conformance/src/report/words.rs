//! Words and signs that several forms of a report share.

use squall_scenarios::{
    timing::{Punctuality, Timing},
    verdict::Verdict,
};

/// One sign for each verdict, so that no colour is needed to tell them apart.
pub(crate) const fn glyph(verdict: Verdict) -> &'static str {
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
pub(crate) fn date(unix: u64) -> String {
    let (year, month, day) = calendar(unix / 86_400);
    let second = unix % 86_400;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

/// The day of a moment: `2027-01-15`. Days compare as their text does.
pub(crate) fn day(unix: u64) -> String {
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
pub(crate) fn sentence(name: &str) -> String {
    name.replace('_', " ")
}

/// What a reason says was expected, and what was seen instead. The second is the whole reason where it does not say.
pub(crate) fn expected_and_seen(reason: &str) -> (Option<&str>, &str) {
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
pub(crate) fn timing(timing: &Timing) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(date(1_800_000_000), "2027-01-15 08:00:00 UTC");
        assert_eq!(day(1_800_000_000), "2027-01-15");
    }

    #[test]
    fn a_reason_is_taken_apart_where_it_says_both() {
        let reason = "expected PINGRESP within 5 s, but nothing came";
        assert_eq!(expected_and_seen(reason), (Some("PINGRESP within 5 s"), "nothing came"));
        assert_eq!(expected_and_seen("3 messages are open"), (None, "3 messages are open"));
        let two = "a: expected x, but y; b: expected z, but w";
        assert_eq!(expected_and_seen(two), (None, two));
    }
}
