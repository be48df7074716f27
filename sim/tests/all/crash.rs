//! Crashes at random moments, also in the middle of commits: a publisher, two subscribers and a client with a will play
//! against the real store on a simulated disk, and what comes out is compared with what they were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use squall_broker::core::config::Config;
use squall_codec::{
    packet::{Ack, Connect, Packet, Publish, Will},
    property::{Properties, Property},
    qos::Qos,
    topic::TopicName,
    version::Version,
    wire::{PacketId, Text},
};
use squall_scenarios::{
    outage::{DiskState, Outage, Stop},
    peer::{Next, Peer},
    stage::{Stage, World},
};
use squall_sim::{
    disk::SimulatedDisk,
    events::{EventsOptions, run},
    seed::derive,
    subject::{Medium, Subject},
};

const SEEDS: u64 = 300;
const OUTAGES: u64 = 4;
const MILLISECOND: Duration = Duration::from_millis(1);

/// Draws of one seed.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.thrown += 1;
        derive(self.seed, "crash", self.thrown) % sides
    }
}

/// A message as its publisher knows it.
struct Sent {
    qos: Qos,
    topic: &'static str,
    acknowledged: bool,
    /// How many messages there were when it was sent last: a repeat may overtake what came after it.
    repeated_at: usize,
}

/// A client with a session of its own.
struct Party {
    name: &'static str,
    peer: Option<Peer>,
    /// It was told that its session is kept.
    known: bool,
    will: Option<String>,
}

impl Party {
    fn new(name: &'static str) -> Self {
        Party { name, peer: None, known: false, will: None }
    }

    /// Comes back to its session, which must be there if it was told so. A broker whose disk is full may refuse.
    async fn come(&mut self, stage: &Stage) -> Result<(), String> {
        if self.peer.as_ref().is_some_and(Peer::is_open) {
            return Ok(());
        }
        let will = self.will.as_ref().map(|payload| Will {
            qos: Qos::ExactlyOnce,
            retain: false,
            topic: topic(stage, "w"),
            payload: Bytes::from(payload.clone()),
            properties: Properties::new(),
        });
        let mut connect = Connect::new(Version::V5_0, stage.client_id(self.name));
        connect.clean_start = false;
        connect.push_property(Property::SessionExpiryInterval(u32::MAX));
        connect.set_will(will);
        match Peer::connect(stage, self.name, connect).await {
            Ok((peer, connack)) => {
                if self.known && !connack.session_present {
                    return Err(format!("the session of {} is gone", self.name));
                }
                self.known = true;
                self.peer = Some(peer);
            }
            Err(_) => self.peer = None,
        }
        Ok(())
    }

    /// What has arrived by now.
    async fn arrived(&mut self, stage: &Stage) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(peer) = &mut self.peer {
            match peer.next_by(stage.now()).await {
                Next::Packet(seen) => packets.push(seen.into_inner()),
                Next::Nothing => break,
                Next::End(_) | Next::Malformed(_) => self.peer = None,
            }
        }
        packets
    }

    async fn say(&mut self, packet: Packet) {
        if let Some(peer) = &mut self.peer {
            peer.send(packet).await;
        }
    }
}

fn topic(stage: &Stage, name: &str) -> TopicName {
    TopicName::new(Text::new(stage.topic(name)).expect("plain letters")).expect("no wildcard")
}

/// The publisher's side of its exchanges.
#[derive(Default)]
struct Publisher {
    sent: Vec<Sent>,
    /// By packet identifier: which message, and whether PUBREC has come.
    open: BTreeMap<PacketId, (usize, bool)>,
    next_id: u16,
}

impl Publisher {
    fn packet(&self, stage: &Stage, packet_id: PacketId, dup: bool) -> Packet {
        let (index, released) = self.open[&packet_id];
        if released {
            return Packet::Pubrel(Ack::new(packet_id));
        }
        let sent = &self.sent[index];
        let mut publish =
            Publish::new(&topic(stage, sent.topic), index.to_string().as_bytes()).at(sent.qos, Some(packet_id));
        publish.dup = dup;
        publish.retain = sent.topic == "r";
        Packet::Publish(publish)
    }

    async fn publish(&mut self, stage: &Stage, alice: &mut Party, dice: &mut Dice) {
        if alice.peer.is_none() || self.open.len() > 15 {
            return;
        }
        let qos = if dice.below(2) == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
        let topic = if dice.below(4) == 0 { "r" } else { "t" };
        self.sent.push(Sent { qos, topic, acknowledged: false, repeated_at: self.sent.len() });
        self.next_id += 1;
        let id = PacketId::new(self.next_id).expect("counted from 1");
        self.open.insert(id, (self.sent.len() - 1, false));
        alice.say(self.packet(stage, id, false)).await;
    }

