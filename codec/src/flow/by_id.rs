//! A map by packet identifier. Identifiers are given out one after the other and come back in about that order, so that a row
//! in their order is entered at its end and left at its front.

use std::collections::VecDeque;

use crate::wire::PacketId;

/// Room for so many entries stays when none is left.
const KEPT: usize = 4;

/// Entries in the order of their identifiers.
#[derive(Clone, Debug)]
pub struct ById<T>(VecDeque<(PacketId, T)>);

impl<T> Default for ById<T> {
    fn default() -> Self {
        ById(VecDeque::new())
    }
}

impl<T> ById<T> {
    /// Without an entry.
    pub const fn new() -> Self {
        ById(VecDeque::new())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where it stands, or would.
    fn place(&self, id: PacketId) -> Result<usize, usize> {
        // The oldest is asked for most, and the newest comes behind all others.
        match (self.0.front(), self.0.back()) {
            (Some((first, _)), _) if *first == id => Ok(0),
            (_, Some((last, _))) if *last < id => Err(self.0.len()),
            _ => self.0.binary_search_by_key(&id, |(id, _)| *id),
        }
    }

    /// The entry.
    pub fn get(&self, id: PacketId) -> Option<&T> {
        self.0.get(self.place(id).ok()?).map(|(_, entry)| entry)
    }

    /// The entry, to be changed.
    pub fn get_mut(&mut self, id: PacketId) -> Option<&mut T> {
        let place = self.place(id).ok()?;
        self.0.get_mut(place).map(|(_, entry)| entry)
    }

    /// Whether there is one.
    pub fn contains(&self, id: PacketId) -> bool {
        self.place(id).is_ok()
    }

    /// Puts one in; the one that was there before.
    pub fn insert(&mut self, id: PacketId, entry: T) -> Option<T> {
        match self.place(id) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, entry)),
            Err(place) => {
                self.0.insert(place, (id, entry));
                None
            }
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, id: PacketId) -> Option<T> {
        let place = self.place(id).ok()?;
        let (_, entry) = self.0.remove(place)?;
        self.release();
        Some(entry)
    }

    /// Keeps those that are wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(PacketId, &T) -> bool) {
        self.0.retain(|(id, entry)| is_wanted(*id, entry));
        self.release();
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
        self.release();
    }

    /// All, by their identifiers.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, &T)> {
        self.0.iter().map(|(id, entry)| (*id, entry))
    }

    /// All, by their identifiers, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, entry)| entry)
    }

    /// All, by their identifiers.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.0.into_iter().map(|(_, entry)| entry)
    }

    /// An idle session owns next to nothing.
    fn release(&mut self) {
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_in_the_order_of_identifiers(steps in prop::collection::vec((any::<bool>(), 1..40u16), 0..200)) {
            let (mut row, mut map) = (ById::new(), BTreeMap::new());
            for (number, (puts, id)) in steps.into_iter().enumerate() {
                let id = PacketId::new(id).expect("not 0");
                match puts {
                    true => prop_assert_eq!(row.insert(id, number), map.insert(id, number)),
                    false => prop_assert_eq!(row.remove(id), map.remove(&id)),
                }
                prop_assert_eq!(row.get(id), map.get(&id));
                prop_assert_eq!(row.contains(id), map.contains_key(&id));
                prop_assert_eq!(row.len(), map.len());
                prop_assert!(row.iter().eq(map.iter().map(|(id, number)| (*id, number))));
            }
        }
    }
}
