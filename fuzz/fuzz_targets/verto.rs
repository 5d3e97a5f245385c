#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    std::hint::black_box(causeway_sim::fuzz::verto::verto(data));
});
