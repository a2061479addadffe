//! The Rust peer: a worker that does what it is told on its standard input, one line a command, and
//! answers each with a line. pairs/peers.py says what the commands are.

mod functions;
mod table;

use std::error::Error as StdError;
use std::io::{self, BufRead};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use dcf::{Answer, Effects, Error, FromPart, Options, Part, Parts, Put, Worker};

type Anything<T> = Result<T, Box<dyn StdError>>;

fn main() -> Anything<()> {
    let mut words = std::env::args().skip(1);
    let node = words.next().ok_or("usage: peer NODE [ADDRESS]")?.parse()?;
    let mut options = Options::new().listen("tcp://127.0.0.1:0").node_id(node);
    if let Some(address) = words.next() {
        options = options.join(address);
    }
    let worker = Worker::open(&options)?;
    println!("ok {}", worker.addresses()?.join(","));
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (command, words) = line.split_once(' ').unwrap_or((&line, ""));
        if command == "close" {
            worker.close()?;
            println!("ok{}", handles()?);
            return Ok(());
        }
        let words: Vec<_> = words.split(' ').collect();
        match obey(&worker, command, &words) {
            Ok(answer) => println!("{answer}"),
            Err(error) => {
                println!("{}", failure(error.downcast_ref::<Error>().ok_or(error.to_string())?))
            }
        }
    }
    Err("nobody said close".into())
}

/// Which handles the process still has; another worker can tell.
fn handles() -> Anything<String> {
    let worker = Worker::open(&Options::new())?;
    let stats = worker.stats()?;
    let names = stats.column(0).as_string::<i32>().iter().flatten();
    let values = stats.column(2).as_primitive::<Int64Type>().values();
    let handles = names.zip(values).filter(|(name, _)| name.starts_with("handles."));
    let text = handles.map(|(name, value)| format!(" {name}={value}")).collect();
    worker.close()?;
    Ok(text)
}

fn obey(worker: &Worker, command: &str, words: &[&str]) -> Anything<String> {
    match (command, words) {
        ("register", [name, flags]) => functions::register(worker, name, flags.parse()?)?,
        ("put", [name, shards, rest @ ..]) => {
            worker.put_with(*name, table::read(rest)?, &Put::new().shards(shards.parse()?))?;
        }
        ("set", [name, rest @ ..]) => {
            worker.vertex(name)?.set(table::read(rest)?)?;
        }
        ("read", [name, path]) => table::write_stream(path, worker.vertex(name)?.stream()?)?,
        ("drop", [name]) => worker.vertex(name)?.drop_everywhere()?,
        ("call", [udf, name, how, milliseconds, path, given @ ..]) => {
            let timeout = Duration::from_millis(milliseconds.parse()?);
            return call(worker, [udf, name, how, path], timeout, given);
        }
        _ => return Err(format!("unknown command {command} {words:?}").into()),
    }
    Ok("ok".into())
}

/// Says how a command failed.
fn failure(error: &Error) -> String {
    let effects = named(error.effects());
    let (message, detail) = (hex(error.message().as_bytes()), hex(error.detail().as_bytes()));
    format!("error {} {} {effects} {message} {detail}", error.status().name(), error.node())
}

fn named(effects: Effects) -> &'static str {
    match effects {
        Effects::None => "none",
        Effects::Complete => "complete",
        _ => "unknown",
    }
}

// ---- Calls

/// Any part, as it came.
enum Value {
    None,
    Bytes(Vec<u8>),
    Table(RecordBatch),
}

impl FromPart for Value {
    fn from_part(part: Part<'_>) -> dcf::Result<Self> {
        match part {
            Part::Bytes(bytes) => Ok(Self::Bytes(bytes.into())),
            Part::Batch(batch) => Ok(Self::Table(batch)),
            _ => Ok(Self::None),
        }
    }
}

fn call(
    worker: &Worker,
    [udf, name, how, path]: [&str; 4],
    timeout: Duration,
    given: &[&str],
) -> Anything<String> {
    let vertex = worker.vertex(name)?;
    let mut call = worker.call(udf, &vertex).timeout(timeout);
    call = match given {
        ["bytes", digits] => call.arguments(unhex(digits)?),
        ["table", rest @ ..] => call.arguments(table::read(rest)?),
        _ => call,
    };
    call = match how {
        "owner" => call.at_owner(),
        "here" => call.here(),
        _ => call,
    };
    let answer: Answer<Parts<Value>> =
        if how == "queue" { call.start().wait()? } else { call.run()? };
    let (effects, node) = (named(answer.effects), answer.served_by);
    let value = match answer.value.0.first() {
        Some(Value::Bytes(bytes)) => format!("bytes {}", hex(bytes)),
        Some(Value::Table(batch)) => {
            table::write(path, batch)?;
            "table".into()
        }
        Some(Value::None) | None => "none".into(),
    };
    Ok(format!("ok {effects} {node} {value}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Anything<Vec<u8>> {
    let pairs = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    Ok(pairs.collect::<Result<_, _>>()?)
}
