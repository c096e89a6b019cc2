//! The check of the same name, fed by libFuzzer.
#![no_main]

#[path = "../checks/dates.rs"]
mod dates;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dates::check(data));
