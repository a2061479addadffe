/* The functions of the tree example. */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <dcf.h>

/* A vertex at one version: what a conditional set needs. */
typedef struct extreme {
  dcf_vertex_id id;
  uint64_t version;
  int64_t value;
} extreme;

/* What `extremes` gives. */
typedef struct extreme_pair {
  extreme largest;
  extreme smallest;
} extreme_pair;

/* A record batch of one int64 column "value" with one row. The caller owns it. */
void make_value(int64_t value, struct ArrowSchema* schema, struct ArrowArray* array);

/* Registers graph_sum, around and extremes. They have a version, which says that they are the same
 * on every worker that registers them: so they run where their vertices are. */
dcf_status register_functions(dcf_worker worker, dcf_error* error);

#endif
