//! Plays one plan at a server in real time, and takes away what it has left there.

use std::{collections::BTreeMap, io, rc::Rc, time::Duration};

use squall_codec::version::Version;
use squall_scenarios::{
    dissect::connect_version,
    faulty_stream::FaultyStream,
    links::Links,
    outage::{DiskState, Outage},
    plan::Plan,
    stage::LocalFuture,
    transcript::{Entry, Transcript, What},
};
use squall_sim::{
    invariants::at_edge::Allowance,
    storm::live::{self, Field, Judged, Reach},
};

use crate::{dial::Socket, launch::instance::Instance, preflight::Subject, sweep::Leftovers};

/// What is left at the server is taken away by then.
const SWEEP: Duration = Duration::from_secs(5);

/// Where a plan is played, beside all others.
#[derive(Clone)]
pub struct Place {
    /// The server.
    pub subject: Rc<Subject>,
    /// Its process, where it was started for this plan alone: nobody else's server is taken down.
    pub instance: Option<Rc<Instance>>,
    /// Letters and digits that stand before its names: at most 12.
    pub namespace: String,
    /// How much time the server is given.
    pub allowance: Allowance,
}

/// The way to a server: it is dialled.
struct Dialled {
    subject: Rc<Subject>,
    instance: Option<Rc<Instance>>,
}

impl Reach for Dialled {
    fn connect(&self, field: &Field, actor: &str, version: Version) -> LocalFuture<'static, io::Result<FaultyStream>> {
        let (field, actor, dialer) = (field.clone(), actor.to_owned(), self.subject.dialer(version).clone());
        Box::pin(async move { Ok(field.join(&actor, dialer.dial().await?, Socket::abort)) })
    }

    fn outage(&self, outage: Outage) -> LocalFuture<'static, Result<(), String>> {
        let instance = self.instance.clone();
        Box::pin(async move {
            let instance = instance.ok_or("a server that is only an address cannot be taken down")?;
            instance.outage(outage).await
        })
    }

    fn start(&self) -> LocalFuture<'static, Result<(), String>> {
        Box::pin(std::future::ready(Err("it was started, and its disk never failed".to_owned())))
    }

    fn set_disk(&self, _: DiskState) {}

    fn distance(&self) -> Duration {
        Duration::ZERO
    }
}

/// Plays a plan that was fitted to this server, and what has passed the server's edge meanwhile. To be called inside a `LocalSet`.
pub async fn play(plan: &Plan, place: &Place) -> (Judged, Transcript) {
    let links = Links::new(plan.seed);
    let transcript = links.transcript();
    let field = live::Place {
        reach: Rc::new(Dialled { subject: Rc::clone(&place.subject), instance: place.instance.clone() }),
        credentials: place.subject.credentials.clone(),
        namespace: place.namespace.clone(),
        topic_root: place.subject.topic_root.clone(),
        allowance: place.allowance,
    };
    let (judged, standing) = live::play(plan, &field, &links, &transcript).await;
    drop(standing);
    clean(&transcript, place).await;
    (judged, transcript)
}

/// Takes away what the storm has left: retained messages, and sessions that would outlive it.
async fn clean(transcript: &Transcript, place: &Place) {
    let mut leftovers = Leftovers::default();
    let mut by_actor: BTreeMap<Rc<str>, Vec<Entry>> = BTreeMap::new();
    for entry in transcript.entries() {
        by_actor.entry(Rc::clone(&entry.actor)).or_default().push(entry);
    }
    for entries in by_actor.values() {
        let sent = entries.iter().filter_map(|entry| match &entry.what {
            What::Sent { bytes, .. } => Some(bytes),
            _ => None,
        });
        let version = sent.filter_map(|bytes| connect_version(bytes)).next();
        leftovers.learn(version.unwrap_or(Version::V5_0), entries);
    }
    leftovers.sweep(&place.subject, &place.namespace, SWEEP).await;
}
