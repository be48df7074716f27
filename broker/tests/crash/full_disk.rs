//! A file system that is really full: the broker says so, lives on, keeps what it had promised, and recovers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use squall_codec::{qos::Qos, reason::ReasonCode};

use crate::{
    actor::{Actor, message},
    broker::Broker,
};

/// A small file system, there as long as this lives.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    /// Only root may mount one.
    fn mount(size: &str) -> Option<Small> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Small { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// Takes what room there is, but for so many bytes.
fn fill(file: &Path, but_for: usize) {
    let mut ballast = vec![7; 64 << 20];
    while fs::write(file, &ballast).is_err() {
        let length = fs::metadata(file).expect("a file").len() as usize;
        ballast.truncate(length.saturating_sub(but_for));
    }
}

#[test]
fn a_file_system_without_room_is_survived() {
    let Some(small) = Small::mount("16m") else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let (data, ballast) = (small.path("data"), small.path("ballast"));
    let mut broker = Broker::start(&data, "disk");
    let mut bob = Actor::new("bob", 1000);
    bob.connect(&broker, None);
    let asked = bob.subscribe("t", Qos::AtLeastOnce);
    bob.until(|actor| actor.answers.contains_key(&asked));
    bob.leave();
    fill(&ballast, 256 << 10);

    let text = "x".repeat(4000);
    let mut accepted = Vec::new();
    let mut number = 0;
    for round in 0..2 {
        // Until there is no room: the one who finds out is closed, from then on it is said beforehand.
        let mut alice = Actor::new("alice", 0);
        alice.connect(&broker, None);
        let refused = loop {
            number += 1;
            let payload = format!("{number:06} {text}");
            alice.publish(message("t", &payload, Qos::AtLeastOnce));
            match alice.answered(&payload) {
                Some(ReasonCode::Success) => accepted.push(payload),
                Some(other) => break other,
                None => {
                    alice = Actor::new("alice", 0);
                    alice.connect(&broker, None);
                }
            }
            assert!(number < 100_000, "the disk never fills up");
        };
        assert_eq!(refused, ReasonCode::QuotaExceeded);
        alice.publish(message("nobody", "still served", Qos::AtLeastOnce));
        assert_eq!(alice.answered("still served"), Some(ReasonCode::NoMatchingSubscribers));
        if round == 0 {
            fs::remove_file(&ballast).expect("a file");
            // It recovers by itself.
            let payload = loop {
                number += 1;
                let payload = format!("{number:06} again");
                alice.publish(message("t", &payload, Qos::AtLeastOnce));
                match alice.answered(&payload) {
                    Some(ReasonCode::Success) => break payload,
                    Some(ReasonCode::QuotaExceeded) => {}
                    other => panic!("unexpected {other:?}"),
                }
            };
            accepted.push(payload);
            fill(&ballast, 256 << 10);
        }
    }
    // Killed while the disk is full, and started again when there is room.
    broker.kill();
    fs::remove_file(&ballast).expect("a file");
    broker = Broker::start(&data, "disk");
    bob.connect(&broker, None);
    assert!(bob.broken.is_empty(), "{:?}", bob.broken);
    let last = accepted.last().expect("some were accepted").clone();
    bob.until(|actor| actor.delivered.contains_key(&last));
    let lost = accepted.iter().filter(|payload| !bob.delivered.contains_key(*payload)).count();
    assert_eq!(lost, 0, "of {}", accepted.len());
}
