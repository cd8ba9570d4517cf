/* See decode.h. Every thread walks the same phases; in each it takes tasks, then waits for the others:
 *
 *   per layer   enter     a token a task: add what the experts of the layer before made, norm, prepare for qkv
 *               qkv       rows of the matrix
 *               remember  a key-value head of a token a task: RoPE, then into the cache
 *               attend    the same; prepares its part of the vector for `out`
 *               out       rows; added to the residual stream
 *               route     a token a task: norm, router, the k experts; then thread 0 sorts the rows by expert
 *               up        an expert's inner rows: w1, w3, SwiGLU, prepared for w2
 *               down      an expert's rows of w2
 *   at the end  enter, then rows of the output projection
 *
 * A task's numbers depend on nothing but its own inputs and every sum is made in one fixed order, so the same call gives
 * the same bits with any number of threads.
 */
#include "decode.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "sublayers.h"

#define LINE 64

typedef struct {
    _Alignas(LINE) _Atomic int64_t next;
} ticket;

/* The tokens that one expert (or the shared one) is given. */
typedef struct {
    const matrix *w13, *w2;
    int64_t inner, first, count; /* rows first .. first + count of the sorted ones */
} job;

typedef struct {
    const model *shape;
    pool *threads;
    const products *products;
    const sublayers *sublayers;
    int64_t num_tokens, first_wanted;
    const int64_t *slots, *ids, *positions, *forced;
    float *logits;
    int64_t vector_bytes, inner_bytes; /* of a prepared vector of H or N D columns, of F columns */
    ticket *tickets;                   /* three sets, one ticket a thread */
    char *vectors, *inner;             /* prepared: [B], [R] */
    float *x, *normed, *qkv, *mixed;   /* [B, H], [B, H], [B, (N + 2K) D], [B, N D] */
    float *made, *weight, *scores;     /* [R, H] by sorted row, [B, k], [B, 2 E] */
    int64_t *chosen, *row_of, *token;  /* [B, k], [B, k + 1] sorted row, [R] */
    job *jobs;                         /* [E + 1] */
    int64_t num_jobs;
} step;

/* One thread's way through the phases. */
typedef struct {
    step *s;
    int thread, num_threads, phase, owner;
} worker;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Each thread starts on a range of its own, so that it reads weights in one stream, and helps with others' after. */
static bool take(worker *me, int64_t total, int64_t *task)
{
    ticket *tickets = me->s->tickets + me->phase % 3 * me->num_threads;
    for (; me->owner < me->num_threads; me->owner++) {
        int owner = (me->thread + me->owner) % me->num_threads;
        int64_t end = total * (owner + 1) / me->num_threads;
        *task = total * owner / me->num_threads + pool_claim(&tickets[owner].next);
        if (*task < end)
            return true;
    }
    return false;
}

static void begin_phase(worker *me)
{
    me->owner = 0;
    /* the tickets of the next phase were last used in the one before this: all are through with them */
    if (me->thread == 0)
        for (int i = 0; i < me->num_threads; i++)
            atomic_store_explicit(&me->s->tickets[(me->phase + 1) % 3 * me->num_threads + i].next, 0, memory_order_relaxed);
}

static void end_phase(worker *me)
{
    pool_barrier(me->s->threads);
    me->phase++;
    begin_phase(me);
}

static int64_t num_tasks(const matrix *w)
{
    int64_t rows = rows_of_a_task(w);
    return (w->rows + rows - 1) / rows;
}

/* Rows of task `task` times vectors x (num of them, `bytes` apart by `index`, or in order): y[v * stride + row] set, or
 * added to. */
static void multiply_rows(const step *s, const matrix *w, int64_t task, const char *x, int64_t bytes, int64_t num, float *y,
                          bool add)
{
    const int64_t rows = rows_of_a_task(w), first = task * rows, count = least(rows, w->rows - first);
    _Alignas(LINE) float part[MOST_VECTORS * MOST_ROWS];
    for (int64_t start = 0; start < num; start += MOST_VECTORS) {
        const int tile = (int)least(MOST_VECTORS, num - start);
        const void *vectors[MOST_VECTORS];
        for (int v = 0; v < tile; v++)
            vectors[v] = x + (start + v) * bytes;
        s->products->multiply(w, first, count, vectors, tile, part, MOST_ROWS);
        for (int v = 0; v < tile; v++) {
            float *to = y + (start + v) * w->rows + first;
            if (add)
                s->sublayers->add(to, part + v * MOST_ROWS, 1.0f, count);
            else
                memcpy(to, part + v * MOST_ROWS, 4 * (size_t)count);
        }
    }
}

