//! MQTT 5.0.

mod s1_5_data_types;
mod s2_2_malformed;
mod s2_packet_format;
mod s3_01_access;
mod s3_01_connect;
mod s3_01_expiry;
mod s3_01_identifiers;
mod s3_01_keep_alive;
mod s3_01_properties;
mod s3_01_session;
mod s3_01_size;
mod s3_01_will;
mod s3_02_connack;
mod s3_02_limits;
mod s3_03_aliases;
mod s3_03_expiry;
mod s3_03_properties;
mod s3_03_publish;
mod s3_03_retain;
mod s3_04_acknowledgements;
mod s3_04_size;
mod s3_08_options;
mod s3_08_subscribe;
mod s3_10_unsubscribe;
mod s3_12_pingreq;
mod s3_14_disconnect;
mod s3_15_auth;
mod s4_01_delivery;
mod s4_01_restart;
mod s4_02_network;
mod s4_03_access;
mod s4_03_freedoms;
mod s4_07_semantics;
mod s4_07_topics;
mod s4_08_malformed;
mod s4_08_shared_delivery;
mod s4_08_shares;
mod s4_09_flow_control;
mod s4_09_receive_maximum;
mod s4_10_conversations;
mod s4_11_redirection;
mod s4_12_authentication;
mod s4_12_exchange;
mod s4_12_malformed;
mod s4_13_errors;
mod s6_websocket;

use squall_codec::version::Version;

use crate::test::Section;

