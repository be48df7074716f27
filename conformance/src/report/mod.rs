//! Reports: one model with every total, and the forms it takes. The JSON is the truth, the others are drawn from it.

pub mod accusation;
pub mod badge;
pub mod control;
pub mod diff;
pub mod dissect;
pub mod html;
pub mod human;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod matrix;
pub mod model;
pub mod replay;
pub mod summary;
pub mod tap;
pub mod words;
