//! The command line and the environment, drawn from the table of settings, and laid over the file.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};

use super::{
    fault::{Failure, Fault, Source, nearest},
    file,
    settings::{Listen, Settings},
    table::{LISTEN, LISTEN_TLS, SECTIONS, Setting, variable},
    value::Kind,
};

const ABOUT: &str = "An MQTT 3.1, 3.1.1 and 5.0 server";

const LONG_ABOUT: &str = "\
An MQTT 3.1, 3.1.1 and 5.0 server.

Without any option it serves 127.0.0.1:1883, everyone may connect, and its state is in memory. A setting is taken from its \
flag, else from its environment variable, else from the configuration file, else it has its default.";

const EXAMPLES: &str = "\
Examples:
  broker                                   serve on 127.0.0.1:1883
  broker --listen '[::1]:0'                serve on a free port and print it
  broker --data /var/lib/squall            keep sessions and retained messages over a restart
  broker passwd passwords alice            give alice a password
  broker --print-config > squall.toml      write a commented configuration to begin with
  broker --config squall.toml              serve as it says; SIGHUP reloads passwords and the like

Serve every interface over TLS, for those who have a password:
  broker --listen mqtts://0.0.0.0:8883 --certificate server.pem --key server.key \\
         --password-file passwords";

/// What the program was asked to do with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Serve,
    CheckConfig,
    PrintConfig,
}

