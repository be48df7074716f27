//! The language, the link and the peers.
//!
//! One program for all of it, since each one of its own costs another link of the whole crate.

mod access;
mod dissect;
mod draws;
mod fake;
mod faulty_stream;
mod files;
mod frames;
mod link;
mod links;
mod peer;
mod player;
mod script;
mod timing;
mod transcript;
mod words;
mod yaml;
