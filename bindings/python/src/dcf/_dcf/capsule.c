/* Arrow's PyCapsule interface, in both directions. */
#include <stdlib.h>

#include "dcf_python.h"

static const char kSchema[] = "arrow_schema";
static const char kArray[] = "arrow_array";
static const char kStream[] = "arrow_array_stream";

/* ---- Out ---------------------------------------------------------------------- */

static void free_schema_capsule(PyObject* capsule) {
  struct ArrowSchema* schema = PyCapsule_GetPointer(capsule, kSchema);
  release_schema(schema);
  free(schema);
}

static void free_array_capsule(PyObject* capsule) {
  struct ArrowArray* array = PyCapsule_GetPointer(capsule, kArray);
  release_array(array);
  free(array);
}

static void free_stream_capsule(PyObject* capsule) {
  struct ArrowArrayStream* stream = PyCapsule_GetPointer(capsule, kStream);
  if (!interpreter_is_forked()) release_stream(stream);
  free(stream);
}

PyObject* schema_capsule(Holder* holder, const struct ArrowSchema* node) {
  struct ArrowSchema* schema = malloc(sizeof *schema);
  if (schema == NULL) return PyErr_NoMemory();
  if (holder_export_schema(holder, node, schema) < 0) {
    free(schema);
    return PyErr_NoMemory();
  }
  PyObject* capsule = PyCapsule_New(schema, kSchema, free_schema_capsule);
  if (capsule == NULL) {
    release_schema(schema);
    free(schema);
  }
  return capsule;
}

static PyObject* array_capsule(Holder* holder, const struct ArrowArray* node) {
  struct ArrowArray* array = malloc(sizeof *array);
  if (array == NULL) return PyErr_NoMemory();
  if (holder_export_array(holder, node, array) < 0) {
    free(array);
    return PyErr_NoMemory();
  }
  PyObject* capsule = PyCapsule_New(array, kArray, free_array_capsule);
  if (capsule == NULL) {
    release_array(array);
    free(array);
  }
  return capsule;
}

PyObject* array_capsules(Holder* holder, const struct ArrowSchema* schema,
                         const struct ArrowArray* array) {
  PyObject* first = schema_capsule(holder, schema);
  if (first == NULL) return NULL;
  PyObject* second = array_capsule(holder, array);
  if (second == NULL) {
    Py_DECREF(first);
    return NULL;
  }
  PyObject* pair = PyTuple_Pack(2, first, second);
  Py_DECREF(first);
  Py_DECREF(second);
  return pair;
}

PyObject* stream_capsule(struct ArrowArrayStream* stream) {
  struct ArrowArrayStream* moved = malloc(sizeof *moved);
  if (moved == NULL) {
    release_stream(stream);
    return PyErr_NoMemory();
  }
  *moved = *stream;
  stream->release = NULL;
  PyObject* capsule = PyCapsule_New(moved, kStream, free_stream_capsule);
  if (capsule == NULL) {
    release_stream(moved);
    free(moved);
  }
  return capsule;
}

/* ---- In ----------------------------------------------------------------------- */

static int has_method(PyObject* object, const char* name) {
  /* Looked up on the class, as every special method is: asking a class object or a module that
   * makes up attributes would mislead. */
  PyObject* method = PyObject_GetAttrString((PyObject*)Py_TYPE(object), name);
  if (method != NULL) {
    Py_DECREF(method);
    return 1;
  }
  if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
  PyErr_Clear();
  return 0;
}

int capsule_offer(PyObject* object) {
  int has = has_method(object, "__arrow_c_array__");
  if (has != 0) return has;
  has = has_method(object, "__arrow_c_stream__");
  return has > 0 ? 2 : has;
}

int capsule_schema(PyObject* object, struct ArrowSchema* schema) {
  PyObject* capsule = PyObject_CallMethod(object, "__arrow_c_schema__", NULL);
  if (capsule == NULL) return -1;
  int result = -1;
  struct ArrowSchema* given = PyCapsule_GetPointer(capsule, kSchema);
  if (given != NULL && given->release == NULL) {
    PyErr_Format(PyExc_ValueError, "%R: __arrow_c_schema__ gave a released schema",
                 (PyObject*)Py_TYPE(object));
  } else if (given != NULL) {
    *schema = *given;
    given->release = NULL;
    result = 0;
  }
  Py_DECREF(capsule);
  return result;
}

