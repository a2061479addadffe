/* The C half of dcf.Vertex: a handle on one vertex. */
#include "dcf_python.h"

static VertexObject* vertex(PyObject* self) { return (VertexObject*)self; }

PyObject* vertex_of(WorkerObject* worker, dcf_vertex handle) {
  VertexObject* self =
      (VertexObject*)PyType_GenericAlloc((PyTypeObject*)module_state.make_vertex, 0);
  if (self == NULL) {
    dcf_vertex_release(handle, NULL);
    return NULL;
  }
  self->handle = handle;
  Py_INCREF(worker);
  self->worker = worker;
  return (PyObject*)self;
}

static bool refuses(VertexObject* self) {
  if (refuse_forked()) return true;
  if (self->handle.handle != 0) return false;
  const dcf_error error = {.status = DCF_BAD_HANDLE, .message = "the vertex handle was released"};
  raise_status(DCF_BAD_HANDLE, &error, NULL);
  return true;
}

static void vertex_dealloc(PyObject* object) {
  VertexObject* self = vertex(object);
  PyTypeObject* type = Py_TYPE(object);
  freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
  if (self->handle.handle != 0 && !interpreter_is_forked()) {
    dcf_vertex_release(self->handle, NULL); /* never blocks */
  }
  Py_XDECREF(self->worker);
  free_object(object);
  Py_DECREF(type);
}

/* ---- What it is ------------------------------------------------------------------------- */

static int get_info(VertexObject* self, dcf_vertex_info* info) {
  dcf_error error;
  *info = (dcf_vertex_info)DCF_VERTEX_INFO_INIT;
  give_interpreter();
  dcf_status status = dcf_vertex_info_get(self->handle, info, &error);
  if (!take_interpreter()) return -1;
  if (status == DCF_OK) return 0;
  raise_status(status, &error, NULL);
  return -1;
}

int vertex_id_get(VertexObject* self, dcf_vertex_id* out) {
  static const dcf_vertex_id none;
  if (memcmp(&self->id, &none, sizeof none) == 0) {
    dcf_vertex_info info;
    if (refuses(self) || get_info(self, &info) < 0) return -1;
    self->id = info.id;
  }
  *out = self->id;
  return 0;
}

static PyObject* vertex_id(PyObject* self, void* unused) {
  (void)unused;
  dcf_vertex_id id;
  return vertex_id_get(vertex(self), &id) < 0 ? NULL : vertex_id_of(&id);
}

static PyObject* vertex_worker(PyObject* self, void* unused) {
  (void)unused;
  PyObject* worker = (PyObject*)vertex(self)->worker;
  Py_INCREF(worker);
  return worker;
}

static PyObject* vertex_released(PyObject* self, void* unused) {
  (void)unused;
  return PyBool_FromLong(vertex(self)->handle.handle == 0);
}

static PyObject* vertex_info(PyObject* object, PyObject* unused) {
  (void)unused;
  VertexObject* self = vertex(object);
  dcf_vertex_info info;
  if (refuses(self) || get_info(self, &info) < 0) return NULL;
  self->id = info.id;
  return Py_BuildValue("(NiKKLLK)", vertex_id_of(&info.id), (int)info.kind,
                       (unsigned long long)info.owner_node, (unsigned long long)info.version,
                       (long long)info.rows, (long long)info.bytes,
                       (unsigned long long)info.child_count);
}

static PyObject* vertex_get_name(PyObject* object, PyObject* unused) {
  (void)unused;
  VertexObject* self = vertex(object);
  char name[256]; /* names have at most 255 bytes */
  size_t size = 0;
  dcf_error error;
  if (refuses(self)) return NULL;
  give_interpreter();
  dcf_status status = dcf_vertex_name(self->handle, name, sizeof name, &size, &error);
  if (!take_interpreter()) return NULL;
  if (status == DCF_OK) return PyUnicode_DecodeUTF8(name, (Py_ssize_t)size, "replace");
  raise_status(status, &error, NULL);
  return NULL;
}

/* ---- Its value ---------------------------------------------------------------------------- */

static PyObject* vertex_export(PyObject* object, PyObject* timeout) {
  VertexObject* self = vertex(object);
  struct ArrowSchema schema;
  struct ArrowArray array;
  int64_t timeout_value;
  dcf_error error;
  if (timeout_ns(timeout, &timeout_value) < 0 || refuses(self)) return NULL;
  schema.release = NULL;
  array.release = NULL;
  give_interpreter();
  dcf_status status = dcf_vertex_export(self->handle, timeout_value, &schema, &array, &error);
  const bool signalled = !take_interpreter();
  if (signalled && status == DCF_OK) {
    release_schema(&schema);
    release_array(&array);
  }
  if (signalled) return NULL;
  if (status != DCF_OK) {
    raise_status(status, &error, NULL);
    return NULL;
  }
  if (array.release == NULL) Py_RETURN_NONE; /* the vertex has no value */
  return batch_take(&schema, &array);
}

static PyObject* vertex_stream(PyObject* object, PyObject* unused) {
  (void)unused;
  VertexObject* self = vertex(object);
  struct ArrowArrayStream stream = {.release = NULL};
  dcf_error error;
  if (refuses(self)) return NULL;
  give_interpreter();
  dcf_status status = dcf_vertex_stream(self->handle, &stream, &error);
  if (!take_interpreter()) {
    if (status == DCF_OK) release_stream(&stream);
    return NULL;
  }
  if (status == DCF_OK) return stream_of(&stream);
  raise_status(status, &error, NULL);
  return NULL;
}

