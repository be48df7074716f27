//! Who may come in, as a password file and the listeners' policies say it.
//!
//! | a client comes with | answer |
//! |---|---|
//! | Authentication Method SCRAM-SHA-256, where somebody has a line for it | the exchange of `scram.rs` |
//! | another method | 0x8C |
//! | a certificate, where its name counts as the user's | that user |
//! | a user name and the right password | that user |
//! | a user name and anything else | 0x86, later and later |
//! | a user name, where there is no password file | as without one: a name that nobody checks is no user |
//! | no user name | anonymous where the listener allows it, otherwise 0x87 |

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use squall_codec::{reason::ReasonCode, wire::Text};

use super::{
    entropy::Entropy,
    file_error::FileError,
    password_file::Passwords,
    remembered::{Code, Remembered},
    scram::{METHOD, ScramError, ServerFirst},
    throttle::{Throttle, ThrottleLimits},
    workshop::{Job, Workshop},
};
use crate::core::{
    access::{Answer, Authenticator, Exchange},
    effect::{AuthenticationOutcome, AuthenticationRequest},
};

/// Bytes of the server's nonce.
const NONCE_BYTES: usize = 18;

/// Who may come in at one listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Clients without a user name.
    pub allow_anonymous: bool,
    /// The name in a verified certificate is the user's name, and no password is asked for.
    pub use_certificate_name: bool,
}

/// What a `FileAuthenticator` is made of.
#[derive(Debug)]
pub struct Options {
    /// For listeners that `listeners` does not name.
    pub policy: Policy,
    /// By `PeerInfo::listener`.
    pub listeners: BTreeMap<Arc<str>, Policy>,
    /// How wrong log-ins are slowed down.
    pub throttle: ThrottleLimits,
    /// Makes the salts of unknown names: as long as it is the same, so are they.
    pub secret: [u8; 32],
    /// Where nonces come from.
    pub entropy: Arc<dyn Entropy>,
    /// Where hashing and waiting happen.
    pub workshop: Arc<dyn Workshop>,
}

/// How often what was said, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogIns {
    /// Users that came in, with a password, a certificate or SCRAM.
    pub users: u64,
    /// Clients that came in without a name.
    pub anonymous: u64,
    /// Wrong names, passwords and proofs.
    pub failed: u64,
    /// Clients refused for want of a name, or for a method that is not offered.
    pub refused: u64,
}

/// Answers from a password file, which can be read again while it runs.
pub struct FileAuthenticator {
    file: Option<PathBuf>,
    passwords: RwLock<Option<Arc<Passwords>>>,
    policy: Policy,
    listeners: BTreeMap<Arc<str>, Policy>,
    secret: [u8; 32],
    desk: Arc<Desk>,
}

/// What answers that take their time still need when they are ready.
#[derive(Debug)]
struct Desk {
    workshop: Arc<dyn Workshop>,
    entropy: Arc<dyn Entropy>,
    throttle: Mutex<Throttle>,
    /// None where there was no key to be had.
    remembered: Option<Remembered>,
    users: AtomicU64,
    anonymous: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl fmt::Debug for FileAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileAuthenticator").field("file", &self.file).finish_non_exhaustive()
    }
}

impl FileAuthenticator {
    /// With the users of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or names the line that is wrong.
    pub fn open(file: PathBuf, options: Options) -> Result<Self, FileError> {
        let passwords = Passwords::read(&file)?;
        let mut authenticator = FileAuthenticator::new(Some(passwords), options);
        authenticator.file = Some(file);
        Ok(authenticator)
    }

