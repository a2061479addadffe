//! The functions that every node knows; docs/builtins.md has their exact meaning.
//!
//! ```
//! use arrow_array::{Int64Array, RecordBatch, StringArray};
//! use dcf::builtins::{count, sum};
//! use std::sync::Arc;
//!
//! let worker = dcf::Worker::open(&dcf::Options::default())?;
//! let flights = RecordBatch::try_from_iter([
//!     ("carrier", Arc::new(StringArray::from(vec!["UA", "AA", "UA"])) as _),
//!     ("dep_delay", Arc::new(Int64Array::from(vec![Some(2), None, Some(61)])) as _),
//! ])?;
//! let flights = worker.put("flights", flights)?;
//! assert_eq!(worker.call(&sum("dep_delay"), &flights).run::<i64>()?, 63);
//! assert_eq!(worker.call(&count().filter("dep_delay", ">", 60), &flights).run::<i64>()?, 1);
//! let by_carrier = sum("dep_delay").by("carrier");
//! assert_eq!(worker.call(&by_carrier, &flights).run::<RecordBatch>()?.num_rows(), 2);
//! # Ok::<(), dcf::Error>(())
//! ```

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_data::transform::MutableArrayData;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use dcf_sys as sys;

use crate::call::{Arguments, Callable};
use crate::error::{Error, Result};
use crate::worker::Worker;

/// One row of arguments: names and arrays of one value.
#[derive(Clone, Debug, Default)]
struct Row(Vec<(&'static str, ArrayRef)>);

impl Row {
    fn with(mut self, name: &'static str, value: impl IntoScalar) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.into_scalar()));
        self
    }

    fn fields(&self) -> Fields {
        self.0
            .iter()
            .map(|(name, value)| Field::new(*name, value.data_type().clone(), true))
            .collect()
    }

    fn arrays(&self) -> Vec<ArrayRef> {
        self.0.iter().map(|(_, value)| value.clone()).collect()
    }

    fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(1));
        let schema = Arc::new(Schema::new(self.fields()));
        RecordBatch::try_new_with_options(schema, self.arrays(), &options)
    }
}

/// A value that rows can be compared with: a number, truth, text, or for every other type an array
/// of one value, such as of a timestamp.
pub trait IntoScalar {
    /// Gives an array of one value.
    fn into_scalar(self) -> ArrayRef;
}

macro_rules! scalars {
    ($($type:ty: |$value:ident| $array:expr;)*) => {$(
        impl IntoScalar for $type {
            fn into_scalar(self) -> ArrayRef {
                let $value = self;
                Arc::new($array)
            }
        }
    )*};
}

scalars! {
    i64: |value| Int64Array::from(vec![value]);
    i32: |value| Int64Array::from(vec![i64::from(value)]);
    f64: |value| Float64Array::from(vec![value]);
    bool: |value| BooleanArray::from(vec![value]);
    &str: |value| StringArray::from(vec![value]);
    String: |value| StringArray::from(vec![value]);
}

impl IntoScalar for ArrayRef {
    fn into_scalar(self) -> ArrayRef {
        self
    }
}

/// Names of columns: one name, or several.
pub trait Columns {
    /// Gives the names.
    fn names(&self) -> Vec<&str>;
}

impl Columns for &str {
    fn names(&self) -> Vec<&str> {
        vec![self]
    }
}

impl<const N: usize> Columns for [&str; N] {
    fn names(&self) -> Vec<&str> {
        self.to_vec()
    }
}

impl Columns for &[&str] {
    fn names(&self) -> Vec<&str> {
        self.to_vec()
    }
}

/// A list of one list.
fn list(of: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new_list_field(of.data_type().clone(), true));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([of.len()]), of, None))
}

fn names(columns: &impl Columns) -> ArrayRef {
    list(Arc::new(StringArray::from(columns.names())))
}

/// The aggregate or rows that a method is called on, and what all of them have.
macro_rules! builtin {
    ($type:ident) => {
        impl $type {
            /// Chooses rows: only those whose value in `column` compares so with `value` count.
            ///
            /// `op` is `==`, `!=`, `<`, `<=`, `>` or `>=`. For `is_null` and `is_not_null` see
            /// [`Self::filter_null`].
            pub fn filter(self, column: &str, op: &str, value: impl IntoScalar) -> Self {
                let row = self.row.with("where_column", column).with("where_op", op);
                Self { row: row.with("where_value", value), ..self }
            }

            /// Chooses rows: only those whose value in `column` is null, or is not, count.
            pub fn filter_null(self, column: &str, is_null: bool) -> Self {
                let op = if is_null { "is_null" } else { "is_not_null" };
                let row = self.row.with("where_column", column).with("where_op", op);
                Self { row, ..self }
            }
        }

        impl Callable for &$type {
            fn resolve(&self, worker: &Worker) -> Result<sys::dcf_udf> {
                worker.named(self.name)
            }

            fn arguments(self) -> Result<Arguments> {
                self.row.batch().map(Arguments::Batch).map_err(Error::from)
            }
        }
    };
}

/// A function that condenses columns: one value, or with [`Aggregate::by`] one row a group.
#[derive(Clone, Debug)]
pub struct Aggregate {
    name: &'static str,
    row: Row,
}

/// A function that chooses rows and columns.
#[derive(Clone, Debug)]
pub struct Rows {
    name: &'static str,
    row: Row,
}

