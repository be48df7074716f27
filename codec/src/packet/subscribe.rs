//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9).

use super::{PacketKind, ack::reason};
use crate::{
    ascii::is_plain_filter,
    error::{DecodeError, EncodeError},
    property::{Place, Properties},
    qos::Qos,
    reason::{ReasonCode, Side},
    topic::{TopicFilter, check_filter},
    version::Version,
    wire::{Keep, PacketId, Reader, TextView, Writer, check_text},
};

const QOS: u8 = 0b11;
const NO_LOCAL: u8 = 0x04;
const RETAIN_AS_PUBLISHED: u8 = 0x08;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED: u8 = 0xC0;

/// Asks for subscriptions. At least one ([MQTT-3.8.3-2]; 3.1.1 [MQTT-3.8.3-3]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Answered by the SUBACK with the same.
    pub packet_id: PacketId,
    /// Empty before 5.0.
    pub properties: Properties,
    /// In the order of the packet.
    pub subscriptions: Vec<Subscription>,
}

/// One filter with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// What is subscribed to.
    pub filter: TopicFilter,
    /// The byte that follows it.
    pub options: SubscriptionOptions,
}

/// Subscription Options (section 3.8.3.1). Before 5.0 only the QoS is on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SubscriptionOptions {
    /// Maximum QoS (before 5.0: requested QoS).
    pub qos: Qos,
    /// No Local: the client's own messages are not sent back to it.
    pub no_local: bool,
    /// Retain As Published: RETAIN is forwarded as it came.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum RetainHandling {
    /// 0: at each SUBSCRIBE.
    #[default]
    Send = 0,
    /// 1: only if the subscription did not exist.
    SendIfNew = 1,
    /// 2: never.
    DoNotSend = 2,
}

/// The answer to SUBSCRIBE, one reason for each filter, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suback {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty before 5.0.
    pub properties: Properties,
    /// Before 5.0 a failure is written as 0x80 and read as [`ReasonCode::UnspecifiedError`].
    pub reasons: Vec<ReasonCode>,
}

impl Subscribe {
    /// Without properties.
    pub fn new(packet_id: PacketId, subscriptions: Vec<Subscription>) -> Self {
        Subscribe { packet_id, properties: Properties::new(), subscriptions }
    }
}

impl Subscription {
    /// With this maximum QoS and all other options 0.
    pub fn new(filter: TopicFilter, qos: Qos) -> Self {
        Subscription { filter, options: SubscriptionOptions { qos, ..SubscriptionOptions::default() } }
    }
}

impl Suback {
    /// Without properties.
    pub fn new(packet_id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Suback { packet_id, properties: Properties::new(), reasons }
    }
}

impl Subscribe {
    pub(super) fn decode(version: Version, sender: Side, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(sender)?;
        let properties = match version {
            Version::V5_0 => Properties::decode(reader, Place::Subscribe, sender)?,
            _ => Properties::new(),
        };
        // [MQTT-3.8.3-2]; 3.1.1 [MQTT-3.8.3-3]
        if reader.left() == 0 {
            return Err(DecodeError::NoTopicFilter { packet: PacketKind::Subscribe });
        }
        let mut subscriptions = Vec::with_capacity(count(reader, 1));
        while reader.left() > 0 {
            let (filter, options) = SubscriptionOptions::read(version, reader)?;
            subscriptions.push(Subscription { filter: filter.kept(reader.keep()), options });
        }
        Ok(Subscribe { packet_id, properties, subscriptions })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        let properties = if version.has_properties() { self.properties.encoded_len() } else { 0 };
        2 + properties + self.subscriptions.iter().map(|one| 2 + one.filter.text().len() + 1).sum::<usize>()
    }

    pub(super) fn encode(&self, version: Version, mut out: Writer<'_>) -> Result<(), EncodeError> {
        out.put_u16(self.packet_id.value());
        if version.has_properties() {
            out = self.properties.encode(out)?;
        }
        for subscription in &self.subscriptions {
            out.put_text(subscription.filter.text());
            out.put_u8(subscription.options.bits(version));
        }
        Ok(())
    }
}

/// For how many filters room is made at once: the number of those that are left, each with so many bytes behind it, if
/// it is no large one. Nobody gets more memory by a claim.
pub(super) fn count(reader: &Reader<'_>, behind: usize) -> usize {
    let mut rest = reader.peek();
    let mut count = 0;
    while let (0..64, Some((length, text))) = (count, rest.split_first_chunk()) {
        rest = text.get(usize::from(u16::from_be_bytes(*length)) + behind..).unwrap_or_default();
        count += 1;
    }
    count
}

/// A Topic Filter where it lies in a buffer that somebody else owns: checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterView<'a> {
    text: TextView<'a>,
    share_name: Option<u16>,
}

impl<'a> FilterView<'a> {
    /// Reads a Topic Filter. Only 5.0 knows Shared Subscriptions.
    #[inline]
    pub(super) fn read(version: Version, packet: PacketKind, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let text = reader.prefixed("a topic filter")?;
        if !matches!(text, [] | [b'$', ..]) && is_plain_filter(text) {
            return Ok(FilterView { text: TextView::checked(text), share_name: None });
        }
        check_text(text).map_err(|error| DecodeError::Text { field: "a topic filter", error })?;
        let share_name =
            check_filter(text, version.has_properties()).map_err(|error| DecodeError::TopicFilter { packet, error })?;
        Ok(FilterView { text: TextView::checked(text), share_name })
    }

