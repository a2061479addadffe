//! Arrow's types, into a vertex and out of it, here and over TCP.

mod common;

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    DictionaryArray, DurationMicrosecondArray, FixedSizeBinaryArray, FixedSizeListArray,
    Float16Array, Float32Array, Float64Array, Int32Array, Int64Array, LargeBinaryArray,
    LargeStringArray, ListArray, NullArray, RecordBatch, RunArray, StringArray, StringViewArray,
    StructArray, Time64NanosecondArray, TimestampMillisecondArray, UInt8Array, UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Schema};
use common::{alone, open, table};
use dcf::{Options, Udf, Worker};

const LONG: &str = "a text that is longer than what a view holds inside of itself";

fn list() -> ArrayRef {
    let mut list = ListBuilder::new(Int32Builder::new());
    list.append_value([Some(1), None, Some(3)]);
    list.append_null();
    list.append_value([]);
    list.append_value([Some(4)]);
    Arc::new(list.finish())
}

fn structs() -> ArrayRef {
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some(LONG), Some("d")]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4)]));
    let fields =
        vec![Field::new("text", DataType::Utf8, true), Field::new("number", DataType::Int64, true)];
    let nulls = vec![true, true, false, true].into();
    Arc::new(StructArray::new(fields.into(), vec![text, numbers], Some(nulls)))
}

fn map() -> ArrayRef {
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..4 {
        map.keys().append_value(format!("key {row}"));
        map.values().append_option((row != 2).then_some(row));
        map.append(row != 3).unwrap();
    }
    Arc::new(map.finish())
}

fn runs() -> ArrayRef {
    let (ends, values) = (Int32Array::from(vec![1, 4]), StringArray::from(vec!["a", LONG]));
    Arc::new(RunArray::<Int32Type>::try_new(&ends, &values).unwrap())
}

/// A list in a list, so many times.
fn nested(depth: usize) -> ArrayRef {
    let mut array: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)]));
    for _ in 0..depth {
        let field = Arc::new(Field::new_list_field(array.data_type().clone(), true));
        let lengths = OffsetBuffer::from_lengths(vec![1; array.len()]);
        array = Arc::new(ListArray::new(field, lengths, array, None));
    }
    array
}

/// Four rows of each type.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let text = vec![Some("a"), None, Some(LONG), Some("")];
    let bytes: Vec<Option<&[u8]>> = text.iter().map(|t| t.map(str::as_bytes)).collect();
    let integers = vec![Some(1i64), None, Some(i64::MAX), Some(-4)];
    let fixed = vec![Some([1u8; 16]), None, Some([3; 16]), Some([4; 16])];
    let zoned = TimestampMillisecondArray::from(integers.clone()).with_timezone("Europe/Oslo");
    let triples = [Some([Some(1), None]), None, Some([Some(3), Some(4)]), Some([None, None])];
    let triples = triples.map(|pair| pair.map(|pair| pair.to_vec()));
    vec![
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
        ("uint8", Arc::new(UInt8Array::from(vec![Some(1), None, Some(255), Some(0)]))),
        ("int32", Arc::new(Int32Array::from(vec![1, 2, 3, 4]))),
        ("int64", Arc::new(Int64Array::from(integers.clone()))),
        ("uint64", Arc::new(UInt64Array::from(vec![Some(1), None, Some(u64::MAX), Some(0)]))),
        ("float16", Arc::new(Float16Array::from(vec![None; 4]))),
        (
            "float32",
            Arc::new(Float32Array::from(vec![Some(0.5), None, Some(f32::MAX), Some(-0.0)])),
        ),
        ("float64", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::INFINITY), None]))),
        ("utf8", Arc::new(StringArray::from(text.clone()))),
        ("large_utf8", Arc::new(LargeStringArray::from(text.clone()))),
        ("string_view", Arc::new(StringViewArray::from(text.clone()))),
        ("binary", Arc::new(BinaryArray::from(bytes.clone()))),
        ("large_binary", Arc::new(LargeBinaryArray::from(bytes))),
        (
            "fixed",
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed.into_iter(), 16)
                    .unwrap(),
            ),
        ),
        ("dictionary", Arc::new(text.into_iter().collect::<DictionaryArray<Int8Type>>())),
        (
            "decimal128",
            Arc::new(
                Decimal128Array::from(vec![Some(1), None, Some(-3), Some(4)])
                    .with_precision_and_scale(20, 3)
                    .unwrap(),
            ),
        ),
        (
            "decimal256",
            Arc::new(Decimal256Array::from(vec![Some(1.into()), None, None, Some(4.into())])),
        ),
        ("date32", Arc::new(Date32Array::from(vec![Some(1), None, Some(20_000), Some(-1)]))),
        ("time64", Arc::new(Time64NanosecondArray::from(vec![Some(1), None, Some(3), Some(4)]))),
        ("timestamp", Arc::new(TimestampMillisecondArray::from(integers.clone()))),
        ("zoned", Arc::new(zoned)),
        ("duration", Arc::new(DurationMicrosecondArray::from(integers))),
        ("list", list()),
        (
            "fixed_list",
            Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(triples, 2)),
        ),
        ("struct", structs()),
        ("map", map()),
        ("nested", nested(10)),
        ("null", Arc::new(NullArray::new(4))),
        ("runs", runs()),
    ]
}

