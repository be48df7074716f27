//! Shared Subscriptions (section 4.8.2): one share of a filter, and whose turn it is.

use squall_codec::topic::TopicFilter;

use super::{session::SessionKey, subscriptions::Subscribed};

/// How well a member is placed to get the next message, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fitness {
    /// It would be sent at once.
    Ready,
    /// Its client is there, and the message would have to wait.
    Busy,
    /// Its client is not there.
    Away,
    /// It may not be sent such a message.
    Barred,
}

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

    /// A member's subscription.
    pub(super) fn get(&self, session: SessionKey) -> Option<Subscribed> {
        self.members.iter().find(|(member, _)| *member == session).map(|(_, subscribed)| *subscribed)
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

    /// The member that gets the next message: in turn among those that are placed best.
    pub(super) fn choose(&mut self, fitness: impl Fn(SessionKey) -> Fitness) -> Option<(SessionKey, Subscribed)> {
        let count = self.members.len();
        let mut best = (Fitness::Barred, 0);
        for at in (0..count).map(|step| (self.turn + step) % count) {
            let fitness = fitness(self.members[at].0);
            if fitness < best.0 {
                best = (fitness, at);
            }
            if fitness == Fitness::Ready {
                break;
            }
        }
        let (fitness, chosen) = best;
        if fitness == Fitness::Barred {
            return None;
        }
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

    fn turns(share: &mut Share, fitness: impl Fn(u32) -> Fitness, count: usize) -> Vec<u32> {
        (0..count).map_while(|_| share.choose(|key| fitness(key.index()))).map(|(member, _)| member.index()).collect()
    }

    #[test]
    fn members_take_turns_and_those_who_are_placed_worse_come_last() {
        use Fitness::{Away, Barred, Busy, Ready};
        let mut share = Share::new(TopicFilter::literal("$share/g/t"));
        for index in 0..3 {
            share.insert(SessionKey::new(index), subscribed());
        }
        assert_eq!(turns(&mut share, |_| Ready, 4), [0, 1, 2, 0]);
        assert_eq!(turns(&mut share, |index| if index == 1 { Away } else { Ready }, 3), [2, 0, 2]);
        assert_eq!(turns(&mut share, |index| [Away, Away, Busy][index as usize], 2), [2, 2]);
        assert_eq!(turns(&mut share, |index| [Away, Barred, Away][index as usize], 3), [0, 2, 0]);
        assert_eq!(turns(&mut share, |_| Barred, 1), [0; 0]);
        share.remove(SessionKey::new(0));
        assert_eq!(turns(&mut share, |_| Away, 3), [1, 2, 1]);
    }

    #[test]
    fn who_leaves_takes_nobody_s_turn_away() {
        let mut share = Share::new(TopicFilter::literal("$share/g/t"));
        for index in 0..4 {
            share.insert(SessionKey::new(index), subscribed());
        }
        assert_eq!(turns(&mut share, |_| Fitness::Ready, 2), [0, 1]);
        share.remove(SessionKey::new(0));
        assert_eq!(turns(&mut share, |_| Fitness::Ready, 1), [2]);
        // One whose turn is still to come takes none with it either.
        share.remove(SessionKey::new(3));
        assert_eq!(turns(&mut share, |_| Fitness::Ready, 2), [1, 2]);
    }
}
