//! What the application holds to ask with, and the events of the connection.
//!
//! Every future here may be dropped at any time. Dropped before the request was taken, nothing has happened; dropped
//! after, the request is carried out all the same, and only its answer goes nowhere.

use std::time::Duration;

use squall_codec::{
    packet::{Publish, Subscription},
    property::Properties,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
};
use tokio::{
    sync::{mpsc, mpsc::error::SendError, oneshot},
    time::timeout,
};

use super::{
    clock::Stopwatch,
    messages::{Message, Subscribed},
    router::MESSAGES,
};
use crate::core::effect::{Event, Failure, Outcome};

/// Asks the client for things. Cheap to clone. When the last handle, the last
/// [`Subscribed`] and [`Messages`](super::messages::Messages) are gone, the client disconnects.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) publishes: mpsc::Sender<PublishCommand>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) version: Version,
}

/// The life of the connection. Of events that nobody takes only the newest are kept.
#[derive(Debug)]
pub struct Events(pub(super) mpsc::Receiver<Event>);

/// A message whose QoS is fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Below 0x80: success, or no matching subscribers.
    pub reason: ReasonCode,
    /// Of PUBACK or PUBREC.
    pub properties: Properties,
}

/// For a message that the client has taken. Dropping it takes nothing back.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Outcome>);

/// Why a message was not published, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The server said no in PUBACK or PUBREC.
    #[error("the server refused the message: {reason}")]
    Refused {
        /// 0x80 or above.
        reason: ReasonCode,
        /// Of PUBACK or PUBREC.
        properties: Properties,
    },
    /// It did not come to an answer.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The server refused every filter.
    #[error("the server refused the subscription: {}", list(.reasons))]
    Refused {
        /// One for each filter, in order.
        reasons: Vec<ReasonCode>,
    },
    /// There was no SUBACK.
    #[error(transparent)]
    Failed(#[from] Failure),
}

