#include "worker/cpu/onednn_convolution.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/align.h"
#include "runtime/error.h"

/* Primitives and their descriptors are what changed from 2 to 3. */
#if DNNL_VERSION_MAJOR != 2
#error "convolutions are written for oneDNN 2"
#endif

enum { MAX_ARGUMENTS = 6 };

/* A primitive with its operands, made once: a call only says where they lie. */
typedef struct prepared_call {
    dnnl_primitive_t primitive; /* NULL: nothing to do */
    dnnl_exec_arg_t operands[MAX_ARGUMENTS];
    int count;
} prepared_call;

/* Weights in the library's layout lie in the scratch, behind the scratchpad of the primitive. */
typedef struct pass {
    prepared_call compute;
    prepared_call
        reorder; /* of the weights, to or from the library's layout, where that is another */
    dnnl_memory_desc_t weights, scratchpad;
    size_t scratchpad_bytes, weights_bytes;
} pass;

struct qd_convolution {
    int threads;
    bool biased, rectifies;
    dnnl_data_type_t type; /* of what is multiplied */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t image, result, plain_weights, any_weights; /* as they are multiplied */
    dnnl_memory_desc_t image_grad, result_sum, plain_weights_grad, any_weights_grad; /* float */
    dnnl_memory_desc_t bias;
    dnnl_dims_t strides, padding, padding_end;
    pass forward, backward_data, backward_weights;
};

static int check(dnnl_status_t status, const char *what) {
    if (status == dnnl_success)
        return 0;
    if (status == dnnl_out_of_memory)
        return qd_error_set(QD_ENOMEM, "no memory for oneDNN's %s", what);
    return qd_error_set(QD_EINTERNAL, "oneDNN refused %s with status %d", what, (int)status);
}

/* [n, h, w, c] of ours is [n, c, h, w] of the library's, stored with the channels last. */
static int describe_image(const qd_shape *shape, dnnl_data_type_t type, dnnl_memory_desc_t *desc) {
    dnnl_dims_t dims = {shape->dim[0], shape->dim[3], shape->dim[1], shape->dim[2]};
    return check(dnnl_memory_desc_init_by_tag(desc, 4, dims, type, dnnl_nhwc), "an image");
}

static int describe_weights(const qd_shape *shape, int64_t groups, dnnl_data_type_t type,
                            dnnl_memory_desc_t *plain, dnnl_memory_desc_t *any) {
    dnnl_dims_t whole = {shape->dim[0], shape->dim[1], shape->dim[2], shape->dim[3]};
    dnnl_dims_t grouped = {groups, shape->dim[0] / groups, shape->dim[1], shape->dim[2],
                           shape->dim[3]};
    bool one = groups == 1;
    int dims = one ? 4 : 5;
    const int64_t *dim = one ? whole : grouped;
    int rc =
        check(dnnl_memory_desc_init_by_tag(plain, dims, dim, type, one ? dnnl_oihw : dnnl_goihw),
              "weights");
    return rc ? rc
              : check(dnnl_memory_desc_init_by_tag(any, dims, dim, type, dnnl_format_tag_any),
                      "weights");
}

static int describe(qd_convolution *c, const qd_shape *image, const qd_shape *weight,
                    const qd_shape *result, qd_convolution_attributes attributes) {
    dnnl_dims_t bias = {weight->dim[0]};
    for (int i = 0; i < 2; i++) {
        c->strides[i] = attributes.stride[i];
        c->padding[i] = attributes.padding[i];
        /* What the last window reaches beyond the image: less than the padding, or nothing, where
         * the stride leaves a rest. */
        int64_t beyond = (result->dim[1 + i] - 1) * attributes.stride[i] + weight->dim[2 + i] -
                         image->dim[1 + i] - attributes.padding[i];
        c->padding_end[i] = beyond > 0 ? beyond : 0;
    }
    int64_t groups = attributes.groups;
    int rc = describe_image(image, c->type, &c->image);
    if (!rc)
        rc = describe_image(image, dnnl_f32, &c->image_grad);
    if (!rc)
        rc = describe_image(result, c->type, &c->result);
    if (!rc)
        rc = describe_image(result, dnnl_f32, &c->result_sum);
    if (!rc)
        rc = describe_weights(weight, groups, c->type, &c->plain_weights, &c->any_weights);
    if (!rc)
        rc = describe_weights(weight, groups, dnnl_f32, &c->plain_weights_grad,
                              &c->any_weights_grad);
    if (!rc)
        rc = check(dnnl_memory_desc_init_by_tag(&c->bias, 1, bias, dnnl_f32, dnnl_a), "a bias");
    return rc;
}

