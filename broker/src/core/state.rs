//! All that is kept for clients, in one order for equal states: what a store must have of it is compared with this.

use std::collections::BTreeMap;

use squall_codec::{flow::Resend, packet::Subscription, wire::Text};

use super::{
    broker::Broker,
    effect::Record,
    session::{Delivery, Session, SessionKey},
};

impl Broker {
    /// The durable sessions, by their Client Identifiers, with subscriptions, messages, exchanges and wills; then what is retained,
    /// by topic: as the records that tell of nothing else. When a connection ended is left out, and so are wills of connections
    /// whose session ends with them.
    pub fn state(&self) -> Vec<Record> {
        let sessions: BTreeMap<Text, SessionKey> = self.sessions.keys().collect();
        let mut records = Vec::new();
        for key in sessions.into_values().filter(|key| self.sessions[*key].durable) {
            self.tell_of(key, &mut records);
        }
        let retained = self.retained.iter();
        records.extend(retained.map(|(message, arrived)| Record::Retained { message: message.clone(), arrived }));
        records
    }

    fn tell_of(&self, key: SessionKey, records: &mut Vec<Record>) {
        let session = &self.sessions[key];
        let Session { client_id, user, expiry_seconds, .. } = session;
        let client_id = || client_id.clone();
        let (user, expiry_seconds) = (user.clone(), *expiry_seconds);
        records.push(Record::Session { client_id: client_id(), user: user.clone(), expiry_seconds, ended: None });
        for filter in &session.filters {
            let Some(subscribed) = self.subscriptions.get(key, filter) else { continue };
            let subscription = Subscription { filter: filter.clone(), options: subscribed.options };
            let identifier = subscribed.identifier;
            records.push(Record::Subscribed { client_id: client_id(), subscription, identifier });
        }
        let queued = |delivery: &Delivery| Record::Queued {
            client_id: client_id(),
            number: delivery.number,
            message: delivery.message.clone(),
            arrived: delivery.arrived,
            shared: delivery.shared.clone(),
        };
        for exchange in session.outgoing.resends() {
            match exchange {
                Resend::Publish(packet_id, _, delivery) => {
                    let (client_id, number) = (client_id(), delivery.number);
                    records.extend([queued(delivery), Record::Sent { client_id, number, packet_id }]);
                }
                // Whose message it was is forgotten.
                Resend::Pubrel(packet_id) => {
                    records.push(Record::Released { client_id: client_id(), packet_id, number: 0 });
                }
            }
        }
        records.extend(session.queue.iter().map(queued));
        let received = session.incoming.awaiting_release();
        records.extend(received.map(|packet_id| Record::Received { client_id: client_id(), packet_id }));
        if let Some(will) = &session.will {
            let (message, delay_seconds) = (will.message.clone(), will.delay_seconds);
            records.push(Record::Will { client_id: client_id(), user, message, delay_seconds });
        }
    }
}
