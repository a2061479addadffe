/* What the parts of the extension share. The extension turns Python values into what dcf.h speaks
 * and back; it decides nothing, and nothing outside the package `dcf` uses it, but for a benchmark
 * that reads handles. */
#ifndef DCF_PYTHON_H
#define DCF_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "buffer.h"
#include "dcf.h"

/* ---- Limits -------------------------------------------------------------- */

enum {
  kMaxNesting = 64,         /* of Arrow types and of Python lists, as in libdcf */
  kResultBuffer = 256,      /* bytes of a result that need no allocation */
  kTargetsOnStack = 16,     /* targets of a call that need no allocation */
  kPollBatch = 64,          /* finished calls that the completion thread takes at once */
  kMaxFailureBytes = 65536, /* of a traceback that travels to the caller */
};

/* ---- The module ---------------------------------------------------------- */

/* There is one interpreter, so what is looked up once lives here. Everything is written while the
 * module is imported and only read later. */
typedef struct {
  PyTypeObject* async_call_type;
  PyTypeObject* batch_type;
  PyTypeObject* column_type;
  PyTypeObject* context_type;
  PyTypeObject* function_type;
  PyTypeObject* memory_type;
  PyTypeObject* merge_context_type;
  PyTypeObject* pending_type;
  PyTypeObject* queue_type;
  PyTypeObject* stream_type;
  PyTypeObject* vertex_id_type;
  PyTypeObject* vertex_type;
  PyTypeObject* worker_type;
  PyObject* arguments_name; /* the keyword, interned as the ones that callers pass are */
  /* Hooks of the Python half, set by _dcf.bind. */
  PyObject* make_error;       /* (status, os_error, node, vertex, message, detail) -> exception */
  PyObject* forked_error;     /* the class ForkedProcessError */
  PyObject* format_exception; /* exception -> str, a summary line and the traceback */
  PyObject* from_python;      /* column values of types that C does not know -> column */
  PyObject* to_python;        /* (format, int or bytes) -> value, for dates, decimals and such */
  PyObject* to_numpy;         /* (Batch or Column, dtype, copy) -> array */
  PyObject* make_vertex;      /* the class dcf.Vertex */
} ModuleState;

extern ModuleState module_state;

/* ---- interpreter.c: threads, and what may happen on them ------------------ */

/* A callback's way into the interpreter. */
typedef struct {
  int how;
  int gil;
} Entry;

/* Prepares threads; called once, with the interpreter held, on the main thread. */
int interpreter_open(void);
/* Afterwards callbacks are refused. Called at exit, after all workers were closed. */
void interpreter_close(void);
/* Marks this process as a forked child, in which libdcf must not be entered. */
void interpreter_forked(void);
bool interpreter_is_forked(void);
/* Raises ForkedProcessError and gives true in a forked child. */
bool refuse_forked(void);

/* Give the interpreter up around a call into libdcf, and take it back. take_interpreter gives
 * false where a signal handler raised meanwhile: then that exception is set. */
void give_interpreter(void);
bool take_interpreter(void);

/* Mark a call into libdcf during which this thread keeps the interpreter: callbacks on it find it
 * there. Such a call never waits. */
void hold_interpreter(void);
void let_interpreter(void);

/* Enter the interpreter from a callback; false where it has ended. */
bool enter_interpreter(Entry* entry);
void leave_interpreter(const Entry* entry);
/* Whether the callback runs on the thread of the Python code that called. */
bool entry_is_callers(const Entry* entry);

/* Keeps the exception that a callback raised for the call on this thread, and takes it out. Both
 * pass a reference. */
void keep_raised(PyObject* exception);
PyObject* take_raised(void);

/* An object to be released by whoever holds the interpreter next. Any thread may push. */
typedef struct Drop {
  struct Drop* next;
  PyObject* object;
} Drop;
void push_drop(Drop* drop);                 /* frees it with free() later */
int drop_init(Drop** out, PyObject* owned); /* takes over the reference; -1: no memory */

/* ---- error.c ------------------------------------------------------------- */

/* Raises the exception of a status. detail may be NULL. */
void raise_status(dcf_status status, const dcf_error* error, const dcf_bytes* detail);
/* Gives that exception instead of raising it; NULL with an exception set. */
PyObject* status_exception(dcf_status status, const dcf_error* error, const dcf_bytes* detail);
/* The current exception, normalised and cleared, with its traceback; NULL where there is none. */
PyObject* take_exception(void);
/* Raises an exception object; steals the reference. */
void raise_exception(PyObject* exception);

/* ---- text.c -------------------------------------------------------------- */

