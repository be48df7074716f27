//! Text in lines of a width.

/// Breaks at spaces, and within a word only where the word alone is too long: then behind an `=`, if there is one.
/// The first line may be of another width than the rest.
pub fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line: Vec<char> = Vec::new();
    let mut width = first.max(1);
    let mut end_line = |line: &mut Vec<char>, width: &mut usize| {
        lines.push(line.drain(..).collect::<String>());
        *width = rest.max(1);
    };
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            end_line(&mut line, &mut width);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        while word.len() > width - line.len() {
            let room = width - line.len();
            let sign = word[..room].iter().rposition(|character| *character == '=');
            let rest = word.split_off(sign.map_or(room, |sign| sign + 1));
            line.append(&mut word);
            end_line(&mut line, &mut width);
            word = rest;
        }
        line.append(&mut word);
    }
    if !line.is_empty() {
        end_line(&mut line, &mut width);
    }
    lines
}
