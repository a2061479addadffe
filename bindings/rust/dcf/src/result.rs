//! What comes back from a call.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::slice;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_schema::DataType;
use dcf_sys as sys;

use crate::arrow::import;
use crate::context::bytes_of;
use crate::error::{Effects, Error, Result};
use crate::part::{FromPart, Part};

/// Results of up to so many bytes need no memory of their own.
const BUFFER_BYTES: usize = 64;

/// The memory that a call's results are written to, which need not be initialised.
// In as few cache lines as can be: of each call some of the first bytes are written.
#[repr(align(64))]
pub(crate) struct Slot {
    more: MaybeUninit<sys::dcf_call_more>,
    error: MaybeUninit<sys::dcf_error>,
    buffer: [MaybeUninit<u8>; BUFFER_BYTES],
}

impl Slot {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            more: MaybeUninit::uninit(),
            error: MaybeUninit::uninit(),
            buffer: [MaybeUninit::uninit(); BUFFER_BYTES],
        }
    }

    /// Asks for vertices by their ids, which stay where they are.
    pub(crate) fn set_targets(&mut self, ids: *const sys::dcf_vertex_id) {
        // SAFETY: the memory is the slot's.
        unsafe { (*self.more.as_mut_ptr()).target_ids = ids };
    }

    /// Gives a table as arguments, which stays where it is.
    pub(crate) fn set_arguments(
        &mut self,
        schema: *const sys::ArrowSchema,
        array: *const sys::ArrowArray,
    ) {
        let more = self.more.as_mut_ptr();
        // SAFETY: as above.
        unsafe { ((*more).arguments_schema, (*more).arguments_array) = (schema, array) };
    }

    /// A call that points to this, which stays where it is as long as the call is used.
    #[inline]
    pub(crate) fn raw(&mut self) -> sys::dcf_call {
        // SAFETY: the memory is there; what `dcf.h` says of the results is all that is read of it.
        unsafe { sys::dcf_call_more::init(self.more.as_mut_ptr()) };
        sys::dcf_call {
            buffer: self.buffer.as_mut_ptr().cast(),
            buffer_size: BUFFER_BYTES,
            more: self.more.as_mut_ptr(),
            error: self.error.as_mut_ptr(),
            ..sys::dcf_call::INIT
        }
    }
}

/// A call that has ended. Its drop frees what was not taken out.
pub(crate) struct Answered<'m> {
    raw: &'m mut sys::dcf_call,
    slot: &'m mut Slot,
}

impl<'m> Answered<'m> {
    /// Of a call that the library has done with, and the slot that it was made of.
    #[inline]
    pub(crate) fn new(raw: &'m mut sys::dcf_call, slot: &'m mut Slot) -> Self {
        Self { raw, slot }
    }

    /// Gives the result.
    #[inline]
    pub(crate) fn take<R: FromResult>(mut self) -> Result<R> {
        self.get()
    }

    #[inline]
    fn get<R: FromResult>(&mut self) -> Result<R> {
        if self.raw.status == sys::DCF_OK as sys::dcf_status {
            R::from_answered(self)
        } else {
            Err(self.error())
        }
    }

    /// Gives the result of a call whose memory somebody else clears.
    #[inline]
    pub(crate) fn peek<R: FromResult>(raw: &'m mut sys::dcf_call, slot: &'m mut Slot) -> Result<R> {
        ManuallyDrop::new(Self { raw, slot }).get()
    }

    #[cold]
    fn error(&self) -> Error {
        // SAFETY: the library writes the error of a call that failed.
        let error = Error::from_raw(self.raw.status, unsafe { self.slot.error.assume_init_ref() });
        // SAFETY: the detail is there, and the call's, as long as that holds something.
        let detail = unsafe {
            let more = self.slot.more.as_ptr();
            if (*more).held == 0 { &[] } else { bytes_of((*more).error_detail) }
        };
        let detail = String::from_utf8_lossy(detail).into_owned();
        error.with_detail(detail, Effects::from_code(self.raw.effects))
    }

    /// The whole of a result in bytes.
    #[inline]
    fn bytes(&self) -> &[u8] {
        let size = self.raw.result_size;
        // SAFETY: the library has written so many bytes there.
        unsafe {
            if size <= BUFFER_BYTES {
                slice::from_raw_parts(self.slot.buffer.as_ptr().cast(), size)
            } else {
                bytes_of((*self.slot.more.as_ptr()).result_bytes)
            }
        }
    }

