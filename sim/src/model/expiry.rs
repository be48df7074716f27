//! Message Expiry Interval: what has waited for longer is not sent any more, and the others say how long they may still wait.

use squall_codec::packet::Publish;

use super::Model;
use crate::invariants::Invariant;

impl Model {
    /// [MQTT-3.3.2-5] [MQTT-3.3.2-6] What is wrong with a message that leaves on a connection.
    pub(super) fn outlived(
        &self,
        at: usize,
        session: usize,
        message: usize,
        publish: &Publish,
    ) -> Vec<(Invariant, String)> {
        let mut wrong = Vec::new();
        let message = &self.messages[message];
        // Of messages with the same words nobody can tell which is which.
        let Some(expires) = message.expires().filter(|_| !self.repeated.contains(&message.key)) else { return wrong };
        let name = &self.sessions[session].name;
        // What has begun to leave may wait for the store, behind a commit that is under way.
        let ease = self.terms.slack + 3 * self.terms.sync;
        let latest = expires + ease;
        // [MQTT-4.3.3-7] With DUP, it has begun to leave before.
        if latest < self.now && !self.is_short() && !publish.dup {
            wrong.push((Invariant::MessageExpiry, format!("{} has expired and is sent to {name}", message.words())));
        }
        let said = publish.message_expiry_interval.map(u64::from);
        let waited = self.now.saturating_sub(message.at);
        let interval = message.publish.message_expiry_interval.map_or(0, u64::from);
        // Whole seconds, and as long as the disk fails it waits twice: in the queue, and for the store.
        let left = interval.saturating_sub(waited.saturating_sub(ease).as_secs());
        let most = if self.is_short() { left + 1 } else { left };
        let least = interval.saturating_sub((waited + ease).as_secs() + 1);
        let is_right = said.is_some_and(|said| (least..=most).contains(&said));
        if self.lines[at].version.has_properties() && !is_right {
            let said = said.map_or("nothing".to_owned(), |said| format!("{said} s"));
            let detail = format!("{} comes to {name}, may wait for {left} s more, and says {said}", message.words());
            wrong.push((Invariant::MessageExpiry, detail));
        }
        wrong
    }
}
