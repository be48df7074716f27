//! The views of a trace: what is drawn ([`picture`]) and the forms it takes.

pub mod html;
pub mod mermaid;
mod page;
pub mod picture;
mod rules;
pub mod state;
pub mod statements;
pub mod svg;
mod violations;
mod words;
