/* The C half of dcf.Builder: a value that is filled in where it will lie.
 *
 * Memory gives views of what libdcf gave, and keeps its Builder. Invariant: what a view shows is
 * mapped as long as there is a view. So a column that has views is not moved, an abort with views
 * gives the memory back when the last is gone, and a commit with views keeps the value until then.
 */
#include <stdlib.h>

#include "dcf_python.h"

typedef struct {
  PyObject_HEAD dcf_builder handle; /* 0: committed, or given back */
  bool ended;                       /* by commit or abort */
  WorkerObject* worker;
  Py_ssize_t columns;
  const struct ArrowSchema** types; /* of each column, in schema */
  Py_ssize_t* views;                /* how many there are of each column */
  Py_ssize_t all_views;
  struct ArrowSchema schema;
  struct ArrowArray value; /* of a commit, while there are views */
} BuilderObject;

typedef struct {
  PyObject_HEAD BuilderObject* builder;
  Py_ssize_t column;
  int part;
} MemoryObject;

enum { kValidity, kOffsets, kValues };

static BuilderObject* builder(PyObject* self) { return (BuilderObject*)self; }
static MemoryObject* memory(PyObject* self) { return (MemoryObject*)self; }

static bool refuses(BuilderObject* self) {
  if (refuse_forked()) return true;
  if (!self->ended) return false;
  const dcf_error error = {.status = DCF_BAD_HANDLE,
                           .message = "the builder was committed or aborted: make another one"};
  raise_status(DCF_BAD_HANDLE, &error, NULL);
  return true;
}

/* ---- Open ------------------------------------------------------------------------------------ */

/* Numbers the columns as dcf.h does, in types unless that is NULL. */
static Py_ssize_t number(const struct ArrowSchema* node, const struct ArrowSchema** types,
                         Py_ssize_t at) {
  for (int64_t i = 0; i < node->n_children; i++) {
    if (types != NULL) types[at] = node->children[i];
    at = number(node->children[i], types, at + 1);
  }
  return at;
}

static PyObject* builder_open(PyObject* object, PyObject* args) {
  BuilderObject* self = builder(object);
  PyObject *worker, *type;
  long long rows;
  dcf_error error;
  struct ArrowSchema schema;
  if (!PyArg_ParseTuple(args, "O!OL:_open", module_state.worker_type, &worker, &type, &rows)) {
    return NULL;
  }
  if (self->types != NULL || worker_refuses((WorkerObject*)worker)) return NULL;
  if (capsule_schema(type, &schema) < 0) return NULL;
  dcf_builder handle;
  give_interpreter();
  dcf_status status =
      dcf_builder_open(((WorkerObject*)worker)->handle, &schema, rows, &handle, &error);
  const bool signalled = !take_interpreter();
  if (status != DCF_OK || signalled) {
    release_schema(&schema);
    if (status == DCF_OK) dcf_builder_abort(handle, NULL);
    if (!signalled) raise_status(status, &error, NULL);
    return NULL;
  }
  self->columns = number(&schema, NULL, 0);
  self->types = calloc((size_t)self->columns + 1, sizeof(struct ArrowSchema*));
  self->views = calloc((size_t)self->columns + 1, sizeof(Py_ssize_t));
  self->schema = schema;
  self->handle = handle;
  Py_INCREF(worker);
  self->worker = (WorkerObject*)worker;
  self->ended = false;
  if (self->types == NULL || self->views == NULL) return PyErr_NoMemory();
  number(&self->schema, self->types, 0);
  Py_RETURN_NONE;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Gives back what no view shows any more, once the builder has ended. */
static void settle(BuilderObject* self) {
  if (!self->ended || self->all_views > 0 || interpreter_is_forked()) return;
  if (self->handle.handle != 0) dcf_builder_abort(self->handle, NULL);
  self->handle.handle = 0;
  release_array(&self->value);
}

static PyObject* builder_abort(PyObject* object, PyObject* unused) {
  (void)unused;
  builder(object)->ended = true;
  settle(builder(object));
  Py_RETURN_NONE;
}

static PyObject* builder_commit(PyObject* object, PyObject* args) {
  BuilderObject* self = builder(object);
  PyObject *name, *shard_by, *shards, *node, *timeout;
  uint64_t shard_count;
  int replace;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  dcf_vertex vertex;
  dcf_error error;
  struct ArrowArray value;
  if (!PyArg_ParseTuple(args, "OOOOpO:_commit", &name, &shard_by, &shards, &node, &replace,
                        &timeout)) {
    return NULL;
  }
  if (optional_text(name, "the name of a vertex", &options.name) < 0 ||
      optional_text(shard_by, "shard_by", &options.shard_by) < 0 ||
      unsigned_of(shards, "shards", &shard_count) < 0 ||
      unsigned_of(node, "node", &options.node) < 0 ||
      timeout_ns(timeout, &options.timeout_ns) < 0 || refuses(self)) {
    return NULL;
  }
  options.flags = replace ? DCF_PUT_REPLACE : 0;
  options.shard_count = shard_count < UINT32_MAX ? (uint32_t)shard_count : UINT32_MAX;
  give_interpreter();
  dcf_status status = dcf_builder_commit(self->handle, &options, &value, &vertex, &error);
  const bool signalled = !take_interpreter();
  if (status == DCF_OK) {
    self->handle.handle = 0;
    self->ended = true;
    self->value = value;
    settle(self);
    if (!signalled) return vertex_of(self->worker, vertex);
    dcf_vertex_release(vertex, NULL);
  } else if (!signalled) {
    raise_status(status, &error, NULL);
  }
  return NULL;
}

static int builder_traverse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(object));
  Py_VISIT((PyObject*)builder(object)->worker);
  return 0;
}

