//! Reads a configuration file into `Settings`. All that is wrong in it is said at once, each with its line.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    fault::{Failure, Fault, Source, nearest},
    settings::{Listen, Settings},
    table::{LISTEN, LISTEN_TLS, SECTIONS, Setting},
    url::ListenUrl,
    value::Value,
};

/// The name of the section of listeners.
const LISTENERS: &str = "listen";

/// Reads the file.
///
/// # Errors
/// A file that cannot be read, or everything that is wrong in it.
pub(super) fn read(path: &Path) -> Result<(Settings, Source), Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::to(format_args!("read the configuration '{name}'"), error))?;
    let source = Source { name, text };
    match parse(&source.text, path.parent().unwrap_or(Path::new(""))) {
        Ok(settings) => Ok((settings, source)),
        Err(faults) => Err(Failure::File(source, faults)),
    }
}

/// Reads the text of a file that lies in `folder`.
///
/// # Errors
/// Everything that is wrong in it, in the order of the file.
pub(super) fn parse(text: &str, folder: &Path) -> Result<Settings, Vec<Fault>> {
    let document = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..text.len());
        vec![Fault { title: "this is no TOML".to_owned(), span, label: error.message().to_owned(), help: None }]
    })?;
    let mut reader = Reader { folder, faults: Vec::new() };
    let settings = reader.settings(document.get_ref());
    if reader.faults.is_empty() {
        return Ok(settings);
    }
    reader.faults.sort_by_key(|fault| fault.span.start);
    Err(reader.faults)
}

struct Reader<'a> {
    folder: &'a Path,
    faults: Vec<Fault>,
}

