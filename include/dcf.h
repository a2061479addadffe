/* dcf.h - the C interface of libdcf, a low-latency distributed compute framework.
 *
 * Model
 *   A worker holds vertices (Arrow record batches with an identity and edges) and channels to
 *   other workers. A UDF goes to the data: `calculate` runs on each target vertex, `merge`
 *   folds the parts, `finish` makes the answer of what is left.
 *
 * Rules that hold for every function, stated once
 *   Status     A function that can fail returns dcf_status. On DCF_OK every out parameter is
 *              written; on any other status none is.
 *   Error      The last parameter `error` may be NULL. It is written only on failure, lives in
 *              caller memory and is never freed.
 *   Ownership  Inputs are borrowed for the call. A pair `struct ArrowSchema*, struct ArrowArray*`
 *              without const moves to the library on DCF_OK (both `release` become NULL) and stays
 *              the caller's otherwise. An input ArrowArrayStream is always consumed and released,
 *              on failure too. Exported arrays are the caller's; they outlive handles, vertices and
 *              workers.
 *   Handles    Values, not pointers. A stale handle, one of another kind, or one of another worker
 *              gives DCF_BAD_HANDLE, never undefined behaviour. Zero is never a valid handle. A
 *              vertex handle means the vertex that it was opened on, not a later one of the same
 *              name. Handles of a closed worker are good for giving them back only.
 *   Structs    Start from the _INIT macro. A smaller struct_size (an older header) leaves the
 *              fields beyond it at their defaults; a larger one is refused unless what lies beyond
 *              the library's own size is zero. Reserved fields and unknown flags must be zero.
 *   Text       UTF-8 without NUL bytes inside; anything else is DCF_INVALID_ARGUMENT.
 *   Threads    Every function may be called from any thread, at the same time, on the same handle,
 *              unless its comment says otherwise.
 *   Waiting    Nothing waits for ever. timeout_ns: 0 is the worker's default, negative does not
 *              wait; functions without it use the default. Waits poll the function given to
 *              dcf_set_interrupt. A callback of a UDF with DCF_UDF_UPDATES must not wait inside
 *              the library: what could wait gives it DCF_UNSUPPORTED.
 *   Process    The library starts threads when it is loaded: do not fork() afterwards without
 *              exec(). It cannot be unloaded with dlclose(). 64-bit platforms only.
 */
#ifndef DCF_H
#define DCF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The ABI: same major = compatible; a higher minor only adds. */
#define DCF_ABI_MAJOR 0u
#define DCF_ABI_MINOR 1u
#define DCF_ABI_VERSION ((DCF_ABI_MAJOR << 16) | DCF_ABI_MINOR)

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};
#endif /* ARROW_C_DATA_INTERFACE */

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE
struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
  int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
  const char* (*get_last_error)(struct ArrowArrayStream*);
  void (*release)(struct ArrowArrayStream*);
  void* private_data;
};
#endif /* ARROW_C_STREAM_INTERFACE */

/* ---- Values -------------------------------------------------------------- */

typedef int32_t dcf_status;
#define DCF_OK 0
#define DCF_INTERNAL 1 /* a bug in libdcf; the worker refuses further calls */
#define DCF_INVALID_ARGUMENT 2
#define DCF_BAD_HANDLE 3 /* closed, or never opened */
#define DCF_NOT_FOUND 4  /* known not to exist; never a guess */
#define DCF_ALREADY_EXISTS 5
#define DCF_UNAVAILABLE 6 /* the node that would know cannot be reached */
#define DCF_TIMEOUT 7
#define DCF_CANCELLED 8
#define DCF_EXHAUSTED 9   /* a named limit was reached: back off, retry */
#define DCF_UDF_FAILED 10 /* the user's code failed; the worker is unharmed */
#define DCF_UNSUPPORTED 11
#define DCF_DENIED 12
#define DCF_ABORTED 13     /* a conflict or a fenced write: nothing was applied; start over */
#define DCF_CORRUPT 14     /* stored or received data fails its checks */
#define DCF_INTERRUPTED 15 /* the function given to dcf_set_interrupt said so */

