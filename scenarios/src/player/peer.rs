//! A raw peer in a story: its connections, and the verbs that use them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use squall_codec::{
    packet::{Ack, Packet, PacketKind, Publish},
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};

use crate::{
    peer::{Next, Peer, Seen},
    player::{Window, compose, proving::Credentials, scene::Scene},
    script::{
        Closed, ConnectWords, DisconnectWords, Expect, Placed, PublishWords, ReauthenticateWords, Send, SubscribeWords,
        UnsubscribeWords, Verb,
    },
    stage::End,
    verdict::Halt,
    words,
};

/// The first packet identifier that the verbs take by themselves: the story's own are smaller.
const FIRST_OWN_ID: u16 = 1001;

/// A raw peer.
pub(super) struct PeerPart {
    name: String,
    peer: Option<Peer>,
    /// Connections that the story has left behind: they end when the play does, so that nothing is cut short.
    past: Vec<Peer>,
    /// Came while a verb waited for its own answer, and belongs to a later expectation.
    pending: VecDeque<Seen<Packet>>,
    /// The last PUBLISH above QoS 0 that was expected: what `acknowledge` answers.
    unanswered: Option<(Qos, PacketId)>,
    next_id: u16,
    credentials: Arc<Credentials>,
}

impl PeerPart {
    pub(super) fn new(name: &str) -> Self {
        PeerPart {
            name: name.to_owned(),
            peer: None,
            past: Vec::new(),
            pending: VecDeque::new(),
            unanswered: None,
            next_id: FIRST_OWN_ID,
            credentials: Credentials::new(name),
        }
    }

    pub(super) async fn act(&mut self, scene: &Scene<'_>, verb: &Verb) -> Result<(), Halt> {
        match verb {
            Verb::Open(_) => self.open(scene).await,
            Verb::Connect(words) => self.connect(scene, words).await,
            Verb::Send(packet) => self.send(scene, packet).await,
            Verb::Expect(expect) => self.expect(scene, expect).await,
            Verb::ExpectAll(all) => self.expect_all(scene, all).await,
            Verb::Subscribe(words) => self.subscribe(scene, words).await,
            Verb::Unsubscribe(words) => self.unsubscribe(scene, words).await,
            Verb::Publish(words) => self.publish(scene, words).await,
            Verb::Acknowledge(_) => self.acknowledge(scene).await,
            Verb::Reauthenticate(words) => self.reauthenticate(scene, words).await,
            Verb::Disconnect(words) => self.disconnect(scene, words).await,
            Verb::Close(how) => self.close((*how).into()).await,
            Verb::Closed(closed) => self.closed(scene, closed).await,
            Verb::Quiet(_) => self.quiet(scene).await,
            Verb::Message(_) | Verb::Event(_) | Verb::Knock(_) => {
                unreachable!("a script is checked: these are verbs of a client, or of a storm")
            }
        }
    }

    fn peer(&mut self) -> Result<&mut Peer, Halt> {
        let name = &self.name;
        self.peer.as_mut().ok_or_else(|| {
            Halt::inconclusive(format!("{name} has no connection at this point of the story: connect or open first"))
        })
    }

    fn own_id(&mut self) -> PacketId {
        let id = PacketId::new(self.next_id).expect("starts at 1001 and does not come to 65 536 in one story");
        self.next_id += 1;
        id
    }

    fn leave(&mut self) {
        self.past.extend(self.peer.take());
        self.pending.clear();
    }

    async fn open(&mut self, scene: &Scene<'_>) -> Result<(), Halt> {
        self.leave();
        self.peer = Some(Peer::open(scene.stage, &self.name).await?);
        Ok(())
    }

