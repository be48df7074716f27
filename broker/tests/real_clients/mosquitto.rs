//! `mosquitto_pub` and `mosquitto_sub`.

use std::sync::Arc;

use libtest_mimic::{Completion, Failed, Trial};
use tokio::process::Command;

use crate::world::{Running, Transport, USER, World};

type Story = for<'a> fn(&'a Mosquitto) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Failed>> + 'a>>;

/// How the two programs are called in one trial.
struct Mosquitto {
    world: Arc<World>,
    version: &'static str,
    transport: Transport,
    /// Stands before every topic and client identifier.
    name: String,
}

macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        [$((stringify!($story), (|mosquitto| Box::pin($story(mosquitto))) as Story)),*]
    };
}

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for transport in [Transport::Tcp, Transport::Tls] {
            for (name, story) in stories![
                every_quality_of_service_arrives,
                a_retained_message_waits_for_its_subscriber,
                the_will_of_a_killed_client_is_published,
                a_session_keeps_what_its_client_missed,
                a_password_is_asked_for,
                a_large_file_arrives_unchanged,
            ] {
                trials.push(trial(world, version, transport, name, story));
            }
        }
    }
    for (name, story) in stories![properties_arrive_in_their_order, members_of_a_share_take_turns] {
        trials.push(trial(world, "mqttv5", Transport::Tcp, name, story));
    }
    trials
}

fn trial(world: &Arc<World>, version: &'static str, transport: Transport, name: &str, story: Story) -> Trial {
    let (world, scheme) = (Arc::clone(world), transport.scheme());
    let prefix = format!("{version}-{scheme}-{name}");
    Trial::ignorable_test(format!("mosquitto, {version} over {scheme}: {name}"), move || {
        let mosquitto = Mosquitto { version, transport, name: prefix, world: Arc::clone(&world) };
        world.runtime.block_on(async {
            for program in ["mosquitto_pub", "mosquitto_sub"] {
                if Command::new(program).arg("--help").output().await.is_err() {
                    return Ok(Completion::ignored_with(format!("{program} is not on the PATH")));
                }
            }
            story(&mosquitto).await.map(|()| Completion::Completed)
        })
    })
}

impl Mosquitto {
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-V", self.version, "-p", &self.world.port(self.transport).to_string()]);
        if self.transport == Transport::Tls {
            command.arg("--cafile").arg(self.world.authority());
        }
        command.args(arguments);
        command
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.name)
    }

    async fn publish(&self, topic: &str, arguments: &[&str]) -> Result<String, Failed> {
        let topic = self.name(topic);
        self.world.run(&mut self.command("mosquitto_pub", &[&["-t", &topic], arguments].concat())).await
    }

    /// A subscriber whose subscription stands.
    async fn subscriber(&self, topic: &str, arguments: &[&str]) -> Result<Running, Failed> {
        self.subscriber_of(&self.name(topic), arguments).await
    }

    async fn subscriber_of(&self, filter: &str, arguments: &[&str]) -> Result<Running, Failed> {
        // -d says when SUBACK has come; unbuffered only to a terminal, hence stdbuf.
        let mut running = Running::start(&mut self.unbuffered(&[&["-d", "-t", filter], arguments].concat()))?;
        running.wait_for("SUBACK", |line| line.starts_with("Subscribed")).await?;
        Ok(running)
    }

    fn unbuffered(&self, arguments: &[&str]) -> Command {
        let inner = self.command("mosquitto_sub", arguments);
        let mut command = Command::new("stdbuf");
        command.arg("-oL").arg(inner.as_std().get_program()).args(inner.as_std().get_args());
        command
    }
}

async fn every_quality_of_service_arrives(mosquitto: &Mosquitto) -> Result<(), Failed> {
    let mut bob = mosquitto.subscriber("t", &["-q", "2", "-F", "got %q %p"]).await?;
    for qos in ["0", "1", "2"] {
        mosquitto.publish("t", &["-q", qos, "-m", &format!("at {qos}")]).await?;
        let line = format!("got {qos} at {qos}");
        bob.wait_for(&line, |got| got == line).await?;
    }
    Ok(())
}

async fn a_retained_message_waits_for_its_subscriber(mosquitto: &Mosquitto) -> Result<(), Failed> {
    mosquitto.publish("t", &["-r", "-q", "1", "-m", "kept"]).await?;
    let mut bob = mosquitto.subscriber("#", &["-F", "got %r %p"]).await?;
    bob.wait_for("the retained message", |line| line == "got 1 kept").await?;
    mosquitto.publish("t", &["-r", "-q", "1", "-n"]).await?;
    bob.wait_for("the empty one", |line| line.trim_end() == "got 0").await?;
    let mut carol = mosquitto.subscriber("#", &["-F", "got %r %p"]).await?;
    mosquitto.publish("t", &["-m", "new"]).await?;
    let first = carol.wait_for("a message", |line| line.starts_with("got")).await?;
    if first != "got 0 new" {
        return Err(format!("the cleared message came again: {first}").into());
    }
    Ok(())
}