    async fn resend(&mut self, stage: &Stage, alice: &mut Party) {
        for id in self.open.keys().copied().collect::<Vec<_>>() {
            let (index, count) = (self.open[&id].0, self.sent.len());
            self.sent[index].repeated_at = count;
            alice.say(self.packet(stage, id, true)).await;
        }
    }

    async fn hear(&mut self, stage: &Stage, alice: &mut Party) {
        for packet in alice.arrived(stage).await {
            match packet {
                Packet::Puback(ack) | Packet::Pubrec(ack) if ack.reason.is_failure() => {
                    self.open.remove(&ack.packet_id);
                }
                Packet::Puback(ack) => {
                    if let Some((index, _)) = self.open.remove(&ack.packet_id) {
                        self.sent[index].acknowledged = true;
                    }
                }
                Packet::Pubrec(ack) => {
                    if let Some((index, released)) = self.open.get_mut(&ack.packet_id) {
                        *released = true;
                        self.sent[*index].acknowledged = true;
                        alice.say(Packet::Pubrel(Ack::new(ack.packet_id))).await;
                    }
                }
                Packet::Pubcomp(ack) => {
                    self.open.remove(&ack.packet_id);
                }
                _ => {}
            }
        }
    }
}

/// What a subscriber has got: how often each message, counted as its QoS counts.
#[derive(Default)]
struct Got {
    times: BTreeMap<String, u32>,
    /// QoS 2 identifiers that wait for PUBREL.
    held: BTreeSet<PacketId>,
}

impl Got {
    async fn hear(&mut self, stage: &Stage, party: &mut Party, dice: &mut Dice) {
        for packet in party.arrived(stage).await {
            match packet {
                Packet::Publish(publish) => {
                    let payload = String::from_utf8_lossy(publish.payload()).into_owned();
                    let Some(id) = publish.packet_id else { continue };
                    let fresh = publish.qos == Qos::AtLeastOnce || self.held.insert(id);
                    if fresh {
                        *self.times.entry(payload).or_default() += 1;
                    }
                    // An answer that is never given has the message sent again on the next connection.
                    if dice.below(8) > 0 {
                        let ack = Ack::new(id);
                        let answer =
                            if publish.qos == Qos::AtLeastOnce { Packet::Puback(ack) } else { Packet::Pubrec(ack) };
                        party.say(answer).await;
                    }
                }
                Packet::Pubrel(ack) => {
                    self.held.remove(&ack.packet_id);
                    party.say(Packet::Pubcomp(Ack::new(ack.packet_id))).await;
                }
                _ => {}
            }
        }
    }
}

/// One story: the first thing that contradicts what somebody was told.
async fn play(world: Rc<dyn World>, disk: SimulatedDisk, seed: u64) -> Result<usize, String> {
    let stage = Stage::new(world, Version::V5_0, "crash", Duration::from_secs(2));
    let mut dice = Dice { seed, thrown: 0 };
    let [mut alice, mut bob, mut dave, mut eve] = ["alice", "bob", "dave", "eve"].map(Party::new);
    let (mut publisher, mut bobs, mut daves) = (Publisher::default(), Got::default(), Got::default());
    for (party, qos) in [(&mut bob, Qos::AtLeastOnce), (&mut dave, Qos::ExactlyOnce)] {
        party.come(&stage).await?;
        let peer = party.peer.as_mut().ok_or("no connection at the start")?;
        for filter in ["t", "r", "w"] {
            peer.subscribed(&stage.topic(filter), qos).await.map_err(|halt| halt.reason)?;
        }
    }
    let mut wills = Vec::new();
    for outage in 0..=OUTAGES {
        alice.come(&stage).await?;
        publisher.resend(&stage, &mut alice).await;
        if outage < OUTAGES {
            eve.peer = None;
            eve.will = Some(format!("will {outage}"));
            eve.come(&stage).await?;
            if eve.peer.is_some() {
                wills.push(format!("will {outage}"));
            }
        }
        let steps = 10 + dice.below(40);
        let full = dice.below(3) == 0;
        for step in 0..steps {
            match dice.below(8) {
                0..=3 => publisher.publish(&stage, &mut alice, &mut dice).await,
                4 => bob.come(&stage).await?,
                5 => dave.come(&stage).await?,
                6 if full && step == steps / 2 => disk.fill_after(dice.below(20)),
                _ => stage.pass(MILLISECOND * u32::try_from(dice.below(6)).unwrap_or(0)).await,
            }
            publisher.hear(&stage, &mut alice).await;
            bobs.hear(&stage, &mut bob, &mut dice).await;
            daves.hear(&stage, &mut dave, &mut dice).await;
        }
        if outage == OUTAGES {
            break;
        }
        let how = [Stop::Crash, Stop::PowerLoss, Stop::PowerLoss, Stop::Restart][dice.below(4) as usize];
        // A store needs room to start. What could not be kept before was not tried again yet, and goes with the broker.
        disk.set_state(DiskState::Well);
        stage.world().outage(Outage { how, down: MILLISECOND * 10 }).await?;
        for party in [&mut alice, &mut bob, &mut dave, &mut eve] {
            party.peer = None;
        }
    }
    // All is well again: everything that was begun comes to its end.
    disk.set_state(DiskState::Well);
    for _ in 0..40 {
        for party in [&mut alice, &mut bob, &mut dave] {
            party.come(&stage).await?;
        }
        if publisher.open.is_empty() && daves.held.is_empty() {
            stage.pass(MILLISECOND * 50).await;
        }
        stage.pass(Duration::from_millis(20)).await;
        publisher.hear(&stage, &mut alice).await;
        bobs.hear(&stage, &mut bob, &mut dice).await;
        daves.hear(&stage, &mut dave, &mut dice).await;
        // What they left unanswered is sent again only on a new connection.
        bob.peer = None;
        dave.peer = None;
    }
    verify(&publisher, &bobs, &daves, &wills)?;
    retained(&stage, &publisher).await?;
    Ok(publisher.sent.iter().filter(|sent| sent.acknowledged).count())
}