static void project(worker *me, const matrix *w, int64_t first_token, float *y, bool add)
{
    const step *s = me->s;
    const char *vectors = s->vectors + first_token * s->vector_bytes;
    int64_t task;
    while (take(me, num_tasks(w), &task))
        multiply_rows(s, w, task, vectors, s->vector_bytes, s->num_tokens - first_token, y, add);
    end_phase(me);
}

static void embed(const model *shape, int64_t id, float *x)
{
    const matrix *w = &shape->embedding;
    const int64_t start = id * w->columns;
    if (w->format == FLOAT32)
        memcpy(x, (const float *)w->values + start, 4 * (size_t)w->columns);
    else
        for (int64_t i = 0; i < w->columns; i++) {
            uint32_t bits = (uint32_t)((const uint16_t *)w->values)[start + i] << 16;
            memcpy(x + i, &bits, sizeof bits);
        }
}

static int64_t outputs_of_a_token(const model *shape, const layer *of)
{
    return shape->num_chosen + (of->shared_w2.rows > 0);
}

/* What the experts of layer `of` made of token b, added to the residual stream. */
static void combine(const step *s, const layer *of, int64_t b)
{
    const model *shape = s->shape;
    const int64_t each = shape->num_chosen, num = outputs_of_a_token(shape, of);
    for (int64_t j = 0; j < num; j++) {
        const float *made = s->made + s->row_of[b * (each + 1) + j] * shape->hidden;
        s->sublayers->add(s->x + b * shape->hidden, made, j < each ? s->weight[b * each + j] : 1.0f, shape->hidden);
    }
}

static void enter(worker *me, int64_t index, const float *norm, const matrix *next)
{
    const step *s = me->s;
    const int64_t hidden = s->shape->hidden;
    int64_t b;
    while (take(me, s->num_tokens, &b)) {
        float *x = s->x + b * hidden;
        if (index == 0)
            embed(s->shape, s->ids[b], x);
        else
            combine(s, &s->shape->layers[index - 1], b);
        s->sublayers->norm(x, norm, hidden, (float)s->shape->norm_eps, s->normed + b * hidden);
        s->products->prepare(next, s->normed + b * hidden, 0, hidden, s->vectors + b * s->vector_bytes);
    }
    end_phase(me);
}

/* Key-value head k of token b. */
static attention head_of(const step *s, const layer *of, int64_t b, int64_t k)
{
    const model *m = s->shape;
    const int64_t width = m->head_width, group = m->num_heads / m->num_kv_heads, position = s->positions[b];
    const int64_t room = m->capacity * width * (m->cache_float ? 4 : 2);
    const int64_t offset = (s->slots[b] * m->num_kv_heads + k) * room;
    float *heads = s->qkv + b * (m->num_heads + 2 * m->num_kv_heads) * width;
    return (attention){
        .queries = heads + k * group * width,
        .key = heads + (m->num_heads + k) * width,
        .value = heads + (m->num_heads + m->num_kv_heads + k) * width,
        .query_norm = of->query_norm,
        .key_norm = of->key_norm,
        .cos = m->cos + position * (width / 2),
        .sin = m->sin + position * (width / 2),
        .keys = (char *)of->keys + offset,
        .values = (char *)of->values + offset,
        .position = position,
        .first = m->window && position >= m->window ? position + 1 - m->window : 0,
        .heads = group,
        .width = width,
        .norm_eps = (float)m->norm_eps,
        .cache_float = (int)m->cache_float,
        .mixed = s->mixed + (b * m->num_heads + k * group) * width,
    };
}

static void attend(worker *me, const layer *of)
{
    const step *s = me->s;
    const int64_t num_keys = s->shape->num_kv_heads, tasks = s->num_tokens * num_keys;
    int64_t task;
    while (take(me, tasks, &task)) {
        attention head = head_of(s, of, task / num_keys, task % num_keys);
        s->sublayers->remember(&head);
    }
    end_phase(me); /* a token looks at those before it in the same step too */
    while (take(me, tasks, &task)) {
        const int64_t b = task / num_keys, k = task % num_keys;
        attention head = head_of(s, of, b, k);
        const int64_t size = head.heads * head.width;
        s->sublayers->attend(&head);
        s->products->prepare(&of->out, head.mixed - k * size, k * size, (k + 1) * size, s->vectors + b * s->vector_bytes);
    }
    end_phase(me);
}

