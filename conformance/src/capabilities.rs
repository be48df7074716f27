//! What a server offers: what it says in CONNACK, and what comes of it when that is asked for.

use std::rc::Rc;

use serde::Serialize;
use squall_codec::{
    packet::{Connack, Packet, Suback, Subscribe, Subscription},
    property::Property,
    qos::Qos,
    version::Version,
    wire::PacketId,
};
use squall_scenarios::{
    peer::{Peer, Seen},
    stage::Stage,
    verdict::{Halt, Verdict},
};

use crate::{
    live::Live,
    preflight::Subject,
    run::{Bounds, run_id},
    tests::watch::{filter, message},
};

/// The shape of the JSON.
pub const SCHEMA: &str = "squall-conformance-card/1";

/// All that was found out.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Where the server is.
    pub target: String,
    /// What it says that it is.
    pub identity: Option<String>,
    /// Whether it speaks a version, and why not.
    pub versions: Vec<(String, Result<(), String>)>,
    /// The version in which the rest was asked.
    pub asked_in: String,
    /// What it offers.
    pub capabilities: Vec<Capability>,
}

/// One thing that a server may offer.
#[derive(Clone, Debug, Serialize)]
pub struct Capability {
    /// `Maximum QoS`.
    pub name: &'static str,
    /// What CONNACK says, or what it means that it says nothing.
    pub announced: Option<String>,
    /// What was seen when it was asked for.
    pub observed: Option<String>,
}

/// Asks a server in the newest version that it speaks.
///
/// # Errors
/// It speaks none of those that were tried.
pub async fn card(subject: &Subject, bounds: Bounds) -> Result<Card, String> {
    let spoken = subject.spoken.iter().filter(|(_, spoken)| spoken.is_ok()).map(|(version, _)| *version);
    let version = spoken.max().ok_or("it speaks none of the versions that were tried")?;
    let world = Rc::new(Live::new(subject.dialer(version).clone()));
    let stage = Stage::new(world, version, &run_id(u64::from(std::process::id())), bounds.patience)
        .with_credentials(subject.credentials.clone())
        .with_keep_alive(subject.keep_alive)
        .with_topic_root(&subject.topic_root);
    let probe = Probe { stage: &stage, connack: subject.connack.as_ref().filter(|_| version == Version::V5_0) };
    Ok(Card {
        schema: SCHEMA,
        target: subject.target.to_string(),
        identity: subject.identity.clone(),
        versions: subject.spoken.iter().map(|(version, spoken)| (version.to_string(), spoken.clone())).collect(),
        asked_in: version.to_string(),
        capabilities: probe.all().await,
    })
}

struct Probe<'a> {
    stage: &'a Stage,
    /// Of 5.0.
    connack: Option<&'a Connack>,
}

/// What came of a question: `Ok` for yes.
type Seems = Result<(), Halt>;

fn observed(seems: Seems) -> Option<String> {
    Some(match seems {
        Ok(()) => "works".to_owned(),
        Err(halt) if halt.verdict == Verdict::Inconclusive => format!("unknown: {}", halt.reason),
        Err(halt) => format!("does not work: {}", halt.reason),
    })
}