/* A borrowed run of bytes; also used for UTF-8 text, which needs no NUL. `data` is an address or
 * NULL, never another number, also where size is 0. */
typedef struct dcf_bytes {
  const void* data;
  size_t size;
} dcf_bytes;

typedef struct dcf_worker {
  uint64_t handle;
} dcf_worker;
typedef struct dcf_vertex {
  uint64_t handle;
} dcf_vertex;
typedef struct dcf_udf {
  uint64_t handle;
} dcf_udf;
typedef struct dcf_queue {
  uint64_t handle;
} dcf_queue;
typedef struct dcf_builder {
  uint64_t handle;
} dcf_builder;

/* Names a vertex in the whole cluster. Opaque; equal ids are equal bytes. */
typedef struct dcf_vertex_id {
  uint8_t bytes[16];
} dcf_vertex_id;

typedef struct dcf_error {
  dcf_status status;
  int32_t os_error;     /* errno where the cause was a system call, else 0 */
  uint64_t node;        /* where it happened; 0 = this worker */
  dcf_vertex_id vertex; /* which vertex, or zero */
  char message[480];    /* always NUL-terminated; says what to do */
} dcf_error;

/* ---- Library ------------------------------------------------------------- */

uint32_t dcf_abi_version(void);                 /* of the loaded library */
const char* dcf_version(void);                  /* "0.1.0+gitsha"; static */
const char* dcf_status_name(dcf_status status); /* "DCF_TIMEOUT"; static */

/* `check` runs about every 50 ms on a thread that waits inside the library; non-zero ends the
 * wait with DCF_INTERRUPTED. For the whole process; NULL removes it. Removing does not wait for a
 * check under way. */
void dcf_set_interrupt(int32_t (*check)(void* user_data), void* user_data);

/* ---- Workers ------------------------------------------------------------- */

typedef struct dcf_worker_options {
  uint32_t struct_size; /* set by DCF_WORKER_OPTIONS_INIT */
  uint32_t flags;
  dcf_bytes listen;      /* comma-separated: "tcp://127.0.0.1:7411" (port 0: any free one),
                            "unix:///run/dcf.sock", "shm:///run/dcf.shm", "inproc://name";
                            empty: no ports */
  dcf_bytes join;        /* comma-separated addresses of workers; empty: alone */
  uint64_t node_id;      /* 0: chosen */
  uint64_t memory_limit; /* bytes of vertex data; 0: half of the machine's memory */
  int64_t timeout_ns;    /* the default for everything that waits; 0: 30 s */
  int64_t spin_ns;       /* how long to spin before sleeping; -1: as the library likes, 0: never */
  dcf_bytes config;      /* TOML for everything rarer; empty: defaults */
} dcf_worker_options;
#define DCF_WORKER_OPTIONS_INIT {sizeof(dcf_worker_options), 0, {0, 0}, {0, 0}, 0, 0, 0, -1, {0, 0}}

/* NULL options: an embedded worker with no ports.
 *
 * Keys of `config`; an unknown one is DCF_INVALID_ARGUMENT and named:
 *   insecure = true              listen beyond loopback without TLS
 *   log = "info"                 write to stderr from this level: debug, info, warn, error
 *   shared_memory = false        keep to the sockets also with workers of this host
 *   shared_limit = 1073741824    so many bytes of vertex data at most lie where they can be mapped
 *   shared_warm = 67108864       so many of those get their pages at the start; of the process both
 *   [[remote]]                   a vertex of another node that is known beforehand:
 *   name = "prices"              its name, or id = "32 hexadecimal digits",
 *   node = 7                     and its owner */
dcf_status dcf_worker_open(const dcf_worker_options* options, dcf_worker* out, dcf_error* error);

/* Stops taking calls, waits for those under way, ends the rest with DCF_CANCELLED. From inside a
 * callback it is DCF_UNSUPPORTED and nothing happens; otherwise the worker is closed whatever the
 * status. A callback that never returns leaks its user_data, and the error says so. */
dcf_status dcf_worker_close(dcf_worker worker, int64_t timeout_ns, dcf_error* error);

