//! Topic Names and Topic Filters (section 4.7), parsed once and matched often.

use std::fmt;

use crate::{
    ascii::{is_plain_filter, is_plain_name},
    wire::{Text, TextError},
};

/// Where a message is published to: at least one character, no wildcards ([MQTT-3.3.2-2], [MQTT-4.7.3-1]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Text);

/// What is subscribed to: a Topic Filter, shared (`$share/{ShareName}/{filter}`) or not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter {
    text: Text,
    /// Length of the ShareName, where the filter is shared.
    share_name: Option<u16>,
}

/// Why a text is no Topic Name or Topic Filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// [MQTT-4.7.3-1]
    #[error("is empty")]
    Empty,
    /// [MQTT-3.3.2-2], [MQTT-4.7.1-1]
    #[error("holds a wildcard")]
    Wildcard,
    /// [MQTT-4.7.1-1] (3.1.1: [MQTT-4.7.1-2])
    #[error("has a '#' that is not alone in the last level")]
    MultiLevel,
    /// [MQTT-4.7.1-2] (3.1.1: [MQTT-4.7.1-3])
    #[error("has a '+' that is not alone in its level")]
    SingleLevel,
    /// [MQTT-4.8.2-1]
    #[error("begins with '$share' and names no group")]
    ShareName,
    /// [MQTT-4.8.2-2]
    #[error("is no '$share/{{ShareName}}/{{filter}}'")]
    Share,
    /// No string of MQTT at all.
    #[error(transparent)]
    Text(#[from] TextError),
}

const SHARE_PREFIX: &str = "$share/";

impl TopicName {
    /// Checks a Topic Name.
    ///
    /// # Errors
    /// Empty, or with `+` or `#`.
    pub fn new(text: Text) -> Result<Self, TopicError> {
        check_name(text.as_bytes())?;
        Ok(TopicName(text))
    }

    /// Of a text that was checked.
    pub(crate) const fn checked(text: Text) -> Self {
        TopicName(text)
    }

    /// A name that stands in the source.
    ///
    /// # Panics
    /// If it is no Topic Name: a mistake in the source.
    #[track_caller]
    pub fn literal(text: &'static str) -> Self {
        TopicName::new(Text::literal(text)).expect("a literal is a valid Topic Name")
    }

    /// As text.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// As Rust's string.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Checks the bytes of a Topic Name for what is not allowed in one.
#[inline]
pub(crate) fn check_name(name: &[u8]) -> Result<(), TopicError> {
    if name.is_empty() {
        return Err(TopicError::Empty);
    }
    if !is_plain_name(name) && name.iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(TopicError::Wildcard);
    }
    Ok(())
}

impl TryFrom<&str> for TopicName {
    type Error = TopicError;
    fn try_from(text: &str) -> Result<Self, TopicError> {
        TopicName::new(Text::new(text)?)
    }
}

impl TopicFilter {
    /// Checks a Topic Filter. `$share/…` is read as a Shared Subscription: 5.0 reserves that prefix, and 3.1.1 clients
    /// have no other use for it.
    ///
    /// # Errors
    /// Empty, a misplaced wildcard, or a wrong `$share` form.
    pub fn new(text: Text) -> Result<Self, TopicError> {
        let share_name = check_filter(text.as_bytes(), true)?;
        Ok(TopicFilter { text, share_name })
    }

    /// Checks a Topic Filter of 3.1 or 3.1.1, where `$share` has no meaning of its own.
    ///
    /// # Errors
    /// Empty, or a misplaced wildcard.
    pub fn unshared(text: Text) -> Result<Self, TopicError> {
        check_filter(text.as_bytes(), false)?;
        Ok(TopicFilter { text, share_name: None })
    }

    /// Of a text that was checked.
    pub(crate) const fn checked(text: Text, share_name: Option<u16>) -> Self {
        TopicFilter { text, share_name }
    }

    /// A filter that stands in the source.
    ///
    /// # Panics
    /// If it is no Topic Filter: a mistake in the source.
    #[track_caller]
    pub fn literal(text: &'static str) -> Self {
        TopicFilter::new(Text::literal(text)).expect("a literal is a valid Topic Filter")
    }

    /// The whole text, with `$share/…` where it is shared.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The whole text as Rust's string.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The ShareName of a Shared Subscription.
    pub fn share_name(&self) -> Option<&str> {
        let length = usize::from(self.share_name?);
        Some(&self.text[SHARE_PREFIX.len()..SHARE_PREFIX.len() + length])
    }

    /// What is matched against names: the text without `$share/{ShareName}/`.
    pub fn filter(&self) -> &str {
        match self.share_name {
            None => self.text.as_str(),
            Some(length) => &self.text[SHARE_PREFIX.len() + usize::from(length) + 1..],
        }
    }

    /// Whether the filter holds `+` or `#`.
    pub fn has_wildcard(&self) -> bool {
        self.filter().contains(['+', '#'])
    }

    /// Whether a message published to `name` matches (section 4.7).
    pub fn matches(&self, name: &str) -> bool {
        matches(self.filter(), name)
    }
}

