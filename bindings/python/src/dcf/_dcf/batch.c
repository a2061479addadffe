/* Batch: some rows of named columns, owned by Python and shared with whoever asks for them. */
#include "dcf_python.h"

typedef struct {
  PyObject_HEAD Holder* holder;
} BatchObject;

PyObject* batch_of(Holder* holder) {
  BatchObject* self = PyObject_New(BatchObject, module_state.batch_type);
  if (self == NULL) {
    holder_drop(holder);
    return NULL;
  }
  self->holder = holder;
  return (PyObject*)self;
}

PyObject* batch_take(struct ArrowSchema* schema, struct ArrowArray* array) {
  Holder* holder = holder_take(schema, array);
  return holder != NULL ? batch_of(holder) : NULL;
}

Holder* batch_holder(PyObject* batch) { return ((BatchObject*)batch)->holder; }

static void batch_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  holder_drop(((BatchObject*)self)->holder);
  PyObject_Free(self);
  Py_DECREF(type);
}

/* ---- Making them --------------------------------------------------------------------- */

static PyObject* take_or_none(PyObject* value) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  if (value == Py_None) {
    return PyErr_Format(PyExc_TypeError, "None is no batch: give a table or a dict of columns");
  }
  return take_batch(value, &schema, &array) == 0 ? batch_take(&schema, &array) : NULL;
}

static PyObject* batch_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"data", NULL};
  PyObject* value;
  (void)type;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Batch", names, &value)) return NULL;
  if (Py_TYPE(value) == module_state.batch_type) {
    Py_INCREF(value);
    return value;
  }
  return take_or_none(value);
}

static PyObject* from_mapping(PyObject* dict, bool row) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  if (!PyMapping_Check(dict) || PySequence_Check(dict)) {
    return PyErr_Format(PyExc_TypeError, "a dict of %s is wanted, not %R",
                        row ? "names and values" : "names and columns", (PyObject*)Py_TYPE(dict));
  }
  return build_batch(dict, row, &schema, &array) == 0 ? batch_take(&schema, &array) : NULL;
}

static PyObject* batch_from_dict(PyObject* type, PyObject* dict) {
  (void)type;
  return from_mapping(dict, false);
}

static PyObject* batch_from_row(PyObject* type, PyObject* dict) {
  (void)type;
  return from_mapping(dict, true);
}

/* ---- Arrow ------------------------------------------------------------------------------ */

static PyObject* batch_c_schema(PyObject* self, PyObject* unused) {
  (void)unused;
  Holder* holder = batch_holder(self);
  return schema_capsule(holder, &holder->schema);
}

/* The requested schema is a wish that a producer may leave unfulfilled; this one always does. */
static PyObject* batch_c_array(PyObject* self, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"requested_schema", NULL};
  PyObject* requested = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:__arrow_c_array__", names, &requested)) {
    return NULL;
  }
  Holder* holder = batch_holder(self);
  return array_capsules(holder, &holder->schema, &holder->array);
}

static PyObject* batch_c_stream(PyObject* self, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"requested_schema", NULL};
  PyObject* requested = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:__arrow_c_stream__", names, &requested)) {
    return NULL;
  }
  struct ArrowArrayStream stream;
  if (holder_export_stream(batch_holder(self), &stream) < 0) return PyErr_NoMemory();
  return stream_capsule(&stream);
}

/* ---- Columns ------------------------------------------------------------------------------ */

static PyObject* name_of(const struct ArrowSchema* schema) {
  return PyUnicode_FromString(schema->name != NULL ? schema->name : "");
}

static PyObject* batch_column_names(PyObject* self, void* unused) {
  (void)unused;
  const struct ArrowSchema* schema = &batch_holder(self)->schema;
  PyObject* names = PyList_New((Py_ssize_t)schema->n_children);
  for (int64_t i = 0; names != NULL && i < schema->n_children; i++) {
    PyObject* name = name_of(schema->children[i]);
    if (name == NULL || PyList_SetItem(names, (Py_ssize_t)i, name) < 0) Py_CLEAR(names);
  }
  return names;
}

/* Columns as slices of the batch: a batch that starts in the middle of its columns passes its
 * offset on to them. */
static PyObject* column_at(Holder* holder, int64_t i) {
  const struct ArrowArray* array = &holder->array;
  struct ArrowArray column = *array->children[i];
  column.offset += array->offset;
  if (column.length != array->length && column.null_count > 0) column.null_count = -1;
  column.length = array->length;
  return column_of(holder, holder->schema.children[i], &column);
}

