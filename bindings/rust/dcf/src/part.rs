//! What functions give and get besides tables: numbers, bytes, text.
//!
//! Numbers of a fixed width are their bytes, little-endian, as C and Go programs have them: a call
//! that gives one never leaves C. Python's numbers are tables of one row and one nameless column;
//! every number here is read from those, too, and [`Scalar`] gives one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, RecordBatch, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::DataType;

use crate::arrow::scalar;
use crate::error::{Error, Result};

/// What one calculate, merge or call gives.
#[derive(Debug)]
#[non_exhaustive]
pub enum Part<'a> {
    /// Nothing.
    None,
    /// Bytes, lent.
    Bytes(&'a [u8]),
    /// A table, or one value as a table of one row.
    Batch(RecordBatch),
}

impl Part<'_> {
    fn describe(&self) -> String {
        match self {
            Self::None => "nothing".into(),
            Self::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Self::Batch(batch) => {
                let columns: Vec<_> = (batch.schema_ref().fields().iter())
                    .map(|field| format!("{}: {}", field.name(), field.data_type()))
                    .collect();
                format!("a table of {} rows ({})", batch.num_rows(), columns.join(", "))
            }
        }
    }

    fn is_not(&self, wanted: &str) -> Error {
        Error::invalid(format!("{wanted} is wanted, and it is {}", self.describe()))
    }

    /// The value of a table of one row and one column.
    fn single(&self) -> Option<&ArrayRef> {
        match self {
            Self::Batch(batch) if batch.num_rows() == 1 && batch.num_columns() == 1 => {
                Some(batch.column(0))
            }
            _ => None,
        }
    }
}

/// What a part can become: the parameter of a merge or finish, the result of a call.
pub trait FromPart: Sized {
    /// Makes the value, or says what it is instead.
    fn from_part(part: Part<'_>) -> Result<Self>;
}

/// What a function may give as its part, and a call as its arguments.
///
/// Numbers become their little-endian bytes, `bool` and text a table of one value, `()` and `None`
/// nothing.
pub trait IntoPart {
    /// Lends the part to `give`.
    fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R>;
}

/// A number that is given as a table of one row and one nameless column, which is a number in
/// Python. Without it, Python sees the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Scalar<T>(pub T);

impl<T: FromPart> FromPart for Scalar<T> {
    fn from_part(part: Part<'_>) -> Result<Self> {
        T::from_part(part).map(Self)
    }
}

/// The integer of a table of one value.
fn integer(value: &ArrayRef) -> Option<i128> {
    if value.is_null(0) {
        return None;
    }
    Some(match value.data_type() {
        DataType::Int8 => value.as_primitive::<Int8Type>().value(0).into(),
        DataType::Int16 => value.as_primitive::<Int16Type>().value(0).into(),
        DataType::Int32 => value.as_primitive::<Int32Type>().value(0).into(),
        DataType::Int64 => value.as_primitive::<Int64Type>().value(0).into(),
        DataType::UInt8 => value.as_primitive::<UInt8Type>().value(0).into(),
        DataType::UInt16 => value.as_primitive::<UInt16Type>().value(0).into(),
        DataType::UInt32 => value.as_primitive::<UInt32Type>().value(0).into(),
        DataType::UInt64 => value.as_primitive::<UInt64Type>().value(0).into(),
        _ => return None,
    })
}

/// The float of a table of one value.
fn float(value: &ArrayRef) -> Option<f64> {
    if value.is_null(0) {
        return None;
    }
    Some(match value.data_type() {
        DataType::Float16 => value.as_primitive::<Float16Type>().value(0).into(),
        DataType::Float32 => value.as_primitive::<Float32Type>().value(0).into(),
        DataType::Float64 => value.as_primitive::<Float64Type>().value(0),
        _ => return None,
    })
}

macro_rules! numbers {
    ($($type:ident $array:ident $read:expr;)*) => {$(
        impl FromPart for $type {
            #[inline]
            fn from_part(part: Part<'_>) -> Result<Self> {
                if let Part::Bytes(bytes) = &part
                    && let Ok(bytes) = (*bytes).try_into()
                {
                    return Ok($type::from_le_bytes(bytes));
                }
                let read: fn(&ArrayRef) -> Option<$type> = $read;
                part.single().and_then(read).ok_or_else(|| part.is_not(stringify!($type)))
            }
        }

        impl IntoPart for $type {
            #[inline]
            fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
                Ok(give(Part::Bytes(&self.to_le_bytes())))
            }
        }

        impl IntoPart for Scalar<$type> {
            fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
                Ok(give(Part::Batch(self.into_value()?.expect("a number is a value"))))
            }
        }

        impl IntoValue for Scalar<$type> {
            fn into_value(self) -> Result<Option<RecordBatch>> {
                self.0.into_value()
            }
        }

        impl IntoValue for $type {
            fn into_value(self) -> Result<Option<RecordBatch>> {
                Ok(Some(scalar(Arc::new($array::from(vec![self])))?))
            }
        }
    )*};
}

