/* The C half of dcf.Worker. */
#include "dcf_python.h"

static WorkerObject* worker(PyObject* self) { return (WorkerObject*)self; }

bool worker_refuses(WorkerObject* self) {
  if (refuse_forked()) return true;
  if (self->handle.handle != 0) return false;
  const dcf_error error = {.status = DCF_BAD_HANDLE, .message = "the worker is closed"};
  raise_status(DCF_BAD_HANDLE, &error, NULL);
  return true;
}

/* ---- Open and close ------------------------------------------------------------------------- */

static PyObject* worker_open(PyObject* object, PyObject* args) {
  WorkerObject* self = worker(object);
  PyObject *listen, *join, *timeout, *config, *node_id, *memory_limit;
  long long spin_ns;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  dcf_worker handle;
  dcf_error error;
  if (!PyArg_ParseTuple(args, "OOOOOLO:_open", &listen, &join, &node_id, &memory_limit, &timeout,
                        &spin_ns, &config)) {
    return NULL;
  }
  if (optional_text(listen, "listen", &options.listen) < 0 ||
      optional_text(join, "join", &options.join) < 0 ||
      optional_text(config, "config", &options.config) < 0 ||
      unsigned_of(node_id, "node_id", &options.node_id) < 0 ||
      unsigned_of(memory_limit, "memory_limit", &options.memory_limit) < 0 ||
      timeout_ns(timeout, &options.timeout_ns) < 0) {
    return NULL;
  }
  options.spin_ns = spin_ns;
  if (refuse_forked()) return NULL;
  PyObject* functions = PyList_New(0);
  if (functions == NULL) return NULL;
  give_interpreter();
  dcf_status status = dcf_worker_open(&options, &handle, &error);
  if (status == DCF_OK) dcf_worker_node_id(handle, &self->node_id, NULL);
  if (!take_interpreter()) {
    if (status == DCF_OK) dcf_worker_close(handle, 0, NULL);
    Py_DECREF(functions);
    return NULL;
  }
  if (status != DCF_OK) {
    Py_DECREF(functions);
    raise_status(status, &error, NULL);
    return NULL;
  }
  self->handle = handle;
  Py_XDECREF(self->functions);
  self->functions = functions;
  Py_RETURN_NONE;
}

static void forget_functions(WorkerObject* self, uint64_t handle) {
  PyObject* functions = self->functions;
  self->functions = NULL;
  if (functions == NULL) return;
  const Py_ssize_t count = PyList_Size(functions);
  for (Py_ssize_t i = 0; i < count; i++) {
    function_forget((FunctionObject*)PyList_GetItem(functions, i), handle);
  }
  Py_DECREF(functions);
}

/* The Python half closes the queues first. */
static PyObject* worker_close(PyObject* object, PyObject* timeout) {
  WorkerObject* self = worker(object);
  int64_t timeout_value;
  dcf_error error;
  if (timeout_ns(timeout, &timeout_value) < 0 || refuse_forked()) return NULL;
  const dcf_worker handle = self->handle;
  self->handle.handle = 0;
  if (handle.handle == 0) Py_RETURN_NONE;
  give_interpreter();
  dcf_status status = dcf_worker_close(handle, timeout_value, &error);
  const bool signalled = !take_interpreter();
  /* A function that did not return is not to lose its code. */
  if (status != DCF_OK) Py_XINCREF(self->functions);
  forget_functions(self, handle.handle);
  if (signalled) return NULL;
  if (status == DCF_OK) Py_RETURN_NONE;
  raise_status(status, &error, NULL);
  return NULL;
}

static int worker_traverse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(worker(object)->functions);
  return 0;
}

static int worker_clear(PyObject* object) {
  Py_CLEAR(worker(object)->functions);
  return 0;
}

static void worker_dealloc(PyObject* object) {
  WorkerObject* self = worker(object);
  PyTypeObject* type = Py_TYPE(object);
  freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
  PyObject_GC_UnTrack(object);
  if (self->handle.handle != 0 && !interpreter_is_forked()) {
    /* The Python half warned and closed; only a half-made worker comes here open. */
    give_interpreter();
    dcf_worker_close(self->handle, 0, NULL);
    take_interpreter();
  }
  Py_CLEAR(self->functions);
  free_object(object);
  Py_DECREF(type);
}

/* ---- Tables about the cluster -----------------------------------------------------------------
 */

static PyObject* collect(dcf_status status, const dcf_error* error,
                         struct ArrowArrayStream* stream) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  if (!take_interpreter()) {
    if (status == DCF_OK) release_stream(stream);
    return NULL;
  }
  if (status != DCF_OK) {
    raise_status(status, error, NULL);
    return NULL;
  }
  return stream_collect(stream, &schema, &array) < 0 ? NULL : batch_take(&schema, &array);
}

