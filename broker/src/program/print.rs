//! `--print-config`: the settings in force as a commented file. Read again, it gives the same settings.

use std::fmt::Write;

use super::{
    settings::{Listen, Settings},
    table::{LISTEN, LISTEN_TLS, SECTIONS, Setting},
    value::Value,
};

const HEAD: &str = "\
# Configuration of the Squall broker: `broker --config squall.toml`. What is not set here has the value that is shown.
# Each setting is also a flag and an environment variable; a flag comes before the environment, and both before this file.
# Sizes and times have units (\"16MiB\", \"10s\"). Paths are relative to this file. `broker --check-config` checks it.
";

/// The file.
pub(super) fn render(settings: &Settings) -> String {
    let mut out = HEAD.to_owned();
    for listen in &settings.listeners {
        out.push_str(
            "\n# Where clients come in: mqtt://, mqtts://, ws:// or wss:// with host:port. As many tables as needed.\n",
        );
        let _ = writeln!(out, "[[listen]]\nurl = {}", toml::Value::String(listen.url.to_string()));
        for setting in LISTEN {
            row(&mut out, setting, listen);
        }
        out.push_str("# Of mqtts:// and wss:// alone:\n");
        for setting in LISTEN_TLS {
            tls_row(&mut out, setting, listen);
        }
    }
    for section in SECTIONS {
        let _ = writeln!(out, "\n# {}\n[{}]", section.about, section.name);
        for setting in section.settings {
            row(&mut out, setting, settings);
        }
    }
    out
}

fn row<T>(out: &mut String, setting: &Setting<T>, all: &T) {
    let (key, value) = (setting.key, (setting.read)(all));
    let _ = writeln!(out, "# {}. [--{}, {}]", setting.about, setting.flag, setting.variable());
    let _ = match value {
        Value::Nothing => writeln!(out, "# {key} = {}", setting.example),
        value => writeln!(out, "{key} = {}", setting.kind.write(&value)),
    };
}

/// What only TLS has stands as a comment where there is none.
fn tls_row(out: &mut String, setting: &Setting<Listen>, listen: &Listen) {
    if listen.url.scheme.uses_tls() {
        return row(out, setting, listen);
    }
    let _ = writeln!(out, "# {}. [--{}, {}]", setting.about, setting.flag, setting.variable());
    let example = match (setting.read)(listen) {
        Value::Nothing => setting.example.to_owned(),
        value => setting.kind.write(&value),
    };
    let _ = writeln!(out, "# {} = {example}", setting.key);
}

#[cfg(test)]
mod tests {
    use std::{fmt::Debug, path::Path, time::Duration};

    use squall_broker::core::{config::Config, limits::Limits};

    use super::*;
    use crate::program::{
        file,
        table::Section,
        url::ListenUrl,
        value::{Kind, Value},
    };

    fn parsed(text: &str) -> Settings {
        let mut settings = file::parse(text, Path::new("")).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
        for listen in &mut settings.listeners {
            listen.place = None;
        }
        settings
    }

    #[test]
    fn the_printed_defaults_are_the_defaults_and_so_is_an_empty_file() {
        assert_eq!(parsed(&render(&Settings::default())), Settings::default());
        assert_eq!(parsed(""), Settings::default());
    }

    #[test]
    fn settings_that_are_all_others_than_the_defaults_survive_being_printed_and_read() {
        let mut settings = Settings::default();
        for Section { settings: rows, .. } in SECTIONS {
            for row in *rows {
                change(row, &mut settings);
            }
        }
        let secure: ListenUrl = "wss://[::1]:8884/mqtt".parse().expect("a URL");
        settings.listeners =
            vec![Listen::new("mqtt://localhost:1".parse().expect("a URL"), None), Listen::new(secure, None)];
        for row in LISTEN {
            change(row, &mut settings.listeners[0]);
        }
        for row in LISTEN.iter().chain(LISTEN_TLS) {
            change(row, &mut settings.listeners[1]);
        }
        assert_eq!(parsed(&render(&settings)), settings);
    }

    /// Sets another value than the one that is there, and looks whether it is there then.
    fn change<T: Debug>(row: &Setting<T>, all: &mut T) {
        let before = (row.read)(all);
        let other = match row.kind {
            Kind::Truth => Value::Truth(before != Value::Truth(true)),
            Kind::Number { least, most } | Kind::Size { least, most } => {
                // Both ends have to fit the field.
                (row.write)(all, Value::Number(least));
                (row.write)(all, Value::Number(most));
                Value::Number(if before == Value::Number(least) { most } else { least })
            }
            Kind::Time { least, most, .. } => {
                (row.write)(all, Value::Time(most));
                Value::Time(least + Duration::from_secs(2))
            }
            Kind::Word(words) => {
                Value::Word(words.iter().find(|word| Value::Word(word) != before).expect("there is a choice"))
            }
            Kind::Text(..) => Value::Text("ü \"quoted\" \\ word".to_owned()),
            Kind::Path(..) => Value::Path("a folder/and a file".into()),
            Kind::Texts(..) => Value::Texts(vec!["one".to_owned(), "two".to_owned()]),
        };
        (row.write)(all, other.clone());
        assert_eq!((row.read)(all), other, "{}", row.key);
        assert_ne!(before, other, "{}", row.key);
    }

    #[test]
    fn what_stands_as_a_comment_can_be_taken_out_of_it() {
        let file = render(&Settings::default()).replace("url = \"mqtt:", "url = \"mqtts:");
        let settings: String = file
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let settings = parsed(&settings);
        assert!(settings.http.listen.is_some() && settings.listeners[0].certificate.is_some());
    }

    #[test]
    fn every_field_of_the_cores_configuration_has_a_setting_of_its_name() {
        let (config, limits) = (format!("{:#?}", Config::default()), format!("{:#?}", Limits::default()));
        for (name, shown) in [("protocol", config), ("limits", limits)] {
            let section = SECTIONS.iter().find(|section| section.name == name).expect("a section");
            let fields = shown.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
            for (field, _) in fields.filter(|(field, _)| !field.starts_with(' ')) {
                let key = match field {
                    // A section of its own, and a file of its own.
                    "limits" | "acl" => continue,
                    "retain_available" => "retain",
                    "wildcard_subscription_available" => "wildcards",
                    "subscription_identifiers_available" => "subscription_identifiers",
                    "shared_subscription_available" => "shared_subscriptions",
                    field => field,
                };
                assert!(section.settings.iter().any(|row| row.key == key), "`{field}` has no row in table.rs");
            }
        }
    }

    #[test]
    fn no_two_settings_share_a_flag_unless_they_are_the_same() {
        let listen = LISTEN.iter().chain(LISTEN_TLS).map(|row| (row.flag, row.key));
        let mut all: Vec<_> =
            SECTIONS.iter().flat_map(|section| section.settings).map(|row| (row.flag, row.key)).chain(listen).collect();
        all.sort_unstable();
        all.dedup();
        for pair in all.windows(2) {
            assert_ne!(pair[0].0, pair[1].0);
        }
    }
}
