//! Why nothing could be run.

use std::io;

/// One sentence, or none where nobody reads any more.
#[derive(Debug)]
pub(crate) struct Trouble(Option<String>);

impl Trouble {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Trouble(Some(sentence.into()))
    }

    pub(crate) fn sentence(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble((error.kind() != io::ErrorKind::BrokenPipe).then(|| error.to_string()))
    }
}