static int add_operand(const qd_convolution *c, prepared_call *call, int argument,
                       const dnnl_memory_desc_t *desc) {
    dnnl_exec_arg_t *operand = &call->operands[call->count];
    int rc = check(dnnl_memory_create(&operand->memory, desc, c->engine, DNNL_MEMORY_NONE),
                   "an operand");
    if (rc)
        return rc;
    operand->arg = argument;
    call->count++;
    return 0;
}

/* Makes the reorder from one layout of the weights to another, if they differ. */
static int make_reorder(const qd_convolution *c, const dnnl_memory_desc_t *from,
                        const dnnl_memory_desc_t *to, prepared_call *reorder) {
    dnnl_primitive_desc_t desc;
    if (dnnl_memory_desc_equal(from, to))
        return 0;
    int rc = check(dnnl_reorder_primitive_desc_create(&desc, from, c->engine, to, c->engine, NULL),
                   "a reorder of weights");
    if (rc)
        return rc;
    rc = check(dnnl_primitive_create(&reorder->primitive, desc), "a reorder of weights");
    dnnl_primitive_desc_destroy(desc);
    if (!rc)
        rc = add_operand(c, reorder, DNNL_ARG_FROM, from);
    if (!rc)
        rc = add_operand(c, reorder, DNNL_ARG_TO, to);
    return rc;
}

/* Attributes of a pass: its scratch is given in each call, and the forward one may end in
 * max(., 0). */
static int make_attributes(bool rectifies, dnnl_primitive_attr_t *attr) {
    dnnl_post_ops_t ops = NULL;
    int rc = check(dnnl_primitive_attr_create(attr), "attributes");
    if (rc)
        return rc;
    rc = check(dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user),
               "attributes");
    if (rc || !rectifies)
        return rc;
    rc = check(dnnl_post_ops_create(&ops), "attributes");
    if (!rc)
        rc = check(dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f),
                   "attributes");
    if (!rc)
        rc = check(dnnl_primitive_attr_set_post_ops(*attr, ops), "attributes");
    dnnl_post_ops_destroy(ops);
    return rc;
}

/* The primitive of a pass, with its scratch to be given in each call. weights: which of its
 * operands they are. hint: the forward pass's descriptor, for backward ones. *made is left to the
 * caller to destroy. */
static int make_primitive(const qd_convolution *c, const dnnl_convolution_desc_t *desc,
                          const_dnnl_primitive_desc_t hint, dnnl_query_t weights, pass *p,
                          dnnl_primitive_desc_t *made) {
    dnnl_primitive_attr_t attr = NULL;
    int rc = make_attributes(c->rectifies && !hint, &attr);
    if (!rc)
        rc = check(dnnl_primitive_desc_create(made, desc, attr, c->engine, hint), "a convolution");
    dnnl_primitive_attr_destroy(attr);
    if (rc)
        return rc;
    p->weights = *dnnl_primitive_desc_query_md(*made, weights, 0);
    p->scratchpad = *dnnl_primitive_desc_query_md(*made, dnnl_query_scratchpad_md, 0);
    p->weights_bytes = qd_align_bytes(dnnl_memory_desc_get_size(&p->weights));
    p->scratchpad_bytes = qd_align_bytes(dnnl_memory_desc_get_size(&p->scratchpad));
    return check(dnnl_primitive_create(&p->compute.primitive, *made), "a convolution");
}

/* What a pass reads and writes, in the order in which its call lists them. */
typedef struct operand {
    int argument;
    const dnnl_memory_desc_t *desc;
} operand;

