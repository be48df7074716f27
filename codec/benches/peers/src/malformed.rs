//! What the codecs say to packets that have to be refused: those of `codec/tests/malformed/packets.txt`, whole frames with a
//! right Remaining Length.

use std::panic::{self, AssertUnwindSafe};

use serde::Serialize;
use squall_codec::{reason::Side, version::Version};

use crate::codec::Codec;

/// What one codec did with those of its version.
#[derive(Default, Serialize)]
pub struct Refusals {
    pub codec: &'static str,
    pub mqtt: String,
    pub packets: usize,
    pub refused: usize,
    /// Decoded, as if nothing were wrong.
    pub taken: usize,
    /// More bytes are waited for, though the frame is whole.
    pub waited: usize,
    pub panicked: usize,
}

pub fn judge(codecs: &mut [Box<dyn Codec>]) -> Vec<Refusals> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let judged = codecs.iter_mut().map(|codec| judge_one(codec.as_mut())).collect();
    panic::set_hook(hook);
    judged
}

fn judge_one(codec: &mut dyn Codec) -> Refusals {
    let mut refusals = Refusals { codec: codec.name(), mqtt: codec.version().to_string(), ..Refusals::default() };
    for line in include_str!("../../../tests/malformed/packets.txt").lines().filter(|line| !line.starts_with('#')) {
        let [version, sender, given, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if version.parse::<Version>() != Ok(codec.version()) {
            continue;
        }
        let sender = if sender == "client" { Side::Client } else { Side::Server };
        let decoded = panic::catch_unwind(AssertUnwindSafe(|| {
            codec.begin_with(sender);
            codec.feed(&bytes(given));
            codec.drain()
        }));
        refusals.packets += 1;
        *match decoded {
            Ok(Err(_)) => &mut refusals.refused,
            Ok(Ok(0)) => &mut refusals.waited,
            Ok(Ok(_)) => &mut refusals.taken,
            Err(_) => &mut refusals.panicked,
        } += 1;
    }
    refusals
}

/// Hexadecimal digits, and characters in quotes.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u32> = part.chars().filter_map(|digit| digit.to_digit(16)).collect();
        bytes.extend(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8));
    }
    bytes
}
