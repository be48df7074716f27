//! The packets that lead to what went wrong: of a message what has to do with it wherever it went, of a client how its connections came
//! and went. A page tells them as its steps.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use squall_codec::{packet::PacketKind, version::Version};
use squall_scenarios::dissect;

use super::frame::{Exchange, Frame, Known, Message, Told, is_named};
use crate::{
    told::{self, BROKER},
    trace::model::{Broken, Happening, Line, Trace},
};

/// So many packets tell how it came about.
const STEPS: usize = 14;
/// Of those that tell of a client so many are of the beginning: how its newest connections came and went tells most.
const FIRST: usize = 2;
/// Where fewer packets than this lead there, what was said last on the connection is told as well.
const TOO_FEW: usize = 3;
/// So many packets of it, and of whatever else is told for comparison.
const FEW: usize = 4;

/// Invariants that are about a client and its connections, even where a message shows that they do not hold.
const OF_CLIENTS: [&str; 8] = [
    "keep alive",
    "session present",
    "take-over",
    "assigned identifier",
    "topic alias",
    "stays open",
    OF_VIOLATIONS,
    "admits",
];
/// The invariant of clients that break a rule: what was open then may be what breaks it.
const OF_VIOLATIONS: &str = "closes on violation";
/// Invariants of what a client asks for: what it was granted before tells with it.
const OF_REQUESTS: [&str; 2] = ["serves", "as offered"];
/// Invariants of what the server holds for all together: nobody knows of which of them it is.
const OF_ALL: [&str; 2] = ["durable", "baseline"];
/// The invariant of messages that nobody has published: what is like them tells what became of which.
const OF_STRANGERS: &str = "nothing invented";
/// The invariant of what is retained: what was put in its place, or has taken it away, tells with it.
const OF_RETAINED: &str = "retained";
/// The invariant of messages that overtake others: those on their topic tell which.
const OF_ORDER: &str = "order";
/// As the model says of a message that was overtaken.
const NOT_YET: &str = " has not come yet";
/// The invariant of identifiers: here two exchanges under one belong together.
const OF_IDENTIFIERS: &str = "packet identifier in use";
/// The invariant of what answers what: an exchange that is open since before tells of which answer it is too early for.
const OF_ANSWERS: &str = "answers";
/// The invariant of how many exchanges are open: nothing but those, and how the connection began.
const OF_THE_OPEN: &str = "Receive Maximum";

/// The lines that lead to one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lead {
    /// In the order of time.
    pub(super) steps: Vec<usize>,
    /// Between two of these is more than is told.
    pub(super) cut: Option<Cut>,
}

/// What is told only to who asks for it: beginning and end tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Cut {
    /// So many steps are told before it.
    behind: usize,
    /// How many are folded.
    count: usize,
}

/// What each line of a trace has to do with the others.
pub(super) struct Leads<'a> {
    trace: &'a Trace,
    /// What is spoken on each line.
    versions: Vec<Version>,
    told: Vec<Option<Told>>,
    /// Under which Client Identifiers each node has come.
    names: BTreeMap<&'a str, BTreeSet<String>>,
}

impl<'a> Leads<'a> {
    pub(super) fn of(trace: &'a Trace) -> Self {
        let (mut known, mut names) = (Known::default(), BTreeMap::<&str, BTreeSet<String>>::new());
        let mut told = Vec::with_capacity(trace.lines.len());
        let versions = trace.versions();
        for (line, version) in trace.lines.iter().zip(&versions) {
            let frame = Frame::of(line, *version);
            if let Some(name) = frame.as_ref().and_then(Frame::client_identifier) {
                names.entry(&line.node).or_default().insert(name);
            }
            told.push(frame.and_then(|frame| frame.told(&mut known)));
        }
        Leads { trace, versions, told, names }
    }

