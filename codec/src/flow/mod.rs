//! The QoS 1 and 2 exchanges (section 4.3) as seen by their sender and by their receiver. Knows no role.

mod incoming;
mod outgoing;

pub use incoming::{Incoming, Received};
pub use outgoing::{Outgoing, Pubrec, Resend};
