//! The broker as a world starts it, again and again: its configuration, who may come in, and what is under its store.

use std::{fmt, sync::Arc, time::Duration};

use squall_broker::{
    core::{
        HashKey,
        access::{AllowAll, Authenticator},
        config::Config,
        limits,
    },
    store::{
        Store, StoreError,
        disk::{DiskStore, Durability},
        memory::MemoryStore,
    },
};
use squall_scenarios::{
    outage::DiskState,
    settings::{QueuePolicy, Settings, Storage},
};

use crate::{access, disk::SimulatedDisk, journal::Journal, seed::derive};

/// A machine that does not answer is asked again after this long.
pub(crate) const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A broker that cannot start, because its disk fails, is started again after this long.
pub(crate) const STARTED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a broker is started with, each time. A cheap clone.
#[derive(Clone)]
pub struct Subject {
    /// How it behaves.
    pub config: Config,
    /// Who may come in.
    pub authenticator: Arc<dyn Authenticator>,
    /// What is under its store; `None` is a broker that keeps nothing.
    pub medium: Option<Medium>,
    /// How long a commit takes. Only the events world can wait for it.
    pub sync: Duration,
    /// It is also reached over a WebSocket. Only the turmoil world has one.
    pub web_socket: bool,
}

/// What is under a store that keeps something. A cheap clone.
#[derive(Clone, Debug)]
pub enum Medium {
    /// The real store on a disk in memory.
    Disk(SimulatedDisk),
    /// A store that keeps what it has committed, without a disk.
    Journal(Journal),
}

impl Medium {
    /// A commit begins that takes its time.
    pub(crate) fn begin_commit(&self) {
        match self {
            Medium::Disk(disk) => disk.begin_commit(),
            Medium::Journal(journal) => journal.begin_commit(),
        }
    }

    /// The commit is over.
    pub(crate) fn end_commit(&self) {
        match self {
            Medium::Disk(disk) => disk.end_commit(),
            Medium::Journal(journal) => journal.end_commit(),
        }
    }

    /// The broker's process is killed.
    pub(crate) fn crash(&self) {
        match self {
            Medium::Disk(disk) => disk.crash(),
            Medium::Journal(journal) => journal.stop(),
        }
    }

    /// The broker's machine goes dark.
    pub(crate) fn lose_power(&self) {
        match self {
            Medium::Disk(disk) => disk.lose_power(),
            Medium::Journal(journal) => journal.stop(),
        }
    }

    /// From now on it does this.
    pub(crate) fn set_state(&self, state: DiskState) {
        match self {
            Medium::Disk(disk) => disk.set_state(state),
            Medium::Journal(journal) => journal.set_state(state),
        }
    }
}

impl Subject {
    /// Open to everyone, and without a disk.
    pub fn new(config: Config) -> Self {
        Subject { config, authenticator: Arc::new(AllowAll), medium: None, sync: Duration::ZERO, web_socket: false }
    }

    /// As a script asks for it, on a stage with this namespace; everything random comes from the seed.
    pub fn of(settings: &Settings, namespace: &str, seed: u64) -> Self {
        let medium = match settings.store {
            None | Some(Storage::None) => None,
            Some(Storage::Disk) => Some(Medium::Disk(SimulatedDisk::new(derive(seed, "disk", 0)))),
            Some(Storage::Journal) => Some(Medium::Journal(Journal::new(derive(seed, "journal", 0)))),
        };
        let config = Config { acl: access::acl(settings, namespace), ..config(settings) };
        let authenticator = access::authenticator(settings, seed);
        Subject { config, authenticator, medium, sync: settings.sync.unwrap_or_default(), web_socket: false }
    }

    /// The store for the next run.
    pub(crate) fn store(&self) -> Result<Box<dyn Store>, StoreError> {
        match &self.medium {
            None => Ok(Box::new(MemoryStore::default())),
            Some(Medium::Journal(journal)) => Ok(journal.store()),
            Some(Medium::Disk(disk)) => {
                Ok(Box::new(DiskStore::with_backend(disk.open(), "the simulated disk", Durability::Disk)?))
            }
        }
    }
}

/// The secret of a run, the `starts`-th: a real server draws a new one each time.
pub(crate) fn key(seed: u64, starts: u64) -> HashKey {
    HashKey([derive(seed, "broker key", 2 * starts), derive(seed, "broker key", 2 * starts + 1)])
}

fn config(settings: &Settings) -> Config {
    let mut config = Config::default();
    let limits = &mut config.limits;
    set(&mut limits.maximum_packet_size, settings.maximum_packet_size);
    set(&mut limits.receive_maximum, settings.receive_maximum);
    set(&mut limits.first_packet_id, settings.first_packet_id);
    set(&mut limits.last_packet_id, settings.last_packet_id);
    set(&mut limits.topic_alias_maximum, settings.topic_alias_maximum);
    set(&mut limits.connect_timeout, settings.connect_timeout);
    set(&mut limits.connections, settings.connections);
    set(&mut limits.sessions, settings.sessions);
    set(&mut limits.subscriptions_per_session, settings.subscriptions_per_session);
    set(&mut limits.in_flight, settings.in_flight);
    set(&mut limits.queued_messages, settings.queued_messages);
    set(&mut limits.unflushed_soft, settings.unflushed_soft);
    set(&mut limits.retained_messages, settings.retained_messages);
    set(&mut config.maximum_qos, settings.maximum_qos);
    set(&mut config.retain_available, settings.retain_available);
    set(&mut config.wildcard_subscription_available, settings.wildcard_subscription_available);
    set(&mut config.subscription_identifiers_available, settings.subscription_identifiers_available);
    set(&mut config.shared_subscription_available, settings.shared_subscription_available);
    set(&mut config.server_moved, settings.server_moved);
    config.server_reference.clone_from(&settings.server_reference);
    set(&mut config.maximum_session_expiry, settings.maximum_session_expiry);
    set(&mut config.limits.topic_levels, settings.topic_levels);
    set(&mut config.limits.queue_policy, settings.queue_policy.map(policy));
    config.server_keep_alive = settings.server_keep_alive;
    config.response_information.clone_from(&settings.response_information);
    config.sys_interval = settings.sys_interval;
    config
}

const fn policy(word: QueuePolicy) -> limits::QueuePolicy {
    match word {
        QueuePolicy::DropNewest => limits::QueuePolicy::DropNewest,
        QueuePolicy::DropOldest => limits::QueuePolicy::DropOldest,
        QueuePolicy::Disconnect => limits::QueuePolicy::Disconnect,
    }
}

fn set<T: Copy>(field: &mut T, asked: Option<T>) {
    if let Some(asked) = asked {
        *field = asked;
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("config", &self.config).field("medium", &self.medium).finish_non_exhaustive()
    }
}
