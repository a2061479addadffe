/* The functions that the benchmarks call. They use what a callback is given and nothing else of
 * libdcf, so that a Python extension can have them, too. */
#ifndef DCF_BENCH_FUNCTIONS_H
#define DCF_BENCH_FUNCTIONS_H

#include "dcf.h"

/* All are registered with these: equal flags are part of being one function. */
#define BENCH_FUNCTION_FLAGS (DCF_UDF_SHORT | DCF_UDF_COMMUTATIVE)

typedef struct bench_function {
  const char* name;
  dcf_calculate_fn calculate;
  dcf_merge_fn merge;
} bench_function;

/* By name, or NULL ("bench." keeps them apart from builtins):
 *   bench.add    int64 of the arguments + the first row of the vertex, 8 bytes; merge adds
 *   bench.blob   the whole value of an int64 vertex as bytes; of one vertex only
 *   bench.sum    the sum of a float64 column, 8 bytes; merge adds
 *   bench.tree   the sum of an int64 vertex and of all children below, 8 bytes; merge adds */
const bench_function* bench_function_named(const char* name);

/* What bench.sum computes. */
double bench_sum(const double* values, int64_t rows);

#endif /* DCF_BENCH_FUNCTIONS_H */
