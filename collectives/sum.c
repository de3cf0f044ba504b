#include <stdlib.h>
#include <string.h>

#include "collectives/reduction.h"
#include "runtime/error.h"

/* Elements added at a time: a few blocks fit into the first-level cache (4 KiB each). */
enum { BLOCK = 1024 };

/* Walks the tree from left to right and writes the additions down. */
typedef struct compiler {
    qd_sum *sum;
    const qd_tree_node *nodes;
    int next_source;
} compiler;

/* Returns the operand that holds the node [first, end); may use registers from free_register on.
 * The sources cut the leaves from left to right, so the next one either is this node or lies
 * inside it. */
static int compile(compiler *c, int first, int end, int free_register) {
    qd_tree_node next = c->nodes[c->next_source];
    if (next.first == first && next.end == end)
        return c->next_source++;
    qd_sum *s = c->sum;
    int split = qd_tree_split(first, end);
    int left = compile(c, first, split, free_register);
    bool left_waits = left >= s->sources;
    int right = compile(c, split, end, free_register + (left_waits ? 1 : 0));
    if (free_register + 1 > s->registers)
        s->registers = free_register + 1;
    s->list[s->additions++] = (qd_addition){free_register, left, right};
    return s->sources + free_register;
}

static void compile_output(compiler *c, qd_tree_node node, int k) {
    qd_sum *s = c->sum;
    int operand = compile(c, node.first, node.end, 0);
    if (operand < s->sources)
        s->list[s->additions++] = (qd_addition){-1 - k, operand, -1};
    else
        s->list[s->additions - 1].into = -1 - k;
}

int qd_sum_create(const qd_tree_node *nodes, int count, const qd_tree_node *outputs,
                  int output_count, qd_sum *sum) {
    qd_sum s = {.sources = count, .outputs = output_count};
    s.list = calloc((size_t)count + 1, sizeof *s.list);
    s.source = calloc((size_t)count + 1, sizeof *s.source);
    compiler c = {.sum = &s, .nodes = nodes};
    for (int k = 0; s.list && k < output_count; k++)
        compile_output(&c, outputs[k], k);
    s.scratch = aligned_alloc(64, ((size_t)s.registers + 2) * BLOCK * sizeof *s.scratch);
    if (!s.list || !s.source || !s.scratch) {
        qd_sum_destroy(&s);
        return qd_error_set(QD_ENOMEM, "no memory for a sum of %d vectors", count);
    }
    memset(s.scratch, 0, ((size_t)s.registers + 2) * BLOCK * sizeof *s.scratch);
    *sum = s;
    return 0;
}

void qd_sum_destroy(qd_sum *s) {
    free(s->list);
    free(s->source);
    free(s->scratch);
    *s = (qd_sum){0};
}

/* A block of an operand as floats, rounded; `spare` is where it is made where it is not there. */
static const float *load(const qd_sum *s, qd_wire_type type, int operand, float *spare,
                         size_t begin, size_t n) {
    if (operand >= s->sources)
        return s->scratch + (size_t)(operand - s->sources) * BLOCK;
    qd_source from = s->source[operand];
    if (type == QD_WIRE_FP32)
        return (const float *)from.at + begin;
    if (from.packed) {
        qd_elements_unpack(type, spare, (const uint16_t *)from.at + begin, n);
    } else {
        memcpy(spare, (const float *)from.at + begin, n * sizeof *spare);
        qd_elements_round(type, spare, n);
    }
    return spare;
}

static void store(qd_wire_type type, void *output, bool packed, const float *values, size_t begin,
                  size_t n) {
    if (packed)
        qd_elements_pack(type, (unsigned char *)output + begin * qd_wire_width(type), values, n);
    else if ((float *)output + begin != values)
        memcpy((float *)output + begin, values, n * sizeof *values);
}

static void run_block(qd_sum *s, qd_wire_type type, void *const *output, bool packed, size_t begin,
                      size_t n) {
    float *spare = s->scratch + (size_t)s->registers * BLOCK;
    bool in_place = !packed || type == QD_WIRE_FP32;
    for (int a = 0; a < s->additions; a++) {
        qd_addition d = s->list[a];
        const float *left = load(s, type, d.left, spare, begin, n);
        if (d.right < 0) {
            store(type, output[-1 - d.into], packed, left, begin, n);
            continue;
        }
        const float *right = load(s, type, d.right, spare + BLOCK, begin, n);
        if (d.into >= 0) {
            qd_elements_add(type, s->scratch + (size_t)d.into * BLOCK, left, right, n);
        } else if (in_place) {
            qd_elements_add(type, (float *)output[-1 - d.into] + begin, left, right, n);
        } else {
            qd_elements_add(type, spare, left, right, n);
            store(type, output[-1 - d.into], packed, spare, begin, n);
        }
    }
}

void qd_sum_run(qd_sum *s, qd_wire_type type, void *const *output, bool packed, void *also,
                size_t n) {
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t length = n - begin < BLOCK ? n - begin : BLOCK;
        run_block(s, type, output, packed, begin, length);
        if (also)
            store(type, also, true, (const float *)output[0] + begin, begin, length);
    }
}