    #[inline]
    fn part(&mut self) -> Result<Part<'_>> {
        match u32::from(self.raw.result_kind) {
            sys::DCF_RESULT_NONE => Ok(Part::None),
            sys::DCF_RESULT_BYTES => Ok(Part::Bytes(self.bytes())),
            sys::DCF_RESULT_ARRAY => self.batch(),
            _ => Err(Error::invalid(
                "the function has no merge, so its parts come one by one: take them as dcf::Parts",
            )),
        }
    }

    fn batch(&mut self) -> Result<Part<'static>> {
        let more = self.slot.more.as_mut_ptr();
        // SAFETY: both are there and the call's, and are moved out, which leaves them released.
        let (schema, array) = unsafe {
            (
                FFI_ArrowSchema::from_raw((&raw mut (*more).result_schema).cast()),
                FFI_ArrowArray::from_raw((&raw mut (*more).result_array).cast()),
            )
        };
        if array.is_released() {
            return Err(Error::invalid("the result was taken already"));
        }
        import(&schema, array).map(Part::Batch)
    }

    fn parts<T: FromPart>(&mut self) -> Result<Vec<T>> {
        match u32::from(self.raw.result_kind) {
            sys::DCF_RESULT_PARTS => {}
            sys::DCF_RESULT_NONE => return Ok(Vec::new()),
            _ => return Ok(vec![T::from_part(self.part()?)?]),
        }
        let more = self.slot.more.as_mut_ptr();
        // SAFETY: the stream is there and the call's, and is moved out, which leaves it released.
        let stream =
            unsafe { FFI_ArrowArrayStream::from_raw((&raw mut (*more).result_parts).cast()) };
        let mut parts = Vec::new();
        for batch in RecordBatchStreamReader::try_new(stream)? {
            let batch = batch?;
            let field = batch.schema_ref().fields().first();
            // Parts that are bytes come as the rows of such a column, others as a batch each.
            if batch.num_columns() == 1
                && field
                    .is_some_and(|f| f.name() == "part" && *f.data_type() == DataType::LargeBinary)
            {
                for bytes in batch.column(0).as_binary::<i64>().iter() {
                    parts.push(T::from_part(Part::Bytes(bytes.unwrap_or_default()))?);
                }
            } else {
                parts.push(T::from_part(Part::Batch(batch))?);
            }
        }
        Ok(parts)
    }
}

/// Frees what a finished call holds.
#[inline]
pub(crate) fn clear(raw: &mut sys::dcf_call) {
    // SAFETY: a call that the library has done with, and that points to memory that is there.
    unsafe {
        if (*raw.more).held != 0 || raw.ticket != 0 {
            sys::dcf_call_clear(raw);
        }
    }
}

impl Drop for Answered<'_> {
    #[inline]
    fn drop(&mut self) {
        clear(self.raw);
    }
}

mod sealed {
    use super::{Answered, Result};

    pub trait Sealed: Sized {
        /// Whether the clock is read for such a call.
        const TIMED: bool = false;
        #[allow(private_interfaces)]
        fn from_answered(answered: &mut Answered<'_>) -> Result<Self>;
    }
}

/// What a call's result can be taken as: anything that is [`FromPart`], [`Parts`] of that, or an
/// [`Answer`].
pub trait FromResult: sealed::Sealed {}

impl<R: sealed::Sealed> FromResult for R {}

impl<T: FromPart> sealed::Sealed for T {
    #[inline]
    #[allow(private_interfaces)]
    fn from_answered(answered: &mut Answered<'_>) -> Result<Self> {
        T::from_part(answered.part()?)
    }
}

/// The parts of a function without a merge, one by one and in order.
///
/// ```
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let value = dcf::Udf::new("value").calculate(|cx| Ok(cx.value::<i64>()?)).register(&worker)?;
/// let vertices = [worker.put(None, 3i64)?, worker.put(None, 4i64)?];
/// let parts = worker.call(&value, &vertices).run::<dcf::Parts<i64>>()?;
/// assert_eq!(parts.0, [3, 4]);
/// # Ok::<(), dcf::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Parts<T>(pub Vec<T>);

impl<T: FromPart> sealed::Sealed for Parts<T> {
    #[allow(private_interfaces)]
    fn from_answered(answered: &mut Answered<'_>) -> Result<Self> {
        answered.parts().map(Self)
    }
}

/// How a call was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServedHow {
    /// In this process.
    InProcess,
    /// Over shared memory.
    SharedMemory,
    /// Over the network.
    Network,
}

/// A call's result and what is known about how it came about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer<R> {
    /// The result.
    pub value: R,
    /// Of a single target: the version that was read or made.
    pub version: u64,
    /// The node that folded the result.
    pub served_by: u64,
    /// How it was served.
    pub served_how: ServedHow,
    /// How long it took.
    pub elapsed: Duration,
    /// Bytes over shared memory or the network, both ways.
    pub bytes_moved: u64,
    /// Of those, vertex data that was brought to the function.
    pub bytes_fetched: u64,
    /// What was changed.
    pub effects: Effects,
}

impl<R: FromResult> sealed::Sealed for Answer<R> {
    const TIMED: bool = true;

    #[allow(private_interfaces)]
    fn from_answered(answered: &mut Answered<'_>) -> Result<Self> {
        let value = R::from_answered(answered)?;
        let more = answered.slot.more.as_ptr();
        // SAFETY: a call that was run has written all of these.
        Ok(unsafe {
            Self {
                value,
                version: (*more).result_version,
                served_by: (*more).served_by,
                served_how: match (*more).served_how {
                    0 => ServedHow::InProcess,
                    1 => ServedHow::SharedMemory,
                    _ => ServedHow::Network,
                },
                elapsed: Duration::from_nanos((*more).served_ns.max(0) as u64),
                bytes_moved: (*more).bytes_moved,
                bytes_fetched: (*more).bytes_fetched,
                effects: Effects::from_code(answered.raw.effects),
            }
        })
    }
}
