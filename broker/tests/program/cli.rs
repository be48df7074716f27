//! What the program prints, and the status it ends with.

use std::{net::TcpListener, path::Path};

use squall_codec::{packet::Packet, version::Version};

use super::support::{Client, Running, ended, one_sentence, printed, tcp};

#[test]
fn it_says_in_one_line_where_it_listens_and_how() {
    let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0"]);
    let line = program.line();
    let address =
        line.strip_prefix("listening on mqtt://").and_then(|rest| rest.strip_suffix(" (anonymous, in memory)"));
    let address = address.unwrap_or_else(|| panic!("{line}")).parse().expect("an address");
    Client::connected(address, Version::V3_1_1, "alice");
}

#[test]
fn flags_are_what_clients_get() {
    let flags = ["--listen", "127.0.0.1:0", "--max-qos", "1", "--no-retain", "--max-packet-size", "64KiB"];
    let mut program = Running::start(Path::new("/"), &[&flags[..], &["--server-keep-alive=7"]].concat());
    let mut client = Client::over(tcp(program.address("mqtt")), Version::V5_0);
    let Packet::Connack(connack) = client.connect("alice") else { panic!("no CONNACK") };
    assert_eq!(connack.properties.maximum_qos(), Some(1));
    assert_eq!(connack.properties.retain_available(), Some(0));
    assert_eq!(connack.properties.maximum_packet_size(), Some(65_536));
    assert_eq!(connack.properties.server_keep_alive(), Some(7));
}

#[test]
fn several_listeners_serve_one_broker() {
    let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0", "--listen", "mqtt://[::1]:0"]);
    let (four, six) = (program.address("mqtt"), program.address("mqtt"));
    assert!(four.is_ipv4() && six.is_ipv6());
    let mut alice = Client::connected(four, Version::V5_0, "alice");
    alice.subscribe("t", squall_codec::qos::Qos::AtMostOnce);
    Client::connected(six, Version::V3_1_1, "bob").publish("t", b"hi");
    assert!(matches!(alice.next(), Some(Packet::Publish(publish)) if publish.payload() == b"hi"));
}

#[test]
fn an_address_that_is_none_or_is_taken_is_one_sentence_and_status_2() {
    let sentence = one_sentence(&ended(Path::new("/"), &["--listen", "nonsense"]));
    assert!(sentence.starts_with("broker: failed to listen on nonsense: expected mqtt://"), "{sentence}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let sentence = one_sentence(&ended(Path::new("/"), &["--listen", "127.0.0.1:0", "--listen", &address]));
    assert!(sentence.starts_with(&format!("broker: failed to listen on mqtt://{address}: ")), "{sentence}");
}

#[test]
fn the_help_is_the_reviewed_one() {
    insta::assert_snapshot!("help", printed(ended(Path::new("/"), &["--help"])));
    insta::assert_snapshot!("short_help", printed(ended(Path::new("/"), &["-h"])));
}

#[test]
fn wrong_options_are_status_2() {
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &["--max-qos", "3"],
        &["--receive-maximum", "0"],
        &["--log", "=!="],
        &["--no-retain", "--retain"],
        &["--check-config", "--print-config"],
    ] {
        assert_eq!(ended(Path::new("/"), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_open_files_is_raised_to_what_the_system_allows() {
    let script = format!("ulimit -Sn 64 && exec {} --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_broker"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut program = Running::spawn(&mut shell);
    program.address("mqtt");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.id())).expect("Linux has it");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let columns: Vec<_> = files.split_whitespace().collect();
    let [.., soft, hard, _unit] = columns.as_slice() else { panic!("{files}") };
    assert_eq!(soft, hard);
    assert_ne!(*soft, "64");
}
