//! 4.12 and 3.15: AUTH packets that are none, in the middle of an exchange that is right in all else.

use squall_codec::{
    packet::PacketKind,
    property::{Place, PropertyId},
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Seen},
    stage::{LocalFuture, Stage},
    verdict::{Evidence, Halt, Outcome, Verdict},
};

use super::s4_12_exchange::{METHOD, answered, authenticated, begun, exchange};
use crate::{
    liars::enhanced,
    setup::{PASSWORD, Setup},
    test::{Test, test},
    tests::{
        asking::{frame, string},
        both::s1_5_data_types::{ILL_FORMED, WITH_NULL},
        bytes::variable,
        judge::{Cases, farewell, judge_refusal},
        property_faults::{block, sample, strangers, wrong_codes},
        rows::together,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        no_foreign_property_in_auth,
        "A client's AUTH has each property that it may not have, and each unknown one; the exchange does not go on.",
        ["5.0/X-PROP-UNKNOWN-ID"],
        enhanced::mends_malformed_auth
    )
    .on(Setup::Enhanced),
    test!(
        no_property_twice_in_auth,
        "A client's AUTH has each single property twice; the exchange does not go on.",
        ["5.0/X-PROP-REPEATED"],
        enhanced::mends_malformed_auth
    )
    .should()
    .on(Setup::Enhanced),
    test!(
        an_auth_that_cannot_be_read_does_not_go_on,
        "A client's AUTH has wrong flags, lengths that lie, strings that are none, codes that it may not have, or breaks off; it is not let in.",
        ["5.0/MQTT-4.13.1-1", "5.0/X-TRAILING-BYTES"],
        enhanced::mends_malformed_auth
    )
    .on(Setup::Enhanced),
];

/// Continue authentication.
const CONTINUE: u8 = 0x18;

fn auth(reason: u8, block: &[u8]) -> Vec<u8> {
    frame(0xF0, &[&[reason], block].concat())
}

/// What is wrong, and the packet around properties that are right.
type Fault = (String, Box<dyn Fn(&[u8]) -> Vec<u8>>);

/// An AUTH with something behind what is right.
fn with(name: impl Into<String>, extra: Vec<u8>) -> Fault {
    (name.into(), Box::new(move |right| auth(CONTINUE, &block(&[right, &extra].concat()))))
}

async fn no_foreign_property_in_auth(stage: &Stage) -> Outcome {
    let faults = strangers(Place::Auth).into_iter().map(|(name, property)| with(name, property));
    all_end(stage, faults.collect(), Verdict::Fail).await
}

async fn no_property_twice_in_auth(stage: &Stage) -> Outcome {
    let method = [vec![PropertyId::AuthenticationMethod as u8], string(METHOD.as_bytes())].concat();
    let data = |right: &[u8]| auth(CONTINUE, &block(&[right, &right[method_length()..]].concat()));
    let faults = vec![
        with("Authentication Method twice", method),
        ("Authentication Data twice".to_owned(), Box::new(data) as Box<dyn Fn(&[u8]) -> Vec<u8>>),
        with("Reason String twice", sample(PropertyId::ReasonString).repeat(2)),
    ];
    all_end(stage, faults, Verdict::Warn).await
}

/// Bytes of the property that comes first.
fn method_length() -> usize {
    1 + string(METHOD.as_bytes()).len()
}