/* Borrows the UTF-8 bytes of a str, or the bytes of a bytes object; valid as long as the object.
 * -1 with TypeError otherwise; `what` names the argument. */
int text_bytes(PyObject* object, const char* what, dcf_bytes* out);
/* None and missing give nothing. */
int optional_text(PyObject* object, const char* what, dcf_bytes* out);
/* An int of 64 bits without a sign; `what` names it in the error. */
int unsigned_of(PyObject* object, const char* what, uint64_t* out);
/* Seconds (int or float, None for the default) as nanoseconds. */
int timeout_ns(PyObject* seconds, int64_t* out);

/* ---- holder.c: shared ownership of an Arrow array -------------------------- */

/* A batch or column that was moved here. References may be dropped on any thread. */
typedef struct {
  atomic_int references;
  struct ArrowSchema schema;
  struct ArrowArray array;
} Holder;

/* Moves both in; on failure (MemoryError) both are released. */
Holder* holder_take(struct ArrowSchema* schema, struct ArrowArray* array);
Holder* holder_keep(Holder* holder);
void holder_drop(Holder* holder);
/* Export a node of the held tree, sharing its buffers. They need no interpreter and raise nothing:
 * -1 means that memory ran out. */
int holder_export_schema(Holder* holder, const struct ArrowSchema* node, struct ArrowSchema* out);
int holder_export_array(Holder* holder, const struct ArrowArray* node, struct ArrowArray* out);
/* The same as a stream of one batch. */
int holder_export_stream(Holder* holder, struct ArrowArrayStream* out);

void release_schema(struct ArrowSchema* schema);
void release_array(struct ArrowArray* array);
void release_stream(struct ArrowArrayStream* stream);

/* ---- capsule.c: Arrow's PyCapsule interface -------------------------------- */

PyObject* schema_capsule(Holder* holder, const struct ArrowSchema* node);
PyObject* array_capsules(Holder* holder, const struct ArrowSchema* schema,
                         const struct ArrowArray* array);  /* a pair */
PyObject* stream_capsule(struct ArrowArrayStream* stream); /* moves it */
/* Does the object offer it? 1: __arrow_c_array__, 2: __arrow_c_stream__, 0: neither, -1: error */
int capsule_offer(PyObject* object);
int capsule_schema(PyObject* object, struct ArrowSchema* schema);
int capsule_array(PyObject* object, struct ArrowSchema* schema, struct ArrowArray* array);
int capsule_stream(PyObject* object, struct ArrowArrayStream* out);
/* Reads a stream of batches to its end and makes one of them. Consumes the stream. */
int stream_collect(struct ArrowArrayStream* stream, struct ArrowSchema* schema,
                   struct ArrowArray* array);
/* The same for the chunks of a column. */
int stream_collect_column(struct ArrowArrayStream* stream, struct ArrowSchema* schema,
                          struct ArrowArray* array);

/* ---- layout.c: what a format string means ---------------------------------- */

typedef enum {
  kLayoutUnknown,
  kLayoutNull,
  kLayoutBool,
  kLayoutFixed,       /* width bytes a value */
  kLayoutBinary,      /* int32 offsets */
  kLayoutLargeBinary, /* int64 offsets */
  kLayoutView,        /* 16-byte views */
  kLayoutList,
  kLayoutLargeList,
  kLayoutFixedList,     /* width children a value */
  kLayoutListView,      /* int32 offsets and sizes */
  kLayoutLargeListView, /* int64 offsets and sizes */
  kLayoutStruct,
  kLayoutSparseUnion, /* type ids */
  kLayoutDenseUnion,  /* type ids and int32 offsets */
  kLayoutRunEnd,      /* children: run ends, and values */
} Layout;

typedef struct {
  Layout layout;
  int64_t width;
} LayoutInfo;

LayoutInfo layout_of(const char* format);
/* The struct-module letter of a plain number ("q", "d", ...), or 0. */
char number_letter(const char* format);
static inline bool bit_at(const uint8_t* bits, int64_t i) { return bits[i >> 3] >> (i & 7) & 1; }
static inline void bit_set(uint8_t* bits, int64_t i) { bits[i >> 3] |= (uint8_t)(1 << (i & 7)); }
bool value_is_null(const struct ArrowArray* array, int64_t i);

/* ---- concat.c ---------------------------------------------------------------- */

/* One batch of the rows of many of one type, copied. The sources stay the caller's. -1 with an
 * exception. */
int concat_batches(const struct ArrowSchema* schema, const struct ArrowArray* const* sources,
                   Py_ssize_t count, struct ArrowArray* out);