dcf_status dcf_worker_node_id(dcf_worker worker, uint64_t* out, dcf_error* error);
/* Tables: one row a node; one row a vertex of the cluster whose name starts with prefix, by name;
 * one row a counter of this worker. Columns, none with nulls:
 *   nodes     node: uint64, incarnation: uint32, self, member, directory, alive: bool,
 *             addresses: utf8 (comma-separated), round_trip_ns: int64 (0: not measured)
 *   vertices  id: fixed_size_binary[16], name: utf8, kind: uint32 (DCF_VERTEX_), owner: uint64,
 *             version: uint64, rows: int64 (-1: no value), bytes: int64, children: uint64
 *   stats     name: utf8, peer: uint64 (the peer that it concerns; 0: none), value: int64
 * The counters "handles.workers", ".vertices", ".udfs", ".queues", ".builders" and ".tickets"
 * (calls whose effects are unknown) are those of the process. */
dcf_status dcf_worker_nodes(dcf_worker worker, struct ArrowArrayStream* out, dcf_error* error);
dcf_status dcf_worker_vertices(dcf_worker worker, dcf_bytes prefix, struct ArrowArrayStream* out,
                               dcf_error* error);
dcf_status dcf_worker_stats(dcf_worker worker, struct ArrowArrayStream* out, dcf_error* error);

/* ---- Vertices ------------------------------------------------------------ */

#define DCF_VERTEX_LOCAL 0  /* owned here */
#define DCF_VERTEX_REMOTE 1 /* only its owner is known here */

typedef struct dcf_vertex_info {
  uint32_t struct_size;
  uint32_t kind;
  dcf_vertex_id id;
  uint64_t owner_node;
  uint64_t version; /* never reused for this vertex */
  int64_t rows;     /* -1: no value */
  int64_t bytes;
  uint64_t child_count;
} dcf_vertex_info;
#define DCF_VERTEX_INFO_INIT {sizeof(dcf_vertex_info), 0, {{0}}, 0, 0, 0, 0, 0}

#define DCF_PUT_REPLACE 1u /* replace the value of an existing vertex; else DCF_ALREADY_EXISTS */
typedef struct dcf_put_options {
  uint32_t struct_size;
  uint32_t flags;
  dcf_bytes name;       /* UTF-8, at most 255 bytes; empty: unnamed */
  uint64_t node;        /* where to put it; 0: here, and shards round robin over members */
  dcf_bytes shard_by;   /* a column: one shard a distinct value; the result is a group */
  uint32_t shard_count; /* over 1: that many shards of about equal size */
  uint32_t reserved;
  int64_t timeout_ns;
} dcf_put_options;
#define DCF_PUT_OPTIONS_INIT {sizeof(dcf_put_options), 0, {0, 0}, 0, {0, 0}, 0, 0, 0}

/* Makes a vertex of a record batch (a struct array; NULL: no value), or of a stream of them. The
 * array's memory is used where it lies: it must not be written to again. */
dcf_status dcf_vertex_put(dcf_worker worker, const dcf_put_options* options,
                          struct ArrowSchema* schema, struct ArrowArray* array, dcf_vertex* out,
                          dcf_error* error);
dcf_status dcf_vertex_put_stream(dcf_worker worker, const dcf_put_options* options,
                                 struct ArrowArrayStream* stream, dcf_vertex* out,
                                 dcf_error* error);

/* Builds a value in place: its memory is the library's from the start, which keeps such memory
 * warm, and is filled in by the caller, on any thread. What is committed is the vertex's value
 * without a copy. What can be built: types of fixed width, bool, null, binary and utf8 with offsets
 * of either size, dictionaries, and of these struct, fixed_size_list, list, large_list and map.
 * Another type (views, list views, unions, run ends) is DCF_UNSUPPORTED, by name.
 *
 * Columns have the numbers that Arrow IPC gives its field nodes: in pre-order, without what is in
 * dictionaries. Where nothing is nested that is simply the number of the column.
 *
 * The memory counts against the worker's memory limit. A builder of a closed worker keeps it until
 * dcf_builder_abort, which is all that such a builder is good for. */
