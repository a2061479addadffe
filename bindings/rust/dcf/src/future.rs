//! Calls under way, as futures.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::call::{Call, Tried, tried};
use crate::error::Result;
use crate::queue::{Queue, Started};
use crate::result::FromResult;
use crate::worker::Worker;

/// A call under way; [`Call::start`] gives it. Awaiting it gives the result; so does
/// [`CallFuture::wait`]. Dropping it asks the call to end early.
#[must_use = "dropping the future of a call asks the call to end early"]
pub struct CallFuture<R>(State<R>);

enum State<R> {
    /// Answered when it was started, or wrong; None once that was given.
    Done(Option<Result<R>>),
    Going(Going),
}

/// Nothing in it refers to where it lies.
impl<R> Unpin for CallFuture<R> {}

struct Going {
    queue: Arc<Queue>,
    started: Arc<Started>,
    /// Kept open as long as somebody waits.
    _worker: Worker,
}

impl<R: FromResult> CallFuture<R> {
    pub(crate) fn start(call: Call<'_>) -> Self {
        Self(State::start(call).unwrap_or_else(|error| State::Done(Some(Err(error)))))
    }

    /// Waits on this thread, for programs without an executor. Inside one it would block the thread
    /// that completes the call: await there.
    pub fn wait(mut self) -> Result<R> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(), // the call has a deadline, so this ends
            }
        }
    }

    /// Whether the call has ended, so that awaiting it gives the result at once.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            State::Done(_) => true,
            State::Going(going) => going.started.is_done(),
        }
    }
}

impl<R: FromResult> State<R> {
    fn start(call: Call<'_>) -> Result<Self> {
        let (worker, request) = call.into_request()?;
        let request = match tried(worker, request)? {
            Tried::Answered(result) => return Ok(Self::Done(Some(result))),
            Tried::Not(request) => request,
        };
        let queue = worker.queues().current(worker)?;
        let started = queue.start(request)?;
        Ok(Self::Going(Going { queue, started, _worker: worker.clone() }))
    }
}

impl<R: FromResult> Future for CallFuture<R> {
    type Output = Result<R>;

    /// Panics when it is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Done(result) => {
                Poll::Ready(result.take().expect("a future is polled until it is ready"))
            }
            State::Going(going) => going.started.poll(context.waker()),
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.queue.give_up(&self.started);
    }
}
