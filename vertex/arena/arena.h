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

/* Copies a block to another one, with which it shares nothing. */
void dcf_arena_copy(void* to, const void* from, size_t size);

/* Bytes that freed large blocks may occupy, for the process. */
void dcf_arena_keep(size_t bytes);

/* From now on large blocks lie in segments of at most `limit` bytes in total, which other processes
 * may map: see segment.h. Blocks of before stay where they are. 0, also where it is so already;
 * else an errno. */
int dcf_arena_share(size_t limit);

/* The size of the class that holds `size`; 0 where there is none. */
int dcf_arena_class(size_t size, size_t* out);

/* Bytes handed out and not freed; bytes kept for reuse. */
void dcf_arena_usage(size_t* used, size_t* kept);

#endif
