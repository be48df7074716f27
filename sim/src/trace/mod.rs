//! A trace: one play as lines of JSON, for other programs and for reading later. The `README.md` of this
//! crate says what each field means, and what may change.

mod cause;
pub mod difference;
pub mod model;
pub mod packet;
pub mod read;
mod waiting;
pub mod write;
