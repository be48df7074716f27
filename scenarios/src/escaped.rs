//! Text inside HTML and SVG.

use std::fmt;

/// What a subject says stands in a page, and must not act in it.
pub struct Escaped<'a>(&'a str);

/// With every letter that markup gives a meaning written as a reference.
pub fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text)
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // No character that XML does not know, for the sake of the drawings.
                letter if letter.is_control() && letter != '\n' && letter != '\t' => f.write_str("\u{fffd}")?,
                letter => fmt::Write::write_char(f, letter)?,
            }
        }
        Ok(())
    }
}
