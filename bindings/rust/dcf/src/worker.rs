//! Workers: the one door to everything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::Schema;
use dcf_sys as sys;

use crate::arrow::{Exported, table_from};
use crate::builder::Builder;
use crate::call::{Call, Callable, IntoTargets};
use crate::calls::Calls;
use crate::error::{Error, Result, call};
use crate::library::{check, is_forked};
use crate::options::{Options, Put};
use crate::part::IntoValue;
use crate::queue::Queues;
use crate::udf::Function;
use crate::vertex::Vertex;
use crate::vertex_id::VertexId;

/// What the library takes for a time: 0 is the worker's default.
pub(crate) fn nanoseconds(timeout: Option<Duration>) -> i64 {
    timeout.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).max(1))
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds a lock of this crate runs code of the user's, so none panics in it.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Holds vertices, runs functions on them, and speaks with other workers.
///
/// Clones share the worker; when the last one and the last handle of its vertices and functions are
/// gone, it closes. It is a number of the library, which may be used on any thread at the same time:
/// so it is `Send` and `Sync`.
///
/// ```
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let seven = worker.put("seven", 7i64)?;
/// assert_eq!(worker.vertices("s")?.num_rows(), 1);
/// worker.close()?;
/// # Ok::<(), dcf::Error>(())
/// ```
#[derive(Clone)]
pub struct Worker {
    shared: Arc<Shared>,
}

struct Shared {
    handle: sys::dcf_worker,
    closed: AtomicBool,
    queues: Queues,
    /// Functions that are called by name.
    names: Mutex<HashMap<String, sys::dcf_udf>>,
}

impl Worker {
    /// Opens a worker: alone in this process, or as part of a cluster.
    pub fn open(options: &Options) -> Result<Self> {
        check()?;
        let mut handle = sys::dcf_worker { handle: 0 };
        options.with_raw(|raw| {
            // SAFETY: the options live as long as this call.
            call(|error| unsafe { sys::dcf_worker_open(raw, &mut handle, error) })
        })?;
        let (closed, queues, names) = Default::default();
        Ok(Self { shared: Arc::new(Shared { handle, closed, queues, names }) })
    }

    /// Opens a worker that joins the cluster at this address, as a guest.
    pub fn join(address: &str) -> Result<Self> {
        Self::open(&Options::new().join(address))
    }

    /// The worker's handle in `dcf.h`, for code in C of this process. It is borrowed: it stays open
    /// as long as this worker, which closes it.
    #[inline]
    pub fn raw(&self) -> sys::dcf_worker {
        self.shared.handle
    }

    pub(crate) fn queues(&self) -> &Queues {
        &self.shared.queues
    }

    // ---- The end

    /// Stops taking calls, waits for those under way, and ends the rest; calls that were started
    /// and did not finish end with [`Error::Cancelled`]. Twice is fine.
    ///
    /// Vertices that the worker owns are gone afterwards; batches taken of them stay valid. From
    /// inside a callback it is [`Error::Unsupported`], and nothing happens.
    pub fn close(&self) -> Result<()> {
        self.close_within(None)
    }

