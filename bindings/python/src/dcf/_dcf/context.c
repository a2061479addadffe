/* Context: what a calculate may ask about its vertex and may want done; MergeContext: the little
 * that merge and finish may ask. Both end with the callback that they were made for. */
#include <time.h>

#include "dcf_python.h"

typedef struct {
  PyObject_HEAD const dcf_udf_input* input; /* NULL: the callback has returned */
  dcf_output* output;
  Registration* registration;
} ContextObject;

typedef struct {
  PyObject_HEAD const dcf_merge_input* input;
} MergeContextObject;

static void context_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* context_new(const dcf_udf_input* input, dcf_output* output, Registration* registration) {
  ContextObject* self = PyObject_New(ContextObject, module_state.context_type);
  if (self == NULL) return NULL;
  self->input = input;
  self->output = output;
  self->registration = registration;
  return (PyObject*)self;
}

void context_end(PyObject* context) { ((ContextObject*)context)->input = NULL; }

PyObject* merge_context_new(const dcf_merge_input* input) {
  MergeContextObject* self = PyObject_New(MergeContextObject, module_state.merge_context_type);
  if (self != NULL) self->input = input;
  return (PyObject*)self;
}

void merge_context_end(PyObject* context) { ((MergeContextObject*)context)->input = NULL; }

static PyObject* raise_ended(void) {
  return PyErr_Format(PyExc_RuntimeError,
                      "the context of a UDF ends with its call: take what you need out of it");
}

static const dcf_udf_input* input_of(PyObject* self) {
  const dcf_udf_input* input = ((ContextObject*)self)->input;
  if (input == NULL) raise_ended();
  return input;
}

/* ---- What it knows ----------------------------------------------------------------------------
 */

static PyObject* bytes_object(const dcf_bytes* bytes) {
  return PyBytes_FromStringAndSize(bytes->data, (Py_ssize_t)bytes->size);
}

PyObject* decode_arguments(const dcf_bytes* bytes, const struct ArrowSchema* schema,
                           const struct ArrowArray* array) {
  if (schema == NULL) return bytes_object(bytes);
  if (is_scalar(schema, array)) return decode_scalar(schema, array);
  if (array->length == 1) return decode_row(schema, array);
  /* Only borrowed for the callback, but a Batch may be kept. */
  struct ArrowSchema schema_copy;
  struct ArrowArray array_copy;
  if (copy_schema(schema, &schema_copy) < 0) return NULL;
  if (concat_batches(schema, &array, 1, &array_copy) < 0) {
    release_schema(&schema_copy);
    return NULL;
  }
  return batch_take(&schema_copy, &array_copy);
}

static PyObject* context_id(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  return input != NULL ? vertex_id_of(&input->vertex) : NULL;
}

static PyObject* context_version(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  return input != NULL ? PyLong_FromUnsignedLongLong(input->version) : NULL;
}

static PyObject* context_remote(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  return input != NULL ? PyBool_FromLong(input->vertex_kind == DCF_VERTEX_REMOTE) : NULL;
}

static PyObject* context_children(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  return input != NULL ? vertex_ids_of(input->children, input->child_count) : NULL;
}

static PyObject* context_parents(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  return input != NULL ? vertex_ids_of(input->parents, input->parent_count) : NULL;
}

static PyObject* context_arguments(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  if (input == NULL) return NULL;
  return decode_arguments(&input->arguments, input->arguments_schema, input->arguments_array);
}

static PyObject* context_auxiliary(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  return input != NULL ? bytes_object(&input->auxiliary) : NULL;
}

static PyObject* context_cancelled(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  if (input == NULL) return NULL;
  const uint32_t* flag = input->cancelled;
  return PyBool_FromLong(flag != NULL && __atomic_load_n(flag, __ATOMIC_RELAXED) != 0);
}

static PyObject* context_remaining(PyObject* self, void* unused) {
  (void)unused;
  const dcf_udf_input* input = input_of(self);
  if (input == NULL) return NULL;
  if (input->deadline_ns == 0) Py_RETURN_NONE;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t left = input->deadline_ns - (int64_t)now.tv_sec * 1000000000 - now.tv_nsec;
  return PyFloat_FromDouble((double)left * 1e-9);
}

