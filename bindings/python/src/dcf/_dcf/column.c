/* Column: one column of a batch, readable by index, by the buffer protocol, and as Arrow. */
#include "dcf_python.h"

typedef struct {
  PyObject_HEAD Holder* holder;
  const struct ArrowSchema* schema; /* of the holder */
  struct ArrowArray array;          /* a node that shares the holder's buffers; never released */
  char letter[2];                   /* of the buffer protocol */
  Py_ssize_t shape[1], strides[1];
} ColumnObject;

static ColumnObject* column(PyObject* self) { return (ColumnObject*)self; }

PyObject* column_of(Holder* holder, const struct ArrowSchema* schema,
                    const struct ArrowArray* array) {
  ColumnObject* self = PyObject_New(ColumnObject, module_state.column_type);
  if (self == NULL) return NULL;
  self->holder = holder_keep(holder);
  self->schema = schema;
  self->array = *array;
  self->letter[0] = schema->dictionary == NULL ? number_letter(schema->format) : 0;
  self->letter[1] = 0;
  self->shape[0] = (Py_ssize_t)array->length;
  self->strides[0] = (Py_ssize_t)layout_of(schema->format).width;
  return (PyObject*)self;
}

static void column_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  holder_drop(column(self)->holder);
  PyObject_Free(self);
  Py_DECREF(type);
}

static int64_t null_count(ColumnObject* self) {
  struct ArrowArray* array = &self->array;
  const Layout layout = layout_of(self->schema->format).layout;
  if (layout == kLayoutSparseUnion || layout == kLayoutDenseUnion) return 0; /* it has no bitmap */
  if (array->null_count < 0) {
    int64_t nulls = 0;
    for (int64_t i = 0; i < array->length; i++) nulls += value_is_null(array, i);
    array->null_count = nulls;
  }
  return array->null_count;
}

/* ---- The buffer protocol: plain numbers without nulls ------------------------------------ */

static int column_getbuffer(PyObject* object, Py_buffer* view, int flags) {
  ColumnObject* self = column(object);
  view->obj = NULL;
  if (self->letter[0] == 0 || null_count(self) > 0) {
    PyErr_Format(PyExc_BufferError,
                 self->letter[0] == 0
                     ? "a column of Arrow type \"%s\" is no run of plain numbers: use to_pylist()"
                     : "a column of type \"%s\" with nulls has no buffer: use numpy.asarray(), "
                       "which makes them NaN, or to_pylist()",
                 self->schema->format);
    return -1;
  }
  if (flags & PyBUF_WRITABLE) {
    PyErr_SetString(PyExc_BufferError, "a column is read-only");
    return -1;
  }
  static const int64_t empty;
  const char* values = self->array.buffers[1];
  view->buf =
      values != NULL ? (void*)(values + self->array.offset * self->strides[0]) : (void*)&empty;
  Py_INCREF(object);
  view->obj = object;
  view->len = self->shape[0] * self->strides[0];
  view->itemsize = self->strides[0];
  view->readonly = 1;
  view->ndim = 1;
  view->format = flags & PyBUF_FORMAT ? self->letter : NULL;
  view->shape = flags & PyBUF_ND ? self->shape : NULL;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->strides : NULL;
  view->suboffsets = NULL;
  view->internal = NULL;
  return 0;
}

/* ---- Python values ------------------------------------------------------------------------- */

static Py_ssize_t column_length(PyObject* self) { return column(self)->shape[0]; }

static PyObject* column_item(PyObject* object, Py_ssize_t i) {
  ColumnObject* self = column(object);
  if (i < 0 || i >= self->shape[0]) {
    return PyErr_Format(PyExc_IndexError, "value %zd of a column of %zd", i, self->shape[0]);
  }
  return decode_value(self->schema, &self->array, i);
}

static PyObject* column_to_pylist(PyObject* self, PyObject* unused) {
  (void)unused;
  return decode_column(column(self)->schema, &column(self)->array);
}

static PyObject* column_null_count(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromLongLong(null_count(column(self)));
}

static PyObject* column_name(PyObject* self, void* unused) {
  (void)unused;
  const char* name = column(self)->schema->name;
  return PyUnicode_FromString(name != NULL ? name : "");
}

static PyObject* column_dictionary(PyObject* object, void* unused) {
  (void)unused;
  ColumnObject* self = column(object);
  if (self->schema->dictionary == NULL) Py_RETURN_NONE;
  return column_of(self->holder, self->schema->dictionary, self->array.dictionary);
}

static PyObject* column_format(PyObject* self, void* unused) {
  (void)unused;
  return PyUnicode_FromString(column(self)->schema->format);
}

static PyObject* column_repr(PyObject* object) {
  ColumnObject* self = column(object);
  return PyUnicode_FromFormat("<dcf.Column \"%s\" of %zd values of Arrow type \"%s\">",
                              self->schema->name != NULL ? self->schema->name : "", self->shape[0],
                              self->schema->format);
}

