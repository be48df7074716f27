//! SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11).

use squall_codec::{
    packet::{Packet, RetainHandling, Suback, Subscribe, Subscription, Unsuback, Unsubscribe},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
};

use super::{
    acl::Action,
    broker::Broker,
    closing::Violation,
    effect::{ConnectionId, Record},
    explaining::refused_subscription,
    publishing::Speaker,
    retained::Scan,
    session::SessionKey,
    subscriptions::Subscribed,
};

impl Broker {
    /// SUBSCRIBE came: one after the other ([MQTT-3.8.4-5]), one answer, then the retained messages.
    pub(super) fn handle_subscribe(&mut self, speaker: Speaker, subscribe: Subscribe) {
        let identifier = subscribe.properties.subscription_identifiers().next();
        if let Some(violation) = self.unavailable(speaker, &subscribe.subscriptions, identifier) {
            return self.violation(speaker.id, violation);
        }
        let mut scans = Vec::new();
        let reasons: Vec<ReasonCode> = subscribe
            .subscriptions
            .iter()
            .map(|subscription| self.subscribe(speaker.session, subscription, identifier, &mut scans))
            .collect();
        // [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.9.3-1]
        let reasons = self.as_granted(speaker.id, &subscribe.subscriptions, reasons);
        let detail = reasons.iter().find_map(|reason| self.why(*reason, refused_subscription));
        let suback = Packet::Suback(Suback::new(subscribe.packet_id, reasons));
        let suback = self.explained(speaker.id, suback, detail);
        self.send(speaker.id, suback);
        self.sessions[speaker.session].scans.extend(scans);
        self.pump(speaker.session);
    }

    /// What a 5.0 client asks for though CONNACK said that it is not there (sections 3.2.2.3.11 to 3.2.2.3.13).
    fn unavailable(
        &self,
        speaker: Speaker,
        subscriptions: &[Subscription],
        identifier: Option<u32>,
    ) -> Option<Violation> {
        let config = &self.config;
        let asked = |asks: fn(&TopicFilter) -> bool| subscriptions.iter().any(|asked| asks(&asked.filter));
        match speaker.has_reasons {
            true if !config.wildcard_subscription_available && asked(TopicFilter::has_wildcard) => Some(NO_WILDCARDS),
            true if !config.subscription_identifiers_available && identifier.is_some() => Some(NO_IDENTIFIERS),
            true if !config.shared_subscription_available && asked(|filter| filter.share_name().is_some()) => {
                Some(NO_SHARES)
            }
            _ => None,
        }
    }

    /// 3.1 section 3.9 has no code for a refusal: its SUBACK grants what was asked for, and nothing comes of it.
    fn as_granted(&self, id: ConnectionId, asked: &[Subscription], reasons: Vec<ReasonCode>) -> Vec<ReasonCode> {
        let open = self.connections.get(&id).and_then(|connection| connection.open());
        if open.is_none_or(|open| open.version != Version::V3_1) {
            return reasons;
        }
        let granted = |(reason, asked): (ReasonCode, &Subscription)| match reason.is_failure() {
            true => granted(asked.options.qos),
            false => reason,
        };
        reasons.into_iter().zip(asked).map(granted).collect()
    }

