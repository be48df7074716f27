//! `Statistics` in the text format that Prometheus reads.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use squall_broker::core::statistics::{Statistics, Traffic};
use squall_codec::packet::PacketKind;

/// One number of `Statistics`: the state now, or a count since the start.
struct Metric {
    /// As the field; its end is the unit.
    name: &'static str,
    counts: bool,
    help: &'static str,
    value: fn(&Statistics) -> u64,
}

/// A field of `Statistics` that shows the state.
macro_rules! state {
    ($field:ident, $help:literal) => {
        metric!($field, false, $help)
    };
}

/// A field of `Statistics` that counts.
macro_rules! count {
    ($field:ident, $help:literal) => {
        metric!($field, true, $help)
    };
}

macro_rules! metric {
    ($field:ident, $counts:literal, $help:literal) => {
        Metric { name: stringify!($field), counts: $counts, help: $help, value: |statistics| statistics.$field as u64 }
    };
}

/// Every field, in its order; but the time and the traffic, which have a form of their own.
const METRICS: &[Metric] = &[
    state!(connections, "Open network connections"),
    state!(clients, "Clients that are in"),
    state!(sessions, "Sessions, connected or not"),
    state!(subscriptions, "Subscriptions of all sessions"),
    state!(shared_subscriptions, "Shared subscriptions of all sessions"),
    state!(filter_bytes, "Size of the filters of all subscriptions"),
    state!(filter_levels, "Levels of all different topic filters"),
    state!(retained_messages, "Retained messages"),
    state!(retained_bytes, "Size of all retained messages"),
    state!(queued_messages, "Messages that wait in sessions"),
    state!(queued_bytes, "Size of the messages that wait in sessions"),
    state!(held_bytes, "Size of the messages that wait or are in flight in sessions, and of all wills"),
    state!(in_flight, "Messages sent and not yet acknowledged"),
    state!(unreleased, "QoS 2 messages received and not yet released"),
    state!(unflushed_bytes, "Packets on their way to all connections"),
    count!(connections_opened, "Network connections that were opened"),
    state!(clients_maximum, "The most clients that were in at once"),
    count!(sessions_expired, "Sessions whose time was over"),
    count!(refused_connections, "Connections closed at once because there are as many as may be"),
    count!(refused_connection_rate, "Connections closed at once because their address opened too many in a short time"),
    count!(refused_connects, "CONNECTs that were refused, for whatever reason"),
    count!(failed_authentications, "Clients whose authentication failed"),
    count!(connect_timeouts, "Connections whose client sent no CONNECT in time"),
    count!(keep_alive_timeouts, "Connections whose client was silent for one and a half Keep Alive"),
    count!(taken_over, "Connections that another one of the same client took over"),
    count!(malformed, "Connections closed because bytes came that are no packet"),
    count!(violations, "Connections closed because a packet came that is not allowed"),
    count!(slow_readers, "Connections closed because their client reads too slowly"),
    count!(full_queues, "Connections closed because too many messages wait for their client"),
    count!(store_failures, "Connections closed because the store could not keep what they were to hear"),
    count!(denied_publishes, "Messages that their publisher may not publish"),
    count!(denied_subscriptions, "Filters that their client may not subscribe to"),
    count!(denied_deliveries, "Deliveries to clients that may not receive the message"),
    count!(dropped_topic, "Messages and filters refused because their topic is too long or has too many levels"),
    count!(dropped_queue_full, "Messages not queued because the queue of a session was full"),
    count!(dropped_slow_reader, "QoS 0 messages not sent because a client reads too slowly"),
    count!(publisher_pauses, "Times that a publisher was not read because its readers lag behind"),
    count!(dropped_too_large, "Packets not sent because they are larger than a client allows"),
    count!(dropped_expired, "Messages that expired while they waited"),
    count!(dropped_retained, "Messages not retained because there are too many"),
];

/// The page that Prometheus asks for.
pub(super) fn page(statistics: Statistics) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("squall");
    registry.register_collector(Box::new(Look(statistics)));
    let mut page = String::new();
    encode(&mut page, &registry)?;
    Ok(page)
}

#[derive(Debug)]
struct Look(Statistics);

impl Collector for Look {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Metric { name, counts, help, value } in METRICS {
            let value = value(&self.0);
            let (name, unit) = match name.rsplit_once('_') {
                Some((name, "bytes")) => (name, Some(&Unit::Bytes)),
                Some((name, "seconds")) => (name, Some(&Unit::Seconds)),
                _ => (*name, None),
            };
            if *counts {
                let counter = ConstCounter::new(value);
                counter.encode(encoder.encode_descriptor(name, help, unit, counter.metric_type())?)?;
            } else {
                let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)?;
            }
        }
        let uptime = ConstGauge::new(self.0.uptime.as_secs_f64());
        let help = "Time since the start";
        uptime.encode(encoder.encode_descriptor("uptime", help, Some(&Unit::Seconds), uptime.metric_type())?)?;
        traffic(&mut encoder, ["received_packets", "received", "received_payload"], "from clients", &self.0.received)?;
        traffic(&mut encoder, ["sent_packets", "sent", "sent_payload"], "to clients", &self.0.sent)?;
        Ok(())
    }
}

/// Packets of each kind, their bytes, and the bytes of payloads among them.
fn traffic(
    encoder: &mut DescriptorEncoder<'_>,
    [packets, bytes, payload_bytes]: [&str; 3],
    direction: &str,
    traffic: &Traffic,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(packets, &format!("Packets {direction}"), None, MetricType::Counter)?;
    for kind in PacketKind::ALL {
        ConstCounter::new(traffic.packets(*kind)).encode(family.encode_family(&[("packet", kind.name())])?)?;
    }
    for (name, what, value) in
        [(bytes, "Size of all packets", traffic.bytes), (payload_bytes, "Size of all payloads", traffic.payload_bytes)]
    {
        let counter = ConstCounter::new(value);
        let help = format!("{what} {direction}");
        counter.encode(encoder.encode_descriptor(name, &help, Some(&Unit::Bytes), counter.metric_type())?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_number_of_the_broker_has_its_metric_in_the_same_order() {
        let shown = format!("{:#?}", Statistics::default());
        let fields = shown.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": ")).map(|(name, _)| name);
        let own_form = ["uptime", "received", "sent"];
        let fields: Vec<_> = fields.filter(|name| !name.starts_with(' ') && !own_form.contains(name)).collect();
        let metrics: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(metrics, fields, "a field of statistics.rs has no row in METRICS, or stands elsewhere");
    }

    #[test]
    fn the_page_has_help_type_unit_and_value() {
        let page = page(Statistics {
            connections: 3,
            retained_bytes: 70,
            dropped_expired: 5,
            uptime: Duration::from_millis(1500),
            ..Statistics::default()
        });
        let page = page.expect("it is encoded");
        for line in [
            "# HELP squall_connections Open network connections",
            "# TYPE squall_connections gauge",
            "squall_connections 3",
            "# UNIT squall_retained_bytes bytes",
            "squall_retained_bytes 70",
            "# TYPE squall_dropped_expired counter",
            "squall_dropped_expired_total 5",
            "# UNIT squall_uptime_seconds seconds",
            "squall_uptime_seconds 1.5",
            "# TYPE squall_received_packets counter",
            "squall_received_packets_total{packet=\"PUBLISH\"} 0",
            "squall_sent_payload_bytes_total 0",
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found == line), "'{line}' is missing:\n{page}");
        }
    }
}
