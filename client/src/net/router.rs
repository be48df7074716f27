//! Which stream a message belongs to.

use std::sync::Arc;

use squall_codec::{packet::Publish, reason::ReasonCode, topic::TopicFilter};
use tokio::sync::mpsc;

use super::{
    inbox::Inbox,
    messages::{Acks, Message, Messages},
};
use crate::core::effect::{Delivery, Token};

/// Messages that the application has not taken, of each stream, before the socket is no longer read.
pub(super) const MESSAGES: usize = 64;

/// The application's streams.
#[derive(Debug)]
pub(super) struct Router {
    rest: Inbox<Message>,
    routes: Vec<Route>,
    /// Where acknowledgement is by hand.
    acks: Option<Arc<Acks>>,
}

/// Of one SUBSCRIBE.
#[derive(Debug)]
struct Route {
    token: Token,
    filters: Vec<TopicFilter>,
    identifier: Option<u32>,
    inbox: Inbox<Message>,
}

impl Route {
    /// Whether the message came for this SUBSCRIBE. The server's word, a Subscription Identifier, is taken before our
    /// own reading of the filters.
    fn wants(&self, message: &Publish) -> bool {
        match self.identifier {
            Some(own) if !message.subscription_identifiers.is_empty() => {
                message.subscription_identifiers.contains(&own)
            }
            _ => self.filters.iter().any(|filter| filter.matches(message.topic())),
        }
    }
}

impl Router {
    pub(super) fn new(acks: Option<Arc<Acks>>) -> (Self, Messages) {
        let (rest, messages) = Inbox::new(MESSAGES);
        (Router { rest, routes: Vec::new(), acks }, Messages(messages))
    }

    /// A stream for a SUBSCRIBE that is about to be sent: messages may come before its SUBACK.
    pub(super) fn add(
        &mut self,
        token: Token,
        filters: Vec<TopicFilter>,
        identifier: Option<u32>,
        sender: mpsc::Sender<Message>,
    ) {
        self.routes.push(Route { token, filters, identifier, inbox: Inbox::with(sender) });
    }

    /// Nothing came of the SUBSCRIBE.
    pub(super) fn remove(&mut self, token: Token) {
        self.routes.retain(|route| route.token != token);
    }

    /// Hands a message to each stream that it belongs to, or else to `Messages`.
    pub(super) fn put(&mut self, publish: Publish, delivery: Option<Delivery>) {
        self.routes.retain(|route| !route.inbox.is_abandoned());
        let mut wanting: Vec<_> = self.routes.iter_mut().filter(|route| route.wants(&publish)).collect();
        let copies = wanting.len().max(1);
        let message = match (&self.acks, delivery) {
            (Some(acks), Some(delivery)) => {
                if wanting.is_empty() && self.rest.is_abandoned() {
                    // Nobody wants it, and what came behind it must not wait for ever.
                    return acks.put(delivery, ReasonCode::Success);
                }
                Message::held(publish, delivery, copies, acks)
            }
            _ => Message::new(publish),
        };
        let Some(last) = wanting.pop() else { return self.rest.put(message) };
        wanting.into_iter().for_each(|route| route.inbox.put(message.clone()));
        last.inbox.put(message);
    }

    fn inboxes(&self) -> impl Iterator<Item = &Inbox<Message>> {
        std::iter::once(&self.rest).chain(self.routes.iter().map(|route| &route.inbox))
    }

    /// Whether no message waits for room.
    pub(super) fn is_clear(&self) -> bool {
        self.inboxes().all(Inbox::is_clear)
    }

    /// Waits until `retry` gets on. May be dropped at any time.
    pub(super) async fn room(&self) {
        match self.inboxes().find(|inbox| !inbox.is_clear()) {
            Some(full) => full.room().await,
            None => std::future::pending().await,
        }
    }

    /// Hands over what waits, as far as there is room.
    pub(super) fn retry(&mut self) {
        self.rest.retry();
        self.routes.iter_mut().for_each(|route| route.inbox.retry());
    }

    /// Waits until nobody listens to what belongs to no stream. A stream holds a handle.
    pub(super) async fn closed(&self) {
        self.rest.closed().await;
    }
}