    async fn connect(&mut self, scene: &Scene<'_>, words: &ConnectWords) -> Result<(), Halt> {
        self.open(scene).await?;
        let wanted = words.reason.as_ref().map_or(ReasonCode::Success, |reason| reason.value.0);
        let within = words.within.as_ref().map_or(scene.stage.patience(), |within| within.value.0);
        let deadline = scene.stage.now() + within;
        self.credentials.set(words.scram.as_ref().map(|scram| &scram.value));
        let mut proving = self.credentials.proving();
        let mut connect = scene.connect(&self.name, words);
        for property in proving.iter_mut().flat_map(|proving| proving.first()) {
            connect.push_property(property);
        }
        let peer = self.peer()?;
        peer.send(Packet::Connect(connect)).await;
        let expected = format!("expected CONNACK {wanted}");
        let connack = loop {
            let seen = match peer.next_by(deadline).await {
                Next::Packet(seen) => seen,
                // Before 5.0 not every refusal has a return code, and a CONNACK may always be left out.
                Next::End(_) if wanted.is_failure() => {
                    self.leave();
                    return Ok(());
                }
                other => return Err(missed(scene, &expected, other, within)),
            };
            let but = |difference| Halt::fail(format!("{expected}, but {difference}")).at(&seen);
            match (&*seen, &mut proving) {
                (Packet::Auth(auth), Some(proving)) if auth.reason == ReasonCode::ContinueAuthentication => {
                    let answer = proving.answer(auth).map_err(but)?;
                    peer.send(answer).await;
                }
                (Packet::Connack(connack), proving) => {
                    scene.compare_connack_reason(wanted, connack).map_err(but)?;
                    let present = words.session_present.as_ref().map(|present| present.value);
                    if present.is_some_and(|present| present != connack.session_present) {
                        let seen_bit = u8::from(connack.session_present);
                        return Err(but(format!("its session_present is {seen_bit}: {}", scene.plain(&*seen))));
                    }
                    if let (Some(proving), false) = (proving, wanted.is_failure()) {
                        proving.finish(&connack.properties).map_err(but)?;
                    }
                    break seen;
                }
                (other, _) => return Err(but(format!("{} came", scene.plain(other)))),
            }
        };
        if wanted.is_failure() {
            match peer.next_by(deadline).await {
                Next::End(_) => self.leave(),
                Next::Nothing => {
                    return Err(
                        Halt::fail("expected the connection to end after the refusal, but it is open").at(&connack)
                    );
                }
                other => return Err(missed(scene, "expected the connection to end after the refusal", other, within)),
            }
        }
        Ok(())
    }

    async fn send(&mut self, scene: &Scene<'_>, packet: &Send) -> Result<(), Halt> {
        let packet = match packet {
            Send::Connect(words) => Packet::Connect(scene.connect(&self.name, words)),
            Send::Publish(words) => Packet::Publish(scene.publish(words, None)?),
            Send::Puback(words) => Packet::Puback(scene.ack(words)?),
            Send::Pubrec(words) => Packet::Pubrec(scene.ack(words)?),
            Send::Pubrel(words) => Packet::Pubrel(scene.ack(words)?),
            Send::Pubcomp(words) => Packet::Pubcomp(scene.ack(words)?),
            Send::Subscribe(words) => {
                let id = words.packet_id.as_ref().expect("a script is checked: a SUBSCRIBE has a packet_id");
                Packet::Subscribe(scene.subscribe(words, scene.id(&id.value)?))
            }
            Send::Unsubscribe(words) => {
                let id = words.packet_id.as_ref().expect("a script is checked: an UNSUBSCRIBE has a packet_id");
                Packet::Unsubscribe(scene.unsubscribe(words, scene.id(&id.value)?))
            }
            Send::Pingreq(_) => Packet::Pingreq,
            Send::Disconnect(words) => Packet::Disconnect(scene.disconnect(words)),
            Send::Auth(words) => Packet::Auth(compose::auth(words)),
            Send::Bytes(bytes) => {
                self.peer()?.send_bytes(&bytes.0).await;
                return Ok(());
            }
        };
        self.peer()?.send(packet).await;
        Ok(())
    }

    async fn next(&mut self, deadline: Duration) -> Result<Next, Halt> {
        match self.pending.pop_front() {
            Some(seen) => Ok(Next::Packet(seen)),
            None => Ok(self.peer()?.next_by(deadline).await),
        }
    }

