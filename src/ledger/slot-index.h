#pragma once

/*
 * Finds slots of the ledger by what they hold: numbers by hashes. Knows nothing of what is in a slot, and may give out
 * one that has but the same hash: whoever asks compares.
 *
 * In the server's own memory: the next server would have to check what was left to it, and makes another one as soon.
 * One block, eight bytes an entry, which lie in the order of their hashes: so that to grow takes one walk through it.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct SlotIndex SlotIndex;

/* Numbers are lower than this. */
#define SLOT_INDEX_MAX UINT32_MAX

/* An empty one, with room for that many; it takes more when there are more. */
SlotIndex *slot_index_new(uint64_t expected);
void slot_index_free(SlotIndex *index);

/* Of ids and inode numbers: those that follow one another, as most do, come to lie far apart. */
static inline uint32_t slot_index_hash(uint64_t value) {
        return value * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

/* That hash will be asked for or added soon: where many are, its place need not be waited for then. */
void slot_index_expect(const SlotIndex *index, uint32_t hash);

/* A number that is not in it with that hash. */
void slot_index_add(SlotIndex *index, uint32_t hash, uint64_t number);

/* Nothing where it is not in it. */
void slot_index_remove(SlotIndex *index, uint32_t hash, uint64_t number);

uint64_t slot_index_size(const SlotIndex *index);

/* To be set to 0: where a search has got to. Void when something is added or removed. */
typedef uint64_t SlotIndexPlace;

/* The next number with that hash; false: there is no other. */
bool slot_index_find(const SlotIndex *index, uint32_t hash, SlotIndexPlace *place, uint64_t *number);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlotIndex, slot_index_free)
