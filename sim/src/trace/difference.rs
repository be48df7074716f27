//! Where two traces part.

use std::fmt::Write as _;

use owo_colors::OwoColorize;

use super::model::{Happening, Line, Trace};

/// So many lines before the difference are shown.
const BEFORE: usize = 6;
/// And so many after it, of each.
const AFTER: usize = 6;

/// The first difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The first seq at which the two differ: both have what is before.
    pub seq: usize,
    /// Whether the two lines there differ in nothing but their times.
    pub in_time_alone: bool,
}

/// `None` if the same happened in both. Causes and words of the header are not compared: they say how something came about, not
/// what happened.
pub fn first(a: &Trace, b: &Trace) -> Option<Difference> {
    let same = |(a, b): &(&Line, &Line)| {
        a == b || Line { cause: None, ..(*a).clone() } == Line { cause: None, ..(*b).clone() }
    };
    let seq = a.lines.iter().zip(&b.lines).take_while(same).count();
    if seq == a.lines.len() && seq == b.lines.len() {
        return None;
    }
    let in_time_alone = match (a.lines.get(seq), b.lines.get(seq)) {
        (Some(a), Some(b)) => {
            let timeless = |line: &Line| Line { at_us: 0, cause: None, ..line.clone() };
            timeless(a) == timeless(b)
        }
        _ => false,
    };
    Some(Difference { seq, in_time_alone })
}

/// For a person: what both have, then what each goes on with. `names` are what the two are called.
pub fn draw(a: &Trace, b: &Trace, difference: Difference, names: [&str; 2]) -> String {
    let Difference { seq, in_time_alone } = difference;
    let mut text = String::new();
    for (name, trace, mark) in [(names[0], a, "-"), (names[1], b, "+")] {
        let header = &trace.header;
        let _ = writeln!(
            text,
            "{mark} {name}: {}, MQTT {}, {} world, seed {}, {} entries, digest {}",
            header.script, header.mqtt, header.world, header.seed, header.entries, header.digest
        );
    }
    let words = if in_time_alone { "they part in the time of seq" } else { "they part at seq" };
    let at = a.lines.get(seq).or(b.lines.get(seq)).map_or(0, |line| line.at_us);
    let _ = writeln!(text, "\n{} {seq} ({} s)\n", words.bold(), seconds(at));
    let from = seq.saturating_sub(BEFORE);
    if from > 0 {
        let _ = writeln!(text, "{}", format!("  … {from} entries are the same").dimmed());
    }
    for line in &a.lines[from..seq] {
        let _ = writeln!(text, "{}", format!("  {}", row(a, line)).dimmed());
    }
    for (trace, mark) in [(a, "-"), (b, "+")] {
        let rest = trace.lines.get(seq..).unwrap_or_default();
        for line in rest.iter().take(AFTER) {
            let row = format!("{mark} {}", row(trace, line));
            let _ = if mark == "-" { writeln!(text, "{}", row.red()) } else { writeln!(text, "{}", row.green()) };
        }
        match rest.len().checked_sub(AFTER) {
            None if rest.is_empty() => drop(writeln!(text, "{mark} (it ends here: {})", trace.end.verdict)),
            Some(more) if more > 0 => drop(writeln!(text, "{}", format!("{mark} … and {more} more").dimmed())),
            _ => {}
        }
    }
    text
}

/// One line, as narrow as it can be and still be compared.
fn row(trace: &Trace, line: &Line) -> String {
    let sign = match line.what {
        Happening::Sent | Happening::Opened | Happening::Closed => "→",
        Happening::Received | Happening::Ended => "←",
        Happening::Fault => "⚡",
        Happening::Told => "●",
    };
    let words = match line.what {
        Happening::Opened => "opens a connection".to_owned(),
        _ => trace.shown(&line.text),
    };
    let who = if line.connection == 0 { line.node.clone() } else { format!("{}#{}", line.node, line.connection) };
    format!("{:>5}  {:>10} s  {who:<10} {sign} {words}", line.seq, seconds(line.at_us))
}

fn seconds(at_us: u64) -> String {
    format!("{}.{:06}", at_us / 1_000_000, at_us % 1_000_000)
}
