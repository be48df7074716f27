//! Who was wrong of late, and how long the answer to the next wrong log-in waits for it.
//!
//! A wrong log-in is remembered for the address it came from and for the user it named. The more of them, the later the next
//! refusal is said. Who is right is never kept waiting, and being right forgets nothing: only time does. So nobody can lock
//! anybody out, and a password of one's own does not buy guesses at another.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use squall_codec::wire::Text;

/// The bounds of slowing down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// How late the first refusal is said; each one more doubles it.
    pub first_delay: Duration,
    /// The longest delay. Less than the connect timeout, so that the client hears why.
    pub longest_delay: Duration,
    /// One wrong log-in is forgotten in so much time.
    pub forgets_one_in: Duration,
    /// Addresses that are remembered, and users. Beyond: the one that was wrong longest ago is forgotten.
    pub remembered: usize,
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        ThrottleLimits {
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(4),
            forgets_one_in: Duration::from_secs(30),
            remembered: 10_000,
        }
    }
}

/// Wrong log-ins that count: more of them change nothing, and would take the longer to be forgotten.
const COUNTED: u32 = 16;

/// Who was wrong of late.
#[derive(Debug)]
pub struct Throttle {
    limits: ThrottleLimits,
    addresses: Table<IpAddr>,
    users: Table<Text>,
}

impl Throttle {
    /// Nobody was wrong yet.
    pub fn new(limits: ThrottleLimits) -> Self {
        Throttle { limits, addresses: Table::default(), users: Table::default() }
    }

    /// Somebody was wrong: how long they wait to hear it.
    pub fn failed(&mut self, now: Duration, address: Option<IpAddr>, user: Option<&Text>) -> Duration {
        let limits = self.limits;
        let of_address = address.map_or(0, |address| self.addresses.add(limits, now, network(address)));
        let of_user = user.map_or(0, |user| self.users.add(limits, now, user.clone()));
        match of_address.max(of_user) {
            0 => Duration::ZERO,
            count => limits.first_delay.saturating_mul(1 << (count - 1)).min(limits.longest_delay),
        }
    }

    /// Whether somebody there was wrong of late.
    pub fn is_suspect(&self, now: Duration, address: Option<IpAddr>) -> bool {
        address.is_some_and(|address| self.addresses.count(self.limits, now, &network(address)) > 0)
    }

    /// Addresses and users that are remembered.
    pub fn remembered(&self) -> (usize, usize) {
        (self.addresses.entries.len(), self.users.entries.len())
    }
}

/// Who has one address of IPv6 has a network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

/// Wrong log-ins by whom they are remembered for.
#[derive(Debug)]
struct Table<K> {
    entries: BTreeMap<K, Entry>,
    /// The same by age.
    ages: BTreeMap<u64, K>,
    next_age: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    count: u32,
    /// Up to when `count` has been forgotten.
    since: Duration,
    age: u64,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Table { entries: BTreeMap::new(), ages: BTreeMap::new(), next_age: 0 }
    }
}

impl Entry {
    /// What is left of it.
    fn at(self, limits: ThrottleLimits, now: Duration) -> Entry {
        let passed = now.saturating_sub(self.since);
        let step = limits.forgets_one_in.max(Duration::from_millis(1));
        let forgotten = u32::try_from(passed.as_millis() / step.as_millis()).unwrap_or(u32::MAX);
        match self.count.checked_sub(forgotten) {
            Some(count @ 1..) => Entry { count, since: self.since + step * forgotten, ..self },
            _ => Entry { count: 0, since: now, ..self },
        }
    }
}

impl<K: Ord + Clone> Table<K> {
    fn add(&mut self, limits: ThrottleLimits, now: Duration, key: K) -> u32 {
        let age = self.next_age;
        self.next_age += 1;
        let entry = self.entries.entry(key.clone()).or_insert(Entry { count: 0, since: now, age });
        let left = entry.at(limits, now);
        let count = (left.count + 1).min(COUNTED);
        let old = std::mem::replace(entry, Entry { count, age, ..left });
        self.ages.remove(&old.age);
        self.ages.insert(age, key);
        while self.entries.len() > limits.remembered.max(1) {
            let Some((_, oldest)) = self.ages.pop_first() else { break };
            self.entries.remove(&oldest);
        }
        count
    }

    fn count(&self, limits: ThrottleLimits, now: Duration, key: &K) -> u32 {
        self.entries.get(key).map_or(0, |entry| entry.at(limits, now).count)
    }
}
