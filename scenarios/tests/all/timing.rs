//! What came when it was due, and what did not.

use std::time::Duration;

use squall_scenarios::timing::{Due, Punctuality, Timing};

const SECOND: Duration = Duration::from_secs(1);
const DUE: Due<'static> = Due {
    what: "the will",
    since: "the end of the connection",
    earliest: SECOND,
    due: Duration::from_secs(2),
    latest: Duration::from_secs(3),
};

#[test]
fn late_is_not_missing_and_a_tolerance_moves_the_border() {
    let grade = |after, tolerance| Timing::came(DUE, tolerance, after).grade;
    assert_eq!(grade(SECOND / 2, Duration::ZERO), Punctuality::Early);
    assert_eq!(grade(2 * SECOND, Duration::ZERO), Punctuality::InTime);
    assert_eq!(grade(4 * SECOND, Duration::ZERO), Punctuality::Late);
    assert_eq!(grade(4 * SECOND, SECOND), Punctuality::InTime);
    let missing = Timing::missing(DUE, SECOND, 10 * SECOND);
    assert_eq!(
        (missing.grade, missing.measured_us, missing.given_up_us),
        (Punctuality::Missing, None, Some(10_000_000))
    );
    assert_eq!((missing.due_us, missing.latest_us), (2_000_000, 4_000_000));
}
