/* Copies of Arrow arrays, joined: the chunks of a stream as one batch, and what a callback only
 * borrows. */
#include <stdlib.h>

#include "dcf_python.h"

typedef const struct ArrowArray* const* Sources;

static int concat(const struct ArrowSchema* schema, Sources sources, Py_ssize_t count, int depth,
                  struct ArrowArray* out);

static void* buffer_of(size_t size) {
  void* memory = calloc(1, size > 0 ? size : 1);
  if (memory == NULL) PyErr_NoMemory();
  return memory;
}

/* Copies one bit a value out of buffer `index` of each source; a missing buffer is all ones. */
static void* concat_bits(Sources sources, Py_ssize_t count, int64_t length, int index) {
  uint8_t* bits = buffer_of((size_t)(length + 7) / 8);
  if (bits == NULL) return NULL;
  int64_t at = 0;
  for (Py_ssize_t s = 0; s < count; s++) {
    const struct ArrowArray* source = sources[s];
    const uint8_t* from = source->buffers[index];
    for (int64_t i = 0; i < source->length; i++, at++) {
      if (from == NULL || bit_at(from, source->offset + i)) bit_set(bits, at);
    }
  }
  return bits;
}

static int concat_validity(Sources sources, Py_ssize_t count, struct ArrowArray* out) {
  bool any = false;
  for (Py_ssize_t s = 0; s < count; s++) {
    any = any || (sources[s]->null_count != 0 && sources[s]->buffers[0] != NULL);
  }
  out->null_count = 0;
  if (!any) return 0;
  uint8_t* bits = concat_bits(sources, count, out->length, 0);
  if (bits == NULL) return -1;
  out->buffers[0] = bits;
  for (int64_t i = 0; i < out->length; i++) out->null_count += !bit_at(bits, i);
  return 0;
}

static int concat_fixed(Sources sources, Py_ssize_t count, int64_t width, struct ArrowArray* out) {
  char* values = buffer_of((size_t)(out->length * width));
  if (values == NULL) return -1;
  out->buffers[1] = values;
  for (Py_ssize_t s = 0; s < count; s++) {
    const size_t size = (size_t)(sources[s]->length * width);
    if (size == 0) continue;
    memcpy(values, (const char*)sources[s]->buffers[1] + sources[s]->offset * width, size);
    values += size;
  }
  return 0;
}

static int64_t offset_at(const struct ArrowArray* array, bool large, int64_t i) {
  const void* offsets = array->buffers[1];
  if (offsets == NULL || array->length == 0) return 0; /* allowed for an empty array */
  i += array->offset;
  return large ? ((const int64_t*)offsets)[i] : ((const int32_t*)offsets)[i];
}

/* Writes offsets that start at zero into buffer 1, and gives their end. */
static int64_t concat_offsets(Sources sources, Py_ssize_t count, bool large,
                              struct ArrowArray* out) {
  const size_t width = large ? sizeof(int64_t) : sizeof(int32_t);
  void* offsets = buffer_of((size_t)(out->length + 1) * width);
  if (offsets == NULL) return -1;
  out->buffers[1] = offsets;
  int64_t base = 0, at = 0;
  for (Py_ssize_t s = 0; s < count; s++) {
    const int64_t first = offset_at(sources[s], large, 0);
    for (int64_t i = 1; i <= sources[s]->length; i++) {
      const int64_t end = base + offset_at(sources[s], large, i) - first;
      if (!large && end > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError,
                        "the joined column needs 64-bit offsets: use large_utf8 or large_list");
        return -1;
      }
      at++;
      if (large) {
        ((int64_t*)offsets)[at] = end;
      } else {
        ((int32_t*)offsets)[at] = (int32_t)end;
      }
    }
    base += offset_at(sources[s], large, sources[s]->length) - first;
  }
  return base;
}

static int concat_binary(Sources sources, Py_ssize_t count, bool large, struct ArrowArray* out) {
  const int64_t total = concat_offsets(sources, count, large, out);
  if (total < 0) return -1;
  char* bytes = buffer_of((size_t)total);
  if (bytes == NULL) return -1;
  out->buffers[2] = bytes;
  for (Py_ssize_t s = 0; s < count; s++) {
    const int64_t first = offset_at(sources[s], large, 0);
    const size_t size = (size_t)(offset_at(sources[s], large, sources[s]->length) - first);
    if (size == 0) continue;
    memcpy(bytes, (const char*)sources[s]->buffers[2] + first, size);
    bytes += size;
  }
  return 0;
}

/* Joins child `index` of all sources; of each the values [from(s), from(s) + length(s)) that its
 * parent refers to. */
