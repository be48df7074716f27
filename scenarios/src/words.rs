//! Times and sizes in words, the same in every message, record and diagram.

use std::time::Duration;

/// "2 s", "200 ms", "1.5 s", "40 µs".
pub fn duration(time: Duration) -> String {
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
pub fn bytes(count: usize) -> String {
    match count {
        1 => "1 byte".to_owned(),
        _ => format!("{count} bytes"),
    }
}

/// "800 bytes/s", "no bound".
pub fn rate(bytes_per_second: u64) -> String {
    match bytes_per_second {
        0 => "no bound".to_owned(),
        1 => "1 byte/s".to_owned(),
        count => format!("{count} bytes/s"),
    }
}
