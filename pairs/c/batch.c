#include "batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void give_up(const char* what) {
  fprintf(stderr, "peer.c: %s\n", what);
  exit(2);
}

void* allocate(size_t size) {
  void* memory = calloc(1, size ? size : 1);
  if (!memory) give_up("no memory");
  return memory;
}

/* ---- Hexadecimal digits -------------------------------------------------- */

void hex_write(FILE* file, const void* bytes, int64_t size) {
  for (int64_t i = 0; i < size; i++) fprintf(file, "%02x", ((const uint8_t*)bytes)[i]);
}

size_t hex_read(char* word) {
  size_t size = strlen(word) / 2;
  for (size_t i = 0; i < size; i++) {
    char digits[3] = {word[2 * i], word[2 * i + 1], 0};
    word[i] = (char)strtol(digits, NULL, 16);
  }
  word[size] = 0;
  return size;
}

/* ---- Reading ------------------------------------------------------------- */

static void release_schema(struct ArrowSchema* schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
    free(schema->children[i]);
  }
  if (schema->dictionary && schema->dictionary->release)
    schema->dictionary->release(schema->dictionary);
  free(schema->dictionary);
  free(schema->children);
  free((void*)schema->format);
  free((void*)schema->name);
  free((void*)schema->metadata);
  schema->release = NULL;
}

static void release_array(struct ArrowArray* array) {
  for (int64_t i = 0; i < array->n_children; i++) {
    if (array->children[i]->release) array->children[i]->release(array->children[i]);
    free(array->children[i]);
  }
  if (array->dictionary && array->dictionary->release)
    array->dictionary->release(array->dictionary);
  for (int64_t i = 0; i < array->n_buffers; i++) free((void*)array->buffers[i]);
  free(array->dictionary);
  free(array->children);
  free(array->buffers);
  array->release = NULL;
}

/* The next word of a line that strtok_r takes apart. */
static char* word(char** rest) {
  char* found = strtok_r(NULL, " \n", rest);
  if (!found) give_up("a line of a batch ends too early");
  return found;
}

static int64_t number(char** rest) { return strtoll(word(rest), NULL, 10); }

/* The bytes that a word stands for, or NULL. */
static void* bytes_of(char* text) {
  if (*text == '-') return NULL;
  size_t size = hex_read(++text);
  return memcpy(allocate(size + 1), text, size);
}

static void read_line(char* line, struct ArrowSchema* schema, struct ArrowArray* array) {
  char *rest, *format = strtok_r(line, " \n", &rest), *text;
  *schema = (struct ArrowSchema){.release = release_schema};
  *array = (struct ArrowArray){.release = release_array};
  schema->format = strcpy(allocate(strlen(format) + 1), format);
  schema->name = bytes_of(word(&rest));
  schema->metadata = bytes_of(word(&rest));
  schema->flags = number(&rest);
  array->n_children = schema->n_children = number(&rest);
  if (number(&rest)) {
    schema->dictionary = allocate(sizeof *schema);
    array->dictionary = allocate(sizeof *array);
  }
  array->length = number(&rest);
  array->null_count = number(&rest);
  array->offset = number(&rest);
  array->buffers = allocate((strlen(rest) / 2 + 1) * sizeof(void*)); /* two letters a buffer */
  while ((text = strtok_r(NULL, " \n", &rest))) array->buffers[array->n_buffers++] = bytes_of(text);
}

int batch_read(FILE* file, struct ArrowSchema* schema, struct ArrowArray* array) {
  char* line = NULL;
  size_t size = 0;
  int found = getline(&line, &size, file) > 0;
  if (found) read_line(line, schema, array);
  free(line);
  if (!found) return 0;
  schema->children = allocate((size_t)schema->n_children * sizeof(void*));
  array->children = allocate((size_t)array->n_children * sizeof(void*));
  for (int64_t i = 0; i < schema->n_children; i++) {
    schema->children[i] = allocate(sizeof *schema);
    array->children[i] = allocate(sizeof *array);
    if (!batch_read(file, schema->children[i], array->children[i])) give_up("a child is missing");
  }
  if (schema->dictionary && !batch_read(file, schema->dictionary, array->dictionary))
    give_up("a dictionary is missing");
  return 1;
}

/* ---- Writing ------------------------------------------------------------- */

/* The size of a value in bytes, of types that have one; 0 of others. */
static int64_t value_size(const char* format) {
  static const char* const by_size[] = {[1] = "cC", [2] = "sSe", [4] = "iIf", [8] = "lLg"};
  int precision, scale, bits = 128;
  if (!format[1])
    for (size_t i = 0; i < sizeof by_size / sizeof *by_size; i++)
      if (by_size[i] && strchr(by_size[i], *format)) return (int64_t)i;
  if (*format == 'w') return strtoll(format + 2, NULL, 10);
  if (*format == 'd') {
    sscanf(format, "d:%d,%d,%d", &precision, &scale, &bits);
    return bits / 8;
  }
  if (*format != 't') return 0;
  if (strncmp(format, "tin", 3) == 0) return 16;
  static const char* const halves[] = {"tdD", "tts", "ttm", "tiM"};
  for (size_t i = 0; i < sizeof halves / sizeof *halves; i++)
    if (strcmp(format, halves[i]) == 0) return 4;
  return 8;
}

static int64_t bits(int64_t count) { return (count + 7) / 8; }

static int64_t last(const void* offsets, int64_t count, int wide) {
  if (!offsets) return 0;
  return wide ? ((const int64_t*)offsets)[count] : ((const int32_t*)offsets)[count];
}

