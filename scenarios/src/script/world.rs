//! What is done to the network and to the broker, or that time passes.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use squall_codec::packet::PacketKind;

use crate::{
    fault::{CutEnd, FaultKind, Moment, Pass, Trigger},
    liar::Direction,
    outage::{ClockJump, DiskState},
    script::{
        place::Placed,
        words::{Latency, Percent, Rate, Time, To},
    },
    stage::{End, Need},
};

/// What is done to the network, or that time passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorldVerb {
    Wait(Time),
    Latency(LatencyWords),
    Bandwidth(BandwidthWords),
    Drop(DropWords),
    Split(SplitWords),
    Coalesce(CoalesceWords),
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
    ClockJump(ClockWord),
}

impl WorldVerb {
    /// What a world has to offer for it.
    pub(crate) const fn need(&self) -> Option<Need> {
        match self {
            WorldVerb::Restart(_) | WorldVerb::Crash(_) => Some(Need::Restart),
            WorldVerb::PowerLoss(_) | WorldVerb::Disk(_) => Some(Need::PowerLoss),
            WorldVerb::ClockJump(_) => Some(Need::Clock),
            _ => None,
        }
    }

    /// The fault that it puts in place and on whose link, if it is one of the network.
    pub(crate) fn fault(&self) -> Option<(&Placed<String>, FaultKind)> {
        Some(match self {
            WorldVerb::Wait(_)
            | WorldVerb::Restart(_)
            | WorldVerb::Crash(_)
            | WorldVerb::PowerLoss(_)
            | WorldVerb::Disk(_)
            | WorldVerb::ClockJump(_) => return None,
            WorldVerb::Latency(words) => {
                (&words.link, FaultKind::Latency { time: words.time.0, direction: words.to.map(Into::into) })
            }
            WorldVerb::Bandwidth(words) => {
                let direction = words.to.map(Into::into);
                (&words.link, FaultKind::Bandwidth { bytes_per_second: words.rate.0, direction })
            }
            WorldVerb::Drop(words) => {
                (&words.link, FaultKind::Drop { probability: words.share.0, direction: words.to.map(Into::into) })
            }
            WorldVerb::Split(words) => (&words.link, FaultKind::Split { bytes: words.bytes }),
            WorldVerb::Coalesce(words) => {
                let direction = words.to.map(Into::into);
                (&words.link, FaultKind::Coalesce { bytes: words.bytes, time: words.time.0, direction })
            }
            WorldVerb::Partition(words) => (&words.link, FaultKind::Partition { direction: words.to.map(Into::into) }),
            WorldVerb::Heal(words) => (&words.link, FaultKind::Heal { reset: words.reset }),
            WorldVerb::Hold(words) => (&words.link, FaultKind::Hold),
            WorldVerb::Release(words) => (&words.link, FaultKind::Heal { reset: false }),
            WorldVerb::Reset(words) => (&words.link, FaultKind::Reset),
            WorldVerb::Close(words) => (&words.link, FaultKind::Close),
            WorldVerb::HalfOpen(words) => (&words.link, FaultKind::HalfOpen),
            WorldVerb::StallReading(words) => (&words.link, FaultKind::StallReading),
            WorldVerb::Cut(words) => {
                let on = Trigger {
                    packet: words.on.packet.into(),
                    direction: words.on.to.into(),
                    nth: words.on.nth.unwrap_or(1),
                };
                let how = match words.how {
                    CutHow::Fin => CutEnd::End(End::Fin),
                    CutHow::Reset => CutEnd::End(End::Reset),
                    CutHow::HalfOpen => CutEnd::HalfOpen,
                };
                (&words.link, FaultKind::Cut { on, pass: words.pass.into(), how })
            }
        })
    }
}

/// `{ ahead: 1h }` or `{ back: 1h }`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClockWord {
    Ahead(Time),
    Back(Time),
}

impl From<ClockWord> for ClockJump {
    fn from(word: ClockWord) -> Self {
        match word {
            ClockWord::Ahead(by) => ClockJump::Ahead(by.0),
            ClockWord::Back(by) => ClockJump::Back(by.0),
        }
    }
}

/// The moment of the protocol at which a step of the world happens: exactly one of `first` and `packet`, exactly one of
/// `from` and `to`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MomentWords {
    pub(crate) first: Option<KindWord>,
    pub(crate) packet: Option<KindWord>,
    pub(crate) nth: Option<u32>,
    pub(crate) from: Option<Placed<String>>,
    pub(crate) to: Option<Placed<String>>,
    pub(crate) pass: Option<PassWord>,
}

impl MomentWords {
    /// It comes when the subject has the whole packet.
    pub(crate) fn is_arrival(&self) -> bool {
        self.moment().is_some_and(|moment| moment.pass == Pass::After && moment.on.direction == Direction::ToServer)
    }

    /// `None` for words that are not checked.
    pub(crate) fn moment(&self) -> Option<Moment> {
        let packet = self.first.or(self.packet)?.into();
        let (actor, direction) = match (&self.from, &self.to) {
            (Some(from), None) => (from, Direction::ToServer),
            (None, Some(to)) => (to, Direction::ToClient),
            _ => return None,
        };
        let on = Trigger { packet, direction, nth: self.nth.unwrap_or(1) };
        let pass = self.pass.map_or(Pass::Before, Into::into);
        Some(Moment { actor: actor.value.clone(), on, pass })
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

/// The line takes this much in a second.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BandwidthWords {
    pub(crate) link: Placed<String>,
    pub(crate) rate: Rate,
    pub(crate) to: Option<To>,
}

/// Senders wait for this many bytes, or for so long.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CoalesceWords {
    pub(crate) link: Placed<String>,
    pub(crate) bytes: usize,
    pub(crate) time: Time,
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

impl From<PassWord> for Pass {
    fn from(word: PassWord) -> Self {
        match word {
            PassWord::Before => Pass::Before,
            PassWord::After => Pass::After,
            PassWord::Bytes(bytes) => Pass::Bytes(bytes),
        }
    }
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
