//! The session on disk: what is kept, and that nothing leaves before it.

use std::{
    io,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use proptest::{option, prelude::*};
use squall_client::{
    core::{
        effect::{DisconnectCause, Event},
        record::{Kept, Record},
    },
    net::{driver::start_with_store, keeper::Store, store::FileStore},
};
use squall_codec::{
    packet::{Ack, Packet, Publish},
    property::{Properties, Property},
    qos::Qos,
    topic::TopicName,
    wire::{PacketId, Text},
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::support::{PATIENCE, accept, lasting, listener, message};

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not 0")
}

#[tokio::test]
async fn a_message_of_a_process_that_has_ended_is_sent_by_the_next() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("session");
    let (listener, connector) = listener().await;

    let store = Box::new(FileStore::open(&path).expect("a new file"));
    let (handle, messages, events, driver) =
        start_with_store(lasting(), connector.clone(), 1, store).expect("nothing to load");
    let driver = tokio::spawn(driver);
    let mut peer = accept(&listener).await.welcome(false).await;
    let properties = Properties::new().with(Property::UserProperty((Text::literal("a"), Text::literal("b"))));
    let rich = message("t", Qos::ExactlyOnce, "out").with_properties(&properties);
    let receipt = handle.queue(rich).await.expect("taken");
    let sent = peer.expect_publish().await;
    peer.publish("t", Qos::ExactlyOnce, 9, "in").await;
    assert_eq!(peer.next().await, Some(Packet::Pubrec(Ack::new(id(9)))));
    // The process ends: nothing is said, nothing is finished.
    driver.abort();
    let _ = driver.await;
    drop((handle, messages, events, receipt, peer));

    let store = Box::new(FileStore::open(&path).expect("the same file"));
    let (_handle, mut messages, _events, driver) =
        start_with_store(lasting(), connector, 1, store).expect("the session is there");
    tokio::spawn(driver);
    let mut peer = accept(&listener).await.welcome(true).await;
    let again = peer.expect_publish().await;
    assert!(again.dup && again.packet_id == sent.packet_id);
    assert_eq!((again.payload(), again.forwarded_properties()), (&b"out"[..], properties));
    // The message that was delivered before is answered and not delivered again.
    peer.publish("t", Qos::ExactlyOnce, 9, "in").await;
    assert_eq!(peer.next().await, Some(Packet::Pubrec(Ack::new(id(9)))));
    peer.send(Packet::Pubrel(Ack::new(id(9)))).await;
    assert_eq!(peer.next().await, Some(Packet::Pubcomp(Ack::new(id(9)))));
    peer.publish("t", Qos::ExactlyOnce, 9, "another").await;
    let message = timeout(PATIENCE, messages.next()).await.expect("in time").expect("the client runs");
    assert_eq!(message.payload(), b"another");
}

#[test]
fn a_file_that_is_no_session_is_refused_by_name_and_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a session\n").expect("a file");
    let error = FileStore::open(&path).expect_err("it is something else").to_string();
    assert!(error.contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"not a session\n");
    let path = folder.path().join("session");
    let _held = FileStore::open(&path).expect("a new file");
    assert!(FileStore::open(&path).is_err(), "two clients in one session");
}

/// A store that commits when it is let.
#[derive(Clone, Default)]
struct Gate(Arc<GateState>);

#[derive(Default)]
struct GateState {
    failure: Mutex<Option<io::ErrorKind>>,
    is_open: Mutex<bool>,
    opened: Condvar,
    /// A commit found the gate shut.
    entered: tokio::sync::Notify,
}

impl Gate {
    fn open(&self) {
        *self.0.is_open.lock().expect("no panic") = true;
        self.0.opened.notify_all();
    }

    fn shut(&self) {
        *self.0.is_open.lock().expect("no panic") = false;
    }

    fn fail(&self, kind: io::ErrorKind) {
        *self.0.failure.lock().expect("no panic") = Some(kind);
    }
}

impl Store for Gate {
    fn load(&mut self) -> io::Result<Kept> {
        Ok(Kept::default())
    }

    fn commit(&mut self, _records: Vec<Record>) -> io::Result<()> {
        let mut is_open = self.0.is_open.lock().expect("no panic");
        while !*is_open {
            self.0.entered.notify_one();
            is_open = self.0.opened.wait(is_open).expect("no panic");
        }
        self.0.failure.lock().expect("no panic").map_or(Ok(()), |kind| Err(kind.into()))
    }
}

