//! Rules that hold for more than one version: each is one function, listed in the tables of the versions.

pub(crate) mod s1_5_data_types;
pub(crate) mod s2_packet_format;
pub(crate) mod s3_01_access;
pub(crate) mod s3_01_connect;
pub(crate) mod s3_01_identifiers;
pub(crate) mod s3_01_keep_alive;
pub(crate) mod s3_01_session;
pub(crate) mod s3_01_will;
pub(crate) mod s3_02_connack;
pub(crate) mod s3_03_publish;
pub(crate) mod s3_03_retain;
pub(crate) mod s3_03_retained_deliveries;
pub(crate) mod s3_06_pubrel;
pub(crate) mod s3_08_access;
pub(crate) mod s3_08_subscribe;
pub(crate) mod s3_10_unsubscribe;
pub(crate) mod s3_14_disconnect;
pub(crate) mod s4_01_restart;
pub(crate) mod s4_02_network;
pub(crate) mod s4_03_freedoms;
pub(crate) mod s4_03_qos;
pub(crate) mod s4_04_resumption;
pub(crate) mod s4_07_semantics;
pub(crate) mod s4_07_topics;
pub(crate) mod s4_08_malformed;
pub(crate) mod s6_websocket;
