#include "batch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Defined by package arena, which every program with this package links. Weak, because the tool
 * that builds this package links its C code once by itself, to see what it needs. */
extern void dcf_arena_free(void* block, size_t size) __attribute__((weak));

const uint8_t dcf_zeros[64] __attribute__((aligned(64)));

static _Atomic int64_t live_batches, live_schemas, live_bodies;

static void retain(_Atomic int64_t* refs) {
  atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* Whether that was the last reference. What others did before they let go is visible then. */
static int drop(_Atomic int64_t* refs) {
  return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static void count(_Atomic int64_t* counter, int64_t by) {
  atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

void dcf_live(int64_t* batches, int64_t* schemas, int64_t* bodies) {
  *batches = atomic_load(&live_batches);
  *schemas = atomic_load(&live_schemas);
  *bodies = atomic_load(&live_bodies);
}

/* ---- Bodies -------------------------------------------------------------- */

static dcf_body* body_with(size_t extra) {
  dcf_body* body = calloc(1, sizeof *body + extra);
  if (!body) return NULL;
  atomic_init(&body->refs, 1);
  count(&live_bodies, 1);
  return body;
}

dcf_body* dcf_body_new(void* bytes, size_t size) {
  dcf_body* body = body_with(0);
  if (!body) return NULL;
  body->bytes = bytes;
  body->size = size;
  return body;
}

dcf_body* dcf_body_of(int64_t n) {
  dcf_body* body = body_with((size_t)n * sizeof(dcf_piece));
  if (!body) return NULL;
  body->pieces = (dcf_piece*)(body + 1);
  body->n_pieces = n;
  return body;
}

void dcf_body_keep(dcf_body* body, dcf_body* part) {
  part->next = atomic_load_explicit(&body->kept, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&body->kept, &part->next, part,
                                                memory_order_release, memory_order_relaxed)) {
  }
}

void dcf_body_release(dcf_body* body) {
  if (!drop(&body->refs)) return;
  dcf_body* part = atomic_load_explicit(&body->kept, memory_order_acquire);
  while (part) {
    dcf_body* next = part->next;
    dcf_body_release(part);
    part = next;
  }
  dcf_arena_free(body->bytes, body->size);
  if (body->released) body->released(body->owner);
  free(body);
  count(&live_bodies, -1);
}

/* What lends its structs out has a release that does nothing, because readers take a struct
 * without one for released. */
static void keep_schema(struct ArrowSchema* node) { (void)node; }
static void keep_array(struct ArrowArray* node) { (void)node; }

/* ---- Schemas ------------------------------------------------------------- */

dcf_schema* dcf_schema_new(int64_t nodes, int64_t pointers, size_t extra,
                           struct ArrowSchema*** pointers_out, char** extra_out) {
  size_t tree = (size_t)nodes * sizeof(struct ArrowSchema);
  size_t links = (size_t)pointers * sizeof(struct ArrowSchema*);
  dcf_schema* schema = calloc(1, sizeof *schema + tree + links + extra);
  if (!schema) return NULL;
  atomic_init(&schema->refs, 1);
  schema->count = nodes;
  schema->nodes = (struct ArrowSchema*)(schema + 1);
  for (int64_t i = 0; i < nodes; i++) schema->nodes[i].release = keep_schema;
  *pointers_out = (struct ArrowSchema**)((char*)schema->nodes + tree);
  *extra_out = (char*)*pointers_out + links;
  count(&live_schemas, 1);
  return schema;
}

void dcf_schema_release(dcf_schema* schema) {
  if (!drop(&schema->refs)) return;
  free(schema);
  count(&live_schemas, -1);
}

/* A copy of a tree that was handed out. Whoever was given it may move parts of it elsewhere and
 * release them later than the rest, so the copy lives as long as any of its structs does. */
typedef struct exported_schema {
  _Atomic int64_t refs; /* structs that are not released */
  dcf_schema* owner;
  struct ArrowSchema nodes[];
} exported_schema;

static void release_schema_node(struct ArrowSchema* node) {
  exported_schema* copy = node->private_data;
  for (int64_t i = 0; i < node->n_children; i++) {
    struct ArrowSchema* child = node->children[i];
    if (child->release) child->release(child);
  }
  if (node->dictionary && node->dictionary->release) node->dictionary->release(node->dictionary);
  node->release = NULL;
  if (!drop(&copy->refs)) return;
  dcf_schema_release(copy->owner);
  free(copy);
}

static int64_t schema_links(const struct ArrowSchema* nodes, int64_t nodes_count) {
  int64_t links = 0;
  for (int64_t i = 0; i < nodes_count; i++) links += nodes[i].n_children;
  return links;
}

int dcf_schema_export(dcf_schema* schema, struct ArrowSchema* out) {
  int64_t n = schema->count;
  size_t links = (size_t)schema_links(schema->nodes, n);
  exported_schema* copy = malloc(sizeof *copy + (size_t)n * sizeof(struct ArrowSchema) +
                                 links * sizeof(struct ArrowSchema*));
  if (!copy) return -1;
  atomic_init(&copy->refs, n);
  copy->owner = schema;
  retain(&schema->refs);
  struct ArrowSchema** link = (struct ArrowSchema**)(copy->nodes + n);
  for (int64_t i = 0; i < n; i++) {
    struct ArrowSchema* node = &copy->nodes[i];
    *node = schema->nodes[i];
    node->release = release_schema_node;
    node->private_data = copy;
    if (node->dictionary) node->dictionary = copy->nodes + (node->dictionary - schema->nodes);
    for (int64_t c = 0; c < node->n_children; c++)
      link[c] = copy->nodes + (node->children[c] - schema->nodes);
    node->children = node->n_children ? link : NULL;
    link += node->n_children;
  }
  *out = copy->nodes[0];
  return 0;
}

void dcf_release_schema(struct ArrowSchema* schema) {
  if (schema->release) schema->release(schema);
}

/* ---- Batches ------------------------------------------------------------- */

dcf_batch* dcf_batch_new(dcf_schema* schema, int64_t n_buffers, int64_t n_bodies,
                         int64_t n_parents) {
  int64_t n = schema->count;
  size_t links = (size_t)schema_links(schema->nodes, n);
  size_t tree = (size_t)n * sizeof(struct ArrowArray);
  size_t columns = (size_t)schema->nodes->n_children;
  dcf_batch* batch = calloc(
      1, sizeof *batch + columns * sizeof(dcf_plain) + tree + links * sizeof(struct ArrowArray*) +
             (size_t)n_buffers * (sizeof(void*) + sizeof(int64_t)) +
             (size_t)n_bodies * sizeof(dcf_body*) + (size_t)n_parents * sizeof(dcf_batch*));
  if (!batch) return NULL;
  retain(&schema->refs);
  batch->schema = schema;
  atomic_init(&batch->refs, 1);
  batch->count = n;
  batch->plain = (dcf_plain*)(batch + 1);
  batch->columns = (int64_t)columns;
  batch->nodes = (struct ArrowArray*)(batch->plain + columns);
  struct ArrowArray** link = (struct ArrowArray**)(batch->nodes + n);
  batch->buffers = (const void**)(link + links);
  batch->n_buffers = n_buffers;
  batch->sizes = (int64_t*)(batch->buffers + n_buffers);
  batch->bodies = (dcf_body**)(batch->sizes + n_buffers);
  batch->n_bodies = n_bodies;
  batch->parents = (dcf_batch**)(batch->bodies + n_bodies);
  batch->n_parents = n_parents;
  for (int64_t i = 0; i < n; i++) {
    const struct ArrowSchema* type = &schema->nodes[i];
    struct ArrowArray* node = &batch->nodes[i];
    node->release = keep_array;
    node->n_children = type->n_children;
    if (type->dictionary) node->dictionary = batch->nodes + (type->dictionary - schema->nodes);
    for (int64_t c = 0; c < type->n_children; c++)
      link[c] = batch->nodes + (type->children[c] - schema->nodes);
    node->children = type->n_children ? link : NULL;
    link += type->n_children;
  }
  count(&live_batches, 1);
  return batch;
}

void dcf_batch_free(dcf_batch* batch) {
  if (batch->source.release) batch->source.release(&batch->source);
  for (int64_t i = 0; i < batch->n_bodies; i++)
    if (batch->bodies[i]) dcf_body_release(batch->bodies[i]);
  for (int64_t i = 0; i < batch->n_parents; i++)
    if (batch->parents[i]) dcf_batch_release(batch->parents[i]);
  dcf_batch* twin = atomic_load_explicit(&batch->twin, memory_order_acquire);
  if (twin) dcf_batch_release(twin);
  dcf_schema_release(batch->schema);
  free(batch);
  count(&live_batches, -1);
}

void dcf_batch_release(dcf_batch* batch) {
  if (drop(&batch->refs)) dcf_batch_free(batch);
}

/* See exported_schema. */
typedef struct exported_array {
  _Atomic int64_t refs; /* structs that are not released */
  dcf_batch* owner;
  struct ArrowArray nodes[];
} exported_array;

static void release_array_node(struct ArrowArray* node) {
  exported_array* copy = node->private_data;
  for (int64_t i = 0; i < node->n_children; i++) {
    struct ArrowArray* child = node->children[i];
    if (child->release) child->release(child);
  }
  if (node->dictionary && node->dictionary->release) node->dictionary->release(node->dictionary);
  node->release = NULL;
  if (!drop(&copy->refs)) return;
  dcf_batch_release(copy->owner);
  free(copy);
}

/* The buffer pointers are copied too: a consumer may write into its structs. */
int dcf_batch_export(dcf_batch* batch, struct ArrowArray* out) {
  int64_t n = batch->count;
  size_t links = 0;
  for (int64_t i = 0; i < n; i++) links += (size_t)batch->nodes[i].n_children;
  exported_array* copy =
      malloc(sizeof *copy + (size_t)n * sizeof(struct ArrowArray) +
             links * sizeof(struct ArrowArray*) + (size_t)batch->n_buffers * sizeof(void*));
  if (!copy) return -1;
  atomic_init(&copy->refs, n);
  copy->owner = batch;
  retain(&batch->refs);
  struct ArrowArray** link = (struct ArrowArray**)(copy->nodes + n);
  const void** buffers = (const void**)(link + links);
  memcpy(buffers, batch->buffers, (size_t)batch->n_buffers * sizeof(void*));
  for (int64_t i = 0; i < n; i++) {
    struct ArrowArray* node = &copy->nodes[i];
    *node = batch->nodes[i];
    node->release = release_array_node;
    node->private_data = copy;
    if (node->buffers) node->buffers = buffers + (node->buffers - batch->buffers);
    if (node->dictionary) node->dictionary = copy->nodes + (node->dictionary - batch->nodes);
    for (int64_t c = 0; c < node->n_children; c++)
      link[c] = copy->nodes + (node->children[c] - batch->nodes);
    node->children = node->n_children ? link : NULL;
    link += node->n_children;
  }
  *out = copy->nodes[0];
  return 0;
}

void dcf_release_array(struct ArrowArray* array) {
  if (array->release) array->release(array);
}
