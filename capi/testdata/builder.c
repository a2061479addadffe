/* Builders: fill in and commit, what is refused, what is written after the commit, who ends what.
 */
#include "support.h"

#define COLUMNS 4
enum { X, TEXT, LIST, ITEMS, INDEX };

static struct ArrowSchema field(const char* name, const char* format) {
  return (struct ArrowSchema){
      .format = format, .name = name, .flags = ARROW_FLAG_NULLABLE, .release = release_field};
}

/* The type of a table: x: float64, t: utf8, l: list<int32>, d: dictionary<int8, utf8>. */
typedef struct table_type {
  struct ArrowSchema whole, x, t, l, item, d, words;
  struct ArrowSchema *columns[COLUMNS], *items[1];
} table_type;

static struct ArrowSchema* type_of(table_type* s) {
  s->x = field("x", "g");
  s->x.flags = 0;
  s->t = field("t", "u");
  s->item = field("item", "i");
  s->l = field("l", "+l");
  s->items[0] = &s->item;
  s->l.n_children = 1;
  s->l.children = s->items;
  s->words = field("", "u");
  s->d = field("d", "c");
  s->d.dictionary = &s->words;
  struct ArrowSchema* columns[] = {&s->x, &s->t, &s->l, &s->d};
  memcpy(s->columns, columns, sizeof columns);
  s->whole = field("", "+s");
  s->whole.n_children = COLUMNS;
  s->whole.children = s->columns;
  return &s->whole;
}

static dcf_builder open_builder(dcf_worker worker, int64_t rows) {
  dcf_error error;
  dcf_builder builder;
  table_type type;
  OK(dcf_builder_open(worker, type_of(&type), rows, &builder, &error));
  return builder;
}

static dcf_column column_of(dcf_builder builder, size_t column, int64_t capacity) {
  dcf_error error;
  dcf_column out = DCF_COLUMN_INIT;
  OK(dcf_builder_column(builder, column, capacity, &out, &error));
  SAME(out.struct_size, sizeof out);
  return out;
}

/* The words "yes" and "no" as an array of the caller's. */
static const int32_t word_offsets[] = {0, 3, 5};
static const void* word_buffers[] = {NULL, word_offsets, "yesno"};
static void release_words(struct ArrowArray* array) {
  array->release = NULL;
  atomic_fetch_sub(&batches_alive, 1);
}
static struct ArrowArray words(void) {
  atomic_fetch_add(&batches_alive, 1);
  return (struct ArrowArray){
      .length = 2, .n_buffers = 3, .buffers = word_buffers, .release = release_words};
}

static void give_words(dcf_builder builder) {
  dcf_error error;
  struct ArrowArray array = words();
  OK(dcf_builder_dictionary(builder, INDEX, &array, &error));
  CHECK(!array.release);
}

typedef struct filled {
  dcf_column x, t, l, items, d;
} filled;

/* Fills in three rows. */
static filled fill(dcf_builder builder) {
  filled f = {column_of(builder, X, 0), column_of(builder, TEXT, 6), column_of(builder, LIST, 3),
              column_of(builder, ITEMS, 0), column_of(builder, INDEX, 0)};
  memcpy(f.x.values, (double[]){1, 2, 4}, 3 * sizeof(double));
  memcpy(f.t.offsets, (int32_t[]){0, 1, 3, 6}, 4 * sizeof(int32_t));
  memcpy(f.t.values, "abbccc", 6);
  memcpy(f.l.offsets, (int32_t[]){0, 2, 2, 3}, 4 * sizeof(int32_t));
  memcpy(f.items.values, (int32_t[]){7, 8, 9}, 3 * sizeof(int32_t));
  memcpy(f.d.values, (int8_t[]){1, 0, 100}, 3);
  *(uint8_t*)f.d.validity = 3; /* the last is null */
  give_words(builder);
  return f;
}

static void expect(const struct ArrowArray* array) {
  const struct ArrowArray *t = array->children[TEXT], *l = array->children[2],
                          *d = array->children[3];
  SAME(array->length, 3);
  CHECK(((const double*)array->children[X]->buffers[1])[2] == 4);
  SAME(t->null_count, 0);
  SAME(((const int32_t*)t->buffers[1])[3], 6);
  CHECK(memcmp(t->buffers[2], "abbccc", 6) == 0);
  SAME(((const int32_t*)l->buffers[1])[3], 3);
  SAME(l->children[0]->length, 3);
  SAME(((const int32_t*)l->children[0]->buffers[1])[2], 9);
  SAME(d->null_count, 1);
  SAME(((const int8_t*)d->buffers[1])[0], 1);
  CHECK(memcmp(d->dictionary->buffers[2], "yesno", 5) == 0);
}

