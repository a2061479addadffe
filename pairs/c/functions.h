/* The functions of the C peer. */
#ifndef PAIRS_FUNCTIONS_H
#define PAIRS_FUNCTIONS_H

#include <dcf.h>

/* Registers the function of that name: the peer's own, or, where another language has it, one of
 * the same identity that says that it ran at the wrong place. */
dcf_status functions_register(dcf_worker worker, const char* name, uint32_t flags,
                              dcf_error* error);

#endif
