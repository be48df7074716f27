//! MQTT 3.1.1.

mod s1_5_data_types;
mod s2_packet_format;
mod s3_01_access;
mod s3_01_connect;
mod s3_01_identifiers;
mod s3_01_keep_alive;
mod s3_01_session;
mod s3_01_will;
mod s3_02_connack;
mod s3_03_publish;
mod s3_03_retain;
mod s3_06_pubrel;
mod s3_08_subscribe;
mod s3_10_unsubscribe;
mod s3_12_pingreq;
mod s3_14_disconnect;
mod s4_01_delivery;
mod s4_01_restart;
mod s4_02_network;
mod s4_03_freedoms;
mod s4_07_semantics;
mod s4_07_topics;
mod s4_08_errors;
mod s4_08_malformed;
mod s6_websocket;

use squall_codec::version::Version;

use crate::test::Section;

pub(crate) const SECTIONS: &[Section] = &[
    Section { version: Version::V3_1_1, number: "1.5", title: "Data representation", tests: s1_5_data_types::TESTS },
    Section { version: Version::V3_1_1, number: "2", title: "Control Packet format", tests: s2_packet_format::TESTS },
    Section { version: Version::V3_1_1, number: "3.1", title: "CONNECT", tests: s3_01_connect::TESTS },
    Section { version: Version::V3_1_1, number: "3.1.2.4", title: "Sessions", tests: s3_01_session::TESTS },
    Section { version: Version::V3_1_1, number: "3.1.2.5", title: "Wills", tests: s3_01_will::TESTS },
    Section { version: Version::V3_1_1, number: "3.1.3", title: "CONNECT Payload", tests: s3_01_identifiers::TESTS },
    Section { version: Version::V3_1_1, number: "3.1.2.10", title: "Keep Alive", tests: s3_01_keep_alive::TESTS },
    Section { version: Version::V3_1_1, number: "3.2", title: "CONNACK", tests: s3_02_connack::TESTS },
    Section { version: Version::V3_1_1, number: "3.3", title: "PUBLISH", tests: s3_03_publish::TESTS },
    Section { version: Version::V3_1_1, number: "3.3.1.3", title: "RETAIN", tests: s3_03_retain::TESTS },
    Section { version: Version::V3_1_1, number: "3.6", title: "PUBREL", tests: s3_06_pubrel::TESTS },
    Section { version: Version::V3_1_1, number: "3.8", title: "SUBSCRIBE", tests: s3_08_subscribe::SUBSCRIBE },
    Section { version: Version::V3_1_1, number: "3.9", title: "SUBACK", tests: s3_08_subscribe::SUBACK },
    Section { version: Version::V3_1_1, number: "3.10", title: "UNSUBSCRIBE", tests: s3_10_unsubscribe::TESTS },
    Section { version: Version::V3_1_1, number: "3.12", title: "PINGREQ", tests: s3_12_pingreq::TESTS },
    Section { version: Version::V3_1_1, number: "3.14", title: "DISCONNECT", tests: s3_14_disconnect::TESTS },
    Section {
        version: Version::V3_1_1,
        number: "4.1 to 4.6",
        title: "Operational behaviour",
        tests: s4_01_delivery::TESTS,
    },
    Section { version: Version::V3_1_1, number: "4.2", title: "Network Connections", tests: s4_02_network::TESTS },
    Section {
        version: Version::V3_1_1,
        number: "4.3 to 4.6",
        title: "What is left to the server",
        tests: s4_03_freedoms::TESTS,
    },
    Section {
        version: Version::V3_1_1,
        number: "4.7",
        title: "Topic Names and Topic Filters",
        tests: s4_07_topics::TESTS,
    },
    Section {
        version: Version::V3_1_1,
        number: "4.7.1 to 4.7.3",
        title: "Topic semantics",
        tests: s4_07_semantics::TESTS,
    },
    Section { version: Version::V3_1_1, number: "4.8", title: "Malformed packets", tests: s4_08_malformed::TESTS },
    Section { version: Version::V3_1_1, number: "4.8", title: "Handling errors", tests: s4_08_errors::TESTS },
    Section { version: Version::V3_1_1, number: "3.1.4", title: "Access", tests: s3_01_access::TESTS },
    Section { version: Version::V3_1_1, number: "4.1", title: "Restart", tests: s4_01_restart::TESTS },
    Section { version: Version::V3_1_1, number: "6", title: "WebSocket", tests: s6_websocket::TESTS },
];
