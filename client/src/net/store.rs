//! A session on disk: one small redb file, each commit synchronous.

use std::{io, path::Path, time::Duration};

use bytes::{Bytes, BytesMut};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use squall_codec::{
    packet::{Packet, Publish},
    qos::Qos,
    reason::Side,
    version::Version,
    wire::{PacketId, Text},
};

use super::keeper::Store;
use crate::core::record::{Kept, KeptMessage, Record};

/// Messages by their numbers, each as a PUBLISH of 5.0, which can carry what every version knows.
const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");
/// When messages expire, in milliseconds since 1970.
const EXPIRES: TableDefinition<'_, u64, u64> = TableDefinition::new("expires");
/// Packet identifiers of messages in exchanges.
const SENT: TableDefinition<'_, u64, u16> = TableDefinition::new("sent");
/// Packet identifiers of messages whose PUBREL was sent.
const RELEASED: TableDefinition<'_, u64, u16> = TableDefinition::new("released");
/// QoS 2 identifiers of the server that wait for PUBREL.
const RECEIVED: TableDefinition<'_, u16, ()> = TableDefinition::new("received");
/// The Client Identifier, under the one key.
const CLIENT: TableDefinition<'_, (), &str> = TableDefinition::new("client");

/// The session of one client in one file. Two processes cannot open it at once.
#[derive(Debug)]
pub struct FileStore(Database);

impl FileStore {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// It cannot be opened, or holds something else.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let database = Database::create(path)
            .map_err(|error| io::Error::other(format!("cannot open the session in {}: {error}", path.display())))?;
        let store = FileStore(database);
        store.create_tables().map_err(failed)?;
        Ok(store)
    }

    fn create_tables(&self) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(MESSAGES)?;
        transaction.open_table(EXPIRES)?;
        transaction.open_table(SENT)?;
        transaction.open_table(RELEASED)?;
        transaction.open_table(RECEIVED)?;
        transaction.open_table(CLIENT)?;
        Ok(transaction.commit()?)
    }

    fn read(&self) -> Result<Kept, redb::Error> {
        let transaction = self.0.begin_read()?;
        let mut kept = Kept {
            client_id: transaction.open_table(CLIENT)?.get(())?.and_then(|id| Text::new(id.value()).ok()),
            ..Kept::default()
        };
        let sent = transaction.open_table(SENT)?;
        for entry in transaction.open_table(MESSAGES)?.iter()? {
            let (number, bytes) = entry?;
            let message = decoded(bytes.value()).ok_or_else(|| corrupt(number.value()))?;
            let packet_id = sent.get(number.value())?.and_then(|id| PacketId::new(id.value()));
            let message = match packet_id {
                Some(packet_id) => KeptMessage::Sent(packet_id, message),
                None => KeptMessage::Waiting(message),
            };
            kept.outgoing.insert(number.value(), message);
        }
        for entry in transaction.open_table(RELEASED)?.iter()? {
            let (number, packet_id) = entry?;
            let packet_id = PacketId::new(packet_id.value()).ok_or_else(|| corrupt(number.value()))?;
            kept.outgoing.insert(number.value(), KeptMessage::Released(packet_id));
        }
        for entry in transaction.open_table(EXPIRES)?.iter()? {
            let (number, expires) = entry?;
            kept.expires.insert(number.value(), Duration::from_millis(expires.value()));
        }
        for entry in transaction.open_table(RECEIVED)?.iter()? {
            kept.received.extend(PacketId::new(entry?.0.value()));
        }
        Ok(kept)
    }

    fn write(&self, records: Vec<Record>) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        {
            let mut messages = transaction.open_table(MESSAGES)?;
            let mut expiring = transaction.open_table(EXPIRES)?;
            let mut sent = transaction.open_table(SENT)?;
            let mut released = transaction.open_table(RELEASED)?;
            let mut received = transaction.open_table(RECEIVED)?;
            let mut client = transaction.open_table(CLIENT)?;
            for record in records {
                match record {
                    Record::Began { client_id } => {
                        client.insert((), client_id.as_str())?;
                        sent.retain(|_, _| false)?;
                        released.retain(|_, _| false)?;
                        received.retain(|_, ()| false)?;
                    }
                    Record::Accepted { number, message, expires } => {
                        messages.insert(number, &encoded(message)?[..])?;
                        if let Some(expires) = expires {
                            let milliseconds = u64::try_from(expires.as_millis()).unwrap_or(u64::MAX);
                            expiring.insert(number, milliseconds)?;
                        }
                    }
                    Record::Sent { number, packet_id } => {
                        sent.insert(number, packet_id.value())?;
                    }
                    Record::Released { number, packet_id } => {
                        messages.remove(number)?;
                        expiring.remove(number)?;
                        sent.remove(number)?;
                        released.insert(number, packet_id.value())?;
                    }
                    Record::Finished { number } => {
                        messages.remove(number)?;
                        expiring.remove(number)?;
                        sent.remove(number)?;
                        released.remove(number)?;
                    }
                    Record::Received { packet_id } => {
                        received.insert(packet_id.value(), ())?;
                    }
                    Record::Completed { packet_id } => {
                        received.remove(packet_id.value())?;
                    }
                }
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Store for FileStore {
    fn load(&mut self) -> io::Result<Kept> {
        self.read().map_err(failed)
    }

    fn commit(&mut self, records: Vec<Record>) -> io::Result<()> {
        self.write(records).map_err(failed)
    }
}

fn failed(error: redb::Error) -> io::Error {
    io::Error::other(error)
}

fn corrupt(number: u64) -> redb::Error {
    redb::Error::Corrupted(format!("message {number} cannot be read"))
}

fn encoded(message: Publish) -> Result<BytesMut, redb::Error> {
    let mut bytes = BytesMut::new();
    let qos = message.qos;
    // The identifier is kept beside it; a PUBLISH of QoS 1 or 2 must have one.
    let packet = Packet::Publish(message.at(qos, (qos != Qos::AtMostOnce).then_some(PacketId::MIN)));
    match packet.encode(Version::V5_0, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(redb::Error::Io(io::Error::other(error))),
    }
}

fn decoded(bytes: &[u8]) -> Option<Publish> {
    match Packet::decode(Version::V5_0, Side::Client, Bytes::copy_from_slice(bytes)) {
        Ok(Packet::Publish(message)) => {
            let qos = message.qos;
            Some(message.at(qos, None))
        }
        _ => None,
    }
}
