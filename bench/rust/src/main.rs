//! The cases in Rust: calls of Rust functions on local vertices, made and awaited, and those over
//! shared memory.

mod measure;
mod shm;

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use dcf::{Function, Udf, Vertex, Worker};
use measure::{Series, callback, case};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Calls of local/rust-64.
const WAVE: usize = 64;
/// Sixteen bytes, as in the other languages: a number and what nobody reads.
const ARGUMENTS: [u8; 16] = [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const VALUES: [i64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const SUM: i64 = 6;

/// The argument and the first row of the vertex.
fn add(name: &str) -> Udf {
    Udf::new(name).commutative().calculate(|cx| {
        let first = cx.batch()?.column(0).as_primitive::<Int64Type>().value(0);
        Ok(first + i64::from_le_bytes(cx.arguments()[..8].try_into()?))
    })
}

fn put(worker: &Worker) -> Result<Vertex> {
    let values = Arc::new(Int64Array::from(VALUES.to_vec()));
    Ok(worker.put(None, RecordBatch::try_from_iter([("value", values as _)])?)?)
}

/// What all cases need.
struct Bench {
    worker: Worker,
    vertex: Vertex,
    /// Short: may be answered at once.
    short: Function,
    /// Not: goes through the queue when it is awaited.
    long: Function,
    name: String,
    rounds: i32,
}

impl Bench {
    fn sync(&self, operations: usize) {
        for _ in 0..operations {
            let call = self
                .worker
                .call(&self.short, &self.vertex)
                .arguments(ARGUMENTS);
            assert_eq!(call.run::<i64>().expect("a call"), SUM);
        }
    }

    fn awaited(&self, runtime: &Runtime, function: &Function, operations: usize) {
        runtime.block_on(async {
            for _ in 0..operations {
                let call = self
                    .worker
                    .call(function, &self.vertex)
                    .arguments(ARGUMENTS);
                assert_eq!(call.start::<i64>().await.expect("a call"), SUM);
            }
        });
    }

    fn measure(&self, product: &mut dyn FnMut(usize), calls: usize, floor: &mut dyn FnMut(usize)) {
        let product = Series {
            name: "product",
            run: product,
            calls,
        };
        let floor = Series {
            name: "floor",
            run: floor,
            calls: 1,
        };
        case(&self.name, self.rounds, &mut [product, floor]);
    }

    fn one(&self) {
        self.measure(&mut |n| self.sync(n), 1, &mut run_callback);
    }

    fn wave(&self) -> Result<()> {
        let vertices = (0..WAVE)
            .map(|_| put(&self.worker))
            .collect::<Result<Vec<_>>>()?;
        let call = |vertex| self.worker.call(&self.short, vertex).arguments(ARGUMENTS);
        let mut calls = self.worker.calls(vertices.iter().map(call))?;
        let mut product = |operations| {
            for _ in 0..operations {
                calls.run().expect("a wave");
                let all: i64 = calls.results::<i64>().map(|sum| sum.expect("a call")).sum();
                assert_eq!(all, SUM * WAVE as i64);
            }
        };
        self.measure(&mut product, WAVE, &mut run_callback);
        Ok(())
    }

    fn inline(&self) -> Result<()> {
        let runtime = runtime()?;
        let mut product = |n| self.awaited(&runtime, &self.short, n);
        self.measure(&mut product, 1, &mut |n| self.sync(n));
        Ok(())
    }

    fn descriptor(&self) -> Result<()> {
        let (runtime, echo) = (runtime()?, Echo::start()?);
        let awaited = echo.awaited(&runtime)?;
        let mut product = |n| self.awaited(&runtime, &self.long, n);
        self.measure(&mut product, 1, &mut |n| {
            runtime.block_on(async {
                for _ in 0..n {
                    echo.round(&awaited).await.expect("an eventfd");
                }
            });
        });
        drop(awaited);
        echo.stop()
    }
}

fn run_callback(operations: usize) {
    let value = VALUES[0] as u64;
    for i in 0..operations {
        black_box(callback(&value, i as u64));
    }
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?)
}

/// A thread that writes to one eventfd when it reads from another.
struct Echo {
    request: File,
    reply: File,
    thread: JoinHandle<()>,
}

/// What ends the thread.
const STOP: u64 = u64::MAX - 1;

fn eventfd(flags: i32) -> Result<File> {
    // SAFETY: numbers only.
    let fd = unsafe { libc::eventfd(0, flags) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: it is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

impl Echo {
    fn start() -> Result<Self> {
        let (request, reply) = (eventfd(0)?, eventfd(libc::EFD_NONBLOCK)?);
        let (mut asked, mut answer) = (request.try_clone()?, reply.try_clone()?);
        let thread = thread::spawn(move || {
            let mut count = [0; 8];
            while asked.read(&mut count).is_ok() && u64::from_ne_bytes(count) != STOP {
                answer.write_all(&1u64.to_ne_bytes()).expect("an eventfd");
            }
        });
        Ok(Self {
            request,
            reply,
            thread,
        })
    }

    fn awaited(&self, runtime: &Runtime) -> Result<AsyncFd<File>> {
        let _context = runtime.enter();
        // SAFETY: a File is the same open descriptor as long as it lives.
        Ok(unsafe { AsyncFd::register(self.reply.try_clone()?) }?)
    }

    async fn round(&self, awaited: &AsyncFd<File>) -> std::io::Result<()> {
        (&self.request).write_all(&1u64.to_ne_bytes())?;
        loop {
            let mut ready = awaited.readable().await?;
            let read = ready.try_io(|reply| reply.get_ref().read_exact(&mut [0; 8]));
            if let Ok(read) = read {
                return read;
            }
        }
    }

    fn stop(mut self) -> Result<()> {
        self.request.write_all(&STOP.to_ne_bytes())?;
        self.thread
            .join()
            .map_err(|_| "the floor's thread failed".into())
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        let value = at.and_then(|at| arguments.get(at + 1));
        value
            .cloned()
            .ok_or_else(|| format!("rust --case CASE --rounds N: {name} is missing"))
    };
    if let Ok(server) = option("--server") {
        return shm::run(option("--case")?, option("--rounds")?.parse()?, &server);
    }
    let worker = Worker::open(&dcf::Options::new())?;
    let bench = Bench {
        vertex: put(&worker)?,
        short: add("bench.add").short().register(&worker)?,
        long: add("bench.add-long").register(&worker)?,
        name: option("--case")?,
        rounds: option("--rounds")?.parse()?,
        worker,
    };
    match bench.name.as_str() {
        "local/rust" => bench.one(),
        "local/rust-64" => bench.wave()?,
        "async/rust" => bench.inline()?,
        "async/rust-fd" => bench.descriptor()?,
        name => return Err(format!("there is no case {name} here").into()),
    }
    Ok(bench.worker.close()?)
}
