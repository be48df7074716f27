//! `client bench`: a load generator.

mod load;
mod measure;
mod report;

pub(crate) use load::{Shape, run};
