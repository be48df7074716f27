//! From rows to records: what `Broker::restore` is given.

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};
use squall_codec::{
    packet::Subscription,
    topic::{TopicFilter, TopicName},
    wire::Text,
};

use super::{
    changes::{Changes, Table},
    value::{Reader, Unreadable, text},
};
use crate::core::effect::Record;

/// Every table has keys and values of bytes.
pub(super) const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

/// Why rows cannot be read back.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The database says.
    Database(redb::Error),
    /// The row is not as it was written.
    Row(Table, &'static str),
    /// A table is missing.
    NoTable(Table),
}

impl<E: Into<redb::Error>> From<E> for LoadError {
    fn from(error: E) -> Self {
        LoadError::Database(error.into())
    }
}

/// All that is kept, in an order in which it can be replayed; the numbers that are in use go to `changes`.
pub(super) fn load(transaction: &ReadTransaction, changes: &mut Changes) -> Result<Vec<Record>, LoadError> {
    let mut records = Vec::new();
    let sessions = Rows::open(transaction, Table::Sessions)?.all(|key, value| {
        let number = key.u64("a number")?;
        let client_id = value.text("a client identifier")?;
        let user = value.optional("a user", |value| value.text("a user"))?;
        let expiry_seconds = value.u32("an expiry")?;
        let ended = value.optional("a moment", |value| value.time("a moment"))?;
        Ok((number, client_id, user, expiry_seconds, ended))
    })?;
    let subscriptions = Rows::open(transaction, Table::Subscriptions)?;
    let messages = Rows::open(transaction, Table::Messages)?;
    let outgoing = Rows::open(transaction, Table::Outgoing)?;
    let incoming = Rows::open(transaction, Table::Incoming)?;
    for (number, client_id, user, expiry_seconds, ended) in sessions {
        changes.know_session(client_id.clone(), number);
        records.push(Record::Session { client_id: client_id.clone(), user, expiry_seconds, ended });
        records.extend(subscriptions.of(number, |key, value| subscribed(&client_id, key, value))?);
        records.extend(messages.of(number, |key, value| queued(&client_id, key, value))?);
        let mut exchanges = outgoing.of(number, |key, value| {
            let packet_id = key.packet_id("a packet identifier")?;
            Ok((value.u64("a position")?, packet_id, value.u64("a number")?))
        })?;
        exchanges.sort_unstable();
        for (order, packet_id, number) in exchanges {
            changes.know_order(order);
            let client_id = client_id.clone();
            records.push(match number {
                0 => Record::Released { client_id, packet_id, number },
                _ => Record::Sent { client_id, number, packet_id },
            });
        }
        records.extend(incoming.of(number, |key, _| {
            let packet_id = key.packet_id("a packet identifier")?;
            Ok(Record::Received { client_id: client_id.clone(), packet_id })
        })?);
    }
    records.extend(Rows::open(transaction, Table::Wills)?.all(|key, value| {
        let client_id = text(key.rest(), "a client identifier")?;
        let user = value.optional("a user", |value| value.text("a user"))?;
        let delay_seconds = value.u32("a delay")?;
        Ok(Record::Will { client_id, user, message: value.message()?, delay_seconds })
    })?);
    records.extend(Rows::open(transaction, Table::Retained)?.all(|key, value| {
        let topic = TopicName::new(text(key.rest(), "a topic")?).map_err(|_| Unreadable("a topic"))?;
        let arrived = value.time("a moment")?;
        let message = value.message()?;
        match message.topic() == topic.as_str() {
            true => Ok(Record::Retained { message, arrived }),
            false => Err(Unreadable("the topic of its message")),
        }
    })?);
    Ok(records)
}

fn subscribed(client_id: &Text, key: &mut Reader<'_>, value: &mut Reader<'_>) -> Result<Record, Unreadable> {
    let shared = key.u8("whether it is shared")? != 0;
    let filter = text(key.rest(), "a filter")?;
    let filter = if shared { TopicFilter::new(filter) } else { TopicFilter::unshared(filter) };
    let filter = filter.map_err(|_| Unreadable("a filter"))?;
    let options = value.options()?;
    let identifier = value.optional("an identifier", |value| value.u32("an identifier"))?;
    let subscription = Subscription { filter, options };
    Ok(Record::Subscribed { client_id: client_id.clone(), subscription, identifier })
}

fn queued(client_id: &Text, key: &mut Reader<'_>, value: &mut Reader<'_>) -> Result<Record, Unreadable> {
    let number = key.u64("a number")?;
    let arrived = value.time("a moment")?;
    let (shared, message) = value.shared_message()?;
    Ok(Record::Queued { client_id: client_id.clone(), number, message, arrived, shared })
}

/// The rows of one table.
struct Rows {
    table: Table,
    rows: redb::ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Rows {
    fn open(transaction: &ReadTransaction, table: Table) -> Result<Self, LoadError> {
        match transaction.open_table(definition(table)) {
            Ok(rows) => Ok(Rows { table, rows }),
            Err(TableError::TableDoesNotExist(_)) => Err(LoadError::NoTable(table)),
            Err(error) => Err(error.into()),
        }
    }

    /// All of them.
    fn all<T>(
        &self,
        read: impl Fn(&mut Reader<'_>, &mut Reader<'_>) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, LoadError> {
        self.read(self.rows.iter()?, &[], read)
    }

    /// Those of one session. `read` gets the rest of the key.
    fn of<T>(
        &self,
        session: u64,
        read: impl Fn(&mut Reader<'_>, &mut Reader<'_>) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, LoadError> {
        let (from, to) = (session.to_be_bytes(), (session + 1).to_be_bytes());
        self.read(self.rows.range(from.as_slice()..to.as_slice())?, &from, read)
    }

    fn read<T>(
        &self,
        rows: redb::Range<'_, &'static [u8], &'static [u8]>,
        prefix: &[u8],
        read: impl Fn(&mut Reader<'_>, &mut Reader<'_>) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, LoadError> {
        let mut found = Vec::new();
        for row in rows {
            let (key, value) = row?;
            let key = key.value();
            let key = key.strip_prefix(prefix).unwrap_or(key);
            let read = read(&mut Reader::new(key), &mut Reader::new(value.value()));
            found.push(read.map_err(|Unreadable(what)| LoadError::Row(self.table, what))?);
        }
        Ok(found)
    }
}
