/* The body of attend.c, compiled for each kind of number and processor; no include guard, for it is included thrice.
 *
 * Before: NUMBER (type in memory), HALF (1 for bfloat16), PAIR (numbers that one step of a product eats: 2 for bfloat16),
 * NAME(x) (the suffixed name) and TILE (rows x 32 columns product) are defined.
 */

/* c[M x 32 n] (+)= a[M x steps x PAIR] x n panels of 32 columns; M a multiple of TILE_ROWS. */
static void NAME(product)(
    const NUMBER *a, int64_t a_stride, int64_t rows, const NUMBER *panels, int64_t num_panels, int64_t panel_stride,
    int64_t steps, float *c, int64_t c_stride, int add)
{
    for (int64_t panel = 0; panel < num_panels; panel++)
        for (int64_t row = 0; row < rows; row += TILE_ROWS)
            NAME(tile)(a + row * a_stride, a_stride, panels + panel * panel_stride, steps,
                c + row * c_stride + panel * PANEL, c_stride, add);
}

/* Rows as columns of panels: out[panel][d / PAIR][row in panel][d % PAIR]; rows past `count` are 0. */
static void NAME(pack_rows)(const NUMBER *from, int64_t stride, int64_t count, int64_t padded, int64_t width, NUMBER *out)
{
    for (int64_t panel = 0; panel < padded / PANEL; panel++)
        for (int64_t row = 0; row < PANEL; row++) {
            int64_t source = panel * PANEL + row;
            NUMBER *to = out + panel * PANEL * width + row * PAIR;
            for (int64_t step = 0; step < width / PAIR; step++)
                for (int64_t part = 0; part < PAIR; part++)
                    to[step * PANEL * PAIR + part] = source < count ? from[source * stride + step * PAIR + part] : 0;
        }
}

/* Rows as the depth of panels of their numbers: out[panel][row / PAIR][d in panel][row % PAIR]; what is missing is 0. */
static void NAME(pack_depth)(
    const NUMBER *from, int64_t stride, int64_t count, int64_t padded, int64_t width, NUMBER *out)
{
    int64_t panels = (width + PANEL - 1) / PANEL;
    memset(out, 0, (size_t)(panels * padded * PANEL) * sizeof *out);
    for (int64_t row = 0; row < count; row++)
        for (int64_t panel = 0; panel < panels; panel++) {
            NUMBER *to = out + panel * padded * PANEL + row / PAIR * PANEL * PAIR + row % PAIR;
            int64_t columns = width - panel * PANEL < PANEL ? width - panel * PANEL : PANEL;
            for (int64_t d = 0; d < columns; d++)
                to[d * PAIR] = from[row * stride + panel * PANEL + d];
        }
}

static void NAME(copy_rows)(const NUMBER *from, int64_t stride, int64_t count, int64_t padded, int64_t width, NUMBER *out)
{
    for (int64_t row = 0; row < count; row++)
        memcpy(out + row * width, from + row * stride, (size_t)width * sizeof *out);
    memset(out + count * width, 0, (size_t)((padded - count) * width) * sizeof *out);
}

