#include <stdlib.h>
#include <string.h>

#include "capi.h"

extern void dcf_arena_free(void* block, size_t size) __attribute__((weak));

/* The children of a table are part of its own memory; releasing one only marks it. What the parent
 * owns goes with the parent, so a child that a consumer moves away must not outlive it: nobody but
 * vertex.Import, which takes a table as a whole, sees these structs. */
static void release_child_schema(struct ArrowSchema* schema) { schema->release = NULL; }
static void release_child_array(struct ArrowArray* array) { array->release = NULL; }

static void release_schema(struct ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; i++) schema->children[i]->release = NULL;
  free(schema->private_data);
  schema->release = NULL;
}

typedef struct table_array {
  void* block;
  size_t block_size;
  const void* no_validity[1];
} table_array;

static void release_array(struct ArrowArray* array) {
  table_array* owned = array->private_data;
  for (int64_t i = 0; i < array->n_children; i++) array->children[i]->release = NULL;
  dcf_arena_free(owned->block, owned->block_size);
  free(owned);
  array->release = NULL;
}

/* One allocation: links, columns, and a copy of the block's strings. */
static int make_schema(const char* block, const dcf_capi_column* columns, size_t n,
                       struct ArrowSchema* out) {
  size_t text = 0;
  for (size_t i = 0; i < n; i++)
    text += strlen(block + columns[i].name) + strlen(block + columns[i].format) + 2;
  size_t structs = n * (sizeof(struct ArrowSchema*) + sizeof(struct ArrowSchema));
  char* memory = calloc(1, structs + text);
  if (!memory) return -1;
  struct ArrowSchema** links = (struct ArrowSchema**)memory;
  struct ArrowSchema* nodes = (struct ArrowSchema*)(links + n);
  char* at = memory + structs;
  for (size_t i = 0; i < n; i++) {
    links[i] = &nodes[i];
    nodes[i].name = strcpy(at, block + columns[i].name);
    at += strlen(at) + 1;
    nodes[i].format = strcpy(at, block + columns[i].format);
    at += strlen(at) + 1;
    nodes[i].release = release_child_schema;
  }
  memset(out, 0, sizeof *out);
  out->format = "+s";
  out->name = "";
  out->n_children = (int64_t)n;
  out->children = links;
  out->release = release_schema;
  out->private_data = memory;
  return 0;
}

static int make_array(char* block, size_t block_size, size_t n, int64_t rows,
                      struct ArrowArray* out) {
  const dcf_capi_column* columns = (const dcf_capi_column*)block;
  size_t each = sizeof(struct ArrowArray*) + sizeof(struct ArrowArray) + 3 * sizeof(void*);
  table_array* owned = calloc(1, sizeof *owned + n * each);
  if (!owned) return -1;
  struct ArrowArray** links = (struct ArrowArray**)(owned + 1);
  struct ArrowArray* nodes = (struct ArrowArray*)(links + n);
  const void** buffers = (const void**)(nodes + n);
  for (size_t i = 0; i < n; i++) {
    links[i] = &nodes[i];
    nodes[i].length = rows;
    nodes[i].buffers = buffers + 3 * i;
    nodes[i].n_buffers = columns[i].offsets ? 3 : 2;
    nodes[i].buffers[1] = block + (columns[i].offsets ? columns[i].offsets : columns[i].values);
    nodes[i].buffers[2] = block + columns[i].values;
    nodes[i].release = release_child_array;
  }
  owned->block = block;
  owned->block_size = block_size;
  memset(out, 0, sizeof *out);
  out->length = rows;
  out->n_buffers = 1;
  out->buffers = owned->no_validity;
  out->n_children = (int64_t)n;
  out->children = links;
  out->release = release_array;
  out->private_data = owned;
  return 0;
}

dcf_status dcf_capi_table(void* block, size_t block_size, size_t columns, int64_t rows,
                          struct ArrowSchema* schema, struct ArrowArray* array) {
  if (make_schema(block, block, columns, schema)) return DCF_EXHAUSTED;
  if (make_array(block, block_size, columns, rows, array)) {
    schema->release(schema);
    return DCF_EXHAUSTED;
  }
  return DCF_OK;
}
