//! A password file is changed in one step, and only where it should be.

use std::{fs, path::Path};

use squall_broker::users::{
    entropy::{OsEntropy, SeededEntropy},
    password_edit::{Change, delete, set_password, set_scram},
    password_file::Passwords,
};

use crate::support::{PBKDF2_SECRET, SHA512_PAESS};

fn matches(path: &Path, name: &str, password: &str) -> bool {
    let users = Passwords::read(path).expect("a valid file");
    let user = users.user(name).unwrap_or_else(|| panic!("no {name}"));
    user.password.as_ref().is_some_and(|hash| hash.matches(password.as_bytes()))
}

#[test]
fn a_user_is_added_changed_and_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    let entropy = SeededEntropy::new(1);
    assert_eq!(set_password(&path, "alice", b"one", &entropy).expect("added"), Change::Added);
    assert_eq!(set_password(&path, "bob", b"two", &entropy).expect("added"), Change::Added);
    assert!(matches(&path, "alice", "one"));
    assert_eq!(set_password(&path, "alice", b"three", &entropy).expect("replaced"), Change::Replaced);
    assert!(!matches(&path, "alice", "one"));
    assert!(matches(&path, "alice", "three"));
    assert!(matches(&path, "bob", "two"));
    assert_eq!(set_scram(&path, "alice", "three", 4096, &entropy).expect("added"), Change::Added);
    assert!(matches(&path, "alice", "three"));
    assert!(Passwords::read(&path).expect("valid").offers_scram());
    delete(&path, "alice").expect("deleted");
    let users = Passwords::read(&path).expect("valid");
    assert_eq!((users.len(), users.user("bob").is_some()), (1, true));
    // Nothing is left lying about.
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn what_is_not_the_users_stays_as_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    let before = format!("# people\r\n\n  alice : {PBKDF2_SECRET}  \r\n\tbob:{SHA512_PAESS}");
    fs::write(&path, &before).expect("written");
    set_password(&path, "carol", b"x", &OsEntropy).expect("added");
    let after = fs::read_to_string(&path).expect("read");
    assert!(after.starts_with(&format!("{before}\ncarol:$argon2id$")), "{after}");
    set_password(&path, "alice", b"x", &OsEntropy).expect("replaced");
    let after = fs::read_to_string(&path).expect("read");
    assert!(after.starts_with("# people\r\n\nalice:$argon2id$"), "{after}");
    assert!(after.contains(&format!("\n\tbob:{SHA512_PAESS}\n")), "{after}");
    delete(&path, "carol").expect("deleted");
    delete(&path, "alice").expect("deleted");
    assert_eq!(fs::read_to_string(&path).expect("read"), format!("# people\r\n\n\tbob:{SHA512_PAESS}\n"));
}

#[test]
fn a_file_that_is_wrong_somewhere_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    let before = format!("alice:{PBKDF2_SECRET}\nbob:not hashed\n");
    fs::write(&path, &before).expect("written");
    for error in [
        set_password(&path, "alice", b"x", &OsEntropy).expect_err("line 2 is wrong"),
        set_scram(&path, "alice", "x", 4096, &OsEntropy).expect_err("line 2 is wrong"),
        delete(&path, "alice").expect_err("line 2 is wrong"),
    ] {
        assert!(error.to_string().contains("users:2: no hash of a password"), "{error}");
    }
    assert_eq!(fs::read_to_string(&path).expect("read"), before);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn what_cannot_be_a_user_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    for name in ["", "a:b", "#a", " a", "a\n", "a\0b"] {
        let error = set_password(&path, name, b"x", &OsEntropy).expect_err(name);
        assert!(error.to_string().starts_with("the name of a user"), "{error}");
    }
    assert_eq!(set_password(&path, "a", b"", &OsEntropy).expect_err("empty").to_string(), "the password is empty");
    assert!(set_scram(&path, "a", "\u{7}", 4096, &OsEntropy).is_err());
    assert!(set_scram(&path, "a\u{ad}b", "x", 4096, &OsEntropy).is_err());
    let error = set_scram(&path, "a", "x", 4095, &OsEntropy).expect_err("too few").to_string();
    assert_eq!(error, "4095 iterations: expected 4096 to 10000000");
    assert!(!path.exists());
    let error = delete(&path, "a").expect_err("no file").to_string();
    assert!(error.ends_with("there is no such file"), "{error}");
    set_password(&path, "a", b"x", &OsEntropy).expect("added");
    let error = delete(&path, "b").expect_err("nobody").to_string();
    assert!(error.starts_with("there is no user 'b' in "), "{error}");
    let error = set_password(&folder.path().join("no/users"), "a", b"x", &OsEntropy).expect_err("no folder");
    assert!(error.to_string().starts_with("failed to lock "), "{error}");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_private_and_an_old_one_keeps_its_mode_and_its_place() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    let mode = |path: &Path| fs::metadata(path).expect("a file").mode() & 0o777;
    set_password(&path, "alice", b"x", &OsEntropy).expect("added");
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
    let link = folder.path().join("link");
    symlink(&path, &link).expect("linked");
    set_password(&link, "bob", b"x", &OsEntropy).expect("added");
    assert_eq!(mode(&path), 0o640);
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert_eq!(Passwords::read(&path).expect("valid").len(), 2);
}

#[test]
fn those_who_change_the_file_at_once_undo_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    let path = path.as_path();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d", "e", "f"] {
            scope.spawn(move || set_scram(path, name, "x", 4096, &OsEntropy).expect("added"));
        }
        for _ in 0..50 {
            // Whoever reads meanwhile sees a whole file, or none yet.
            assert!(!path.exists() || Passwords::read(path).is_ok());
        }
    });
    assert_eq!(Passwords::read(path).expect("valid").len(), 6);
}
