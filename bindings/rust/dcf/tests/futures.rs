//! Started calls that a thread of the worker completes.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{DEADLINE, Latch, alone, numbers, slow, total};
use dcf::{Answer, Options, Status, Udf};

#[test]
fn started_calls_come_back() {
    let worker = alone();
    let vertices: Vec<_> =
        (0..50i64).map(|x| worker.put(None, numbers(vec![x])).unwrap()).collect();
    let total = total().register(&worker).unwrap();
    let futures: Vec<_> = vertices.iter().map(|v| worker.call(&total, v).start::<i64>()).collect();
    drop(vertices); // the calls keep what they need
    let sums: Vec<i64> = futures.into_iter().map(|future| future.wait().unwrap()).collect();
    assert_eq!(sums, (0..50).collect::<Vec<i64>>());
}

#[test]
fn a_future_is_send_and_static() {
    fn check<T: Send + 'static>(_: &T) {}
    let worker = alone();
    let seven = worker.put("seven", 7i64).unwrap();
    let future = worker.call("count", "seven").start::<Answer<i64>>();
    check(&future);
    drop((worker, seven)); // the future keeps the worker
    let answer = std::thread::spawn(move || future.wait()).join().unwrap().unwrap();
    assert_eq!(answer.value, 1);
}

#[test]
fn handles_are_clone_send_sync_and_static() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<dcf::Worker>();
    check::<dcf::Vertex>();
    check::<dcf::Function>();
    check::<dcf::Udf>();
    check::<dcf::Error>();
}

#[test]
fn what_is_wrong_with_a_call_is_its_result() {
    let worker = alone();
    let error = worker.call("no such function", dcf::VertexId::default()).start::<i64>().wait();
    assert_eq!(error.unwrap_err().status(), Status::NotFound);
    let failing = Udf::new("failing").calculate(|_| Err::<(), _>(dcf::Failure::new("on purpose")));
    let failing = failing.register(&worker).unwrap();
    let vertex = worker.put(None, ()).unwrap();
    let error = worker.call(&failing, &vertex).start::<()>().wait().unwrap_err();
    assert_eq!(error.status(), Status::UdfFailed);
    assert!(error.message().contains("on purpose"), "{error}");
}

#[test]
fn a_dropped_future_cancels_its_call() {
    let worker = alone();
    let vertex = worker.put(None, ()).unwrap();
    let (latch, cancelled) = (Latch::default(), Arc::new(AtomicBool::new(false)));
    let (slow, seen) = (latch.clone(), cancelled.clone());
    let slow = Udf::new("slow").calculate(move |cx| {
        slow.pass();
        while !cx.cancelled() {
            std::thread::yield_now();
        }
        seen.store(true, Ordering::Release);
        Ok(())
    });
    let slow = slow.register(&worker).unwrap();
    let future = worker.call(&slow, &vertex).timeout(DEADLINE).start::<()>();
    latch.reached();
    drop(future);
    latch.open();
    let until = std::time::Instant::now() + DEADLINE;
    while !cancelled.load(Ordering::Acquire) {
        assert!(std::time::Instant::now() < until, "the call was not told");
        std::thread::yield_now();
    }
}

#[test]
fn a_close_ends_what_is_under_way() {
    let worker = alone();
    let vertex = worker.put(None, ()).unwrap();
    let latch = Latch::default();
    let slow = slow(&latch).register(&worker).unwrap();
    let future = worker.call(&slow, &vertex).start::<()>();
    latch.reached();
    latch.open();
    worker.close().unwrap();
    assert_eq!(future.wait().unwrap_err().status(), Status::Cancelled);
    let late = worker.call(&slow, &vertex).start::<()>().wait().unwrap_err();
    assert_eq!(late.status(), Status::BadHandle);
}

#[test]
fn a_function_may_start_calls_and_wait() {
    let owner = common::open(&Options::new().listen("inproc://futures-nested"));
    let caller = common::open(&Options::new().join("inproc://futures-nested"));
    owner.put("seven", 7i64).unwrap();
    let here = caller.put("here", ()).unwrap();
    let inner = caller.clone();
    let outer = Udf::new("outer")
        .calculate(move |_| Ok(inner.call("count", "seven").start::<i64>().wait()? + 1));
    let outer = outer.register(&caller).unwrap();
    assert_eq!(caller.call(&outer, &here).start::<i64>().wait().unwrap(), 2);
    caller.close().unwrap(); // the function keeps its worker
}
