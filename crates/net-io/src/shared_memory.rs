//! Memory of a descriptor, mapped: what the kernel and this process both write, word by word.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    ptr::NonNull,
    slice,
    sync::atomic::AtomicU64,
};

/// A shared mapping of whole 64-bit words, until it is dropped.
#[derive(Debug)]
pub struct SharedMemory {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only ever reached as atomics.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Maps the first `words` words of `descriptor`, to be read and written.
    ///
    /// # Errors
    /// As mmap(2); an empty mapping is refused, too.
    pub fn map(descriptor: impl AsFd, words: usize) -> io::Result<Self> {
        let fd = descriptor.as_fd().as_raw_fd();
        // SAFETY: asks for a new mapping anywhere; nothing that exists is replaced. The result is checked.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), words * 8, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<AtomicU64>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, words })
    }

    /// All words. The kernel may write them at any time.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `words` words long and lives as long as `self`. Writers beside this process are
        // the kernel's, and those write whole words.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` got; no reference to it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * 8) };
    }
}

/// CLOCK_MONOTONIC in nanoseconds: the clock of [`std::time::Instant`], as the kernel counts it.
///
/// # Errors
/// As clock_gettime(2).
pub fn monotonic_nanos() -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes into a live local of the right type.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(nanos).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::{io::Read, sync::atomic::Ordering};

    use super::*;

    #[test]
    fn what_is_written_through_the_mapping_is_in_the_file_and_the_clock_only_goes_on() {
        let mut file = std::fs::File::options();
        let path = std::env::temp_dir().join(format!("causeway-shared-{}", std::process::id()));
        let mut file = file.read(true).write(true).create(true).truncate(true).open(&path).expect("a file");
        std::fs::remove_file(&path).expect("its name goes");
        file.set_len(16).expect("room");
        let memory = SharedMemory::map(&file, 2).expect("a mapping");
        memory.words()[1].store(7, Ordering::Relaxed);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("readable");
        assert_eq!(bytes, [0_u64.to_ne_bytes(), 7_u64.to_ne_bytes()].concat());
        assert!(SharedMemory::map(&file, 0).is_err());
        let first = monotonic_nanos().expect("a clock");
        assert!(monotonic_nanos().expect("a clock") >= first && first > 0);
    }
}
