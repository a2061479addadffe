//! Functions and calls on vertices that are here.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch, StringArray};
use common::{alone, counter, numbers, table, total};
use dcf::builtins::{self, aggregate, count, head, max, mean, min, select, sum, variance};
use dcf::{Answer, Effects, Failure, Parts, Put, Scalar, ServedHow, Spawn, Status, Udf};

#[test]
fn a_function_runs_beside_each_shard() {
    let worker = alone();
    let group = numbers((0..100).collect::<Vec<i64>>());
    let group = worker.put_with("numbers", group, &Put::new().shards(7)).unwrap();
    let total = total().register(&worker).unwrap();
    assert_eq!(worker.call(&total, &group).run::<i64>().unwrap(), 4950);
    assert_eq!(worker.call(&total, "numbers").run::<i64>().unwrap(), 4950);
    assert_eq!(worker.call("total", &group).run::<i64>().unwrap(), 4950);
    assert_eq!(worker.call(&total, &group.shards().unwrap()).run::<i64>().unwrap(), 4950);
    assert_eq!(worker.call(&total, &group.child_ids().unwrap()).run::<i64>().unwrap(), 4950);
    assert_eq!(worker.call(&total, group.id().unwrap()).run::<i64>().unwrap(), 4950);
}

#[test]
fn the_view_of_a_version_is_made_once() {
    let worker = alone();
    let vertex = worker.put(None, numbers(vec![1, 2, 3])).unwrap();
    let address = Udf::new("address")
        .calculate(|cx| Ok(std::ptr::from_ref(cx.batch()?) as u64))
        .register(&worker)
        .unwrap();
    let first = worker.call(&address, &vertex).run::<u64>().unwrap();
    let second = worker.call(&address, &vertex).run::<u64>().unwrap();
    let third = worker.call(&address, &vertex).run::<u64>().unwrap();
    assert_eq!(second, third, "the first one may be its own, the next ones are the cached view");
    assert_ne!(first, 0);
}

#[test]
fn nothing_is_copied_either_way() {
    let worker = alone();
    let batch = numbers((0..1000).collect::<Vec<i64>>());
    let data = |batch: &RecordBatch| batch.column(0).to_data().buffers()[0].as_ptr() as u64;
    let put = data(&batch);
    let vertex = worker.put(None, batch).unwrap();
    let seen =
        Udf::new("seen").calculate(move |cx| Ok(data(cx.batch()?))).register(&worker).unwrap();
    assert_eq!(worker.call(&seen, &vertex).run::<u64>().unwrap(), put);
    assert_eq!(data(&vertex.batch().unwrap().unwrap()), put);
}

#[test]
fn arguments_of_every_form() {
    let worker = alone();
    let vertex = worker.put(None, ()).unwrap();
    let size = Udf::new("size").calculate(|cx| Ok(cx.arguments().len() as u64));
    let size = size.register(&worker).unwrap();
    let sized = |bytes: usize| worker.call(&size, &vertex).arguments(vec![1u8; bytes]).run::<u64>();
    for bytes in [0, 1, 32, 33, 100_000] {
        assert_eq!(sized(bytes).unwrap(), bytes as u64);
    }
    let rows = Udf::new("rows").calculate(|cx| {
        let batch: RecordBatch = cx.argument()?;
        Ok(batch) // it outlives the call that lent it
    });
    let rows = rows.register(&worker).unwrap();
    let words = table(vec![("w", Arc::new(StringArray::from(vec![Some("a"), None, Some("ccc")])))]);
    let sent = words.slice(1, 2);
    let back: RecordBatch = worker.call(&rows, &vertex).arguments(&sent).run().unwrap();
    assert_eq!(back, sent);
    let error = worker.call(&rows, &vertex).arguments(5i64).run::<RecordBatch>().unwrap_err();
    assert!(error.message().contains("a table is wanted, and it is 8 bytes"), "{error}");
}

