//! Two workers, over inproc, shared memory and TCP, and a dcfnode.

mod common;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchIterator, StringArray};
use common::{alone, numbers, open, table, total};
use dcf::{Answer, Effects, Options, Put, ServedHow, Status, Udf, Worker};

fn pair(listen: &str, shared_memory: bool) -> (Worker, Worker) {
    let first = open(&Options::new().listen(listen).node_id(1).shared_memory(shared_memory));
    let address = first.addresses().unwrap().remove(0);
    (first, open(&Options::new().join(address).node_id(2)))
}

/// A function under a name and version runs at the owner, one without comes to the caller's side.
fn check_two(listen: &str, how: ServedHow) {
    let (first, second) = pair(listen, how == ServedHow::SharedMemory);
    let vertex = first.put("numbers", numbers(vec![1, 2, 3])).unwrap();
    let shared = total().version("1");
    let (_there, here) = (shared.register(&first).unwrap(), shared.register(&second).unwrap());
    let answer: Answer<i64> = second.call(&here, "numbers").at_owner().run().unwrap();
    assert_eq!((answer.value, answer.served_by, answer.bytes_fetched), (6, 1, 0));
    assert_eq!(answer.served_how, how);

    let private = Udf::new("private").calculate(|cx| {
        assert!(cx.is_remote());
        Ok(cx.batch()?.num_rows() as u64)
    });
    let private = private.register(&second).unwrap();
    let answer: Answer<u64> = second.call(&private, "numbers").run().unwrap();
    assert_eq!((answer.value, answer.served_by), (3, 2));
    assert!(answer.bytes_fetched >= 24, "{answer:?}");
    let error = second.call(&private, "numbers").at_owner().run::<u64>().unwrap_err();
    assert_eq!(error.status(), Status::NotFound);

    let bump = Udf::new("bump").version("1").updates().calculate(|cx| {
        let rows = cx.batch()?.num_rows() as i64;
        cx.set_value(rows + 1)?;
        Ok(())
    });
    let (_there, here) = (bump.register(&first).unwrap(), bump.register(&second).unwrap());
    let answer: Answer<()> = second.call(&here, "numbers").run().unwrap();
    assert_eq!(answer.effects, Effects::Complete);
    assert_eq!(answer.version, vertex.info().unwrap().version);
    let remote = second.vertex("numbers").unwrap();
    assert!(!remote.info().unwrap().local);
    assert_eq!(remote.batch().unwrap().unwrap().num_rows(), 1);
    assert_eq!(second.nodes().unwrap().num_rows(), 2);

    let failing = Udf::new("failing").version("1").calculate(|_| -> Result<i64, dcf::Failure> {
        panic!("over there");
    });
    let (_there, here) = (failing.register(&first).unwrap(), failing.register(&second).unwrap());
    let error = second.call(&here, "numbers").at_owner().run::<i64>().unwrap_err();
    assert_eq!((error.status(), error.node()), (Status::UdfFailed, 1));
    assert!(error.message().contains("over there"), "{error}");
    assert!(error.message().contains("cluster.rs"), "{error}");
}

#[test]
fn two_over_inproc() {
    check_two("inproc://cluster", ServedHow::Network);
}

#[test]
fn two_over_tcp() {
    check_two("tcp://127.0.0.1:0", ServedHow::Network);
}

#[test]
fn two_over_shared_memory() {
    check_two("tcp://127.0.0.1:0", ServedHow::SharedMemory);
}

#[test]
fn nobody_listens() {
    let error = Worker::join("inproc://nobody is here").unwrap_err();
    assert_eq!(error.status(), Status::Unavailable);
    alone();
}

/// Ends with the test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A dcfnode on a free port, and its address.
fn node() -> (Node, String) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let program = root.join("build/bin/dcfnode");
    let mut child = Command::new(&program)
        .args(["--listen", "tcp://127.0.0.1:0", "--node-id", "1", "--log-level", "error"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: make build", program.display()));
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let node = Node(child);
    let address = line.split_whitespace().find(|word| word.starts_with("tcp://"));
    (node, address.unwrap_or_else(|| panic!("dcfnode said {line:?}")).to_owned())
}

#[test]
fn a_guest_of_a_dcfnode() {
    let (_node, address) = node();
    let worker = open(&Options::new().join(address));
    let words = table(vec![("w", Arc::new(StringArray::from(vec![Some("a"), None, Some("ccc")])))]);
    let batches =
        RecordBatchIterator::new(vec![Ok(words.clone()), Ok(words.slice(1, 2))], words.schema());
    let there = worker.put_stream("words", batches, &Put::new().node(1)).unwrap();
    assert_eq!(there.info().unwrap().owner, 1);
    let answer: Answer<i64> = worker.call("count", "words").run().unwrap();
    assert_eq!((answer.value, answer.served_by, answer.bytes_fetched), (5, 1, 0));
    let back: Vec<RecordBatch> = there.stream().unwrap().map(Result::unwrap).collect();
    assert_eq!(back.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    assert_eq!(back[0].slice(0, 3), words);
    let taken = worker.put_with("words", words.clone(), &Put::new().node(1)).unwrap_err();
    assert_eq!(taken.status(), Status::AlreadyExists);
    let again = worker.put_with("words", words.clone(), &Put::new().node(1).replace()).unwrap();
    assert_eq!(again.batch().unwrap().unwrap(), words);
    again.drop_everywhere().unwrap();
    assert_eq!(worker.vertex("words").unwrap_err().status(), Status::NotFound);
}
