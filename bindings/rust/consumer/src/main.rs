//! A program that has nothing but the crate dcf.

use std::sync::Arc;

use arrow_array::{Float64Array, RecordBatch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let worker = dcf::Worker::open(&dcf::Options::new())?;
    let prices: Float64Array = vec![2.0, 3.0, 4.5].into();
    let prices = RecordBatch::try_from_iter([("price", Arc::new(prices) as _)])?;
    let prices = worker.put_with("prices", prices, &dcf::Put::new().shards(2))?;
    let sum: f64 = worker.call(&dcf::builtins::sum("price"), &prices).run()?;
    println!("the sum is {sum}");
    Ok(())
}
