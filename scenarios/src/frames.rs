//! Where one frame ends and the next begins (section 2.1), from fixed headers alone: it works on malformed packets too.
//!
//! Nothing is decoded here, so that a link or a record never depends on what it looks at being right.

use bytes::{Bytes, BytesMut};

/// The longest Remaining Length in bytes (section 2.1.4).
const LENGTH_BYTES: usize = 4;

/// A run of bytes that belongs to one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// The frame's first byte: type and flags.
    pub(crate) first: u8,
    /// Bytes of the frame that came before this run.
    pub(crate) offset: usize,
    /// Bytes in this run.
    pub(crate) len: usize,
    /// The whole frame's length, once its header is complete.
    pub(crate) total: Option<usize>,
    /// Whether the frame ends with this run.
    pub(crate) ends: bool,
}

/// Follows the frames of one direction over any split of its bytes, and keeps none of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameScanner {
    first: u8,
    passed: usize,
    remaining_length: usize,
    total: Option<usize>,
    lost: bool,
}

impl FrameScanner {
    /// The first run of `bytes` that belongs to one frame; `None` when there are no bytes, or when a header was no
    /// header and nobody can say any more where frames begin.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Option<Fragment> {
        if self.lost || bytes.is_empty() {
            return None;
        }
        let offset = self.passed;
        let mut len = 0;
        while self.total.is_none() && len < bytes.len() {
            let byte = bytes[len];
            len += 1;
            if self.passed == 0 {
                self.first = byte;
            } else {
                self.remaining_length |= usize::from(byte & 0x7F) << (7 * (self.passed - 1));
                if byte & 0x80 == 0 {
                    self.total = Some(self.passed + 1 + self.remaining_length);
                } else if self.passed == LENGTH_BYTES {
                    self.lost = true;
                    return None;
                }
            }
            self.passed += 1;
        }
        if let Some(total) = self.total {
            let body = (total - self.passed).min(bytes.len() - len);
            len += body;
            self.passed += body;
        }
        let ends = self.total == Some(self.passed);
        let fragment = Fragment { first: self.first, offset, len, total: self.total, ends };
        if ends {
            *self = FrameScanner::default();
        }
        Some(fragment)
    }

    /// Whether a header was no header: what follows are bytes, not frames.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }
}

/// Cuts a stream of bytes into whole frames.
#[derive(Debug, Default)]
pub struct FrameSplitter {
    scanner: FrameScanner,
    /// Came, and not yet looked at.
    fresh: BytesMut,
    /// The beginning of a frame.
    begun: BytesMut,
}

impl FrameSplitter {
    /// Takes bytes as they came.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.fresh.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Option<Bytes> {
        let fragment = self.scanner.next(&self.fresh)?;
        self.begun.unsplit(self.fresh.split_to(fragment.len));
        fragment.ends.then(|| self.begun.split().freeze())
    }

    /// Whether what came is no frame and nothing can be found any more.
    pub fn is_lost(&self) -> bool {
        self.scanner.is_lost()
    }

    /// Takes what never became a whole frame.
    pub fn take_rest(&mut self) -> Bytes {
        self.begun.unsplit(self.fresh.split());
        self.begun.split().freeze()
    }
}