/* The k experts of a token and their weights, from its router logits; ties go to the lower expert. */
static void choose(const step *s, const layer *of, int64_t b, const int64_t *forced)
{
    const model *m = s->shape;
    float *score = s->scores + 2 * b * m->num_experts, *rank = score + m->num_experts, *weight = s->weight + b * m->num_chosen;
    int64_t *chosen = s->chosen + b * m->num_chosen;
    float most = -INFINITY, total = 0;
    for (int64_t e = 0; e < m->num_experts; e++) {
        if (m->sigmoid) /* log sigmoid, without overflow */
            score[e] = fminf(score[e], 0.0f) - log1pf(expf(-fabsf(score[e])));
        most = fmaxf(most, score[e]);
    }
    for (int64_t e = 0; e < m->num_experts; e++)
        total += expf(score[e] - most);
    for (int64_t e = 0; e < m->num_experts; e++)
        rank[e] = (m->sigmoid ? expf(score[e]) : expf(score[e] - most) / total) + (of->router_bias ? of->router_bias[e] : 0);
    for (int64_t j = 0; j < m->num_chosen; j++) {
        int64_t best = 0;
        for (int64_t e = 1; e < m->num_experts; e++)
            best = rank[e] > rank[best] ? e : best;
        rank[best] = -INFINITY;
        chosen[j] = forced ? forced[j] : best;
    }
    float sum = 0, top = -INFINITY;
    for (int64_t j = 0; j < m->num_chosen; j++)
        top = fmaxf(top, score[chosen[j]]);
    for (int64_t j = 0; j < m->num_chosen; j++)
        sum += weight[j] = expf(score[chosen[j]] - top);
    for (int64_t j = 0; j < m->num_chosen; j++)
        weight[j] /= sum;
}

/* Sort the (token, expert) pairs by expert: each expert's weights are then read once. */
static void sort_rows(step *s, const layer *of)
{
    const model *m = s->shape;
    int64_t row = 0;
    s->num_jobs = 0;
    for (int64_t e = 0; e < m->num_experts; e++) {
        const int64_t first = row;
        for (int64_t b = 0; b < s->num_tokens; b++)
            for (int64_t j = 0; j < m->num_chosen; j++)
                if (s->chosen[b * m->num_chosen + j] == e) {
                    s->token[row] = b;
                    s->row_of[b * (m->num_chosen + 1) + j] = row++;
                }
        if (row > first)
            s->jobs[s->num_jobs++] = (job){&of->w13[e], &of->w2[e], m->ffn, first, row - first};
    }
    if (of->shared_w2.rows) {
        s->jobs[s->num_jobs++] = (job){&of->shared_w13, &of->shared_w2, of->shared_w2.columns, row, s->num_tokens};
        for (int64_t b = 0; b < s->num_tokens; b++) {
            s->token[row] = b;
            s->row_of[b * (m->num_chosen + 1) + m->num_chosen] = row++;
        }
    }
}

static void route(worker *me, int64_t index)
{
    step *s = me->s;
    const model *m = s->shape;
    const layer *of = &m->layers[index];
    int64_t b;
    while (take(me, s->num_tokens, &b)) {
        float *normed = s->normed + b * m->hidden;
        s->sublayers->norm(s->x + b * m->hidden, of->moe_norm, m->hidden, (float)m->norm_eps, normed);
        s->products->prepare(&of->w13[0], normed, 0, m->hidden, s->vectors + b * s->vector_bytes);
        const void *vector = normed;
        s->products->multiply(&of->router, 0, m->num_experts, &vector, 1, s->scores + 2 * b * m->num_experts, 0);
        choose(s, of, b, s->forced ? s->forced + (index * s->num_tokens + b) * m->num_chosen : NULL);
    }
    pool_barrier(s->threads);
    if (me->thread == 0)
        sort_rows(s, of);
    end_phase(me);
}

/* Inner rows of one expert that make a task: whole groups of what w2 wants prepared. */
static int64_t inner_rows(const job *of)
{
    const int64_t rows = rows_of_a_task(of->w13), group = of->w2->group;
    return rows > group ? rows : group;
}

static void up_tile(const step *s, const job *of, int64_t begin, int64_t count, int64_t start)
{
    _Alignas(LINE) float gate[MOST_VECTORS * MOST_ROWS], up[MOST_VECTORS * MOST_ROWS];
    const int tile = (int)least(MOST_VECTORS, of->count - start);
    const void *vectors[MOST_VECTORS] = {NULL};
    for (int v = 0; v < tile; v++)
        vectors[v] = s->vectors + s->token[of->first + start + v] * s->vector_bytes;
    s->products->multiply(of->w13, begin, count, vectors, tile, gate, MOST_ROWS);
    s->products->multiply(of->w13, of->inner + begin, count, vectors, tile, up, MOST_ROWS);
    for (int v = 0; v < tile; v++) {
        float *x = gate + v * MOST_ROWS;
        s->sublayers->swiglu(x, up + v * MOST_ROWS, count, x);
        /* prepare reads from x[begin], which is gate[v][0] */
        s->products->prepare(of->w2, x - begin, begin, begin + count,
                             s->inner + (of->first + start + v) * s->inner_bytes);
    }
}