impl Probe<'_> {
    async fn all(&self) -> Vec<Capability> {
        let mut all = Vec::new();
        let mut add = |name, announced, observed| all.push(Capability { name, announced, observed });
        let highest = self.said(|connack| connack.properties.maximum_qos(), "2");
        for (name, qos) in [("QoS 1", Qos::AtLeastOnce), ("QoS 2", Qos::ExactlyOnce)] {
            let announced = highest.as_ref().map(|highest| format!("Maximum QoS {highest}"));
            add(name, announced, observed(self.delivers(qos).await));
        }
        let flag = |value: Option<u8>| value.map(|value| if value == 0 { "no" } else { "yes" });
        let offered = |read: fn(&Connack) -> Option<u8>| self.said(|connack| flag(read(connack)), "yes");
        let retain = offered(|connack| connack.properties.retain_available());
        add("retained messages", retain, observed(self.retains().await));
        let wildcards = offered(|connack| connack.properties.wildcard_subscription_available());
        add("wildcard subscriptions", wildcards, observed(self.matches("w/+/x", "w/a/x", None).await));
        if self.connack.is_some() {
            let shared = offered(|connack| connack.properties.shared_subscription_available());
            add("shared subscriptions", shared, observed(self.matches("$share/g/", "shared", None).await));
            let identifiers = offered(|connack| connack.properties.subscription_identifier_available());
            add("subscription identifiers", identifiers, observed(self.matches("i", "i", Some(7)).await));
            let limit = |read: fn(&Connack) -> Option<u32>, unsaid| self.said(read, unsaid);
            let aliases = limit(|connack| connack.properties.topic_alias_maximum().map(u32::from), "0");
            add("Topic Alias Maximum", aliases, None);
            let window = limit(|connack| connack.properties.receive_maximum().map(u32::from), "65535");
            add("Receive Maximum", window, None);
            add("Maximum Packet Size", limit(|connack| connack.properties.maximum_packet_size(), "no limit"), None);
            let keep_alive = limit(|connack| connack.properties.server_keep_alive().map(u32::from), "the client's");
            add("Server Keep Alive", keep_alive, None);
        }
        add("figures below $SYS", None, observed(self.tells_figures().await));
        all
    }

    /// What CONNACK says, or what stands for silence.
    fn said<T: ToString>(&self, read: impl Fn(&Connack) -> Option<T>, unsaid: &str) -> Option<String> {
        self.connack.map(|connack| read(connack).map_or_else(|| unsaid.to_owned(), |value| value.to_string()))
    }

    async fn pair(&self) -> Result<(Peer, Peer), Halt> {
        Ok((
            Peer::connected(self.stage, &self.stage.fresh("reader")).await?,
            Peer::connected(self.stage, &self.stage.fresh("writer")).await?,
        ))
    }

    /// A message of this QoS, published and delivered with it.
    async fn delivers(&self, qos: Qos) -> Seems {
        let (mut reader, mut writer) = self.pair().await?;
        let topic = self.stage.topic(&format!("q{qos}"));
        reader.subscribed(&topic, qos).await?;
        let packet_id = Some(writer.fresh_id());
        let publish = squall_codec::packet::Publish::new(&crate::tests::watch::name(&topic), "m").at(qos, packet_id);
        writer.publish_with(publish).await?;
        let came = message(&mut reader, b"m").await?;
        if came.qos == qos { Ok(()) } else { Err(Halt::fail(format!("it was delivered at QoS {}", came.qos))) }
    }

    async fn retains(&self) -> Seems {
        let (mut reader, mut writer) = self.pair().await?;
        let topic = self.stage.topic("retained");
        writer.published(&topic, Qos::AtMostOnce, b"kept", true).await?;
        reader.subscribed(&topic, Qos::AtMostOnce).await?;
        let came = message(&mut reader, b"kept").await;
        writer.published(&topic, Qos::AtMostOnce, b"", true).await?;
        came.map(drop)
    }

    /// Whether a filter gets a message, with this identifier. A filter that begins with `$share` stands before the topic.
    async fn matches(&self, wanted: &str, below: &str, identifier: Option<u32>) -> Seems {
        let (mut reader, mut writer) = self.pair().await?;
        let topic = self.stage.topic(below);
        let wanted = match wanted.starts_with('$') {
            true => format!("{wanted}{topic}"),
            false => self.stage.topic(wanted),
        };
        let id = PacketId::new(1).expect("it is not 0");
        let mut subscribe = Subscribe::new(id, vec![Subscription::new(filter(&wanted), Qos::AtMostOnce)]);
        if let Some(identifier) = identifier {
            subscribe.properties.push(Property::SubscriptionIdentifier(identifier));
        }
        reader.send(Packet::Subscribe(subscribe)).await;
        let suback: Seen<Suback> = reader.expect::<Suback>().await.map_err(refused)?;
        if let Some(reason) = suback.reasons.iter().find(|reason| reason.is_failure()) {
            return Err(Halt::fail(format!("SUBACK {reason}")));
        }
        writer.published(&topic, Qos::AtMostOnce, b"m", false).await?;
        let came = message(&mut reader, b"m").await?;
        match identifier {
            Some(asked) if !came.properties().subscription_identifiers().any(|one| one == asked) => {
                Err(Halt::fail("the message came without it"))
            }
            _ => Ok(()),
        }
    }

    async fn tells_figures(&self) -> Seems {
        let mut reader = Peer::connected(self.stage, "figures").await?;
        reader.subscribed("$SYS/#", Qos::AtMostOnce).await.map_err(refused)?;
        let (before, _) = reader.fence().await?;
        let is_message = |packet: &Seen<Packet>| matches!(**packet, Packet::Publish(_));
        if before.iter().any(is_message) { Ok(()) } else { Err(Halt::fail("none is retained")) }
    }
}

/// A server that hangs up on a question has answered it.
fn refused(halt: Halt) -> Halt {
    Halt { verdict: Verdict::Fail, ..halt }
}
