//! The check of the same name, fed by libFuzzer.
#![no_main]

#[path = "../checks/dns.rs"]
mod dns;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dns::check(data));
