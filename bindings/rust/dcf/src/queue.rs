//! Queues of started calls, and who completes them: a thread, or a tokio runtime.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use dcf_sys as sys;

use crate::call::{Prepared, Request};
use crate::error::{Error, Result, Status, call};
use crate::library::is_forked;
use crate::result::{Answered, FromResult, Slot, clear};
use crate::worker::{Worker, locked};

/// How many finished calls are taken at once.
const MAX_POLL: usize = 64;
/// How long the thread of a queue sleeps before it looks again: a queue that is closed wakes it.
const POLL_NS: i64 = 60_000_000_000;

/// Where a started call stands.
enum Stage {
    Going(Option<Waker>),
    Done,
    /// Its queue was closed first.
    Closed,
}

/// A started call, at a fixed place, shared by its future and its queue.
pub(crate) struct Started {
    memory: UnsafeCell<Memory>,
    ticket: AtomicU64,
    stage: Mutex<Stage>,
}

struct Memory {
    raw: sys::dcf_call,
    slot: Slot,
    _prepared: Prepared<'static>,
}

// SAFETY: `memory` is the library's alone until the stage is Done or Closed, and after that of the
// one future that asks for the result, or of the last owner. All it holds may change threads.
unsafe impl Send for Started {}
// SAFETY: as above; all else is atomic or behind a lock.
unsafe impl Sync for Started {}

impl Started {
    fn new(request: Request<'_>) -> Result<Arc<Self>> {
        let prepared = Prepared::new(request.into_owned())?;
        let memory = Memory { raw: sys::dcf_call::INIT, slot: Slot::new(), _prepared: prepared };
        let mut started = Arc::new(Self {
            memory: UnsafeCell::new(memory),
            ticket: AtomicU64::new(0),
            stage: Mutex::new(Stage::Going(None)),
        });
        let address = Arc::as_ptr(&started);
        let memory = Arc::get_mut(&mut started).expect("it is new").memory.get_mut();
        // Now that it lies where it will stay.
        memory.raw = memory._prepared.raw(&mut memory.slot);
        memory.raw.user_data = address.cast_mut().cast();
        Ok(started)
    }

    /// Ends it, and wakes who waits.
    fn end(&self, stage: Stage) {
        let before = std::mem::replace(&mut *locked(&self.stage), stage);
        if let Stage::Going(Some(waker)) = before {
            waker.wake();
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        !matches!(*locked(&self.stage), Stage::Going(_))
    }

    /// Gives the result once it is there. For the one future of this call.
    pub(crate) fn poll<R: FromResult>(&self, waker: &Waker) -> Poll<Result<R>> {
        match &mut *locked(&self.stage) {
            Stage::Going(known) => {
                if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    *known = Some(waker.clone());
                }
                return Poll::Pending;
            }
            Stage::Closed => {
                let text = "the worker was closed during the call";
                return Poll::Ready(Err(Error::new(Status::Cancelled, text)));
            }
            Stage::Done => {}
        }
        // SAFETY: the library has done with it, and this future alone asks.
        let memory = unsafe { &mut *self.memory.get() };
        Poll::Ready(Answered::new(&mut memory.raw, &mut memory.slot).take())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        clear(&mut self.memory.get_mut().raw);
    }
}

/// One queue of the library. Exactly one driver polls it.
pub(crate) struct Queue {
    handle: sys::dcf_queue,
    /// Those that were not polled, by their addresses, which are the calls' user_data.
    going: Mutex<HashMap<usize, Arc<Started>>>,
    closed: AtomicBool,
    #[cfg(feature = "tokio")]
    task: std::sync::OnceLock<tokio::task::AbortHandle>,
}

