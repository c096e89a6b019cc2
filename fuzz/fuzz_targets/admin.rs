//! The check of the same name, fed by libFuzzer.
#![no_main]

#[path = "../checks/admin.rs"]
mod admin;

libfuzzer_sys::fuzz_target!(|data: &[u8]| admin::check(data));
