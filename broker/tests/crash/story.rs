//! One folder of data, the clients that rely on it, and one kill after the other.

use std::collections::BTreeSet;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use squall_codec::{qos::Qos, reason::ReasonCode, wire::PacketId};

use crate::{
    actor::{Actor, message},
    broker::Broker,
};

/// Seconds that sessions are kept: longer than any story.
const KEPT: u32 = 100_000;
/// Messages that a publisher has open at most.
const WINDOW: usize = 20;

pub(crate) struct Story {
    random: ChaCha8Rng,
    durability: String,
    folder: tempfile::TempDir,
    /// Subscribes with QoS 1.
    once: Actor,
    /// Subscribes with QoS 2.
    exactly: Actor,
    /// Publishes with QoS 1 in a session that ends with each connection.
    hasty: Actor,
    /// Publishes with QoS 2 in a session that is kept.
    careful: Actor,
    /// Subscribed, as far as they were told.
    subscribed: bool,
    /// What the subscription that comes and goes may be: as told, or as asked since.
    toggle: BTreeSet<bool>,
    asked: Option<(PacketId, bool)>,
    /// What the retained message may be: as told, or as asked since.
    retained: Vec<String>,
    /// Wills whose connections were accepted and died with the broker.
    wills: Vec<String>,
    count: u64,
    broken: Vec<String>,
}

