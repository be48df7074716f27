//! Text in lines of a width.

/// Breaks at spaces, and within a word only where the word alone is too long.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        while word.len() > width - length {
            let rest = word.split_off(width - length);
            line.extend(&word);
            lines.push(std::mem::take(&mut line));
            length = 0;
            word = rest;
        }
        length += word.len();
        line.extend(&word);
    }
    if length > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_break_anywhere() {
        assert_eq!(wrap("CONNECT 5.0 client_id=alice", 12), ["CONNECT 5.0", "client_id=al", "ice"]);
        assert_eq!(wrap("PINGREQ", 12), ["PINGREQ"]);
        assert_eq!(wrap("", 12), [""]);
        assert_eq!(wrap("a abcdef b", 3), ["a", "abc", "def", "b"]);
    }
}
