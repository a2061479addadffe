/* Columns and batches out of Python values. */
#include <stdlib.h>

#include "dcf_python.h"

/* ---- The type of a list of values ------------------------------------------------------ */

typedef enum {
  kNone,
  kBool,
  kInt,
  kUnsigned,
  kFloat,
  kText,
  kBytes,
  kList,
  kDict,
  kOther,
} Kind;

static Kind kind_of(PyObject* value) {
  if (value == Py_None) return kNone;
  if (PyBool_Check(value)) return kBool;
  if (PyLong_Check(value)) return kInt;
  if (PyFloat_Check(value)) return kFloat;
  if (PyUnicode_Check(value)) return kText;
  if (PyBytes_Check(value)) return kBytes;
  if (PyList_Check(value) || PyTuple_Check(value)) return kList;
  if (PyDict_Check(value)) return kDict;
  return kOther;
}

static const char* const kKindNames[] = {"None", "bool",  "int",  "int",  "float",
                                         "str",  "bytes", "list", "dict", "other"};

/* The one kind that holds all values: ints widen to floats, everything else must agree. */
static int common_kind(PyObject* const* items, Py_ssize_t count, Kind* out, Py_ssize_t* nulls) {
  Kind kind = kNone;
  *nulls = 0;
  for (Py_ssize_t i = 0; i < count; i++) {
    const Kind next = kind_of(items[i]);
    if (next == kNone) {
      ++*nulls;
    } else if (next == kOther) {
      *out = kOther; /* one is enough: the Python half decides about all of them */
      return 0;
    } else if (kind == kNone || kind == next) {
      kind = next;
    } else if ((kind == kInt && next == kFloat) || (kind == kFloat && next == kInt)) {
      kind = kFloat;
    } else {
      PyErr_Format(PyExc_TypeError,
                   "a column holds values of one type: value %zd is %s, those before it are %s", i,
                   kKindNames[next], kKindNames[kind]);
      return -1;
    }
  }
  *out = kind;
  return 0;
}

/* Does an int64 hold them, or a uint64? */
static int fit_integers(PyObject* const* items, Py_ssize_t count, Kind* kind) {
  bool negative = false, large = false;
  for (Py_ssize_t i = 0; i < count; i++) {
    if (items[i] == Py_None) continue;
    int overflow;
    const long long value = PyLong_AsLongLongAndOverflow(items[i], &overflow);
    if (overflow == 0) {
      negative = negative || value < 0;
      continue;
    }
    PyLong_AsUnsignedLongLong(items[i]);
    if (PyErr_Occurred()) negative = true;
    PyErr_Clear();
    large = true;
  }
  if (large && negative) {
    PyErr_SetString(PyExc_OverflowError,
                    "the integers fit neither int64 nor uint64: give them as float or str");
    return -1;
  }
  if (large) *kind = kUnsigned;
  return 0;
}

/* ---- Columns of values ------------------------------------------------------------------ */

static int build_items(PyObject* const* items, Py_ssize_t count, int depth,
                       struct ArrowSchema* schema, struct ArrowArray* array);

static int start_column(const char* format, Py_ssize_t count, Py_ssize_t nulls, int64_t buffers,
                        int64_t children, struct ArrowSchema* schema, struct ArrowArray* array) {
  if (new_schema(format, "", children, schema) < 0) return -1;
  if (new_array(count, nulls, buffers, children, array) < 0) {
    release_schema(schema);
    return -1;
  }
  return 0;
}

static void* column_buffer(struct ArrowArray* array, int64_t index, size_t size) {
  void* memory = calloc(1, size > 0 ? size : 1);
  if (memory == NULL) PyErr_NoMemory();
  array->buffers[index] = memory;
  return memory;
}

static int write_validity(PyObject* const* items, struct ArrowArray* array) {
  if (array->null_count == 0) return 0;
  uint8_t* bits = column_buffer(array, 0, (size_t)(array->length + 7) / 8);
  if (bits == NULL) return -1;
  for (int64_t i = 0; i < array->length; i++) {
    if (items[i] != Py_None) bit_set(bits, i);
  }
  return 0;
}

static int write_fixed(PyObject* const* items, Kind kind, struct ArrowArray* array) {
  if (kind == kBool) {
    uint8_t* bits = column_buffer(array, 1, (size_t)(array->length + 7) / 8);
    for (int64_t i = 0; bits != NULL && i < array->length; i++) {
      if (items[i] == Py_True) bit_set(bits, i);
    }
    return bits != NULL ? 0 : -1;
  }
  int64_t* values = column_buffer(array, 1, (size_t)array->length * sizeof(int64_t));
  if (values == NULL) return -1;
  for (int64_t i = 0; i < array->length; i++) {
    if (items[i] == Py_None) continue;
    if (kind == kFloat) {
      ((double*)values)[i] = PyFloat_AsDouble(items[i]);
    } else if (kind == kInt) {
      values[i] = PyLong_AsLongLong(items[i]);
    } else {
      ((uint64_t*)values)[i] = PyLong_AsUnsignedLongLong(items[i]);
    }
  }
  return PyErr_Occurred() ? -1 : 0;
}

