//! UTF-8 Encoded Strings: checked once, whatever they hold.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use bytes::Bytes;
use squall_codec::wire::{Text, TextError};

/// Of every length, in ASCII, and with a longer character in every place.
fn strings() -> Vec<String> {
    let mut strings = Vec::new();
    for length in 0..100 {
        strings.push("abcdefghij".chars().cycle().take(length).collect());
        strings.extend((0..length).map(|at| "x".repeat(at) + "é" + &"x".repeat(length - at - 1)));
    }
    strings
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_text_is_the_string_that_it_was_made_of() {
    let strings = strings();
    for string in &strings {
        let text = Text::new(string.as_str()).expect("well-formed");
        let shared = Text::from_bytes(Bytes::from(string.clone())).expect("well-formed");
        for text in [&text, &shared, &text.clone(), &shared.detached()] {
            assert_eq!(text.as_str(), string);
            assert_eq!(text, &shared);
            assert_eq!(hash(text), hash(string.as_str()), "a map that is asked for a `str` has to find it");
        }
    }
    for (one, other) in strings.iter().zip(strings.iter().rev()) {
        let text = |string: &String| Text::new(string.as_str()).expect("well-formed");
        assert_eq!(text(one).cmp(&text(other)), one.cmp(other));
        assert_eq!(text(one) == text(other), one == other);
    }
    assert_eq!(Text::default(), Text::literal(""));
}

#[test]
fn what_is_no_string_is_refused_at_every_length() {
    for length in 1..100 {
        for at in 0..length {
            for (byte, expected) in [(0, TextError::Null), (0xFF, TextError::NotUtf8)] {
                let mut bytes = vec![b'x'; length];
                bytes[at] = byte;
                assert_eq!(Text::from_bytes(bytes.into()), Err(expected), "{byte:#04X} at {at} of {length}");
            }
        }
    }
    assert_eq!(Text::new("x".repeat(65_536)), Err(TextError::TooLong(65_536)));
    assert!(Text::new("x".repeat(65_535)).is_ok());
}
