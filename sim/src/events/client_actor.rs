//! A whole client as an actor of the stage.

use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use squall_client::core::effect::{Event, Input, Outcome, Token};
use squall_codec::{
    packet::{Publish, Subscription},
    property::Properties,
    reason::ReasonCode,
    topic::TopicFilter,
};
use squall_scenarios::stage::{ClientActor, LocalFuture};

use super::{client::WholeClient, network::Network};
use crate::told;

/// The application's handle on a client of the network.
pub(super) struct EventsClient {
    network: Rc<RefCell<Network>>,
    index: usize,
}

impl EventsClient {
    pub(super) fn new(network: Rc<RefCell<Network>>, index: usize) -> Self {
        EventsClient { network, index }
    }

    fn poll_take<T>(&self, context: &Context<'_>, take: impl FnOnce(&mut WholeClient) -> Option<T>) -> Poll<T> {
        let client = &mut self.network.borrow_mut().clients[self.index];
        take(client).map_or_else(
            || {
                client.wait(context.waker());
                Poll::Pending
            },
            Poll::Ready,
        )
    }

    fn operate(&self, input: impl FnOnce(Token) -> Input) -> Token {
        self.network.borrow_mut().operate(self.index, input)
    }

    async fn outcome(&self, token: Token) -> Outcome {
        poll_fn(|context| self.poll_take(context, |client| client.take_outcome(token))).await
    }

    fn tell(&self, summary: String) {
        self.network.borrow_mut().tell_application(self.index, || summary);
    }
}

impl ClientActor for EventsClient {
    fn publish(&self, message: Publish) -> LocalFuture<'_, Result<ReasonCode, String>> {
        Box::pin(async move {
            let token = self.operate(|token| Input::Publish { token, message });
            let outcome = match self.outcome(token).await {
                Outcome::Published { reason, .. } => Ok(reason),
                Outcome::Failed(failure) => Err(failure.to_string()),
                other => unreachable!("a publish ends as published or failed, not as {other:?}"),
            };
            self.tell(told::published(&outcome));
            outcome
        })
    }

    fn subscribe(
        &self,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    ) -> LocalFuture<'_, Result<Vec<ReasonCode>, String>> {
        Box::pin(async move {
            let token = self.operate(|token| Input::Subscribe { token, subscriptions, properties });
            let outcome = match self.outcome(token).await {
                Outcome::Subscribed { reasons } => Ok(reasons),
                Outcome::Failed(failure) => Err(failure.to_string()),
                other => unreachable!("a subscribe ends as subscribed or failed, not as {other:?}"),
            };
            self.tell(told::answered("subscribe", &outcome));
            outcome
        })
    }

    fn unsubscribe(&self, filters: Vec<TopicFilter>) -> LocalFuture<'_, Result<Vec<ReasonCode>, String>> {
        Box::pin(async move {
            let token = self.operate(|token| Input::Unsubscribe { token, filters });
            let outcome = match self.outcome(token).await {
                Outcome::Unsubscribed { reasons } => Ok(reasons),
                Outcome::Failed(failure) => Err(failure.to_string()),
                other => unreachable!("an unsubscribe ends as unsubscribed or failed, not as {other:?}"),
            };
            self.tell(told::answered("unsubscribe", &outcome));
            outcome
        })
    }

    fn reauthenticate(&self) -> LocalFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let token = self.operate(|token| Input::Reauthenticate { token });
            let outcome = match self.outcome(token).await {
                Outcome::Reauthenticated => Ok(()),
                Outcome::Failed(failure) => Err(failure.to_string()),
                other => unreachable!("a re-authentication ends as done or failed, not as {other:?}"),
            };
            self.tell(told::reauthenticated(&outcome));
            outcome
        })
    }

    fn disconnect(&self, reason: ReasonCode, session_expiry_seconds: Option<u32>) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            let input = Input::Disconnect { reason, session_expiry_seconds };
            self.network.borrow_mut().tell_client(self.index, input);
        })
    }

    fn message(&self) -> LocalFuture<'_, Publish> {
        Box::pin(poll_fn(|context| self.poll_take(context, WholeClient::take_message)))
    }

    fn event(&self) -> LocalFuture<'_, Event> {
        Box::pin(poll_fn(|context| self.poll_take(context, WholeClient::take_event)))
    }
}
