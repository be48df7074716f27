//! A disk in memory for the broker's store. It forgets what real disks forget: when the power fails, what was written and
//! not synced is there, lost, or torn at a sector's edge, as the seed will have it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use redb::StorageBackend;
use squall_scenarios::outage::DiskState;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// The disk. A cheap clone; it outlives the broker that writes to it.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

/// A file on the disk, as one run of the broker holds it. It goes dead when that run ends, however it ends.
#[derive(Debug)]
pub struct DiskFile {
    disk: SimulatedDisk,
    run: u64,
}

#[derive(Debug)]
struct State {
    /// What is there whatever happens.
    platter: Vec<u8>,
    /// What was done since, in order.
    log: Vec<Operation>,
    /// What a reader sees: the platter with the log done.
    seen: Vec<u8>,
    /// Where in the log the commit began that is still under way.
    commit: Option<usize>,
    /// The run of the broker that may use the file.
    run: u64,
    state: DiskState,
    /// Writes until the disk is full.
    room: Option<u64>,
    /// It says that it has synced, and has not.
    lies: bool,
    draws: ChaCha8Rng,
}

#[derive(Debug)]
enum Operation {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
    Sync,
}

impl SimulatedDisk {
    /// An empty disk. What is lost when the power fails comes from this seed.
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        SimulatedDisk(Arc::new(Mutex::new(State {
            platter: Vec::new(),
            log: Vec::new(),
            seen: Vec::new(),
            commit: None,
            run: 0,
            state: DiskState::Well,
            room: None,
            lies: false,
            draws: ChaCha8Rng::from_seed(key),
        })))
    }

    /// A disk that says that it has synced when it has not: what a store must not be trusted on.
    pub fn lying(seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        disk.lock().lies = true;
        disk
    }

    /// The file for the next run of the broker. One that an earlier run still holds is dead.
    pub fn open(&self) -> DiskFile {
        let mut state = self.lock();
        state.run += 1;
        DiskFile { disk: self.clone(), run: state.run }
    }

    /// A commit begins that takes its time: until `end_commit` a crash may fall between any two of its writes.
    pub fn begin_commit(&self) {
        let mut state = self.lock();
        state.commit = Some(state.log.len());
    }

    /// The commit is over.
    pub fn end_commit(&self) {
        let mut state = self.lock();
        state.commit = None;
        state.fold();
    }

    /// The process is killed. What it wrote stays written, up to a moment of the commit under way.
    pub fn crash(&self) {
        let mut state = self.lock();
        state.run += 1;
        state.cut();
        state.replay();
    }

    /// The machine goes dark: of what was not synced each sector is as it was or as it was written.
    pub fn lose_power(&self) {
        let mut state = self.lock();
        state.run += 1;
        state.cut();
        state.tear();
        state.replay();
    }

    /// From now on it does this.
    pub fn set_state(&self, new: DiskState) {
        let mut state = self.lock();
        state.state = new;
        state.room = None;
    }

    /// It is full after so many more writes.
    pub fn fill_after(&self, writes: u64) {
        self.lock().room = Some(writes);
    }

    /// A bit turns over, for ever.
    pub fn flip_bit(&self, byte: usize, bit: u8) {
        let mut state = self.lock();
        state.fold();
        let State { platter, seen, .. } = &mut *state;
        for image in [platter, seen] {
            if let Some(byte) = image.get_mut(byte) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// How long the file is.
    pub fn size_bytes(&self) -> usize {
        self.lock().seen.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was synced is on the platter: nothing need be remembered of it.
    fn fold(&mut self) {
        if self.commit.is_some() {
            return;
        }
        let Some(last_sync) = self.log.iter().rposition(|done| matches!(done, Operation::Sync)) else { return };
        for done in self.log.drain(..=last_sync) {
            done.apply(&mut self.platter);
        }
    }

    /// Whoever was in the middle of a commit got no further than to a moment of it.
    fn cut(&mut self) {
        if let Some(began) = self.commit.take() {
            let moments = self.log.len() - began + 1;
            let done = began + self.draw(moments);
            self.log.truncate(done);
        }
        self.fold();
    }

    /// Only some of what was not synced is there afterwards.
    fn tear(&mut self) {
        // All or nothing are the usual cases; in between anything may be.
        let share = [0, 50, 50, 100][self.draw(4)];
        for done in std::mem::take(&mut self.log) {
            match done {
                Operation::Sync => {}
                Operation::Resize(_) => {
                    if self.draw(100) < share {
                        done.apply(&mut self.platter);
                    }
                }
                Operation::Write { offset, data } => {
                    let mut start = 0;
                    while start < data.len() {
                        let to_the_edge = SECTOR_BYTES - (offset + start) % SECTOR_BYTES;
                        let end = (start + to_the_edge).min(data.len());
                        // What lies behind the end of a file whose growth was lost is lost too.
                        if self.draw(100) < share && offset + end <= self.platter.len() {
                            self.platter[offset + start..offset + end].copy_from_slice(&data[start..end]);
                        }
                        start = end;
                    }
                }
            }
        }
    }

    /// What a reader sees from now on.
    fn replay(&mut self) {
        self.seen.clone_from(&self.platter);
        for done in &self.log {
            done.apply(&mut self.seen);
        }
    }

    /// From zero to one less than `below`.
    fn draw(&mut self, below: usize) -> usize {
        ((u128::from(self.draws.next_u64()) * below as u128) >> 64) as usize
    }

    /// Whether something can be written now.
    fn writable(&mut self) -> io::Result<()> {
        if let Some(room) = &mut self.room {
            match room.checked_sub(1) {
                Some(less) => *room = less,
                None => self.state = DiskState::Full,
            }
        }
        match self.state {
            DiskState::Well => Ok(()),
            DiskState::Full => Err(io::ErrorKind::StorageFull.into()),
            DiskState::Broken => Err(io::Error::other("the disk is broken")),
        }
    }
}

impl Operation {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Operation::Write { offset, data } => image[*offset..*offset + data.len()].copy_from_slice(data),
            Operation::Resize(size) => image.resize(*size, 0),
            Operation::Sync => {}
        }
    }
}

impl DiskFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.run == self.run { Ok(state) } else { Err(io::Error::other("the broker that had this file has ended")) }
    }
}

/// Where `size` bytes from `offset` on lie in a file of `length` bytes.
fn range(offset: u64, size: usize, length: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    match start.checked_add(size).filter(|end| *end <= length) {
        Some(end) => Ok(start..end),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "behind the end of the file")),
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state()?;
        let range = range(offset, out.len(), state.seen.len())?;
        out.copy_from_slice(&state.seen[range]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let size = usize::try_from(len).map_err(io::Error::other)?;
        // A file that shrinks needs no room.
        if size > state.seen.len() {
            state.writable()?;
        }
        let done = Operation::Resize(size);
        done.apply(&mut state.seen);
        state.log.push(done);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        if state.state == DiskState::Broken {
            return Err(io::Error::other("the disk is broken"));
        }
        if !state.lies {
            state.log.push(Operation::Sync);
            state.fold();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        let range = range(offset, data.len(), state.seen.len())?;
        state.writable()?;
        let done = Operation::Write { offset: range.start, data: data.to_vec() };
        done.apply(&mut state.seen);
        state.log.push(done);
        Ok(())
    }
}
