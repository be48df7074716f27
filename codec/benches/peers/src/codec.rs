//! What every codec has to do here, and what all of them are given.

use squall_codec::{reason::Side, version::Version};

/// What ours are called: packets that own what they hold, and views.
pub const OURS: &str = "squall";
pub const OUR_VIEWS: &str = "squall, views";

/// A codec behind its own interface: bytes in as a socket would hand them over, packets looked at and dropped, packets
/// written into a buffer that is used again.
pub trait Codec {
    fn name(&self) -> &'static str;

    /// The name of its crate, as Cargo.lock has it.
    fn package(&self) -> &'static str;

    fn version(&self) -> Version;

    /// What a reader has to know in order to compare.
    fn remark(&self) -> &'static str;

    /// A new stream.
    fn begin(&mut self);

    /// A new stream of this sender, for those who care.
    fn begin_with(&mut self, _sender: Side) {
        self.begin();
    }

    /// Bytes come from the socket.
    fn feed(&mut self, bytes: &[u8]);

    /// Every whole packet that is there is decoded, looked at (the topic as a string, the payload) and dropped.
    fn drain(&mut self) -> Result<usize, String>;

    /// Keeps the packets of a stream for `encode`.
    fn keep(&mut self, stream: &[u8]) -> Result<(), String>;

    /// Before each `encode`, off the clock: an empty buffer, and copies for those who take packets by value.
    fn prepare(&mut self);

    /// Writes all packets that are kept, one behind the other.
    fn encode(&mut self) -> Result<(), String>;

    /// What `encode` wrote.
    fn written(&mut self) -> Vec<u8>;
}

/// Room for what `encode` writes: no codec has to grow its buffer on the clock.
pub const ROOM: usize = 1 << 20;

/// The length of the frame that begins here, for codecs that want to be given whole frames. `None`: not all is there.
pub fn frame_len(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (index, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let header = 2 + index;
            return (bytes.len() >= header + length).then_some((header, header + length));
        }
    }
    None
}

/// Bytes that came and were not decoded yet, for codecs that read slices.
#[derive(Default)]
pub struct Pending {
    bytes: Vec<u8>,
    at: usize,
}

impl Pending {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.at = 0;
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at == self.bytes.len() {
            self.clear();
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub fn left(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    pub fn advance(&mut self, by: usize) {
        self.at += by;
    }
}
