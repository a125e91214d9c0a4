//! Throws header instance at everything in the data plane that reads them. Must never panic, and never break a promise: see
//! `motet_proxy::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| motet_proxy::fuzzing::instance(input));
