/* Uses batches, schemas, views and slots as consumers do, and from several threads, so that a
 * sanitizer sees each wrong or missing free. Ends with 0 if all is well. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../arena/arena.h"
#include "../batch.h"
#include "../slot.h"
#include "../views.h"

#define CHECK(x)                                              \
  do {                                                        \
    if (!(x)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
      exit(1);                                                \
    }                                                         \
  } while (0)

/* struct { a: list<item: int64>, d: dictionary<int64 -> int64> } */
static dcf_schema* make_schema(void) {
  struct ArrowSchema** links;
  char* text;
  dcf_schema* s = dcf_schema_new(5, 3, 16, &links, &text);
  CHECK(s);
  memcpy(text, "+s\0+l\0l\0a\0d", 11);
  s->nodes[0].format = text;
  s->nodes[0].name = text + 2;
  s->nodes[0].n_children = 2;
  s->nodes[0].children = links;
  links[0] = &s->nodes[1];
  links[1] = &s->nodes[3];
  s->nodes[1].format = text + 3;
  s->nodes[1].name = text + 8;
  s->nodes[1].n_children = 1;
  s->nodes[1].children = links + 2;
  links[2] = &s->nodes[2];
  for (int i = 2; i < 5; i++) s->nodes[i].format = s->nodes[i].name = text + 6;
  s->nodes[3].dictionary = &s->nodes[4];
  return s;
}

static dcf_batch* make_batch(dcf_schema* schema, dcf_batch* parent) {
  void* bytes = dcf_arena_alloc(128);
  dcf_body* body = dcf_body_new(bytes, 128);
  memset(bytes, 1, 128);
  dcf_batch* b = dcf_batch_new(schema, 9, 1, parent ? 1 : 0);
  CHECK(b);
  for (int i = 0; i < 9; i++) b->buffers[i] = bytes;
  b->bytes = 128;
  int first = 0, n[5] = {1, 2, 2, 2, 2};
  for (int i = 0; i < 5; i++) {
    b->nodes[i].length = 1;
    b->nodes[i].n_buffers = n[i];
    b->nodes[i].buffers = b->buffers + first;
    first += n[i];
  }
  b->bodies[0] = body;
  if (parent) {
    parent->refs++;
    b->parents[0] = parent;
  }
  return b;
}

/* Reads every buffer of an array and what is below it. */
static int64_t sum(const struct ArrowArray* a) {
  int64_t total = 0;
  for (int64_t i = 0; i < a->n_buffers; i++) total += ((const uint8_t*)a->buffers[i])[127];
  for (int64_t i = 0; i < a->n_children; i++) total += sum(a->children[i]);
  return a->dictionary ? total + sum(a->dictionary) : total;
}

static void move_children_out(void) {
  dcf_schema* schema = make_schema();
  dcf_batch* b = make_batch(schema, NULL);
  struct ArrowArray whole, list, item, dictionary;
  struct ArrowSchema type, column;
  CHECK(dcf_batch_export(b, &whole) == 0);
  CHECK(dcf_schema_export(schema, &type) == 0);
  dcf_batch_release(b);
  dcf_schema_release(schema);
  CHECK(sum(&whole) == 9);
  column = *type.children[0];
  type.children[0]->release = NULL;
  type.release(&type);
  CHECK(!type.release && strcmp(column.format, "+l") == 0);
  CHECK(strcmp(column.children[0]->format, "l") == 0);
  column.release(&column);
  list = *whole.children[0];
  whole.children[0]->release = NULL;
  dictionary = *whole.children[1]->dictionary;
  whole.children[1]->dictionary->release = NULL;
  whole.release(&whole);
  CHECK(sum(&list) == 4 && sum(&dictionary) == 2);
  item = *list.children[0];
  list.children[0]->release = NULL;
  list.release(&list);
  CHECK(sum(&item) == 2);
  dictionary.release(&dictionary);
  item.release(&item);
}

static int released;
static void count_release(struct ArrowArray* a) {
  released++;
  a->release = NULL;
}

static void owners(void) {
  dcf_schema* schema = make_schema();
  dcf_batch* parent = make_batch(schema, NULL);
  parent->source.release = count_release;
  dcf_batch* part = make_batch(schema, parent);
  dcf_schema_release(schema);
  dcf_batch_release(parent);
  CHECK(released == 0);
  /* What is lent out has a release that changes nothing. */
  part->nodes[0].release(&part->nodes[0]);
  CHECK(part->nodes[0].release && sum(&part->nodes[0]) == 9);
  dcf_batch_release(part);
  CHECK(released == 1);
}

static dcf_views shared;
static _Atomic int freed;
static void free_view(void* view) {
  free(view);
  freed++;
}

static void* churn(void* batch) {
  dcf_batch* b = batch;
  for (int i = 0; i < 2000; i++) {
    struct ArrowArray out;
    CHECK(dcf_batch_export(b, &out) == 0);
    out.release(&out);
    static const char keys[16];
    void* view = malloc(8);
    if (dcf_views_set(&shared, &keys[i % 16], view, free_view)) free(view);
    CHECK(dcf_views_get(&shared, &keys[i % 16]));
    dcf_slot_drop(dcf_slot_new((uint64_t)i));
    for (dcf_slot* s = i % 7 ? NULL : dcf_slot_dropped(); s; s = dcf_slot_next(s)) {
    }
  }
  dcf_batch_release(b);
  return NULL;
}

static void threads(void) {
  dcf_schema* schema = make_schema();
  dcf_batch* b = make_batch(schema, NULL);
  dcf_schema_release(schema);
  pthread_t t[4];
  for (int i = 0; i < 4; i++) {
    b->refs++;
    pthread_create(&t[i], NULL, churn, b);
  }
  dcf_batch_release(b);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  dcf_views_clear(&shared);
  CHECK(freed == 16 && !dcf_views_get(&shared, &shared));
  for (dcf_slot* s = dcf_slot_dropped(); s; s = dcf_slot_next(s)) {
  }
}

static _Atomic int told;
static void tell(uintptr_t owner) { told += (int)owner; }

static dcf_body* block(void) {
  void* bytes = dcf_arena_alloc(128);
  return dcf_body_new(bytes, 128);
}

static void* keep(void* body) {
  for (int i = 0; i < 100; i++) dcf_body_keep(body, block());
  dcf_body_release(body);
  return NULL;
}

/* Several threads give a body what it keeps, and let go of it. */
static void pieces(void) {
  dcf_body* body = dcf_body_of(2);
  CHECK(body && body->n_pieces == 2 && !body->bytes);
  body->released = tell;
  body->owner = 5;
  dcf_body_keep(body, block());
  pthread_t t[4];
  for (int i = 0; i < 4; i++) {
    body->refs++;
    pthread_create(&t[i], NULL, keep, body);
  }
  dcf_body_release(body);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK(told == 5);
}

int main(void) {
  pieces();
  move_children_out();
  owners();
  threads();
  int64_t batches, schemas, bodies;
  size_t used, kept;
  dcf_live(&batches, &schemas, &bodies);
  dcf_arena_usage(&used, &kept);
  CHECK(batches == 0 && schemas == 0 && bodies == 0 && used == 0);
  return 0;
}
