//! What a simulated disk keeps when its machine goes down.

use std::{collections::BTreeSet, io};

use redb::StorageBackend;
use squall_scenarios::outage::DiskState;
use squall_sim::disk::{DiskFile, SECTOR_BYTES, SimulatedDisk};

fn file_of(disk: &SimulatedDisk, size: u64) -> DiskFile {
    let file = disk.open();
    file.set_len(size).expect("there is room");
    file.sync_data().expect("the disk works");
    file
}

fn content(disk: &SimulatedDisk) -> Vec<u8> {
    let file = disk.open();
    let mut content = vec![0; disk.size_bytes()];
    file.read(0, &mut content).expect("it can be read");
    content
}

#[test]
fn what_was_synced_survives_everything() {
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let file = file_of(&disk, 4096);
        file.write(100, &[1; 3000]).expect("written");
        file.sync_data().expect("synced");
        file.write(0, &[2; 10]).expect("written");
        disk.lose_power();
        assert_eq!(&content(&disk)[100..3100], [1; 3000], "seed {seed}");
    }
}

#[test]
fn what_was_not_synced_survives_a_crash_and_is_torn_at_sectors_when_the_power_fails() {
    let disk = SimulatedDisk::new(1);
    let file = file_of(&disk, 4096);
    file.write(0, &[1; 4096]).expect("written");
    disk.crash();
    assert_eq!(content(&disk), [1; 4096]);

    let mut torn = 0;
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let file = file_of(&disk, 4096);
        file.write(0, &[1; 4096]).expect("written");
        disk.lose_power();
        let content = content(&disk);
        let sectors: Vec<&[u8]> = content.chunks(SECTOR_BYTES).collect();
        assert!(sectors.iter().all(|sector| sector.iter().all(|byte| *byte == sector[0])), "seed {seed}");
        torn += usize::from(sectors.iter().any(|sector| sector[0] != sectors[0][0]));
    }
    assert!(torn > 0, "no seed tears a write");
}

#[test]
fn a_commit_that_takes_its_time_is_cut_between_two_writes() {
    let mut reached = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimulatedDisk::new(seed);
        let file = file_of(&disk, 4096);
        disk.begin_commit();
        for number in 0..3 {
            file.write(number * 512, &[1; 512]).expect("written");
            file.sync_data().expect("synced");
        }
        disk.crash();
        let content = content(&disk);
        let written = content.chunks(512).take_while(|sector| sector[0] == 1).count();
        assert!(content.chunks(512).skip(written).all(|sector| sector[0] == 0), "seed {seed}: not in order");
        reached.insert(written);
    }
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn the_file_of_an_ended_run_is_dead() {
    let disk = SimulatedDisk::new(1);
    let file = file_of(&disk, 512);
    disk.crash();
    assert!(file.write(0, &[1]).is_err());
    assert!(file.sync_data().is_err());
    assert_eq!(content(&disk), [0; 512]);
}

#[test]
fn a_full_disk_takes_nothing_until_there_is_room() {
    let disk = SimulatedDisk::new(1);
    let file = file_of(&disk, 512);
    disk.fill_after(1);
    file.write(0, &[1]).expect("there is room for one");
    let error = file.write(1, &[1]).expect_err("it is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    disk.set_state(DiskState::Well);
    file.write(1, &[1]).expect("there is room again");
}

#[test]
fn a_lying_disk_has_synced_nothing() {
    let lost = (0..20).any(|seed| {
        let disk = SimulatedDisk::lying(seed);
        let file = file_of(&disk, 512);
        file.write(0, &[1]).expect("written");
        file.sync_data().expect("so it says");
        disk.lose_power();
        disk.size_bytes() == 0
    });
    assert!(lost);
}
