//! The client against Debian's Mosquitto, over every transport.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use squall_client::{
    net::{
        driver::start,
        tls::{ClientCertificate, TlsOptions, Trust},
        transport::UrlConnector,
    },
    options::{Options, Reconnect},
};
use squall_codec::{
    packet::Subscription, property::Properties, qos::Qos, reason::ReasonCode, topic::TopicFilter, version::Version,
    wire::Text,
};
use tokio::time::timeout;

use crate::support::{Files, PATIENCE, message};

/// A running Mosquitto; it ends with its test.
struct Mosquitto {
    child: Child,
    mqtt: u16,
    mqtts: u16,
    ws: u16,
    wss: u16,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders.map(|folder| folder.join("mosquitto")).find(|program| program.is_file())
}

fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners: [TcpListener; COUNT] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port on loopback"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}

impl Mosquitto {
    fn start(program: &Path, files: &Files) -> Mosquitto {
        let [mqtt, mqtts, ws, wss] = free_ports();
        let tls = |require: bool| {
            format!(
                "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate {require}\n",
                files.path("ca.pem").display(),
                files.path("server.pem").display(),
                files.path("server.key").display(),
            )
        };
        // Beyond its limit, 20 by default, 2.0 acknowledges QoS 2 messages of 3.x clients and drops them.
        let config = format!(
            "allow_anonymous true\nuser root\nlog_type none\nset_tcp_nodelay true\nmax_inflight_messages 100\n\
             listener {mqtt} 127.0.0.1\n\
             listener {mqtts} 127.0.0.1\n{}\
             listener {ws} 127.0.0.1\nprotocol websockets\n\
             listener {wss} 127.0.0.1\nprotocol websockets\n{}",
            tls(true),
            tls(false)
        );
        let path = files.path("mosquitto.conf");
        std::fs::write(&path, config).expect("a file");
        let child = Command::new(program).arg("-c").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Mosquitto { child: child.expect("it starts"), mqtt, mqtts, ws, wss }
    }
}

#[tokio::test]
async fn messages_of_every_qos_and_version_come_back_over_every_transport() {
    let Some(program) = program() else {
        eprintln!("skipped: no mosquitto on this machine");
        return;
    };
    let files = Files::new();
    let mosquitto = Mosquitto::start(&program, &files);
    let tls = TlsOptions {
        trust: Trust::Only(vec![files.path("ca.pem")]),
        certificate: Some(ClientCertificate { chain: files.path("client.pem"), key: files.path("client.key") }),
        ..TlsOptions::default()
    };
    let Mosquitto { mqtt, mqtts, ws, wss, .. } = mosquitto;
    for url in [
        format!("mqtt://127.0.0.1:{mqtt}"),
        format!("mqtts://localhost:{mqtts}"),
        format!("ws://127.0.0.1:{ws}"),
        format!("wss://localhost:{wss}/mqtt"),
    ] {
        for version in Version::ALL {
            let connector = UrlConnector::new(&url.parse().expect("a URL"), &tls).expect("TLS can be set up");
            exchange(connector, version, &url).await;
        }
    }
}

async fn exchange(connector: UrlConnector, version: Version, url: &str) {
    let options = Options {
        // It takes a moment to listen.
        reconnect: Reconnect::Backoff { first: Duration::from_millis(20), max: Duration::from_millis(200) },
        ..Options::new(version, Text::literal("squall"))
    };
    let (handle, _messages, _events, driver) = start(options, connector, 1);
    tokio::spawn(driver);
    let place = format!("{url}, {version:?}");
    let wanted = vec![Subscription::new(TopicFilter::literal("squall/#"), Qos::ExactlyOnce)];
    // The first connections may fail before a SUBSCRIBE can leave: it waits for one that stands.
    let subscribed = timeout(PATIENCE, handle.stream(wanted, Properties::new())).await;
    let mut stream = subscribed.unwrap_or_else(|_| panic!("{place}: no SUBACK")).expect("granted");
    assert_eq!(stream.results()[0].1, ReasonCode::GrantedQos2, "{place}");
    for qos in Qos::ALL {
        // Many at once, so that frames and records are shared and split.
        let mut receipts = Vec::new();
        for number in 0..100 {
            receipts.push(handle.queue(message("squall/t", qos, &format!("{number}"))).await.expect("taken"));
            if number % 50 == 49 {
                for expected in number - 49..=number {
                    let next = timeout(PATIENCE, stream.next()).await;
                    let message =
                        next.unwrap_or_else(|_| panic!("{place}, {qos:?}: {expected} is missing")).expect("it runs");
                    assert_eq!((message.payload(), message.qos), (expected.to_string().as_bytes(), qos), "{place}");
                }
            }
        }
        for receipt in receipts {
            timeout(PATIENCE, receipt.outcome()).await.expect("in time").expect("acknowledged");
        }
    }
    // Its WebSockets take 4 kB every 100 ms.
    let large = "x".repeat(if url.starts_with("ws") { 10_000 } else { 1_000_000 });
    handle.publish(message("squall/large", Qos::AtLeastOnce, &large)).await.expect("acknowledged");
    let back = timeout(PATIENCE, stream.next()).await.expect("in time").expect("it runs");
    assert_eq!(back.payload().len(), large.len(), "{place}");
    timeout(PATIENCE, handle.disconnect(ReasonCode::NORMAL_DISCONNECTION, None)).await.expect("it ends");
}