/* The same for columns of any type. */
int concat_columns(const struct ArrowSchema* schema, const struct ArrowArray* const* sources,
                   Py_ssize_t count, struct ArrowArray* out);
int copy_schema(const struct ArrowSchema* schema, struct ArrowSchema* out);

/* ---- decode.c: Arrow to Python ----------------------------------------------- */

/* The value at index i, counted from the array's own offset. New reference. */
PyObject* decode_value(const struct ArrowSchema* schema, const struct ArrowArray* array, int64_t i);
PyObject* decode_column(const struct ArrowSchema* schema, const struct ArrowArray* array);
/* Whether a batch is a number or text by itself: one row, one column without a name. */
bool is_scalar(const struct ArrowSchema* schema, const struct ArrowArray* array);
PyObject* decode_scalar(const struct ArrowSchema* schema, const struct ArrowArray* array);
/* The first row as a dict. */
PyObject* decode_row(const struct ArrowSchema* schema, const struct ArrowArray* array);

/* ---- build.c, take.c, owned.c: Python to Arrow ------------------------------------- */

/* A column from a list or tuple of Python values, an object with the Arrow or the buffer
 * interface. */
int build_column(PyObject* values, struct ArrowSchema* schema, struct ArrowArray* array);
/* A batch from a dict of columns; `row`: from a dict of values, as one row. */
int build_batch(PyObject* dict, bool row, struct ArrowSchema* schema, struct ArrowArray* array);
/* Is it a value that becomes a 1 x 1 batch: bool, int, float or str? */
bool is_plain(PyObject* value);
int build_scalar(PyObject* value, struct ArrowSchema* schema, struct ArrowArray* array);
/* Whatever put, set and UDFs accept as a batch; None gives 1 and writes nothing. */
int take_batch(PyObject* value, struct ArrowSchema* schema, struct ArrowArray* array);
/* Makes a batch array (columns moved) around columns that were built. */
int wrap_columns(struct ArrowSchema* schemas, struct ArrowArray* arrays, int64_t count,
                 int64_t rows, struct ArrowSchema* schema, struct ArrowArray* array);
/* Owned arrays for builders. Names are copied; buffers come from malloc. -1 with MemoryError. */
int new_schema(const char* format, const char* name, int64_t children, struct ArrowSchema* out);
int new_array(int64_t length, int64_t null_count, int64_t buffers, int64_t children,
              struct ArrowArray* out);
/* Lets the array own an object that its buffers belong to; steals the reference. */
int array_owner(struct ArrowArray* array, PyObject* owner);
int rename_schema(struct ArrowSchema* schema, const char* name);

/* ---- batch.c, column.c, stream.c ---------------------------------------------- */

PyObject* batch_of(Holder* holder); /* steals */
PyObject* batch_take(struct ArrowSchema* schema, struct ArrowArray* array);
Holder* batch_holder(PyObject* batch); /* borrowed */
PyObject* column_of(Holder* holder, const struct ArrowSchema* schema,
                    const struct ArrowArray* array); /* keeps the holder, copies the node */
/* __array__ of batches and columns: the Python half makes the array. */
PyObject* numpy_array(PyObject* self, PyObject* args, PyObject* kwargs);
PyObject* column_retype(PyObject* module, PyObject* args);
PyObject* stream_of(struct ArrowArrayStream* stream); /* moves */
int add_batch_type(PyObject* module);
int add_column_type(PyObject* module);
int add_stream_type(PyObject* module);

/* ---- vertex_id.c, vertex.c, worker.c, call.c, queue.c, async.c --------------------- */

PyObject* vertex_id_of(const dcf_vertex_id* id);
/* From a VertexID or a Vertex; -1 with TypeError. */
int vertex_id_from(PyObject* object, dcf_vertex_id* out);
PyObject* vertex_ids_of(const dcf_vertex_id* ids, size_t count); /* a tuple */
int add_vertex_id_type(PyObject* module);

typedef struct {
  PyObject_HEAD dcf_worker handle; /* 0: closed */
  uint64_t node_id;
  PyObject* functions; /* a list of those registered with this worker */
} WorkerObject;

typedef struct {
  PyObject_HEAD dcf_vertex handle; /* 0: released */
  dcf_vertex_id id;                /* zero: not asked yet */
  WorkerObject* worker;
} VertexObject;

PyObject* vertex_of(WorkerObject* worker, dcf_vertex handle); /* takes the handle over */
/* Takes the id that the handle stands for; asks libdcf the first time. */
int vertex_id_get(VertexObject* vertex, dcf_vertex_id* out);
int add_vertex_type(PyObject* module);
int add_worker_type(PyObject* module);
int add_builder_types(PyObject* module);
/* Raises where the worker is closed or the process forked. */
bool worker_refuses(WorkerObject* worker);
PyObject* worker_call(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names);
PyObject* worker_measure(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names);
PyObject* worker_start(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names);
PyObject* worker_call_async(PyObject* self, PyObject* const* args, Py_ssize_t count,
                            PyObject* names);
