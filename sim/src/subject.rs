//! The broker as a world starts it, again and again: its configuration, who may come in, and the disk under its store.

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
use squall_scenarios::settings::{QueuePolicy, Settings, Storage};

use crate::{access, disk::SimulatedDisk, seed::derive};

/// A machine that does not answer is asked again after this long.
pub(crate) const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a broker is started with, each time. A cheap clone.
#[derive(Clone)]
pub struct Subject {
    /// How it behaves.
    pub config: Config,
    /// Who may come in.
    pub authenticator: Arc<dyn Authenticator>,
    /// What is under its store; `None` is a broker that keeps nothing.
    pub disk: Option<SimulatedDisk>,
    /// How long a commit takes. Only the events world can wait for it.
    pub sync: Duration,
    /// It is also reached over a WebSocket. Only the turmoil world has one.
    pub web_socket: bool,
}

impl Subject {
    /// Open to everyone, and without a disk.
    pub fn new(config: Config) -> Self {
        Subject { config, authenticator: Arc::new(AllowAll), disk: None, sync: Duration::ZERO, web_socket: false }
    }

    /// As a script asks for it, on a stage with this namespace; everything random comes from the seed.
    pub fn of(settings: &Settings, namespace: &str, seed: u64) -> Self {
        let disk = (settings.store == Some(Storage::Disk)).then(|| SimulatedDisk::new(derive(seed, "disk", 0)));
        let config = Config { acl: access::acl(settings, namespace), ..config(settings) };
        let authenticator = access::authenticator(settings, seed);
        Subject { config, authenticator, disk, sync: settings.sync.unwrap_or_default(), web_socket: false }
    }

    /// The store for the next run.
    pub(crate) fn store(&self) -> Result<Box<dyn Store>, StoreError> {
        match &self.disk {
            None => Ok(Box::new(MemoryStore::default())),
            Some(disk) => Ok(Box::new(DiskStore::with_backend(disk.open(), "the simulated disk", Durability::Disk)?)),
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
    set(&mut limits.topic_alias_maximum, settings.topic_alias_maximum);
    set(&mut limits.connect_timeout, settings.connect_timeout);
    set(&mut limits.connections, settings.connections);
    set(&mut limits.sessions, settings.sessions);
    set(&mut limits.subscriptions_per_session, settings.subscriptions_per_session);
    set(&mut limits.in_flight, settings.in_flight);
    set(&mut limits.queued_messages, settings.queued_messages);
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
        f.debug_struct("Subject").field("config", &self.config).field("disk", &self.disk).finish_non_exhaustive()
    }
}