typedef struct dcf_column {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t length; /* how many values: the rows, or for what lies below lists the room there is */
  void* validity; /* bitmap, a set bit is a value that is not null: all are set at first; NULL:
                     the schema says that there are no nulls */
  void* offsets;  /* length + 1 of int32_t or int64_t, all 0 at first; NULL: has none */
  void* values;   /* of fixed width, a dictionary's indices, or the bytes of texts. They hold
                     anything at first: fill all in. NULL: has none, or room for none */
  size_t values_bytes; /* the room for values, in bytes */
  int64_t children;    /* a list: for how many values its child has room */
} dcf_column;
#define DCF_COLUMN_INIT {sizeof(dcf_column), 0, 0, 0, 0, 0, 0, 0}

/* `schema` describes a struct array. DCF_EXHAUSTED: MaxBuilders, or the memory limit. */
dcf_status dcf_builder_open(dcf_worker worker, const struct ArrowSchema* schema, int64_t rows,
                            dcf_builder* out, dcf_error* error);
/* Where to write. `capacity` is for texts and binary the bytes, for lists the values of the child
 * that there must be room for: what is there is moved where it is too small, and earlier pointers
 * to that are void. There is room for none at first. 0 leaves it as it is, and is right for all
 * other types. */
dcf_status dcf_builder_column(dcf_builder builder, size_t column, int64_t capacity, dcf_column* out,
                              dcf_error* error);
/* The values that a column of a dictionary type has its indices in, of the type that the schema
 * says. The array moves on DCF_OK. Again: replaces it. */
dcf_status dcf_builder_dictionary(dcf_builder builder, size_t column, struct ArrowArray* values,
                                  dcf_error* error);
/* Checks what was filled in, makes a vertex of it as dcf_vertex_put does, and gives the builder
 * back. `value_out`, unless NULL, is the value as dcf_vertex_export gives it, wherever the vertex
 * was put. On another status nothing was published and the builder is as it was, so that it can be
 * corrected and committed again. Offsets that decrease or lead outside, indices outside the
 * dictionary and text that is not UTF-8 are DCF_INVALID_ARGUMENT, and the message says column and
 * value. From two threads at once, one gets DCF_ABORTED.
 *
 * The memory must not be written to any more, and lives as long as the vertex's value or value_out.
 * Validity, offsets and indices were copied before they were checked, and count twice: who writes
 * to the memory all the same, while it lives, changes values, and leads no reader outside. */
dcf_status dcf_builder_commit(dcf_builder builder, const dcf_put_options* options,
                              struct ArrowArray* value_out, dcf_vertex* out, dcf_error* error);
/* Gives the builder and its memory back; nothing is published. A commit under way on another thread
 * goes on. */
dcf_status dcf_builder_abort(dcf_builder builder, dcf_error* error);

/* Joins arrays of one type, in order, into a record batch with memory of its own, as the batches of
 * a stream or what is only borrowed; dictionaries become one, and count 0 gives no rows. `schema`
 * describes a struct array, and the result. Needs no worker and does not wait. */
dcf_status dcf_array_concat(const struct ArrowSchema* schema,
                            const struct ArrowArray* const* arrays, size_t count,
                            struct ArrowArray* out, dcf_error* error);

/* Find a vertex. Transfers no data. */
dcf_status dcf_vertex_open(dcf_worker worker, dcf_vertex_id id, dcf_vertex* out, dcf_error* error);
dcf_status dcf_vertex_open_name(dcf_worker worker, dcf_bytes name, dcf_vertex* out,
                                dcf_error* error);
dcf_status dcf_vertex_info_get(dcf_vertex vertex, dcf_vertex_info* out, dcf_error* error);
/* Writes the first `size` bytes of the name, without a NUL, and its whole length to *size_out: 0
 * where it has none. `buffer` may be NULL where size is 0. */
dcf_status dcf_vertex_name(dcf_vertex vertex, void* buffer, size_t size, size_t* size_out,
                           dcf_error* error);

/* One version, zero-copy where it is local; fetched otherwise. The array pins it until the caller
 * calls array->release. A vertex without a value is DCF_NOT_FOUND. `stream` gives a group shard by
 * shard. */
dcf_status dcf_vertex_export(dcf_vertex vertex, int64_t timeout_ns, struct ArrowSchema* schema_out,
                             struct ArrowArray* array_out, dcf_error* error);
