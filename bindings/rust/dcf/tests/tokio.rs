//! Started calls that a tokio runtime completes.

mod common;

use common::{DEADLINE, Latch, alone, slow};
use dcf::{Options, Status, Udf, Worker};

/// A worker whose vertex is another's: what is called there cannot be answered at once.
fn pair(name: &str) -> (Worker, Worker) {
    let address = format!("inproc://{name}");
    let owner = common::open(&Options::new().listen(&address));
    let caller = common::open(&Options::new().join(&address));
    owner.put("seven", 7i64).unwrap();
    (owner, caller)
}

#[tokio::test]
async fn awaited() {
    let (_owner, caller) = pair("tokio-awaited");
    let future = caller.call("count", "seven").start::<i64>();
    assert_eq!(tokio::time::timeout(DEADLINE, future).await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once() {
    let (_owner, caller) = pair("tokio-many");
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.call("count", "seven").start::<i64>().await })
        })
        .collect();
    for task in tasks {
        assert_eq!(tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap().unwrap(), 1);
    }
}

#[test]
fn a_queue_outlives_its_runtime() {
    let worker = alone();
    let vertex = worker.put(None, ()).unwrap();
    let latch = Latch::default();
    let slow = latch.clone();
    let slow = Udf::new("slow").calculate(move |_| {
        slow.pass();
        Ok(5i64)
    });
    let slow = slow.register(&worker).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let entered = runtime.enter();
    let future = worker.call(&slow, &vertex).start::<i64>();
    drop(entered);
    runtime.block_on(tokio::task::yield_now()); // its driver comes to be
    latch.reached();
    drop(runtime); // a thread goes on with its queue
    latch.open();
    assert_eq!(future.wait().unwrap(), 5);
    let again = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    latch.open();
    let result = again.block_on(async { worker.call(&slow, &vertex).start::<i64>().await });
    assert_eq!(result.unwrap(), 5);
}

#[tokio::test]
async fn several_runtimes_at_once() {
    let (_owner, caller) = pair("tokio-several");
    let other = caller.clone();
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { other.call("count", "seven").start::<i64>().await })
    });
    let here = caller.call("count", "seven").start::<i64>().await;
    assert_eq!((here.unwrap(), elsewhere.join().unwrap().unwrap()), (1, 1));
}

#[tokio::test]
async fn a_close_ends_what_is_awaited() {
    let worker = alone();
    let vertex = worker.put(None, ()).unwrap();
    let latch = Latch::default();
    let slow = slow(&latch).register(&worker).unwrap();
    let future = worker.call(&slow, &vertex).timeout(DEADLINE).start::<()>();
    latch.reached();
    latch.open();
    worker.close_within(Some(DEADLINE)).unwrap();
    let error = tokio::time::timeout(DEADLINE, future).await.unwrap().unwrap_err();
    assert_eq!(error.status(), Status::Cancelled);
}
