//! `client request`: a question, and its answer.

use std::time::Duration;

use squall_client::{
    net::{
        clock::seed_of_this_run,
        handle::Handle,
        request::{RequestError, Requester, RequesterError},
    },
    options::Acknowledge,
};
use squall_codec::{packet::Publish, topic::TopicName};

use super::{
    Trouble,
    arguments::Request,
    publish::{payload, watch},
    session::{Session, connect, goodbye, interrupted},
    subscribe::print,
};

pub(crate) async fn run(arguments: Request) -> Result<(), Trouble> {
    if !arguments.connection.version.has_properties() {
        return Err(Trouble::unable("requests need MQTT 5.0"));
    }
    if arguments.source.stdin_line {
        return Err(Trouble::unable("one question at a time: take -s for all of standard input"));
    }
    let said = arguments.connection.packet_properties()?;
    let topic = arguments.topic()?;
    let question = Publish::new(&topic, payload(&arguments.source).await?).at(arguments.qos, None);
    let question = if said.publish.is_empty() { question } else { question.with_properties(&said.publish) };
    let response_topic = match &arguments.response_topic {
        Some(topic) => topic.clone(),
        None => {
            let name = format!("squall/response/{:016x}", seed_of_this_run());
            TopicName::try_from(name.as_str()).expect("levels of letters and digits are a topic")
        }
    };
    let Session { handle, messages, mut life } = connect(&arguments.connection, Acknowledge::Automatic).await?;
    // Answers have a stream of their own.
    drop(messages);
    let ended = tokio::select! {
        biased;
        () = interrupted() => Ok(()),
        trouble = watch(&mut life) => Err(trouble),
        ended = ask(&handle, response_topic, question, &arguments) => ended,
    };
    goodbye(&handle, &said.disconnect).await;
    ended
}

async fn ask(
    handle: &Handle,
    response_topic: TopicName,
    question: Publish,
    arguments: &Request,
) -> Result<(), Trouble> {
    let requester = Requester::new(handle, response_topic).await.map_err(|error| match error {
        RequesterError::Topic(_) => Trouble::unable(error.to_string()),
        error => Trouble::refused(format!("cannot listen for answers: {error}")),
    })?;
    let answer = requester.ask(question, Duration::from_secs_f64(arguments.timeout)).await;
    match answer {
        Ok(answer) => match print(&answer, &arguments.printing) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Trouble::refused(format!("cannot write: {error}")))
            }
            _ => Ok(()),
        },
        Err(error @ RequestError::Publish(_)) => Err(Trouble::refused(format!("cannot publish: {error}"))),
        Err(error) => Err(Trouble::refused(error.to_string())),
    }
}