static PyObject* context_repr(PyObject* self) {
  const dcf_udf_input* input = ((ContextObject*)self)->input;
  if (input == NULL) return PyUnicode_FromString("<dcf.Context of a call that has ended>");
  PyObject* id = vertex_id_of(&input->vertex);
  if (id == NULL) return NULL;
  PyObject* repr = PyUnicode_FromFormat("<dcf.Context of vertex %S, version %llu>", id,
                                        (unsigned long long)input->version);
  Py_DECREF(id);
  return repr;
}

/* ---- What it wants done
 * -------------------------------------------------------------------------- */

static PyObject* finish_effect(dcf_status status, const char* what) {
  if (status == DCF_OK) Py_RETURN_NONE;
  dcf_error error = {.status = status};
  PyOS_snprintf(error.message, sizeof error.message, "%s was refused%s", what,
                status == DCF_UNSUPPORTED ? ": only a UDF with updates=True may change its vertex"
                : status == DCF_EXHAUSTED ? ": a limit of one calculate was reached"
                                          : "");
  raise_status(status, &error, NULL);
  return NULL;
}

/* The name under which a spawned function is known; registers it where that is still to be done. */
static int spawned_name(ContextObject* self, PyObject* udf, dcf_bytes* out) {
  dcf_udf handle;
  if (udf == Py_None) return 0;
  if (!PyObject_TypeCheck(udf, module_state.function_type)) {
    return text_bytes(udf, "the UDF to spawn", out);
  }
  FunctionObject* function = (FunctionObject*)udf;
  Registration* registration = self->registration;
  if (function_register(function, registration->worker, registration->functions, &handle) < 0) {
    return -1;
  }
  return text_bytes(function->name, "the UDF to spawn", out);
}

/* Arguments of a spawn: bytes are copied by libdcf, everything else moves as a record batch. */
static int spawned_arguments(PyObject* arguments, dcf_spawn* spawn, struct ArrowSchema* schema,
                             struct ArrowArray* array) {
  if (arguments == Py_None) return 0;
  if (PyBytes_Check(arguments)) return text_bytes(arguments, "arguments", &spawn->arguments);
  int result = PyDict_Check(arguments) ? build_batch(arguments, true, schema, array)
                                       : take_batch(arguments, schema, array);
  if (result < 0) return -1;
  spawn->arguments_schema = schema;
  spawn->arguments_array = array;
  return 0;
}

static PyObject* context_spawn(PyObject* object, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"target", "udf", "arguments", "once", NULL};
  ContextObject* self = (ContextObject*)object;
  PyObject *target, *udf = Py_None, *arguments = Py_None;
  int once = 0;
  dcf_spawn spawn = DCF_SPAWN_INIT;
  struct ArrowSchema schema;
  struct ArrowArray array;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$Op:spawn", names, &target, &udf, &arguments,
                                   &once)) {
    return NULL;
  }
  if (input_of(object) == NULL || vertex_id_from(target, &spawn.target) < 0 ||
      spawned_name(self, udf, &spawn.udf) < 0 ||
      spawned_arguments(arguments, &spawn, &schema, &array) < 0) {
    return NULL;
  }
  spawn.flags = once ? DCF_SPAWN_ONCE : 0;
  dcf_status status = self->output->api->spawn(self->output, &spawn);
  if (status != DCF_OK && spawn.arguments_schema != NULL) {
    release_schema(&schema);
    release_array(&array);
  }
  return finish_effect(status, "the spawn");
}

static PyObject* context_set_value(PyObject* object, PyObject* value) {
  ContextObject* self = (ContextObject*)object;
  struct ArrowSchema schema;
  struct ArrowArray array;
  if (input_of(object) == NULL) return NULL;
  int taken = take_batch(value, &schema, &array);
  if (taken < 0) return NULL;
  dcf_output* output = self->output;
  dcf_status status = taken > 0 ? output->api->set_value(output, NULL, NULL)
                                : output->api->set_value(output, &schema, &array);
  if (status != DCF_OK && taken == 0) {
    release_schema(&schema);
    release_array(&array);
  }
  return finish_effect(status, "the new value");
}

