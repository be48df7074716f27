//! How the operations of a whole client have ended, until its application asks.

use std::collections::VecDeque;

use squall_client::core::effect::{Outcome, Token};

/// How operations have ended, until somebody asks. Their names are numbers that follow each other.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// The name of the first in the row.
    first: u64,
    row: VecDeque<Option<Outcome>>,
}

impl Outcomes {
    /// This is how it ended.
    pub fn insert(&mut self, Token(name): Token, outcome: Outcome) {
        if self.row.is_empty() {
            self.first = name;
        }
        while name < self.first {
            self.row.push_front(None);
            self.first -= 1;
        }
        let place = usize::try_from(name - self.first).expect("operations that nobody has asked for fit into memory");
        while self.row.len() < place {
            self.row.push_back(None);
        }
        match self.row.get_mut(place) {
            Some(free) => *free = Some(outcome),
            None => self.row.push_back(Some(outcome)),
        }
    }

    /// How it ended, if it has; asked a second time nobody knows it.
    pub fn take(&mut self, Token(name): Token) -> Option<Outcome> {
        let place = usize::try_from(name.checked_sub(self.first)?).ok()?;
        let outcome = self.row.get_mut(place)?.take();
        while let Some(None) = self.row.front() {
            self.row.pop_front();
            self.first += 1;
        }
        outcome
    }

    /// Whether nobody has anything to ask for.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }
}
