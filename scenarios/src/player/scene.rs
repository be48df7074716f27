//! What all actors of one play share: the stage, names of packet identifiers, topics below the stage's root, the clock.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    rc::Rc,
    time::Duration,
};

use squall_codec::{
    topic::{TopicFilter, TopicName},
    wire::{PacketId, Text},
};

use crate::{
    fault::{Fault, Moment},
    links::words_at,
    player::{Taken, Window, world::Pending},
    script::{Act, PacketIdWord, Place, Placed, Step, Timing},
    stage::Stage,
    transcript::What,
    verdict::Halt,
    words,
};

/// The play as every actor sees it.
pub(super) struct Scene<'a> {
    pub(super) stage: &'a Stage,
    /// When the play began: `at` counts from here.
    pub(super) began: Duration,
    /// The history is judged: steps are carried out as far as they can be.
    pub(super) goes_on: bool,
    ids: RefCell<BTreeMap<String, PacketId>>,
    last_fault: Rc<Cell<Duration>>,
    /// What waits for its moment, or has found it.
    pub(super) pending: RefCell<Vec<Pending>>,
    faults: RefCell<Vec<(String, Place)>>,
    taken: RefCell<Vec<Taken>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(stage: &'a Stage, goes_on: bool) -> Self {
        let began = stage.now();
        Scene {
            stage,
            began,
            goes_on,
            ids: RefCell::default(),
            last_fault: Rc::new(Cell::new(began)),
            pending: RefCell::default(),
            faults: RefCell::default(),
            taken: RefCell::default(),
        }
    }

    /// A step begins.
    pub(super) fn takes(&self, step: &Placed<Step>) {
        let actor = match &step.value.act {
            Act::Actor(who, _) => Some(who.value.clone()),
            Act::World(_) | Act::Together(_) => None,
        };
        let entries = self.stage.transcript().len();
        self.taken.borrow_mut().push(Taken { actor, place: step.place, entries, fault: None });
    }

    /// The steps that were begun so far.
    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.borrow().clone()
    }

    /// The world has done something: `since: world` counts from here.
    pub(super) fn struck(&self) {
        self.last_fault.set(self.stage.now());
    }

    pub(super) fn faulted(&self, fault: &Fault, place: Place) {
        self.struck();
        self.faults.borrow_mut().push((fault.to_string(), place));
        self.puts(fault);
    }

    /// The latest step of the world did that.
    fn puts(&self, fault: &Fault) {
        if let Some(taken) = self.taken.borrow_mut().last_mut().filter(|taken| taken.actor.is_none()) {
            taken.fault = Some(fault.to_string());
        }
    }

    pub(super) fn last_fault(&self) -> Rc<Cell<Duration>> {
        Rc::clone(&self.last_fault)
    }

    /// It strikes when its moment comes.
    pub(super) fn awaited(&self, fault: &Fault, moment: &Moment, place: Place) {
        self.faults.borrow_mut().push((words_at(fault, moment), place));
        self.puts(fault);
    }

    pub(super) fn place_of(&self, fault: &str) -> Option<Place> {
        self.faults.borrow().iter().find(|(words, _)| words == fault).map(|(_, place)| *place)
    }

    /// The step begins now.
    pub(super) fn window(&self, timing: Timing<'_>) -> Window {
        let now = self.stage.now();
        let origin = match timing.since.map(|since| since.value.as_str()) {
            None => now,
            Some("world") => self.last_fault.get(),
            Some(actor) => self.last_act(actor).unwrap_or(now),
        };
        let opens = timing.after.map(|after| origin + after.0);
        let closes = match timing.within {
            Some(within) => origin + within.0,
            None => opens.unwrap_or(now).max(now) + self.stage.patience(),
        };
        Window { opens, closes }
    }

    fn last_act(&self, actor: &str) -> Option<Duration> {
        let acted = |what: &What| matches!(what, What::Sent { .. } | What::Closed { .. });
        let entries = self.stage.transcript().entries();
        entries.iter().rev().find(|entry| &*entry.actor == actor && acted(&entry.what)).map(|entry| entry.at)
    }

    /// Too early is as wrong as too late.
    pub(super) fn in_time(&self, window: Window, at: Duration, what: &impl fmt::Display) -> Result<(), Halt> {
        match window.opens {
            Some(opens) if at < opens => {
                Err(Halt::fail(format!("{} came {} too early", self.plain(what), words::duration(opens - at))))
            }
            _ => Ok(()),
        }
    }

    /// A packet identifier that is sent: a number, or what an expectation has bound to the name.
    pub(super) fn id(&self, word: &PacketIdWord) -> Result<PacketId, Halt> {
        match word {
            PacketIdWord::Number(id) => Ok(*id),
            PacketIdWord::Name(name) => self.ids.borrow().get(name).copied().ok_or_else(|| {
                Halt::inconclusive(format!("packet_id '{name}' was bound only in another version of the story"))
            }),
        }
    }

    /// A packet identifier that is expected: `None` if any will do.
    pub(super) fn expected_id(&self, word: &PacketIdWord) -> Option<PacketId> {
        match word {
            PacketIdWord::Number(id) => Some(*id),
            PacketIdWord::Name(name) => self.ids.borrow().get(name).copied(),
        }
    }

    pub(super) fn bind(&self, word: Option<&PacketIdWord>, id: Option<PacketId>) {
        if let (Some(PacketIdWord::Name(name)), Some(id)) = (word, id) {
            self.ids.borrow_mut().entry(name.clone()).or_insert(id);
        }
    }

    /// As the wire has it. No topic stays none.
    pub(super) fn full_topic(&self, topic: &str) -> String {
        if topic.is_empty() { String::new() } else { self.stage.full_topic(topic) }
    }

    pub(super) fn topic(&self, topic: &str) -> TopicName {
        let text = Text::new(self.full_topic(topic)).expect("a script is checked, and our root is plain letters");
        TopicName::new(text).expect("a checked topic stays one below our root")
    }

    pub(super) fn filter(&self, filter: &str) -> TopicFilter {
        let full = match filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
            Some((name, rest)) => format!("$share/{name}/{}", self.full_topic(rest)),
            None => self.full_topic(filter),
        };
        let text = Text::new(full).expect("a script is checked, and our root is plain letters");
        TopicFilter::new(text).expect("a checked filter stays one below our root")
    }

    /// In the words of the script: without the stage's root before each topic.
    pub(super) fn plain(&self, what: &impl fmt::Display) -> String {
        what.to_string().replace(&self.stage.topic(""), "")
    }
}
