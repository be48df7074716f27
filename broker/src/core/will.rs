//! The Will Message (sections 3.1.2.5 and 3.1.3.2): kept with the session, published or forgotten once.

use super::{broker::Broker, effect::Record, session::SessionKey};
use squall_codec::{
    packet::{Connect, Publish, Will},
    property::{Properties, Property},
};

/// The will of a session's latest connection.
#[derive(Debug)]
pub(super) struct StoredWill {
    /// As it will be published, with its own bytes.
    pub(super) message: Publish,
    /// Seconds from the end of the connection.
    pub(super) delay_seconds: u32,
}

impl Broker {
    /// Puts a will, or none, in the place of the one that the session has, which is handed back. A crash is a way to lose
    /// a connection, so the will of every connection is kept: the server publishes it when it is back (section 3.1.2.5).
    pub(super) fn set_will(&mut self, key: SessionKey, will: Option<StoredWill>) -> Option<StoredWill> {
        let session = &mut self.sessions[key];
        let client_id = session.client_id.clone();
        let record = will.as_ref().map(|will| Record::Will {
            client_id: client_id.clone(),
            user: session.user.clone(),
            message: will.message.clone(),
            delay_seconds: will.delay_seconds,
        });
        let former = std::mem::replace(&mut session.will, will);
        if let Some(record) = record.or_else(|| former.is_some().then_some(Record::WillCleared { client_id })) {
            self.persist(record);
        }
        former
    }
}

impl StoredWill {
    /// The will of a CONNECT.
    pub(super) fn of(connect: &Connect) -> Option<Self> {
        // 3.1.1 [MQTT-3.1.2-9]; 3.1.1 [MQTT-3.1.2-12]
        let Will { qos, retain, topic, payload, properties } = connect.will()?.to_owned();
        // The delay is the server's business; all others go out with the message, in order ([MQTT-3.1.3-10]).
        let forwarded: Properties =
            properties.iter().filter(|property| !matches!(property, Property::WillDelayInterval(_))).cloned().collect();
        let mut message = Publish::new(&topic, payload).with_properties(&forwarded);
        message.qos = qos;
        // [MQTT-3.1.2-14] [MQTT-3.1.2-15]
        message.retain = retain;
        Some(StoredWill { message, delay_seconds: properties.will_delay_interval().unwrap_or(0) })
    }
}