static int write_text(PyObject* const* items, struct ArrowArray* array) {
  int32_t* offsets = column_buffer(array, 1, ((size_t)array->length + 1) * sizeof(int32_t));
  if (offsets == NULL) return -1;
  int64_t end = 0;
  dcf_bytes text;
  for (int64_t i = 0; i < array->length; i++) {
    if (items[i] != Py_None) {
      if (text_bytes(items[i], "a value", &text) < 0) return -1;
      end += (int64_t)text.size;
    }
    if (end > INT32_MAX) {
      PyErr_SetString(PyExc_OverflowError,
                      "a list of 2 GiB of text or more: build the column with pyarrow or polars");
      return -1;
    }
    offsets[i + 1] = (int32_t)end;
  }
  char* data = column_buffer(array, 2, (size_t)end);
  if (data == NULL) return -1;
  for (int64_t i = 0; i < array->length; i++) {
    if (items[i] == Py_None) continue;
    if (text_bytes(items[i], "a value", &text) < 0) return -1;
    memcpy(data + offsets[i], text.data, text.size);
  }
  return 0;
}

/* The items of a list or tuple, borrowed. The caller frees the array. */
static PyObject** items_of(PyObject* sequence, Py_ssize_t* count) {
  const bool list = PyList_Check(sequence);
  *count = list ? PyList_Size(sequence) : PyTuple_Size(sequence);
  PyObject** items = malloc(((size_t)*count + 1) * sizeof *items);
  if (items == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  for (Py_ssize_t i = 0; i < *count; i++) {
    items[i] = list ? PyList_GetItem(sequence, i) : PyTuple_GetItem(sequence, i);
  }
  return items;
}

/* A column of lists: all their values are one child column. */
static int write_lists(PyObject* const* items, int depth, struct ArrowSchema* schema,
                       struct ArrowArray* array) {
  int32_t* offsets = column_buffer(array, 1, ((size_t)array->length + 1) * sizeof(int32_t));
  if (offsets == NULL) return -1;
  Py_ssize_t total = 0;
  for (int64_t i = 0; i < array->length; i++) {
    if (items[i] != Py_None) total += PySequence_Size(items[i]);
    if (total > INT32_MAX) {
      PyErr_SetString(PyExc_OverflowError, "lists of 2**31 values or more in one column");
      return -1;
    }
    offsets[i + 1] = (int32_t)total;
  }
  PyObject** values = malloc(((size_t)total + 1) * sizeof *values);
  if (values == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (int64_t i = 0; i < array->length; i++) {
    const bool list = items[i] != Py_None && PyList_Check(items[i]);
    for (int32_t j = offsets[i]; j < offsets[i + 1]; j++) {
      values[j] = list ? PyList_GetItem(items[i], j - offsets[i])
                       : PyTuple_GetItem(items[i], j - offsets[i]);
    }
  }
  int result = build_items(values, total, depth + 1, schema->children[0], array->children[0]);
  free(values);
  return result < 0 ? -1 : rename_schema(schema->children[0], "item");
}

/* The keys of all dicts, in order of first appearance, as the keys of a dict. */
static PyObject* keys_of(PyObject* const* items, Py_ssize_t count) {
  PyObject* keys = PyDict_New();
  for (Py_ssize_t i = 0; keys != NULL && i < count; i++) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (keys != NULL && items[i] != Py_None && PyDict_Next(items[i], &at, &key, &value)) {
      if (!PyUnicode_Check(key)) {
        PyErr_Format(PyExc_TypeError, "the name of a field is str, not %R", key);
        Py_CLEAR(keys);
      } else if (PyDict_SetItem(keys, key, Py_None) < 0) {
        Py_CLEAR(keys);
      }
    }
  }
  return keys;
}

/* A column of structs: a child for each key; a dict that lacks one has null there. */
static int build_structs(PyObject* const* items, Py_ssize_t count, Py_ssize_t nulls, int depth,
                         struct ArrowSchema* schema, struct ArrowArray* array) {
  PyObject* keys = keys_of(items, count);
  if (keys == NULL) return -1;
  PyObject** values = malloc(((size_t)count + 1) * sizeof *values);
  int result = -1;
  if (values == NULL) {
    PyErr_NoMemory();
  } else {
    result = start_column("+s", count, nulls, 1, PyDict_Size(keys), schema, array);
  }
  if (result == 0) {
    PyObject *key, *unused;
    Py_ssize_t at = 0;
    result = write_validity(items, array);
    for (int64_t c = 0; result == 0 && PyDict_Next(keys, &at, &key, &unused); c++) {
      for (Py_ssize_t i = 0; i < count; i++) {
        PyObject* value = items[i] != Py_None ? PyDict_GetItemWithError(items[i], key) : NULL;
        values[i] = value != NULL ? value : Py_None;
      }
      const char* name = PyUnicode_AsUTF8AndSize(key, NULL);
      result = name == NULL || PyErr_Occurred() ||
                       build_items(values, count, depth + 1, schema->children[c],
                                   array->children[c]) < 0 ||
                       rename_schema(schema->children[c], name) < 0
                   ? -1
                   : 0;
    }
    if (result < 0) {
      release_schema(schema);
      release_array(array);
    }
  }
  free(values);
  Py_DECREF(keys);
  return result;
}

static int build_items(PyObject* const* items, Py_ssize_t count, int depth,
                       struct ArrowSchema* schema, struct ArrowArray* array) {
  static const char* const formats[] = {"n", "b", "l", "L", "g", "u", "z", "+l"};
  Kind kind;
  Py_ssize_t nulls;
  if (depth > kMaxNesting) {
    PyErr_Format(PyExc_ValueError, "lists and dicts may be nested at most %d deep", kMaxNesting);
    return -1;
  }
  if (common_kind(items, count, &kind, &nulls) < 0) return -1;
  if (kind == kInt && fit_integers(items, count, &kind) < 0) return -1;
  if (kind == kOther) {
    PyObject* list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
      Py_INCREF(items[i]);
      PyList_SetItem(list, i, items[i]);
    }
    PyObject* column =
        list != NULL ? PyObject_CallFunctionObjArgs(module_state.from_python, list, NULL) : NULL;
    Py_XDECREF(list);
    int result = column != NULL ? build_column(column, schema, array) : -1;
    Py_XDECREF(column);
    return result;
  }
  if (kind == kDict) return build_structs(items, count, nulls, depth, schema, array);
  const int64_t buffers = kind == kNone ? 0 : kind == kText || kind == kBytes ? 3 : 2;
  if (start_column(formats[kind], count, nulls, buffers, kind == kList, schema, array) < 0) {
    return -1;
  }
  int result = kind == kNone ? 0 : write_validity(items, array);
  if (result == 0 && kind != kNone) {
    result = kind == kText || kind == kBytes ? write_text(items, array)
             : kind == kList                 ? write_lists(items, depth, schema, array)
                                             : write_fixed(items, kind, array);
  }
  if (result < 0) {
    release_schema(schema);
    release_array(array);
  }
  return result;
}

