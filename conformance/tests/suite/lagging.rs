//! A server that acknowledges a message first and delivers it a moment later: whoever subscribes between the two gets what is
//! retained as something new. The next one sees that it was retained as it should be.

use std::{collections::BTreeSet, time::Duration};

use bytes::{Bytes, BytesMut};
use squall_codec::{packet::Packet, reason::Side, version::Version};
use squall_conformance::{
    own::in_virtual_time,
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
};
use squall_scenarios::{
    liar::{Direction, Liar, Lie},
    verdict::Verdict,
};

/// The first who gets a retained message gets it without RETAIN; always, or for good.
struct Lags {
    version: Version,
    for_good: bool,
    delivered: BTreeSet<(String, Vec<u8>)>,
}

impl Liar for Lags {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let mut frame = raw;
        if direction == Direction::ToClient
            && let Ok(Packet::Publish(mut publish)) = Packet::decode(self.version, Side::Server, frame.clone())
            && publish.retain
            && (self.delivered.insert((publish.topic().to_owned(), publish.payload().to_vec())) || self.for_good)
        {
            publish.retain = false;
            let mut bytes = BytesMut::new();
            Packet::Publish(publish).encode(self.version, &mut bytes).expect("it was a packet before");
            frame = bytes.freeze();
        }
        out.push(Lie::Frame(connection, direction, frame));
    }
}

fn verdict(version: Version, name: &str, for_good: bool) -> (Verdict, String) {
    keep_panics_of_tests_quiet();
    let is_it = |planned: &Planned| planned.test.name == name && planned.version == version;
    let planned = all().into_iter().find(is_it).unwrap_or_else(|| panic!("there is no test {name}"));
    let lags = Lags { version, for_good, delivered: BTreeSet::new() };
    let entry = in_virtual_time(&planned, Some(Box::new(lags)));
    (entry.verdict, entry.reason.unwrap_or_default())
}

#[test]
fn who_subscribes_between_acknowledgement_and_delivery_accuses_nobody() {
    for (version, name) in [
        (Version::V3_1_1, "a_message_sent_for_a_subscribe_has_retain"),
        (Version::V5_0, "a_retained_message_replaces_the_former"),
    ] {
        let (lagging, reason) = verdict(version, name, false);
        assert_eq!(lagging, Verdict::Pass, "{name}: {reason}");
        let (broken, reason) = verdict(version, name, true);
        assert_eq!(broken, Verdict::Fail, "{name}: {reason}");
    }
}
