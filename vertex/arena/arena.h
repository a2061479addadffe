/* Memory for vertex data, outside the Go heap, aligned to 64 bytes.
 *
 * Small blocks come from the C allocator. Blocks of at least DCF_ARENA_LARGE bytes are mapped, and
 * a freed one is kept for the next request of its size class, because a fresh page costs ten times
 * what filling it does. What is kept stays below a limit. Any thread may allocate and free. */
#ifndef DCF_ARENA_H
#define DCF_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define DCF_ARENA_ALIGN 64u
#define DCF_ARENA_LARGE (256u << 10)

/* NULL when the system has no memory. The content is unspecified. */
void* dcf_arena_alloc(size_t size);

/* Gives a block back; `size` is what was asked for. NULL is fine. */
void dcf_arena_free(void* block, size_t size);

/* Bytes that freed large blocks may occupy, for the process. */
void dcf_arena_keep(size_t bytes);

/* Bytes handed out and not freed; bytes kept for reuse. */
void dcf_arena_usage(size_t* used, size_t* kept);

#endif
