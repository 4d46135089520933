/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of small buffers, several to a page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/pages.h"

#define MB ((size_t)1 << 20)

typedef struct piece {
    unsigned char *memory;
    size_t size;
    zm_opencl_pages *pages;
} piece;

/* Every byte of it is its own. */
static piece take(zm_opencl_page_pool *pool, size_t size, unsigned char mark)
{
    piece p = {.size = size};
    p.memory = zm_opencl_pages_take(pool, size, &p.pages);
    assert_non_null(p.memory);
    assert_int_equal((uintptr_t)p.memory % 4096, 0);
    memset(p.memory, mark, size);
    return p;
}

static void give(zm_opencl_page_pool *pool, piece *p, unsigned char mark)
{
    for (size_t i = 0; i < p->size; i++)
        if (p->memory[i] != mark)
            fail_msg("byte %zu of a piece of %zu was written to by another one", i, p->size);
    zm_opencl_pages_return(pool, p->pages);
}

static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,      70000,       4 * MB,  4 * MB + 1, 3 * MB,
                                   3 * MB, 4096 * 1000, 20 * MB, 2 * MB,     65536};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    zm_opencl_page_pool pool;
    piece pieces[COUNT];
    zm_opencl_pages_init(&pool);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++)
            pieces[i] = take(&pool, sizes[i], (unsigned char)(i + 1));
        /* Small ones share pages, a large one has its own. */
        assert_ptr_equal(pieces[0].pages, pieces[1].pages);
        assert_ptr_equal(pieces[1].pages, pieces[2].pages);
        for (int i = 0; i < COUNT; i++)
            assert_true(i == 7 || pieces[i].pages != pieces[7].pages);
        for (int i = COUNT; i-- > 0;)
            give(&pool, &pieces[i], (unsigned char)(i + 1));
    }
    zm_opencl_pages_finish(&pool);
}

/* What all have given back serves again. */
static void test_reuse(void **state)
{
    (void)state;
    zm_opencl_page_pool pool;
    zm_opencl_pages_init(&pool);
    piece first = take(&pool, 3 * MB, 1);
    unsigned char *memory = first.memory;
    piece second = take(&pool, MB, 2);
    assert_ptr_equal(second.memory, memory + 3 * MB);
    give(&pool, &first, 1);
    first = take(&pool, MB, 3);
    assert_ptr_equal(first.memory, memory + 4 * MB); /* the second one is still there */
    give(&pool, &second, 2);
    give(&pool, &first, 3);
    first = take(&pool, MB, 4);
    assert_ptr_equal(first.memory, memory);
    give(&pool, &first, 4);
    zm_opencl_pages_finish(&pool);
}

static void test_impossible(void **state)
{
    (void)state;
    zm_opencl_page_pool pool;
    zm_opencl_pages *pages = NULL;
    zm_opencl_pages_init(&pool);
    assert_null(zm_opencl_pages_take(&pool, SIZE_MAX, &pages));
    assert_null(pages);
    zm_opencl_pages_return(&pool, pages);
    zm_opencl_pages_finish(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
