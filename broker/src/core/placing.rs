//! Which member of a share gets a message, and who gets it instead when that member has gone.

use squall_codec::topic::TopicFilter;

use super::{
    acl::Action,
    broker::Broker,
    config::Config,
    connection::Connection,
    effect::{ConnectionId, Shared},
    hash::NumberMap,
    session::{Delivery, SessionKey, Sessions},
    shared::Fitness,
    subscriptions::Match,
};

/// What decides which member of a share gets a message of this topic.
pub(super) struct Placing<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) connections: &'a NumberMap<ConnectionId, Connection>,
    pub(super) config: &'a Config,
    pub(super) topic: &'a str,
}

impl Placing<'_> {
    pub(super) fn fitness(&self, key: SessionKey) -> Fitness {
        let session = &self.sessions[key];
        let Config { acl, limits, .. } = self.config;
        if !acl.is_open() && !acl.allows(session.subject(), Action::Receive, self.topic) {
            return Fitness::Barred;
        }
        let Some(connection) = session.connection.and_then(|id| self.connections.get(&id)) else {
            return Fitness::Away;
        };
        let waits = !session.queue.is_empty()
            || !session.may_send(limits.in_flight_bytes)
            || connection.unflushed.memory() >= limits.unflushed_soft;
        if waits { Fitness::Busy } else { Fitness::Ready }
    }
}

impl Broker {
    /// A member of a share has gone for good without its message: another one gets it.
    pub(super) fn give_to_another_member(&mut self, delivery: Delivery) {
        if let Some(member) = self.another_member(&delivery, Fitness::Away) {
            self.give_to(member, delivery);
        }
    }

    /// A client has gone and its session stays, or it has left the share: what it was given and was not begun to be sent
    /// goes to members who are there. `only`: of this share. What nobody is there for waits on.
    pub(super) fn pass_on_shares(&mut self, key: SessionKey, only: Option<&TopicFilter>) {
        let concerned = |delivery: &Delivery| {
            delivery.shared.as_ref().is_some_and(|shared| only.is_none_or(|only| shared.filter == *only))
        };
        let session = &mut self.sessions[key];
        if !session.queue.iter().any(concerned) {
            return;
        }
        session.queue_bytes = 0;
        for delivery in std::mem::take(&mut session.queue) {
            let member = match concerned(&delivery) {
                true => self.another_member(&delivery, Fitness::Busy),
                false => None,
            };
            match member {
                // The other has it before this one lets it go: the store may be cut off between the two.
                Some(member) => {
                    self.give_to(member, delivery.clone());
                    self.forget_queued(key, &delivery);
                }
                None => self.sessions[key].enqueue(delivery),
            }
        }
    }

    /// The member of the delivery's share whose turn it is, if one is placed as well as this.
    fn another_member(&mut self, delivery: &Delivery, worst: Fitness) -> Option<Match> {
        let share = &delivery.shared.as_ref()?.filter;
        let placing = Placing {
            sessions: &self.sessions,
            connections: &self.connections,
            config: &self.config,
            topic: delivery.message.topic(),
        };
        let fitness = |key| match placing.fitness(key) {
            fitness if fitness > worst => Fitness::Barred,
            fitness => fitness,
        };
        self.subscriptions.choose(share, fitness)
    }

    /// `delivery` is of the share that has this member. What the one before it asked for no longer matters.
    fn give_to(&mut self, Match { session, subscribed, .. }: Match, mut delivery: Delivery) {
        if let Some(Shared { qos, retain, .. }) = delivery.shared {
            // [MQTT-4.8.2-3] [MQTT-3.8.4-8]
            delivery.message.qos = qos.min(subscribed.options.qos);
            // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
            delivery.message.retain = retain && subscribed.options.retain_as_published;
        }
        delivery.message.subscription_identifiers = subscribed.identifier.into_iter().collect();
        self.deliver(session, delivery);
    }
}
