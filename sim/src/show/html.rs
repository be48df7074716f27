//! What the page of a trace shows, as data for its script. Nothing of it is markup: the script writes it as text.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use squall_codec::{packet::Packet, reason::Side, version::Version};
use squall_scenarios::{
    dissect::{self, Value},
    verdict::Verdict,
};

use super::{
    lead::Leads,
    page,
    picture::{Head, Mark, Picture, Shape, Stroke, Way},
    rules, state, statements, violations, words,
};
use crate::{
    diagram,
    history::History,
    trace::{
        model::{Cause, Happening, Line, Trace},
        write::hex,
    },
};

/// More rows than this are not repeated as plain text for those without scripts.
const PLAIN_ROWS: usize = 400;
/// So many bytes of a frame are shown.
const BYTES: usize = 2048;

#[derive(Serialize)]
struct Data<'a> {
    title: &'a str,
    about: Vec<String>,
    script: &'a str,
    world: &'a str,
    mqtt: String,
    /// As text: a script's numbers are not that long.
    seed: String,
    squall: &'a str,
    hash: &'a str,
    digest: &'a str,
    verdict: Verdict,
    reason: String,
    elapsed_us: u64,
    proves: &'a [String],
    actors: &'a [String],
    /// Under which other Client Identifiers each of them has come.
    names: Vec<Vec<String>>,
    /// What stands before every topic on the wire and is left out.
    topic_root: &'a str,
    /// How many actors stand to the left of the broker.
    left: usize,
    rows: Vec<Row<'a>>,
    sessions: Vec<SessionData>,
    violations: Vec<violations::Violation>,
    /// Section and plain words of each statement that is named.
    statements: BTreeMap<String, (&'static str, &'static str)>,
    packets: BTreeMap<&'static str, &'static str>,
    fields: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct Row<'a> {
    at: u64,
    seq: usize,
    lane: Option<usize>,
    connection: u32,
    shape: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stroke: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<&'static str>,
    label: String,
    /// What a reader may miss in the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// A connection, and whether it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<(u32, bool)>,
    #[serde(skip_serializing_if = "String::is_empty")]
    hex: String,
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    malformed: Option<String>,
    /// What it means, where that is another thing than what its kind does mostly.
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<&'static str>,
    /// Field and statement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    touches: Vec<(&'static str, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a Cause>,
}

#[derive(Serialize)]
struct FieldData {
    group: &'static str,
    name: &'static str,
    from: usize,
    size: usize,
    value: String,
    /// Name, mask and value of each part of a byte.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<(&'static str, u8, u8)>,
}

/// One session, and how it looks from which row on.
#[derive(Serialize)]
struct SessionData {
    client: String,
    changes: Vec<(usize, state::Session)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The whole page: one file that needs nothing else.
pub fn draw(trace: &Trace) -> String {
    let picture = Picture::of(trace);
    let header = &trace.header;
    let versions = trace.versions();
    let leads = Leads::of(trace);
    let mut known = Known::default();
    let rows: Vec<Row<'_>> = picture
        .rows
        .iter()
        .map(|row| {
            let line = &trace.lines[row.seq];
            let mut data = drawn(row, line);
            let is_breach = row.shape == Shape::Mark(Mark::Breach);
            if line.is_frame() && !is_breach && !line.bytes.is_empty() {
                known.take_apart(&mut data, trace, line, versions[row.seq]);
            }
            if !is_breach {
                data.remark = leads.remark(row.seq);
                data.cause = line.cause.as_ref();
            }
            data
        })
        .collect();
    let violations = violations::of(trace, &leads);
    let named = violations.iter().flat_map(|one| &one.statements).chain(&header.proves);
    named.for_each(|key| known.statement(key));
    let title = violations::title(trace, &violations);
    let data = Data {
        title: &title,
        about: header
            .about
            .iter()
            .flat_map(|about| about.split("\n\n"))
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect(),
        script: &header.script,
        world: &header.world,
        mqtt: spoken(trace).unwrap_or_else(|| header.mqtt.clone()),
        seed: header.seed.to_string(),
        squall: &header.squall,
        hash: &header.hash,
        digest: &header.digest,
        verdict: trace.end.verdict,
        reason: trace.shown(&trace.end.reason),
        elapsed_us: trace.end.elapsed_us,
        proves: &header.proves,
        names: picture.actors.iter().map(|actor| other_names(trace, actor)).collect(),
        topic_root: &header.topic_root,
        actors: &picture.actors,
        left: picture.on_the_left(),
        sessions: sessions(trace, &picture),
        rows,
        violations,
        statements: known.statements,
        packets: known.packets,
        fields: known.fields,
    };
    let plain = if picture.rows.len() <= PLAIN_ROWS {
        anstream::adapter::strip_str(&diagram::draw(trace, 100)).to_string()
    } else {
        String::new()
    };
    page::write(&title, &plain, &serde_json::to_string(&data).expect("texts and numbers are JSON"))
}

fn drawn<'a>(row: &super::picture::Row, line: &Line) -> Row<'a> {
    let (shape, stroke, head) = match row.shape {
        Shape::Arrow { way, stroke, head } => {
            let way = if way == Way::ToBroker { "up" } else { "down" };
            let stroke = match stroke {
                Stroke::Packet => "packet",
                Stroke::Beginning => "beginning",
                Stroke::End => "end",
            };
            let head = match head {
                Head::Arrives => "arrives",
                Head::Lost => "lost",
                Head::Stuck => "stuck",
            };
            (way, Some(stroke), Some(head))
        }
        Shape::Mark(Mark::Fault) => ("fault", None, None),
        Shape::Mark(Mark::Told) => ("told", None, None),
        Shape::Mark(Mark::Turn) => ("turn", None, None),
        Shape::Mark(Mark::Breach) => ("breach", None, None),
    };
    Row {
        at: row.at_us,
        seq: row.seq,
        lane: row.lane,
        connection: line.connection,
        shape,
        stroke,
        head,
        label: row.label.clone(),
        remark: None,
        kind: None,
        change: row.change.map(|change| (change.connection, change.opens)),
        hex: String::new(),
        more: 0,
        fields: Vec::new(),
        malformed: None,
        means: None,
        touches: Vec::new(),
        cause: None,
    }
}

/// The versions that are spoken, in words; `None` where nobody has said CONNECT.
fn spoken(trace: &Trace) -> Option<String> {
    let sent = trace.lines.iter().filter(|line| line.what == Happening::Sent);
    let versions: BTreeSet<Version> = sent.filter_map(|line| dissect::connect_version(&line.bytes)).collect();
    let words: Vec<String> = versions.iter().map(ToString::to_string).collect();
    match words.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [before @ .., last] => Some(format!("{} and {last}", before.join(", "))),
    }
}

