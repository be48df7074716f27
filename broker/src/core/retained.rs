//! Retained messages (section 3.3.1.3), one for each topic.
//!
//! They belong to no session (3.1.1 [MQTT-3.1.2-7]). Kept in the order of topics, so that equal inputs give equal
//! deliveries and a filter scans only the topics that share its literal beginning.

use std::{collections::BTreeMap, ops::Bound, time::Duration};

use squall_codec::{
    packet::Publish,
    qos::Qos,
    topic::{self, TopicFilter, TopicName},
};

/// All retained messages.
#[derive(Debug, Default)]
pub(super) struct Retained {
    messages: BTreeMap<Box<str>, Stored>,
    bytes: usize,
    /// Of the message that was kept last.
    last_number: u64,
    /// When expired messages were last looked for.
    purged: Option<Duration>,
}

/// How long a look for expired messages, which goes through all of them, is not repeated.
const PURGE_PAUSE: Duration = Duration::from_secs(1);

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// With its own bytes.
    pub(super) message: Publish,
    /// When it came, on the clock that goes on over a restart: Message Expiry Interval counts from here.
    pub(super) arrived: Duration,
    /// They count up: a subscription asks for those that were there before it.
    number: u64,
}

/// The retained messages that a new subscription asks for and has not got yet, in the order of topics.
#[derive(Debug)]
pub(super) struct Scan {
    /// Of the subscription.
    pub(super) filter: TopicFilter,
    /// As granted.
    pub(super) qos: Qos,
    /// Subscription Identifier.
    pub(super) identifier: Option<u32>,
    /// The last topic that was looked at.
    after: Option<Box<str>>,
    /// What came later has been delivered when it came.
    up_to: u64,
}

impl Scan {
    /// The message of this topic is dealt with.
    pub(super) fn pass(&mut self, topic: Box<str>) {
        self.after = Some(topic);
    }

    /// The message as it is sent to the subscriber.
    pub(super) fn message(&self, stored: &Stored) -> Publish {
        let mut message = stored.message.clone();
        // [MQTT-3.8.4-8]
        message.qos = message.qos.min(self.qos);
        // Section 3.3.1.3: RETAIN is 1 whatever Retain As Published says; 3.1.1 [MQTT-3.3.1-8].
        message.retain = true;
        message.subscription_identifiers = self.identifier.into_iter().collect();
        message
    }
}

impl Stored {
    fn is_expired(&self, now: Duration) -> bool {
        super::session::is_expired(&self.message, self.arrived, now)
    }
}

impl Retained {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Bytes of topics, properties and payloads.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message of `size` bytes for `topic` stays within the bounds.
    pub(super) fn has_room(&self, topic: &str, size: usize, messages: usize, bytes: usize) -> bool {
        let replaced = self.messages.get(topic).map(|stored| stored.message.size_bytes());
        let count = self.messages.len() + usize::from(replaced.is_none());
        count <= messages && self.bytes - replaced.unwrap_or(0) + size <= bytes
    }

