//! Answers of enhanced authentication that take their time are worked out on a thread of their own.

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::core::authentication::{Answer, Question};

/// The answer that is being worked out, if one is.
#[derive(Debug, Default)]
pub(super) struct Prover(Option<JoinHandle<Answer>>);

impl Prover {
    /// One for an older question is not waited for any more.
    pub(super) fn begin(&mut self, question: Question) {
        self.0 = Some(spawn_blocking(move || question.answer()));
    }

    /// Waits for the answer; for ever where there is no question. May be dropped at any time.
    pub(super) async fn answered(&mut self) -> Result<Answer, JoinError> {
        let Some(thinking) = &mut self.0 else { return std::future::pending().await };
        let answer = thinking.await;
        self.0 = None;
        answer
    }
}