numbers! {
    i8 Int8Array |value| integer(value)?.try_into().ok();
    i16 Int16Array |value| integer(value)?.try_into().ok();
    i32 Int32Array |value| integer(value)?.try_into().ok();
    i64 Int64Array |value| integer(value)?.try_into().ok();
    u8 UInt8Array |value| integer(value)?.try_into().ok();
    u16 UInt16Array |value| integer(value)?.try_into().ok();
    u32 UInt32Array |value| integer(value)?.try_into().ok();
    u64 UInt64Array |value| integer(value)?.try_into().ok();
    f32 Float32Array |value| float(value).filter(|_| *value.data_type() != DataType::Float64)
        .map(|wide| wide as f32);
    f64 Float64Array |value| float(value);
}

impl FromPart for () {
    fn from_part(part: Part<'_>) -> Result<Self> {
        if matches!(part, Part::None) { Ok(()) } else { Err(part.is_not("nothing")) }
    }
}

impl IntoPart for () {
    fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
        Ok(give(Part::None))
    }
}

/// `None` is nothing, or a table of one null.
impl<T: FromPart> FromPart for Option<T> {
    fn from_part(part: Part<'_>) -> Result<Self> {
        let is_null = part.single().is_some_and(|value| value.is_null(0));
        if is_null || matches!(part, Part::None) { Ok(None) } else { T::from_part(part).map(Some) }
    }
}

impl<T: IntoPart> IntoPart for Option<T> {
    fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
        match self {
            Some(value) => value.with_part(give),
            None => Ok(give(Part::None)),
        }
    }
}

impl FromPart for Vec<u8> {
    fn from_part(part: Part<'_>) -> Result<Self> {
        if let Part::Bytes(bytes) = part { Ok(bytes.to_vec()) } else { Err(part.is_not("bytes")) }
    }
}

impl<const N: usize> FromPart for [u8; N] {
    fn from_part(part: Part<'_>) -> Result<Self> {
        if let Part::Bytes(bytes) = &part
            && let Ok(bytes) = (*bytes).try_into()
        {
            return Ok(bytes);
        }
        Err(part.is_not(&format!("{N} bytes")))
    }
}

impl IntoPart for Vec<u8> {
    fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
        Ok(give(Part::Bytes(&self)))
    }
}

impl IntoPart for &[u8] {
    fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
        Ok(give(Part::Bytes(self)))
    }
}

impl<const N: usize> IntoPart for &[u8; N] {
    fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
        Ok(give(Part::Bytes(self)))
    }
}

impl<const N: usize> IntoPart for [u8; N] {
    fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
        Ok(give(Part::Bytes(&self)))
    }
}

impl FromPart for bool {
    fn from_part(part: Part<'_>) -> Result<Self> {
        let value = part.single().and_then(|value| value.as_boolean_opt());
        let value = value.filter(|value| !value.is_null(0)).map(|value| value.value(0));
        value.ok_or_else(|| part.is_not("bool"))
    }
}