/* One query block of one head: scores of the keys it may see, their softmax, and what it makes of the values. */
static void NAME(forward_block)(
    const attention *a, const int32_t *segments, int64_t first, const NUMBER *q, const NUMBER *k_panels,
    const NUMBER *v_panels, float *scores, NUMBER *weights, float *mixed, float *logarithms)
{
    int64_t length = a->length, width = a->width, padded = padded_length(length);
    int64_t low = a->window && first >= a->window ? (first - a->window + 1) / PANEL * PANEL : 0;
    int64_t high = first + BLOCK < padded ? first + BLOCK : padded, seen = high - low;
    NAME(product)(q + first * width, width, BLOCK, k_panels + low * width, seen / PANEL, PANEL * width, width / PAIR,
        scores, seen, 0);
    float inverse[BLOCK];
    for (int64_t row = 0; row < BLOCK; row++) {
        float *score = scores + row * seen;
        int64_t query = first + row;
        wide top = wide_all(-INFINITY), sum = {0};
        for (int64_t i = 0; i < seen; i += WIDE) {
            wide value = wide_load(score, i, 0) * a->scale;
            if (segments || a->window || low + i + WIDE > first)
                value = hidden(value, may_see(a, segments, wide_all_int((int32_t)query), lanes_from((int32_t)(low + i)),
                    segments ? wide_all_int(segments[query]) : wide_all_int(0),
                    segments ? load_int(segments + low + i) : wide_all_int(0)), -INFINITY);
            wide_store(score, i, value, 0);
            top = wide_max(top, value);
        }
        float largest = wide_largest(top);
        for (int64_t i = 0; i < seen; i += WIDE) {
            wide value = wide_exp(wide_load(score, i, 0) - largest);
            sum += value;
            wide_store(weights, row * seen + i, value, HALF);
        }
        float total = wide_sum(sum);
        inverse[row] = 1.0f / total;
        if (query < length)
            logarithms[query] = largest + logf(total);
    }
    int64_t panels = (width + PANEL - 1) / PANEL, across = panels * PANEL;
    NAME(product)(weights, seen, BLOCK, v_panels + low * PANEL, panels, padded * PANEL, seen / PAIR, mixed, across, 0);
    for (int64_t row = 0; row < BLOCK; row++)
        for (int64_t d = 0; d < width; d++)
            mixed[row * across + d] *= inverse[row];
}

/* All query heads that share one key-value head, item = sequence x kv heads + kv head. */
static void NAME(forward)(const void *arguments, int64_t start, int64_t end)
{
    const attention *a = arguments;
    int64_t length = a->length, width = a->width, padded = padded_length(length), group = a->heads / a->kv_heads;
    int64_t across = (width + PANEL - 1) / PANEL * PANEL;
    NUMBER *memory = aligned_alloc(64, sizeof(NUMBER) * (size_t)(padded * (2 * width + across + BLOCK)));
    float *scores = aligned_alloc(64, sizeof(float) * (size_t)(BLOCK * (padded + across)));
    if (memory == NULL || scores == NULL)
        abort();
    NUMBER *q = memory, *k_panels = q + padded * width, *v_panels = k_panels + padded * width;
    NUMBER *weights = v_panels + padded * across;
    float *mixed = scores + BLOCK * padded;
    for (int64_t item = start; item < end; item++) {
        int64_t sequence = item / a->kv_heads, kv = item % a->kv_heads;
        const int32_t *segments = a->segments ? a->segments + sequence * padded : NULL;
        NAME(pack_rows)(at(a->k, &a->kv_at, sequence, kv), a->kv_at.position, length, padded, width, k_panels);
        NAME(pack_depth)(at(a->v, &a->kv_at, sequence, kv), a->kv_at.position, length, padded, width, v_panels);
        for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
            NAME(copy_rows)(at(a->q, &a->q_at, sequence, head), a->q_at.position, length, padded, width, q);
            NUMBER *out = at(a->out, &a->out_at, sequence, head);
            for (int64_t first = 0; first < length; first += BLOCK) {
                NAME(forward_block)(a, segments, first, q, k_panels, v_panels, scores, weights, mixed,
                    a->logarithms + (sequence * a->heads + head) * length);
                for (int64_t row = 0; row < BLOCK && first + row < length; row++)
                    for (int64_t d = 0; d < width; d++)
                        one_store(out + (first + row) * a->out_at.position, d, mixed[row * across + d], HALF);
            }
        }
    }
    free(memory);
    free(scores);
}

/* What one query head needs in the backward pass, packed. */
typedef struct {
    NUMBER *q_rows, *q_depth, *grad_rows, *grad_depth; /* queries and the output's gradient, both ways */
    float *delta, *logarithms;                         /* [padded]: sum of grad x out; log-sum-exp, infinite past the end */
} NAME(head);

