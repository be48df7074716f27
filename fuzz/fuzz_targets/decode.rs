//! A stream of bytes at a decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| squall_codec::fuzzing::decode(data));
