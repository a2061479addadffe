/* One call: what Python passed becomes a dcf_call, and what it answered a Python value.
 *
 * Worker.call on a local vertex is the hot path of the whole package. Its call lies on the stack,
 * its handles are read out of the objects passed, and a result of up to kResultBuffer bytes needs
 * no memory from libdcf. */
#include <stdlib.h>

#include "dcf_python.h"

/* ---- What is called --------------------------------------------------------------------- */

static int resolve_function(CallFrame* frame, WorkerObject* worker, PyObject* function) {
  if (PyObject_TypeCheck(function, module_state.function_type)) {
    Py_INCREF(function);
  } else if (PyUnicode_Check(function)) {
    function = PyObject_CallMethod((PyObject*)worker, "_named", "O", function);
    if (function == NULL) return -1;
  } else {
    PyErr_Format(PyExc_TypeError,
                 "a UDF or the name of one is wanted, not %R: decorate the function with @dcf.udf",
                 (PyObject*)Py_TYPE(function));
    return -1;
  }
  frame->function = function;
  if (function_at(function, worker, &frame->call.udf) < 0) return -1;
  frame->scalar = ((FunctionObject*)function)->scalar; /* known once it is defined */
  return 0;
}

/* ---- What it is called on ------------------------------------------------------------------ */

/* Nearly every vertex is of the one class, which costs a comparison instead of a search. */
static bool is_vertex(PyObject* target) {
  return (PyObject*)Py_TYPE(target) == module_state.make_vertex ||
         PyObject_TypeCheck(target, module_state.vertex_type);
}

static int vertex_handle(PyObject* target, dcf_vertex* out) {
  VertexObject* vertex = (VertexObject*)target;
  if (vertex->handle.handle == 0) {
    const dcf_error error = {.status = DCF_BAD_HANDLE, .message = "the vertex handle was released"};
    raise_status(DCF_BAD_HANDLE, &error, NULL);
    return -1;
  }
  *out = vertex->handle;
  return 0;
}

/* Several targets are all handles, or else all ids. Items of `list` are borrowed. */
static int resolve_list(CallFrame* frame, PyObject* list, Py_ssize_t count) {
  bool handles = true;
  for (Py_ssize_t i = 0; handles && i < count; i++) {
    handles = is_vertex(PyList_GetItem(list, i));
  }
  const size_t each = handles ? sizeof *frame->targets : sizeof *frame->ids;
  void* memory = malloc(((size_t)count + 1) * each);
  if (memory == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  if (handles) {
    frame->targets = memory;
  } else {
    frame->ids = memory;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject* item = PyList_GetItem(list, i);
    int result =
        handles ? vertex_handle(item, &frame->targets[i]) : vertex_id_from(item, &frame->ids[i]);
    if (result < 0) return -1;
  }
  frame->call.targets = frame->targets;
  frame->more.target_ids = frame->ids;
  frame->call.target_count = (size_t)count;
  return 0;
}

static int resolve_target(CallFrame* frame, WorkerObject* worker, PyObject* target) {
  if (is_vertex(target)) {
    Py_INCREF(target);
    frame->target = target;
    frame->call.targets = &frame->one_target;
    frame->call.target_count = 1;
    return vertex_handle(target, &frame->one_target);
  }
  if (Py_TYPE(target) == module_state.vertex_id_type) {
    frame->more.target_ids = &frame->one_id;
    frame->call.target_count = 1;
    return vertex_id_from(target, &frame->one_id);
  }
  if (PyUnicode_Check(target)) {
    PyObject* vertex = PyObject_CallMethod((PyObject*)worker, "vertex", "O", target);
    if (vertex == NULL) return -1;
    int result = resolve_target(frame, worker, vertex);
    Py_DECREF(vertex);
    return result;
  }
  PyObject* list = PySequence_List(target);
  if (list == NULL) {
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
      PyErr_Format(PyExc_TypeError,
                   "a call's target is a vertex, its name or id, or a list of them, not %R",
                   (PyObject*)Py_TYPE(target));
    }
    return -1;
  }
  frame->target = list;
  return resolve_list(frame, list, PyList_Size(list));
}