pub(crate) const SECTIONS: &[Section] = &[
    Section { version: Version::V5_0, number: "1.5", title: "Data representation", tests: s1_5_data_types::TESTS },
    Section { version: Version::V5_0, number: "2", title: "Control Packet format", tests: s2_packet_format::TESTS },
    Section {
        version: Version::V5_0,
        number: "2.2.2",
        title: "Malformed properties and codes",
        tests: s2_2_malformed::TESTS,
    },
    Section { version: Version::V5_0, number: "3.1", title: "CONNECT", tests: s3_01_connect::TESTS },
    Section { version: Version::V5_0, number: "3.1.2.4", title: "Sessions", tests: s3_01_session::TESTS },
    Section { version: Version::V5_0, number: "3.1.2.5", title: "Wills", tests: s3_01_will::TESTS },
    Section { version: Version::V5_0, number: "3.1.2.11", title: "CONNECT Properties", tests: s3_01_properties::TESTS },
    Section { version: Version::V5_0, number: "3.1.2.11.4", title: "Maximum Packet Size", tests: s3_01_size::TESTS },
    Section { version: Version::V5_0, number: "3.1.3", title: "CONNECT Payload", tests: s3_01_identifiers::TESTS },
    Section { version: Version::V5_0, number: "3.1.2.10", title: "Keep Alive", tests: s3_01_keep_alive::TESTS },
    Section {
        version: Version::V5_0,
        number: "3.1.2.11.2",
        title: "Session Expiry Interval",
        tests: s3_01_expiry::TESTS,
    },
    Section { version: Version::V5_0, number: "3.2", title: "CONNACK", tests: s3_02_connack::TESTS },
    Section { version: Version::V5_0, number: "3.3", title: "PUBLISH", tests: s3_03_publish::TESTS },
    Section { version: Version::V5_0, number: "3.3.1.3", title: "RETAIN", tests: s3_03_retain::TESTS },
    Section { version: Version::V5_0, number: "3.3.2.3", title: "PUBLISH Properties", tests: s3_03_properties::TESTS },
    Section {
        version: Version::V5_0,
        number: "3.3.2.3.3",
        title: "Message Expiry Interval",
        tests: s3_03_expiry::TESTS,
    },
    Section { version: Version::V5_0, number: "3.3.2.3.4", title: "Topic Alias", tests: s3_03_aliases::TESTS },
    Section { version: Version::V5_0, number: "3.4", title: "PUBACK", tests: s3_04_acknowledgements::PUBACK },
    Section { version: Version::V5_0, number: "3.5", title: "PUBREC", tests: s3_04_acknowledgements::PUBREC },
    Section { version: Version::V5_0, number: "3.6", title: "PUBREL", tests: s3_04_acknowledgements::PUBREL },
    Section { version: Version::V5_0, number: "3.7", title: "PUBCOMP", tests: s3_04_acknowledgements::PUBCOMP },
    Section { version: Version::V5_0, number: "3.8", title: "SUBSCRIBE", tests: s3_08_subscribe::SUBSCRIBE },
    Section { version: Version::V5_0, number: "3.8.3", title: "Subscription Options", tests: s3_08_options::TESTS },
    Section { version: Version::V5_0, number: "3.9", title: "SUBACK", tests: s3_08_subscribe::SUBACK },
    Section { version: Version::V5_0, number: "3.10", title: "UNSUBSCRIBE", tests: s3_10_unsubscribe::UNSUBSCRIBE },
    Section { version: Version::V5_0, number: "3.11", title: "UNSUBACK", tests: s3_10_unsubscribe::UNSUBACK },
    Section { version: Version::V5_0, number: "3.4 to 3.11", title: "Size of answers", tests: s3_04_size::TESTS },
    Section { version: Version::V5_0, number: "3.12", title: "PINGREQ", tests: s3_12_pingreq::TESTS },
    Section { version: Version::V5_0, number: "3.14", title: "DISCONNECT", tests: s3_14_disconnect::TESTS },
    Section { version: Version::V5_0, number: "3.15", title: "AUTH", tests: s3_15_auth::TESTS },
    Section {
        version: Version::V5_0,
        number: "4.1 to 4.6",
        title: "Operational behaviour",
        tests: s4_01_delivery::TESTS,
    },
    Section { version: Version::V5_0, number: "4.2", title: "Network Connections", tests: s4_02_network::TESTS },
    Section {
        version: Version::V5_0,
        number: "4.3 to 4.6",
        title: "What is left to the server",
        tests: s4_03_freedoms::TESTS,
    },
    Section {
        version: Version::V5_0,
        number: "4.7",
        title: "Topic Names and Topic Filters",
        tests: s4_07_topics::TESTS,
    },
    Section {
        version: Version::V5_0,
        number: "4.7.1 to 4.7.3",
        title: "Topic semantics",
        tests: s4_07_semantics::TESTS,
    },
    Section { version: Version::V5_0, number: "4.8", title: "Shared Subscriptions", tests: s4_08_shares::TESTS },
    Section {
        version: Version::V5_0,
        number: "4.8.2",
        title: "Delivery to Shared Subscriptions",
        tests: s4_08_shared_delivery::TESTS,
    },
    Section { version: Version::V5_0, number: "4.9", title: "Flow Control", tests: s4_09_flow_control::TESTS },
    Section {
        version: Version::V5_0,
        number: "4.9.1",
        title: "Windows and identifiers",
        tests: s4_09_receive_maximum::TESTS,
    },
    Section {
        version: Version::V5_0,
        number: "4.10",
        title: "Request, response and what is left open",
        tests: s4_10_conversations::TESTS,
    },
    Section {
        version: Version::V5_0,
        number: "4.12",
        title: "Enhanced authentication",
        tests: s4_12_authentication::TESTS,
    },
    Section { version: Version::V5_0, number: "4.13", title: "Malformed packets", tests: s4_08_malformed::TESTS },
    Section { version: Version::V5_0, number: "4.13", title: "Handling errors", tests: s4_13_errors::TESTS },
    Section { version: Version::V5_0, number: "3.1.4", title: "Access", tests: s3_01_access::TESTS },
    Section { version: Version::V5_0, number: "3.2.2.3", title: "Limits in CONNACK", tests: s3_02_limits::TESTS },
    Section { version: Version::V5_0, number: "4.1", title: "Restart", tests: s4_01_restart::TESTS },
    Section { version: Version::V5_0, number: "4.3.3", title: "Access to topics", tests: s4_03_access::TESTS },
    Section { version: Version::V5_0, number: "4.12", title: "Enhanced authentication", tests: s4_12_exchange::TESTS },
    Section { version: Version::V5_0, number: "4.12.0", title: "Malformed AUTH", tests: s4_12_malformed::TESTS },
    Section { version: Version::V5_0, number: "4.11", title: "Server redirection", tests: s4_11_redirection::TESTS },
    Section { version: Version::V5_0, number: "6", title: "WebSocket", tests: s6_websocket::TESTS },
];
