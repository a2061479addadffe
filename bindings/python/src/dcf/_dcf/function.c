/* The C half of UDFs: what Python defined becomes a dcf_udf_definition, once a worker. */
#include <stdlib.h>

#include "dcf_python.h"

enum { kPython = 0, kNative = 1, kNamed = 2 };

static FunctionObject* function(PyObject* self) { return (FunctionObject*)self; }

/* ---- The definition ------------------------------------------------------------------------ */

static long number(PyObject* dict, const char* key) {
  PyObject* value = PyDict_GetItemString(dict, key);
  return value != NULL && PyLong_Check(value) ? PyLong_AsLong(value) : 0;
}

static void* address(PyObject* dict, const char* key) {
  PyObject* value = PyDict_GetItemString(dict, key);
  return value != NULL && PyLong_Check(value) ? PyLong_AsVoidPtr(value) : NULL;
}

/* A function is defined when it is first used, because merge and finish come after calculate and
 * annotations may name what is defined below. _define() gives a dict. */
static int define(FunctionObject* self) {
  if (self->defined) return 0;
  PyObject* dict = PyObject_CallMethod((PyObject*)self, "_define", NULL);
  if (dict == NULL) return -1;
  Callable* const callables[] = {&self->calculate, &self->merge, &self->finish};
  static const char* const names[] = {"calculate", "merge", "finish"};
  for (int i = 0; i < 3; i++) {
    /* (callable, view or None, wants_context), or missing */
    PyObject* entry = PyDict_GetItemString(dict, names[i]);
    if (entry == NULL || !PyTuple_Check(entry)) continue;
    PyObject* view = PyTuple_GetItem(entry, 1);
    callables[i]->callable = PyTuple_GetItem(entry, 0);
    Py_INCREF(callables[i]->callable);
    if (view != Py_None) {
      Py_INCREF(view);
      callables[i]->view = view;
    }
    callables[i]->wants_context = PyObject_IsTrue(PyTuple_GetItem(entry, 2)) > 0;
  }
  PyObject* arguments = PyDict_GetItemString(dict, "arguments");
  if (arguments != NULL && Py_TYPE(arguments) == module_state.batch_type) {
    Py_INCREF(arguments);
    self->arguments = arguments;
  }
  /* One that spawns might have to wait for others, and an update for its turn. */
  const long flags = number(dict, "flags");
  const bool alone = !self->calculate.wants_context && !(flags & DCF_UDF_UPDATES);
  self->is_short = alone && (flags & DCF_UDF_SHORT) && number(dict, "kind") != kNamed;
  self->holds = self->is_short || (alone && self->calculate.callable != NULL);
  PyObject* scalar = PyDict_GetItemString(dict, "scalar");
  self->scalar = scalar != NULL && PyObject_IsTrue(scalar) > 0;
  PyObject* name = PyDict_GetItemString(dict, "name");
  Py_XINCREF(name);
  self->name = name;
  self->dictionary = dict;
  self->defined = true;
  return 0;
}

static int fill_definition(FunctionObject* self, dcf_udf_definition* definition) {
  PyObject* dict = self->dictionary;
  definition->kind = DCF_UDF_NATIVE;
  definition->flags = (uint32_t)number(dict, "flags");
  return text_bytes(self->name, "the name of a UDF", &definition->name) < 0 ||
                 optional_text(PyDict_GetItemString(dict, "version"), "version",
                               &definition->version) < 0 ||
                 optional_text(PyDict_GetItemString(dict, "auxiliary"), "auxiliary",
                               &definition->auxiliary) < 0
             ? -1
             : 0;
}

/* ---- Registration -----------------------------------------------------------------------------
 */

void free_registration(void* user_data) { push_drop(&((Registration*)user_data)->drop); }

static Registration* new_registration(FunctionObject* self, dcf_worker worker,
                                      PyObject* functions) {
  Registration* registration = malloc(sizeof *registration);
  if (registration == NULL) {
    PyErr_NoMemory();
    return NULL;
  }
  registration->drop.next = NULL;
  registration->drop.object = PyTuple_Pack(2, (PyObject*)self, functions);
  registration->function = self;
  registration->functions = functions;
  registration->worker = worker;
  if (registration->drop.object != NULL) return registration;
  free(registration);
  return NULL;
}

/* Takes the registration over. */
static dcf_status register_python(FunctionObject* self, Registration* registration,
                                  dcf_udf_definition* definition, dcf_udf* out, dcf_error* error) {
  definition->user_data = registration;
  definition->user_data_free = free_registration;
  definition->calculate = python_calculate;
  definition->merge = self->merge.callable != NULL ? python_merge : NULL;
  definition->finish = self->finish.callable != NULL ? python_finish : NULL;
  give_interpreter();
  dcf_status status = dcf_udf_register(registration->worker, definition, out, error);
  if (status != DCF_OK) free_registration(registration);
  return status;
}

static dcf_status register_native(FunctionObject* self, dcf_worker worker,
                                  dcf_udf_definition* definition, dcf_udf* out, dcf_error* error) {
  PyObject* dict = self->dictionary;
  definition->calculate = (dcf_calculate_fn)address(dict, "calculate");
  definition->merge = (dcf_merge_fn)address(dict, "merge");
  definition->finish = (dcf_merge_fn)address(dict, "finish");
  definition->user_data = address(dict, "user_data");
  give_interpreter();
  return dcf_udf_register(worker, definition, out, error);
}

