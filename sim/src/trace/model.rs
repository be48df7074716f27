//! What a trace holds, whether it was just played or read from a file.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use squall_codec::{
    packet::{Packet, Publish},
    reason::Side,
    version::Version,
};
use squall_scenarios::{
    dissect,
    liar::Direction,
    plan::Plan,
    player::Played,
    script::Script,
    transcript::{Entry, Transcript, What},
    verdict::Verdict,
};

use super::{cause, waiting::unanswered};
use crate::{
    history::History,
    invariants::{self, About, Breach},
    run::Run,
    story::TOPIC_ROOT,
    world::VirtualWorld,
};

/// What the first line calls the format.
pub const FORMAT: &str = "squall-trace";
/// Its version: it changes when a field changes its meaning or goes; new fields may come without.
pub const FORMAT_VERSION: u32 = 1;
/// The hash of the digest.
pub const HASH: &str = "xxh3-64";

/// One play.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What was played.
    pub header: Header,
    /// What happened, in the order of the transcript: the order in which it was looked at.
    pub lines: Vec<Line>,
    /// Invariants that do not hold.
    pub breaches: Vec<Broken>,
    /// How it ended.
    pub end: End,
}

/// What was played: the first line. The order of the fields is the order of the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// The version of the program.
    pub squall: String,
    /// The script's file.
    pub script: String,
    /// Its title.
    pub title: String,
    /// What a learner should see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// In which world.
    pub world: String,
    /// In which version of MQTT.
    pub mqtt: String,
    /// Everything random came from it.
    pub seed: u64,
    /// The actors, in the order of the script.
    pub actors: Vec<String>,
    /// The statements that a pass bears out.
    pub proves: Vec<String>,
    /// What stands before every topic on the wire and is left out where people look.
    #[serde(default)]
    pub topic_root: String,
    /// How many lines of what happened follow.
    pub entries: usize,
    /// The hash of the digest.
    pub hash: String,
    /// Of the transcript, as `sim run --digest` prints it.
    pub digest: String,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its place in the transcript, from 0.
    pub seq: usize,
    /// Virtual microseconds since the play began.
    pub at_us: u64,
    /// Which actor, or `broker`.
    pub node: String,
    /// Which of the actor's connections, from 1; 0 for what befell the broker.
    pub connection: u32,
    /// What.
    pub what: Happening,
    /// In words.
    pub text: String,
    /// The frame of `Sent` and `Received`.
    pub bytes: Bytes,
    /// What it came from, where that is known.
    pub cause: Option<Cause>,
}

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// The actor opened a connection.
    Opened,
    /// The actor sent a frame.
    Sent,
    /// The actor received a frame.
    Received,
    /// The actor ended the connection.
    Closed,
    /// The connection ended from the other side.
    Ended,
    /// A fault took effect.
    Fault,
    /// A whole client told its application something.
    Told,
}

impl Happening {
    /// All of them.
    pub const ALL: [Happening; 7] = [
        Happening::Opened,
        Happening::Sent,
        Happening::Received,
        Happening::Closed,
        Happening::Ended,
        Happening::Fault,
        Happening::Told,
    ];

    /// As in a trace.
    pub const fn word(self) -> &'static str {
        match self {
            Happening::Opened => "opened",
            Happening::Sent => "sent",
            Happening::Received => "received",
            Happening::Closed => "closed",
            Happening::Ended => "ended",
            Happening::Fault => "fault",
            Happening::Told => "told",
        }
    }

    /// Which way it went, if it went.
    pub const fn direction(self) -> Option<&'static str> {
        match self {
            Happening::Opened | Happening::Sent | Happening::Closed => Some("to_broker"),
            Happening::Received | Happening::Ended => Some("to_client"),
            Happening::Fault | Happening::Told => None,
        }
    }
}

/// What a line came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The line of the script with the step that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// That step, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The packet that this one answers, or passes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<usize>,
    /// The fault that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<usize>,
}

/// An invariant that does not hold, and where that showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Its name.
    pub breach: String,
    /// At which line.
    pub seq: usize,
    /// When.
    pub at_us: u64,
    /// The statements it stands for.
    pub statements: Vec<String>,
    /// What was seen.
    pub detail: String,
    /// The line with the PUBLISH that it is about, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<usize>,
}

/// How it ended: the last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// pass, fail, inconclusive, unsupported.
    pub verdict: Verdict,
    /// Why it is no pass.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The line of the script that was not borne out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// And its column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// That line with a caret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// Where it showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<usize>,
    /// The virtual time at the end.
    pub elapsed_us: u64,
}

