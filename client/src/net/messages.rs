//! What the application receives: messages, all of them or those of one subscription.

use std::{
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::Stream;
use squall_codec::{packet::Publish, reason::ReasonCode, topic::TopicFilter};
use tokio::sync::{Notify, mpsc};

use super::handle::{Handle, UnsubscribeError};
use crate::core::effect::Delivery;

/// A message from the server. It reads like the PUBLISH that it is.
#[derive(Clone, Debug)]
pub struct Message {
    publish: Publish,
    /// Where it is acknowledged by hand.
    held: Option<Arc<Held>>,
}

/// A delivery that the application has not acknowledged.
#[derive(Debug)]
pub(super) struct Held {
    delivery: Delivery,
    answer: Mutex<Answer>,
    acks: Arc<Acks>,
}

/// What the application has said so far.
#[derive(Debug)]
struct Answer {
    /// Streams that were given the message and have said nothing yet.
    copies: usize,
    reason: ReasonCode,
}

impl Message {
    pub(super) fn new(publish: Publish) -> Self {
        Message { publish, held: None }
    }

    /// One that leaves its PUBACK or PUBREC to the application, which is given so many copies.
    pub(super) fn held(publish: Publish, delivery: Delivery, copies: usize, acks: &Arc<Acks>) -> Self {
        let answer = Mutex::new(Answer { copies, reason: ReasonCode::Success });
        let held = Held { delivery, answer, acks: Arc::clone(acks) };
        Message { publish, held: Some(Arc::new(held)) }
    }

    /// The application has done its work: PUBACK or PUBREC may leave, in the order in which messages came. Needed only
    /// with [`Acknowledge::ByHand`](crate::options::Acknowledge::ByHand), and nothing happens without it or at QoS 0.
    /// A message that several streams were given leaves when the last of them has said so. A message that is dropped
    /// instead is not acknowledged: the server keeps it, and sends it again on the next connection.
    ///
    /// An acknowledgement that comes too late, after the connection (at QoS 1) or the session was lost, is passed over:
    /// it never meets another message.
    pub fn ack(self) {
        self.answer(ReasonCode::Success);
    }

    /// The application will not have it: PUBACK or PUBREC with this reason leaves in its turn, as with [`Message::ack`], and
    /// the server sends it to nobody again. Of several streams that were given the message the last one to refuse it gives the
    /// reason. Before 5.0 there is no word for it: the message is acknowledged.
    pub fn refuse(self, reason: ReasonCode) {
        self.answer(reason);
    }

    fn answer(self, reason: ReasonCode) {
        let Some(held) = self.held else { return };
        let mut answer = lock(&held.answer);
        if reason.is_failure() {
            answer.reason = reason;
        }
        answer.copies -= 1;
        if answer.copies == 0 {
            held.acks.put(held.delivery, answer.reason);
        }
    }

    /// The packet alone. One that is acknowledged by hand can then no longer be.
    pub fn into_publish(self) -> Publish {
        self.publish
    }
}

impl Deref for Message {
    type Target = Publish;

    fn deref(&self) -> &Publish {
        &self.publish
    }
}

/// From the application to the driver. Each delivery is put at most once, so Receive Maximum is the bound.
#[derive(Debug, Default)]
pub(super) struct Acks {
    due: Mutex<Vec<(Delivery, ReasonCode)>>,
    news: Notify,
}

impl Acks {
    pub(super) fn put(&self, delivery: Delivery, reason: ReasonCode) {
        lock(&self.due).push((delivery, reason));
        self.news.notify_one();
    }

    pub(super) fn take(&self) -> Vec<(Delivery, ReasonCode)> {
        std::mem::take(&mut lock(&self.due))
    }

    /// Waits until there may be some. May be dropped at any time.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Messages that belong to no [`Subscribed`] stream, in order. While nobody takes them the socket is not read, so the
/// server notices; an application that wants none of them drops this.
#[derive(Debug)]
pub struct Messages(pub(super) mpsc::Receiver<Message>);

impl Messages {
    /// The next message, with its topic in full; `None` when the client has ended. May be dropped at any time.
    pub async fn next(&mut self) -> Option<Message> {
        self.0.recv().await
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.0.poll_recv(context)
    }
}

/// The messages of one SUBSCRIBE, in order, from [`Handle::stream`]. While nobody takes them the socket is not read.
///
/// Dropping it does not unsubscribe: what the server goes on sending belongs to [`Messages`] then.
#[derive(Debug)]
pub struct Subscribed {
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) results: Vec<(TopicFilter, ReasonCode)>,
    pub(super) handle: Handle,
}

impl Subscribed {
    /// The next message, with its topic in full; `None` when the client has ended. May be dropped at any time.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// What the server said to each filter, in order: the QoS that it granted, or why it refused. At least one is
    /// granted.
    pub fn results(&self) -> &[(TopicFilter, ReasonCode)] {
        &self.results
    }

    /// Ends the subscriptions; gives one reason for each filter that was granted, and none before 5.0. What was
    /// received and not taken is gone.
    ///
    /// # Errors
    /// There was no UNSUBACK.
    pub async fn unsubscribe(self) -> Result<Vec<ReasonCode>, UnsubscribeError> {
        let granted = self.results.into_iter().filter(|(_, reason)| !reason.is_failure());
        self.handle.unsubscribe(granted.map(|(filter, _)| filter).collect()).await
    }
}

impl Stream for Subscribed {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.messages.poll_recv(context)
    }
}
