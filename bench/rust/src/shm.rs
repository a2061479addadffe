//! Calls and tables over shared memory, beside a C client of the same server.

use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use dcf::{Answer, Function, Options, ServedHow, Vertex, Worker};

use crate::measure::{CClient, Series, case, once};
use crate::{ARGUMENTS, Result, SUM, add};

/// What the server's functions have.
const VERSION: &str = "bench-1";
/// Of the table: 64 MiB of float64.
const ROWS: usize = 64 << 17;

struct Shm {
    worker: Worker,
    function: Function,
    item: Vertex,
    name: String,
    rounds: i32,
}

impl Shm {
    /// Fails where a call is wrong, or goes another way than the case claims.
    fn check(&self) -> Result<()> {
        let call = self.worker.call(&self.function, &self.item).at_owner();
        let answer: Answer<i64> = call.arguments(ARGUMENTS).run()?;
        if answer.value != SUM || answer.served_how != ServedHow::SharedMemory {
            let (value, how) = (answer.value, answer.served_how);
            return Err(format!(
                "a call over {how:?} gave {value}: {SUM} over SharedMemory is due"
            )
            .into());
        }
        Ok(())
    }

    fn call(&self) {
        let mut client = CClient::new(&self.worker);
        let mut product = |operations| {
            for _ in 0..operations {
                let call = self.worker.call(&self.function, &self.item).at_owner();
                let sum: i64 = call.arguments(ARGUMENTS).run().expect("a call");
                assert_eq!(sum, SUM);
            }
        };
        let mut floor = |operations| client.run(operations);
        let product = Series {
            name: "product",
            run: &mut product,
            calls: 1,
        };
        let floor = Series {
            name: "floor",
            run: &mut floor,
            calls: 1,
        };
        case(&self.name, self.rounds, &mut [product, floor]);
        client.close();
    }

    /// The first of this process.
    fn get(&self) -> Result<()> {
        let table = self.worker.vertex("table")?;
        let begin = Instant::now();
        let batch = table.batch()?;
        let took = begin.elapsed();
        check_table(batch)?;
        once(&self.name, took);
        Ok(())
    }

    /// Every later one.
    fn get_again(&self) -> Result<()> {
        let table = self.worker.vertex("table")?;
        check_table(table.batch()?)?;
        let mut product = |operations| {
            for _ in 0..operations {
                assert_eq!(
                    table
                        .batch()
                        .expect("the table")
                        .expect("a value")
                        .num_rows(),
                    ROWS
                );
            }
        };
        let product = Series {
            name: "product",
            run: &mut product,
            calls: 1,
        };
        case(&self.name, self.rounds, &mut [product]);
        Ok(())
    }
}

/// The table counts its rows from 0.
fn check_table(batch: Option<RecordBatch>) -> Result<()> {
    let batch = batch.ok_or("the table has no value")?;
    let values = batch.column(0).as_primitive::<Float64Type>();
    if values.len() != ROWS || values.value(ROWS - 1) != (ROWS - 1) as f64 {
        return Err("the table that was got is another one".into());
    }
    Ok(())
}

/// Measures one case.
pub(crate) fn run(name: String, rounds: i32, server: &str) -> Result<()> {
    let worker = Worker::open(&Options::new().join(server))?;
    let function = add("bench.add").version(VERSION).short();
    let shm = Shm {
        function: function
            .merge(|sums: &[i64]| Ok(sums.iter().sum::<i64>()))
            .register(&worker)?,
        item: worker.vertex("item")?,
        worker,
        name,
        rounds,
    };
    shm.check()?;
    match shm.name.as_str() {
        "shm/rust" => shm.call(),
        "shm/get-64MiB-rust" => shm.get()?,
        "shm/get-64MiB-rust-again" => shm.get_again()?,
        name => return Err(format!("there is no case {name} here").into()),
    }
    shm.check()?;
    Ok(shm.worker.close()?)
}
