//! A plan as a server can take it that is only an address: what it does not offer is left out, and so is what only the broker of
//! a virtual world can be made to suffer. All that is left stands where it stood.

use std::collections::BTreeMap;

use squall_codec::{property::Properties, qos::Qos, version::Version};
use squall_scenarios::{
    outage::Stop,
    plan::{Act, Connecting, Doing, Message, Plan, Step, Wanted},
    settings::Settings,
};

/// What a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The versions that it speaks.
    pub versions: Vec<Version>,
    /// The highest QoS.
    pub maximum_qos: Qos,
    /// Retained messages.
    pub retained: bool,
    /// Filters with wildcards.
    pub wildcards: bool,
    /// Shared Subscriptions.
    pub shared: bool,
    /// Subscription Identifiers.
    pub identifiers: bool,
    /// How it can be taken down and comes back with what it has acknowledged.
    pub outages: Vec<Stop>,
    /// The disk under its store can fail.
    pub disks: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Offer {
            versions: vec![Version::V3_1_1, Version::V5_0, Version::V3_1],
            maximum_qos: Qos::ExactlyOnce,
            retained: true,
            wildcards: true,
            shared: true,
            identifiers: true,
            outages: Vec::new(),
            disks: false,
        }
    }
}

impl Offer {
    /// What a broker that is set up so has, as far as CONNACK of 5.0 could say it.
    pub fn of(broker: &Settings) -> Self {
        let has = |feature: Option<bool>| feature != Some(false);
        let all = Offer::default();
        Offer {
            maximum_qos: broker.maximum_qos.unwrap_or(all.maximum_qos),
            retained: has(broker.retain_available),
            wildcards: has(broker.wildcard_subscription_available),
            shared: has(broker.shared_subscription_available),
            identifiers: has(broker.subscription_identifiers_available),
            ..all
        }
    }
}

/// Nobody can set up a server that is only an address.
pub(crate) const SETTINGS: &str = "settings of the broker: it is as it is";

/// What is left of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// What is played.
    pub plan: Plan,
    /// What is not.
    pub left_out: Vec<LeftOut>,
}

/// Something that was left out of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// In words.
    pub what: &'static str,
    /// How often.
    pub count: u64,
}

/// Leaves out of a plan what this server cannot take.
pub fn fit(plan: &Plan, offer: &Offer) -> Fitted {
    let mut fitting = Fitting { offer, spoken: BTreeMap::new(), left_out: BTreeMap::new() };
    if plan.broker != Settings::default() {
        fitting.leave_out(SETTINGS);
    }
    let steps = plan.steps.iter().filter_map(|step| fitting.step(step)).collect();
    let left_out = fitting.left_out.into_iter().map(|(what, count)| LeftOut { what, count }).collect();
    Fitted { plan: Plan { steps, ..plan.clone() }, left_out }
}

struct Fitting<'a> {
    offer: &'a Offer,
    /// What each client speaks.
    spoken: BTreeMap<usize, Version>,
    left_out: BTreeMap<&'static str, u64>,
}

