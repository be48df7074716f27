//! Why nothing could be run.

use std::io;

use super::signals::INTERRUPTED;

/// One sentence, or none where nobody reads any more; and the exit status.
#[derive(Debug)]
pub(crate) struct Trouble {
    sentence: Option<String>,
    status: u8,
}

impl Trouble {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Trouble { sentence: Some(sentence.into()), status: 2 }
    }

    /// Somebody did not want to wait.
    pub(crate) fn interrupted() -> Self {
        Trouble { status: INTERRUPTED, ..Trouble::new("interrupted; what was launched has been stopped") }
    }

    pub(crate) fn sentence(&self) -> Option<&str> {
        self.sentence.as_deref()
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        let sentence = (error.kind() != io::ErrorKind::BrokenPipe).then(|| error.to_string());
        Trouble { sentence, status: 2 }
    }
}
