//! `client pub`.

use std::{collections::VecDeque, time::Duration};

use squall_client::{
    net::handle::{Handle, PublishError, Receipt},
    options::Acknowledge,
};
use squall_codec::{packet::Publish as Message, property::Properties, qos::Qos, topic::TopicName};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, stdin};

use super::{
    Trouble,
    arguments::{Publish, Source},
    session::{connect, goodbye, interrupted},
};

/// Lines that may be on their way before the next one is read.
const ON_THEIR_WAY: usize = 1000;

pub(crate) async fn run(arguments: Publish) -> Result<(), Trouble> {
    let said = arguments.connection.packet_properties()?;
    let template = Template {
        topic: arguments.topic()?,
        qos: arguments.qos,
        retain: arguments.retain,
        properties: said.publish,
        times: arguments.repeat,
        pause: Duration::from_secs_f64(arguments.repeat_delay),
    };
    // What cannot be read needs no connection.
    let payload = match &arguments.source {
        Source { stdin_line: true, .. } => None,
        source => Some(payload(source).await?),
    };
    let mut session = connect(&arguments.connection, Acknowledge::Automatic).await?;
    let handle = session.handle.clone();
    let published = tokio::select! {
        biased;
        () = interrupted() => Ok(()),
        trouble = watch(&mut session.life) => Err(trouble),
        published = publish(&handle, &template, payload) => published,
    };
    goodbye(&session.handle, &said.disconnect).await;
    published
}

/// Ends only when the connection is lost for good.
pub(super) async fn watch(life: &mut super::session::Life) -> Trouble {
    loop {
        if let Err(trouble) = life.reconnected().await {
            return trouble;
        }
    }
}

struct Template {
    topic: TopicName,
    qos: Qos,
    retain: bool,
    properties: Properties,
    times: u64,
    pause: Duration,
}

impl Template {
    fn message(&self, payload: &[u8]) -> Message {
        let mut message = Message::new(&self.topic, payload).at(self.qos, None);
        message.retain = self.retain;
        if self.properties.is_empty() { message } else { message.with_properties(&self.properties) }
    }
}

pub(super) async fn payload(source: &Source) -> Result<Vec<u8>, Trouble> {
    match source {
        Source { message: Some(message), .. } => Ok(message.clone().into_bytes()),
        Source { file: Some(path), .. } => {
            std::fs::read(path).map_err(|error| Trouble::unable(format!("cannot read {}: {error}", path.display())))
        }
        Source { stdin_file: true, .. } => {
            let mut all = Vec::new();
            stdin().read_to_end(&mut all).await.map_err(|error| unreadable(&error))?;
            Ok(all)
        }
        _ => Ok(Vec::new()),
    }
}

async fn publish(handle: &Handle, template: &Template, payload: Option<Vec<u8>>) -> Result<(), Trouble> {
    match payload {
        Some(payload) => {
            for time in 0..template.times {
                if time > 0 {
                    tokio::time::sleep(template.pause).await;
                }
                handle.publish(template.message(&payload)).await.map_err(refused)?;
            }
            Ok(())
        }
        None => publish_lines(handle, template).await,
    }
}

/// Each line as it comes, many on their way at once.
async fn publish_lines(handle: &Handle, template: &Template) -> Result<(), Trouble> {
    let mut lines = BufReader::new(stdin());
    let mut line = Vec::new();
    let mut receipts: VecDeque<Receipt> = VecDeque::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await.map_err(|error| unreadable(&error))? == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        receipts.push_back(handle.queue(template.message(text)).await.map_err(refused)?);
        while receipts.len() > ON_THEIR_WAY {
            acknowledged(&mut receipts).await?;
        }
    }
    while !receipts.is_empty() {
        acknowledged(&mut receipts).await?;
    }
    Ok(())
}

async fn acknowledged(receipts: &mut VecDeque<Receipt>) -> Result<(), Trouble> {
    match receipts.pop_front() {
        Some(oldest) => oldest.outcome().await.map(drop).map_err(refused),
        None => Ok(()),
    }
}

fn refused(error: PublishError) -> Trouble {
    Trouble::refused(format!("cannot publish: {error}"))
}

fn unreadable(error: &std::io::Error) -> Trouble {
    Trouble::unable(format!("cannot read standard input: {error}"))
}
