//! Storms at a real server: plans that the simulator makes from seeds, played in real time behind our own links, and judged by the
//! invariants that judge the simulator's histories.
//!
//! What is judged is what has passed the server's edge, and not what the links have lost.

mod actor;
mod offer;
mod play;

pub use self::{
    offer::{Asked, asked},
    play::{Judged, Place, Tally, play},
};
