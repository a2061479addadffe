//! What holds for the whole process: that the library is the right one, and that this is no fork.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use dcf_sys as sys;

use crate::error::{Error, Result, Status};

static FORKED: AtomicBool = AtomicBool::new(false);

/// Runs in a forked child, where only what is safe in a signal handler may happen.
extern "C" fn forked() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Whether this process is a forked child: the library's threads stayed behind.
#[inline]
pub(crate) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Refuses to go on in a forked child, where the library hangs.
#[inline]
pub(crate) fn usable() -> Result<()> {
    if is_forked() { Err(Error::forked()) } else { Ok(()) }
}

/// Checks the library once, before the first worker.
pub(crate) fn check() -> Result<()> {
    static LOADED: OnceLock<u32> = OnceLock::new();
    let loaded = *LOADED.get_or_init(|| {
        // SAFETY: the handler touches an atomic only, and lives as long as the process.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
        // SAFETY: takes nothing and gives a number.
        unsafe { sys::dcf_abi_version() }
    });
    usable()?;
    compatible(loaded)
}

fn compatible(loaded: u32) -> Result<()> {
    let (major, minor) = (loaded >> 16, loaded & 0xffff);
    if major == sys::DCF_ABI_MAJOR && minor >= sys::DCF_ABI_MINOR {
        return Ok(());
    }
    Err(Error::new(
        Status::Unsupported,
        format!(
            "libdcf has ABI {major}.{minor}, and this program was built for {}.{}: install the libdcf \
             that it was built with, or build it again",
            sys::DCF_ABI_MAJOR,
            sys::DCF_ABI_MINOR
        ),
    ))
}

/// The version of the library that is loaded, as `"0.1.0+gitsha"`.
///
/// ```
/// assert!(dcf::version().starts_with("0."));
/// ```
pub fn version() -> &'static str {
    // SAFETY: the library gives a static text with a NUL at its end.
    let text = unsafe { std::ffi::CStr::from_ptr(sys::dcf_version()) };
    text.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_abi_is_refused() {
        assert!(compatible(sys::DCF_ABI_VERSION).is_ok());
        assert!(compatible(sys::DCF_ABI_VERSION + 1).is_ok(), "a higher minor only adds");
        let error = compatible(sys::DCF_ABI_VERSION + 0x1_0000).unwrap_err();
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("install the libdcf"), "{error}");
    }
}
