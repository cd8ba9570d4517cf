/* What training does between its matrix products: one pass over memory each, forward and backward.
 *
 * Every entry takes `half`: 1 where activations (or gradients) are bfloat16, 0 where they are float32. Arithmetic and sums
 * are float32. Rows are written by one thread each, and sums over rows go block by block in order, so that the number of
 * threads changes no bit. model/fused.py says what each computes; its plain torch twins are the tests' oracle.
 */
#include "team.h"
#include "wide.h"

#include <math.h>

#define GRAIN_ELEMENTS 32768 /* a piece of work: tens of microseconds; AdamW's fits the second cache */
#define BLOCK_ROWS 64        /* rows summed into one partial of a norm's gradient */
#define BLOCK_ELEMENTS 65536 /* gradient elements summed into one partial of the norm */

/* A kernel over rows, for both kinds of number, each for three kinds of processor. */
#define ROWS(name)                                                                                                     \
    CLONES static void name##_float(const void *a, int64_t start, int64_t end) { name(a, start, end, 0); }            \
    CLONES static void name##_half(const void *a, int64_t start, int64_t end) { name(a, start, end, 1); }

static int64_t grain(int64_t width)
{
    return width < GRAIN_ELEMENTS ? GRAIN_ELEMENTS / width : 1;
}

INLINE wide load_at(const void *from, int64_t base, int64_t i, int64_t width, float filler, int half)
{
    if (width - i >= WIDE)
        return wide_load(from, base + i, half);
    return wide_load_some(from, base + i, width - i, filler, half);
}

INLINE void store_at(void *to, int64_t base, int64_t i, int64_t width, wide value, int half)
{
    if (width - i >= WIDE)
        wide_store(to, base + i, value, half);
    else
        wide_store_some(to, base + i, width - i, value, half);
}

/* --- SwiGLU of an expert's rows, weighted: h = weight x silu(gate) x up; gate and up lie side by side ----------- */

typedef struct {
    const void *gate_up;
    const float *weight;
    const void *grad_h;
    void *h, *grad_gate_up;
    float *grad_weight;
    int64_t width;
} swiglu;

INLINE void swiglu_forward(const void *arguments, int64_t start, int64_t end, int half)
{
    const swiglu *a = arguments;
    int64_t width = a->width;
    for (int64_t row = start; row < end; row++) {
        int64_t gates = row * 2 * width, ups = gates + width;
        for (int64_t i = 0; i < width; i += WIDE) {
            wide gate = load_at(a->gate_up, gates, i, width, 0, half), up = load_at(a->gate_up, ups, i, width, 0, half);
            wide h = gate * up * a->weight[row] / (1.0f + wide_exp(-gate));
            store_at(a->h, row * width, i, width, h, half);
        }
    }
}
ROWS(swiglu_forward)

INLINE void swiglu_backward(const void *arguments, int64_t start, int64_t end, int half)
{
    const swiglu *a = arguments;
    int64_t width = a->width;
    for (int64_t row = start; row < end; row++) {
        int64_t gates = row * 2 * width, ups = gates + width;
        float weight = a->weight[row];
        wide total = {0};
        for (int64_t i = 0; i < width; i += WIDE) {
            wide gate = load_at(a->gate_up, gates, i, width, 0, half), up = load_at(a->gate_up, ups, i, width, 0, half);
            wide grad = load_at(a->grad_h, row * width, i, width, 0, half);
            wide sigmoid = 1.0f / (1.0f + wide_exp(-gate));
            wide silu = gate * sigmoid;
            total += grad * silu * up;
            store_at(a->h, row * width, i, width, silu * up * weight, half);
            grad *= weight;
            store_at(a->grad_gate_up, ups, i, width, grad * silu, half);
            store_at(a->grad_gate_up, gates, i, width, grad * up * sigmoid * (1.0f + gate - silu), half);
        }
        a->grad_weight[row] = wide_sum(total);
    }
}
ROWS(swiglu_backward)

void orfevre_swiglu(
    const void *gate_up, const float *weight, void *h, int64_t rows, int64_t width, int32_t half, int32_t threads)
{
    swiglu a = {.gate_up = gate_up, .weight = weight, .h = h, .width = width};
    team_run(half ? swiglu_forward_half : swiglu_forward_float, &a, rows, grain(2 * width), threads);
}