dcf_status dcf_vertex_stream(dcf_vertex vertex, struct ArrowArrayStream* out, dcf_error* error);

/* Replaces the value (NULL: none). expected_version 0: whatever is there; else DCF_ABORTED on
 * another one. version_out may be NULL. */
dcf_status dcf_vertex_set(dcf_vertex vertex, uint64_t expected_version, struct ArrowSchema* schema,
                          struct ArrowArray* array, uint64_t* version_out, dcf_error* error);

/* Edges. The child list belongs to the vertex and is versioned with it; parents are an index
 * that may lag. Edges keep nothing alive. `edges`: direction 1 children, in order; 2 parents. Its
 * one column is id: fixed_size_binary[16]. */
dcf_status dcf_vertex_link(dcf_vertex from, dcf_vertex_id to, dcf_error* error);
dcf_status dcf_vertex_unlink(dcf_vertex from, dcf_vertex_id to, dcf_error* error);
dcf_status dcf_vertex_edges(dcf_vertex vertex, uint32_t direction, struct ArrowArrayStream* out,
                            dcf_error* error);

/* Gives the handle back: never blocks, deletes nothing. `drop` deletes in the cluster: hides at
 * once, frees after the last pin. */
dcf_status dcf_vertex_release(dcf_vertex vertex, dcf_error* error);
dcf_status dcf_vertex_drop(dcf_vertex vertex, dcf_error* error);

/* ---- UDFs ---------------------------------------------------------------- */

/* What a calculate is given, borrowed for the call. The batch has offset 0 and no nulls at its top
 * level; a column may have an offset of its own, as the shard of a table does: count from there.
 * Buffers are aligned to their element at least, to 64 bytes where the library allocated them. */
typedef struct dcf_udf_input {
  uint32_t struct_size;
  uint32_t vertex_kind; /* _REMOTE: its data was fetched for this call */
  dcf_vertex_id vertex;
  uint64_t version;
  const struct ArrowSchema* schema; /* NULL: the vertex has no value */
  const struct ArrowArray* array;
  const dcf_vertex_id* children;
  size_t child_count;
  const dcf_vertex_id* parents;
  size_t parent_count;
  dcf_bytes arguments;                        /* as in dcf_call, or as spawned */
  const struct ArrowSchema* arguments_schema; /* not NULL: arguments came as a record batch */
  const struct ArrowArray* arguments_array;
  dcf_bytes auxiliary;       /* as registered */
  int64_t deadline_ns;       /* CLOCK_MONOTONIC; 0: none that is known */
  const uint32_t* cancelled; /* turns non-zero: stop soon */
  uint64_t private_data[2];
} dcf_udf_input;

typedef struct dcf_part {
  dcf_bytes bytes;
  const struct ArrowSchema* schema; /* NULL: the part is bytes */
  const struct ArrowArray* array;
} dcf_part;

/* What merge and finish are given. Step through parts by part_size. */
typedef struct dcf_merge_input {
  uint32_t struct_size;
  uint32_t part_size;
  const dcf_part* parts;
  size_t part_count;   /* at least 1; finish: exactly 1 */
  dcf_bytes arguments; /* of the call */
  dcf_bytes auxiliary;
  uint64_t private_data[2];
} dcf_merge_input;

/* An owned view for libraries that keep what they are given (pyarrow, arrow-rs): pins the version
 * until released. A view made from it can be cached, one a version and key, where `key` is any
 * address of the caller's own. These four are for the callback that got the input, while it runs,
 * and cross into nothing.
 *   export    DCF_NOT_FOUND: there is no value, or the part is bytes
 *   view      the cached view, or NULL
 *   set_view  DCF_OK: kept, and view_free(view) is called once, on any thread, when the version
 *             dies. Else the view stays the caller's: DCF_ALREADY_EXISTS where another thread was
 *             first, DCF_UNSUPPORTED where this input caches nothing, DCF_EXHAUSTED */
dcf_status dcf_input_export(const dcf_udf_input* input, struct ArrowSchema* schema_out,
                            struct ArrowArray* array_out);
dcf_status dcf_part_export(const dcf_merge_input* input, size_t index,
                           struct ArrowSchema* schema_out, struct ArrowArray* array_out);
