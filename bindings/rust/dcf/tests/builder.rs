//! Tables that are filled in where they will lie.

mod common;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float64Type, Int8Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use common::{alone, counter, open};
use dcf::{Builder, Error, Options, Put, Worker};

fn nullable(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// x: f64 without nulls, t: utf8, d: dictionary of utf8.
fn schema() -> Schema {
    let words = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    Schema::new(vec![
        Field::new("x", DataType::Float64, false),
        nullable("t", DataType::Utf8),
        nullable("d", words),
    ])
}

fn filled(worker: &Worker) -> Builder {
    let mut builder = worker.build(&schema(), 3).unwrap();
    builder.column::<Float64Type>(0).unwrap().copy_from_slice(&[1.0, 2.0, 4.0]);
    let (offsets, bytes) = builder.text::<i32>(1, 6).unwrap();
    offsets.copy_from_slice(&[0, 1, 3, 6]);
    bytes.copy_from_slice(b"abbccc");
    builder.validity(1).unwrap()[0] = 0b101;
    builder.column::<Int8Type>(2).unwrap().copy_from_slice(&[1, 0, 1]);
    builder.dictionary(2, &StringArray::from(vec!["near", "far"])).unwrap();
    builder
}

#[test]
fn a_table_is_built_without_a_copy() {
    let worker = alone();
    let mut builder = filled(&worker);
    let first = builder.column::<Float64Type>(0).unwrap().as_ptr();
    let vertex = builder.commit("built").unwrap();
    let batch = vertex.batch().unwrap().unwrap();
    assert_eq!(batch.schema().fields(), schema().fields());
    assert_eq!(batch.column(0).as_primitive::<Float64Type>().values().as_ptr(), first);
    assert_eq!(batch.column(0).as_primitive::<Float64Type>().values(), &[1.0, 2.0, 4.0]);
    let texts: Vec<_> = batch.column(1).as_string::<i32>().iter().collect();
    assert_eq!(texts, [Some("a"), None, Some("ccc")]);
    let words = batch.column(2).as_dictionary::<Int8Type>();
    assert_eq!(words.values().as_string::<i32>().value(words.keys().value(0) as usize), "far");
    assert_eq!(worker.vertex("built").unwrap().info().unwrap().rows, 3);
    assert_eq!(counter(&worker, "builders"), 0);
}

#[test]
fn nested_types_have_numbers_in_pre_order() {
    let worker = alone();
    let fields: Fields = vec![
        nullable("a", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        nullable("b", DataType::LargeUtf8),
    ]
    .into();
    let item = || Arc::new(Field::new_list_field(DataType::Int32, true));
    let schema = Schema::new(vec![
        nullable("s", DataType::Struct(fields)),
        nullable("l", DataType::List(item())),
        nullable("f", DataType::FixedSizeList(item(), 2)),
        nullable("d", DataType::Decimal128(10, 2)),
        nullable("flag", DataType::Boolean),
    ]);
    let mut builder = worker.build(&schema, 2).unwrap();
    builder.text::<i64>(2, 3).unwrap().0.copy_from_slice(&[0, 1, 3]);
    builder.text::<i64>(2, 3).unwrap().1.copy_from_slice(b"xyz");
    builder.list::<i32>(3, 3).unwrap().copy_from_slice(&[0, 3, 3]);
    builder.column::<Int32Type>(4).unwrap().copy_from_slice(&[7, 8, 9]);
    {
        let columns = builder.columns().unwrap();
        let names: Vec<_> = columns.iter().map(|c| c.field().name().as_str()).collect();
        assert_eq!(names, ["s", "a", "b", "l", "item", "f", "item", "d", "flag"]);
        assert_eq!(columns.iter().map(dcf::ColumnMut::len).max(), Some(4));
        std::thread::scope(|scope| {
            for column in columns {
                scope.spawn(move || match column.field().data_type() {
                    DataType::Timestamp(_, _) => {
                        column.into_values::<TimestampMicrosecondType>().unwrap().fill(5);
                    }
                    DataType::Int32 if column.len() == 4 => {
                        column.into_values::<Int32Type>().unwrap().fill(6);
                    }
                    DataType::Decimal128(_, _) => {
                        column.into_values::<Decimal128Type>().unwrap().fill(125);
                    }
                    DataType::Boolean => column.into_bytes().unwrap()[0] = 0b10,
                    _ => {}
                });
            }
        });
    }
    let batch = builder.commit(None).unwrap().batch().unwrap().unwrap();
    assert_eq!(batch.column(0).as_struct().column(1).as_string::<i64>().value(1), "yz");
    let list = batch.column(1).as_list::<i32>();
    assert_eq!(list.value(0).as_primitive::<Int32Type>().values(), &[7, 8, 9]);
    assert!(list.value(1).is_empty());
    let fixed = batch.column(2).as_fixed_size_list();
    assert_eq!(fixed.values().as_primitive::<Int32Type>().values(), &[6, 6, 6, 6]);
    assert_eq!(batch.column(3).as_primitive::<Decimal128Type>().value_as_string(1), "1.25");
    assert!(batch.column(4).as_boolean().value(1) && !batch.column(4).as_boolean().value(0));
}

#[test]
fn what_is_wrong_can_be_corrected() {
    let worker = alone();
    let mut builder = filled(&worker);
    builder.text::<i32>(1, 0).unwrap().0[2] = 0;
    let failed = builder.commit("wrong").unwrap_err();
    assert!(matches!(failed.error, Error::InvalidArgument(_)));
    let text = failed.to_string();
    assert!(text.contains("column \"t\": offset 2") && text.contains("value 1"), "{text}");
    let mut builder = *failed.builder;
    builder.text::<i32>(1, 0).unwrap().0[2] = 3;
    builder.commit("wrong").unwrap();
    let failed = filled(&worker).commit("wrong").unwrap_err();
    assert!(matches!(failed.error, Error::AlreadyExists(_)));
    failed.builder.commit_with("wrong", &Put::new().replace()).unwrap();
    assert_eq!(counter(&worker, "builders"), 0);
    let error: Error = filled(&worker).commit("wrong").unwrap_err().into();
    assert!(matches!(error, Error::AlreadyExists(_)), "and ? drops the builder");
    assert_eq!(counter(&worker, "builders"), 0);
}

#[test]
fn wrong_use_is_refused() {
    let worker = alone();
    let views = Schema::new(vec![nullable("v", DataType::Utf8View)]);
    let error = worker.build(&views, 1).unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
    assert!(error.to_string().contains("string_view"), "{error}");
    assert!(matches!(worker.build(&schema(), usize::MAX), Err(Error::InvalidArgument(_))));
    let mut builder = filled(&worker);
    for error in [
        builder.column::<Int64Type>(0).unwrap_err(),
        builder.column::<Float64Type>(1).unwrap_err(),
        builder.column::<Float64Type>(3).unwrap_err(),
        builder.validity(0).unwrap_err(),
        builder.text::<i64>(1, 0).unwrap_err(),
        builder.text::<i32>(0, 0).unwrap_err(),
        builder.list::<i32>(1, 0).unwrap_err(),
        builder.dictionary(0, &Int64Array::from(vec![1])).unwrap_err(),
        builder.dictionary(2, &Int64Array::from(vec![1])).unwrap_err(),
        builder.text::<i32>(1, usize::MAX).unwrap_err(),
    ] {
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
    let small = open(&Options::new().memory_limit(1 << 16));
    assert!(matches!(small.build(&schema(), 1 << 16), Err(Error::Exhausted(_))));
}

#[test]
fn a_dropped_builder_gives_its_memory_back() {
    let worker = alone();
    let builder = filled(&worker);
    assert!(counter(&worker, "builders.bytes") > 0);
    drop(builder);
    assert_eq!(counter(&worker, "builders.bytes"), 0);
    assert_eq!(counter(&worker, "vertices.bytes"), 0);
    let mut late = filled(&worker);
    worker.close().unwrap();
    assert!(matches!(late.column::<Float64Type>(0), Err(Error::BadHandle(_))));
    assert!(matches!(late.commit(None).unwrap_err().error, Error::BadHandle(_)));
}

#[test]
fn nobody_and_many() {
    let worker = alone();
    let empty = worker.build(&Schema::empty(), 0).unwrap();
    assert_eq!(empty.commit(None).unwrap().info().unwrap().rows, 0);
    let mut builder = worker.build(&schema(), 0).unwrap();
    assert!(builder.column::<Float64Type>(0).unwrap().is_empty());
    assert!(builder.validity(1).unwrap().is_empty());
    assert_eq!(builder.text::<i32>(1, 0).unwrap().0, &[0]);
    let group = filled(&worker).commit_with("group", &Put::new().shards(3)).unwrap();
    assert_eq!(group.shards().unwrap().len(), 3);
}
