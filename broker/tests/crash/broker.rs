//! The program, started on one folder and killed.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

pub(crate) struct Broker {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Broker {
    pub(crate) fn start(folder: &Path, durability: &str) -> Broker {
        let mut child = Command::new(env!("CARGO_BIN_EXE_broker"))
            .args(["--listen", "127.0.0.1:0", "--durability", durability, "--data"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on mqtt://").and_then(|rest| rest.split(' ').next());
        let address = address.unwrap_or_else(|| panic!("the program says '{line}'"));
        Broker { address: address.parse().expect("an address"), child }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the broker listens");
        stream.set_nodelay(true).expect("a socket");
        stream
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
