/* Memory that other processes may map: segments, which are files without a name (memfd) of a fixed
 * size, mapped here within one range of addresses, each between pages that nobody can touch.
 *
 * A large block has a run of units of a pooled segment, or a whole segment where it is larger than
 * DCF_POOLED_MAX. Freed memory keeps its pages for the next block, up to a limit; what is over it
 * goes back to the system. Any thread may use all of this. A forked child shares the segments with
 * its parent, so it neither allocates nor frees in them; what it may still read the parent does not
 * recycle. */
#ifndef DCF_SEGMENT_H
#define DCF_SEGMENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Segments start at multiples of a slot within the range, which has at most that many. */
#define DCF_SEGMENT_SLOT ((size_t)64 << 20)
#define DCF_SEGMENT_SLOTS 16384u
/* How many segments a process has; each takes a descriptor. */
#define DCF_MAX_SEGMENTS 1024u
/* The size from which a block lies in a segment, and what it is rounded up to: a fifth is wasted at
 * most. */
#define DCF_SHARED_LARGE ((size_t)64 << 10)
#define DCF_SEGMENT_UNIT ((size_t)16 << 10)
/* The size of the largest block that makes a pooled segment, and that of such segments: it grows
 * with what all of them have together. */
#define DCF_POOLED_MAX ((size_t)16 << 20)
#define DCF_POOL_MIN DCF_SEGMENT_SLOT
#define DCF_POOL_MAX ((size_t)1 << 30)

struct dcf_segment;

/* What is at a slot. `id` is 0 where nothing is; ids are never used twice. */
typedef struct dcf_segment_slot {
  _Atomic uint64_t id;
  _Atomic uint64_t start; /* of the segment, from the range's base */
  struct dcf_segment* segment;
} dcf_segment_slot;

/* The range, for everybody to look into without a lock: what belongs to a block does not change
 * while the block is allocated. */
typedef struct dcf_segment_range {
  _Atomic uintptr_t base; /* 0: nothing is shared */
  _Atomic uintptr_t size;
  dcf_segment_slot slots[DCF_SEGMENT_SLOTS];
} dcf_segment_range;

extern dcf_segment_range dcf_segments;

/* Whether a block lies in a segment of this process. */
static inline int dcf_segments_have(const void* block) {
  uintptr_t base = atomic_load_explicit(&dcf_segments.base, memory_order_relaxed);
  return base &&
         (uintptr_t)block - base < atomic_load_explicit(&dcf_segments.size, memory_order_relaxed);
}

/* Makes the range. Segments have at most `limit` bytes together. 0, also where it is there already;
 * else an errno. */
int dcf_segments_open(size_t limit, size_t keep);

/* A block, or NULL where there is none: too many bytes, segments or descriptors, or no memory. */
void* dcf_segments_alloc(size_t size);
void dcf_segments_free(void* block, size_t size);

/* Makes pooled segments of `bytes` in total. */
void dcf_segments_reserve(size_t bytes);
/* Gives pages to at most `bytes` of pooled memory that is free, and says to how much; 0 where there
 * is no more, or no more may be kept. */
size_t dcf_segments_warm(size_t bytes);

/* Bytes that free memory may keep. */
void dcf_segments_keep(size_t bytes);

typedef struct dcf_segments_usage {
  uint64_t segments, bytes; /* how many there are, and their size */
  uint64_t kept;            /* bytes that are free and have pages, or held back for children */
  uint64_t refused;         /* blocks that got ordinary memory instead */
  uint64_t descriptors;     /* of segments, and of what tells of children */
} dcf_segments_usage;

void dcf_segments_count(dcf_segments_usage* out);

/* A descriptor to read a segment, which the caller closes, or -errno. */
int dcf_segments_file(uint64_t id, size_t* size);
/* Whether a segment is still there. */
int dcf_segments_has(uint64_t id);

/* Around a fork nobody else may hold the lock, or nobody could have it in the child. */
void dcf_segments_before_fork(void);
void dcf_segments_after_fork(int child);
/* Whether this process was forked from one that had loaded the library. */
int dcf_arena_forked(void);

#endif
