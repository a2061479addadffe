/* Pending: a call under way that nobody waits for, and the queue that it comes back through. */
#include <stdlib.h>

#include "dcf_python.h"

typedef struct {
  PyObject_HEAD CallFrame frame; /* belongs to libdcf from submit to poll, and must not move */
  PyObject* future;
  WorkerObject* worker;
  bool submitted;
} PendingObject;

static PendingObject* pending(PyObject* self) { return (PendingObject*)self; }

static void pending_dealloc(PyObject* object) {
  PendingObject* self = pending(object);
  PyTypeObject* type = Py_TYPE(object);
  if (!interpreter_is_forked()) call_release(&self->frame);
  Py_XDECREF(self->future);
  Py_XDECREF(self->worker);
  PyObject_Free(object);
  Py_DECREF(type);
}

static int ensure_queue(WorkerObject* worker) {
  dcf_error error;
  if (worker->queue.handle != 0) return 0;
  dcf_status status = dcf_queue_open(worker->handle, &worker->queue, &error);
  if (status == DCF_OK) return 0;
  raise_status(status, &error, NULL);
  return -1;
}

/* args: future, then those of a call. Gives a Pending, to which libdcf holds a reference until the
 * call comes back from worker_poll. */
PyObject* worker_start(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  WorkerObject* worker = (WorkerObject*)object;
  PendingObject* self = PyObject_New(PendingObject, module_state.pending_type);
  if (self == NULL) return NULL;
  self->future = args[0];
  self->worker = worker;
  self->submitted = false;
  Py_INCREF(args[0]);
  Py_INCREF(object);
  dcf_error error;
  if (call_prepare(&self->frame, worker, args + 1, count - 1, names) < 0 ||
      ensure_queue(worker) < 0) {
    Py_DECREF(self);
    return NULL;
  }
  dcf_call* call = &self->frame.call;
  call->flags |= DCF_CALL_TIMED;
  call->user_data = self;
  Py_INCREF(self);
  self->submitted = true;
  give_interpreter();
  dcf_status status = dcf_queue_submit(worker->queue, call, 1, NULL, &error);
  const bool signalled = !take_interpreter();
  if (status != DCF_OK) {
    self->submitted = false;
    Py_DECREF(self);
    Py_DECREF(self);
    if (!signalled) raise_status(status, &error, NULL);
    return NULL;
  }
  if (signalled) { /* the call runs and comes back through the queue, where nobody wants it */
    Py_DECREF(self);
    return NULL;
  }
  return (PyObject*)self;
}

static PyObject* outcome(PendingObject* self) {
  self->submitted = false;
  PyObject* result = call_result(&self->frame);
  PyObject* exception = Py_None;
  Py_INCREF(exception);
  if (result == NULL) {
    Py_DECREF(exception);
    exception = take_exception();
    result = Py_None;
    Py_INCREF(result);
  }
  PyObject* facts = call_facts(&self->frame);
  PyObject* tuple = facts != NULL ? PyTuple_Pack(4, self->future, result, exception, facts) : NULL;
  Py_XDECREF(facts);
  Py_DECREF(result);
  Py_DECREF(exception);
  return tuple;
}

/* Waits for finished calls: a list of (future, result, exception, facts). None: the queue was
 * closed. */
PyObject* worker_poll(PyObject* object, PyObject* timeout) {
  WorkerObject* worker = (WorkerObject*)object;
  dcf_call* done[kPollBatch];
  size_t count = 0;
  int64_t timeout_value;
  dcf_error error;
  if (timeout_ns(timeout, &timeout_value) < 0 || refuse_forked()) return NULL;
  const dcf_queue queue = worker->queue;
  if (queue.handle == 0) Py_RETURN_NONE;
  give_interpreter();
  dcf_status status = dcf_queue_poll(queue, done, kPollBatch, timeout_value, &count, &error);
  const bool signalled = !take_interpreter();
  if (status == DCF_BAD_HANDLE || status == DCF_CANCELLED) Py_RETURN_NONE;
  if (status != DCF_OK) count = 0;
  PyObject* list = PyList_New(0);
  for (size_t i = 0; i < count; i++) {
    PendingObject* self = done[i]->user_data;
    PyObject* tuple = list != NULL ? outcome(self) : NULL;
    if (tuple == NULL || PyList_Append(list, tuple) < 0) Py_CLEAR(list);
    Py_XDECREF(tuple);
    Py_DECREF(self);
  }
  if (signalled) Py_CLEAR(list);
  if (list == NULL || status == DCF_OK || status == DCF_TIMEOUT) return list;
  Py_DECREF(list);
  raise_status(status, &error, NULL);
  return NULL;
}

static PyObject* pending_cancel(PyObject* object, PyObject* unused) {
  (void)unused;
  PendingObject* self = pending(object);
  if (refuse_forked()) return NULL;
  if (self->submitted && self->worker->queue.handle != 0) {
    dcf_queue_cancel(self->worker->queue, self->frame.call.ticket, NULL);
  }
  Py_RETURN_NONE;
}

/* After the queue was closed libdcf refers to none of its calls: gives up its reference. */
static PyObject* pending_abandon(PyObject* object, PyObject* unused) {
  (void)unused;
  PendingObject* self = pending(object);
  if (self->submitted && self->worker->queue.handle == 0) {
    self->submitted = false;
    Py_DECREF(object);
  }
  Py_RETURN_NONE;
}

static PyMethodDef pending_methods[] = {
    {"cancel", pending_cancel, METH_NOARGS, NULL},
    {"abandon", pending_abandon, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pending_slots[] = {
    {Py_tp_dealloc, pending_dealloc},
    {Py_tp_methods, pending_methods},
    {0, NULL},
};

static PyType_Spec pending_spec = {
    .name = "dcf._dcf.Pending",
    .basicsize = sizeof(PendingObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = pending_slots,
};

int add_pending_type(PyObject* module) {
  module_state.pending_type = (PyTypeObject*)PyType_FromSpec(&pending_spec);
  if (module_state.pending_type == NULL) return -1;
  return PyModule_AddType(module, module_state.pending_type);
}
