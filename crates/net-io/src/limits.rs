//! What the system lets this process have.

use std::io;

/// Raises the number of descriptors this process may open to the most it may ask for; that number. Each relay socket
/// and client connection is one.
///
/// # Errors
/// As getrlimit(2).
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes into a live local of the right type.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: reads a live local of the right type.
    let refused = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } != 0;
    Ok(if refused { limit.rlim_cur } else { raised.rlim_cur })
}
