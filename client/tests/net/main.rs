//! The library with its transports, its streams and its store, against servers that the tests play, and against
//! Mosquitto where it is installed.

mod authentication;
mod mosquitto;
mod redirection;
mod request;
mod store;
mod streams;
mod support;
mod transports;
