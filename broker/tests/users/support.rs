//! What the tests share: users, a SCRAM client, a workshop whose clock is moved by hand.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use squall_broker::{
    core::{
        access::Answer,
        effect::{AuthenticationOutcome, AuthenticationRequest, PeerInfo},
    },
    users::{
        authenticator::{FileAuthenticator, Options, Policy},
        entropy::SeededEntropy,
        password_file::Passwords,
        scram::ScramCredential,
        throttle::ThrottleLimits,
        workshop::{AtOnce, Job, Workshop},
    },
};
use squall_codec::{reason::ReasonCode, wire::Text};

/// "secret", as `mosquitto_passwd` 2.0.11 wrote it.
pub(crate) const PBKDF2_SECRET: &str = "$7$101$+raTsaVj4E9rjba9$\
    +mydN412YPhSPItNNLk3C550ErQoNH+Tacmg5E/23PiXCZSQT/enkDio+On7zbED2oOZxJYFu2rk+jKTgqMDjg==";
/// "pä:ss", as `mosquitto_passwd -H sha512` wrote it.
pub(crate) const SHA512_PAESS: &str = "$6$JMNMZts5iXBUJYnN$\
    Uqn0UaeuO5A2OKOO0Uhs/A8l5daZ8lYxx25Z2K2pPKPSgKHWzxdZzvrkylq652XlgGIZ27enc+ZN0rN9LDlNTA==";
/// "pencil", from the example of RFC 7677.
pub(crate) const SCRAM_PENCIL: &str = "$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

/// alice with `$7$`, bob with `$6$`, and user with SCRAM alone.
pub(crate) fn users() -> Passwords {
    let lines = format!("alice:{PBKDF2_SECRET}\nbob:{SHA512_PAESS}\nuser:{SCRAM_PENCIL}\n");
    Passwords::parse(Path::new("users"), lines.as_bytes()).expect("valid lines")
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).expect("a valid string")
}

pub(crate) fn options(policy: Policy, workshop: Arc<dyn Workshop>) -> Options {
    Options {
        policy,
        listeners: Default::default(),
        throttle: ThrottleLimits::default(),
        secret: [7; 32],
        entropy: Arc::new(SeededEntropy::new(1)),
        workshop,
    }
}

/// Everything at once, nobody without a name.
pub(crate) fn at_once(passwords: Passwords) -> FileAuthenticator {
    FileAuthenticator::new(Some(passwords), options(Policy::default(), Arc::new(AtOnce)))
}

/// CONNECT with a name and a password.
pub(crate) fn request(username: Option<&str>, password: Option<&str>) -> AuthenticationRequest {
    AuthenticationRequest {
        client_id: text("phone"),
        username: username.map(text),
        password: password.map(|password| password.as_bytes().to_vec().into()),
        method: None,
        data: None,
        again: false,
        peer: PeerInfo::default(),
    }
}

/// CONNECT with an Authentication Method.
pub(crate) fn enhanced(method: &str, data: Option<&str>) -> AuthenticationRequest {
    let data = data.map(|data| data.as_bytes().to_vec().into());
    AuthenticationRequest { method: Some(text(method)), data, ..request(None, None) }
}

/// Who came in, or why not.
#[track_caller]
pub(crate) fn outcome(answer: Answer) -> Result<Option<String>, ReasonCode> {
    match answer {
        Answer::Now(AuthenticationOutcome::Allowed { user, .. }) => Ok(user.map(|user| user.to_string())),
        Answer::Now(AuthenticationOutcome::Refused(reason)) => Err(reason),
        other => panic!("no last word: {other:?}"),
    }
}

/// A clock that the test moves, and refusals whose delay it can see.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    millis: AtomicU64,
    jobs: AtomicU64,
    delays: Mutex<Vec<Duration>>,
}

impl Watched {
    pub(crate) fn advance(&self, by: Duration) {
        self.millis.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    /// How many jobs there were since the last time.
    pub(crate) fn jobs(&self) -> u64 {
        self.jobs.swap(0, Ordering::Relaxed)
    }

    /// The delays of the answers since the last time.
    pub(crate) fn delays(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.delays.lock().expect("no panic"))
    }
}

impl Workshop for Watched {
    fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    fn work(&self, job: Job) -> Answer {
        self.jobs.fetch_add(1, Ordering::Relaxed);
        let (outcome, delay) = (job.run)();
        self.after(delay, outcome)
    }

    fn after(&self, delay: Duration, outcome: AuthenticationOutcome) -> Answer {
        self.delays.lock().expect("no panic").push(delay);
        Answer::Now(outcome)
    }
}

/// The client's side of SCRAM-SHA-256.
pub(crate) struct ScramClient {
    name: String,
    password: String,
    nonce: String,
}

impl ScramClient {
    pub(crate) fn new(name: &str, password: &str) -> Self {
        ScramClient { name: name.to_owned(), password: password.to_owned(), nonce: "rOprNGfwEbeRWgbNEkqO".to_owned() }
    }

    fn bare(&self) -> String {
        format!("n={},r={}", self.name, self.nonce)
    }

    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.bare())
    }

    /// The second message, and what the server has to say then.
    pub(crate) fn answer(&self, server_first: &str) -> (String, String) {
        let field = |name: &str| {
            server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"))
        };
        let (nonce, iterations) = (field("r="), field("i=").parse().expect("a number"));
        assert!(nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let salt = BASE64.decode(field("s=")).expect("Base64");
        let mut salted = [0; 32];
        pbkdf2::pbkdf2::<Hmac<Sha256>>(self.password.as_bytes(), &salt, iterations, &mut salted).expect("any length");
        let client_key = hmac(&salted, "Client Key");
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.bare());
        let signature = hmac(&Sha256::digest(client_key), &signed);
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        let last = format!("v={}", BASE64.encode(hmac(&hmac(&salted, "Server Key"), &signed)));
        (format!("{without_proof},p={}", BASE64.encode(proof)), last)
    }
}

fn hmac(key: &[u8], message: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().into()
}

/// A user with a SCRAM line.
pub(crate) fn scram_line(name: &str, password: &str, salt: &[u8]) -> String {
    let credential = ScramCredential::create(password, salt.to_vec(), 4096).expect("a password");
    format!("{name}:{credential}\n")
}
