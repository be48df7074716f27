//! AUTH (section 3.15), only in 5.0.

use crate::{property::Properties, reason::ReasonCode};

/// One step of enhanced authentication (section 4.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Authentication Method and Data among them.
    pub properties: Properties,
}

impl Auth {
    /// Without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Auth { reason, properties: Properties::new() }
    }
}
