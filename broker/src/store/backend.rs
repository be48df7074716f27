//! Where redb reads and writes: a file, or whatever stands for one, that outlives the database on it.
//!
//! redb wants to be opened anew after a failed write, on the very same backend; and a commit that survives the process but
//! not a power loss is one whose sync is left out, since the system has the bytes as soon as they are written.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{StorageBackend, backends::FileBackend};

use super::StoreError;

/// One backend, for one database after the other.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    inner: Arc<dyn StorageBackend>,
    /// Whether a commit waits until the medium has it.
    synced: bool,
}

impl Backend {
    pub(super) fn new(inner: impl StorageBackend, synced: bool) -> Self {
        Backend { inner: Arc::new(inner), synced }
    }

    /// On a file of its own.
    pub(super) fn of_file(file: File, name: &Path, synced: bool) -> Result<Self, StoreError> {
        let backend = FileBackend::new(file)
            .map_err(|error| StoreError::Io { file: name.to_owned(), detail: error.to_string() })?;
        Ok(Backend::new(backend, synced))
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.synced { self.inner.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    /// The next database goes on with it.
    fn close(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The directory that belongs to one process as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

const LOCK: &str = "lock";
const STORE: &str = "squall.redb";
/// A store that is being made. It gets its name when it is whole, so that a crash leaves none that is half made.
const UNFINISHED: &str = "squall.redb.new";

impl Directory {
    /// Takes the directory, which is made if it is not there.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|error| failed(path, &error))?;
        let name = path.join(LOCK);
        let lock = private().create(true).truncate(false).open(&name).map_err(|error| failed(&name, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { file: path.join(STORE) }),
            Err(TryLockError::Error(error)) => Err(failed(&name, &error)),
        }
    }

    /// The name of the store.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// The store's file, if there is one.
    pub(super) fn open(&self) -> Result<Option<File>, StoreError> {
        match private().open(self.store()) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&self.store(), &error)),
        }
    }

    /// Makes a store: `fill` writes it, and then it is there under its name, whole.
    pub(super) fn create(&self, fill: impl FnOnce(File) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let (unfinished, store) = (self.path.join(UNFINISHED), self.store());
        let file =
            private().create(true).truncate(true).open(&unfinished).map_err(|error| failed(&unfinished, &error))?;
        fill(file)?;
        std::fs::rename(&unfinished, &store).map_err(|error| failed(&store, &error))?;
        // The name is kept when the directory is.
        #[cfg(unix)]
        File::open(&self.path)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| failed(&self.path, &error))?;
        Ok(())
    }
}

/// To read and write; what clients say to each other is nobody else's.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// What the system said of this file.
pub(super) fn failed(file: &Path, error: &io::Error) -> StoreError {
    let (file, detail) = (file.to_owned(), error.to_string());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full { file, detail }
        }
        _ => StoreError::Io { file, detail },
    }
}
