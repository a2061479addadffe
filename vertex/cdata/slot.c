#include "slot.h"

#include <stdatomic.h>
#include <stdlib.h>

static _Atomic(dcf_slot*) dropped;

dcf_slot* dcf_slot_new(uint64_t number) {
  dcf_slot* slot = malloc(sizeof *slot);
  if (slot) slot->number = number;
  return slot;
}

/* The list is only ever taken as a whole, so that a head cannot come back under a pusher. */
void dcf_slot_drop(void* memory) {
  dcf_slot* slot = memory;
  slot->next = atomic_load_explicit(&dropped, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&dropped, &slot->next, slot, memory_order_release,
                                                memory_order_relaxed)) {
  }
}

dcf_slot* dcf_slot_dropped(void) {
  return atomic_exchange_explicit(&dropped, NULL, memory_order_acquire);
}

dcf_slot* dcf_slot_next(dcf_slot* slot) {
  dcf_slot* next = slot->next;
  free(slot);
  return next;
}
