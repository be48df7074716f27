//! How fast one address may open connections: a bucket of tokens for each.

use std::{net::IpAddr, time::Duration};

use super::{
    hash::{HashKey, Map},
    limits::Limits,
};

/// The buckets. An address without one has it full.
#[derive(Debug)]
pub(super) struct Admission {
    buckets: Map<IpAddr, Bucket>,
    /// Of those that find no room for one of their own.
    others: Option<Bucket>,
    /// When full buckets were last looked for.
    purged: Duration,
}

/// A connection takes one token. Counted in millionths, so that nothing is lost to rounding.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    millionths: u64,
    at: Duration,
}

const TOKEN: u64 = 1_000_000;

/// How long a look for full buckets, which goes through all of them, is not repeated.
const PURGE_PAUSE: Duration = Duration::from_secs(1);

impl Bucket {
    fn full(limits: &Limits, at: Duration) -> Self {
        Bucket { millionths: capacity(limits), at }
    }

    /// With what has come in since.
    fn filled(self, limits: &Limits, now: Duration) -> Self {
        let micros = u64::try_from(now.saturating_sub(self.at).as_micros()).unwrap_or(u64::MAX);
        let more = micros.saturating_mul(limits.connections_per_second.into());
        Bucket { millionths: self.millionths.saturating_add(more).min(capacity(limits)), at: now }
    }

    fn take(&mut self) -> bool {
        let left = self.millionths.checked_sub(TOKEN);
        self.millionths = left.unwrap_or(self.millionths);
        left.is_some()
    }
}

fn capacity(limits: &Limits) -> u64 {
    u64::from(limits.connection_burst.max(1)) * TOKEN
}

/// What counts as one address: a /64 of IPv6 is one subscriber's.
fn account(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl Admission {
    pub(super) fn new(key: HashKey) -> Self {
        Admission { buckets: Map::with_hasher(key), others: None, purged: Duration::ZERO }
    }

    /// Whether one more connection from this address is within the bound.
    pub(super) fn admit(&mut self, address: IpAddr, limits: &Limits, now: Duration) -> bool {
        if limits.connections_per_second == 0 {
            return true;
        }
        let address = account(address);
        if !self.buckets.contains_key(&address) && self.buckets.len() >= limits.connection_addresses {
            self.purge(limits, now);
        }
        let full = Bucket::full(limits, now);
        let bucket = if self.buckets.contains_key(&address) || self.buckets.len() < limits.connection_addresses {
            self.buckets.entry(address).or_insert(full)
        } else {
            self.others.get_or_insert(full)
        };
        *bucket = bucket.filled(limits, now);
        bucket.take()
    }

    /// Forgets the buckets that are full again.
    fn purge(&mut self, limits: &Limits, now: Duration) {
        if now >= self.purged + PURGE_PAUSE {
            self.purged = now;
            self.buckets.retain(|_, bucket| bucket.filled(limits, now).millionths < capacity(limits));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { connections_per_second: 2, connection_burst: 3, connection_addresses: 2, ..Limits::default() }
    }

    fn admitted(admission: &mut Admission, address: &str, count: usize, millis: u64) -> usize {
        let address: IpAddr = address.parse().expect("an address");
        let now = Duration::from_millis(millis);
        (0..count).filter(|_| admission.admit(address, &limits(), now)).count()
    }

    #[test]
    fn an_address_has_its_burst_and_then_its_rate() {
        let mut admission = Admission::new(HashKey([1, 2]));
        assert_eq!(admitted(&mut admission, "192.0.2.1", 10, 0), 3);
        assert_eq!(admitted(&mut admission, "192.0.2.1", 10, 499), 0);
        assert_eq!(admitted(&mut admission, "192.0.2.1", 10, 500), 1);
        assert_eq!(admitted(&mut admission, "::ffff:192.0.2.1", 10, 1500), 2, "the same, written otherwise");
        assert_eq!(admitted(&mut admission, "192.0.2.2", 10, 1500), 3, "another pays nothing for it");
        assert_eq!(admitted(&mut admission, "192.0.2.1", 10, 1_000_000), 3, "no more than the burst");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut admission = Admission::new(HashKey([1, 2]));
        assert_eq!(admitted(&mut admission, "2001:db8::1", 2, 0), 2);
        assert_eq!(admitted(&mut admission, "2001:db8::2", 2, 0), 1);
        assert_eq!(admitted(&mut admission, "2001:db8:0:1::2", 2, 0), 2);
    }

    #[test]
    fn addresses_beyond_the_table_share_one_account_until_there_is_room() {
        let mut admission = Admission::new(HashKey([1, 2]));
        for address in ["192.0.2.1", "192.0.2.2"] {
            assert_eq!(admitted(&mut admission, address, 3, 0), 3);
        }
        assert_eq!(admitted(&mut admission, "192.0.2.3", 2, 0), 2);
        assert_eq!(admitted(&mut admission, "192.0.2.4", 2, 0), 1);
        assert_eq!(admission.buckets.len(), 2);
        // The two are full again after a second and a half, and forgotten.
        assert_eq!(admitted(&mut admission, "192.0.2.4", 9, 1500), 3);
        assert_eq!(admission.buckets.len(), 1);
    }
}
