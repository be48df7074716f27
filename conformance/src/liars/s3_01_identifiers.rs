//! Liars about identifiers and credentials, and about clients of two versions.

use std::collections::BTreeSet;

use squall_codec::{
    packet::{Connack, Packet},
    reason::ReasonCode,
    version::Version,
    wire::Text,
};
use squall_scenarios::liar::Liar;

use super::{filter::liar, kind::hears_connect};

/// Reads 23 letters of an identifier.
pub(crate) fn reads_23_letters_of_identifiers() -> Box<dyn Liar> {
    hears_connect(|connect| {
        let read: String = connect.client_id().chars().take(23).collect();
        connect.set_client_id(Text::new(read).expect("a part of a string is a string"));
    })
}

/// Answers empty credentials with this, or closes without a word.
fn refuses_empty_credentials(reason: Option<ReasonCode>) -> Box<dyn Liar> {
    liar(move |passing| match passing.from_client() {
        Some(Packet::Connect(connect)) if connect.username().is_some_and(|name| name.is_empty()) => {
            if let Some(reason) = reason {
                passing.answer(&Packet::Connack(Box::new(Connack::new(reason))));
            }
            passing.close();
        }
        _ => passing.pass(),
    })
}

/// Takes an empty user name for a fault of the packet.
pub(crate) fn calls_empty_credentials_malformed() -> Box<dyn Liar> {
    refuses_empty_credentials(Some(ReasonCode::MalformedPacket))
}

/// Hangs up on an empty user name.
pub(crate) fn hangs_up_on_empty_credentials() -> Box<dyn Liar> {
    refuses_empty_credentials(None)
}

/// Leaves the Property Length of a message of 5.0 in what a client of 3.1.1 gets.
pub(crate) fn leaks_properties_to_old_clients() -> Box<dyn Liar> {
    let mut new: BTreeSet<Vec<u8>> = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && passing.version == Version::V5_0
        {
            new.insert(publish.payload().to_vec());
        }
        match passing.from_server() {
            Some(Packet::Publish(publish)) if passing.version < Version::V5_0 && new.contains(publish.payload()) => {
                let payload = [&[0], publish.payload()].concat();
                let leaked = Packet::Publish(publish.clone().with_payload(&payload));
                passing.put(&leaked);
            }
            _ => passing.pass(),
        }
    })
}
