//! What goes wrong is said, and harms nobody else.

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use common::{alone, numbers, total};
use dcf::{Error, Failure, Status, Udf};

#[test]
fn a_panic_fails_its_call_only() {
    let worker = alone();
    let vertex = worker.put(None, numbers(vec![1])).unwrap();
    let panics = Udf::new("panics").calculate(|cx| {
        if cx.arguments().is_empty() {
            let missing = cx.arguments().first().copied();
            return Ok(i64::from(missing.expect("a number is needed")));
        }
        std::panic::panic_any(5u8)
    });
    let panics = panics.register(&worker).unwrap();
    let error = worker.call(&panics, &vertex).run::<i64>().unwrap_err();
    assert_eq!(error.status(), Status::UdfFailed);
    assert!(error.message().contains("a number is needed"), "{error}");
    assert!(error.message().contains("bad_input.rs:"), "{error}");
    assert!(error.detail().contains("a number is needed"), "{}", error.detail());
    assert!(error.hint().contains("detail"));
    let error = worker.call(&panics, &vertex).arguments(1u8).run::<i64>().unwrap_err();
    assert!(error.message().contains("no text"), "{error}");
    let total = total().register(&worker).unwrap();
    assert_eq!(worker.call(&total, &vertex).run::<i64>().unwrap(), 1);
}

#[test]
fn a_panic_in_merge_and_finish_too() {
    let worker = alone();
    let vertices = [1i64, 2].map(|x| worker.put(None, x).unwrap());
    let value = |name: &str| Udf::new(name).calculate(|cx| Ok(cx.value::<i64>()?));
    let merge = value("m").merge(|_: &[i64]| -> Result<i64, Failure> { panic!("in merge") });
    let finish = value("f").merge(|parts: &[i64]| Ok(parts[0]));
    let finish = finish.finish(|_: i64| -> Result<i64, Failure> { panic!("in finish") });
    for (udf, said) in [(merge, "in merge"), (finish, "in finish")] {
        let function = udf.register(&worker).unwrap();
        let error = worker.call(&function, &vertices).run::<i64>().unwrap_err();
        assert_eq!(error.status(), Status::UdfFailed);
        assert!(error.message().contains(said), "{error}");
    }
}

#[test]
fn any_error_fails_a_call_with_its_causes() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the number of rows")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let worker = alone();
    let vertex = worker.put(None, ()).unwrap();
    let fails = Udf::new("fails").calculate(|_| Ok("x".parse::<i64>().map_err(Outer)?));
    let fails = fails.register(&worker).unwrap();
    let error = worker.call(&fails, &vertex).run::<i64>().unwrap_err();
    assert_eq!(error.status(), Status::UdfFailed);
    assert!(error.message().contains("the number of rows"), "{error}");
    assert!(error.detail().contains("caused by: invalid digit"), "{}", error.detail());
}

#[test]
fn a_handle_that_was_closed_or_dropped() {
    let worker = alone();
    let vertex = worker.put("v", 1i64).unwrap();
    let total = total().register(&worker).unwrap();
    let there = worker.vertex("v").unwrap();
    vertex.drop_everywhere().unwrap();
    assert_eq!(there.batch().unwrap_err().status(), Status::NotFound);
    assert!(matches!(there.info(), Err(Error::NotFound(_) | Error::BadHandle(_))));
    worker.close().unwrap();
    worker.close().unwrap();
    assert!(worker.is_closed());
    let closed = [
        worker.vertex("v").err(),
        worker.nodes().err(),
        worker.put(None, 1i64).err(),
        worker.call(&total, "v").run::<i64>().err(),
        worker.call(&total, &there).run::<i64>().err(),
        there.set(2i64).err(),
    ];
    for error in closed {
        let error = error.expect("a closed worker does nothing");
        assert_eq!(error.status(), Status::BadHandle, "{error}");
    }
    assert_eq!(format!("{worker:?} {there:?}"), "Worker(closed) Vertex(DCF_BAD_HANDLE)");
}

#[test]
fn a_handle_of_another_worker() {
    let (one, other) = (alone(), alone());
    let vertex = one.put(None, 1i64).unwrap();
    let total = total().register(&other).unwrap();
    let error = other.call(&total, &vertex).run::<i64>().unwrap_err();
    assert_eq!(error.status(), Status::BadHandle);
    assert!(other.calls([one.call("count", &vertex)]).is_err());
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        panic!("a drop that panics must not end the process");
    }
}

#[test]
fn a_function_that_was_unregistered() {
    let worker = alone();
    let vertex = worker.put(None, 1i64).unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    let holds = Dropped(dropped.clone());
    let udf = Udf::new("holds").calculate(move |_| {
        let _ = &holds;
        Ok(())
    });
    let function = udf.register(&worker).unwrap();
    drop(udf);
    worker.call(&function, &vertex).run::<()>().unwrap();
    let again = worker.function("holds").unwrap();
    function.unregister(None).unwrap();
    assert!(dropped.load(Ordering::Acquire), "its closure is gone");
    let error = worker.call(&again, &vertex).run::<()>().unwrap_err();
    assert!(matches!(error.status(), Status::BadHandle | Status::NotFound), "{error}");
    assert_eq!(worker.call("holds", &vertex).run::<()>().unwrap_err().status(), Status::NotFound);
}