async fn an_auth_that_cannot_be_read_does_not_go_on(stage: &Stage) -> Outcome {
    let mut faults: Vec<Fault> = Vec::new();
    for (what, beyond) in [("beyond the packet", 2000), ("one byte beyond the packet", 1)] {
        let lying = move |right: &[u8]| auth(CONTINUE, &[variable(right.len() + beyond), right.to_vec()].concat());
        faults.push((format!("a Property Length {what}"), Box::new(lying)));
    }
    let short = |right: &[u8]| auth(CONTINUE, &[variable(right.len() - 1), right.to_vec()].concat());
    faults.push(("a Property Length that cuts a property".to_owned(), Box::new(short)));
    let more = |right: &[u8]| auth(CONTINUE, &[block(right), sample(PropertyId::UserProperty)].concat());
    faults.push(("bytes behind the properties".to_owned(), Box::new(more)));
    for (what, bytes) in ILL_FORMED.into_iter().chain(WITH_NULL) {
        let method = [vec![PropertyId::AuthenticationMethod as u8], string(bytes)].concat();
        let named = move |right: &[u8]| auth(CONTINUE, &block(&[&method, &right[method_length()..]].concat()));
        faults.push((format!("Authentication Method with {what}"), Box::new(named)));
        let reason = [vec![PropertyId::ReasonString as u8], string(bytes)].concat();
        faults.push(with(format!("Reason String with {what}"), reason));
        for (part, name, value) in [("name", bytes, &b"v"[..]), ("value", b"n", bytes)] {
            let pair = [vec![PropertyId::UserProperty as u8], string(name), string(value)].concat();
            faults.push(with(format!("User Property whose {part} has {what}"), pair));
        }
    }
    for first in 0xF1..=0xFFu8 {
        let flagged = move |right: &[u8]| frame(first, &[&[CONTINUE], &block(right)[..]].concat());
        faults.push((format!("the first byte 0x{first:02X}"), Box::new(flagged)));
    }
    // Up to the first byte of the data: what is longer is cut in the same property.
    for length in 0..=3 + method_length() + 3 {
        let cut = move |right: &[u8]| frame(0xF0, &[&[CONTINUE], &block(right)[..]].concat()[..length]);
        faults.push((format!("an end after {length} bytes"), Box::new(cut)));
    }
    let shortened = |right: &[u8]| frame(0xF0, &[&[CONTINUE], &block(right)[..right.len()]].concat());
    faults.push(("its last byte missing".to_owned(), Box::new(shortened)));
    for code in wrong_codes(PacketKind::Auth) {
        let coded = move |right: &[u8]| auth(code, &block(right));
        faults.push((format!("the code 0x{code:02X}"), Box::new(coded)));
    }
    all_end(stage, faults, Verdict::Fail).await
}

/// Each fault in an exchange of its own, all beside each other. A CONNACK with success is `grade`; that nothing comes of it
/// at all is a warning.
async fn all_end(stage: &Stage, faults: Vec<Fault>, grade: Verdict) -> Outcome {
    // The exchange works where nothing is wrong.
    authenticated(stage, "control").await?.0.disconnect().await;
    let plays = faults.iter().map(|fault| Box::pin(ends(stage, fault, grade)) as LocalFuture<'_, _>);
    let outcomes = together(plays).await;
    let mut cases = Cases::new();
    for ((name, _), outcome) in faults.iter().zip(outcomes) {
        cases.add(name, outcome);
    }
    cases.finish()
}

async fn ends(stage: &Stage, (name, packet): &Fault, grade: Verdict) -> Outcome {
    let mut exchange = exchange(stage, PASSWORD);
    let (mut peer, first) = begun(stage, &stage.fresh("offender"), &mut *exchange).await?;
    let data = answered(stage, exchange, &first).await?;
    let data = data.ok_or_else(|| Halt::inconclusive("the exchange was over before its second step").at(&first))?;
    let method = [vec![PropertyId::AuthenticationMethod as u8], string(METHOD.as_bytes())].concat();
    let right = [method, vec![PropertyId::AuthenticationData as u8], string(&data)].concat();
    let sent = peer.send_bytes(&packet(&right)).await;
    judged(stage, name, grade, &mut peer, &sent).await
}

async fn judged(stage: &Stage, name: &str, grade: Verdict, peer: &mut Peer, sent: &Seen<()>) -> Outcome {
    let codes = [
        ReasonCode::MalformedPacket,
        ReasonCode::ProtocolError,
        ReasonCode::BadAuthenticationMethod,
        ReasonCode::NotAuthorized,
    ];
    let seen = farewell(peer).await;
    let offence = format!("an AUTH with {name}");
    if seen.connack().is_none() && seen.end.is_none() {
        let reason = format!("{offence}: expected the connection to end, but nothing came of it");
        return Ok(Evidence::of(sent).warn(reason));
    }
    judge_refusal(stage, &offence, &codes, &seen).or_else(|halt| match (grade, seen.connack()) {
        (Verdict::Warn, Some((_, at))) => Ok(Evidence::of(at).warn(halt.reason)),
        _ => Err(halt),
    })
}
