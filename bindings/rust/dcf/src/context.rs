//! What callbacks see, and where they say what they want.

use std::cell::OnceCell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use dcf_sys as sys;

use crate::arrow::{Exported, copy_borrowed, import_from};
use crate::error::{Error, Result, Status};
use crate::part::{FromPart, IntoPart, IntoValue, Part};
use crate::vertex::Identified;
use crate::vertex_id::VertexId;

/// How loud a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// For those who look for a fault.
    Debug = -4,
    /// What goes on.
    Info = 0,
    /// What should be looked at.
    Warn = 4,
    /// What went wrong.
    Error = 8,
}

/// A status that an effect or a part met, as an error.
#[inline]
fn taken(status: sys::dcf_status, what: &str) -> Result<()> {
    if status == sys::DCF_OK as sys::dcf_status { Ok(()) } else { Err(refused(status, what)) }
}

#[cold]
fn refused(status: sys::dcf_status, what: &str) -> Error {
    let status = Status::from_code(status);
    Error::new(status, format!("{what} was refused with {}: {}", status.name(), status.hint()))
}

/// The output of the callback that runs. Neither Send nor Sync: it belongs to that thread.
pub(crate) struct Output<'a> {
    raw: *mut sys::dcf_output,
    callback: PhantomData<&'a ()>,
}

/// Calls a function of the output's table.
macro_rules! ask {
    ($output:expr, $function:ident, $($argument:expr),*) => {{
        let raw = $output.raw;
        // SAFETY: the output and its table are the library's while the callback runs, which `'a`
        // is; what is lent to the function is copied or taken over before it returns.
        unsafe { (*(*raw).api).$function.expect("libdcf fills its table")(raw $(, $argument)*) }
    }};
}

impl Output<'_> {
    /// # Safety
    /// `raw` is the output of a callback that runs as long as `'a`.
    pub(crate) unsafe fn new(raw: *mut sys::dcf_output) -> Self {
        Self { raw, callback: PhantomData }
    }

    #[inline]
    pub(crate) fn give(&self, part: impl IntoPart) -> Result<()> {
        part.with_part(|part| match part {
            Part::None => Ok(()),
            Part::Bytes(bytes) => taken(ask!(self, bytes, sys::dcf_bytes::new(bytes)), "the part"),
            Part::Batch(batch) => {
                let mut out = Exported::of(Some(&batch))?;
                taken(ask!(self, array, out.schema(), out.array()), "the part")
            }
        })?
    }
}

/// What `calculate` is given: its vertex, the arguments, and where effects and spawns go.
///
/// Effects concern the vertex that the function runs on, and appear together after it returned
/// `Ok`; they need [`Udf::updates`](crate::Udf::updates).
pub struct Context<'a> {
    input: &'a sys::dcf_udf_input,
    output: Output<'a>,
    /// The value where it could not be cached in its version.
    own: OnceCell<RecordBatch>,
}

/// Names the views of this crate among those that are cached with a version.
static VIEW: u8 = 0;

unsafe extern "C" fn free_view(view: *mut std::ffi::c_void) {
    // SAFETY: it was made by Context::batch, and the library frees it once.
    drop(unsafe { Box::from_raw(view.cast::<RecordBatch>()) });
}

impl<'a> Context<'a> {
    /// # Safety
    /// Both belong to a callback that runs as long as `'a`.
    #[inline]
    pub(crate) unsafe fn new(input: &'a sys::dcf_udf_input, output: *mut sys::dcf_output) -> Self {
        // SAFETY: as promised by the caller.
        Self { input, output: unsafe { Output::new(output) }, own: OnceCell::new() }
    }

