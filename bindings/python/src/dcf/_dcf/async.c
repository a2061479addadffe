/* Worker.call_async: what can be answered at once is, on the thread of the event loop; the rest
 * goes into the loop's queue. */
#include "dcf_python.h"

/* What it gives: an awaitable that asyncio takes for a coroutine, as it has send, throw and close.
 * One that has its answer costs a fraction of what a future does. */
typedef struct {
  PyObject_HEAD PyObject* answer; /* or the exception; NULL: the future will have it */
  bool failed;
  PyObject* future;
  PyObject* steps; /* the future's iterator, once somebody asked for it */
} AsyncCallObject;

static AsyncCallObject* call_of(PyObject* self) { return (AsyncCallObject*)self; }

/* Takes the references over; one of the two is NULL. */
static PyObject* async_call_new(PyObject* answer, bool failed, PyObject* future) {
  AsyncCallObject* self = PyObject_GC_New(AsyncCallObject, module_state.async_call_type);
  if (self == NULL) {
    Py_XDECREF(answer);
    Py_XDECREF(future);
    return NULL;
  }
  self->answer = answer;
  self->failed = failed;
  self->future = future;
  self->steps = NULL;
  PyObject_GC_Track((PyObject*)self);
  return (PyObject*)self;
}

/* ---- As an awaitable and a coroutine -----------------------------------------------------------
 */

static PyObject* steps_of(AsyncCallObject* self) {
  if (self->steps == NULL) self->steps = PyObject_GetIter(self->future);
  return self->steps;
}

static PyObject* async_call_await(PyObject* self) {
  if (call_of(self)->future != NULL) return PyObject_GetIter(call_of(self)->future);
  Py_INCREF(self);
  return self;
}

static PySendResult async_call_am_send(PyObject* self, PyObject* argument, PyObject** result) {
  PyObject* answer = call_of(self)->answer;
  *result = NULL;
  if (call_of(self)->future != NULL) {
    PyObject* steps = steps_of(call_of(self));
    return steps != NULL ? PyIter_Send(steps, argument, result) : PYGEN_ERROR;
  }
  Py_INCREF(answer);
  if (call_of(self)->failed) {
    raise_exception(answer);
    return PYGEN_ERROR;
  }
  *result = answer;
  return PYGEN_RETURN;
}

static PyObject* async_call_send(PyObject* self, PyObject* argument) {
  PyObject* value;
  PySendResult how = async_call_am_send(self, argument, &value);
  if (how != PYGEN_RETURN) return value;
  PyObject* stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, value, NULL);
  Py_DECREF(value);
  if (stop != NULL) raise_exception(stop);
  return NULL;
}

static PyObject* async_call_next(PyObject* self) { return async_call_send(self, Py_None); }

static PyObject* async_call_dunder_await(PyObject* self, PyObject* unused) {
  (void)unused;
  return async_call_await(self);
}

static int cancel(PyObject* self) {
  if (call_of(self)->future == NULL) return 0;
  PyObject* done = PyObject_CallMethod(call_of(self)->future, "cancel", NULL);
  Py_XDECREF(done);
  return done != NULL ? 0 : -1;
}

/* throw(exception), or as of old throw(type, value, traceback): whoever waited gives the call up.
 */
static PyObject* async_call_throw(PyObject* self, PyObject* args) {
  PyObject *type, *value = NULL, *trace = NULL;
  if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &trace) || cancel(self) < 0) return NULL;
  if (PyExceptionInstance_Check(type)) {
    PyErr_SetObject((PyObject*)Py_TYPE(type), type);
  } else {
    PyErr_SetObject(type, value);
  }
  return NULL;
}

static PyObject* async_call_close(PyObject* self, PyObject* unused) {
  (void)unused;
  if (cancel(self) < 0) return NULL;
  Py_RETURN_NONE;
}

/* An exception refers to the frame where it was caught, which may refer to the call. */
static int async_call_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(call_of(self)->answer);
  Py_VISIT(call_of(self)->future);
  Py_VISIT(call_of(self)->steps);
  return 0;
}

