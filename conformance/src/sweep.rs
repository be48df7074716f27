//! What the tests left at the subject, and its removal: retained messages and sessions that would outlive the run.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use squall_codec::{
    packet::{Connect, Packet},
    qos::Qos,
    reason::Side,
    version::Version,
    wire::Text,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    transcript::{Entry, What},
};

use crate::{live::Live, preflight::Subject};

/// The sweep takes no longer than this: it must not hold a run up.
const AT_MOST: Duration = Duration::from_secs(5);

/// What transcripts say was left.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    topics: BTreeSet<(Version, String)>,
    sessions: BTreeSet<(Version, Text)>,
}

impl Leftovers {
    /// Looks through what a test sent.
    pub(crate) fn learn(&mut self, version: Version, entries: &[Entry]) {
        for entry in entries {
            let What::Sent { bytes, .. } = &entry.what else { continue };
            match Packet::decode(version, Side::Client, bytes.clone()) {
                Ok(Packet::Connect(connect)) => self.learn_connect(&connect),
                Ok(Packet::Publish(publish)) if publish.retain => {
                    let topic = (version, publish.topic().to_owned());
                    if publish.payload().is_empty() {
                        self.topics.remove(&topic);
                    } else {
                        self.topics.insert(topic);
                    }
                }
                _ => {}
            }
        }
    }

    fn learn_connect(&mut self, connect: &Connect) {
        if let Some(will) = connect.will().filter(|will| will.retain) {
            self.topics.insert((connect.version(), will.topic.as_str().to_owned()));
        }
        let outlives = match connect.version() {
            Version::V5_0 => connect.properties().session_expiry_interval().is_some_and(|seconds| seconds > 0),
            _ => !connect.clean_start,
        };
        if outlives && !connect.client_id().is_empty() {
            self.sessions.insert((connect.version(), connect.client_id().to_text()));
        }
    }

    /// Removes it. What the subject refuses stays: a sweep is a courtesy and gives no verdict.
    pub(crate) async fn sweep(self, subject: &Subject, namespace: &str, patience: Duration) {
        let stage = |version| {
            Stage::new(Rc::new(Live::new(subject.dialer(version).clone())), version, namespace, patience)
                .with_credentials(subject.credentials.clone())
        };
        let all = async {
            for (version, client_id) in &self.sessions {
                let mut connect = Peer::hello(&stage(*version), "sweeper");
                connect.set_client_id(client_id.clone());
                if let Ok((mut peer, _)) = Peer::connect(&stage(*version), "sweeper", connect).await {
                    peer.disconnect().await;
                }
            }
            for version in Version::ALL {
                let mut topics = self.topics.iter().filter(|(of, _)| *of == version).peekable();
                if topics.peek().is_none() {
                    continue;
                }
                let Ok(mut peer) = Peer::connected(&stage(version), "sweeper").await else { continue };
                for (_, topic) in topics {
                    if peer.published(topic, Qos::AtLeastOnce, b"", true).await.is_err() {
                        break;
                    }
                }
                peer.disconnect().await;
            }
        };
        stage(Version::V3_1_1).within(AT_MOST, all).await;
    }
}
