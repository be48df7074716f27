//! A packet in one line, for transcripts and diagrams: its name, then its fields by their names, properties last.
//!
//! A field that says nothing (DUP 0, an absent will, the reason 0x00 of an acknowledgement) is left out. The alternate form
//! (`{:#}`) shows no payload, only its length: a log is read by others than the message.

use std::fmt::{self, Write as _};

use super::{Ack, Connack, Connect, Packet, PacketKind, Publish, Subscription, Will};
use crate::{
    property::{Properties, PropertyValue},
    qos::Qos,
    reason::ReasonCode,
};

/// So much of a payload is shown.
const SHOWN_CHARACTERS: usize = 32;

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name())?;
        match self {
            Packet::Connect(connect) => show_connect(f, connect),
            Packet::Connack(connack) => show_connack(f, connack),
            Packet::Publish(publish) => show_publish(f, publish),
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => show_ack(f, ack),
            Packet::Subscribe(subscribe) => {
                write!(f, " id={}", subscribe.packet_id)?;
                show_list(f, &subscribe.subscriptions, show_subscription)?;
                show_properties(f, &subscribe.properties)
            }
            Packet::Suback(suback) => {
                write!(f, " id={}", suback.packet_id)?;
                show_list(f, &suback.reasons, |f, reason| show_reason(f, PacketKind::Suback, *reason))?;
                show_properties(f, &suback.properties)
            }
            Packet::Unsubscribe(unsubscribe) => {
                write!(f, " id={}", unsubscribe.packet_id)?;
                show_list(f, &unsubscribe.filters, |f, filter| show_word(f, filter.as_str()))?;
                show_properties(f, &unsubscribe.properties)
            }
            Packet::Unsuback(unsuback) => {
                write!(f, " id={}", unsuback.packet_id)?;
                if !unsuback.reasons.is_empty() {
                    show_list(f, &unsuback.reasons, |f, reason| show_reason(f, PacketKind::Unsuback, *reason))?;
                }
                show_properties(f, &unsuback.properties)
            }
            Packet::Pingreq | Packet::Pingresp => Ok(()),
            Packet::Disconnect(disconnect) => {
                if disconnect.reason != ReasonCode::NORMAL_DISCONNECTION {
                    f.write_char(' ')?;
                    show_reason(f, PacketKind::Disconnect, disconnect.reason)?;
                }
                show_properties(f, &disconnect.properties)
            }
            Packet::Auth(auth) => {
                f.write_char(' ')?;
                show_reason(f, PacketKind::Auth, auth.reason)?;
                show_properties(f, &auth.properties)
            }
        }
    }
}

fn show_connect(f: &mut fmt::Formatter<'_>, connect: &Connect) -> fmt::Result {
    write!(f, " {} client_id=", connect.version())?;
    show_word(f, &connect.client_id())?;
    write!(f, " clean_start={} keep_alive={}", u8::from(connect.clean_start), connect.keep_alive)?;
    if let Some(will) = connect.will() {
        show_will(f, &will.to_owned())?;
    }
    if let Some(username) = connect.username() {
        f.write_str(" username=")?;
        show_word(f, &username)?;
    }
    if connect.password().is_some() {
        // A transcript is shown to others.
        f.write_str(" password=***")?;
    }
    show_properties(f, &connect.properties().to_owned())
}

fn show_will(f: &mut fmt::Formatter<'_>, will: &Will) -> fmt::Result {
    f.write_str(" will=[")?;
    show_word(f, will.topic.as_str())?;
    write!(f, " qos={}", will.qos)?;
    if will.retain {
        f.write_str(" retain")?;
    }
    show_payload(f, &will.payload)?;
    show_properties(f, &will.properties)?;
    f.write_char(']')
}

fn show_connack(f: &mut fmt::Formatter<'_>, connack: &Connack) -> fmt::Result {
    write!(f, " {}", connack.reason)?;
    if connack.session_present {
        f.write_str(" session_present")?;
    }
    show_properties(f, &connack.properties)
}

fn show_publish(f: &mut fmt::Formatter<'_>, publish: &Publish) -> fmt::Result {
    f.write_char(' ')?;
    show_word(f, publish.topic())?;
    if publish.qos > Qos::AtMostOnce {
        write!(f, " qos={}", publish.qos)?;
    }
    if let Some(packet_id) = publish.packet_id {
        write!(f, " id={packet_id}")?;
    }
    if publish.dup {
        f.write_str(" dup")?;
    }
    if publish.retain {
        f.write_str(" retain")?;
    }
    show_payload(f, publish.payload())?;
    show_properties(f, &publish.properties())
}

