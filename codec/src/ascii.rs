//! Strings judged a block at a time. Nearly every string on the wire is ASCII: one pass without a branch tells so, and
//! only the others need a second look.

use ::ascii::AsAsciiStr;

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

/// Whether all bytes are ASCII, none is U+0000, and each wildcard stands where a Topic Filter may have it: alone in its
/// level, and `#` in the last one ([MQTT-4.7.1-1] [MQTT-4.7.1-2]).
#[inline]
pub(crate) fn is_plain_filter(bytes: &[u8]) -> bool {
    let (first, last) = match bytes {
        [] => return true,
        [alone] => return !is_odd(*alone),
        [first, .., last] => (*first, *last),
    };
    let (second, last_but_one) = (bytes[1], bytes[bytes.len() - 2]);
    let begins = !is_odd(first) & (first != b'#') & ((first != b'+') | (second == b'/'));
    let ends = !is_odd(last) & (!is_wildcard(last) | (last_but_one == b'/'));
    begins & ends
        && !any_between(bytes, |before, byte, behind| {
            is_odd(byte) | (byte == b'#') | ((byte == b'+') & ((before != b'/') | (behind != b'/')))
        })
}

/// Whether one of the bytes that have one before and one behind them is such, together with these. What is behind the
/// last whole block is looked at together with what is before it.
#[inline]
fn any_between(bytes: &[u8], such: impl Fn(u8, u8, u8) -> bool + Copy) -> bool {
    let count = bytes.len() - 2;
    let (before, between, behind) = (&bytes[..count], &bytes[1..=count], &bytes[2..]);
    if count >= 16 {
        let blocks = before.as_chunks().0.iter().zip(between.as_chunks().0).zip(behind.as_chunks().0);
        let found = blocks.fold(false, |found, ((one, two), three)| found | any_of_three::<16>(one, two, three, such));
        return found || !count.is_multiple_of(16) && any_of_last::<16>(before, between, behind, such);
    }
    if count >= 8 {
        return any_of_last::<8>(&before[..8], &between[..8], &behind[..8], such)
            || count > 8 && any_of_last::<8>(before, between, behind, such);
    }
    bytes.windows(3).fold(false, |found, three| found | such(three[0], three[1], three[2]))
}

#[inline]
fn any_of_last<const N: usize>(
    before: &[u8],
    between: &[u8],
    behind: &[u8],
    such: impl Fn(u8, u8, u8) -> bool,
) -> bool {
    match (before.last_chunk::<N>(), between.last_chunk(), behind.last_chunk()) {
        (Some(before), Some(between), Some(behind)) => any_of_three(before, between, behind, such),
        _ => false,
    }
}

/// Not inlined: the compiler would take blocks that overlap apart byte by byte.
#[inline(never)]
fn any_of_three<const N: usize>(
    before: &[u8; N],
    between: &[u8; N],
    behind: &[u8; N],
    such: impl Fn(u8, u8, u8) -> bool,
) -> bool {
    (0..N).fold(false, |found, at| found | such(before[at], between[at], behind[at]))
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
/// The blocks are looked at one by one: a sum of all of them is code for sixteen blocks at once, in ten thousand bytes.
#[inline]
fn any(bytes: &[u8], such: impl Fn(u8) -> bool + Copy) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        return any_of(last, such) || bytes.as_chunks::<16>().0.iter().any(|block| any_of(block, such));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return any_of(first, such) | any_of(last, such);
    }
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => any_of(first, such) | any_of(last, such),
        _ => bytes.iter().any(|byte| such(*byte)),
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
