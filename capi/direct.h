/* What the calls that need no Go have in common. */
#ifndef DCF_DIRECT_H
#define DCF_DIRECT_H

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include "capi.h"
#include "native.h"

/* Chunks are made when they are needed and stay. */
#define CHUNK_SHIFT 10
#define CHUNK_ENTRIES (1u << CHUNK_SHIFT)
#define MAX_CHUNKS (DCF_CAPI_MAX_HANDLES >> CHUNK_SHIFT)

/* The handle is written last and taken out first. It is never used twice: whoever reads the object
 * and then finds his handle has the handle's object. */
typedef struct entry {
  _Atomic uint64_t handle;
  _Atomic uint64_t word;
  _Atomic uintptr_t object;
  _Atomic uint64_t more[DCF_CAPI_MORE];
  uint64_t reserved;
} entry;

struct dcf_capi_direct {
  _Atomic(entry*) chunks[MAX_CHUNKS];
};

/* The entry where a handle would be, or NULL. */
static inline entry* entry_at(dcf_capi_direct* table, uint64_t handle) {
  const uint32_t slot = (uint32_t)handle;
  if (slot >= DCF_CAPI_MAX_HANDLES) return NULL;
  entry* chunk = atomic_load(&table->chunks[slot >> CHUNK_SHIFT]);
  return chunk ? &chunk[slot & (CHUNK_ENTRIES - 1)] : NULL;
}

/* The object of a handle and its word; 0 where C must leave it to Go. What is read under a pin is
 * read in the one order that all sequentially consistent operations have: after the pin was taken.
 */
static inline uintptr_t object_of(dcf_capi_direct* table, uint64_t handle, uint64_t* word) {
  entry* e = entry_at(table, handle);
  if (!e) return 0;
  *word = atomic_load(&e->word);
  const uintptr_t object = atomic_load(&e->object);
  return atomic_load(&e->handle) == handle ? object : 0;
}

/* Whether Go is needed to see what a call asks for. */
static inline int is_plain(const dcf_call* c) {
  const dcf_call_more* more = c->more;
  if (c->struct_size != sizeof *c || (c->flags & ~DCF_CALL_INLINE) > DCF_CALL_HERE ||
      c->target_count != 1 || !c->targets || c->ticket || c->private_data ||
      (c->arguments.size && !c->arguments.data) || (c->buffer_size && !c->buffer))
    return 0;
  return !more || (more->struct_size == sizeof *more && !more->held && !more->target_arguments &&
                   !more->arguments_schema && !more->arguments_array);
}

static inline int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Writes the result of such a call that ran: a part, which fits into its buffer, or none. */
static inline void give_part(dcf_call* c, int has_part, const void* part, size_t size) {
  c->status = DCF_OK;
  c->effects = DCF_EFFECTS_NONE;
  c->result_kind = has_part ? DCF_RESULT_BYTES : DCF_RESULT_NONE;
  c->result_size = size;
  dcf_native_copy(c->buffer, part, size);
}

/* Writes what is rarer of the result. */
static inline void give_more(dcf_call_more* more, uint64_t version, uint64_t node, uint32_t how,
                             uint64_t moved) {
  more->result_version = version;
  more->served_by = node;
  more->served_how = how;
  more->served_ns = 0;
  more->bytes_moved = moved;
  more->bytes_fetched = 0;
}

/* Runs a small call on a vertex of another worker of this host, or says 0: Go must. With `tries`
 * nothing is waited for longer than some microseconds; what was asked then goes on with the next
 * dcf_capi_small of this thread, if that is for the same call. */
int dcf_capi_small(uint64_t worker, dcf_call* c, int tries);

/* Runs the first calls, up to one that is not small or that goes to another worker, and says how
 * many they were. All of them are asked before any answer is waited for. */
size_t dcf_capi_small_many(uint64_t worker, dcf_call* calls, size_t count);

#endif
