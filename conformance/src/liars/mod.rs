//! The liars: each breaks one rule of an otherwise honest subject. A test that does not notice its liar checks nothing.

pub(crate) mod access;
pub(crate) mod conversation;
pub mod crude;
pub(crate) mod enhanced;
pub(crate) mod exchanges;
pub(crate) mod faults;
pub(crate) mod filter;
pub(crate) mod flow_control;
pub(crate) mod kind;
pub(crate) mod limits;
pub(crate) mod malformed;
pub(crate) mod s1_5_data_types;
pub(crate) mod s2_packet_format;
pub(crate) mod s3_01_connect;
pub(crate) mod s3_01_identifiers;
pub(crate) mod s3_01_keep_alive;
pub(crate) mod s3_01_session;
pub(crate) mod s3_02_connack;
pub(crate) mod s3_03_publish;
pub(crate) mod s4_02_network;
pub(crate) mod s4_03_freedoms;
pub(crate) mod s4_07_semantics;
pub(crate) mod s6_websocket;
pub(crate) mod shared;
pub(crate) mod subscribing;
pub(crate) mod subscription_options;
