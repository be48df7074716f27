//! What a teacher shows: stories as they look in a terminal, without colours, one of each family; and one as text for Mermaid, one
//! as SVG.

use crate::told::{played, script, twice};
use squall_codec::version::Version;
use squall_sim::{
    diagram,
    show::{mermaid, svg},
};

fn drawn(name: &str, version: Version, width: usize) -> String {
    let coloured = diagram::draw(&played(&script(name), version), width);
    anstream::adapter::strip_str(&coloured).to_string()
}

#[test]
fn a_will_after_a_reset() {
    insta::assert_snapshot!(drawn("sim/tests/stories/a_will_speaks_after_a_reset.yaml", Version::V3_1_1, 100));
}

#[test]
fn exactly_once_over_two_connections() {
    insta::assert_snapshot!(drawn("sim/tests/stories/exactly_once_survives_a_lost_pubrec.yaml", Version::V5_0, 110));
}

/// One of each family: what changes in them changes what people are taught.
#[test]
fn stories_to_teach_with() {
    for (name, version) in [
        ("will/delay", Version::V5_0),
        ("keep_alive/one_and_a_half", Version::V3_1_1),
        ("take_over/session_is_resumed", Version::V5_0),
        ("session/messages_wait_for_one_who_is_away", Version::V3_1_1),
        ("qos/2_delivery_pubrec_lost", Version::V5_0),
        ("retained/new_subscriber_gets_the_last", Version::V5_0),
        ("ordering/what_waited_comes_before_what_is_new", Version::V3_1_1),
        ("flow_control/window_of_a_subscriber", Version::V5_0),
        ("shared/one_member_gets_each_message", Version::V5_0),
        ("message_expiry/expired_is_never_sent", Version::V5_0),
        ("restart/delivery_1_before_puback", Version::V5_0),
    ] {
        let picture = drawn(&format!("scenarios/{name}.yaml"), version, 110);
        assert!(picture.contains("✔ pass"), "{picture}");
        insta::assert_snapshot!(format!("teaching_{}", name.replace('/', "_")), picture);
    }
}

#[test]
fn a_broken_promise_in_the_terminal() {
    let coloured = diagram::draw(&twice(Version::V5_0), 110);
    insta::assert_snapshot!(anstream::adapter::strip_str(&coloured).to_string());
}

#[test]
fn a_broken_promise_as_mermaid() {
    insta::assert_snapshot!(mermaid::draw(&twice(Version::V5_0)));
}

#[test]
fn a_will_as_svg() {
    insta::assert_snapshot!(svg::draw(&played(&script("scenarios/will/reset.yaml"), Version::V5_0)));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [20, 80, 97, 132, 400] {
        for version in [Version::V3_1_1, Version::V5_0] {
            for line in drawn("sim/tests/stories/a_will_speaks_after_a_reset.yaml", version, width).lines() {
                let columns = line.chars().count();
                assert!(columns <= width.clamp(diagram::SMALLEST_WIDTH, 132), "{columns} columns at {width}: {line}");
            }
        }
    }
}
