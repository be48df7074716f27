//! Libraries of other languages: each tells the same stories, in a script beside this file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use libtest_mimic::{Completion, Failed, Trial};
use tokio::process::Command;

use crate::world::{Transport, USER, World};

/// A library and what runs its script.
#[derive(Clone, Copy)]
struct Library {
    name: &'static str,
    script: &'static str,
    /// The interpreter, if the library is there for it; else why not.
    find: fn() -> Result<Command, String>,
}

const LIBRARIES: [Library; 2] = [
    Library { name: "paho-mqtt (Python)", script: "stories.py", find: python },
    Library { name: "MQTT.js (Node)", script: "stories.js", find: node },
];

pub(crate) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for library in LIBRARIES {
        for version in ["3.1.1", "5.0"] {
            for transport in Transport::ALL {
                let (world, scheme) = (Arc::clone(world), transport.scheme());
                let name = format!("{}, {version} over {scheme}", library.name);
                trials.push(Trial::ignorable_test(name, move || tell(&world, library, version, transport)));
            }
        }
    }
    trials
}

fn tell(world: &World, library: Library, version: &str, transport: Transport) -> Result<Completion, Failed> {
    let mut command = match (library.find)() {
        Ok(command) => command,
        Err(reason) => return Ok(Completion::ignored_with(reason)),
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_clients").join(library.script);
    let port = world.port(transport).to_string();
    command.arg(script).args([transport.scheme(), &port, version]).arg(world.authority()).args([USER.0, USER.1]);
    let out = world.runtime.block_on(world.run(&mut command))?;
    // The script says so itself at its end: one that told no story has not passed.
    match out.lines().last() {
        Some(line) if line.starts_with("told ") => Ok(Completion::Completed),
        _ => Err(format!("the stories were not told to their end:\n{out}").into()),
    }
}

/// Where `.ci/run` installs what is in no package of the system.
fn peers() -> PathBuf {
    match std::env::var_os("MQTT_PEERS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers"),
    }
}

fn python() -> Result<Command, String> {
    let installed = peers().join("python/bin/python");
    let python = if installed.exists() { installed } else { "python3".into() };
    let has = std::process::Command::new(&python).args(["-c", "import paho.mqtt.enums"]).output();
    match has {
        Ok(output) if output.status.success() => Ok(Command::new(python)),
        Ok(_) => Err(format!("paho-mqtt 2 is not installed for {}", python.display())),
        Err(error) => Err(format!("no Python: {error}")),
    }
}

fn node() -> Result<Command, String> {
    let modules = peers().join("node_modules");
    let has = std::process::Command::new("node").env("NODE_PATH", &modules).args(["-e", "require('mqtt')"]).output();
    match has {
        Ok(output) if output.status.success() => {
            let mut node = Command::new("node");
            node.env("NODE_PATH", modules);
            Ok(node)
        }
        Ok(_) => Err("the package mqtt is not installed for Node".to_owned()),
        Err(error) => Err(format!("no Node: {error}")),
    }
}
