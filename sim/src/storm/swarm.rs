//! What a seed is about: which features and which faults, with which limits. A storm of everything hides what a storm of little
//! shows.

use std::{fmt, time::Duration};

use squall_codec::{qos::Qos, version::Version};
use squall_scenarios::settings::{QueuePolicy, Settings, Storage};

use crate::seed::derive;

/// One stream of draws, pinned and portable: the n-th is a named hash of seed, name and n.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    /// The stream with this name and number.
    pub fn new(seed: u64, stream: &str, number: u64) -> Self {
        Draws { seed: derive(seed, stream, number), drawn: 0 }
    }

    fn next(&mut self) -> u64 {
        self.drawn += 1;
        xxhash_rust::xxh3::xxh3_64_with_seed(&self.drawn.to_le_bytes(), self.seed)
    }

    /// From 0 to below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// From `low` to `high`, both possible.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// In `percent` of all cases.
    pub fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Whole milliseconds, both ends possible.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.below((high - low + 1) as usize) as u64)
    }
}

macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $kind:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$about])* $kind,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$kind),*];

            /// In words.
            pub const fn name(self) -> &'static str {
                match self { $($name::$kind => $word,)* }
            }
        }
    };
}

kinds! {
    /// What clients do beside publishing and subscribing.
    Feature {
        /// Messages of QoS 0.
        Qos0 = "QoS 0",
        /// Messages of QoS 1.
        Qos1 = "QoS 1",
        /// Messages of QoS 2.
        Qos2 = "QoS 2",
        /// RETAIN.
        Retain = "retained messages",
        /// Wills.
        Will = "wills",
        /// Wills that wait.
        WillDelay = "will delay",
        /// Sessions that outlive their connection.
        Session = "sessions that are kept",
        /// Sessions that expire while the storm lasts.
        SessionExpiry = "sessions that expire",
        /// Message Expiry Interval.
        MessageExpiry = "message expiry",
        /// Wildcards in filters.
        Wildcard = "wildcards",
        /// Several filters for one message.
        Overlap = "overlapping filters",
        /// Shared Subscriptions.
        Shared = "shared subscriptions",
        /// No Local, Retain As Published, Retain Handling.
        Options = "subscription options",
        /// Subscription Identifiers.
        Identifier = "subscription identifiers",
        /// Topic Aliases of the server.
        Alias = "topic aliases",
        /// UNSUBSCRIBE.
        Unsubscribe = "unsubscribing",
        /// DISCONNECT, and coming back.
        Disconnect = "leaving and coming back",
        /// Two clients of one name.
        TakeOver = "take-overs",
        /// Many messages at once.
        Bursts = "bursts",
        /// Messages of some kilobytes.
        Large = "large messages",
        /// A small Receive Maximum.
        Window = "narrow windows",
        /// A small Maximum Packet Size.
        SmallPackets = "small packets",
        /// Few packet identifiers, or those before the wrap.
        FewIdentifiers = "few packet identifiers",
        /// What 5.0 lets a publisher say beside the payload.
        Properties = "message properties",
        /// A topic with a level in which nothing stands.
        EmptyLevels = "empty topic levels",
        /// Topics that no filter with a leading wildcard matches.
        Dollar = "topics that begin with $",
        /// Topics that differ by a capital letter or an empty first level.
        Alike = "topics that look alike",
        /// Applications that acknowledge when they have done their work.
        LateAnswers = "late acknowledgements",
        /// Applications that will not have each message.
        Refusals = "messages that are refused",
        /// SUBSCRIBE and UNSUBSCRIBE with more than one filter.
        SeveralFilters = "several filters in one packet",
        /// All share one subscription, are slow, and stay: what one of them leaves behind has to come to somebody.
        Team = "a share of clients that stay",
        /// Clients without a Client Identifier.
        Unnamed = "clients without a name",
        /// What is no packet, or none of a client's.
        Violations = "packets that break the rules",
        /// Who never becomes a client.
        Strangers = "connections that never become a client's",
    }
}

kinds! {
    /// What goes wrong.
    FaultFamily {
        /// RST.
        Reset = "resets",
        /// FIN without DISCONNECT.
        Close = "closes",
        /// A client that is gone without a sign.
        HalfOpen = "half-open links",
        /// Nothing passes, one way or both.
        Partition = "partitions",
        /// Short outages.
        Hold = "holds",
        /// A client that does not read.
        Stall = "stalled readers",
        /// The end comes at a moment of the protocol.
        Cut = "cuts at packets",
        /// Latency that changes.
        Latency = "latency",
        /// Lost segments.
        Drop = "loss",
        /// Segments of a few bytes.
        Split = "small segments",
        /// The broker's process is killed.
        Crash = "crashes",
        /// The broker's machine loses its power.
        PowerLoss = "power failures",
        /// The broker is asked to end.
        Restart = "restarts",
        /// The disk under the broker's store is full or broken for a while.
        Disk = "failing disks",
    }
}

