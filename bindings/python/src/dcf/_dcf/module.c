/* The module dcf._dcf: its types, and the hooks by which the Python half completes it. */
#include "dcf_python.h"

ModuleState module_state;

/* bind(name=value, ...) sets what the C half asks of the Python half. */
static PyObject* module_bind(PyObject* module, PyObject* args, PyObject* hooks) {
  (void)module;
  const struct {
    const char* name;
    PyObject** slot;
  } slots[] = {
      {"make_error", &module_state.make_error},
      {"forked_error", &module_state.forked_error},
      {"format_exception", &module_state.format_exception},
      {"from_python", &module_state.from_python},
      {"to_python", &module_state.to_python},
      {"to_numpy", &module_state.to_numpy},
      {"make_vertex", &module_state.make_vertex},
  };
  if (!PyArg_ParseTuple(args, ":bind")) return NULL;
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    PyObject* hook = hooks != NULL ? PyDict_GetItemString(hooks, slots[i].name) : NULL;
    if (hook == NULL) return PyErr_Format(PyExc_TypeError, "bind: %s is missing", slots[i].name);
    PyObject* before = *slots[i].slot;
    Py_INCREF(hook);
    *slots[i].slot = hook;
    Py_XDECREF(before);
  }
  Py_RETURN_NONE;
}

static PyObject* module_forked(PyObject* module, PyObject* unused) {
  (void)module;
  (void)unused;
  interpreter_forked();
  Py_RETURN_NONE;
}

static PyObject* module_finalize(PyObject* module, PyObject* unused) {
  (void)module;
  (void)unused;
  interpreter_close();
  Py_RETURN_NONE;
}

static PyObject* module_version(PyObject* module, PyObject* unused) {
  (void)module;
  (void)unused;
  return PyUnicode_FromString(dcf_version());
}

static PyObject* module_status_name(PyObject* module, PyObject* status) {
  (void)module;
  long code = PyLong_AsLong(status);
  if (code == -1 && PyErr_Occurred()) return NULL;
  return PyUnicode_FromString(dcf_status_name((dcf_status)code));
}

static PyMethodDef module_methods[] = {
    {"bind", (PyCFunction)(void (*)(void))module_bind, METH_VARARGS | METH_KEYWORDS, NULL},
    {"forked", module_forked, METH_NOARGS, NULL},
    {"finalize", module_finalize, METH_NOARGS, NULL},
    {"retype", column_retype, METH_VARARGS, NULL},
    {"version", module_version, METH_NOARGS, NULL},
    {"status_name", module_status_name, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

/* A library of another major version is refused here rather than misunderstood later; an older
 * minor one lacks functions. */
static int check_library(void) {
  const uint32_t loaded = dcf_abi_version();
  if (loaded >> 16 == DCF_ABI_MAJOR && (loaded & 0xffff) >= DCF_ABI_MINOR) return 0;
  PyErr_Format(PyExc_ImportError,
               "libdcf has ABI version %u.%u, and this package was built for %u.%u: reinstall dcf",
               (unsigned)(loaded >> 16), (unsigned)(loaded & 0xffff), (unsigned)DCF_ABI_MAJOR,
               (unsigned)DCF_ABI_MINOR);
  return -1;
}

static int module_exec(PyObject* module) {
  if (module_state.batch_type != NULL) {
    PyErr_SetString(PyExc_ImportError,
                    "dcf can be imported by one interpreter of a process, and one has it already");
    return -1;
  }
  if (check_library() < 0 || interpreter_open() < 0) return -1;
  module_state.arguments_name = PyUnicode_InternFromString("arguments");
  if (module_state.arguments_name == NULL) return -1;
  int (*const types[])(PyObject*) = {
      add_batch_type,      add_column_type,   add_stream_type,   add_vertex_id_type,
      add_vertex_type,     add_worker_type,   add_builder_types, add_queue_types,
      add_async_call_type, add_function_type, add_context_types,
  };
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    if (types[i](module) < 0) return -1;
  }
  return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void*)module_exec},
    {0, NULL},
};

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_dcf",
    .m_doc = "The C half of dcf. Private: use the package.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__dcf(void) { return PyModuleDef_Init(&module_definition); }