    /// Like [`Worker::close`], with the time to wait for calls under way; `None` is the default.
    pub fn close_within(&self, timeout: Option<Duration>) -> Result<()> {
        self.shared.close(nanoseconds(timeout))
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    // ---- The cluster

    /// The number of this node in its cluster.
    pub fn node_id(&self) -> Result<u64> {
        let mut node = 0;
        // SAFETY: a handle by value and a place for the answer.
        call(|error| unsafe { sys::dcf_worker_node_id(self.raw(), &mut node, error) })?;
        Ok(node)
    }

    /// Where the worker listens, with the ports that were chosen.
    ///
    /// ```
    /// let worker = dcf::Worker::open(&dcf::Options::new().listen("tcp://127.0.0.1:0"))?;
    /// assert!(worker.addresses()?[0].starts_with("tcp://127.0.0.1:"));
    /// # Ok::<(), dcf::Error>(())
    /// ```
    pub fn addresses(&self) -> Result<Vec<String>> {
        let nodes = self.nodes()?;
        let column = |name| nodes.column_by_name(name).expect("the column is in dcf.h");
        let (own, addresses) =
            (column("self").as_boolean(), column("addresses").as_string::<i32>());
        let own = (0..nodes.num_rows()).find(|row| own.value(*row));
        let text = own.map_or("", |row| addresses.value(row));
        Ok(text.split(',').filter(|address| !address.is_empty()).map(Into::into).collect())
    }

    /// A table of the workers of the cluster. Columns: node, incarnation, self, member, directory,
    /// alive, addresses (comma-separated), round_trip_ns (0: not measured).
    pub fn nodes(&self) -> Result<RecordBatch> {
        // SAFETY: a handle by value and an empty stream for the answer.
        table_from(|out, error| unsafe { sys::dcf_worker_nodes(self.raw(), out, error) })
    }

    /// A table of this worker's counters. Columns: name, peer (0: none), value.
    pub fn stats(&self) -> Result<RecordBatch> {
        // SAFETY: a handle by value and an empty stream for the answer.
        table_from(|out, error| unsafe { sys::dcf_worker_stats(self.raw(), out, error) })
    }

    /// A table of the cluster's vertices whose names start with `prefix`, by name. Columns: id, name,
    /// kind, owner, version, rows (-1: no value), bytes, children.
    pub fn vertices(&self, prefix: &str) -> Result<RecordBatch> {
        let prefix = sys::dcf_bytes::new(prefix.as_bytes());
        // SAFETY: a handle by value, a text that is copied, and an empty stream for the answer.
        table_from(|out, error| unsafe { sys::dcf_worker_vertices(self.raw(), prefix, out, error) })
    }

    // ---- Vertices

    /// Makes a vertex here of a table, one value, or `()` for no value. The name may be `None`.
    ///
    /// A table's memory is used where it lies, without a copy.
    pub fn put<'n>(
        &self,
        name: impl Into<Option<&'n str>>,
        value: impl IntoValue,
    ) -> Result<Vertex> {
        self.put_with(name, value, &Put::new())
    }