fn show_ack(f: &mut fmt::Formatter<'_>, ack: &Ack) -> fmt::Result {
    write!(f, " id={}", ack.packet_id)?;
    if ack.reason != ReasonCode::Success {
        write!(f, " {}", ack.reason)?;
    }
    show_properties(f, &ack.properties)
}

fn show_subscription(f: &mut fmt::Formatter<'_>, subscription: &Subscription) -> fmt::Result {
    show_word(f, subscription.filter.as_str())?;
    let options = subscription.options;
    write!(f, " qos={}", options.qos)?;
    if options.no_local {
        f.write_str(" no_local")?;
    }
    if options.retain_as_published {
        f.write_str(" retain_as_published")?;
    }
    match options.retain_handling as u8 {
        0 => Ok(()),
        handling => write!(f, " retain_handling={handling}"),
    }
}

/// 0x00 has a name of its own in SUBACK and in DISCONNECT.
fn show_reason(f: &mut fmt::Formatter<'_>, packet: PacketKind, reason: ReasonCode) -> fmt::Result {
    match (packet, reason) {
        (PacketKind::Suback, ReasonCode::GRANTED_QOS_0) => f.write_str("0x00 Granted QoS 0"),
        (_, reason) => write!(f, "{reason}"),
    }
}

fn show_list<T>(
    f: &mut fmt::Formatter<'_>,
    list: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_str(" [")?;
    for (index, one) in list.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        show(f, one)?;
    }
    f.write_char(']')
}

fn show_properties(f: &mut fmt::Formatter<'_>, properties: &Properties) -> fmt::Result {
    for property in properties.iter() {
        write!(f, " {}=", property.id().word())?;
        match property.value() {
            PropertyValue::Byte(value) => write!(f, "{value}")?,
            PropertyValue::Two(value) => write!(f, "{value}")?,
            PropertyValue::Four(value) | PropertyValue::Variable(value) => write!(f, "{value}")?,
            PropertyValue::Text(text) => show_word(f, text)?,
            PropertyValue::Binary(bytes) => write!(f, "({} bytes)", bytes.len())?,
            PropertyValue::Pair(name, value) => {
                show_word(f, name)?;
                f.write_char(':')?;
                show_word(f, value)?;
            }
        }
    }
    Ok(())
}

/// As it is where it cannot be misread, quoted otherwise.
fn show_word(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain = |c: char| c.is_alphanumeric() || "/+#$-_.%@&*!?'~^|;<>".contains(c);
    if !text.is_empty() && text.chars().all(plain) { f.write_str(text) } else { write!(f, "{text:?}") }
}

/// Whether well-formed UTF-8 holds a control character, by its bytes: a payload may be long.
fn has_controls(text: &[u8]) -> bool {
    // U+0080 to U+009F are C2 80 to C2 9F.
    text.iter().any(|byte| *byte < 0x20 || *byte == 0x7F)
        || text.windows(2).any(|pair| pair[0] == 0xC2 && pair[1] < 0xA0)
}

fn show_payload(f: &mut fmt::Formatter<'_>, payload: &[u8]) -> fmt::Result {
    let readable = std::str::from_utf8(payload).ok().filter(|_| !has_controls(payload));
    match readable {
        _ if f.alternate() => {}
        Some(text) => {
            let shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
            let more = if shown.len() < text.len() { "…" } else { "" };
            write!(f, " {shown:?}{more}")?;
        }
        None => {
            f.write_str(" 0x")?;
            for byte in payload.iter().take(SHOWN_CHARACTERS / 2) {
                write!(f, "{byte:02X}")?;
            }
            if payload.len() > SHOWN_CHARACTERS / 2 {
                f.write_char('…')?;
            }
        }
    }
    write!(f, " ({} byte{})", payload.len(), if payload.len() == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::has_controls;

    #[test]
    fn control_characters_are_found_by_their_bytes() {
        for character in (0..=0x10_FFFF).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            assert_eq!(has_controls(text.as_bytes()), character.is_control(), "{character:?}");
        }
    }
}
