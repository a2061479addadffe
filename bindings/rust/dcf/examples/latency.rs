//! How long calls take, as a histogram: of a function here, and of the same in another worker.
//!
//! ```text
//! latency [calls]     100,000, unless told otherwise
//! ```

use std::time::{Duration, Instant};

use dcf::{Function, Options, Udf, Worker};

const CALLS: usize = 100_000;
/// A tenth as many calls over TCP: each takes many times as long.
const FEWER: usize = 10;
const BUCKETS: usize = 40;
const WIDTH: usize = 50;

/// Counts times by powers of two of nanoseconds.
struct Histogram {
    buckets: [usize; BUCKETS],
    times: Vec<Duration>,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let nanoseconds = time.as_nanos().max(1) as u64;
        self.buckets[(nanoseconds.ilog2() as usize).min(BUCKETS - 1)] += 1;
        self.times.push(time);
    }

    fn print(mut self, what: &str) {
        self.times.sort_unstable();
        let at = |share: f64| self.times[((self.times.len() - 1) as f64 * share) as usize];
        println!("{what}: {} calls", self.times.len());
        println!("  p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
        let most = *self.buckets.iter().max().expect("there are buckets");
        for (i, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (from, bar) = (Duration::from_nanos(1 << i), "#".repeat(count * WIDTH / most));
            println!("  from {:>9} {count:>8} {bar}", format!("{from:?}"));
        }
    }
}

fn measure(
    worker: &Worker,
    function: &Function,
    vertex: &str,
    calls: usize,
) -> dcf::Result<Histogram> {
    let mut histogram = Histogram { buckets: [0; BUCKETS], times: Vec::new() };
    let vertex = worker.vertex(vertex)?;
    for i in 0..calls + calls / 10 {
        let start = Instant::now();
        let doubled: i64 = worker.call(function, &vertex).arguments(i as i64).run()?;
        let time = start.elapsed();
        assert_eq!(doubled, 2 * i as i64);
        if i >= calls / 10 {
            histogram.add(time); // what came before warmed it up
        }
    }
    Ok(histogram)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let calls = std::env::args().nth(1).map_or(Ok(CALLS), |text| text.parse())?;
    let double = Udf::new("double").version("1").short().calculate(|cx| {
        let x: i64 = cx.argument()?;
        Ok(2 * x)
    });
    let server = Worker::open(&Options::new().listen("tcp://127.0.0.1:0"))?;
    let client = Worker::join(&server.addresses()?[0])?;
    server.put("vertex", ())?;
    let (here, there) = (double.register(&server)?, double.register(&client)?);
    measure(&server, &here, "vertex", calls)?.print("in this worker");
    measure(&client, &there, "vertex", (calls / FEWER).max(1))?.print("over TCP");
    Ok(())
}
