//! Liars about enhanced authentication.

use squall_codec::{
    packet::{Auth, Packet},
    property::{Properties, Property},
    reason::ReasonCode,
    wire::Text,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    kind::{bends, hears, overlooks, tells},
};
use crate::tests::{
    asking::{frame as frame_of, string},
    bytes::variable,
};

fn tells_in_auth(mut change: impl FnMut(&mut Auth) + 'static) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Auth(auth) = packet {
            change(auth);
        }
    })
}

fn with_method(properties: &Properties, method: &'static str) -> Properties {
    let others = properties.iter().filter(|one| !matches!(one, Property::AuthenticationMethod(_))).cloned();
    others.chain([Property::AuthenticationMethod(Text::literal(method))]).collect()
}

/// Says that the exchange is over, and goes on with it.
pub(crate) fn says_success_too_early() -> Box<dyn Liar> {
    tells_in_auth(|auth| auth.reason = ReasonCode::Success)
}

/// Names another method than the client.
pub(crate) fn names_another_method() -> Box<dyn Liar> {
    tells_in_auth(|auth| auth.properties = with_method(&auth.properties, "SCRAM-SHA-1"))
}

/// Explains itself in AUTH, however small a packet the client wants.
pub(crate) fn is_talkative_in_auth() -> Box<dyn Liar> {
    tells_in_auth(|auth| {
        auth.properties.push(Property::ReasonString(Text::new("x".repeat(300)).expect("letters")));
        let pair = (Text::literal("why"), Text::new("y".repeat(300)).expect("letters"));
        auth.properties.push(Property::UserProperty(pair));
    })
}

/// Takes every AUTH for one of the method that it speaks.
pub(crate) fn does_not_look_at_the_method() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Auth(auth) = packet {
            auth.properties = with_method(&auth.properties, "SCRAM-SHA-256");
        }
    })
}

/// Does not miss the method in an AUTH that has none.
pub(crate) fn does_not_miss_the_method() -> Box<dyn Liar> {
    bends(Direction::ToServer, |frame| {
        // The fixed header, the reason and a block of properties that is shorter than 128 bytes.
        if let [0xF0, _, reason, length, properties @ ..] = &frame[..]
            && properties.first().is_some_and(|first| *first != 0x15)
            && properties.len() == usize::from(*length)
        {
            let named = [vec![0x15], string(b"SCRAM-SHA-256"), properties.to_vec()].concat();
            *frame = frame_of(0xF0, &[vec![*reason], variable(named.len()), named].concat());
        }
    })
}

/// Reads an AUTH that is none as if all were right with it.
pub(crate) fn mends_malformed_auth() -> Box<dyn Liar> {
    liar(|passing| {
        let malformed = passing.packet.is_none() && passing.direction == Direction::ToServer;
        match passing.raw.first().filter(|first| malformed && **first == 0xF0).and_then(|_| proof(&passing.raw)) {
            Some(data) => {
                let properties = [Property::AuthenticationMethod(Text::literal("SCRAM-SHA-256")), data];
                let properties = properties.into_iter().collect();
                let auth = Auth { properties, ..Auth::new(ReasonCode::ContinueAuthentication) };
                passing.put(&Packet::Auth(auth));
            }
            None => passing.pass(),
        }
    })
}

/// The Authentication Data with which a client of SCRAM proves what it knows, wherever it stands.
fn proof(raw: &[u8]) -> Option<Property> {
    let at = raw.windows(2).position(|window| window == b"c=")?;
    let length = usize::from(u16::from_be_bytes(raw.get(at.checked_sub(2)?..at)?.try_into().ok()?));
    Some(Property::AuthenticationData(raw.get(at..at + length)?.to_vec().into()))
}

/// Does not see that a client authenticates again.
pub(crate) fn overlooks_renewals() -> Box<dyn Liar> {
    overlooks(
        |passing| matches!(&passing.packet, Some(Packet::Auth(auth)) if auth.reason == ReasonCode::ReAuthenticate),
    )
}

/// Hangs up on whoever does something else while it authenticates again.
pub(crate) fn bears_nothing_beside_a_renewal() -> Box<dyn Liar> {
    let mut renewing = std::collections::BTreeSet::new();
    liar(move |passing| {
        match passing.from_client() {
            Some(Packet::Auth(auth)) if auth.reason == ReasonCode::ReAuthenticate => {
                renewing.insert(passing.connection);
            }
            Some(Packet::Publish(_)) if renewing.contains(&passing.connection) => return passing.close(),
            _ => {}
        }
        passing.pass();
    })
}
