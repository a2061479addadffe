//! Queues of started calls, and who completes them: a thread, or a tokio runtime.

use std::cell::UnsafeCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use dcf_sys as sys;

use crate::call::{Lent, Request};
use crate::error::{Error, Result, Status, call};
use crate::library::is_forked;
use crate::result::{Answered, FromResult, Slot, clear};
use crate::worker::{Worker, locked};

/// How many finished calls are taken at once.
const MAX_POLL: usize = 64;

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
    request: Request<'static>,
    lent: Lent,
}

// SAFETY: `memory` is the library's alone until the stage is Done or Closed, and after that of the
// one future that asks for the result, or of the last owner. All it holds may change threads.
unsafe impl Send for Started {}
// SAFETY: as above; all else is atomic or behind a lock.
unsafe impl Sync for Started {}

impl Started {
    fn new(request: Request<'_>) -> Result<Arc<Self>> {
        let request = request.into_owned();
        let lent = request.lend()?;
        let mut started = Arc::<Self>::new_uninit();
        let place = Arc::get_mut(&mut started).expect("it is new").as_mut_ptr();
        // SAFETY: all fields are written where they will stay; to move them would cost as much as a
        // call does.
        unsafe {
            (&raw mut (*place).ticket).write(AtomicU64::new(0));
            (&raw mut (*place).stage).write(Mutex::new(Stage::Going(None)));
            let memory = UnsafeCell::raw_get(&raw const (*place).memory);
            (&raw mut (*memory).request).write(request);
            (&raw mut (*memory).lent).write(lent);
            let mut raw = (*memory).request.raw(&mut (*memory).lent, &mut (*memory).slot);
            raw.user_data = place.cast();
            (&raw mut (*memory).raw).write(raw);
            Ok(started.assume_init())
        }
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

/// One queue of the library. Exactly one driver takes what has finished.
pub(crate) struct Queue {
    handle: sys::dcf_queue,
    going: Mutex<Going>,
    closed: AtomicBool,
    /// Ends the driver.
    stop: Mutex<Option<Box<dyn Fn() + Send>>>,
}

/// The calls that the library has, by their addresses, which are their user_data.
#[derive(Default)]
struct Going {
    calls: HashMap<usize, Arc<Started>>,
    /// Taken by the driver before who started them came to enter them.
    early: HashSet<usize>,
    /// The queue was closed, and its calls were ended.
    closed: bool,
}

impl Queue {
    fn open(worker: &Worker) -> Result<Arc<Self>> {
        let mut handle = sys::dcf_queue { handle: 0 };
        // SAFETY: a handle by value and a place for the answer.
        call(|error| unsafe { sys::dcf_queue_open(worker.raw(), &mut handle, error) })?;
        let (going, closed, stop) = Default::default();
        Ok(Arc::new(Self { handle, going, closed, stop }))
    }

    /// Starts a call.
    pub(crate) fn start(&self, request: Request<'_>) -> Result<Arc<Started>> {
        let started = Started::new(request)?;
        let memory = started.memory.get();
        // The library's share of it, which the driver takes back.
        let shared = Arc::into_raw(started.clone());
        // SAFETY: a call at a fixed place, which its share keeps there.
        let submitted = call(|error| unsafe {
            sys::dcf_queue_submit(self.handle, &raw mut (*memory).raw, 1, error)
        });
        if let Err(error) = submitted {
            // SAFETY: the library did not take it.
            drop(unsafe { Arc::from_raw(shared) });
            return Err(error);
        }
        // SAFETY: the library wrote the ticket before the call could end; then it writes 0, which is
        // no ticket.
        let ticket = unsafe { AtomicU64::from_ptr(&raw mut (*memory).raw.ticket) };
        started.ticket.store(ticket.load(Ordering::Relaxed), Ordering::Relaxed);
        self.enter(&started);
        Ok(started)
    }

    /// Enters a call that the library has, unless the driver was faster.
    fn enter(&self, started: &Arc<Started>) {
        let key = Arc::as_ptr(started) as usize;
        let mut going = locked(&self.going);
        if going.early.remove(&key) {
            return;
        }
        if going.closed {
            drop(going);
            return started.end(Stage::Closed); // the library may still refer to its share
        }
        going.calls.insert(key, started.clone());
    }

    /// Sets what ends the driver.
    fn stop_by(&self, stop: impl Fn() + Send + 'static) {
        *locked(&self.stop) = Some(Box::new(stop));
        if self.closed.load(Ordering::Acquire)
            && let Some(stop) = locked(&self.stop).take()
        {
            stop();
        }
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
    fn take(&self) -> Result<usize> {
        let mut done = [ptr::null_mut(); MAX_POLL];
        let mut count = 0;
        // SAFETY: a handle by value, and room for so many.
        call(|error| unsafe {
            let room = done.as_mut_ptr();
            sys::dcf_queue_poll(self.handle, room, MAX_POLL, -1, &mut count, error)
        })?;
        for raw in &done[..count] {
            self.taken(*raw).end(Stage::Done);
        }
        Ok(count)
    }

    /// Takes the library's share of a call back.
    fn taken(&self, raw: *mut sys::dcf_call) -> Arc<Started> {
        // SAFETY: the user_data of a call of this queue is such a share, and each comes back once.
        let started = unsafe { Arc::from_raw((*raw).user_data.cast::<Started>()) };
        let key = Arc::as_ptr(&started) as usize;
        let mut going = locked(&self.going);
        if going.calls.remove(&key).is_none() {
            going.early.insert(key);
        }
        started
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
        if let Some(stop) = locked(&self.stop).take() {
            stop();
        }
        let calls = {
            let mut going = locked(&self.going);
            going.closed = true;
            std::mem::take(&mut going.calls)
        };
        for started in calls.into_values() {
            if closed.is_ok() {
                // SAFETY: the library refers to none of these any more, so its share is given back.
                // Else a callback never returned, and what its call refers to must stay.
                drop(unsafe { Arc::from_raw(Arc::as_ptr(&started)) });
            }
            started.end(Stage::Closed);
        }
        Ok(())
    }

    /// Completes calls on a thread, until the queue is closed.
    fn drive_by_thread(self: Arc<Self>) -> Result<()> {
        let failed =
            |error: io::Error| Error::new(Status::Exhausted, format!("no thread: {error}"));
        let (ready, wake) = (self.descriptor()?, stop_event().map_err(failed)?);
        let woken = wake.try_clone().map_err(failed)?;
        let queue = self.clone();
        let drive = move || {
            while wait(&ready, &woken) {
                while queue.take().is_ok_and(|count| count > 0) {}
            }
        };
        thread::Builder::new().name("dcf-completions".into()).spawn(drive).map_err(failed)?;
        // Where a runtime drove it before, that has ended, and its stop does nothing any more.
        self.stop_by(move || set(&wake));
        Ok(())
    }

    /// A descriptor of our own that is readable while the queue has something: who looks at it may
    /// do so for a moment longer than the queue lives.
    fn descriptor(&self) -> Result<OwnedFd> {
        let mut fd = -1;
        // SAFETY: a handle by value and a place for the answer.
        call(|error| unsafe { sys::dcf_queue_fd(self.handle, &mut fd, error) })?;
        // SAFETY: it is open as long as the queue, which its users do not close meanwhile.
        let lent = unsafe { BorrowedFd::borrow_raw(fd) };
        let own = lent.try_clone_to_owned();
        own.map_err(|error| Error::new(Status::Exhausted, format!("no descriptor: {error}")))
    }
}

/// A descriptor that becomes readable when it is [`set`].
fn stop_event() -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set(event: &OwnedFd) {
    // SAFETY: the descriptor is open; eight bytes are what an eventfd takes.
    unsafe { libc::write(event.as_raw_fd(), (&raw const ONE).cast(), size_of::<u64>()) };
}
static ONE: u64 = 1;

/// Waits until something is ready, or says that it is time to stop.
fn wait(ready: &OwnedFd, stop: &OwnedFd) -> bool {
    let poll = |fd: &OwnedFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut both = [poll(ready), poll(stop)];
    // SAFETY: two open descriptors. It waits until the worker is closed, as its thread does.
    unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
    both[1].revents == 0
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
        let own = queue.descriptor()?;
        // SAFETY: an OwnedFd is the same open descriptor as long as it lives.
        let readable = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        let readable = readable.map_err(|error| {
            let error = std::io::Error::from(error);
            Error::new(Status::Exhausted, format!("the queue's descriptor: {error}"))
        })?;
        let driver = Driver { queue: queue.clone(), readable };
        let task = Handle::current().spawn(driver.run());
        let task = task.abort_handle();
        queue.stop_by(move || task.abort());
        Ok(())
    }

    struct Driver {
        queue: Arc<Queue>,
        readable: AsyncFd<OwnedFd>,
    }

    impl Driver {
        async fn run(self) {
            while let Ok(mut ready) = self.readable.readable().await {
                match self.queue.take() {
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
