//! What went wrong, told so that somebody who sees MQTT for the first time can follow: what was promised, what was seen, and the
//! packets that lead there.

use std::collections::BTreeSet;

use serde::Serialize;
use squall_codec::{
    packet::{Packet, PacketKind},
    reason::Side,
    topic::TopicFilter,
    version::Version,
};
use squall_scenarios::{
    dissect::{self, Value},
    verdict::Verdict,
};

use super::{statements, words};
use crate::trace::model::{Broken, Happening, Line, Trace};

/// So many packets tell how it came about.
const STEPS: usize = 14;
/// So many are told in full: what follows the first is often its consequence.
const MOST: usize = 30;

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    /// Its name.
    pub(super) title: String,
    /// In plain words; empty where nothing but the statements say it.
    pub(super) promise: String,
    /// The statements, by their keys.
    pub(super) statements: Vec<String>,
    /// What was seen.
    pub(super) seen: String,
    /// The line of the trace where it showed.
    pub(super) seq: Option<usize>,
    /// The lines that lead there, in the order of time.
    pub(super) steps: Vec<usize>,
    /// The line of the script with a caret, for a step that was not borne out.
    pub(super) excerpt: String,
}

/// All that went wrong, the first first.
pub(super) fn of(trace: &Trace) -> Vec<Violation> {
    let versions = trace.versions();
    let told: Vec<Option<Told>> =
        trace.lines.iter().zip(&versions).map(|(line, version)| Told::of(line, *version)).collect();
    let mut breaches: Vec<&Broken> = trace.breaches.iter().collect();
    breaches.sort_by_key(|breach| breach.at_us);
    let mut violations: Vec<Violation> = breaches
        .into_iter()
        .take(MOST)
        .map(|breach| {
            // The statement of the version that was spoken says it best.
            let own = |key: &&String| key.starts_with(&format!("{}/", trace.header.mqtt));
            let mut keys: Vec<String> = breach.statements.iter().filter(own).cloned().collect();
            if keys.is_empty() {
                keys.clone_from(&breach.statements);
            }
            Violation {
                title: breach.breach.clone(),
                promise: words::of_invariant(&breach.breach).unwrap_or_default().to_owned(),
                statements: keys,
                seen: trace.shown(&breach.detail),
                seq: Some(breach.seq),
                // What has not come has no line of its own: where it began, and all that it met.
                steps: steps(trace, &told, breach.about.unwrap_or(breach.seq), breach.seq),
                excerpt: String::new(),
            }
        })
        .collect();
    let end = &trace.end;
    // The end of a play that is judged by what must hold says the first of these once more.
    let is_told = end.line.is_none() && trace.breaches.iter().any(|breach| end.reason.contains(&breach.detail));
    if matches!(end.verdict, Verdict::Fail | Verdict::Inconclusive | Verdict::Warn) && !is_told {
        let title = match end.line {
            Some(line) => format!("The story was not borne out at line {line}"),
            None => "The play could not end".to_owned(),
        };
        let known = |key: &&String| statements::find(key).is_some();
        violations.push(Violation {
            title,
            promise: trace.header.title.clone(),
            statements: trace.header.proves.iter().filter(known).cloned().collect(),
            seen: trace.shown(&end.reason),
            seq: end.seq,
            steps: end.seq.map_or_else(Vec::new, |seq| steps(trace, &told, seq, seq)),
            excerpt: end.excerpt.clone().unwrap_or_default(),
        });
    }
    violations
}

/// What leads to a line at which something showed: of a message what has to do with it wherever it went, of what is no message the
/// connections of its client.
fn steps(trace: &Trace, told: &[Option<Told>], seq: usize, showed: usize) -> Vec<usize> {
    let (Some(line), true) = (trace.lines.get(showed), seq < trace.lines.len()) else { return Vec::new() };
    let is_connect = dissect::kind(&trace.lines[seq].bytes) == Some(PacketKind::Connect);
    let lead = match &told[seq] {
        // With CONNECT comes a will, but what shows there is about the connection.
        Some(about) if about.has_message() && !(is_connect && seq == showed) => of_message(trace, told, about, showed),
        _ => of_client(trace, told, seq),
    };
    let in_time = |step: &usize| trace.lines[*step].at_us <= line.at_us;
    let mut steps: Vec<usize> = lead.into_iter().filter(|step| *step != showed && in_time(step)).collect();
    steps.push(showed);
    steps.sort_by_key(|step| trace.lines[*step].at_us);
    if steps.len() > STEPS {
        // The beginning and the end tell it.
        let cut = steps.len() - STEPS;
        steps.drain(STEPS / 2..STEPS / 2 + cut);
    }
    steps
}

