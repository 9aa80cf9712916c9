#include "ledger/slot-index.h"

#include "unit.h"

/* Whether a search for the hash comes upon the number; never twice. */
static bool has(const SlotIndex *index, uint32_t hash, uint64_t number) {
        SlotIndexPlace place = 0;
        unsigned times = 0;
        uint64_t found;

        while (slot_index_find(index, hash, &place, &found))
                times += found == number;
        ck_assert_uint_le(times, 1);
        return times;
}

START_TEST(what_was_added_is_found) {
        g_autoptr(SlotIndex) index = slot_index_new(0);

        ck_assert(!has(index, 7, 0));
        slot_index_add(index, 7, 0);
        ck_assert(has(index, 7, 0));
        ck_assert(!has(index, 7, 1));
        ck_assert(!has(index, 8, 0));
        slot_index_remove(index, 7, 0);
        ck_assert(!has(index, 7, 0));
        slot_index_remove(index, 7, 0);
        ck_assert_uint_eq(slot_index_size(index), 0);
}
END_TEST

START_TEST(equal_hashes_are_told_apart_by_number) {
        g_autoptr(SlotIndex) index = slot_index_new(0);
        const uint32_t hashes[] = { 0, 1, UINT32_MAX };

        for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++)
                for (uint64_t number = 0; number < 5; number++)
                        slot_index_add(index, hashes[i], 10 * i + number);
        slot_index_remove(index, UINT32_MAX, 21);
        slot_index_remove(index, 0, 20);
        for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++)
                for (uint64_t number = 0; number < 5; number++)
                        ck_assert_int_eq(has(index, hashes[i], 10 * i + number), i != 2 || number != 1);
        ck_assert_uint_eq(slot_index_size(index), 14);
}
END_TEST

#define SLOTS 3000
#define STEPS 200000

/* Hashes that lie close together, at the end and the beginning of the table too, as of slots in one long run. */
static uint32_t crowded(uint64_t number) {
        return (uint32_t)(number % 40 - 20) << 24;
}

static uint32_t spread(uint64_t number) {
        return slot_index_hash(number);
}

static uint32_t (*const hashes[])(uint64_t number) = { crowded, spread };

START_TEST(any_order_of_adding_and_removing_is_right) {
        g_autoptr(SlotIndex) index = slot_index_new(0);
        uint32_t (*hash)(uint64_t) = hashes[_i];
        unsigned steps = hash == crowded ? STEPS / 100 : STEPS;
        g_autofree bool *in = g_new0(bool, SLOTS);
        uint64_t size = 0;

        for (unsigned step = 0; step < steps; step++) {
                uint64_t number = g_random_int_range(0, SLOTS);

                ck_assert_int_eq(has(index, hash(number), number), in[number]);
                if (in[number])
                        slot_index_remove(index, hash(number), number);
                else
                        slot_index_add(index, hash(number), number);
                in[number] = !in[number];
                size += in[number] ? 1 : -1;
                ck_assert_uint_eq(slot_index_size(index), size);
        }
        for (uint64_t number = 0; number < SLOTS; number++)
                ck_assert_int_eq(has(index, hash(number), number), in[number]);
}
END_TEST

/* However ids are taken out of their sequence: a search looks at few places. */
START_TEST(searches_are_short) {
        static const uint64_t strides[] = { 1, 2, 8, 1000, 1 << 20, 4096 + 64 };
        g_autoptr(SlotIndex) index = slot_index_new(SLOTS);
        uint64_t looked_at = 0;

        for (uint64_t i = 0; i < SLOTS; i++)
                slot_index_add(index, slot_index_hash(i * strides[_i]), i);
        for (uint64_t i = 0; i < SLOTS; i++) {
                SlotIndexPlace place = 0;
                uint64_t found;

                while (slot_index_find(index, slot_index_hash(i * strides[_i]), &place, &found) && found != i)
                        ;
                looked_at += place;
        }
        ck_assert_uint_le(looked_at, 4 * SLOTS);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("slot-index");
        TCase *tests = unit_case(suite, "slot-index");

        tcase_add_test(tests, what_was_added_is_found);
        tcase_add_test(tests, equal_hashes_are_told_apart_by_number);
        tcase_add_loop_test(tests, any_order_of_adding_and_removing_is_right, 0, G_N_ELEMENTS(hashes));
        tcase_add_loop_test(tests, searches_are_short, 0, 6);
        return unit_main(suite);
}
