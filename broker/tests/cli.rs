//! The program from outside: what it prints, and the status it ends with.
#![cfg(unix)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
};

fn broker(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(arguments: &[&str]) -> Output {
    broker(arguments).output().expect("the program starts")
}

/// Starts the program: it, and the line that it prints.
fn started(arguments: &[&str]) -> (Child, String) {
    let mut child = broker(arguments).spawn().expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    (child, line)
}

fn one_sentence(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn it_prints_where_it_listens_and_stops_at_a_signal() {
    for (host, signal) in [("127.0.0.1", "-TERM"), ("127.0.0.1", "-INT")] {
        let (mut child, line) = started(&["--listen", &format!("{host}:0"), "--max-qos", "1"]);
        let rest = line.trim_end().strip_prefix("listening on mqtt://").expect("the line");
        let address = rest.strip_suffix(" (anonymous, in memory)").expect("the line");
        // A client gets what the flags say, and hears of the end.
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(&[0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 0, 1, b'a']).expect("open");
        let mut connack = [0; 2];
        stream.read_exact(&mut connack).expect("a CONNACK");
        let mut properties = vec![0; connack[1].into()];
        stream.read_exact(&mut properties).expect("a CONNACK");
        assert!(properties.windows(2).any(|pair| pair == [0x24, 1]), "Maximum QoS is missing: {properties:?}");
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
        assert!(sent.success());
        let mut goodbye = Vec::new();
        stream.read_to_end(&mut goodbye).expect("an end");
        assert_eq!(goodbye, [0xE0, 1, 0x8B]);
        drop(stream);
        assert_eq!(child.wait().expect("an end").code(), Some(0));
    }
}

#[test]
fn an_address_that_is_none_or_is_taken_is_one_sentence_and_status_2() {
    let sentence = one_sentence(&ended(&["--listen", "nonsense"]));
    assert!(sentence.contains("failed to listen on nonsense"), "{sentence}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let sentence = one_sentence(&ended(&["--listen", &address]));
    assert!(sentence.contains(&address), "{sentence}");
}

#[test]
fn help_has_examples_and_wrong_options_are_status_2() {
    let help = ended(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
    for arguments in [&["--nonsense"][..], &["--max-qos", "3"], &["--receive-maximum", "0"], &["--log", "=!="]] {
        assert_eq!(ended(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
