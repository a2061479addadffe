/* Whatever put, set, calls and functions accept as Arrow data. */
#include "dcf_python.h"

static int require_batch(PyObject* value, struct ArrowSchema* schema, struct ArrowArray* array) {
  if (strcmp(schema->format, "+s") == 0) return 0;
  PyErr_Format(PyExc_TypeError,
               "%R is one column of Arrow type \"%s\", not a table: give it a name, as in "
               "{\"name\": column}",
               (PyObject*)Py_TYPE(value), schema->format);
  release_schema(schema);
  release_array(array);
  return -1;
}

int take_batch(PyObject* value, struct ArrowSchema* schema, struct ArrowArray* array) {
  if (value == Py_None) return 1;
  if (Py_TYPE(value) == module_state.batch_type) {
    Holder* holder = batch_holder(value);
    if (holder_export_schema(holder, &holder->schema, schema) < 0) {
      PyErr_NoMemory();
      return -1;
    }
    if (holder_export_array(holder, &holder->array, array) < 0) {
      release_schema(schema);
      PyErr_NoMemory();
      return -1;
    }
    return 0;
  }
  if (is_plain(value)) return build_scalar(value, schema, array);
  if (PyDict_Check(value)) return build_batch(value, false, schema, array);
  int offer = capsule_offer(value);
  if (offer < 0) return -1;
  if (offer == 1) {
    if (capsule_array(value, schema, array) < 0) return -1;
    return require_batch(value, schema, array);
  }
  if (offer == 2) {
    struct ArrowArrayStream stream;
    if (capsule_stream(value, &stream) < 0) return -1;
    if (stream_collect(&stream, schema, array) < 0) return -1;
    return require_batch(value, schema, array);
  }
  /* numpy's scalars are neither int nor float, but know their Python value. */
  if (PyObject_HasAttrString(value, "dtype") && PyObject_HasAttrString(value, "item")) {
    PyObject* ndim = PyObject_GetAttrString(value, "ndim");
    long dimensions = ndim != NULL ? PyLong_AsLong(ndim) : -1;
    Py_XDECREF(ndim);
    PyErr_Clear();
    PyObject* item = dimensions == 0 ? PyObject_CallMethod(value, "item", NULL) : NULL;
    if (dimensions == 0 && item == NULL) return -1;
    if (item != NULL && is_plain(item)) {
      int result = build_scalar(item, schema, array);
      Py_DECREF(item);
      return result;
    }
    Py_XDECREF(item);
  }
  PyErr_Format(PyExc_TypeError,
               "%R is no Arrow data: give a number or text, a dict of columns, or a table of "
               "pyarrow, polars, pandas or any library with the Arrow PyCapsule interface",
               (PyObject*)Py_TYPE(value));
  return -1;
}