    /// The lines that lead to the one at which an invariant turned out not to hold, and that one; `about`: the line that it is about.
    /// `detail`: what was seen, in words.
    pub(super) fn to(&self, invariant: &str, detail: &str, about: usize, showed: usize) -> Lead {
        let lines = &self.trace.lines;
        let (Some(line), true) = (lines.get(showed), about < lines.len()) else { return Lead::default() };
        let is_of_client = OF_CLIENTS.contains(&invariant)
            // With CONNECT comes a will, but what shows there is about the connection.
            || about == showed && dissect::kind(&lines[about].bytes) == Some(PacketKind::Connect);
        let mut steps: BTreeSet<usize> = match &self.told[about] {
            Some(told) if told.exchange.is_some() && invariant == OF_THE_OPEN => self.open_before(about),
            Some(told) if told.has_message() && !is_of_client => self.of_message(invariant, told, showed),
            _ => self.of_client(about, OF_REQUESTS.contains(&invariant)),
        };
        if invariant == OF_ORDER {
            // The one that was overtaken, which may never come.
            self.named(detail).into_iter().for_each(|(message, _)| steps.extend(self.published(message)));
        }
        if OF_ALL.contains(&invariant) && about == showed {
            match self.named(detail) {
                named if named.is_empty() => steps.extend(self.sent_by_all(showed)),
                named => named.into_values().for_each(|told| steps.extend(self.of_message(invariant, told, showed))),
            }
        }
        steps.insert(about);
        steps.retain(|step| (lines[*step].at_us, *step) <= (line.at_us, showed));
        if invariant == OF_ANSWERS || invariant == OF_VIOLATIONS {
            steps.extend(self.open_before(about));
        }
        if steps.iter().filter(|step| lines[**step].is_frame()).count() < TOO_FEW {
            steps.extend(self.said_last(about));
        }
        self.drop_what_goes_without_saying(&mut steps);
        steps.insert(showed);
        let mut steps: Vec<usize> = steps.into_iter().collect();
        steps.sort_by_key(|step| lines[*step].at_us);
        // What the broker has behind it when the story begins is no part of it.
        let begins = steps.iter().position(|step| !befell_the_broker(&lines[*step])).unwrap_or(0);
        steps.drain(..begins);
        // When the storm ends explains nothing that went wrong in it.
        steps.retain(|step| *step == showed || lines[*step].text != told::STORM_IS_OVER);
        let count = steps.len().saturating_sub(STEPS);
        let behind = if OF_CLIENTS.contains(&invariant) { FIRST } else { STEPS / 2 };
        Lead { steps, cut: (count > 0).then_some(Cut { behind, count }) }
    }

    /// That a connection was opened, where its CONNECT is told; and that it ended behind a packet that ends it.
    fn drop_what_goes_without_saying(&self, steps: &mut BTreeSet<usize>) {
        let lines = &self.trace.lines;
        let of = |seq: usize| (&lines[seq].node, lines[seq].connection);
        let frames = || steps.iter().map(|seq| &lines[*seq]).filter(|line| line.is_frame());
        let begun: BTreeSet<_> = frames()
            .filter(|line| dissect::kind(&line.bytes) == Some(PacketKind::Connect))
            .map(|line| of(line.seq))
            .collect();
        let ended: BTreeMap<_, usize> =
            frames().filter(|line| ends(line)).map(|line| (of(line.seq), line.seq)).collect();
        steps.retain(|seq| match lines[*seq].what {
            Happening::Opened => !begun.contains(&of(*seq)),
            Happening::Ended => ended.get(&of(*seq)).is_none_or(|end| end > seq),
            _ => true,
        });
    }

    /// What a packet says without a word of its own, or in one that not everybody knows.
    pub(super) fn remark(&self, seq: usize) -> Option<String> {
        let line = self.trace.lines.get(seq).filter(|line| line.is_frame())?;
        match dissect::kind(&line.bytes)? {
            PacketKind::Publish if line.text.starts_with("PUBLISH \"\"") => {
                let (topic, _) = self.told[seq].as_ref()?.message.as_ref().filter(|(topic, _)| !topic.is_empty())?;
                Some(format!("its Topic Alias stands for {}", self.trace.shown(topic)))
            }
            PacketKind::Connack if self.versions[seq] == Version::V3_1 || ends(line) => None,
            PacketKind::Connack if !line.text.contains("session_present") => Some("no session present".to_owned()),
            PacketKind::Connect if line.text.contains("session_expiry_interval=4294967295") => {
                Some("to be kept for ever".to_owned())
            }
            _ => None,
        }
    }

