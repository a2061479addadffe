/* Record batches as text, since C has no Arrow library: one line a node of the C Data Interface,
 * the node first, then its children, then its dictionary, and its words in this order:
 *
 *   format name metadata flags children dictionary length null_count offset [buffer ...]
 *
 * Names, metadata and buffers are "x" and their bytes as hexadecimal digits, or "-" for NULL;
 * dictionary is 1 where there is one. pairs/cdata.py is the other end. */
#ifndef PAIRS_BATCH_H
#define PAIRS_BATCH_H

#include <dcf.h>
#include <stdio.h>

/* Reads the next batch; 0 at the end of the file. Its memory is the arrays' own. */
int batch_read(FILE* file, struct ArrowSchema* schema, struct ArrowArray* array);

/* Writes a batch: of each buffer what its type, length and offset say that it holds. */
void batch_write(FILE* file, const struct ArrowSchema* schema, const struct ArrowArray* array);

/* Makes a batch of memory of its own of one that was lent. */
void batch_copy(const struct ArrowSchema* schema, const struct ArrowArray* array,
                struct ArrowSchema* schema_out, struct ArrowArray* array_out);

/* Turns an array into `count` of its rows from `from` on, fewer where it has no more. It keeps the
 * memory of the whole. */
void batch_slice(struct ArrowArray* array, int64_t from, int64_t count);

/* How many values of an array are null. */
int64_t batch_nulls(const char* format, const struct ArrowArray* array);

void batch_release(struct ArrowSchema* schema, struct ArrowArray* array);

/* Writes bytes as hexadecimal digits, and a word of them back to where it stands. */
void hex_write(FILE* file, const void* bytes, int64_t size);
size_t hex_read(char* word);

/* Memory, or the end of the program. */
void* allocate(size_t size);

/* Says what is wrong and ends the program. */
_Noreturn void give_up(const char* what);

#endif
