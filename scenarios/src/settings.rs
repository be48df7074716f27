//! How a script wants the broker set up: the top-level `broker:`, in the words of its own configuration where it has one.
//!
//! A world that does not start the subject itself cannot have it so, and the script is unsupported there.

pub mod access;

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use squall_codec::{qos::Qos, wire::Text};

use crate::{
    script::{Expiry, KeepAlive, QosWord, TextWord, Time},
    settings::access::{AclLine, Users},
};

/// What a script asks for. What is left out is as the broker has it by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where sessions and retained messages are kept.
    pub store: Option<Storage>,
    /// How long the disk takes to sync what a group of records has written.
    #[serde(deserialize_with = "duration")]
    pub sync: Option<Duration>,
    /// Bytes of a packet from a client.
    pub maximum_packet_size: Option<u32>,
    /// QoS 1 and 2 messages that a client may have open.
    pub receive_maximum: Option<u16>,
    /// Packet identifiers to a client begin here, …
    pub first_packet_id: Option<u16>,
    /// … end here, and begin again.
    pub last_packet_id: Option<u16>,
    /// Topic Aliases that a client may set.
    pub topic_alias_maximum: Option<u16>,
    /// The highest QoS.
    #[serde(deserialize_with = "qos")]
    pub maximum_qos: Option<Qos>,
    /// Whether messages are retained.
    pub retain_available: Option<bool>,
    /// Whether filters may hold wildcards.
    pub wildcard_subscription_available: Option<bool>,
    /// Whether subscriptions may have identifiers.
    pub subscription_identifiers_available: Option<bool>,
    /// Whether there are Shared Subscriptions.
    pub shared_subscription_available: Option<bool>,
    /// Where clients are sent instead of being let in.
    #[serde(deserialize_with = "text")]
    pub server_reference: Option<Text>,
    /// Whether they are to go there for good.
    pub server_moved: Option<bool>,
    /// The Keep Alive that 5.0 clients are told to use, in seconds.
    #[serde(deserialize_with = "keep_alive")]
    pub server_keep_alive: Option<u16>,
    /// The longest Session Expiry Interval, in seconds.
    #[serde(deserialize_with = "expiry")]
    pub maximum_session_expiry: Option<u32>,
    /// From accepting a connection to CONNECT.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Option<Duration>,
    /// Open Network Connections.
    pub connections: Option<usize>,
    /// Sessions, connected or not.
    pub sessions: Option<usize>,
    /// Subscriptions of one session.
    pub subscriptions_per_session: Option<usize>,
    /// QoS 1 and 2 messages on their way to one client.
    pub in_flight: Option<u16>,
    /// Messages waiting in one session.
    pub queued_messages: Option<usize>,
    /// What a full queue does.
    pub queue_policy: Option<QueuePolicy>,
    /// Bytes of memory on their way to one client: beyond them QoS 0 is dropped, and the rest waits.
    pub unflushed_soft: Option<usize>,
    /// Retained messages.
    pub retained_messages: Option<usize>,
    /// Levels of a topic.
    pub topic_levels: Option<usize>,
    /// What 5.0 clients that ask for it are told to begin their Response Topics with.
    #[serde(deserialize_with = "text")]
    pub response_information: Option<Text>,
    /// How often the broker tells its figures below `$SYS`.
    #[serde(deserialize_with = "duration")]
    pub sys_interval: Option<Duration>,
    /// Who has a name. Left out, no name is checked.
    pub users: Option<Users>,
    /// Whether clients without a user name may come in. Left out: where no name is checked.
    pub anonymous: Option<bool>,
    /// What clients may do. Left out, everything.
    pub acl: Option<Vec<AclLine>>,
}

impl Settings {
    /// Whether clients are refused nothing of what the broker has and has room for, as far as it goes by these: no rule stands in their
    /// way, and no bound for what one message or topic may be. What is retained beyond a bound is no refusal, nor is a QoS above the
    /// highest.
    pub fn takes_all(&self) -> bool {
        self.anonymous != Some(false)
            && self.topic_levels.is_none()
            && self.maximum_packet_size.is_none()
            && self.server_reference.is_none()
            && self.users.is_none()
            && self.acl.is_none()
    }

    /// The rules as a file of the broker has them, for a stage with this namespace.
    pub fn acl_file(&self, namespace: &str) -> Option<String> {
        let lines = self.acl.as_ref()?.iter();
        Some(lines.map(|line| line.placed(namespace) + "\n").collect())
    }
}

/// What happens to a message that finds a session's queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueuePolicy {
    /// It is dropped.
    DropNewest,
    /// What has waited longest is.
    DropOldest,
    /// It is dropped, and the client disconnected.
    Disconnect,
}

/// Where a broker keeps what must survive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// Nowhere.
    None,
    /// On a disk.
    Disk,
    /// In a journal that forgets nothing, without a disk: quick, and for virtual worlds.
    Journal,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Time::deserialize(deserializer).map(|time| Some(time.0))
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    TextWord::deserialize(deserializer).map(|text| Some(text.0))
}

fn qos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Qos>, D::Error> {
    QosWord::deserialize(deserializer).map(|qos| Some(qos.0))
}

fn keep_alive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    KeepAlive::deserialize(deserializer).map(|seconds| Some(seconds.0))
}

fn expiry<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Expiry::deserialize(deserializer).map(|seconds| Some(seconds.0))
}
