//! What a server refuses that could do it. The standard lets a server refuse nearly everything; one that is set up to take all has
//! to have a reason.

use squall_codec::{qos::Qos, reason::ReasonCode};

use super::Model;
use crate::invariants::Invariant;

impl Model {
    /// It says no.
    pub(super) fn says_no(&mut self, what: &str, reason: ReasonCode) {
        if self.terms.takes_all && !self.is_short() {
            self.breach(Invariant::Serves, format!("{what} is refused with {reason}: nothing was in its way"));
        }
    }

    /// It grants a QoS to a subscription that asks for another.
    pub(super) fn grants_qos(&mut self, filter: &str, granted: Qos, asked: Qos) {
        if self.terms.takes_all && granted < asked.min(self.terms.offers.maximum_qos) {
            let (granted, asked) = (granted.bits(), asked.bits());
            self.breach(
                Invariant::Serves,
                format!("QoS {granted} was granted for {filter} where {asked} was asked for"),
            );
        }
    }
}
