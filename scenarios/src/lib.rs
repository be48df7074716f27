//! The script language, the stage it plays on, the raw peer, the faulty link; the scripts themselves stand beside it as YAML.
//!
//! Nothing here knows which world it plays in. Import a name from the module that defines it.
#![warn(missing_docs)]

pub mod armed;
pub mod dissect;
pub mod escaped;
pub mod fault;
pub mod faulty_stream;
pub mod files;
pub mod frames;
pub mod liar;
pub mod link;
pub mod links;
pub mod outage;
pub mod peer;
pub mod plan;
pub mod player;
pub mod script;
pub mod settings;
pub mod shared_link;
pub mod stage;
pub mod timing;
pub mod transcript;
pub mod verdict;
pub mod words;
mod yaml;