static PyObject* batch_column(PyObject* self, PyObject* key) {
  Holder* holder = batch_holder(self);
  const int64_t count = holder->schema.n_children;
  if (PyLong_Check(key)) {
    long long i = PyLong_AsLongLong(key);
    if (i == -1 && PyErr_Occurred()) return NULL;
    if (i < 0) i += count;
    if (i >= 0 && i < count) return column_at(holder, i);
    return PyErr_Format(PyExc_IndexError, "column %R of a batch of %lld columns", key,
                        (long long)count);
  }
  if (!PyUnicode_Check(key)) {
    return PyErr_Format(PyExc_TypeError, "a column is found by name or number, not by %R", key);
  }
  for (int64_t i = 0; i < count; i++) {
    const char* name = holder->schema.children[i]->name;
    if (PyUnicode_CompareWithASCIIString(key, name != NULL ? name : "") == 0) {
      return column_at(holder, i);
    }
    /* Names beyond ASCII are compared as text. */
    PyObject* text = name_of(holder->schema.children[i]);
    if (text == NULL) return NULL;
    int equal = PyObject_RichCompareBool(text, key, Py_EQ);
    Py_DECREF(text);
    if (equal < 0) return NULL;
    if (equal) return column_at(holder, i);
  }
  PyObject* names = batch_column_names(self, NULL);
  if (names != NULL) PyErr_Format(PyExc_KeyError, "no column %R; there are %R", key, names);
  Py_XDECREF(names);
  return NULL;
}

static PyObject* batch_num_rows(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromLongLong(batch_holder(self)->array.length);
}

static PyObject* batch_num_columns(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromLongLong(batch_holder(self)->schema.n_children);
}

static Py_ssize_t batch_length(PyObject* self) {
  return (Py_ssize_t)batch_holder(self)->array.length;
}

/* ---- Python values ----------------------------------------------------------------------------
 */

/* A dict has one value a name: with two columns of one name it would lose one without a word. */
static int refuse_same_names(PyObject* self) {
  PyObject* names = batch_column_names(self, NULL);
  PyObject* distinct = names != NULL ? PySet_New(names) : NULL;
  int result = -1;
  if (distinct != NULL) {
    result = PySet_Size(distinct) == PyList_Size(names) ? 0 : -1;
    if (result < 0) {
      PyErr_Format(PyExc_ValueError,
                   "columns of the same name do not fit into a dict: take them "
                   "by number, of %R",
                   names);
    }
  }
  Py_XDECREF(distinct);
  Py_XDECREF(names);
  return result;
}

static PyObject* batch_to_pydict(PyObject* self, PyObject* unused) {
  (void)unused;
  Holder* holder = batch_holder(self);
  if (refuse_same_names(self) < 0) return NULL;
  PyObject* dict = PyDict_New();
  for (int64_t i = 0; dict != NULL && i < holder->schema.n_children; i++) {
    PyObject* name = name_of(holder->schema.children[i]);
    PyObject* column = column_at(holder, i);
    PyObject* values = column != NULL ? PyObject_CallMethod(column, "to_pylist", NULL) : NULL;
    if (name == NULL || values == NULL || PyDict_SetItem(dict, name, values) < 0) Py_CLEAR(dict);
    Py_XDECREF(name);
    Py_XDECREF(column);
    Py_XDECREF(values);
  }
  return dict;
}

static PyObject* batch_to_pylist(PyObject* self, PyObject* unused) {
  (void)unused;
  if (refuse_same_names(self) < 0) return NULL;
  Holder* holder = batch_holder(self);
  return decode_column(&holder->schema, &holder->array);
}

static PyObject* batch_scalar(PyObject* self, PyObject* unused) {
  (void)unused;
  Holder* holder = batch_holder(self);
  if (holder->array.length != 1 || holder->schema.n_children != 1) {
    return PyErr_Format(PyExc_ValueError, "scalar() of a batch of %lld rows and %lld columns",
                        (long long)holder->array.length, (long long)holder->schema.n_children);
  }
  return decode_scalar(&holder->schema, &holder->array);
}

static PyObject* batch_repr(PyObject* self) {
  Holder* holder = batch_holder(self);
  PyObject* names = batch_column_names(self, NULL);
  if (names == NULL) return NULL;
  PyObject* repr =
      PyUnicode_FromFormat("<dcf.Batch of %lld rows: %R>", (long long)holder->array.length, names);
  Py_DECREF(names);
  return repr;
}

PyObject* numpy_array(PyObject* self, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"dtype", "copy", NULL};
  PyObject *dtype = Py_None, *copy = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:__array__", names, &dtype, &copy)) {
    return NULL;
  }
  return PyObject_CallFunctionObjArgs(module_state.to_numpy, self, dtype, copy, NULL);
}

PyDoc_STRVAR(from_dict_doc,
             "from_dict(columns)\n--\n\n"
             "A batch of named columns: lists, arrays of numpy, or columns of any Arrow library.\n"
             "\n"
             "Contiguous arrays of numbers are shared, not copied: do not write to them later.\n"
             "\n"
             ">>> dcf.Batch.from_dict({'city': ['Oslo', 'Rome'], 'degrees': [4.5, None]})\n"
             "<dcf.Batch of 2 rows: ['city', 'degrees']>\n");