    fn remember(&mut self, packet: &Packet) {
        if let Packet::Publish(Publish {
            qos: qos @ (Qos::AtLeastOnce | Qos::ExactlyOnce), packet_id: Some(id), ..
        }) = packet
        {
            self.unanswered = Some((*qos, *id));
        }
    }

    async fn expect(&mut self, scene: &Scene<'_>, expect: &Expect) -> Result<(), Halt> {
        let start = scene.stage.now();
        let window = scene.window(expect.timing());
        let wanted = format!("expected {}", scene.wanted(expect));
        match self.next(window.closes).await? {
            Next::Packet(seen) => {
                let late = |halt: Halt| halt.at(&seen);
                scene
                    .compare(expect, &seen)
                    .map_err(|difference| late(Halt::fail(format!("{wanted}, but {difference}"))))?;
                scene.in_time(window, seen.at(), &*seen).map_err(late)?;
                scene.bind_from(expect, &seen);
                self.remember(&seen);
                Ok(())
            }
            other => Err(missed(scene, &wanted, other, window.closes.saturating_sub(start))),
        }
    }

    async fn expect_all(&mut self, scene: &Scene<'_>, all: &[Placed<Expect>]) -> Result<(), Halt> {
        let deadline = scene.stage.now() + scene.stage.patience();
        let mut open: Vec<&Expect> = all.iter().map(|placed| &placed.value).collect();
        while !open.is_empty() {
            let names: Vec<String> = open.iter().map(|expect| scene.wanted(expect)).collect();
            let wanted = format!("expected {}", names.join(" and "));
            match self.next(deadline).await? {
                Next::Packet(seen) => {
                    let Some(position) = open.iter().position(|expect| scene.compare(expect, &seen).is_ok()) else {
                        let reason = match open[..] {
                            [last] => scene.compare(last, &seen).err().unwrap_or_default(),
                            _ => format!("{} came", scene.plain(&*seen)),
                        };
                        return Err(Halt::fail(format!("{wanted}, but {reason}")).at(&seen));
                    };
                    scene.bind_from(open.remove(position), &seen);
                    self.remember(&seen);
                }
                other => return Err(missed(scene, &wanted, other, scene.stage.patience())),
            }
        }
        Ok(())
    }

    /// The answer that a verb waits for; what comes before it waits for a later expectation.
    async fn answer(&mut self, scene: &Scene<'_>, kind: PacketKind, id: PacketId) -> Result<Seen<Packet>, Halt> {
        let deadline = scene.stage.now() + scene.stage.patience();
        loop {
            match self.peer()?.next_by(deadline).await {
                Next::Packet(seen) if seen.kind() == kind && identifier(&seen) == Some(id) => return Ok(seen),
                Next::Packet(seen) => self.pending.push_back(seen),
                other => return Err(missed(scene, &format!("expected {kind} {id}"), other, scene.stage.patience())),
            }
        }
    }

    async fn subscribe(&mut self, scene: &Scene<'_>, words: &SubscribeWords) -> Result<(), Halt> {
        let id = self.own_id();
        let packet = scene.subscribe(words, id);
        let asked = packet.subscriptions.iter().map(|subscription| subscription.options.qos).max().unwrap_or_default();
        let granted = words.granted.as_ref().map_or(granting(asked), |granted| granted.value.0);
        self.peer()?.send(Packet::Subscribe(packet)).await;
        let seen = self.answer(scene, PacketKind::Suback, id).await?;
        if let Packet::Suback(suback) = &*seen {
            scene.compare_reasons(Some(&[crate::script::Reason(granted)]), &suback.reasons).map_err(|difference| {
                Halt::fail(format!("expected SUBACK {granted}, but {difference}: {}", scene.plain(&*seen))).at(&seen)
            })?;
        }
        Ok(())
    }

    async fn unsubscribe(&mut self, scene: &Scene<'_>, words: &UnsubscribeWords) -> Result<(), Halt> {
        let id = self.own_id();
        let packet = scene.unsubscribe(words, id);
        self.peer()?.send(Packet::Unsubscribe(packet)).await;
        let seen = self.answer(scene, PacketKind::Unsuback, id).await?;
        match &*seen {
            Packet::Unsuback(unsuback) if unsuback.reasons.iter().any(|reason| reason.is_failure()) => {
                Err(Halt::fail(format!("expected success, but {} came", scene.plain(&*seen))).at(&seen))
            }
            _ => Ok(()),
        }
    }

