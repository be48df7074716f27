//! The scope of one Network Connection: what the server offers, Keep Alive, Topic Aliases.

use std::time::Duration;

use squall_codec::{
    flow::{Aliases, OutgoingAliases},
    packet::{Connack, Packet, Publish, Subscription},
    property::Properties,
    qos::Qos,
    version::Version,
};

use super::{
    authentication::Running,
    effect::{Failure, Token},
};
use crate::options::{LARGEST_FRAME, Options};

/// A connection whose CONNACK said success.
#[derive(Debug)]
pub(super) struct Connection {
    /// When CONNACK came.
    pub(super) since: Duration,
    pub(super) offer: Offer,
    pub(super) keep_alive: Option<KeepAlive>,
    /// 5.0: Session Expiry Interval as the server has it, in seconds.
    pub(super) session_expiry_seconds: u32,
    // [MQTT-3.3.2-7] Aliases live here, and so end with the connection.
    pub(super) aliases: Aliases,
    pub(super) outgoing_aliases: OutgoingAliases,
    /// An exchange of AUTH that is going on, and who waits for it.
    pub(super) reauthentication: Option<(Token, Running)>,
}

/// What the server said in CONNACK that it takes (section 3.2.2.3); before 5.0 everything.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) receive_maximum: u16,
    maximum_packet_size: u32,
    maximum_qos: Qos,
    retain: bool,
    wildcard_subscriptions: bool,
    subscription_identifiers: bool,
    shared_subscriptions: bool,
}

/// Keep Alive as the client sees it (section 3.1.2.10).
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    /// After so long without a packet a PINGREQ leaves.
    silence: Duration,
    last_sent: Duration,
    /// A PINGREQ left, and its answer must be here by then.
    answer_due: Option<Duration>,
    /// The driver does not read, so nobody can say that no answer came.
    paused: bool,
}

/// What Keep Alive asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping,
    NoAnswer,
}

impl Connection {
    pub(super) fn new(now: Duration, options: &Options, connack: &Connack) -> Self {
        // [MQTT-3.1.2-21], [MQTT-3.2.2-21] Server Keep Alive takes the place of the client's own.
        let keep_alive = match connack.properties.server_keep_alive() {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => Duration::from_secs(keep_alive_seconds(options).into()),
        };
        let keep_alive = (!keep_alive.is_zero()).then_some(KeepAlive {
            interval: keep_alive,
            silence: keep_alive - margin(keep_alive),
            last_sent: now,
            answer_due: None,
            paused: false,
        });
        // [MQTT-3.2.2-17] No more aliases than the server's Topic Alias Maximum; [MQTT-3.2.2-18] none where it names none.
        let topic_alias_maximum = connack.properties.topic_alias_maximum().unwrap_or(0);
        let outgoing_aliases = u8::try_from(topic_alias_maximum).unwrap_or(u8::MAX).min(options.outgoing_topic_aliases);
        let asked = options.session_expiry_seconds.unwrap_or(0);
        Connection {
            since: now,
            offer: Offer::new(&connack.properties),
            keep_alive,
            session_expiry_seconds: connack.properties.session_expiry_interval().unwrap_or(asked),
            aliases: Aliases::new(options.topic_alias_maximum),
            outgoing_aliases: OutgoingAliases::new(outgoing_aliases),
            reauthentication: None,
        }
    }
}

/// Keep Alive as CONNECT carries it.
pub(super) fn keep_alive_seconds(options: &Options) -> u16 {
    u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX)
}

impl Offer {
    fn new(properties: &Properties) -> Self {
        let flag = |value: Option<u8>| value.is_none_or(|value| value != 0);
        Offer {
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            maximum_packet_size: properties.maximum_packet_size().unwrap_or(LARGEST_FRAME),
            maximum_qos: properties.maximum_qos().and_then(Qos::from_bits).unwrap_or(Qos::ExactlyOnce),
            retain: flag(properties.retain_available()),
            wildcard_subscriptions: flag(properties.wildcard_subscription_available()),
            subscription_identifiers: flag(properties.subscription_identifier_available()),
            shared_subscriptions: flag(properties.shared_subscription_available()),
        }
    }

    /// Whether the server takes this message.
    pub(super) fn takes_publish(&self, message: &Publish) -> Result<(), Failure> {
        // [MQTT-3.2.2-11] No QoS above Maximum QoS.
        if message.qos > self.maximum_qos {
            let feature = if message.qos == Qos::ExactlyOnce { "QoS 2" } else { "QoS 1" };
            return Err(Failure::NotOffered { feature });
        }
        // [MQTT-3.2.2-14] No RETAIN 1 where Retain Available is 0.
        if message.retain && !self.retain {
            return Err(Failure::NotOffered { feature: "retained messages" });
        }
        Ok(())
    }

    /// Whether the server takes these subscriptions.
    pub(super) fn takes_subscribe(
        &self,
        subscriptions: &[Subscription],
        properties: &Properties,
    ) -> Result<(), Failure> {
        let any = |wanted: fn(&Subscription) -> bool| subscriptions.iter().any(wanted);
        let feature = if !self.wildcard_subscriptions && any(|one| one.filter.has_wildcard()) {
            "wildcard subscriptions"
        } else if !self.shared_subscriptions && any(|one| one.filter.share_name().is_some()) {
            "shared subscriptions"
        } else if !self.subscription_identifiers && properties.subscription_identifiers().next().is_some() {
            "subscription identifiers"
        } else {
            return Ok(());
        };
        Err(Failure::NotOffered { feature })
    }

    /// Whether the packet is small enough.
    pub(super) fn takes_size(&self, version: Version, packet: &Packet) -> Result<(), Failure> {
        self.room(version, packet).map(drop)
    }

    /// What the packet might still grow by, in bytes.
    pub(super) fn room(&self, version: Version, packet: &Packet) -> Result<usize, Failure> {
        // [MQTT-3.2.2-15] No packet above the server's Maximum Packet Size.
        let size = packet.encoded_len(version);
        let limit = self.maximum_packet_size.min(LARGEST_FRAME);
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        most.checked_sub(size).ok_or(Failure::TooLarge { size, limit })
    }
}

impl KeepAlive {
    /// Something was sent.
    pub(super) fn sent(&mut self, now: Duration) {
        self.last_sent = now;
    }

    /// PINGREQ was sent.
    pub(super) fn ping_sent(&mut self, now: Duration) {
        // How long the answer may take is not said by 3.1.1 and 5.0 ("a reasonable time"); 3.1 says one Keep Alive.
        self.answer_due = Some(now + self.interval);
    }

    /// PINGRESP came.
    pub(super) fn answered(&mut self) {
        self.answer_due = None;
    }

    /// The driver reads no more, or reads again.
    pub(super) fn pause(&mut self, now: Duration, paused: bool) {
        if self.paused && !paused && self.answer_due.is_some() {
            self.answer_due = Some(now + self.interval);
        }
        self.paused = paused;
    }

    /// When something is due, and what.
    pub(super) fn next(&self) -> (Duration, Due) {
        match self.answer_due {
            // No second PINGREQ meanwhile: the verdict comes no later than that would.
            Some(due) if !self.paused => (due, Due::NoAnswer),
            _ => (self.last_sent + self.silence, Due::Ping),
        }
    }
}

/// How much earlier than Keep Alive a PINGREQ leaves.
// [MQTT-3.1.2-20] The gap must not exceed Keep Alive, and timers fire late rather than early.
fn margin(keep_alive: Duration) -> Duration {
    (keep_alive / 10).min(Duration::from_secs(1))
}
