/* Record batches and their schemas outside the Go heap. Any thread may retain, export and release
 * them; nothing here ever enters Go. */
#ifndef DCF_BATCH_H
#define DCF_BATCH_H

#include <stddef.h>

#include "abi.h"

/* Memory of buffers: an arena block with a reference count. */
typedef struct dcf_body {
  _Atomic int64_t refs;
  void* bytes;
  size_t size;
} dcf_body;

/* A type: one allocation that holds the struct tree and its strings. nodes[0] is the whole, then
 * come all others in pre-order, where a dictionary follows the children. */
typedef struct dcf_schema {
  _Atomic int64_t refs;
  int64_t count; /* of nodes */
  struct ArrowSchema* nodes;
  uint64_t slot; /* where Go keeps what it knows of the type */
} dcf_schema;

/* A column that hot paths read without looking at anything else. */
typedef struct dcf_plain {
  const void* values; /* the first */
  uint64_t type;      /* 'l' int64 or 'g' double, without nulls; else 0 */
} dcf_plain;

/* A value: one allocation that holds the struct tree, whose order is that of the schema's nodes.
 * What the buffers point to belongs to the owners: what was imported, the bodies, the parents. */
typedef struct dcf_batch {
  dcf_plain* plain; /* of each column */
  int64_t columns;
  struct ArrowArray* nodes; /* borrowed by native functions; never released by them */
  dcf_schema* schema;       /* holds a reference */
  _Atomic int64_t refs;
  int64_t count;  /* of nodes */
  int64_t bytes;  /* of all buffers */
  int64_t* sizes; /* bytes of each buffer, in the order of `buffers` */
  const void** buffers;
  int64_t n_buffers;
  struct ArrowArray source; /* what was imported; release is NULL where nothing was */
  dcf_body** bodies;        /* hold references */
  int64_t n_bodies;
  struct dcf_batch** parents; /* hold references */
  int64_t n_parents;
} dcf_batch;

/* What empty buffers point to: 64 bytes of zeros. */
extern const uint8_t dcf_zeros[64];

/* A body of `size` unspecified bytes with one reference, or NULL when memory is out. */
dcf_body* dcf_body_new(void* bytes, size_t size);
void dcf_body_release(dcf_body* body);

/* Zeroed memory for a schema of `count` nodes, with room for `pointers` child pointers and `extra`
 * bytes behind it; one reference. The caller fills it. NULL when memory is out. */
dcf_schema* dcf_schema_new(int64_t count, int64_t pointers, size_t extra,
                           struct ArrowSchema*** pointers_out, char** extra_out);
void dcf_schema_release(dcf_schema* schema);
/* Writes a tree of its own that shares the strings and holds a reference. -1: memory is out. */
int dcf_schema_export(dcf_schema* schema, struct ArrowSchema* out);

/* Zeroed memory for a batch; one reference. Takes a reference to the schema, which gives the shape
 * of the tree. The caller fills nodes, buffers, sizes and owners. NULL when memory is out. */
dcf_batch* dcf_batch_new(dcf_schema* schema, int64_t n_buffers, int64_t n_bodies,
                         int64_t n_parents);
/* Frees a batch that has no reference left, and what it owns. */
void dcf_batch_free(dcf_batch* batch);
void dcf_batch_release(dcf_batch* batch);
/* Writes a tree of its own that shares the buffers and holds a reference until all of it is
 * released. -1: memory is out. */
int dcf_batch_export(dcf_batch* batch, struct ArrowArray* out);

/* Release what is not released yet. */
void dcf_release_schema(struct ArrowSchema* schema);
void dcf_release_array(struct ArrowArray* array);

/* How many batches, schemas and bodies exist. */
void dcf_live(int64_t* batches, int64_t* schemas, int64_t* bodies);

#endif
