//! What a server refuses that could do it. The standard lets a server refuse nearly everything; one that is set up to take all has
//! to have a reason.

use std::fmt::Display;

use squall_broker::core::limits::QueuePolicy;
use squall_codec::qos::Qos;

use super::{Model, bounds::ROOMY};
use crate::invariants::Invariant;

impl Model {
    /// It says no.
    pub(super) fn says_no(&mut self, what: &str, reason: &dyn Display) {
        if self.terms.takes_all && !self.is_short() {
            self.breach(Invariant::Serves, format!("{what} is refused with {reason}: nothing was in its way"));
        }
    }

    /// [MQTT-3.1.4-5] It closes a connection on which it has CONNECT, and has not answered.
    pub(super) fn closes_unanswered(&mut self, at: usize) {
        let line = &self.lines[at];
        // CONNECT may have come too late, and what waits for its session may be too much.
        let was_in_time = line.asked + self.terms.slack < line.opened + self.terms.connect_timeout;
        let may_wait = self.terms.queue_policy != QueuePolicy::Disconnect || self.terms.queued_messages >= ROOMY;
        if self.terms.takes_all && line.has_room && was_in_time && may_wait {
            let detail = "a connection is closed and its CONNECT was not answered: nothing was in its way";
            self.breach(Invariant::Serves, detail.to_owned());
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