impl Fitting<'_> {
    fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }

    fn step(&mut self, step: &Step) -> Option<Step> {
        let mut step = step.clone();
        match &mut step.act {
            Act::Outage(outage) => {
                let Some(hardest) = self.offer.outages.iter().copied().filter(|how| *how <= outage.how).max() else {
                    self.leave_out("outages of the broker");
                    return None;
                };
                if hardest != outage.how {
                    outage.how = hardest;
                    self.leave_out(match hardest {
                        Stop::Restart => "kills and power failures of the broker: it restarts instead",
                        Stop::Crash | Stop::PowerLoss => "power failures of the broker: it is killed instead",
                    });
                }
            }
            Act::Disk(_) if self.offer.disks => {}
            Act::Disk(_) => {
                self.leave_out("faults of the broker's disk");
                return None;
            }
            Act::Link(..) => {}
            Act::Client(who, doing) => {
                if !self.doing(*who, doing) {
                    return None;
                }
            }
        }
        Some(step)
    }

    /// Whether it can be done, as it then is.
    fn doing(&mut self, who: usize, doing: &mut Doing) -> bool {
        match doing {
            Doing::Connect(connecting) => {
                if !self.offer.versions.contains(&connecting.version) {
                    let Some(other) = self.offer.versions.first() else { return false };
                    let asked = std::mem::replace(&mut connecting.version, *other);
                    self.leave_out(match (asked, *other) {
                        (_, Version::V5_0) => "versions below 5.0: 5.0 is spoken instead",
                        (Version::V5_0, _) => "5.0: an older version is spoken instead",
                        _ => "3.1 or 3.1.1: the other one is spoken instead",
                    });
                }
                self.spoken.insert(who, connecting.version);
                // A server may refuse them, and nobody who stands at an edge could tell them apart.
                if connecting.client_id.as_ref().is_some_and(String::is_empty) {
                    connecting.client_id = None;
                    self.leave_out("clients without a name: they have one");
                }
                if !connecting.version.has_properties() {
                    before_5_0(connecting);
                }
                // 3.1 has no longer ones, and before 5.0 a server may refuse them.
                if connecting.client_id.as_ref().is_some_and(|id| id.len() > 23) {
                    connecting.client_id = None;
                    self.leave_out("names of more than 23 letters: they have a shorter one");
                }
                if let Some((message, _)) = &mut connecting.will {
                    self.message(who, message);
                }
            }
            Doing::Publish(message) => self.message(who, message),
            Doing::Subscribe(subscribing) => {
                subscribing.wanted.retain_mut(|wanted| self.wanted(who, wanted));
                if subscribing.identifier.is_some() && !self.offer.identifiers {
                    subscribing.identifier = None;
                    self.leave_out("subscription identifiers");
                }
                return !subscribing.wanted.is_empty();
            }
            Doing::Unsubscribe(filters) => {
                filters.retain(|filter| {
                    let is_shared = filter.starts_with("$share/");
                    let is_known = !is_shared || (self.offer.shared && self.speaks_properties(who));
                    is_known && (self.offer.wildcards || !filter.contains(['+', '#']))
                });
                return !filters.is_empty();
            }
            Doing::Disconnect { .. } => {}
            Doing::Send(_) => {
                self.leave_out("packets that break the rules");
                return false;
            }
            Doing::Knock(_) => {
                self.leave_out("connections that never become a client's");
                return false;
            }
        }
        true
    }

    /// Whether it can be asked for, as it then is.
    fn wanted(&mut self, who: usize, wanted: &mut Wanted) -> bool {
        let is_shared = wanted.filter.starts_with("$share/");
        if is_shared && (!self.offer.shared || !self.speaks_properties(who)) {
            self.leave_out("shared subscriptions");
            return false;
        }
        if wanted.filter.contains(['+', '#']) && !self.offer.wildcards {
            self.leave_out("filters with wildcards");
            return false;
        }
        wanted.qos = wanted.qos.min(self.offer.maximum_qos);
        true
    }

    fn speaks_properties(&self, who: usize) -> bool {
        self.spoken.get(&who).is_some_and(|version| version.has_properties())
    }

    fn message(&mut self, who: usize, message: &mut Message) {
        if message.qos > self.offer.maximum_qos {
            message.qos = self.offer.maximum_qos;
            self.leave_out("messages above the server's highest QoS: they have that one");
        }
        if message.retain && !self.offer.retained {
            message.retain = false;
            self.leave_out("RETAIN");
        }
        if !self.speaks_properties(who) {
            if message.expiry.take().is_some() {
                self.leave_out("message expiry");
            }
            message.properties = Properties::new();
        }
    }
}

/// Without what a client of an older version cannot tell its server.
fn before_5_0(connecting: &mut Connecting) {
    connecting.session_expiry = None;
    connecting.receive_maximum = None;
    connecting.topic_alias_maximum = 0;
    connecting.maximum_packet_size = None;
    connecting.will.iter_mut().for_each(|(_, delay)| *delay = 0);
    connecting.answers.iter_mut().for_each(|answering| answering.refuses = None);
}
