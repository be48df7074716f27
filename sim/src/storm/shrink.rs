//! Cuts a plan down to what still breaks the same invariant: steps, clients, options, payloads, times.

use std::time::Duration;

use squall_codec::property::Properties;
use squall_scenarios::{
    plan::{Act, Connecting, Doing, Plan, Step, Subscribing},
    settings::{Settings, Storage},
};

use crate::invariants::Invariant;

/// A plan that was cut down.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left.
    pub plan: Plan,
    /// How many plans were played for it.
    pub plays: usize,
}

/// Plays that one violation is worth.
const MOST_PLAYS: usize = 4_000;

/// The smallest plan that could be found; `breaks` plays a plan and says which invariants it breaks.
pub fn shrink(plan: &Plan, invariant: Invariant, breaks: &dyn Fn(&Plan) -> Vec<Invariant>) -> Shrunk {
    let mut shrinking = Shrinking { plan: plan.clone(), invariant, breaks, plays: 0 };
    loop {
        let before = shrinking.plan.clone();
        shrinking.steps();
        shrinking.options();
        shrinking.words();
        shrinking.times();
        if shrinking.plan == before || shrinking.plays >= MOST_PLAYS {
            break;
        }
    }
    shrinking.without_idle_actors();
    let Shrinking { plan, plays, .. } = shrinking;
    Shrunk { plan, plays }
}

struct Shrinking<'a> {
    plan: Plan,
    invariant: Invariant,
    breaks: &'a dyn Fn(&Plan) -> Vec<Invariant>,
    plays: usize,
}

