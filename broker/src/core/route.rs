//! One PUBLISH to its many deliveries: who gets a copy, and whether it is retained.

use std::cell::OnceCell;

use squall_codec::{packet::Publish, qos::Qos, wire::Text};

use super::{
    acl::Action,
    broker::Broker,
    effect::{Record, Shared},
    placing::Placing,
    session::Delivery,
    subscriptions::Match,
};

/// The message as it came, and a copy that owns its bytes, made when somebody has to keep it and shared by all who do.
struct Routed {
    live: Publish,
    kept: OnceCell<Publish>,
}

impl Routed {
    /// A message that came in, without what belonged to its way here: each delivery has its own.
    fn new(mut message: Publish) -> Self {
        message.packet_id = None;
        // [MQTT-3.3.1-3] DUP of a delivery depends on that delivery alone.
        message.dup = false;
        message.topic_alias = None;
        message.subscription_identifiers.clear();
        Routed { live: message, kept: OnceCell::new() }
    }

    /// The message for one delivery.
    fn copy(&self, qos: Qos) -> Publish {
        let mut copy = if qos == Qos::AtMostOnce { self.live.clone() } else { self.kept() };
        copy.qos = qos;
        copy
    }

    /// The message to be kept, with the QoS it came with.
    fn kept(&self) -> Publish {
        self.kept.get_or_init(|| self.live.detached()).clone()
    }
}

/// What all the subscriptions of one session that match say together.
struct Combined {
    qos: Qos,
    retain_as_published: bool,
    identifiers: Vec<u32>,
}

impl Broker {
    /// Publishes a message in the name of a client: keeps it if it is to be retained, and delivers it to every session
    /// with a matching subscription ([MQTT-4.5.0-1]). How many those were.
    pub(super) fn publish(&mut self, publisher: &Text, message: Publish) -> usize {
        let message = Routed::new(message);
        // [MQTT-3.3.1-8]
        if message.live.retain && self.config.retain_available {
            self.retain(&message);
        }
        self.route(Some(publisher), message)
    }

    /// Publishes a message of the server's own. It is retained beside the bounds, for there are few, and it does not go to the
    /// store: the next run has its own.
    pub(super) fn publish_own(&mut self, message: Publish) {
        let message = Routed::new(message);
        if self.config.retain_available {
            let kept = message.kept();
            self.retained.set(kept, self.now.unix);
        }
        self.route(None, message);
    }

    /// Delivers a message to every session with a matching subscription.
    fn route(&mut self, publisher: Option<&Text>, message: Routed) -> usize {
        // Read once: it is checked at each reading that it is text.
        let topic = message.live.topic();
        let mut matches = std::mem::take(&mut self.matches);
        let placing = Placing { sessions: &self.sessions, connections: &self.connections, config: &self.config, topic };
        self.subscriptions.matching(topic, |key| placing.fitness(key), &mut matches);
        // One order for equal inputs; a session's plain subscriptions stand together, before its shared ones.
        let order = |a: &Match, b: &Match| (a.session, &a.share).cmp(&(b.session, &b.share));
        // Those of one filter are in order already, and a sort would ask for memory.
        if !matches.is_sorted_by(|a, b| order(a, b).is_le()) {
            matches.sort_by(order);
        }

        let mut receivers = 0;
        let mut rest = matches.as_slice();
        while let Some(first) = rest.first() {
            let together = match &first.share {
                // Section 4.8.2: a shared copy is one of its own, with its own identifier. [MQTT-3.3.4-5]
                Some(_) => 1,
                None => rest.iter().take_while(|other| other.session == first.session && other.share.is_none()).count(),
            };
            let (group, others) = rest.split_at(together);
            rest = others;
            if let Some(combined) = self.combine(publisher, group) {
                // A share has chosen among those who may.
                if first.share.is_none() && !self.may(first.session, Action::Receive, topic) {
                    self.statistics.denied_deliveries += 1;
                    continue;
                }
                receivers += 1;
                let mut copy = message.copy(message.live.qos.min(combined.qos));
                // [MQTT-3.3.1-12] [MQTT-3.3.1-13]; 3.1.1 [MQTT-3.3.1-9]
                copy.retain = message.live.retain && combined.retain_as_published;
                copy.subscription_identifiers = combined.identifiers;
                let (qos, retain) = (message.live.qos, message.live.retain);
                let shared = first.share.clone().map(|filter| Shared { filter, qos, retain });
                let (arrived, published_by) = (self.now.unix, self.published_by());
                self.deliver(first.session, Delivery { message: copy, arrived, number: 0, shared, published_by });
            }
        }
        matches.clear();
        self.matches = matches;
        receivers
    }

    /// One copy for one session: the highest QoS ([MQTT-3.3.4-2]; 3.1.1 [MQTT-3.3.5-1]) and every identifier
    /// ([MQTT-3.3.4-3], [MQTT-3.3.4-4]).
    fn combine(&self, publisher: Option<&Text>, group: &[Match]) -> Option<Combined> {
        let mut combined: Option<Combined> = None;
        for Match { session, subscribed, .. } in group {
            // [MQTT-3.8.3-3] It goes by the publisher's Client Identifier.
            if subscribed.options.no_local && Some(&self.sessions[*session].client_id) == publisher {
                continue;
            }
            let combined = combined.get_or_insert(Combined {
                qos: Qos::AtMostOnce,
                retain_as_published: false,
                identifiers: Vec::new(),
            });
            combined.qos = combined.qos.max(subscribed.options.qos);
            combined.retain_as_published |= subscribed.options.retain_as_published;
            combined.identifiers.extend(subscribed.identifier);
        }
        combined
    }

    /// Whether a message to be retained stays within the bounds. What has expired makes room first.
    pub(super) fn can_retain(&mut self, message: &Publish) -> bool {
        let limits = &self.config.limits;
        let (messages, bytes) = (limits.retained_messages, limits.retained_bytes);
        if message.payload().is_empty() {
            return true;
        }
        let (topic, size) = (message.topic(), message.size_bytes());
        if self.retained.has_room(topic, size, messages, bytes) {
            return true;
        }
        self.purge_retained() && self.retained.has_room(topic, size, messages, bytes)
    }

    /// Drops the retained messages that have expired: whether there were any.
    pub(super) fn purge_retained(&mut self) -> bool {
        let topics = self.retained.purge(self.now.unix);
        let any = !topics.is_empty();
        for topic in topics {
            self.persist(Record::RetainedCleared { topic });
        }
        any
    }

    fn retain(&mut self, message: &Routed) {
        // [MQTT-3.3.1-6] [MQTT-3.3.1-7]; 3.1.1 [MQTT-3.3.1-10], 3.1.1 [MQTT-3.3.1-11]
        if message.live.payload().is_empty() {
            let cleared = self.retained.clear(message.live.topic());
            match message.kept().topic_name().filter(|_| cleared) {
                Some(topic) => self.persist(Record::RetainedCleared { topic }),
                // Somebody else may have cleared it just now, and the store may not have kept that yet.
                None => self.wait_for_all_records(),
            }
            return;
        }
        if !self.can_retain(&message.live) {
            self.statistics.dropped_retained += 1;
            return;
        }
        // [MQTT-3.3.1-5]
        let kept = message.kept();
        let arrived = self.now.unix;
        self.retained.set(kept.clone(), arrived);
        self.persist(Record::Retained { message: kept, arrived });
    }
}