/* grad_h is read before h is written in its place: they may be the same memory. */
void orfevre_swiglu_backward(
    const void *gate_up, const float *weight, const void *grad_h, void *h, void *grad_gate_up, float *grad_weight,
    int64_t rows, int64_t width, int32_t half, int32_t threads)
{
    swiglu a = {gate_up, weight, grad_h, h, grad_gate_up, grad_weight, width};
    team_run(half ? swiglu_backward_half : swiglu_backward_float, &a, rows, grain(2 * width), threads);
}

/* --- sum of the rows that belong to a token ---------------------------------------------------------------------- */

typedef struct {
    const void *rows;
    const int64_t *places;
    void *out;
    int64_t each, width;
} gathered;

INLINE void gather_sum(const void *arguments, int64_t start, int64_t end, int half)
{
    const gathered *a = arguments;
    for (int64_t token = start; token < end; token++)
        for (int64_t i = 0; i < a->width; i += WIDE) {
            wide total = {0};
            for (int64_t k = 0; k < a->each; k++)
                total += load_at(a->rows, a->places[token * a->each + k] * a->width, i, a->width, 0, half);
            store_at(a->out, token * a->width, i, a->width, total, half);
        }
}
ROWS(gather_sum)

void orfevre_gather_sum(
    const void *rows, const int64_t *places, void *out, int64_t tokens, int64_t each, int64_t width, int32_t half,
    int32_t threads)
{
    gathered a = {rows, places, out, each, width};
    team_run(half ? gather_sum_half : gather_sum_float, &a, tokens, grain(width), threads);
}

/* --- RMSNorm: y = x / sqrt(mean(x^2) + eps) x weight ------------------------------------------------------------- */

typedef struct {
    const void *x;
    const float *weight;
    const void *grad_y;
    void *out;        /* y, or the gradient of x */
    float *inverse;   /* 1 / sqrt(mean(x^2) + eps) of each row */
    float *partials;  /* [blocks, width] */
    int64_t rows, width;
    float eps;
} norm;

INLINE void norm_forward(const void *arguments, int64_t start, int64_t end, int half)
{
    const norm *a = arguments;
    for (int64_t row = start; row < end; row++) {
        int64_t base = row * a->width;
        wide squares = {0};
        for (int64_t i = 0; i < a->width; i += WIDE) {
            wide x = load_at(a->x, base, i, a->width, 0, half);
            squares += x * x;
        }
        float inverse = 1.0f / sqrtf(wide_sum(squares) / (float)a->width + a->eps);
        a->inverse[row] = inverse;
        for (int64_t i = 0; i < a->width; i += WIDE) {
            wide x = load_at(a->x, base, i, a->width, 0, half), weight = load_at(a->weight, 0, i, a->width, 0, 0);
            store_at(a->out, base, i, a->width, x * inverse * weight, half);
        }
    }
}
ROWS(norm_forward)

INLINE void norm_backward(const void *arguments, int64_t start, int64_t end, int half)
{
    const norm *a = arguments;
    int64_t width = a->width;
    for (int64_t block = start; block < end; block++) {
        float *partial = a->partials + block * width;
        memset(partial, 0, (size_t)width * sizeof *partial);
        int64_t last = (block + 1) * BLOCK_ROWS < a->rows ? (block + 1) * BLOCK_ROWS : a->rows;
        for (int64_t row = block * BLOCK_ROWS; row < last; row++) {
            int64_t base = row * width;
            float inverse = a->inverse[row];
            wide products = {0};
            for (int64_t i = 0; i < width; i += WIDE) {
                wide x = load_at(a->x, base, i, width, 0, half), grad = load_at(a->grad_y, base, i, width, 0, half);
                wide product = x * grad;
                products += product * load_at(a->weight, 0, i, width, 0, 0);
                wide sum = load_at(partial, 0, i, width, 0, 0) + product * inverse;
                store_at(partial, 0, i, width, sum, 0);
            }
            float slope = wide_sum(products) / (float)width * inverse * inverse;
            for (int64_t i = 0; i < width; i += WIDE) {
                wide x = load_at(a->x, base, i, width, 0, half), grad = load_at(a->grad_y, base, i, width, 0, half);
                grad *= load_at(a->weight, 0, i, width, 0, 0);
                store_at(a->out, base, i, width, (grad - x * slope) * inverse, half);
            }
        }
    }
}
ROWS(norm_backward)