static void commit_without_a_copy(dcf_worker worker) {
  dcf_error error;
  dcf_vertex vertex, found;
  struct ArrowArray value, array;
  struct ArrowSchema schema;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.name = text("built");
  dcf_builder builder = open_builder(worker, 3);
  SAME(counter(worker, "handles.builders"), 1);
  filled f = fill(builder);
  SAME(f.x.length, 3);
  CHECK(!f.x.validity && !f.x.offsets && f.t.validity && f.l.offsets && !f.l.values);
  SAME(f.t.values_bytes, 6);
  SAME(f.l.children, 3);
  SAME(f.items.length, 3);
  OK(dcf_builder_commit(builder, &options, &value, &vertex, &error));
  SAME(counter(worker, "handles.builders"), 0);
  expect(&value);
  OK(dcf_vertex_open_name(worker, text("built"), &found, &error));
  OK(dcf_vertex_export(found, 0, &schema, &array, &error));
  CHECK(array.children[X]->buffers[1] == f.x.values);
  CHECK(array.children[TEXT]->buffers[2] == f.t.values);
  expect(&array);

  /* Who still writes to the memory leads nobody outside. */
  memset(f.t.offsets, 0xff, 4 * sizeof(int32_t));
  memset(f.l.offsets, 0x7f, 4 * sizeof(int32_t));
  memset(f.d.values, 0x7f, 3);
  memset(f.d.validity, 0xff, 1);
  memset(f.t.validity, 0, 1);
  expect(&array);

  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
  OK(dcf_vertex_release(found, &error));
  release_both(&schema, &array);
  expect(&value); /* keeps the memory */
  memset(f.d.values, 0, 3);
  value.release(&value);

  dcf_column out = DCF_COLUMN_INIT;
  struct ArrowArray more = words();
  FAILS(dcf_builder_commit(builder, NULL, NULL, &vertex, &error), DCF_BAD_HANDLE, "given back");
  FAILS(dcf_builder_column(builder, 0, 0, &out, &error), DCF_BAD_HANDLE, "given back");
  FAILS(dcf_builder_dictionary(builder, INDEX, &more, &error), DCF_BAD_HANDLE, "given back");
  FAILS(dcf_builder_abort(builder, &error), DCF_BAD_HANDLE, "given back");
  CHECK(more.release);
  more.release(&more);
}

static void corrected_and_committed_again(dcf_worker worker) {
  dcf_error error;
  dcf_vertex vertex, taken = put_numbers(worker, "taken", NULL, 1);
  struct ArrowArray value = {0};
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.name = text("taken");
  dcf_builder builder = open_builder(worker, 3);
  FAILS(dcf_builder_commit(builder, &options, NULL, &vertex, &error), DCF_INVALID_ARGUMENT,
        "column \"d\" has no dictionary");
  filled f = fill(builder);
  ((int32_t*)f.t.offsets)[2] = 0;
  FAILS(dcf_builder_commit(builder, &options, &value, &vertex, &error), DCF_INVALID_ARGUMENT,
        "column \"t\": offset 2 is smaller than the one before it, where value 1 starts");
  ((int32_t*)f.t.offsets)[2] = 3;
  ((int32_t*)f.t.offsets)[3] = 7;
  FAILS(dcf_builder_commit(builder, &options, &value, &vertex, &error), DCF_INVALID_ARGUMENT,
        "which value 2 does not");
  ((int32_t*)f.t.offsets)[3] = 6;
  ((char*)f.t.values)[1] = (char)0xff;
  FAILS(dcf_builder_commit(builder, &options, &value, &vertex, &error), DCF_INVALID_ARGUMENT,
        "column \"t\": value 1 is not UTF-8");
  ((char*)f.t.values)[1] = 'b';
  *(uint8_t*)f.d.validity = 7;
  FAILS(dcf_builder_commit(builder, &options, &value, &vertex, &error), DCF_INVALID_ARGUMENT,
        "column \"d\": value 2 has index 100");
  *(uint8_t*)f.d.validity = 3;
  FAILS(dcf_builder_commit(builder, &options, &value, &vertex, &error), DCF_ALREADY_EXISTS,
        "taken");
  CHECK(!value.release);
  options.flags = DCF_PUT_REPLACE;
  OK(dcf_builder_commit(builder, &options, &value, &vertex, &error));
  expect(&value);
  value.release(&value);
  OK(dcf_vertex_release(taken, &error));
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
}

static void shards(dcf_worker worker) {
  dcf_error error;
  dcf_vertex vertex;
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.shard_by = text("t");
  dcf_builder builder = open_builder(worker, 3);
  fill(builder);
  OK(dcf_builder_commit(builder, &options, NULL, &vertex, &error));
  OK(dcf_vertex_info_get(vertex, &info, &error));
  SAME(info.child_count, 3);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
}

