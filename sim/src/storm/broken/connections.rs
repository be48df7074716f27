//! Connections, sessions, keep alive.

use squall_codec::{
    packet::{Disconnect, Packet},
    property::{Property, PropertyId},
    reason::ReasonCode,
    wire::Text,
};

use super::{Broken, Hides, broken, without};
use crate::invariants::Invariant;

broken! {
    "says that there was no session", [SessionPresent], |_, passing| match &passing.packet {
        Packet::Connack(connack) => {
            let mut other = connack.clone();
            other.session_present = false;
            passing.with(Packet::Connack(other))
        }
        _ => passing.on(),
    };
    "says that there was a session", [SessionPresent], |_, passing| match &passing.packet {
        Packet::Connack(connack) if !connack.reason.is_failure() => {
            let mut other = connack.clone();
            other.session_present = true;
            passing.with(Packet::Connack(other))
        }
        _ => passing.on(),
    };
    "minds no packet that is none of a client's", [ClosesOnViolation], |memory, passing| match &passing.packet {
        Packet::Suback(_) if passing.goes_up() => Vec::new(),
        // No exchange has the identifier 0: it stands for the first CONNECT.
        Packet::Connect(_) if !memory.own.insert((passing.connection, 0)) => Vec::new(),
        _ => passing.on(),
    };
    "says that all is well to who has broken a rule", [ClosesOnViolation], |_, passing| match &passing.packet {
        Packet::Disconnect(told)
            if !passing.goes_up()
                && matches!(told.reason, ReasonCode::ProtocolError | ReasonCode::MalformedPacket) =>
        {
            passing.with(Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)))
        }
        _ => passing.on(),
    };
    "gives everybody without a name the same one", [AssignedIdentifier], |_, passing| match &passing.packet {
        Packet::Connack(connack) if connack.properties.assigned_client_identifier().is_some() => {
            let mut other = connack.clone();
            let name = Property::AssignedClientIdentifier(Text::literal("nobody"));
            other.properties = without(&connack.properties, PropertyId::AssignedClientIdentifier);
            other.properties.push(name);
            passing.with(Packet::Connack(other))
        }
        _ => passing.on(),
    };
    "tells nobody the name that it has given", [AssignedIdentifier], |_, passing| match &passing.packet {
        Packet::Connack(connack) if connack.properties.assigned_client_identifier().is_some() => {
            let mut other = connack.clone();
            other.properties = without(&connack.properties, PropertyId::AssignedClientIdentifier);
            passing.with(Packet::Connack(other))
        }
        _ => passing.on(),
    };
    "does not start clean", [SessionPresent Subscribed Will], |_, passing| match &passing.packet {
        Packet::Connect(connect) => {
            let mut other = connect.clone();
            other.clean_start = false;
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "always starts clean", [SessionPresent Will], |_, passing| match &passing.packet {
        Packet::Connect(connect) => {
            let mut other = connect.clone();
            other.clean_start = true;
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "keeps sessions for ever", [SessionPresent Will], |_, passing| match &passing.packet {
        Packet::Connect(connect) if passing.version.has_properties() => {
            let mut other = connect.clone();
            other.set_properties(without(&connect.properties().to_owned(), PropertyId::SessionExpiryInterval));
            other.push_property(Property::SessionExpiryInterval(u32::MAX));
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "keeps no session", [SessionPresent Will], |_, passing| match &passing.packet {
        Packet::Connect(connect) if passing.version.has_properties() => {
            let mut other = connect.clone();
            other.set_properties(without(&connect.properties().to_owned(), PropertyId::SessionExpiryInterval));
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "keeps sessions for a second too long", [SessionPresent Will], |_, passing| match &passing.packet {
        Packet::Connect(connect) if passing.version.has_properties() => {
            let mut other = connect.clone();
            let asked = connect.properties().session_expiry_interval().unwrap_or(0);
            other.set_properties(without(&connect.properties().to_owned(), PropertyId::SessionExpiryInterval));
            other.push_property(Property::SessionExpiryInterval(asked.saturating_add(u32::from(asked > 0))));
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "waits for silent clients for ever", [KeepAlive], |_, passing| match &passing.packet {
        Packet::Connect(connect) => {
            let mut other = connect.clone();
            other.keep_alive = 0;
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "waits for silent clients a second too long", [KeepAlive], |_, passing| match &passing.packet {
        Packet::Connect(connect) if connect.keep_alive > 0 => {
            let mut other = connect.clone();
            other.keep_alive += 1;
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "disconnects clients that are not silent for too long", [KeepAlive StaysOpen], |_, passing| match &passing.packet {
        Packet::Connect(connect) if connect.keep_alive > 1 => {
            let mut other = connect.clone();
            other.keep_alive = 1;
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "does not tell a client that it was taken over", [TakeOver StaysOpen], |_, passing| match &passing.packet {
        Packet::Disconnect(_) if !passing.goes_up() => Vec::new(),
        _ => passing.on(),
    };
}

/// Leaves the connection of a client that was taken over open.
pub(super) const TAKE_OVER: Broken = Broken {
    name: "leaves connections open",
    caught_by: &[Invariant::TakeOver, Invariant::KeepAlive],
    act: |_, passing| passing.on(),
    hides: Hides::Ends,
};
