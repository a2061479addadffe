/* Stream: batches one by one, of a vertex or of a group shard by shard. */
#include "dcf_python.h"

typedef struct {
  PyObject_HEAD struct ArrowArrayStream stream; /* released: read to its end, or given away */
  struct ArrowSchema schema;
  bool busy; /* a thread reads it with the interpreter given up */
} StreamObject;

PyObject* stream_of(struct ArrowArrayStream* stream) {
  StreamObject* self = PyObject_New(StreamObject, module_state.stream_type);
  if (self == NULL) {
    release_stream(stream);
    return NULL;
  }
  self->stream = *stream;
  self->schema.release = NULL;
  self->busy = false;
  stream->release = NULL;
  return (PyObject*)self;
}

static void stream_dealloc(PyObject* object) {
  StreamObject* self = (StreamObject*)object;
  PyTypeObject* type = Py_TYPE(object);
  if (!interpreter_is_forked()) {
    release_schema(&self->schema);
    release_stream(&self->stream);
  }
  PyObject_Free(object);
  Py_DECREF(type);
}

static PyObject* stream_error(StreamObject* self, int error) {
  const char* text = self->stream.get_last_error(&self->stream);
  return PyErr_Format(PyExc_OSError, "the stream broke off (%d): %s", error,
                      text != NULL ? text : strerror(error));
}

static int read_next(StreamObject* self, struct ArrowArray* array) {
  int error = 0;
  self->busy = true;
  give_interpreter();
  if (self->schema.release == NULL) error = self->stream.get_schema(&self->stream, &self->schema);
  if (error != 0) self->schema.release = NULL;
  if (error == 0) error = self->stream.get_next(&self->stream, array);
  if (error != 0) array->release = NULL;
  const bool signalled = !take_interpreter();
  self->busy = false;
  if (signalled) {
    release_array(array);
    return -1;
  }
  if (error != 0) {
    stream_error(self, error);
    return -1;
  }
  return 0;
}

static PyObject* stream_next(PyObject* object) {
  StreamObject* self = (StreamObject*)object;
  struct ArrowArray array;
  if (refuse_forked()) return NULL;
  if (self->busy) {
    return PyErr_Format(PyExc_RuntimeError, "another thread reads this stream right now");
  }
  if (self->stream.release == NULL) return NULL; /* StopIteration */
  array.release = NULL;
  if (read_next(self, &array) < 0) return NULL;
  if (array.release == NULL) {
    release_stream(&self->stream);
    self->stream.release = NULL;
    return NULL;
  }
  struct ArrowSchema schema;
  if (copy_schema(&self->schema, &schema) < 0) {
    release_array(&array);
    return NULL;
  }
  return batch_take(&schema, &array);
}

static PyObject* stream_self(PyObject* self) {
  Py_INCREF(self);
  return self;
}

static PyObject* stream_c_stream(PyObject* object, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"requested_schema", NULL};
  PyObject* requested = NULL;
  StreamObject* self = (StreamObject*)object;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:__arrow_c_stream__", names, &requested)) {
    return NULL;
  }
  if (refuse_forked()) return NULL;
  if (self->busy || self->stream.release == NULL) {
    return PyErr_Format(PyExc_ValueError, "the stream was read already: open another one");
  }
  return stream_capsule(&self->stream);
}

PyDoc_STRVAR(stream_doc,
             "Batches one by one; Vertex.stream gives it.\n"
             "\n"
             "An iterator of dcf.Batch, and a stream for Arrow libraries. It is read once, by one\n"
             "thread.\n");
PyDoc_STRVAR(c_stream_doc,
             "__arrow_c_stream__(requested_schema=None)\n--\n\n"
             "What is left of the stream, for Arrow libraries; it is theirs afterwards.\n");

static PyMethodDef stream_methods[] = {
    {"__arrow_c_stream__", (PyCFunction)(void (*)(void))stream_c_stream,
     METH_VARARGS | METH_KEYWORDS, c_stream_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, (void*)stream_doc}, {Py_tp_dealloc, stream_dealloc}, {Py_tp_iter, stream_self},
    {Py_tp_iternext, stream_next},  {Py_tp_methods, stream_methods}, {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "dcf.Stream",
    .basicsize = sizeof(StreamObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stream_slots,
};

int add_stream_type(PyObject* module) {
  module_state.stream_type = (PyTypeObject*)PyType_FromSpec(&stream_spec);
  if (module_state.stream_type == NULL) return -1;
  return PyModule_AddType(module, module_state.stream_type);
}
