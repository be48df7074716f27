//! Arbitrary packets: every packet that a version lets a side send, every property in every place, nothing invalid.

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;

use crate::{
    packet::{
        Ack, Auth, Connack, Connect, Disconnect, Packet, PacketKind, Publish, Suback, Subscribe, Subscription,
        SubscriptionOptions, Unsuback, Unsubscribe, Will,
    },
    property::{Place, Properties, Property, PropertyId, PropertyKind},
    qos::Qos,
    reason::{ReasonCode, Side},
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

/// Characters of one to four bytes, a byte order mark and controls among them: all legal in a string.
const ALPHABET: &[char] =
    &['a', 'b', 'z', '0', ' ', '$', '-', 'é', '日', '\u{FEFF}', '😀', '\u{1}', '\u{7F}', '\u{FFFF}'];

/// A packet that `sender` may send in this version.
///
/// # Errors
/// When the source of choices ends; it then yields smaller packets, not none.
pub fn arbitrary_packet(u: &mut Unstructured<'_>, version: Version, sender: Side) -> Result<Packet> {
    let sent =
        |kind: &&PacketKind| PacketKind::from_number(version, kind.number()).is_some() && kind.sent_by(version, sender);
    let kinds: Vec<_> = PacketKind::ALL.iter().filter(sent).copied().collect();
    let kind = *u.choose(&kinds)?;
    let mut make = Maker { u, version, sender };
    Ok(match kind {
        PacketKind::Connect => Packet::Connect(make.connect()?),
        PacketKind::Connack => Packet::Connack(Box::new(make.connack()?)),
        PacketKind::Publish => Packet::Publish(make.publish()?),
        PacketKind::Puback => Packet::Puback(make.ack(Place::Puback)?),
        PacketKind::Pubrec => Packet::Pubrec(make.ack(Place::Pubrec)?),
        PacketKind::Pubrel => Packet::Pubrel(make.ack(Place::Pubrel)?),
        PacketKind::Pubcomp => Packet::Pubcomp(make.ack(Place::Pubcomp)?),
        PacketKind::Subscribe => Packet::Subscribe(make.subscribe()?),
        PacketKind::Suback => Packet::Suback(make.suback()?),
        PacketKind::Unsubscribe => Packet::Unsubscribe(make.unsubscribe()?),
        PacketKind::Unsuback => Packet::Unsuback(make.unsuback()?),
        PacketKind::Pingreq => Packet::Pingreq,
        PacketKind::Pingresp => Packet::Pingresp,
        PacketKind::Disconnect => Packet::Disconnect(make.disconnect()?),
        PacketKind::Auth => Packet::Auth(make.auth()?),
    })
}

struct Maker<'u, 'a> {
    u: &'u mut Unstructured<'a>,
    version: Version,
    sender: Side,
}

impl Maker<'_, '_> {
    fn yes(&mut self) -> Result<bool> {
        self.u.arbitrary()
    }

    fn rarely(&mut self) -> Result<bool> {
        self.u.ratio(1, 4)
    }

    fn bytes(&mut self) -> Result<Bytes> {
        let length = length(self.u)?;
        // What the source cannot give is filled up: long fields matter more than their content.
        let mut bytes = self.u.bytes(length.min(self.u.len()))?.to_vec();
        bytes.resize(length, 0xA5);
        Ok(bytes.into())
    }

    fn packet_id(&mut self) -> Result<PacketId> {
        self.u.arbitrary()
    }

    fn filter(&mut self) -> Result<TopicFilter> {
        let filter: TopicFilter = self.u.arbitrary()?;
        // What 5.0 calls a Shared Subscription is an ordinary filter before.
        let before = |filter: TopicFilter| TopicFilter::unshared(filter.text().clone()).expect("shared or not");
        Ok(if self.version.has_properties() { filter } else { before(filter) })
    }

    /// One to four of something.
    fn some<T>(&mut self, make: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u.int_in_range(1..=4)?;
        (0..count).map(|_| make(self)).collect()
    }

    fn reason(&mut self, packet: PacketKind) -> Result<ReasonCode> {
        let sender = self.sender;
        let allowed: Vec<_> = ReasonCode::ALL.iter().filter(|reason| reason.allowed_in(packet, sender)).collect();
        self.u.choose(&allowed).map(|reason| **reason)
    }

    fn properties(&mut self, place: Place) -> Result<Properties> {
        let mut properties = Properties::new();
        if !self.version.has_properties() {
            return Ok(properties);
        }
        for id in PropertyId::ALL {
            if !id.allowed_in(place) || !id.sent_by(place, self.sender) {
                continue;
            }
            let needed = match (place, id) {
                (Place::Auth, PropertyId::AuthenticationMethod) => true,
                (_, PropertyId::AuthenticationData) if properties.authentication_method().is_none() => continue,
                _ => self.rarely()?,
            };
            let most = if id.repeats_in(place) { 3 } else { 1 };
            for _ in 0..if needed { self.u.int_in_range(1..=most)? } else { 0 } {
                properties.push(self.property(*id)?);
            }
        }
        Ok(properties)
    }

    fn property(&mut self, id: PropertyId) -> Result<Property> {
        let mut value = Vec::from([id as u8]);
        let (least, most) = id.bounds();
        let text = |u: &mut Unstructured<'_>, value: &mut Vec<u8>| {
            let text: Text = match id {
                PropertyId::ResponseTopic => TopicName::arbitrary(u)?.text().clone(),
                _ => u.arbitrary()?,
            };
            value.extend_from_slice(&u16::try_from(text.len()).expect("a text").to_be_bytes());
            value.extend_from_slice(text.as_bytes());
            Ok::<_, arbitrary::Error>(())
        };
        // The ends of a number's range come up as often as all that lies between.
        let number = match self.u.int_in_range(0..=3)? {
            0 => least,
            1 => most,
            _ => self.u.int_in_range(least..=most)?,
        };
        let big = number.to_be_bytes();
        match id.kind() {
            PropertyKind::Byte => value.extend_from_slice(&big[3..]),
            PropertyKind::Two => value.extend_from_slice(&big[2..]),
            PropertyKind::Four => value.extend_from_slice(&big),
            PropertyKind::Variable => return Ok(Property::SubscriptionIdentifier(number)),
            PropertyKind::Text => text(self.u, &mut value)?,
            PropertyKind::Binary => {
                let bytes = self.bytes()?;
                value.extend_from_slice(&u16::try_from(bytes.len()).expect("short").to_be_bytes());
                value.extend_from_slice(&bytes);
            }
            PropertyKind::Pair => {
                text(self.u, &mut value)?;
                text(self.u, &mut value)?;
            }
        }
        Ok(Property::from_wire(value.into()).expect("written by its kind"))
    }

    fn connect(&mut self) -> Result<Connect> {
        let version = self.version;
        let mut connect = Connect::new(version, self.u.arbitrary()?);
        connect.clean_start = self.yes()?;
        let may_be_empty = version == Version::V5_0 || version == Version::V3_1_1 && connect.clean_start;
        if connect.client_id().is_empty() && !may_be_empty {
            connect.set_client_id(Text::literal("a"));
        }
        connect.keep_alive = self.u.arbitrary()?;
        connect.set_properties(self.properties(Place::Connect)?);
        if self.yes()? {
            connect.set_will(Some(Will {
                qos: self.u.arbitrary()?,
                retain: self.yes()?,
                topic: self.u.arbitrary()?,
                payload: self.bytes()?,
                properties: self.properties(Place::Will)?,
            }));
        }
        if self.yes()? {
            connect.set_username(Some(self.u.arbitrary()?));
        }
        if self.yes()? && (connect.username().is_some() || version.has_properties()) {
            connect.set_password(Some(self.bytes()?));
        }
        Ok(connect)
    }

    fn connack(&mut self) -> Result<Connack> {
        let reason = match self.version {
            Version::V5_0 => self.reason(PacketKind::Connack)?,
            _ => ReasonCode::from_connack_return_code(self.u.int_in_range(0..=5)?).expect("0 to 5 are in use"),
        };
        let mut connack = Connack::new(reason);
        connack.session_present = self.version > Version::V3_1 && reason == ReasonCode::Success && self.yes()?;
        connack.properties = self.properties(Place::Connack)?;
        Ok(connack)
    }

    fn publish(&mut self) -> Result<Publish> {
        let qos: Qos = self.u.arbitrary()?;
        let packet_id = if qos == Qos::AtMostOnce { None } else { Some(self.packet_id()?) };
        let topic = self.u.arbitrary()?;
        let mut publish =
            Publish::new(&topic, self.bytes()?).at(qos, packet_id).with_properties(&self.properties(Place::Publish)?);
        publish.dup = qos != Qos::AtMostOnce && self.yes()?;
        publish.retain = self.yes()?;
        if publish.topic_alias.is_some() && self.yes()? {
            publish = publish.without_topic();
        }
        Ok(publish)
    }

    fn ack(&mut self, place: Place) -> Result<Ack> {
        let mut ack = Ack::new(self.packet_id()?);
        if self.version.has_properties() {
            ack.reason = self.reason(place.packet())?;
            ack.properties = self.properties(place)?;
        }
        Ok(ack)
    }

    fn subscribe(&mut self) -> Result<Subscribe> {
        let mut subscribe = Subscribe::new(self.packet_id()?, self.some(Self::subscription)?);
        subscribe.properties = self.properties(Place::Subscribe)?;
        Ok(subscribe)
    }

    fn subscription(&mut self) -> Result<Subscription> {
        let filter = self.filter()?;
        let mut options: SubscriptionOptions = self.u.arbitrary()?;
        options.no_local &= filter.share_name().is_none();
        if !self.version.has_properties() {
            options = SubscriptionOptions { qos: options.qos, ..SubscriptionOptions::default() };
        }
        Ok(Subscription { filter, options })
    }

    fn suback(&mut self) -> Result<Suback> {
        let reasons = self.some(|make| match make.version {
            Version::V5_0 => make.reason(PacketKind::Suback),
            _ => make
                .u
                .choose(&[
                    ReasonCode::GRANTED_QOS_0,
                    ReasonCode::GrantedQos1,
                    ReasonCode::GrantedQos2,
                    ReasonCode::UnspecifiedError,
                ])
                .copied(),
        })?;
        let mut suback = Suback::new(self.packet_id()?, reasons);
        suback.properties = self.properties(Place::Suback)?;
        Ok(suback)
    }

    fn unsubscribe(&mut self) -> Result<Unsubscribe> {
        let mut unsubscribe = Unsubscribe::new(self.packet_id()?, self.some(Self::filter)?);
        unsubscribe.properties = self.properties(Place::Unsubscribe)?;
        Ok(unsubscribe)
    }

    fn unsuback(&mut self) -> Result<Unsuback> {
        let mut unsuback = Unsuback::new(self.packet_id()?, Vec::new());
        if self.version.has_properties() {
            unsuback.reasons = self.some(|make| make.reason(PacketKind::Unsuback))?;
            unsuback.properties = self.properties(Place::Unsuback)?;
        }
        Ok(unsuback)
    }

    fn disconnect(&mut self) -> Result<Disconnect> {
        let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        if self.version.has_properties() {
            disconnect.reason = self.reason(PacketKind::Disconnect)?;
            disconnect.properties = self.properties(Place::Disconnect)?;
        }
        Ok(disconnect)
    }

    fn auth(&mut self) -> Result<Auth> {
        let mut auth = Auth::new(self.reason(PacketKind::Auth)?);
        auth.properties = self.properties(Place::Auth)?;
        Ok(auth)
    }
}

