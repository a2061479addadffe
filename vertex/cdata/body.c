#include "body.h"

#include "_cgo_export.h"

/* See arena/segment.h; weak for the reason that batch.c gives. */
extern int dcf_arena_forked(void) __attribute__((weak));

/* A forked child has none of Go's threads, and what its parent borrowed is not its own. */
void dcf_body_tell(uintptr_t owner) {
  if (!dcf_arena_forked()) dcfBodyReleased(owner);
}
