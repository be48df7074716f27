//! A Topic Filter against a Topic Name.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| squall_codec::fuzzing::topic_match(data));