static int add_entry(FunctionObject* self, dcf_worker worker, PyObject* functions, dcf_udf udf) {
  if (PyList_Append(functions, (PyObject*)self) < 0) return -1;
  void* grown = realloc(self->entries, (size_t)(self->entry_count + 1) * sizeof *self->entries);
  if (grown == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  self->entries = grown;
  self->entries[self->entry_count++] = (FunctionEntry){worker.handle, udf};
  return 0;
}

static bool find_entry(const FunctionObject* self, uint64_t worker, dcf_udf* out) {
  for (Py_ssize_t i = self->entry_count; i-- > 0;) {
    if (self->entries[i].worker == worker) {
      *out = self->entries[i].udf;
      return true;
    }
  }
  return false;
}

static dcf_status register_kind(FunctionObject* self, dcf_worker worker, PyObject* functions,
                                const dcf_udf_definition* from, dcf_udf* out, dcf_error* error) {
  dcf_udf_definition definition = *from;
  Registration* registration;
  switch (number(self->dictionary, "kind")) {
    case kPython:
      registration = new_registration(self, worker, functions);
      if (registration == NULL) {
        give_interpreter();
        return DCF_EXHAUSTED; /* the exception is set */
      }
      return register_python(self, registration, &definition, out, error);
    case kNative:
      return register_native(self, worker, &definition, out, error);
    default:
      give_interpreter();
      return dcf_udf_open(worker, definition.name, out, error);
  }
}

/* The caller holds `registering`. */
static int register_once(FunctionObject* self, dcf_worker worker, PyObject* functions,
                         dcf_udf* out) {
  dcf_udf_definition definition = DCF_UDF_DEFINITION_INIT;
  dcf_error error = {.status = DCF_OK};
  if (find_entry(self, worker.handle, out)) return 0;
  if (define(self) < 0 || fill_definition(self, &definition) < 0) return -1;
  dcf_status status = register_kind(self, worker, functions, &definition, out, &error);
  take_interpreter();
  PyObject* raised = take_exception(); /* by a signal handler, or for want of memory */
  int result = -1;
  if (status == DCF_OK) {
    result = add_entry(self, worker, functions, *out); /* it is registered, whatever else */
  } else if (raised == NULL) {
    raise_status(status, &error, NULL);
  }
  if (raised != NULL) {
    PyErr_Clear();
    raise_exception(raised);
    return -1;
  }
  return result;
}

/* Registration gives the interpreter up, and threads that make the first call of a function at the
 * same time must not register it twice. It is rare, so one lock does for all functions. */
static PyThread_type_lock registering;

int function_register(FunctionObject* self, dcf_worker worker, PyObject* functions, dcf_udf* out) {
  if (find_entry(self, worker.handle, out)) return 0;
  if (!PyThread_acquire_lock(registering, NOWAIT_LOCK)) {
    PyThreadState* state = PyEval_SaveThread(); /* who holds it needs the interpreter */
    PyThread_acquire_lock(registering, WAIT_LOCK);
    PyEval_RestoreThread(state);
  }
  int result = register_once(self, worker, functions, out);
  PyThread_release_lock(registering);
  return result;
}

int function_at(PyObject* object, WorkerObject* worker, dcf_udf* out) {
  FunctionObject* self = function(object);
  if (find_entry(self, worker->handle.handle, out)) return 0;
  PyObject* functions = worker->functions; /* kept: another thread may close the worker */
  if (worker_refuses(worker)) return -1;
  Py_INCREF(functions);
  int result = function_register(self, worker->handle, functions, out);
  Py_DECREF(functions);
  return result;
}

void function_forget(FunctionObject* self, uint64_t worker) {
  Py_ssize_t kept = 0;
  for (Py_ssize_t i = 0; i < self->entry_count; i++) {
    if (self->entries[i].worker != worker) {
      self->entries[kept++] = self->entries[i];
    } else {
      dcf_udf_release(self->entries[i].udf, NULL);
    }
  }
  self->entry_count = kept;
}

/* ---- The type
 * ------------------------------------------------------------------------------------ */

static int function_traverse(PyObject* object, visitproc visit, void* arg) {
  FunctionObject* self = function(object);
  Callable* const callables[] = {&self->calculate, &self->merge, &self->finish};
  Py_VISIT(Py_TYPE(object));
  for (int i = 0; i < 3; i++) {
    Py_VISIT(callables[i]->callable);
    Py_VISIT(callables[i]->view);
  }
  Py_VISIT(self->dictionary);
  Py_VISIT(self->arguments);
  return 0;
}

static int function_clear(PyObject* object) {
  FunctionObject* self = function(object);
  Callable* const callables[] = {&self->calculate, &self->merge, &self->finish};
  for (int i = 0; i < 3; i++) {
    Py_CLEAR(callables[i]->callable);
    Py_CLEAR(callables[i]->view);
  }
  Py_CLEAR(self->dictionary);
  Py_CLEAR(self->arguments);
  Py_CLEAR(self->name);
  return 0;
}

static void function_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
  PyObject_GC_UnTrack(object);
  function_clear(object);
  free(function(object)->entries);
  free_object(object);
  Py_DECREF(type);
}

static PyObject* function_is_defined(PyObject* self, void* unused) {
  (void)unused;
  return PyBool_FromLong(function(self)->defined);
}

static PyGetSetDef function_members[] = {
    {"_defined", function_is_defined, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot function_slots[] = {
    {Py_tp_new, PyType_GenericNew},      {Py_tp_dealloc, function_dealloc},
    {Py_tp_traverse, function_traverse}, {Py_tp_clear, function_clear},
    {Py_tp_getset, function_members},    {0, NULL},
};

static PyType_Spec function_spec = {
    .name = "dcf._dcf.Function",
    .basicsize = sizeof(FunctionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = function_slots,
};

int add_function_type(PyObject* module) {
  registering = PyThread_allocate_lock();
  if (registering == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  module_state.function_type = (PyTypeObject*)PyType_FromSpec(&function_spec);
  if (module_state.function_type == NULL) return -1;
  return PyModule_AddType(module, module_state.function_type);
}