#[tokio::test]
async fn nothing_leaves_that_the_store_has_not_got_and_nothing_else_waits() {
    let gate = Gate::default();
    gate.open();
    let (listener, connector) = listener().await;
    let (handle, _messages, mut events, driver) =
        start_with_store(lasting(), connector, 1, Box::new(gate.clone())).expect("loaded");
    tokio::spawn(driver);
    let mut peer = accept(&listener).await.welcome(false).await;
    assert!(matches!(timeout(PATIENCE, events.next()).await, Ok(Some(Event::Connected { .. }))));
    // A first exchange shows that the session's beginning is kept.
    peer.publish("t", Qos::ExactlyOnce, 1, "x").await;
    assert_eq!(peer.next().await, Some(Packet::Pubrec(Ack::new(id(1)))));
    handle.publish(message("t", Qos::AtMostOnce, "before")).await.expect("handed over");
    gate.shut();
    let receipt = handle.queue(message("t", Qos::AtLeastOnce, "kept")).await.expect("taken");
    assert_eq!(peer.expect_publish().await.payload(), b"before");
    timeout(PATIENCE, gate.0.entered.notified()).await.expect("the store is asked");
    // The server ends the connection, and so sees all that the client had written.
    peer.stream.shutdown().await.expect("open until now");
    assert_eq!(peer.next().await, None, "it left before it was kept");
    let peer = accept(&listener).await;
    gate.open();
    assert_eq!(peer.welcome(true).await.expect_publish().await.payload(), b"kept");
    drop(receipt);
}

#[tokio::test]
async fn a_store_that_fails_ends_the_client_and_what_it_has_not_got_stays_here() {
    let gate = Gate::default();
    gate.open();
    let (listener, connector) = listener().await;
    let (handle, _messages, mut events, driver) =
        start_with_store(lasting(), connector, 1, Box::new(gate.clone())).expect("loaded");
    let driver = tokio::spawn(driver);
    let mut peer = accept(&listener).await.welcome(false).await;
    assert!(matches!(timeout(PATIENCE, events.next()).await, Ok(Some(Event::Connected { .. }))));
    peer.publish("t", Qos::ExactlyOnce, 1, "x").await;
    assert_eq!(peer.next().await, Some(Packet::Pubrec(Ack::new(id(1)))));
    gate.fail(io::ErrorKind::StorageFull);
    assert!(handle.publish(message("t", Qos::AtLeastOnce, "lost")).await.is_err());
    assert_eq!(peer.next().await, None);
    match timeout(PATIENCE, events.next()).await.expect("in time") {
        Some(Event::Disconnected { cause: DisconnectCause::Store(_), reconnecting: false }) => {}
        other => panic!("expected the store's failure, saw {other:?}"),
    }
    driver.await.expect("no panic");
}

fn record() -> impl Strategy<Value = Record> {
    let number = || 0u64..4;
    let packet_id = || (1u16..4).prop_map(id);
    prop_oneof![
        1 => "[a-c]{0,2}".prop_map(|name| Record::Began { client_id: Text::new(name).expect("letters are text") }),
        4 => (number(), any::<bool>(), "[a-z]{0,3}", option::of(any::<u32>())).prop_map(|(number, twice, payload, expires)| Record::Accepted {
            number,
            expires: expires.map(|milliseconds| Duration::from_millis(milliseconds.into())),
            message: Publish::new(&TopicName::literal("t"), payload)
                .at(if twice { Qos::ExactlyOnce } else { Qos::AtLeastOnce }, None),
        }),
        4 => (number(), packet_id()).prop_map(|(number, packet_id)| Record::Sent { number, packet_id }),
        2 => (number(), packet_id()).prop_map(|(number, packet_id)| Record::Released { number, packet_id }),
        2 => number().prop_map(|number| Record::Finished { number }),
        2 => packet_id().prop_map(|packet_id| Record::Received { packet_id }),
        2 => packet_id().prop_map(|packet_id| Record::Completed { packet_id }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// The records of the core only: each message is accepted before it is sent, and sent before it is released.
    #[test]
    fn the_file_says_what_the_records_say(groups in proptest::collection::vec(proptest::collection::vec(record(), 0..8), 0..4)) {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("session");
        let mut kept = Kept::default();
        for group in groups {
            let sensible: Vec<_> = group
                .into_iter()
                .filter(|record| {
                    let sensible = is_sensible(&kept, record);
                    if sensible {
                        kept.apply(record.clone());
                    }
                    sensible
                })
                .collect();
            let mut store = FileStore::open(&path).expect("the file");
            store.commit(sensible).expect("there is room");
            prop_assert_eq!(store.load().expect("it can be read"), kept.clone());
        }
    }
}

fn is_sensible(kept: &Kept, record: &Record) -> bool {
    use squall_client::core::record::KeptMessage;
    match record {
        Record::Accepted { number, .. } => !kept.outgoing.contains_key(number),
        Record::Sent { number, .. } => matches!(kept.outgoing.get(number), Some(KeptMessage::Waiting(_))),
        Record::Released { number, .. } => matches!(kept.outgoing.get(number), Some(KeptMessage::Sent(..))),
        _ => true,
    }
}
