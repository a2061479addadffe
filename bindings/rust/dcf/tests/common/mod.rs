//! What the tests share: workers, tables, and a look at the end that nothing was left behind.
#![allow(dead_code, unreachable_pub)] // each test binary uses some of it

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use dcf::{Options, Worker};

/// How long a test waits for what has to come.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A worker that is alone.
pub fn alone() -> Worker {
    open(&Options::new())
}

pub fn open(options: &Options) -> Worker {
    static WATCH: Once = Once::new();
    // SAFETY: the function takes nothing and is there as long as the process.
    WATCH.call_once(|| unsafe { assert_eq!(libc::atexit(check_leaks), 0) });
    Worker::open(options).unwrap()
}

/// The value of a counter.
pub fn counter(worker: &Worker, name: &str) -> i64 {
    let stats = worker.stats().unwrap();
    let names = stats.column_by_name("name").unwrap().as_string::<i32>();
    let values = stats.column_by_name("value").unwrap().as_primitive::<Int64Type>();
    let peers = stats.column_by_name("peer").unwrap().as_primitive::<UInt64Type>();
    assert_eq!(peers.len(), names.len());
    let row = (0..names.len()).find(|row| names.value(*row) == name);
    values.value(row.unwrap_or_else(|| panic!("no counter {name}")))
}

/// At the end of the process all handles have to be given back. What was started and dropped may
/// take a moment.
extern "C" fn check_leaks() {
    let until = Instant::now() + DEADLINE;
    let worker = Worker::open(&Options::new()).unwrap();
    loop {
        let kinds = ["workers", "vertices", "udfs", "queues", "builders", "tickets"];
        let left = kinds.map(|kind| counter(&worker, &format!("handles.{kind}")));
        if left == [1, 0, 0, 0, 0, 0] {
            return;
        }
        if Instant::now() > until {
            eprintln!("left at the end: {kinds:?} {left:?}, but for one worker of this check");
            // SAFETY: ends the process.
            unsafe { libc::_exit(3) };
        }
        std::thread::yield_now();
    }
}

pub fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .unwrap()
}

pub fn numbers(values: impl Into<Int64Array>) -> RecordBatch {
    table(vec![("x", Arc::new(values.into()))])
}

/// A function that adds up the column x of each shard.
pub fn total() -> dcf::Udf {
    dcf::Udf::new("total")
        .calculate(|cx| {
            let x = cx.batch()?.column_by_name("x").ok_or_else(|| dcf::Failure::new("no x"))?;
            Ok(x.as_primitive::<Int64Type>().iter().flatten().sum::<i64>())
        })
        .merge(|parts: &[i64]| Ok(parts.iter().sum::<i64>()))
}

/// A switch that a function waits for, for as long as the test allows.
#[derive(Clone, Default)]
pub struct Latch(Arc<(std::sync::Mutex<(bool, bool)>, std::sync::Condvar)>);

impl Latch {
    fn change(&self, change: impl FnOnce(&mut (bool, bool))) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn wait_for(&self, what: impl Fn(&(bool, bool)) -> bool) {
        let state = self.0.0.lock().unwrap();
        let waited = self.0.1.wait_timeout_while(state, DEADLINE, |state| !what(state)).unwrap();
        assert!(!waited.1.timed_out(), "nobody came");
    }

    /// Says that it has been reached, and waits until it is opened.
    pub fn pass(&self) {
        self.change(|state| state.0 = true);
        self.wait_for(|state| state.1);
    }

    /// Waits until somebody is here.
    pub fn reached(&self) {
        self.wait_for(|state| state.0);
    }

    pub fn open(&self) {
        self.change(|state| state.1 = true);
    }
}

/// A function that waits at the latch, and from then on for its cancelling.
pub fn slow(latch: &Latch) -> dcf::Udf {
    let latch = latch.clone();
    dcf::Udf::new("slow").calculate(move |cx| {
        latch.pass();
        while !cx.cancelled() {
            std::thread::yield_now();
        }
        Ok(())
    })
}
