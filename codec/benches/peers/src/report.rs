//! The figures as JSON, which is the truth, and as a table for readers.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path, process::Command};

use serde::Serialize;

use crate::{
    codec::{Codec, OUR_VIEWS, OURS},
    malformed::Refusals,
    measure::Figure,
    rows::Row,
};

#[derive(Serialize)]
pub struct Report {
    command: &'static str,
    machine: BTreeMap<&'static str, String>,
    rounds: usize,
    codecs: Vec<About>,
    pub decode: Vec<Measured>,
    pub encode: Vec<Measured>,
    pub pieces: Vec<Measured>,
    pub growing_decode: Vec<Measured>,
    pub growing_encode: Vec<Measured>,
    pub malformed: Vec<Refusals>,
}

/// One codec.
#[derive(Serialize)]
struct About {
    name: &'static str,
    version: String,
    mqtt: String,
    remark: &'static str,
}

/// One row.
#[derive(Serialize)]
pub struct Measured {
    row: String,
    bytes: f64,
    figures: Vec<Figure>,
}

impl Measured {
    pub fn new(row: &Row, figures: Vec<Figure>) -> Self {
        Measured { row: row.name.clone(), bytes: row.stream.len() as f64 / row.packets as f64, figures }
    }

    fn ours(&self) -> &Figure {
        self.figures.iter().find(|figure| figure.codec == OURS).expect("ours is always measured")
    }

    /// Ours that borrow, where there is such a thing.
    fn views(&self) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.codec == OUR_VIEWS && figure.refused.is_none())
    }

    fn best_peer(&self, codecs: &[About], may_borrow: bool) -> Option<&Figure> {
        let borrows = |name| codecs.iter().any(|codec| codec.name == name && codec.remark.starts_with("borrows"));
        self.figures
            .iter()
            .filter(|figure| ![OURS, OUR_VIEWS].contains(&figure.codec) && figure.refused.is_none())
            .filter(|figure| may_borrow || !borrows(figure.codec))
            .max_by(|a, b| a.ours_ratio.total_cmp(&b.ours_ratio))
    }
}

impl Report {
    pub fn new(rounds: usize, codecs: &[Box<dyn Codec>]) -> Self {
        let codecs = codecs.iter().map(|codec| About {
            name: codec.name(),
            version: locked_version(codec.package()),
            mqtt: codec.version().to_string(),
            remark: codec.remark(),
        });
        Report {
            command: "cargo run --release --manifest-path codec/benches/peers/Cargo.toml",
            machine: machine(),
            rounds,
            codecs: codecs.collect(),
            decode: Vec::new(),
            encode: Vec::new(),
            pieces: Vec::new(),
            growing_decode: Vec::new(),
            growing_encode: Vec::new(),
            malformed: Vec::new(),
        }
    }

