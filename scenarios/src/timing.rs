//! Rules with a clock: when something was due, and when it came. Late is another thing than missing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When something is due, since a moment that has a name.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// What has to come: "the will".
    pub what: &'a str,
    /// Since when: "the end of the connection".
    pub since: &'a str,
    /// Sooner is too early.
    pub earliest: Duration,
    /// As the standard says.
    pub due: Duration,
    /// Later is late. The tolerance of the stage is added to it.
    pub latest: Duration,
}

/// How punctual it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Punctuality {
    /// Neither early nor late.
    InTime,
    /// Sooner than it may.
    Early,
    /// It came, and later than it should.
    Late,
    /// It had not come when it was given up.
    Missing,
}

/// What was due and what was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// What had to come.
    pub what: String,
    /// Since when all times here count.
    pub since: String,
    /// Sooner would have been early.
    pub earliest_us: u64,
    /// As the standard says.
    pub due_us: u64,
    /// Later would have been late: with the tolerance.
    pub latest_us: u64,
    /// When it came; nothing where it did not.
    pub measured_us: Option<u64>,
    /// When it was given up, where it did not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up_us: Option<u64>,
    /// What that makes it.
    pub grade: Punctuality,
}

impl Timing {
    /// It came after this long.
    pub fn came(due: Due<'_>, tolerance: Duration, after: Duration) -> Self {
        let grade = if after < due.earliest {
            Punctuality::Early
        } else if after > due.latest + tolerance {
            Punctuality::Late
        } else {
            Punctuality::InTime
        };
        Timing { measured_us: Some(micros(after)), given_up_us: None, ..Timing::new(due, tolerance, grade) }
    }

    /// It had not come after this long.
    pub fn missing(due: Due<'_>, tolerance: Duration, given_up: Duration) -> Self {
        Timing { given_up_us: Some(micros(given_up)), ..Timing::new(due, tolerance, Punctuality::Missing) }
    }

    fn new(due: Due<'_>, tolerance: Duration, grade: Punctuality) -> Self {
        Timing {
            what: due.what.to_owned(),
            since: due.since.to_owned(),
            earliest_us: micros(due.earliest),
            due_us: micros(due.due),
            latest_us: micros(due.latest + tolerance),
            measured_us: None,
            given_up_us: None,
            grade,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