static PyObject* context_add_child(PyObject* object, PyObject* args, PyObject* kwargs) {
  static char* names[] = {"value", "name", NULL};
  ContextObject* self = (ContextObject*)object;
  PyObject *value = Py_None, *name = Py_None;
  dcf_bytes text;
  dcf_vertex_id id;
  struct ArrowSchema schema;
  struct ArrowArray array;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$O:add_child", names, &value, &name)) {
    return NULL;
  }
  if (input_of(object) == NULL || optional_text(name, "the name of a child", &text) < 0) {
    return NULL;
  }
  int taken = take_batch(value, &schema, &array);
  if (taken < 0) return NULL;
  const bool none = taken > 0;
  dcf_output* output = self->output;
  dcf_status status =
      output->api->add_child(output, text, none ? NULL : &schema, none ? NULL : &array, &id);
  if (status == DCF_OK) return vertex_id_of(&id);
  if (!none) {
    release_schema(&schema);
    release_array(&array);
  }
  return finish_effect(status, "the new child");
}

static PyObject* context_link(PyObject* object, PyObject* child) {
  dcf_output* output = ((ContextObject*)object)->output;
  dcf_vertex_id id;
  if (input_of(object) == NULL || vertex_id_from(child, &id) < 0) return NULL;
  return finish_effect(output->api->link(output, id), "the link");
}

static PyObject* context_unlink(PyObject* object, PyObject* child) {
  dcf_output* output = ((ContextObject*)object)->output;
  dcf_vertex_id id;
  if (input_of(object) == NULL || vertex_id_from(child, &id) < 0) return NULL;
  return finish_effect(output->api->unlink(output, id), "the unlink");
}

static PyObject* context_remove(PyObject* object, PyObject* unused) {
  (void)unused;
  dcf_output* output = ((ContextObject*)object)->output;
  if (input_of(object) == NULL) return NULL;
  return finish_effect(output->api->remove(output), "the removal");
}

static PyObject* context_log(PyObject* object, PyObject* args) {
  dcf_output* output = ((ContextObject*)object)->output;
  PyObject* text;
  int level = 0;
  dcf_bytes bytes;
  if (!PyArg_ParseTuple(args, "O|i:log", &text, &level)) return NULL;
  if (input_of(object) == NULL || text_bytes(text, "a log text", &bytes) < 0) return NULL;
  output->api->log(output, level, bytes);
  Py_RETURN_NONE;
}

/* ---- Merge and finish
 * -------------------------------------------------------------------------------- */

static PyObject* merge_arguments(PyObject* self, void* unused) {
  (void)unused;
  const dcf_merge_input* input = ((MergeContextObject*)self)->input;
  return input != NULL ? bytes_object(&input->arguments) : raise_ended();
}

static PyObject* merge_auxiliary(PyObject* self, void* unused) {
  (void)unused;
  const dcf_merge_input* input = ((MergeContextObject*)self)->input;
  return input != NULL ? bytes_object(&input->auxiliary) : raise_ended();
}

/* ---- The types
 * ------------------------------------------------------------------------------------------ */

PyDoc_STRVAR(context_doc,
             "What a calculate may ask and want done: its optional second parameter.\n"
             "\n"
             "It ends with the call. Effects (set_value, add_child, link, unlink, remove) need\n"
             "``@dcf.udf(updates=True)``; they concern the vertex that the function runs on, and\n"
             "appear together, after it returned.\n"
             "\n"
             ">>> @dcf.udf\n"
             "... def tree_sum(value: int, cx: dcf.Context) -> int:\n"
             "...     for child in cx.children:\n"
             "...         cx.spawn(child)\n"
             "...     return value\n"
             ">>> _ = tree_sum.merge(sum)\n"
             ">>> with dcf.open() as worker:\n"
             "...     root, leaf = worker.put('root', 1), worker.put('leaf', 41)\n"
             "...     root.link(leaf)\n"
             "...     worker.call(tree_sum, root)\n"
             "42\n");
