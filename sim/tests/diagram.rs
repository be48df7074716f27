//! What a teacher shows: two stories as they look in a terminal, without colours.

use std::{path::PathBuf, rc::Rc};

use squall_codec::version::Version;
use squall_scenarios::script::Script;
use squall_sim::{
    diagram::{self, Heading},
    story,
    world::VirtualWorld,
};

fn drawn(name: &str, version: Version, width: usize) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stories").join(name);
    let script = Rc::new(Script::load(&file).expect("the story is a script"));
    let run = story::play(VirtualWorld::Events, &script, version, 1);
    let heading = Heading { script: &script, world: VirtualWorld::Events, version, seed: 1 };
    let coloured = diagram::draw(heading, &run, width);
    anstream::adapter::strip_str(&coloured).to_string()
}

#[test]
fn a_will_after_a_reset() {
    insta::assert_snapshot!(drawn("a_will_speaks_after_a_reset.yaml", Version::V3_1_1, 100));
}

#[test]
fn exactly_once_over_two_connections() {
    insta::assert_snapshot!(drawn("exactly_once_survives_a_lost_pubrec.yaml", Version::V5_0, 110));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [20, 80, 97, 132, 400] {
        for version in [Version::V3_1_1, Version::V5_0] {
            for line in drawn("a_will_speaks_after_a_reset.yaml", version, width).lines() {
                let columns = line.chars().count();
                assert!(columns <= width.clamp(diagram::SMALLEST_WIDTH, 132), "{columns} columns at {width}: {line}");
            }
        }
    }
}
