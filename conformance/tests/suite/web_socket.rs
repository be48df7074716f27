//! Frames of a WebSocket: where they end, and what is in them.

use squall_conformance::web_socket_frame::{extent, unmasked};

#[test]
fn a_frame_is_as_long_as_its_header_says() {
    assert_eq!(extent(&[0x82]), None);
    assert_eq!(extent(&[0x82, 5]), Some((2, 5)));
    assert_eq!(extent(&[0x82, 0x85, 1, 2, 3, 4]), Some((6, 5)));
    assert_eq!(extent(&[0x82, 126, 1]), None);
    assert_eq!(extent(&[0x82, 126, 1, 0]), Some((4, 256)));
    assert_eq!(extent(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Some((10, 65_536)));
}

#[test]
fn a_mask_is_taken_off() {
    let frame = [0x82, 0x82, 1, 2, 3, 4, 0xC1, 0x02];
    assert_eq!(unmasked(&frame), Some(vec![0xC0, 0x00]));
    assert_eq!(unmasked(&frame[..7]), None);
}
