//! Request and response (5.0, section 4.10): a question with a Response Topic, and the answer that carries the same
//! Correlation Data.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use squall_codec::{
    packet::{Publish, Subscription},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicError, TopicFilter, TopicName},
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::AbortHandle,
    time::timeout,
};

use super::{
    handle::{Handle, PublishError, Published, SubscribeError},
    messages::{Message, Subscribed},
};
use crate::core::effect::Failure;

/// Questions that may be open at once; others wait.
const OPEN: usize = 1024;

/// Asks questions, and tells their answers apart. Cheap to clone; when the last clone is gone, nobody listens for
/// answers any more.
#[derive(Clone, Debug)]
pub struct Requester {
    handle: Handle,
    response_topic: TopicName,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    open: Arc<Open>,
    room: Semaphore,
    listener: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Who waits for which Correlation Data.
#[derive(Debug, Default)]
struct Open {
    questions: Mutex<Questions>,
}

#[derive(Debug, Default)]
struct Questions {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Message>>,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is forgotten when nobody waits any more.
struct Question<'a> {
    open: &'a Open,
    number: u64,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.open.lock().waiting.remove(&self.number);
    }
}

/// Why nobody can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequesterError {
    /// Response Topic and Correlation Data came with 5.0.
    #[error("requests need MQTT 5.0")]
    Version,
    /// The response topic is no topic filter: it begins with `$share`.
    #[error("the response topic {0}")]
    Topic(#[from] TopicError),
    /// Answers could not be subscribed to.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The question could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The server says that nobody subscribes to the topic of the question.
    #[error("nobody listens to '{topic}'")]
    Nobody {
        /// Of the question.
        topic: String,
    },
    /// No answer came in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The client has ended.
    #[error("the client is disconnected")]
    Disconnected,
}

impl Requester {
    /// Subscribes to the answers. The topic should be this client's own: others who subscribe to it see them too. Needs
    /// tokio's runtime, on which a task listens until the last clone is gone.
    ///
    /// # Errors
    /// The version has no requests, or the server refused the subscription.
    pub async fn new(handle: &Handle, response_topic: TopicName) -> Result<Self, RequesterError> {
        if !handle.version.has_properties() {
            return Err(RequesterError::Version);
        }
        let filter = TopicFilter::new(response_topic.text().clone())?;
        let wanted = vec![Subscription::new(filter, Qos::AtLeastOnce)];
        let answers = handle.stream(wanted, Properties::new()).await?;
        let open = Arc::new(Open::default());
        let listener = tokio::spawn(listen(answers, Arc::clone(&open))).abort_handle();
        let shared = Arc::new(Shared { open, room: Semaphore::new(OPEN), listener });
        Ok(Requester { handle: handle.clone(), response_topic, shared })
    }

    /// Publishes a question and waits for its answer. Response Topic and Correlation Data of the question are replaced.
    /// May be dropped at any time; an answer that comes later is passed over.
    ///
    /// # Errors
    /// The question did not get through, or no answer came in time.
    pub async fn ask(&self, question: Publish, patience: Duration) -> Result<Message, RequestError> {
        match timeout(patience, self.exchange(question)).await {
            Ok(answer) => answer,
            Err(_) => Err(RequestError::TimedOut(patience)),
        }
    }

    async fn exchange(&self, question: Publish) -> Result<Message, RequestError> {
        let _room = self.shared.room.acquire().await.map_err(|_| RequestError::Disconnected)?;
        let (reply, answer) = oneshot::channel();
        let number = {
            let mut questions = self.shared.open.lock();
            let number = questions.next;
            questions.next += 1;
            questions.waiting.insert(number, reply);
            number
        };
        let _question = Question { open: &self.shared.open, number };
        let topic = question.topic().to_owned();
        let published = self.handle.publish(self.addressed(question, number)).await?;
        if published.reason == ReasonCode::NoMatchingSubscribers {
            return Err(RequestError::Nobody { topic });
        }
        answer.await.map_err(|_| RequestError::Disconnected)
    }

    fn addressed(&self, question: Publish, number: u64) -> Publish {
        let own = [
            Property::ResponseTopic(self.response_topic.text().clone()),
            Property::CorrelationData(Bytes::copy_from_slice(&number.to_be_bytes())),
        ];
        let others = question.properties();
        let others = others.iter().filter(|property| own.iter().all(|own| own.id() != property.id()));
        let properties = others.cloned().chain(own.iter().cloned()).collect();
        question.with_properties(&properties)
    }
}

/// Hands answers to those who wait for them. One that nobody waits for is acknowledged all the same.
async fn listen(mut answers: Subscribed, open: Arc<Open>) {
    while let Some(answer) = answers.next().await {
        let properties = answer.forwarded_properties();
        let number = properties.correlation_data().and_then(|data| <[u8; 8]>::try_from(&data[..]).ok());
        let waiting = number.and_then(|number| open.lock().waiting.remove(&u64::from_be_bytes(number)));
        let unwanted = match waiting {
            Some(waiting) => waiting.send(answer).err(),
            None => Some(answer),
        };
        unwanted.into_iter().for_each(Message::ack);
    }
    // Dropped, they tell everyone.
    open.lock().waiting.clear();
}

/// Why a question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// It has no Response Topic.
    #[error("the message asks for no response")]
    NoResponseTopic,
    /// The answer was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Handle {
    /// Answers a message that has a Response Topic: with its Correlation Data, and at its QoS.
    ///
    /// # Errors
    /// It has none, or the answer was not published.
    pub async fn respond(&self, question: &Publish, payload: impl AsRef<[u8]>) -> Result<Published, RespondError> {
        let asked = question.forwarded_properties();
        let topic = asked.response_topic().and_then(|topic| TopicName::new(topic.clone()).ok());
        let topic = topic.ok_or(RespondError::NoResponseTopic)?;
        let correlation = asked.correlation_data().cloned().map(Property::CorrelationData);
        let answer = Publish::new(&topic, payload).at(question.qos, None);
        Ok(self.publish(answer.with_properties(&correlation.into_iter().collect())).await?)
    }
}

impl From<Failure> for RequestError {
    fn from(failure: Failure) -> Self {
        RequestError::Publish(failure.into())
    }
}
