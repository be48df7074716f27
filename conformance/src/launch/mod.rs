//! Starting brokers: from a profile to processes that answer, one for each setup that tests ask for.

pub mod built_in;
pub mod instance;
pub mod launcher;
pub mod recipe;

mod process;
