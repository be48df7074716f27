//! `broker passwd`: sets and deletes passwords in a file.

use std::{
    io::{self, BufRead, IsTerminal},
    path::Path,
};

use clap::{Arg, ArgAction, ArgMatches, Command};

use squall_broker::users::{
    entropy::OsEntropy,
    file_error::FileError,
    password_edit::{self, Change},
    scram::ITERATIONS,
};

use super::{fault::Failure, start::say};

const EXAMPLES: &str = "\
Examples:
  broker passwd passwords alice              ask for alice's password, and write it
  broker passwd --scram passwords alice      the same, for SCRAM-SHA-256
  echo secret | broker passwd passwords bob  the password comes from a program
  broker passwd --delete passwords alice     alice may not come in any more";

/// The command line.
pub(super) fn command() -> Command {
    Command::new("passwd")
        .about("Set or delete a user's password in a password file")
        .after_help(EXAMPLES)
        .arg(Arg::new("file").value_name("FILE").required(true).help("Password file; it is made if there is none"))
        .arg(Arg::new("user").value_name("USER").required(true).help("User name"))
        .arg(Arg::new("scram").long("scram").action(ArgAction::SetTrue).help("Write a line for SCRAM-SHA-256"))
        .arg(
            Arg::new("delete")
                .long("delete")
                .action(ArgAction::SetTrue)
                .conflicts_with("scram")
                .help("Delete the user with all lines"),
        )
}

/// Does it.
///
/// # Errors
/// A file that cannot be read or written, no such user, two passwords that differ.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let word = |name| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let (file, user) = (Path::new(word("file")), word("user"));
    let told = |error: FileError| Failure::Sentence(error.to_string());
    if matches.get_flag("delete") {
        password_edit::delete(file, user).map_err(told)?;
        return say(&format!("'{user}' is deleted from {}", file.display()));
    }
    let password = ask(user)?;
    let change = match matches.get_flag("scram") {
        true => password_edit::set_scram(file, user, &password, ITERATIONS, &OsEntropy),
        false => password_edit::set_password(file, user, password.as_bytes(), &OsEntropy),
    };
    match change.map_err(told)? {
        Change::Added => say(&format!("'{user}' is added to {}", file.display())),
        Change::Replaced => say(&format!("the password of '{user}' in {} is replaced", file.display())),
    }
}

/// From the terminal, twice and without echo; else the first line of standard input.
fn ask(user: &str) -> Result<String, Failure> {
    let failed = |error| Failure::to("read the password", error);
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(failed)?;
        let end = line.trim_end_matches(['\n', '\r']).len();
        line.truncate(end);
        return match line.is_empty() {
            true => Err(Failure::Sentence("standard input has no password".to_owned())),
            false => Ok(line),
        };
    }
    let password = rpassword::prompt_password(format!("Password of {user}: ")).map_err(failed)?;
    let again = rpassword::prompt_password("Again: ").map_err(failed)?;
    match (password == again, password.is_empty()) {
        (_, true) => Err(Failure::Sentence("an empty password is none".to_owned())),
        (true, _) => Ok(password),
        (false, _) => Err(Failure::Sentence("the two passwords differ; nothing was changed".to_owned())),
    }
}
