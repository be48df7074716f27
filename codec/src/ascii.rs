//! Strings judged a block at a time. Nearly every string on the wire is ASCII: one pass without a branch tells so, and
//! only the others need a second look.

use ::ascii::AsAsciiStr;

const LOWS: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
/// `+` and `#` differ in this bit alone.
const WILDCARDS_DIFFER: u64 = 0x08 * LOWS;
const PLUS: u64 = b'+' as u64 * LOWS;

/// The string that these bytes are, which were checked before: without `unsafe` it has to be shown again.
#[inline]
pub(crate) fn as_str(checked: &[u8]) -> &str {
    match checked.as_ascii_str() {
        Ok(text) => text.as_str(),
        Err(_) => std::str::from_utf8(checked).expect("checked when it was read"),
    }
}

/// Whether all bytes are ASCII and none is U+0000.
#[inline]
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    !any(bytes, is_odd)
}

/// Whether the same holds and no byte is `+` or `#`.
#[inline]
pub(crate) fn is_plain_name(bytes: &[u8]) -> bool {
    !any(bytes, |byte| is_odd(byte) | is_wildcard(byte))
}

/// Whether all bytes are ASCII, none is U+0000, and each wildcard stands where a Topic Filter may have it.
#[inline]
pub(crate) fn is_plain_filter(bytes: &[u8]) -> bool {
    let (words, tail) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        if !is_plain_part(bytes, 8 * index, u64::from_le_bytes(*word)) {
            return false;
        }
    }
    match bytes.last_chunk() {
        // What is behind the last whole word is looked at together with what is before it.
        Some(last) => tail.is_empty() || is_plain_part(bytes, bytes.len() - last.len(), u64::from_le_bytes(*last)),
        None => is_plain_part(bytes, 0, tail.iter().rev().fold(LOWS, |word, byte| word << 8 | u64::from(*byte))),
    }
}

/// The same for the word at an offset.
#[inline]
fn is_plain_part(filter: &[u8], start: usize, word: u64) -> bool {
    let mut wildcards = zeros((word | WILDCARDS_DIFFER) ^ PLUS);
    while wildcards != 0 {
        if !stands_alone(filter, start + wildcards.trailing_zeros() as usize / 8) {
            return false;
        }
        wildcards &= wildcards - 1;
    }
    // A high bit is set if a byte is 0 or not ASCII: what is neither stays below 0x80 when 1 is taken away.
    (word | word.wrapping_sub(LOWS)) & HIGHS == 0
}

/// Whether a wildcard has nothing but a separator beside it, and `#` nothing behind it ([MQTT-4.7.1-1] [MQTT-4.7.1-2]).
#[inline]
fn stands_alone(filter: &[u8], at: usize) -> bool {
    let begins = at == 0 || filter[at - 1] == b'/';
    let ends = match filter.get(at + 1) {
        None => true,
        Some(behind) => *behind == b'/' && filter[at] == b'+',
    };
    begins && ends
}

/// The high bit of each byte that is 0, and no other.
fn zeros(word: u64) -> u64 {
    !(((word & !HIGHS) + !HIGHS) | word | !HIGHS)
}

/// U+0000, or not ASCII: not above zero when the high bit is a sign.
#[inline]
fn is_odd(byte: u8) -> bool {
    byte.cast_signed() <= 0
}

/// `+` and `#` differ in one bit alone.
#[inline]
fn is_wildcard(byte: u8) -> bool {
    byte | 0x08 == b'+'
}

/// Whether one of the bytes is such. What is behind the last whole block is looked at together with what is before it.
#[inline]
fn any(bytes: &[u8], such: impl Fn(u8) -> bool + Copy) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        let blocks = bytes.as_chunks::<16>().0.iter();
        return blocks.fold(any_of(last, such), |found, block| found | any_of(block, such));
    }
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => any_of(first, such) | any_of(last, such),
        _ => bytes.iter().fold(false, |found, byte| found | such(*byte)),
    }
}

/// The compiler knows the length: that is a few instructions for all bytes at once.
#[inline]
fn any_of<const N: usize>(block: &[u8; N], such: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(false, |found, byte| found | such(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of strings of every length up to two blocks and a bit.
    #[test]
    fn each_byte_is_judged_wherever_it_stands() {
        for length in 1..=36 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let plain = byte.is_ascii() && byte != 0;
                    assert_eq!(is_plain(&text), plain, "{text:?}");
                    assert_eq!(is_plain_name(&text), plain && !matches!(byte, b'+' | b'#'), "{text:?}");
                }
            }
        }
        assert!(is_plain(b"") && is_plain_name(b""));
    }

    /// What the section says, byte by byte.
    fn stand_where_they_may(filter: &[u8]) -> bool {
        filter.split(|byte| *byte == b'/').rev().enumerate().all(|(from_end, level)| {
            let has = |byte| level.contains(&byte);
            match level {
                b"+" => true,
                b"#" => from_end == 0,
                _ => !has(b'+') && !has(b'#'),
            }
        })
    }

    #[test]
    fn wildcards_are_found_wherever_they_stand() {
        for length in 1..=36 {
            for at in 0..length {
                for pattern in ["+", "#", "/+", "/#", "+/", "#/", "/+/", "/#/", "++", "/", "+#", "\0", "\u{80}"] {
                    let mut text = vec![b'a'; length];
                    let end = length.min(at + pattern.len());
                    text[at..end].copy_from_slice(&pattern.as_bytes()[..end - at]);
                    let expected = is_plain(&text) && stand_where_they_may(&text);
                    assert_eq!(is_plain_filter(&text), expected, "{text:?}");
                }
            }
        }
        assert!(is_plain_filter(b"a/+/b/+/c/#"));
        assert!(is_plain_filter(b""));
    }

    #[test]
    fn neighbours_hide_nothing() {
        for first in [0, 1, b'#', b'+', b'"', b'*', 0x7F, 0x80, 0xFF] {
            for second in 0..=u8::MAX {
                let text = [b'a', first, second, b'a', b'a', b'a', b'a', b'a', b'a'];
                let plain = |byte: u8| byte.is_ascii() && byte != 0;
                let name = |byte: u8| plain(byte) && !matches!(byte, b'+' | b'#');
                assert_eq!(is_plain(&text), plain(first) && plain(second), "{text:?}");
                assert_eq!(is_plain_name(&text), name(first) && name(second), "{text:?}");
            }
        }
    }
}
