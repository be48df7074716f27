//! Who may come in and what they may do, as a script wants it: the broker's own users and rules, written as their files have
//! them and read by what reads those.

use std::{fmt::Write as _, path::Path, sync::Arc};

use squall_broker::{
    core::{
        access::{AllowAll, Authenticator},
        acl::Acl,
    },
    users::{
        acl_file,
        authenticator::{FileAuthenticator, Options, Policy},
        entropy::{Entropy, SeededEntropy},
        password_file::Passwords,
        password_hash::PasswordHash,
        scram::{ITERATIONS_BOUNDS, ScramCredential},
        throttle::ThrottleLimits,
        workshop::AtOnce,
    },
};
use squall_scenarios::settings::{Settings, access::Users};

use crate::seed::derive;

/// Who may come in: everybody, unless the script names users or keeps those without a name out.
pub(crate) fn authenticator(settings: &Settings, seed: u64) -> Arc<dyn Authenticator> {
    if settings.users.is_none() && settings.anonymous != Some(false) {
        return Arc::new(AllowAll);
    }
    let entropy = SeededEntropy::new(derive(seed, "authenticator", 0));
    let passwords = settings.users.as_ref().map(|users| passwords(users, &entropy));
    let mut secret = [0; 32];
    entropy.fill(&mut secret).expect("a seed has bytes without end");
    let policy =
        Policy { allow_anonymous: settings.anonymous.unwrap_or(settings.users.is_none()), use_certificate_name: false };
    Arc::new(FileAuthenticator::new(
        passwords,
        Options {
            policy,
            listeners: std::collections::BTreeMap::new(),
            throttle: ThrottleLimits::default(),
            secret,
            entropy: Arc::new(entropy),
            workshop: Arc::new(AtOnce),
        },
    ))
}

/// As few rounds as the broker takes: a story is not there to keep anybody out for long.
fn passwords(users: &Users, entropy: &SeededEntropy) -> Passwords {
    let salt = || {
        let mut salt = [0; 12];
        entropy.fill(&mut salt).expect("a seed has bytes without end");
        salt
    };
    let mut file = String::new();
    for user in &users.0 {
        let name = &user.name;
        if let Some(password) = &user.password {
            let hash = PasswordHash::create_cheap(password.as_bytes(), &salt());
            writeln!(file, "{name}:{hash}").expect("a string takes all");
        }
        if let Some(password) = &user.scram {
            let credential = ScramCredential::create(password, salt().to_vec(), *ITERATIONS_BOUNDS.start())
                .expect("a script is checked: SASLprep allows it");
            writeln!(file, "{name}:{credential}").expect("a string takes all");
        }
    }
    Passwords::parse(Path::new("users"), file.as_bytes()).expect("a script is checked, and the hashes are ours")
}

/// What they may do.
pub(crate) fn acl(settings: &Settings, namespace: &str) -> Arc<Acl> {
    match settings.acl_file(namespace) {
        None => Arc::default(),
        Some(file) => Arc::new(
            acl_file::parse(Path::new("acl"), file.as_bytes())
                .expect("a script is checked: its rules are the broker's"),
        ),
    }
}