/* ---- Arrow ------------------------------------------------------------------------------------
 */

static PyObject* column_c_schema(PyObject* self, PyObject* unused) {
  (void)unused;
  return schema_capsule(column(self)->holder, column(self)->schema);
}

static PyObject* column_c_array(PyObject* object, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"requested_schema", NULL};
  PyObject* requested = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:__arrow_c_array__", names, &requested)) {
    return NULL;
  }
  ColumnObject* self = column(object);
  return array_capsules(self->holder, self->schema, &self->array);
}

/* retype(column, format): the same memory under another Arrow type of the same width, by which
 * dates and times, which Python and numpy know as integers, get their type. */
PyObject* column_retype(PyObject* module, PyObject* args) {
  (void)module;
  PyObject* object;
  const char* format;
  struct ArrowSchema schema;
  struct ArrowArray array;
  if (!PyArg_ParseTuple(args, "O!s:retype", module_state.column_type, &object, &format)) {
    return NULL;
  }
  ColumnObject* self = column(object);
  const LayoutInfo from = layout_of(self->schema->format), to = layout_of(format);
  if (from.layout != to.layout || from.width != to.width || self->schema->dictionary != NULL) {
    return PyErr_Format(PyExc_TypeError, "a column of type \"%s\" cannot pass for \"%s\"",
                        self->schema->format, format);
  }
  const char* name = self->schema->name != NULL ? self->schema->name : "";
  if (new_schema(format, name, 0, &schema) < 0) return NULL;
  if (holder_export_array(self->holder, &self->array, &array) < 0) {
    release_schema(&schema);
    return PyErr_NoMemory();
  }
  Holder* holder = holder_take(&schema, &array);
  if (holder == NULL) return NULL;
  PyObject* typed = column_of(holder, &holder->schema, &holder->array);
  holder_drop(holder);
  return typed;
}

PyDoc_STRVAR(column_doc,
             "One column of a Batch; Batch.column gives it.\n"
             "\n"
             "A sequence of Python values. Columns of plain numbers without nulls have the buffer\n"
             "protocol, so that memoryview() and numpy.asarray() read them in place.\n"
             "\n"
             ">>> column = dcf.Batch({'x': [1.5, None]})['x']\n"
             ">>> column[0], column.null_count, column.format\n"
             "(1.5, 1, 'g')\n");
PyDoc_STRVAR(to_pylist_doc, "to_pylist()\n--\n\nThe values as a list.\n");
PyDoc_STRVAR(c_schema_doc, "__arrow_c_schema__()\n--\n\nThe type, for Arrow libraries.\n");
PyDoc_STRVAR(c_array_doc,
             "__arrow_c_array__(requested_schema=None)\n--\n\n"
             "The values without a copy, for Arrow libraries.\n");
PyDoc_STRVAR(dictionary_doc,
             "The values of a dictionary column, whose format is that of its indices; else None.");
PyDoc_STRVAR(array_doc,
             "__array__(dtype=None, copy=None)\n--\n\n"
             "For numpy. Nulls in a column of numbers become NaN.\n");

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef column_methods[] = {
    {"to_pylist", column_to_pylist, METH_NOARGS, to_pylist_doc},
    {"__arrow_c_schema__", column_c_schema, METH_NOARGS, c_schema_doc},
    {"__arrow_c_array__", KEYWORDS(column_c_array), METH_VARARGS | METH_KEYWORDS, c_array_doc},
    {"__array__", KEYWORDS(numpy_array), METH_VARARGS | METH_KEYWORDS, array_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef column_members[] = {
    {"name", column_name, NULL, "The column's name.", NULL},
    {"format", column_format, NULL, "The type as a format string of Arrow's C interface.", NULL},
    {"dictionary", column_dictionary, NULL, dictionary_doc, NULL},
    {"null_count", column_null_count, NULL, "How many values are null.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot column_slots[] = {
    {Py_tp_doc, (void*)column_doc},
    {Py_tp_dealloc, column_dealloc},
    {Py_tp_repr, column_repr},
    {Py_tp_methods, column_methods},
    {Py_tp_getset, column_members},
    {Py_sq_length, column_length},
    {Py_sq_item, column_item},
    {Py_bf_getbuffer, column_getbuffer},
    {0, NULL},
};

static PyType_Spec column_spec = {
    .name = "dcf.Column",
    .basicsize = sizeof(ColumnObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = column_slots,
};

int add_column_type(PyObject* module) {
  module_state.column_type = (PyTypeObject*)PyType_FromSpec(&column_spec);
  if (module_state.column_type == NULL) return -1;
  return PyModule_AddType(module, module_state.column_type);
}
