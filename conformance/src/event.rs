//! What happens in a run, told as it happens. Reports only listen.

use std::io;

use crate::{
    report::model::{Header, Report, TestEntry},
    select::Planned,
};

/// Something happened in a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The subject is there and the tests are chosen: so many.
    RunStarted(&'a Header, usize),
    /// A test begins.
    TestStarted(&'a Planned),
    /// A test has its verdict.
    TestFinished(&'a TestEntry),
    /// Every test has its verdict, and so has every statement.
    RunFinished(&'a Report),
}

/// Someone who wants to know.
pub trait Listener {
    /// Takes an event.
    ///
    /// # Errors
    /// What is to be written cannot be written.
    fn hear(&mut self, event: Event<'_>) -> io::Result<()>;
}