/* ---- What it is told ---------------------------------------------------------------------------
 */

static int hold_arguments(CallFrame* frame, Holder* holder) {
  frame->arguments = holder;
  frame->more.arguments_schema = &holder->schema;
  frame->more.arguments_array = &holder->array;
  return 0;
}

/* Steals the bytes object; NULL is one that could not be made. */
static int hold_bytes(CallFrame* frame, PyObject* bytes) {
  if (bytes == NULL) return -1;
  frame->bytes = bytes;
  frame->call.arguments = (dcf_bytes){PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes)};
  return 0;
}

static int resolve_arguments(CallFrame* frame, PyObject* arguments) {
  if (arguments == NULL || arguments == Py_None) {
    PyObject* own = ((FunctionObject*)frame->function)->arguments;
    return own != NULL ? hold_arguments(frame, holder_keep(batch_holder(own))) : 0;
  }
  if (PyBytes_Check(arguments)) {
    Py_INCREF(arguments);
    return hold_bytes(frame, arguments);
  }
  if (Py_TYPE(arguments) == module_state.batch_type) {
    return hold_arguments(frame, holder_keep(batch_holder(arguments)));
  }
  if (PyObject_CheckBuffer(arguments) && capsule_offer(arguments) == 0) {
    return hold_bytes(frame, PyBytes_FromObject(arguments)); /* a bytearray may change meanwhile */
  }
  if (PyErr_Occurred()) return -1;
  struct ArrowSchema schema;
  struct ArrowArray array;
  int result = PyDict_Check(arguments) ? build_batch(arguments, true, &schema, &array)
                                       : take_batch(arguments, &schema, &array);
  if (result < 0) return -1;
  Holder* holder = holder_take(&schema, &array);
  return holder == NULL ? -1 : hold_arguments(frame, holder);
}

static int set_flag(CallFrame* frame, PyObject* value, uint32_t flag) {
  int truth = PyObject_IsTrue(value);
  if (truth > 0) frame->call.flags |= flag;
  return truth < 0 ? -1 : 0;
}

static int resolve_keyword(CallFrame* frame, PyObject* name, PyObject* value,
                           PyObject** arguments) {
  if (name == module_state.arguments_name ||
      PyUnicode_CompareWithASCIIString(name, "arguments") == 0) {
    *arguments = value;
    return 0;
  }
  if (PyUnicode_CompareWithASCIIString(name, "timeout") == 0) {
    return timeout_ns(value, &frame->call.timeout_ns);
  }
  if (PyUnicode_CompareWithASCIIString(name, "at_owner") == 0) {
    return set_flag(frame, value, DCF_CALL_AT_OWNER);
  }
  if (PyUnicode_CompareWithASCIIString(name, "here") == 0) {
    return set_flag(frame, value, DCF_CALL_HERE);
  }
  PyErr_Format(PyExc_TypeError,
               "a call takes no keyword %R: arguments, timeout, at_owner and here it does", name);
  return -1;
}

static void call_init(CallFrame* frame) {
  frame->call = (dcf_call)DCF_CALL_INIT;
  frame->call.buffer = frame->buffer;
  frame->call.buffer_size = sizeof frame->buffer;
  frame->call.more = &frame->more;
  frame->call.error = &frame->error;
  memset(&frame->more, 0, sizeof frame->more);
  frame->more.struct_size = sizeof frame->more;
  frame->error.status = DCF_OK;
  frame->targets = NULL;
  frame->ids = NULL;
  frame->arguments = NULL;
  frame->bytes = NULL;
  frame->target = NULL;
  frame->function = NULL;
  frame->scalar = false;
}

