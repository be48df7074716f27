//! The store on disk: one redb database, one transaction for each group of records.
//!
//! The tables hold the state and not its history, so that a store grows with what there is to keep and never with time.
//! A commit writes pages that were free and then, in one place, which of them count: a crash leaves the state before the
//! group or the state behind it. `Durability` says what a commit waits for.

use std::{
    fmt,
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError, ReadableDatabase, StorageBackend, StorageError, TableDefinition, TableError};

use super::{
    Store, StoreError,
    backend::{Backend, Directory, failed},
    changes::{Changes, Table},
    load::{LoadError, definition, load},
};
use crate::core::effect::Record;

/// What a commit waits for, and so what a crash can take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nobody waits: acknowledgements leave at once and the store is written behind them. A crash of the program or of the
    /// machine loses what was not written yet.
    None,
    /// The system has it. A crash of the program, also by `kill -9`, loses nothing; a power loss may lose the latest
    /// groups, or damage the store.
    Os,
    /// The disk has it. A power loss loses nothing.
    #[default]
    Disk,
}

/// The store on disk.
pub struct DiskStore {
    name: PathBuf,
    durability: Durability,
    backend: Backend,
    /// The directory that is ours meanwhile; `None` on a backend that was handed in.
    _directory: Option<Directory>,
    /// `None` from a failure to the next commit, and when closed.
    database: Option<Database>,
    changes: Changes,
    /// The last record in the group at hand.
    last: u64,
    /// Groups that were kept since the store was made.
    groups: u64,
    is_prompt: bool,
}

const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("squall");
const FORMAT: &str = "format";
const GROUPS: &str = "groups";
/// The format that is written. A later one is refused.
const CURRENT_FORMAT: u32 = 1;
/// What redb's files begin with.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";
/// Memory for pages. What is kept is in the core's memory too, so that hardly anything is read twice.
const CACHE_BYTES: usize = 16 << 20;

impl DiskStore {
    /// The store in this directory, which belongs to this process until the store is dropped. Made if it is not there.
    ///
    /// # Errors
    /// A directory that cannot be used or is in use, a file that is not ours, of a later format, or damaged.
    pub fn open(directory: &Path, durability: Durability) -> Result<Self, StoreError> {
        let directory = Directory::take(directory)?;
        let (name, synced) = (directory.store(), durability == Durability::Disk);
        let on = |file: File| Backend::of_file(file, &name, synced);
        let file = match directory.open()? {
            Some(file) => file,
            None => {
                directory.create(|file| guarded(&name, || initialize(&name, &on(file)?)))?;
                directory.open()?.ok_or_else(|| failed(&name, &io::ErrorKind::NotFound.into()))?
            }
        };
        let backend = on(file)?;
        Ok(DiskStore::on(backend, name, durability, Some(directory))?.in_background())
    }

    /// The store on a backend that is handed in, under a name for messages: a simulated disk. An empty one is filled. It
    /// counts as prompt, since there is no disk to wait for.
    ///
    /// # Errors
    /// As `open`.
    pub fn with_backend(
        backend: impl StorageBackend,
        name: impl Into<PathBuf>,
        durability: Durability,
    ) -> Result<Self, StoreError> {
        let (name, backend) = (name.into(), Backend::new(backend, durability == Durability::Disk));
        if backend.len().map_err(|error| failed(&name, &error))? == 0 {
            guarded(&name, || initialize(&name, &backend))?;
        }
        DiskStore::on(backend, name, durability, None)
    }

    /// Not prompt: its commits are made where they keep nobody from anything.
    #[must_use]
    pub fn in_background(mut self) -> Self {
        self.is_prompt = false;
        self
    }

    fn on(
        backend: Backend,
        name: PathBuf,
        durability: Durability,
        directory: Option<Directory>,
    ) -> Result<Self, StoreError> {
        guarded(&name, || check_beginning(&name, &backend))?;
        let mut store = DiskStore {
            name,
            durability,
            backend,
            _directory: directory,
            database: None,
            changes: Changes::default(),
            last: 0,
            groups: 0,
            is_prompt: true,
        };
        store.database()?;
        Ok(store)
    }

    /// The open database. One that failed is opened anew, which is how redb finds out what had reached the disk.
    fn database(&mut self) -> Result<&Database, StoreError> {
        let name = &self.name;
        let database = match self.database.take() {
            Some(database) => database,
            None => {
                let (database, groups) = guarded(name, || open(name, &self.backend))?;
                if groups < self.groups {
                    let detail = format!("{} groups were kept and {groups} are there", self.groups);
                    return Err(StoreError::Damaged { file: name.clone(), detail });
                }
                self.groups = groups;
                database
            }
        };
        Ok(self.database.insert(database))
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.database()?;
        let (name, changes, groups) = (&self.name, &self.changes, self.groups + 1);
        let Some(database) = self.database.take() else { return Ok(()) };
        let written = guarded(name, move || {
            keep(&database, changes, groups).map_err(|error| of_database(name, error))?;
            Ok(database)
        });
        match written {
            Ok(database) => {
                self.database = Some(database);
                self.groups = groups;
                self.changes.clear();
                Ok(())
            }
            Err(error) => {
                self.changes.doubt();
                Err(error)
            }
        }
    }
}