/// The Client Identifiers of an actor that are not its name.
fn other_names(trace: &Trace, actor: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in trace.lines.iter().filter(|line| line.node == actor && line.what == Happening::Sent) {
        let Some(version) = dissect::connect_version(&line.bytes) else { continue };
        let fields = dissect::fields(&line.bytes, version);
        let name = fields.iter().find(|field| field.name == "Client Identifier").map(|field| field.value.to_string());
        names.extend(name.filter(|name| !name.is_empty() && name != actor && !names.contains(name)));
    }
    names
}

/// What the rows speak of, once for all of them.
#[derive(Default)]
struct Known {
    statements: BTreeMap<String, (&'static str, &'static str)>,
    packets: BTreeMap<&'static str, &'static str>,
    fields: BTreeMap<&'static str, &'static str>,
}

impl Known {
    fn take_apart(&mut self, row: &mut Row<'_>, trace: &Trace, line: &Line, version: Version) {
        let own = dissect::connect_version(&line.bytes).unwrap_or(version);
        let fields = dissect::fields(&line.bytes, own);
        let sender = if line.what == Happening::Sent { Side::Client } else { Side::Server };
        if let Err(error) = Packet::decode(own, sender, line.bytes.clone()) {
            row.malformed = Some(error.to_string());
            let standard = if own == Version::V3_1 { Version::V3_1_1 } else { own };
            if let Some(statement) = error.statement(standard) {
                row.touches.push(("", format!("{standard}/{statement}")));
            }
        }
        if let Some(kind) = dissect::kind(&line.bytes) {
            row.kind = Some(kind.name());
            let is_refusal = |field: &dissect::Field| matches!(field.value, Value::Code(code, _) if field.name == "Reason Code" && code >= 0x80);
            if fields.iter().any(is_refusal) {
                row.means = words::of_refusal(kind);
            }
            self.packets.entry(kind.name()).or_insert_with(|| words::of_packet(kind));
            let touched = rules::touched(kind, line.what, own, &fields);
            row.touches.extend(touched.into_iter().map(|touched| (touched.field, touched.key)));
        }
        for (_, key) in &row.touches {
            self.statement(key);
        }
        let shown = line.bytes.len().min(BYTES);
        row.hex = hex(&line.bytes[..shown]);
        row.more = line.bytes.len() - shown;
        for field in fields {
            self.field(field.name);
            let flags = match &field.value {
                Value::Flags(flags) => flags.iter().map(|flag| (flag.name, flag.mask, flag.value)).collect(),
                _ => Vec::new(),
            };
            for (name, ..) in &flags {
                self.field(name);
            }
            let value = if flags.is_empty() { trace.shown(&field.value.to_string()) } else { String::new() };
            row.fields.push(FieldData {
                group: field.group.name(),
                name: field.name,
                from: field.range.start,
                size: field.range.len(),
                value: cut(value),
                flags,
            });
        }
    }

    fn field(&mut self, name: &'static str) {
        let words = words::of_field(name);
        if !words.is_empty() {
            self.fields.insert(name, words);
        }
    }

    fn statement(&mut self, key: &str) {
        if !self.statements.contains_key(key)
            && let Some(statement) = statements::find(key)
        {
            self.statements.insert(key.to_owned(), (statement.section, statement.words));
        }
    }
}

/// A payload can be as long as it likes, a page not.
fn cut(value: String) -> String {
    if value.chars().count() <= BYTES {
        return value;
    }
    let shown: String = value.chars().take(BYTES).collect();
    format!("{shown}…")
}

/// The sessions by their Client Identifiers, with the rows from which they look different.
fn sessions(trace: &Trace, picture: &Picture) -> Vec<SessionData> {
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, row) in picture.rows.iter().enumerate() {
        rows.entry(row.seq).or_insert(index);
    }
    let mut sessions: BTreeMap<String, Vec<(usize, state::Session)>> = BTreeMap::new();
    for change in state::changes(&History::of(&trace.transcript())) {
        let Some(row) = rows.get(&change.seq) else { continue };
        let mut session = change.session;
        let lists = [&mut session.to_broker, &mut session.to_client, &mut session.waiting, &mut session.subscriptions];
        for text in lists.into_iter().flatten().chain(&mut session.will) {
            *text = trace.shown(text);
        }
        for timer in &mut session.timers {
            timer.name = trace.shown(&timer.name);
        }
        sessions.entry(change.client).or_default().push((*row, session));
    }
    sessions.into_iter().map(|(client, changes)| SessionData { client, changes }).collect()
}