static void run_experts(worker *me)
{
    const step *s = me->s;
    int64_t task, total = 0;
    for (int64_t i = 0; i < s->num_jobs; i++)
        total += (s->jobs[i].inner + inner_rows(&s->jobs[i]) - 1) / inner_rows(&s->jobs[i]);
    while (take(me, total, &task)) {
        const job *of = s->jobs;
        for (int64_t tasks; task >= (tasks = (of->inner + inner_rows(of) - 1) / inner_rows(of)); of++)
            task -= tasks;
        const int64_t begin = task * inner_rows(of), count = least(inner_rows(of), of->inner - begin);
        for (int64_t start = 0; start < of->count; start += MOST_VECTORS)
            up_tile(s, of, begin, count, start);
    }
    end_phase(me);
    total = 0;
    for (int64_t i = 0; i < s->num_jobs; i++)
        total += num_tasks(s->jobs[i].w2);
    while (take(me, total, &task)) {
        const job *of = s->jobs;
        for (; task >= num_tasks(of->w2); of++)
            task -= num_tasks(of->w2);
        multiply_rows(s, of->w2, task, s->inner + of->first * s->inner_bytes, s->inner_bytes, of->count,
                      s->made + of->first * s->shape->hidden, false);
    }
    end_phase(me);
}

static void walk(void *context, int thread)
{
    step *s = context;
    const model *m = s->shape;
    worker me = {s, thread, pool_threads(s->threads), 0, 0};
    begin_phase(&me);
    for (int64_t index = 0; index < m->num_layers; index++) {
        const layer *of = &m->layers[index];
        enter(&me, index, of->attention_norm, &of->qkv);
        project(&me, &of->qkv, 0, s->qkv, false);
        attend(&me, of);
        project(&me, &of->out, 0, s->x, true);
        route(&me, index);
        run_experts(&me);
    }
    enter(&me, m->num_layers, m->norm, &m->output);
    project(&me, &m->output, s->first_wanted, s->logits, false);
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Widest prepared vector of a matrix of this many columns: int8 with a scale each 32 is narrower than float32. */
static int64_t widest(int64_t columns) { return (4 * columns + LINE - 1) / LINE * LINE; }

/* Lays the step's arrays out from `at`; returns the bytes they take. */
static int64_t lay_out(step *s, char *at)
{
    const model *m = s->shape;
    const int64_t batch = s->num_tokens, heads = m->num_heads * m->head_width;
    int64_t inner = m->ffn, used = 0;
    for (int64_t i = 0; i < m->num_layers; i++)
        inner = most(inner, m->layers[i].shared_w2.columns);
    s->vector_bytes = widest(most(m->hidden, heads));
    s->inner_bytes = widest(inner);
    const int64_t rows = batch * (m->num_chosen + 1);
#define ROOM(POINTER, SIZE)                                                                                               \
    do {                                                                                                                  \
        s->POINTER = (void *)(at + used);                                                                                 \
        used += ((SIZE) + LINE - 1) / LINE * LINE;                                                                        \
    } while (0)
    ROOM(tickets, 3 * pool_threads(s->threads) * (int64_t)sizeof(ticket));
    ROOM(vectors, batch * s->vector_bytes);
    ROOM(inner, rows * s->inner_bytes);
    ROOM(x, 4 * batch * m->hidden);
    ROOM(normed, 4 * batch * m->hidden);
    ROOM(qkv, 4 * batch * (heads + 2 * m->num_kv_heads * m->head_width));
    ROOM(mixed, 4 * batch * heads);
    ROOM(made, 4 * rows * m->hidden);
    ROOM(weight, 4 * batch * m->num_chosen);
    ROOM(scores, 8 * batch * m->num_experts);
    ROOM(chosen, 8 * rows);
    ROOM(row_of, 8 * rows);
    ROOM(token, 8 * rows);
    ROOM(jobs, (m->num_experts + 1) * (int64_t)sizeof(job));
#undef ROOM
    return used;
}

int64_t orfevre_decode_scratch(const model *shape, pool *threads, int64_t num_tokens)
{
    static char nowhere[LINE];
    step s = {.shape = shape, .threads = threads, .num_tokens = num_tokens};
    return lay_out(&s, nowhere);
}

void orfevre_decode_step(const model *shape, pool *threads, int32_t level, int64_t num_tokens, const int64_t *slots,
                         const int64_t *ids, const int64_t *positions, int64_t first_wanted, void *scratch, float *logits,
                         const int64_t *forced)
{
    step s = {
        .shape = shape,
        .threads = threads,
        .products = products_at(level),
        .sublayers = sublayers_at(level),
        .num_tokens = num_tokens,
        .slots = slots,
        .ids = ids,
        .positions = positions,
        .first_wanted = first_wanted,
        .forced = forced,
        .logits = logits,
    };
    lay_out(&s, scratch);
    memset(s.tickets, 0, (size_t)pool_threads(threads) * sizeof(ticket));
    pool_run(threads, walk, &s);
}
