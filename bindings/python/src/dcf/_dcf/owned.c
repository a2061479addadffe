/* Arrow structures made here: schemas with copied strings, arrays with buffers from malloc or
 * borrowed from a Python object that they keep. */
#include <stdlib.h>

#include "dcf_python.h"

/* ---- Schemas ---------------------------------------------------------------------- */

static void release_owned_schema(struct ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; i++) release_schema(schema->children[i]);
  free(schema->children);
  if (schema->dictionary != NULL) {
    release_schema(schema->dictionary);
    free(schema->dictionary);
  }
  free((void*)schema->format);
  free((void*)schema->name);
  free((void*)schema->metadata);
  schema->release = NULL;
}

static int owned_schema(const char* format, const char* name, int64_t children,
                        struct ArrowSchema* out) {
  memset(out, 0, sizeof *out);
  out->flags = ARROW_FLAG_NULLABLE;
  out->release = release_owned_schema;
  out->format = strdup(format);
  out->name = strdup(name);
  const size_t n = (size_t)children;
  if (n > 0) {
    out->children = calloc(n, sizeof(struct ArrowSchema*) + sizeof(struct ArrowSchema));
    if (out->children != NULL) {
      struct ArrowSchema* nodes = (struct ArrowSchema*)(out->children + n);
      for (size_t i = 0; i < n; i++) out->children[i] = &nodes[i];
      out->n_children = children;
    }
  }
  if (out->format != NULL && out->name != NULL && (n == 0 || out->children != NULL)) return 0;
  release_schema(out);
  return -1;
}

int new_schema(const char* format, const char* name, int64_t children, struct ArrowSchema* out) {
  if (owned_schema(format, name, children, out) == 0) return 0;
  PyErr_NoMemory();
  return -1;
}

/* The size of a metadata block: a count, then keys and values, each with its length before it. */
static size_t metadata_size(const char* metadata) {
  int32_t pairs, length;
  size_t at = sizeof pairs;
  memcpy(&pairs, metadata, sizeof pairs);
  for (int32_t i = 0; i < 2 * pairs; i++) {
    memcpy(&length, metadata + at, sizeof length);
    at += sizeof length + (size_t)length;
  }
  return at;
}

int copy_schema(const struct ArrowSchema* schema, struct ArrowSchema* out) {
  const char* name = schema->name != NULL ? schema->name : "";
  if (new_schema(schema->format, name, schema->n_children, out) < 0) return -1;
  out->flags = schema->flags;
  if (schema->metadata != NULL) {
    size_t size = metadata_size(schema->metadata);
    char* metadata = malloc(size);
    if (metadata == NULL) goto no_memory;
    out->metadata = memcpy(metadata, schema->metadata, size);
  }
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (copy_schema(schema->children[i], out->children[i]) < 0) goto failed;
  }
  if (schema->dictionary != NULL) {
    out->dictionary = calloc(1, sizeof *out->dictionary);
    if (out->dictionary == NULL) goto no_memory;
    if (copy_schema(schema->dictionary, out->dictionary) < 0) goto failed;
  }
  return 0;
no_memory:
  PyErr_NoMemory();
failed:
  release_schema(out);
  return -1;
}

/* A schema from elsewhere may be renamed only through a node of our own, which keeps it. */
typedef struct {
  struct ArrowSchema inner;
  char name[];
} Renamed;

static void release_renamed(struct ArrowSchema* schema) {
  Renamed* renamed = schema->private_data;
  release_schema(&renamed->inner);
  free(renamed);
  schema->release = NULL;
}

