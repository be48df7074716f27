//! Topic Aliases that the client uses towards the server.

use squall_client::options::Options;
use squall_codec::{
    packet::{Packet, Publish},
    property::Property,
    qos::Qos,
    topic::TopicName,
    version::Version,
    wire::PacketId,
};

use crate::support::{TestClient, dup, lasting, offering, options, puback, published, resumed, seconds, success};

fn to(topic: &'static str, qos: Qos, packet_id: u16) -> Publish {
    Publish::new(&TopicName::literal(topic), "x").at(qos, PacketId::new(packet_id))
}

/// Publishes at QoS 0; gives the topic and the alias of what leaves.
#[track_caller]
fn said(client: &mut TestClient, topic: &'static str) -> (String, Option<u16>) {
    let token = client.publish(to(topic, Qos::AtMostOnce, 0));
    let Packet::Publish(publish) = client.expect_sent() else { panic!("expected PUBLISH") };
    client.expect_done(token, published());
    (publish.topic().to_owned(), publish.topic_alias)
}

fn allowed(most: u16) -> TestClient {
    TestClient::connected_to(options(Version::V5_0), offering([Property::TopicAliasMaximum(most)]))
}

#[test]
fn a_topic_that_comes_again_gets_an_alias_and_then_leaves_without_its_name() {
    let mut client = allowed(10);
    let topic = "sensors/1";
    assert_eq!(said(&mut client, topic), (topic.to_owned(), None));
    assert_eq!(said(&mut client, topic), (topic.to_owned(), Some(1)));
    assert_eq!(said(&mut client, topic), (String::new(), Some(1)));
    assert_eq!(said(&mut client, "sensors/2"), ("sensors/2".to_owned(), None));
}

#[test]
fn no_alias_is_above_what_the_server_or_the_application_allows() {
    for (server, own) in [(2, 16), (300, 2)] {
        let own = Options { outgoing_topic_aliases: own, ..options(Version::V5_0) };
        let mut client = TestClient::connected_to(own, offering([Property::TopicAliasMaximum(server)]));
        let mut used = Vec::new();
        for _ in 0..3 {
            for topic in ["sensors/1", "sensors/2", "sensors/3"] {
                used.push(said(&mut client, topic).1);
                used.push(said(&mut client, topic).1);
            }
        }
        assert!(used.contains(&Some(1)) && used.contains(&Some(2)), "{used:?}");
        assert!(used.iter().flatten().all(|alias| (1..=2).contains(alias)), "{used:?}");
    }
}

#[test]
fn a_server_that_allows_none_and_an_application_that_wants_none_get_none() {
    let unwanted = Options { outgoing_topic_aliases: 0, ..options(Version::V5_0) };
    for mut client in [
        TestClient::connected(options(Version::V5_0)),
        TestClient::connected(options(Version::V3_1_1)),
        allowed(0),
        TestClient::connected_to(unwanted, offering([Property::TopicAliasMaximum(9)])),
    ] {
        for _ in 0..3 {
            assert_eq!(said(&mut client, "sensors/1"), ("sensors/1".to_owned(), None));
        }
    }
}

#[test]
fn what_is_sent_again_has_its_topic_and_aliases_begin_anew_with_each_connection() {
    let many = || [Property::TopicAliasMaximum(9)];
    let mut client = TestClient::connected_to(lasting(), offering(many()));
    let topic = "sensors/1";
    let tokens: Vec<_> = (1..=3).map(|_| client.publish(to(topic, Qos::AtLeastOnce, 0))).collect();
    let mut aliased = to(topic, Qos::AtLeastOnce, 2);
    aliased.topic_alias = Some(1);
    client.expect_send(Packet::Publish(to(topic, Qos::AtLeastOnce, 1)));
    client.expect_send(Packet::Publish(aliased));
    let mut short = to(topic, Qos::AtLeastOnce, 3).without_topic();
    short.topic_alias = Some(1);
    client.expect_send(Packet::Publish(short));

    client.lose_and_wait();
    client.connect_again(resumed(many()));
    for packet_id in 1..=3 {
        client.expect_send(dup(Packet::Publish(to(topic, Qos::AtLeastOnce, packet_id))));
    }
    for (packet_id, token) in (1..=3).zip(tokens) {
        client.server(puback(packet_id));
        client.expect_done(token, published());
    }
    assert_eq!(said(&mut client, topic), (topic.to_owned(), None));
    assert_eq!(said(&mut client, topic), (topic.to_owned(), Some(1)));

    client.lose_and_wait();
    client.advance(seconds(1));
    client.connect_again(resumed([]));
    assert_eq!(said(&mut client, topic), (topic.to_owned(), None), "this server takes none");
    assert_eq!(said(&mut client, topic), (topic.to_owned(), None));
}

#[test]
fn a_lost_session_is_published_anew_with_topics_in_full() {
    let mut client = TestClient::connected_to(lasting(), offering([Property::TopicAliasMaximum(9)]));
    for _ in 0..3 {
        client.publish(to("sensors/1", Qos::AtLeastOnce, 0));
        client.expect_sent();
    }
    client.lose_and_wait();
    client.connect_again(success());
    for packet_id in 1..=3 {
        client.expect_send(Packet::Publish(to("sensors/1", Qos::AtLeastOnce, packet_id)));
    }
}

#[test]
fn a_packet_that_just_fits_gets_no_alias_that_would_make_it_too_large() {
    let plain = Packet::Publish(to("sensors/1", Qos::AtMostOnce, 0)).encoded_len(Version::V5_0) as u32;
    for (limit, expected) in [(plain, None), (plain + 4, None), (plain + 5, Some(1))] {
        let limits = [Property::TopicAliasMaximum(9), Property::MaximumPacketSize(limit)];
        let mut client = TestClient::connected_to(options(Version::V5_0), offering(limits));
        said(&mut client, "sensors/1");
        assert_eq!(said(&mut client, "sensors/1"), ("sensors/1".to_owned(), expected), "limit {limit}");
    }
}
