//! The report as JSON: the truth from which the others are drawn.

use super::model::{Report, SCHEMA};

/// The report as text that people can diff.
pub fn write(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a report is plain data");
    text.push('\n');
    text
}

/// Reads a report back.
///
/// # Errors
/// One sentence: no report, or one of another schema.
pub fn read(text: &str) -> Result<Report, String> {
    let report: Report = serde_json::from_str(text).map_err(|error| format!("this is no report: {error}"))?;
    if report.schema != SCHEMA {
        return Err(format!("this report has the schema {}, this program reads {SCHEMA}", report.schema));
    }
    Ok(report)
}