type Key<'a> = Spanned<DeString<'a>>;
type Item<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn settings(&mut self, document: &DeTable<'_>) -> Settings {
        let mut settings = Settings::default();
        for (key, item) in document {
            let name = key.get_ref().as_ref();
            if name == LISTENERS {
                settings.listeners = self.listeners(item);
                continue;
            }
            match (SECTIONS.iter().find(|section| section.name == name), item.get_ref()) {
                (Some(section), DeValue::Table(table)) => {
                    for (key, item) in table {
                        let row = section.settings.iter().find(|setting| key.get_ref() == setting.key);
                        match row {
                            Some(setting) => self.set(&mut settings, setting, item),
                            None => {
                                let keys = section.settings.iter().map(|setting| setting.key);
                                self.unknown(key, &format!("[{name}]"), keys);
                            }
                        }
                    }
                }
                (Some(_), _) => {
                    let title = format!("`{name}` is a section");
                    let label = format!("expected a table, found {}", a_value(item.get_ref()));
                    self.fault(key.span(), title, label, Some(format!("write [{name}] on a line of its own")));
                }
                (None, value) => self.unknown_section(key, value),
            }
        }
        settings
    }

    /// `[[listen]]`, or one `[listen]`.
    fn listeners(&mut self, item: &Item<'_>) -> Vec<Listen> {
        match item.get_ref() {
            DeValue::Table(table) => self.listener(table, item.span()).into_iter().collect(),
            DeValue::Array(items) if !items.is_empty() => {
                let one = |item: &Item<'_>| match item.get_ref() {
                    DeValue::Table(table) => self.listener(table, item.span()),
                    other => {
                        let label = format!("expected a table, found {}", a_value(other));
                        self.fault(item.span(), "each listener is a table".to_owned(), label, None);
                        None
                    }
                };
                items.iter().filter_map(one).collect()
            }
            other => {
                let label = format!("expected tables, found {}", a_value(other));
                let help = "write [[listen]] on a line of its own, once for each listener".to_owned();
                self.fault(item.span(), "`listen` has the listeners".to_owned(), label, Some(help));
                Vec::new()
            }
        }
    }

    fn listener(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Option<Listen> {
        let rows = || LISTEN.iter().chain(LISTEN_TLS);
        let url = table.iter().find(|(key, _)| key.get_ref() == "url").map(|(_, item)| item);
        let mut listen = match url.map(|item| (item, item.get_ref().as_str())) {
            Some((item, Some(text))) => match text.parse::<ListenUrl>() {
                Ok(url) => Some(Listen::new(url, Some(item.span()))),
                Err(wrong) => {
                    self.fault(item.span(), "this is no address to listen on".to_owned(), wrong, None);
                    None
                }
            },
            Some((item, None)) => {
                let label =
                    format!("expected text such as \"mqtt://127.0.0.1:1883\", found {}", a_value(item.get_ref()));
                self.fault(item.span(), "wrong value of `url`".to_owned(), label, None);
                None
            }
            None => {
                let help = "such as url = \"mqtt://127.0.0.1:1883\"".to_owned();
                self.fault(span, "a listener has no `url`".to_owned(), "in this table".to_owned(), Some(help));
                None
            }
        };
        // What else is wrong is said even where the address is.
        let mut nowhere = Settings::default().listeners.remove(0);
        for (key, item) in table.iter().filter(|(key, _)| key.get_ref() != "url") {
            match rows().find(|setting| key.get_ref() == setting.key) {
                Some(setting) => self.set(listen.as_mut().unwrap_or(&mut nowhere), setting, item),
                None => self.unknown(key, "[[listen]]", rows().map(|setting| setting.key).chain(["url"])),
            }
        }
        listen
    }

    fn set<T>(&mut self, all: &mut T, setting: &Setting<T>, item: &Item<'_>) {
        match setting.kind.read_toml(item.get_ref()) {
            Ok(Value::Path(path)) => (setting.write)(all, Value::Path(self.beside(path))),
            Ok(value) => (setting.write)(all, value),
            Err(expected) => {
                let title = format!("wrong value of `{}`", setting.key);
                let label = format!("expected {expected}, found {}", a_value(item.get_ref()));
                self.fault(item.span(), title, label, hint(setting, item.get_ref()));
            }
        }
    }

    /// A path of the file is relative to the file.
    fn beside(&self, path: PathBuf) -> PathBuf {
        self.folder.join(path)
    }

    fn unknown<'k>(&mut self, key: &Key<'_>, section: &str, keys: impl Iterator<Item = &'k str>) {
        let name = key.get_ref().as_ref();
        let elsewhere = home_of(name).map(|(key, home)| match home == section {
            true => format!("it is called `{key}`"),
            false => format!("`{key}` belongs in {home}"),
        });
        let help = elsewhere.or_else(|| nearest(name, keys).map(|word| format!("did you mean `{word}`?")));
        let title = format!("`{name}` is no setting of {section}");
        self.fault(key.span(), title, "unknown".to_owned(), help);
    }

    fn unknown_section(&mut self, key: &Key<'_>, value: &DeValue<'_>) {
        let name = key.get_ref().as_ref();
        let sections = || SECTIONS.iter().map(|section| section.name).chain([LISTENERS]);
        let is_section = matches!(value, DeValue::Table(_) | DeValue::Array(_));
        let (title, help) = match (is_section, home_of(name)) {
            (false, Some((key, home))) => {
                (format!("`{name}` stands outside of its section"), Some(format!("write `{key}` under {home}")))
            }
            (false, None) => (format!("`{name}` is no setting"), None),
            (true, _) => (format!("there is no section [{name}]"), None),
        };
        let help = help.or_else(|| nearest(name, sections()).map(|word| format!("did you mean [{word}]?")));
        let help = help.or_else(|| Some(format!("the sections are {}", sections().collect::<Vec<_>>().join(", "))));
        self.fault(key.span(), title, "unknown".to_owned(), help);
    }

    fn fault(&mut self, span: Range<usize>, title: String, label: String, help: Option<String>) {
        self.faults.push(Fault { title, span, label, help });
    }
}

/// Where a key belongs that was found elsewhere, by its own name or by that of its flag.
fn home_of(name: &str) -> Option<(&'static str, String)> {
    let is_it = |key: &str, flag: &str, alias: Option<&str>| {
        let says = |flag: &str| flag.replace('-', "_") == name;
        key == name || says(flag) || alias.is_some_and(says)
    };
    let listen = LISTEN.iter().chain(LISTEN_TLS).map(|row| (row.key, row.flag, row.alias, "[[listen]]".to_owned()));
    let sections = SECTIONS.iter().flat_map(|section| {
        section.settings.iter().map(|row| (row.key, row.flag, row.alias, format!("[{}]", section.name)))
    });
    let (key, _, _, home) = sections.chain(listen).find(|(key, flag, alias, _)| is_it(key, flag, *alias))?;
    Some((key, home))
}

/// The nearest word, where words are expected.
fn hint<T>(setting: &Setting<T>, value: &DeValue<'_>) -> Option<String> {
    use super::value::Kind;
    match (setting.kind, value) {
        (Kind::Word(words), DeValue::String(text)) => {
            nearest(text, words.iter().copied()).map(|word| format!("did you mean \"{word}\"?"))
        }
        (Kind::Time { .. }, DeValue::Integer(number)) => {
            Some(format!("write \"{number}s\" for seconds", number = number.as_str()))
        }
        _ => None,
    }
}

/// A value in few words.
fn a_value(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(moment) => format!("the date {moment}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
