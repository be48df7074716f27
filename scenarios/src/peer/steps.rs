//! What a peer does in more than one packet: whole handshakes and exchanges, and what it expects of the subject.

use std::time::Duration;

use squall_codec::{
    packet::{Ack, Connack, Connect, Disconnect, Packet, Publish, Suback, Subscribe, Subscription},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    wire::{PacketId, Text},
};

use super::{Kind, Next, Peer, Puback, Pubcomp, Pubrec, Pubrel, Refusal, Seen};
use crate::{
    stage::{End, Stage},
    verdict::{Halt, Preparing, Verdict, Witness},
    words,
};

impl Peer {
    /// Opens, sends this CONNECT, and has a CONNACK with success; anything else is `fail` (use `.prepared()`).
    pub async fn connect(stage: &Stage, actor: &str, connect: Connect) -> Result<(Peer, Seen<Connack>), Halt> {
        let mut peer = Peer::open(stage, actor).await?;
        peer.send(Packet::Connect(connect)).await;
        let connack = peer.expect::<Connack>().await?;
        if connack.reason.is_failure() {
            let reason =
                format!("expected CONNACK with success, but {} came", Packet::Connack(Box::new((*connack).clone())));
            return Err(Halt::fail(reason).at(&connack));
        }
        Ok((peer, connack))
    }

    /// A connected client with a clean session, Keep Alive 0 and this test's client identifier of `actor`.
    /// `inconclusive` if that does not work.
    pub async fn connected(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
        let (peer, _) = Peer::connect(stage, actor, Peer::hello(stage, actor)).await.prepared()?;
        Ok(peer)
    }

    /// The CONNECT that `connected` sends: for changing one thing of it.
    pub fn hello(stage: &Stage, actor: &str) -> Connect {
        let mut connect = Connect::new(stage.version(), stage.client_id(actor));
        connect.keep_alive = stage.keep_alive();
        if let Some(credentials) = stage.credentials() {
            connect.set_username(Some(credentials.username.clone()));
            connect.set_password(credentials.password.clone());
        }
        connect
    }

    /// The next packet must be of this kind: `fail` otherwise, and when nothing comes. What answers something may come
    /// before or after the messages that are on their way: those are passed over, and still there afterwards.
    pub async fn expect<K: Kind>(&mut self) -> Result<Seen<K>, Halt> {
        self.expect_by(self.patience_from_now()).await
    }

    /// As `expect`, by this time of the stage.
    pub async fn expect_by<K: Kind>(&mut self, at: Duration) -> Result<Seen<K>, Halt> {
        let wanted = self.wanted(K::NAME, at);
        let next = match K::BESIDE_MESSAGES {
            true => self.next_beside_messages_by(at, K::NAME == Pubrel::NAME).await,
            false => self.next_by(at).await,
        };
        match next {
            Next::Packet(seen) => {
                let (entry, when) = (seen.entry(), seen.at());
                K::from_packet(seen.into_inner())
                    .map(|content| Seen::new(content, entry, when))
                    .map_err(|packet| missed_a::<K>(&wanted, &Next::Packet(Seen::new(packet, entry, when))))
            }
            other => Err(missed_a::<K>(&wanted, &other)),
        }
    }

    /// A PUBLISH with this payload must come next (its topic and all else are the caller's to judge).
    pub async fn expect_message(&mut self, payload: &[u8]) -> Result<Seen<Publish>, Halt> {
        let at = self.patience_from_now();
        let wanted = self.wanted(&format!("PUBLISH with payload '{}'", payload.escape_ascii()), at);
        match self.next_by(at).await {
            Next::Packet(seen) => match &*seen {
                Packet::Publish(publish) if publish.payload() == payload => {
                    Ok(Seen::new(publish.clone(), seen.entry(), seen.at()))
                }
                _ => Err(missed(&wanted, &Next::Packet(seen))),
            },
            other => Err(missed(&wanted, &other)),
        }
    }

