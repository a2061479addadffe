/* Record batches and their schemas outside the Go heap. Any thread may retain, export and release
 * them; nothing here ever enters Go. */
#ifndef DCF_BATCH_H
#define DCF_BATCH_H

#include <stddef.h>

#include "abi.h"

/* A part of a body of pieces, which covers bytes [start, start+size) of it. */
typedef struct dcf_piece {
  int64_t start;
  const void* bytes;
  int64_t size;
  int64_t trust; /* who may write to it: Go's */
} dcf_piece;

/* Memory of buffers, with a reference count: an arena block, or pieces that stand for one. Pieces
 * lie in bodies that this one keeps, or in memory of another owner, who is told when it is no
 * longer used. */
typedef struct dcf_body {
  _Atomic int64_t refs;
  void* bytes; /* NULL: it has pieces */
  size_t size; /* of all pieces */
  const dcf_piece* pieces;
  int64_t n_pieces;
  _Atomic(struct dcf_body*) kept; /* holds references; linked by their `next` */
  struct dcf_body* next;
  void (*released)(uintptr_t owner); /* called once, on any thread; or NULL */
  uintptr_t owner;
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
  _Atomic(struct dcf_batch*) twin; /* holds a reference: the same in shared memory, or NULL */
} dcf_batch;

/* What empty buffers point to: 64 bytes of zeros. */
extern const uint8_t dcf_zeros[64];

/* A body of an arena block, which it takes over, with one reference; NULL when memory is out. */
dcf_body* dcf_body_new(void* bytes, size_t size);
/* A body of n pieces, for the caller to fill. NULL when memory is out. */
dcf_body* dcf_body_of(int64_t n);
/* Keeps a body, whose only reference it takes over, as long as `body` is there. */
void dcf_body_keep(dcf_body* body, dcf_body* part);
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
