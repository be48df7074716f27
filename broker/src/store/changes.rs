//! From records to rows: what a group of records changes in the tables, all told. A message that is queued, sent and
//! acknowledged within one group changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    topic::TopicFilter,
    wire::{PacketId, Text},
};

use super::value::Writer;
use crate::core::effect::Record;

/// The tables. Keys are in the order in which their rows are read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// Number of the session → client identifier, user, expiry, the end of its connection.
    Sessions,
    /// Session, whether shared, filter → options, identifier.
    Subscriptions,
    /// Session, number of the message → arrival, share, message.
    Messages,
    /// Session, packet identifier → position in the order, number of the message or 0 when it is released.
    Outgoing,
    /// Session, packet identifier of a QoS 2 message from the client → nothing.
    Incoming,
    /// Client identifier → user, delay, message.
    Wills,
    /// Topic → arrival, message.
    Retained,
}

impl Table {
    pub(super) const ALL: [Table; 7] = [
        Table::Sessions,
        Table::Subscriptions,
        Table::Messages,
        Table::Outgoing,
        Table::Incoming,
        Table::Wills,
        Table::Retained,
    ];

    /// Those whose rows begin with the number of a session and go with it.
    const OF_SESSION: [Table; 4] = [Table::Subscriptions, Table::Messages, Table::Outgoing, Table::Incoming];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Table::Sessions => "sessions",
            Table::Subscriptions => "subscriptions",
            Table::Messages => "messages",
            Table::Outgoing => "outgoing",
            Table::Incoming => "incoming",
            Table::Wills => "wills",
            Table::Retained => "retained",
        }
    }
}

/// What becomes of a row.
#[derive(Debug)]
struct Change {
    /// What is written; `None` takes the row out.
    value: Option<Vec<u8>>,
    /// The store cannot have this row before the group at hand is kept.
    is_new: bool,
}

/// The numbers by which rows are known, and the changes of the group at hand.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Numbers are shorter than client identifiers, and never used again.
    sessions: BTreeMap<Text, u64>,
    last_session: u64,
    last_order: u64,
    rows: BTreeMap<(Table, Vec<u8>), Change>,
    /// Sessions whose rows go, whichever they are.
    ended: BTreeSet<u64>,
}

impl Changes {
    /// A session that the store has.
    pub(super) fn know_session(&mut self, client_id: Text, number: u64) {
        self.last_session = self.last_session.max(number);
        self.sessions.insert(client_id, number);
    }

    /// A position in the order of exchanges that the store has.
    pub(super) fn know_order(&mut self, order: u64) {
        self.last_order = self.last_order.max(order);
    }

