//! One file for each codec.

mod codec_kit;
mod mqttbytes;
mod mqttrs;
mod ntex;
mod protocol_core;
mod rmqtt;
mod rumqttc;
mod shared;
mod squall;

use crate::codec::Codec;

/// Ours first.
pub fn all() -> Vec<Box<dyn Codec>> {
    let mut all: Vec<Box<dyn Codec>> = vec![Box::new(mqttrs::Mqttrs::default())];
    all.extend(codec_kit::both());
    all.extend(mqttbytes::both());
    all.extend(ntex::both());
    all.extend(protocol_core::both());
    all.extend(rmqtt::both());
    all.extend(rumqttc::both());
    let mut codecs = squall::both();
    codecs.extend(squall::views());
    codecs.append(&mut all);
    codecs
}
