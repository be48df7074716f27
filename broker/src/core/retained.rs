//! Retained messages (section 3.3.1.3), one for each topic.
//!
//! They belong to no session (3.1.1 [MQTT-3.1.2-7]). Kept in the order of topics, so that equal inputs give equal
//! deliveries and a filter scans only the topics that share its literal beginning.

use std::{collections::BTreeMap, ops::Bound, time::Duration};

use squall_codec::{packet::Publish, topic};

/// All retained messages.
#[derive(Debug, Default)]
pub(super) struct Retained {
    messages: BTreeMap<Box<str>, Stored>,
    bytes: usize,
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
    /// When it came: Message Expiry Interval counts from here.
    pub(super) arrived: Duration,
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

    /// Keeps the message for its topic in place of the former one.
    pub(super) fn set(&mut self, message: Publish, arrived: Duration) {
        let topic = Box::from(message.topic());
        self.bytes += message.size_bytes();
        if let Some(former) = self.messages.insert(topic, Stored { message, arrived }) {
            self.bytes -= former.message.size_bytes();
        }
    }

    /// Forgets the message of the topic: whether there was one.
    pub(super) fn clear(&mut self, topic: &str) -> bool {
        let former = self.messages.remove(topic);
        self.bytes -= former.as_ref().map_or(0, |stored| stored.message.size_bytes());
        former.is_some()
    }

    /// Drops what has expired, unless it has just been done: how many.
    pub(super) fn purge(&mut self, now: Duration) -> usize {
        if self.purged.is_some_and(|purged| now < purged + PURGE_PAUSE) {
            return 0;
        }
        self.purged = Some(now);
        let before = self.messages.len();
        self.messages.retain(|_, stored| !stored.is_expired(now));
        self.bytes = self.messages.values().map(|stored| stored.message.size_bytes()).sum();
        before - self.messages.len()
    }

    /// The messages whose topics match, in the order of topics.
    pub(super) fn matching(&self, filter: &str, now: Duration) -> Vec<Stored> {
        let literal = &filter[..filter.find(['+', '#']).unwrap_or(filter.len())];
        if literal.len() == filter.len() {
            let found = self.messages.get(filter).filter(|stored| !stored.is_expired(now));
            return found.cloned().into_iter().collect();
        }
        // "sport/#" matches "sport" too, which does not begin with "sport/".
        let start = literal.strip_suffix('/').unwrap_or(literal);
        self.messages
            .range::<str, _>((Bound::Included(start), Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(start))
            .filter(|(name, stored)| topic::matches(filter, name) && !stored.is_expired(now))
            .map(|(_, stored)| stored.clone())
            .collect()
    }
}
