//! Vertices: pieces of Arrow data with an identity.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::RecordBatchStreamReader;
use dcf_sys as sys;

use crate::arrow::{Exported, import_from, stream_from};
use crate::error::{Error, Result, call};
use crate::part::IntoValue;
use crate::vertex_id::VertexId;
use crate::worker::{Worker, nanoseconds};

/// Directions of edges, as `dcf_vertex_edges` numbers them.
const CHILDREN: u32 = 1;
const PARENTS: u32 = 2;

/// What a worker knows about a vertex at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VertexInfo {
    /// Its identity.
    pub id: VertexId,
    /// Whether this worker owns it.
    pub local: bool,
    /// The node that owns it.
    pub owner: u64,
    /// Never used twice for one vertex.
    pub version: u64,
    /// Rows of the value; -1: it has none.
    pub rows: i64,
    /// Bytes of the value.
    pub bytes: i64,
    /// How many children it has.
    pub children: u64,
}

/// A handle on a vertex, local or remote; [`Worker::put`] and [`Worker::vertex`] give it.
///
/// It means the vertex that it was opened on, not a later one of the same name. Letting it go
/// deletes nothing; [`Vertex::drop_everywhere`] does. It is a number of the library, which may be
/// used on any thread at the same time: so it is `Send` and `Sync`. Clones share it.
///
/// ```
/// let worker = dcf::Worker::open(&dcf::Options::default())?;
/// let seven = worker.put("seven", 7i64)?;
/// let version = seven.info()?.version;
/// seven.set(8i64)?;
/// let error = seven.set_if(version, 9i64).unwrap_err(); // it is another version by now
/// assert_eq!(error.status(), dcf::Status::Aborted);
/// assert_eq!(seven.batch()?.unwrap().num_rows(), 1);
/// # Ok::<(), dcf::Error>(())
/// ```
#[derive(Clone)]
pub struct Vertex {
    shared: Arc<Shared>,
}

struct Shared {
    handle: sys::dcf_vertex,
    worker: Worker,
    id: OnceLock<VertexId>,
}

impl Vertex {
    /// A handle that a function of the library gives.
    pub(crate) fn opened(
        worker: &Worker,
        open: impl FnOnce(*mut sys::dcf_vertex, *mut sys::dcf_error) -> sys::dcf_status,
    ) -> Result<Self> {
        let mut handle = sys::dcf_vertex { handle: 0 };
        call(|error| open(&mut handle, error))?;
        let (worker, id) = (worker.clone(), OnceLock::new());
        Ok(Self { shared: Arc::new(Shared { handle, worker, id }) })
    }

    /// The handle, where it lies as long as this is borrowed.
    #[inline]
    pub(crate) fn raw(&self) -> &sys::dcf_vertex {
        &self.shared.handle
    }

    fn handle(&self) -> sys::dcf_vertex {
        self.shared.handle
    }

    /// The worker that it was opened with.
    pub fn worker(&self) -> &Worker {
        &self.shared.worker
    }

    /// Names the vertex in the whole cluster. Asked once for each handle.
    pub fn id(&self) -> Result<VertexId> {
        if let Some(id) = self.shared.id.get() {
            return Ok(*id);
        }
        let id = self.info()?.id;
        Ok(*self.shared.id.get_or_init(|| id))
    }

    /// The name, or "" where it has none.
    pub fn name(&self) -> Result<String> {
        // Longer names than this do not exist: MaxNameBytes.
        let mut text = vec![0u8; 255];
        let mut size = 0;
        // SAFETY: a handle by value, and a buffer with its size.
        call(|error| unsafe {
            let (buffer, room) = (text.as_mut_ptr().cast(), text.len());
            sys::dcf_vertex_name(self.handle(), buffer, room, &mut size, error)
        })?;
        text.truncate(size);
        String::from_utf8(text).map_err(|error| Error::invalid(error.to_string()))
    }

    /// Asks what the vertex is now.
    pub fn info(&self) -> Result<VertexInfo> {
        let mut info = sys::dcf_vertex_info::INIT;
        // SAFETY: a handle by value, and a struct with its size.
        call(|error| unsafe { sys::dcf_vertex_info_get(self.handle(), &mut info, error) })?;
        Ok(VertexInfo {
            id: VertexId::from_bytes(info.id.bytes),
            local: info.kind == sys::DCF_VERTEX_LOCAL,
            owner: info.owner_node,
            version: info.version,
            rows: info.rows,
            bytes: info.bytes,
            children: info.child_count,
        })
    }

    // ---- The value

    /// The value, without a copy where it is local; `None` where it has none. The version stays in
    /// memory as long as the batch. A group has no value: use [`Vertex::stream`].
    pub fn batch(&self) -> Result<Option<RecordBatch>> {
        self.batch_within(None)
    }

