//! The control arm: what shows that the same subject answers the same client where nothing is wrong.

use squall_scenarios::verdict::Verdict;

use super::model::{Direction, Line, Report, TestEntry};

/// So many tests are named beside a failure.
const NAMED: usize = 4;

/// What worked.
#[derive(Clone, Debug)]
pub struct Control<'a> {
    /// Answered exchanges of the same run of the test, before it went wrong.
    pub lines: Vec<&'a Line>,
    /// Tests of the same rule or section that passed on the same subject.
    pub passed: Vec<&'a TestEntry>,
}

/// The control arm of a test.
pub fn control<'a>(report: &'a Report, test: &'a TestEntry) -> Control<'a> {
    let end = test.evidence.iter().copied().min().unwrap_or(test.transcript.len()).min(test.transcript.len());
    let is_control = |line: &&Line| line.actor.starts_with("control");
    let lines: Vec<&Line> = if test.transcript.iter().any(|line| is_control(&line)) {
        test.transcript.iter().filter(is_control).collect()
    } else {
        answered(&test.transcript[..end])
    };

    let same_rule = |other: &&TestEntry| other.statements.iter().any(|key| test.statements.contains(key));
    let same_section = |other: &&TestEntry| other.section == test.section;
    let candidates = || {
        report
            .tests
            .iter()
            .filter(|other| other.version == test.version && other.verdict == Verdict::Pass && other.name != test.name)
    };
    let mut passed: Vec<&TestEntry> = candidates().filter(same_rule).collect();
    passed.extend(candidates().filter(|other| same_section(other) && !same_rule(other)));
    passed.truncate(NAMED);
    Control { lines, passed }
}

/// The packets up to the last answer, without the offence that came after it.
fn answered(lines: &[Line]) -> Vec<&Line> {
    let last = lines.iter().rposition(|line| line.direction == Direction::Received);
    lines[..last.map_or(0, |last| last + 1)].iter().collect()
}