static int async_call_clear(PyObject* self) {
  Py_CLEAR(call_of(self)->answer);
  Py_CLEAR(call_of(self)->future);
  Py_CLEAR(call_of(self)->steps);
  return 0;
}

static void async_call_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  async_call_clear(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

/* ---- Worker.call_async -------------------------------------------------------------------------
 */

/* A name has to be looked up, which may wait: worker._call_named(udf, name, keywords). */
static PyObject* call_named(PyObject* self, PyObject* const* args, Py_ssize_t count,
                            PyObject* names) {
  PyObject* keywords = PyDict_New();
  const Py_ssize_t size = names != NULL ? PyTuple_Size(names) : 0;
  for (Py_ssize_t i = 0; keywords != NULL && i < size; i++) {
    if (PyDict_SetItem(keywords, PyTuple_GetItem(names, i), args[count + i]) < 0) {
      Py_CLEAR(keywords);
    }
  }
  if (keywords == NULL) return NULL;
  PyObject* call = PyObject_CallMethod(self, "_call_named", "OOO", args[0], args[1], keywords);
  Py_DECREF(keywords);
  return call;
}

/* A call that was run here. What is no Exception, as KeyboardInterrupt, is not kept. */
static PyObject* answer_now(PyObject* result) {
  if (result != NULL) return async_call_new(result, false, NULL);
  if (!PyErr_ExceptionMatches(PyExc_Exception)) return NULL;
  return async_call_new(take_exception(), true, NULL);
}

/* worker._place() gives the queue of the running loop, and a future of that loop. */
static PyObject* answer_later(CallFrame* frame, PyObject* worker) {
  PyObject* place = PyObject_CallMethod(worker, "_place", NULL);
  if (place == NULL) return NULL;
  PyObject* future = PyTuple_GetItem(place, 1);
  Py_INCREF(future);
  if (queue_submit(PyTuple_GetItem(place, 0), frame, future) < 0) Py_CLEAR(future);
  Py_DECREF(place);
  return future != NULL ? async_call_new(NULL, false, future) : NULL;
}

PyObject* worker_call_async(PyObject* self, PyObject* const* args, Py_ssize_t count,
                            PyObject* names) {
  CallFrame frame;
  PyObject* call = NULL;
  PyObject* result;
  if (count == 2 && PyUnicode_Check(args[1])) return call_named(self, args, count, names);
  if (call_prepare(&frame, (WorkerObject*)self, args, count, names) == 0) {
    if (((FunctionObject*)frame.function)->is_short &&
        call_try(&frame, (WorkerObject*)self, &result)) {
      call = answer_now(result);
    } else {
      call = answer_later(&frame, self);
    }
  }
  call_release(&frame);
  return call;
}

/* ---- The type
 * ------------------------------------------------------------------------------------
 */

static PyMethodDef async_call_methods[] = {
    {"__await__", async_call_dunder_await, METH_NOARGS, NULL},
    {"send", async_call_send, METH_O, NULL},
    {"throw", async_call_throw, METH_VARARGS, NULL},
    {"close", async_call_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot async_call_slots[] = {
    {Py_tp_dealloc, async_call_dealloc},
    {Py_tp_traverse, async_call_traverse},
    {Py_tp_clear, async_call_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, async_call_next},
    {Py_am_await, async_call_await},
    {Py_am_send, async_call_am_send},
    {Py_tp_methods, async_call_methods},
    {0, NULL},
};

static PyType_Spec async_call_spec = {
    .name = "dcf._dcf.AsyncCall",
    .basicsize = sizeof(AsyncCallObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = async_call_slots,
};

int add_async_call_type(PyObject* module) {
  module_state.async_call_type = (PyTypeObject*)PyType_FromSpec(&async_call_spec);
  if (module_state.async_call_type == NULL) return -1;
  return PyModule_AddType(module, module_state.async_call_type);
}