/* How many bytes buffer i holds. */
static int64_t buffer_size(const char* format, const struct ArrowArray* array, int64_t i) {
  int64_t end = array->offset + array->length, values = value_size(format);
  int wide = strchr("ZUL", format[*format == '+']) != NULL || strcmp(format, "+vL") == 0;
  if (strncmp(format, "+u", 2) == 0) return i == 0 ? end : end * 4;
  if (i == 0) return bits(end);
  if (values) return end * values;
  if (*format == 'b') return bits(end);
  if (*format == 'v') {
    int64_t data = array->n_buffers - 3;
    if (i == 1) return end * 16;
    return i == data + 2 ? data * 8 : ((const int64_t*)array->buffers[data + 2])[i - 2];
  }
  if (strncmp(format, "+v", 2) == 0) return end * (wide ? 8 : 4);
  if (i == 1) return (end + 1) * (wide ? 8 : 4);
  return last(array->buffers[1], end, wide);
}

static void write_word(FILE* file, const void* bytes, int64_t size) {
  fputs(bytes ? " x" : " -", file);
  if (bytes) hex_write(file, bytes, size);
}

/* Metadata is a count of pairs, and each key and value after its size. */
static int64_t metadata_size(const char* metadata) {
  int32_t pairs, size;
  const char* at = metadata;
  if (!metadata) return 0;
  memcpy(&pairs, at, sizeof pairs);
  at += sizeof pairs;
  for (int32_t i = 0; i < 2 * pairs; i++) {
    memcpy(&size, at, sizeof size);
    at += sizeof size + (size_t)size;
  }
  return at - metadata;
}

void batch_write(FILE* file, const struct ArrowSchema* schema, const struct ArrowArray* array) {
  fputs(schema->format, file);
  write_word(file, schema->name, schema->name ? (int64_t)strlen(schema->name) : 0);
  write_word(file, schema->metadata, metadata_size(schema->metadata));
  fprintf(file, " %" PRId64 " %" PRId64 " %d %" PRId64 " %" PRId64 " %" PRId64, schema->flags,
          schema->n_children, schema->dictionary != NULL, array->length, array->null_count,
          array->offset);
  for (int64_t i = 0; i < array->n_buffers; i++)
    write_word(file, array->buffers[i], buffer_size(schema->format, array, i));
  fputc('\n', file);
  for (int64_t i = 0; i < schema->n_children; i++)
    batch_write(file, schema->children[i], array->children[i]);
  if (schema->dictionary) batch_write(file, schema->dictionary, array->dictionary);
}

/* ---- Copying ------------------------------------------------------------- */

static void* bytes_copy(const void* bytes, int64_t size) {
  return bytes ? memcpy(allocate((size_t)size + 1), bytes, (size_t)size) : NULL;
}

static void* text_copy(const char* text) {
  return bytes_copy(text, text ? (int64_t)strlen(text) : 0);
}

void batch_copy(const struct ArrowSchema* schema, const struct ArrowArray* array,
                struct ArrowSchema* schema_out, struct ArrowArray* array_out) {
  size_t children = (size_t)schema->n_children;
  *schema_out = *schema;
  *array_out = *array;
  schema_out->release = release_schema;
  array_out->release = release_array;
  schema_out->format = text_copy(schema->format);
  schema_out->name = text_copy(schema->name);
  schema_out->metadata = bytes_copy(schema->metadata, metadata_size(schema->metadata));
  array_out->buffers = allocate((size_t)array->n_buffers * sizeof(void*));
  for (int64_t i = 0; i < array->n_buffers; i++)
    array_out->buffers[i] = bytes_copy(array->buffers[i], buffer_size(schema->format, array, i));
  schema_out->children = allocate(children * sizeof(void*));
  array_out->children = allocate(children * sizeof(void*));
  for (size_t i = 0; i < children; i++)
    batch_copy(schema->children[i], array->children[i],
               schema_out->children[i] = allocate(sizeof *schema),
               array_out->children[i] = allocate(sizeof *array));
  if (schema->dictionary)
    batch_copy(schema->dictionary, array->dictionary,
               schema_out->dictionary = allocate(sizeof *schema),
               array_out->dictionary = allocate(sizeof *array));
}

/* ---- Rows ---------------------------------------------------------------- */

static void release_slice(struct ArrowArray* slice) {
  struct ArrowArray* whole = slice->private_data;
  whole->release(whole);
  free(whole);
  slice->release = NULL;
}

void batch_slice(struct ArrowArray* array, int64_t from, int64_t count) {
  struct ArrowArray* whole = allocate(sizeof *whole);
  *whole = *array;
  from = from < whole->length ? from : whole->length;
  array->offset += from;
  array->length = count < whole->length - from ? count : whole->length - from;
  array->private_data = whole;
  array->release = release_slice;
}

int64_t batch_nulls(const char* format, const struct ArrowArray* array) {
  int64_t nulls = 0;
  if (strcmp(format, "n") == 0) return array->length;
  if (strncmp(format, "+u", 2) == 0 || strcmp(format, "+r") == 0 || !array->buffers[0]) return 0;
  for (int64_t i = array->offset; i < array->offset + array->length; i++)
    nulls += !(((const uint8_t*)array->buffers[0])[i / 8] >> i % 8 & 1);
  return nulls;
}

void batch_release(struct ArrowSchema* schema, struct ArrowArray* array) {
  schema->release(schema);
  array->release(array);
}