    /// With these users, or without any: then nobody's name is checked, and everybody is anonymous.
    pub fn new(passwords: Option<Passwords>, options: Options) -> Self {
        let Options { policy, listeners, throttle, secret, entropy, workshop } = options;
        let mut key = [0; 32];
        let remembered = entropy.fill(&mut key).is_ok().then(|| Remembered::new(key));
        let desk = Desk {
            remembered,
            workshop,
            entropy,
            throttle: Mutex::new(Throttle::new(throttle)),
            users: AtomicU64::new(0),
            anonymous: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        let passwords = RwLock::new(passwords.map(Arc::new));
        FileAuthenticator { file: None, passwords, policy, listeners, secret, desk: Arc::new(desk) }
    }

    /// Reads the file again: how many users there are now. Who is in stays in; an exchange that is under way goes on with
    /// what it began with.
    ///
    /// # Errors
    /// As `open`. The users from before stay.
    pub fn reload(&self) -> Result<usize, FileError> {
        if let Some(file) = &self.file {
            let passwords = Arc::new(Passwords::read(file)?);
            *self.passwords.write().unwrap_or_else(PoisonError::into_inner) = Some(passwords);
            if let Some(remembered) = &self.desk.remembered {
                remembered.forget();
            }
        }
        Ok(self.current().map_or(0, |passwords| passwords.len()))
    }

    /// How often what was said.
    pub fn log_ins(&self) -> LogIns {
        let [users, anonymous, failed, refused] =
            [&self.desk.users, &self.desk.anonymous, &self.desk.failed, &self.desk.refused]
                .map(|count| count.load(Ordering::Relaxed));
        LogIns { users, anonymous, failed, refused }
    }

    fn current(&self) -> Option<Arc<Passwords>> {
        self.passwords.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Compares a password, or does what costs the same.
    fn check(&self, passwords: &Passwords, name: Text, password: Option<Bytes>, address: Option<IpAddr>) -> Answer {
        let desk = Arc::clone(&self.desk);
        let known = passwords.user(&name).and_then(|user| user.password.as_ref());
        let is_known = known.is_some();
        let hash = known.or_else(|| passwords.any_hash(number(&self.secret, &name)));
        let (Some(hash), Some(password)) = (hash.cloned(), password) else {
            return desk.refuse(address, Some(&name), ReasonCode::BadUserNameOrPassword);
        };
        if hash.is_cheap() {
            return match is_known & hash.matches(&password) {
                true => Answer::Now(desk.welcome(name, None)),
                false => desk.refuse(address, Some(&name), ReasonCode::BadUserNameOrPassword),
            };
        }
        let code = desk.remembered.as_ref().filter(|_| is_known).map(|known| known.code(&name, &hash, &password));
        if let (Some(remembered), Some(code)) = (&desk.remembered, &code)
            && remembered.knows(&name, code)
        {
            return Answer::Now(desk.welcome(name, None));
        }
        let suspects = Arc::clone(&desk);
        desk.clone().workshop.work(Job {
            name: name.clone(),
            is_suspect: Box::new(move || suspects.is_suspect(address)),
            run: Box::new(move || match hash.matches(&password) & is_known {
                true => (desk.remember(name, code), Duration::ZERO),
                false => {
                    let delay = desk.failed(address, Some(&name));
                    (AuthenticationOutcome::Refused(ReasonCode::BadUserNameOrPassword), delay)
                }
            }),
        })
    }

    fn anonymous(&self, policy: Policy) -> Answer {
        Answer::Now(if policy.allow_anonymous {
            self.desk.anonymous.fetch_add(1, Ordering::Relaxed);
            AuthenticationOutcome::Allowed { user: None, data: None }
        } else {
            self.desk.refused.fetch_add(1, Ordering::Relaxed);
            AuthenticationOutcome::Refused(ReasonCode::NotAuthorized)
        })
    }
}

impl Authenticator for FileAuthenticator {
    fn authenticate(&self, request: AuthenticationRequest) -> Answer {
        let passwords = self.current();
        let address = request.peer.address.map(|address| address.ip());
        let policy = self.listeners.get(&request.peer.listener).copied().unwrap_or(self.policy);
        if let Some(method) = &request.method {
            let offered = passwords.filter(|passwords| *method == METHOD && passwords.offers_scram());
            let Some(passwords) = offered else {
                // [MQTT-4.12.0-1]
                self.desk.refused.fetch_add(1, Ordering::Relaxed);
                return Answer::Now(AuthenticationOutcome::Refused(ReasonCode::BadAuthenticationMethod));
            };
            let begin = Begin { passwords, secret: self.secret, address, desk: Arc::clone(&self.desk) };
            return match request.data {
                Some(data) => Box::new(begin).next(Some(data)),
                // The client lets the server speak first: it has nothing to say.
                None => Answer::Now(AuthenticationOutcome::Continue { data: None, exchange: Box::new(begin) }),
            };
        }
        if let Some(name) = request.peer.certificate_name.filter(|_| policy.use_certificate_name) {
            return Answer::Now(self.desk.welcome(name, None));
        }
        match (request.username, passwords) {
            (Some(name), Some(passwords)) => self.check(&passwords, name, request.password, address),
            _ => self.anonymous(policy),
        }
    }
}

/// A number that a name always has, and that nobody can foretell.
fn number(secret: &[u8; 32], name: &str) -> u64 {
    let digest = Sha256::new().chain_update(secret).chain_update(name).finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("8 of 32 bytes"))
}

impl Desk {
    fn throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_suspect(&self, address: Option<IpAddr>) -> bool {
        self.throttle().is_suspect(self.workshop.now(), address)
    }

