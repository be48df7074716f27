//! Liars that show defects which real servers had, as their change logs and issue trackers describe them: each under the
//! condition that it needed, and faultless otherwise. `documented_bugs.tsv` names the servers.

mod messages;
mod sessions;

pub(crate) use self::{messages::*, sessions::*};
