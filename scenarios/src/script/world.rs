//! What is done to the network and to the broker, or that time passes.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use squall_codec::packet::PacketKind;

use crate::{
    outage::DiskState,
    script::{
        place::Placed,
        words::{Latency, Percent, Time, To},
    },
    stage::Need,
};

/// What is done to the network, or that time passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorldVerb {
    Wait(Time),
    Latency(LatencyWords),
    Drop(DropWords),
    Split(SplitWords),
    Partition(OneWay),
    Hold(OnLink),
    Heal(HealWords),
    Release(OnLink),
    Reset(OnLink),
    Close(OnLink),
    HalfOpen(OnLink),
    StallReading(OnLink),
    Cut(CutWords),
    Restart(OutageWords),
    Crash(OutageWords),
    PowerLoss(OutageWords),
    Disk(DiskWord),
}

impl WorldVerb {
    /// What a world has to offer for it.
    pub(crate) const fn need(&self) -> Option<Need> {
        match self {
            WorldVerb::Restart(_) | WorldVerb::Crash(_) => Some(Need::Restart),
            WorldVerb::PowerLoss(_) | WorldVerb::Disk(_) => Some(Need::PowerLoss),
            _ => None,
        }
    }
}

/// `broker`, or `{ down: 5s }`: how long it is away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutageWords {
    pub(crate) down: Time,
}

/// What the broker's disk does from now on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DiskWord {
    Well,
    Full,
    Broken,
}

impl From<DiskWord> for DiskState {
    fn from(word: DiskWord) -> Self {
        match word {
            DiskWord::Well => DiskState::Well,
            DiskWord::Full => DiskState::Full,
            DiskWord::Broken => DiskState::Broken,
        }
    }
}

/// Whose link: an actor, or `all`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnLink {
    pub(crate) link: Placed<String>,
}

/// Whose link, and which way if not both.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneWay {
    pub(crate) link: Placed<String>,
    pub(crate) to: Option<To>,
}

/// Each segment takes this long.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LatencyWords {
    pub(crate) link: Placed<String>,
    pub(crate) time: Latency,
    pub(crate) to: Option<To>,
}

/// This share of the segments is lost and sent again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropWords {
    pub(crate) link: Placed<String>,
    pub(crate) share: Percent,
    pub(crate) to: Option<To>,
}

/// Segments of this many bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitWords {
    pub(crate) link: Placed<String>,
    pub(crate) bytes: usize,
}

/// Ends a partition, a hold or a stall.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealWords {
    pub(crate) link: Placed<String>,
    /// What waited is lost, and both ends see RST.
    #[serde(default)]
    pub(crate) reset: bool,
}

/// The link ends at a moment of the protocol.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CutWords {
    pub(crate) link: Placed<String>,
    pub(crate) on: TriggerWords,
    pub(crate) pass: PassWord,
    pub(crate) how: CutHow,
}

/// Which frame.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerWords {
    pub(crate) packet: KindWord,
    pub(crate) to: To,
    pub(crate) nth: Option<u32>,
}

/// How much of the frame still passes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PassWord {
    Before,
    After,
    Bytes(usize),
}

/// What both ends of a cut link see.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CutHow {
    Fin,
    Reset,
    HalfOpen,
}

/// A packet type by name.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindWord {
    Connect,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth,
}

impl From<KindWord> for PacketKind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Connect => PacketKind::Connect,
            KindWord::Connack => PacketKind::Connack,
            KindWord::Publish => PacketKind::Publish,
            KindWord::Puback => PacketKind::Puback,
            KindWord::Pubrec => PacketKind::Pubrec,
            KindWord::Pubrel => PacketKind::Pubrel,
            KindWord::Pubcomp => PacketKind::Pubcomp,
            KindWord::Subscribe => PacketKind::Subscribe,
            KindWord::Suback => PacketKind::Suback,
            KindWord::Unsubscribe => PacketKind::Unsubscribe,
            KindWord::Unsuback => PacketKind::Unsuback,
            KindWord::Pingreq => PacketKind::Pingreq,
            KindWord::Pingresp => PacketKind::Pingresp,
            KindWord::Disconnect => PacketKind::Disconnect,
            KindWord::Auth => PacketKind::Auth,
        }
    }
}

impl<'de> Deserialize<'de> for OutageWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Down {
            down: Time,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = OutageWords;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("broker, or { down: 5s }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<OutageWords, E> {
                match text {
                    "broker" => Ok(OutageWords { down: Time(Duration::ZERO) }),
                    other => Err(E::custom(format!("only the broker goes down: expected broker and not '{other}'"))),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OutageWords, A::Error> {
                let Down { down } = Down::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(OutageWords { down })
            }
        }
        deserializer.deserialize_any(Either)
    }
}
