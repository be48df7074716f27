//! MQTT in plain words, for people who see its packets for the first time.

use squall_codec::packet::PacketKind;

/// What a packet is for.
pub(super) const fn of_packet(kind: PacketKind) -> &'static str {
    match kind {
        PacketKind::Connect => {
            "The first packet of a connection. The client says who it is, which session it wants, and what the broker may expect of it."
        }
        PacketKind::Connack => {
            "The broker's answer to CONNECT: whether the client may come in, and whether the broker still has its session."
        }
        PacketKind::Publish => {
            "Carries a message on a topic, from its publisher to the broker or from the broker to a subscriber."
        }
        PacketKind::Puback => "Ends a QoS 1 exchange: who sends it has the message, and it need not be sent again.",
        PacketKind::Pubrec => "Second step of QoS 2: who sends it has the message, and will not take it a second time.",
        PacketKind::Pubrel => {
            "Third step of QoS 2: the sender will not repeat the message; the receiver may forget its identifier."
        }
        PacketKind::Pubcomp => "Fourth and last step of QoS 2: the exchange is over and its identifier free again.",
        PacketKind::Subscribe => "Asks for the messages of all topics that match a filter.",
        PacketKind::Suback => {
            "The broker's answer to SUBSCRIBE: for each filter the QoS that it grants, or why it does not."
        }
        PacketKind::Unsubscribe => "Ends subscriptions.",
        PacketKind::Unsuback => "The broker's answer to UNSUBSCRIBE.",
        PacketKind::Pingreq => "Says that the client is still there when it has nothing else to say.",
        PacketKind::Pingresp => {
            "The broker's answer to PINGREQ: it is there too, and everything sent before has been read."
        }
        PacketKind::Disconnect => "The last packet of a connection: an orderly goodbye, with the reason in 5.0.",
        PacketKind::Auth => "A step of an authentication that takes more than one message.",
    }
}

/// What an acknowledgement means that says no.
pub(super) const fn of_refusal(kind: PacketKind) -> Option<&'static str> {
    match kind {
        PacketKind::Puback | PacketKind::Pubrec => Some(
            "Refuses the message: who sends this will not have it. The exchange is over, and nothing is sent again.",
        ),
        PacketKind::Connack => Some("The broker refuses the client, says why, and closes the connection."),
        PacketKind::Pubrel | PacketKind::Pubcomp => Some("Its sender knows nothing of this exchange."),
        _ => None,
    }
}

/// What a field, flag or property means; empty where its name says it all.
pub(super) fn of_field(name: &str) -> &'static str {
    FIELDS.iter().find(|(field, _)| *field == name).map_or("", |(_, words)| words)
}

const FIELDS: &[(&str, &str)] = &[
    ("Packet type and flags", "The upper four bits say which packet this is; the lower four are its flags."),
    ("Remaining Length", "How many bytes follow this number."),
    ("Protocol Name", "MQTT, or MQIsdp in version 3.1."),
    ("Protocol Version", "3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0."),
    ("Connect Flags", "One byte of yes and no: what the client wants, and which fields follow."),
    ("Clean Start", "1: forget the session of this client. 0: go on with it."),
    ("Clean Session", "1: a session for this connection only. 0: keep it, and go on with the old one."),
    ("Will Flag", "1: the broker publishes a message for this client if it vanishes."),
    (
        "Keep Alive",
        "Seconds. If the client is silent for one and a half times that long, the broker gives it up. 0: never.",
    ),
    ("Client Identifier", "The name under which the broker keeps the session."),
    ("Session Present", "1: the broker still has the session, and both go on where they were. 0: it begins empty."),
    ("Reason Code", "Below 0x80 it went well, from 0x80 on it did not."),
    ("Session Expiry Interval", "Seconds for which the broker keeps the session after the connection has ended."),
    ("Receive Maximum", "So many messages of QoS 1 and 2 may be on the way to the sender of this at once."),
    ("Maximum Packet Size", "The sender of this takes no packet of more bytes."),
    ("Topic Alias Maximum", "The sender of this understands numbers up to this one in place of topics."),
    ("Topic Alias", "A number that stands for the topic on this connection."),
    ("Server Keep Alive", "The broker decides: this counts in place of the client's Keep Alive."),
    ("Assigned Client Identifier", "The name that the broker gave to a client that came without one."),
    ("DUP", "1: the same packet was sent before and may have arrived. It is a repeat, not a new message."),
    ("QoS", "0: at most once, nothing is acknowledged. 1: at least once, PUBACK. 2: exactly once, four packets."),
    ("RETAIN", "To the broker, 1: keep it for later subscribers. From the broker, 1: this was kept."),
    ("Topic Name", "What the message is about: subscribers choose by it."),
    (
        "Packet Identifier",
        "The number of the exchange: the answers have the same. It is free again when the exchange is over.",
    ),
    ("Payload", "The message itself. MQTT does not look into it."),
    ("Message Expiry Interval", "Seconds. What could not be delivered by then is dropped."),
    ("Subscription Identifier", "A number that the subscriber chose: it tells which subscription a message is for."),
    ("Response Topic", "Where the answer to this message should go."),
    ("Correlation Data", "Bytes that tell the asker which question an answer belongs to."),
    ("User Property", "A name and a value that MQTT only passes on."),
    ("Topic Filter", "Which topics: + stands for one level, # for all that follow."),
    ("Subscription Options", "One byte: how messages of this filter are to be delivered."),
    ("Maximum QoS", "Messages of this filter come at this QoS at most."),
    ("Requested QoS", "Messages of this filter come at this QoS at most."),
    ("No Local", "1: what this client publishes itself does not come back to it."),
    ("Retain As Published", "1: RETAIN comes as the publisher set it."),
    ("Retain Handling", "0: send retained messages now. 1: only for a new subscription. 2: never."),
    ("Will Topic", "Where the broker publishes the will."),
    ("Will Payload", "The message of the will."),
    ("Will QoS", "The QoS of the will."),
    ("Will Retain", "1: the will is kept for later subscribers."),
    (
        "Will Delay Interval",
        "Seconds that the broker waits with the will; a client that comes back in time cancels it.",
    ),
    ("Property Length", "How many bytes the properties take."),
    ("Reason String", "The reason in words, for people."),
    ("Rest", "Bytes that fit into no field: this is no well-formed packet."),
];