    pub(crate) fn output(&self) -> &Output<'a> {
        &self.output
    }

    // ---- The vertex

    /// The id of the vertex that it runs on.
    #[inline]
    pub fn id(&self) -> VertexId {
        VertexId::from_bytes(self.input.vertex.bytes)
    }

    /// The version of the vertex that it sees.
    #[inline]
    pub fn version(&self) -> u64 {
        self.input.version
    }

    /// Whether the vertex is another worker's, and its value was brought here.
    #[inline]
    pub fn is_remote(&self) -> bool {
        self.input.vertex_kind == sys::DCF_VERTEX_REMOTE
    }

    /// Whether the vertex has a value.
    #[inline]
    pub fn has_value(&self) -> bool {
        !self.input.schema.is_null()
    }

    /// The value, without a copy. It is made once for each version of a vertex, so asking again
    /// costs little. A clone of it keeps the version in memory. A vertex without a value is
    /// [`Error::NotFound`].
    #[inline]
    pub fn batch(&self) -> Result<&RecordBatch> {
        // SAFETY: the input is that of the running callback, and the key a static address.
        let cached = unsafe { sys::dcf_input_view(self.input, (&raw const VIEW).cast()) };
        if cached.is_null() {
            return self.first_batch();
        }
        // SAFETY: under this key lie batches of this crate; the version that keeps it is pinned
        // while the callback runs.
        Ok(unsafe { &*cached.cast::<RecordBatch>() })
    }

    /// The value where it is not cached yet.
    #[cold]
    fn first_batch(&self) -> Result<&RecordBatch> {
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let batch = self.import()?;
        let view = Box::into_raw(Box::new(batch.clone())).cast();
        // SAFETY: as above. On DCF_OK the view is the library's, until it calls free_view.
        let status = unsafe {
            let key = (&raw const VIEW).cast();
            sys::dcf_input_set_view(self.input, key, view, Some(free_view))
        };
        if status != sys::DCF_OK as sys::dcf_status {
            // SAFETY: it was not taken over.
            unsafe { free_view(view) };
        }
        Ok(self.own.get_or_init(|| batch))
    }

    fn import(&self) -> Result<RecordBatch> {
        if !self.has_value() {
            return Err(Error::new(Status::NotFound, "the vertex has no value"));
        }
        import_from(|schema, array| {
            // SAFETY: the input is that of the running callback; both outs are empty structs.
            let status = unsafe { sys::dcf_input_export(self.input, schema, array) };
            taken(status, "a view of the value")
        })
    }

    /// The value of a vertex that holds one: a table of one row and one column.
    ///
    /// ```
    /// let worker = dcf::Worker::open(&dcf::Options::default())?;
    /// let double = dcf::Udf::new("double")
    ///     .calculate(|cx| Ok(2 * cx.value::<i64>()?))
    ///     .register(&worker)?;
    /// let seven = worker.put("seven", 7i64)?;
    /// assert_eq!(worker.call(&double, &seven).run::<i64>()?, 14);
    /// # Ok::<(), dcf::Error>(())
    /// ```
    pub fn value<T: FromPart>(&self) -> Result<T> {
        let part = if self.has_value() { Part::Batch(self.batch()?.clone()) } else { Part::None };
        T::from_part(part)
    }

    /// The children of the vertex, in order.
    #[inline]
    pub fn children(&self) -> &[VertexId] {
        // SAFETY: the list is lent for the callback.
        unsafe { VertexId::slice(self.input.children, self.input.child_count) }
    }

    /// The vertices that have this one as a child. The index may lag.
    #[inline]
    pub fn parents(&self) -> &[VertexId] {
        // SAFETY: the list is lent for the callback.
        unsafe { VertexId::slice(self.input.parents, self.input.parent_count) }
    }

    // ---- The call

    /// The arguments of the call or spawn, where they are bytes; else empty.
    #[inline]
    pub fn arguments(&self) -> &[u8] {
        // SAFETY: they are lent for the callback.
        unsafe { bytes_of(self.input.arguments) }
    }

    /// The arguments as a value: a number, a table that is copied, or what else was given.
    ///
    /// ```
    /// let worker = dcf::Worker::open(&dcf::Options::default())?;
    /// let times = dcf::Udf::new("times")
    ///     .calculate(|cx| Ok(cx.value::<f64>()? * cx.argument::<f64>()?))
    ///     .register(&worker)?;
    /// let half = worker.put("half", 0.5)?;
    /// assert_eq!(worker.call(&times, &half).arguments(3.0).run::<f64>()?, 1.5);
    /// # Ok::<(), dcf::Error>(())
    /// ```
    pub fn argument<T: FromPart>(&self) -> Result<T> {
        // SAFETY: they are lent for the callback, and copied.
        let batch =
            unsafe { copy_borrowed(self.input.arguments_schema, self.input.arguments_array) }?;
        T::from_part(match batch {
            Some(batch) => Part::Batch(batch),
            None if self.input.arguments.size == 0 => Part::None,
            None => Part::Bytes(self.arguments()),
        })
    }

    /// The auxiliary bytes that the function was registered with.
    pub fn auxiliary(&self) -> &[u8] {
        // SAFETY: they are lent for the callback.
        unsafe { bytes_of(self.input.auxiliary) }
    }

    /// Whether nobody wants the answer any more: stop soon.
    #[inline]
    pub fn cancelled(&self) -> bool {
        // SAFETY: the library keeps the flag, which another thread may set, while this runs.
        let flag = unsafe { AtomicU32::from_ptr(self.input.cancelled.cast_mut()) };
        flag.load(Ordering::Relaxed) != 0
    }

    /// What is left of the call's time; `None` where no deadline is known.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.input.deadline_ns;
        (deadline != 0).then(|| {
            let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: writes the struct that it is given.
            unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
            let now = now.tv_sec * 1_000_000_000 + now.tv_nsec;
            Duration::from_nanos(deadline.saturating_sub(now).max(0) as u64)
        })
    }

    /// Writes a line to the log of the worker where it runs.
    pub fn log(&self, level: Level, text: &str) {
        ask!(self.output, log, level as i32, sys::dcf_bytes::new(text.as_bytes()));
    }

    // ---- What runs next

    /// Has this function run on another vertex, without arguments.
    pub fn spawn(&self, target: impl Identified) -> Result<()> {
        self.spawn_with(Spawn::new(target)?)
    }

    /// Has this or another function run on another vertex.
    pub fn spawn_with(&self, spawn: Spawn) -> Result<()> {
        let mut batch = Exported::of(spawn.batch.as_ref())?;
        let raw = sys::dcf_spawn {
            flags: if spawn.once { sys::DCF_SPAWN_ONCE } else { 0 },
            target: spawn.target.raw(),
            udf: sys::dcf_bytes::new(spawn.function.as_bytes()),
            arguments: sys::dcf_bytes::new(&spawn.arguments),
            arguments_schema: batch.schema(),
            arguments_array: batch.array(),
            ..sys::dcf_spawn::INIT
        };
        taken(ask!(self.output, spawn, &raw), "the spawn")
    }

    // ---- Effects

    /// Replaces the value; `()` leaves the vertex without one.
    pub fn set_value(&self, value: impl IntoValue) -> Result<()> {
        let mut value = Exported::of(value.into_value()?.as_ref())?;
        taken(ask!(self.output, set_value, value.schema(), value.array()), "set_value")
    }

    /// Makes a vertex without a name and appends it to the children; gives its id.
    pub fn add_child(&self, value: impl IntoValue) -> Result<VertexId> {
        self.add_named_child("", value)
    }

    /// Makes a vertex of this name and appends it to the children; gives its id.
    pub fn add_named_child(&self, name: &str, value: impl IntoValue) -> Result<VertexId> {
        let mut value = Exported::of(value.into_value()?.as_ref())?;
        let mut id = VertexId::default().raw();
        let name = sys::dcf_bytes::new(name.as_bytes());
        let status = ask!(self.output, add_child, name, value.schema(), value.array(), &mut id);
        taken(status, "add_child")?;
        Ok(VertexId::from_bytes(id.bytes))
    }

    /// Appends a vertex to the children.
    pub fn link(&self, child: impl Identified) -> Result<()> {
        taken(ask!(self.output, link, child.vertex_id()?.raw()), "link")
    }

    /// Takes a vertex out of the children.
    pub fn unlink(&self, child: impl Identified) -> Result<()> {
        taken(ask!(self.output, unlink, child.vertex_id()?.raw()), "unlink")
    }

    /// Deletes the vertex.
    pub fn remove(&self) -> Result<()> {
        taken(ask!(self.output, remove,), "remove")
    }
}