    /// Makes a vertex as the options say: on another node, or as a group of shards.
    ///
    /// ```
    /// use arrow_array::{RecordBatch, StringArray};
    ///
    /// let worker = dcf::Worker::open(&dcf::Options::default())?;
    /// let cities = std::sync::Arc::new(StringArray::from(vec!["Oslo", "Rome", "Oslo"]));
    /// let trips = RecordBatch::try_from_iter([("city", cities as _)])?;
    /// let trips = worker.put_with("trips", trips, &dcf::Put::new().shard_by("city"))?;
    /// let rows: Vec<i64> = trips.shards()?.iter().map(|s| s.info().unwrap().rows).collect();
    /// assert_eq!(rows, [2, 1]);
    /// # Ok::<(), dcf::Error>(())
    /// ```
    pub fn put_with<'n>(
        &self,
        name: impl Into<Option<&'n str>>,
        value: impl IntoValue,
        options: &Put,
    ) -> Result<Vertex> {
        let mut value = Exported::of(value.into_value()?.as_ref())?;
        let raw = options.raw(name.into());
        Vertex::opened(self, |out, error| {
            // SAFETY: the options outlive this call; the value is moved, or freed by its drop.
            unsafe {
                let (schema, array) = (value.schema(), value.array());
                sys::dcf_vertex_put(self.raw(), &raw, schema, array, out, error)
            }
        })
    }

    /// Makes a vertex of a stream of tables of one schema.
    pub fn put_stream<'n>(
        &self,
        name: impl Into<Option<&'n str>>,
        batches: impl RecordBatchReader + Send + 'static,
        options: &Put,
    ) -> Result<Vertex> {
        let mut stream = FFI_ArrowArrayStream::new(Box::new(batches));
        let raw = options.raw(name.into());
        Vertex::opened(self, |out, error| {
            // SAFETY: the options outlive this call; the stream is released by it, and empty then.
            unsafe {
                let stream = std::ptr::from_mut(&mut stream).cast();
                sys::dcf_vertex_put_stream(self.raw(), &raw, stream, out, error)
            }
        })
    }

    /// Begins a table of so many rows, to be filled in where it will lie, and then committed.
    ///
    /// A type that cannot be built is [`Error::Unsupported`], no room [`Error::Exhausted`].
    pub fn build(&self, schema: &Schema, rows: usize) -> Result<Builder> {
        Builder::open(self, schema, rows)
    }

    /// Finds a vertex of the cluster by its name. No data travels.
    pub fn vertex(&self, name: &str) -> Result<Vertex> {
        let name = sys::dcf_bytes::new(name.as_bytes());
        // SAFETY: a handle by value, and a text that is copied.
        Vertex::opened(self, |out, error| unsafe {
            sys::dcf_vertex_open_name(self.raw(), name, out, error)
        })
    }

    /// Finds a vertex of the cluster by its id. No data travels.
    pub fn vertex_of(&self, id: VertexId) -> Result<Vertex> {
        // SAFETY: a handle and an id by value.
        Vertex::opened(self, |out, error| unsafe {
            sys::dcf_vertex_open(self.raw(), id.raw(), out, error)
        })
    }

    // ---- Functions and calls

    fn open_function(&self, name: &str) -> Result<sys::dcf_udf> {
        let mut handle = sys::dcf_udf { handle: 0 };
        let text = sys::dcf_bytes::new(name.as_bytes());
        // SAFETY: a handle by value, and a text that is copied.
        call(|error| unsafe { sys::dcf_udf_open(self.raw(), text, &mut handle, error) })?;
        Ok(handle)
    }

    /// Finds a function that the worker knows by its name: a builtin, or a registered one.
    pub fn function(&self, name: &str) -> Result<Function> {
        Ok(Function::new(self, self.open_function(name)?, name.into()))
    }

    /// The handle of a function that is called by its name, which is opened once.
    pub(crate) fn named(&self, name: &str) -> Result<sys::dcf_udf> {
        if let Some(handle) = locked(&self.shared.names).get(name) {
            return Ok(*handle);
        }
        let handle = self.open_function(name)?;
        let first = *locked(&self.shared.names).entry(name.into()).or_insert(handle);
        if first.handle != handle.handle {
            release(handle); // another thread was faster, and uses its own already
        }
        Ok(first)
    }

    /// Prepares a call of a function on a vertex, or on several.
    ///
    /// The function is a [`Function`], one of [`builtins`](crate::builtins), or a name; the target a
    /// [`Vertex`], a [`VertexId`], a slice of them, or a name.
    ///
    /// ```
    /// let worker = dcf::Worker::open(&dcf::Options::default())?;
    /// worker.put("seven", 7i64)?;
    /// assert_eq!(worker.call("count", "seven").run::<i64>()?, 1);
    /// # Ok::<(), dcf::Error>(())
    /// ```
    #[inline]
    pub fn call<'a>(&'a self, function: impl Callable, target: impl IntoTargets<'a>) -> Call<'a> {
        Call::new(self, function, target)
    }

    /// Puts calls together, which then run in one crossing into the library.
    pub fn calls<'a>(&'a self, calls: impl IntoIterator<Item = Call<'a>>) -> Result<Calls<'a>> {
        Calls::new(self, calls)
    }
}

fn release(function: sys::dcf_udf) {
    // SAFETY: a handle by value.
    let _ = call(|error| unsafe { sys::dcf_udf_release(function, error) });
}

impl Shared {
    fn close(&self, timeout_ns: i64) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let result = self.queues.close().and_then(|()| {
            // SAFETY: a handle by value.
            call(|error| unsafe { sys::dcf_worker_close(self.handle, timeout_ns, error) })
        });
        if let Err(Error::Unsupported(_)) = result {
            self.closed.store(false, Ordering::Release); // from inside a callback: it is still open
        } else {
            locked(&self.names).drain().for_each(|(_, handle)| release(handle));
        }
        result
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if is_forked() {
            return; // the worker is the parent's
        }
        if let Err(Error::Unsupported(_)) = self.close(0) {
            // The last handle went away inside a callback, which the close would wait for.
            let handle = self.handle;
            std::thread::spawn(move || {
                // SAFETY: a handle by value.
                call(|error| unsafe { sys::dcf_worker_close(handle, 0, error) })
            });
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.node_id() {
            Ok(node) => write!(f, "Worker(node {node})"),
            Err(_) => f.write_str("Worker(closed)"),
        }
    }
}
