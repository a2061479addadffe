//! Calls: what is asked for, and the memory that the library works with.

use std::borrow::Cow;
use std::ptr;
use std::time::Duration;

use arrow_array::RecordBatch;
use dcf_sys as sys;

use crate::arrow::Exported;
use crate::error::{Error, Result, call};
use crate::future::CallFuture;
use crate::part::{IntoPart, Part};
use crate::result::{Answered, FromResult, Slot};
use crate::vertex::Vertex;
use crate::vertex_id::VertexId;
use crate::worker::{Worker, nanoseconds};

/// Arguments of up to so many bytes need no memory of their own.
const INLINE_BYTES: usize = 32;

/// What [`Worker::call`] takes for a function: a [`Function`](crate::Function), one of
/// [`builtins`](crate::builtins), or a name.
pub trait Callable {
    #[doc(hidden)]
    fn resolve(&self, worker: &Worker) -> Result<sys::dcf_udf>;

    /// The arguments that it brings along.
    #[doc(hidden)]
    #[inline]
    fn arguments(self) -> Result<Arguments>
    where
        Self: Sized,
    {
        Ok(Arguments::None)
    }
}

impl Callable for &str {
    fn resolve(&self, worker: &Worker) -> Result<sys::dcf_udf> {
        worker.named(self)
    }
}

/// What a call is about.
#[doc(hidden)]
#[derive(Clone)]
pub enum Targets<'a> {
    One(&'a Vertex),
    Opened(Vertex),
    Many(Cow<'a, [Vertex]>),
    Ids(Cow<'a, [VertexId]>),
}

impl Targets<'_> {
    /// The same, with handles that live as long as needed.
    pub(crate) fn into_owned(self) -> Targets<'static> {
        match self {
            Self::One(vertex) => Targets::Opened(vertex.clone()),
            Self::Opened(vertex) => Targets::Opened(vertex),
            Self::Many(vertices) => Targets::Many(Cow::Owned(vertices.into_owned())),
            Self::Ids(ids) => Targets::Ids(Cow::Owned(ids.into_owned())),
        }
    }
}

/// What [`Worker::call`] takes for a target: a [`Vertex`], a [`VertexId`], a slice of them, or a
/// name.
pub trait IntoTargets<'a> {
    #[doc(hidden)]
    fn into_targets(self, worker: &Worker) -> Result<Targets<'a>>;
}

/// Targets that need nothing of the worker.
macro_rules! targets {
    ($($type:ty $(, $n:ident)?: |$target:ident| $targets:expr;)*) => {$(
        impl<'a $(, const $n: usize)?> IntoTargets<'a> for $type {
            #[inline]
            fn into_targets(self, _: &Worker) -> Result<Targets<'a>> {
                let $target = self;
                Ok($targets)
            }
        }
    )*};
}

targets! {
    &'a Vertex: |vertex| Targets::One(vertex);
    &'a [Vertex]: |vertices| Targets::Many(Cow::Borrowed(vertices));
    &'a Vec<Vertex>: |vertices| Targets::Many(Cow::Borrowed(vertices));
    &'a [Vertex; N], N: |vertices| Targets::Many(Cow::Borrowed(vertices));
    VertexId: |id| Targets::Ids(Cow::Owned(vec![id]));
    &'a [VertexId]: |ids| Targets::Ids(Cow::Borrowed(ids));
    &'a Vec<VertexId>: |ids| Targets::Ids(Cow::Borrowed(ids));
    &'a [VertexId; N], N: |ids| Targets::Ids(Cow::Borrowed(ids));
}

impl<'a> IntoTargets<'a> for &str {
    fn into_targets(self, worker: &Worker) -> Result<Targets<'a>> {
        worker.vertex(self).map(Targets::Opened)
    }
}

/// The arguments of a call.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Arguments {
    None,
    Inline([u8; INLINE_BYTES], usize),
    Bytes(Vec<u8>),
    Batch(RecordBatch),
}