impl Store for DiskStore {
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        self.database()?;
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let (name, changes) = (&self.name, &mut self.changes);
        guarded(name, || {
            let transaction = database.begin_read().map_err(|error| of_database(name, error.into()))?;
            load(&transaction, changes).map_err(|error| match error {
                LoadError::Database(error) => of_database(name, error),
                LoadError::NoTable(table) => damaged(name, format!("the table '{}' is missing", table.name())),
                LoadError::Row(table, what) => {
                    damaged(name, format!("a row of the table '{}' has no {what} that can be read", table.name()))
                }
            })
        })
    }

    fn persist(&mut self, seq: u64, record: Record) {
        self.changes.add(record);
        self.last = seq;
    }

    fn commit(&mut self) -> Result<u64, StoreError> {
        if !self.changes.is_empty() {
            self.write()?;
        }
        Ok(self.last)
    }

    fn is_prompt(&self) -> bool {
        self.is_prompt
    }

    fn is_awaited(&self) -> bool {
        self.durability != Durability::None
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.commit()?;
        let name = &self.name;
        match self.database.take() {
            None => Ok(()),
            Some(database) => guarded(name, || database.close().map_err(|error| of_opening(name, error))),
        }
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        // What is closed here was kept before; only the next opening takes longer if it fails.
        if let Some(database) = self.database.take() {
            let _ = guarded(&self.name, || {
                drop(database);
                Ok(())
            });
        }
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore")
            .field("name", &self.name)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// Runs what touches the database. redb checks what it reads, but not every damage ends in an error of its own: a panic of
/// its tells of a damaged file too, and ends here.
fn guarded<T>(name: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the database gave up");
        Err(damaged(name, said.lines().next().unwrap_or_default().to_owned()))
    })
}

/// What a file begins with says whether it is worth opening.
fn check_beginning(name: &Path, backend: &Backend) -> Result<(), StoreError> {
    let length = backend.len().map_err(|error| failed(name, &error))?;
    if length == 0 {
        return Err(damaged(name, "it is empty".to_owned()));
    }
    let mut beginning = vec![0; MAGIC.len().min(usize::try_from(length).unwrap_or(MAGIC.len()))];
    backend.read(0, &mut beginning).map_err(|error| failed(name, &error))?;
    if beginning == MAGIC {
        return Ok(());
    }
    let detail = format!("it begins with {beginning:02X?}");
    Err(StoreError::Foreign { file: name.to_owned(), detail })
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    // A store that was altered from outside is refused, and not believed until it hurts.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// A new store, closed again.
fn initialize(name: &Path, backend: &Backend) -> Result<(), StoreError> {
    let make = || -> Result<(), redb::Error> {
        let database = builder().create_with_backend(backend.clone())?;
        let transaction = database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert(FORMAT, u64::from(CURRENT_FORMAT))?;
            meta.insert(GROUPS, 0)?;
        }
        for table in Table::ALL {
            transaction.open_table(definition(table))?;
        }
        transaction.commit()?;
        database.close()?;
        Ok(())
    };
    make().map_err(|error| of_database(name, error))
}

/// Opens a store: the database, and how many groups it has kept.
fn open(name: &Path, backend: &Backend) -> Result<(Database, u64), StoreError> {
    let database = builder().create_with_backend(backend.clone()).map_err(|error| of_opening(name, error))?;
    let transaction = database.begin_read().map_err(|error| of_database(name, error.into()))?;
    let foreign = |detail: &str| StoreError::Foreign { file: name.to_owned(), detail: detail.to_owned() };
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(of_database(name, error.into())),
        Err(_) => return Err(foreign("it is a database of another program")),
    };
    let number = |key| {
        let value = meta.get(key).map_err(|error| of_database(name, error.into()))?;
        Ok(value.map(|value| value.value()))
    };
    let format = number(FORMAT)?.ok_or_else(|| foreign("it is a database without a format"))?;
    let format = u32::try_from(format).unwrap_or(u32::MAX);
    if format > CURRENT_FORMAT {
        return Err(StoreError::Newer { file: name.to_owned(), found: format, known: CURRENT_FORMAT });
    }
    let groups = number(GROUPS)?.ok_or_else(|| damaged(name, "it does not say how often it was written".to_owned()))?;
    Ok((database, groups))
}

/// One transaction.
fn keep(database: &Database, changes: &Changes, groups: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(GROUPS, groups)?;
    for table in Table::ALL {
        let (mut ended, mut rows) = (changes.ended(table).peekable(), changes.rows(table).peekable());
        if ended.peek().is_none() && rows.peek().is_none() {
            continue;
        }
        let mut open = transaction.open_table(definition(table))?;
        for session in ended {
            let (from, to) = (session.to_be_bytes(), (session + 1).to_be_bytes());
            open.retain_in(from.as_slice()..to.as_slice(), |_, _| false)?;
        }
        for (key, value) in rows {
            match value {
                Some(value) => drop(open.insert(key, value)?),
                None => drop(open.remove(key)?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn damaged(name: &Path, detail: String) -> StoreError {
    StoreError::Damaged { file: name.to_owned(), detail }
}

/// What redb said of a file.
fn of_database(name: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(name, "it ends too early".to_owned()),
            io::ErrorKind::InvalidData => damaged(name, error.to_string()),
            _ => failed(name, &error),
        },
        redb::Error::Corrupted(detail) => damaged(name, detail),
        redb::Error::UpgradeRequired(version) => {
            let detail = format!("it is a database of the old format {version}");
            StoreError::Foreign { file: name.to_owned(), detail }
        }
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse { file: name.to_owned() },
        error @ (redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableDoesNotExist(_)) => damaged(name, error.to_string()),
        error => StoreError::Io { file: name.to_owned(), detail: error.to_string() },
    }
}

/// What redb said when it opened or closed a file.
fn of_opening(name: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => of_database(name, redb::Error::Io(error)),
        error => of_database(name, error.into()),
    }
}
