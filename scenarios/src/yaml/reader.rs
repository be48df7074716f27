//! Types, read from the tree. What is wrong is told in the words of those who write scripts, at the innermost place.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
    },
    forward_to_deserialize_any,
};

use super::tree::{self, Node, Scalar, Value};
use crate::script::{Place, unknown};

/// By this name a type asks for its place too: it is given line, column, length and then its value.
pub(crate) const PLACED: &str = "squall: a value and its place";

/// What is wrong, and where; a place that is not known yet is that of the node which is being read.
#[derive(Debug)]
pub(crate) struct Fault {
    place: Option<Place>,
    message: String,
}

impl Fault {
    pub(super) fn at(place: Place, message: impl Into<String>) -> Fault {
        Fault { place: Some(place), message: message.into() }
    }

    fn new(message: impl Into<String>) -> Fault {
        Fault { place: None, message: message.into() }
    }

    fn placed(self, place: Place) -> Fault {
        Fault { place: self.place.or(Some(place)), ..self }
    }

    /// Where, and one sentence: what it quotes from the file gives no commands to a terminal.
    pub(crate) fn into_parts(self) -> (Place, String) {
        let mut message = String::with_capacity(self.message.len());
        for letter in self.message.chars() {
            match letter.is_control() {
                true => message.extend(letter.escape_unicode()),
                false => message.push(letter),
            }
        }
        (self.place.unwrap_or(Place::FIRST), message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::new(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Fault::new(unknown("field", field, expected.iter().copied()))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Fault::new(unknown("word", variant, expected.iter().copied()))
    }

    fn missing_field(field: &'static str) -> Self {
        Fault::new(format!("field '{field}' is missing"))
    }
}

/// Reads a type from a text.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let root = tree::parse(text)?;
    T::deserialize(Reader(&root))
}

/// Reads what stands at a node.
#[derive(Clone, Copy)]
struct Reader<'n>(&'n Node);

impl<'n> Reader<'n> {
    fn seed<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self).map_err(|fault| fault.placed(self.0.place))
    }

    fn scalar(self) -> Result<&'n Scalar, Fault> {
        match &*self.0.value {
            Value::Scalar(scalar) => Ok(scalar),
            Value::List(_) => Err(Fault::at(self.0.place, "expected one value, and not a list")),
            Value::Map(_) => Err(Fault::at(self.0.place, "expected one value, and not fields")),
        }
    }

    fn text(self) -> Result<&'n str, Fault> {
        let scalar = self.scalar()?;
        if scalar.is_null() {
            return Err(Fault::at(self.0.place, "expected a text: quotes make one of this"));
        }
        Ok(&scalar.text)
    }

    fn entries(self) -> Result<Entries<'n>, Fault> {
        match &*self.0.value {
            Value::Map(entries) => Ok(Entries { rest: entries.iter(), value: None }),
            _ => Err(Fault::at(self.0.place, "expected fields: { name: value }")),
        }
    }

    /// A whole number of at most this many.
    fn number(self, most: u64) -> Result<u64, Fault> {
        let number = whole(&self.scalar()?.text).filter(|number| *number <= most);
        number.ok_or_else(|| {
            Fault::at(
                self.0.place,
                match most {
                    0..=0xFFFF => format!("expected a whole number from 0 to {most}"),
                    _ => "expected a whole number".to_owned(),
                },
            )
        })
    }
}

/// A whole number as YAML has them: digits without a zero in front, or `0x`, `0o`, `0b` and digits; `_` between digits.
fn whole(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (digits, radix) = match text.get(..2) {
        Some("0x" | "0X") => (&text[2..], 16),
        Some("0o" | "0O") => (&text[2..], 8),
        Some("0b" | "0B") => (&text[2..], 2),
        _ if text.len() > 1 && text.starts_with('0') => return None,
        _ => (text, 10),
    };
    if digits.starts_with(['_', '+']) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

fn truth(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match () {
        () if is_one_of(["true", "yes", "y", "on"]) => Some(true),
        () if is_one_of(["false", "no", "n", "off"]) => Some(false),
        () => None,
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let number = self.number($type::MAX as u64)?;
            visitor.$visit(number as $type)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    /// As what a scalar looks like.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &*self.0.value {
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
            Value::Scalar(scalar) => match (scalar.is_plain, truth(&scalar.text), whole(&scalar.text)) {
                (true, ..) if scalar.is_null() => visitor.visit_unit(),
                (true, Some(truth), _) => visitor.visit_bool(truth),
                (true, None, Some(number)) => visitor.visit_u64(number),
                _ => visitor.visit_str(&scalar.text),
            },
        }
    }

    numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match truth(&self.scalar()?.text) {
            Some(truth) => visitor.visit_bool(truth),
            None => Err(Fault::at(self.0.place, "expected true or false")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text()?)
    }

    /// The name of a field may be anything, null as well.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(&self.scalar()?.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &*self.0.value {
            Value::Scalar(scalar) if scalar.is_null() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match name {
            PLACED => visitor.visit_seq(PlaceThenValue { node: self.0, given: 0 }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &*self.0.value {
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            _ => Err(Fault::at(self.0.place, "expected a list: [ one, another ]")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(self.entries()?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(self.entries()?)
    }

    /// A word, or `{ word: what it holds }`.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &*self.0.value {
            Value::Scalar(_) => visitor.visit_enum(Word { name: self.0, value: None }),
            Value::Map(entries) => match entries.as_slice() {
                [] => Err(Fault::at(self.0.place, "expected one word, and what it holds")),
                // A word that nobody knows is told before the second one.
                [(name, value), rest @ ..] => {
                    let read = visitor.visit_enum(Word { name, value: Some(value) })?;
                    match rest.first() {
                        None => Ok(read),
                        Some((second, _)) => {
                            Err(Fault::at(second.place, "one word too many: only one stands here, with its fields"))
                        }
                    }
                }
            },
            Value::List(_) => Err(Fault::at(self.0.place, "expected one word, and not a list")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

struct Items<'n>(std::slice::Iter<'n, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.0.next().map(|item| Reader(item).seed(seed)).transpose()
    }
}

struct Entries<'n> {
    rest: std::slice::Iter<'n, (Node, Node)>,
    value: Option<&'n Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        Reader(key).seed(seed).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        Reader(self.value.take().expect("a value is asked for behind its key")).seed(seed)
    }
}

/// One variant of an enum.
struct Word<'n> {
    name: &'n Node,
    value: Option<&'n Node>,
}

impl<'de> EnumAccess<'de> for Word<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        Ok((Reader(self.name).seed(seed)?, self))
    }
}

impl<'n> Word<'n> {
    fn held(&self) -> Result<Reader<'n>, Fault> {
        let nothing = || Fault::at(self.name.place, "expected fields behind this word: { word: { name: value } }");
        self.value.map(Reader).ok_or_else(nothing)
    }
}

impl<'de> VariantAccess<'de> for Word<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value {
            Some(Node { value, place, .. }) if !matches!(&**value, Value::Scalar(scalar) if scalar.is_null()) => {
                Err(Fault::at(*place, "this word holds nothing"))
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.held()?.seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.held()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.held()?.deserialize_map(visitor)
    }
}

/// Line, column, length, value.
struct PlaceThenValue<'n> {
    node: &'n Node,
    given: usize,
}

impl<'de> SeqAccess<'de> for PlaceThenValue<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let number = self.node.place.numbers().get(self.given).copied();
        self.given += 1;
        match number {
            Some(number) => seed.deserialize(number.into_deserializer()).map(Some),
            None => Reader(self.node).seed(seed).map(Some),
        }
    }
}
