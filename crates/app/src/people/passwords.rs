//! Passwords as they are kept: argon2id, with the parameters in the stored text.

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _, password_hash::phc::PasswordHash};
use aws_lc_rs::rand;
use tokio::sync::Semaphore;

/// Hashes at once: each takes 19 MiB and tens of milliseconds of one processor.
const AT_ONCE_MAX: usize = 2;
/// Those that may wait for that; one more is turned away.
const WAITING_MAX: usize = 64;

/// Somebody has to come again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Does the work away from the threads that answer requests.
#[derive(Debug)]
pub(crate) struct Passwords {
    waiting: Semaphore,
    working: Semaphore,
    /// What a password of somebody unknown is compared with, so that it takes as long.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let nobody = hash("nobody has this one").unwrap_or_default();
        Self { waiting: Semaphore::new(WAITING_MAX), working: Semaphore::new(AT_ONCE_MAX), nobody }
    }

    /// As it is stored.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Busy> {
        let password = password.to_owned();
        self.work(move || hash(&password)).await?.ok_or(Busy)
    }

    /// Whether a password is the stored one; with none stored it is wrong after the same work.
    pub(crate) async fn is_right(&self, password: &str, stored: Option<&str>) -> Result<bool, Busy> {
        let (password, is_known) = (password.to_owned(), stored.is_some());
        let stored = stored.unwrap_or(&self.nobody).to_owned();
        let is_same = self.work(move || verify(&password, &stored)).await?;
        Ok(is_same && is_known)
    }

    async fn work<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Busy)?;
        let _working = self.working.acquire().await.map_err(|_| Busy)?;
        tokio::task::spawn_blocking(task).await.map_err(|_| Busy)
    }
}

fn hash(password: &str) -> Option<String> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).ok()?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

fn verify(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_kept_as_argon2id_with_a_salt_of_its_own() {
        let passwords = Passwords::new();
        let stored = passwords.hash("correct horse").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, passwords.hash("correct horse").await.unwrap());
        assert_eq!(passwords.is_right("correct horse", Some(&stored)).await, Ok(true));
        assert_eq!(passwords.is_right("Correct horse", Some(&stored)).await, Ok(false));
    }

    #[tokio::test]
    async fn nobody_has_a_password_and_neither_has_a_damaged_row() {
        let passwords = Passwords::new();
        assert!(verify("nobody has this one", &passwords.nobody), "the same work is done");
        assert_eq!(passwords.is_right("nobody has this one", None).await, Ok(false));
        assert_eq!(passwords.is_right("", Some("")).await, Ok(false));
    }

    #[tokio::test]
    async fn when_too_many_wait_one_more_is_turned_away() {
        let passwords = Passwords::new();
        let all = passwords.waiting.try_acquire_many(64).unwrap();
        assert_eq!(passwords.hash("correct horse").await, Err(Busy));
        drop(all);
        assert!(passwords.hash("correct horse").await.is_ok());
    }
}
