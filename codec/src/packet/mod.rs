//! The 15 control packets (chapter 3): one model for every version, the version an argument of `encode` and `decode`.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod kind;
mod publish;
mod subscribe;
mod unsubscribe;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::Connack;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use kind::PacketKind;
pub use publish::Publish;
pub use subscribe::{RetainHandling, Suback, Subscribe, Subscription, SubscriptionOptions};
pub use unsubscribe::{Unsuback, Unsubscribe};

use bytes::{Bytes, BytesMut};

use crate::{
    error::{DecodeError, EncodeError},
    reason::Side,
    version::Version,
};

/// A control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's packet names")]
pub enum Packet {
    Connect(Box<Connect>),
    Connack(Box<Connack>),
    Publish(Publish),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(Ack),
    Pubcomp(Ack),
    Subscribe(Subscribe),
    Suback(Suback),
    Unsubscribe(Unsubscribe),
    Unsuback(Unsuback),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect),
    Auth(Auth),
}

impl Packet {
    /// Which of the 15 it is.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Packet::Connect(_) => PacketKind::Connect,
            Packet::Connack(_) => PacketKind::Connack,
            Packet::Publish(_) => PacketKind::Publish,
            Packet::Puback(_) => PacketKind::Puback,
            Packet::Pubrec(_) => PacketKind::Pubrec,
            Packet::Pubrel(_) => PacketKind::Pubrel,
            Packet::Pubcomp(_) => PacketKind::Pubcomp,
            Packet::Subscribe(_) => PacketKind::Subscribe,
            Packet::Suback(_) => PacketKind::Suback,
            Packet::Unsubscribe(_) => PacketKind::Unsubscribe,
            Packet::Unsuback(_) => PacketKind::Unsuback,
            Packet::Pingreq => PacketKind::Pingreq,
            Packet::Pingresp => PacketKind::Pingresp,
            Packet::Disconnect(_) => PacketKind::Disconnect,
            Packet::Auth(_) => PacketKind::Auth,
        }
    }

    /// Decodes one whole frame (fixed header included) that `sender` sent. A CONNECT carries its own version and is
    /// decoded by that; `version` is then not looked at.
    ///
    /// # Errors
    /// Everything section 2 and 3 forbid, one variant per cause.
    pub fn decode(version: Version, sender: Side, frame: Bytes) -> Result<Packet, DecodeError> {
        let _ = (version, sender, frame);
        todo!()
    }

    /// Appends the packet's frame to `out`. On an error `out` is as before.
    ///
    /// # Errors
    /// A packet that this version does not have, or one too long for a frame.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let _ = (version, out);
        todo!()
    }

    /// The number of bytes that `encode` appends: what Maximum Packet Size limits.
    pub fn encoded_len(&self, version: Version) -> usize {
        let _ = version;
        todo!()
    }
}