/* Texts that grow while they are written. */
static void growing(dcf_worker worker) {
  dcf_error error;
  dcf_vertex vertex;
  struct ArrowArray value;
  enum { ROWS = 1000 };
  dcf_builder builder = open_builder(worker, ROWS);
  give_words(builder);
  dcf_column x = column_of(builder, X, 0), d = column_of(builder, INDEX, 0), t;
  memset(x.values, 0, x.values_bytes);
  memset(d.values, 0, d.values_bytes);
  int32_t used = 0;
  for (int32_t i = 0; i < ROWS; i++) {
    t = column_of(builder, TEXT, used + i + 1);
    memset((char*)t.values + used, 'a' + i % 26, (size_t)(i % 7));
    used += i % 7;
    ((int32_t*)t.offsets)[i + 1] = used;
  }
  OK(dcf_builder_commit(builder, NULL, &value, &vertex, &error));
  const char* bytes = value.children[TEXT]->buffers[2];
  const int32_t* offsets = value.children[TEXT]->buffers[1];
  for (int32_t i = 0; i < ROWS; i++)
    for (int32_t j = offsets[i]; j < offsets[i + 1]; j++) SAME(bytes[j], 'a' + i % 26);
  SAME(offsets[ROWS], used);
  value.release(&value);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
}

