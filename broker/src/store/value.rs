//! How values are written in the store: fixed numbers in big-endian order, texts behind their length, a message as a 5.0
//! PUBLISH without its payload, which stands behind it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Packet, Publish, RetainHandling, SubscriptionOptions},
    qos::Qos,
    reason::Side,
    topic::TopicFilter,
    version::Version,
    wire::{PacketId, Text},
};

use crate::core::effect::Shared;

/// Bytes that no store of ours has written: the name of what was looked for.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) &'static str);

/// A value being written.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A moment or a time, in nanoseconds: enough for five centuries.
    pub(super) fn time(self, value: Duration) -> Self {
        self.u64(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn optional<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        // Texts of MQTT have at most 65,535 bytes.
        self.0.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// To the end.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// To the end. The head of a message is never longer than the packet in which it came, so it can be written.
    pub(super) fn message(mut self, message: &Publish) -> Self {
        let mut head = message.clone().without_payload();
        head.packet_id = (message.qos > Qos::AtMostOnce).then_some(PacketId::MIN);
        head.subscription_identifiers = Vec::new();
        let mut frame = BytesMut::new();
        Packet::Publish(head).encode(Version::V5_0, &mut frame).expect("a message that came in a packet fits in one");
        self = self.u32(u32::try_from(message.subscription_identifiers.len()).unwrap_or(u32::MAX));
        for identifier in &message.subscription_identifiers {
            self = self.u32(*identifier);
        }
        self.u32(u32::try_from(frame.len()).unwrap_or(u32::MAX)).bytes(&frame).bytes(message.payload())
    }

    /// What stands before a shared message: how it was published only where this delivery differs.
    pub(super) fn shared(self, shared: Option<Shared>, message: &Publish) -> Self {
        match shared {
            None => self.u8(0),
            Some(Shared { filter, qos, retain }) if (qos, retain) == (message.qos, message.retain) => {
                self.u8(1).text(filter.as_str())
            }
            Some(Shared { filter, qos, retain }) => {
                self.u8(2).text(filter.as_str()).u8(qos.bits()).u8(u8::from(retain))
            }
        }
    }

    pub(super) fn options(self, options: SubscriptionOptions) -> Self {
        let retain_handling = match options.retain_handling {
            RetainHandling::Send => 0,
            RetainHandling::SendIfNew => 1,
            RetainHandling::DoNotSend => 2,
        };
        let flags = u8::from(options.no_local) | u8::from(options.retain_as_published) << 1;
        self.u8(options.qos.bits()).u8(flags).u8(retain_handling)
    }
}

/// A value being read.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable(what))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Unreadable> {
        self.take(N, what)?.try_into().map_err(|_| Unreadable(what))
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Unreadable> {
        self.array(what).map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Unreadable> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Unreadable> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, Unreadable> {
        self.array(what).map(u64::from_be_bytes)
    }

    pub(super) fn time(&mut self, what: &'static str) -> Result<Duration, Unreadable> {
        self.u64(what).map(Duration::from_nanos)
    }

    pub(super) fn packet_id(&mut self, what: &'static str) -> Result<PacketId, Unreadable> {
        PacketId::new(self.u16(what)?).ok_or(Unreadable(what))
    }

    pub(super) fn optional<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.u8(what)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Unreadable(what)),
        }
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<Text, Unreadable> {
        let length = self.u16(what)?;
        text(self.take(length.into(), what)?, what)
    }

    /// To the end.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// To the end.
    pub(super) fn message(&mut self) -> Result<Publish, Unreadable> {
        const WHAT: &str = "a message";
        let count = self.u32(WHAT)?;
        let identifiers: Vec<u32> = (0..count).map(|_| self.u32(WHAT)).collect::<Result<_, _>>()?;
        let length = self.u32(WHAT)?;
        let frame = Bytes::copy_from_slice(self.take(length as usize, WHAT)?);
        match Packet::decode(Version::V5_0, Side::Server, frame) {
            Ok(Packet::Publish(mut message)) => {
                message.packet_id = None;
                message.subscription_identifiers = identifiers;
                Ok(message.with_payload(self.rest()))
            }
            _ => Err(Unreadable(WHAT)),
        }
    }

    /// To the end: what `Writer::shared` and `Writer::message` have written.
    pub(super) fn shared_message(&mut self) -> Result<(Option<Shared>, Publish), Unreadable> {
        const WHAT: &str = "a share";
        let kind = self.u8(WHAT)?;
        if kind == 0 {
            return Ok((None, self.message()?));
        }
        let filter = TopicFilter::new(self.text(WHAT)?).map_err(|_| Unreadable(WHAT))?;
        let published = match kind {
            1 => None,
            2 => match (Qos::from_bits(self.u8(WHAT)?), self.u8(WHAT)?) {
                (Some(qos), retain @ 0..=1) => Some((qos, retain == 1)),
                _ => return Err(Unreadable(WHAT)),
            },
            _ => return Err(Unreadable(WHAT)),
        };
        let message = self.message()?;
        let (qos, retain) = published.unwrap_or((message.qos, message.retain));
        Ok((Some(Shared { filter, qos, retain }), message))
    }

    pub(super) fn options(&mut self) -> Result<SubscriptionOptions, Unreadable> {
        const WHAT: &str = "the options of a subscription";
        let [qos, flags, retain_handling] = self.array(WHAT)?;
        Ok(SubscriptionOptions {
            qos: Qos::from_bits(qos).ok_or(Unreadable(WHAT))?,
            no_local: flags & 1 != 0,
            retain_as_published: flags & 2 != 0,
            retain_handling: match retain_handling {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(Unreadable(WHAT)),
            },
        })
    }
}

/// Text that stands for itself.
pub(super) fn text(bytes: &[u8], what: &'static str) -> Result<Text, Unreadable> {
    Text::from_bytes(Bytes::copy_from_slice(bytes)).map_err(|_| Unreadable(what))
}
