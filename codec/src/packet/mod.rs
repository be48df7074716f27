//! The 15 control packets (chapter 3): one model for every version, the version an argument of `encode` and `decode`.

mod ack;
mod auth;
mod connack;
mod connect;
mod content;
mod disconnect;
mod display;
mod frame;
mod kind;
mod publish;
mod subscribe;
mod unsubscribe;
mod view;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::Connack;
pub use connect::{Connect, ConnectView, Will, WillView};
pub use disconnect::Disconnect;
pub(crate) use frame::{REMAINING_LENGTH, check_first_byte, check_flags, check_minimal, connect_version};
pub use kind::PacketKind;
pub(crate) use publish::Fields;
pub use publish::Publish;
pub use subscribe::{FilterView, RetainHandling, Suback, Subscribe, Subscription, SubscriptionOptions};
pub use unsubscribe::{Unsuback, Unsubscribe};
pub use view::{PacketView, PublishView, SubscribeView, UnsubscribeView};

/// A control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's packet names")]
pub enum Packet {
    Connect(Connect),
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
}