impl Queue {
    fn open(worker: &Worker) -> Result<Arc<Self>> {
        let mut handle = sys::dcf_queue { handle: 0 };
        // SAFETY: a handle by value and a place for the answer.
        call(|error| unsafe { sys::dcf_queue_open(worker.raw(), &mut handle, error) })?;
        Ok(Arc::new(Self {
            handle,
            going: Mutex::default(),
            closed: AtomicBool::new(false),
            #[cfg(feature = "tokio")]
            task: std::sync::OnceLock::new(),
        }))
    }

    pub(crate) fn start(&self, request: Request<'_>) -> Result<Arc<Started>> {
        let started = Started::new(request)?;
        let key = Arc::as_ptr(&started) as usize;
        locked(&self.going).insert(key, started.clone());
        let memory = started.memory.get();
        // SAFETY: a call at a fixed place, which `going` keeps there until it comes back.
        let submitted = call(|error| unsafe {
            sys::dcf_queue_submit(self.handle, &raw mut (*memory).raw, 1, error)
        });
        if let Err(error) = submitted {
            locked(&self.going).remove(&key);
            return Err(error);
        }
        // SAFETY: the library wrote the ticket before the call could end, and takes it back when it
        // does: both are ours to see, and a ticket that has gone is refused.
        let ticket = unsafe { AtomicU64::from_ptr(&raw mut (*memory).raw.ticket) };
        started.ticket.store(ticket.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(started)
    }

    /// Asks a call to end early, whose answer nobody wants.
    pub(crate) fn give_up(&self, started: &Started) {
        if started.is_done() || is_forked() {
            return;
        }
        let ticket = started.ticket.load(Ordering::Relaxed);
        // SAFETY: numbers by value. One that has ended meanwhile is refused, which is fine.
        let _ = call(|error| unsafe { sys::dcf_queue_cancel(self.handle, ticket, error) });
    }

    /// Takes finished calls and wakes who waits for them; gives how many they were.
    fn poll(&self, timeout_ns: i64) -> Result<usize> {
        let mut done = [ptr::null_mut(); MAX_POLL];
        let mut count = 0;
        // SAFETY: a handle by value, and room for so many.
        call(|error| unsafe {
            let room = done.as_mut_ptr();
            sys::dcf_queue_poll(self.handle, room, MAX_POLL, timeout_ns, &mut count, error)
        })?;
        for raw in &done[..count] {
            // SAFETY: it is a call of this queue, which `going` keeps.
            let key = unsafe { (**raw).user_data } as usize;
            let started = locked(&self.going).remove(&key);
            started.expect("a call comes back once").end(Stage::Done);
        }
        Ok(count)
    }

    /// Cancels what is under way and waits for it. From inside a callback nothing happens.
    fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // SAFETY: a handle by value.
        let closed = call(|error| unsafe { sys::dcf_queue_close(self.handle, error) });
        if let Err(Error::Unsupported(_)) = closed {
            self.closed.store(false, Ordering::Release);
            return closed;
        }
        #[cfg(feature = "tokio")]
        if let Some(task) = self.task.get() {
            task.abort();
        }
        for started in std::mem::take(&mut *locked(&self.going)).into_values() {
            if closed.is_err() {
                // A callback never returned, and what its call refers to must stay.
                std::mem::forget(started.clone());
            }
            started.end(Stage::Closed);
        }
        Ok(())
    }

    /// Completes calls on a thread, until the queue is closed.
    fn drive_by_thread(self: Arc<Self>) -> Result<()> {
        let builder = thread::Builder::new().name("dcf-completions".into());
        let drive = move || while self.poll(POLL_NS).is_ok() {};
        match builder.spawn(drive) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new(Status::Exhausted, format!("no thread: {error}"))),
        }
    }
}

/// Whose loop completes calls: a runtime's, or that of a thread.
#[cfg(feature = "tokio")]
type Runtime = Option<tokio::runtime::Id>;
#[cfg(not(feature = "tokio"))]
type Runtime = Option<std::convert::Infallible>;