    /// What was seen, with what became of it: a message that "has not come yet" may never come.
    pub(super) fn to_the_end(&self, breach: &Broken) -> String {
        let Some((before, behind)) = breach.detail.split_once(NOT_YET) else { return breach.detail.clone() };
        let Some(node) = self.trace.lines.get(breach.seq).map(|line| &line.node) else { return breach.detail.clone() };
        let overtaken = before.rsplit_once(", and ").map_or(before, |(_, name)| name);
        let named = self.named(overtaken);
        let comes = self.with_told().skip(breach.seq + 1).any(|(line, told)| {
            let message = told.and_then(|told| told.message.as_ref());
            line.node == *node && line.what == Happening::Received && message.is_some_and(|it| named.contains_key(it))
        });
        if comes { breach.detail.clone() } else { format!("{before} never comes{behind}") }
    }

    /// The messages that are named in these words, each as it is told of first.
    fn named(&self, words: &str) -> BTreeMap<&Message, &Told> {
        let mut named = BTreeMap::new();
        for told in self.told.iter().flatten() {
            if let Some(message) = told.message.as_ref().filter(|it| is_named(&self.trace.shown(&it.0), &it.1, words)) {
                named.entry(message).or_insert(told);
            }
        }
        named
    }

    fn with_told(&self) -> impl Iterator<Item = (&'a Line, Option<&Told>)> {
        self.trace.lines.iter().zip(self.told.iter().map(Option::as_ref))
    }

    /// The same message wherever it went, the exchange that it is part of, who has asked for it, and what became of their connections.
    fn of_message(&self, invariant: &str, about: &Told, showed: usize) -> BTreeSet<usize> {
        let is_same = |other: &Told| match (&other.exchange, &about.exchange) {
            (Some(other), Some(about)) => other.is(about) && (other.turn == about.turn || invariant == OF_IDENTIFIERS),
            _ => false,
        };
        let message = about.message.as_ref().or_else(|| {
            // An acknowledgement is about the PUBLISH with its identifier.
            let same = |other: &&Told| is_same(other) && other.message.is_some();
            self.told[..=showed].iter().rev().flatten().find(same).and_then(|publish| publish.message.as_ref())
        });
        let is_it = |told: &Told| message.is_some() && told.message.as_ref() == message;
        // Every exchange that carries the message, with its acknowledgements.
        let exchanges: BTreeSet<&Exchange> =
            self.told.iter().flatten().filter(|one| is_it(one)).filter_map(|one| one.exchange.as_ref()).collect();
        let shown_to = &self.trace.lines[showed].node;
        let never_came = self.told[showed].is_none();
        let asks_for_it = |line: &Line, told: &Told| {
            let matches = |(topic, _): &Message| told.filters.iter().any(|filter| filter.matches(topic));
            (never_came || line.node == *shown_to) && message.is_some_and(matches)
        };
        let concerns = |line: &Line, told: Option<&Told>| {
            told.is_some_and(|told| {
                let in_exchange = told.exchange.as_ref().is_some_and(|one| exchanges.contains(one));
                is_it(told) || in_exchange || asks_for_it(line, told) || is_same(told)
            })
        };
        let nodes: BTreeSet<&str> =
            self.with_told().filter(|(line, told)| concerns(line, *told)).map(|(line, _)| line.node.as_str()).collect();
        let steps = self.with_told().filter(|(line, told)| {
            let broke = line.seq <= showed
                && (nodes.contains(line.node.as_str()) && is_a_turn(line) || befell_the_broker(line));
            concerns(line, *told) || broke
        });
        let mut steps: BTreeSet<usize> = steps.map(|(line, _)| line.seq).collect();
        if let Some(message) = message {
            steps.extend(self.of_wills(message));
        }
        match message {
            Some(message) if invariant == OF_STRANGERS => steps.extend(self.like(message, showed)),
            Some((topic, _)) if invariant == OF_RETAINED => steps.extend(self.retained_on(topic, showed)),
            Some(message) if invariant == OF_ORDER => steps.extend(self.beside(message, shown_to, showed)),
            _ => {}
        }
        steps
    }

