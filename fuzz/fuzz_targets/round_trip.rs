//! A packet there and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| squall_codec::fuzzing::round_trip(data));
