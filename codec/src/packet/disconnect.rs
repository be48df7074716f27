//! DISCONNECT (section 3.14).

use crate::{property::Properties, reason::ReasonCode};

/// The last packet of a connection. Before 5.0 only a client sends it, without a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Before 5.0 always [`ReasonCode::NORMAL_DISCONNECTION`].
    pub reason: ReasonCode,
    /// Empty before 5.0.
    pub properties: Properties,
}

impl Disconnect {
    /// Without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Disconnect { reason, properties: Properties::new() }
    }
}
