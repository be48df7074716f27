//! Who the clients are and what they may do: files, hashes, SCRAM, and log-ins over TCP.

mod acl_file;
mod authenticator;
mod hashing;
mod password_edit;
mod password_file;
mod password_hash;
mod scram;
mod server;
mod support;
mod throttle;
