//! Reports: one model with every total, and the forms it takes. The JSON is the truth, the others are drawn from it.

pub mod human;
pub mod json;
pub mod markdown;
pub mod model;