/* One block of keys against one block of queries: P^T and dS^T, and from them three sums. */
static void NAME(backward_block)(
    const attention *a, const int32_t *segments, int64_t key, int64_t query, const NAME(head) *head, const NUMBER *k,
    const NUMBER *v, const NUMBER *k_turned, float *grad_k, float *grad_v, float *grad_q)
{
    int64_t width = a->width, padded = padded_length(a->length), panels = (width + PANEL - 1) / PANEL;
    int64_t across = panels * PANEL, tall = (width + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    float scores[BLOCK * BLOCK] __attribute__((aligned(64))), slopes[BLOCK * BLOCK] __attribute__((aligned(64)));
    NUMBER weights[BLOCK * BLOCK] __attribute__((aligned(64))), rows[BLOCK * BLOCK] __attribute__((aligned(64)));
    NUMBER pairs[BLOCK * BLOCK] __attribute__((aligned(64)));
    NAME(product)(k + key * width, width, BLOCK, head->q_rows + query * width, BLOCK / PANEL, PANEL * width,
        width / PAIR, scores, BLOCK, 0);
    NAME(product)(v + key * width, width, BLOCK, head->grad_rows + query * width, BLOCK / PANEL, PANEL * width,
        width / PAIR, slopes, BLOCK, 0);
    int masked = segments || a->window || query < key + BLOCK;
    for (int64_t i = 0; i < BLOCK; i += WIDE) {
        wide logarithm = wide_load(head->logarithms, query + i, 0), delta = wide_load(head->delta, query + i, 0);
        for (int64_t row = 0; row < BLOCK; row += PAIR) {
            wide slope[2];
            for (int part = 0; part < PAIR; part++) {
                int64_t place = (row + part) * BLOCK + i;
                wide weight = wide_exp(wide_load(scores, place, 0) * a->scale - logarithm);
                if (masked)
                    weight = hidden(weight, may_see(a, segments, lanes_from((int32_t)(query + i)),
                        wide_all_int((int32_t)(key + row + part)), segments ? load_int(segments + query + i) : wide_all_int(0),
                        segments ? wide_all_int(segments[key + row + part]) : wide_all_int(0)), 0);
                slope[part] = weight * (wide_load(slopes, place, 0) - delta) * a->scale;
                wide_store(weights, place, weight, HALF);
                wide_store(rows, place, slope[part], HALF);
            }
            store_pairs(pairs + i / PANEL * PANEL * BLOCK + row * PANEL + i % PANEL * PAIR, slope, HALF);
        }
    }
    NAME(product)(weights, BLOCK, BLOCK, head->grad_depth + query * PANEL, panels, padded * PANEL, BLOCK / PAIR,
        grad_v + key * across, across, 1);
    NAME(product)(rows, BLOCK, BLOCK, head->q_depth + query * PANEL, panels, padded * PANEL, BLOCK / PAIR,
        grad_k + key * across, across, 1);
    NAME(product)(k_turned + key, padded, tall, pairs, BLOCK / PANEL, PANEL * BLOCK, BLOCK / PAIR, grad_q + query,
        padded, 1);
}

static void NAME(pack_head)(const attention *a, int64_t sequence, int64_t index, const NAME(head) *head)
{
    int64_t length = a->length, width = a->width, padded = padded_length(length);
    const NUMBER *q = at(a->q, &a->q_at, sequence, index), *out = at(a->out, &a->out_at, sequence, index);
    const NUMBER *grad = at(a->grad_out, &a->out_at, sequence, index);
    NAME(pack_rows)(q, a->q_at.position, length, padded, width, head->q_rows);
    NAME(pack_depth)(q, a->q_at.position, length, padded, width, head->q_depth);
    NAME(pack_rows)(grad, a->out_at.position, length, padded, width, head->grad_rows);
    NAME(pack_depth)(grad, a->out_at.position, length, padded, width, head->grad_depth);
    for (int64_t row = 0; row < padded; row++) {
        float sum = 0;
        for (int64_t d = 0; d < width && row < length; d++)
            sum += one_load(grad, row * a->out_at.position + d, HALF) * one_load(out, row * a->out_at.position + d, HALF);
        head->delta[row] = sum;
        head->logarithms[row] = row < length ? a->logarithms[(sequence * a->heads + index) * length + row] : INFINITY;
    }
}

static void NAME(backward)(const void *arguments, int64_t start, int64_t end)
{
    const attention *a = arguments;
    int64_t length = a->length, width = a->width, padded = padded_length(length), group = a->heads / a->kv_heads;
    int64_t across = (width + PANEL - 1) / PANEL * PANEL, tall = (width + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    NUMBER *memory = aligned_alloc(64, sizeof(NUMBER) * (size_t)(padded * (4 * width + tall + 2 * across)));
    float *sums = aligned_alloc(64, sizeof(float) * (size_t)(padded * (2 * across + tall + 2)));
    if (memory == NULL || sums == NULL)
        abort();
    NUMBER *k = memory, *v = k + padded * width, *k_turned = v + padded * width, *rest = k_turned + padded * tall;
    float *grad_k = sums, *grad_v = grad_k + padded * across, *grad_q = grad_v + padded * across;
    float *delta = grad_q + padded * tall;
    NAME(head) head = {rest, rest + padded * width, rest + padded * (width + across), rest + padded * (2 * width + across),
        delta, delta + padded};
    for (int64_t item = start; item < end; item++) {
        int64_t sequence = item / a->kv_heads, kv = item % a->kv_heads;
        const int32_t *segments = a->segments ? a->segments + sequence * padded : NULL;
        NAME(copy_rows)(at(a->k, &a->kv_at, sequence, kv), a->kv_at.position, length, padded, width, k);
        NAME(copy_rows)(at(a->v, &a->kv_at, sequence, kv), a->kv_at.position, length, padded, width, v);
        memset(k_turned, 0, (size_t)(padded * tall) * sizeof *k_turned);
        for (int64_t row = 0; row < length; row++)
            for (int64_t d = 0; d < width; d++)
                k_turned[d * padded + row] = k[row * width + d];
        memset(grad_k, 0, (size_t)(2 * padded * across) * sizeof *grad_k);
        for (int64_t index = kv * group; index < (kv + 1) * group; index++) {
            NAME(pack_head)(a, sequence, index, &head);
            memset(grad_q, 0, (size_t)(padded * tall) * sizeof *grad_q);
            for (int64_t key = 0; key < length; key += BLOCK) {
                int64_t last = a->window && key + BLOCK + a->window < padded ? key + BLOCK + a->window : padded;
                for (int64_t query = key; query < last; query += BLOCK)
                    NAME(backward_block)(a, segments, key, query, &head, k, v, k_turned, grad_k, grad_v, grad_q);
            }
            NUMBER *out = at(a->grad_q, &a->grad_q_at, sequence, index);
            for (int64_t row = 0; row < length; row++)
                for (int64_t d = 0; d < width; d++)
                    one_store(out + row * a->grad_q_at.position, d, grad_q[d * padded + row], HALF);
        }
        NUMBER *out_k = at(a->grad_k, &a->grad_kv_at, sequence, kv), *out_v = at(a->grad_v, &a->grad_kv_at, sequence, kv);
        for (int64_t row = 0; row < length; row++)
            for (int64_t d = 0; d < width; d++) {
                one_store(out_k + row * a->grad_kv_at.position, d, grad_k[row * across + d], HALF);
                one_store(out_v + row * a->grad_kv_at.position, d, grad_v[row * across + d], HALF);
            }
    }
    free(memory);
    free(sums);
}