    /// Like [`Vertex::batch`], with the time that it may take; `None` is the worker's default.
    pub fn batch_within(&self, timeout: Option<Duration>) -> Result<Option<RecordBatch>> {
        let timeout = nanoseconds(timeout);
        let exported = import_from(|schema, array| {
            // SAFETY: a handle by value, and empty structs for the value.
            call(|error| unsafe {
                sys::dcf_vertex_export(self.handle(), timeout, schema, array, error)
            })
        });
        match exported {
            Ok(batch) => Ok(Some(batch)),
            // The vertex is there and has no value, or it is not there.
            Err(Error::NotFound(_)) if self.info()?.rows < 0 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The value as a stream of batches; of a group, shard by shard.
    pub fn stream(&self) -> Result<RecordBatchStreamReader> {
        // SAFETY: a handle by value, and an empty stream for the answer.
        stream_from(|out, error| unsafe { sys::dcf_vertex_stream(self.handle(), out, error) })
    }

    /// Replaces the value, and gives the new version; `()` leaves the vertex without one.
    pub fn set(&self, value: impl IntoValue) -> Result<u64> {
        self.set_if(0, value)
    }

    /// Like [`Vertex::set`] if the vertex is still at this version; else [`Error::Aborted`], and
    /// nothing was changed. Version 0 is any.
    pub fn set_if(&self, expected_version: u64, value: impl IntoValue) -> Result<u64> {
        let mut value = Exported::of(value.into_value()?.as_ref())?;
        let mut version = 0;
        // SAFETY: a handle by value; the value is moved, or freed by its drop.
        call(|error| unsafe {
            let (schema, array) = (value.schema(), value.array());
            let handle = self.handle();
            sys::dcf_vertex_set(handle, expected_version, schema, array, &mut version, error)
        })?;
        Ok(version)
    }

    // ---- Edges

    fn edges(&self, direction: u32) -> Result<Vec<VertexId>> {
        let mut ids = Vec::new();
        // SAFETY: a handle by value, and an empty stream for the answer.
        let batches = stream_from(|out, error| unsafe {
            sys::dcf_vertex_edges(self.handle(), direction, out, error)
        })?;
        for batch in batches {
            for id in batch?.column(0).as_fixed_size_binary().iter().flatten() {
                let wrong = |_| Error::invalid("an id has 16 bytes");
                ids.push(VertexId::from_bytes(id.try_into().map_err(wrong)?));
            }
        }
        Ok(ids)
    }

    fn open_all(&self, ids: Vec<VertexId>) -> Result<Vec<Self>> {
        ids.into_iter().map(|id| self.worker().vertex_of(id)).collect()
    }

    /// The ids of the children, in order.
    pub fn child_ids(&self) -> Result<Vec<VertexId>> {
        self.edges(CHILDREN)
    }

    /// The ids of the vertices that have this one as a child. The index may lag.
    pub fn parent_ids(&self) -> Result<Vec<VertexId>> {
        self.edges(PARENTS)
    }

    /// Opens the children, in order.
    pub fn children(&self) -> Result<Vec<Self>> {
        self.open_all(self.child_ids()?)
    }

    /// Opens the vertices that have this one as a child. The index may lag.
    pub fn parents(&self) -> Result<Vec<Self>> {
        self.open_all(self.parent_ids()?)
    }

    /// Opens the shards of a group; of any other vertex, itself.
    pub fn shards(&self) -> Result<Vec<Self>> {
        let info = self.info()?;
        if info.rows < 0 && info.children > 0 {
            return self.children();
        }
        Ok(vec![self.clone()])
    }

    /// Appends a vertex to the children. Edges keep nothing alive.
    pub fn link(&self, child: impl Identified) -> Result<()> {
        let child = child.vertex_id()?.raw();
        // SAFETY: a handle and an id by value.
        call(|error| unsafe { sys::dcf_vertex_link(self.handle(), child, error) })
    }

    /// Takes a vertex out of the children.
    pub fn unlink(&self, child: impl Identified) -> Result<()> {
        let child = child.vertex_id()?.raw();
        // SAFETY: a handle and an id by value.
        call(|error| unsafe { sys::dcf_vertex_unlink(self.handle(), child, error) })
    }

    /// Deletes the vertex in the whole cluster. Batches that were taken of it stay valid.
    pub fn drop_everywhere(&self) -> Result<()> {
        // SAFETY: a handle by value.
        call(|error| unsafe { sys::dcf_vertex_drop(self.handle(), error) })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: a handle by value. That of a dropped vertex is refused, which is fine.
        let _ = call(|error| unsafe { sys::dcf_vertex_release(self.handle, error) });
    }
}

impl fmt::Debug for Vertex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.id()) {
            (Ok(name), Ok(id)) => write!(f, "Vertex({name:?}, {id})"),
            (Err(error), _) | (_, Err(error)) => write!(f, "Vertex({})", error.status().name()),
        }
    }
}

/// What has a [`VertexId`]: an id, or a [`Vertex`].
pub trait Identified {
    /// The id; a handle that never needed it asks for it.
    fn vertex_id(&self) -> Result<VertexId>;
}

impl Identified for VertexId {
    fn vertex_id(&self) -> Result<VertexId> {
        Ok(*self)
    }
}

impl Identified for Vertex {
    fn vertex_id(&self) -> Result<VertexId> {
        self.id()
    }
}

impl<T: Identified + ?Sized> Identified for &T {
    fn vertex_id(&self) -> Result<VertexId> {
        (**self).vertex_id()
    }
}