#[test]
fn results_of_every_form() {
    let worker = alone();
    let vertex = worker.put(None, ()).unwrap();
    let bytes = Udf::new("bytes").calculate(|cx| Ok(vec![7u8; cx.argument::<u32>()? as usize]));
    let bytes = bytes.register(&worker).unwrap();
    for size in [0u32, 1, 64, 65, 100_000] {
        let result = worker.call(&bytes, &vertex).arguments(size).run::<Vec<u8>>().unwrap();
        assert_eq!(result, vec![7u8; size as usize]);
    }
    let nothing = Udf::new("nothing").calculate(|_| Ok(())).register(&worker).unwrap();
    worker.call(&nothing, &vertex).run::<()>().unwrap();
    assert_eq!(worker.call(&nothing, &vertex).run::<Option<i64>>().unwrap(), None);
    let text = Udf::new("text").calculate(|_| Ok("dcf")).register(&worker).unwrap();
    assert_eq!(worker.call(&text, &vertex).run::<String>().unwrap(), "dcf");
    let scalar = Udf::new("scalar").calculate(|_| Ok(Scalar(5i64))).register(&worker).unwrap();
    assert_eq!(worker.call(&scalar, &vertex).run::<i64>().unwrap(), 5);
    assert_eq!(worker.call(&scalar, &vertex).run::<RecordBatch>().unwrap().num_rows(), 1);
    let error = worker.call(&scalar, &vertex).run::<Vec<u8>>().unwrap_err();
    assert!(error.message().contains("bytes is wanted, and it is a table"), "{error}");
}

