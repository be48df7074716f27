//! `Statistics` in the text format that Prometheus reads.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use squall_broker::core::statistics::Statistics;

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

/// Every field, in its order.
const METRICS: &[Metric] = &[
    state!(connections, "Open network connections"),
    state!(sessions, "Sessions, connected or not"),
    state!(subscriptions, "Subscriptions of all sessions"),
    state!(filter_levels, "Levels of all different topic filters"),
    state!(retained_messages, "Retained messages"),
    state!(retained_bytes, "Size of all retained messages"),
    state!(queued_messages, "Messages that wait in sessions"),
    state!(in_flight, "Messages sent and not yet acknowledged"),
    state!(unflushed_bytes, "Packets on their way to all connections"),
    count!(failed_authentications, "Clients whose authentication failed"),
    count!(denied_publishes, "Messages that their publisher may not publish"),
    count!(denied_subscriptions, "Filters that their client may not subscribe to"),
    count!(denied_deliveries, "Deliveries to clients that may not receive the message"),
    count!(dropped_queue_full, "Messages not queued because the queue of a session was full"),
    count!(dropped_slow_reader, "QoS 0 messages not sent because a client reads too slowly"),
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
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_broker_has_its_metric_in_the_same_order() {
        let shown = format!("{:#?}", Statistics::default());
        let fields: Vec<_> =
            shown.lines().filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name).collect();
        let metrics: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(metrics, fields, "a field of statistics.rs has no row in METRICS, or stands elsewhere");
    }

    #[test]
    fn the_page_has_help_type_unit_and_value() {
        let page = page(Statistics { connections: 3, retained_bytes: 70, dropped_expired: 5, ..Statistics::default() });
        let page = page.expect("it is encoded");
        for line in [
            "# HELP squall_connections Open network connections",
            "# TYPE squall_connections gauge",
            "squall_connections 3",
            "# UNIT squall_retained_bytes bytes",
            "squall_retained_bytes 70",
            "# TYPE squall_dropped_expired counter",
            "squall_dropped_expired_total 5",
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found == line), "'{line}' is missing:\n{page}");
        }
    }
}