    /// The connection must end: what is said before (at most one CONNACK or DISCONNECT) is in the refusal. `fail` if it
    /// stays open for the stage's patience, or if any other packet comes.
    pub async fn expect_refusal(&mut self) -> Result<Refusal, Halt> {
        let (since, at) = (self.stage.now(), self.patience_from_now());
        let mut said: Option<Seen<Packet>> = None;
        loop {
            match self.next_by(at).await {
                Next::End(end) => return Ok(Refusal { said, end }),
                Next::Packet(packet)
                    if said.is_none() && matches!(*packet, Packet::Connack(_) | Packet::Disconnect(_)) =>
                {
                    said = Some(packet);
                }
                Next::Nothing => {
                    let halt = Halt::fail(self.still_open(since));
                    return Err(if let Some(said) = &said { halt.at(said) } else { halt });
                }
                other => return Err(missed("expected the connection to end", &other)),
            }
        }
    }

    /// The connection must end within the stage's patience, whatever comes before.
    pub async fn expect_end(&mut self) -> Result<Seen<End>, Halt> {
        self.expect_end_by(self.patience_from_now()).await
    }

    /// As `expect_end`, by this time of the stage.
    pub async fn expect_end_by(&mut self, at: Duration) -> Result<Seen<End>, Halt> {
        let since = self.stage.now();
        loop {
            match self.next_by(at).await {
                Next::End(end) => return Ok(end),
                Next::Nothing => return Err(Halt::fail(self.still_open(since))),
                Next::Packet(_) | Next::Malformed(_) => {}
            }
        }
    }

    /// A fence: PINGREQ, and all packets that come before its PINGRESP. `fail` if the connection ends; `inconclusive` if no
    /// PINGRESP comes: that is a rule of its own, and nothing was learned about any other.
    pub async fn fence(&mut self) -> Result<(Vec<Seen<Packet>>, Seen<()>), Halt> {
        self.ping().await.map_err(|(halt, came)| match came {
            Next::Nothing => Halt { verdict: Verdict::Inconclusive, ..halt },
            _ => halt,
        })
    }

    /// As `fence`, where the question is whether PINGREQ is answered: `fail` if no PINGRESP comes.
    pub async fn pinged(&mut self) -> Result<(Vec<Seen<Packet>>, Seen<()>), Halt> {
        self.ping().await.map_err(|(halt, _)| halt)
    }

    /// PINGREQ, and all up to its PINGRESP; else what came in its place.
    async fn ping(&mut self) -> Result<(Vec<Seen<Packet>>, Seen<()>), (Halt, Next)> {
        self.send(Packet::Pingreq).await;
        let at = self.patience_from_now();
        let wanted = self.wanted("PINGRESP", at);
        let mut before = Vec::new();
        loop {
            match self.next_by(at).await {
                Next::Packet(packet) if *packet == Packet::Pingresp => {
                    return Ok((before, Seen::new((), packet.entry(), packet.at())));
                }
                Next::Packet(packet) => before.push(packet),
                other => return Err((missed(&wanted, &other), other)),
            }
        }
    }

    /// A fence with nothing before it: the witness is the PINGRESP.
    pub async fn quiet(&mut self) -> Result<Seen<()>, Halt> {
        let (before, pingresp) = self.fence().await?;
        match before.into_iter().next() {
            None => Ok(pingresp),
            Some(packet) => Err(missed("expected nothing before PINGRESP", &Next::Packet(packet))),
        }
    }

    /// All messages that come before a fence. Other packets stay for later.
    pub async fn drain_messages(&mut self) -> Result<Vec<Seen<Publish>>, Halt> {
        let (before, _) = self.fence().await?;
        let mut messages = Vec::new();
        for packet in before {
            match &*packet {
                Packet::Publish(publish) => {
                    messages.push(Seen::new(publish.clone(), packet.entry(), packet.at()));
                }
                _ => self.backlog.push_back(Next::Packet(packet)),
            }
        }
        Ok(messages)
    }

