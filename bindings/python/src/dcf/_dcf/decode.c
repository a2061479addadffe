/* Arrow values as Python values. Types that Python has no literal for (dates, decimals, ...) go
 * through a hook of the Python half. */
#include <stdlib.h>

#include "dcf_python.h"

static PyObject* decode(const struct ArrowSchema* schema, const struct ArrowArray* array, int64_t i,
                        int depth);

static int64_t signed_at(const void* values, int64_t width, int64_t i) {
  switch (width) {
    case 1:
      return ((const int8_t*)values)[i];
    case 2:
      return ((const int16_t*)values)[i];
    case 4:
      return ((const int32_t*)values)[i];
    default:
      return ((const int64_t*)values)[i];
  }
}

/* Any integer that is no more than an int64: indices, offsets, run ends. */
static int64_t integer_at(const char* format, const void* values, int64_t i) {
  switch (format[0]) {
    case 'C':
      return ((const uint8_t*)values)[i];
    case 'S':
      return ((const uint16_t*)values)[i];
    case 'I':
      return ((const uint32_t*)values)[i];
    default:
      return signed_at(values, layout_of(format).width, i);
  }
}

static PyObject* decode_number(const char* format, const void* values, int64_t i) {
  switch (format[0]) {
    case 'C':
      return PyLong_FromUnsignedLong(((const uint8_t*)values)[i]);
    case 'S':
      return PyLong_FromUnsignedLong(((const uint16_t*)values)[i]);
    case 'I':
      return PyLong_FromUnsignedLong(((const uint32_t*)values)[i]);
    case 'L':
      return PyLong_FromUnsignedLongLong(((const uint64_t*)values)[i]);
    case 'f':
      return PyFloat_FromDouble((double)((const float*)values)[i]);
    case 'g':
      return PyFloat_FromDouble(((const double*)values)[i]);
    default:
      return PyLong_FromLongLong(signed_at(values, layout_of(format).width, i));
  }
}

/* Dates, times, decimals, half floats and fixed-size binary, by way of their bytes. */
static PyObject* decode_rare(const char* format, const char* value, int64_t width) {
  if (format[0] == 'w') return PyBytes_FromStringAndSize(value, width);
  PyObject* raw = (width == 4 || width == 8) && format[0] == 't' && format[1] != 'i'
                      ? PyLong_FromLongLong(signed_at(value, width, 0))
                      : PyBytes_FromStringAndSize(value, width);
  if (raw == NULL) return NULL;
  PyObject* result = PyObject_CallFunction(module_state.to_python, "sO", format, raw);
  Py_DECREF(raw);
  return result;
}

static PyObject* text_or_bytes(bool text, const char* data, int64_t size) {
  return text ? PyUnicode_DecodeUTF8(data, (Py_ssize_t)size, "strict")
              : PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
}

static PyObject* decode_view(const char* format, const struct ArrowArray* array, int64_t i) {
  const char* view = (const char*)array->buffers[1] + 16 * i;
  int32_t size, buffer, offset;
  memcpy(&size, view, sizeof size);
  const char* data = view + 4; /* up to 12 bytes lie in the view itself */
  if (size > 12) {
    memcpy(&buffer, view + 8, sizeof buffer);
    memcpy(&offset, view + 12, sizeof offset);
    data = (const char*)array->buffers[2 + buffer] + offset;
  }
  return text_or_bytes(format[1] == 'u', data, size);
}

static PyObject* decode_list(const struct ArrowSchema* schema, const struct ArrowArray* array,
                             int64_t from, int64_t to, int depth) {
  PyObject* list = PyList_New((Py_ssize_t)(to - from));
  for (int64_t i = from; list != NULL && i < to; i++) {
    PyObject* value = decode(schema->children[0], array->children[0], i, depth + 1);
    if (value == NULL || PyList_SetItem(list, (Py_ssize_t)(i - from), value) < 0) Py_CLEAR(list);
  }
  return list;
}

static PyObject* decode_struct(const struct ArrowSchema* schema, const struct ArrowArray* array,
                               int64_t i, int depth) {
  PyObject* dict = PyDict_New();
  for (int64_t c = 0; dict != NULL && c < schema->n_children; c++) {
    const char* name = schema->children[c]->name;
    PyObject* value = decode(schema->children[c], array->children[c], i, depth + 1);
    if (value == NULL || PyDict_SetItemString(dict, name != NULL ? name : "", value) < 0) {
      Py_CLEAR(dict);
    }
    Py_XDECREF(value);
  }
  return dict;
}

/* A pair of key and value for each entry, as every Arrow library of Python has it: keys may come
 * twice. */
static PyObject* decode_map(const struct ArrowSchema* schema, const struct ArrowArray* array,
                            int64_t at, int depth) {
  const int32_t* offsets = array->buffers[1];
  const struct ArrowSchema* pair = schema->children[0];
  const struct ArrowArray* entries = array->children[0];
  PyObject* list = PyList_New(offsets[at + 1] - offsets[at]);
  for (int32_t i = offsets[at]; list != NULL && i < offsets[at + 1]; i++) {
    const int64_t entry = i + entries->offset;
    PyObject* key = decode(pair->children[0], entries->children[0], entry, depth + 1);
    PyObject* value =
        key != NULL ? decode(pair->children[1], entries->children[1], entry, depth + 1) : NULL;
    PyObject* both = value != NULL ? PyTuple_Pack(2, key, value) : NULL;
    Py_XDECREF(key);
    Py_XDECREF(value);
    if (both == NULL || PyList_SetItem(list, i - offsets[at], both) < 0) Py_CLEAR(list);
  }
  return list;
}