    pub fn write(&self) -> std::io::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../reports/bench");
        fs::create_dir_all(&folder)?;
        let text = self.markdown();
        fs::write(folder.join("codec.md"), text)?;
        fs::write(folder.join("codec.json"), serde_json::to_string_pretty(self)? + "\n")
    }

    pub fn markdown(&self) -> String {
        let mut text = String::from("# The codec beside its peers\n\n");
        let _ = writeln!(text, "`{}`\n", self.command);
        for (what, value) in &self.machine {
            let _ = writeln!(text, "- {what}: {value}");
        }
        let _ = writeln!(
            text,
            "- {} rounds, every codec in turn in each; the median, in nanoseconds for one packet\n",
            self.rounds
        );
        text += "All are built with the same profile, that of the project's release. Decoding starts with all bytes in \
                 the codec's own buffer and ends when each packet was looked at (its topic as a checked string, its \
                 payload, the properties of 5.0) and dropped; what a peer parsed into fields is there, what ours and \
                 its views keep in place is read there, each property and, of a view and of a CONNECT, each string. Encoding writes packets that the same codec decoded, one behind the other, into \
                 a buffer that was used before. A ratio is the median of those of each round, because a machine may change its pace \
                 between them; below 1 means that ours is faster.\n\n";
        text += "| codec | version | MQTT | what a decoded packet is |\n|---|---|---|---|\n";
        for codec in &self.codecs {
            let _ = writeln!(text, "| {} | {} | {} | {} |", codec.name, codec.version, codec.mqtt, codec.remark);
        }
        self.table(&mut text, "Decode", &self.decode);
        self.table(&mut text, "Encode", &self.encode);
        self.table(&mut text, "Decode, the stream cut into pieces", &self.pieces);
        text += WHAT_OWNING_COSTS;
        growth(&mut text, &self.growing_decode, &self.growing_encode);
        self.refusals(&mut text);
        self.remarks(&mut text);
        text
    }

    fn table(&self, text: &mut String, title: &str, rows: &[Measured]) {
        let _ = writeln!(text, "\n## {title}\n");
        *text += "| packet | bytes | ours | MB/s | allocations | our views | best peer | ours / best peer | views / \
                  best peer | best that owns | ours / best that owns |\n\
                  |---|--:|--:|--:|--:|--:|---|--:|--:|---|--:|\n";
        for row in rows {
            let ours = row.ours();
            let _ = write!(
                text,
                "| {} | {:.0} | {:.1} | {:.0} | {} | {} |",
                row.row,
                row.bytes,
                ours.ns,
                ours.megabytes_per_second,
                count(ours.allocations),
                row.views().map_or_else(String::new, |views| format!("{:.1}", views.ns)),
            );
            for may_borrow in [true, false] {
                let _ = match row.best_peer(&self.codecs, may_borrow) {
                    Some(peer) => write!(
                        text,
                        " {} {:.1}, {} | **{:.2}** |",
                        peer.codec,
                        peer.ns,
                        count(peer.allocations),
                        peer.ours_ratio
                    ),
                    None => write!(text, " none | |"),
                };
                if may_borrow {
                    let views = row.views().zip(row.best_peer(&self.codecs, true));
                    let ratio = views.map_or_else(String::new, |(_, peer)| format!("**{:.2}**", peer.views_ratio));
                    let _ = write!(text, " {ratio} |");
                }
            }
            *text += "\n";
        }
        let mut names: Vec<_> = self.codecs.iter().map(|codec| codec.name).collect();
        names.dedup();
        let _ = writeln!(text, "\nEvery codec: nanoseconds, allocations.\n\n| packet | {} |", names.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(names.len()));
        for row in rows {
            let cells = names.iter().map(|name| match row.figures.iter().find(|figure| figure.codec == *name) {
                None => String::new(),
                Some(figure) if figure.refused.is_some() => "cannot".into(),
                Some(figure) => format!("{:.1}, {}", figure.ns, count(figure.allocations)),
            });
            let _ = writeln!(text, "| {} | {} |", row.row, cells.collect::<Vec<_>>().join(" | "));
        }
    }

    fn refusals(&self, text: &mut String) {
        *text += "\n## Packets that have to be refused\n\nWhole frames with one fault each, those of \
                  `codec/tests/malformed/packets.txt`; faults that only one direction has are left out.\n\n\
                  | codec | MQTT | packets | refused | taken | more bytes waited for | panics |\n\
                  |---|---|--:|--:|--:|--:|--:|\n";
        for row in &self.malformed {
            let Refusals { codec, mqtt, packets, refused, taken, waited, panicked } = row;
            let _ =
                writeln!(text, "| {codec} | {mqtt} | {packets} | **{refused}** | {taken} | {waited} | {panicked} |");
        }
    }

    /// What a reader may not take for granted.
    fn remarks(&self, text: &mut String) {
        let mut remarks = Vec::new();
        for (task, rows) in [("decode", &self.decode), ("encode", &self.encode), ("decode", &self.pieces)] {
            for (row, figure) in rows.iter().flat_map(|row| row.figures.iter().map(move |figure| (row, figure))) {
                if let Some(reason) = &figure.refused {
                    remarks.push(format!("- {} cannot {task} \"{}\": {reason}", figure.codec, row.row));
                } else if figure.other_bytes {
                    remarks.push(format!("- {} writes other bytes for \"{}\" than it read", figure.codec, row.row));
                }
            }
        }
        if !remarks.is_empty() {
            let _ = writeln!(text, "\n## What peers do otherwise\n\n{}", remarks.join("\n"));
        }
    }
}

fn growth(text: &mut String, decode: &[Measured], encode: &[Measured]) {
    *text += "\n## How the cost of ours grows\n\n| packet | bytes | decode | allocations | encode | allocations |\n\
              |---|--:|--:|--:|--:|--:|\n";
    for (decode, encode) in decode.iter().zip(encode) {
        let (read, written) = (decode.ours(), encode.ours());
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.1} | {} | {:.1} | {} |",
            decode.row,
            decode.bytes,
            read.ns,
            count(read.allocations),
            written.ns,
            count(written.allocations)
        );
    }
}

/// Allocations for one packet: a whole stream has a few of its own.
fn count(allocations: f64) -> String {
    if allocations < 0.05 { "0".into() } else { format!("{allocations:.1}").trim_end_matches(".0").into() }
}

fn machine() -> BTreeMap<&'static str, String> {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".into())
    };
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    BTreeMap::from([
        ("machine", format!("{}, {cores} cores", model.map_or("unknown", |(_, name)| name))),
        ("system", said("uname", &["-sr"])),
        ("compiler", said("rustc", &["--version"])),
        ("commit", said("git", &["rev-parse", "--short", "HEAD"])),
    ])
}

/// The version of a crate, from the lock file that it was built with.
fn locked_version(package: &str) -> String {
    let heading = format!("name = \"{package}\"\nversion = \"");
    let lock = include_str!("../Cargo.lock");
    let version = lock.split_once(&heading).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or_else(|| "unknown".into(), |(version, _)| version.to_owned())
}

/// What dominates in the pieces, and what would be next.
const WHAT_OWNING_COSTS: &str = "\nWhere a peer whose packets borrow is ahead of ours that own (pieces of 64 B, 3.1.1), it is the owning that \
     costs: our views, which borrow as that peer does, are level with it, and each peer whose packets own takes \
     longer than ours. An owned packet counts the references to the buffer that its bytes stand in, and a packet \
     that comes in pieces is gathered in one first. Next would be a buffer for pieces that is handed over whole, \
     so that nothing is counted until somebody keeps a packet.\n";