    /// Finishes the subject's exchange for this message: PUBACK; PUBREC, PUBREL and PUBCOMP; nothing for QoS 0. `fail` if
    /// no PUBREL comes.
    pub async fn acknowledge(&mut self, publish: &Publish) -> Result<(), Halt> {
        let Some(id) = publish.packet_id else { return Ok(()) };
        if publish.qos == Qos::AtLeastOnce {
            self.send(Packet::Puback(Ack::new(id))).await;
            return Ok(());
        }
        self.send(Packet::Pubrec(Ack::new(id))).await;
        self.answer::<Pubrel>(id, |ack| ack.packet_id).await?;
        self.send(Packet::Pubcomp(Ack::new(id))).await;
        Ok(())
    }

    /// SUBSCRIBE to one filter, and a SUBACK that grants it: `inconclusive` if refused or not answered; `unsupported` where
    /// QoS 0 is all that is granted to who asked for more: nothing need come then.
    pub async fn subscribed(&mut self, filter: &str, qos: Qos) -> Result<Seen<Suback>, Halt> {
        let filter = Text::new(filter)
            .map_err(|error| error.to_string())
            .and_then(|text| TopicFilter::new(text).map_err(|error| error.to_string()));
        let filter = filter.map_err(|error| Halt::inconclusive(format!("no filter to subscribe to: it {error}")))?;
        let subscribe = Subscribe::new(self.fresh_id(), vec![Subscription::new(filter, qos)]);
        let suback = self.subscribe_with(subscribe).await.prepared()?;
        if qos > Qos::AtMostOnce && suback.reasons.first() == Some(&ReasonCode::GRANTED_QOS_0) {
            let reason = format!("the server grants QoS 0 where QoS {qos} was asked for");
            return Err(Halt::unsupported(reason).at(&suback));
        }
        Ok(suback)
    }

    /// This SUBSCRIBE, and a SUBACK that grants each filter: `fail` otherwise. Messages that come before it stay for
    /// later.
    pub async fn subscribe_with(&mut self, subscribe: Subscribe) -> Result<Seen<Suback>, Halt> {
        let id = subscribe.packet_id;
        self.send(Packet::Subscribe(subscribe)).await;
        let suback = self.answer::<Suback>(id, |suback| suback.packet_id).await?;
        match suback.reasons.iter().find(|reason| reason.is_failure()) {
            None => Ok(suback),
            Some(_) => {
                let came = Packet::Suback((*suback).clone());
                Err(Halt::fail(format!("expected SUBACK that grants the subscription, but {came} came")).at(&suback))
            }
        }
    }

    /// Publishes and finishes the exchange (PUBACK; PUBREC, PUBREL, PUBCOMP; a fence for QoS 0): `inconclusive` if it
    /// does not finish.
    pub async fn published(&mut self, topic: &str, qos: Qos, payload: &[u8], retain: bool) -> Result<(), Halt> {
        let topic = Text::new(topic)
            .map_err(|error| error.to_string())
            .and_then(|text| TopicName::new(text).map_err(|error| error.to_string()));
        let topic = topic.map_err(|error| Halt::inconclusive(format!("no topic to publish to: it {error}")))?;
        let id = (qos != Qos::AtMostOnce).then(|| self.fresh_id());
        let mut publish = Publish::new(&topic, payload).at(qos, id);
        publish.retain = retain;
        self.publish_with(publish).await.prepared()
    }