impl Trace {
    /// Of a play that is over.
    pub fn of(script: &Script, world: VirtualWorld, version: Version, seed: u64, run: &Run<Played>) -> Trace {
        let mut lines = lines_of(&run.transcript.entries());
        let steps = run.outcome.as_ref().map_or(&[][..], |played| &played.steps);
        cause::find(&mut lines, version, steps, script);
        let mut breaches = invariants::of_the_server(&History::of(&run.transcript));
        breaches.extend(run.noticed.iter().cloned());
        breaches.sort_by_key(|breach| breach.entry);
        let header = Header {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            squall: env!("CARGO_PKG_VERSION").to_owned(),
            script: script.file().to_owned(),
            title: script.title().to_owned(),
            about: script.about().map(str::to_owned),
            world: world.name().to_owned(),
            mqtt: version.to_string(),
            // A storm has its own.
            seed: script.plan().map_or(seed, |plan| plan.seed),
            actors: script.actors().map(str::to_owned).collect(),
            proves: script.proves().filter(|one| one.version == version).map(ToString::to_string).collect(),
            topic_root: match script.plan() {
                Some(plan) if plan.is_at_the_root() => String::new(),
                _ => TOPIC_ROOT.to_owned(),
            },
            entries: lines.len(),
            hash: HASH.to_owned(),
            digest: format!("{:016x}", run.transcript.digest()),
        };
        let mut end = End::of(run);
        let first = breaches.first().map(|breach| breach.entry.0);
        let mut breaches = Broken::all(&breaches, &lines, version, &header.actors);
        if end.seq.is_some() && end.seq == first && end.line.is_none() {
            end.seq = breaches.first().map(|breach| breach.seq);
        }
        // In the order in which they are written; what was wrong first its client may hear of last.
        breaches.sort_by_key(|breach| breach.seq);
        Trace { header, lines, breaches, end }
    }

    /// Of a storm at a real address, as its edge was seen.
    pub fn of_storm(
        plan: &Plan,
        topic_root: &str,
        transcript: &Transcript,
        breaches: &[Breach],
        elapsed: Duration,
    ) -> Trace {
        let mut lines = lines_of(&transcript.entries());
        cause::of_storm(&mut lines);
        let header = Header {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            squall: env!("CARGO_PKG_VERSION").to_owned(),
            script: format!("storm-{}.yaml", plan.seed),
            title: plan.title.clone(),
            about: plan.about.clone(),
            world: "live".to_owned(),
            mqtt: Version::V5_0.to_string(),
            seed: plan.seed,
            actors: plan.actors.clone(),
            proves: Vec::new(),
            topic_root: topic_root.to_owned(),
            entries: lines.len(),
            hash: HASH.to_owned(),
            digest: format!("{:016x}", transcript.digest()),
        };
        let first = breaches.first();
        let end = End {
            verdict: if first.is_some() { Verdict::Fail } else { Verdict::Pass },
            reason: first.map_or_else(String::new, ToString::to_string),
            line: None,
            column: None,
            excerpt: None,
            seq: first.map(|breach| breach.entry.0),
            elapsed_us: micros(elapsed),
        };
        let mut breaches = Broken::all(breaches, &lines, Version::V5_0, &header.actors);
        breaches.sort_by_key(|breach| breach.seq);
        Trace { header, lines, breaches, end }
    }

    /// The transcript that this is a trace of.
    pub fn transcript(&self) -> Transcript {
        let transcript = Transcript::new();
        for line in &self.lines {
            let actor: Rc<str> = Rc::from(line.node.as_str());
            transcript.record(Duration::from_micros(line.at_us), &actor, line.connection, line.what());
        }
        transcript
    }

    /// The version that each line's connection speaks; the trace's own where no CONNECT says it.
    pub fn versions(&self) -> Vec<Version> {
        versions_of(&self.lines, self.header.mqtt.parse().unwrap_or(Version::V5_0))
    }

    /// Text as people look at it.
    pub fn shown(&self, text: &str) -> String {
        match self.header.topic_root.as_str() {
            "" => text.to_owned(),
            root => text.replace(root, ""),
        }
    }
}

pub(super) fn versions_of(lines: &[Line], own: Version) -> Vec<Version> {
    let mut spoken = BTreeMap::new();
    let mut versions = Vec::with_capacity(lines.len());
    for line in lines {
        let connection = (&line.node, line.connection);
        if line.what == Happening::Sent
            && let Some(version) = dissect::connect_version(&line.bytes)
        {
            spoken.insert(connection, version);
        }
        versions.push(spoken.get(&connection).copied().unwrap_or(own));
    }
    versions
}

/// The lines of a transcript, without causes.
pub fn lines_of(entries: &[Entry]) -> Vec<Line> {
    entries.iter().enumerate().map(|(seq, entry)| Line::of(seq, entry)).collect()
}

impl Line {
    fn of(seq: usize, entry: &Entry) -> Line {
        let nothing = Bytes::new();
        let (what, text, bytes) = match &entry.what {
            What::Opened => (Happening::Opened, String::new(), &nothing),
            What::Sent { summary, bytes } => (Happening::Sent, summary.to_string(), bytes),
            What::Received { summary, bytes } => (Happening::Received, summary.to_string(), bytes),
            What::Closed { how } => (Happening::Closed, (*how).to_owned(), &nothing),
            What::Ended { how } => (Happening::Ended, (*how).to_owned(), &nothing),
            What::Fault { summary } => (Happening::Fault, summary.to_string(), &nothing),
            What::Told { summary } => (Happening::Told, summary.to_string(), &nothing),
        };
        Line {
            seq,
            at_us: micros(entry.at),
            node: entry.actor.to_string(),
            connection: entry.connection,
            what,
            text,
            bytes: bytes.clone(),
            cause: None,
        }
    }

