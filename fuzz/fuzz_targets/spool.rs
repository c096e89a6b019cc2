//! The check of the same name, fed by libFuzzer.
#![no_main]

#[path = "../checks/spool.rs"]
mod spool;

libfuzzer_sys::fuzz_target!(|data: &[u8]| spool::check(data));