    /// A message as its publisher has sent it, with what the broker has answered.
    fn published(&self, message: &Message) -> BTreeSet<usize> {
        let of = || self.with_told().filter_map(|(line, told)| Some((line, told?)));
        let sent: Vec<_> = of()
            .filter(|(line, told)| line.what == Happening::Sent && told.message.as_ref() == Some(message))
            .collect();
        // What the identifier stood for before, too: it may not have been free.
        let is_of_one = |told: &Told| {
            let is_near =
                |own: &Exchange, of: &Exchange| own.is(of) && (of.turn <= own.turn && own.turn <= of.turn + 1);
            let exchanges = sent.iter().filter_map(|(_, of)| of.exchange.as_ref());
            told.exchange.as_ref().is_some_and(|of| exchanges.clone().any(|own| is_near(own, of)))
        };
        let answers = of().filter(|(_, told)| is_of_one(told)).map(|(line, _)| line.seq);
        sent.iter().map(|(line, _)| line.seq).chain(answers).collect()
    }

    /// Where a will is the message: how its client left, and who has come under its name.
    fn of_wills(&self, message: &Message) -> BTreeSet<usize> {
        let kind = |line: &Line| dissect::kind(&line.bytes).filter(|_| line.is_frame());
        let is_will = |(line, told): &(&Line, Option<&Told>)| {
            kind(line) == Some(PacketKind::Connect) && told.is_some_and(|told| told.message.as_ref() == Some(message))
        };
        let Some((first, _)) = self.with_told().find(is_will) else { return BTreeSet::new() };
        let of_will: BTreeSet<&str> = self.with_told().filter(is_will).map(|(line, _)| line.node.as_str()).collect();
        let is_namesake = |other: &str| {
            let names = |node: &str| self.names.get(node).into_iter().flatten();
            of_will.iter().any(|node| names(node).any(|name| names(other).any(|other| other == name)))
        };
        let behind = self.trace.lines[first.seq..].iter();
        let tells = behind.filter(|line| {
            let is_own = of_will.contains(line.node.as_str());
            match kind(line) {
                Some(PacketKind::Disconnect) => is_own,
                Some(PacketKind::Connect) => is_own || is_namesake(&line.node),
                _ => is_own && matches!(line.what, Happening::Ended | Happening::Closed),
            }
        });
        tells.map(|line| line.seq).collect()
    }

    /// Those that came to this node on the same topic last, and who sent them.
    fn beside(&self, (topic, _): &Message, node: &str, showed: usize) -> BTreeSet<usize> {
        let messages =
            || self.with_told().take(showed).filter_map(|(line, told)| Some((line, told?.message.as_ref()?)));
        let came = messages()
            .filter(|(line, (other, _))| line.node == node && line.what == Happening::Received && other == topic);
        let came: Vec<_> = came.collect();
        let last = &came[came.len().saturating_sub(FEW - 1)..];
        let is_one = |message: &Message| last.iter().any(|(_, other)| *other == message);
        let sent = messages().filter(|(line, message)| line.what == Happening::Sent && is_one(message));
        sent.chain(last.iter().copied()).map(|(line, _)| line.seq).collect()
    }

    /// Every PUBLISH that is open on the same connection and goes the same way, and how the connection began.
    fn open_before(&self, seq: usize) -> BTreeSet<usize> {
        let own = &self.trace.lines[seq];
        let Some(about) = self.told[seq].as_ref().and_then(|told| told.exchange.as_ref()) else {
            return BTreeSet::new();
        };
        let (mut open, mut began) = (Vec::new(), Vec::new());
        let before = self.with_told().take(seq);
        for (line, told) in before.filter(|(line, _)| line.node == own.node && line.connection == own.connection) {
            match dissect::kind(&line.bytes).filter(|_| line.is_frame()) {
                Some(PacketKind::Connect | PacketKind::Connack) => began.push(line.seq),
                Some(kind) => {
                    let Some(exchange) = told.and_then(|told| told.exchange.as_ref()) else { continue };
                    if exchange.to_broker != about.to_broker {
                        continue;
                    }
                    match kind {
                        PacketKind::Publish => open.push((exchange, line.seq)),
                        PacketKind::Puback | PacketKind::Pubcomp => open.retain(|(other, _)| *other != exchange),
                        _ => {}
                    }
                }
                None => {}
            }
        }
        began.into_iter().chain(open.into_iter().rev().take(STEPS / 2).map(|(_, seq)| seq)).collect()
    }

