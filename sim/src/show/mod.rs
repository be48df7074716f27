//! The views of a trace: what is drawn ([`picture`]) and the forms it takes.

mod frame;
pub mod html;
mod lead;
pub mod mermaid;
pub mod page;
pub mod picture;
pub mod rules;
pub mod state;
pub mod statements;
pub mod svg;
mod violations;
mod words;
