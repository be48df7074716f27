//! Connects, subscribes, publishes, and waits for its own message: `cargo run -p squall-client --example hello [URL]`.

use squall_client::{net::transport::open, options::Options};
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
    let url = std::env::args().nth(1).unwrap_or_else(|| "mqtt://127.0.0.1".to_owned());
    let (client, _, _) = open(&url, Options::new(Version::V5_0, Text::literal("hello")))?;

    let wanted = Subscription::new(TopicFilter::literal("greetings/#"), Qos::AtLeastOnce);
    let mut greetings = client.stream(vec![wanted], Properties::new()).await?;
    let message = Publish::new(&TopicName::literal("greetings/world"), "hello").at(Qos::AtLeastOnce, None);
    client.publish(message).await?;
    if let Some(message) = greetings.next().await {
        println!("{}: {}", message.topic(), String::from_utf8_lossy(message.payload()));
    }
    client.disconnect(ReasonCode::NORMAL_DISCONNECTION, None).await;
    Ok(())
}