PyObject* worker_open_queue(PyObject* self, PyObject* unused);
int add_queue_types(PyObject* module);
int add_async_call_type(PyObject* module);

/* ---- call.c: one call, as worker_call, queue.c and async.c make it ---------------- */

typedef struct {
  dcf_call call;
  dcf_call_more more;
  dcf_error error;
  dcf_vertex* targets; /* one_target, or from malloc */
  dcf_vertex_id* ids;
  dcf_vertex one_target;
  dcf_vertex_id one_id;
  Holder* arguments;
  PyObject* bytes;  /* what owns the argument bytes, or NULL */
  PyObject* target; /* what was called on: kept, for its handles */
  PyObject* function;
  bool scalar; /* the result is one value: unwrap it */
  unsigned char buffer[kResultBuffer];
} CallFrame;

int call_prepare(CallFrame* frame, WorkerObject* worker, PyObject* const* args, Py_ssize_t count,
                 PyObject* names);
/* Moves a call that was prepared and did not begin; `from` is then to be released, and is empty. */
void call_move(CallFrame* from, CallFrame* to);
/* Runs a call that this thread can answer at once without waiting, with the interpreter held; false
 * where it cannot. `result` is what the call gave, or NULL with its exception. */
bool call_try(CallFrame* frame, WorkerObject* worker, PyObject** result);
/* What the call gave, or NULL with its exception. */
PyObject* call_result(CallFrame* frame);
/* A tuple of what is known about a call that ended, beside its result. */
PyObject* call_facts(const CallFrame* frame);
void call_release(CallFrame* frame);
/* Starts a prepared call, of which `future` is to hear by its attribute _pending and from
 * Queue.poll; the frame is empty afterwards. */
int queue_submit(PyObject* queue, CallFrame* frame, PyObject* future);

/* ---- function.c, callback.c, context.c --------------------------------------------- */

/* A function at one worker: user_data of its callbacks. It belongs to libdcf from registration
 * to the last callback. */
struct FunctionObject;
typedef struct {
  Drop drop; /* first; releases the two objects below */
  struct FunctionObject* function;
  PyObject* functions; /* the worker's list, for what the function spawns */
  dcf_worker worker;
} Registration;

typedef struct {
  uint64_t worker;
  dcf_udf udf;
} FunctionEntry;

/* How a callable of Python is called. */
typedef struct {
  PyObject* callable; /* NULL: there is none */
  PyObject* view;     /* Batch -> what the callable gets; NULL: the Batch itself */
  bool wants_context;
} Callable;

typedef struct FunctionObject {
  PyObject_HEAD PyObject* name;
  PyObject* dictionary;
  Callable calculate;
  Callable merge;
  Callable finish;
  PyObject* arguments; /* a Batch that every call carries (builtins), or NULL */
  bool defined;
  bool scalar;
  bool holds;    /* its calls are tried with the interpreter held */
  bool is_short; /* and may be so on the thread of an event loop */
  FunctionEntry* entries;
  Py_ssize_t entry_count;
} FunctionObject;

/* The handle at a worker; registers the function there when it is first asked. */
int function_at(PyObject* function, WorkerObject* worker, dcf_udf* out);
/* `functions` is the worker's list of those whose handles it gives back when it closes. */
int function_register(FunctionObject* self, dcf_worker worker, PyObject* functions, dcf_udf* out);
/* Gives the handle back, when the worker closes. */
void function_forget(FunctionObject* self, uint64_t worker);
int add_function_type(PyObject* module);

dcf_status python_calculate(void* user_data, const dcf_udf_input* input, dcf_output* output);
dcf_status python_merge(void* user_data, const dcf_merge_input* input, dcf_output* output);
dcf_status python_finish(void* user_data, const dcf_merge_input* input, dcf_output* output);
void free_registration(void* user_data);

PyObject* context_new(const dcf_udf_input* input, dcf_output* output, Registration* registration);
PyObject* merge_context_new(const dcf_merge_input* input);
/* After the callback returned, the context refuses to be used. */
void context_end(PyObject* context);
void merge_context_end(PyObject* context);
int add_context_types(PyObject* module);
/* The arguments of a callback as Python sees them. */
PyObject* decode_arguments(const dcf_bytes* bytes, const struct ArrowSchema* schema,
                           const struct ArrowArray* array);

#endif