    async fn publish(&mut self, scene: &Scene<'_>, words: &PublishWords) -> Result<(), Halt> {
        let qos = words.qos.map_or(Qos::AtMostOnce, |qos| qos.0);
        let id = (qos != Qos::AtMostOnce).then(|| self.own_id());
        let publish = scene.publish(words, id)?;
        self.peer()?.send(Packet::Publish(publish)).await;
        let Some(id) = id else { return Ok(()) };
        if qos == Qos::AtLeastOnce {
            return self.accepted(scene, PacketKind::Puback, id).await;
        }
        self.accepted(scene, PacketKind::Pubrec, id).await?;
        self.peer()?.send(Packet::Pubrel(Ack::new(id))).await;
        self.accepted(scene, PacketKind::Pubcomp, id).await
    }

    async fn accepted(&mut self, scene: &Scene<'_>, kind: PacketKind, id: PacketId) -> Result<(), Halt> {
        let seen = self.answer(scene, kind, id).await?;
        match &*seen {
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack) if ack.reason.is_failure() => {
                Err(Halt::fail(format!("expected success, but {} came", scene.plain(&*seen))).at(&seen))
            }
            _ => Ok(()),
        }
    }

    /// Finishes the exchange of the last message that was expected.
    async fn acknowledge(&mut self, scene: &Scene<'_>) -> Result<(), Halt> {
        let name = self.name.clone();
        let Some((qos, id)) = self.unanswered.take() else {
            return Err(Halt::inconclusive(format!(
                "{name} has expected no message above QoS 0 that waits for an answer"
            )));
        };
        if qos == Qos::AtLeastOnce {
            self.peer()?.send(Packet::Puback(Ack::new(id))).await;
            return Ok(());
        }
        self.peer()?.send(Packet::Pubrec(Ack::new(id))).await;
        self.answer(scene, PacketKind::Pubrel, id).await?;
        self.peer()?.send(Packet::Pubcomp(Ack::new(id))).await;
        Ok(())
    }

    /// What comes between belongs to later expectations: everything else goes on meanwhile.
    async fn reauthenticate(&mut self, scene: &Scene<'_>, words: &ReauthenticateWords) -> Result<(), Halt> {
        if let Some(scram) = &words.scram {
            self.credentials.set(Some(scram));
        }
        let Some(mut proving) = self.credentials.proving() else {
            return Err(Halt::inconclusive(format!(
                "{} has not connected with scram, and nothing is said here of whom to be",
                self.name
            )));
        };
        let wanted = words.reason.as_ref().map_or(ReasonCode::Success, |reason| reason.value.0);
        let expected = format!("expected the re-authentication to end with {wanted}");
        let deadline = scene.stage.now() + scene.stage.patience();
        let begin = proving.again();
        self.peer()?.send(begin).await;
        loop {
            let seen = match self.peer()?.next_by(deadline).await {
                Next::Packet(seen) => seen,
                other => return Err(missed(scene, &expected, other, scene.stage.patience())),
            };
            let but = |difference| Halt::fail(format!("{expected}, but {difference}")).at(&seen);
            match &*seen {
                Packet::Auth(auth) if auth.reason == ReasonCode::ContinueAuthentication => {
                    let answer = proving.answer(auth).map_err(but)?;
                    self.peer()?.send(answer).await;
                }
                Packet::Auth(auth) if auth.reason == wanted => return proving.finish(&auth.properties).map_err(but),
                Packet::Disconnect(disconnect) if disconnect.reason == wanted => {
                    return self.closed(scene, &Closed::default()).await;
                }
                other @ (Packet::Auth(_) | Packet::Disconnect(_)) => {
                    return Err(but(format!("{} came", scene.plain(other))));
                }
                _ => self.pending.push_back(seen),
            }
        }
    }

    async fn disconnect(&mut self, scene: &Scene<'_>, words: &DisconnectWords) -> Result<(), Halt> {
        let packet = Packet::Disconnect(scene.disconnect(words));
        let peer = self.peer()?;
        peer.send(packet).await;
        peer.close(End::Fin).await;
        self.leave();
        Ok(())
    }

    async fn close(&mut self, how: End) -> Result<(), Halt> {
        self.peer()?.close(how).await;
        self.leave();
        Ok(())
    }

    async fn closed(&mut self, scene: &Scene<'_>, closed: &Closed) -> Result<(), Halt> {
        let Window { opens, closes } = scene.window(closed.timing());
        let window = Window { opens, closes };
        let start = scene.stage.now();
        let wanted = "expected the connection to end";
        loop {
            match self.next(closes).await? {
                Next::End(seen) => {
                    scene.in_time(window, seen.at(), &"the end").map_err(|halt| halt.at(&seen))?;
                    self.leave();
                    return Ok(());
                }
                Next::Packet(seen) => match &*seen {
                    Packet::Disconnect(disconnect) => {
                        scene.in_time(window, seen.at(), &*seen).map_err(|halt| halt.at(&seen))?;
                        if let Some(reason) = closed.reason
                            && reason.0 != disconnect.reason
                        {
                            let reason = format!("{wanted} with {}, but {} came", reason.0, scene.plain(&*seen));
                            return Err(Halt::fail(reason).at(&seen));
                        }
                    }
                    other => return Err(Halt::fail(format!("{wanted}, but {} came", scene.plain(other))).at(&seen)),
                },
                Next::Nothing => {
                    let waited = words::duration(closes.saturating_sub(start));
                    return Err(Halt::fail(format!("{wanted}, but it is still open after {waited}")));
                }
                other @ Next::Malformed(_) => return Err(missed(scene, wanted, other, Duration::ZERO)),
            }
        }
    }

    /// Nothing has come, and nothing comes before the answer to a PINGREQ.
    async fn quiet(&mut self, scene: &Scene<'_>) -> Result<(), Halt> {
        let wanted = "expected nothing before PINGRESP";
        let came = |seen: &Seen<Packet>| Halt::fail(format!("{wanted}, but {} came", scene.plain(&**seen))).at(seen);
        if let Some(seen) = self.pending.pop_front() {
            return Err(came(&seen));
        }
        let deadline = scene.stage.now() + scene.stage.patience();
        let peer = self.peer()?;
        peer.send(Packet::Pingreq).await;
        match peer.next_by(deadline).await {
            Next::Packet(seen) if matches!(*seen, Packet::Pingresp) => Ok(()),
            Next::Packet(seen) => Err(came(&seen)),
            other => Err(missed(scene, wanted, other, scene.stage.patience())),
        }
    }
}

/// What came in place of the expected packet, when it was no packet at all.
fn missed(scene: &Scene<'_>, wanted: &str, next: Next, waited: Duration) -> Halt {
    match next {
        Next::Packet(seen) => Halt::fail(format!("{wanted}, but {} came", scene.plain(&*seen))).at(&seen),
        Next::Malformed(seen) => {
            Halt::fail(format!("{wanted}, but bytes came that are no packet: {}", &*seen)).at(&seen)
        }
        Next::End(seen) => Halt::fail(format!("{wanted}, but the connection ended with {}", seen.name())).at(&seen),
        Next::Nothing => Halt::fail(format!("{wanted} within {}, but nothing came", words::duration(waited))),
    }
}

fn identifier(packet: &Packet) -> Option<PacketId> {
    match packet {
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => Some(ack.packet_id),
        Packet::Suback(suback) => Some(suback.packet_id),
        Packet::Unsuback(unsuback) => Some(unsuback.packet_id),
        _ => None,
    }
}

const fn granting(qos: Qos) -> ReasonCode {
    match qos {
        Qos::AtMostOnce => ReasonCode::GRANTED_QOS_0,
        Qos::AtLeastOnce => ReasonCode::GrantedQos1,
        Qos::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}
