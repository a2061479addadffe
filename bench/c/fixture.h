/* What the drivers share: options, workers, tables, the functions that they call, and counters. */
#ifndef DCF_BENCH_FIXTURE_H
#define DCF_BENCH_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "dcf.h"
#include "measure.h"

/* The version that the drivers and their server promise to mean the same functions by. */
#define FIXTURE_VERSION "bench-1"
#define FIXTURE_ARGUMENT_BYTES 16 /* what a small call sends */
#define FIXTURE_RESULT_BYTES 8    /* what it gets */
#define FIXTURE_QUICK_ROUNDS \
  10 /* fewer rounds show that a case runs, not how fast: make it short */
#define FIXTURE_TABLE_BYTES (64 << 20)
/* "table" counts its rows from 0. Its sum is exact: 2^45 - 2^22. */
#define FIXTURE_TABLE_ROWS (FIXTURE_TABLE_BYTES / (int64_t)sizeof(double))
#define FIXTURE_TABLE_SUM ((double)FIXTURE_TABLE_ROWS * (double)(FIXTURE_TABLE_ROWS - 1) / 2)

/* The command line of every driver: --case NAME --rounds N --server ADDRESS --alone ADDRESS
 * --floor PORT --ring PATH --pid PID --seconds S. */
typedef struct fixture_options {
  const char* name;
  int rounds;
  const char* server; /* a dcf address, or NULL */
  const char* alone;  /* the address of another server, whose only client this is */
  int floor_port;     /* where the server echoes bare frames */
  const char* ring;   /* the file of the server's bare ring, see floors/ring.h */
  int server_pid;
  double seconds; /* of each case of the comparison with other systems */
} fixture_options;

/* Ends the process where an argument is unknown. */
fixture_options fixture_parse(int argc, char** argv);

/* Ends the process with the message unless `status` is DCF_OK. */
void fixture_check(dcf_status status, const dcf_error* error, const char* what);

dcf_bytes fixture_bytes(const char* text);

/* Opens a worker. listen, join: addresses or NULL. */
dcf_worker fixture_open(const char* listen, const char* join);
/* The same: how long it spins, and lines of `config` or NULL, as in dcf_worker_options. */
dcf_worker fixture_open_with(const char* listen, const char* join, int64_t spin_ns,
                             const char* config);
/* Keeps to sockets with workers of the same host. */
#define FIXTURE_SOCKETS "shared_memory = false\n"

/* Fills an Arrow record batch of one column without nulls over memory that stays the caller's.
 * format: "l" int64, "g" float64. */
void fixture_batch(struct ArrowSchema* schema, struct ArrowArray* array, const char* format,
                   const void* values, int64_t rows);

/* Puts a table of one column named "value". The memory of `values` stays the caller's and must
 * outlive the vertex. node 0: here. */
dcf_vertex fixture_put(dcf_worker worker, const char* name, uint64_t node, const char* format,
                       const void* values, int64_t rows);

/* Memory of FIXTURE_TABLE_BYTES, written once. */
void* fixture_table(void);

/* Puts that much, of float64, as the new value of a vertex of another node, and gives the handle
 * back. */
void fixture_replace(dcf_worker worker, const char* name, uint64_t node, const void* values);

/* Registers a function of functions.h, under its own name where `name` is NULL. version NULL:
 * private to the process. */
dcf_udf fixture_register(dcf_worker worker, const char* function, const char* name,
                         const char* version);

/* A call of one target with 16 bytes of arguments and room for an 8-byte result. `arguments` and
 * `result` must outlive it. */
dcf_call fixture_call(dcf_udf udf, const dcf_vertex* target, const void* arguments,
                      int64_t* result);

/* Runs calls and ends the process unless all succeed. */
void fixture_run(dcf_worker worker, dcf_call* calls, size_t count);

/* Ends the process where a call is fast and wrong. */
void fixture_check_result(int64_t result, int64_t want);

/* The sum over peers of a counter of the worker; ends the process where there is none. */
int64_t fixture_counter(dcf_worker worker, const char* name);

/* Resident memory of a process in KiB, exact. pid 0: of this one. */
double fixture_resident_kib(int pid);

/* The tree of the tree example: vertices 0 to 7 on one worker, 8 to 13 on another. */
#define FIXTURE_TREE_FIRST 8 /* the first vertex of the second worker */
#define FIXTURE_TREE_COUNT 14
#define FIXTURE_TREE_SUM 2136

/* Makes vertices from to (exclusive) of the tree and links those that have children. Vertices of
 * the other worker must be there already. */
void fixture_tree(dcf_worker worker, int from, int to);

#endif /* DCF_BENCH_FIXTURE_H */
