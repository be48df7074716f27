//! MQTT over WebSocket (section 6): the request that opens it, and the stream of bytes inside its frames.

pub(super) mod handshake;
mod incoming;
pub mod options;
pub(super) mod stream;
