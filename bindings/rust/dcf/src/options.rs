//! How workers and vertices are made.

use std::time::Duration;

use dcf_sys as sys;

use crate::error::Result;
use crate::worker::nanoseconds;

/// How [`Worker::open`](crate::Worker::open) opens a worker. The default is one that is alone.
///
/// ```
/// let options = dcf::Options::new().listen("inproc://docs").node_id(7);
/// let worker = dcf::Worker::open(&options)?;
/// assert_eq!(worker.node_id()?, 7);
/// # Ok::<(), dcf::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    listen: Vec<String>,
    join: Vec<String>,
    node_id: u64,
    memory_limit: u64,
    timeout: Option<Duration>,
    spin: Option<Duration>,
    shared_memory: Option<bool>,
    /// Lines of `config` for single keys, which TOML has before tables.
    keys: String,
    config: String,
}

impl Options {
    /// A worker that is alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an address to serve at: "tcp://127.0.0.1:7411" (port 0: any free one),
    /// "unix:///run/dcf.sock", "shm:///run/dcf.shm" or "inproc://name". Without one the worker is a
    /// guest.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// Adds an address of the cluster to join.
    pub fn join(mut self, address: impl Into<String>) -> Self {
        self.join.push(address.into());
        self
    }

    /// The number of the node; without it one is chosen.
    pub fn node_id(mut self, node: u64) -> Self {
        self.node_id = node;
        self
    }

    /// The most bytes of vertex data; without it half of the machine's memory.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// The default for everything that waits; without it 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long a caller spins before it sleeps; zero: not at all; without it as the library likes.
    pub fn spin(mut self, spin: Duration) -> Self {
        self.spin = Some(spin);
        self
    }

    /// Whether workers of this host and user that meet over a socket go on over shared memory;
    /// without it they do.
    pub fn shared_memory(mut self, on: bool) -> Self {
        self.shared_memory = Some(on);
        self
    }

    /// The most bytes of vertex data that workers of this host may map; without it 1 TiB. It is of the
    /// process, whose first worker decides.
    pub fn shared_limit(mut self, bytes: u64) -> Self {
        self.keys.push_str(&format!("shared_limit = {bytes}\n"));
        self
    }

    /// How many bytes of those get their pages at the start, in the background.
    pub fn shared_warm(mut self, bytes: u64) -> Self {
        self.keys.push_str(&format!("shared_warm = {bytes}\n"));
        self
    }

    /// Allows to listen beyond loopback without TLS.
    pub fn insecure(mut self) -> Self {
        self.keys.push_str("insecure = true\n");
        self
    }

    /// Writes to stderr from this level on: "debug", "info", "warn" or "error".
    pub fn log(mut self, level: &str) -> Self {
        self.keys.push_str(&format!("log = {level:?}\n"));
        self
    }

    /// Adds lines of TOML for what is rarer; `dcf.h` lists the keys.
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    pub(crate) fn with_raw<R>(
        &self,
        open: impl FnOnce(*const sys::dcf_worker_options) -> Result<R>,
    ) -> Result<R> {
        let (listen, join) = (self.listen.join(","), self.join.join(","));
        let shared_memory =
            self.shared_memory.map_or_else(String::new, |on| format!("shared_memory = {on}\n"));
        let config = format!("{shared_memory}{}{}", self.keys, self.config);
        let adaptive = sys::dcf_worker_options::INIT.spin_ns;
        open(&sys::dcf_worker_options {
            listen: sys::dcf_bytes::new(listen.as_bytes()),
            join: sys::dcf_bytes::new(join.as_bytes()),
            node_id: self.node_id,
            memory_limit: self.memory_limit,
            timeout_ns: nanoseconds(self.timeout),
            spin_ns: self
                .spin
                .map_or(adaptive, |spin| spin.as_nanos().try_into().unwrap_or(i64::MAX)),
            config: sys::dcf_bytes::new(config.as_bytes()),
            ..sys::dcf_worker_options::INIT
        })
    }
}

/// How [`Worker::put_with`](crate::Worker::put_with) makes a vertex. The default: one, here.
#[derive(Clone, Debug, Default)]
pub struct Put {
    shards: u32,
    shard_by: String,
    node: u64,
    replace: bool,
    timeout: Option<Duration>,
}

impl Put {
    /// One vertex, here.
    pub fn new() -> Self {
        Self::default()
    }

    /// A group of so many shards of about equal size, which go round the members of the cluster.
    pub fn shards(mut self, count: u32) -> Self {
        self.shards = count;
        self
    }

    /// A group with a shard for each distinct value of this column.
    pub fn shard_by(mut self, column: impl Into<String>) -> Self {
        self.shard_by = column.into();
        self
    }

    /// On this node.
    pub fn node(mut self, node: u64) -> Self {
        self.node = node;
        self
    }

    /// Replaces the value of an existing vertex of this name.
    pub fn replace(mut self) -> Self {
        self.replace = true;
        self
    }

    /// How long it may take; without it the worker's default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Lends itself and the name to the library.
    pub(crate) fn raw(&self, name: Option<&str>) -> sys::dcf_put_options {
        sys::dcf_put_options {
            flags: if self.replace { sys::DCF_PUT_REPLACE } else { 0 },
            name: sys::dcf_bytes::new(name.unwrap_or_default().as_bytes()),
            node: self.node,
            shard_by: sys::dcf_bytes::new(self.shard_by.as_bytes()),
            shard_count: self.shards,
            timeout_ns: nanoseconds(self.timeout),
            ..sys::dcf_put_options::INIT
        }
    }
}
