/* Shared ownership of an Arrow array: what was moved here once is exported any number of times
 * without a copy, each export with a reference of its own, dropped on whatever thread. Exporting
 * needs no interpreter either: streams are read by threads that hold none. */
#include <stdlib.h>

#include "dcf_python.h"

void release_schema(struct ArrowSchema* schema) {
  if (schema->release != NULL) schema->release(schema);
}

void release_array(struct ArrowArray* array) {
  if (array->release != NULL) array->release(array);
}

void release_stream(struct ArrowArrayStream* stream) {
  if (stream->release != NULL) stream->release(stream);
}

Holder* holder_take(struct ArrowSchema* schema, struct ArrowArray* array) {
  Holder* holder = malloc(sizeof *holder);
  if (holder == NULL) {
    release_schema(schema);
    release_array(array);
    PyErr_NoMemory();
    return NULL;
  }
  atomic_init(&holder->references, 1);
  holder->schema = *schema;
  holder->array = *array;
  schema->release = NULL;
  array->release = NULL;
  return holder;
}

Holder* holder_keep(Holder* holder) {
  atomic_fetch_add_explicit(&holder->references, 1, memory_order_relaxed);
  return holder;
}

void holder_drop(Holder* holder) {
  if (holder == NULL) return;
  if (atomic_fetch_sub_explicit(&holder->references, 1, memory_order_acq_rel) != 1) return;
  /* The release callback of a vertex's value enters libdcf, which a forked child must not. */
  if (interpreter_is_forked()) return;
  release_schema(&holder->schema);
  release_array(&holder->array);
  free(holder);
}

static void release_shared_schema(struct ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; i++) release_schema(schema->children[i]);
  free(schema->children);
  if (schema->dictionary != NULL) {
    release_schema(schema->dictionary);
    free(schema->dictionary);
  }
  schema->release = NULL;
  holder_drop(schema->private_data);
}

static void release_shared_array(struct ArrowArray* array) {
  for (int64_t i = 0; i < array->n_children; i++) release_array(array->children[i]);
  free(array->children);
  if (array->dictionary != NULL) {
    release_array(array->dictionary);
    free(array->dictionary);
  }
  array->release = NULL;
  holder_drop(array->private_data);
}

int holder_export_schema(Holder* holder, const struct ArrowSchema* node, struct ArrowSchema* out) {
  *out = *node; /* format, name and metadata live as long as the holder */
  out->n_children = 0;
  out->children = NULL;
  out->dictionary = NULL;
  out->release = release_shared_schema;
  out->private_data = holder_keep(holder);
  const size_t n = (size_t)node->n_children;
  if (n > 0) {
    /* The pointers and what they point to, in one block. */
    out->children = malloc(n * (sizeof(struct ArrowSchema*) + sizeof(struct ArrowSchema)));
    if (out->children == NULL) goto failed;
    struct ArrowSchema* children = (struct ArrowSchema*)(out->children + n);
    for (size_t i = 0; i < n; i++) {
      if (holder_export_schema(holder, node->children[i], &children[i]) < 0) goto failed;
      out->children[i] = &children[i];
      out->n_children++;
    }
  }
  if (node->dictionary != NULL) {
    out->dictionary = malloc(sizeof *out->dictionary);
    if (out->dictionary == NULL) goto failed;
    if (holder_export_schema(holder, node->dictionary, out->dictionary) < 0) goto failed;
  }
  return 0;
failed:
  release_schema(out);
  return -1;
}

int holder_export_array(Holder* holder, const struct ArrowArray* node, struct ArrowArray* out) {
  *out = *node; /* the buffer pointers live as long as the holder */
  out->n_children = 0;
  out->children = NULL;
  out->dictionary = NULL;
  out->release = release_shared_array;
  out->private_data = holder_keep(holder);
  const size_t n = (size_t)node->n_children;
  if (n > 0) {
    out->children = malloc(n * (sizeof(struct ArrowArray*) + sizeof(struct ArrowArray)));
    if (out->children == NULL) goto failed;
    struct ArrowArray* children = (struct ArrowArray*)(out->children + n);
    for (size_t i = 0; i < n; i++) {
      if (holder_export_array(holder, node->children[i], &children[i]) < 0) goto failed;
      out->children[i] = &children[i];
      out->n_children++;
    }
  }
  if (node->dictionary != NULL) {
    out->dictionary = malloc(sizeof *out->dictionary);
    if (out->dictionary == NULL) goto failed;
    if (holder_export_array(holder, node->dictionary, out->dictionary) < 0) goto failed;
  }
  return 0;
failed:
  release_array(out);
  return -1;
}

/* ---- A stream of one batch ---------------------------------------------------- */

typedef struct {
  Holder* holder;
  bool done;
} OneBatch;

static int one_schema(struct ArrowArrayStream* stream, struct ArrowSchema* out) {
  OneBatch* one = stream->private_data;
  return holder_export_schema(one->holder, &one->holder->schema, out) < 0 ? 12 /* ENOMEM */ : 0;
}

static int one_next(struct ArrowArrayStream* stream, struct ArrowArray* out) {
  OneBatch* one = stream->private_data;
  if (one->done) {
    out->release = NULL;
    return 0;
  }
  if (holder_export_array(one->holder, &one->holder->array, out) < 0) return 12 /* ENOMEM */;
  one->done = true;
  return 0;
}

static const char* one_error(struct ArrowArrayStream* stream) {
  (void)stream;
  return "out of memory";
}

static void one_release(struct ArrowArrayStream* stream) {
  OneBatch* one = stream->private_data;
  holder_drop(one->holder);
  free(one);
  stream->release = NULL;
}

int holder_export_stream(Holder* holder, struct ArrowArrayStream* out) {
  OneBatch* one = malloc(sizeof *one);
  if (one == NULL) return -1;
  one->holder = holder_keep(holder);
  one->done = false;
  out->get_schema = one_schema;
  out->get_next = one_next;
  out->get_last_error = one_error;
  out->release = one_release;
  out->private_data = one;
  return 0;
}