static void refused(dcf_worker worker) {
  dcf_error error;
  dcf_builder builder;
  dcf_vertex vertex;
  table_type type;
  struct ArrowSchema* schema = type_of(&type);
  FAILS(dcf_builder_open(worker, NULL, 1, &builder, &error), DCF_INVALID_ARGUMENT,
        "schema is NULL");
  FAILS(dcf_builder_open(worker, schema, 1, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  FAILS(dcf_builder_open(worker, schema, -1, &builder, &error), DCF_INVALID_ARGUMENT, "MaxRows");
  FAILS(dcf_builder_open(worker, schema, (int64_t)1 << 39, &builder, &error), DCF_EXHAUSTED,
        "memory limit");
  FAILS(dcf_builder_open(worker, &type.x, 1, &builder, &error), DCF_INVALID_ARGUMENT, "wrap");
  FAILS(dcf_builder_open((dcf_worker){7}, schema, 1, &builder, &error), DCF_BAD_HANDLE, "worker");
  const char* unsupported[][2] = {{"vu", "string_view"}, {"vz", "binary_view"}};
  for (int i = 0; i < 2; i++) {
    type_of(&type);
    type.t.format = unsupported[i][0];
    FAILS(dcf_builder_open(worker, &type.whole, 1, &builder, &error), DCF_UNSUPPORTED,
          unsupported[i][1]);
    CHECK(strstr(error.message, "column \"t\""));
  }

  builder = open_builder(worker, 3);
  dcf_column out = DCF_COLUMN_INIT;
  FAILS(dcf_builder_column(builder, 5, 0, &out, &error), DCF_INVALID_ARGUMENT, "no column 5");
  FAILS(dcf_builder_column(builder, SIZE_MAX, 0, &out, &error), DCF_INVALID_ARGUMENT, "no column");
  FAILS(dcf_builder_column(builder, X, 8, &out, &error), DCF_INVALID_ARGUMENT, "capacity");
  FAILS(dcf_builder_column(builder, TEXT, -8, &out, &error), DCF_INVALID_ARGUMENT, "capacity");
  FAILS(dcf_builder_column(builder, TEXT, INT64_MAX, &out, &error), DCF_INVALID_ARGUMENT,
        "capacity");
  FAILS(dcf_builder_column(builder, TEXT, (int64_t)1 << 45, &out, &error), DCF_EXHAUSTED,
        "memory limit");
  FAILS(dcf_builder_column(builder, X, 0, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  out.struct_size = 4;
  FAILS(dcf_builder_column(builder, X, 0, &out, &error), DCF_INVALID_ARGUMENT, "DCF_COLUMN_INIT");
  dcf_column smaller = {offsetof(dcf_column, values_bytes), 0, 0, 0, 0, 0, 77, 0};
  OK(dcf_builder_column(builder, X, 0, &smaller, &error));
  SAME(smaller.values_bytes, 77); /* beyond what the caller knows */
  struct ArrowArray bad = words();
  FAILS(dcf_builder_dictionary(builder, X, &bad, &error), DCF_INVALID_ARGUMENT, "no dictionary");
  FAILS(dcf_builder_dictionary(builder, INDEX, NULL, &error), DCF_INVALID_ARGUMENT, "NULL");
  bad.n_buffers = 2;
  FAILS(dcf_builder_dictionary(builder, INDEX, &bad, &error), DCF_INVALID_ARGUMENT,
        "column \"d\": its dictionary");
  CHECK(bad.release);
  bad.release(&bad);
  FAILS(dcf_builder_dictionary(builder, INDEX, &bad, &error), DCF_INVALID_ARGUMENT, "released");
  FAILS(dcf_builder_commit(builder, NULL, NULL, NULL, &error), DCF_INVALID_ARGUMENT, "out is NULL");
  FAILS(dcf_builder_commit((dcf_builder){0}, NULL, NULL, &vertex, &error), DCF_BAD_HANDLE, "zero");
  FAILS(dcf_builder_commit((dcf_builder){worker.handle}, NULL, NULL, &vertex, &error),
        DCF_BAD_HANDLE, "no handle of a builder");
  OK(dcf_builder_abort(builder, &error));
  FAILS(dcf_builder_abort(builder, &error), DCF_BAD_HANDLE, "given back");
}

/* Random bytes where offsets, indices and validity stand: a commit says what is wrong, or what it
 * makes can be read. */
static void random_fillings(dcf_worker worker) {
  dcf_error error;
  unsigned seed = 1;
  int committed = 0;
  for (int round = 0; round < 2000; round++) {
    dcf_vertex vertex;
    struct ArrowArray value;
    dcf_builder builder = open_builder(worker, 3);
    filled f = fill(builder);
    void* spoiled[] = {f.t.offsets, f.l.offsets, f.d.values, f.d.validity, f.t.values};
    size_t sizes[] = {16, 16, 3, 1, 6};
    int which = rand_r(&seed) % 5;
    ((uint8_t*)spoiled[which])[(size_t)rand_r(&seed) % sizes[which]] = (uint8_t)rand_r(&seed);
    dcf_status status = dcf_builder_commit(builder, NULL, &value, &vertex, &error);
    if (status != DCF_OK) {
      SAME(status, DCF_INVALID_ARGUMENT);
      OK(dcf_builder_abort(builder, &error));
      continue;
    }
    committed++;
    const int32_t* offsets = value.children[TEXT]->buffers[1];
    for (int i = 0; i < 3; i++) CHECK(offsets[i] >= 0 && offsets[i] <= offsets[i + 1]);
    CHECK(offsets[3] <= 6);
    value.release(&value);
    OK(dcf_vertex_drop(vertex, &error));
    OK(dcf_vertex_release(vertex, &error));
  }
  CHECK(committed > 0 && committed < 2000);
}

/* Threads that end one builder at once, and write to it until then. */
typedef struct ending {
  dcf_builder builder;
  int aborts;
} ending;
static void* end_it(void* argument) {
  ending* e = argument;
  dcf_error error;
  dcf_vertex vertex;
  dcf_status status = e->aborts ? dcf_builder_abort(e->builder, &error)
                                : dcf_builder_commit(e->builder, NULL, NULL, &vertex, &error);
  CHECK(status == DCF_OK || status == DCF_BAD_HANDLE || status == DCF_ABORTED);
  if (status == DCF_OK && !e->aborts) {
    OK(dcf_vertex_drop(vertex, &error));
    OK(dcf_vertex_release(vertex, &error));
  }
  return NULL;
}
static void ended_on_many_threads(dcf_worker worker) {
  for (int round = 0; round < 100; round++) {
    ending e = {open_builder(worker, 3), 0}, a = {e.builder, 1};
    pthread_t threads[3];
    dcf_error error;
    fill(e.builder);
    CHECK(pthread_create(&threads[0], NULL, end_it, &e) == 0);
    CHECK(pthread_create(&threads[1], NULL, end_it, &e) == 0);
    CHECK(pthread_create(&threads[2], NULL, end_it, round % 2 ? &a : &e) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    dcf_builder_abort(e.builder, &error); /* where all commits met each other */
  }
}

/* A builder whose worker is closed keeps its memory. */
static void of_a_closed_worker(dcf_worker other) {
  dcf_error error;
  dcf_vertex vertex;
  dcf_worker worker = open_worker();
  dcf_builder builder = open_builder(worker, 3);
  filled f = fill(builder);
  OK(dcf_worker_close(worker, 0, &error));
  memset(f.x.values, 1, 3 * sizeof(double));
  dcf_column out = DCF_COLUMN_INIT;
  FAILS(dcf_builder_column(builder, 0, 0, &out, &error), DCF_BAD_HANDLE, "closed");
  FAILS(dcf_builder_commit(builder, NULL, NULL, &vertex, &error), DCF_BAD_HANDLE, "closed");
  OK(dcf_builder_abort(builder, &error));
  SAME(counter(other, "handles.builders"), 0);
}

int main(void) {
  dcf_worker worker = open_worker();
  commit_without_a_copy(worker);
  corrected_and_committed_again(worker);
  shards(worker);
  growing(worker);
  refused(worker);
  random_fillings(worker);
  ended_on_many_threads(worker);
  of_a_closed_worker(worker);
  SAME(counter(worker, "builders.bytes"), 0);
  end(worker);
  return 0;
}