static int concat_child(const struct ArrowSchema* schema, Sources sources, Py_ssize_t count,
                        int64_t index, const LayoutInfo* layout, int depth,
                        struct ArrowArray* out) {
  struct ArrowArray* slices = malloc(((size_t)count + 1) * (sizeof *slices + sizeof(void*)));
  if (slices == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  const struct ArrowArray** pointers = (const struct ArrowArray**)(slices + count + 1);
  for (Py_ssize_t s = 0; s < count; s++) {
    int64_t from = sources[s]->offset, length = sources[s]->length;
    if (layout->layout == kLayoutList || layout->layout == kLayoutLargeList) {
      const bool large = layout->layout == kLayoutLargeList;
      from = offset_at(sources[s], large, 0);
      length = offset_at(sources[s], large, sources[s]->length) - from;
    } else if (layout->layout == kLayoutFixedList) {
      from *= layout->width;
      length *= layout->width;
    }
    slices[s] = *sources[s]->children[index];
    /* A slice of the whole keeps its count of nulls, any other has to count. */
    if (slices[s].null_count > 0 && length != slices[s].length) slices[s].null_count = -1;
    slices[s].offset += from;
    slices[s].length = length;
    pointers[s] = &slices[s];
  }
  int result = concat(schema->children[index], pointers, count, depth + 1, out);
  free(slices);
  return result;
}

static int concat_dictionary(const struct ArrowSchema* schema, Sources sources, Py_ssize_t count,
                             int depth, struct ArrowArray* out) {
  for (Py_ssize_t s = 1; s < count; s++) {
    const struct ArrowArray *a = sources[0]->dictionary, *b = sources[s]->dictionary;
    bool same = a->length == b->length && a->offset == b->offset && a->n_buffers == b->n_buffers;
    for (int64_t i = 0; same && i < a->n_buffers; i++) same = a->buffers[i] == b->buffers[i];
    if (!same) {
      PyErr_SetString(PyExc_TypeError,
                      "the chunks of a dictionary column have dictionaries of their own: unify "
                      "them first (pyarrow: table.unify_dictionaries(); polars: df.rechunk())");
      return -1;
    }
  }
  out->dictionary = calloc(1, sizeof *out->dictionary);
  if (out->dictionary == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  const struct ArrowArray* dictionary = sources[0]->dictionary;
  return concat(schema->dictionary, &dictionary, 1, depth + 1, out->dictionary);
}

static int64_t buffers_of(Layout layout) {
  switch (layout) {
    case kLayoutNull:
      return 0;
    case kLayoutStruct:
    case kLayoutFixedList:
      return 1;
    case kLayoutBinary:
    case kLayoutLargeBinary:
      return 3;
    default:
      return 2;
  }
}

static int concat_values(const LayoutInfo* info, Sources sources, Py_ssize_t count,
                         struct ArrowArray* out) {
  switch (info->layout) {
    case kLayoutBool:
      out->buffers[1] = concat_bits(sources, count, out->length, 1);
      return out->buffers[1] != NULL ? 0 : -1;
    case kLayoutFixed:
      return concat_fixed(sources, count, info->width, out);
    case kLayoutBinary:
    case kLayoutLargeBinary:
      return concat_binary(sources, count, info->layout == kLayoutLargeBinary, out);
    case kLayoutList:
    case kLayoutLargeList:
      return concat_offsets(sources, count, info->layout == kLayoutLargeList, out) < 0 ? -1 : 0;
    default:
      return 0;
  }
}

static int concat(const struct ArrowSchema* schema, Sources sources, Py_ssize_t count, int depth,
                  struct ArrowArray* out) {
  const LayoutInfo info = layout_of(schema->format);
  if (info.layout == kLayoutUnknown || info.layout == kLayoutView) {
    PyErr_Format(PyExc_TypeError,
                 "chunks of Arrow type \"%s\" cannot be joined here: pass one chunk (polars: "
                 "df.rechunk(); pyarrow: table.combine_chunks()), or cast the column",
                 schema->format);
    return -1;
  }
  if (depth > kMaxNesting) {
    PyErr_Format(PyExc_ValueError, "an Arrow type may be nested at most %d deep", kMaxNesting);
    return -1;
  }
  int64_t length = 0;
  for (Py_ssize_t s = 0; s < count; s++) length += sources[s]->length;
  if (new_array(length, 0, buffers_of(info.layout), schema->n_children, out) < 0) return -1;
  int result = 0;
  if (info.layout == kLayoutNull) {
    out->null_count = length;
  } else {
    result = concat_validity(sources, count, out);
    if (result == 0) result = concat_values(&info, sources, count, out);
  }
  for (int64_t i = 0; result == 0 && i < schema->n_children; i++) {
    result = concat_child(schema, sources, count, i, &info, depth, out->children[i]);
  }
  if (result == 0 && schema->dictionary != NULL && count > 0) {
    result = concat_dictionary(schema, sources, count, depth, out);
  }
  if (result < 0) release_array(out);
  return result;
}

int concat_arrays(const struct ArrowSchema* schema, const struct ArrowArray* const* sources,
                  Py_ssize_t count, struct ArrowArray* out) {
  return concat(schema, sources, count, 0, out);
}
