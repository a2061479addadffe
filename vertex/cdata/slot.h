/* Go objects that belong to memory outside the Go heap. C has a slot, which names the object in a
 * table of Go; when C frees the slot it goes on a list, which Go empties when it next has time. */
#ifndef DCF_SLOT_H
#define DCF_SLOT_H

#include <stdint.h>

typedef struct dcf_slot {
  uint64_t number;
  struct dcf_slot* next;
} dcf_slot;

/* NULL when memory is out. */
dcf_slot* dcf_slot_new(uint64_t number);
/* May be called on any thread; never enters Go. */
void dcf_slot_drop(void* slot);
/* Takes the dropped slots: a list that the caller frees with dcf_slot_next. */
dcf_slot* dcf_slot_dropped(void);
/* Frees a slot of that list and gives the next one. */
dcf_slot* dcf_slot_next(dcf_slot* slot);

#endif