static int builder_clear(PyObject* object) {
  Py_CLEAR(builder(object)->worker);
  return 0;
}

static void builder_dealloc(PyObject* object) {
  BuilderObject* self = builder(object);
  PyTypeObject* type = Py_TYPE(object);
  freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
  PyObject_GC_UnTrack(object);
  self->ended = true;
  settle(self); /* views keep their builder, so there are none */
  if (self->schema.release != NULL) release_schema(&self->schema);
  free(self->types);
  free(self->views);
  Py_CLEAR(self->worker);
  free_object(object);
  Py_DECREF(type);
}

/* ---- Columns --------------------------------------------------------------------------------- */

static int column_at(BuilderObject* self, Py_ssize_t column, int64_t capacity, dcf_column* out) {
  dcf_error error;
  if (refuses(self)) return -1;
  *out = (dcf_column)DCF_COLUMN_INIT;
  dcf_status status = dcf_builder_column(self->handle, (size_t)column, capacity, out, &error);
  if (status == DCF_OK) return 0;
  raise_status(status, &error, NULL);
  return -1;
}

/* _columns(): of each column (name, format, number of children, format of the dictionary or None).
 */
static PyObject* builder_columns(PyObject* object, PyObject* unused) {
  (void)unused;
  BuilderObject* self = builder(object);
  PyObject* list = PyList_New(0);
  for (Py_ssize_t i = 0; list != NULL && i < self->columns; i++) {
    const struct ArrowSchema* type = self->types[i];
    PyObject* entry = Py_BuildValue("(ssLz)", type->name != NULL ? type->name : "", type->format,
                                    (long long)type->n_children,
                                    type->dictionary != NULL ? type->dictionary->format : NULL);
    if (entry == NULL || PyList_Append(list, entry) < 0) Py_CLEAR(list);
    Py_XDECREF(entry);
  }
  return list;
}

