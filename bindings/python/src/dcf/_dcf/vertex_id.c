/* VertexID: the 16 opaque bytes that name a vertex in the whole cluster. */
#include "dcf_python.h"

typedef struct {
  PyObject_HEAD dcf_vertex_id id;
} VertexIDObject;

static dcf_vertex_id* id_of(PyObject* self) { return &((VertexIDObject*)self)->id; }

PyObject* vertex_id_of(const dcf_vertex_id* id) {
  VertexIDObject* self = PyObject_New(VertexIDObject, module_state.vertex_id_type);
  if (self != NULL) self->id = *id;
  return (PyObject*)self;
}

PyObject* vertex_ids_of(const dcf_vertex_id* ids, size_t count) {
  PyObject* tuple = PyTuple_New((Py_ssize_t)count);
  for (size_t i = 0; tuple != NULL && i < count; i++) {
    PyObject* id = vertex_id_of(&ids[i]);
    if (id == NULL || PyTuple_SetItem(tuple, (Py_ssize_t)i, id) < 0) Py_CLEAR(tuple);
  }
  return tuple;
}

int vertex_id_from(PyObject* object, dcf_vertex_id* out) {
  if (Py_TYPE(object) == module_state.vertex_id_type) {
    *out = *id_of(object);
    return 0;
  }
  if (PyObject_TypeCheck(object, module_state.vertex_type)) {
    return vertex_id_get((VertexObject*)object, out);
  }
  PyErr_Format(PyExc_TypeError, "a Vertex or a VertexID is wanted, not %R",
               (PyObject*)Py_TYPE(object));
  return -1;
}

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int parse(const dcf_bytes* text, bool hex, dcf_vertex_id* out) {
  const char* from = text->data;
  if (text->size != (hex ? 2 : 1) * sizeof out->bytes) return -1;
  for (size_t i = 0; i < sizeof out->bytes; i++) {
    const int high = hex ? digit(from[2 * i]) : 0, low = hex ? digit(from[2 * i + 1]) : 0;
    if (high < 0 || low < 0) return -1;
    out->bytes[i] = hex ? (uint8_t)(high << 4 | low) : (uint8_t)from[i];
  }
  return 0;
}

static PyObject* vertex_id_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"value", NULL};
  PyObject* value;
  dcf_bytes text;
  dcf_vertex_id id;
  (void)type;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:VertexID", names, &value)) return NULL;
  if (Py_TYPE(value) == module_state.vertex_id_type) {
    Py_INCREF(value);
    return value;
  }
  if (text_bytes(value, "a vertex id", &text) < 0) return NULL;
  if (parse(&text, PyUnicode_Check(value), &id) < 0) {
    return PyErr_Format(PyExc_ValueError, "a vertex id is 16 bytes or 32 hex digits, not %R",
                        value);
  }
  return vertex_id_of(&id);
}

static void vertex_id_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

static Py_hash_t vertex_id_hash(PyObject* self) {
  uint64_t words[2];
  memcpy(words, id_of(self), sizeof words);
  Py_hash_t hash = (Py_hash_t)((words[0] ^ words[1]) * 0x9e3779b97f4a7c15u);
  return hash == -1 ? -2 : hash;
}

static PyObject* vertex_id_compare(PyObject* self, PyObject* other, int op) {
  if (Py_TYPE(other) != module_state.vertex_id_type) Py_RETURN_NOTIMPLEMENTED;
  const int order = memcmp(id_of(self), id_of(other), sizeof(dcf_vertex_id));
  Py_RETURN_RICHCOMPARE(order, 0, op);
}

static PyObject* vertex_id_bytes(PyObject* self, PyObject* unused) {
  (void)unused;
  return PyBytes_FromStringAndSize((const char*)id_of(self)->bytes, sizeof id_of(self)->bytes);
}

static PyObject* vertex_id_str(PyObject* self) {
  char text[2 * sizeof(dcf_vertex_id)];
  for (size_t i = 0; i < sizeof(dcf_vertex_id); i++) {
    text[2 * i] = "0123456789abcdef"[id_of(self)->bytes[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[id_of(self)->bytes[i] & 15];
  }
  return PyUnicode_FromStringAndSize(text, sizeof text);
}

static PyObject* vertex_id_repr(PyObject* self) {
  PyObject* text = vertex_id_str(self);
  if (text == NULL) return NULL;
  PyObject* repr = PyUnicode_FromFormat("dcf.VertexID('%U')", text);
  Py_DECREF(text);
  return repr;
}

static PyObject* vertex_id_reduce(PyObject* self, PyObject* unused) {
  PyObject* bytes = vertex_id_bytes(self, unused);
  return bytes != NULL ? Py_BuildValue("O(N)", (PyObject*)Py_TYPE(self), bytes) : NULL;
}

PyDoc_STRVAR(vertex_id_doc,
             "VertexID(value)\n--\n\n"
             "Names a vertex in the whole cluster: 16 opaque bytes, or their 32 hex digits.\n"
             "\n"
             "A value: it can be compared, hashed, pickled and sent to another process.\n"
             "\n"
             ">>> dcf.VertexID('00112233445566778899aabbccddeeff')\n"
             "dcf.VertexID('00112233445566778899aabbccddeeff')\n");

static PyMethodDef vertex_id_methods[] = {
    {"__bytes__", vertex_id_bytes, METH_NOARGS, "__bytes__()\n--\n\nThe 16 bytes.\n"},
    {"__reduce__", vertex_id_reduce, METH_NOARGS, "__reduce__()\n--\n\nFor pickle.\n"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot vertex_id_slots[] = {
    {Py_tp_doc, (void*)vertex_id_doc},
    {Py_tp_new, vertex_id_new},
    {Py_tp_dealloc, vertex_id_dealloc},
    {Py_tp_hash, vertex_id_hash},
    {Py_tp_richcompare, vertex_id_compare},
    {Py_tp_str, vertex_id_str},
    {Py_tp_repr, vertex_id_repr},
    {Py_tp_methods, vertex_id_methods},
    {0, NULL},
};

static PyType_Spec vertex_id_spec = {
    .name = "dcf.VertexID",
    .basicsize = sizeof(VertexIDObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = vertex_id_slots,
};

int add_vertex_id_type(PyObject* module) {
  module_state.vertex_id_type = (PyTypeObject*)PyType_FromSpec(&vertex_id_spec);
  if (module_state.vertex_id_type == NULL) return -1;
  return PyModule_AddType(module, module_state.vertex_id_type);
}
