//! Where a flow is cut.

use squall_codec::packet::PacketKind;
use squall_scenarios::liar::Direction;
use squall_sim::exhaust::{Cut, Frame};

#[test]
fn a_frame_is_cut_at_each_byte_with_each_end() {
    let frame =
        Frame { actor: "alice".to_owned(), kind: PacketKind::Pubrel, direction: Direction::ToServer, nth: 2, size: 4 };
    let cuts: Vec<Cut> = frame.cuts().collect();
    assert_eq!(cuts.len(), 3 * 5);
    let steps: Vec<String> = cuts.iter().map(Cut::step).collect();
    assert_eq!(
        steps[4],
        "world: { cut: { link: alice, on: { packet: pubrel, to: server, nth: 2 }, pass: { bytes: 1 }, how: reset } }"
    );
    assert_eq!(cuts[14].to_string(), "alice: after PUBREL 2 to the server (half-open)");
}
