//! Storms at a real server: plans that the simulator makes from seeds, played in real time by the simulator's own clients behind its
//! links, and judged by its invariants.
//!
//! What is judged is what has passed the server's edge, and not what the links have lost.

mod offer;
mod play;

pub use self::{
    offer::{Asked, asked, outages, server_of_its_own},
    play::{Place, play},
};
pub use squall_sim::storm::live::{Judged, Tally};
