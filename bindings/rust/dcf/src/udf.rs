//! Functions of this program, and handles on those that a worker knows.

use std::ffi::c_void;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use dcf_sys as sys;

use crate::call::Callable;
use crate::context::{Context, MergeContext};
use crate::error::{Error, Result, call};
use crate::failure::{Failure, catch, watch_panics};
use crate::part::{FromPart, IntoPart};
use crate::worker::{Worker, nanoseconds};

type Calculate = dyn Fn(&Context<'_>) -> Result<(), Failure> + Send + Sync;
type Merge = dyn Fn(&MergeContext<'_>) -> Result<(), Failure> + Send + Sync;

/// What the library keeps of a function, behind `user_data`.
#[derive(Clone)]
struct Callbacks {
    calculate: Arc<Calculate>,
    merge: Option<Arc<Merge>>,
    finish: Option<Arc<Merge>>,
}

/// A function that goes to vertices: `calculate` runs beside each, `merge` folds the parts, `finish`
/// makes the result of the last one, at the caller.
///
/// All three give a number, bytes, text, a table or nothing (see [`IntoPart`]) or fail with any
/// error. They run on any thread, also on several at once.
///
/// ```
/// use arrow_array::{Float64Array, RecordBatch, cast::AsArray, types::Float64Type};
/// use std::sync::Arc;
///
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let column = Arc::new(Float64Array::from(vec![2.0, 3.5, 4.5]));
/// let prices = RecordBatch::try_from_iter([("price", column as _)])?;
/// let prices = worker.put_with("prices", prices, &dcf::Put::new().shards(2))?;
///
/// let total = dcf::Udf::new("total")
///     .calculate(|cx| {
///         let prices = cx.batch()?.column(0).as_primitive::<Float64Type>();
///         Ok(prices.values().iter().sum::<f64>())
///     })
///     .merge(|parts: &[f64]| Ok(parts.iter().sum::<f64>()))
///     .register(&worker)?;
/// assert_eq!(worker.call(&total, &prices).run::<f64>()?, 10.0);
/// # Ok::<(), dcf::Error>(())
/// ```
#[derive(Clone)]
pub struct Udf {
    name: String,
    version: String,
    auxiliary: Vec<u8>,
    flags: u32,
    calculate: Option<Arc<Calculate>>,
    merge: Option<Arc<Merge>>,
    finish: Option<Arc<Merge>>,
}

impl Udf {
    /// A function under this name. Without a version it is private to this process.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: String::new(),
            auxiliary: Vec::new(),
            flags: 0,
            calculate: None,
            merge: None,
            finish: None,
        }
    }

    /// Sets what runs beside each vertex.
    pub fn calculate<T, F>(mut self, function: F) -> Self
    where
        T: IntoPart,
        F: Fn(&Context<'_>) -> Result<T, Failure> + Send + Sync + 'static,
    {
        self.calculate = Some(Arc::new(move |cx| Ok(cx.output().give(function(cx)?)?)));
        self
    }

    /// Sets what folds parts into one. Grouping is unspecified: `merge([merge([a, b]), c])` must
    /// equal `merge([a, b, c])`. Without a merge the parts come back one by one, as
    /// [`Parts`](crate::Parts).
    pub fn merge<P, T, F>(self, function: F) -> Self
    where
        P: FromPart,
        T: IntoPart,
        F: Fn(&[P]) -> Result<T, Failure> + Send + Sync + 'static,
    {
        self.merge_with(move |cx| function(&cx.parts()?))
    }

    /// Like [`Udf::merge`], for a function that looks at the parts where they lie, or at the call's
    /// arguments.
    pub fn merge_with<T, F>(mut self, function: F) -> Self
    where
        T: IntoPart,
        F: Fn(&MergeContext<'_>) -> Result<T, Failure> + Send + Sync + 'static,
    {
        self.merge = Some(Arc::new(move |cx| Ok(cx.output().give(function(cx)?)?)));
        self
    }

    /// Sets what makes the result of the last part, once, at the caller.
    ///
    /// ```
    /// let worker = dcf::Worker::open(&dcf::Options::default())?;
    /// let mean = dcf::Udf::new("mean of values")
    ///     .calculate(|cx| {
    ///         let mut part = [0; 16];
    ///         part[..8].copy_from_slice(&cx.value::<f64>()?.to_le_bytes());
    ///         part[8..].copy_from_slice(&1u64.to_le_bytes());
    ///         Ok(part)
    ///     })
    ///     .merge(|parts: &[[u8; 16]]| {
    ///         let sum: f64 = parts.iter().map(|p| f64::from_le_bytes(p[..8].try_into().unwrap())).sum();
    ///         let count: u64 = parts.iter().map(|p| u64::from_le_bytes(p[8..].try_into().unwrap())).sum();
    ///         Ok([sum.to_le_bytes(), count.to_le_bytes()].concat())
    ///     })
    ///     .finish(|part: [u8; 16]| {
    ///         let count = u64::from_le_bytes(part[8..].try_into()?);
    ///         Ok(f64::from_le_bytes(part[..8].try_into()?) / count as f64)
    ///     })
    ///     .register(&worker)?;
    /// let values = [worker.put(None, 1.0)?, worker.put(None, 2.0)?, worker.put(None, 6.0)?];
    /// assert_eq!(worker.call(&mean, &values).run::<f64>()?, 3.0);
    /// # Ok::<(), dcf::Error>(())
    /// ```
    pub fn finish<P, T, F>(self, function: F) -> Self
    where
        P: FromPart,
        T: IntoPart,
        F: Fn(P) -> Result<T, Failure> + Send + Sync + 'static,
    {
        self.finish_with(move |cx| function(P::from_part(cx.part(0)?)?))
    }

    /// Like [`Udf::finish`], for a function that looks at the part where it lies, or at the call's
    /// arguments.
    pub fn finish_with<T, F>(mut self, function: F) -> Self
    where
        T: IntoPart,
        F: Fn(&MergeContext<'_>) -> Result<T, Failure> + Send + Sync + 'static,
    {
        self.finish = Some(Arc::new(move |cx| Ok(cx.output().give(function(cx)?)?)));
        self
    }

    /// Promises that functions of this name and version are the same on all workers: then it runs
    /// wherever the data is.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Bytes that are a part of the function's identity, and that its callbacks see.
    pub fn auxiliary(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.auxiliary = bytes.into();
        self
    }

    fn flag(mut self, flag: u32) -> Self {
        self.flags |= flag;
        self
    }

    /// It may have effects on its vertex; its calls on one vertex run one after another.
    pub fn updates(self) -> Self {
        self.flag(sys::DCF_UDF_UPDATES)
    }

    /// Its parts may be folded in any order.
    pub fn commutative(self) -> Self {
        self.flag(sys::DCF_UDF_COMMUTATIVE)
    }

    /// It never blocks and takes microseconds at most.
    pub fn short(self) -> Self {
        self.flag(sys::DCF_UDF_SHORT)
    }

    /// It runs only on the thread that called, never on the library's.
    pub fn caller_thread(self) -> Self {
        self.flag(sys::DCF_UDF_CALLER_THREAD)
    }

    /// Makes the function known to a worker, until that is closed or the function is
    /// [unregistered](Function::unregister). It may be registered with several workers.
    ///
    /// A function that keeps a [`Worker`], [`Vertex`](crate::Vertex) or [`Function`] keeps that
    /// worker open until [`Worker::close`] is called.
    pub fn register(&self, worker: &Worker) -> Result<Function> {
        let missing = || Error::invalid(format!("the function {:?} has no calculate", self.name));
        let callbacks = Callbacks {
            calculate: self.calculate.clone().ok_or_else(missing)?,
            merge: self.merge.clone(),
            finish: self.finish.clone(),
        };
        watch_panics();
        let definition = sys::dcf_udf_definition {
            flags: self.flags,
            name: sys::dcf_bytes::new(self.name.as_bytes()),
            version: sys::dcf_bytes::new(self.version.as_bytes()),
            auxiliary: sys::dcf_bytes::new(&self.auxiliary),
            calculate: Some(calculate),
            merge: callbacks.merge.is_some().then_some(merge as _),
            finish: callbacks.finish.is_some().then_some(finish as _),
            user_data: Box::into_raw(Box::new(callbacks)).cast(),
            user_data_free: Some(free),
            ..sys::dcf_udf_definition::INIT
        };
        let mut handle = sys::dcf_udf { handle: 0 };
        // SAFETY: what the definition refers to outlives this call, and user_data until it is freed.
        let registered = call(|error| unsafe {
            sys::dcf_udf_register(worker.raw(), &definition, &mut handle, error)
        });
        if let Err(error) = registered {
            // SAFETY: a function that is not registered leaves its user_data to the caller.
            unsafe { free(definition.user_data) };
            return Err(error);
        }
        Ok(Function::new(worker, handle, self.name.as_str().into()))
    }
}

impl std::fmt::Debug for Udf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Udf").field("name", &self.name).field("version", &self.version).finish()
    }
}

// ---- The callbacks

unsafe extern "C" fn calculate(
    user_data: *mut c_void,
    input: *const sys::dcf_udf_input,
    output: *mut sys::dcf_output,
) -> sys::dcf_status {
    // SAFETY: user_data is what register gave, and stays until after the last callback.
    let callbacks = unsafe { &*user_data.cast::<Callbacks>() };
    // SAFETY: input and output belong to this callback, and the context ends with it.
    let context = unsafe { Context::new(&*input, output) };
    ended(catch(|| (callbacks.calculate)(&context)), output)
}

unsafe extern "C" fn merge(
    user_data: *mut c_void,
    input: *const sys::dcf_merge_input,
    output: *mut sys::dcf_output,
) -> sys::dcf_status {
    // SAFETY: as in calculate.
    unsafe { fold((*user_data.cast::<Callbacks>()).merge.as_deref(), input, output) }
}

unsafe extern "C" fn finish(
    user_data: *mut c_void,
    input: *const sys::dcf_merge_input,
    output: *mut sys::dcf_output,
) -> sys::dcf_status {
    // SAFETY: as in calculate.
    unsafe { fold((*user_data.cast::<Callbacks>()).finish.as_deref(), input, output) }
}

/// # Safety
/// Input and output belong to the callback that runs.
unsafe fn fold(
    function: Option<&Merge>,
    input: *const sys::dcf_merge_input,
    output: *mut sys::dcf_output,
) -> sys::dcf_status {
    // SAFETY: as promised; the context ends with the callback.
    let context = unsafe { MergeContext::new(&*input, output) };
    ended(catch(|| function.expect("it was registered")(&context)), output)
}

#[inline]
fn ended(result: Result<(), Failure>, output: *mut sys::dcf_output) -> sys::dcf_status {
    match result {
        Ok(()) => sys::DCF_OK as sys::dcf_status,
        Err(failure) => failure.report(output),
    }
}

unsafe extern "C" fn free(user_data: *mut c_void) {
    // SAFETY: it is what register made, and the library frees it once.
    let callbacks = unsafe { Box::from_raw(user_data.cast::<Callbacks>()) };
    // What a closure holds may panic in its drop, which must not unwind into the library.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(callbacks)));
}

// ---- Handles

/// A handle on a function that a worker knows; [`Udf::register`] and [`Worker::function`] give it.
///
/// Letting it go leaves the function registered. It is a number of the library, which may be used
/// on any thread at the same time: so it is `Send` and `Sync`. Clones share it.
#[derive(Clone)]
pub struct Function {
    shared: Arc<Shared>,
}

struct Shared {
    handle: sys::dcf_udf,
    worker: Worker,
    name: Box<str>,
}

impl Function {
    pub(crate) fn new(worker: &Worker, handle: sys::dcf_udf, name: Box<str>) -> Self {
        Self { shared: Arc::new(Shared { handle, worker: worker.clone(), name }) }
    }

    /// The name under which workers know it.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The worker that it is registered with.
    pub fn worker(&self) -> &Worker {
        &self.shared.worker
    }

    /// Takes the function out of its worker: waits for its running callbacks (`None`: as long as the
    /// worker's default), and drops its closures. From inside a callback it is
    /// [`Error::Unsupported`].
    pub fn unregister(self, timeout: Option<Duration>) -> Result<()> {
        // SAFETY: a handle by value; one that is given back already is refused.
        call(|error| unsafe { sys::dcf_udf_drop(self.shared.handle, nanoseconds(timeout), error) })
    }
}

impl Callable for &Function {
    #[inline]
    fn resolve(&self, _: &Worker) -> Result<sys::dcf_udf> {
        Ok(self.shared.handle)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: a handle by value. One that was dropped everywhere is refused, which is fine.
        let _ = call(|error| unsafe { sys::dcf_udf_release(self.handle, error) });
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Function({:?})", self.name())
    }
}
