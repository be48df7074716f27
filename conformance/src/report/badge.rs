//! A badge in the endpoint form of shields.io: the versions, what was asked, how much of it holds.

use serde::Serialize;

use super::model::Report;

/// What the endpoint form knows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Badge {
    schema_version: u32,
    label: String,
    message: String,
    color: &'static str,
    is_error: bool,
}

/// The badge of one version, or of all that count.
///
/// Counted are the numbered statements with MUST that the subject was really asked: what it does not offer and what
/// cannot be seen from outside is in neither number.
pub fn write(report: &Report, version: Option<&str>) -> String {
    let versions: Vec<&str> = match version {
        Some(version) => vec![version],
        // 3.1 has no conformance statements.
        None => report.totals.iter().map(|totals| &*totals.version).filter(|version| *version != "3.1").collect(),
    };
    let counts: Vec<_> = versions.iter().map(|version| report.required(version)).collect();
    let asked: usize = counts.iter().map(|counts| counts.pass + counts.warn + counts.fail + counts.inconclusive).sum();
    let held: usize = counts.iter().map(|counts| counts.pass + counts.warn).sum();
    let fails = counts.iter().any(|counts| counts.fail > 0);
    let message = if asked == 0 {
        "nothing tested".to_owned()
    } else {
        let each = counts.iter().map(|counts| {
            let held = counts.pass + counts.warn;
            format!("{held}/{}", held + counts.fail + counts.inconclusive)
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let color = match () {
        () if asked == 0 => "lightgrey",
        () if report.gone.is_some() || report.internal_errors > 0 => "lightgrey",
        () if fails => "red",
        () if held < asked => "yellow",
        () => "brightgreen",
    };
    // A part of the tests is no statement on the whole.
    let profile = if report.is_partial() { "part" } else { "core" };
    let badge = Badge {
        schema_version: 1,
        label: format!("MQTT {} {profile}", versions.join(", ")),
        message,
        color,
        is_error: color == "red",
    };
    let mut text = serde_json::to_string_pretty(&badge).expect("a badge is plain data");
    text.push('\n');
    text
}
