//! Packets that borrow from the buffer they lie in: as strictly checked as those that own, nothing copied or counted.

use super::{
    ConnectView, Fields, FilterView, Packet, PacketKind, Publish, Subscribe, Subscription, SubscriptionOptions,
    Unsubscribe,
    frame::{check_connect, header},
};
use crate::{
    ascii::as_str,
    error::DecodeError,
    packet::check_first_byte,
    property::{Place, PropertiesView},
    qos::Qos,
    reason::Side,
    version::Version,
    wire::{Keep, PacketId, Reader},
};

/// A control packet in a buffer that somebody else owns.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the standard's packet names")]
pub enum PacketView<'a> {
    Connect(ConnectView<'a>),
    Publish(PublishView<'a>),
    Subscribe(SubscribeView<'a>),
    Unsubscribe(UnsubscribeView<'a>),
    /// Any other: what it holds is a number and a code, and properties now and then.
    Other(Packet),
}

/// A PUBLISH in a buffer that somebody else owns.
#[derive(Clone, Copy, Debug)]
pub struct PublishView<'a> {
    frame: &'a [u8],
    fields: Fields,
}

/// A SUBSCRIBE in a buffer that somebody else owns.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeView<'a> {
    /// Answered by the SUBACK with the same.
    pub packet_id: PacketId,
    /// Empty before 5.0.
    pub properties: PropertiesView<'a>,
    version: Version,
    filters: &'a [u8],
}

/// An UNSUBSCRIBE in a buffer that somebody else owns.
#[derive(Clone, Copy, Debug)]
pub struct UnsubscribeView<'a> {
    /// Answered by the UNSUBACK with the same.
    pub packet_id: PacketId,
    /// Empty before 5.0.
    pub properties: PropertiesView<'a>,
    version: Version,
    filters: &'a [u8],
}

impl<'a> PacketView<'a> {
    /// Reads one whole frame (fixed header included) that `sender` sent, as [`Packet::decode`] does.
    ///
    /// # Errors
    /// Those of [`Packet::decode`].
    pub fn decode(version: Version, sender: Side, frame: &'a [u8]) -> Result<Self, DecodeError> {
        let (kind, first, body) = header(version, frame)?;
        if kind != PacketKind::Connect {
            check_first_byte(version, sender, first)?;
        }
        PacketView::read(version, sender, first, frame, body)
    }

    /// Reads a frame whose fixed header was judged, but for the flags of a CONNECT. A view is large and made where the
    /// caller wants it.
    #[inline]
    pub(crate) fn read<V: From<Self>>(
        version: Version,
        sender: Side,
        first: u8,
        frame: &'a [u8],
        body: usize,
    ) -> Result<V, DecodeError> {
        let mut reader;
        Ok(match first >> 4 {
            1 => {
                let version = check_connect(sender, first, frame, body)?;
                PacketView::Connect(ConnectView::decode(version, frame, body)?).into()
            }
            3 => {
                let fields = Fields::read(version, sender, first, frame, body)?;
                PacketView::Publish(PublishView { frame, fields }).into()
            }
            8 => {
                reader = Reader::new(frame, body, PacketKind::Subscribe);
                let (packet_id, properties) = begin(version, sender, Place::Subscribe, &mut reader)?;
                let filters = reader.peek();
                while reader.left() > 0 {
                    SubscriptionOptions::read(version, &mut reader)?;
                }
                PacketView::Subscribe(SubscribeView { packet_id, properties, version, filters }).into()
            }
            10 => {
                reader = Reader::new(frame, body, PacketKind::Unsubscribe);
                let (packet_id, properties) = begin(version, sender, Place::Unsubscribe, &mut reader)?;
                let filters = reader.peek();
                while reader.left() > 0 {
                    FilterView::read(version, PacketKind::Unsubscribe, &mut reader)?;
                }
                PacketView::Unsubscribe(UnsubscribeView { packet_id, properties, version, filters }).into()
            }
            _ => {
                let packet = Packet::decode_body(version, sender, first, frame, Keep::Copy, body)?;
                PacketView::Other(packet).into()
            }
        })
    }
}