/// What an invariant promises; `None` for one that is not described here.
pub(super) fn of_invariant(name: &str) -> Option<&'static str> {
    let words = match name {
        "packet identifier in use" => {
            "A packet identifier is the number of an exchange. While one message uses it, no other message may: the answers \
             could belong to either."
        }
        "DUP on repeats alone" => {
            "DUP tells the receiver that a packet is a repeat. It must be set on every repeat and on nothing else, and in 5.0 \
             nothing is repeated while the connection lasts."
        }
        "Receive Maximum" => {
            "A receiver says how many messages of QoS 1 and 2 may be under way to it at once. The sender must wait when so \
             many are not acknowledged."
        }
        "subscribed" => "A client gets the messages that match one of its subscriptions, and no others.",
        "as subscribed" => {
            "A message comes with the QoS that the subscription was granted at most, with RETAIN as the subscription asks for \
             it, and with the Subscription Identifiers of the filters that match."
        }
        "as published" => {
            "What a publisher says beside the payload reaches the subscriber as it was said: Content Type, Response Topic, \
             Correlation Data, Payload Format Indicator, and User Properties in their order."
        }
        "shared once" => "Of the members of a Shared Subscription, one gets the message, and it stays with that one.",
        "session present" => {
            "CONNACK says whether the server still has the client's session. A session lives as long as its Session Expiry \
             Interval says, and not longer."
        }
        "take-over" => {
            "A Client Identifier has one connection. When a second one comes, the server closes the first and, in 5.0, says why."
        }
        "will" => {
            "A will is published when its client is lost: when its delay is over or its session ends, whichever is first. It is not \
             published when the client says DISCONNECT with 0x00, or takes its session up again before. Why the connection ended \
             makes no difference: the server's own failures count too."
        }
        "keep alive" => {
            "A client from which nothing was heard for one and a half times its Keep Alive is disconnected then, and not before. \
             Where CONNACK names a Server Keep Alive, that counts."
        }
        "message expiry" => {
            "A message that has waited for longer than its Message Expiry Interval is not sent any more, and the others say how \
             long they may still wait."
        }
        "retained" => {
            "A new subscription gets the last message that was retained on each topic that it matches, unless its Retain \
             Handling asks for something else."
        }
        "assigned identifier" => {
            "A client that comes without a Client Identifier is told one that no other session has, and no other client is."
        }
        "topic alias" => {
            "A Topic Alias stands for the topic that it was given on this connection, and never above the maximum."
        }
        "answers" => {
            "Each request is answered once, nothing is answered that was not asked, and acknowledgements come in the order of what \
             they acknowledge. An exchange that has ended is not gone on with."
        }
        "admits" => {
            "Who says no CONNECT, or one that must be refused, is not let in: the server closes the connection, and says no with the \
             right code, or nothing."
        }
        "as offered" => {
            "A server says in CONNACK what it does not have, refuses what asks for it, and does nothing of the kind."
        }
        "packet size" => "No packet is larger than the Maximum Packet Size of who gets it.",
        "stays open" => "A server closes no connection on which nothing was wrong.",
        "closes on violation" => {
            "A server closes the connection on which a client sends what it must not, and touches no other."
        }
        "serves" => {
            "A server that can do what it is asked for does it, and grants the QoS. This one is set up to refuse nothing but what \
             is above its bounds: and that it has to refuse."
        }
        "durable" => {
            "What the server has acknowledged survives a crash and a loss of power: once started again it has what it had, no less \
             and no more."
        }
        "progress" => "When nothing is in the way any more, whatever is owed arrives.",
        "handed over" => {
            "A client hands each message to its application before it acknowledges it, and one of QoS 2 once."
        }
        "comes through" => "A client that connects again by itself is connected when nothing is in its way any more.",
        "baseline" => {
            "When all is done, the server holds nothing for it any more, neither in its memory nor in its store: what it has let go \
             of does not come back when it starts again."
        }
        "at most once" => "A message of QoS 0 may be lost, but it must never come twice.",
        "at least once" => {
            "A message of QoS 1 that was acknowledged must reach every subscriber, however often a connection breaks."
        }
        "exactly once" => {
            "A message of QoS 2 must reach each subscriber one time: not lost and not doubled, whatever is lost on the way. \
             That is what its four packets are for."
        }
        "order" => {
            "Messages of one publisher on one topic must come to a subscriber in the order in which they were published."
        }
        "nothing invented" => "What a subscriber gets must be what somebody published: the same topic, the same bytes.",
        _ => return None,
    };
    Some(words)
}