int rename_schema(struct ArrowSchema* schema, const char* name) {
  size_t size = strlen(name) + 1;
  Renamed* renamed = malloc(sizeof *renamed + size);
  if (renamed == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  renamed->inner = *schema;
  schema->name = memcpy(renamed->name, name, size);
  schema->release = release_renamed;
  schema->private_data = renamed;
  return 0;
}

/* ---- Arrays ------------------------------------------------------------------------- */

typedef struct {
  Drop* owner; /* not NULL: the buffers are that object's */
  const void* buffers[3];
} OwnedArray;

static void release_owned_array(struct ArrowArray* array) {
  OwnedArray* owned = array->private_data;
  for (int64_t i = 0; i < array->n_children; i++) release_array(array->children[i]);
  free(array->children);
  if (array->dictionary != NULL) {
    release_array(array->dictionary);
    free(array->dictionary);
  }
  if (owned->owner != NULL) {
    push_drop(owned->owner);
  } else {
    for (int64_t i = 0; i < array->n_buffers; i++) free((void*)owned->buffers[i]);
  }
  free(owned);
  array->release = NULL;
}

int new_array(int64_t length, int64_t null_count, int64_t buffers, int64_t children,
              struct ArrowArray* out) {
  memset(out, 0, sizeof *out);
  OwnedArray* owned = calloc(1, sizeof *owned);
  if (owned == NULL) goto no_memory;
  out->length = length;
  out->null_count = null_count;
  out->n_buffers = buffers;
  out->buffers = owned->buffers;
  out->private_data = owned;
  out->release = release_owned_array;
  const size_t n = (size_t)children;
  if (n > 0) {
    out->children = calloc(n, sizeof(struct ArrowArray*) + sizeof(struct ArrowArray));
    if (out->children == NULL) {
      release_array(out);
      goto no_memory;
    }
    struct ArrowArray* nodes = (struct ArrowArray*)(out->children + n);
    for (size_t i = 0; i < n; i++) out->children[i] = &nodes[i];
    out->n_children = children;
  }
  return 0;
no_memory:
  PyErr_NoMemory();
  return -1;
}

int array_owner(struct ArrowArray* array, PyObject* owner) {
  OwnedArray* owned = array->private_data;
  return drop_init(&owned->owner, owner);
}

int wrap_columns(struct ArrowSchema* schemas, struct ArrowArray* arrays, int64_t count,
                 int64_t rows, struct ArrowSchema* schema, struct ArrowArray* array) {
  if (new_schema("+s", "", count, schema) < 0) return -1;
  schema->flags = 0;
  if (new_array(rows, 0, 1, count, array) < 0) {
    release_schema(schema);
    return -1;
  }
  for (int64_t i = 0; i < count; i++) {
    *schema->children[i] = schemas[i];
    *array->children[i] = arrays[i];
    schemas[i].release = NULL;
    arrays[i].release = NULL;
  }
  return 0;
}

/* ---- 1 x 1 ---------------------------------------------------------------------------- */

/* The answer of a function that gives one number is made by every call of it, so schema, array
 * and value are one block from malloc, freed by whichever of its four nodes is released last. */
typedef struct {
  atomic_int nodes;
  struct ArrowSchema column_schema;
  struct ArrowArray column;
  struct ArrowSchema* schemas[1];
  struct ArrowArray* arrays[1];
  const void* batch_buffers[1];
  const void* buffers[3];
  int32_t offsets[2];
  char data[];
} Scalar;

static void scalar_drop(Scalar* scalar) {
  if (atomic_fetch_sub_explicit(&scalar->nodes, 1, memory_order_acq_rel) == 1) free(scalar);
}

static void release_scalar_schema(struct ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; i++) release_schema(schema->children[i]);
  schema->release = NULL;
  scalar_drop(schema->private_data);
}

static void release_scalar_array(struct ArrowArray* array) {
  for (int64_t i = 0; i < array->n_children; i++) release_array(array->children[i]);
  array->release = NULL;
  scalar_drop(array->private_data);
}

static int scalar_of(const char* format, const void* value, size_t size, struct ArrowSchema* schema,
                     struct ArrowArray* array) {
  const bool text = format[0] == 'u';
  Scalar* scalar = malloc(sizeof *scalar + (size > 8 ? size : 8));
  if (scalar == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  atomic_init(&scalar->nodes, 4);
  scalar->column_schema = (struct ArrowSchema){.format = format,
                                               .name = "",
                                               .flags = ARROW_FLAG_NULLABLE,
                                               .release = release_scalar_schema,
                                               .private_data = scalar};
  scalar->column = (struct ArrowArray){.length = 1,
                                       .n_buffers = text ? 3 : 2,
                                       .buffers = scalar->buffers,
                                       .release = release_scalar_array,
                                       .private_data = scalar};
  scalar->schemas[0] = &scalar->column_schema;
  scalar->arrays[0] = &scalar->column;
  scalar->batch_buffers[0] = NULL;
  scalar->offsets[0] = 0;
  scalar->offsets[1] = (int32_t)size;
  scalar->buffers[0] = NULL;
  scalar->buffers[1] = text ? (const void*)scalar->offsets : scalar->data;
  scalar->buffers[2] = scalar->data;
  memcpy(scalar->data, value, size);
  *schema = (struct ArrowSchema){.format = "+s",
                                 .name = "",
                                 .n_children = 1,
                                 .children = scalar->schemas,
                                 .release = release_scalar_schema,
                                 .private_data = scalar};
  *array = (struct ArrowArray){.length = 1,
                               .n_buffers = 1,
                               .n_children = 1,
                               .buffers = scalar->batch_buffers,
                               .children = scalar->arrays,
                               .release = release_scalar_array,
                               .private_data = scalar};
  return 0;
}

bool is_plain(PyObject* value) {
  return PyFloat_Check(value) || PyLong_Check(value) || PyUnicode_Check(value);
}

int build_scalar(PyObject* value, struct ArrowSchema* schema, struct ArrowArray* array) {
  if (PyBool_Check(value)) {
    uint8_t bit = value == Py_True;
    return scalar_of("b", &bit, sizeof bit, schema, array);
  }
  if (PyFloat_Check(value)) {
    double number = PyFloat_AsDouble(value);
    return scalar_of("g", &number, sizeof number, schema, array);
  }
  if (PyLong_Check(value)) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) return scalar_of("l", &number, sizeof number, schema, array);
    unsigned long long large = PyLong_AsUnsignedLongLong(value);
    if (PyErr_Occurred()) {
      PyErr_SetString(PyExc_OverflowError,
                      "an integer outside of 64 bits does not fit an Arrow column: "
                      "give it as float or str");
      return -1;
    }
    return scalar_of("L", &large, sizeof large, schema, array);
  }
  dcf_bytes text;
  if (text_bytes(value, "a value", &text) < 0) return -1;
  if (text.size > INT32_MAX) {
    PyErr_SetString(PyExc_ValueError, "a text of 2 GiB or more does not fit one Arrow value");
    return -1;
  }
  return scalar_of("u", text.data, text.size, schema, array);
}