int call_prepare(CallFrame* frame, WorkerObject* worker, PyObject* const* args, Py_ssize_t count,
                 PyObject* names) {
  PyObject* arguments = NULL;
  call_init(frame);
  if (worker_refuses(worker)) return -1;
  if (count != 2) {
    PyErr_Format(PyExc_TypeError, "a call takes a UDF and a target, and got %zd such arguments",
                 count);
    return -1;
  }
  const Py_ssize_t keywords = names != NULL ? PyTuple_Size(names) : 0;
  for (Py_ssize_t i = 0; i < keywords; i++) {
    PyObject* name = PyTuple_GetItem(names, i);
    if (resolve_keyword(frame, name, args[count + i], &arguments) < 0) return -1;
  }
  if (resolve_function(frame, worker, args[0]) < 0) return -1;
  if (resolve_target(frame, worker, args[1]) < 0) return -1;
  return resolve_arguments(frame, arguments);
}

void call_move(CallFrame* from, CallFrame* to) {
  memcpy(to, from, offsetof(CallFrame, buffer));
  to->call.buffer = to->buffer;
  to->call.more = &to->more;
  to->call.error = &to->error;
  if (from->call.targets == &from->one_target) to->call.targets = &to->one_target;
  if (from->more.target_ids == &from->one_id) to->more.target_ids = &to->one_id;
  call_init(from);
}

void call_release(CallFrame* frame) {
  /* A call that holds nothing of libdcf's saves the crossing. */
  if (frame->more.held != 0 || frame->call.ticket != 0) dcf_call_clear(&frame->call);
  if (frame->targets != NULL) free(frame->targets);
  if (frame->ids != NULL) free(frame->ids);
  if (frame->arguments != NULL) holder_drop(frame->arguments);
  Py_XDECREF(frame->bytes);
  Py_XDECREF(frame->target);
  Py_XDECREF(frame->function);
}

/* ---- What it answered
 * ------------------------------------------------------------------------------ */

/* Takes both over. */
static PyObject* value_of(bool scalar, struct ArrowSchema* schema, struct ArrowArray* array) {
  if (!is_scalar(schema, array) &&
      !(scalar && array->length == 1 && schema->n_children == 1 && schema->format[0] == '+')) {
    return batch_take(schema, array);
  }
  PyObject* value = decode_scalar(schema, array);
  release_schema(schema);
  release_array(array);
  return value;
}

static PyObject* bytes_of(const CallFrame* frame) {
  const dcf_call* call = &frame->call;
  const bool fits = call->result_size <= call->buffer_size;
  return PyBytes_FromStringAndSize(fits ? call->buffer : frame->more.result_bytes.data,
                                   (Py_ssize_t)call->result_size);
}

/* Appends what one batch of a stream of parts stands for: parts in bytes are the rows of one
 * column `part`, any other batch is a part by itself. Steals the batch. */
static int append_part(PyObject* parts, PyObject* batch) {
  Holder* holder = batch_holder(batch);
  const struct ArrowSchema* schema = &holder->schema;
  PyObject* part;
  if (schema->n_children == 1 && strcmp(schema->children[0]->name, "part") == 0 &&
      strcmp(schema->children[0]->format, "Z") == 0) {
    PyObject* rows = decode_column(schema->children[0], holder->array.children[0]);
    Py_DECREF(batch);
    part = rows != NULL ? PyObject_CallMethod(parts, "extend", "O", rows) : NULL;
    Py_XDECREF(rows);
    Py_XDECREF(part);
    return part != NULL ? 0 : -1;
  }
  if (is_scalar(schema, &holder->array)) {
    part = decode_scalar(schema, &holder->array);
    Py_DECREF(batch);
  } else {
    part = batch;
  }
  int result = part != NULL ? PyList_Append(parts, part) : -1;
  Py_XDECREF(part);
  return result;
}

static PyObject* parts_of(CallFrame* frame) {
  struct ArrowArrayStream stream = frame->more.result_parts;
  frame->more.result_parts.release = NULL;
  PyObject* source = stream_of(&stream);
  PyObject* parts = source != NULL ? PyList_New(0) : NULL;
  PyObject* batch = NULL;
  while (parts != NULL && (batch = PyIter_Next(source)) != NULL) {
    if (append_part(parts, batch) < 0) Py_CLEAR(parts);
  }
  Py_XDECREF(source);
  if (PyErr_Occurred()) Py_CLEAR(parts);
  return parts;
}