PyDoc_STRVAR(from_row_doc,
             "from_row(values)\n--\n\n"
             "A batch of one row, as the arguments of a call are: a list becomes one value.\n"
             "\n"
             ">>> dcf.Batch.from_row({'limit': 3, 'names': ['a', 'b']}).to_pylist()\n"
             "[{'limit': 3, 'names': ['a', 'b']}]\n");
PyDoc_STRVAR(column_doc,
             "column(key)\n--\n\n"
             "The column of that name or number.\n"
             "\n"
             ">>> batch = dcf.Batch.from_dict({'x': [1, 2, 3]})\n"
             ">>> sum(batch.column('x')), memoryview(batch['x']).tolist()\n"
             "(6, [1, 2, 3])\n");
PyDoc_STRVAR(to_pydict_doc, "to_pydict()\n--\n\nThe columns as lists of Python values, by name.\n");
PyDoc_STRVAR(to_pylist_doc, "to_pylist()\n--\n\nThe rows as dicts of Python values.\n");
PyDoc_STRVAR(scalar_doc,
             "scalar()\n--\n\n"
             "The only value of a batch of one row and one column; otherwise ValueError.\n"
             "\n"
             ">>> dcf.Batch(2.5).scalar()\n"
             "2.5\n");
PyDoc_STRVAR(c_schema_doc, "__arrow_c_schema__()\n--\n\nThe schema, for Arrow libraries.\n");
PyDoc_STRVAR(c_array_doc,
             "__arrow_c_array__(requested_schema=None)\n--\n\n"
             "The rows without a copy, for Arrow libraries.\n");
PyDoc_STRVAR(c_stream_doc,
             "__arrow_c_stream__(requested_schema=None)\n--\n\n"
             "The rows as a stream of one batch, without a copy, for Arrow libraries.\n");
PyDoc_STRVAR(array_doc,
             "__array__(dtype=None, copy=None)\n--\n\n"
             "For numpy: one column gives one dimension, several give rows and columns.\n");
PyDoc_STRVAR(batch_doc,
             "Batch(data)\n--\n\n"
             "Some rows of named columns in Arrow's layout. It is immutable and thread-safe.\n"
             "\n"
             "`data` is a table of any library with the Arrow PyCapsule interface, a dict of\n"
             "columns, or one number or text, which makes one row of one column without a name.\n"
             "The same interface leads out again: pass a batch to ``pyarrow.table``,\n"
             "``polars.DataFrame``, ``nanoarrow.Array`` or duckdb. Nothing is copied.\n"
             "\n"
             ">>> batch = dcf.Batch({'x': [1, 2, 3], 'y': ['a', 'b', 'c']})\n"
             ">>> len(batch), batch.column_names\n"
             "(3, ['x', 'y'])\n"
             ">>> batch.to_pydict()\n"
             "{'x': [1, 2, 3], 'y': ['a', 'b', 'c']}\n");

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef batch_methods[] = {
    {"from_dict", batch_from_dict, METH_O | METH_CLASS, from_dict_doc},
    {"from_row", batch_from_row, METH_O | METH_CLASS, from_row_doc},
    {"column", batch_column, METH_O, column_doc},
    {"to_pydict", batch_to_pydict, METH_NOARGS, to_pydict_doc},
    {"to_pylist", batch_to_pylist, METH_NOARGS, to_pylist_doc},
    {"scalar", batch_scalar, METH_NOARGS, scalar_doc},
    {"__arrow_c_schema__", batch_c_schema, METH_NOARGS, c_schema_doc},
    {"__arrow_c_array__", KEYWORDS(batch_c_array), METH_VARARGS | METH_KEYWORDS, c_array_doc},
    {"__arrow_c_stream__", KEYWORDS(batch_c_stream), METH_VARARGS | METH_KEYWORDS, c_stream_doc},
    {"__array__", KEYWORDS(numpy_array), METH_VARARGS | METH_KEYWORDS, array_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef batch_members[] = {
    {"column_names", batch_column_names, NULL, "The names of the columns, in order.", NULL},
    {"num_rows", batch_num_rows, NULL, "How many rows there are.", NULL},
    {"num_columns", batch_num_columns, NULL, "How many columns there are.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot batch_slots[] = {
    {Py_tp_doc, (void*)batch_doc}, {Py_tp_new, batch_new},          {Py_tp_dealloc, batch_dealloc},
    {Py_tp_repr, batch_repr},      {Py_tp_methods, batch_methods},  {Py_tp_getset, batch_members},
    {Py_mp_length, batch_length},  {Py_mp_subscript, batch_column}, {0, NULL},
};

static PyType_Spec batch_spec = {
    .name = "dcf.Batch",
    .basicsize = sizeof(BatchObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = batch_slots,
};

int add_batch_type(PyObject* module) {
  module_state.batch_type = (PyTypeObject*)PyType_FromSpec(&batch_spec);
  if (module_state.batch_type == NULL) return -1;
  return PyModule_AddType(module, module_state.batch_type);
}