    /// This PUBLISH, and the whole exchange that its QoS asks for: `fail` if it does not finish with success. Other
    /// packets that come meanwhile stay for later.
    pub async fn publish_with(&mut self, publish: Publish) -> Result<(), Halt> {
        let id = publish.packet_id;
        let qos = publish.qos;
        self.send(Packet::Publish(publish)).await;
        match (qos, id) {
            (Qos::AtLeastOnce, Some(id)) => {
                let puback = self.answer::<Puback>(id, |ack| ack.packet_id).await?;
                granted(&puback, Packet::Puback)
            }
            (Qos::ExactlyOnce, Some(id)) => {
                let pubrec = self.answer::<Pubrec>(id, |ack| ack.packet_id).await?;
                granted(&pubrec, Packet::Pubrec)?;
                self.send(Packet::Pubrel(Ack::new(id))).await;
                let pubcomp = self.answer::<Pubcomp>(id, |ack| ack.packet_id).await?;
                granted(&pubcomp, Packet::Pubcomp)
            }
            _ => {
                let (before, _) = self.fence().await?;
                self.backlog.extend(before.into_iter().map(Next::Packet));
                Ok(())
            }
        }
    }

    /// DISCONNECT (normal), then FIN.
    pub async fn disconnect(&mut self) {
        self.send(Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))).await;
        self.close(End::Fin).await;
    }

    /// The answer of this kind with this packet identifier; what comes before it stays for later, in order.
    async fn answer<K: Kind>(&mut self, id: PacketId, id_of: impl Fn(&K) -> PacketId) -> Result<Seen<K>, Halt> {
        let at = self.patience_from_now();
        let wanted = self.wanted(&format!("{} {id}", K::NAME), at);
        loop {
            let packet = match self.arrive_by(at).await {
                Next::Packet(packet) => packet,
                other => return Err(missed_a::<K>(&wanted, &other)),
            };
            let (entry, when) = (packet.entry(), packet.at());
            let other = match K::from_packet(packet.value.clone()) {
                Ok(content) if id_of(&content) == id => return Ok(Seen::new(content, entry, when)),
                Ok(_) => packet,
                Err(_) if !matches!(*packet, Packet::Publish(_)) && self.is_last_word(&packet) => {
                    return Err(missed_a::<K>(&wanted, &Next::Packet(packet)));
                }
                Err(_) => packet,
            };
            self.backlog.push_back(Next::Packet(other));
        }
    }

    /// After a DISCONNECT no answer comes any more.
    fn is_last_word(&self, packet: &Packet) -> bool {
        matches!(packet, Packet::Disconnect(_))
    }

    fn patience_from_now(&self) -> Duration {
        self.stage.now() + self.stage.patience()
    }

    /// "expected SUBACK within 2 s".
    fn wanted(&self, what: &str, at: Duration) -> String {
        // Rounded up: the clock of a live world moves on between the question and this line.
        let left = at.saturating_sub(self.stage.now()).as_micros().div_ceil(1_000);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX));
        format!("expected {what} within {}", words::duration(left))
    }

    fn still_open(&self, since: Duration) -> String {
        let waited = words::duration(self.stage.now().saturating_sub(since));
        format!("expected the connection to end, but it is still open after {waited}")
    }
}

/// An acknowledgement must be one of success.
fn granted<A: std::ops::Deref<Target = Ack>>(ack: &Seen<A>, packet: fn(Ack) -> Packet) -> Result<(), Halt> {
    let content: &Ack = ack;
    if content.reason.is_failure() {
        let came = packet(content.clone());
        return Err(Halt::fail(format!("expected {} with success, but {came} came", came.kind())).at(ack));
    }
    Ok(())
}

/// "expected SUBACK within 2 s, but PUBLISH t/1 came". Bytes that are no packet break the rule of their form and leave any
/// other question open: `inconclusive`.
fn missed(wanted: &str, came: &Next) -> Halt {
    let verdict = if matches!(came, Next::Malformed(_)) { Verdict::Inconclusive } else { Verdict::Fail };
    Halt { verdict, entry: came.entry(), ..Halt::fail(format!("{wanted}, but {came}")) }
}

/// As `missed`, for a packet that is the only one of its kind that would do.
fn missed_a<K: Kind>(wanted: &str, came: &Next) -> Halt {
    Halt { missed: Some(K::NAME), ..missed(wanted, came) }
}
