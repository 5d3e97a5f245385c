//! Sees to it that there is a folder to embed, and that this crate is built again when the console was.

use std::path::Path;

fn main() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console/dist");
    // Empty where the console was not built: the program then says how to build it. Sources that cannot be written to
    // simply have no console to embed.
    if let Err(error) = std::fs::create_dir_all(&built) {
        println!("cargo::warning=no folder for the console: {error}");
    }
    println!("cargo::rerun-if-changed={}", built.display());
    println!("cargo::rerun-if-changed=build.rs");
}
