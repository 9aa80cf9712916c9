#include "ledger/slot-index.h"

/* Free places are found soon as long as there are as many of them as taken ones. */
#define LEAST_BITS 6

typedef struct Entry {
        uint32_t hash;
        uint32_t taken; /* the number and 1; 0: the place is free */
} Entry;

/*
 * An entry is at the place that the first bits of its hash say, or behind it, with no free place in between. The last
 * place is followed by the first.
 */
struct SlotIndex {
        Entry *entries; /* 1 << bits of them */
        unsigned bits;
        uint64_t size;
};

static uint64_t home(const SlotIndex *index, uint32_t hash) {
        return hash >> (32 - index->bits);
}

static uint64_t next(const SlotIndex *index, uint64_t place) {
        return (place + 1) & ((UINT64_C(1) << index->bits) - 1);
}

static void make_room(SlotIndex *index, uint64_t expected) {
        index->bits = LEAST_BITS;
        while (index->bits < 32 && UINT64_C(1) << index->bits < 2 * expected)
                index->bits++;
        index->entries = g_new0(Entry, UINT64_C(1) << index->bits);
}

SlotIndex *slot_index_new(uint64_t expected) {
        SlotIndex *index = g_new0(SlotIndex, 1);

        make_room(index, expected);
        return index;
}

void slot_index_free(SlotIndex *index) {
        if (!index)
                return;
        g_free(index->entries);
        g_free(index);
}

static void put(SlotIndex *index, Entry entry) {
        uint64_t place = home(index, entry.hash);

        while (index->entries[place].taken)
                place = next(index, place);
        index->entries[place] = entry;
}

static void grow(SlotIndex *index) {
        g_autofree Entry *before = index->entries;
        uint64_t places = UINT64_C(1) << index->bits;

        make_room(index, places);
        for (uint64_t place = 0; place < places; place++)
                if (before[place].taken)
                        put(index, before[place]);
}

void slot_index_expect(const SlotIndex *index, uint32_t hash) {
        __builtin_prefetch(&index->entries[home(index, hash)], true);
}

void slot_index_add(SlotIndex *index, uint32_t hash, uint64_t number) {
        g_assert(number < SLOT_INDEX_MAX);
        if (index->bits < 32 && 2 * (index->size + 1) > UINT64_C(1) << index->bits)
                grow(index);
        put(index, (Entry){ hash, number + 1 });
        index->size++;
}

/* Moves those behind a place that has become free to where they are found. */
static void close_gap(SlotIndex *index, uint64_t gap) {
        uint64_t mask = (UINT64_C(1) << index->bits) - 1;

        for (uint64_t place = next(index, gap); index->entries[place].taken; place = next(index, place)) {
                uint64_t from_home = (place - home(index, index->entries[place].hash)) & mask;

                if (from_home < ((place - gap) & mask))
                        continue;
                index->entries[gap] = index->entries[place];
                gap = place;
        }
        index->entries[gap].taken = 0;
}

void slot_index_remove(SlotIndex *index, uint32_t hash, uint64_t number) {
        uint64_t place = home(index, hash);

        while (index->entries[place].taken &&
               (index->entries[place].hash != hash || index->entries[place].taken != number + 1))
                place = next(index, place);
        if (!index->entries[place].taken)
                return;
        close_gap(index, place);
        index->size--;
}

uint64_t slot_index_size(const SlotIndex *index) {
        return index->size;
}

bool slot_index_find(const SlotIndex *index, uint32_t hash, SlotIndexPlace *place, uint64_t *number) {
        uint64_t at = (home(index, hash) + *place) & ((UINT64_C(1) << index->bits) - 1);

        for (; index->entries[at].taken; at = next(index, at)) {
                (*place)++;
                if (index->entries[at].hash != hash)
                        continue;
                *number = index->entries[at].taken - 1;
                return true;
        }
        return false;
}
