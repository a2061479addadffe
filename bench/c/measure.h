/* Times operations in short blocks, those of several series in turn, and prints every block as one
 * line of JSON for dcfbench, which computes all statistics. It judges nothing and knows nothing
 * about what it times. */
#ifndef DCF_BENCH_MEASURE_H
#define DCF_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a block is. */
#define MEASURE_BLOCK_NS 5000000 /* of each series in turn, so that both see the same weather */
#define MEASURE_SAMPLE_NS 5000   /* operations under a microsecond are timed in runs this long */
#define MEASURE_SINGLE_NS 1000   /* slower operations are timed one by one */
#define MEASURE_MAX_SAMPLES 8192 /* of one thread in one block; a full block ends early */
#define MEASURE_MAX_SERIES 4     /* of one case */
#define MEASURE_MAX_THREADS 128  /* of one series */
#define MEASURE_CALIBRATE_NS 2000000 /* how long a series runs before its pace is believed */

/* Runs `ops` operations on the calling thread, `thread` counting from 0. Returns 0, or how many
 * nanoseconds of its own run count, where an operation needs work beside it that must not. */
typedef int64_t (*measure_run_fn)(void* context, int thread, size_t ops);

typedef struct measure_series {
  const char* name; /* "product", "floor", "floor_add", "floor_subtract" */
  measure_run_fn run;
  void* context;
  int threads;  /* 1: the thread that called measure_case */
  size_t calls; /* in one operation: times are given per call */
} measure_series;

typedef struct measure_options {
  int rounds;        /* blocks of each series */
  int64_t block_ns;  /* 0: MEASURE_BLOCK_NS */
  int64_t sample_ns; /* how long a sample's run of operations takes, whatever one takes; 0: as
                        above. MEASURE_EACH: every operation is a sample, for the tails */
  int64_t settle_ns; /* how long a series runs before each of its blocks: until what the series
                        before it left awake sleeps */
} measure_options;
#define MEASURE_EACH 1

/* CLOCK_MONOTONIC. */
int64_t measure_now_ns(void);

/* Runs the series in turn, `rounds` blocks of each, the order reversed every second round, and
 * prints the blocks on standard output when all are done. Ends the process where it cannot. */
void measure_case(const char* name, const measure_series* series, size_t count,
                  const measure_options* options);

/* Prints one operation that was timed elsewhere as a block of its own, of round 0. */
void measure_once(const char* name, const char* series, int64_t ns);

/* Prints one value that is not a time: the memory that calls left, say. */
void measure_value(const char* name, double value, const char* unit);

/* Prints `printf`-like text with the program's name and ends the process with status 1. */
__attribute__((noreturn, format(printf, 1, 2))) void measure_fail(const char* format, ...);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* DCF_BENCH_MEASURE_H */