/* The scratchpad first, and the bias, which may be missing, last. */
static int add_operands(const qd_convolution *c, pass *p, const operand *operands, int count) {
    int rc = add_operand(c, &p->compute, DNNL_ARG_SCRATCHPAD, &p->scratchpad);
    for (int i = 0; i < count && !rc; i++)
        rc = add_operand(c, &p->compute, operands[i].argument, operands[i].desc);
    return rc;
}

static const dnnl_memory_desc_t *bias_of(const qd_convolution *c) {
    return c->biased ? &c->bias : NULL;
}

static int make_forward(qd_convolution *c, dnnl_primitive_desc_t *made) {
    pass *p = &c->forward;
    dnnl_convolution_desc_t desc;
    int rc = check(dnnl_convolution_forward_desc_init(&desc, dnnl_forward_training,
                                                      dnnl_convolution_direct, &c->image,
                                                      &c->any_weights, bias_of(c), &c->result_sum,
                                                      c->strides, c->padding, c->padding_end),
                   "a convolution");
    if (!rc)
        rc = make_primitive(c, &desc, NULL, dnnl_query_weights_md, p, made);
    if (!rc)
        rc = make_reorder(c, &c->plain_weights, &p->weights, &p->reorder);
    const operand operands[] = {{DNNL_ARG_SRC, &c->image},
                                {DNNL_ARG_WEIGHTS, &p->weights},
                                {DNNL_ARG_DST, &c->result_sum},
                                {DNNL_ARG_BIAS, &c->bias}};
    return rc ? rc : add_operands(c, p, operands, c->biased ? 4 : 3);
}

static int make_backward_data(qd_convolution *c, const_dnnl_primitive_desc_t hint) {
    pass *p = &c->backward_data;
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t made = NULL;
    int rc = check(dnnl_convolution_backward_data_desc_init(
                       &desc, dnnl_convolution_direct, &c->image_grad, &c->any_weights, &c->result,
                       c->strides, c->padding, c->padding_end),
                   "a convolution's gradient");
    if (!rc)
        rc = make_primitive(c, &desc, hint, dnnl_query_weights_md, p, &made);
    dnnl_primitive_desc_destroy(made);
    if (!rc)
        rc = make_reorder(c, &c->plain_weights, &p->weights, &p->reorder);
    const operand operands[] = {{DNNL_ARG_DIFF_DST, &c->result},
                                {DNNL_ARG_WEIGHTS, &p->weights},
                                {DNNL_ARG_DIFF_SRC, &c->image_grad}};
    return rc ? rc : add_operands(c, p, operands, 3);
}

static int make_backward_weights(qd_convolution *c, const_dnnl_primitive_desc_t hint) {
    pass *p = &c->backward_weights;
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t made = NULL;
    int rc = check(dnnl_convolution_backward_weights_desc_init(
                       &desc, dnnl_convolution_direct, &c->image, &c->any_weights_grad, bias_of(c),
                       &c->result, c->strides, c->padding, c->padding_end),
                   "a convolution's weight gradient");
    if (!rc)
        rc = make_primitive(c, &desc, hint, dnnl_query_diff_weights_md, p, &made);
    dnnl_primitive_desc_destroy(made);
    if (!rc)
        rc = make_reorder(c, &p->weights, &c->plain_weights_grad, &p->reorder);
    const operand operands[] = {{DNNL_ARG_SRC, &c->image},
                                {DNNL_ARG_DIFF_DST, &c->result},
                                {DNNL_ARG_DIFF_WEIGHTS, &p->weights},
                                {DNNL_ARG_DIFF_BIAS, &c->bias}};
    return rc ? rc : add_operands(c, p, operands, c->biased ? 4 : 3);
}

static int make_passes(qd_convolution *c) {
    dnnl_primitive_desc_t forward = NULL;
    int rc = make_forward(c, &forward);
    if (!rc)
        rc = make_backward_data(c, forward);
    if (!rc)
        rc = make_backward_weights(c, forward);
    dnnl_primitive_desc_destroy(forward);
    return rc;
}

