//! 3.15 AUTH.

use squall_codec::reason::ReasonCode;
use squall_scenarios::{stage::Stage, verdict::Outcome};

use crate::{
    liars::s3_02_connack,
    test::{Test, test},
    tests::judge::{Unnoticed, closes, offender},
};

pub(crate) const TESTS: &[Test] = &[test!(
    a_flagged_auth_closes_the_connection,
    "AUTH comes with a reserved flag; the server hangs up.",
    ["5.0/MQTT-3.15.1-1"],
    s3_02_connack::overlooks_auth
)];

/// AUTH with reserved flags: it closes the connection, as any AUTH does where there is no enhanced authentication.
async fn a_flagged_auth_closes_the_connection(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
    // Re-authenticate, with the method "M".
    let bytes = [0xF1, 6, 0x19, 4, 0x15, 0, 1, b'M'];
    closes(&mut peer, "AUTH with the first byte 0xF1", &bytes, &codes, Unnoticed::Fails).await
}
