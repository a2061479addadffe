/* A C thread that measures the empty export on request. One caller at a time. */
#ifndef DCF_BENCH_THREAD_H
#define DCF_BENCH_THREAD_H

#include <stddef.h>
#include <stdint.h>

typedef struct floor_thread floor_thread;

/* NULL: no memory or no thread. */
floor_thread* floor_thread_open(void);

/* Calls the empty export for block_ns, `batch` calls a sample, at most `capacity` samples of
 * nanoseconds a call. Returns the number of samples. */
size_t floor_thread_block(floor_thread* thread, int64_t block_ns, size_t batch, float* samples,
                          size_t capacity, int64_t* elapsed_ns_out);

void floor_thread_close(floor_thread* thread);

#endif /* DCF_BENCH_THREAD_H */