int qd_convolution_create(int threads, const qd_shape *image, const qd_shape *weight,
                          const qd_shape *result, bool biased, bool narrow,
                          qd_convolution_attributes attributes, qd_convolution **convolution) {
    qd_convolution *c = calloc(1, sizeof *c);
    if (!c)
        return qd_error_set(QD_ENOMEM, "no memory for a convolution");
    c->threads = threads;
    c->biased = biased;
    c->rectifies = attributes.rectifies;
    c->type = narrow ? dnnl_bf16 : dnnl_f32;
    omp_set_num_threads(threads); /* the primitives are made for as many */
    int rc = check(dnnl_engine_create(&c->engine, dnnl_cpu, 0), "an engine");
    if (!rc)
        rc =
            check(dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags), "a stream");
    if (!rc)
        rc = describe(c, image, weight, result, attributes);
    if (!rc)
        rc = make_passes(c);
    if (rc) {
        qd_convolution_destroy(c);
        return rc;
    }
    *convolution = c;
    return 0;
}

static void destroy_call(prepared_call *call) {
    for (int i = 0; i < call->count; i++)
        dnnl_memory_destroy(call->operands[i].memory);
    dnnl_primitive_destroy(call->primitive);
}

static void destroy_pass(pass *p) {
    destroy_call(&p->compute);
    destroy_call(&p->reorder);
}

void qd_convolution_destroy(qd_convolution *c) {
    if (!c)
        return;
    destroy_pass(&c->forward);
    destroy_pass(&c->backward_data);
    destroy_pass(&c->backward_weights);
    dnnl_stream_destroy(c->stream);
    dnnl_engine_destroy(c->engine);
    free(c);
}

static size_t pass_bytes(const pass *p) {
    return p->scratchpad_bytes + p->weights_bytes;
}

size_t qd_convolution_scratch_bytes(const qd_convolution *c) {
    size_t most = pass_bytes(&c->forward);
    if (pass_bytes(&c->backward_data) > most)
        most = pass_bytes(&c->backward_data);
    if (pass_bytes(&c->backward_weights) > most)
        most = pass_bytes(&c->backward_weights);
    return most;
}

/* data: where the operands lie, in the order of the call. */
static int execute(qd_convolution *c, prepared_call *call, const void *const *data) {
    int rc = 0;
    for (int i = 0; i < call->count && !rc; i++)
        rc =
            check(dnnl_memory_set_data_handle(call->operands[i].memory, (void *)(uintptr_t)data[i]),
                  "an operand");
    if (!rc)
        rc = check(dnnl_primitive_execute(call->primitive, c->stream, call->count, call->operands),
                   "to run");
    return rc ? rc : check(dnnl_stream_wait(c->stream), "to end");
}

/* The weights in the layout that the pass wants: as they are, or brought into it behind the
 * scratchpad. */
static int take_weights(qd_convolution *c, pass *p, const void *w, char *scratch,
                        const void **weights) {
    *weights = w;
    if (!p->reorder.primitive)
        return 0;
    *weights = scratch + p->scratchpad_bytes;
    return execute(c, &p->reorder, (const void *const[]){w, *weights});
}

int qd_convolution_forward(qd_convolution *c, const void *x, const void *w, const float *b,
                           float *y, void *scratch) {
    const void *weights;
    omp_set_num_threads(c->threads);
    int rc = take_weights(c, &c->forward, w, scratch, &weights);
    if (rc)
        return rc;
    return execute(c, &c->forward.compute, (const void *const[]){scratch, x, weights, y, b});
}

int qd_convolution_backward_data(qd_convolution *c, const void *dy, const void *w, float *dx,
                                 void *scratch) {
    const void *weights;
    omp_set_num_threads(c->threads);
    int rc = take_weights(c, &c->backward_data, w, scratch, &weights);
    if (rc)
        return rc;
    return execute(c, &c->backward_data.compute, (const void *const[]){scratch, dy, weights, dx});
}

int qd_convolution_backward_weights(qd_convolution *c, const void *x, const void *dy, float *dw,
                                    float *db, void *scratch) {
    pass *p = &c->backward_weights;
    bool reorder = p->reorder.primitive != NULL;
    const void *weights = reorder ? (const char *)scratch + p->scratchpad_bytes : (void *)dw;
    omp_set_num_threads(c->threads);
    int rc = execute(c, &p->compute, (const void *const[]){scratch, x, dy, weights, db});
    if (!rc && reorder)
        rc = execute(c, &p->reorder, (const void *const[]){weights, dw});
    return rc;
}
