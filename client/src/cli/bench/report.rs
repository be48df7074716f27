//! The result of a load, for a person or as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::measure::Seen;

/// Everything that was measured.
pub(super) struct Report {
    pub(super) server: String,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    pub(super) pairs: bool,
    pub(super) qos: u8,
    pub(super) size: u32,
    /// Asked for, in messages a second.
    pub(super) rate: Option<u32>,
    /// From the first connection to the last.
    pub(super) connecting: Duration,
    /// In microseconds, one for each connection.
    pub(super) connects: Histogram<u64>,
    /// From the first message to the last.
    pub(super) publishing: Duration,
    /// From the first message to the last that came.
    pub(super) receiving: Duration,
    pub(super) published: u64,
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) reconnects: u64,
    pub(super) expected: u64,
    pub(super) seen: Seen,
}

impl Report {
    /// Messages that should have come and did not.
    pub(super) fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.seen.messages)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "server": self.server,
            "shape": {
                "publishers": self.publishers, "subscribers": self.subscribers, "pairs": self.pairs, "qos": self.qos,
                "payload_bytes": self.size, "asked_messages_per_second": self.rate,
            },
            "connect": { "seconds": self.connecting.as_secs_f64(), "latency_us": latency(&self.connects) },
            "publish": {
                "seconds": self.publishing.as_secs_f64(), "messages": self.published,
                "messages_per_second": rate(self.published, self.publishing), "acknowledged": self.acknowledged,
                "refused": self.refused,
            },
            "receive": {
                "seconds": self.receiving.as_secs_f64(), "expected": self.expected, "messages": self.seen.messages,
                "messages_per_second": rate(self.seen.messages, self.receiving), "lost": self.lost(),
                "duplicates": self.seen.duplicates, "disordered": self.seen.disordered, "foreign": self.seen.foreign,
                "latency_us": latency(&self.seen.latency),
            },
            "reconnects": self.reconnects,
        })
    }

    pub(super) fn text(&self) -> String {
        let Report { publishers, subscribers, qos, size, seen, .. } = self;
        let pairs = if self.pairs { " in pairs" } else { "" };
        let mut lines = vec![
            format!("{} · {publishers}:{subscribers}{pairs} · QoS {qos} · {size} bytes", self.server),
            format!(
                "connected   {} in {:.2} s, {}",
                publishers + subscribers,
                self.connecting.as_secs_f64(),
                percentiles(&self.connects)
            ),
            format!(
                "published   {} in {:.2} s, {:.0}/s, {} acknowledged, {} refused",
                self.published,
                self.publishing.as_secs_f64(),
                rate(self.published, self.publishing),
                self.acknowledged,
                self.refused
            ),
            format!(
                "received    {} of {} in {:.2} s, {:.0}/s, {} lost, {} duplicates, {} out of order",
                seen.messages,
                self.expected,
                self.receiving.as_secs_f64(),
                rate(seen.messages, self.receiving),
                self.lost(),
                seen.duplicates,
                seen.disordered
            ),
            format!("latency     {}", percentiles(&seen.latency)),
        ];
        if self.reconnects > 0 {
            lines.push(format!("reconnects  {}", self.reconnects));
        }
        lines.join("\n")
    }
}

fn rate(messages: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { messages as f64 / time.as_secs_f64() }
}

const PERCENTILES: [(&str, f64); 5] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99_9", 99.9), ("max", 100.0)];

fn latency(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let mut all = json!({ "count": histogram.len(), "min": histogram.min(), "mean": histogram.mean() });
    for (name, percentile) in PERCENTILES {
        all[name] = histogram.value_at_percentile(percentile).into();
    }
    all
}

fn percentiles(histogram: &Histogram<u64>) -> String {
    if histogram.is_empty() {
        return "no latency to tell".to_owned();
    }
    let one = |(name, percentile): (&str, f64)| {
        let microseconds = histogram.value_at_percentile(percentile);
        format!("{} {:.3} ms", name.replace('_', "."), microseconds as f64 / 1000.0)
    };
    PERCENTILES.map(one).join(", ")
}