    /// The next in filters that were checked.
    #[inline]
    pub(super) fn again(version: Version, reader: &mut Reader<'a>) -> Option<Self> {
        let text = reader.prefixed("a topic filter").ok()?;
        let share_name = match text {
            [b'$', ..] => check_filter(text, version.has_properties()).ok()?,
            _ => None,
        };
        Some(FilterView { text: TextView::checked(text), share_name })
    }

    /// The whole text as Rust's string, with `$share/…` where it is shared.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.text.as_str()
    }

    /// Whether it is the filter of a Shared Subscription.
    pub const fn is_shared(self) -> bool {
        self.share_name.is_some()
    }

    /// The same, kept.
    #[inline]
    pub(super) fn kept(self, keep: Keep<'_>) -> TopicFilter {
        TopicFilter::checked(self.text.kept(keep), self.share_name)
    }
}

impl SubscriptionOptions {
    /// Reads a filter with its options.
    #[inline]
    pub(super) fn read<'a>(version: Version, reader: &mut Reader<'a>) -> Result<(FilterView<'a>, Self), DecodeError> {
        let filter = FilterView::read(version, PacketKind::Subscribe, reader)?;
        let options = SubscriptionOptions::decode(version, reader.u8("the subscription options")?)?;
        // [MQTT-3.8.3-4]
        if options.no_local && filter.is_shared() {
            return Err(DecodeError::NoLocalOnShared);
        }
        Ok((filter, options))
    }

    /// The next filter with its options, in filters that were checked.
    #[inline]
    pub(super) fn again<'a>(version: Version, reader: &mut Reader<'a>) -> Option<(FilterView<'a>, Self)> {
        let filter = FilterView::again(version, reader)?;
        let options = SubscriptionOptions::decode(version, reader.u8("the subscription options").ok()?).ok()?;
        Some((filter, options))
    }

    #[inline]
    fn decode(version: Version, options: u8) -> Result<Self, DecodeError> {
        let reserved = match version {
            // 3.1 asks nobody to check bits that carry no meaning.
            Version::V3_1 => 0,
            Version::V3_1_1 => !QOS,
            Version::V5_0 => RESERVED,
        };
        // [MQTT-3.8.3-5]; 3.1.1 [MQTT-3.8.3-4]
        if options & reserved != 0 {
            return Err(DecodeError::SubscriptionOptions { options });
        }
        // 3.1.1 [MQTT-3.8.3-4]
        let qos = Qos::from_bits(options & QOS).ok_or(DecodeError::SubscribeQos)?;
        if !version.has_properties() {
            return Ok(SubscriptionOptions { qos, ..SubscriptionOptions::default() });
        }
        let retain_handling = match options >> RETAIN_HANDLING_SHIFT & 0b11 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::RetainHandling),
        };
        Ok(SubscriptionOptions {
            qos,
            no_local: options & NO_LOCAL != 0,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }

    fn bits(self, version: Version) -> u8 {
        let qos = self.qos.bits();
        if !version.has_properties() {
            return qos;
        }
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        qos | flag(self.no_local, NO_LOCAL)
            | flag(self.retain_as_published, RETAIN_AS_PUBLISHED)
            | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT
    }
}

impl Suback {
    pub(super) fn decode(version: Version, sender: Side, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(sender)?;
        let packet = PacketKind::Suback;
        let properties = match version {
            Version::V5_0 => Properties::decode(reader, Place::Suback, sender)?,
            _ => Properties::new(),
        };
        if reader.left() == 0 {
            return Err(DecodeError::NoReasonCode { packet });
        }
        let mut reasons = Vec::with_capacity(reader.left());
        while reader.left() > 0 {
            reasons.push(match version {
                Version::V5_0 => reason(reader, packet, sender)?,
                // 3.1.1 [MQTT-3.9.3-2]
                _ => match reader.u8("the return code")? {
                    0x00 => ReasonCode::GRANTED_QOS_0,
                    0x01 => ReasonCode::GrantedQos1,
                    0x02 => ReasonCode::GrantedQos2,
                    0x80 => ReasonCode::UnspecifiedError,
                    code => return Err(DecodeError::ReasonCode { packet, sender, code }),
                },
            });
        }
        Ok(Suback { packet_id, properties, reasons })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + self.reasons.len() + if version.has_properties() { self.properties.encoded_len() } else { 0 }
    }

    pub(super) fn encode(&self, version: Version, mut out: Writer<'_>) -> Result<(), EncodeError> {
        out.put_u16(self.packet_id.value());
        if version.has_properties() {
            out = self.properties.encode(out)?;
        }
        self.reasons.iter().for_each(|reason| {
            out.put_u8(match version {
                Version::V5_0 => reason.value(),
                _ => reason.suback_return_code(),
            });
        });
        Ok(())
    }
}