/// Bytes that the library lends.
///
/// # Safety
/// They stay as they are for `'a`.
pub(crate) unsafe fn bytes_of<'a>(bytes: sys::dcf_bytes) -> &'a [u8] {
    if bytes.size == 0 {
        return &[];
    }
    // SAFETY: as promised by the caller.
    unsafe { std::slice::from_raw_parts(bytes.data.cast(), bytes.size) }
}

/// A run of a function that a calculate asks for.
#[derive(Clone, Debug)]
pub struct Spawn {
    target: VertexId,
    function: String,
    arguments: Vec<u8>,
    batch: Option<RecordBatch>,
    once: bool,
}

impl Spawn {
    /// The running function on this vertex, without arguments.
    pub fn new(target: impl Identified) -> Result<Self> {
        let (function, arguments) = (String::new(), Vec::new());
        Ok(Self { target: target.vertex_id()?, function, arguments, batch: None, once: false })
    }

    /// Another function, by its name.
    pub fn function(mut self, name: &str) -> Self {
        self.function = name.into();
        self
    }

    /// Its arguments: a number, bytes or a table.
    pub fn arguments(mut self, arguments: impl IntoPart) -> Result<Self> {
        (self.arguments, self.batch) = arguments.with_part(|part| match part {
            Part::None => (Vec::new(), None),
            Part::Bytes(bytes) => (bytes.to_vec(), None),
            Part::Batch(batch) => (Vec::new(), Some(batch)),
        })?;
        Ok(self)
    }

