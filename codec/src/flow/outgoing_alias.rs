//! The sender's Topic Aliases of one connection (section 3.3.2.3.4), chosen by use: a topic that comes a second time gets one,
//! and where all are taken the one that was not used for longest stands for it from then on.

use crate::{packet::Publish, wire::Text};

/// What the aliases of one connection stand for. It begins empty with each connection ([MQTT-3.3.2-7]).
#[derive(Debug, Default)]
pub struct OutgoingAliases {
    /// The other side's Topic Alias Maximum, or less.
    maximum: u8,
    /// Topics of late, the latest first: those with an alias, and as many that came once.
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    /// Of the topic: nearly every other one is told apart by it.
    hash: u64,
    topic: Text,
    alias: Option<u8>,
}

/// What to do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aliased {
    /// Say it.
    No,
    /// Say it, and that this stands for it.
    Set(u8),
    /// Say this in its place.
    Stands(u8),
}

/// Bytes of the property: a shorter topic is better said.
const ALIAS_SIZE: usize = 3;

impl OutgoingAliases {
    /// With so many aliases at most: no more than the other side's Topic Alias Maximum.
    pub fn new(maximum: u8) -> Self {
        OutgoingAliases { maximum, known: Vec::new() }
    }

    /// The PUBLISH as it leaves now. `room` is what its packet may still grow by, in bytes; `hash` tells most topics apart, and
    /// is looked at only beside the topic itself.
    #[must_use]
    pub fn shorten(&mut self, hash: u64, mut publish: Publish, room: usize) -> Publish {
        // Three bytes of the property, and one if the lengths before it grow.
        match self.take(hash, publish.topic(), room > ALIAS_SIZE + 1) {
            Aliased::No => {}
            Aliased::Set(alias) => publish.topic_alias = Some(alias.into()),
            Aliased::Stands(alias) => {
                publish = publish.without_topic();
                publish.topic_alias = Some(alias.into());
            }
        }
        publish
    }

    /// A topic is about to be sent. `may_set`: the packet has room for the property.
    fn take(&mut self, hash: u64, topic: &str, may_set: bool) -> Aliased {
        if self.maximum == 0 || topic.len() <= ALIAS_SIZE {
            return Aliased::No;
        }
        let Some(at) = self.known.iter().position(|known| known.hash == hash && known.topic == *topic) else {
            self.remember(hash, topic);
            return Aliased::No;
        };
        self.known[..=at].rotate_right(1);
        if let Some(alias) = self.known[0].alias {
            return Aliased::Stands(alias);
        }
        if !may_set {
            return Aliased::No;
        }
        let alias = self.vacant();
        self.known[0].alias = Some(alias);
        Aliased::Set(alias)
    }

    /// A topic came for the first time, as far as is known.
    fn remember(&mut self, hash: u64, topic: &str) {
        let Ok(topic) = Text::new(topic) else { return };
        self.known.insert(0, Known { hash, topic, alias: None });
        if self.known.iter().filter(|known| known.alias.is_none()).count() > usize::from(self.maximum)
            && let Some(oldest) = self.known.iter().rposition(|known| known.alias.is_none())
        {
            self.known.remove(oldest);
        }
    }

    /// An alias that stands for nothing: a new one, or the one that was not used for longest. From 1 to the maximum
    /// ([MQTT-3.3.2-8], [MQTT-3.3.2-9]).
    fn vacant(&mut self) -> u8 {
        let set = self.known.iter().filter(|known| known.alias.is_some()).count();
        let oldest = self.known.iter_mut().rev().find(|known| known.alias.is_some());
        match (u8::try_from(set), oldest) {
            (Ok(set), _) if set < self.maximum => set + 1,
            (_, Some(oldest)) => oldest.alias.take().unwrap_or(1),
            (_, None) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::TopicName;

    fn take(aliases: &mut OutgoingAliases, topic: &str) -> Aliased {
        aliases.take(topic.len() as u64, topic, true)
    }

    #[test]
    fn the_second_use_sets_an_alias_and_the_third_needs_no_topic() {
        let mut aliases = OutgoingAliases::new(2);
        let said: Vec<Aliased> = (0..4).map(|_| take(&mut aliases, "sport")).collect();
        assert_eq!(said, [Aliased::No, Aliased::Set(1), Aliased::Stands(1), Aliased::Stands(1)]);
        assert_eq!((0..3).map(|_| take(&mut aliases, "abc")).collect::<Vec<_>>(), [Aliased::No; 3], "not worth it");
    }

    #[test]
    fn the_alias_that_was_not_used_for_longest_is_given_away() {
        let mut aliases = OutgoingAliases::new(2);
        for topic in ["one!", "one!", "two!", "two!", "one!", "three", "three"] {
            take(&mut aliases, topic);
        }
        assert_eq!(take(&mut aliases, "three"), Aliased::Stands(2));
        assert_eq!(take(&mut aliases, "one!"), Aliased::Stands(1));
        assert_eq!(take(&mut aliases, "two!"), Aliased::Set(2), "known of late, and without an alias");
        assert_eq!(take(&mut aliases, "three"), Aliased::Set(1));
    }

    #[test]
    fn topics_that_come_once_are_forgotten_and_take_no_alias() {
        let mut aliases = OutgoingAliases::new(2);
        for round in 0..3 {
            for topic in ["aaaa", "bbbb", "cccc", "dddd"] {
                assert_eq!(take(&mut aliases, topic), Aliased::No, "{topic} in round {round}");
            }
        }
        assert!(aliases.known.len() <= 2);
    }

    #[test]
    fn a_packet_without_room_sets_no_alias() {
        let mut aliases = OutgoingAliases::new(2);
        let publish = Publish::new(&TopicName::literal("sport"), "x");
        assert_eq!(aliases.shorten(0, publish.clone(), 100), publish);
        assert_eq!(aliases.shorten(0, publish.clone(), 4), publish);
        let mut set = publish.clone();
        set.topic_alias = Some(1);
        assert_eq!(aliases.shorten(0, publish.clone(), 5), set);
        assert_eq!(aliases.shorten(0, publish, 0), set.without_topic(), "shorter than the topic");
    }

    #[test]
    fn who_takes_no_alias_gets_none() {
        let mut aliases = OutgoingAliases::new(0);
        assert_eq!((0..3).map(|_| take(&mut aliases, "sport")).collect::<Vec<_>>(), [Aliased::No; 3]);
    }
}