PyDoc_STRVAR(
    spawn_doc,
    "spawn(target, udf=None, *, arguments=None, once=False)\n--\n\n"
    "Runs a function on another vertex as part of this call: this one, if `udf` is None.\n"
    "\n"
    "Its part is folded with the others. With `once`, equal spawns of one call run once.\n");
PyDoc_STRVAR(set_value_doc,
             "set_value(value)\n--\n\nReplaces the vertex's value; None leaves it without one.\n");
PyDoc_STRVAR(add_child_doc,
             "add_child(value=None, *, name=None)\n--\n\n"
             "Makes a vertex, links it as the last child, and gives its VertexID.\n");
PyDoc_STRVAR(link_doc, "link(child)\n--\n\nAppends a vertex to the children.\n");
PyDoc_STRVAR(unlink_doc, "unlink(child)\n--\n\nTakes a vertex out of the children.\n");
PyDoc_STRVAR(remove_doc, "remove()\n--\n\nDrops the vertex.\n");
PyDoc_STRVAR(log_doc,
             "log(text, level=0)\n--\n\nWrites to the log of the worker that runs this.\n");

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef context_methods[] = {
    {"spawn", KEYWORDS(context_spawn), METH_VARARGS | METH_KEYWORDS, spawn_doc},
    {"set_value", context_set_value, METH_O, set_value_doc},
    {"add_child", KEYWORDS(context_add_child), METH_VARARGS | METH_KEYWORDS, add_child_doc},
    {"link", context_link, METH_O, link_doc},
    {"unlink", context_unlink, METH_O, unlink_doc},
    {"remove", context_remove, METH_NOARGS, remove_doc},
    {"log", context_log, METH_VARARGS, log_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef context_members[] = {
    {"id", context_id, NULL, "The VertexID of the vertex.", NULL},
    {"version", context_version, NULL, "The version of its value that the function sees.", NULL},
    {"remote", context_remote, NULL, "Whether the data was fetched for this call.", NULL},
    {"children", context_children, NULL, "The VertexIDs of its children, in order.", NULL},
    {"parents", context_parents, NULL, "The VertexIDs of its parents; they may lag.", NULL},
    {"arguments", context_arguments, NULL,
     "The arguments: bytes, a number or text, a dict for a batch of one row, or a Batch.", NULL},
    {"auxiliary", context_auxiliary, NULL, "The bytes that the function was made with.", NULL},
    {"cancelled", context_cancelled, NULL, "Whether the caller gave up: stop soon.", NULL},
    {"remaining", context_remaining, NULL, "Seconds to the deadline; None without one.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot context_slots[] = {
    {Py_tp_doc, (void*)context_doc},  {Py_tp_dealloc, context_dealloc}, {Py_tp_repr, context_repr},
    {Py_tp_methods, context_methods}, {Py_tp_getset, context_members},  {0, NULL},
};

static PyType_Spec context_spec = {
    .name = "dcf.Context",
    .basicsize = sizeof(ContextObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = context_slots,
};

PyDoc_STRVAR(merge_context_doc,
             "What merge and finish may ask: their optional second parameter.\n");

static PyGetSetDef merge_context_members[] = {
    {"arguments", merge_arguments, NULL, "The arguments of the call, where they are bytes.", NULL},
    {"auxiliary", merge_auxiliary, NULL, "The bytes that the function was made with.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot merge_context_slots[] = {
    {Py_tp_doc, (void*)merge_context_doc},
    {Py_tp_dealloc, context_dealloc},
    {Py_tp_getset, merge_context_members},
    {0, NULL},
};

static PyType_Spec merge_context_spec = {
    .name = "dcf.MergeContext",
    .basicsize = sizeof(MergeContextObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = merge_context_slots,
};

int add_context_types(PyObject* module) {
  module_state.context_type = (PyTypeObject*)PyType_FromSpec(&context_spec);
  if (module_state.context_type == NULL) return -1;
  if (PyModule_AddType(module, module_state.context_type) < 0) return -1;
  module_state.merge_context_type = (PyTypeObject*)PyType_FromSpec(&merge_context_spec);
  if (module_state.merge_context_type == NULL) return -1;
  return PyModule_AddType(module, module_state.merge_context_type);
}
