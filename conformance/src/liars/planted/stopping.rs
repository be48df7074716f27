//! Servers that stop: from one packet on every connection is ended, and nobody is let in.

use std::collections::BTreeSet;

use squall_codec::packet::Packet;
use squall_scenarios::liar::{Direction, Liar};

use super::{BOTH, Planted, V5, planted};
use crate::liars::filter::{Passing, liar};

pub(super) const ALL: &[Planted] = &[
    planted("stops at a topic below a name with a dollar", BOTH, || {
        stops_at(|passing| {
            let topic = match passing.from_client() {
                Some(Packet::Publish(publish)) => publish.topic(),
                _ => return false,
            };
            topic.starts_with('$') && !topic.starts_with("$SYS")
        })
    }),
    planted("stops at a filter of thousands of levels", BOTH, || {
        stops_at(|passing| match passing.from_client() {
            Some(Packet::Subscribe(subscribe)) => {
                subscribe.subscriptions.iter().any(|one| one.filter.as_str().split('/').count() > 2000)
            }
            _ => false,
        })
    }),
    planted("is busy for ever with a level of many wildcards", BOTH, || {
        let mut is_busy = false;
        liar(move |passing| {
            is_busy |= is_of(passing, 8) && passing.raw.windows(16).any(|bytes| bytes == [b'+'; 16]);
            if !is_busy {
                passing.pass();
            }
        })
    }),
    planted("stops at an empty topic", BOTH, || {
        stops_at(|passing| {
            let header = 1 + passing.raw.iter().skip(1).position(|byte| byte & 0x80 == 0).unwrap_or(0) + 1;
            let by_alias =
                matches!(passing.from_client(), Some(Packet::Publish(publish)) if publish.topic_alias.is_some());
            is_of(passing, 3) && !by_alias && passing.raw.get(header..header + 2) == Some(&[0, 0])
        })
    }),
    planted("stops at a CONNACK from a client", BOTH, || stops_at(|passing| is_of(passing, 2))),
    planted("stops when a will with a Content Type is due", V5, || {
        let mut wills: BTreeSet<Vec<u8>> = BTreeSet::new();
        stops_at(move |passing| match (&passing.packet, passing.direction) {
            (Some(Packet::Connect(connect)), _) => {
                let will = connect.will().into_iter().filter(|will| will.properties.content_type().is_some());
                wills.extend(will.map(|will| will.payload.to_vec()));
                false
            }
            (Some(Packet::Publish(publish)), Direction::ToClient) => wills.contains(publish.payload()),
            _ => false,
        })
    }),
];

/// From a client, and of this packet type.
fn is_of(passing: &Passing<'_>, kind: u8) -> bool {
    passing.direction == Direction::ToServer && passing.raw[0] >> 4 == kind
}

fn stops_at(mut fatal: impl FnMut(&Passing<'_>) -> bool + 'static) -> Box<dyn Liar> {
    let mut stopped = false;
    liar(move |passing| {
        if !stopped && fatal(passing) {
            stopped = true;
            let others: Vec<u64> =
                passing.connections.keys().copied().filter(|other| *other != passing.connection).collect();
            others.into_iter().for_each(|other| passing.close_other(other));
        }
        if stopped { passing.close() } else { passing.pass() }
    })
}
