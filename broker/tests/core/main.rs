//! What the core does, one behaviour each, in virtual time.

mod access;
mod acl;
mod aliases;
mod authenticating;
mod backpressure;
mod connect;
mod explaining;
mod figures;
mod keep_alive;
mod limits;
mod malformed;
mod permissions;
mod persist;
mod publish;
mod qos;
mod random;
mod restore;
mod restore_random;
mod retained;
mod session;
mod shared;
mod shortage;
mod subscribe;
mod support;
mod take_over;
mod will;