    fn what(&self) -> What {
        let summary = self.text.clone();
        let how = if self.text == "RST" { "RST" } else { "FIN" };
        match self.what {
            Happening::Opened => What::Opened,
            Happening::Sent => What::Sent { summary, bytes: self.bytes.clone() },
            Happening::Received => What::Received { summary, bytes: self.bytes.clone() },
            Happening::Closed => What::Closed { how },
            Happening::Ended => What::Ended { how },
            Happening::Fault => What::Fault { summary },
            Happening::Told => What::Told { summary },
        }
    }

    /// Whether it is about a frame.
    pub fn is_frame(&self) -> bool {
        matches!(self.what, Happening::Sent | Happening::Received)
    }
}

impl Broken {
    /// `own`: what is spoken where nobody has said so.
    fn all(breaches: &[Breach], lines: &[Line], own: Version, actors: &[String]) -> Vec<Broken> {
        let packets = if breaches.is_empty() { Vec::new() } else { packets_of(lines, own) };
        let published = |message: &Publish| {
            let is_same = |packet: &Option<Packet>| match packet {
                Some(Packet::Publish(other)) => {
                    other.topic_bytes() == message.topic_bytes() && other.payload() == message.payload()
                }
                Some(Packet::Connect(connect)) => connect
                    .will()
                    .is_some_and(|will| will.topic.as_str() == message.topic() && will.payload == message.payload()),
                _ => false,
            };
            packets.iter().position(is_same)
        };
        let broken = |breach: &Breach| {
            let showed = breach.entry.0;
            let (seq, about) = match breach.about.as_deref() {
                None => (showed, None),
                Some(About::Message(message)) => (showed, published(message)),
                Some(About::Connection { actor, number, since }) => {
                    let node = actors.get(*actor).map_or("", String::as_str);
                    let is_there = |line: &&Line| line.node == node && line.connection as usize == *number;
                    let before = |line: &&Line| {
                        let shows = matches!(line.what, Happening::Sent | Happening::Opened);
                        shows && line.at_us <= micros(*since)
                    };
                    let line = lines.iter().filter(is_there).rfind(before);
                    (showed, line.map(|line| line.seq))
                }
                Some(About::Waiting { actor, answer }) => {
                    let node = actors.get(*actor).map_or("", String::as_str);
                    (showed, unanswered(lines, &packets, node, *answer))
                }
                Some(About::Passing { actor, direction, packet }) => {
                    let node = actors.get(*actor).map_or("", String::as_str);
                    match (passed(lines, &packets, node, *direction, packet, showed), packet) {
                        (Some(seq), _) => (seq, None),
                        // It was lost on its way.
                        (None, Packet::Publish(publish)) => (showed, published(publish)),
                        (None, _) => (showed, None),
                    }
                }
            };
            Broken {
                breach: breach.invariant.to_string(),
                seq,
                at_us: micros(breach.at),
                statements: breach.statements().iter().map(ToString::to_string).collect(),
                detail: breach.detail.clone(),
                about,
            }
        };
        breaches.iter().map(broken).collect()
    }
}

/// What stands in each line, as far as it is a packet.
fn packets_of(lines: &[Line], own: Version) -> Vec<Option<Packet>> {
    let decoded = |(line, version): (&Line, &Version)| {
        let by = if line.what == Happening::Sent { Side::Client } else { Side::Server };
        Packet::decode(*version, by, line.bytes.clone()).ok().filter(|_| line.is_frame())
    };
    lines.iter().zip(&versions_of(lines, own)).map(decoded).collect()
}

/// Where a packet stands that was at the server's edge at a moment: its client has sent it before, or gets it later, unless that
/// connection ends.
fn passed(
    lines: &[Line],
    packets: &[Option<Packet>],
    node: &str,
    direction: Direction,
    packet: &Packet,
    showed: usize,
) -> Option<usize> {
    let is_it = |seq: &usize| lines[*seq].node == node && packets[*seq].as_ref() == Some(packet);
    let is_another = |seq: &usize| lines[*seq].node == node && lines[*seq].what == Happening::Opened;
    match direction {
        Direction::ToServer => (0..showed.min(lines.len())).rev().find(is_it),
        Direction::ToClient => (showed..lines.len()).take_while(|seq| !is_another(seq)).find(is_it),
    }
}

impl End {
    fn of(run: &Run<Played>) -> End {
        let elapsed_us = micros(run.elapsed);
        match &run.outcome {
            Ok(played) => End {
                verdict: played.verdict,
                reason: played.reason.clone(),
                line: played.place.map(|place| place.line),
                column: played.place.map(|place| place.column),
                excerpt: played.excerpt.clone(),
                seq: played.entry.map(|entry| entry.0),
                elapsed_us,
            },
            // A play that could not end is a failure too.
            Err(error) => End {
                verdict: Verdict::Fail,
                reason: error.to_string(),
                line: None,
                column: None,
                excerpt: None,
                seq: None,
                elapsed_us,
            },
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
