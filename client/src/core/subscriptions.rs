//! The subscriptions that the server has granted, for the day on which it has forgotten them.

use squall_codec::{
    packet::Subscription,
    property::{Properties, Property},
    reason::ReasonCode,
    topic::TopicFilter,
};

use super::{
    client::Client,
    effect::{Effect, Event, Failure},
    requests::Request,
};

/// How many filters one SUBSCRIBE renews.
const AT_ONCE: usize = 32;

/// In the order in which they were granted.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    subscription: Subscription,
    /// Its Subscription Identifier.
    identifier: Option<u32>,
    /// Whether the server's session of now holds it.
    granted: bool,
}

impl Subscriptions {
    fn insert(&mut self, subscription: Subscription, identifier: Option<u32>) {
        let granted = Known { subscription, identifier, granted: true };
        // [MQTT-3.8.4-3] A subscription to the same filter takes the place of the older one.
        match self.0.iter_mut().find(|known| known.subscription.filter == granted.subscription.filter) {
            Some(known) => *known = granted,
            None => self.0.push(granted),
        }
    }

    /// UNSUBACK came; before 5.0 it has no reasons.
    pub(super) fn remove(&mut self, filters: &[TopicFilter], reasons: &[ReasonCode]) {
        for (index, filter) in filters.iter().enumerate() {
            if !reasons.get(index).is_some_and(|reason| reason.is_failure()) {
                self.forget(filter);
            }
        }
    }

    fn forget(&mut self, filter: &TopicFilter) {
        self.0.retain(|known| known.subscription.filter != *filter);
    }

    /// The server has no session, and so no subscriptions.
    pub(super) fn session_lost(&mut self) {
        self.0.iter_mut().for_each(|known| known.granted = false);
    }
}

impl Client {
    /// SUBACK came.
    pub(super) fn remember_subscriptions(
        &mut self,
        subscriptions: Vec<Subscription>,
        identifier: Option<u32>,
        reasons: &[ReasonCode],
        renewed: bool,
    ) {
        if !self.options.resubscribe {
            return;
        }
        let known = &mut self.session.subscriptions;
        for (subscription, reason) in subscriptions.into_iter().zip(reasons) {
            match reason.is_failure() {
                false => known.insert(subscription, identifier),
                // What the server no longer grants is not asked for again. A new wish that fails changes nothing.
                true if renewed => known.forget(&subscription.filter),
                true => {}
            }
        }
    }

    /// What the server's session does not hold is asked for before anything else is: also where an earlier connection
    /// ended before it was granted.
    pub(super) fn renew_subscriptions(&mut self) {
        let lost = self.session.subscriptions.0.iter().filter(|known| !known.granted);
        let lost: Vec<_> = lost.map(|known| (known.subscription.clone(), known.identifier)).collect();
        let groups = lost.chunk_by(|one, next| one.1 == next.1).flat_map(|group| group.chunks(AT_ONCE));
        let requests: Vec<_> = groups.map(renewal).collect();
        for request in requests.into_iter().rev() {
            self.queue.push_front(request);
        }
    }

    /// A SUBSCRIBE that renews cannot leave: in smaller ones, or not at all.
    pub(super) fn cannot_renew(
        &mut self,
        subscriptions: Vec<Subscription>,
        identifier: Option<u32>,
        failure: &Failure,
    ) {
        if subscriptions.len() > 1 {
            let single = |one: Subscription| renewal(&[(one, identifier)]);
            return subscriptions.into_iter().rev().map(single).for_each(|request| self.queue.push_front(request));
        }
        let reason = match failure {
            Failure::TooLarge { .. } => ReasonCode::PacketTooLarge,
            _ => ReasonCode::ImplementationSpecificError,
        };
        for one in &subscriptions {
            self.session.subscriptions.forget(&one.filter);
        }
        let refused = subscriptions.into_iter().map(|one| (one.filter, reason)).collect();
        self.effects.push(Effect::Event(Event::Resubscribed { refused }));
    }
}

fn renewal(group: &[(Subscription, Option<u32>)]) -> Request {
    let identifier = group.first().and_then(|(_, identifier)| *identifier);
    Request::Subscribe {
        token: None,
        subscriptions: group.iter().map(|(subscription, _)| subscription.clone()).collect(),
        properties: identifier.map(Property::SubscriptionIdentifier).into_iter().collect::<Properties>(),
    }
}