    /// Each with the moment at which it came, by topic.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Publish, Duration)> {
        self.messages.values().map(|stored| (&stored.message, stored.arrived))
    }

    /// Keeps the message for its topic in place of the former one.
    pub(super) fn set(&mut self, message: Publish, arrived: Duration) {
        let topic = Box::from(message.topic());
        self.bytes += message.size_bytes();
        self.last_number += 1;
        let number = self.last_number;
        if let Some(former) = self.messages.insert(topic, Stored { message, arrived, number }) {
            self.bytes -= former.message.size_bytes();
        }
    }

    /// Forgets the message of the topic: whether there was one.
    pub(super) fn clear(&mut self, topic: &str) -> bool {
        let former = self.messages.remove(topic);
        self.bytes -= former.as_ref().map_or(0, |stored| stored.message.size_bytes());
        former.is_some()
    }

    /// Drops what has expired, unless it has just been done: the topics.
    pub(super) fn purge(&mut self, now: Duration) -> Vec<TopicName> {
        if self.purged.is_some_and(|purged| now < purged + PURGE_PAUSE) {
            return Vec::new();
        }
        self.purged = Some(now);
        let expired = self.messages.extract_if(.., |_, stored| stored.is_expired(now));
        let topics = expired.filter_map(|(_, stored)| stored.message.topic_name()).collect();
        self.bytes = self.messages.values().map(|stored| stored.message.size_bytes()).sum();
        topics
    }

    /// What a subscription asks for.
    pub(super) fn scan(&self, filter: TopicFilter, qos: Qos, identifier: Option<u32>) -> Scan {
        Scan { filter, qos, identifier, after: None, up_to: self.last_number }
    }

    /// The next message of a scan.
    pub(super) fn next(&self, scan: &Scan, now: Duration) -> Option<(&str, &Stored)> {
        let filter = scan.filter.filter();
        let wanted = |stored: &Stored| stored.number <= scan.up_to && !stored.is_expired(now);
        let literal = &filter[..filter.find(['+', '#']).unwrap_or(filter.len())];
        let found = if literal.len() == filter.len() {
            self.messages.get_key_value(filter).filter(|(_, stored)| scan.after.is_none() && wanted(stored))
        } else {
            // "sport/#" matches "sport" too, which does not begin with "sport/".
            let start = literal.strip_suffix('/').unwrap_or(literal);
            let from = scan.after.as_deref().map_or(Bound::Included(start), Bound::Excluded);
            self.messages
                .range::<str, _>((from, Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(start))
                .find(|(name, stored)| topic::matches(filter, name) && wanted(stored))
        };
        found.map(|(name, stored)| (&**name, stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message whose topic and payload together have `size` bytes.
    fn message(topic: &'static str, size: usize) -> Publish {
        Publish::new(&TopicName::literal(topic), vec![0; size - topic.len()])
    }

    fn expiring(topic: &'static str, seconds: u32) -> Publish {
        let mut message = message(topic, 10);
        message.message_expiry_interval = Some(seconds);
        message
    }

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn bytes_are_counted_when_a_message_is_kept_replaced_and_cleared() {
        let mut retained = Retained::default();
        let bytes = |retained: &Retained| (retained.len(), retained.size_bytes());
        retained.set(message("a", 10), at(0));
        retained.set(message("b", 20), at(0));
        assert_eq!(bytes(&retained), (2, 30));
        retained.set(message("a", 15), at(0));
        assert_eq!(bytes(&retained), (2, 35));
        assert!(!retained.clear("c"));
        assert!(retained.clear("a"));
        assert_eq!(bytes(&retained), (1, 20));
    }

    #[test]
    fn what_is_replaced_makes_room() {
        let mut retained = Retained::default();
        retained.set(message("a", 10), at(0));
        retained.set(message("b", 20), at(0));
        // The bounds on messages and bytes; the size of another message for `a`, and of one for a new topic.
        for (messages, bytes, size, replaces, adds) in [
            (2, 30, 10, true, false),
            (2, 30, 11, false, false),
            (3, 31, 2, true, false),
            (3, 31, 1, true, true),
            (1, 99, 1, false, false),
        ] {
            assert_eq!(
                retained.has_room("a", size, messages, bytes),
                replaces,
                "{size} bytes for a, {messages}, {bytes}"
            );
            assert_eq!(retained.has_room("c", size, messages, bytes), adds, "{size} bytes for c, {messages}, {bytes}");
        }
    }

    #[test]
    fn what_expired_is_looked_for_again_after_a_pause() {
        let mut retained = Retained::default();
        let purge = |retained: &mut Retained, now| {
            let topics = retained.purge(now);
            topics.iter().map(|topic| topic.text().to_string()).collect::<Vec<_>>()
        };
        retained.set(expiring("a", 1), at(0));
        retained.set(expiring("b", 2), at(0));
        retained.set(expiring("c", 2), at(100));
        retained.set(message("d", 10), at(0));
        assert_eq!(purge(&mut retained, at(1000)), ["a"]);
        assert_eq!(
            retained.size_bytes(),
            retained.messages.values().map(|stored| stored.message.size_bytes()).sum::<usize>()
        );
        assert_eq!(purge(&mut retained, at(1999)), [""; 0]);
        assert_eq!(purge(&mut retained, at(2000)), ["b"]);
        // `c` is over meanwhile, but it has just been looked for.
        assert_eq!(purge(&mut retained, at(2999)), [""; 0]);
        assert_eq!(purge(&mut retained, at(3000)), ["c"]);
        assert_eq!(retained.len(), 1);
    }
}