impl PacketView<'_> {
    /// The same, with copies of what it borrows.
    pub fn to_owned(&self) -> Packet {
        match self {
            PacketView::Connect(connect) => Packet::Connect(connect.to_owned()),
            PacketView::Publish(publish) => Packet::Publish(publish.to_owned()),
            PacketView::Subscribe(subscribe) => Packet::Subscribe(subscribe.to_owned()),
            PacketView::Unsubscribe(unsubscribe) => Packet::Unsubscribe(unsubscribe.to_owned()),
            PacketView::Other(packet) => packet.clone(),
        }
    }
}

/// Reads what stands before the filters, of which there is one at least.
fn begin<'a>(
    version: Version,
    sender: Side,
    place: Place,
    reader: &mut Reader<'a>,
) -> Result<(PacketId, PropertiesView<'a>), DecodeError> {
    let packet_id = reader.packet_id(sender)?;
    let properties = match version {
        Version::V5_0 => PropertiesView::decode(reader, place, sender)?,
        _ => PropertiesView::default(),
    };
    // [MQTT-3.8.3-2] [MQTT-3.10.3-2]; 3.1.1 [MQTT-3.8.3-3]
    if reader.left() == 0 {
        return Err(DecodeError::NoTopicFilter { packet: place.packet() });
    }
    Ok((packet_id, properties))
}

impl<'a> PublishView<'a> {
    /// Of a frame whose fields were read.
    #[inline]
    pub(crate) const fn within(frame: &'a [u8], fields: Fields) -> Self {
        PublishView { frame, fields }
    }

    /// Sent before on this exchange.
    pub fn dup(&self) -> bool {
        self.fields.dup()
    }

    /// Of this hop.
    pub fn qos(&self) -> Qos {
        self.fields.qos
    }

    /// RETAIN.
    pub fn retain(&self) -> bool {
        self.fields.retain()
    }

    /// Present if and only if QoS is above 0.
    pub fn packet_id(&self) -> Option<PacketId> {
        self.fields.packet_id
    }

    /// The Topic Name; empty only where a Topic Alias stands for it.
    #[inline]
    pub fn topic(&self) -> &'a str {
        as_str(self.fields.layout.topic(self.frame))
    }

    /// Every property, as it came.
    pub fn properties(&self) -> PropertiesView<'a> {
        PropertiesView::new(self.fields.layout.properties(self.frame))
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.fields.layout.payload(self.frame)
    }

    /// The same with a frame of its own.
    pub fn to_owned(&self) -> Publish {
        Publish::within(self.frame.to_vec().into(), self.fields)
    }
}

impl<'a> SubscribeView<'a> {
    /// The filters with their options, in the order of the packet.
    pub fn subscriptions(&self) -> impl Iterator<Item = (FilterView<'a>, SubscriptionOptions)> {
        let (version, mut reader) = (self.version, Reader::new(self.filters, 0, PacketKind::Subscribe));
        // It ends where the packet ends: in one that was checked there is nothing else to end it.
        std::iter::from_fn(move || SubscriptionOptions::again(version, &mut reader))
    }

    /// The same, with copies of what it borrows.
    pub fn to_owned(&self) -> Subscribe {
        let subscriptions = self.subscriptions();
        let kept = subscriptions.map(|(filter, options)| Subscription { filter: filter.kept(Keep::Copy), options });
        Subscribe {
            packet_id: self.packet_id,
            properties: self.properties.kept(Keep::Copy),
            subscriptions: kept.collect(),
        }
    }
}

impl<'a> UnsubscribeView<'a> {
    /// The filters in the order of the packet.
    pub fn filters(&self) -> impl Iterator<Item = FilterView<'a>> {
        let (version, mut reader) = (self.version, Reader::new(self.filters, 0, PacketKind::Unsubscribe));
        std::iter::from_fn(move || FilterView::again(version, &mut reader))
    }

    /// The same, with copies of what it borrows.
    pub fn to_owned(&self) -> Unsubscribe {
        Unsubscribe {
            packet_id: self.packet_id,
            properties: self.properties.kept(Keep::Copy),
            filters: self.filters().map(|filter| filter.kept(Keep::Copy)).collect(),
        }
    }
}
