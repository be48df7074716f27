//! 3.15 AUTH.

use squall_scenarios::{stage::Stage, verdict::Outcome};

use crate::{
    liars::s3_02_connack,
    test::{Test, test},
    tests::{
        judge::Unnoticed,
        rows::{Row, all},
    },
};

pub(crate) const TESTS: &[Test] = &[test!(
    a_flagged_auth_closes_the_connection,
    "AUTH comes with each wrong flag nibble; the server hangs up.",
    ["5.0/MQTT-3.15.1-1"],
    s3_02_connack::overlooks_auth
)];

/// AUTH with reserved flags: it closes the connection, as any AUTH does where there is no enhanced authentication.
async fn a_flagged_auth_closes_the_connection(stage: &Stage) -> Outcome {
    // Re-authenticate, with the method "M".
    let flagged = (0xF1..=0xFFu8)
        .map(|first| (format!("with the first byte 0x{first:02X}"), vec![first, 6, 0x19, 4, 0x15, 0, 1, b'M']));
    all(stage, vec![Row { name: "AUTH", faults: flagged.collect(), unnoticed: Unnoticed::Fails }]).await
}
