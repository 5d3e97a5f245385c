//! One server per data directory: a second one would close the sessions of the first as those of a process that was killed.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, bail};

/// Holds the directory for as long as the file is open.
///
/// # Errors
/// Another server has it, or its lock cannot be written.
pub(crate) fn take(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another causeway serves from the data directory {}: stop it, or give this one a directory of its own (--data-dir)",
            directory.display()
        ),
        // A file system without locks: nothing can be said.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "the data directory cannot be locked; see that no second server uses it");
            Ok(file)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_once_and_free_when_its_holder_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let held = take(directory.path()).unwrap();
        let refused = take(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("--data-dir") && refused.contains(&*directory.path().to_string_lossy()), "{refused}");
        drop(held);
        take(directory.path()).unwrap();
        assert!(take(&directory.path().join("nowhere")).is_err());
    }
}