void orfevre_rms_norm(
    const void *x, const float *weight, void *y, float *inverse, int64_t rows, int64_t width, float eps, int32_t half,
    int32_t threads)
{
    norm a = {.x = x, .weight = weight, .out = y, .inverse = inverse, .rows = rows, .width = width, .eps = eps};
    team_run(half ? norm_forward_half : norm_forward_float, &a, rows, grain(width), threads);
}

int64_t orfevre_rms_norm_blocks(int64_t rows)
{
    return (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

void orfevre_rms_norm_backward(
    const void *x, const float *weight, float *inverse, const void *grad_y, void *grad_x, float *partials,
    int64_t rows, int64_t width, int32_t half, int32_t threads)
{
    norm a = {x, weight, grad_y, grad_x, inverse, partials, rows, width, 0};
    int64_t blocks = orfevre_rms_norm_blocks(rows);
    team_run(half ? norm_backward_half : norm_backward_float, &a, blocks, 1, threads);
}

/* --- rotary positions: pairs (x[i], x[i + D/2]) of the first `heads` heads turned by their position's angle ------ */

typedef struct {
    const void *x;
    const float *cos, *sin; /* [positions, D], halves alike; a negated `sign` turns back */
    void *out;
    int64_t positions, heads, all_heads, width;
    float sign;
} rotary;

INLINE void rotate_rows(const void *arguments, int64_t start, int64_t end, int half)
{
    const rotary *a = arguments;
    int64_t width = a->width, middle = width / 2;
    for (int64_t row = start; row < end; row++) {
        const float *cos = a->cos + row % a->positions * width, *sin = a->sin + row % a->positions * width;
        for (int64_t head = 0; head < a->all_heads; head++) {
            int64_t low = (row * a->all_heads + head) * width, high = low + middle;
            for (int64_t i = 0; i < middle; i += WIDE) {
                wide first = load_at(a->x, low, i, middle, 0, half), second = load_at(a->x, high, i, middle, 0, half);
                if (head < a->heads) {
                    wide c = load_at(cos, 0, i, middle, 0, 0), s = load_at(sin, 0, i, middle, 0, 0) * a->sign;
                    wide turned = first * c - second * s;
                    second = second * c + first * s;
                    first = turned;
                }
                store_at(a->out, low, i, middle, first, half);
                store_at(a->out, high, i, middle, second, half);
            }
        }
    }
}
ROWS(rotate_rows)

/* x and out `[rows, all_heads, width]`, which may be the same memory; row r stands at position r mod positions. */
void orfevre_rotate(
    const void *x, const float *cos, const float *sin, void *out, int64_t rows, int64_t positions, int64_t heads,
    int64_t all_heads, int64_t width, float sign, int32_t half, int32_t threads)
{
    rotary a = {x, cos, sin, out, positions, heads, all_heads, width, sign};
    team_run(half ? rotate_rows_half : rotate_rows_float, &a, rows, grain(all_heads * width), threads);
}

/* --- cross entropy: logits become d loss / d logits in place ----------------------------------------------------- */

typedef struct {
    void *logits;
    const int64_t *targets;
    float *losses;
    int64_t width;
    float scale;
} entropy;

INLINE void entropy_rows(const void *arguments, int64_t start, int64_t end, int half)
{
    const entropy *a = arguments;
    int64_t width = a->width;
    for (int64_t row = start; row < end; row++) {
        int64_t base = row * width, target = base + a->targets[row];
        wide top = wide_all(-INFINITY), sum = {0};
        for (int64_t i = 0; i < width; i += WIDE)
            top = wide_max(top, load_at(a->logits, base, i, width, -INFINITY, half));
        float largest = wide_largest(top);
        for (int64_t i = 0; i < width; i += WIDE)
            sum += wide_exp(load_at(a->logits, base, i, width, -INFINITY, half) - largest);
        float total = wide_sum(sum);
        a->losses[row] = largest + logf(total) - one_load(a->logits, target, half);
        float at_target = (expf(one_load(a->logits, target, half) - largest) / total - 1.0f) * a->scale;
        float each = a->scale / total;
        for (int64_t i = 0; i < width; i += WIDE) {
            wide logit = load_at(a->logits, base, i, width, -INFINITY, half);
            store_at(a->logits, base, i, width, wide_exp(logit - largest) * each, half);
        }
        one_store(a->logits, target, at_target, half);
    }
}
ROWS(entropy_rows)

void orfevre_cross_entropy(
    void *logits, const int64_t *targets, float *losses, int64_t rows, int64_t width, float scale, int32_t half,
    int32_t threads)
{
    entropy a = {logits, targets, losses, width, scale};
    team_run(half ? entropy_rows_half : entropy_rows_float, &a, rows, grain(width), threads);
}

/* --- AdamW, and the norm that clips its gradient ------------------------------------------------------------------ */

typedef struct {
    float rate, beta1, beta2, eps, decay; /* decay: learning rate x weight decay */
    float correction1, correction2;       /* 1 - beta1^step; sqrt(1 - beta2^step) */
    float scale;                          /* of the gradient: clipping */
} orfevre_adamw_rules;

typedef struct {
    float *weight, *mean, *square;
    const void *grad;
    void *copy; /* the weights again, in bfloat16; NULL for none */
    int64_t count;
    orfevre_adamw_rules rules;
} adamw;

INLINE void adamw_rows(const void *arguments, int64_t start, int64_t end, int half)
{
    const adamw *a = arguments;
    orfevre_adamw_rules r = a->rules;
    float step = r.rate / r.correction1, inverse = 1.0f / r.correction2;
    int64_t first = start * GRAIN_ELEMENTS, last = end * GRAIN_ELEMENTS < a->count ? end * GRAIN_ELEMENTS : a->count;
    float *restrict weight = a->weight + first, *restrict mean = a->mean + first, *restrict square = a->square + first;
    const void *grad = (const char *)a->grad + first * (half ? 2 : 4);
    uint16_t *restrict copy = a->copy ? (uint16_t *)a->copy + first : NULL;
    /* one plain loop, which the compiler turns into vectors */
    for (int64_t i = 0; i < last - first; i++) {
        float slope = one_load(grad, i, half) * r.scale;
        mean[i] += (slope - mean[i]) * (1.0f - r.beta1);
        square[i] = square[i] * r.beta2 + slope * slope * (1.0f - r.beta2);
        weight[i] = weight[i] * (1.0f - r.decay) - step * mean[i] / (sqrtf(square[i]) * inverse + r.eps);
    }
    if (copy)
        for (int64_t i = 0; i < last - first; i++)
            one_store(copy, i, weight[i], 1);
}
ROWS(adamw_rows)

void orfevre_adamw(
    float *weight, float *mean, float *square, const void *grad, void *copy, int64_t count,
    const orfevre_adamw_rules *rules, int32_t half, int32_t threads)
{
    adamw a = {weight, mean, square, grad, copy, count, *rules};
    int64_t pieces = (count + GRAIN_ELEMENTS - 1) / GRAIN_ELEMENTS;
    team_run(half ? adamw_rows_half : adamw_rows_float, &a, pieces, 1, threads);
}

typedef struct {
    const void *values;
    double *partials;
    int64_t count;
} squares;

INLINE void square_rows(const void *arguments, int64_t start, int64_t end, int half)
{
    const squares *a = arguments;
    for (int64_t block = start; block < end; block++) {
        int64_t first = block * BLOCK_ELEMENTS, last = first + BLOCK_ELEMENTS;
        last = last < a->count ? last : a->count;
        double total = 0;
        for (int64_t run = first; run < last; run += 1024) {
            int64_t stop = run + 1024 < last ? run + 1024 : last;
            wide sum = {0};
            for (int64_t i = run; i < stop; i += WIDE) {
                wide value = load_at(a->values, 0, i, stop, 0, half);
                sum += value * value;
            }
            total += wide_sum(sum);
        }
        a->partials[block] = total;
    }
}
ROWS(square_rows)

int64_t orfevre_square_blocks(int64_t count)
{
    return (count + BLOCK_ELEMENTS - 1) / BLOCK_ELEMENTS;
}

/* Sum of squares; `partials` has room for orfevre_square_blocks(count). */
double orfevre_square_sum(const void *values, double *partials, int64_t count, int32_t half, int32_t threads)
{
    squares a = {values, partials, count};
    int64_t blocks = orfevre_square_blocks(count);
    team_run(half ? square_rows_half : square_rows_float, &a, blocks, 1, threads);
    double total = 0;
    for (int64_t block = 0; block < blocks; block++)
        total += partials[block];
    return total;
}
