//! What went wrong, told so that somebody who sees MQTT for the first time can follow: what was promised, what was seen, and the
//! packets that lead there.

use std::collections::{BTreeMap, BTreeSet};

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
use crate::trace::model::{Happening, Line, Trace};

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
    let mut violations: Vec<Violation> = trace
        .breaches
        .iter()
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

/// The packets that have to do with the one at this line, until it showed at another: the same message wherever it went, and the
/// exchange it is part of; of a message that never came, who has asked for it as well.
fn steps(trace: &Trace, told: &[Option<Told>], seq: usize, showed: usize) -> Vec<usize> {
    let (Some(line), true) = (trace.lines.get(showed), seq < trace.lines.len()) else { return Vec::new() };
    let Some(about) = &told[seq] else { return vec![seq] };
    let message = about.message.clone().or_else(|| {
        // An acknowledgement is about the PUBLISH with its identifier.
        let same = |other: &&Told| other.exchange == about.exchange && other.message.is_some();
        told[..=seq].iter().rev().flatten().find(same).and_then(|publish| publish.message.clone())
    });
    // Every exchange that carries the message, with its acknowledgements.
    let mut exchanges: BTreeMap<&Exchange, ()> = BTreeMap::new();
    for one in told.iter().flatten().filter(|one| message.is_some() && one.message == message) {
        exchanges.extend(one.exchange.as_ref().map(|exchange| (exchange, ())));
    }
    let never_came = message.as_ref().filter(|_| seq != showed).map(|(topic, _)| topic);
    let asks_for_it = |told: &Option<Told>| {
        never_came
            .is_some_and(|topic| told.as_ref().is_some_and(|told| told.filters.iter().any(|one| one.matches(topic))))
    };
    let mut concerned: BTreeSet<&str> = exchanges.keys().map(|exchange| exchange.node.as_str()).collect();
    concerned
        .extend(trace.lines.iter().zip(told).filter(|(_, told)| asks_for_it(told)).map(|(line, _)| line.node.as_str()));
    let mut steps: Vec<usize> = trace
        .lines
        .iter()
        .zip(told)
        .filter(|(other, told)| {
            let of_message = told.as_ref().is_some_and(|told| {
                let in_exchange = told.exchange.as_ref().is_some_and(|one| exchanges.contains_key(one));
                message.is_some() && told.message == message
                    || in_exchange
                    || told.exchange.is_some() && told.exchange == about.exchange
            });
            // What broke the connections on which it travelled.
            let broke = matches!(other.what, Happening::Fault | Happening::Ended | Happening::Opened)
                && other.seq <= showed
                && concerned.contains(other.node.as_str());
            let leads_there = of_message || asks_for_it(told) || broke && is_a_turn(other);
            other.seq == showed || other.at_us <= line.at_us && leads_there
        })
        .map(|(other, _)| other.seq)
        .collect();
    steps.sort_by_key(|step| trace.lines[*step].at_us);
    if steps.len() > STEPS {
        // The beginning and the end tell it.
        let cut = steps.len() - STEPS;
        steps.drain(STEPS / 2..STEPS / 2 + cut);
    }
    steps
}

/// A fault that changed something, or a connection that is not the first.
fn is_a_turn(line: &Line) -> bool {
    match line.what {
        Happening::Fault => !line.text.contains(" takes "),
        Happening::Opened => line.connection > 1,
        _ => true,
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
    fn of(line: &Line, version: Version) -> Option<Told> {
        let kind = dissect::kind(&line.bytes).filter(|_| line.is_frame())?;
        let sent = line.what == Happening::Sent;
        let to_broker = match kind {
            PacketKind::Publish | PacketKind::Pubrel => sent,
            PacketKind::Puback | PacketKind::Pubrec | PacketKind::Pubcomp => !sent,
            PacketKind::Subscribe if sent => {
                let Ok(Packet::Subscribe(asked)) = Packet::decode(version, Side::Client, line.bytes.clone()) else {
                    return None;
                };
                let filters = asked.subscriptions.into_iter().map(|one| one.filter).collect();
                return Some(Told { filters, ..Told::default() });
            }
            _ => return None,
        };
        let fields = dissect::fields(&line.bytes, version);
        let value = |name: &str| fields.iter().find(|field| field.name == name).map(|field| &field.value);
        let packet_id = match value("Packet Identifier") {
            Some(Value::Number(id)) => Some(*id),
            _ => None,
        };
        let message = (kind == PacketKind::Publish).then(|| {
            let text = |name| value(name).map(ToString::to_string).unwrap_or_default();
            (text("Topic Name"), text("Payload"))
        });
        let exchange = packet_id.map(|packet_id| Exchange { node: line.node.clone(), to_broker, packet_id });
        Some(Told { message, exchange, filters: Vec::new() })
    }
}
