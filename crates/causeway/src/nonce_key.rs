//! The key that makes nonces stateless: configured for a fleet, else made once and kept.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use causeway_types::Secret;

/// Reads or makes the key.
pub(crate) fn load(configured: Option<&Secret<String>>, directory: &Path) -> anyhow::Result<Secret<[u8; 32]>> {
    if let Some(text) = configured {
        return decode(text.expose());
    }
    let path = directory.join("nonce.key");
    if let Ok(text) = fs::read_to_string(&path) {
        return decode(text.trim())
            .with_context(|| format!("{} is damaged; remove it to have a new one made", path.display()));
    }
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(hex::encode(key).as_bytes())?;
    Ok(Secret::new(key))
}

fn decode(text: &str) -> anyhow::Result<Secret<[u8; 32]>> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).context("it is not 64 hexadecimal digits")?;
    Ok(Secret::new(key))
}
