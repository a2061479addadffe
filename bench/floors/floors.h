/* What the library of floors exports: the least that a call from C into Go can do. */
#ifndef DCF_BENCH_FLOORS_H
#define DCF_BENCH_FLOORS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* user_data is a number, not a pointer: Go would look up whose memory it points to. */
typedef uint64_t (*bench_floor_fn)(uintptr_t user_data, uint64_t argument);

/* An empty Go function. */
extern uint64_t bench_floor_empty(uint64_t argument);

/* A Go function that calls a C function and gives back what that gave. */
extern uint64_t bench_floor_callback(bench_floor_fn function, uintptr_t user_data,
                                     uint64_t argument);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* DCF_BENCH_FLOORS_H */
