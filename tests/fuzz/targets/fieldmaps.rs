//! See `checks::fieldmaps`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: neuro_preprocess_fuzz::one_thread(), |bytes: &[u8]| {
    neuro_preprocess_fuzz::fieldmaps(bytes);
});