int capsule_array(PyObject* object, struct ArrowSchema* schema, struct ArrowArray* array) {
  PyObject* pair = PyObject_CallMethod(object, "__arrow_c_array__", NULL);
  if (pair == NULL) return -1;
  int result = -1;
  if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
    PyErr_Format(PyExc_TypeError, "%R: __arrow_c_array__ must give a pair of capsules",
                 (PyObject*)Py_TYPE(object));
  } else {
    struct ArrowSchema* s = PyCapsule_GetPointer(PyTuple_GetItem(pair, 0), kSchema);
    struct ArrowArray* a =
        s != NULL ? PyCapsule_GetPointer(PyTuple_GetItem(pair, 1), kArray) : NULL;
    if (a != NULL && (s->release == NULL || a->release == NULL)) {
      PyErr_Format(PyExc_ValueError, "%R: __arrow_c_array__ gave a released array",
                   (PyObject*)Py_TYPE(object));
    } else if (a != NULL) {
      *schema = *s;
      *array = *a;
      s->release = NULL;
      a->release = NULL;
      result = 0;
    }
  }
  Py_DECREF(pair);
  return result;
}

int capsule_stream(PyObject* object, struct ArrowArrayStream* out) {
  PyObject* capsule = PyObject_CallMethod(object, "__arrow_c_stream__", NULL);
  if (capsule == NULL) return -1;
  int result = -1;
  struct ArrowArrayStream* stream = PyCapsule_GetPointer(capsule, kStream);
  if (stream != NULL && stream->release == NULL) {
    PyErr_Format(PyExc_ValueError, "%R: __arrow_c_stream__ gave a released stream",
                 (PyObject*)Py_TYPE(object));
  } else if (stream != NULL) {
    *out = *stream;
    stream->release = NULL;
    result = 0;
  }
  Py_DECREF(capsule);
  return result;
}

/* ---- A whole stream as one array ------------------------------------------------- */

static void raise_stream(struct ArrowArrayStream* stream, int error) {
  const char* text = stream->get_last_error(stream);
  PyErr_Format(PyExc_OSError, "the Arrow stream failed (%d): %s", error,
               text != NULL ? text : strerror(error));
}

typedef struct {
  struct ArrowArray* arrays;
  Py_ssize_t count, capacity;
} Chunks;

static int read_chunks(struct ArrowArrayStream* stream, Chunks* chunks) {
  for (;;) {
    if (chunks->count == chunks->capacity) {
      Py_ssize_t capacity = chunks->capacity > 0 ? 2 * chunks->capacity : 4;
      void* grown = realloc(chunks->arrays, (size_t)capacity * sizeof *chunks->arrays);
      if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
      }
      chunks->arrays = grown;
      chunks->capacity = capacity;
    }
    struct ArrowArray* next = &chunks->arrays[chunks->count];
    next->release = NULL;
    give_interpreter();
    int error = stream->get_next(stream, next);
    if (!take_interpreter()) {
      if (error == 0) release_array(next);
      return -1;
    }
    if (error != 0) {
      raise_stream(stream, error);
      return -1;
    }
    if (next->release == NULL) return 0;
    chunks->count++;
  }
}

/* Joins batches, or columns of any type. */
typedef int (*Join)(const struct ArrowSchema* schema, const struct ArrowArray* const* sources,
                    Py_ssize_t count, struct ArrowArray* out);

static int join_chunks(const struct ArrowSchema* schema, Chunks* chunks, Join join,
                       struct ArrowArray* out) {
  if (chunks->count == 1) {
    *out = chunks->arrays[0];
    chunks->arrays[0].release = NULL;
    return 0;
  }
  const struct ArrowArray** sources = malloc(((size_t)chunks->count + 1) * sizeof *sources);
  if (sources == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < chunks->count; i++) sources[i] = &chunks->arrays[i];
  int result = join(schema, sources, chunks->count, out);
  free(sources);
  return result;
}

static int collect(struct ArrowArrayStream* stream, Join join, struct ArrowSchema* schema,
                   struct ArrowArray* array) {
  Chunks chunks = {NULL, 0, 0};
  int result = -1;
  schema->release = NULL;
  give_interpreter();
  int error = stream->get_schema(stream, schema);
  if (!take_interpreter()) {
    if (error == 0) release_schema(schema);
  } else if (error != 0) {
    raise_stream(stream, error);
  } else if (read_chunks(stream, &chunks) < 0 || join_chunks(schema, &chunks, join, array) < 0) {
    release_schema(schema);
  } else {
    result = 0;
  }
  for (Py_ssize_t i = 0; i < chunks.count; i++) release_array(&chunks.arrays[i]);
  free(chunks.arrays);
  release_stream(stream);
  return result;
}

int stream_collect(struct ArrowArrayStream* stream, struct ArrowSchema* schema,
                   struct ArrowArray* array) {
  return collect(stream, concat_batches, schema, array);
}

int stream_collect_column(struct ArrowArrayStream* stream, struct ArrowSchema* schema,
                          struct ArrowArray* array) {
  return collect(stream, concat_columns, schema, array);
}
