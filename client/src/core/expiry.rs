//! Message Expiry Interval while a message waits here (section 3.3.2.3.3).

use std::{collections::VecDeque, time::Duration};

use squall_codec::{packet::Publish, time::Now, version::Version};

use super::{client::Client, effect::Failure, requests::Request};

/// A message of the application, and when its time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) message: Publish,
    /// On both clocks: a store keeps the one that goes on without this process.
    expires: Option<Now>,
}

impl Timed {
    /// It was taken now. Before 5.0 nothing expires.
    pub(super) fn new(now: Now, version: Version, message: Publish) -> Self {
        let interval = message.message_expiry_interval.filter(|_| version.has_properties());
        let expires = interval.map(|seconds| {
            let seconds = Duration::from_secs(seconds.into());
            Now { monotonic: now.monotonic + seconds, unix: now.unix + seconds }
        });
        Timed { message, expires }
    }

    /// An earlier run took it.
    pub(super) fn kept(now: Now, message: Publish, expires: Option<Duration>) -> Self {
        let expires = expires.map(|unix| Now { monotonic: now.monotonic + unix.saturating_sub(now.unix), unix });
        Timed { message, expires }
    }

    /// When its time is over.
    pub(super) fn expires(&self) -> Option<Now> {
        self.expires
    }

    /// As it leaves now: with what is left of its interval, in whole seconds that were begun. One that has left once is
    /// not given up any more ([MQTT-4.3.3-7]): it may leave again with nothing left, and the server judges.
    pub(super) fn leaving(&self, now: Duration) -> Publish {
        let mut message = self.message.clone();
        if let Some(expires) = self.expires {
            let left = expires.monotonic.saturating_sub(now);
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            message.message_expiry_interval = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        message
    }
}

impl Request {
    fn expires(&self) -> Option<Duration> {
        match self {
            Request::Publish { message, .. } => message.expires().map(|moment| moment.monotonic),
            Request::Subscribe { .. } | Request::Unsubscribe { .. } => None,
        }
    }
}

impl Client {
    /// A request waits from now on, behind all others.
    pub(super) fn wait_for_turn(&mut self, request: Request) {
        self.note_expiry(&request);
        self.queue.push_back(request);
    }

    /// A request waits from now on, before all others.
    pub(super) fn wait_before_others(&mut self, request: Request) {
        self.note_expiry(&request);
        self.queue.push_front(request);
    }

    fn note_expiry(&mut self, request: &Request) {
        self.queue_expires = self.queue_expires.into_iter().chain(request.expires()).min();
    }

    /// Gives up what has waited for too long, and finds out when something will have.
    pub(super) fn expire(&mut self, now: Duration) {
        if self.queue_expires.is_none_or(|expires| expires > now) {
            return;
        }
        let is_over = |request: &Request| request.expires().is_some_and(|expires| expires <= now);
        let (expired, waiting): (VecDeque<_>, _) = std::mem::take(&mut self.queue).into_iter().partition(is_over);
        self.queue = waiting;
        expired.iter().for_each(|request| self.give_up(request, Failure::Expired));
        self.queue_expires = self.queue.iter().filter_map(Request::expires).min();
    }
}