impl Shrinking<'_> {
    /// Takes the plan, if it breaks the same.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if plan == self.plan || self.plays >= MOST_PLAYS {
            return false;
        }
        self.plays += 1;
        let is_same = (self.breaks)(&plan).contains(&self.invariant);
        if is_same {
            self.plan = plan;
        }
        is_same
    }

    /// Leaves out steps: half of them, a quarter, … one.
    fn steps(&mut self) {
        let mut size = self.plan.steps.len().div_ceil(2).max(1);
        loop {
            let mut start = 0;
            while start < self.plan.steps.len() {
                let mut plan = self.plan.clone();
                let end = (start + size).min(plan.steps.len());
                plan.steps.drain(start..end);
                if !self.try_plan(plan) {
                    start = end;
                }
            }
            if size == 1 {
                return;
            }
            size = size.div_ceil(2);
        }
    }

    /// Makes clients and the broker plainer.
    fn options(&mut self) {
        let mut plan = self.plan.clone();
        plan.broker = Settings { store: plan.broker.store, ..Settings::default() };
        self.try_plan(plan);
        let mut plan = self.plan.clone();
        // As a script is read that says nothing of it.
        let has_outages = plan.steps.iter().any(|step| matches!(step.act, Act::Outage(_)));
        plan.broker = Settings { store: has_outages.then_some(Storage::Disk), ..Settings::default() };
        self.try_plan(plan);
        type Plainer = fn(&mut Connecting);
        let plainer: [Plainer; 9] = [
            |connecting| connecting.answers = None,
            |connecting| connecting.will = None,
            |connecting| connecting.receive_maximum = None,
            |connecting| connecting.topic_alias_maximum = 0,
            |connecting| connecting.maximum_packet_size = None,
            |connecting| connecting.packet_ids = None,
            |connecting| connecting.keep_alive = 60,
            |connecting| connecting.reconnect = None,
            |connecting| connecting.client_id = None,
        ];
        for step in 0..self.plan.steps.len() {
            for make_plainer in plainer {
                let mut plan = self.plan.clone();
                if let Act::Client(_, Doing::Connect(connecting)) = &mut plan.steps[step].act {
                    make_plainer(connecting);
                    self.try_plan(plan);
                }
            }
        }
    }

    /// Makes messages and subscriptions plainer.
    fn words(&mut self) {
        for step in 0..self.plan.steps.len() {
            let mut plan = self.plan.clone();
            match &mut plan.steps[step].act {
                Act::Client(_, Doing::Publish(message)) => {
                    let kept = message.payload.find('.').unwrap_or(message.payload.len());
                    message.payload.truncate(kept);
                    self.try_plan(plan);
                    let mut plan = self.plan.clone();
                    if let Act::Client(_, Doing::Publish(message)) = &mut plan.steps[step].act {
                        message.retain = false;
                        message.expiry = None;
                        self.try_plan(plan);
                    }
                    let mut plan = self.plan.clone();
                    if let Act::Client(_, Doing::Publish(message)) = &mut plan.steps[step].act {
                        message.properties = Properties::new();
                        self.try_plan(plan);
                    }
                }
                Act::Client(_, Doing::Subscribe(subscribing)) => {
                    subscribing.identifier = None;
                    for wanted in &mut subscribing.wanted {
                        wanted.no_local = false;
                        wanted.retain_as_published = false;
                    }
                    self.try_plan(plan);
                    self.filters(step);
                }
                Act::Client(_, Doing::Unsubscribe(_)) => self.filters(step),
                _ => {}
            }
        }
    }

    /// Takes filters out of a SUBSCRIBE or an UNSUBSCRIBE, as long as one stays.
    fn filters(&mut self, step: usize) {
        let mut place = 0;
        loop {
            let mut plan = self.plan.clone();
            let is_less = match &mut plan.steps[step].act {
                Act::Client(_, Doing::Subscribe(Subscribing { wanted, .. })) => take_out(wanted, place),
                Act::Client(_, Doing::Unsubscribe(filters)) => take_out(filters, place),
                _ => false,
            };
            if !is_less {
                return;
            }
            if !self.try_plan(plan) {
                place += 1;
            }
        }
    }

    /// Rounds times, and ends as soon as nothing more begins.
    fn times(&mut self) {
        let last = self.plan.steps.iter().map(|step| step.at).max().unwrap_or_default();
        let mut plan = self.plan.clone();
        plan.lasts = Duration::from_secs(last.as_secs() + 1);
        self.try_plan(plan);
        for millis in [1_000, 100, 10] {
            let round = |at: Duration| {
                let whole = u64::try_from(at.as_millis()).unwrap_or(u64::MAX) / millis * millis;
                Duration::from_millis(whole)
            };
            let mut plan = self.plan.clone();
            plan.steps.iter_mut().for_each(|step| step.at = round(step.at));
            if self.try_plan(plan) {
                return;
            }
            for step in 0..self.plan.steps.len() {
                let mut plan = self.plan.clone();
                plan.steps[step].at = round(plan.steps[step].at);
                plan.steps.sort_by_key(|step| step.at);
                self.try_plan(plan);
            }
        }
    }

    /// Clients that do nothing are not introduced.
    fn without_idle_actors(&mut self) {
        let plan = &self.plan;
        let appears = |who: usize, step: &Step| {
            step.on.as_ref().is_some_and(|moment| moment.actor == plan.actors[who])
                || match &step.act {
                    Act::Client(actor, _) => *actor == who,
                    Act::Link(actor, _) => *actor == Some(who),
                    _ => false,
                }
        };
        let used: Vec<usize> =
            (0..plan.actors.len()).filter(|who| plan.steps.iter().any(|step| appears(*who, step))).collect();
        let mut smaller = plan.clone();
        smaller.actors = used.iter().map(|who| plan.actors[*who].clone()).collect();
        let place = |who: usize| used.iter().position(|used| *used == who).unwrap_or(0);
        for step in &mut smaller.steps {
            match &mut step.act {
                Act::Client(who, _) | Act::Link(Some(who), _) => *who = place(*who),
                _ => {}
            }
        }
        self.try_plan(smaller);
    }
}

/// Whether there was one at this place, and others beside it.
fn take_out<T>(all: &mut Vec<T>, place: usize) -> bool {
    let can = all.len() > 1 && place < all.len();
    if can {
        all.remove(place);
    }
    can
}
