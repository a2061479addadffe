//! How callbacks fail: by an error or a panic, which both become the failure of their call.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::error::Error as StdError;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use dcf_sys as sys;

use crate::error::Status;

/// Why a callback failed. Any error becomes one by `?`; [`Failure::new`] makes one of a text.
///
/// The call fails with [`Status::UdfFailed`] unless [`Failure::status`] says otherwise. The first
/// line is the error's message; causes and backtrace are its detail.
///
/// ```
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let strict = dcf::Udf::new("strict")
///     .calculate(|cx| {
///         let text = std::str::from_utf8(cx.arguments())?; // any error
///         text.parse::<u8>().map_err(|e| dcf::Failure::new(format!("{text:?}: {e}")))
///     })
///     .register(&worker)?;
/// let vertex = worker.put(None, ())?;
/// let error = worker.call(&strict, &vertex).arguments(b"300").run::<u8>().unwrap_err();
/// assert_eq!(error.status(), dcf::Status::UdfFailed);
/// assert!(error.message().contains("\"300\": number too large"), "{error}");
/// # Ok::<(), dcf::Error>(())
/// ```
// It is no Error itself: else it could not be made of every other one.
pub struct Failure {
    status: Status,
    text: String,
}

impl Failure {
    /// A failure with this text, whose first line is the message.
    pub fn new(text: impl Into<String>) -> Self {
        Self { status: Status::UdfFailed, text: text.into() }
    }

    /// Makes the call fail with another status.
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Tells the library, and gives what the callback returns.
    pub(crate) fn report(&self, output: *mut sys::dcf_output) -> sys::dcf_status {
        let text = sys::dcf_bytes::new(self.text.as_bytes());
        // SAFETY: the output is that of the callback that runs; the text is copied.
        unsafe { (*(*output).api).fail.expect("libdcf fills its table")(output, text) };
        self.status as sys::dcf_status
    }
}

impl<E: StdError + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(&format!("\ncaused by: {inner}"));
            cause = inner.source();
        }
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("\n{backtrace}"));
        }
        Self::new(text)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has panics of callbacks write down where they happened. The hook of before runs all the same.
pub(crate) fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if DEPTH.get() > 0 {
                let payload = panic.payload();
                let text = payload.downcast_ref::<&str>().copied();
                let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                let said = text.unwrap_or("a value that is no text");
                let place = panic.location().map(ToString::to_string).unwrap_or_default();
                let backtrace = Backtrace::capture();
                let backtrace = match backtrace.status() {
                    BacktraceStatus::Captured => backtrace.to_string(),
                    _ => "set RUST_BACKTRACE=1 where it ran for a backtrace".into(),
                };
                let text = format!("panicked at {place}: {said}\n{backtrace}");
                PANIC.replace(Some(text));
            }
            before(panic);
        }));
    });
}

/// Runs a callback, and makes a failure of a panic.
#[inline]
pub(crate) fn catch(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    DEPTH.set(DEPTH.get() + 1);
    // What a callback left half done is its own: the library and this crate see none of it.
    let ended = panic::catch_unwind(AssertUnwindSafe(run));
    DEPTH.set(DEPTH.get() - 1);
    ended.unwrap_or_else(|payload| Err(of_panic(payload)))
}

#[cold]
fn of_panic(payload: Box<dyn Any + Send>) -> Failure {
    // Its drop may panic again, which would end the process.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
    Failure::new(PANIC.take().unwrap_or_else(|| "panicked".into()))
}