/* ---- Columns of memory -------------------------------------------------------------------- */

/* Arrow's format for a struct-module letter in native order, or NULL. */
static const char* format_of_letter(const char* format, Py_ssize_t itemsize) {
  static const char* const by_size[][4] = {
      {"c", "s", "i", "l"}, {"C", "S", "I", "L"}, {NULL, "e", "f", "g"}};
  if (format == NULL) format = "B";
  if (format[0] == '@' || format[0] == '=' || format[0] == '<') format++;
  if (format[0] == 0 || format[1] != 0) return NULL;
  int power = itemsize == 1 ? 0 : itemsize == 2 ? 1 : itemsize == 4 ? 2 : itemsize == 8 ? 3 : -1;
  if (power < 0) return NULL;
  if (strchr("bhilqn", format[0]) != NULL) return by_size[0][power];
  if (strchr("BHILQN", format[0]) != NULL) return by_size[1][power];
  if (strchr("efd", format[0]) != NULL) return by_size[2][power];
  return format[0] == '?' ? "b" : NULL;
}

static int build_bools(const Py_buffer* view, struct ArrowArray* array) {
  uint8_t* bits = column_buffer(array, 1, (size_t)(array->length + 7) / 8);
  if (bits == NULL) return -1;
  for (int64_t i = 0; i < array->length; i++) {
    if (((const uint8_t*)view->buf)[i]) bit_set(bits, i);
  }
  return 0;
}