fn list(reasons: &[ReasonCode]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why the server was not convinced anew. The connection may have ended with it: then an event says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct AuthenticateError(#[from] pub Failure);

/// Why there was no UNSUBACK.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct UnsubscribeError(#[from] pub Failure);

#[derive(Debug)]
pub(super) struct PublishCommand {
    pub(super) message: Publish,
    /// Where its time is limited.
    pub(super) since: Option<Stopwatch>,
    pub(super) reply: oneshot::Sender<Outcome>,
}

#[derive(Debug)]
pub(super) enum Command {
    Subscribe {
        subscriptions: Vec<Subscription>,
        properties: Properties,
        /// Where its messages go, if not to `Messages`.
        stream: Option<mpsc::Sender<Message>>,
        reply: oneshot::Sender<Outcome>,
    },
    Unsubscribe {
        filters: Vec<TopicFilter>,
        reply: oneshot::Sender<Outcome>,
    },
    Reauthenticate {
        reply: oneshot::Sender<Outcome>,
    },
    Disconnect {
        reason: ReasonCode,
        session_expiry_seconds: Option<u32>,
        closed: oneshot::Sender<()>,
    },
}

impl Handle {
    /// Publishes. Waits while the client's queue is full, and then until the QoS is fulfilled: QoS 0 handed to the
    /// network, QoS 1 at PUBACK, QoS 2 at PUBCOMP, over reconnects too. DUP, packet identifier and Topic Alias of the
    /// message are the client's. A Message Expiry Interval (5.0) that passes while the message waits here ends it with
    /// [`Failure::Expired`], and the message is not sent; one that leaves earlier leaves with what is left of it.
    ///
    /// # Errors
    /// The server refused, or it did not come to an answer.
    pub async fn publish(&self, message: Publish) -> Result<Published, PublishError> {
        self.queue(message).await?.outcome().await
    }

    /// Hands a message over, and returns when the client has taken it: for many in flight at once, in order.
    ///
    /// # Errors
    /// The client has ended, or the message has expired before there was room.
    pub async fn queue(&self, message: Publish) -> Result<Receipt, PublishError> {
        let (reply, outcome) = oneshot::channel();
        let interval = message.message_expiry_interval.filter(|_| self.version.has_properties());
        let since = interval.map(|_| Stopwatch::start());
        let sending = self.publishes.send(PublishCommand { message, since, reply });
        let sent = match interval {
            Some(seconds) => match timeout(Duration::from_secs(seconds.max(1).into()), sending).await {
                Ok(sent) => sent,
                Err(_) => return Err(Failure::Expired.into()),
            },
            None => sending.await,
        };
        match sent {
            Ok(()) => Ok(Receipt(outcome)),
            Err(_) => Err(Failure::Disconnected.into()),
        }
    }

    /// Subscribes; gives one reason for each filter, in order, failures among them. The messages come to
    /// [`Messages`](super::messages::Messages).
    ///
    /// # Errors
    /// There was no SUBACK.
    pub async fn subscribe(
        &self,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    ) -> Result<Vec<ReasonCode>, SubscribeError> {
        self.ask_for(subscriptions, properties, None).await
    }

    /// Subscribes, with a stream for just these messages. A message that several streams subscribe to comes to each of
    /// them as often as the server sends it; with a Subscription Identifier in the properties (5.0) a stream is given
    /// what the server sends for this SUBSCRIBE, and nothing else.
    ///
    /// # Errors
    /// The server refused every filter, or there was no SUBACK.
    pub async fn stream(
        &self,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    ) -> Result<Subscribed, SubscribeError> {
        let filters: Vec<_> = subscriptions.iter().map(|one| one.filter.clone()).collect();
        let (stream, messages) = mpsc::channel(MESSAGES);
        let reasons = self.ask_for(subscriptions, properties, Some(stream)).await?;
        if reasons.iter().all(|reason| reason.is_failure()) {
            return Err(SubscribeError::Refused { reasons });
        }
        Ok(Subscribed { messages, results: filters.into_iter().zip(reasons).collect(), handle: self.clone() })
    }

    async fn ask_for(
        &self,
        subscriptions: Vec<Subscription>,
        properties: Properties,
        stream: Option<mpsc::Sender<Message>>,
    ) -> Result<Vec<ReasonCode>, SubscribeError> {
        let (reply, outcome) = oneshot::channel();
        let sent = self.commands.send(Command::Subscribe { subscriptions, properties, stream, reply }).await;
        match answer(sent, outcome).await {
            Outcome::Subscribed { reasons } => Ok(reasons),
            other => Err(failure(other).into()),
        }
    }

    /// Ends subscriptions; gives one reason for each filter, in order, and none before 5.0.
    ///
    /// # Errors
    /// There was no UNSUBACK.
    pub async fn unsubscribe(&self, filters: Vec<TopicFilter>) -> Result<Vec<ReasonCode>, UnsubscribeError> {
        let (reply, outcome) = oneshot::channel();
        let sent = self.commands.send(Command::Unsubscribe { filters, reply }).await;
        match answer(sent, outcome).await {
            Outcome::Unsubscribed { reasons } => Ok(reasons),
            other => Err(failure(other).into()),
        }
    }

    /// Proves anew who the client is, by the method of the options (5.0), while messages flow on.
    ///
    /// # Errors
    /// There is no method, or the server was not convinced, or the client was not.
    pub async fn reauthenticate(&self) -> Result<(), AuthenticateError> {
        let (reply, outcome) = oneshot::channel();
        let sent = self.commands.send(Command::Reauthenticate { reply }).await;
        match answer(sent, outcome).await {
            Outcome::Reauthenticated => Ok(()),
            other => Err(failure(other).into()),
        }
    }

    /// Ends the connection and the client; returns when the Network Connection is closed. Publishes and subscriptions
    /// that were not answered fail with [`Failure::Disconnected`]. With reason 0x04 the will is published; in 5.0
    /// another Session Expiry Interval may be given.
    pub async fn disconnect(&self, reason: ReasonCode, session_expiry_seconds: Option<u32>) {
        let (closed, is_closed) = oneshot::channel();
        if self.commands.send(Command::Disconnect { reason, session_expiry_seconds, closed }).await.is_ok() {
            // An error says that the driver is gone, and the connection with it.
            let _ = is_closed.await;
        }
    }
}

impl Receipt {
    /// Waits until the QoS is fulfilled.
    ///
    /// # Errors
    /// As [`Handle::publish`].
    pub async fn outcome(self) -> Result<Published, PublishError> {
        match self.0.await.unwrap_or(Outcome::Failed(Failure::Disconnected)) {
            Outcome::Published { reason, properties } if reason.is_failure() => {
                Err(PublishError::Refused { reason, properties })
            }
            Outcome::Published { reason, properties } => Ok(Published { reason, properties }),
            other => Err(failure(other).into()),
        }
    }
}

impl Events {
    /// The next event; `None` when the client has ended. May be dropped at any time.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// A request that could not be sent comes back with its end of the answer, so it must not be kept while waiting.
async fn answer<T>(sent: Result<(), SendError<T>>, outcome: oneshot::Receiver<Outcome>) -> Outcome {
    match sent {
        // An error says that the driver has ended, or was dropped.
        Ok(()) => outcome.await.unwrap_or(Outcome::Failed(Failure::Disconnected)),
        Err(_) => Outcome::Failed(Failure::Disconnected),
    }
}

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        // The core answers each request in its own kind.
        other => unreachable!("the answer to another request: {other:?}"),
    }
}