    /// Somebody was right.
    fn welcome(&self, user: Text, data: Option<Bytes>) -> AuthenticationOutcome {
        self.users.fetch_add(1, Ordering::Relaxed);
        AuthenticationOutcome::Allowed { user: Some(user), data }
    }

    /// Somebody was wrong: how late that is said.
    fn failed(&self, address: Option<IpAddr>, name: Option<&Text>) -> Duration {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.throttle().failed(self.workshop.now(), address, name)
    }

    fn refuse(&self, address: Option<IpAddr>, name: Option<&Text>, reason: ReasonCode) -> Answer {
        let delay = self.failed(address, name);
        self.workshop.after(delay, AuthenticationOutcome::Refused(reason))
    }

    /// Somebody was right, and the next time it will not take so long.
    fn remember(&self, user: Text, code: Option<Code>) -> AuthenticationOutcome {
        if let (Some(remembered), Some(code)) = (&self.remembered, code) {
            remembered.add(user.clone(), code);
        }
        self.welcome(user, None)
    }

    /// A failed exchange. The standard has no reason of its own for it.
    fn refuse_exchange(&self, address: Option<IpAddr>, name: Option<&Text>) -> Answer {
        self.refuse(address, name, ReasonCode::NotAuthorized)
    }

    fn nonce(&self) -> Option<String> {
        let mut bytes = [0; NONCE_BYTES];
        self.entropy.fill(&mut bytes).ok()?;
        Some(STANDARD_NO_PAD.encode(bytes))
    }
}

/// SCRAM, before the client's first message.
struct Begin {
    passwords: Arc<Passwords>,
    secret: [u8; 32],
    address: Option<IpAddr>,
    desk: Arc<Desk>,
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begin").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Exchange for Begin {
    fn next(self: Box<Self>, data: Option<Bytes>) -> Answer {
        let Begin { passwords, secret, address, desk } = *self;
        let Some(nonce) = desk.nonce() else {
            return Answer::Now(AuthenticationOutcome::Refused(ReasonCode::ServerUnavailable));
        };
        match ServerFirst::new(&data.unwrap_or_default(), &passwords, &secret, &nonce) {
            Ok(first) => {
                let data = Some(Bytes::copy_from_slice(first.message().as_bytes()));
                Answer::Now(AuthenticationOutcome::Continue {
                    data,
                    exchange: Box::new(Finish { first, address, desk }),
                })
            }
            Err(_) => desk.refuse_exchange(address, None),
        }
    }
}

/// SCRAM, before the client's second message.
#[derive(Debug)]
struct Finish {
    first: ServerFirst,
    address: Option<IpAddr>,
    desk: Arc<Desk>,
}

impl Exchange for Finish {
    fn next(self: Box<Self>, data: Option<Bytes>) -> Answer {
        let Finish { first, address, desk } = *self;
        let claimed = first.name().clone();
        match first.finish(&data.unwrap_or_default()) {
            Ok((name, last)) => Answer::Now(desk.welcome(name, Some(Bytes::from(last)))),
            Err(ScramError::Wrong) => desk.refuse_exchange(address, Some(&claimed)),
            Err(_) => desk.refuse_exchange(address, None),
        }
    }
}