impl TryFrom<&str> for TopicFilter {
    type Error = TopicError;
    fn try_from(text: &str) -> Result<Self, TopicError> {
        TopicFilter::new(Text::new(text)?)
    }
}

/// Checks the bytes of a string for being a Topic Filter: the length of its ShareName, where it is shared and the
/// version knows Shared Subscriptions.
#[inline]
pub(crate) fn check_filter(text: &[u8], knows_shared: bool) -> Result<Option<u16>, TopicError> {
    let (share_name, filter) = match text {
        [b'$', ..] if knows_shared => split_share_name(text)?,
        _ => (None, text),
    };
    match filter {
        [] => Err(TopicError::Empty),
        _ if is_plain_filter(filter) => Ok(share_name),
        _ => check_wildcards(filter).map(|()| share_name),
    }
}

/// A text that begins with `$`: the length of its ShareName, and the filter.
#[cold]
fn split_share_name(text: &[u8]) -> Result<(Option<u16>, &[u8]), TopicError> {
    // [MQTT-4.8.2-1]
    let rest = match text.strip_prefix(SHARE_PREFIX.as_bytes()) {
        None if text == b"$share" => return Err(TopicError::ShareName),
        None => return Ok((None, text)),
        Some([] | [b'/', ..]) => return Err(TopicError::ShareName),
        Some(rest) => rest,
    };
    // [MQTT-4.8.2-2]
    let length = rest.iter().position(|byte| *byte == b'/').ok_or(TopicError::Share)?;
    let (share_name, filter) = (&rest[..length], &rest[length + 1..]);
    if share_name.iter().any(|byte| matches!(byte, b'+' | b'#')) || filter.is_empty() {
        return Err(TopicError::Share);
    }
    Ok((Some(u16::try_from(length).map_err(|_| TopicError::Share)?), filter))
}

#[cold]
fn check_wildcards(bytes: &[u8]) -> Result<(), TopicError> {
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| matches!(byte, b'+' | b'#')) {
        let begins = at == 0 || bytes[at - 1] == b'/';
        match (byte, bytes.get(at + 1)) {
            (b'#', None) | (b'+', None | Some(b'/')) if begins => {}
            (b'#', _) => return Err(TopicError::MultiLevel),
            _ => return Err(TopicError::SingleLevel),
        }
    }
    Ok(())
}

/// Whether a filter (valid, without `$share/…`) matches a name.
pub fn matches(filter: &str, name: &str) -> bool {
    // [MQTT-4.7.2-1] A leading wildcard does not match a name that begins with '$'.
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut name) = (filter.as_bytes(), name.as_bytes());
    // What both begin with: there is no wildcard in a name, and so none in it.
    while let (Some((wanted, rest)), Some((bytes, others))) =
        (filter.split_first_chunk::<8>(), name.split_first_chunk())
        && wanted == bytes
    {
        (filter, name) = (rest, others);
    }
    loop {
        // Both are at the beginning of a level, or at the same place within one.
        match filter {
            [b'#', ..] => return true,
            [b'+', rest @ ..] => {
                filter = rest;
                let level = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
                name = &name[level..];
            }
            _ => {
                while let [wanted, rest @ ..] = filter
                    && *wanted != b'/'
                {
                    match name {
                        [byte, others @ ..] if byte == wanted => (filter, name) = (rest, others),
                        _ => return false,
                    }
                }
            }
        }
        match (filter, name) {
            ([], []) => return true,
            ([b'/', wanted @ ..], [b'/', rest @ ..]) => (filter, name) = (wanted, rest),
            // The parent level matches too: "sport/#" matches "sport".
            ([b'/', b'#'], []) => return true,
            _ => return false,
        }
    }
}

macro_rules! shown_as_text {
    ($type:ty) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

shown_as_text!(TopicName);
shown_as_text!(TopicFilter);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, name: &str, expected: bool) {
        let filter = TopicFilter::try_from(filter).expect("a valid filter");
        assert_eq!(filter.matches(name), expected, "{filter} against {name}");
    }

    #[test]
    fn filters_match_as_section_4_7_says() {
        check("sport/tennis/player1/#", "sport/tennis/player1", true);
        check("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true);
        check("sport/#", "sport", true);
        check("#", "a/b", true);
        check("sport/tennis/+", "sport/tennis/player1", true);
        check("sport/tennis/+", "sport/tennis/player1/ranking", false);
        check("sport/+", "sport", false);
        check("sport/+", "sport/", true);
        check("+/+", "/finance", true);
        check("/+", "/finance", true);
        check("+", "/finance", false);
        check("#", "$SYS/broker", false);
        check("+/monitor", "$SYS/monitor", false);
        check("$SYS/#", "$SYS/broker", true);
        check("$share/g/a/+", "a/b", true);
        check("a/b", "A/b", false);
        check("a/#", "ab", false);
    }

    #[test]
    fn misplaced_wildcards_are_refused() {
        for filter in [
            "",
            "a#",
            "#/a",
            "a/#/b",
            "a+",
            "+a/b",
            "$share",
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
        ] {
            assert!(TopicFilter::try_from(filter).is_err(), "{filter:?} was taken");
        }
    }
}
