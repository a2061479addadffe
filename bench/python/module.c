/* Python module _bench: the least that a call from Python into Go can do, with the GIL released
 * around it, as dcf does where a call may block; a thread that answers by an eventfd; and the C
 * functions that Python calls through dcf.
 * In the stable ABI of Python 3.10. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "floors.h"
#include "functions.h"

/* ---- Floors -------------------------------------------------------------- */

static PyObject* g_callback; /* what callback calls */

/* empty(number) -> number, by way of an empty Go export. */
static PyObject* empty(PyObject* module, PyObject* number) {
  (void)module;
  uint64_t value = PyLong_AsUnsignedLongLong(number);
  if (PyErr_Occurred()) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  value = bench_floor_empty(value);
  Py_END_ALLOW_THREADS;
  return PyLong_FromUnsignedLongLong(value);
}

/* Runs on the calling thread, without the GIL; takes it for the Python function. */
static uint64_t call_python(uintptr_t thread_state, uint64_t argument) {
  uint64_t value = (uint64_t)-1;
  PyEval_RestoreThread(*(PyThreadState**)thread_state);
  PyObject* number = PyLong_FromUnsignedLongLong(argument);
  if (number != NULL) {
    PyObject* result = PyObject_CallFunctionObjArgs(g_callback, number, NULL);
    if (result != NULL) value = PyLong_AsUnsignedLongLong(result);
    Py_XDECREF(result);
    Py_DECREF(number);
  }
  *(PyThreadState**)thread_state = PyEval_SaveThread();
  return value;
}

/* callback(number) -> number, by way of a Go export that calls the function given to
 * set_callback. */
static PyObject* callback(PyObject* module, PyObject* number) {
  (void)module;
  if (g_callback == NULL) {
    PyErr_SetString(PyExc_RuntimeError, "no function to call: use set_callback first");
    return NULL;
  }
  uint64_t value = PyLong_AsUnsignedLongLong(number);
  if (PyErr_Occurred()) return NULL;
  PyThreadState* state = PyEval_SaveThread();
  value = bench_floor_callback(call_python, (uintptr_t)&state, value);
  PyEval_RestoreThread(state);
  if (PyErr_Occurred()) return NULL;
  return PyLong_FromUnsignedLongLong(value);
}

static PyObject* set_callback(PyObject* module, PyObject* function) {
  (void)module;
  PyObject* before = g_callback;
  Py_INCREF(function);
  g_callback = function;
  Py_XDECREF(before);
  Py_RETURN_NONE;
}

/* ---- A thread that answers by an eventfd -------------------------------------- */

static int g_asked = -1;  /* the thread reads it */
static int g_answer = -1; /* and writes this */

static void* answer(void* unused) {
  uint64_t count;
  (void)unused;
  while (read(g_asked, &count, sizeof count) == sizeof count) {
    count = 1;
    if (write(g_answer, &count, sizeof count) != sizeof count) break;
  }
  return NULL;
}

/* bell() -> a descriptor that is readable soon after each ring. */
static PyObject* bell(PyObject* module, PyObject* unused) {
  (void)module;
  (void)unused;
  if (g_answer < 0) {
    pthread_t thread;
    g_asked = eventfd(0, EFD_CLOEXEC);
    g_answer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (g_asked < 0 || g_answer < 0 || pthread_create(&thread, NULL, answer, NULL) != 0)
      return PyErr_SetFromErrno(PyExc_OSError);
    pthread_detach(thread);
  }
  return PyLong_FromLong(g_answer);
}

/* ring() asks the thread; it does not wait. */
static PyObject* ring(PyObject* module, PyObject* unused) {
  const uint64_t one = 1;
  (void)module;
  (void)unused;
  if (write(g_asked, &one, sizeof one) != sizeof one) return PyErr_SetFromErrno(PyExc_OSError);
  Py_RETURN_NONE;
}

/* ---- C functions for dcf ------------------------------------------------- */

/* function(name) -> the addresses of calculate and merge of a function of functions.h. */
static PyObject* function(PyObject* module, PyObject* name) {
  (void)module;
  PyObject* bytes = PyUnicode_AsUTF8String(name);
  if (bytes == NULL) return NULL;
  const bench_function* f = bench_function_named(PyBytes_AsString(bytes));
  Py_DECREF(bytes);
  if (f == NULL) return PyErr_Format(PyExc_KeyError, "there is no function %R", name);
  return Py_BuildValue("KK", (unsigned long long)(uintptr_t)f->calculate,
                       (unsigned long long)(uintptr_t)f->merge);
}

/* ---- The module ---------------------------------------------------------- */

static PyMethodDef kMethods[] = {
    {"empty", empty, METH_O, "empty(number) -> number, by way of an empty Go export."},
    {"callback", callback, METH_O, "callback(number) -> what the function gave, by way of Go."},
    {"set_callback", set_callback, METH_O, "Sets the function that callback calls."},
    {"bell", bell, METH_NOARGS, "bell() -> a descriptor, readable soon after each ring()."},
    {"ring", ring, METH_NOARGS, "Asks the thread of bell() to answer."},
    {"function", function, METH_O, "function(name) -> addresses of a C calculate and its merge."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef kModule = {PyModuleDef_HEAD_INIT,
                                     "_bench",
                                     "Floors and C functions for the benchmarks of Python.",
                                     -1,
                                     kMethods,
                                     NULL,
                                     NULL,
                                     NULL,
                                     NULL};

PyMODINIT_FUNC PyInit__bench(void) { return PyModule_Create(&kModule); }
