//! ntex-mqtt: the codecs for 3.1.1 and 5.0, over the buffers of ntex.

use std::hint::black_box;

use ntex_bytes::{BytePages, BytesMut};
use ntex_codec::{Decoder, Encoder};
use ntex_mqtt::{v3::codec as v3, v5::codec as v5};
use squall_codec::version::Version;

use crate::codec::Codec;

/// A version's module by its own names.
macro_rules! codec {
    ($name:ident $module:ident $version:expr) => {
        #[derive(Default)]
        struct $name {
            codec: $module::Codec,
            pending: BytesMut,
            kept: Vec<$module::Encoded>,
            copies: Vec<$module::Encoded>,
            out: BytePages,
        }

        impl $name {
            fn next(&mut self) -> Result<Option<$module::Decoded>, String> {
                self.codec.decode(&mut self.pending).map_err(|error| format!("{error:?}"))
            }
        }

        impl Codec for $name {
            fn name(&self) -> &'static str {
                "ntex-mqtt"
            }

            fn package(&self) -> &'static str {
                "ntex-mqtt"
            }

            fn version(&self) -> Version {
                $version
            }

            fn remark(&self) -> &'static str {
                "owns: shares the read buffer; `encode` takes the packet by value, copied before the clock starts"
            }

            fn begin(&mut self) {
                self.codec = $module::Codec::new();
                // A payload comes in one piece, as from the others.
                self.codec.set_min_chunk_size(u32::MAX);
                self.pending = BytesMut::new();
            }

            fn feed(&mut self, bytes: &[u8]) {
                self.pending.extend_from_slice(bytes);
            }

            fn drain(&mut self) -> Result<usize, String> {
                let mut count = 0;
                while let Some(decoded) = self.next()? {
                    match &decoded {
                        $module::Decoded::Publish(publish, payload, _) => {
                            black_box::<&str>(&publish.topic);
                            black_box(payload);
                            count += 1;
                        }
                        $module::Decoded::Packet(..) => count += 1,
                        $module::Decoded::PayloadChunk(payload, _) => {
                            black_box(payload);
                        }
                    }
                    black_box(&decoded);
                }
                Ok(count)
            }

            fn keep(&mut self, stream: &[u8]) -> Result<(), String> {
                self.begin();
                self.feed(stream);
                self.kept.clear();
                while let Some(decoded) = self.next()? {
                    self.kept.push(match decoded {
                        $module::Decoded::Publish(publish, payload, _) => {
                            $module::Encoded::Publish(publish, Some(payload))
                        }
                        $module::Decoded::Packet(packet, _) => $module::Encoded::Packet(packet),
                        $module::Decoded::PayloadChunk(chunk, _) => $module::Encoded::PayloadChunk(chunk),
                    });
                }
                Ok(())
            }

            fn prepare(&mut self) {
                self.copies.clone_from(&self.kept);
                self.out.clear();
            }

            fn encode(&mut self) -> Result<(), String> {
                for packet in self.copies.drain(..) {
                    self.codec.encodev(packet, &mut self.out).map_err(|error| format!("{error:?}"))?;
                }
                Ok(())
            }

            fn written(&mut self) -> Vec<u8> {
                let mut written = Vec::new();
                while let Some(page) = self.out.take() {
                    written.extend_from_slice(page.as_ref());
                }
                written
            }
        }
    };
}

codec!(Ntex3 v3 Version::V3_1_1);
codec!(Ntex5 v5 Version::V5_0);

pub fn both() -> Vec<Box<dyn Codec>> {
    vec![Box::new(Ntex3::default()), Box::new(Ntex5::default())]
}