/* _reserve(column, capacity): where views show what would move, BufferError. */
static PyObject* builder_reserve(PyObject* object, PyObject* args) {
  BuilderObject* self = builder(object);
  Py_ssize_t column;
  long long capacity;
  dcf_column out;
  if (!PyArg_ParseTuple(args, "nL:_reserve", &column, &capacity)) return NULL;
  if (column_at(self, column, 0, &out) < 0) return NULL;
  const Py_ssize_t end = column + 1 + number(self->types[column], NULL, 0);
  for (Py_ssize_t i = column; i < end; i++) {
    if (self->views[i] == 0) continue;
    return PyErr_Format(PyExc_BufferError,
                        "column \"%s\" cannot grow while arrays or memoryviews show its memory: "
                        "give them up first, or give the room before",
                        self->types[column]->name);
  }
  if (column_at(self, column, capacity, &out) < 0) return NULL;
  Py_RETURN_NONE;
}

/* _dictionary(column, values) */
static PyObject* builder_dictionary(PyObject* object, PyObject* args) {
  BuilderObject* self = builder(object);
  Py_ssize_t column;
  PyObject* values;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_column out;
  dcf_error error;
  if (!PyArg_ParseTuple(args, "nO:_dictionary", &column, &values)) return NULL;
  if (column_at(self, column, 0, &out) < 0) return NULL;
  const struct ArrowSchema* type = self->types[column]->dictionary;
  if (type == NULL) {
    return PyErr_Format(PyExc_TypeError, "column \"%s\" has no dictionary",
                        self->types[column]->name);
  }
  if (build_column(values, &schema, &array) < 0) return NULL;
  const bool same = strcmp(schema.format, type->format) == 0 && type->n_children == 0 &&
                    type->dictionary == NULL && schema.dictionary == NULL;
  if (!same) {
    PyErr_Format(PyExc_TypeError,
                 "the dictionary of column \"%s\" has the Arrow type \"%s\", and this is \"%s\": "
                 "give an array of that type",
                 self->types[column]->name, type->format, schema.format);
  }
  release_schema(&schema);
  if (same && refuses(self)) {
    release_array(&array);
    return NULL;
  }
  dcf_status status = DCF_OK;
  if (same) status = dcf_builder_dictionary(self->handle, (size_t)column, &array, &error);
  if (status != DCF_OK) raise_status(status, &error, NULL);
  if (!same || status != DCF_OK) {
    release_array(&array);
    return NULL;
  }
  Py_RETURN_NONE;
}

/* _length(column): values, and of a list's child */
static PyObject* builder_length(PyObject* object, PyObject* arg) {
  dcf_column out;
  const Py_ssize_t column = PyLong_AsSsize_t(arg);
  if (column == -1 && PyErr_Occurred()) return NULL;
  if (column_at(builder(object), column, 0, &out) < 0) return NULL;
  return PyLong_FromLongLong(out.length);
}

/* _memory(column, part): 0 validity, 1 offsets, 2 values */
static PyObject* builder_memory(PyObject* object, PyObject* args) {
  BuilderObject* self = builder(object);
  Py_ssize_t column;
  int part;
  dcf_column out;
  if (!PyArg_ParseTuple(args, "ni:_memory", &column, &part)) return NULL;
  if (column_at(self, column, 0, &out) < 0) return NULL;
  if (part == kValidity && out.validity == NULL && out.length > 0) Py_RETURN_NONE;
  MemoryObject* made = PyObject_New(MemoryObject, module_state.memory_type);
  if (made == NULL) return NULL;
  Py_INCREF(self);
  made->builder = self;
  made->column = column;
  made->part = part;
  return (PyObject*)made;
}