static PyObject* decode_union(const struct ArrowSchema* schema, const struct ArrowArray* array,
                              int64_t i, bool dense, int depth) {
  const long id = ((const int8_t*)array->buffers[0])[i];
  const char* codes = schema->format + 4; /* "+ud:0,1": the id of each child, in order */
  for (int64_t child = 0; child < schema->n_children && *codes != 0; child++) {
    char* end;
    if (strtol(codes, &end, 10) == id) {
      if (dense) i = ((const int32_t*)array->buffers[1])[i];
      return decode(schema->children[child], array->children[child], i, depth + 1);
    }
    codes = *end == ',' ? end + 1 : end;
  }
  return PyErr_Format(PyExc_ValueError, "a union of Arrow type \"%s\" has a value with the id %ld",
                      schema->format, id);
}

/* The first run that ends after i, by bisection. */
static PyObject* decode_run(const struct ArrowSchema* schema, const struct ArrowArray* array,
                            int64_t i, int depth) {
  const struct ArrowArray* ends = array->children[0];
  int64_t low = 0, high = ends->length;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (integer_at(schema->children[0]->format, ends->buffers[1], ends->offset + middle) <= i) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return decode(schema->children[1], array->children[1], low, depth + 1);
}

/* `i` counts from the array's own offset. */
static PyObject* decode(const struct ArrowSchema* schema, const struct ArrowArray* array, int64_t i,
                        int depth) {
  const char* format = schema->format;
  if (depth > kMaxNesting) {
    return PyErr_Format(PyExc_ValueError, "an Arrow type may be nested at most %d deep",
                        kMaxNesting);
  }
  const LayoutInfo info = layout_of(format);
  const int64_t at = i + array->offset;
  if (info.layout == kLayoutSparseUnion || info.layout == kLayoutDenseUnion) {
    return decode_union(schema, array, at, info.layout == kLayoutDenseUnion, depth);
  }
  if (value_is_null(array, i)) Py_RETURN_NONE;
  if (schema->dictionary != NULL) {
    return decode(schema->dictionary, array->dictionary, integer_at(format, array->buffers[1], at),
                  depth + 1);
  }
  switch (info.layout) {
    case kLayoutNull:
      Py_RETURN_NONE;
    case kLayoutBool:
      return PyBool_FromLong(bit_at(array->buffers[1], at));
    case kLayoutFixed:
      if (number_letter(format) != 0 && format[0] != 'e') {
        return decode_number(format, array->buffers[1], at);
      }
      return decode_rare(format, (const char*)array->buffers[1] + at * info.width, info.width);
    case kLayoutBinary: {
      const int32_t* offsets = array->buffers[1];
      return text_or_bytes(format[0] == 'u', (const char*)array->buffers[2] + offsets[at],
                           offsets[at + 1] - offsets[at]);
    }
    case kLayoutLargeBinary: {
      const int64_t* offsets = array->buffers[1];
      return text_or_bytes(format[0] == 'U', (const char*)array->buffers[2] + offsets[at],
                           offsets[at + 1] - offsets[at]);
    }
    case kLayoutView:
      return decode_view(format, array, at);
    case kLayoutRunEnd:
      return decode_run(schema, array, at, depth);
    case kLayoutListView: {
      const int32_t *offsets = array->buffers[1], *sizes = array->buffers[2];
      return decode_list(schema, array, offsets[at], offsets[at] + sizes[at], depth);
    }
    case kLayoutLargeListView: {
      const int64_t *offsets = array->buffers[1], *sizes = array->buffers[2];
      return decode_list(schema, array, offsets[at], offsets[at] + sizes[at], depth);
    }
    case kLayoutList: {
      if (format[1] == 'm') return decode_map(schema, array, at, depth);
      const int32_t* offsets = array->buffers[1];
      return decode_list(schema, array, offsets[at], offsets[at + 1], depth);
    }
    case kLayoutLargeList: {
      const int64_t* offsets = array->buffers[1];
      return decode_list(schema, array, offsets[at], offsets[at + 1], depth);
    }
    case kLayoutFixedList:
      return decode_list(schema, array, at * info.width, (at + 1) * info.width, depth);
    case kLayoutStruct:
      return decode_struct(schema, array, at, depth);
    default:
      return PyErr_Format(PyExc_TypeError,
                          "values of Arrow type \"%s\" have no Python form here: pass the batch "
                          "to pyarrow.table() and use its to_pylist()",
                          format);
  }
}

PyObject* decode_value(const struct ArrowSchema* schema, const struct ArrowArray* array,
                       int64_t i) {
  return decode(schema, array, i, 0);
}

PyObject* decode_column(const struct ArrowSchema* schema, const struct ArrowArray* array) {
  PyObject* list = PyList_New((Py_ssize_t)array->length);
  for (int64_t i = 0; list != NULL && i < array->length; i++) {
    PyObject* value = decode(schema, array, i, 0);
    if (value == NULL || PyList_SetItem(list, (Py_ssize_t)i, value) < 0) Py_CLEAR(list);
  }
  return list;
}

bool is_scalar(const struct ArrowSchema* schema, const struct ArrowArray* array) {
  return array->length == 1 && schema->n_children == 1 && schema->format[0] == '+' &&
         (schema->children[0]->name == NULL || schema->children[0]->name[0] == 0);
}

PyObject* decode_scalar(const struct ArrowSchema* schema, const struct ArrowArray* array) {
  return decode(schema->children[0], array->children[0], array->offset, 0);
}

PyObject* decode_row(const struct ArrowSchema* schema, const struct ArrowArray* array) {
  return decode_struct(schema, array, array->offset, 0);
}