impl Story {
    pub(crate) fn new(seed: u64, durability: &str) -> Story {
        Story {
            random: ChaCha8Rng::seed_from_u64(seed),
            durability: durability.to_owned(),
            folder: tempfile::tempdir().expect("a folder"),
            once: Actor::new("once", KEPT),
            exactly: Actor::new("exactly", KEPT),
            hasty: Actor::new("hasty", 0),
            careful: Actor::new("careful", KEPT),
            subscribed: false,
            toggle: BTreeSet::from([false]),
            asked: None,
            retained: vec![],
            wills: Vec::new(),
            count: 0,
            broken: Vec::new(),
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    fn payload(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind} {:06}", self.count)
    }

    /// Everyone connects, and what can be seen at once is as it was told.
    fn begin(&mut self) -> Broker {
        let broker = Broker::start(self.folder.path(), &self.durability);
        for actor in [&mut self.once, &mut self.exactly, &mut self.hasty, &mut self.careful] {
            actor.connect(&broker, None);
        }
        if !self.subscribed {
            for (actor, qos) in [(&mut self.once, Qos::AtLeastOnce), (&mut self.exactly, Qos::ExactlyOnce)] {
                let asked = actor.subscribe("t/#", qos);
                actor.until(|actor| actor.answers.contains_key(&asked));
            }
            self.subscribed = true;
        }
        self.check_toggle();
        self.check_retained(&broker);
        broker
    }

    /// Whether anybody subscribes to a topic is said in its PUBACK.
    fn check_toggle(&mut self) {
        let probe = self.payload("probe");
        self.hasty.publish(message("u/x", &probe, Qos::AtLeastOnce));
        self.hasty.until(|actor| actor.reasons.contains_key(&probe));
        let is_there = self.hasty.reasons.get(&probe) != Some(&ReasonCode::NoMatchingSubscribers);
        if !self.toggle.contains(&is_there) {
            self.broken.push(format!("a subscription is there: {is_there}, told otherwise"));
        }
        self.toggle = BTreeSet::from([is_there]);
        self.asked = None;
    }

    fn check_retained(&mut self, broker: &Broker) {
        let mut reader = Actor::new("reader", 0);
        reader.connect(broker, None);
        let asked = reader.subscribe("r/x", Qos::AtMostOnce);
        reader.until(|actor| actor.answers.contains_key(&asked));
        // What the subscription brings stands before the answer to a second one.
        let asked = reader.subscribe("r/y", Qos::AtMostOnce);
        reader.until(|actor| actor.answers.contains_key(&asked));
        match (reader.retained.as_slice(), self.retained.is_empty()) {
            ([], true) => {}
            ([one], _) if self.retained.contains(one) => self.retained = vec![one.clone()],
            // The first may not have been accepted.
            ([], false) if !self.retained.iter().any(|one| self.hasty.accepted.contains(one)) => {}
            (other, _) => self.broken.push(format!("retained is {other:?}, may be {:?}", self.retained)),
        }
    }

    /// One life of the broker.
    pub(crate) fn play_until_killed(&mut self) {
        let broker = self.begin();
        let mut mortals = Vec::new();
        for _ in 0..self.draw(150) {
            match self.draw(12) {
                0..=2 if self.hasty.unfinished() < WINDOW => {
                    let payload = self.payload("hasty");
                    self.hasty.publish(message("t/a", &payload, Qos::AtLeastOnce));
                }
                3..=5 if self.careful.unfinished() < WINDOW => {
                    let payload = self.payload("careful");
                    self.careful.publish(message("t/b", &payload, Qos::ExactlyOnce));
                }
                6 => self.hasty.listen(),
                7 => self.careful.listen(),
                8 => self.once.listen(),
                9 => self.exactly.listen(),
                10 => self.change(),
                _ if mortals.len() < 3 => {
                    let payload = self.payload("will");
                    let expiry_seconds = if self.draw(2) == 0 { 0 } else { KEPT };
                    let mut mortal = Actor::new(payload.clone(), expiry_seconds);
                    mortal.connect(&broker, Some(message("t/w", &payload, Qos::ExactlyOnce)));
                    self.wills.push(payload);
                    mortals.push(mortal);
                }
                _ => {}
            }
        }
        broker.kill();
        for actor in self.actors() {
            actor.hear_the_last();
        }
        self.settle_retained();
        self.settle_toggle();
    }

    /// The subscription that comes and goes, or the retained message.
    fn change(&mut self) {
        if self.draw(2) == 0 {
            let payload = self.payload("kept");
            let mut publish = message("r/x", &payload, Qos::AtLeastOnce);
            publish.retain = true;
            self.retained.push(payload);
            self.hasty.publish(publish);
            return;
        }
        self.settle_toggle();
        if self.asked.is_none() {
            let on = !self.toggle.contains(&true);
            let packet_id = if on { self.once.subscribe("u/x", Qos::AtMostOnce) } else { self.once.unsubscribe("u/x") };
            self.asked = Some((packet_id, on));
            self.toggle.insert(on);
        }
    }

    fn settle_toggle(&mut self) {
        if let Some((packet_id, on)) = self.asked
            && self.once.answers.remove(&packet_id).is_some()
        {
            self.toggle = BTreeSet::from([on]);
            self.asked = None;
        }
    }

    /// Nothing from before the last one that was acknowledged can be there.
    fn settle_retained(&mut self) {
        let last = self.retained.iter().rposition(|payload| self.hasty.accepted.contains(payload));
        self.retained.drain(..last.unwrap_or(0));
    }

    /// Everything comes to rest; then every promise is looked at. Those that were broken.
    pub(crate) fn end(mut self) -> Vec<String> {
        let broker = self.begin();
        let broken_already = self.actors().iter().any(|actor| !actor.broken.is_empty());
        if broken_already {
            // What waits for a session that is lost would wait for ever.
            return self.all_broken();
        }
        self.careful.until(|actor| actor.unfinished() == 0);
        let (end, fence) = (self.payload("end"), self.payload("fence"));
        for actor in [&mut self.once, &mut self.exactly] {
            let asked = actor.subscribe("fence", Qos::AtLeastOnce);
            actor.until(|actor| actor.answers.contains_key(&asked));
        }
        self.hasty.publish(message("t/end", &end, Qos::AtLeastOnce));
        self.hasty.publish(message("fence", &fence, Qos::AtLeastOnce));
        self.hasty.until(|actor| actor.unfinished() == 0);
        let mut broken = Vec::new();
        for actor in [&mut self.once, &mut self.exactly] {
            // By a subscription of this life of the broker: what does not come before this comes never.
            actor.until(|actor| actor.delivered.contains_key(&fence));
            if !actor.delivered.contains_key(&end) {
                broken.push(format!("{end} was accepted and is lost"));
            }
        }
        broker.kill();
        let promised = |payload: &&String| payload.starts_with("hasty") || payload.starts_with("careful");
        let accepted = self.hasty.accepted.union(&self.careful.accepted).filter(promised);
        for payload in accepted.chain(&self.wills) {
            for actor in [&self.once, &self.exactly] {
                if !actor.delivered.contains_key(payload) {
                    broken.push(format!("{payload} was accepted and is lost"));
                }
            }
        }
        for (payload, (count, qos)) in &self.exactly.delivered {
            if *qos == Qos::ExactlyOnce && *count > 1 {
                broken.push(format!("{payload} came {count} times with QoS 2"));
            }
        }
        for actor in [&self.once, &self.exactly] {
            for kind in ["hasty", "careful"] {
                let order: Vec<&String> = actor.order.iter().filter(|payload| payload.starts_with(kind)).collect();
                if !order.is_sorted() {
                    broken.push(format!("messages of {kind} came out of order"));
                }
            }
        }
        broken.extend(self.all_broken());
        broken
    }

    fn actors(&mut self) -> [&mut Actor; 4] {
        [&mut self.once, &mut self.exactly, &mut self.hasty, &mut self.careful]
    }

    /// What was noticed on the way.
    fn all_broken(&mut self) -> Vec<String> {
        let mut broken = std::mem::take(&mut self.broken);
        for actor in self.actors() {
            broken.append(&mut actor.broken);
        }
        broken
    }
}
