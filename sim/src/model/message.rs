//! The messages that somebody has published or has left as a will.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
    time::Duration,
};

use squall_codec::{
    packet::{Publish, Will},
    qos::Qos,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Whether its publisher was told that the server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// Not yet; or nobody is told, at QoS 0.
    Open,
    /// PUBACK or PUBREC said yes.
    Yes,
    /// One of them said no.
    No,
}

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// As it was published, with its topic in full.
    pub(super) publish: Publish,
    pub(super) key: u64,
    /// Whose, by the position of the session.
    pub(super) publisher: usize,
    /// When the server got it; of a will, when it was published.
    pub(super) at: Duration,
    pub(super) acceptance: Acceptance,
    pub(super) is_will: bool,
    /// Somebody is connected who has asked for it, for certain.
    pub(super) has_receiver: bool,
    /// It has left for somebody: then the server has kept that it came, and must not publish it twice ([MQTT-4.3.3-10]).
    pub(super) has_left: bool,
    /// The same message, as the server may have taken it before a crash, or after it: one of the two is published.
    pub(super) twin: Option<usize>,
}

/// A map by what tells messages apart, alone or beside a client. Nothing may depend on its order.
pub(super) type ByKey<K, V> = HashMap<K, V, BuildHasherDefault<AsItIs>>;

/// A set of what tells messages apart.
pub(super) type Keys = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// Keys are hashes already.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What tells messages apart: topic and payload.
pub(super) fn key_of(publish: &Publish) -> u64 {
    xxh3_64_with_seed(publish.payload(), xxh3_64(publish.topic_bytes()))
}

impl Message {
    pub(super) fn new(publish: Publish, publisher: usize, at: Duration) -> Self {
        let key = key_of(&publish);
        Message {
            publish,
            key,
            publisher,
            at,
            acceptance: Acceptance::Open,
            is_will: false,
            has_receiver: false,
            has_left: false,
            twin: None,
        }
    }

    pub(super) fn will(will: &Will, publisher: usize, at: Duration) -> Self {
        let mut publish = Publish::new(&will.topic, &will.payload).at(will.qos, None).with_properties(&will.properties);
        publish.retain = will.retain;
        Message { is_will: true, acceptance: Acceptance::Yes, ..Message::new(publish, publisher, at) }
    }

    pub(super) fn qos(&self) -> Qos {
        self.publish.qos
    }

    /// When it must not be sent for the first time any more.
    pub(super) fn expires(&self) -> Option<Duration> {
        self.publish.message_expiry_interval.map(|seconds| self.at + Duration::from_secs(u64::from(seconds)))
    }

    /// "0 on a/b "17"".
    pub(super) fn words(&self) -> String {
        words_of(&self.publish)
    }
}

/// A message in words: what a reader finds it by.
pub(crate) fn words_of(publish: &Publish) -> String {
    let topic = publish.topic().strip_prefix("squall//").unwrap_or(publish.topic());
    let payload = String::from_utf8_lossy(publish.payload());
    let shown: String = payload.chars().take(20).collect();
    let more = if payload.chars().count() > 20 { "…" } else { "" };
    format!("\"{shown}{more}\" on {topic}")
}
