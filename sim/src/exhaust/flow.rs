//! One flow: as it stands, and with cuts as its first steps.

use std::{collections::BTreeMap, rc::Rc};

use squall_codec::{packet::PacketKind, version::Version};
use squall_scenarios::{
    liar::{Direction, Liar},
    script::Script,
    transcript::{Transcript, What},
};

use super::{Cut, ExhaustError, Frame, Place, holds};
use crate::{
    events::{self, EventsOptions},
    story,
    subject::Subject,
    world::VirtualWorld,
};

/// A flow that can be played from any thread: scripts are read where they are played.
pub(super) struct Flow {
    file: String,
    /// Up to and with the line that says `steps:`, with the invariants as its judge.
    head: String,
    /// What stands before the name of a step.
    indent: String,
    steps: String,
    version: Version,
    seed: u64,
    links: Vec<String>,
}

/// What became of one play.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// What did not hold, in sentences.
    pub(super) breaches: Vec<String>,
    /// All cuts took effect.
    pub(super) all_hit: bool,
    /// What passed behind the last cut.
    pub(super) frames_behind: Vec<Frame>,
}

impl Flow {
    pub(super) fn new(
        file: &str,
        text: &str,
        version: Version,
        seed: u64,
        links: Vec<String>,
    ) -> Result<Self, ExhaustError> {
        let unwritable = |what: &str| ExhaustError::Unwritable(format!("{file}: {what}"));
        let at = text
            .match_indices("steps:")
            .map(|(at, _)| at)
            .find(|at| *at == 0 || text[..*at].ends_with('\n'))
            .ok_or_else(|| unwritable("no line begins with 'steps:'"))?;
        let behind = at + text[at..].find('\n').map_or(text.len() - at, |end| end + 1);
        let steps = &text[behind..];
        let first = steps.lines().find(|line| line.trim_start().starts_with("- "));
        let first = first.ok_or_else(|| unwritable("the steps do not stand in lines of their own"))?;
        let indent = first[..first.len() - first.trim_start().len()].to_owned();
        let mut head = text[..at].to_owned();
        if !head.lines().any(|line| line.starts_with("judge:")) {
            head += "judge: invariants\n";
        }
        head += &text[at..behind];
        Ok(Flow { file: file.to_owned(), head, indent, steps: steps.to_owned(), version, seed, links })
    }

    /// The script with these cuts.
    pub(super) fn with(&self, cuts: &[Cut]) -> String {
        let mut text = String::new();
        for cut in cuts {
            text += &format!("# Cut: {cut}\n");
        }
        text += &self.head;
        for cut in cuts {
            text += &format!("{}- {}\n", self.indent, cut.step());
        }
        text + &self.steps
    }

    /// The frames of the flow without a cut.
    pub(super) fn frames_as_it_stands(&self, script: &Rc<Script>) -> Result<Vec<Frame>, ExhaustError> {
        let run = story::play(VirtualWorld::Events, script, self.version, self.seed);
        let fails =
            |reason: String| ExhaustError::DoesNotHold { file: self.file.clone(), version: self.version, reason };
        match &run.outcome {
            Ok(played) if holds(played.verdict) => {}
            Ok(played) => return Err(fails(played.reason.clone())),
            Err(error) => return Err(fails(error.to_string())),
        }
        let judged = self.play(&[], None);
        match judged.breaches.first() {
            None => Ok(self.frames(&run.transcript).into_iter().map(|(_, frame)| frame).collect()),
            Some(breach) => Err(fails(breach.clone())),
        }
    }

    /// Plays it with these cuts, and judges.
    pub(super) fn play(&self, cuts: &[Cut], liar: Option<Box<dyn Liar>>) -> Played {
        let text = self.with(cuts);
        let script = match Script::parse(&self.file, &text) {
            Ok(script) => Rc::new(script),
            Err(error) => return Played { breaches: vec![error.to_string()], ..Played::default() },
        };
        let subject = Subject::of(script.settings(), story::NAMESPACE, self.seed);
        let options = EventsOptions { subject, liar, ..EventsOptions::new(self.seed) };
        let (told, version) = (Rc::clone(&script), self.version);
        let run = events::run(options, move |world| story::tell(world, &told, version));
        let all_hit = !run.untouched.iter().any(|fault| fault.contains(": cut "));
        let breaches = match &run.outcome {
            // A cut that found nothing is no breach: it is counted.
            Ok(played) if holds(played.verdict) || !all_hit => {
                story::breaches(&script, &run.transcript).iter().map(ToString::to_string).collect()
            }
            Ok(played) => vec![played.reason.clone()],
            Err(error) => vec![error.to_string()],
        };
        let frames_behind = if cuts.is_empty() { Vec::new() } else { self.frames_behind(&run.transcript, cuts) };
        Played { breaches, all_hit, frames_behind }
    }

    /// Pings are as many as the calm is long: they are cut where the flow itself has some.
    pub(super) fn is_worth_a_second_cut(&self, frame: &Frame, flow: &[Frame]) -> bool {
        let is_ping = matches!(frame.kind, PacketKind::Pingreq | PacketKind::Pingresp);
        !is_ping || flow.iter().any(|of_flow| of_flow.kind == frame.kind)
    }

    /// The frames of the links, each with its position in the transcript.
    fn frames(&self, transcript: &Transcript) -> Vec<(usize, Frame)> {
        let mut counts: BTreeMap<(String, PacketKind, Direction), u32> = BTreeMap::new();
        let mut frames = Vec::new();
        for (position, entry) in transcript.entries().into_iter().enumerate() {
            let (bytes, direction) = match &entry.what {
                What::Sent { bytes, .. } => (bytes, Direction::ToServer),
                What::Received { bytes, .. } => (bytes, Direction::ToClient),
                _ => continue,
            };
            let Some(actor) = self.links.iter().find(|link| **link == *entry.actor) else { continue };
            let Some(kind) = bytes.first().and_then(|first| PacketKind::from_number(self.version, first >> 4)) else {
                continue;
            };
            let nth = counts.entry((actor.clone(), kind, direction)).or_default();
            *nth += 1;
            frames.push((position, Frame { actor: actor.clone(), kind, direction, nth: *nth, size: bytes.len() }));
        }
        frames
    }

    /// What clients sent and received behind the last of the cuts. A frame that was cut has been sent, or has not been received:
    /// the link has counted it, and the client may not have.
    fn frames_behind(&self, transcript: &Transcript, cuts: &[Cut]) -> Vec<Frame> {
        let entries = transcript.entries();
        let is_cut = |what: &What| matches!(what, What::Fault { summary } if summary.starts_with("cut "));
        let Some(last) = entries.iter().rposition(|entry| is_cut(&entry.what)) else { return Vec::new() };
        let unseen = |frame: &Frame| {
            let lost = cuts.iter().filter(|cut| {
                cut.actor == frame.actor
                    && cut.kind == frame.kind
                    && cut.direction == frame.direction
                    && cut.direction == Direction::ToClient
                    && cut.place != Place::After
            });
            u32::try_from(lost.count()).unwrap_or(u32::MAX)
        };
        let behind = self.frames(transcript).into_iter().filter(|(position, _)| *position > last);
        behind
            .map(|(_, mut frame)| {
                frame.nth += unseen(&frame);
                frame
            })
            .filter(|frame| {
                // The frame of the cut itself may be noted behind it.
                !cuts.iter().any(|cut| {
                    (&cut.actor, cut.kind, cut.direction, cut.nth)
                        == (&frame.actor, frame.kind, frame.direction, frame.nth)
                })
            })
            .collect()
    }
}
