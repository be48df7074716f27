//! The broker goes down, as a process or as a machine does, and comes back.

use std::time::Duration;

use squall_broker::core::effect::Input;
use squall_scenarios::outage::Stop;

use super::{connection::ServerEnd, network::Network};

/// How long a broker that is asked to end waits for its connections to take what it has written for them.
pub(super) const FAREWELL: Duration = Duration::from_secs(4);

impl Network {
    /// It begins: what the clients see of it is on its way.
    pub(super) fn go_down(&mut self, how: Stop) {
        self.events += 1;
        let now = self.now;
        self.witness(|witness| witness.stops(now, how));
        match how {
            Stop::Restart => self.tell(Input::Shutdown),
            Stop::Crash => {
                for index in self.served() {
                    self.connections[index].drop_outgoing();
                    self.close(index);
                }
            }
            Stop::PowerLoss => {
                self.dark = true;
                self.links.server_goes_dark();
                for index in self.served() {
                    let connection = &mut self.connections[index];
                    connection.drop_outgoing();
                    connection.server = ServerEnd::Closed;
                    self.touch(index);
                }
            }
        }
        if how != Stop::Restart {
            self.end_run(how);
        }
    }

    /// Whether all has been written that a broker which was asked to end had still to write, and it has heard of that.
    pub(super) fn has_said_farewell(&self) -> bool {
        let has_left = self.live.iter().all(|index| self.connections[*index].has_left_broker());
        self.broker.is_settled() && self.flushing.is_empty() && has_left
    }

    /// The broker is no more.
    pub(super) fn end_run(&mut self, how: Stop) {
        self.broker.stop(how);
        self.said_to_broker.clear();
        for index in self.served() {
            self.close(index);
        }
    }

    /// The broker starts again. It cannot where its disk fails: then nothing has changed.
    pub(super) fn come_back(&mut self) -> Result<(), String> {
        self.events += 1;
        let now = self.now;
        self.broker.start(now)?;
        if std::mem::take(&mut self.dark) {
            self.links.server_comes_back(now);
        }
        self.witness(|witness| witness.starts(now));
        Ok(())
    }

    /// Connections that the broker has not closed.
    fn served(&self) -> Vec<usize> {
        let served = |index: &usize| self.connections[*index].server != ServerEnd::Closed;
        self.live.iter().copied().filter(served).collect()
    }
}
