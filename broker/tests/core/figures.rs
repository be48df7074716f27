//! The server's own figures below `$SYS`.

use std::collections::BTreeMap;

use squall_broker::core::effect::ConnectionId;

use crate::support::*;

fn heard(broker: &mut TestBroker, client: ConnectionId) -> BTreeMap<String, String> {
    let mut heard = BTreeMap::new();
    while let Some(packet) = broker.try_next(client) {
        let squall_codec::packet::Packet::Publish(publish) = packet else { panic!("unexpected: {packet:?}") };
        heard.insert(publish.topic().to_owned(), text(&publish));
    }
    heard
}

fn figures(interval: u64) -> TestBroker {
    TestBroker::with(|config| config.sys_interval = Some(seconds(interval)))
}

#[test]
fn a_new_subscriber_gets_every_figure_and_then_those_that_change() {
    let mut broker = figures(10);
    broker.advance(seconds(1));
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "$SYS/#", QOS_0);
    let all = heard(&mut broker, watcher);
    assert!(all.len() > 40, "{all:?}");
    assert_eq!(all["$SYS/broker/clients/connected"], "0", "as it was at the last look");
    assert!(all["$SYS/broker/version"].starts_with("squall version "));
    assert_eq!(all["$SYS/broker/uptime"], "0 seconds");
    broker.advance(seconds(9));
    let changed = heard(&mut broker, watcher);
    assert_eq!(changed["$SYS/broker/clients/connected"], "1");
    assert_eq!(changed["$SYS/broker/clients/maximum"], "1");
    assert_eq!(changed["$SYS/broker/subscriptions/count"], "1");
    assert_eq!(changed["$SYS/broker/uptime"], "10 seconds");
    for name in ["version", "publish/messages/received"] {
        assert!(!changed.contains_key(&format!("$SYS/broker/{name}")), "{name} has not changed");
    }
}

#[test]
fn what_passes_is_counted_by_packet_and_by_byte() {
    let mut broker = figures(10);
    let alice = broker.join(clean(V5, "alice"));
    broker.subscribed(alice, "t", QOS_1);
    broker.recv(alice, publish("t", "12345"));
    assert_eq!(broker.payloads(alice), ["12345"]);
    let watcher = broker.join(clean(V5, "watcher"));
    broker.advance(seconds(10));
    broker.subscribed(watcher, "$SYS/broker/#", QOS_0);
    let all = heard(&mut broker, watcher);
    for (name, value) in [
        // Two CONNECT, SUBSCRIBE, PUBLISH.
        ("messages/received", 4),
        ("publish/messages/received", 1),
        ("publish/messages/sent", 1),
        ("publish/bytes/received", 5),
        ("publish/bytes/sent", 5),
        ("clients/total", 2),
    ] {
        assert_eq!(all[&format!("$SYS/broker/{name}")], value.to_string(), "{name}");
    }
    let statistics = broker.statistics();
    assert_eq!(all["$SYS/broker/bytes/received"], (statistics.received.bytes - 21).to_string(), "but the SUBSCRIBE");
}

#[test]
fn averages_rise_while_messages_come_and_fall_when_none_do() {
    let mut broker = figures(30);
    let alice = broker.join(clean(V5, "alice"));
    broker.advance(seconds(1));
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "$SYS/broker/load/publish/received/+", QOS_0);
    assert_eq!(heard(&mut broker, watcher)["$SYS/broker/load/publish/received/1min"], "0.00");
    (0..30).for_each(|_| broker.recv(alice, publish("t", "x")));
    broker.advance(seconds(29));
    let loads = heard(&mut broker, watcher);
    // Thirty in half a minute are sixty in a minute, and half a minute is a third of one and a half.
    assert_eq!(loads["$SYS/broker/load/publish/received/1min"], "20.00");
    assert_eq!(loads["$SYS/broker/load/publish/received/5min"], "5.45");
    assert_eq!(loads["$SYS/broker/load/publish/received/15min"], "1.94");
    broker.advance(seconds(30));
    assert_eq!(heard(&mut broker, watcher)["$SYS/broker/load/publish/received/1min"], "13.33");
}

#[test]
fn wildcards_do_not_bring_figures_and_they_are_kept_by_no_store() {
    let mut broker = figures(10);
    let watcher = broker.join(durable(V5, "watcher"));
    broker.subscribed(watcher, "#", QOS_1);
    broker.subscribe(watcher, subscribe(2, "+/broker/uptime", QOS_1));
    let before = broker.records.len();
    broker.advance(seconds(100));
    broker.quiet(watcher);
    assert_eq!(broker.records.len(), before);
}

#[test]
fn without_an_interval_there_are_none() {
    let mut broker = TestBroker::new();
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "$SYS/#", QOS_0);
    broker.advance(seconds(100));
    broker.quiet(watcher);
    assert_eq!(broker.statistics().retained_messages, 0);
}