    /// One subscription. The retained messages that it asks for are appended to `scans`.
    fn subscribe(
        &mut self,
        key: SessionKey,
        Subscription { filter, options }: &Subscription,
        identifier: Option<u32>,
        scans: &mut Vec<Scan>,
    ) -> ReasonCode {
        if self.is_short_for(key) {
            return ReasonCode::QuotaExceeded;
        }
        // A 5.0 client was told, and has gone too far; the others find out here.
        if filter.has_wildcard() && !self.config.wildcard_subscription_available {
            return ReasonCode::WildcardSubscriptionsNotSupported;
        }
        // Each filter is judged alone (section 3.9.3).
        if !self.may(key, Action::Subscribe, filter.filter()) {
            self.statistics.denied_subscriptions += 1;
            return ReasonCode::NotAuthorized;
        }
        let limits = &self.config.limits;
        if !limits.takes_topic(filter.filter()) {
            self.statistics.dropped_topic += 1;
            return ReasonCode::TopicFilterInvalid;
        }
        let filters = &self.sessions[key].filters;
        let is_full = filters.len() >= limits.subscriptions_per_session
            || self.subscriptions.len() >= limits.subscriptions
            || self.subscriptions.filter_bytes() + filter.as_str().len() > limits.filter_bytes;
        if is_full && !filters.contains(filter) {
            return ReasonCode::QuotaExceeded;
        }
        let filter = detached(filter);
        let mut options = *options;
        // [MQTT-3.2.2-10] Granted, with what the server has ([MQTT-3.8.4-7]).
        options.qos = options.qos.min(self.config.maximum_qos);
        let subscribed = Subscribed { options, identifier };
        // [MQTT-3.8.4-3]; 3.1.1 [MQTT-3.8.4-3]
        let Ok(existed) = self.subscriptions.insert(key, &filter, subscribed, limits.filter_levels) else {
            return ReasonCode::QuotaExceeded;
        };
        let session = &mut self.sessions[key];
        if session.durable {
            let client_id = session.client_id.clone();
            let subscription = Subscription { filter: filter.clone(), options };
            session.filters.insert(filter.clone());
            self.persist(Record::Subscribed { client_id, subscription, identifier });
        } else {
            session.filters.insert(filter.clone());
        }
        let wanted = match options.retain_handling {
            // [MQTT-3.3.1-9]; 3.1.1 [MQTT-3.3.1-6]
            RetainHandling::Send => true,
            // [MQTT-3.3.1-10]
            RetainHandling::SendIfNew => !existed,
            // [MQTT-3.3.1-11]
            RetainHandling::DoNotSend => false,
        };
        // [MQTT-3.8.4-4] Begun anew; what is queued stays.
        self.sessions[key].scans.retain(|scan| scan.filter != filter);
        // Section 4.8.2: a Shared Subscription gets no retained messages.
        if wanted && filter.share_name().is_none() {
            // [MQTT-3.8.4-5] A filter that stands there twice is served twice, as long as there are no more of them than subscriptions.
            if scans.len() >= self.config.limits.subscriptions_per_session {
                scans.retain(|scan: &Scan| scan.filter != filter);
            }
            scans.push(self.retained.scan(filter, options.qos, identifier));
        }
        granted(options.qos)
    }

    /// UNSUBSCRIBE came ([MQTT-3.10.4-6]).
    pub(super) fn handle_unsubscribe(&mut self, speaker: Speaker, unsubscribe: Unsubscribe) {
        if self.is_short_for(speaker.session) {
            return self.refuse_for_shortage(speaker.id);
        }
        let mut reasons: Vec<ReasonCode> = Vec::new();
        for filter in unsubscribe.filters {
            let session = &mut self.sessions[speaker.session];
            // [MQTT-3.10.4-1] Character by character.
            let existed = session.filters.remove(&filter);
            reasons.push(if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted });
            if existed {
                let durable = session.durable.then(|| session.client_id.clone());
                session.scans.retain(|scan| scan.filter != filter);
                // [MQTT-3.10.4-2] What is in flight goes on ([MQTT-3.10.4-3]).
                self.subscriptions.remove(speaker.session, &filter);
                if filter.share_name().is_some() {
                    self.pass_on_shares(speaker.session, Some(&filter));
                }
                if let Some(client_id) = durable {
                    self.persist(Record::Unsubscribed { client_id, filter });
                }
            }
        }
        // 3.1.1 has no reasons in UNSUBACK.
        if !speaker.has_reasons {
            reasons.clear();
        }
        // [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-1]
        self.send(speaker.id, Packet::Unsuback(Unsuback::new(unsubscribe.packet_id, reasons)));
    }
}

const NO_WILDCARDS: Violation = Violation::new(
    ReasonCode::WildcardSubscriptionsNotSupported,
    "SUBSCRIBE with a wildcard where CONNACK said that there are none",
);

const NO_IDENTIFIERS: Violation = Violation::new(
    ReasonCode::SubscriptionIdentifiersNotSupported,
    "SUBSCRIBE with a Subscription Identifier where CONNACK said that there are none",
);

const NO_SHARES: Violation = Violation::new(
    ReasonCode::SharedSubscriptionsNotSupported,
    "SUBSCRIBE to a Shared Subscription where CONNACK said that there are none",
);

/// The code that grants a QoS.
fn granted(qos: Qos) -> ReasonCode {
    match qos {
        Qos::AtMostOnce => ReasonCode::GRANTED_QOS_0,
        Qos::AtLeastOnce => ReasonCode::GrantedQos1,
        Qos::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}

/// A copy of the text: what is kept must not hold on to the packet. Whether the filter is shared was decided by the version
/// that it came in.
fn detached(filter: &TopicFilter) -> TopicFilter {
    let text = filter.text().detached();
    let copy = if filter.share_name().is_some() { TopicFilter::new(text) } else { TopicFilter::unshared(text) };
    copy.expect("the text was a Topic Filter before it was copied")
}
