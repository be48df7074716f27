//! Times in words.

use std::time::Duration;

use squall_scenarios::words::duration;

#[test]
fn durations_read_as_a_person_writes_them() {
    for (micros, text) in [
        (0, "0 s"),
        (40, "40 µs"),
        (1_000, "1 ms"),
        (1_250, "1.25 ms"),
        (200_000, "200 ms"),
        (1_500_000, "1.5 s"),
        (2_000_000, "2 s"),
        (3_600_000_000, "3600 s"),
        (1_000_001, "1.000001 s"),
    ] {
        assert_eq!(duration(Duration::from_micros(micros)), text);
    }
}
