//! The check of the same name, fed by libFuzzer.
#![no_main]

#[path = "../checks/ctl.rs"]
mod ctl;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ctl::check(data));