    /// Whether keeping the group would change nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.ended.is_empty()
    }

    /// The group is kept.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.ended.clear();
    }

    /// The group could not be kept, and may nevertheless have reached the disk: from now on no row is known to be missing
    /// there. Keeping it again does no harm, since a row becomes the same whatever it was.
    pub(super) fn doubt(&mut self) {
        self.rows.values_mut().for_each(|change| change.is_new = false);
    }

    /// The sessions whose rows go. This comes before the rows of `table`.
    pub(super) fn ended(&self, table: Table) -> impl Iterator<Item = u64> {
        Table::OF_SESSION.contains(&table).then_some(&self.ended).into_iter().flatten().copied()
    }

    /// The rows of one table, in the order of their keys; `None` is a row that goes.
    pub(super) fn rows(&self, table: Table) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows
            .range((table, Vec::new())..)
            .take_while(move |((of, _), _)| *of == table)
            .map(|((_, key), change)| (key.as_slice(), change.value.as_deref()))
    }

    /// Takes one record more into the group.
    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Session { client_id, user, expiry_seconds, ended } => {
                let known = self.sessions.get(&client_id).copied();
                let number = known.unwrap_or(self.last_session + 1);
                let value = Writer::default()
                    .text(&client_id)
                    .optional(user, |out, user| out.text(&user))
                    .u32(expiry_seconds)
                    .optional(ended, Writer::time);
                let key = Writer::default().u64(number);
                match known {
                    Some(_) => self.put(Table::Sessions, key, value),
                    None => self.create(Table::Sessions, key, value),
                }
                self.know_session(client_id, number);
            }
            Record::SessionEnded { client_id } => {
                self.delete(Table::Wills, Writer::default().bytes(client_id.as_str().as_bytes()));
                if let Some(number) = self.sessions.remove(&client_id) {
                    self.end_session(number);
                }
            }
            Record::Will { client_id, user, message, delay_seconds } => {
                let value =
                    Writer::default().optional(user, |out, user| out.text(&user)).u32(delay_seconds).message(&message);
                self.put(Table::Wills, Writer::default().bytes(client_id.as_str().as_bytes()), value);
            }
            Record::WillCleared { client_id } => {
                self.delete(Table::Wills, Writer::default().bytes(client_id.as_str().as_bytes()));
            }
            Record::Retained { message, arrived } => {
                let key = Writer::default().bytes(message.topic().as_bytes());
                self.put(Table::Retained, key, Writer::default().time(arrived).message(&message));
            }
            Record::RetainedCleared { topic } => {
                self.delete(Table::Retained, Writer::default().bytes(topic.as_str().as_bytes()));
            }
            Record::Subscribed { client_id, subscription, identifier } => {
                let Some(session) = self.session(&client_id) else { return };
                let value = Writer::default().options(subscription.options).optional(identifier, Writer::u32);
                self.put(Table::Subscriptions, subscription_key(session, &subscription.filter), value);
            }
            Record::Unsubscribed { client_id, filter } => {
                let Some(session) = self.session(&client_id) else { return };
                self.delete(Table::Subscriptions, subscription_key(session, &filter));
            }
            Record::Queued { client_id, number, message, arrived, shared } => {
                let Some(session) = self.session(&client_id) else { return };
                let value = Writer::default().time(arrived).shared(shared, &message).message(&message);
                self.create(Table::Messages, message_key(session, number), value);
            }
            Record::Dropped { client_id, number } => {
                let Some(session) = self.session(&client_id) else { return };
                self.delete(Table::Messages, message_key(session, number));
            }
            Record::Sent { client_id, number, packet_id } => {
                let Some(session) = self.session(&client_id) else { return };
                let order = self.next_order();
                self.create(Table::Outgoing, exchange_key(session, packet_id), order.u64(number));
            }
            Record::Released { client_id, packet_id, number } => {
                let Some(session) = self.session(&client_id) else { return };
                self.delete(Table::Messages, message_key(session, number));
                let order = self.next_order();
                self.put(Table::Outgoing, exchange_key(session, packet_id), order.u64(0));
            }
            Record::Settled { client_id, packet_id, number } => {
                let Some(session) = self.session(&client_id) else { return };
                if let Some(number) = number {
                    self.delete(Table::Messages, message_key(session, number));
                }
                self.delete(Table::Outgoing, exchange_key(session, packet_id));
            }
            Record::Received { client_id, packet_id } => {
                let Some(session) = self.session(&client_id) else { return };
                self.create(Table::Incoming, exchange_key(session, packet_id), Writer::default());
            }
            Record::Completed { client_id, packet_id } => {
                let Some(session) = self.session(&client_id) else { return };
                self.delete(Table::Incoming, exchange_key(session, packet_id));
            }
        }
    }

    /// The core speaks of a session's rows only between its beginning and its end.
    fn session(&self, client_id: &Text) -> Option<u64> {
        self.sessions.get(client_id).copied()
    }

    fn next_order(&mut self) -> Writer {
        self.last_order += 1;
        Writer::default().u64(self.last_order)
    }

    /// A row that the store has only if the group at hand takes it out first.
    fn create(&mut self, table: Table, key: Writer, value: Writer) {
        let change = self.rows.entry((table, key.finish())).or_insert(Change { value: None, is_new: true });
        change.value = Some(value.finish());
    }

    fn put(&mut self, table: Table, key: Writer, value: Writer) {
        let change = self.rows.entry((table, key.finish())).or_insert(Change { value: None, is_new: false });
        change.value = Some(value.finish());
    }

    fn delete(&mut self, table: Table, key: Writer) {
        let key = (table, key.finish());
        match self.rows.get_mut(&key) {
            Some(change) if change.is_new => drop(self.rows.remove(&key)),
            Some(change) => change.value = None,
            None => drop(self.rows.insert(key, Change { value: None, is_new: false })),
        }
    }

    fn end_session(&mut self, number: u64) {
        for table in Table::OF_SESSION {
            let (from, to) = (number.to_be_bytes().to_vec(), (number + 1).to_be_bytes().to_vec());
            self.rows.extract_if((table, from)..(table, to), |_, _| true).for_each(drop);
        }
        let key = (Table::Sessions, number.to_be_bytes().to_vec());
        let is_new = self.rows.get(&key).is_some_and(|change| change.is_new);
        self.delete(Table::Sessions, Writer::default().u64(number));
        if !is_new {
            self.ended.insert(number);
        }
    }
}

fn subscription_key(session: u64, filter: &TopicFilter) -> Writer {
    Writer::default().u64(session).u8(u8::from(filter.share_name().is_some())).bytes(filter.as_str().as_bytes())
}

fn message_key(session: u64, number: u64) -> Writer {
    Writer::default().u64(session).u64(number)
}

fn exchange_key(session: u64, packet_id: PacketId) -> Writer {
    Writer::default().u64(session).u16(packet_id.value())
}
