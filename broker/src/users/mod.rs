//! Who the clients are and what they may do, as files say it: passwords, SCRAM, rules. Nothing here knows a runtime; where
//! hashing and waiting happen is handed in.

pub mod acl_file;
pub mod authenticator;
pub mod entropy;
pub mod file_error;
pub mod password_edit;
pub mod password_file;
pub mod password_hash;
mod remembered;
pub mod scram;
pub mod throttle;
pub mod workshop;
