//! The clock on the wall of the broker's machine: it shows a date, and it can be set. What a running broker measures does not go
//! by it; what a broker keeps over a restart does.

use std::time::Duration;

use squall_scenarios::outage::ClockJump;

/// What it shows when a stage begins: 2026-01-01T00:00:00Z, since 1970.
pub const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

/// The clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// What it shows more than the time of the stage.
    ahead: Duration,
    /// Or less, since a stage may have set it back before 1970: it shows no earlier time.
    behind: Duration,
}

impl Default for WallClock {
    fn default() -> Self {
        WallClock { ahead: BEGINNING, behind: Duration::ZERO }
    }
}

impl WallClock {
    /// Since 1970, at this time of the stage.
    pub fn shows(self, now: Duration) -> Duration {
        (now + self.ahead).saturating_sub(self.behind)
    }

    /// It is set.
    pub fn set(&mut self, jump: ClockJump) {
        match jump {
            ClockJump::Ahead(by) => self.ahead += by,
            ClockJump::Back(by) => self.behind += by,
        }
    }
}