impl Arguments {
    #[inline]
    fn of(arguments: impl IntoPart) -> Result<Self> {
        arguments.with_part(|part| match part {
            Part::None => Self::None,
            Part::Bytes(bytes) if bytes.len() <= INLINE_BYTES => {
                let mut inline = [0; INLINE_BYTES];
                inline[..bytes.len()].copy_from_slice(bytes);
                Self::Inline(inline, bytes.len())
            }
            Part::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            Part::Batch(batch) => Self::Batch(batch),
        })
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(bytes, size) => &bytes[..*size],
            Self::Bytes(bytes) => bytes,
            Self::None | Self::Batch(_) => &[],
        }
    }

    #[inline]
    fn batch(&self) -> Option<&RecordBatch> {
        if let Self::Batch(batch) = self { Some(batch) } else { None }
    }
}

/// What a call asks for.
pub(crate) struct Request<'a> {
    function: sys::dcf_udf,
    targets: Targets<'a>,
    arguments: Arguments,
    timeout_ns: i64,
    flags: u32,
}

impl Request<'_> {
    /// The same, with handles that live as long as needed.
    pub(crate) fn into_owned(self) -> Request<'static> {
        Request { targets: self.targets.into_owned(), ..self }
    }

    #[inline]
    pub(crate) fn lend(&self) -> Result<Lent> {
        let mut handles = Vec::new();
        if let Targets::Many(vertices) = &self.targets {
            handles.extend(vertices.iter().map(Vertex::raw));
        }
        Ok(Lent { handles, batch: Exported::of(self.arguments.batch())? })
    }

    /// The call as the library takes it. It points into all three, which stay where they are as long
    /// as it is used.
    #[inline]
    pub(crate) fn raw(&self, lent: &mut Lent, slot: &mut Slot) -> sys::dcf_call {
        let mut raw = sys::dcf_call {
            flags: self.flags,
            udf: self.function,
            timeout_ns: self.timeout_ns,
            arguments: sys::dcf_bytes::new(self.arguments.bytes()),
            ..slot.raw()
        };
        match &self.targets {
            Targets::One(vertex) => (raw.targets, raw.target_count) = (vertex.raw(), 1),
            Targets::Opened(vertex) => (raw.targets, raw.target_count) = (vertex.raw(), 1),
            Targets::Many(_) => {
                (raw.targets, raw.target_count) = (lent.handles.as_ptr(), lent.handles.len());
            }
            Targets::Ids(ids) => {
                slot.set_targets(ids.as_ptr().cast());
                (raw.targets, raw.target_count) = (ptr::null(), ids.len());
            }
        }
        if self.arguments.batch().is_some() {
            slot.set_arguments(lent.batch.schema(), lent.batch.array());
        }
        raw
    }
}

/// A call that is being prepared; [`Worker::call`] gives it, [`Call::run`] and [`Call::start`] make
/// it. What is wrong with its parts is said then.
#[must_use = "a call does nothing until it is run or started"]
pub struct Call<'a> {
    worker: &'a Worker,
    request: Request<'a>,
    wrong: Option<Error>,
}

impl<'a> Call<'a> {
    #[inline]
    pub(crate) fn new(
        worker: &'a Worker,
        function: impl Callable,
        target: impl IntoTargets<'a>,
    ) -> Self {
        let mut request = Request {
            function: sys::dcf_udf { handle: 0 },
            targets: Targets::Ids(Cow::Borrowed(&[])),
            arguments: Arguments::None,
            timeout_ns: 0,
            flags: 0,
        };
        let resolve = || {
            request.function = function.resolve(worker)?;
            request.targets = target.into_targets(worker)?;
            request.arguments = function.arguments()?;
            Ok(())
        };
        let wrong = resolve().err();
        Self { worker, request, wrong }
    }

    /// Its arguments: a number, bytes, text or a table.
    #[inline]
    pub fn arguments(mut self, arguments: impl IntoPart) -> Self {
        match Arguments::of(arguments) {
            Ok(arguments) => self.request.arguments = arguments,
            Err(error) => self.wrong = Some(error),
        }
        self
    }

