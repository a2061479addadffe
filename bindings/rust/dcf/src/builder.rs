//! Tables that are filled in where they will lie.

use std::marker::PhantomData;
use std::{fmt, ptr, slice};

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::{Array, ArrowPrimitiveType, OffsetSizeTrait, PrimitiveArray};
use arrow_schema::{DataType, Field, Schema};
use dcf_sys as sys;

use crate::error::{Error, Result, call};
use crate::library::is_forked;
use crate::options::Put;
use crate::vertex::Vertex;
use crate::worker::Worker;

/// A table in the making, whose memory is the library's from the start; [`Worker::build`] makes it.
///
/// Columns have the numbers of Arrow IPC's field nodes: in pre-order, without what is in dictionaries;
/// where nothing is nested that is simply the number of the column. What can be built: types of fixed
/// width, bool, null, binary and utf8 with offsets of either size, dictionaries, and of these struct,
/// fixed-size lists, lists and maps.
///
/// What is not filled in holds anything, but offsets, which are zeros, and validity, where nothing is
/// null. The memory counts against the worker's limit. Dropping the builder gives it back; slices of
/// it cannot outlive the builder, nor be written to after the commit.
///
/// It is a number of the library, which may be used on any thread: so it is `Send` and `Sync`.
///
/// ```
/// use arrow_array::types::Float64Type;
/// use arrow_schema::{DataType, Field, Schema};
///
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let price = Field::new("price", DataType::Float64, false);
/// let mut builder = worker.build(&Schema::new(vec![price]), 3)?;
/// builder.column::<Float64Type>(0)?.copy_from_slice(&[2.0, 3.5, 1.0]);
/// let prices = builder.commit("prices")?;
/// assert_eq!(worker.call(&dcf::builtins::sum("price"), &prices).run::<f64>()?, 6.5);
/// # Ok::<(), dcf::Error>(())
/// ```
///
/// A builder is gone once it is committed:
///
/// ```compile_fail,E0382
/// # use arrow_array::types::Float64Type;
/// # fn late(mut builder: dcf::Builder) -> dcf::Result<()> {
/// builder.commit("prices")?;
/// builder.column::<Float64Type>(0)?[0] = 1.0;
/// # Ok(())
/// # }
/// ```
///
/// and so are the slices of its columns:
///
/// ```compile_fail,E0505
/// # use arrow_array::types::Float64Type;
/// # fn late(mut builder: dcf::Builder) -> dcf::Result<()> {
/// let prices = builder.column::<Float64Type>(0)?;
/// builder.commit("prices")?;
/// prices[0] = 1.0;
/// # Ok(())
/// # }
/// ```
pub struct Builder {
    handle: sys::dcf_builder, // 0: committed
    worker: Worker,
    fields: Vec<Field>, // by number
}

/// A commit that failed, with the builder as it was; `?` makes the [`Error`] of it.
#[derive(Debug)]
pub struct NotCommitted {
    /// Why.
    pub error: Error,
    /// To be corrected, and committed again. Boxed, as it is seldom wanted.
    pub builder: Box<Builder>,
}

impl fmt::Display for NotCommitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for NotCommitted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<NotCommitted> for Error {
    fn from(failed: NotCommitted) -> Self {
        failed.error
    }
}

impl Builder {
    pub(crate) fn open(worker: &Worker, schema: &Schema, rows: usize) -> Result<Self> {
        let exported = FFI_ArrowSchema::try_from(schema)?;
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let mut handle = sys::dcf_builder { handle: 0 };
        // SAFETY: a handle by value, and a schema that is borrowed for the call.
        call(|error| unsafe {
            let schema = ptr::from_ref(&exported).cast();
            sys::dcf_builder_open(worker.raw(), schema, rows, &mut handle, error)
        })?;
        let mut fields = Vec::new();
        schema.fields().iter().for_each(|field| number(field, &mut fields));
        Ok(Self { handle, worker: worker.clone(), fields })
    }

    /// The worker that it was made with.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The values of a column of numbers, dates, times or decimals, or the indices of a dictionary.
    pub fn column<T: ArrowPrimitiveType>(&mut self, column: usize) -> Result<&mut [T::Native]> {
        self.at(column, 0)?.into_values::<T>()
    }

    /// The bitmap of a column, where a set bit is a value that is not null.
    pub fn validity(&mut self, column: usize) -> Result<&mut [u8]> {
        self.at(column, 0)?.into_validity()
    }

    /// The offsets and bytes of a column of texts or binary, with room for so many bytes at least.
    /// `O` is `i32`, or `i64` for the large types. What was there before is kept.
    pub fn text<O: OffsetSizeTrait>(
        &mut self,
        column: usize,
        capacity: usize,
    ) -> Result<(&mut [O], &mut [u8])> {
        self.at(column, capacity)?.into_text()
    }

