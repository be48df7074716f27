//! Connects, subscribes, publishes, and waits for its own message: `cargo run -p squall-client --example hello`.

use squall_client::{
    net::{connector::TcpConnector, driver::start},
    options::Options,
};
use squall_codec::{
    packet::{Publish, Subscription},
    property::Properties,
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::Text,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::new(Version::V5_0, Text::literal("hello"));
    let broker = TcpConnector { host: "127.0.0.1".to_owned(), port: 1883 };
    let (client, mut messages, _events, driver) = start(options, broker, 1);
    tokio::spawn(driver);

    let greetings = Subscription::new(TopicFilter::literal("greetings/#"), Qos::AtLeastOnce);
    client.subscribe(vec![greetings], Properties::new()).await?;
    let message = Publish::new(&TopicName::literal("greetings/world"), "hello").at(Qos::AtLeastOnce, None);
    client.publish(message).await?;
    if let Some(message) = messages.next().await {
        println!("{}: {}", message.topic(), String::from_utf8_lossy(message.payload()));
    }
    client.disconnect(ReasonCode::NORMAL_DISCONNECTION, None).await;
    Ok(())
}
