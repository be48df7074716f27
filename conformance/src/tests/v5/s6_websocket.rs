//! 6 WebSocket of 5.0.

use crate::{
    liars::s6_websocket as liar,
    setup::Setup,
    test::{Test, test},
    tests::both::s6_websocket::{
        a_text_frame_closes_the_connection, packets_need_not_line_up_with_frames,
        the_server_chooses_the_subprotocol_mqtt, the_server_writes_binary_frames,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_text_frame_closes_the_connection,
        "A client says CONNECT, another PUBLISH, in a text frame; the server closes the connection.",
        ["5.0/MQTT-6.0.0-1"],
        liar::takes_text_for_binary
    )
    .on(Setup::WebSocket),
    test!(
        the_server_writes_binary_frames,
        "All that a server writes to a client over a WebSocket comes in binary frames.",
        ["5.0/MQTT-6.0.0-1"],
        liar::writes_text_frames
    )
    .on(Setup::WebSocket),
    test!(
        packets_need_not_line_up_with_frames,
        "Packets come in several frames, and several packets in one; the server serves them as a stream.",
        ["5.0/MQTT-6.0.0-2"],
        liar::takes_a_frame_for_a_packet
    )
    .on(Setup::WebSocket),
    test!(
        the_server_chooses_the_subprotocol_mqtt,
        "A client offers the subprotocol mqtt alone, and after another one; the server chooses mqtt.",
        ["5.0/MQTT-6.0.0-4"],
        liar::chooses_another_subprotocol
    )
    .on(Setup::WebSocket),
];