    /// The offsets of a column of lists or maps, whose child then has room for so many values.
    pub fn list<O: OffsetSizeTrait>(&mut self, column: usize, capacity: usize) -> Result<&mut [O]> {
        self.at(column, capacity)?.into_offsets()
    }

    /// Gives a column of indices the values that they mean, of the type that the schema says.
    pub fn dictionary(&mut self, column: usize, values: &dyn Array) -> Result<()> {
        if let Some(DataType::Dictionary(_, wanted)) = self.fields.get(column).map(Field::data_type)
            && wanted.as_ref() != values.data_type()
        {
            return Err(Error::invalid(format!(
                "column {:?}: its dictionary is of {wanted}, not of {}",
                self.fields[column].name(),
                values.data_type()
            )));
        }
        let mut array = FFI_ArrowArray::new(&values.to_data());
        // SAFETY: a handle by value; the array is moved, or freed by its drop.
        call(|error| unsafe {
            let array = ptr::from_mut(&mut array).cast();
            sys::dcf_builder_dictionary(self.handle, column, array, error)
        })
    }

    /// All columns, nested ones too, to be written to at the same time, on several threads if need be.
    ///
    /// Texts and lists have the room that [`Builder::text`] and [`Builder::list`] made.
    pub fn columns(&mut self) -> Result<Vec<ColumnMut<'_>>> {
        (0..self.fields.len()).map(|column| self.raw(column, 0)).collect()
    }

    fn at(&mut self, column: usize, capacity: usize) -> Result<ColumnMut<'_>> {
        self.raw(column, capacity)
    }

    /// Whoever calls it sees to it that there is one [`ColumnMut`] of a column at a time.
    fn raw(&self, column: usize, capacity: usize) -> Result<ColumnMut<'_>> {
        let capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
        let mut raw = sys::dcf_column::INIT;
        // SAFETY: a handle by value, and a struct for the answer.
        call(|error| unsafe {
            sys::dcf_builder_column(self.handle, column, capacity, &mut raw, error)
        })?;
        Ok(ColumnMut { field: &self.fields[column], raw, memory: PhantomData })
    }

    /// Checks what was filled in and makes a vertex of it here, without a copy. The name may be
    /// `None`.
    ///
    /// Where it fails nothing was published, and the error has the builder. Offsets, indices and text
    /// that are wrong are [`Error::InvalidArgument`], which says column and value.
    pub fn commit<'n>(self, name: impl Into<Option<&'n str>>) -> Result<Vertex, NotCommitted> {
        self.commit_with(name, &Put::new())
    }

    /// Commits as the options say: on another node, or as a group of shards.
    pub fn commit_with<'n>(
        mut self,
        name: impl Into<Option<&'n str>>,
        options: &Put,
    ) -> Result<Vertex, NotCommitted> {
        let raw = options.raw(name.into());
        let handle = self.handle;
        // SAFETY: the options outlive this call; nothing else has the memory, as slices of it borrow
        // the builder.
        let committed = Vertex::opened(&self.worker, |out, error| unsafe {
            sys::dcf_builder_commit(handle, &raw, ptr::null_mut(), out, error)
        });
        match committed {
            Ok(vertex) => {
                self.handle.handle = 0;
                Ok(vertex)
            }
            Err(error) => Err(NotCommitted { error, builder: Box::new(self) }),
        }
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        if self.handle.handle != 0 && !is_forked() {
            // SAFETY: a handle by value.
            let _ = call(|error| unsafe { sys::dcf_builder_abort(self.handle, error) });
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("fields", &self.fields).finish_non_exhaustive()
    }
}

/// Numbers a field and what is below it.
fn number(field: &Field, fields: &mut Vec<Field>) {
    fields.push(field.clone());
    match field.data_type() {
        DataType::Struct(below) => below.iter().for_each(|child| number(child, fields)),
        DataType::List(child)
        | DataType::LargeList(child)
        | DataType::FixedSizeList(child, _)
        | DataType::Map(child, _) => number(child, fields),
        _ => {}
    }
}

