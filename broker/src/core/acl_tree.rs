//! The rules that concern one user, one client or everybody, as a tree over the levels of their filters: what a thousand
//! rules say of a topic costs one walk along it.

use std::{collections::BTreeMap, ops::BitOrAssign, str::Split};

use super::acl::{Actions, Level, Part, Subject, Verdict};

/// What the rules say of one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) allowed: Actions,
    pub(super) denied: Actions,
}

impl BitOrAssign for Actions {
    fn bitor_assign(&mut self, other: Actions) {
        self.0 |= other.0;
    }
}

impl Found {
    fn add(&mut self, verdict: Verdict, actions: Actions) {
        match verdict {
            Verdict::Allow => self.allowed |= actions,
            Verdict::Deny => self.denied |= actions,
        }
    }

    fn join(&mut self, other: Found) {
        self.allowed |= other.allowed;
        self.denied |= other.denied;
    }
}

/// One level of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// Of the filters that end here.
    here: Found,
    /// Of the filters that end in a `#` at the next level.
    multi: Found,
    /// All that is denied here and beneath.
    denied_beneath: Actions,
    /// The next level is this text.
    literals: BTreeMap<Box<str>, Tree>,
    /// The next level is `+`.
    single: Option<Box<Tree>>,
    /// The next level has names of the client in it.
    templates: Vec<(Vec<Part>, Tree)>,
}

/// What a level with names in it is for one subject.
enum Filled {
    /// This level.
    Same,
    /// Another level.
    Other,
    /// A name that must not be filled in.
    Refused,
}

impl Tree {
    pub(super) fn insert(&mut self, levels: Vec<Level>, verdict: Verdict, actions: Actions) {
        let mut tree = self;
        for level in levels {
            tree.note_denied(verdict, actions);
            tree = match level {
                Level::Multi => return tree.multi.add(verdict, actions),
                Level::Single => tree.single.get_or_insert_default(),
                Level::Literal(text) => tree.literals.entry(text).or_default(),
                Level::Template(parts) => {
                    let known = tree.templates.iter().position(|(other, _)| *other == parts);
                    let index = known.unwrap_or(tree.templates.len());
                    if known.is_none() {
                        tree.templates.push((parts, Tree::default()));
                    }
                    &mut tree.templates[index].1
                }
            };
        }
        tree.note_denied(verdict, actions);
        tree.here.add(verdict, actions);
    }

    fn note_denied(&mut self, verdict: Verdict, actions: Actions) {
        if verdict == Verdict::Deny {
            self.denied_beneath |= actions;
        }
    }

    /// Adds what the rules say whose filters match a Topic Name, or cover all of a Topic Filter.
    pub(super) fn gather(&self, subject: Subject<'_>, topic: &str, found: &mut Found) {
        if topic == "#" {
            // It is all names without a '$' in front, and so is "+/#".
            found.join(self.multi);
            if let Some(single) = &self.single {
                found.join(single.multi);
            }
        }
        self.walk(subject, topic.split('/'), true, found);
    }

    fn walk(&self, subject: Subject<'_>, mut levels: Split<'_, char>, first: bool, found: &mut Found) {
        let Some(level) = levels.next() else {
            found.join(self.here);
            // The parent level belongs to "sport/#".
            found.join(self.multi);
            return;
        };
        for (parts, tree) in &self.templates {
            match fill(parts, subject, level, first) {
                Filled::Same => tree.walk(subject, levels.clone(), false, found),
                Filled::Other => {}
                Filled::Refused => found.denied |= tree.denied_beneath,
            }
        }
        if let Some(tree) = self.literals.get(level) {
            tree.walk(subject, levels.clone(), false, found);
        }
        // [MQTT-4.7.2-1]
        if first && level.starts_with('$') {
            return;
        }
        found.join(self.multi);
        if let Some(tree) = self.single.as_ref().filter(|_| level != "#") {
            tree.walk(subject, levels, false, found);
        }
    }
}

/// Compares a level of a topic with one that has names in it, without writing it out.
fn fill(parts: &[Part], subject: Subject<'_>, level: &str, first: bool) -> Filled {
    let mut rest = Some(level);
    for (index, part) in parts.iter().enumerate() {
        let text = match part {
            Part::Literal(text) => &**text,
            Part::ClientId => subject.client_id.as_str(),
            Part::User => match subject.user {
                Some(name) => name.as_str(),
                None => return Filled::Other,
            },
        };
        let is_name = !matches!(part, Part::Literal(_));
        if is_name
            && (text.is_empty() || text.contains(['/', '+', '#']) || (first && index == 0 && text.starts_with('$')))
        {
            return Filled::Refused;
        }
        rest = rest.and_then(|rest| rest.strip_prefix(text));
    }
    match rest {
        Some("") => Filled::Same,
        _ => Filled::Other,
    }
}