    /// What was published last to be retained on a topic, or to take away what was.
    fn retained_on(&self, topic: &str, showed: usize) -> impl Iterator<Item = usize> {
        let published = self.with_told().take(showed).filter_map(move |(line, told)| {
            let is_publish = dissect::kind(&line.bytes) == Some(PacketKind::Publish) && line.what == Happening::Sent;
            let is_retained = line.bytes.first().is_some_and(|flags| flags & 1 == 1);
            let (on, _) = told?.message.as_ref()?;
            (is_publish && is_retained && on == topic).then_some(line.seq)
        });
        let mut last: Vec<usize> = published.collect();
        last.drain(..last.len().saturating_sub(FEW));
        last.into_iter()
    }

    /// What was published before with the same payload, and last on the same topic.
    fn like(&self, (topic, payload): &Message, showed: usize) -> Vec<usize> {
        let published = || {
            let until = self.with_told().take(showed).filter(|(line, _)| line.what == Happening::Sent);
            until.filter_map(|(line, told)| Some((line.seq, told?.message.as_ref()?)))
        };
        let mut like: Vec<usize> =
            published().filter(|(_, (_, other))| other == payload).map(|(seq, _)| seq).take(FEW).collect();
        let mut on_topic: Vec<usize> =
            published().filter(|(_, (other, _))| other == topic).map(|(seq, _)| seq).collect();
        like.extend(on_topic.drain(on_topic.len().saturating_sub(FEW)..));
        like
    }

    /// How a client has come in, what it has asked for, how its connections have ended, and what it has said last; with others who come
    /// under its name.
    fn of_client(&self, seq: usize, with_answers: bool) -> BTreeSet<usize> {
        let node = &self.trace.lines[seq].node;
        let none = BTreeSet::new();
        let names = self.names.get(node.as_str()).unwrap_or(&none);
        let is_namesake =
            |other: &str| self.names.get(other).is_some_and(|others| others.intersection(names).next().is_some());
        let own = || {
            let before = self.trace.lines[..seq].iter();
            before.filter(|line| line.node == *node || is_namesake(&line.node) || befell_the_broker(line))
        };
        let is_telling = |line: &&Line| {
            let kind = dissect::kind(&line.bytes).filter(|_| line.is_frame());
            let is_session = matches!(kind, Some(PacketKind::Connect | PacketKind::Connack | PacketKind::Disconnect));
            is_session
                || with_answers && kind == Some(PacketKind::Suback)
                || is_a_turn(line)
                || befell_the_broker(line)
                || self.told[line.seq].as_ref().is_some_and(|told| !told.filters.is_empty())
        };
        let last = own().rfind(|line| line.node == *node && line.what == Happening::Sent);
        own().filter(is_telling).chain(last).map(|line| line.seq).collect()
    }

    /// What clients have said, but for pings, and what they were let in to.
    fn sent_by_all(&self, until: usize) -> impl Iterator<Item = usize> {
        let tells = |line: &&Line| match dissect::kind(&line.bytes).filter(|_| line.is_frame()) {
            Some(PacketKind::Pingreq | PacketKind::Pingresp) | None => false,
            Some(_) => line.what == Happening::Sent,
        };
        self.trace.lines[..until].iter().filter(tells).map(|line| line.seq)
    }

    /// The last packets of its connection before a line.
    fn said_last(&self, seq: usize) -> impl Iterator<Item = usize> {
        let Line { node, connection, .. } = &self.trace.lines[seq];
        let before = self.trace.lines[..seq].iter().rev();
        let of_connection = before.filter(move |line| line.node == *node && line.connection == *connection);
        of_connection.filter(|line| line.is_frame()).take(FEW).map(|line| line.seq)
    }
}

/// A packet behind which a connection is closed.
fn ends(line: &Line) -> bool {
    match dissect::kind(&line.bytes) {
        Some(PacketKind::Disconnect) => true,
        // Behind its flags stands the reason, or the return code.
        Some(PacketKind::Connack) => line.bytes.get(3).is_some_and(|reason| *reason != 0),
        _ => false,
    }
}

/// The end of a connection, a fault that changed something, or a connection that is not the first.
fn is_a_turn(line: &Line) -> bool {
    match line.what {
        Happening::Fault => !line.text.contains(" takes "),
        Happening::Opened => line.connection > 1,
        Happening::Ended => true,
        _ => false,
    }
}

/// The broker went down or came back, or its disk failed or works again: this concerns everybody.
fn befell_the_broker(line: &Line) -> bool {
    line.what == Happening::Fault
        && line.node == BROKER
        && ["the broker ", "the disk "].iter().any(|it| line.text.starts_with(it))
}