void* dcf_input_view(const dcf_udf_input* input, const void* key);
dcf_status dcf_input_set_view(const dcf_udf_input* input, const void* key, void* view,
                              void (*view_free)(void*));

#define DCF_SPAWN_ONCE 1u /* once per call for equal UDF, target and arguments */
typedef struct dcf_spawn {
  uint32_t struct_size;
  uint32_t flags;
  dcf_vertex_id target;
  dcf_bytes udf;                        /* by name; empty: the running one */
  dcf_bytes arguments;                  /* copied */
  struct ArrowSchema* arguments_schema; /* or a record batch, which moves; NULL: bytes */
  struct ArrowArray* arguments_array;
} dcf_spawn;
#define DCF_SPAWN_INIT {sizeof(dcf_spawn), 0, {{0}}, {0, 0}, {0, 0}, 0, 0}

/* Where a callback puts what it has to say. Plain C, crosses into nothing. Bytes are copied, Arrow
 * moves; `reserve` gives space to write a part in place. Effects (set_value, add_child, link,
 * unlink, remove) concern the running vertex only and appear together, after calculate returned
 * DCF_OK. What asks for too much gets DCF_EXHAUSTED; what is wrong DCF_INVALID_ARGUMENT; then
 * nothing was taken over. Merge and finish have no effects and no spawns: DCF_UNSUPPORTED.
 *
 * A callback fails by its status or by `fail`, whatever it returns then. The call's status is what
 * was returned, or DCF_UDF_FAILED for DCF_OK, DCF_INTERNAL and what is no status. The first line
 * of the text given to `fail` is the message, and the whole text is the detail.
 * log levels: -4 debug, 0 information, 4 warning, 8 error. */
typedef struct dcf_output dcf_output;
typedef struct dcf_output_api {
  uint32_t struct_size;
  uint32_t abi_version;
  dcf_status (*bytes)(dcf_output*, dcf_bytes part);
  dcf_status (*reserve)(dcf_output*, size_t size, void** out);
  dcf_status (*array)(dcf_output*, struct ArrowSchema*, struct ArrowArray*);
  dcf_status (*spawn)(dcf_output*, const dcf_spawn*);
  dcf_status (*set_value)(dcf_output*, struct ArrowSchema*, struct ArrowArray*);
  dcf_status (*add_child)(dcf_output*, dcf_bytes name, struct ArrowSchema*, struct ArrowArray*,
                          dcf_vertex_id* out);
  dcf_status (*link)(dcf_output*, dcf_vertex_id child);
  dcf_status (*unlink)(dcf_output*, dcf_vertex_id child);
  dcf_status (*remove)(dcf_output*);
  void (*fail)(dcf_output*, dcf_bytes message);
  void (*log)(dcf_output*, int32_t level, dcf_bytes text);
} dcf_output_api;
struct dcf_output {
  const dcf_output_api* api;
};

typedef dcf_status (*dcf_calculate_fn)(void* user_data, const dcf_udf_input* input,
                                       dcf_output* output);
typedef dcf_status (*dcf_merge_fn)(void* user_data, const dcf_merge_input* input,
                                   dcf_output* output);

#define DCF_UDF_NATIVE 0  /* callbacks of this process */
#define DCF_UDF_BUILTIN 4 /* known to every node by name */

#define DCF_UDF_UPDATES 1u     /* may have effects: calls on one vertex run one after another */
#define DCF_UDF_COMMUTATIVE 2u /* parts may be folded in any order */
#define DCF_UDF_SHORT 4u       /* never blocks, runs some microseconds at most */
/* run it only on the thread that called, never on the library's */
#define DCF_UDF_CALLER_THREAD 8u

