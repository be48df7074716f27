//! Strings judged eight bytes at a time. Nearly every string on the wire is ASCII: one pass without a branch tells so,
//! and only the others need a second look.

const LOWS: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
/// `+` and `#` differ in this bit alone.
const BETWEEN_WILDCARDS: u64 = 0x08 * LOWS;
const PLUS: u64 = b'+' as u64 * LOWS;

/// Whether all bytes are ASCII and none is U+0000.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    each_word(bytes, odd)
}

/// Whether the same holds and no byte is `+` or `#`.
pub(crate) fn is_plain_name(bytes: &[u8]) -> bool {
    each_word(bytes, |word| odd(word) | ((word | BETWEEN_WILDCARDS) ^ PLUS).wrapping_sub(LOWS))
}

/// Judges each place where `+` or `#` stands, first to last; some are judged twice.
pub(crate) fn each_wildcard<E>(bytes: &[u8], mut judge: impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
    let mut judge_word = |start: usize, word: u64| {
        let mut found = zeros((word | BETWEEN_WILDCARDS) ^ PLUS);
        while found != 0 {
            judge(start + found.trailing_zeros() as usize / 8)?;
            found &= found - 1;
        }
        Ok(())
    };
    let (words, tail) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        judge_word(8 * index, u64::from_le_bytes(*word))?;
    }
    match bytes.last_chunk() {
        // What is behind the last whole word is looked at together with what is before it.
        Some(last) if !tail.is_empty() => judge_word(bytes.len() - last.len(), u64::from_le_bytes(*last)),
        Some(_) => Ok(()),
        None => judge_word(0, tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))),
    }
}

/// The high bit of each byte that is 0, and no other.
fn zeros(word: u64) -> u64 {
    !(((word & !HIGHS) + !HIGHS) | word | !HIGHS)
}

/// A high bit is set if a byte is 0 or not ASCII: what is neither stays below 0x80 when 1 is taken away.
fn odd(word: u64) -> u64 {
    word | word.wrapping_sub(LOWS)
}

/// Whether no word shows a high bit.
fn each_word(bytes: &[u8], shows: impl Fn(u64) -> u64) -> bool {
    let shown = match bytes.last_chunk() {
        // The last word overlaps the one before it, which does no harm.
        Some(last) => {
            let words = bytes.as_chunks().0.iter();
            words.fold(shows(u64::from_le_bytes(*last)), |shown, word| shown | shows(u64::from_le_bytes(*word)))
        }
        None => shows(bytes.iter().fold(LOWS, |word, byte| word << 8 | u64::from(*byte))),
    };
    shown & HIGHS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of strings of every length up to three words.
    #[test]
    fn each_byte_is_judged_wherever_it_stands() {
        for length in 1..=24 {
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

    fn wildcards(text: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        let Ok(()) = each_wildcard(text, |at| {
            found.push(at);
            Ok::<_, std::convert::Infallible>(())
        });
        found
    }

    #[test]
    fn wildcards_are_found_wherever_they_stand() {
        for length in 0..=24 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let mut found = wildcards(&text);
                    found.dedup();
                    let expected = if matches!(byte, b'+' | b'#') { vec![at] } else { Vec::new() };
                    assert_eq!(found, expected, "{text:?}");
                }
            }
        }
        assert_eq!(wildcards(b"+/+/#"), [0, 2, 4]);
        assert_eq!(each_wildcard(b"a/+/b/+/c/#", Err), Err(2), "the first that is refused ends it");
    }

    /// What one byte takes from the next when 1 is taken away hides nothing.
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