    /// How long it may take; without it the worker's default.
    #[inline]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout_ns = nanoseconds(Some(timeout));
        self
    }

    /// Never moves the data: the function runs at the owner, or the call fails.
    #[inline]
    pub fn at_owner(mut self) -> Self {
        self.request.flags |= sys::DCF_CALL_AT_OWNER;
        self
    }

    /// Brings the data to this worker.
    #[inline]
    pub fn here(mut self) -> Self {
        self.request.flags |= sys::DCF_CALL_HERE;
        self
    }

    /// Reads the clock for this call, if `yes`.
    #[inline]
    pub(crate) fn timed(mut self, yes: bool) -> Self {
        self.request.flags |= if yes { sys::DCF_CALL_TIMED } else { 0 };
        self
    }

    /// What is asked for and of whom, or what is wrong with it.
    #[inline]
    pub(crate) fn into_request(mut self) -> Result<(&'a Worker, Request<'a>)> {
        self.check()?;
        Ok((self.worker, self.request))
    }

    /// Says what is wrong with its parts.
    #[inline]
    fn check(&mut self) -> Result<()> {
        self.wrong.take().map_or(Ok(()), Err)
    }

    /// Makes the call and gives its result: a number, bytes, text, a table, an
    /// [`Answer`](crate::Answer) with what is known about the call, or [`Parts`](crate::Parts).
    ///
    /// ```
    /// let worker = dcf::Worker::open(&dcf::Options::default())?;
    /// let seven = worker.put("seven", 7i64)?;
    /// let answer = worker.call("count", &seven).run::<dcf::Answer<i64>>()?;
    /// assert_eq!((answer.value, answer.bytes_moved), (1, 0));
    /// # Ok::<(), dcf::Error>(())
    /// ```
    #[inline]
    pub fn run<R: FromResult>(self) -> Result<R> {
        let mut asked = self.timed(R::TIMED);
        asked.check()?;
        let mut slot = Slot::new();
        let mut lent = asked.request.lend()?;
        let mut raw = asked.request.raw(&mut lent, &mut slot);
        // SAFETY: what the call points to lies in asked, lent and slot, which stay where they are.
        call(|error| unsafe { sys::dcf_call_run(asked.worker.raw(), &mut raw, 1, error) })?;
        Answered::new(&mut raw, &mut slot).take()
    }

    /// Starts the call and gives a future of its result, as [`Call::run`] would give it.
    ///
    /// It goes on by itself, whether or not the future is polled. Dropping the future asks the call
    /// to end early; effects that it has had stay.
    ///
    /// Any executor will do. With the feature `tokio`, inside a tokio runtime whose I/O is enabled,
    /// that runtime completes the call; elsewhere a thread of the worker does.
    ///
    /// ```
    /// let worker = dcf::Worker::open(&dcf::Options::default())?;
    /// let seven = worker.put("seven", 7i64)?;
    /// let future = worker.call("count", &seven).start::<i64>();
    /// assert_eq!(future.wait()?, 1); // or future.await
    /// # Ok::<(), dcf::Error>(())
    /// ```
    pub fn start<R: FromResult>(self) -> CallFuture<R> {
        CallFuture::start(self.timed(R::TIMED))
    }
}

/// What became of a call that was tried.
pub(crate) enum Tried<'a, R> {
    Answered(Result<R>),
    /// It is as it was: this thread cannot answer it without waiting.
    Not(Request<'a>),
}

/// Answers a call if this thread can do so without waiting.
#[inline]
pub(crate) fn tried<'a, R: FromResult>(
    worker: &Worker,
    request: Request<'a>,
) -> Result<Tried<'a, R>> {
    let mut slot = Slot::new();
    let mut lent = request.lend()?;
    let mut raw = request.raw(&mut lent, &mut slot);
    let mut done = 0;
    // SAFETY: what the call points to lies in request, lent and slot, which stay where they are.
    call(|error| unsafe { sys::dcf_call_try(worker.raw(), &mut raw, 1, &mut done, error) })?;
    Ok(match done {
        0 => Tried::Not(request),
        _ => Tried::Answered(Answered::new(&mut raw, &mut slot).take()),
    })
}

/// What a request lends to the library besides itself.
pub(crate) struct Lent {
    /// The handles of many targets side by side.
    handles: Vec<sys::dcf_vertex>,
    /// Arguments that are a table.
    batch: Exported,
}
