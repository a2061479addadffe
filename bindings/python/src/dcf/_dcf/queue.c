/* Queue: calls under way that nobody waits for, and Pending: one of them. A queue belongs to the
 * completion thread of a worker or to an event loop, which alone polls it.
 *
 * Invariant: a Pending is in its queue's list exactly while libdcf refers to its call. Until then
 * the list owns a reference to it, and it owns one to the queue. */
#include <stdlib.h>

#include "dcf_python.h"

enum { kNoWait = -1 };

typedef struct PendingObject {
  PyObject_HEAD CallFrame frame; /* libdcf's from submit to poll: it must not move */
  PyObject* future;              /* NULL once it is not under way: the future refers to this */
  struct QueueObject* queue;     /* NULL: not under way */
  struct PendingObject *before, *after;
} PendingObject;

typedef struct QueueObject {
  PyObject_HEAD dcf_queue handle; /* 0: closed */
  PendingObject* going;           /* the newest first */
  Py_ssize_t count;
} QueueObject;

static PendingObject* pending(PyObject* self) { return (PendingObject*)self; }
static QueueObject* queue(PyObject* self) { return (QueueObject*)self; }

/* ---- The list ------------------------------------------------------------------------------ */

static void enter(QueueObject* self, PendingObject* call) {
  call->queue = self;
  call->before = NULL;
  call->after = self->going;
  if (self->going != NULL) self->going->before = call;
  self->going = call;
  self->count++;
  Py_INCREF(call);
  Py_INCREF(self);
}

/* Gives the list's reference to the caller, who has one to the queue. */
static PendingObject* leave(PendingObject* call) {
  QueueObject* self = call->queue;
  if (call->before != NULL) {
    call->before->after = call->after;
  } else {
    self->going = call->after;
  }
  if (call->after != NULL) call->after->before = call->before;
  call->queue = NULL;
  self->count--;
  Py_DECREF(self);
  return call;
}

/* ---- Starting a call ------------------------------------------------------------------------ */

static PendingObject* pending_new(CallFrame* frame, PyObject* future) {
  PendingObject* self = PyObject_New(PendingObject, module_state.pending_type);
  if (self == NULL) return NULL;
  call_move(frame, &self->frame);
  self->future = future;
  self->queue = NULL;
  Py_INCREF(future);
  return self;
}

int queue_submit(PyObject* object, CallFrame* frame, PyObject* future) {
  QueueObject* self = queue(object);
  dcf_error error;
  PendingObject* call = pending_new(frame, future);
  if (call == NULL || PyObject_SetAttrString(future, "_pending", (PyObject*)call) < 0) {
    Py_XDECREF(call);
    return -1;
  }
  call->frame.call.user_data = call;
  enter(self, call);
  give_interpreter();
  dcf_status status = dcf_queue_submit(self->handle, &call->frame.call, 1, &error);
  const bool signalled = !take_interpreter();
  if (status != DCF_OK) {
    PyObject* raised = take_exception();
    Py_CLEAR(leave(call)->future);
    Py_DECREF(call);
    if (raised != NULL) {
      raise_exception(raised);
    } else {
      raise_status(status, &error, NULL);
    }
  }
  Py_DECREF(call);
  /* After a signal the call runs, and comes back through the queue, where nobody wants it. */
  return status != DCF_OK || signalled ? -1 : 0;
}

/* args: the queue and a future, then those of a call. */
PyObject* worker_start(PyObject* object, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  CallFrame frame;
  int result = call_prepare(&frame, (WorkerObject*)object, args + 2, count - 2, names);
  if (result == 0) {
    frame.call.flags |= DCF_CALL_TIMED;
    result = queue_submit(args[0], &frame, args[1]);
  }
  call_release(&frame);
  if (result < 0) return NULL;
  Py_RETURN_NONE;
}

/* ---- Its end ----------------------------------------------------------------------------------
 */