/* Keeps the buffer exported for as long as the column lives: a memoryview does that. */
static int build_buffer(PyObject* values, struct ArrowSchema* schema, struct ArrowArray* array) {
  PyObject* memory = PyMemoryView_FromObject(values);
  if (memory == NULL) return -1;
  Py_buffer view;
  if (PyObject_GetBuffer(memory, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) {
    Py_DECREF(memory);
    return -1;
  }
  const char* format = format_of_letter(view.format, view.itemsize);
  int result = -1;
  if (format == NULL || view.ndim != 1) {
    PyErr_Format(PyExc_TypeError,
                 "a column is made of one dimension of numbers, not of %d of format \"%s\"",
                 view.ndim, view.format != NULL ? view.format : "B");
  } else if (start_column(format, view.shape[0], 0, 2, 0, schema, array) == 0) {
    if (format[0] == 'b') {
      result = build_bools(&view, array);
    } else {
      array->buffers[1] = view.buf;
      Py_INCREF(memory);
      result = array_owner(array, memory);
      if (result < 0) array->buffers[1] = NULL;
    }
    if (result < 0) {
      release_schema(schema);
      release_array(array);
    }
  }
  PyBuffer_Release(&view);
  Py_DECREF(memory);
  return result;
}

int build_column(PyObject* values, struct ArrowSchema* schema, struct ArrowArray* array) {
  if (PyList_Check(values) || PyTuple_Check(values)) {
    Py_ssize_t count;
    PyObject** items = items_of(values, &count);
    if (items == NULL) return -1;
    int result = build_items(items, count, 0, schema, array);
    free(items);
    return result;
  }
  int offer = capsule_offer(values);
  if (offer < 0) return -1;
  if (offer == 1) return capsule_array(values, schema, array);
  if (offer == 2) {
    struct ArrowArrayStream stream;
    if (capsule_stream(values, &stream) < 0) return -1;
    return stream_collect_column(&stream, schema, array);
  }
  if (PyObject_CheckBuffer(values) && !PyBytes_Check(values)) {
    if (build_buffer(values, schema, array) == 0) return 0;
    if (!PyErr_ExceptionMatches(PyExc_BufferError) && !PyErr_ExceptionMatches(PyExc_TypeError) &&
        !PyErr_ExceptionMatches(PyExc_ValueError)) {
      return -1;
    }
    PyErr_Clear(); /* strided, of dates or text: the Python half knows numpy's ways */
  }
  PyObject* column = PyObject_CallFunctionObjArgs(module_state.from_python, values, NULL);
  if (column == NULL) return -1;
  int result = build_column(column, schema, array);
  Py_DECREF(column);
  return result;
}

/* ---- Batches --------------------------------------------------------------------------------- */

static int build_member(PyObject* value, bool row, struct ArrowSchema* schema,
                        struct ArrowArray* array) {
  if (!row) return build_column(value, schema, array);
  PyObject* one = PyList_New(1);
  if (one == NULL) return -1;
  Py_INCREF(value);
  PyList_SetItem(one, 0, value);
  int result = build_column(one, schema, array);
  Py_DECREF(one);
  return result;
}

static int build_members(PyObject* items, bool row, struct ArrowSchema* schemas,
                         struct ArrowArray* arrays, struct ArrowSchema* schema,
                         struct ArrowArray* array) {
  const Py_ssize_t count = PyList_Size(items);
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject* pair = PyList_GetItem(items, i);
    PyObject* key = PyTuple_GetItem(pair, 0);
    if (!PyUnicode_Check(key)) {
      PyErr_Format(PyExc_TypeError, "the name of a column is str, not %R", key);
      return -1;
    }
    const char* name = PyUnicode_AsUTF8AndSize(key, NULL);
    if (name == NULL) return -1;
    if (build_member(PyTuple_GetItem(pair, 1), row, &schemas[i], &arrays[i]) < 0) return -1;
    if (rename_schema(&schemas[i], name) < 0) return -1;
    if (arrays[i].length != arrays[0].length) {
      PyErr_Format(PyExc_ValueError,
                   "the columns of a batch are of one length: %R has %lld values, those before "
                   "it have %lld",
                   key, (long long)arrays[i].length, (long long)arrays[0].length);
      return -1;
    }
  }
  const int64_t rows = count > 0 ? arrays[0].length : row;
  return wrap_columns(schemas, arrays, count, rows, schema, array);
}

int build_batch(PyObject* dict, bool row, struct ArrowSchema* schema, struct ArrowArray* array) {
  PyObject* items = PyMapping_Items(dict);
  if (items == NULL) return -1;
  const size_t count = (size_t)PyList_Size(items);
  struct ArrowSchema* schemas = calloc(count + 1, sizeof *schemas);
  struct ArrowArray* arrays = calloc(count + 1, sizeof *arrays);
  int result = -1;
  if (schemas == NULL || arrays == NULL) {
    PyErr_NoMemory();
  } else {
    result = build_members(items, row, schemas, arrays, schema, array);
    for (size_t i = 0; i < count; i++) {
      release_schema(&schemas[i]); /* those that were not moved into the batch */
      release_array(&arrays[i]);
    }
  }
  free(schemas);
  free(arrays);
  Py_DECREF(items);
  return result;
}
