//! The QoS 1 and 2 exchanges (section 4.3) as seen by their sender and by their receiver, and Topic Aliases. Knows no role.

mod alias;
mod by_id;
mod incoming;
mod outgoing;
mod outgoing_alias;

pub use alias::{AliasError, Aliases};
pub use by_id::ById;
pub use incoming::{Incoming, Received};
pub use outgoing::{Outgoing, PacketIds, Pubrec, Resend};
pub use outgoing_alias::OutgoingAliases;
