//! Many clients at once.

use std::time::Duration;

use squall_sim::events::fleet::Fleet;

#[test]
fn every_message_of_a_fleet_arrives() {
    let mut fleet = Fleet::connected(8, 1);
    let talk = fleet.talk(Duration::from_secs(10));
    let after = fleet.run(Duration::from_secs(1));
    assert_eq!((talk.published, talk.handed + after.handed), (80, 80));
}

#[test]
fn an_idle_fleet_only_asks_whether_the_server_is_there() {
    let mut fleet = Fleet::connected(3, 1);
    let hour = fleet.run(Duration::from_secs(3600));
    assert_eq!((hour.published, hour.handed), (0, 0));
    assert!((3 * 60..3 * 60 * 20).contains(&hour.events), "{hour:?}");
}

#[test]
fn the_cost_of_a_message_does_not_grow_with_the_fleet() {
    let events_of = |clients: usize| {
        let mut fleet = Fleet::connected(clients, 1);
        let talk = fleet.talk(Duration::from_secs(6));
        talk.events / talk.published
    };
    let (few, many) = (events_of(9), events_of(300));
    assert!(many <= few, "{few} happenings for each message of 9 clients, {many} of 300");
}