static PyObject* table_of(PyObject* object,
                          dcf_status (*ask)(dcf_worker, struct ArrowArrayStream*, dcf_error*)) {
  WorkerObject* self = worker(object);
  struct ArrowArrayStream stream = {.release = NULL};
  dcf_error error;
  if (worker_refuses(self)) return NULL;
  give_interpreter();
  dcf_status status = ask(self->handle, &stream, &error);
  return collect(status, &error, &stream);
}

static PyObject* worker_nodes(PyObject* self, PyObject* unused) {
  (void)unused;
  return table_of(self, dcf_worker_nodes);
}

static PyObject* worker_stats(PyObject* self, PyObject* unused) {
  (void)unused;
  return table_of(self, dcf_worker_stats);
}

static PyObject* worker_vertices(PyObject* object, PyObject* prefix) {
  WorkerObject* self = worker(object);
  struct ArrowArrayStream stream = {.release = NULL};
  dcf_error error;
  dcf_bytes text;
  if (text_bytes(prefix, "prefix", &text) < 0 || worker_refuses(self)) return NULL;
  give_interpreter();
  dcf_status status = dcf_worker_vertices(self->handle, text, &stream, &error);
  return collect(status, &error, &stream);
}

/* ---- Vertices
 * ------------------------------------------------------------------------------------ */

static PyObject* worker_put(PyObject* object, PyObject* args) {
  WorkerObject* self = worker(object);
  PyObject *name, *value, *shard_by, *shards, *node, *timeout;
  uint64_t shard_count;
  int replace;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  if (!PyArg_ParseTuple(args, "OOOOOpO:_put", &name, &value, &shard_by, &shards, &node, &replace,
                        &timeout)) {
    return NULL;
  }
  if (optional_text(name, "the name of a vertex", &options.name) < 0 ||
      optional_text(shard_by, "shard_by", &options.shard_by) < 0 ||
      unsigned_of(shards, "shards", &shard_count) < 0 ||
      unsigned_of(node, "node", &options.node) < 0 ||
      timeout_ns(timeout, &options.timeout_ns) < 0 || worker_refuses(self)) {
    return NULL;
  }
  options.flags = replace ? DCF_PUT_REPLACE : 0;
  options.shard_count = shard_count < UINT32_MAX ? (uint32_t)shard_count : UINT32_MAX;

  dcf_vertex vertex = {0};
  dcf_error error;
  dcf_status status;
  bool signalled;
  /* What offers only a stream goes to libdcf as one, so that a table larger than one batch is never
   * joined in between. */
  const int offer = capsule_offer(value);
  if (offer < 0) return NULL;
  if (offer == 2) {
    struct ArrowArrayStream stream;
    if (capsule_stream(value, &stream) < 0) return NULL;
    give_interpreter();
    status = dcf_vertex_put_stream(self->handle, &options, &stream, &vertex, &error);
    signalled = !take_interpreter();
  } else {
    struct ArrowSchema schema;
    struct ArrowArray array;
    int taken = take_batch(value, &schema, &array);
    if (taken < 0) return NULL;
    const bool none = taken > 0;
    give_interpreter();
    status = dcf_vertex_put(self->handle, &options, none ? NULL : &schema, none ? NULL : &array,
                            &vertex, &error);
    signalled = !take_interpreter();
    if (status != DCF_OK && !none) {
      release_schema(&schema);
      release_array(&array);
    }
  }
  if (signalled) {
    if (status == DCF_OK) dcf_vertex_release(vertex, NULL);
    return NULL;
  }
  if (status == DCF_OK) return vertex_of(self, vertex);
  raise_status(status, &error, NULL);
  return NULL;
}

static PyObject* worker_vertex(PyObject* object, PyObject* key) {
  WorkerObject* self = worker(object);
  const bool by_id = Py_TYPE(key) == module_state.vertex_id_type;
  dcf_vertex_id id;
  dcf_bytes name;
  dcf_vertex vertex;
  dcf_error error;
  if (by_id ? vertex_id_from(key, &id) < 0 : text_bytes(key, "the name of a vertex", &name) < 0) {
    return NULL;
  }
  if (worker_refuses(self)) return NULL;
  give_interpreter();
  dcf_status status = by_id ? dcf_vertex_open(self->handle, id, &vertex, &error)
                            : dcf_vertex_open_name(self->handle, name, &vertex, &error);
  if (!take_interpreter()) {
    if (status == DCF_OK) dcf_vertex_release(vertex, NULL);
    return NULL;
  }
  if (status != DCF_OK) {
    raise_status(status, &error, NULL);
    return NULL;
  }
  PyObject* opened = vertex_of(self, vertex);
  if (opened != NULL && by_id) ((VertexObject*)opened)->id = id;
  return opened;
}

/* ---- Functions
 * ------------------------------------------------------------------------------------- */

