//! The tree: the classic testbed of systems that send functions to data.
//!
//! Fourteen numbers on two workers, and three questions that walk them:
//!
//! ```text
//! tree              all on one worker
//! tree inproc       vertices 8 to 13 on a second worker of this process
//! tree tcp          ... of another process
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use dcf::{Failure, Function, Options, Put, Spawn, Udf, Vertex, VertexId, Worker};

const CHILDREN: [(usize, &[usize]); 6] =
    [(0, &[1, 2]), (1, &[3, 4]), (2, &[5, 6]), (4, &[7, 8, 9]), (8, &[10, 11]), (9, &[12, 13])];
const VALUES: [i64; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 100, 200, 300, 400, 500, 600];
const FIRST_OF_SECOND: usize = 8;
const NEW_LEAF: i64 = 10_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

// ---- The functions. Name and version say that they are the same on every worker that registers
// them, so they run where their vertices are.

/// The vertex's value and those of everything below it. A leaf gets a child.
fn graph_sum() -> Udf {
    Udf::new("graph_sum")
        .version("rust-1")
        .updates()
        .commutative()
        .short()
        .calculate(|cx| {
            cx.children().iter().try_for_each(|child| cx.spawn(child))?;
            if cx.children().is_empty() {
                cx.add_child(NEW_LEAF)?;
            }
            Ok(cx.value::<i64>()?)
        })
        .merge(|parts: &[i64]| Ok(parts.iter().sum::<i64>()))
}

/// What a walk found of one vertex; as a part, its bytes.
#[derive(Clone, Copy, PartialEq)]
struct Found {
    id: VertexId,
    version: u64,
    value: i64,
}

const FOUND_BYTES: usize = 32;

