//! Times and sizes in words, the same in every message, record and diagram.

use std::time::Duration;

/// "2 s", "200 ms", "1.5 s", "40 µs".
pub(crate) fn duration(time: Duration) -> String {
    let micros = time.as_micros();
    let (unit, name) = match micros {
        1_000_000.. => (1_000_000, "s"),
        1_000.. => (1_000, "ms"),
        0 => return "0 s".to_owned(),
        _ => (1, "µs"),
    };
    let digits = if unit == 1_000_000 { 6 } else { 3 };
    let fraction = format!("{:0digits$}", micros % unit);
    match fraction.trim_end_matches('0') {
        "" => format!("{} {name}", micros / unit),
        fraction => format!("{}.{fraction} {name}", micros / unit),
    }
}

/// "1 byte", "12 bytes".
pub(crate) fn bytes(count: usize) -> String {
    match count {
        1 => "1 byte".to_owned(),
        _ => format!("{count} bytes"),
    }
}

/// "800 bytes/s", "no bound".
pub(crate) fn rate(bytes_per_second: u64) -> String {
    match bytes_per_second {
        0 => "no bound".to_owned(),
        1 => "1 byte/s".to_owned(),
        count => format!("{count} bytes/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