    /// Runs once in the whole call for equal function, target and arguments.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

/// What `merge` and `finish` are given: parts, at least one; to `finish` exactly one.
pub struct MergeContext<'a> {
    input: &'a sys::dcf_merge_input,
    output: Output<'a>,
}

impl<'a> MergeContext<'a> {
    /// # Safety
    /// Both belong to a callback that runs as long as `'a`.
    pub(crate) unsafe fn new(
        input: &'a sys::dcf_merge_input,
        output: *mut sys::dcf_output,
    ) -> Self {
        // SAFETY: as promised by the caller.
        Self { input, output: unsafe { Output::new(output) } }
    }

    pub(crate) fn output(&self) -> &Output<'a> {
        &self.output
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.input.part_count
    }

    /// Always false: there is at least one part.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part at `index`; bytes without a copy. Panics where there is no such part.
    pub fn part(&self, index: usize) -> Result<Part<'_>> {
        assert!(index < self.len(), "part {index} of {}", self.len());
        let step = index * self.input.part_size as usize;
        // SAFETY: the parts are lent for the callback, and lie `part_size` bytes apart.
        let part = unsafe { &*self.input.parts.byte_add(step) };
        if part.schema.is_null() {
            // SAFETY: as above.
            return Ok(Part::Bytes(unsafe { bytes_of(part.bytes) }));
        }
        let batch = import_from(|schema, array| {
            // SAFETY: the input is that of the running callback; both outs are empty structs.
            let status = unsafe { sys::dcf_part_export(self.input, index, schema, array) };
            taken(status, "a view of a part")
        })?;
        Ok(Part::Batch(batch))
    }

    /// The parts, each made into a value.
    pub fn parts<T: FromPart>(&self) -> Result<Vec<T>> {
        (0..self.len()).map(|index| T::from_part(self.part(index)?)).collect()
    }

    /// The arguments of the call, where they are bytes; else empty.
    pub fn arguments(&self) -> &[u8] {
        // SAFETY: they are lent for the callback.
        unsafe { bytes_of(self.input.arguments) }
    }

    /// The auxiliary bytes that the function was registered with.
    pub fn auxiliary(&self) -> &[u8] {
        // SAFETY: they are lent for the callback.
        unsafe { bytes_of(self.input.auxiliary) }
    }
}
