/* The callbacks that libdcf runs: they enter the interpreter, call Python, and put its answer where
 * libdcf wants it. Whatever Python raises becomes a failure of the call, never of the process. */
#include <stdlib.h>

#include "dcf_python.h"

/* ---- Failures ------------------------------------------------------------------------------ */

static dcf_status fail(dcf_output* output, const char* text) {
  output->api->fail(output, (dcf_bytes){text, strlen(text)});
  return DCF_UDF_FAILED;
}

/* Reports the current exception, and keeps it for the caller where that is this thread. */
static dcf_status fail_with_exception(const Entry* entry, dcf_output* output) {
  PyObject* exception = take_exception();
  if (exception == NULL) return fail(output, "the callback failed without an exception");
  PyObject* text = PyObject_CallFunctionObjArgs(module_state.format_exception, exception, NULL);
  dcf_bytes message = {NULL, 0};
  if (text != NULL) text_bytes(text, "a traceback", &message);
  if (message.data != NULL) {
    if (message.size > kMaxFailureBytes) message.size = kMaxFailureBytes;
    output->api->fail(output, message);
  } else {
    PyErr_Clear();
    fail(output, "the function raised an exception that cannot be shown");
  }
  Py_XDECREF(text);
  if (entry_is_callers(entry)) {
    keep_raised(exception);
  } else {
    Py_DECREF(exception);
  }
  return DCF_UDF_FAILED;
}

static dcf_status ended(dcf_output* output) {
  return fail(output, "the Python interpreter of this function has ended");
}

/* ---- What the callable gets ------------------------------------------------------------------ */

static void free_view(void* view) { push_drop(view); }

static PyObject* apply_view(PyObject* view, PyObject* batch) {
  if (view == NULL || batch == NULL) return batch;
  PyObject* made = PyObject_CallFunctionObjArgs(view, batch, NULL);
  Py_DECREF(batch);
  return made;
}

/* The version's value as the parameter's annotation wants it. It is made once a version and kind of
 * view; the views are functions that live as long as the process, so their addresses are keys. */
static PyObject* input_view(const Callable* callable, const dcf_udf_input* input) {
  static const char batches;
  const void* key = callable->view != NULL ? (const void*)callable->view : &batches;
  if (input->schema == NULL) Py_RETURN_NONE;
  Drop* cached = dcf_input_view(input, key);
  if (cached != NULL) {
    Py_INCREF(cached->object);
    return cached->object;
  }
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_status status = dcf_input_export(input, &schema, &array);
  if (status != DCF_OK) {
    raise_status(status, NULL, NULL);
    return NULL;
  }
  PyObject* view = apply_view(callable->view, batch_take(&schema, &array));
  if (view == NULL) return NULL;
  Py_INCREF(view);
  if (drop_init(&cached, view) < 0) {
    PyErr_Clear(); /* no memory for a cache is no failure */
  } else if (dcf_input_set_view(input, key, cached, free_view) != DCF_OK) {
    Py_DECREF(view);
    free(cached);
  }
  return view;
}

static PyObject* part_view(const Callable* callable, const dcf_merge_input* input, size_t i) {
  const dcf_part* part =
      (const dcf_part*)((const char*)input->parts + i * (size_t)input->part_size);
  if (part->schema == NULL) {
    return PyBytes_FromStringAndSize(part->bytes.data, (Py_ssize_t)part->bytes.size);
  }
  if (is_scalar(part->schema, part->array)) return decode_scalar(part->schema, part->array);
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_status status = dcf_part_export(input, i, &schema, &array);
  if (status != DCF_OK) {
    raise_status(status, NULL, NULL);
    return NULL;
  }
  return apply_view(callable->view, batch_take(&schema, &array));
}

/* ---- What it answers ----------------------------------------------------------------------------
 */

static int give(dcf_output* output, PyObject* answer) {
  dcf_status status;
  if (PyBytes_Check(answer)) {
    dcf_bytes part;
    if (text_bytes(answer, "an answer", &part) < 0) return -1;
    status = output->api->bytes(output, part);
  } else {
    struct ArrowSchema schema;
    struct ArrowArray array;
    int taken = take_batch(answer, &schema, &array);
    if (taken != 0) return taken > 0 ? 0 : -1; /* None: no part */
    status = output->api->array(output, &schema, &array);
    if (status != DCF_OK) {
      release_schema(&schema);
      release_array(&array);
    }
  }
  if (status == DCF_OK) return 0;
  raise_status(status, NULL, NULL);
  return -1;
}

dcf_status python_calculate(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  Registration* registration = user_data;
  const Callable* calculate = &registration->function->calculate;
  dcf_status status = DCF_OK;
  PyObject* answer = NULL;
  Entry entry;
  if (!enter_interpreter(&entry)) return ended(output);
  PyObject* view = input_view(calculate, input);
  if (view != NULL && calculate->wants_context) {
    PyObject* context = context_new(input, output, registration);
    if (context != NULL) {
      answer = PyObject_CallFunctionObjArgs(calculate->callable, view, context, NULL);
      context_end(context);
      Py_DECREF(context);
    }
  } else if (view != NULL) {
    answer = PyObject_CallFunctionObjArgs(calculate->callable, view, NULL);
  }
  if (answer == NULL || give(output, answer) < 0) status = fail_with_exception(&entry, output);
  Py_XDECREF(answer);
  Py_XDECREF(view);
  leave_interpreter(&entry);
  return status;
}

static PyObject* call_with(const Callable* callable, PyObject* argument,
                           const dcf_merge_input* input) {
  if (!callable->wants_context) {
    return PyObject_CallFunctionObjArgs(callable->callable, argument, NULL);
  }
  PyObject* context = merge_context_new(input);
  if (context == NULL) return NULL;
  PyObject* answer = PyObject_CallFunctionObjArgs(callable->callable, argument, context, NULL);
  merge_context_end(context);
  Py_DECREF(context);
  return answer;
}

static PyObject* part_list(const Callable* callable, const dcf_merge_input* input) {
  PyObject* parts = PyList_New((Py_ssize_t)input->part_count);
  for (size_t i = 0; parts != NULL && i < input->part_count; i++) {
    PyObject* part = part_view(callable, input, i);
    if (part == NULL || PyList_SetItem(parts, (Py_ssize_t)i, part) < 0) Py_CLEAR(parts);
  }
  return parts;
}

static dcf_status fold(const Callable* callable, bool list, const dcf_merge_input* input,
                       dcf_output* output) {
  dcf_status status = DCF_OK;
  Entry entry;
  if (!enter_interpreter(&entry)) return ended(output);
  PyObject* argument = list ? part_list(callable, input) : part_view(callable, input, 0);
  PyObject* answer = argument != NULL ? call_with(callable, argument, input) : NULL;
  if (answer == NULL || give(output, answer) < 0) status = fail_with_exception(&entry, output);
  Py_XDECREF(answer);
  Py_XDECREF(argument);
  leave_interpreter(&entry);
  return status;
}

dcf_status python_merge(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  return fold(&((Registration*)user_data)->function->merge, true, input, output);
}

dcf_status python_finish(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  return fold(&((Registration*)user_data)->function->finish, false, input, output);
}