/* (future, result, exception or None, facts) of a call that came back. */
static PyObject* outcome(PendingObject* self) {
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

/* poll(seconds) waits for finished calls, without an argument not at all: a list of their outcomes,
 * or None where the queue is closed. */
static PyObject* queue_poll(PyObject* object, PyObject* args) {
  QueueObject* self = queue(object);
  dcf_call* done[kPollBatch];
  size_t count = 0;
  PyObject* timeout = NULL;
  int64_t nanoseconds = kNoWait;
  dcf_error error;
  if (!PyArg_ParseTuple(args, "|O:poll", &timeout) || refuse_forked()) return NULL;
  if (timeout != NULL && timeout_ns(timeout, &nanoseconds) < 0) return NULL;
  if (self->handle.handle == 0) Py_RETURN_NONE;
  give_interpreter();
  dcf_status status = dcf_queue_poll(self->handle, done, kPollBatch, nanoseconds, &count, &error);
  const bool signalled = !take_interpreter();
  PyObject* raised = signalled ? take_exception() : NULL;
  if (status != DCF_OK) count = 0;
  PyObject* list = PyList_New(0);
  for (size_t i = 0; i < count; i++) {
    PendingObject* call = leave(done[i]->user_data);
    PyObject* tuple = list != NULL ? outcome(call) : NULL;
    if (tuple == NULL || PyList_Append(list, tuple) < 0) Py_CLEAR(list);
    Py_XDECREF(tuple);
    Py_CLEAR(call->future);
    Py_DECREF(call);
  }
  if (raised != NULL) {
    Py_XDECREF(list);
    raise_exception(raised);
    return NULL;
  }
  if (list == NULL || status == DCF_OK || status == DCF_TIMEOUT) return list;
  Py_DECREF(list);
  if (status == DCF_BAD_HANDLE || status == DCF_CANCELLED) Py_RETURN_NONE;
  raise_status(status, &error, NULL);
  return NULL;
}

static PyObject* pending_cancel(PyObject* object, PyObject* unused) {
  (void)unused;
  PendingObject* self = pending(object);
  if (refuse_forked()) return NULL;
  if (self->queue != NULL && self->queue->handle.handle != 0) {
    dcf_queue_cancel(self->queue->handle, self->frame.call.ticket, NULL);
  }
  Py_RETURN_NONE;
}

/* close() cancels what is under way, waits for it, and gives the futures of calls that were not
 * polled. What a function that never returns refers to stays in memory. */
static PyObject* queue_close(PyObject* object, PyObject* unused) {
  (void)unused;
  QueueObject* self = queue(object);
  const dcf_queue handle = self->handle;
  if (refuse_forked()) return NULL;
  self->handle.handle = 0;
  dcf_status status = DCF_OK;
  PyObject* raised = NULL;
  if (handle.handle != 0) {
    give_interpreter();
    status = dcf_queue_close(handle, NULL);
    if (!take_interpreter()) raised = take_exception();
  }
  PyObject* futures = PyList_New(0);
  while (futures != NULL && self->going != NULL) {
    PendingObject* call = leave(self->going);
    if (PyList_Append(futures, call->future) < 0) Py_CLEAR(futures);
    Py_CLEAR(call->future);
    if (status == DCF_OK) Py_DECREF(call);
  }
  if (raised == NULL) return futures;
  Py_XDECREF(futures);
  raise_exception(raised);
  return NULL;
}

/* ---- The types --------------------------------------------------------------------------------
 */

PyObject* worker_open_queue(PyObject* object, PyObject* unused) {
  (void)unused;
  WorkerObject* worker = (WorkerObject*)object;
  dcf_error error;
  if (worker_refuses(worker)) return NULL;
  QueueObject* self = PyObject_New(QueueObject, module_state.queue_type);
  if (self == NULL) return NULL;
  self->handle.handle = 0;
  self->going = NULL;
  self->count = 0;
  dcf_status status = dcf_queue_open(worker->handle, &self->handle, &error);
  if (status == DCF_OK) return (PyObject*)self;
  Py_DECREF(self);
  raise_status(status, &error, NULL);
  return NULL;
}

static PyObject* queue_waiting(PyObject* object, PyObject* unused) {
  (void)unused;
  PyObject* futures = PyList_New(0);
  for (PendingObject* p = queue(object)->going; futures != NULL && p != NULL; p = p->after) {
    if (PyList_Append(futures, p->future) < 0) Py_CLEAR(futures);
  }
  return futures;
}

/* fd() gives a descriptor that is readable while poll has something. */
static PyObject* queue_fd(PyObject* object, PyObject* unused) {
  (void)unused;
  int32_t fd = -1;
  dcf_error error;
  if (refuse_forked()) return NULL;
  dcf_status status = dcf_queue_fd(queue(object)->handle, &fd, &error);
  if (status == DCF_OK) return PyLong_FromLong(fd);
  raise_status(status, &error, NULL);
  return NULL;
}

static Py_ssize_t queue_length(PyObject* self) { return queue(self)->count; }

static void queue_dealloc(PyObject* object) {
  QueueObject* self = queue(object);
  PyTypeObject* type = Py_TYPE(object);
  /* Nothing is under way, which would keep the queue: closing waits for nothing. */
  if (self->handle.handle != 0 && !interpreter_is_forked()) dcf_queue_close(self->handle, NULL);
  PyObject_Free(object);
  Py_DECREF(type);
}

static void pending_dealloc(PyObject* object) {
  PendingObject* self = pending(object);
  PyTypeObject* type = Py_TYPE(object);
  if (!interpreter_is_forked()) call_release(&self->frame);
  Py_XDECREF(self->future);
  PyObject_Free(object);
  Py_DECREF(type);
}

static PyMethodDef queue_methods[] = {
    {"poll", queue_poll, METH_VARARGS, NULL},
    {"close", queue_close, METH_NOARGS, NULL},
    {"waiting", queue_waiting, METH_NOARGS, NULL},
    {"fd", queue_fd, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef pending_methods[] = {
    {"cancel", pending_cancel, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_sq_length, queue_length},
    {0, NULL},
};

static PyType_Slot pending_slots[] = {
    {Py_tp_dealloc, pending_dealloc},
    {Py_tp_methods, pending_methods},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "dcf._dcf.Queue",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = queue_slots,
};

static PyType_Spec pending_spec = {
    .name = "dcf._dcf.Pending",
    .basicsize = sizeof(PendingObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = pending_slots,
};

int add_queue_types(PyObject* module) {
  module_state.queue_type = (PyTypeObject*)PyType_FromSpec(&queue_spec);
  module_state.pending_type = (PyTypeObject*)PyType_FromSpec(&pending_spec);
  if (module_state.queue_type == NULL || module_state.pending_type == NULL) return -1;
  if (PyModule_AddType(module, module_state.queue_type) < 0) return -1;
  return PyModule_AddType(module, module_state.pending_type);
}
