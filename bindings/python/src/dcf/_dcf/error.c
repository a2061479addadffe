/* Statuses of libdcf as exceptions, and exceptions as objects to pass around. */
#include "dcf_python.h"

PyObject* status_exception(dcf_status status, const dcf_error* error, const dcf_bytes* detail) {
  const char* message = "";
  uint64_t node = 0;
  int os_error = 0;
  PyObject* vertex = Py_None;
  Py_INCREF(vertex);
  if (error != NULL && error->status == status) {
    static const dcf_vertex_id none;
    message = error->message;
    node = error->node;
    os_error = error->os_error;
    if (memcmp(&error->vertex, &none, sizeof none) != 0) {
      Py_DECREF(vertex);
      vertex = vertex_id_of(&error->vertex);
      if (vertex == NULL) return NULL;
    }
  }
  PyObject* text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
  PyObject* trace = NULL;
  if (text != NULL) {
    trace = detail != NULL && detail->size > 0
                ? PyUnicode_DecodeUTF8(detail->data, (Py_ssize_t)detail->size, "replace")
                : PyUnicode_FromString("");
  }
  PyObject* exception = NULL;
  if (trace != NULL) {
    exception = PyObject_CallFunction(module_state.make_error, "iiKOOO", (int)status, os_error,
                                      (unsigned long long)node, vertex, text, trace);
  }
  Py_DECREF(vertex);
  Py_XDECREF(text);
  Py_XDECREF(trace);
  return exception;
}

void raise_exception(PyObject* exception) {
  PyErr_SetObject((PyObject*)Py_TYPE(exception), exception);
  Py_DECREF(exception);
}

void raise_status(dcf_status status, const dcf_error* error, const dcf_bytes* detail) {
  PyObject* exception = status_exception(status, error, detail);
  if (exception != NULL) raise_exception(exception);
}

PyObject* take_exception(void) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  if (type == NULL) return NULL;
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace != NULL) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return value;
}