typedef struct dcf_udf_definition {
  uint32_t struct_size;
  uint32_t kind;
  uint32_t flags;
  uint32_t reserved;
  dcf_bytes name;
  dcf_bytes version;   /* NATIVE: equal name and version on two workers is the user's
                          promise that they are one UDF; empty: private to the process */
  dcf_bytes auxiliary; /* copied; part of the UDF's identity */
  dcf_calculate_fn calculate;
  dcf_merge_fn merge;  /* NULL: parts come back one by one, in order */
  dcf_merge_fn finish; /* NULL: the last part is the result. Once, at the caller */
  void* user_data;
  void (*user_data_free)(void*); /* called once, after the last callback, on any thread; not if
                                    register fails */
} dcf_udf_definition;
#define DCF_UDF_DEFINITION_INIT \
  {sizeof(dcf_udf_definition), DCF_UDF_NATIVE, 0, 0, {0, 0}, {0, 0}, {0, 0}, 0, 0, 0, 0, 0}

/* DCF_UDF_NATIVE only: a builtin is opened by its name. */
dcf_status dcf_udf_register(dcf_worker worker, const dcf_udf_definition* definition, dcf_udf* out,
                            dcf_error* error);
dcf_status dcf_udf_open(dcf_worker worker, dcf_bytes name, dcf_udf* out, dcf_error* error);
dcf_status dcf_udf_release(dcf_udf udf, dcf_error* error);
/* Unregisters: waits for running callbacks, then frees user_data. From inside a callback it is
 * DCF_UNSUPPORTED. The handle is given back where the status is DCF_OK. */
dcf_status dcf_udf_drop(dcf_udf udf, int64_t timeout_ns, dcf_error* error);

/* ---- Calls --------------------------------------------------------------- */

#define DCF_CALL_AT_OWNER 1u /* never move the data */
#define DCF_CALL_HERE 2u     /* bring the data to this worker */
#define DCF_CALL_TIMED 4u    /* read the clock for this call; untimed calls read none */
#define DCF_CALL_INLINE 8u   /* dcf_call_try may run a function that is not short, too */
/* Neither AT_OWNER nor HERE: at the owner where it has the UDF, else the data is brought here. */

#define DCF_RESULT_NONE 0u
#define DCF_RESULT_BYTES 1u /* in buffer where it fits, else in more->result_bytes */
#define DCF_RESULT_ARRAY 2u /* in more */
/* no merge: in more->result_parts. Parts that are batches come as one batch each, those that are
 * bytes as rows of one column part: large_binary. All parts of a call must be of one type */
#define DCF_RESULT_PARTS 3u

#define DCF_EFFECTS_NONE 0u
#define DCF_EFFECTS_COMPLETE 1u
#define DCF_EFFECTS_UNKNOWN 2u /* the answer was lost: call again with the same ticket, or read */

/* One call: the caller's memory, 128 bytes. From submit until it comes back from dcf_queue_poll it
 * belongs to the library and must not move. An array of calls is stepped through by
 * calls[0].struct_size. */
typedef struct dcf_call {
  uint32_t struct_size;
  uint32_t flags;
  dcf_udf udf;
  const dcf_vertex* targets;
  size_t target_count;
  dcf_bytes arguments;
  void* buffer; /* yours: a small result goes here, nothing is allocated */
  size_t buffer_size;
  int64_t timeout_ns;
  uint64_t ticket;            /* 0: a new call. run and submit write it; when the call ends it is 0
                                 again, unless effects is UNKNOWN: then the same call made again is
                                 applied at most once. dcf_call_clear gives it up */
  void* user_data;            /* yours, untouched */
  struct dcf_call_more* more; /* what is rarer, or NULL */
  dcf_error* error;           /* filled on failure, where not NULL */
  /* results */
  size_t result_size; /* of a bytes result, whether or not it fits in buffer */
  dcf_status status;
  uint16_t result_kind;
  uint16_t effects;
  uint64_t private_data;
} dcf_call;
#define DCF_CALL_INIT {sizeof(dcf_call), 0, {0}, 0, 0, {0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Results that are Arrow, or larger than `buffer`, need it: else DCF_INVALID_ARGUMENT, and
 * `effects` says what was done all the same. What is asked for and what each call tells lie side by
 * side. The results need not be initialised: those before result_bytes are written by each call
 * that was run, the others are there while `held` is 1. */
