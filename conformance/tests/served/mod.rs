//! Servers on a real socket, for tests.

use std::{net::SocketAddr, sync::mpsc, thread};

use tokio::net::TcpListener;

/// Runs a server at a free loopback port, on a thread of its own, for as long as this process lives.
pub(crate) fn served<F: Future<Output = ()>>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> SocketAddr {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            sender.send(listener.local_addr().expect("it is bound")).expect("someone waits for the address");
            serve(listener).await;
        });
    });
    receiver.recv().expect("the server starts")
}
