//! The server's own figures as retained messages below `$SYS`, under the names that Mosquitto gave them.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::{
    packet::{PacketKind, Publish},
    topic::TopicName,
    wire::Text,
};

use super::{broker::Broker, statistics::Statistics, timers::Timer};

/// What was said last, and the averages.
#[derive(Debug, Default)]
pub(super) struct Figures {
    said: BTreeMap<String, String>,
    /// The counters of `RATES` the last time, and when that was.
    last: Option<([u64; RATES.len()], Duration)>,
    /// How much each of them grows in a minute, on the average of each span.
    loads: [[f64; SPANS.len()]; RATES.len()],
}

type Rate = (&'static str, fn(&Statistics) -> u64);

/// Counters of which averages are told.
const RATES: [Rate; 9] = [
    ("messages/received", |numbers| numbers.received.all_packets()),
    ("messages/sent", |numbers| numbers.sent.all_packets()),
    ("publish/received", |numbers| numbers.received.packets(PacketKind::Publish)),
    ("publish/sent", |numbers| numbers.sent.packets(PacketKind::Publish)),
    ("publish/dropped", Statistics::dropped),
    ("bytes/received", |numbers| numbers.received.bytes),
    ("bytes/sent", |numbers| numbers.sent.bytes),
    ("sockets", |numbers| numbers.connections_opened),
    ("connections", |numbers| numbers.received.packets(PacketKind::Connect)),
];

/// The spans of the averages, in minutes.
const SPANS: [u8; 3] = [1, 5, 15];

impl Figures {
    /// The averages move towards what happened since the last time, the further the longer that was.
    fn average(&mut self, numbers: &Statistics, now: Duration) {
        let counters = RATES.map(|(_, counter)| counter(numbers));
        if let Some((before, at)) = self.last.replace((counters, now)) {
            let minutes = now.saturating_sub(at).as_secs_f64() / 60.0;
            if minutes <= 0.0 {
                return;
            }
            for ((load, counter), before) in self.loads.iter_mut().zip(counters).zip(before) {
                let rate = counter.saturating_sub(before) as f64 / minutes;
                for (average, span) in load.iter_mut().zip(SPANS) {
                    // No power of e: it is not the same on every machine.
                    *average += (rate - *average) * (minutes / (f64::from(span) + minutes));
                }
            }
        }
    }

    /// Every figure, by its name below `$SYS/broker/`.
    fn all(&self, numbers: &Statistics) -> Vec<(String, String)> {
        let away = numbers.sessions.saturating_sub(numbers.clients);
        let stored = numbers.queued_messages + numbers.retained_messages;
        let stored_bytes = numbers.queued_bytes + numbers.retained_bytes;
        let plain: [(&str, u64); 24] = [
            ("clients/total", numbers.sessions as u64),
            ("clients/maximum", numbers.clients_maximum as u64),
            ("clients/connected", numbers.clients as u64),
            ("clients/active", numbers.clients as u64),
            ("clients/disconnected", away as u64),
            ("clients/inactive", away as u64),
            ("clients/expired", numbers.sessions_expired),
            ("messages/received", numbers.received.all_packets()),
            ("messages/sent", numbers.sent.all_packets()),
            ("messages/stored", stored as u64),
            ("messages/inflight", numbers.in_flight as u64),
            ("store/messages/count", stored as u64),
            ("store/messages/bytes", stored_bytes as u64),
            ("retained messages/count", numbers.retained_messages as u64),
            ("subscriptions/count", numbers.subscriptions as u64),
            ("shared_subscriptions/count", numbers.shared_subscriptions as u64),
            ("publish/messages/received", numbers.received.packets(PacketKind::Publish)),
            ("publish/messages/sent", numbers.sent.packets(PacketKind::Publish)),
            ("publish/messages/dropped", numbers.dropped()),
            ("publish/bytes/received", numbers.received.payload_bytes),
            ("publish/bytes/sent", numbers.sent.payload_bytes),
            ("bytes/received", numbers.received.bytes),
            ("bytes/sent", numbers.sent.bytes),
            ("connections/refused", numbers.refused_connections + numbers.refused_connection_rate),
        ];
        let mut all: Vec<(String, String)> =
            plain.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        all.push(("version".to_owned(), concat!("squall version ", env!("CARGO_PKG_VERSION")).to_owned()));
        all.push(("uptime".to_owned(), format!("{} seconds", numbers.uptime.as_secs())));
        for ((name, _), load) in RATES.iter().zip(self.loads) {
            for (span, average) in SPANS.iter().zip(load) {
                all.push((format!("load/{name}/{span}min"), format!("{average:.2}")));
            }
        }
        all
    }
}

impl Broker {
    /// The time has come: what has changed is published.
    pub(super) fn publish_figures(&mut self) {
        let Some(interval) = self.config.sys_interval else { return };
        // An interval of nothing is one of a little: a deadline lies in the future.
        let next = self.now.monotonic + interval.max(Duration::from_millis(100));
        self.timers.set(Timer::Figures, next);
        let numbers = self.statistics();
        self.figures.average(&numbers, self.now.monotonic);
        for (name, value) in self.figures.all(&numbers) {
            if self.figures.said.get(&name) == Some(&value) {
                continue;
            }
            let topic = Text::new(format!("$SYS/broker/{name}")).ok().and_then(|topic| TopicName::new(topic).ok());
            if let Some(topic) = topic {
                let mut message = Publish::new(&topic, &value);
                message.retain = true;
                self.publish_own(message);
            }
            self.figures.said.insert(name, value);
        }
    }
}
