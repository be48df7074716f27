//! The Will Message (sections 3.1.2.5 and 3.1.3.2): kept with the session, published or forgotten once.

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

impl StoredWill {
    /// The will of a CONNECT.
    pub(super) fn of(connect: &Connect) -> Option<Self> {
        let Will { qos, retain, topic, payload, properties } = connect.will.as_ref()?;
        // The delay is the server's business; all others go out with the message, in order ([MQTT-3.1.3-10]).
        let forwarded: Properties =
            properties.iter().filter(|property| !matches!(property, Property::WillDelayInterval(_))).cloned().collect();
        let mut message = Publish::new(topic, payload).with_properties(&forwarded);
        message.qos = *qos;
        // [MQTT-3.1.2-14] [MQTT-3.1.2-15]
        message.retain = *retain;
        Some(StoredWill { message, delay_seconds: properties.will_delay_interval().unwrap_or(0) })
    }
}
