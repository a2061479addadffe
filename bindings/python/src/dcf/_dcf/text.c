/* Small arguments: text, bytes, numbers and timeouts. */
#include <math.h>

#include "dcf_python.h"

int text_bytes(PyObject* object, const char* what, dcf_bytes* out) {
  Py_ssize_t size;
  if (PyUnicode_Check(object)) {
    const char* text = PyUnicode_AsUTF8AndSize(object, &size);
    if (text == NULL) return -1;
    out->data = text;
    out->size = (size_t)size;
    return 0;
  }
  if (PyBytes_Check(object)) {
    char* bytes;
    if (PyBytes_AsStringAndSize(object, &bytes, &size) < 0) return -1;
    out->data = bytes;
    out->size = (size_t)size;
    return 0;
  }
  PyErr_Format(PyExc_TypeError, "%s is str or bytes, not %R", what, (PyObject*)Py_TYPE(object));
  return -1;
}

int optional_text(PyObject* object, const char* what, dcf_bytes* out) {
  out->data = NULL;
  out->size = 0;
  if (object == NULL || object == Py_None) return 0;
  return text_bytes(object, what, out);
}

int unsigned_of(PyObject* object, const char* what, uint64_t* out) {
  if (!PyLong_Check(object)) {
    PyErr_Format(PyExc_TypeError, "%s is int, not %R", what, (PyObject*)Py_TYPE(object));
    return -1;
  }
  *out = PyLong_AsUnsignedLongLong(object);
  if (!PyErr_Occurred()) return 0;
  PyErr_Format(PyExc_OverflowError, "%s is %R, which is no number from 0 to 2**64 - 1", what,
               object);
  return -1;
}

int timeout_ns(PyObject* seconds, int64_t* out) {
  if (seconds == NULL || seconds == Py_None) {
    *out = 0;
    return 0;
  }
  double value = PyFloat_AsDouble(seconds);
  if (value == -1.0 && PyErr_Occurred()) return -1;
  if (isnan(value)) {
    PyErr_SetString(PyExc_ValueError, "timeout is a number of seconds, not NaN");
    return -1;
  }
  if (value <= 0) {
    *out = -1; /* 0 s: do not wait, which libdcf spells as a negative number */
  } else if (value >= 9e9) {
    *out = INT64_MAX;
  } else {
    *out = (int64_t)(value * 1e9);
    if (*out == 0) *out = 1;
  }
  return 0;
}
