//! bench/c/measure.h, bench/c/client.h and bench/floors/floors.h, for Rust.

use std::ffi::{CString, c_char, c_int, c_void};
use std::time::Duration;

/// Runs so many operations.
type Run<'a> = &'a mut dyn FnMut(usize);

/// One series of a case.
pub(crate) struct Series<'a> {
    pub(crate) name: &'static str,
    pub(crate) run: Run<'a>,
    /// In one operation: times are given per call.
    pub(crate) calls: usize,
}

#[repr(C)]
struct RawSeries {
    name: *const c_char,
    run: unsafe extern "C" fn(*mut c_void, c_int, usize) -> i64,
    context: *mut c_void,
    threads: c_int,
    calls: usize,
}

#[repr(C)]
struct RawOptions {
    rounds: c_int,
    block_ns: i64,
    sample_ns: i64,
    settle_ns: i64,
}

/// What only C looks into.
#[repr(C)]
struct RawClient {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn measure_case(
        name: *const c_char,
        series: *const RawSeries,
        count: usize,
        options: *const RawOptions,
    );
    fn measure_once(name: *const c_char, series: *const c_char, ns: i64);
    fn client_new(worker: u64) -> *mut RawClient;
    fn client_run(client: *mut RawClient, thread: c_int, operations: usize) -> i64;
    fn client_free(client: *mut RawClient);
    fn bench_floor_callback(
        function: unsafe extern "C" fn(usize, u64) -> u64,
        user_data: usize,
        argument: u64,
    ) -> u64;
}

unsafe extern "C" fn run(context: *mut c_void, _: c_int, operations: usize) -> i64 {
    // SAFETY: the context is what `case` gave, which is there until it returns.
    let run = unsafe { &mut *context.cast::<Run<'_>>() };
    run(operations);
    0
}

/// Measures the series in turn, and prints the blocks.
pub(crate) fn case(name: &str, rounds: i32, series: &mut [Series<'_>]) {
    let text = |text: &str| CString::new(text).expect("a name has no NUL");
    let names: Vec<CString> = series.iter().map(|one| text(one.name)).collect();
    let raw: Vec<RawSeries> = series
        .iter_mut()
        .zip(&names)
        .map(|(one, name)| RawSeries {
            name: name.as_ptr(),
            run,
            context: (&raw mut one.run).cast(),
            threads: 1,
            calls: one.calls,
        })
        .collect();
    let options = RawOptions {
        rounds,
        block_ns: 0,
        sample_ns: 0,
        settle_ns: 0,
    };
    // SAFETY: all that is pointed to outlives the call, which is all on this thread.
    unsafe { measure_case(text(name).as_ptr(), raw.as_ptr(), raw.len(), &options) };
}

/// Prints one operation that was timed elsewhere as a block of its own.
pub(crate) fn once(name: &str, took: Duration) {
    let text = |text: &str| CString::new(text).expect("a name has no NUL");
    let ns = i64::try_from(took.as_nanos()).expect("less than centuries");
    // SAFETY: the texts outlive the call.
    unsafe { measure_once(text(name).as_ptr(), text("product").as_ptr(), ns) };
}

/// A client in C, which ends the process where something fails.
pub(crate) struct CClient(*mut RawClient);

impl CClient {
    /// One that calls by the same worker, which knows the function.
    pub(crate) fn new(worker: &dcf::Worker) -> Self {
        // SAFETY: the worker is open, and outlives the client.
        Self(unsafe { client_new(worker.raw().handle) })
    }

    pub(crate) fn run(&mut self, operations: usize) {
        // SAFETY: it is there, and used by one thread at a time.
        unsafe { client_run(self.0, 0, operations) };
    }

    /// Checks that calls went over shared memory.
    pub(crate) fn close(self) {
        // SAFETY: nobody uses it after this.
        unsafe { client_free(self.0) };
    }
}

unsafe extern "C" fn add(user_data: usize, argument: u64) -> u64 {
    // SAFETY: the number is the address of a u64 that outlives the call.
    argument + unsafe { *(user_data as *const u64) }
}

/// Rust into Go into a Rust function and back.
pub(crate) fn callback(value: &u64, argument: u64) -> u64 {
    // SAFETY: the function is called before this returns.
    unsafe { bench_floor_callback(add, std::ptr::from_ref(value) as usize, argument) }
}