/// Puts, sees in a function, gives as part, exports: the same each time.
fn check(worker: &Worker, seer: &Worker, batch: &RecordBatch, what: &str) {
    let vertex = worker.put(None, batch).unwrap_or_else(|error| panic!("{what}: {error}"));
    let fail = |error: dcf::Error| panic!("{what}: {error}");
    let back = vertex.batch().map(Option::unwrap).unwrap_or_else(fail);
    assert_eq!(&back, batch, "{what}, exported");
    if batch.num_rows() > 0 {
        // arrow-rs imports text of no rows with its first offset beyond its bytes, which are none.
        back.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
    }
    let id = vertex.id().unwrap();
    let same = seer.call("same", id).run::<RecordBatch>().unwrap_or_else(fail);
    assert_eq!(&same, batch, "{what}, as a part");
    let argued = seer.call("argued", id).arguments(batch).run::<RecordBatch>().unwrap_or_else(fail);
    assert_eq!(&argued, batch, "{what}, as arguments");
}

fn check_all(worker: &Worker, seer: &Worker) {
    let same = Udf::new("same").calculate(|cx| Ok(cx.batch()?.clone()));
    let argued = Udf::new("argued").calculate(|cx| Ok(cx.argument::<RecordBatch>()?));
    let _same = same.register(seer).unwrap();
    let _argued = argued.register(seer).unwrap();
    for (name, column) in columns() {
        let batch =
            table(vec![("before", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))), (name, column)]);
        check(worker, seer, &batch, name);
        check(worker, seer, &batch.slice(1, 2), &format!("{name}, a slice"));
        check(worker, seer, &batch.slice(2, 0), &format!("{name}, no rows"));
    }
}

#[test]
fn every_type_goes_in_and_out() {
    let worker = alone();
    check_all(&worker, &worker);
}

#[test]
fn every_type_travels() {
    let owner = open(&Options::new().listen("tcp://127.0.0.1:0"));
    let guest = open(&Options::new().join(owner.addresses().unwrap().remove(0)));
    check_all(&owner, &guest);
}

#[test]
fn metadata_and_rows_without_columns_are_kept() {
    let worker = alone();
    let metadata = std::collections::HashMap::from([("key".to_owned(), "value".to_owned())]);
    let field = Field::new("x", DataType::Int64, false).with_metadata(metadata.clone());
    let schema = Arc::new(Schema::new(vec![field]).with_metadata(metadata));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    let back = worker.put(None, &batch).unwrap().batch().unwrap().unwrap();
    assert_eq!(back.schema(), batch.schema());
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(3));
    let bare = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options);
    let bare = worker.put(None, bare.unwrap()).unwrap();
    assert_eq!((bare.info().unwrap().rows, bare.batch().unwrap().unwrap().num_rows()), (3, 3));
}

#[test]
fn a_type_that_cannot_be_kept_is_refused_by_name() {
    let worker = alone();
    let decimal = arrow_array::Decimal32Array::from(vec![Some(1), None]);
    let error = worker.put(None, table(vec![("small", Arc::new(decimal))])).unwrap_err();
    assert_eq!(error.status(), dcf::Status::Unsupported);
    assert!(
        error.message().contains("\"small\"") && error.message().contains("decimal32"),
        "{error}"
    );
}
