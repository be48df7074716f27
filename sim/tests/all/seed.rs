//! Streams of randomness.

use squall_sim::seed::derive;

#[test]
fn a_stream_depends_on_seed_name_and_number_alone() {
    assert_eq!(derive(1, "client alice", 1), derive(1, "client alice", 1));
    let others = [derive(2, "client alice", 1), derive(1, "client bob", 1), derive(1, "client alice", 2)];
    assert!(others.iter().all(|other| *other != derive(1, "client alice", 1)));
}
