//! Record batches over the Arrow C data interface, without copies but where it says so.

use std::ptr;
use std::sync::Arc;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StructArray};
use arrow_data::{ArrayData, ArrayDataBuilder};
use arrow_schema::{ArrowError, Field, Schema};
use dcf_sys as sys;

use crate::error::{Error, Result, Status, call};

// arrow-rs and dcf-sys each declare the structs of the C data interface. They are one layout, which
// is fixed by Arrow, so a pointer to one is a pointer to the other.
const _: () = {
    assert!(size_of::<FFI_ArrowArray>() == size_of::<sys::ArrowArray>());
    assert!(size_of::<FFI_ArrowSchema>() == size_of::<sys::ArrowSchema>());
    assert!(size_of::<FFI_ArrowArrayStream>() == size_of::<sys::ArrowArrayStream>());
};

/// A batch on its way into the library, or none. What was not taken over is released by its drop.
/// Boxed, as what holds one is moved about, and mostly there is none.
#[derive(Debug)]
pub(crate) struct Exported(Option<Box<(FFI_ArrowSchema, FFI_ArrowArray)>>);

impl Exported {
    #[inline]
    pub(crate) fn of(batch: Option<&RecordBatch>) -> Result<Self> {
        batch.map_or(Ok(Self(None)), Self::export)
    }

    fn export(batch: &RecordBatch) -> Result<Self> {
        let schema = FFI_ArrowSchema::try_from(batch.schema_ref().as_ref())?;
        let array = FFI_ArrowArray::new(&StructArray::from(batch.clone()).into_data());
        Ok(Self(Some(Box::new((schema, array)))))
    }

    pub(crate) fn schema(&mut self) -> *mut sys::ArrowSchema {
        self.0.as_mut().map_or(ptr::null_mut(), |both| ptr::from_mut(&mut both.0).cast())
    }

    pub(crate) fn array(&mut self) -> *mut sys::ArrowArray {
        self.0.as_mut().map_or(ptr::null_mut(), |both| ptr::from_mut(&mut both.1).cast())
    }
}

/// Takes a batch from a function of the library that exports one.
pub(crate) fn import_from(
    export: impl FnOnce(*mut sys::ArrowSchema, *mut sys::ArrowArray) -> Result<()>,
) -> Result<RecordBatch> {
    let mut schema = FFI_ArrowSchema::empty();
    let mut array = FFI_ArrowArray::empty();
    export(ptr::from_mut(&mut schema).cast(), ptr::from_mut(&mut array).cast())?;
    import(&schema, array)
}

/// Makes a batch of what the library exported, without a copy.
pub(crate) fn import(schema: &FFI_ArrowSchema, array: FFI_ArrowArray) -> Result<RecordBatch> {
    // SAFETY: libdcf has checked the array against its schema when it came in, and exports it whole.
    let data = unsafe { from_ffi(array, schema) }?;
    batch_of(schema, data)
}

fn batch_of(schema: &FFI_ArrowSchema, data: ArrayData) -> Result<RecordBatch> {
    let schema = Schema::try_from(schema)?;
    let options = RecordBatchOptions::new().with_row_count(Some(data.len()));
    let (_, columns, nulls) = StructArray::from(data).into_parts();
    if nulls.is_some_and(|nulls| nulls.null_count() > 0) {
        return Err(Error::new(Status::Corrupt, "rows that are null as a whole are no table"));
    }
    Ok(RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?)
}

/// Copies a batch that is lent only: a batch of arrow-rs can be kept by anybody who sees it.
///
/// # Safety
/// Both point to valid structs, or `schema` is null.
pub(crate) unsafe fn copy_borrowed(
    schema: *const sys::ArrowSchema,
    array: *const sys::ArrowArray,
) -> Result<Option<RecordBatch>> {
    unsafe extern "C" fn keep(_: *mut sys::ArrowArray) {}
    if schema.is_null() {
        return Ok(None);
    }
    // SAFETY: a shallow copy whose release does nothing; it ends before this function does.
    let (schema, data) = unsafe {
        let schema = &*schema.cast::<FFI_ArrowSchema>();
        let mut array = sys::ArrowArray { release: Some(keep), ..*array };
        let array = FFI_ArrowArray::from_raw(ptr::from_mut(&mut array).cast());
        (schema, from_ffi(array, schema)?)
    };
    batch_of(schema, copy(&data)).map(Some)
}

fn copy(data: &ArrayData) -> ArrayData {
    let nulls = data.nulls().map(|nulls| nulls.iter().collect());
    let buffers = data.buffers().iter().map(|b| b.as_slice().into()).collect();
    let builder = ArrayDataBuilder::new(data.data_type().clone())
        .len(data.len())
        .offset(data.offset())
        .nulls(nulls)
        .buffers(buffers)
        .child_data(data.child_data().iter().map(copy).collect());
    // SAFETY: it is a copy, part by part, of data that is valid.
    unsafe { builder.build_unchecked() }
}

/// Takes a stream from a function of the library that gives one.
pub(crate) fn stream_from(
    open: impl FnOnce(*mut sys::ArrowArrayStream, *mut sys::dcf_error) -> sys::dcf_status,
) -> Result<RecordBatchStreamReader> {
    let mut stream = FFI_ArrowArrayStream::empty();
    call(|error| open(ptr::from_mut(&mut stream).cast(), error))?;
    Ok(RecordBatchStreamReader::try_new(stream)?)
}

/// Makes one batch of a short table that comes as a stream.
pub(crate) fn table_from(
    open: impl FnOnce(*mut sys::ArrowArrayStream, *mut sys::dcf_error) -> sys::dcf_status,
) -> Result<RecordBatch> {
    let mut batches = stream_from(open)?;
    match (batches.next(), batches.next()) {
        (None, _) => Ok(RecordBatch::new_empty(batches.schema_of())),
        (Some(first), None) => Ok(first?),
        (Some(_), Some(_)) => {
            Err(Error::new(Status::Internal, "a table of libdcf came in more than one batch"))
        }
    }
}

trait SchemaOf {
    fn schema_of(&self) -> arrow_schema::SchemaRef;
}

impl SchemaOf for RecordBatchStreamReader {
    fn schema_of(&self) -> arrow_schema::SchemaRef {
        arrow_array::RecordBatchReader::schema(self)
    }
}

/// One value as a table of one row, whose column has no name: what Python gives for a number.
pub(crate) fn scalar(value: ArrayRef) -> Result<RecordBatch, ArrowError> {
    let field = Field::new("", value.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![value])
}
