/* Streams of record batches in both directions. */
#ifndef DCF_STREAM_H
#define DCF_STREAM_H

#include "abi.h"

/* Moves a stream out of the caller's struct, into new memory; NULL when memory is out, and the
 * stream is then released. */
struct ArrowArrayStream* dcf_stream_take(struct ArrowArrayStream* stream);
/* Releases a stream that was taken. */
void dcf_stream_free(struct ArrowArrayStream* stream);
/* 0 or an errno. */
int dcf_stream_schema(struct ArrowArrayStream* stream, struct ArrowSchema* out);
int dcf_stream_next(struct ArrowArrayStream* stream, struct ArrowArray* out);
const char* dcf_stream_error(struct ArrowArrayStream* stream);

/* Writes a stream whose batches a Go producer makes. -1: memory is out. */
int dcf_stream_export(uintptr_t producer, struct ArrowArrayStream* out);

#endif