/// Drawn from a stream of their own, which changes nothing of what else a seed draws. A disk that fails is such a one too.
const LATE_COMERS: [Feature; 11] = [
    Feature::Properties,
    Feature::EmptyLevels,
    Feature::Dollar,
    Feature::Alike,
    Feature::LateAnswers,
    Feature::Refusals,
    Feature::SeveralFilters,
    Feature::Team,
    Feature::Unnamed,
    Feature::Violations,
    Feature::Strangers,
];

/// Packet identifiers from one to the other: so few that each comes again at once, and the last ones that there are.
pub(super) const FEW_IDENTIFIERS: [(u16, u16); 4] = [(1, 3), (1, 10), (65_530, 65_535), (65_500, 65_535)];

/// What a seed draws.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// How many clients.
    pub clients: usize,
    /// What they speak: one, or any.
    pub versions: Vec<Version>,
    /// What they do.
    pub features: Vec<Feature>,
    /// What goes wrong.
    pub faults: Vec<FaultFamily>,
    /// How many faults.
    pub fault_count: usize,
    /// How often the disk under the broker's store fails.
    pub disk_fails: usize,
    /// How many messages each client publishes.
    pub messages: usize,
    /// How the broker is set up.
    pub broker: Settings,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Swarm {
    /// The swarm of a seed.
    pub fn of(seed: u64) -> Self {
        let mut draws = Draws::new(seed, "swarm", 0);
        let mut versions = match draws.below(4) {
            0 => vec![Version::V3_1_1],
            1 => vec![Version::V3_1_1, Version::V5_0],
            _ => vec![Version::V5_0],
        };
        if Draws::new(seed, "3.1", 0).happens(8) {
            versions.insert(0, Version::V3_1);
        }
        // Each feature is in about two of three storms, so that a rare one is not drowned by the others.
        let known = Feature::ALL.iter().copied().filter(|feature| !LATE_COMERS.contains(feature));
        let mut features: Vec<Feature> = known.filter(|_| draws.happens(62)).collect();
        if !features.iter().any(|feature| matches!(feature, Feature::Qos0 | Feature::Qos1 | Feature::Qos2)) {
            features.insert(0, draws.one_of(&[Feature::Qos1, Feature::Qos2]));
        }
        let known = FaultFamily::ALL.iter().copied().filter(|family| *family != FaultFamily::Disk);
        let mut faults: Vec<FaultFamily> = known.filter(|_| draws.happens(40)).collect();
        if faults.is_empty() {
            faults.push(FaultFamily::Cut);
        }
        let goes_down = faults
            .iter()
            .any(|fault| matches!(fault, FaultFamily::Crash | FaultFamily::PowerLoss | FaultFamily::Restart));
        // A store is worth its time only where the broker goes down.
        let mut broker = Settings::default();
        if goes_down {
            broker.store = Some(Storage::None);
            if draws.happens(75) {
                // The real store on its disk takes as long as twenty storms: now and then is often enough.
                let has_disk = Draws::new(seed, "store", 0).happens(3);
                broker.store = Some(if has_disk { Storage::Disk } else { Storage::Journal });
                // What waits for the store is only there to be seen where the store takes its time.
                if draws.happens(60) {
                    broker.sync = Some(if draws.happens(20) { draws.millis(20, 40) } else { draws.millis(1, 20) });
                }
            }
            if draws.happens(50) {
                faults.retain(|fault| {
                    !matches!(fault, FaultFamily::Crash | FaultFamily::PowerLoss | FaultFamily::Restart)
                });
                broker.store = None;
                broker.sync = None;
            }
        }
        if faults.is_empty() {
            faults.push(FaultFamily::Reset);
        }
        if draws.happens(20) {
            broker.in_flight = Some(draws.between(1, 4) as u16);
        }
        if draws.happens(10) {
            broker.receive_maximum = Some(draws.between(1, 5) as u16);
        }
        if draws.happens(8) {
            broker.maximum_qos = Some(draws.one_of(&[Qos::AtMostOnce, Qos::AtLeastOnce]));
        }
        if features.contains(&Feature::FewIdentifiers) && draws.happens(70) {
            let (first, last) = draws.one_of(&FEW_IDENTIFIERS);
            (broker.first_packet_id, broker.last_packet_id) = (Some(first), Some(last));
        }
        bounds(seed, &mut broker);
        switched_off(seed, &mut broker);
        little_room(seed, &mut broker);
        let comes = |feature: &&Feature| {
            // Where all are members of it, little else happens to subscriptions.
            let often = match feature {
                Feature::Team | Feature::Strangers => 15,
                Feature::Violations | Feature::Unnamed | Feature::Dollar | Feature::Alike => 25,
                _ => 50,
            };
            Draws::new(seed, feature.name(), 0).happens(often)
        };
        features.extend(LATE_COMERS.iter().filter(comes));
        if features.contains(&Feature::Strangers) {
            let mut draws = Draws::new(seed, "connect timeout", 0);
            broker.connect_timeout = draws.happens(80).then(|| draws.millis(500, 5_000));
        }
        Swarm {
            clients: draws.one_of(&[3, 4, 5, 5, 5, 5]),
            versions,
            features,
            faults,
            fault_count: draws.between(4, 14),
            messages: draws.between(48, 86),
            disk_fails: disk_failures(seed, &broker),
            broker,
            lasts: Duration::from_secs(12),
        }
    }

    /// Whether the broker does.
    pub fn goes_down(&self) -> bool {
        use FaultFamily::{Crash, PowerLoss, Restart};
        self.faults.iter().any(|fault| matches!(fault, Crash | PowerLoss | Restart))
    }

    /// Whether clients do it.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}

/// Bounds of the broker that clients come to now and then, from a stream of their own.
fn bounds(seed: u64, broker: &mut Settings) {
    let mut draws = Draws::new(seed, "bounds", 0);
    if draws.happens(8) {
        broker.server_keep_alive = Some(draws.between(1, 5) as u16);
    }
    if draws.happens(8) {
        broker.maximum_session_expiry = Some(draws.between(1, 5) as u32);
    }
    if draws.happens(6) {
        broker.retained_messages = Some(draws.between(1, 4));
    }
    if draws.happens(8) {
        broker.topic_alias_maximum = Some(draws.between(0, 2) as u16);
    }
    if draws.happens(8) {
        broker.queued_messages = Some(draws.between(1, 20));
        let policies = [QueuePolicy::DropNewest, QueuePolicy::DropOldest, QueuePolicy::Disconnect];
        broker.queue_policy = Some(draws.one_of(&policies));
    }
    if draws.happens(8) {
        broker.unflushed_soft = Some(draws.between(1, 16) * 1_024);
    }
}

/// What the broker does not have, from a stream of its own.
fn switched_off(seed: u64, broker: &mut Settings) {
    let mut draws = Draws::new(seed, "switched off", 0);
    if !draws.happens(10) {
        return;
    }
    let features = [
        &mut broker.retain_available,
        &mut broker.wildcard_subscription_available,
        &mut broker.subscription_identifiers_available,
        &mut broker.shared_subscription_available,
    ];
    let certain = draws.below(features.len());
    for (place, feature) in features.into_iter().enumerate() {
        if draws.happens(25) || place == certain {
            *feature = Some(false);
        }
    }
}

/// Bounds that keep clients out now and then, or what they ask for, from a stream of its own.
fn little_room(seed: u64, broker: &mut Settings) {
    let mut draws = Draws::new(seed, "little room", 0);
    if draws.happens(6) {
        broker.subscriptions_per_session = Some(draws.between(1, 6));
    }
    if draws.happens(4) {
        broker.sessions = Some(draws.between(2, 6));
    }
    if draws.happens(4) {
        broker.connections = Some(draws.between(2, 6));
    }
}

/// How often the disk fails of a broker that has one.
fn disk_failures(seed: u64, broker: &Settings) -> usize {
    let mut draws = Draws::new(seed, FaultFamily::Disk.name(), 0);
    let has_disk = !matches!(broker.store, None | Some(Storage::None));
    if has_disk && draws.happens(40) { draws.between(1, 3) } else { 0 }
}

impl fmt::Display for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: Vec<&str>| names.join(", ");
        let versions: Vec<String> = self.versions.iter().map(ToString::to_string).collect();
        writeln!(f, "{} clients, {}", self.clients, versions.join(" and "))?;
        writeln!(f, "with {}", list(self.features.iter().map(|feature| feature.name()).collect()))?;
        let disk = (self.disk_fails > 0).then_some(FaultFamily::Disk);
        write!(f, "against {}", list(self.faults.iter().copied().chain(disk).map(FaultFamily::name).collect()))
    }
}
