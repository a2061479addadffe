/* Python module _client: the C client that calls from Python are compared with. It is linked to
 * libdcf: import dcf first, so that both are in one copy of the library.
 * In the stable ABI of Python 3.10. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include "client.h"

#include <Python.h>

static client* g_client;

/* open(address) joins a server. */
static PyObject* open_client(PyObject* module, PyObject* address) {
  (void)module;
  PyObject* bytes = PyUnicode_AsUTF8String(address);
  if (bytes == NULL) return NULL;
  g_client = client_new(PyBytes_AsString(bytes));
  Py_DECREF(bytes);
  Py_RETURN_NONE;
}

static PyObject* not_open(void) {
  PyErr_SetString(PyExc_RuntimeError, "there is no client: use open first");
  return NULL;
}

/* calls(count) makes as many calls, one after another, in C. */
static PyObject* calls(PyObject* module, PyObject* count) {
  (void)module;
  if (g_client == NULL) return not_open();
  const size_t n = PyLong_AsSize_t(count);
  if (PyErr_Occurred()) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  client_run(g_client, 0, n);
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

/* close() checks that calls went over shared memory, and closes the worker. */
static PyObject* close_client(PyObject* module, PyObject* unused) {
  (void)module;
  (void)unused;
  if (g_client == NULL) return not_open();
  client_check(g_client, CLIENT_OVER_SHARED_MEMORY);
  client_close(g_client);
  g_client = NULL;
  Py_RETURN_NONE;
}

static PyMethodDef kMethods[] = {
    {"open", open_client, METH_O, "open(address) joins a server."},
    {"calls", calls, METH_O, "calls(count) makes as many calls, one after another, in C."},
    {"close", close_client, METH_NOARGS, "Checks that calls go over shared memory, and closes."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef kModule = {PyModuleDef_HEAD_INIT,
                                     "_client",
                                     "The C client that calls from Python are compared with.",
                                     -1,
                                     kMethods,
                                     NULL,
                                     NULL,
                                     NULL,
                                     NULL};

PyMODINIT_FUNC PyInit__client(void) { return PyModule_Create(&kModule); }