PyObject* call_result(CallFrame* frame) {
  const dcf_call* call = &frame->call;
  if (call->status != DCF_OK) {
    raise_status(call->status, &frame->error, &frame->more.error_detail);
    return NULL;
  }
  switch (call->result_kind) {
    case DCF_RESULT_BYTES:
      return bytes_of(frame);
    case DCF_RESULT_ARRAY: {
      struct ArrowSchema schema = frame->more.result_schema;
      struct ArrowArray array = frame->more.result_array;
      frame->more.result_schema.release = NULL;
      frame->more.result_array.release = NULL;
      return value_of(frame->scalar, &schema, &array);
    }
    case DCF_RESULT_PARTS:
      return parts_of(frame);
    default:
      Py_RETURN_NONE;
  }
}

PyObject* call_facts(const CallFrame* frame) {
  const dcf_call_more* more = &frame->more;
  return Py_BuildValue("(KKiLKKi)", (unsigned long long)more->result_version,
                       (unsigned long long)more->served_by, (int)more->served_how,
                       (long long)more->served_ns, (unsigned long long)more->bytes_moved,
                       (unsigned long long)more->bytes_fetched, (int)frame->call.effects);
}

/* ---- Worker.call
 * ------------------------------------------------------------------------------------- */

/* Python's own exception beats the status that libdcf made of it: a KeyboardInterrupt or SystemExit
 * inside of a function on this thread goes on as itself, any other becomes the cause. */
static PyObject* with_cause(PyObject* raised) {
  if (raised == NULL) return NULL;
  if (!PyObject_TypeCheck(raised, (PyTypeObject*)PyExc_Exception)) {
    PyErr_Clear();
    raise_exception(raised);
    return NULL;
  }
  PyObject* exception = take_exception();
  PyException_SetCause(exception, raised);
  raise_exception(exception);
  return NULL;
}

/* What a run of the call gave. */
static PyObject* finish(CallFrame* frame, dcf_status status, const dcf_error* error) {
  PyObject* raised = take_raised();
  PyObject* result = NULL;
  if (status == DCF_OK) {
    result = call_result(frame);
  } else {
    raise_status(status, error, NULL);
  }
  if (raised != NULL) {
    if (result == NULL) return with_cause(raised);
    Py_DECREF(raised);
  }
  return result;
}

bool call_try(CallFrame* frame, WorkerObject* worker, PyObject** result) {
  const uint32_t flags = frame->call.flags;
  size_t done = 0;
  dcf_error error;
  frame->call.flags = flags | DCF_CALL_INLINE;
  hold_interpreter();
  dcf_status status = dcf_call_try(worker->handle, &frame->call, 1, &done, &error);
  let_interpreter();
  frame->call.flags = flags;
  if (status == DCF_OK && done == 0) return false;
  *result = finish(frame, status, &error);
  return true;
}

static PyObject* run(CallFrame* frame, WorkerObject* worker) {
  PyObject* result;
  dcf_error error;
  if (((FunctionObject*)frame->function)->holds && call_try(frame, worker, &result)) return result;
  give_interpreter();
  dcf_status status = dcf_call_run(worker->handle, &frame->call, 1, &error);
  if (take_interpreter()) return finish(frame, status, &error);
  Py_XDECREF(take_raised());
  return NULL;
}

PyObject* worker_call(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  CallFrame frame;
  PyObject* result = NULL;
  if (call_prepare(&frame, (WorkerObject*)self, args, count, names) == 0) {
    result = run(&frame, (WorkerObject*)self);
  }
  call_release(&frame);
  return result;
}

PyObject* worker_measure(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  CallFrame frame;
  PyObject* answer = NULL;
  if (call_prepare(&frame, (WorkerObject*)self, args, count, names) == 0) {
    frame.call.flags |= DCF_CALL_TIMED;
    PyObject* result = run(&frame, (WorkerObject*)self);
    PyObject* facts = result != NULL ? call_facts(&frame) : NULL;
    if (facts != NULL) answer = PyTuple_Pack(2, result, facts);
    Py_XDECREF(result);
    Py_XDECREF(facts);
  }
  call_release(&frame);
  return answer;
}