fn verify(publisher: &Publisher, bobs: &Got, daves: &Got, wills: &[String]) -> Result<(), String> {
    for (index, sent) in publisher.sent.iter().enumerate() {
        let times = |got: &Got| got.times.get(&index.to_string()).copied().unwrap_or(0);
        let (bob, dave) = (times(bobs), times(daves));
        if sent.acknowledged && (bob == 0 || dave == 0) {
            return Err(format!("message {index} was acknowledged and lost (bob {bob}, dave {dave})"));
        }
        if sent.qos == Qos::ExactlyOnce && dave > 1 {
            return Err(format!("message {index} was published with QoS 2 and came {dave} times"));
        }
    }
    let told = |payload: &&String| {
        payload.starts_with("will ") || payload.parse().is_ok_and(|index: usize| index < publisher.sent.len())
    };
    if let Some(invented) = bobs.times.keys().chain(daves.times.keys()).find(|payload| !told(payload)) {
        return Err(format!("nobody ever said '{invented}'"));
    }
    for will in wills {
        match daves.times.get(will) {
            Some(1) => {}
            times => return Err(format!("'{will}' came {} times", times.copied().unwrap_or(0))),
        }
    }
    Ok(())
}

/// The retained message is the last one that was acknowledged, or one that was sent after it.
async fn retained(stage: &Stage, publisher: &Publisher) -> Result<(), String> {
    let on_r = |sent: &Sent| sent.topic == "r" && sent.acknowledged;
    let Some(last) = publisher.sent.iter().rposition(on_r) else { return Ok(()) };
    let mut late = Peer::connected(stage, "late").await.map_err(|halt| halt.reason)?;
    late.subscribed(&stage.topic("r"), Qos::AtMostOnce).await.map_err(|halt| halt.reason)?;
    let kept = late.drain_messages().await.map_err(|halt| halt.reason)?;
    let kept = kept.first().map(|publish| String::from_utf8_lossy(publish.payload()).into_owned());
    match kept.as_deref().map(str::parse::<usize>) {
        Some(Ok(index)) if publisher.sent[index].repeated_at >= last => Ok(()),
        other => Err(format!("message {last} was acknowledged to be retained, and {other:?} is")),
    }
}

/// Plays one seed: how many messages were acknowledged, or what went wrong.
fn story(seed: u64, disk: SimulatedDisk) -> Result<usize, String> {
    let mut subject = Subject::new(Config::default());
    subject.medium = Some(Medium::Disk(disk.clone()));
    subject.sync = Duration::from_millis(3);
    let options = EventsOptions { subject, ..EventsOptions::new(seed) };
    let run = run(options, move |world| Box::pin(play(world, disk, seed)));
    run.outcome.map_err(|error| error.to_string())?
}

#[test]
fn nothing_that_was_acknowledged_is_lost_and_nothing_comes_twice() {
    let mut acknowledged = 0;
    for seed in 0..SEEDS {
        let disk = SimulatedDisk::new(derive(seed, "disk", 0));
        acknowledged += story(seed, disk).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
    assert!(acknowledged > 20 * SEEDS as usize, "{acknowledged} messages in {SEEDS} stories are few");
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_found_out() {
    let caught = (0..30).filter(|seed| story(*seed, SimulatedDisk::lying(*seed)).is_err()).count();
    assert!(caught > 10, "{caught} of 30 stories noticed");
}
