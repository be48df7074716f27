//! The page around the data: one file, no network, and a policy that lets nothing run but its own script.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{AutoEscape, Environment, context};
use sha2::{Digest as _, Sha256};

const TEMPLATE: &str = include_str!("page.html");
/// How the page looks.
pub const STYLE: &str = include_str!("page.css");
/// What the page does.
pub const SCRIPT: &str = include_str!("page.js");

/// `plain` is the diagram as text, for those without scripts; `data` is JSON.
pub fn write(title: &str, plain: &str, data: &str) -> String {
    let mut environment = Environment::new();
    // What a script or a server says is escaped; what is ours is marked as safe in the template.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("page", TEMPLATE).expect("the template is part of the program");
    let template = environment.get_template("page").expect("it was added");
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src '{}'; script-src '{}'",
        source(STYLE),
        source(SCRIPT)
    );
    template
        .render(context! { title, plain, policy, style => STYLE, script => SCRIPT, data => inert(data) })
        .expect("the template names what the page has")
}

/// How a policy names a piece of a page.
pub fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// JSON in which no letter can end the block that it stands in.
fn inert(json: &str) -> String {
    let mut inert = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => inert.push_str("\\u003c"),
            '>' => inert.push_str("\\u003e"),
            '&' => inert.push_str("\\u0026"),
            '\u{2028}' => inert.push_str("\\u2028"),
            '\u{2029}' => inert.push_str("\\u2029"),
            letter => inert.push(letter),
        }
    }
    inert
}