/// Mostly short; sometimes around the sizes at which a length takes another byte.
fn length(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match u.int_in_range(0..=15u8)? {
        0 => u.int_in_range(120..=135)?,
        1 => u.int_in_range(250..=260)?,
        _ => u.int_in_range(0..=8)?,
    })
}

fn word(u: &mut Unstructured<'_>, least: usize) -> Result<String> {
    let length = length(u)?.max(least);
    (0..length).map(|_| u.choose(ALPHABET).copied()).collect()
}

impl<'a> Arbitrary<'a> for Text {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Text::new(word(u, 0)?).expect("short and without U+0000"))
    }
}

impl<'a> Arbitrary<'a> for TopicName {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut name = word(u, 1)?;
        for _ in 0..u.int_in_range(0..=3)? {
            name = format!("{name}/{}", word(u, 0)?);
        }
        Ok(TopicName::try_from(name.as_str()).expect("not empty, no wildcard"))
    }
}

impl<'a> Arbitrary<'a> for TopicFilter {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut filter = match u.int_in_range(0..=5)? {
            0 => "#".to_owned(),
            1 => "+".to_owned(),
            _ => word(u, 1)?,
        };
        if filter != "#" {
            for _ in 0..u.int_in_range(0..=3)? {
                let level = if u.arbitrary()? { "+".to_owned() } else { word(u, 0)? };
                filter = format!("{filter}/{level}");
            }
            if u.arbitrary()? {
                filter.push_str("/#");
            }
        }
        if u.ratio(1, 4)? {
            filter = format!("$share/{}/{filter}", word(u, 1)?);
        }
        Ok(TopicFilter::try_from(filter.as_str()).expect("wildcards stand alone in their levels"))
    }
}
