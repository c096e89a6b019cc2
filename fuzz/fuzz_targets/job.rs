//! The check of the same name, fed by libFuzzer.
#![no_main]

#[path = "../checks/job.rs"]
mod job;

libfuzzer_sys::fuzz_target!(|data: &[u8]| job::check(data));
