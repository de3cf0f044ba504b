#include "worker/cpu/onednn_bf16.h"

#include <inttypes.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"

#if DNNL_VERSION_MAJOR != 2
#error "products of bf16 matrices are written for oneDNN 2"
#endif

/* What a primitive was made for. */
typedef struct shape {
    int64_t m, n, k;
    int64_t a_stride, b_stride, c_stride;
    bool a_transposed, b_transposed, adds;
} shape;

typedef struct product {
    shape shape;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t operands[3]; /* A, B, C */
} product;

struct qd_bf16_products {
    int threads;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    product *made;
    int count, capacity;
};

static int check(dnnl_status_t status, const char *what) {
    if (status == dnnl_success)
        return 0;
    return qd_error_set(status == dnnl_out_of_memory ? QD_ENOMEM : QD_EINTERNAL,
                        "oneDNN refused %s with status %d", what, (int)status);
}

int qd_bf16_products_create(int threads, qd_bf16_products **products) {
    qd_bf16_products *p = calloc(1, sizeof *p);
    if (!p)
        return qd_error_set(QD_ENOMEM, "no memory for products");
    p->threads = threads;
    int rc = check(dnnl_engine_create(&p->engine, dnnl_cpu, 0), "an engine");
    if (!rc)
        rc =
            check(dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags), "a stream");
    if (rc) {
        qd_bf16_products_destroy(p);
        return rc;
    }
    *products = p;
    return 0;
}

static void destroy_product(product *p) {
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(p->operands[i].memory);
    dnnl_primitive_destroy(p->primitive);
}

void qd_bf16_products_destroy(qd_bf16_products *products) {
    if (!products)
        return;
    for (int i = 0; i < products->count; i++)
        destroy_product(&products->made[i]);
    free(products->made);
    dnnl_stream_destroy(products->stream);
    dnnl_engine_destroy(products->engine);
    free(products);
}

/* rows x columns, as the product takes it; stored transposed or not. */
static int describe(int64_t rows, int64_t columns, bool transposed, int64_t stride,
                    dnnl_data_type_t type, dnnl_memory_desc_t *desc) {
    dnnl_dims_t dims = {rows, columns};
    dnnl_dims_t strides = {transposed ? 1 : stride, transposed ? stride : 1};
    return check(dnnl_memory_desc_init_by_strides(desc, 2, dims, type, strides), "a matrix");
}

/* Attributes that make the product add to what stands there, or none. */
static int make_attributes(bool adds, dnnl_primitive_attr_t *attr) {
    dnnl_post_ops_t ops = NULL;
    *attr = NULL;
    if (!adds)
        return 0;
    int rc = check(dnnl_primitive_attr_create(attr), "attributes");
    if (!rc)
        rc = check(dnnl_post_ops_create(&ops), "attributes");
    if (!rc)
        rc = check(dnnl_post_ops_append_sum(ops, 1.0f), "attributes");
    if (!rc)
        rc = check(dnnl_primitive_attr_set_post_ops(*attr, ops), "attributes");
    dnnl_post_ops_destroy(ops);
    return rc;
}

static int make_primitive(qd_bf16_products *products, const dnnl_memory_desc_t descs[3], bool adds,
                          dnnl_primitive_t *primitive) {
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t made = NULL;
    dnnl_primitive_attr_t attr;
    int rc = make_attributes(adds, &attr);
    if (!rc)
        rc =
            check(dnnl_matmul_desc_init(&desc, &descs[0], &descs[1], NULL, &descs[2]), "a product");
    if (!rc)
        rc = check(dnnl_primitive_desc_create(&made, &desc, attr, products->engine, NULL),
                   "a product");
    if (!rc)
        rc = check(dnnl_primitive_create(primitive, made), "a product");
    dnnl_primitive_desc_destroy(made);
    dnnl_primitive_attr_destroy(attr);
    return rc;
}

static int make_product(qd_bf16_products *products, const shape *s, product *p) {
    static const int arguments[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    dnnl_memory_desc_t descs[3];
    *p = (product){.shape = *s};
    int rc = describe(s->m, s->k, s->a_transposed, s->a_stride, dnnl_bf16, &descs[0]);
    if (!rc)
        rc = describe(s->k, s->n, s->b_transposed, s->b_stride, dnnl_bf16, &descs[1]);
    if (!rc)
        rc = describe(s->m, s->n, false, s->c_stride, dnnl_f32, &descs[2]);
    if (!rc)
        rc = make_primitive(products, descs, s->adds, &p->primitive);
    for (int i = 0; i < 3 && !rc; i++) {
        p->operands[i].arg = arguments[i];
        rc = check(dnnl_memory_create(&p->operands[i].memory, &descs[i], products->engine,
                                      DNNL_MEMORY_NONE),
                   "a matrix");
    }
    if (rc)
        destroy_product(p);
    return rc;
}

static bool same(const shape *a, const shape *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->a_stride == b->a_stride &&
           a->b_stride == b->b_stride && a->c_stride == b->c_stride &&
           a->a_transposed == b->a_transposed && a->b_transposed == b->b_transposed &&
           a->adds == b->adds;
}

/* The product of that shape, made now if there is none yet. */
static int find(qd_bf16_products *products, const shape *s, product **found) {
    for (int i = 0; i < products->count; i++)
        if (same(&products->made[i].shape, s)) {
            *found = &products->made[i];
            return 0;
        }
    if (products->count == products->capacity) {
        int capacity = products->capacity ? 2 * products->capacity : 16;
        product *more = realloc(products->made, (size_t)capacity * sizeof *more);
        if (!more)
            return qd_error_set(QD_ENOMEM, "no memory for %d products", capacity);
        products->made = more;
        products->capacity = capacity;
    }
    product *p = &products->made[products->count];
    int rc = make_product(products, s, p);
    if (rc)
        return qd_error_context(
            rc, "a product [%" PRId64 ", %" PRId64 "] x [%" PRId64 ", %" PRId64 "] of bf16", s->m,
            s->k, s->k, s->n);
    products->count++;
    *found = p;
    return 0;
}

static int64_t stride_of(qd_matrix16 matrix, int64_t rows, int64_t columns) {
    if (matrix.stride)
        return matrix.stride;
    return matrix.transposed ? rows : columns;
}

int qd_bf16_product(qd_bf16_products *products, int64_t m, int64_t n, int64_t k, qd_matrix16 a,
                    qd_matrix16 b, qd_product c) {
    shape s = {
        .m = m,
        .n = n,
        .k = k,
        .a_stride = stride_of(a, m, k),
        .b_stride = stride_of(b, k, n),
        .c_stride = c.stride ? c.stride : n,
        .a_transposed = a.transposed,
        .b_transposed = b.transposed,
        .adds = c.beta != 0,
    };
    const void *data[] = {a.data, b.data, c.data};
    product *p = NULL;
    omp_set_num_threads(products->threads);
    int rc = find(products, &s, &p);
    for (int i = 0; i < 3 && !rc; i++)
        rc = check(dnnl_memory_set_data_handle(p->operands[i].memory, (void *)(uintptr_t)data[i]),
                   "a matrix");
    if (!rc)
        rc =
            check(dnnl_primitive_execute(p->primitive, products->stream, 3, p->operands), "to run");
    return rc ? rc : check(dnnl_stream_wait(products->stream), "to end");
}
