//! The tree: scalars as they were written, lists, and mappings in their order.

use std::{collections::BTreeMap, rc::Rc};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::reader::Fault;
use crate::script::Place;

/// Deeper than any script is, and not deep enough for the stack.
const DEEPEST: usize = 64;
/// As many as aliases may make of few: they repeat what they stand for.
const MOST_NODES: usize = 1 << 20;

/// A node and its place; that of an alias is where the alias stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Rc<Value>,
    /// How many nodes it is, with itself.
    size: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// No name comes twice.
    Map(Vec<(Node, Node)>),
}

#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Without quotes, so that it may be a number, a truth value or nothing.
    pub(super) is_plain: bool,
}

impl Scalar {
    /// `~`, `null`, or nothing at all.
    pub(super) fn is_null(&self) -> bool {
        self.is_plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// The one document of a text.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut builder = Builder { events: Parser::new_from_str(text), anchors: BTreeMap::new() };
    let root = loop {
        match builder.next()? {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => {
                return Err(Fault::at(Place::FIRST, "unexpected end of input"));
            }
            (event, span) => break builder.node(event, span, 0)?,
        }
    };
    match builder.next()? {
        (Event::DocumentEnd, _) => {}
        (_, span) => return Err(Fault::at(place(span), "expected the end of the document")),
    }
    match builder.next()? {
        (Event::StreamEnd, _) => Ok(root),
        (_, span) => Err(Fault::at(place(span), "a file holds one document, and this is a second one")),
    }
}

fn place(span: Span) -> Place {
    Place::new(span.start.line(), span.start.col() + 1, span.len())
}

fn not_yaml(error: &ScanError) -> Fault {
    let at = error.marker();
    Fault::at(Place::new(at.line(), at.col() + 1, 1), error.info())
}

struct Builder<'t> {
    events: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: BTreeMap<usize, Node>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        loop {
            match self.events.next() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(not_yaml(&error)),
                None => return Err(Fault::at(Place::FIRST, "unexpected end of input")),
            }
        }
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Fault> {
        let place = place(span);
        if depth > DEEPEST {
            return Err(Fault::at(place, format!("this stands inside more than {DEEPEST} others")));
        }
        let (value, anchor, size) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let says_text = tag.as_deref().is_some_and(|tag: &Tag| tag.is_yaml_core_schema_tag("str"));
                let is_plain = style == ScalarStyle::Plain && !says_text;
                (Value::Scalar(Scalar { text: text.into_owned(), is_plain }), anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => {
                let (items, size) = self.items(depth)?;
                (Value::List(items), anchor, size)
            }
            Event::MappingStart(_, anchor, _) => {
                let (entries, size) = self.entries(depth)?;
                (Value::Map(entries), anchor, size)
            }
            Event::Alias(anchor) => {
                let meant =
                    self.anchors.get(&anchor).ok_or_else(|| Fault::at(place, "this alias stands for itself"))?;
                return Ok(Node { place, ..meant.clone() });
            }
            _ => return Err(Fault::at(place, "expected a value")),
        };
        if size > MOST_NODES {
            return Err(Fault::at(
                place,
                format!("with all that its aliases stand for this is more than {MOST_NODES} values"),
            ));
        }
        let node = Node { place, value: Rc::new(value), size };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<(Vec<Node>, usize), Fault> {
        let (mut items, mut size) = (Vec::new(), 1);
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok((items, size)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
            size += items.last().map_or(0, |item| item.size);
        }
    }

    fn entries(&mut self, depth: usize) -> Result<(Vec<(Node, Node)>, usize), Fault> {
        let (mut entries, mut size): (Vec<(Node, Node)>, usize) = (Vec::new(), 1);
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok((entries, size)),
                (event, span) => self.node(event, span, depth + 1)?,
            };
            let Value::Scalar(name) = &*key.value else {
                return Err(Fault::at(key.place, "expected a name in front of the colon"));
            };
            let is_it = |known: &Node| matches!(&*known.value, Value::Scalar(known) if known.text == name.text);
            if entries.iter().any(|(known, _)| is_it(known)) {
                return Err(Fault::at(key.place, format!("'{}' stands here twice", name.text)));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            size += key.size + value.size;
            entries.push((key, value));
        }
    }
}
