/* Python module _client: the C client that calls from Python are compared with. It calls by the
 * same worker of dcf. It is linked to libdcf: import dcf first, so that both are in one copy of the
 * library.
 * In the stable ABI of Python 3.10. */
#define Py_LIMITED_API 0x030A0000
#include "client.h"

#include "dcf_python.h" /* where the objects of dcf have their handles */

static client* g_client;

/* open(worker) prepares calls of bench.add, which the worker knows. */
static PyObject* open_client(PyObject* module, PyObject* worker) {
  (void)module;
  g_client = client_new(((WorkerObject*)worker)->handle.handle);
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

/* close() checks that calls went over shared memory. The worker stays open. */
static PyObject* close_client(PyObject* module, PyObject* unused) {
  (void)module;
  (void)unused;
  if (g_client == NULL) return not_open();
  client_free(g_client);
  g_client = NULL;
  Py_RETURN_NONE;
}

static PyMethodDef kMethods[] = {
    {"open", open_client, METH_O, "open(worker) prepares calls of bench.add."},
    {"calls", calls, METH_O, "calls(count) makes as many calls, one after another, in C."},
    {"close", close_client, METH_NOARGS, "Checks that calls go over shared memory."},
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