/// A column of a [`Builder`], to be written to.
///
/// ```
/// use arrow_array::types::Int64Type;
/// use arrow_schema::{DataType, Field, Schema};
///
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let fields = ["a", "b"].map(|name| Field::new(name, DataType::Int64, false));
/// let mut builder = worker.build(&Schema::new(fields.to_vec()), 100)?;
/// let mut columns = builder.columns()?.into_iter();
/// let a = columns.next().unwrap().into_values::<Int64Type>()?;
/// let b = columns.next().unwrap().into_values::<Int64Type>()?;
/// for (row, (a, b)) in a.iter_mut().zip(b).enumerate() {
///     *a = row as i64;
///     *b = -*a;
/// }
/// assert_eq!(builder.commit(None)?.info()?.rows, 100);
/// # Ok::<(), dcf::Error>(())
/// ```
pub struct ColumnMut<'b> {
    field: &'b Field,
    raw: sys::dcf_column,
    memory: PhantomData<&'b mut [u8]>,
}

// SAFETY: it stands for memory that it alone has, as `&mut [u8]` does.
unsafe impl Send for ColumnMut<'_> {}
// SAFETY: sharing it gives nothing away: what gives memory takes it by value.
unsafe impl Sync for ColumnMut<'_> {}

impl<'b> ColumnMut<'b> {
    /// Its name and type.
    pub fn field(&self) -> &'b Field {
        self.field
    }

    /// How many values there are; below lists, for how many there is room.
    pub fn len(&self) -> usize {
        self.raw.length as usize
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.raw.length == 0
    }

    /// See [`Builder::column`].
    pub fn into_values<T: ArrowPrimitiveType>(self) -> Result<&'b mut [T::Native]> {
        let own = self.field.data_type();
        let numbers = if let DataType::Dictionary(indices, _) = own { indices } else { own };
        if !PrimitiveArray::<T>::is_compatible(numbers) {
            return Err(self.refused(&format!("has no values of {}", T::DATA_TYPE)));
        }
        // SAFETY: libdcf gives so many values of that type.
        Ok(unsafe { memory(self.raw.values, self.len()) })
    }

    /// The values of a column of bools, as bits, or the bytes of fixed-size binary.
    pub fn into_bytes(self) -> Result<&'b mut [u8]> {
        match self.field.data_type() {
            DataType::Boolean | DataType::FixedSizeBinary(_) => {
                // SAFETY: libdcf gives so many bytes.
                Ok(unsafe { memory(self.raw.values, self.raw.values_bytes) })
            }
            _ => Err(self.refused("has no plain bytes")),
        }
    }

    /// See [`Builder::validity`].
    pub fn into_validity(self) -> Result<&'b mut [u8]> {
        if self.raw.validity.is_null() && self.raw.length > 0 {
            return Err(self.refused("has no nulls, as the schema says"));
        }
        // SAFETY: libdcf gives a bit for each value.
        Ok(unsafe { memory(self.raw.validity, self.len().div_ceil(8)) })
    }

    /// See [`Builder::text`].
    pub fn into_text<O: OffsetSizeTrait>(self) -> Result<(&'b mut [O], &'b mut [u8])> {
        let fits = match self.field.data_type() {
            DataType::Utf8 | DataType::Binary => !O::IS_LARGE,
            DataType::LargeUtf8 | DataType::LargeBinary => O::IS_LARGE,
            _ => false,
        };
        if !fits {
            return Err(self.refused(&format!("is no text with offsets of {}", O::PREFIX)));
        }
        // SAFETY: libdcf gives one offset more than values, and so many bytes, elsewhere.
        Ok(unsafe {
            (
                memory(self.raw.offsets, self.len() + 1),
                memory(self.raw.values, self.raw.values_bytes),
            )
        })
    }

    /// See [`Builder::list`].
    pub fn into_offsets<O: OffsetSizeTrait>(self) -> Result<&'b mut [O]> {
        let fits = match self.field.data_type() {
            DataType::List(_) | DataType::Map(_, _) => !O::IS_LARGE,
            DataType::LargeList(_) => O::IS_LARGE,
            _ => false,
        };
        if !fits {
            return Err(self.refused("is no list with such offsets"));
        }
        // SAFETY: libdcf gives one offset more than values.
        Ok(unsafe { memory(self.raw.offsets, self.len() + 1) })
    }

    fn refused(&self, why: &str) -> Error {
        let (name, data_type) = (self.field.name(), self.field.data_type());
        Error::invalid(format!("column {name:?} of type {data_type} {why}"))
    }
}

impl fmt::Debug for ColumnMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnMut").field("field", self.field).finish_non_exhaustive()
    }
}

/// # Safety
/// There are `count` values, which nobody else has, as long as `'b`; or `count` is 0.
unsafe fn memory<'b, T>(start: *mut std::ffi::c_void, count: usize) -> &'b mut [T] {
    if start.is_null() {
        return &mut [];
    }
    // SAFETY: as above; libdcf aligns to 64 bytes, and any bytes are a value of these types.
    unsafe { slice::from_raw_parts_mut(start.cast(), count) }
}