/// The same message wherever it went, the exchange that it is part of, who has asked for it, and what became of their connections.
fn of_message(trace: &Trace, told: &[Option<Told>], about: &Told, showed: usize) -> Vec<usize> {
    let message = about.message.as_ref().or_else(|| {
        // An acknowledgement is about the PUBLISH with its identifier.
        let same = |other: &&Told| other.exchange == about.exchange && other.message.is_some();
        told[..=showed].iter().rev().flatten().find(same).and_then(|publish| publish.message.as_ref())
    });
    let is_it = |told: &Told| message.is_some() && told.message.as_ref() == message;
    // Every exchange that carries the message, with its acknowledgements.
    let exchanges: BTreeSet<&Exchange> =
        told.iter().flatten().filter(|one| is_it(one)).filter_map(|one| one.exchange.as_ref()).collect();
    let shown_to = &trace.lines[showed].node;
    let never_came = told[showed].is_none();
    let asks_for_it = |line: &Line, told: &Told| {
        let matches = |(topic, _): &(String, String)| told.filters.iter().any(|filter| filter.matches(topic));
        (never_came || line.node == *shown_to) && message.is_some_and(matches)
    };
    let with_told = || trace.lines.iter().zip(told);
    let concerns = |(line, told): &(&Line, &Option<Told>)| {
        told.as_ref().is_some_and(|told| {
            let in_exchange = told.exchange.as_ref().is_some_and(|one| exchanges.contains(one));
            is_it(told)
                || in_exchange
                || asks_for_it(line, told)
                || told.exchange.is_some() && told.exchange == about.exchange
        })
    };
    let nodes: BTreeSet<&str> = with_told().filter(concerns).map(|(line, _)| line.node.as_str()).collect();
    let steps = with_told().filter(|(line, told)| {
        let broke = line.seq <= showed && nodes.contains(line.node.as_str()) && is_a_turn(line);
        concerns(&(line, told)) || broke
    });
    steps.map(|(line, _)| line.seq).collect()
}

/// How a client has come in, what it has asked for, how its connections have ended, and what it has said last.
fn of_client(trace: &Trace, told: &[Option<Told>], seq: usize) -> Vec<usize> {
    let node = &trace.lines[seq].node;
    let own = || trace.lines[..seq].iter().filter(|line| line.node == *node);
    let is_telling = |line: &&Line| {
        let kind = dissect::kind(&line.bytes).filter(|_| line.is_frame());
        let is_session = matches!(kind, Some(PacketKind::Connect | PacketKind::Connack | PacketKind::Disconnect));
        is_session || is_a_turn(line) || told[line.seq].as_ref().is_some_and(|told| !told.filters.is_empty())
    };
    let last = own().rfind(|line| line.what == Happening::Sent);
    let mut steps: Vec<usize> = own().filter(is_telling).chain(last).map(|line| line.seq).collect();
    steps.sort_unstable();
    steps.dedup();
    steps
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

/// An exchange of packet identifiers: whose, and which way the PUBLISH goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Exchange {
    node: String,
    to_broker: bool,
    packet_id: u32,
}

/// What a frame says about messages.
#[derive(Default)]
struct Told {
    message: Option<(String, String)>,
    exchange: Option<Exchange>,
    /// What it asks for.
    filters: Vec<TopicFilter>,
}

impl Told {
    fn has_message(&self) -> bool {
        self.message.is_some() || self.exchange.is_some()
    }

    fn of(line: &Line, version: Version) -> Option<Told> {
        let kind = dissect::kind(&line.bytes).filter(|_| line.is_frame())?;
        let sent = line.what == Happening::Sent;
        let to_broker = match kind {
            PacketKind::Publish | PacketKind::Pubrel => sent,
            PacketKind::Puback | PacketKind::Pubrec | PacketKind::Pubcomp => !sent,
            PacketKind::Connect => false,
            PacketKind::Subscribe if sent => {
                let Ok(Packet::Subscribe(asked)) = Packet::decode(version, Side::Client, line.bytes.clone()) else {
                    return None;
                };
                let filters = asked.subscriptions.into_iter().map(|one| one.filter).collect();
                return Some(Told { filters, ..Told::default() });
            }
            _ => return None,
        };
        let (topic, payload) = match kind {
            PacketKind::Connect => ("Will Topic", "Will Payload"),
            _ => ("Topic Name", "Payload"),
        };
        let fields = dissect::fields(&line.bytes, version);
        let value = |name: &str| fields.iter().find(|field| field.name == name).map(|field| &field.value);
        let packet_id = match value("Packet Identifier") {
            Some(Value::Number(id)) => Some(*id),
            _ => None,
        };
        // What is taken away has no words of its own.
        let text = |name| value(name).map(ToString::to_string);
        let message = text(topic).map(|topic| (topic, text(payload).unwrap_or_default()));
        if kind == PacketKind::Connect && message.is_none() {
            return None;
        }
        let exchange = packet_id.map(|packet_id| Exchange { node: line.node.clone(), to_broker, packet_id });
        Some(Told { message, exchange, filters: Vec::new() })
    }
}