static PyObject* builder_get_ended(PyObject* self, void* unused) {
  (void)unused;
  return PyBool_FromLong(builder(self)->ended);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static size_t offset_width(const struct ArrowSchema* type) {
  const Layout layout = layout_of(type->format).layout;
  return layout == kLayoutLargeBinary || layout == kLayoutLargeList ? 8 : 4;
}

static int memory_getbuffer(PyObject* object, Py_buffer* view, int flags) {
  static char empty, letter[] = "B";
  MemoryObject* self = memory(object);
  BuilderObject* owner = self->builder;
  dcf_column column;
  view->obj = NULL;
  if (column_at(owner, self->column, 0, &column) < 0) return -1;
  switch (self->part) {
    case kValidity:
      view->buf = column.validity;
      view->len = column.validity != NULL ? (Py_ssize_t)((column.length + 7) / 8) : 0;
      break;
    case kOffsets:
      view->buf = column.offsets;
      view->len =
          column.offsets != NULL
              ? (Py_ssize_t)((size_t)(column.length + 1) * offset_width(owner->types[self->column]))
              : 0;
      break;
    default:
      view->buf = column.values;
      view->len = (Py_ssize_t)column.values_bytes;
  }
  if (view->buf == NULL) view->buf = &empty;
  Py_INCREF(object);
  view->obj = object;
  view->itemsize = 1;
  view->readonly = 0;
  view->ndim = 1;
  view->format = flags & PyBUF_FORMAT ? letter : NULL;
  /* Bytes that lie one after another are their own shape and stride. */
  view->shape = flags & PyBUF_ND ? &view->len : NULL;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &view->itemsize : NULL;
  view->suboffsets = NULL;
  view->internal = NULL;
  owner->views[self->column]++;
  owner->all_views++;
  return 0;
}

static void memory_releasebuffer(PyObject* object, Py_buffer* view) {
  (void)view;
  BuilderObject* owner = memory(object)->builder;
  owner->views[memory(object)->column]--;
  owner->all_views--;
  settle(owner);
}

static void memory_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  Py_DECREF(memory(object)->builder);
  PyObject_Free(object);
  Py_DECREF(type);
}

static PyType_Slot memory_slots[] = {
    {Py_tp_dealloc, memory_dealloc},
    {Py_bf_getbuffer, memory_getbuffer},
    {Py_bf_releasebuffer, memory_releasebuffer},
    {0, NULL},
};

static PyType_Spec memory_spec = {
    .name = "dcf._dcf.Memory",
    .basicsize = sizeof(MemoryObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = memory_slots,
};

/* ---- The type -------------------------------------------------------------------------------- */

static PyObject* builder_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* self = PyType_GenericNew(type, args, kwargs);
  if (self != NULL) builder(self)->ended = true; /* until it is open */
  return self;
}

static PyMethodDef builder_methods[] = {
    {"_open", builder_open, METH_VARARGS, NULL},
    {"_abort", builder_abort, METH_NOARGS, NULL},
    {"_commit", builder_commit, METH_VARARGS, NULL},
    {"_columns", builder_columns, METH_NOARGS, NULL},
    {"_length", builder_length, METH_O, NULL},
    {"_reserve", builder_reserve, METH_VARARGS, NULL},
    {"_dictionary", builder_dictionary, METH_VARARGS, NULL},
    {"_memory", builder_memory, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef builder_members[] = {
    {"ended", builder_get_ended, NULL, "Whether it was committed or aborted.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot builder_slots[] = {
    {Py_tp_new, builder_new},
    {Py_tp_dealloc, builder_dealloc},
    {Py_tp_traverse, builder_traverse},
    {Py_tp_clear, builder_clear},
    {Py_tp_methods, builder_methods},
    {Py_tp_getset, builder_members},
    {0, NULL},
};

static PyType_Spec builder_spec = {
    .name = "dcf._dcf.Builder",
    .basicsize = sizeof(BuilderObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = builder_slots,
};

int add_builder_types(PyObject* module) {
  module_state.memory_type = (PyTypeObject*)PyType_FromSpec(&memory_spec);
  if (module_state.memory_type == NULL) return -1;
  PyTypeObject* type = (PyTypeObject*)PyType_FromSpec(&builder_spec);
  if (type == NULL) return -1;
  return PyModule_AddType(module, type);
}
