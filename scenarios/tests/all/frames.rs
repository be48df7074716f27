//! Frames are found in bytes however those are cut.

use proptest::prelude::*;
use squall_scenarios::frames::FrameSplitter;

fn frame(first: u8, body: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body;
    loop {
        let byte = (length & 0x7F) as u8;
        length >>= 7;
        bytes.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    bytes.extend((0..body).map(|index| index as u8));
    bytes
}

#[test]
fn a_fifth_length_byte_ends_the_search() {
    let mut splitter = FrameSplitter::default();
    splitter.extend(&[0xC0, 0x00, 0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
    assert_eq!(splitter.next_frame().as_deref(), Some(&[0xC0, 0x00][..]));
    assert_eq!(splitter.next_frame(), None);
    assert!(splitter.is_lost());
    assert_eq!(splitter.take_rest().as_ref(), [0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        frames in prop::collection::vec((any::<u8>(), 0..300usize), 0..8),
        cuts in prop::collection::vec(1..40usize, 1..40),
    ) {
        let frames: Vec<Vec<u8>> = frames.into_iter().map(|(first, body)| frame(first, body)).collect();
        let all = frames.concat();
        let mut splitter = FrameSplitter::default();
        let mut found = Vec::new();
        let mut rest = &all[..];
        let mut sizes = cuts.iter().cycle();
        while !rest.is_empty() {
            let size = (*sizes.next().expect("endless")).min(rest.len());
            splitter.extend(&rest[..size]);
            rest = &rest[size..];
            while let Some(frame) = splitter.next_frame() {
                found.push(frame.to_vec());
            }
        }
        prop_assert_eq!(found, frames);
        prop_assert!(splitter.take_rest().is_empty());
    }
}