static PyObject* worker_register(PyObject* object, PyObject* function) {
  dcf_udf handle;
  if (worker_refuses(worker(object))) return NULL;
  if (!PyObject_TypeCheck(function, module_state.function_type)) {
    return PyErr_Format(PyExc_TypeError, "a UDF is wanted (@dcf.udf makes one), not %R",
                        (PyObject*)Py_TYPE(function));
  }
  if (function_at(function, worker(object), &handle) < 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject* worker_get_closed(PyObject* self, void* unused) {
  (void)unused;
  return PyBool_FromLong(worker(self)->handle.handle == 0);
}

static PyObject* worker_get_node_id(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(worker(self)->node_id);
}

PyDoc_STRVAR(call_doc,
             "call(udf, target, *, arguments=None, timeout=None, at_owner=False, here=False)\n"
             "--\n\n"
             "Runs the function on the target and gives what it answered.\n"
             "\n"
             "`target` is a vertex, its name or id, or a list of vertices or of ids; a call on a\n"
             "group runs on its shards. `udf` is a function made by ``@dcf.udf``, a builtin, or\n"
             "the name of a registered one. `arguments` are bytes, one number or text, a dict,\n"
             "which becomes one row, or Arrow data. `timeout` is in seconds; None is the\n"
             "worker's default, 0 does not wait. The call runs at the vertex's owner if that has\n"
             "the function, else the data is brought here: `at_owner` forbids that and `here`\n"
             "demands it.\n"
             "\n"
             "One number or text comes back as a Python value, a table as dcf.Batch, bytes as\n"
             "bytes, and no answer as None; a function without merge gives a list of these, one\n"
             "a vertex.\n"
             "\n"
             ">>> with dcf.open() as worker:\n"
             "...     prices = worker.put('prices', {'price': [2.0, 3.5]})\n"
             "...     worker.call(dcf.sum('price'), prices)\n"
             "5.5\n");
PyDoc_STRVAR(
    call_async_doc,
    "call_async(udf, target, *, arguments=None, timeout=None, at_owner=False, here=False)\n"
    "--\n\n"
    "Starts a call, as `call` makes it, and gives an awaitable of what it answers.\n"
    "\n"
    "For asyncio: ``await`` it, or give it to ``asyncio.gather``, ``create_task``,\n"
    "``wait_for`` or a ``TaskGroup``, which take it for a coroutine. The call is under way\n"
    "when this returns, and any number may be. A function with ``short`` on a vertex that\n"
    "is here has run by then, on this thread; any other runs elsewhere, and the event loop\n"
    "goes on. Where the awaiting task is cancelled, the call is asked to end early, and\n"
    "its effects stay. One that the worker gave up raises dcf.CancelledError, one that\n"
    "took too long dcf.TimeoutError.\n"
    "\n"
    ">>> import asyncio\n"
    ">>> async def main():\n"
    "...     async with dcf.open() as worker:\n"
    "...         prices = await worker.put_async('prices', {'price': [2.0, 3.5]})\n"
    "...         calls = [worker.call_async(f('price'), prices) for f in (dcf.min, dcf.max)]\n"
    "...         return await asyncio.gather(*calls)\n"
    ">>> asyncio.run(main())\n"
    "[2.0, 3.5]\n");
PyDoc_STRVAR(node_id_doc, "The number of this worker in its cluster.");

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef worker_methods[] = {
    {"call", FAST(worker_call), METH_FASTCALL | METH_KEYWORDS, call_doc},
    {"call_async", FAST(worker_call_async), METH_FASTCALL | METH_KEYWORDS, call_async_doc},
    {"_measure", FAST(worker_measure), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_start", FAST(worker_start), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_open_queue", worker_open_queue, METH_NOARGS, NULL},
    {"_open", worker_open, METH_VARARGS, NULL},
    {"_close", worker_close, METH_O, NULL},
    {"_nodes", worker_nodes, METH_NOARGS, NULL},
    {"_stats", worker_stats, METH_NOARGS, NULL},
    {"_vertices", worker_vertices, METH_O, NULL},
    {"_put", worker_put, METH_VARARGS, NULL},
    {"_vertex", worker_vertex, METH_O, NULL},
    {"_register", worker_register, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef worker_members[] = {
    {"closed", worker_get_closed, NULL, "Whether the worker was closed.", NULL},
    {"node_id", worker_get_node_id, NULL, node_id_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot worker_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, worker_dealloc},
    {Py_tp_traverse, worker_traverse},
    {Py_tp_clear, worker_clear},
    {Py_tp_methods, worker_methods},
    {Py_tp_getset, worker_members},
    {0, NULL},
};

static PyType_Spec worker_spec = {
    .name = "dcf._dcf.Worker",
    .basicsize = sizeof(WorkerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = worker_slots,
};

int add_worker_type(PyObject* module) {
  module_state.worker_type = (PyTypeObject*)PyType_FromSpec(&worker_spec);
  if (module_state.worker_type == NULL) return -1;
  return PyModule_AddType(module, module_state.worker_type);
}