#[test]
fn without_a_merge_parts_come_one_by_one() {
    let worker = alone();
    let group = numbers((0..6).collect::<Vec<i64>>());
    let group = worker.put_with(None, group, &Put::new().shards(3)).unwrap();
    let each = Udf::new("each")
        .calculate(|cx| Ok(cx.batch()?.column(0).as_primitive::<Int64Type>().value(0)))
        .register(&worker)
        .unwrap();
    assert_eq!(worker.call(&each, &group).run::<Parts<i64>>().unwrap().0, [0, 2, 4]);
    let error = worker.call(&each, &group).run::<i64>().unwrap_err();
    assert!(error.message().contains("dcf::Parts"), "{error}");
    let whole =
        Udf::new("whole").calculate(|cx| Ok(cx.batch()?.clone())).register(&worker).unwrap();
    let parts = worker.call(&whole, &group).run::<Parts<RecordBatch>>().unwrap().0;
    assert_eq!(parts.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn merge_and_finish_see_the_arguments() {
    let worker = alone();
    let vertices = [1i64, 2, 3].map(|x| worker.put(None, x).unwrap());
    let scaled = Udf::new("scaled")
        .auxiliary(*b"aux")
        .calculate(|cx| Ok(cx.value::<i64>()?))
        .merge_with(|cx| {
            assert_eq!(cx.auxiliary(), b"aux");
            Ok(cx.parts::<i64>()?.iter().sum::<i64>())
        })
        .finish_with(|cx| {
            let factor = i64::from_le_bytes(cx.arguments().try_into()?);
            let dcf::Part::Bytes(bytes) = cx.part(0)? else { return Err(Failure::new("bytes")) };
            Ok((i64::from_le_bytes(bytes.try_into()?) * factor) as f64)
        })
        .register(&worker)
        .unwrap();
    let result = worker.call(&scaled, &vertices).arguments(10i64).run::<f64>().unwrap();
    assert_eq!(result, 60.0);
}

#[test]
fn effects_appear_together() {
    let worker = alone();
    let vertex = worker.put("counter", 1i64).unwrap();
    let other = worker.put("other", ()).unwrap();
    let step = Udf::new("step")
        .updates()
        .calculate(|cx| {
            let other: [u8; 16] = cx.argument()?;
            cx.set_value(cx.value::<i64>()? + 1)?;
            let child = cx.add_child(100i64)?;
            cx.add_named_child("named child", ())?;
            cx.link(dcf::VertexId::from_bytes(other))?;
            cx.log(dcf::Level::Debug, "a step");
            Ok(*child.as_bytes())
        })
        .register(&worker)
        .unwrap();
    let id = *other.id().unwrap().as_bytes();
    let answer: Answer<[u8; 16]> = worker.call(&step, &vertex).arguments(id).run().unwrap();
    assert_eq!((answer.effects, answer.served_how), (Effects::Complete, ServedHow::InProcess));
    assert_eq!(answer.version, vertex.info().unwrap().version);
    let children = vertex.children().unwrap();
    assert_eq!(children.len(), 3);
    assert_eq!(*children[0].id().unwrap().as_bytes(), answer.value);
    assert_eq!(children[1].name().unwrap(), "named child");
    assert_eq!(other.parent_ids().unwrap(), [vertex.id().unwrap()]);
    assert_eq!(other.parents().unwrap().len(), 1);
    let value = vertex.batch().unwrap().unwrap();
    assert_eq!(value.column(0).as_primitive::<Int64Type>().value(0), 2);

    let undo = Udf::new("undo")
        .updates()
        .calculate(|cx| {
            cx.children().iter().try_for_each(|child| cx.unlink(child))?;
            cx.set_value(())?;
            Ok(())
        })
        .register(&worker)
        .unwrap();
    worker.call(&undo, &vertex).run::<()>().unwrap();
    assert_eq!(vertex.batch().unwrap(), None);
    assert_eq!(vertex.child_ids().unwrap(), []);

    let remove = Udf::new("remove").updates().calculate(|cx| Ok(cx.remove()?));
    let remove = remove.register(&worker).unwrap();
    worker.call(&remove, &vertex).run::<()>().unwrap();
    assert_eq!(worker.vertex("counter").unwrap_err().status(), Status::NotFound);
}

#[test]
fn a_failure_leaves_no_effects() {
    let worker = alone();
    let vertex = worker.put(None, 1i64).unwrap();
    let half = Udf::new("half").updates().calculate(|cx| {
        cx.set_value(2i64)?;
        Err::<(), _>(Failure::new("after all").status(Status::Aborted))
    });
    let half = half.register(&worker).unwrap();
    let error = worker.call(&half, &vertex).run::<()>().unwrap_err();
    assert_eq!((error.status(), error.effects()), (Status::Aborted, Effects::None));
    let value = vertex.batch().unwrap().unwrap();
    assert_eq!(value.column(0).as_primitive::<Int64Type>().value(0), 1);
    let reads =
        Udf::new("reads").calculate(|cx| Ok(cx.set_value(3i64)?)).register(&worker).unwrap();
    let error = worker.call(&reads, &vertex).run::<()>().unwrap_err();
    assert!(error.message().contains("DCF_UDF_UPDATES"), "{error}");
}

#[test]
fn spawns_go_on_elsewhere() {
    let worker = alone();
    let tree = [1i64, 2, 3].map(|x| worker.put(None, x).unwrap());
    tree[0].link(&tree[1]).unwrap();
    tree[0].link(tree[2].id().unwrap()).unwrap();
    tree[1].link(&tree[2]).unwrap();
    let sum = |once: bool| {
        Udf::new(format!("sum {once}"))
            .calculate(move |cx| {
                for child in cx.children() {
                    let spawn = Spawn::new(child)?.arguments(cx.argument::<i64>()? + 1)?;
                    cx.spawn_with(if once { spawn.once() } else { spawn })?;
                }
                Ok(cx.value::<i64>()?)
            })
            .merge(|parts: &[i64]| Ok(parts.iter().sum::<i64>()))
            .register(&worker)
            .unwrap()
    };
    // Vertex 3 is met twice: with 1 and with 2 as the argument, which are different spawns.
    assert_eq!(worker.call(&sum(false), &tree[0]).arguments(0i64).run::<i64>().unwrap(), 9);
    assert_eq!(worker.call(&sum(true), &tree[0]).arguments(0i64).run::<i64>().unwrap(), 9);
    let _leaf =
        Udf::new("leaf").calculate(|cx| Ok(10 * cx.value::<i64>()?)).register(&worker).unwrap();
    let hop = Udf::new("hop")
        .calculate(|cx| {
            let spawns = cx.children().iter().map(Spawn::new);
            spawns
                .into_iter()
                .try_for_each(|spawn| cx.spawn_with(spawn?.function("leaf").once()))?;
            Ok(())
        })
        .register(&worker)
        .unwrap();
    assert_eq!(worker.call(&hop, &tree[0]).run::<Parts<i64>>().unwrap().0, [20, 30]);
    let parents = Udf::new("parents").calculate(|cx| Ok(cx.parents().len() as u64));
    let parents = parents.register(&worker).unwrap();
    assert_eq!(worker.call(&parents, &tree[2]).run::<u64>().unwrap(), 2);
}

#[test]
fn the_context_tells_about_the_call() {
    let worker = alone();
    let vertex = worker.put(None, 1i64).unwrap();
    let (id, version) = (vertex.id().unwrap(), vertex.info().unwrap().version);
    let about = Udf::new("about")
        .calculate(move |cx| {
            assert_eq!((cx.id(), cx.version()), (id, version));
            assert!(!cx.is_remote() && !cx.cancelled() && cx.has_value());
            let left = cx.remaining().ok_or_else(|| Failure::new("no deadline"))?;
            Ok(left.as_nanos() as u64)
        })
        .register(&worker)
        .unwrap();
    let call = worker.call(&about, &vertex).timeout(Duration::from_secs(100));
    let left = Duration::from_nanos(call.run::<u64>().unwrap());
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(100), "{left:?}");
}

#[test]
fn many_calls_in_one_crossing() {
    let worker = alone();
    let vertices: Vec<_> = (0..64).map(|x: i64| worker.put(None, x).unwrap()).collect();
    let runs = Arc::new(AtomicUsize::new(0));
    let square = {
        let runs = runs.clone();
        Udf::new("square").calculate(move |cx| {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(cx.value::<i64>()?.pow(2))
        })
    };
    let square = square.register(&worker).unwrap();
    let mut calls = worker.calls(vertices.iter().map(|v| worker.call(&square, v))).unwrap();
    assert!(calls.result::<i64>(0).is_err(), "nothing has run");
    for _ in 0..3 {
        calls.run().unwrap();
        let squares: Vec<i64> = calls.results().map(Result::unwrap).collect();
        assert_eq!(squares, (0..64).map(|x| x * x).collect::<Vec<i64>>());
    }
    assert_eq!(runs.load(Ordering::Relaxed), 3 * 64);
    // Tables can be taken once, and one call's failure is its own.
    let two = [worker.call("head", &vertices[0]), worker.call("square", &vertices[1])];
    let mut two = worker.calls(two).unwrap();
    two.run().unwrap();
    assert_eq!(two.result::<RecordBatch>(0).unwrap().num_rows(), 1);
    assert!(two.result::<RecordBatch>(0).unwrap_err().message().contains("taken already"));
    assert!(two.result::<RecordBatch>(1).is_err());
    two.run().unwrap();
    assert_eq!(two.result::<RecordBatch>(0).unwrap().num_rows(), 1);
}

#[test]
fn builtins_with_all_that_they_take() {
    let worker = alone();
    let flights = table(vec![
        ("carrier", Arc::new(StringArray::from(vec!["UA", "AA", "UA", "B6"]))),
        ("delay", Arc::new(Int64Array::from(vec![Some(2), None, Some(61), Some(-3)]))),
    ]);
    let flights = worker.put_with("flights", flights, &Put::new().shards(2)).unwrap();
    let one =
        |builtin: &dcf::builtins::Aggregate| worker.call(builtin, &flights).run::<i64>().unwrap();
    assert_eq!(one(&count()), 4);
    assert_eq!(one(&builtins::count_of("delay")), 3);
    assert_eq!((one(&min("delay")), one(&max("delay"))), (-3, 61));
    assert_eq!(one(&sum("delay").filter("carrier", "==", "UA")), 63);
    assert_eq!(one(&count().filter_null("delay", true)), 1);
    assert_eq!(worker.call(&mean("delay"), &flights).run::<f64>().unwrap(), 20.0);
    assert!(worker.call(&variance("delay", 1), &flights).run::<f64>().unwrap() > 1000.0);
    let none = max("delay").filter("delay", ">", 1000);
    assert_eq!(worker.call(&none, &flights).run::<Option<i64>>().unwrap(), None);

    let grouped =
        aggregate([("n", count()), ("worst", max("delay")), ("spread", variance("delay", 0))]);
    let grouped = grouped.by(["carrier"]);
    let rows = worker.call(&grouped, &flights).run::<RecordBatch>().unwrap();
    assert_eq!(rows.column(0).as_string::<i32>(), &StringArray::from(vec!["AA", "B6", "UA"]));
    assert_eq!(rows.column(1).as_primitive::<Int64Type>(), &Int64Array::from(vec![1, 1, 2]));
    let worst = Int64Array::from(vec![None, Some(-3), Some(61)]);
    assert_eq!(rows.column(2).as_primitive::<Int64Type>(), &worst);
    let nested = aggregate([("n", count().by("carrier"))]);
    let error = worker.call(&nested, &flights).run::<i64>().unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);

    let rows = |rows: &builtins::Rows| worker.call(rows, &flights).run::<RecordBatch>().unwrap();
    assert_eq!(rows(&head(3)).num_rows(), 3);
    assert_eq!(rows(&select("delay").head(1)).num_columns(), 1);
    assert_eq!(rows(&builtins::filter("delay", ">", 0).columns(["delay"])).num_rows(), 2);
}

#[test]
fn counters_count_calls() {
    let worker = alone();
    let vertex = worker.put(None, numbers(vec![1])).unwrap();
    let total = total().register(&worker).unwrap();
    let before = counter(&worker, "handles.vertices");
    let clone = vertex.clone();
    assert_eq!(counter(&worker, "handles.vertices"), before, "clones share a handle");
    drop((vertex, clone, total));
}
