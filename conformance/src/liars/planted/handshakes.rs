//! Defects in how connections begin and end: CONNECT, CONNACK, sessions, wills, the keep alive, DISCONNECT.

use std::{collections::BTreeSet, time::Duration};

use squall_codec::{
    packet::{Connack, Packet},
    property::{Properties, Property, PropertyId},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{BOTH, Planted, V5, planted};
use crate::liars::{
    filter::{deaf_liar, liar},
    kind::{bends, hears, hears_connect, tells},
    s3_01_connect, s3_01_keep_alive, s3_01_session,
};

pub(super) const ALL: &[Planted] = &[
    planted("never sends a CONNACK", BOTH, || {
        liar(|passing| match passing.from_server() {
            Some(Packet::Connack(_)) => {}
            _ => passing.pass(),
        })
    }),
    planted("sends CONNACK twice", BOTH, || {
        liar(|passing| {
            passing.pass();
            if let Some(Packet::Connack(_)) = passing.from_server() {
                passing.pass();
            }
        })
    }),
    planted("says something before CONNACK", BOTH, || {
        liar(|passing| {
            if let Some(Packet::Connack(_)) = passing.from_server() {
                passing.put(&Packet::Pingresp);
            }
            passing.pass();
        })
    }),
    planted("flips Session Present", BOTH, || {
        tells_connack(|connack| {
            connack.session_present ^= !connack.reason.is_failure();
        })
    }),
    planted("always says Session Present 0", BOTH, || tells_connack(|connack| connack.session_present = false)),
    planted("always says Session Present 1", BOTH, || {
        tells_connack(|connack| {
            connack.session_present = !connack.reason.is_failure();
        })
    }),
    planted("says Session Present 1 when it refuses", BOTH, || {
        bends(Direction::ToClient, |bytes| {
            if bytes[0] == 0x20 && bytes[3] != 0 {
                bytes[2] |= 1;
            }
        })
    }),
    planted("sets a reserved flag in CONNACK", BOTH, s3_01_session::flags_its_connack),
    planted("says welcome to those whom it refuses", BOTH, || {
        tells_connack(|connack| {
            connack.reason = ReasonCode::Success;
        })
    }),
    planted("says a return code that has no meaning", BOTH, || {
        bends(Direction::ToClient, |bytes| {
            if bytes[0] == 0x20 && bytes[3] != 0 {
                bytes[3] = 0x7F;
            }
        })
    }),
    planted("refuses and keeps the connection", BOTH, s3_01_session::refuses_and_stays),
    planted("forgets every session", BOTH, s3_01_session::forgets_sessions),
    planted("keeps every session", BOTH, || hears_connect(|connect| connect.clean_start = false)),
    planted("forgets what waits for a client that is away", BOTH, s3_01_session::has_no_queues),
    planted(
        "forgets the subscriptions of a client that was away",
        BOTH,
        crate::liars::exchanges::forgets_those_who_were_away,
    ),
    planted("serves two clients of one name", BOTH, s3_01_connect::serves_twins),
    planted("never ends a connection", BOTH, || deaf_liar(|passing| passing.pass())),
    planted("loses wills", BOTH, s3_01_session::loses_wills),
    planted("publishes wills after DISCONNECT", BOTH, s3_01_session::publishes_wills_after_disconnect),
    planted("publishes wills twice", BOTH, publishes_wills_twice),
    planted("publishes wills at QoS 0", BOTH, || changes_wills(|will| will.qos = Qos::AtMostOnce)),
    planted("does not retain wills", BOTH, || changes_wills(|will| will.retain = false)),
    planted("retains every will", BOTH, || changes_wills(|will| will.retain = true)),
    planted("publishes wills without their last byte", BOTH, || {
        changes_wills(|will| will.payload.truncate(will.payload.len().saturating_sub(1)))
    }),
    planted("never misses a silent client", BOTH, || hears_connect(|connect| connect.keep_alive = 0)),
    planted("ends connections at half of their keep alive", BOTH, ends_at_half_the_keep_alive),
    planted("ends connections without keep alive", V5, || {
        liar(|passing| {
            if matches!(passing.from_client(), Some(Packet::Connect(connect)) if connect.keep_alive == 0) {
                passing.close_at(passing.now + Duration::from_secs(5));
            }
            passing.pass();
        })
    }),
    planted("overlooks a second CONNECT", BOTH, s3_01_connect::swallows_second_connect),
    planted("reads client identifiers in small letters", BOTH, s3_01_connect::ignores_the_case_of_identifiers),
    planted("keeps the connection after DISCONNECT", BOTH, crate::liars::s3_02_connack::stays_after_disconnect),
    planted("forgets the delay of wills", V5, s3_01_session::does_not_wait_with_wills),
    planted("takes DISCONNECT with Will Message for a plain one", V5, || {
        hears(|packet| {
            if let Packet::Disconnect(disconnect) = packet {
                disconnect.reason = ReasonCode::NORMAL_DISCONNECTION;
            }
        })
    }),
    planted("never lets a session expire", V5, || {
        hears(|packet| match packet {
            Packet::Connect(connect) => {
                connect.set_properties(with_expiry(&connect.properties().to_owned(), Some(u32::MAX)))
            }
            Packet::Disconnect(disconnect) => disconnect.properties = with_expiry(&disconnect.properties, None),
            _ => {}
        })
    }),
    planted("lets sessions expire at once", V5, || {
        hears_connect(|connect| connect.set_properties(with_expiry(&connect.properties().to_owned(), None)))
    }),
    planted("ignores the Session Expiry Interval of DISCONNECT", V5, || {
        hears(|packet| {
            if let Packet::Disconnect(disconnect) = packet {
                disconnect.properties = with_expiry(&disconnect.properties, None);
            }
        })
    }),
    planted("says another reason in DISCONNECT", V5, || {
        tells(|packet| {
            if let Packet::Disconnect(disconnect) = packet {
                disconnect.reason = ReasonCode::NORMAL_DISCONNECTION;
            }
        })
    }),
    planted(
        "says a Session Expiry Interval in DISCONNECT",
        V5,
        crate::liars::s3_02_connack::disconnects_with_an_expiry,
    ),
    planted("goes on talking after DISCONNECT", V5, crate::liars::s3_02_connack::talks_after_disconnect),
];

fn tells_connack(mut change: impl FnMut(&mut Connack) + 'static) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Connack(connack) = packet {
            change(connack);
        }
    })
}

fn changes_wills(change: impl Fn(&mut squall_codec::packet::Will) + 'static) -> Box<dyn Liar> {
    hears_connect(move |connect| connect.change_will(&change))
}

fn with_expiry(properties: &Properties, seconds: Option<u32>) -> Properties {
    let others = properties.iter().filter(|one| one.id() != PropertyId::SessionExpiryInterval).cloned();
    others.chain(seconds.map(Property::SessionExpiryInterval)).collect()
}

fn publishes_wills_twice() -> Box<dyn Liar> {
    let mut wills = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            wills.extend(connect.will().into_iter().map(|will| will.topic.as_str().to_owned()));
        }
        let copy = match passing.from_server() {
            Some(Packet::Publish(publish)) if wills.contains(publish.topic()) => {
                Some(Packet::Publish(publish.clone().at(Qos::AtMostOnce, None)))
            }
            _ => None,
        };
        passing.pass();
        if let Some(copy) = copy {
            passing.put(&copy);
        }
    })
}

fn ends_at_half_the_keep_alive() -> Box<dyn Liar> {
    s3_01_keep_alive::ends_the_silent(|keep_alive| keep_alive / 2)
}
