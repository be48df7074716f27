//! Whether a server lets this client have the topics of its tests. What comes to nobody because a rule of the server forbids it
//! breaks no rule of the standard; but who delivers nothing and never says why is not believed to have such a rule.

use std::{rc::Rc, time::Duration};

use squall_codec::{
    packet::{Packet, Publish, Subscribe, Subscription},
    qos::Qos,
    reason::{ReasonCode, Side},
    version::Version,
};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::{Stage, TOPIC_ROOT},
    verdict::Verdict,
};

use crate::{
    live::Live,
    preflight::Subject,
    report::model::{Direction, TestEntry},
    tests::{
        offer,
        watch::{filter, name},
    },
};

/// What became of a message that a client sent to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Echo {
    Came,
    /// With which packet the server said that this client may not.
    Refused(String),
    /// Under this topic.
    Elsewhere(String),
    /// The server took the subscription and the message.
    Lost,
    /// It could not be asked, which is for the tests to tell.
    Unasked,
}

/// The topics of a run, and what the server makes of them.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    root: String,
    echo: Echo,
}

impl Default for Topics {
    fn default() -> Self {
        Topics { root: TOPIC_ROOT.to_owned(), echo: Echo::Unasked }
    }
}

impl Topics {
    /// Asks in the newest version that the server speaks: 5.0 has words for a refusal.
    pub(crate) async fn of(subject: &Subject, namespace: &str, patience: Duration) -> Topics {
        let root = subject.topic_root.clone();
        let spoken = subject.spoken.iter().filter(|(_, spoken)| spoken.is_ok()).map(|(version, _)| *version);
        let Some(version) = spoken.max() else { return Topics { root, ..Topics::default() } };
        let stage = Stage::new(Rc::new(Live::at(subject, version)), version, namespace, patience)
            .with_credentials(subject.credentials.clone())
            .with_keep_alive(subject.keep_alive)
            .with_topic_root(&root);
        Topics { echo: echo(&stage).await, root }
    }

    /// The topic below which all others are.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// What a reader has to know before the verdicts.
    pub(crate) fn note(&self) -> Option<String> {
        let root = &self.root;
        let what_to_do = "--topic-prefix names other topics, --username somebody who may use them";
        match &self.echo {
            Echo::Came | Echo::Unasked => None,
            Echo::Refused(with) => {
                Some(format!("the server does not let this client use topics below '{root}' ({with}): {what_to_do}"))
            }
            Echo::Elsewhere(topic) => Some(format!(
                "what is published below '{root}' comes to its subscribers under another topic ('{topic}'): where that is \
                 meant, tests of topics fail for it"
            )),
            Echo::Lost => Some(format!(
                "a message below '{root}' was taken and did not come to its subscriber: if a rule of the server forbids \
                 these topics and does not say so, tests fail for it, and {what_to_do}"
            )),
        }
    }

    /// What a failure comes to at this server. Where the server said that this client may not use the topics, a test of
    /// messages to which none came has not reached its question; and where only some topics may be used, nor has one that
    /// needs others.
    pub(crate) fn weighed(&self, entry: TestEntry) -> TestEntry {
        if !matches!(entry.verdict, Verdict::Fail | Verdict::Inconclusive) || entry.internal_error {
            return entry;
        }
        if let Some(topic) = self.beyond(&entry) {
            let reason = format!("needs topics outside of '{}', like '{topic}'", self.root);
            return TestEntry { verdict: Verdict::Unsupported, reason: Some(reason), evidence: Vec::new(), ..entry };
        }
        match &self.echo {
            Echo::Refused(with) if entry.verdict == Verdict::Fail && waited_in_vain(&entry) => {
                let reason = entry.reason.as_deref().unwrap_or_default();
                let reason = format!("the server does not let this client use these topics ({with}): {reason}");
                TestEntry { verdict: Verdict::Inconclusive, reason: Some(reason), ..entry }
            }
            _ => entry,
        }
    }