/// The command line as clap knows it.
pub(super) fn command() -> Command {
    let config = Arg::new("config").long("config").value_name("FILE").env(variable("config"));
    let listen = Arg::new("listen").long("listen").value_name("URL").action(ArgAction::Append).env(variable("listen"));
    let check = Arg::new("check-config").long("check-config").action(ArgAction::SetTrue).conflicts_with("print-config");
    let print = Arg::new("print-config").long("print-config").action(ArgAction::SetTrue);
    let no_retain = Arg::new("no-retain").long("no-retain").action(ArgAction::SetTrue).conflicts_with("retain");
    let mut command = Command::new("broker")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_help(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .subcommand(super::passwd::command())
        .arg(config.hide_env_values(true).help("Configuration file"))
        .arg(listen.value_delimiter(',').hide_env_values(true).help(
            "Where to listen, in place of the file's listeners: mqtt://, mqtts://, ws:// or wss:// with host:port, or \
             address:port; port 0 takes a free one; may be given several times [default: mqtt://127.0.0.1:1883]",
        ))
        .arg(check.help("Check the settings and the files that they name, and end with status 0 or 2"))
        .arg(print.help("Print the settings as a commented configuration file"));
    let defaults = Settings::default();
    for setting in LISTEN.iter().chain(LISTEN_TLS) {
        // One flag for the same setting of several sections.
        if SECTIONS.iter().flat_map(|section| section.settings).all(|other| other.flag != setting.flag) {
            command = command.arg(argument(setting, &defaults.listeners[0], "listen"));
        }
    }
    for section in SECTIONS {
        for setting in section.settings {
            command = command.arg(argument(setting, &defaults, section.name));
        }
        if section.name == "protocol" {
            command =
                command.arg(no_retain.clone().help("The same as --retain=false").help_heading(heading("protocol")));
        }
    }
    command
}

fn argument<T>(setting: &Setting<T>, defaults: &T, section: &str) -> Arg {
    let default = match setting.kind.show(&(setting.read)(defaults)).as_str() {
        "" => String::new(),
        value => format!(" [default: {value}]"),
    };
    let mut argument = Arg::new(setting.flag)
        .long(setting.flag)
        .value_name(setting.kind.placeholder())
        .env(setting.variable())
        .hide_env_values(true)
        .help(format!("{}{default}", setting.about))
        .help_heading(heading(section))
        // The bounds are for those who look for them.
        .hide_short_help(section == "limits");
    if let Some(alias) = setting.alias {
        argument = argument.alias(alias);
    }
    if let Kind::Truth = setting.kind {
        argument = argument.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    argument
}

fn heading(section: &str) -> String {
    match section {
        "listen" => "Listeners (each flag is for all of them)".to_owned(),
        section => {
            let (first, rest) = section.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        }
    }
}

/// What is to be done.
pub(super) fn task(matches: &ArgMatches) -> Task {
    match (matches.get_flag("check-config"), matches.get_flag("print-config")) {
        (true, _) => Task::CheckConfig,
        (_, true) => Task::PrintConfig,
        _ => Task::Serve,
    }
}

/// The settings in force.
///
/// # Errors
/// A file that is wrong, a flag that is wrong, and listeners that contradict themselves.
pub(super) fn settings(matches: &ArgMatches) -> Result<Settings, Failure> {
    let path = given(matches, "config");
    let (mut settings, source) = match &path {
        Some(path) => file::read(Path::new(&path.text)).map(|(settings, source)| (settings, Some(source)))?,
        None => (Settings::default(), None),
    };
    for section in SECTIONS {
        for setting in section.settings {
            lay_over(matches, setting, &mut settings)?;
        }
    }
    if matches.get_flag("no-retain") {
        settings.config.retain_available = false;
    }
    let urls = matches.get_many::<String>("listen").into_iter().flatten();
    let urls: Vec<&String> = urls.filter(|url| !url.is_empty()).collect();
    if !urls.is_empty() {
        let listen = |text: &&String| match text.parse() {
            Ok(url) => Ok(Listen::new(url, None)),
            Err(wrong) => Err(Failure::to(format_args!("listen on {text}"), wrong)),
        };
        settings.listeners = urls.iter().map(listen).collect::<Result<_, _>>()?;
    }
    for listen in &mut settings.listeners {
        for setting in LISTEN {
            lay_over(matches, setting, listen)?;
        }
        let of_tls = if listen.url.scheme.uses_tls() { LISTEN_TLS } else { &[] };
        for setting in of_tls {
            lay_over(matches, setting, listen)?;
        }
    }
    if settings.store.dir.is_none()
        && let Some(given) = given(matches, "durability")
    {
        return Err(Failure::Sentence(format!(
            "{} is given, and no folder to keep data in: give --data too",
            given.name
        )));
    }
    if !settings.listeners.iter().any(|listen| listen.url.scheme.uses_tls())
        && let Some(given) = LISTEN_TLS.iter().find_map(|setting| given(matches, setting.flag))
    {
        return Err(Failure::Sentence(format!("{} is given, and no listener is mqtts:// or wss://", given.name)));
    }
    contradictions(&settings, source)?;
    Ok(settings)
}

/// What was said outside of the file, and by which name.
struct Given {
    name: String,
    text: String,
}

fn given(matches: &ArgMatches, flag: &str) -> Option<Given> {
    let text = matches.get_one::<String>(flag)?.clone();
    match matches.value_source(flag)? {
        // An empty variable is one that is not set.
        ValueSource::EnvVariable => (!text.is_empty()).then(|| Given { name: variable(flag), text }),
        _ => Some(Given { name: format!("--{flag}"), text }),
    }
}

fn lay_over<T>(matches: &ArgMatches, setting: &Setting<T>, all: &mut T) -> Result<(), Failure> {
    let Some(Given { name, text }) = given(matches, setting.flag) else { return Ok(()) };
    match setting.kind.read(&text) {
        Ok(value) => {
            (setting.write)(all, value);
            Ok(())
        }
        Err(expected) => Err(Failure::Sentence(format!("{name} '{text}' is not {expected}"))),
    }
}

/// The first listener that contradicts itself, where it stands in the file if it does.
fn contradictions(settings: &Settings, source: Option<Source>) -> Result<(), Failure> {
    let wrong = settings.listeners.iter().find_map(|listen| Some((listen, listen.contradiction()?)));
    match wrong {
        None => Ok(()),
        Some((Listen { place: Some(place), .. }, (title, help))) if source.is_some() => {
            let fault =
                Fault { title, span: place.clone(), label: "this listener".to_owned(), help: Some(help.to_owned()) };
            Err(Failure::File(source.expect("it is some"), vec![fault]))
        }
        Some((_, (title, help))) => Err(Failure::Sentence(format!("{title}: {help}"))),
    }
}

/// Variables that look like ours and are not: a warning for each.
pub(super) fn strange_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let flags = SECTIONS.iter().flat_map(|section| section.settings).map(|setting| setting.flag);
    let flags = flags.chain(LISTEN.iter().chain(LISTEN_TLS).map(|setting| setting.flag)).chain(["config", "listen"]);
    let known: Vec<String> = flags.map(variable).collect();
    let mut strange: Vec<String> = names.filter(|name| name.starts_with("SQUALL_") && !known.contains(name)).collect();
    strange.sort();
    let warn = |name: &String| match nearest(name, known.iter().map(String::as_str)) {
        Some(word) => format!("the environment variable {name} is none of ours; did you mean {word}?"),
        None => format!("the environment variable {name} is none of ours"),
    };
    strange.iter().map(warn).collect()
}