builtin!(Aggregate);
builtin!(Rows);

impl Aggregate {
    fn of(name: &'static str, column: &str) -> Self {
        Self { name, row: Row::default().with("column", column) }
    }

    /// Groups by these columns: the result is a table in ascending order of the keys.
    pub fn by(self, columns: impl Columns) -> Self {
        Self { row: self.row.with("by", names(&columns)), ..self }
    }

    /// Names the result's column.
    pub fn named(self, name: &str) -> Self {
        Self { row: self.row.with("name", name), ..self }
    }
}

impl Rows {
    fn of(name: &'static str) -> Self {
        Self { name, row: Row::default() }
    }

    /// Chooses these columns, in this order.
    pub fn columns(self, columns: impl Columns) -> Self {
        Self { row: self.row.with("columns", names(&columns)), ..self }
    }

    /// Gives at most the first `n` rows.
    pub fn head(self, n: u32) -> Self {
        Self { row: self.row.with("n", i64::from(n)), ..self }
    }
}

/// Counts rows.
pub fn count() -> Aggregate {
    Aggregate { name: "count", row: Row::default() }
}

/// Counts the values of a column that are not null.
pub fn count_of(column: &str) -> Aggregate {
    Aggregate::of("count", column)
}

/// Adds up a column. Nulls are skipped; the sum of no values is 0.
pub fn sum(column: &str) -> Aggregate {
    Aggregate::of("sum", column)
}

/// Finds the smallest value of a column; null of no values.
pub fn min(column: &str) -> Aggregate {
    Aggregate::of("min", column)
}

/// Finds the largest value of a column; null of no values.
pub fn max(column: &str) -> Aggregate {
    Aggregate::of("max", column)
}

/// Gives the mean of a column as f64; null of no values.
pub fn mean(column: &str) -> Aggregate {
    Aggregate::of("mean", column)
}

/// Gives the variance of a column; the divisor is the count less `ddof`.
pub fn variance(column: &str, ddof: u32) -> Aggregate {
    let Aggregate { name, row } = Aggregate::of("variance", column);
    Aggregate { name, row: row.with("ddof", i64::from(ddof)) }
}

/// Several aggregates in one pass: each becomes a column of the name that it is given. Groups and
/// conditions are those of the whole; an aggregate that has its own is refused when it is called.
///
/// ```
/// use arrow_array::{Int64Array, RecordBatch, StringArray};
/// use dcf::builtins::{aggregate, count, max};
/// use std::sync::Arc;
///
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let table = RecordBatch::try_from_iter([
///     ("key", Arc::new(StringArray::from(vec!["a", "b", "a"])) as _),
///     ("x", Arc::new(Int64Array::from(vec![1, 2, 3])) as _),
/// ])?;
/// let table = worker.put("table", table)?;
/// let both = aggregate([("rows", count()), ("largest", max("x"))]).by("key");
/// let result: RecordBatch = worker.call(&both, &table).run()?;
/// assert_eq!((result.num_rows(), result.schema().field(2).name().as_str()), (2, "largest"));
/// # Ok::<(), dcf::Error>(())
/// ```
pub fn aggregate<'a>(columns: impl IntoIterator<Item = (&'a str, Aggregate)>) -> Aggregate {
    let rows: Vec<Row> = (columns.into_iter())
        .map(|(name, one)| one.row.with("function", one.name).with("name", name))
        .collect();
    // A list holds structs of one type: what one of them lacks is null.
    let mut all = Row::default();
    for (name, value) in rows.iter().flat_map(|row| &row.0) {
        if !all.0.iter().any(|(known, _)| known == name) {
            all.0.push((name, arrow_array::new_null_array(value.data_type(), 1)));
        }
    }
    let structs: Vec<ArrayRef> = all
        .0
        .iter()
        .map(|(name, null)| {
            let of = |row: &Row| row.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            column(null.data_type(), &rows.iter().map(of).collect::<Vec<_>>())
        })
        .collect();
    let count = rows.len();
    let structs = StructArray::try_new_with_length(all.fields(), structs, None, count);
    let structs = structs.expect("each column has a value for each aggregate");
    Aggregate { name: "aggregate", row: Row::default().with("aggregates", list(Arc::new(structs))) }
}

/// Puts single values below each other; `None` is null.
fn column(of: &DataType, values: &[Option<ArrayRef>]) -> ArrayRef {
    let null = arrow_array::new_null_array(of, 1).to_data();
    let data: Vec<_> = values.iter().flatten().map(|value| value.to_data()).collect();
    let mut sources: Vec<_> = data.iter().collect();
    sources.push(&null);
    let mut next = 0;
    let mut out = MutableArrayData::new(sources, true, values.len());
    for value in values {
        let source = if value.is_some() { next } else { data.len() };
        next += usize::from(value.is_some());
        out.try_extend(source, 0, 1).expect("single values overflow nothing");
    }
    arrow_array::make_array(out.freeze())
}

/// Gives the first rows of a table; of a group, shard by shard.
pub fn head(n: u32) -> Rows {
    Rows::of("head").head(n)
}

/// Gives these columns, in this order.
pub fn select(columns: impl Columns) -> Rows {
    Rows::of("select").columns(columns)
}

/// Gives the rows whose value in `column` compares so with `value`.
pub fn filter(column: &str, op: &str, value: impl IntoScalar) -> Rows {
    Rows::of("filter").filter(column, op, value)
}