    /// A topic that the test used and that is not below the one that was named.
    fn beyond(&self, entry: &TestEntry) -> Option<String> {
        if self.root == TOPIC_ROOT {
            return None;
        }
        let sent = entry.transcript.iter().filter(|line| line.direction == Direction::Sent);
        let topics = sent.filter_map(|line| line.frame.clone()).flat_map(|frame| {
            let packet =
                Version::ALL.iter().find_map(|version| Packet::decode(*version, Side::Client, frame.clone()).ok());
            match packet {
                Some(Packet::Publish(publish)) => vec![publish.topic().to_owned()],
                Some(Packet::Connect(connect)) => {
                    connect.will().into_iter().map(|will| will.topic.to_string()).collect()
                }
                Some(Packet::Subscribe(subscribe)) => {
                    let filters = subscribe.subscriptions.iter();
                    filters.map(|subscription| without_share(&subscription.filter.to_string()).to_owned()).collect()
                }
                _ => Vec::new(),
            }
        });
        let below = format!("{}/", self.root);
        let is_beyond = |topic: &String| !topic.is_empty() && !topic.starts_with('$') && !topic.starts_with(&below);
        topics.into_iter().find(is_beyond)
    }
}

/// The topic filter of a share's filter.
fn without_share(filter: &str) -> &str {
    filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, filter)| filter)
}

/// It published, or left a will, and no message came to anybody.
fn waited_in_vain(entry: &TestEntry) -> bool {
    let is = |direction: Direction, told: fn(&str) -> bool| {
        entry.transcript.iter().any(|line| line.direction == direction && told(&line.summary))
    };
    is(Direction::Sent, |summary| summary.starts_with("PUBLISH ") || summary.contains(" will=["))
        && !is(Direction::Received, |summary| summary.starts_with("PUBLISH "))
}

/// Has a client send itself a message.
async fn echo(stage: &Stage) -> Echo {
    let topic = stage.topic("echo");
    let Ok(mut peer) = Peer::connected(stage, "echo").await else { return Echo::Unasked };
    let qos = offer::highest_qos(&peer).min(Qos::AtLeastOnce);
    let subscription = Subscription::new(filter(&topic), Qos::AtMostOnce);
    let subscribe = Subscribe::new(peer.fresh_id(), vec![subscription]);
    peer.send(Packet::Subscribe(subscribe)).await;
    let mut is_taken = false;
    let by = stage.now() + stage.patience();
    let echo = loop {
        let Next::Packet(packet) = peer.next_by(by).await else {
            break if is_taken && stage.now() >= by { Echo::Lost } else { Echo::Unasked };
        };
        let said = match &*packet {
            Packet::Suback(suback) => suback.reasons.first().copied(),
            Packet::Puback(puback) => Some(puback.reason),
            Packet::Disconnect(disconnect) => Some(disconnect.reason),
            Packet::Publish(publish) if publish.payload() == ECHO && publish.topic() == topic => break Echo::Came,
            Packet::Publish(publish) if publish.payload() == ECHO => break Echo::Elsewhere(publish.topic().to_owned()),
            _ => None,
        };
        match said {
            Some(reason) if is_forbidden(stage.version(), reason) => {
                break Echo::Refused(format!("{} {reason}", packet.kind().name()));
            }
            Some(reason) if reason.is_failure() => break Echo::Unasked,
            _ => {}
        }
        match &*packet {
            Packet::Suback(_) => {
                let id = (qos != Qos::AtMostOnce).then(|| peer.fresh_id());
                peer.send(Packet::Publish(Publish::new(&name(&topic), ECHO).at(qos, id))).await;
                is_taken = qos == Qos::AtMostOnce;
            }
            Packet::Puback(_) => is_taken = true,
            _ => {}
        }
    };
    peer.disconnect().await;
    echo
}

const ECHO: &[u8] = b"echo";

/// Whether a server says so to somebody who may not.
fn is_forbidden(version: Version, reason: ReasonCode) -> bool {
    match version {
        Version::V5_0 => {
            [ReasonCode::NotAuthorized, ReasonCode::TopicNameInvalid, ReasonCode::TopicFilterInvalid].contains(&reason)
        }
        // A SUBACK has no other word for it.
        _ => reason.is_failure(),
    }
}
