/* Native functions for tests. */
#ifndef DCF_NATIVETEST_H
#define DCF_NATIVETEST_H

#include "dcf.h"

/* What the callbacks of one test share with it. */
typedef struct dcf_nativetest_state {
  _Atomic int64_t calculates;
  _Atomic int64_t folds;
  _Atomic int64_t frees;
  _Atomic int32_t waiting; /* callbacks that wait at the latch */
  _Atomic int32_t open;    /* the latch */
  _Atomic int32_t in_callback;
  _Atomic int32_t in_update;
  _Atomic int64_t views_freed;
} dcf_nativetest_state;

/* Does what the arguments say, one command a line; see script.c. */
dcf_status dcf_nativetest_script(void* state, const dcf_udf_input* input, dcf_output* output);

/* The sum of the first column, which is int64, as 8 bytes; the sum of the parts; the part. */
dcf_status dcf_nativetest_sum(void* state, const dcf_udf_input* input, dcf_output* output);
dcf_status dcf_nativetest_add(void* state, const dcf_merge_input* input, dcf_output* output);
dcf_status dcf_nativetest_same(void* state, const dcf_merge_input* input, dcf_output* output);

/* The parts one after another, record batches as "<rows>"; then the arguments and auxiliary data.
 */
dcf_status dcf_nativetest_join(void* state, const dcf_merge_input* input, dcf_output* output);

/* A merge or finish that tries what only calculate may. */
dcf_status dcf_nativetest_overreach(void* state, const dcf_merge_input* input, dcf_output* output);

/* Everything that an input says, as text. */
dcf_status dcf_nativetest_describe(void* state, const dcf_udf_input* input, dcf_output* output);

/* The functions of udftest.Suite. */
dcf_status dcf_nativetest_echo(void* state, const dcf_udf_input* input, dcf_output* output);
dcf_status dcf_nativetest_fail(void* state, const dcf_udf_input* input, dcf_output* output);
dcf_status dcf_nativetest_spawn(void* state, const dcf_udf_input* input, dcf_output* output);
dcf_status dcf_nativetest_effects(void* state, const dcf_udf_input* input, dcf_output* output);
dcf_status dcf_nativetest_big(void* state, const dcf_udf_input* input, dcf_output* output);
dcf_status dcf_nativetest_rubbish(void* state, const dcf_udf_input* input, dcf_output* output);
dcf_status dcf_nativetest_wait(void* state, const dcf_udf_input* input, dcf_output* output);

/* A record batch of one int64 column, owned by the caller. */
void dcf_nativetest_numbers(const char* name, const int64_t* values, int64_t count,
                            struct ArrowSchema* schema, struct ArrowArray* array);

void dcf_nativetest_free(void* state);

/* Releases a struct ArrowArray on a thread of its own. */
void dcf_nativetest_release_on_thread(void* array);

#endif
