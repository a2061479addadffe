/* How the owner of a body's pieces, who is Go, learns that they are no longer used. */
#ifndef DCF_BODY_H
#define DCF_BODY_H

#include <stdint.h>

void dcf_body_tell(uintptr_t owner);

#endif
