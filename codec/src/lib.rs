//! What both ends of an MQTT connection share: the packets of 3.1, 3.1.1 and 5.0, topics, the QoS exchanges.
//!
//! Nothing here does I/O or reads a clock. Import a name from the module that defines it.
//!
//! ```
//! use bytes::BytesMut;
//! use squall_codec::{packet::{Packet, Publish}, reason::Side, stream::Decoder, topic::TopicName, version::Version};
//!
//! let publish = Packet::Publish(Publish::new(&TopicName::try_from("t/1")?, "hello"));
//! let mut bytes = BytesMut::new();
//! publish.encode(Version::V5_0, &mut bytes)?;
//!
//! let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 65_536);
//! decoder.extend(&bytes[..4]);
//! assert_eq!(decoder.next_packet()?, None);
//! decoder.extend(&bytes[4..]);
//! assert_eq!(decoder.next_packet()?, Some(publish));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

mod ascii;
pub mod error;
pub mod flow;
#[cfg(feature = "arbitrary")]
pub mod fuzzing;
#[cfg(feature = "arbitrary")]
pub mod generate;
pub mod packet;
pub mod property;
pub mod qos;
pub mod reason;
pub mod stream;
pub mod time;
pub mod topic;
pub mod version;
pub mod wire;