static PyObject* vertex_set(PyObject* object, PyObject* args) {
  VertexObject* self = vertex(object);
  PyObject *value, *expected_version;
  uint64_t expected, version = 0;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_error error;
  if (!PyArg_ParseTuple(args, "OO:_set", &value, &expected_version)) return NULL;
  if (unsigned_of(expected_version, "expected_version", &expected) < 0 || refuses(self)) {
    return NULL;
  }
  int taken = take_batch(value, &schema, &array);
  if (taken < 0) return NULL;
  const bool none = taken > 0;
  give_interpreter();
  dcf_status status = dcf_vertex_set(self->handle, expected, none ? NULL : &schema,
                                     none ? NULL : &array, &version, &error);
  const bool signalled = !take_interpreter();
  if (status != DCF_OK && !none) {
    release_schema(&schema);
    release_array(&array);
  }
  if (signalled) return NULL;
  if (status == DCF_OK) return PyLong_FromUnsignedLongLong(version);
  raise_status(status, &error, NULL);
  return NULL;
}

/* ---- Its edges ------------------------------------------------------------------------------ */

static PyObject* change_edge(PyObject* object, PyObject* to,
                             dcf_status (*change)(dcf_vertex, dcf_vertex_id, dcf_error*)) {
  VertexObject* self = vertex(object);
  dcf_vertex_id id;
  dcf_error error;
  if (refuses(self) || vertex_id_from(to, &id) < 0) return NULL;
  give_interpreter();
  dcf_status status = change(self->handle, id, &error);
  if (!take_interpreter()) return NULL;
  if (status == DCF_OK) Py_RETURN_NONE;
  raise_status(status, &error, NULL);
  return NULL;
}

static PyObject* vertex_link(PyObject* self, PyObject* to) {
  return change_edge(self, to, dcf_vertex_link);
}

static PyObject* vertex_unlink(PyObject* self, PyObject* to) {
  return change_edge(self, to, dcf_vertex_unlink);
}

/* The ids in the first column of a table of edges, as a tuple. */
static PyObject* edge_ids(const struct ArrowSchema* schema, const struct ArrowArray* array) {
  const bool known = schema->n_children > 0 && strcmp(schema->children[0]->format, "w:16") == 0;
  if (!known) {
    return PyErr_Format(PyExc_TypeError, "a table of edges starts with 16-byte ids, not with %s",
                        schema->n_children > 0 ? schema->children[0]->format : "nothing");
  }
  const struct ArrowArray* ids = array->children[0];
  const char* first = ids->buffers[1];
  return vertex_ids_of((const dcf_vertex_id*)(first + 16 * (array->offset + ids->offset)),
                       (size_t)array->length);
}

static PyObject* vertex_edges(PyObject* object, PyObject* direction) {
  VertexObject* self = vertex(object);
  struct ArrowArrayStream stream = {.release = NULL};
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_error error;
  unsigned long which = PyLong_AsUnsignedLong(direction);
  if (PyErr_Occurred() || refuses(self)) return NULL;
  give_interpreter();
  dcf_status status = dcf_vertex_edges(self->handle, (uint32_t)which, &stream, &error);
  if (!take_interpreter()) {
    if (status == DCF_OK) release_stream(&stream);
    return NULL;
  }
  if (status != DCF_OK) {
    raise_status(status, &error, NULL);
    return NULL;
  }
  if (stream_collect(&stream, &schema, &array) < 0) return NULL;
  PyObject* ids = edge_ids(&schema, &array);
  release_schema(&schema);
  release_array(&array);
  return ids;
}

/* ---- Its end -----------------------------------------------------------------------------------
 */

static PyObject* vertex_release(PyObject* object, PyObject* unused) {
  (void)unused;
  VertexObject* self = vertex(object);
  dcf_vertex handle = self->handle;
  if (refuse_forked()) return NULL;
  self->handle.handle = 0;
  if (handle.handle != 0) dcf_vertex_release(handle, NULL);
  Py_RETURN_NONE;
}

static PyObject* vertex_drop(PyObject* object, PyObject* unused) {
  (void)unused;
  VertexObject* self = vertex(object);
  dcf_error error;
  if (refuses(self)) return NULL;
  give_interpreter();
  dcf_status status = dcf_vertex_drop(self->handle, &error);
  if (!take_interpreter()) return NULL;
  if (status == DCF_OK) Py_RETURN_NONE;
  raise_status(status, &error, NULL);
  return NULL;
}

static PyMethodDef vertex_methods[] = {
    {"_info", vertex_info, METH_NOARGS, NULL},
    {"_name", vertex_get_name, METH_NOARGS, NULL},
    {"_export", vertex_export, METH_O, NULL},
    {"_stream", vertex_stream, METH_NOARGS, NULL},
    {"_set", vertex_set, METH_VARARGS, NULL},
    {"_link", vertex_link, METH_O, NULL},
    {"_unlink", vertex_unlink, METH_O, NULL},
    {"_edges", vertex_edges, METH_O, NULL},
    {"_release", vertex_release, METH_NOARGS, NULL},
    {"_drop", vertex_drop, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef vertex_members[] = {
    {"id", vertex_id, NULL, "The VertexID that names the vertex in the whole cluster.", NULL},
    {"worker", vertex_worker, NULL, "The worker that the handle belongs to.", NULL},
    {"_released", vertex_released, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot vertex_slots[] = {
    {Py_tp_dealloc, vertex_dealloc},
    {Py_tp_methods, vertex_methods},
    {Py_tp_getset, vertex_members},
    {0, NULL},
};

static PyType_Spec vertex_spec = {
    .name = "dcf._dcf.Vertex",
    .basicsize = sizeof(VertexObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = vertex_slots,
};

int add_vertex_type(PyObject* module) {
  module_state.vertex_type = (PyTypeObject*)PyType_FromSpec(&vertex_spec);
  if (module_state.vertex_type == NULL) return -1;
  return PyModule_AddType(module, module_state.vertex_type);
}
