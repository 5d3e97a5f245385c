//! Compiles the BPF programs with clang. Without clang the build goes on: the program then says that it was built without.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let object = out.join("entries.o");
    if let Err(reason) = compile(Path::new("bpf/entries.c"), &object) {
        println!("cargo::warning=without the kernel fast path ({reason}); install clang to build it");
        fs::write(&object, []).expect("OUT_DIR is writable");
    }
}

fn compile(source: &Path, object: &Path) -> Result<(), String> {
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let result = Command::new(&clang)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-c"])
        .arg(source)
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|error| format!("{} did not start: {error}", clang.to_string_lossy()))?;
    if result.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&result.stderr).replace('\n', " ")) }
}
