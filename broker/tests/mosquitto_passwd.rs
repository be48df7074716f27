//! Lines that the real `mosquitto_passwd` writes; where it is not installed the trials are skipped, and say so.

use std::process::{Command, Output};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use squall_broker::users::password_file::Passwords;

const PASSWORDS: &[&str] =
    &["secret", "pä:ss wörd", "$6$x$y", "x", "0123456789012345678901234567890123456789012345678901234567890123456789"];

fn main() {
    let mut trials = Vec::new();
    for kind in ["sha512", "sha512-pbkdf2"] {
        trials.push(Trial::ignorable_test(format!("a_password_of_{kind}_fits_and_another_does_not"), move || {
            checked(&["-H", kind])
        }));
    }
    trials.push(Trial::ignorable_test("a_password_of_the_default_kind_fits_and_another_does_not", || checked(&[])));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn checked(kind: &[&str]) -> Result<Completion, Failed> {
    if let Err(error) = Command::new("mosquitto_passwd").arg("--help").output() {
        return Ok(Completion::ignored_with(format!("mosquitto_passwd: {error}")));
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("users");
    std::fs::write(&path, "")?;
    for (number, password) in PASSWORDS.iter().enumerate() {
        let mut run = Command::new("mosquitto_passwd");
        run.args(kind).arg("-b").arg(&path).arg(format!("user{number}")).arg(password);
        let Output { status, stderr, .. } = run.output()?;
        let said = String::from_utf8_lossy(&stderr).into_owned();
        if !status.success() {
            // Older ones have no choice of the kind, newer ones may have given one up.
            let reason = format!("mosquitto_passwd {} failed: {}", kind.join(" "), said.trim());
            return Ok(Completion::ignored_with(reason));
        }
    }
    let users = Passwords::read(&path).map_err(|error| error.to_string())?;
    for (number, password) in PASSWORDS.iter().enumerate() {
        let user = users.user(&format!("user{number}")).ok_or("a user is missing")?;
        let hash = user.password.as_ref().ok_or("a password is missing")?;
        if !hash.matches(password.as_bytes()) {
            return Err(format!("'{password}' does not fit {}", std::fs::read_to_string(&path)?).into());
        }
        if hash.matches(format!("{password}x").as_bytes()) {
            return Err(format!("'{password}x' fits as well").into());
        }
    }
    Ok(Completion::Completed)
}
