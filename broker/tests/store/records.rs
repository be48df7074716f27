//! Records and a disk in memory, for the tests beside this file.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redb::{StorageBackend, backends::InMemoryBackend};
use squall_broker::core::effect::{Record, Shared};
use squall_codec::{
    packet::{Publish, RetainHandling, Subscription, SubscriptionOptions},
    property::{Properties, Property},
    qos::Qos,
    topic::{TopicFilter, TopicName},
    wire::{PacketId, Text},
};

pub(crate) fn client(name: &'static str) -> Text {
    Text::literal(name)
}

pub(crate) fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}

pub(crate) fn message(qos: Qos, topic: &str, payload: &[u8]) -> Publish {
    let topic = TopicName::try_from(topic).expect("a topic");
    Publish::new(&topic, payload).at(qos, None)
}

/// With all that a message can carry.
pub(crate) fn rich(qos: Qos) -> Publish {
    let properties = Properties::new()
        .with(Property::UserProperty((client("a"), client("1"))))
        .with(Property::CorrelationData(vec![0, 255, 7].into()))
        .with(Property::UserProperty((client("a"), client("2"))))
        .with(Property::ResponseTopic(client("answers/here")))
        .with(Property::MessageExpiryInterval(77));
    let mut message = message(qos, "a/rich/topic", &[0, 1, 2, 255]).with_properties(&properties);
    message.retain = true;
    message.subscription_identifiers = vec![1, 268_435_455, 3];
    message
}

pub(crate) fn session(name: &'static str) -> Record {
    Record::Session { client_id: client(name), user: None, expiry_seconds: 60, ended: None }
}

pub(crate) fn queued(name: &'static str, number: u64, message: Publish) -> Record {
    let arrived = Duration::new(1_700_000_000 + number, 123_456_789);
    Record::Queued { client_id: client(name), number, message, arrived, shared: None }
}

/// A message that bob gets with QoS 1 and RETAIN 0, however it was published.
fn queued_for_share(number: u64, qos: Qos, retain: bool) -> Record {
    Record::Queued {
        client_id: client("bob"),
        number,
        message: message(Qos::AtLeastOnce, "x", b""),
        arrived: Duration::ZERO,
        shared: Some(Shared { filter: TopicFilter::literal("$share/g/x"), qos, retain }),
    }
}

pub(crate) fn sent(name: &'static str, number: u64, packet_id: u16) -> Record {
    Record::Sent { client_id: client(name), number, packet_id: id(packet_id) }
}

pub(crate) fn settled(name: &'static str, packet_id: u16, number: Option<u64>) -> Record {
    Record::Settled { client_id: client(name), packet_id: id(packet_id), number }
}

pub(crate) fn subscribed(name: &'static str, filter: TopicFilter) -> Record {
    let options = SubscriptionOptions {
        qos: Qos::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::SendIfNew,
    };
    let subscription = Subscription { filter, options };
    Record::Subscribed { client_id: client(name), subscription, identifier: Some(9) }
}

pub(crate) fn retained(topic: &'static str, payload: &[u8]) -> Record {
    Record::Retained { message: message(Qos::AtMostOnce, topic, payload), arrived: Duration::from_secs(5) }
}

/// One of every kind of row.
pub(crate) fn everything() -> Vec<Record> {
    let (bob, dave) = (client("bob"), client("dave"));
    vec![
        Record::Session {
            client_id: bob.clone(),
            user: Some(client("robert")),
            expiry_seconds: u32::MAX,
            ended: Some(Duration::new(1_800_000_000, 1)),
        },
        subscribed("bob", TopicFilter::unshared(client("$share/g/x")).expect("a filter")),
        subscribed("bob", TopicFilter::literal("$share/g/x")),
        queued("bob", 1, rich(Qos::AtLeastOnce)),
        queued("bob", 2, rich(Qos::ExactlyOnce)),
        queued_for_share(300, Qos::ExactlyOnce, true),
        queued_for_share(301, Qos::AtLeastOnce, false),
        sent("bob", 2, 9),
        Record::Released { client_id: bob.clone(), packet_id: id(5), number: 0 },
        sent("bob", 1, 4),
        Record::Received { client_id: bob.clone(), packet_id: id(1) },
        Record::Received { client_id: bob, packet_id: id(65_535) },
        session("carol"),
        Record::Will {
            client_id: dave,
            user: Some(client("david")),
            message: rich(Qos::ExactlyOnce),
            delay_seconds: 8,
        },
        Record::Retained { message: rich(Qos::AtMostOnce), arrived: Duration::from_millis(1) },
        retained("x", b"y"),
    ]
}

/// A disk that is there as long as somebody holds it, and that fails when it is told to.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    bytes: Arc<InMemoryBackend>,
    /// Writes that still succeed.
    pub(crate) room: Arc<AtomicU64>,
    pub(crate) broken: Arc<AtomicBool>,
    pub(crate) syncs: Arc<AtomicU64>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Disk {
            bytes: Arc::new(InMemoryBackend::new()),
            room: Arc::new(AtomicU64::new(u64::MAX)),
            broken: Arc::default(),
            syncs: Arc::default(),
        }
    }

    /// With these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let disk = Disk::new();
        disk.bytes.set_len(bytes.len() as u64).expect("memory");
        disk.bytes.write(0, bytes).expect("memory");
        disk
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes.len().expect("memory") as usize];
        self.bytes.read(0, &mut bytes).expect("memory");
        bytes
    }

    /// Other bytes stand there from now on.
    pub(crate) fn replace(&self, bytes: &[u8]) {
        self.bytes.set_len(bytes.len() as u64).expect("memory");
        self.bytes.write(0, bytes).expect("memory");
    }

    pub(crate) fn make_room(&self) {
        self.room.store(u64::MAX, Ordering::SeqCst);
    }

    fn take_room(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        let room = self.room.load(Ordering::SeqCst);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.store(room - u64::from(room != u64::MAX), Ordering::SeqCst);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.take_room()?;
        self.bytes.write(offset, data)
    }
}
