//! The report as JSON: the truth from which the others are drawn.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::model::{Report, SCHEMA};

/// What stands deeper than this is written on one line: a statement, a test, a line of a transcript.
const INDENTED: usize = 4;

/// The report as text that people can diff.
pub fn write(report: &Report) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, Indented::default());
    report.serialize(&mut serializer).expect("a report is plain data");
    text.push(b'\n');
    String::from_utf8(text).expect("JSON is text")
}

/// Reads a report back.
///
/// # Errors
/// One sentence: no report, or one of another schema.
pub fn read(text: &str) -> Result<Report, String> {
    let report: Report = serde_json::from_str(text).map_err(|error| format!("this is no report: {error}"))?;
    if report.schema != SCHEMA {
        return Err(format!("this report has the schema {}, this program reads {SCHEMA}", report.schema));
    }
    Ok(report)
}

/// Indents what is near the surface, so that a change of one packet is a change of one line.
#[derive(Default)]
struct Indented {
    depth: usize,
    pretty: PrettyFormatter<'static>,
}

/// The methods that differ between the two ways of writing.
macro_rules! by_depth {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method<W: ?Sized + io::Write>(&mut self, writer: &mut W, $($argument: $kind),*) -> io::Result<()> {
            if self.depth <= INDENTED {
                self.pretty.$method(writer, $($argument),*)
            } else {
                CompactFormatter.$method(writer, $($argument),*)
            }
        }
    )*};
}

impl Formatter for Indented {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= INDENTED { self.pretty.begin_array(writer) } else { CompactFormatter.begin_array(writer) }
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < INDENTED { self.pretty.end_array(writer) } else { CompactFormatter.end_array(writer) }
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= INDENTED { self.pretty.begin_object(writer) } else { CompactFormatter.begin_object(writer) }
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < INDENTED { self.pretty.end_object(writer) } else { CompactFormatter.end_object(writer) }
    }

    by_depth! {
        begin_array_value(first: bool);
        end_array_value();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }
}
