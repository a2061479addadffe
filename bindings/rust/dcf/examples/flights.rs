//! Departures, mean and worst departure delay by carrier, asked of shards on two workers in two
//! ways: by builtin functions, and by a function of this program.
//!
//! ```text
//! flights                 a made table of 300,000 flights
//! flights FLIGHTS.arrow   an Arrow file with the columns carrier, dep_delay and month
//! ```
//!
//! A flight that was cancelled has no departure delay (null), and is no departure.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Float64Array, Int64Array, RecordBatch, RecordBatchIterator, StringArray};
use arrow_ipc::reader::FileReader;
use dcf::builtins::{aggregate, count_of, max, mean};
use dcf::{Answer, Failure, Options, Put, Udf, Worker};

const CARRIERS: [&str; 6] = ["9E", "AA", "B6", "DL", "UA", "WN"];
const ROWS: usize = 300_000;
/// How far means may lie apart, which add the same numbers in another order.
const TOLERANCE: f64 = 1e-9;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A table that looks like flights, the same each time.
fn made() -> RecordBatch {
    // The generator of Knuth, MMIX; its high bits are the good ones.
    let mut state = 2013u64;
    let mut next = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let rows: Vec<_> = (0..ROWS)
        .map(|_| (CARRIERS[next(6) as usize], next(40), next(1000) as f64, next(12) as i64 + 1))
        .collect();
    let delay =
        |row: &(_, u64, f64, i64)| (row.1 > 0).then_some((row.2 * row.2 / 1000.0).round() - 20.0);
    RecordBatch::try_from_iter_with_nullable([
        (
            "carrier",
            Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()) as _,
            false,
        ),
        ("dep_delay", Arc::new(rows.iter().map(delay).collect::<Float64Array>()) as _, true),
        ("month", Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Int64Array>()) as _, false),
    ])
    .expect("columns of one length")
}

/// What is known of one carrier.
#[derive(Clone, Copy, Default)]
struct Row {
    departures: i64,
    sum: f64,
    worst: f64,
}

type Rows = BTreeMap<String, Row>;

fn add(rows: &mut Rows, carrier: &str, more: Row) {
    let first = Row { worst: f64::NEG_INFINITY, ..Row::default() };
    let row = rows.entry(carrier.into()).or_insert(first);
    row.departures += more.departures;
    row.sum += more.sum;
    row.worst = row.worst.max(more.worst);
}

/// A part: one row a carrier.
fn table(rows: &Rows) -> std::result::Result<RecordBatch, Failure> {
    let floats = |get: fn(&Row) -> f64| Float64Array::from_iter_values(rows.values().map(get));
    Ok(RecordBatch::try_from_iter([
        ("carrier", Arc::new(StringArray::from_iter_values(rows.keys())) as _),
        (
            "departures",
            Arc::new(Int64Array::from_iter_values(rows.values().map(|r| r.departures))) as _,
        ),
        ("sum", Arc::new(floats(|row| row.sum)) as _),
        ("worst", Arc::new(floats(|row| row.worst)) as _),
    ])?)
}

/// Condenses one shard, or the whole table.
fn condense(flights: &RecordBatch) -> std::result::Result<Rows, Failure> {
    let column =
        |name| flights.column_by_name(name).ok_or_else(|| Failure::new(format!("no {name}")));
    let (carriers, delays) = (column("carrier")?.as_string::<i32>(), column("dep_delay")?);
    let delays = delays.as_primitive_opt::<Float64Type>();
    let delays = delays.ok_or_else(|| Failure::new("dep_delay is no column of float64"))?;
    let mut rows = Rows::new();
    for (carrier, delay) in carriers.iter().zip(delays) {
        if let (Some(carrier), Some(delay)) = (carrier, delay) {
            add(&mut rows, carrier, Row { departures: 1, sum: delay, worst: delay });
        }
    }
    Ok(rows)
}

fn delays() -> Udf {
    Udf::new("flights.delays")
        .version("rust-1")
        .commutative()
        .calculate(|cx| table(&condense(cx.batch()?)?))
        .merge(|parts: &[RecordBatch]| {
            let mut rows = Rows::new();
            parts.iter().for_each(|part| add_all(&mut rows, part));
            table(&rows)
        })
}

