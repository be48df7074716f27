//! Shared Subscriptions (section 4.8.2): one share of a filter, and whose turn it is.

use squall_codec::topic::TopicFilter;

use super::{session::SessionKey, subscriptions::Subscribed};

/// The sessions that share one filter under one ShareName.
#[derive(Debug)]
pub(super) struct Share {
    /// `$share/{ShareName}/{filter}`.
    filter: TopicFilter,
    members: Vec<(SessionKey, Subscribed)>,
    /// Whose turn it is.
    turn: usize,
}

impl Share {
    /// A share without members.
    pub(super) fn new(filter: TopicFilter) -> Self {
        Share { filter, members: Vec::new(), turn: 0 }
    }

    /// What its members subscribed to.
    pub(super) fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    /// Whether nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a member or replaces its subscription: whether it was one.
    pub(super) fn insert(&mut self, session: SessionKey, subscribed: Subscribed) -> bool {
        match self.members.iter_mut().find(|(member, _)| *member == session) {
            Some((_, former)) => {
                *former = subscribed;
                true
            }
            None => {
                self.members.push((session, subscribed));
                false
            }
        }
    }

    /// Takes a member out: whether it was one.
    pub(super) fn remove(&mut self, session: SessionKey) -> bool {
        let Some(at) = self.members.iter().position(|(member, _)| *member == session) else { return false };
        self.members.remove(at);
        if at < self.turn {
            self.turn -= 1;
        }
        true
    }

    /// The member that gets the next message: in turn, those that can take it now before the others.
    pub(super) fn choose(&mut self, can_take: impl Fn(SessionKey) -> bool) -> Option<(SessionKey, Subscribed)> {
        let count = self.members.len();
        let in_turn = || (0..count).map(|step| (self.turn + step) % count);
        let chosen = in_turn().find(|at| can_take(self.members[*at].0)).or_else(|| in_turn().next())?;
        self.turn = chosen + 1;
        Some(self.members[chosen])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribed() -> Subscribed {
        Subscribed { options: Default::default(), identifier: None }
    }

    fn turns(share: &mut Share, away: &[u32], count: usize) -> Vec<u32> {
        (0..count).map(|_| share.choose(|key| !away.contains(&key.index())).expect("a member").0.index()).collect()
    }

    #[test]
    fn members_take_turns_and_those_who_are_away_come_last() {
        let mut share = Share::new(TopicFilter::literal("$share/g/t"));
        for index in 0..3 {
            share.insert(SessionKey::new(index), subscribed());
        }
        assert_eq!(turns(&mut share, &[], 4), [0, 1, 2, 0]);
        assert_eq!(turns(&mut share, &[1], 3), [2, 0, 2]);
        assert_eq!(turns(&mut share, &[0, 1, 2], 1), [0]);
        share.remove(SessionKey::new(0));
        assert_eq!(turns(&mut share, &[], 3), [1, 2, 1]);
    }
}