impl Found {
    fn bytes(&self) -> [u8; FOUND_BYTES] {
        let mut bytes = [0; FOUND_BYTES];
        bytes[..16].copy_from_slice(self.id.as_bytes());
        bytes[16..24].copy_from_slice(&self.version.to_le_bytes());
        bytes[24..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, Failure> {
        Ok(Self {
            id: VertexId::from_bytes(bytes[..16].try_into()?),
            version: u64::from_le_bytes(bytes[16..24].try_into()?),
            value: i64::from_le_bytes(bytes[24..FOUND_BYTES].try_into()?),
        })
    }

    fn all(parts: &[Vec<u8>]) -> std::result::Result<Vec<Self>, Failure> {
        parts.iter().flat_map(|part| part.chunks(FOUND_BYTES)).map(Self::from_bytes).collect()
    }
}

/// The set of vertices within so many edges of this one, whatever their direction.
///
/// A vertex is met over many paths: `once` runs it once for each number of edges that is left, and
/// the union counts it once.
fn around() -> Udf {
    Udf::new("around")
        .version("rust-1")
        .commutative()
        .short()
        .calculate(|cx| {
            let left: i64 = cx.argument()?;
            if left > 0 {
                for neighbour in cx.children().iter().chain(cx.parents()) {
                    cx.spawn_with(Spawn::new(neighbour)?.arguments(left - 1)?.once())?;
                }
            }
            Ok(Found { id: cx.id(), version: cx.version(), value: cx.value()? }.bytes())
        })
        .merge(|parts: &[Vec<u8>]| {
            let union: BTreeMap<_, _> = Found::all(parts)?.into_iter().map(|f| (f.id, f)).collect();
            Ok(union.values().flat_map(Found::bytes).collect::<Vec<u8>>())
        })
        .finish(|set: Vec<u8>| Ok(Found::all(&[set])?.iter().map(|found| found.value).sum::<i64>()))
}

/// The vertices with the largest and the smallest value of a tree, in this order.
fn extremes() -> Udf {
    Udf::new("extremes")
        .version("rust-1")
        .commutative()
        .short()
        .calculate(|cx| {
            cx.children().iter().try_for_each(|child| cx.spawn(child))?;
            let found = Found { id: cx.id(), version: cx.version(), value: cx.value()? };
            Ok([found.bytes(), found.bytes()].concat())
        })
        .merge(|parts: &[Vec<u8>]| {
            let all = Found::all(parts)?;
            let large = all.iter().max_by_key(|found| found.value);
            let small = all.iter().min_by_key(|found| found.value);
            Ok(large.into_iter().chain(small).flat_map(Found::bytes).collect::<Vec<u8>>())
        })
}

fn register(worker: &Worker) -> dcf::Result<[Function; 3]> {
    let [sum, around, extremes] = [graph_sum(), around(), extremes()].map(|f| f.register(worker));
    Ok([sum?, around?, extremes?])
}

// ---- The tree and its questions

/// The vertices, by their numbers, at the worker that asks.
struct Tree {
    worker: Worker,
    vertices: Vec<Vertex>,
    functions: [Function; 3],
}

impl Tree {
    /// Makes the tree; vertices 8 and above at the node `second` (0: here, too).
    fn build(worker: &Worker, second: u64) -> dcf::Result<Self> {
        let put = |(i, value): (usize, &i64)| {
            let node = if i >= FIRST_OF_SECOND { second } else { 0 };
            worker.put_with(i.to_string().as_str(), *value, &Put::new().node(node))
        };
        let vertices: Vec<Vertex> =
            VALUES.iter().enumerate().map(put).collect::<dcf::Result<_>>()?;
        for (parent, children) in CHILDREN {
            children.iter().try_for_each(|child| vertices[parent].link(&vertices[*child]))?;
        }
        Ok(Self { worker: worker.clone(), vertices, functions: register(worker)? })
    }

    /// Sums the tree and gives each of its leaves a child.
    fn graph_sum(&self) -> dcf::Result<i64> {
        self.worker.call(&self.functions[0], &self.vertices[0]).run()
    }

    /// The largest sum of all distinct vertices within so many edges of a start. All starts are
    /// asked in one go.
    fn max_adjacent_sum(&self, distance: i64) -> dcf::Result<i64> {
        let ask = |start| self.worker.call(&self.functions[1], start).arguments(distance);
        let mut calls = self.worker.calls(self.vertices.iter().map(ask))?;
        calls.run()?;
        calls.results().try_fold(i64::MIN, |best, sum| Ok(best.max(sum?)))
    }

    /// Exchanges the largest and the smallest value by two conditional sets.
    ///
    /// Each set happens only if its vertex is still at the version that was read; else
    /// `dcf::Error::Aborted` says so and nothing of it was applied. The two together are not atomic: a
    /// crash between them leaves the smallest value on both vertices, and the largest is lost but
    /// for what this function printed or kept.
    fn swap_largest_and_smallest(&self) -> Result<(i64, i64)> {
        let found: Vec<u8> = self.worker.call(&self.functions[2], &self.vertices[0]).run()?;
        let found = Found::all(&[found]).map_err(|failure| format!("{failure:?}"))?;
        let (large, small) = (found[0], found[1]);
        for (one, other) in [(large, small), (small, large)] {
            self.worker.vertex_of(one.id)?.set_if(one.version, other.value)?;
        }
        Ok((large.value, small.value))
    }

    /// Removes the tree, and what graph_sum has hung on it.
    fn drop_everywhere(self) -> dcf::Result<()> {
        let mut stack = vec![self.vertices[0].clone()];
        while let Some(vertex) = stack.pop() {
            stack.extend(vertex.children()?);
            vertex.drop_everywhere()?;
        }
        Ok(())
    }
}

// ---- Where it lies

/// The second worker in a process of its own: serves until its standard input ends.
fn serve(address: &str) -> Result<()> {
    let worker = Worker::open(&Options::new().listen("tcp://127.0.0.1:0").join(address))?;
    let _functions = register(&worker)?;
    println!("{}", worker.node_id()?);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(worker.close()?)
}

/// Starts this program again as the second worker, and gives its node.
fn start(address: &str) -> Result<(Child, u64)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut node = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut node)?;
    Ok((child, node.trim().parse().map_err(|_| "the second worker did not start")?))
}

fn show(worker: &Worker, second: u64) -> Result<()> {
    let tree = Tree::build(worker, second)?;
    for distance in 0..4 {
        println!("MaxAdjacentSum {distance}: {}", tree.max_adjacent_sum(distance)?);
    }
    let (large, small) = tree.swap_largest_and_smallest()?;
    println!("SwapLargestAndSmallest: {large} and {small}");
    for _ in 0..2 {
        println!("GraphSum: {}", tree.graph_sum()?);
    }
    Ok(tree.drop_everywhere()?)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["one"] => show(&Worker::open(&Options::new())?, 0),
        ["inproc"] => {
            let first = Worker::open(&Options::new().listen("inproc://tree"))?;
            let options = Options::new().listen("inproc://tree-2").join("inproc://tree");
            let second = Worker::open(&options)?;
            let _functions = register(&second)?;
            show(&first, second.node_id()?)
        }
        ["tcp"] => {
            let worker = Worker::open(&Options::new().listen("tcp://127.0.0.1:0"))?;
            let (mut child, node) = start(&worker.addresses()?[0])?;
            show(&worker, node)?;
            drop(child.stdin.take()); // it ends with its input
            if child.wait()?.success() { Ok(()) } else { Err("the second worker failed".into()) }
        }
        ["serve", address] => serve(address),
        _ => Err("tree [one|inproc|tcp]".into()),
    }
}
