//! Applications that take their time, and that will not have every message.

use std::{collections::VecDeque, time::Duration};

use squall_client::core::effect::{Delivery, Input};
use squall_codec::{packet::Publish, reason::ReasonCode};

/// What an application does with the messages above QoS 0 that its client hands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answering {
    /// It says yes or no after so long.
    pub after: Duration,
    /// It will not have each message with this number, counted from the first; `None`: it takes them all. Before 5.0 there is no
    /// word for it.
    pub refuses: Option<u32>,
}

/// An answer whose time has come.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which message.
    pub delivery: Delivery,
    /// `Success`, or why not.
    pub reason: ReasonCode,
    /// The message.
    pub message: Publish,
}

impl Answer {
    /// As the client's core takes it.
    pub fn input(&self) -> Input {
        Input::Acknowledge { delivery: self.delivery, reason: self.reason }
    }
}

/// What an application has been handed and has not answered.
#[derive(Debug)]
pub struct Answers {
    answering: Answering,
    handed: u32,
    waiting: VecDeque<(Duration, Answer)>,
}

impl Answers {
    /// None yet.
    pub fn new(answering: Answering) -> Self {
        Answers { answering, handed: 0, waiting: VecDeque::new() }
    }

    /// The client hands over a message above QoS 0.
    pub fn handed(&mut self, now: Duration, delivery: Delivery, message: Publish) {
        self.handed += 1;
        let refuses = self.answering.refuses.is_some_and(|each| self.handed.is_multiple_of(each));
        // The PUBLISH is valid, and the receiver is not willing to accept it (sections 3.4.2.1 and 3.5.2.1).
        let reason = if refuses { ReasonCode::ImplementationSpecificError } else { ReasonCode::Success };
        self.waiting.push_back((now + self.answering.after, Answer { delivery, reason, message }));
    }

    /// When the next answer is due.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// The next answer whose time has come.
    pub fn next_due(&mut self, now: Duration) -> Option<Answer> {
        self.waiting.pop_front_if(|(due, _)| *due <= now).map(|(_, answer)| answer)
    }
}
