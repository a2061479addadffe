/* Python module _client: the C client that calls from Python are compared with. It calls the same
 * vertex by the same worker of dcf: two connections have their lanes in different places of memory,
 * and where a line of it lies makes a round trip between two processors up to 160 ns longer. It is
 * linked to libdcf: import dcf first, so that both are in one copy of the library.
 * In the stable ABI of Python 3.10. */
#define Py_LIMITED_API 0x030A0000
#include "client.h"

#include "dcf_python.h" /* where the objects of dcf have their handles */
#include "fixture.h"

static client g_client; /* without a worker: not open */

/* open(worker, vertex) prepares calls of bench.add, which the worker knows. */
static PyObject* open_client(PyObject* module, PyObject* args) {
  PyObject *worker, *vertex;
  dcf_udf udf;
  dcf_error error;
  (void)module;
  if (!PyArg_ParseTuple(args, "OO:open", &worker, &vertex)) return NULL;
  const dcf_worker handle = ((WorkerObject*)worker)->handle;
  fixture_check(dcf_udf_open(handle, fixture_bytes("bench.add"), &udf, &error), &error,
                "dcf_udf_open");
  client_prepare(&g_client, handle, udf, ((VertexObject*)vertex)->handle);
  client_check(&g_client, CLIENT_OVER_SHARED_MEMORY);
  Py_RETURN_NONE;
}

static PyObject* not_open(void) {
  PyErr_SetString(PyExc_RuntimeError, "there is no client: use open first");
  return NULL;
}

/* calls(count) makes as many calls, one after another, in C. */
static PyObject* calls(PyObject* module, PyObject* count) {
  (void)module;
  if (g_client.worker.handle == 0) return not_open();
  const size_t n = PyLong_AsSize_t(count);
  if (PyErr_Occurred()) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  client_run(&g_client, 0, n);
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

/* close() checks that calls went over shared memory. The worker stays open. */
static PyObject* close_client(PyObject* module, PyObject* unused) {
  dcf_error error;
  (void)module;
  (void)unused;
  if (g_client.worker.handle == 0) return not_open();
  client_check(&g_client, CLIENT_OVER_SHARED_MEMORY);
  fixture_check(dcf_udf_release(g_client.call.udf, &error), &error, "dcf_udf_release");
  g_client.worker.handle = 0;
  Py_RETURN_NONE;
}

static PyMethodDef kMethods[] = {
    {"open", open_client, METH_VARARGS, "open(worker, vertex) prepares calls of bench.add."},
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
