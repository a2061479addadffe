//! Many calls in one crossing into the library.

use dcf_sys as sys;

use crate::call::{Call, Lent, Request};
use crate::error::{Error, Result, call};
use crate::result::{Answered, FromResult, Slot, clear};
use crate::worker::Worker;

/// Calls that run together, in one crossing into the library; [`Worker::calls`] gives them. They can
/// be run again, which costs less than to prepare them anew.
///
/// ```
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let square = dcf::Udf::new("square")
///     .calculate(|cx| Ok(cx.value::<i64>()?.pow(2)))
///     .register(&worker)?;
/// let vertices = [worker.put(None, 3i64)?, worker.put(None, 4i64)?];
/// let mut calls = worker.calls(vertices.iter().map(|v| worker.call(&square, v)))?;
/// calls.run()?;
/// let squares: Vec<i64> = calls.results().collect::<dcf::Result<_>>()?;
/// assert_eq!(squares, [9, 16]);
/// # Ok::<(), dcf::Error>(())
/// ```
pub struct Calls<'a> {
    worker: &'a Worker,
    raw: Box<[Raw]>,
    /// What raw points to: not to be moved.
    slots: Box<[Slot]>,
    _requests: Box<[(Request<'a>, Lent)]>,
    has_run: bool,
}

/// A call in two cache lines.
#[repr(C, align(64))]
struct Raw(sys::dcf_call);

// SAFETY: it points to memory that it owns and that nobody else knows, and to Arrow data, which may
// be freed on any thread. While the library uses it, `run` has it borrowed.
unsafe impl Send for Calls<'_> {}

impl<'a> Calls<'a> {
    pub(crate) fn new(
        worker: &'a Worker,
        calls: impl IntoIterator<Item = Call<'a>>,
    ) -> Result<Self> {
        let prepare = |call: Call<'a>| {
            let (of, request) = call.into_request()?;
            if of.raw().handle != worker.raw().handle {
                return Err(Error::invalid("a call of another worker: make it of this one"));
            }
            let lent = request.lend()?;
            Ok((request, lent))
        };
        let mut requests: Box<[_]> = calls.into_iter().map(prepare).collect::<Result<_>>()?;
        let mut slots: Box<[_]> = requests.iter().map(|_| Slot::new()).collect();
        let raw = requests.iter_mut().zip(&mut slots);
        let raw = raw.map(|((request, lent), slot)| Raw(request.raw(lent, slot))).collect();
        Ok(Self { worker, raw, slots, _requests: requests, has_run: false })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Runs all. What became of each is in its result; an error says why none ran.
    pub fn run(&mut self) -> Result<()> {
        // What they hold is freed when they run again, but a ticket would stay.
        self.raw.iter_mut().map(|raw| &mut raw.0).filter(|raw| raw.ticket != 0).for_each(clear);
        self.has_run = true;
        let (worker, count) = (self.worker.raw(), self.raw.len());
        // SAFETY: what the calls point to is owned by this, on the heap.
        call(|error| unsafe {
            sys::dcf_call_run(worker, self.raw.as_mut_ptr().cast(), count, error)
        })
        .inspect_err(|_| self.has_run = false)
    }

    /// Gives the result of one. A table can be taken once, numbers and bytes as often as wanted.
    /// Panics where there is no such call.
    pub fn result<R: FromResult>(&mut self, index: usize) -> Result<R> {
        if !self.has_run {
            return Err(Error::invalid("the calls did not run: call Calls::run first"));
        }
        Answered::peek(&mut self.raw[index].0, &mut self.slots[index])
    }

    /// Gives the results in order.
    pub fn results<R: FromResult>(&mut self) -> impl Iterator<Item = Result<R>> {
        (0..self.len()).map(|index| self.result(index))
    }
}

impl Drop for Calls<'_> {
    fn drop(&mut self) {
        self.raw.iter_mut().for_each(|raw| clear(&mut raw.0));
    }
}