/// The queues of a worker: one for each runtime that starts calls, and one for all else.
#[derive(Default)]
pub(crate) struct Queues(Mutex<Vec<(Runtime, Arc<Queue>)>>);

impl Queues {
    /// The queue of whoever asks; the first one brings it into being.
    pub(crate) fn current(&self, worker: &Worker) -> Result<Arc<Queue>> {
        let runtime = current_runtime();
        let mut queues = locked(&self.0);
        if let Some((_, queue)) = queues.iter().find(|(of, _)| *of == runtime) {
            return Ok(queue.clone());
        }
        let queue = Queue::open(worker)?;
        drive(&queue, runtime.is_some()).inspect_err(|_| drop(queue.close()))?;
        queues.push((runtime, queue.clone()));
        Ok(queue)
    }

    /// Ends all that is under way. From inside a callback nothing happens.
    pub(crate) fn close(&self) -> Result<()> {
        loop {
            // Without the lock: who waits is woken meanwhile, and may start another call.
            let Some((runtime, queue)) = locked(&self.0).pop() else { return Ok(()) };
            if let Err(error) = queue.close() {
                locked(&self.0).push((runtime, queue));
                return Err(error);
            }
        }
    }
}

#[cfg(not(feature = "tokio"))]
fn current_runtime() -> Runtime {
    None
}

#[cfg(not(feature = "tokio"))]
fn drive(queue: &Arc<Queue>, _: bool) -> Result<()> {
    queue.clone().drive_by_thread()
}

#[cfg(feature = "tokio")]
use by_tokio::{current_runtime, drive};

#[cfg(feature = "tokio")]
mod by_tokio {
    use std::os::fd::{BorrowedFd, OwnedFd};

    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::runtime::Handle;

    use super::*;

    pub(super) fn current_runtime() -> Runtime {
        Handle::try_current().ok().map(|runtime| runtime.id())
    }

    pub(super) fn drive(queue: &Arc<Queue>, in_runtime: bool) -> Result<()> {
        if !in_runtime {
            return queue.clone().drive_by_thread();
        }
        let own = descriptor(queue)?;
        // SAFETY: an OwnedFd is the same open descriptor as long as it lives.
        let readable = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        let readable = readable.map_err(|error| {
            let error = std::io::Error::from(error);
            Error::new(Status::Exhausted, format!("the queue's descriptor: {error}"))
        })?;
        let driver = Driver { queue: queue.clone(), readable };
        let task = Handle::current().spawn(driver.run());
        let _ = queue.task.set(task.abort_handle());
        Ok(())
    }

    /// A descriptor of our own that is readable while the queue has something: the runtime may look
    /// at it for a moment longer than the queue lives.
    fn descriptor(queue: &Queue) -> Result<OwnedFd> {
        let mut fd = -1;
        // SAFETY: a handle by value and a place for the answer.
        call(|error| unsafe { sys::dcf_queue_fd(queue.handle, &mut fd, error) })?;
        // SAFETY: it is open as long as the queue, which nobody closes before it is returned.
        let lent = unsafe { BorrowedFd::borrow_raw(fd) };
        let own = lent.try_clone_to_owned();
        own.map_err(|error| Error::new(Status::Exhausted, format!("no descriptor: {error}")))
    }

    struct Driver {
        queue: Arc<Queue>,
        readable: AsyncFd<OwnedFd>,
    }

    impl Driver {
        async fn run(self) {
            while let Ok(mut ready) = self.readable.readable().await {
                match self.queue.poll(-1) {
                    Ok(0) => ready.clear_ready(),
                    Ok(_) => {}
                    Err(_) => return, // it was closed
                }
            }
        }
    }

    /// The runtime may end before the queue: then a thread goes on.
    impl Drop for Driver {
        fn drop(&mut self) {
            if !self.queue.closed.load(Ordering::Acquire) && !is_forked() {
                let _ = self.queue.clone().drive_by_thread();
            }
        }
    }
}
