//! Storms: plans made from seeds, played by the thousand, and the one that matters cut down to a page.

pub mod broken;
pub mod faults;
pub mod fit;
pub mod generate;
pub mod live;
pub mod report;
pub mod run;
pub mod shrink;
pub mod strangers;
pub mod swarm;
pub mod sweep;
mod threads;
pub mod violations;
