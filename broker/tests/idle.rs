//! Ten thousand clients that are connected and say nothing: what they cost the program.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::BytesMut;
use squall_codec::{
    packet::{Connect, Packet},
    version::Version,
    wire::Text,
};

/// Resident bytes that a plain connection may take, its session included.
const BYTES_EACH: u64 = 4096;
/// A reader that gets nothing fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the two programs need beside the connections.
const OTHER_FILES: u64 = 200;

/// The program, ended with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// Bytes of its memory that are there.
    fn resident(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or(io::ErrorKind::NotFound)?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
        Ok(kilobytes * 1024)
    }
}

fn start() -> (Program, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let program = Program(child);
    let address = line.split("mqtt://").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    (program, address.parse().expect("an address"))
}

fn exchange(stream: &mut TcpStream, packet: &Packet, answer: &mut [u8]) -> io::Result<()> {
    let mut out = BytesMut::new();
    packet.encode(Version::V5_0, &mut out).map_err(io::Error::other)?;
    stream.write_all(&out)?;
    stream.read_exact(answer)
}

fn connect(address: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let client_id = Text::new(format!("idle-{number}")).map_err(io::Error::other)?;
    let connect = Connect::new(Version::V3_1_1, client_id);
    let mut out = BytesMut::new();
    Packet::Connect(connect).encode(Version::V3_1_1, &mut out).map_err(io::Error::other)?;
    stream.write_all(&out)?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    assert_eq!(connack, [0x20, 2, 0, 0]);
    Ok(stream)
}

/// How many connections fit into the open files that this process may have; the program is one process and we another.
fn room() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(0).saturating_sub(OTHER_FILES)
}

fn hold(count: usize) -> Option<(Program, Vec<TcpStream>, u64)> {
    if room() < count as u64 {
        eprintln!("SKIPPED: {count} connections need as many open files, and only {} are allowed", room());
        return None;
    }
    let (program, address) = start();
    // The first connections pay for what all share.
    let mut streams: Vec<TcpStream> = (0..100).map(|number| connect(address, number).expect("a connection")).collect();
    let before = program.resident().expect("/proc");
    streams.extend((100..count + 100).map(|number| connect(address, number).expect("a connection")));
    let each = program.resident().expect("/proc").saturating_sub(before) / count as u64;
    Some((program, streams, each))
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_idle_clients_are_answered_and_cost_little_memory_each() {
    let Some((_program, mut streams, each)) = hold(10_000) else { return };
    eprintln!("{each} resident bytes for each of 10000 connections");
    let mut answer = [0; 2];
    for stream in &mut streams {
        exchange(stream, &Packet::Pingreq, &mut answer).expect("it is still there");
        assert_eq!(answer, [0xD0, 0]);
    }
    assert!(each <= BYTES_EACH, "{each} resident bytes for each connection");
}
