#include "views.h"

#include <stdatomic.h>
#include <stdlib.h>

struct dcf_view_node {
  dcf_view_node* next;
  const void* key;
  void* view;
  void (*view_free)(void*);
};

/* Nodes are only ever added at the head, and stay until all go: a reader needs no lock. */
static void* find(const dcf_view_node* from, const dcf_view_node* until, const void* key) {
  for (; from != until; from = from->next)
    if (from->key == key) return from->view;
  return NULL;
}

void* dcf_views_get(dcf_views* views, const void* key) {
  return find(atomic_load_explicit(&views->head, memory_order_acquire), NULL, key);
}

int dcf_views_set(dcf_views* views, const void* key, void* view, void (*view_free)(void*)) {
  dcf_view_node* node = malloc(sizeof *node);
  if (!node) return -1;
  node->key = key;
  node->view = view;
  node->view_free = view_free;
  dcf_view_node* seen = NULL; /* what was looked through already */
  node->next = atomic_load_explicit(&views->head, memory_order_acquire);
  do {
    if (find(node->next, seen, key)) {
      free(node);
      return -1;
    }
    seen = node->next;
  } while (!atomic_compare_exchange_weak_explicit(&views->head, &node->next, node,
                                                  memory_order_acq_rel, memory_order_acquire));
  return 0;
}

void dcf_views_clear(dcf_views* views) {
  dcf_view_node* node = atomic_exchange_explicit(&views->head, NULL, memory_order_acq_rel);
  while (node) {
    dcf_view_node* next = node->next;
    if (node->view_free) node->view_free(node->view);
    free(node);
    node = next;
  }
}
