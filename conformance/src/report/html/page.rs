//! The page around the data.

use minijinja::{AutoEscape, Environment, context};

use super::view;
use crate::report::model::Report;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub fn write(report: &Report) -> String {
    let mut environment = Environment::new();
    // Whatever a subject says is escaped; only what is drawn here is marked as safe in the template.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("page", TEMPLATE).expect("the template is part of the program");
    let template = environment.get_template("page").expect("it was added");
    template
        .render(context! { page => view::page(report), style => STYLE, script => SCRIPT })
        .expect("the template names what the page has")
}