fn add_all(rows: &mut Rows, part: &RecordBatch) {
    let carriers = part.column(0).as_string::<i32>();
    let departures = part.column(1).as_primitive::<Int64Type>();
    let [sums, worst] = [2, 3].map(|i| part.column(i).as_primitive::<Float64Type>());
    for i in 0..part.num_rows() {
        let row =
            Row { departures: departures.value(i), sum: sums.value(i), worst: worst.value(i) };
        add(rows, carriers.value(i), row);
    }
}

/// Compares an answer of builtins (carrier, departures, mean, worst) with what is expected.
fn check(answer: &RecordBatch, expected: &Rows) -> Result<()> {
    let departures = answer.column(1).as_primitive::<Int64Type>();
    let [mean, worst] = [2, 3].map(|i| answer.column(i).as_primitive::<Float64Type>());
    let mut seen = 0;
    for (i, carrier) in answer.column(0).as_string::<i32>().iter().enumerate() {
        let Some(row) = expected.get(carrier.unwrap_or_default()) else { continue };
        let near = (mean.value(i) - row.sum / row.departures as f64).abs() < TOLERANCE;
        if departures.value(i) != row.departures || !near || worst.value(i) != row.worst {
            return Err(format!("the builtins say something else of {carrier:?}").into());
        }
        seen += 1;
    }
    if seen == expected.len() { Ok(()) } else { Err("the builtins lack a carrier".into()) }
}

fn tell(way: &str, answer: &Answer<RecordBatch>) {
    println!(
        "{way}: took {:.1?}, {} bytes travelled, {} of them shards",
        answer.elapsed, answer.bytes_moved, answer.bytes_fetched
    );
}

fn main() -> Result<()> {
    let batches: Vec<RecordBatch> = match std::env::args().nth(1) {
        Some(path) => {
            FileReader::try_new(File::open(path)?, None)?.collect::<std::result::Result<_, _>>()?
        }
        None => vec![made()],
    };
    let mut expected = Rows::new();
    for batch in &batches {
        let rows = condense(batch).map_err(|failure| format!("{failure:?}"))?;
        rows.iter().for_each(|(carrier, row)| add(&mut expected, carrier, *row));
    }

    let first = Worker::open(&Options::new().listen("tcp://127.0.0.1:0"))?;
    let options = Options::new().listen("tcp://127.0.0.1:0").join(&first.addresses()?[0]);
    let second = Worker::open(&options)?;
    let (function, _there) = (delays().register(&first)?, delays().register(&second)?);
    let schema = batches[0].schema();
    let batches = RecordBatchIterator::new(batches.into_iter().map(Ok), schema);
    let flights = first.put_stream("flights", batches, &Put::new().shard_by("month"))?;
    println!("{} shards on two workers", flights.info()?.children);

    let question = aggregate([
        ("departures", count_of("dep_delay")),
        ("mean_delay", mean("dep_delay")),
        ("worst_delay", max("dep_delay")),
    ]);
    let builtin: Answer<RecordBatch> = first.call(&question.by("carrier"), &flights).run()?;
    check(&builtin.value, &expected)?;
    tell("by builtin functions", &builtin);

    let own: Answer<RecordBatch> = first.call(&function, &flights).run()?;
    let mut rows = Rows::new();
    add_all(&mut rows, &own.value);
    tell("by a function of our own", &own);
    println!("carrier  departures  mean delay  worst delay");
    for (carrier, row) in &rows {
        let mean = row.sum / row.departures as f64;
        println!("{carrier:<7}  {:>10}  {mean:>10.2}  {:>11.0}", row.departures, row.worst);
        let same = expected.get(carrier).is_some_and(|e| {
            e.departures == row.departures && e.worst == row.worst && (e.sum - row.sum).abs() < 1e-3
        });
        if !same {
            return Err(format!("our own function says something else of {carrier}").into());
        }
    }
    println!("both ways agree with the whole table");
    Ok(())
}
