//! What codecs that read from a `BytesMut` and write to one have in common.

use bytes::BytesMut;
use squall_codec::version::Version;

use crate::codec::{Codec, ROOM};

/// A codec by its functions.
pub struct Buffered<P> {
    pub name: &'static str,
    pub package: &'static str,
    pub version: Version,
    pub remark: &'static str,
    /// `None`: more bytes are needed.
    pub read: fn(&mut BytesMut) -> Result<Option<P>, String>,
    pub look: fn(&P),
    pub write: fn(&P, &mut BytesMut) -> Result<(), String>,
    pub pending: BytesMut,
    pub kept: Vec<P>,
    pub out: BytesMut,
}

impl<P> Codec for Buffered<P> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn package(&self) -> &'static str {
        self.package
    }

    fn version(&self) -> Version {
        self.version
    }

    fn remark(&self) -> &'static str {
        self.remark
    }

    fn begin(&mut self) {
        self.pending = BytesMut::new();
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    fn drain(&mut self) -> Result<usize, String> {
        let mut count = 0;
        while let Some(packet) = (self.read)(&mut self.pending)? {
            (self.look)(&packet);
            count += 1;
        }
        Ok(count)
    }

    fn keep(&mut self, stream: &[u8]) -> Result<(), String> {
        self.begin();
        self.feed(stream);
        self.kept.clear();
        while let Some(packet) = (self.read)(&mut self.pending)? {
            self.kept.push(packet);
        }
        Ok(())
    }

    fn prepare(&mut self) {
        self.out.clear();
        self.out.reserve(ROOM);
    }

    fn encode(&mut self) -> Result<(), String> {
        self.kept.iter().try_for_each(|packet| (self.write)(packet, &mut self.out))
    }

    fn written(&mut self) -> Vec<u8> {
        self.out.to_vec()
    }
}
