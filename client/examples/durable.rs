//! Sensor readings that survive a crash of this process: `cargo run -p squall-client --example durable FILE`.

use squall_client::{
    net::{connector::TcpConnector, driver::start_with_store, store::FileStore},
    options::Options,
};
use squall_codec::{packet::Publish, qos::Qos, reason::ReasonCode, topic::TopicName, version::Version, wire::Text};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("name a file for the session")?;
    let options = Options {
        clean_start: false,
        session_expiry_seconds: Some(24 * 60 * 60),
        ..Options::new(Version::V5_0, Text::literal("sensor-1"))
    };
    let server = TcpConnector { host: "127.0.0.1".to_owned(), port: 1883 };
    let store = Box::new(FileStore::open(file)?);
    let (client, _, _, driver) = start_with_store(options, server, u64::from(std::process::id()), store)?;
    tokio::spawn(driver);

    for reading in 0..10 {
        let message = Publish::new(&TopicName::literal("sensors/1"), reading.to_string());
        client.publish(message.at(Qos::ExactlyOnce, None)).await?;
    }
    client.disconnect(ReasonCode::NORMAL_DISCONNECTION, None).await;
    Ok(())
}