#[test]
fn arrays_outlive_their_worker() {
    let worker = alone();
    let vertex = worker.put(None, numbers(vec![1, 2, 3])).unwrap();
    let keep = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keeps = keep.clone();
    let udf = Udf::new("keep").calculate(move |cx| {
        keeps.lock().unwrap().push(cx.batch()?.clone());
        Ok(())
    });
    let function = udf.register(&worker).unwrap();
    worker.call(&function, &vertex).run::<()>().unwrap();
    worker.call(&function, &vertex).run::<()>().unwrap();
    let whole: Vec<_> = vertex.stream().unwrap().map(Result::unwrap).collect();
    let exported = vertex.batch().unwrap().unwrap();
    worker.close().unwrap();
    drop((worker, vertex, function));
    for batch in keep.lock().unwrap().drain(..).chain(whole).chain([exported]) {
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    }
}

#[test]
fn a_close_inside_of_a_callback_is_refused() {
    let worker = alone();
    let vertex = worker.put(None, ()).unwrap();
    let inner = worker.clone();
    let closes = Udf::new("closes").calculate(move |_| {
        let error = inner.close().unwrap_err();
        Ok(error.status().name().as_bytes().to_vec())
    });
    let closes = closes.register(&worker).unwrap();
    let first = worker.call(&closes, &vertex).run::<Vec<u8>>().unwrap();
    assert_eq!(first, b"DCF_UNSUPPORTED");
    let started = worker.call(&closes, &vertex).start::<Vec<u8>>().wait().unwrap();
    assert_eq!(started, b"DCF_UNSUPPORTED");
    assert!(!worker.is_closed());
    worker.close().unwrap();
}

#[test]
fn wrong_requests() {
    let worker = alone();
    let refused = |error: Error| (error.status(), error.message().to_owned());
    let (status, text) = refused(Udf::new("empty").register(&worker).unwrap_err());
    assert_eq!(status, Status::InvalidArgument);
    assert!(text.contains("no calculate"), "{text}");
    let unnamed = Udf::new("").calculate(|_| Ok(())).register(&worker).unwrap_err();
    assert_eq!(refused(unnamed).0, Status::InvalidArgument);
    let (status, _) = refused(worker.put("x".repeat(256).as_str(), ()).unwrap_err());
    assert_eq!(status, Status::InvalidArgument);
    let (status, _) = refused(worker.put("a\0b", ()).unwrap_err());
    assert_eq!(status, Status::InvalidArgument);
    assert_eq!("xyz".parse::<dcf::VertexId>().unwrap_err().status(), Status::InvalidArgument);
    let options = dcf::Options::new().config("no_such_key = 1");
    let (status, text) = refused(dcf::Worker::open(&options).unwrap_err());
    assert_eq!(status, Status::InvalidArgument);
    assert!(text.contains("no_such_key"), "{text}");
}

#[test]
fn a_forked_child_is_told() {
    let worker = alone();
    let vertex = worker.put(None, numbers(vec![1])).unwrap();
    let total = total().register(&worker).unwrap();
    // SAFETY: the child asks for what is refused, and leaves by _exit.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0);
        if child == 0 {
            let refused = |error: Option<Error>| {
                error.is_some_and(|error| error.message().contains("forked process"))
            };
            let all = refused(worker.call(&total, &vertex).run::<i64>().err())
                && refused(worker.call(&total, &vertex).start::<i64>().wait().err())
                && refused(vertex.info().err())
                && refused(dcf::Worker::open(&dcf::Options::new()).err())
                && refused(worker.close().err());
            drop((vertex, total)); // does nothing here
            libc::_exit(if all { 0 } else { 1 });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        assert_eq!(status, 0, "the child met something else");
    }
    assert_eq!(worker.call(&total, &vertex).run::<i64>().unwrap(), 1, "the parent goes on");
}

/// A library with all functions of dcf.h, of another ABI.
#[test]
fn a_library_of_another_abi_is_refused() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("another-abi");
    std::fs::create_dir_all(&folder).unwrap();
    let map = root.join("capi/libdcf.map");
    let mut source = String::from("#include <stdlib.h>\n#include <stdint.h>\n");
    for line in std::fs::read_to_string(&map).unwrap().lines() {
        match line.trim().strip_suffix(';') {
            Some("dcf_abi_version") => {
                source += "uint32_t dcf_abi_version(void) { return 0x20000; }\n"
            }
            Some(name) if name.starts_with("dcf_") => {
                source += &format!("void {name}(void) {{ abort(); }}\n")
            }
            _ => {}
        }
    }
    let file = folder.join("another.c");
    std::fs::write(&file, source).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libdcf.so.0"])
        .arg(format!("-Wl,--version-script={}", map.display()))
        .arg(&file)
        .arg("-o")
        .arg(folder.join("libdcf.so.0"))
        .status()
        .unwrap();
    assert!(built.success());
    // This very program, with that library.
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opens_a_worker", "--ignored", "--nocapture"])
        .env("LD_LIBRARY_PATH", &folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("libdcf has ABI 2.0"), "{said}");
    assert!(said.contains("install the libdcf"), "{said}");
}

#[test]
#[ignore = "run by a_library_of_another_abi_is_refused, with such a library"]
fn opens_a_worker() {
    println!("{}", dcf::Worker::open(&dcf::Options::new()).unwrap_err());
}
