//! The end of a storm: what is wrong that no packet has shown.

use std::rc::Rc;

use squall_broker::core::statistics::Statistics;
use squall_scenarios::{
    plan::{Act, Doing, Step},
    transcript::{EntryId, What},
};

use super::Storm;
use crate::{
    events::afterwards::Afterwards,
    invariants::{About, Breach, Invariant},
    told::{AT_REST, STARTED_ANEW},
};

impl Storm<'_> {
    /// What nobody at the edge can see, when all that can be seen is right; and what its end is called.
    pub(super) fn afterwards(&mut self) -> (Vec<Breach>, &'static str) {
        let at = self.network.now;
        let may_expire = |step: &Step| match &step.act {
            Act::Client(_, Doing::Publish(message)) => message.expiry.is_some(),
            Act::Client(_, Doing::Connect(connecting)) => {
                connecting.will.as_ref().is_some_and(|(will, _)| will.expiry.is_some())
            }
            _ => false,
        };
        let was_quiet = self.network.is_quiet;
        let Afterwards { left, was_restarted, wrong } = self.network.afterwards(self.plan.steps.iter().any(may_expire));
        self.network.is_quiet = was_quiet;
        if !wrong.is_empty() {
            for (actor, number, says_goodbye) in left {
                let summary = if says_goodbye { "says DISCONNECT, and leaves" } else { "leaves without DISCONNECT" };
                self.notes(&actor, number, What::Told { summary: summary.to_owned() });
                self.notes(&actor, number, What::Closed { how: "FIN" });
            }
            if was_restarted {
                self.strikes(|| "the broker is killed".to_owned());
            }
        }
        let entry = EntryId(self.network.transcript.len());
        let end = if was_restarted { STARTED_ANEW } else { AT_REST };
        let breach = |(invariant, detail)| Breach { invariant, at, entry, version: None, detail, about: None };
        (wrong.into_iter().map(breach).collect(), end)
    }

    /// Clients that still wait, and what the broker holds.
    pub(super) fn at_rest(&mut self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let (at, entry) = (self.network.now, EntryId(self.network.transcript.len()));
        let mut breach = |invariant, detail, about: Option<About>| {
            let about = about.map(Box::new);
            breaches.push(Breach { invariant, at, entry, version: None, detail, about });
        };
        for (who, client) in self.clients.iter().enumerate() {
            let Some(client) = *client else { continue };
            let tokens = std::mem::take(&mut self.tokens[who]);
            let waiting = tokens.iter().filter(|token| self.network.take_outcome(client, **token).is_none()).count();
            if waiting > 0 && self.network.is_connected(client) {
                let name = &self.plan.actors[who];
                let detail = format!("client {name} still waits for the end of {waiting} operations");
                breach(Invariant::Progress, detail, Some(About::Waiting { actor: client, answer: None }));
            }
        }
        if let Some(statistics) = self.network.broker.statistics() {
            let Statistics { unflushed_bytes, in_flight, .. } = statistics;
            let are_all_here = (0..self.clients.len())
                .filter_map(|who| self.clients[who])
                .all(|client| self.network.is_connected(client));
            if unflushed_bytes > 0 {
                let detail = format!("bytes that the broker still has to write: {unflushed_bytes}");
                breach(Invariant::Baseline, detail, None);
            }
            if in_flight > 0 && are_all_here {
                let detail = format!("messages that the broker still has in flight: {in_flight}");
                breach(Invariant::Baseline, detail, None);
            }
        }
        breaches
    }

    /// What a client does when all is over.
    fn notes(&self, actor: &Rc<str>, number: u32, what: What) {
        if !self.network.is_quiet {
            self.network.transcript.record(self.network.now, actor, number, what);
        }
    }
}
