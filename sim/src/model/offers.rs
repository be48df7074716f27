//! What not every server has: it says in CONNACK what it has not, and keeps to it (section 3.2.2.3 of 5.0).

use squall_broker::core::config::Config;
use squall_codec::{
    packet::{Connack, Connect, Publish, Subscribe},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
};

use super::{Model, Situation};
use crate::invariants::Invariant;

/// What a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// The highest QoS.
    pub maximum_qos: Qos,
    /// Retained messages.
    pub retained: bool,
    /// Filters with wildcards.
    pub wildcards: bool,
    /// Subscription Identifiers.
    pub identifiers: bool,
    /// Shared Subscriptions.
    pub shares: bool,
}

impl Offers {
    /// Before 5.0 no server says that it has not.
    pub(super) const EVERYTHING: Offers =
        Offers { maximum_qos: Qos::ExactlyOnce, retained: true, wildcards: true, identifiers: true, shares: true };

    /// What a broker that is set up so has.
    pub fn of(config: &Config) -> Self {
        Offers {
            maximum_qos: config.maximum_qos,
            retained: config.retain_available,
            wildcards: config.wildcard_subscription_available,
            identifiers: config.subscription_identifiers_available,
            shares: config.shared_subscription_available,
        }
    }

    /// As CONNACK has it.
    pub(super) fn said(version: Version, connack: &Connack) -> Self {
        if !version.has_properties() {
            return Offers::EVERYTHING;
        }
        let said = &connack.properties;
        let has = |flag: Option<u8>| flag != Some(0);
        Offers {
            maximum_qos: said.maximum_qos().and_then(Qos::from_bits).unwrap_or(Qos::ExactlyOnce),
            retained: has(said.retain_available()),
            wildcards: has(said.wildcard_subscription_available()),
            identifiers: has(said.subscription_identifier_available()),
            shares: has(said.shared_subscription_available()),
        }
    }

    /// [MQTT-3.2.2-11] [MQTT-3.2.2-14] Whether who was told so may send this message.
    pub(super) fn allow_publish(self, publish: &Publish) -> bool {
        publish.qos <= self.maximum_qos && (self.retained || !publish.retain)
    }

    /// Sections 3.2.2.3.11 to 3.2.2.3.13: whether who was told so may ask for this.
    pub(super) fn allow_subscribe(self, subscribe: &Subscribe) -> bool {
        let mut asked = subscribe.subscriptions.iter().map(|asked| &asked.filter);
        let mut identifiers = subscribe.properties.subscription_identifiers();
        (self.identifiers || identifiers.next().is_none())
            && asked.all(|filter| {
                (self.wildcards || !filter.has_wildcard()) && (self.shares || filter.share_name().is_none())
            })
    }

    /// [MQTT-3.2.2-12] [MQTT-3.2.2-13] Whether who has this has to refuse the CONNECT, for its will. Before 5.0 no client can know.
    pub(super) fn refuse(self, connect: &Connect) -> bool {
        connect.version().has_properties()
            && connect.will().is_some_and(|will| will.qos > self.maximum_qos || (will.retain && !self.retained))
    }

    /// In what the other is not the same, in words.
    fn unlike(self, other: Offers) -> Option<&'static str> {
        let pairs = [
            (self.maximum_qos != other.maximum_qos, "Maximum QoS"),
            (self.retained != other.retained, "Retain Available"),
            (self.wildcards != other.wildcards, "Wildcard Subscription Available"),
            (self.identifiers != other.identifiers, "Subscription Identifier Available"),
            (self.shares != other.shares, "Shared Subscription Available"),
        ];
        pairs.into_iter().find(|(is_other, _)| *is_other).map(|(_, what)| what)
    }
}

impl Model {
    /// [MQTT-3.2.2-9] and section 3.2.2.3: CONNACK says what the server has not, and denies nothing that it has.
    pub(super) fn offers(&mut self, at: usize, connack: &Connack) {
        let version = self.lines[at].version;
        let said = Offers::said(version, connack);
        self.lines[at].offers = said;
        if version.has_properties()
            && let Some(what) = said.unlike(self.terms.offers)
        {
            let detail = format!("CONNACK says otherwise than it is: {what}");
            self.breach(Invariant::AsOffered, detail);
        }
    }

    /// Whether this filter is one that the server has to refuse to a client of an older version: who speaks 5.0 was told.
    pub(super) fn has_no(&self, filter: &str) -> bool {
        !self.terms.offers.wildcards && filter.contains(['+', '#'])
    }

    /// A 3.1.1 client has asked for a filter that the server does not have.
    pub(super) fn answers_what_it_has_not(&mut self, at: usize, session: usize, filter: &str, reason: ReasonCode) {
        self.came(Situation::NotOnOffer);
        let version = self.lines[at].version;
        // 3.1 cannot say no; nothing need come of what is granted there.
        if version == Version::V3_1 {
            return self.is_granted_in_vain(session, filter);
        }
        // 3.1.1 [MQTT-3.8.3-2]
        if !reason.is_failure() {
            self.breach(Invariant::AsOffered, format!("{filter} is granted by a server that has no wildcards"));
        }
        self.is_refused(session, filter);
    }
}
