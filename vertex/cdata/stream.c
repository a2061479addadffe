#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

struct ArrowArrayStream* dcf_stream_take(struct ArrowArrayStream* stream) {
  struct ArrowArrayStream* taken = malloc(sizeof *taken);
  if (taken) {
    *taken = *stream;
  } else if (stream->release) {
    stream->release(stream);
  }
  stream->release = NULL;
  return taken;
}

void dcf_stream_free(struct ArrowArrayStream* stream) {
  if (stream->release) stream->release(stream);
  free(stream);
}

int dcf_stream_schema(struct ArrowArrayStream* stream, struct ArrowSchema* out) {
  memset(out, 0, sizeof *out);
  return stream->get_schema(stream, out);
}

int dcf_stream_next(struct ArrowArrayStream* stream, struct ArrowArray* out) {
  memset(out, 0, sizeof *out);
  return stream->get_next(stream, out);
}

const char* dcf_stream_error(struct ArrowArrayStream* stream) {
  return stream->get_last_error ? stream->get_last_error(stream) : NULL;
}

/* What is behind an exported stream. */
typedef struct exported_stream {
  uintptr_t producer;
  char* error; /* of the last operation, or NULL */
} exported_stream;

/* Keeps the text of the operation's error, and gives its errno. */
static int finish(exported_stream* s, char* error, int code) {
  free(s->error);
  s->error = error;
  return code;
}

static int export_schema(struct ArrowArrayStream* stream, struct ArrowSchema* out) {
  exported_stream* s = stream->private_data;
  char* error = NULL;
  int code = dcfStreamSchema(s->producer, out, &error);
  return finish(s, error, code);
}

static int export_next(struct ArrowArrayStream* stream, struct ArrowArray* out) {
  exported_stream* s = stream->private_data;
  char* error = NULL;
  memset(out, 0, sizeof *out);
  int code = dcfStreamNext(s->producer, out, &error);
  return finish(s, error, code);
}

static const char* export_error(struct ArrowArrayStream* stream) {
  return ((exported_stream*)stream->private_data)->error;
}

static void export_release(struct ArrowArrayStream* stream) {
  exported_stream* s = stream->private_data;
  dcfStreamClose(s->producer);
  free(s->error);
  free(s);
  stream->release = NULL;
}

int dcf_stream_export(uintptr_t producer, struct ArrowArrayStream* out) {
  exported_stream* s = malloc(sizeof *s);
  if (!s) return -1;
  s->producer = producer;
  s->error = NULL;
  out->get_schema = export_schema;
  out->get_next = export_next;
  out->get_last_error = export_error;
  out->release = export_release;
  out->private_data = s;
  return 0;
}
