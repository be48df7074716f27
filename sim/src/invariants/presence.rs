//! Clients that ought to be there at the end, and are not.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{packet::Packet, reason::ReasonCode};

use super::{Breach, Invariant};
use crate::history::{ConnectionName, Event, Happened, History};

/// Where one client stands.
enum Standing {
    /// CONNECT was accepted, and nothing has ended since.
    There,
    /// It said goodbye, or the server sent it away or turned it down: it need not come back.
    Excused,
    /// It tries, or lost what it had.
    Away,
}

/// Those of these actors who have tried to connect and are not connected, though nobody sent them away.
pub(super) fn absent(history: &History, actors: &[&str]) -> Vec<Breach> {
    let end = history.events.last().map(|event| event.at);
    let mut last: BTreeMap<&str, (&ConnectionName, Standing, &Event)> = BTreeMap::new();
    // A CONNECT that comes so late is heard by nobody.
    let mut closed: BTreeSet<&ConnectionName> = BTreeSet::new();
    for event in history.events.iter().filter(|event| actors.contains(&&*event.connection.actor)) {
        let actor = &*event.connection.actor;
        match &event.what {
            Happened::Sent(Packet::Connect(_)) if closed.contains(&event.connection) => continue,
            // It was held up on its way, and its client has long tried again.
            Happened::Sent(Packet::Connect(_))
                if last.get(actor).is_some_and(|(newest, ..)| newest.number > event.connection.number) =>
            {
                continue;
            }
            Happened::Sent(Packet::Connect(_)) => {
                last.insert(actor, (&event.connection, Standing::Away, event));
                continue;
            }
            Happened::Ended { by_server: true, .. } => drop(closed.insert(&event.connection)),
            _ => {}
        }
        let Some((connection, standing, seen)) = last.get_mut(actor) else { continue };
        if **connection != event.connection {
            continue;
        }
        let next = match &event.what {
            Happened::Received(Packet::Connack(connack)) if connack.reason == ReasonCode::Success => Standing::There,
            Happened::Received(Packet::Connack(_) | Packet::Disconnect(_)) => Standing::Excused,
            // With 0x80 or more it blames the server, and will try again.
            Happened::Sent(Packet::Disconnect(disconnect)) if disconnect.reason.is_failure() => Standing::Away,
            Happened::Sent(Packet::Disconnect(_)) => Standing::Excused,
            // A world that is taken down at the end ends all connections with it.
            Happened::Ended { .. } if matches!(standing, Standing::There) && Some(event.at) == end => continue,
            Happened::Ended { .. } if !matches!(standing, Standing::Excused) => Standing::Away,
            _ => continue,
        };
        (*standing, *seen) = (next, event);
    }
    let away = last.into_values().filter(|(_, standing, _)| matches!(standing, Standing::Away));
    away.map(|(_, _, event)| breach(event)).collect()
}

fn breach(event: &Event) -> Breach {
    let detail = "it connects again by itself, and is not connected at the end".to_owned();
    Breach::new(Invariant::ComesThrough, event, detail)
}
