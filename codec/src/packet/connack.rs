//! CONNACK (section 3.2).

use crate::{property::Properties, reason::ReasonCode};

/// The server's answer to CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connack {
    /// Session Present; always 0 in 3.1, which has no such bit.
    pub session_present: bool,
    /// Before 5.0 the wire carries a return code; see [`ReasonCode::connack_return_code`].
    pub reason: ReasonCode,
    /// Empty before 5.0.
    pub properties: Properties,
}

impl Connack {
    /// An answer without properties. Session Present is 0.
    pub fn new(reason: ReasonCode) -> Self {
        Connack { session_present: false, reason, properties: Properties::new() }
    }
}