typedef struct dcf_call_more {
  uint32_t struct_size;
  uint32_t held; /* 0 at first; 1 while the call holds results that dcf_call_clear frees */
  const dcf_vertex_id* target_ids;            /* used where targets is NULL */
  const dcf_bytes* target_arguments;          /* one a target, or NULL */
  const struct ArrowSchema* arguments_schema; /* arguments as a record batch, borrowed */
  const struct ArrowArray* arguments_array;
  /* results */
  uint64_t result_version; /* single target: the version read or made */
  uint64_t served_by;      /* the node that folded it */
  uint32_t served_how;     /* 0 in process, 1 shared memory, 2 network */
  uint32_t reserved;
  int64_t served_ns;      /* with DCF_CALL_TIMED */
  uint64_t bytes_moved;   /* over shared memory or the network, both ways */
  uint64_t bytes_fetched; /* of those, vertex data brought to the UDF */
  dcf_bytes result_bytes;
  dcf_bytes error_detail; /* a traceback, whole */
  struct ArrowSchema result_schema;
  struct ArrowArray result_array;
  struct ArrowArrayStream result_parts;
  uint64_t private_data[2];
} dcf_call_more;
/* clang-format off */
#define DCF_CALL_MORE_INIT \
  {sizeof(dcf_call_more), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0, 0}, {0, 0}, \
   {0, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}, {0, 0}}
/* clang-format on */

/* Runs calls and returns when all are done: one crossing into the library for `count` of them.
 * DCF_OK means that each was run; each call's own status says how it went. Any other status says
 * why the worker runs none; where it was closed meanwhile, calls that did not run have it too. */
dcf_status dcf_call_run(dcf_worker worker, dcf_call* calls, size_t count, dcf_error* error);

/* Runs from the first on those calls that this thread can answer without waiting, and writes how
 * many they are: each of a DCF_UDF_NATIVE function that does not update, and is DCF_UDF_SHORT or
 * was asked for by DCF_CALL_INLINE, on one vertex that is here. The rest is as it was: to be run or
 * submitted. For callers that must not wait: event loops, holders of a lock that functions take. A
 * function that spawns ran in vain: what it spawned might have to be waited for.
 *
 * One call of a short function on a vertex of another worker of this host is tried, too, for some
 * microseconds. Where the thread then runs that very call, before any other one, it goes on with
 * what was asked: the answer may be as of the try. */
dcf_status dcf_call_try(dcf_worker worker, dcf_call* calls, size_t count, size_t* done_out,
                        dcf_error* error);

/* Frees what a finished call holds: result_bytes, error_detail, and what was not moved out of
 * result_schema, result_array and result_parts; gives its ticket up. The struct can then be used
 * again. Running a call again frees the same, but keeps the ticket. A call whose ticket is 0 and
 * that has no `more`, or one that is not `held`, holds nothing. NULL does nothing. */
void dcf_call_clear(dcf_call* call);

/* A queue of calls under way. Open as many as there are event loops; one thread polls a queue. */
dcf_status dcf_queue_open(dcf_worker worker, dcf_queue* out, dcf_error* error);
/* Starts calls and writes each one's ticket. On another status than DCF_OK none was taken; where
 * one of them is wrong in itself (a bad handle, a NULL), the error says which. */
dcf_status dcf_queue_submit(dcf_queue queue, dcf_call* calls, size_t count, dcf_error* error);
/* Takes up to `capacity` finished calls, waiting for the first. None in time: DCF_OK and 0. */
dcf_status dcf_queue_poll(dcf_queue queue, dcf_call** done, size_t capacity, int64_t timeout_ns,
                          size_t* count_out, dcf_error* error);
/* Readable while dcf_queue_poll has something: for epoll, asyncio, tokio. Do not close. */
dcf_status dcf_queue_fd(dcf_queue queue, int32_t* out, dcf_error* error);
/* Asks a call to end early; it still comes back from dcf_queue_poll. One that is not under way
 * is DCF_NOT_FOUND. */
dcf_status dcf_queue_cancel(dcf_queue queue, uint64_t ticket, dcf_error* error);
/* Cancels what is under way and waits for it. Afterwards the library refers to no call of this
 * queue: those that were not polled are as they were submitted. DCF_TIMEOUT: a callback never
 * returned, and what its call refers to must stay. */
dcf_status dcf_queue_close(dcf_queue queue, dcf_error* error);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* DCF_H */