impl FromPart for String {
    fn from_part(part: Part<'_>) -> Result<Self> {
        let text = part.single().filter(|value| !value.is_null(0)).and_then(|value| {
            Some(match value.data_type() {
                DataType::Utf8 => value.as_string::<i32>().value(0),
                DataType::LargeUtf8 => value.as_string::<i64>().value(0),
                DataType::Utf8View => value.as_string_view().value(0),
                _ => return None,
            })
        });
        text.map(str::to_owned).ok_or_else(|| part.is_not("text"))
    }
}

impl FromPart for RecordBatch {
    fn from_part(part: Part<'_>) -> Result<Self> {
        if let Part::Batch(batch) = part { Ok(batch) } else { Err(part.is_not("a table")) }
    }
}

/// What a vertex can be made of, and set to: a table, one number or text, or `()` and `None` for no
/// value. One value is a table of one row and one nameless column, as from Python.
pub trait IntoValue {
    /// Makes the table; `None` for no value.
    fn into_value(self) -> Result<Option<RecordBatch>>;
}

impl IntoValue for () {
    fn into_value(self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Result<Option<RecordBatch>> {
        self.map_or(Ok(None), IntoValue::into_value)
    }
}

/// Those whose part is their value as a table.
macro_rules! tables {
    ($($type:ty: |$value:ident| $table:expr;)*) => {$(
        impl IntoValue for $type {
            fn into_value(self) -> Result<Option<RecordBatch>> {
                let $value = self;
                Ok(Some($table))
            }
        }

        impl IntoPart for $type {
            fn with_part<R>(self, give: impl FnOnce(Part<'_>) -> R) -> Result<R> {
                let $value = self;
                Ok(give(Part::Batch($table)))
            }
        }
    )*};
}

tables! {
    RecordBatch: |batch| batch;
    &RecordBatch: |batch| batch.clone();
    bool: |value| scalar(Arc::new(BooleanArray::from(vec![value])))?;
    &str: |text| scalar(Arc::new(StringArray::from(vec![text])))?;
    String: |text| scalar(Arc::new(StringArray::from(vec![text])))?;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round<T: IntoPart, U: FromPart>(value: T) -> Result<U> {
        value.with_part(|part| U::from_part(part))?
    }

    #[test]
    fn numbers_are_little_endian_bytes() {
        0x0102i16.with_part(|part| assert!(matches!(part, Part::Bytes([2, 1])))).unwrap();
        assert_eq!(round::<_, i64>(-7i64).unwrap(), -7);
        assert_eq!(round::<_, f64>(0.5f64).unwrap(), 0.5);
    }

    #[test]
    fn numbers_are_read_from_tables_of_one_value() {
        assert_eq!(round::<_, i64>(Scalar(3i16)).unwrap(), 3);
        assert_eq!(round::<_, u8>(Scalar(200i64)).unwrap(), 200);
        assert_eq!(round::<_, f64>(Scalar(0.5f32)).unwrap(), 0.5);
        let error = round::<_, u8>(Scalar(256i64)).unwrap_err();
        assert_eq!(error.message(), "u8 is wanted, and it is a table of 1 rows (: Int64)");
        assert!(round::<_, f32>(Scalar(0.1f64)).is_err(), "no digits are lost in silence");
    }

    #[test]
    fn another_size_is_no_number() {
        let error = round::<_, i64>(1i32).unwrap_err();
        assert_eq!(error.message(), "i64 is wanted, and it is 4 bytes");
    }

    #[test]
    fn nothing_is_none() {
        assert_eq!(round::<_, Option<i64>>(()).unwrap(), None);
        assert_eq!(round::<_, Option<i64>>(5i64).unwrap(), Some(5));
        let null = scalar(Arc::new(Int64Array::from(vec![None]))).unwrap();
        assert_eq!(round::<_, Option<i64>>(null).unwrap(), None);
        assert!(round::<_, i64>(()).is_err());
    }

    #[test]
    fn text_and_truth() {
        assert_eq!(round::<_, String>("dcf").unwrap(), "dcf");
        assert!(round::<_, bool>(true).unwrap());
        assert!(round::<_, String>(b"dcf").is_err(), "bytes are no text");
    }
}