async fn the_will_of_a_killed_client_is_published(mosquitto: &Mosquitto) -> Result<(), Failed> {
    let mut watcher = mosquitto.subscriber("will", &["-F", "got %p"]).await?;
    let topic = mosquitto.name("will");
    let will = ["--will-topic", topic.as_str(), "--will-payload", "gone", "--will-qos", "1"];
    let victim = mosquitto.subscriber("other", &will).await?;
    victim.kill().await?;
    watcher.wait_for("the will", |line| line == "got gone").await?;
    Ok(())
}

async fn a_session_keeps_what_its_client_missed(mosquitto: &Mosquitto) -> Result<(), Failed> {
    // 3.1 allows 23 characters.
    let client_id = format!("keeper-{}-{}", mosquitto.version, mosquitto.transport.scheme());
    let topic = mosquitto.name("t");
    let mut durable = vec!["-c", "-i", &client_id, "-q", "1", "-t", &topic];
    if mosquitto.version == "mqttv5" {
        durable.extend(["-x", "3600"]);
    }
    mosquitto.world.run(&mut mosquitto.command("mosquitto_sub", &[durable.as_slice(), &["-E"]].concat())).await?;
    for number in ["1", "2", "3"] {
        mosquitto.publish("t", &["-q", "1", "-m", number]).await?;
    }
    let mut back = mosquitto.command("mosquitto_sub", &[durable.as_slice(), &["-C", "3", "-W", "30"]].concat());
    let got = mosquitto.world.run(&mut back).await?;
    if got.split_whitespace().collect::<Vec<_>>() != ["1", "2", "3"] {
        return Err(format!("not what was missed: {got}").into());
    }
    Ok(())
}

async fn a_password_is_asked_for(mosquitto: &Mosquitto) -> Result<(), Failed> {
    let (user, password) = USER;
    mosquitto.publish("t", &["-u", user, "-P", password, "-m", "hello"]).await?;
    match mosquitto.publish("t", &["-u", user, "-P", "wrong", "-m", "hello"]).await {
        Ok(_) => Err("a wrong password was accepted".into()),
        Err(error) => {
            let words = error.message().unwrap_or_default().to_ascii_lowercase();
            let expected = match mosquitto.version {
                "mqttv5" => words.contains("not authorized") || words.contains("bad user"),
                _ => words.contains("bad user name or password") || words.contains("not authorised"),
            };
            expected.then_some(()).ok_or(error)
        }
    }
}

async fn a_large_file_arrives_unchanged(mosquitto: &Mosquitto) -> Result<(), Failed> {
    let bytes: Vec<u8> = (0..700_001_u32).map(|index| b'a' + (index % 23) as u8).collect();
    let file = mosquitto.world.folder().join(mosquitto.name.replace(':', "-"));
    std::fs::write(&file, &bytes)?;
    let mut bob = mosquitto.subscriber("t", &["-F", "%p", "-C", "1"]).await?;
    mosquitto.publish("t", &["-q", "1", "-f", &file.to_string_lossy()]).await?;
    let line = bob.wait_for("the file", |line| line.len() > 100_000).await?;
    if line.as_bytes() != bytes {
        return Err(format!("{} bytes came, and not those that were sent", line.len()).into());
    }
    Ok(())
}

async fn properties_arrive_in_their_order(mosquitto: &Mosquitto) -> Result<(), Failed> {
    let mut bob = mosquitto.subscriber("t", &["-F", "got %C|%R|%D|%P|%p"]).await?;
    let mut arguments = vec!["-m", "hello"];
    let properties = ["content-type text", "response-topic re/ply", "correlation-data 42"];
    let user = [["b", "2"], ["a", "1"], ["b", "3"]];
    for property in &properties {
        arguments.extend(["-D", "publish"]);
        arguments.extend(property.split(' '));
    }
    for [name, value] in &user {
        arguments.extend(["-D", "publish", "user-property", name, value]);
    }
    mosquitto.publish("t", &arguments).await?;
    let line = bob.wait_for("the message", |line| line.starts_with("got")).await?;
    if line != "got text|re/ply|42|b:2 a:1 b:3|hello" {
        return Err(line.into());
    }
    Ok(())
}

async fn members_of_a_share_take_turns(mosquitto: &Mosquitto) -> Result<(), Failed> {
    let filter = format!("$share/group/{}", mosquitto.name("t"));
    let mut first = mosquitto.subscriber_of(&filter, &["-F", "got %p"]).await?;
    let mut second = mosquitto.subscriber_of(&filter, &["-F", "got %p"]).await?;
    for number in 0..10 {
        mosquitto.publish("t", &["-q", "1", "-m", &number.to_string()]).await?;
    }
    let mut got = Vec::new();
    for member in [&mut first, &mut second] {
        for _ in 0..5 {
            got.push(member.wait_for("its part", |line| line.starts_with("got")).await?);
        }
    }
    got.sort();
    got.dedup();
    if got.len() != 10 {
        return Err(format!("not each message once: {got:?}").into());
    }
    Ok(())
}
