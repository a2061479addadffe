//! The functions of the Rust peer: what every language has, and the failures of Rust.

use std::{fmt, fs, panic};

use arrow_array::{Array, RecordBatch};
use dcf::{Context, Failure, Udf, Worker};

const UPDATES: u32 = 1;
const COMMUTATIVE: u32 = 2;

/// Registers the function of that name: the peer's own, or, where another language has it, one of
/// the same identity that says that it ran at the wrong place.
pub(crate) fn register(worker: &Worker, name: &str, flags: u32) -> dcf::Result<()> {
    let mut udf = Udf::new(name).version("1");
    if flags & UPDATES != 0 {
        udf = udf.updates();
    }
    if flags & COMMUTATIVE != 0 {
        udf = udf.commutative();
    }
    udf = match name {
        "tally" => udf.calculate(tally).merge(|parts: &[[u8; 16]]| Ok(add_up(parts))),
        "tail" => udf.calculate(tail),
        "replace" => udf.calculate(replace),
        "rust.fail" => udf.calculate(fails),
        "rust.panic" => udf.calculate(panics),
        "rust.payload" => udf.calculate(panics_with_a_number),
        "rust.hang" | "rust.hang_update" => udf.calculate(hangs),
        _ => udf.calculate(stranger),
    };
    udf.register(worker)?; // it stays registered
    Ok(())
}

/// The rows of a table, and the nulls of its first column.
fn tally(cx: &Context<'_>) -> Result<[u8; 16], Failure> {
    let batch = cx.batch()?;
    let column = batch.column(0);
    // For arrow-rs a column of type null has no nulls.
    let nulls = if column.data_type().is_null() { column.len() } else { column.null_count() };
    Ok(counts(batch.num_rows() as u64, nulls as u64))
}

fn counts(rows: u64, nulls: u64) -> [u8; 16] {
    let mut part = [0; 16];
    part[..8].copy_from_slice(&rows.to_le_bytes());
    part[8..].copy_from_slice(&nulls.to_le_bytes());
    part
}

fn add_up(parts: &[[u8; 16]]) -> [u8; 16] {
    let sum = |at: usize| {
        parts.iter().map(|p| u64::from_le_bytes(p[at..at + 8].try_into().expect("8 bytes"))).sum()
    };
    counts(sum(0), sum(8))
}

/// All rows but the first.
fn tail(cx: &Context<'_>) -> Result<RecordBatch, Failure> {
    let batch = cx.batch()?;
    let from = batch.num_rows().min(1);
    Ok(batch.slice(from, batch.num_rows() - from))
}

/// The arguments become the value.
fn replace(cx: &Context<'_>) -> Result<(), Failure> {
    Ok(cx.set_value(cx.argument::<RecordBatch>()?)?)
}

// ---- What fails

#[derive(Debug)]
struct SkyFell(fmt::Error);

impl fmt::Display for SkyFell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sky fell")
    }
}

impl std::error::Error for SkyFell {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn fails(_: &Context<'_>) -> Result<(), Failure> {
    Err(SkyFell(fmt::Error))?
}

fn panics(_: &Context<'_>) -> Result<(), Failure> {
    deeper();
    Ok(())
}

#[inline(never)]
fn deeper() {
    panic!("the sky fell\nin Rust")
}

fn panics_with_a_number(_: &Context<'_>) -> Result<(), Failure> {
    panic::panic_any(42)
}

/// Hangs until somebody opened the pipe that the arguments name, and closed it.
fn hangs(cx: &Context<'_>) -> Result<&'static [u8], Failure> {
    fs::read(std::str::from_utf8(cx.arguments())?)?;
    Ok(b"released")
}

fn stranger(_: &Context<'_>) -> Result<(), Failure> {
    Err(Failure::new("another language's function ran in Rust"))
}
