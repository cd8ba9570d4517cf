/* Which source each sample of a block comes from, earliest deadline first. schedule.py has the twin and the reasons. */
#include <stdint.h>

/* The k-th of count[s] samples of source s may stand from position k total / count[s] (down) to
 * (k + 1) total / count[s] (up) - 1; of those that may, the one that must soonest is taken, ties to the lower source.
 * total is the sum of the counts; times num_sources, rounded up to a power of two, it must be below 2^31, so that one
 * number holds deadline and source (key). due, release and key have room for num_sources numbers. Returns total, or the
 * position for which nothing was released, which no counts give. */
int64_t orfevre_earliest_deadline(
    const int64_t *count, int64_t num_sources, int64_t total, int32_t *restrict due, int32_t *restrict release,
    int32_t *restrict key, int64_t *restrict source_of, int64_t *restrict rank_of)
{
    const int32_t never = INT32_MAX;
    int bits = 0;
    while ((INT64_C(1) << bits) < num_sources) bits++;
    for (int64_t s = 0; s < num_sources; s++) {
        due[s] = 0;
        release[s] = count[s] ? 0 : never;
        key[s] = count[s] ? (int32_t)(((total + count[s] - 1) / count[s] - 1) << bits | s) : never;
    }
    for (int64_t place = 0; place < total; place++) {
        const int32_t now = (int32_t)place;
        int32_t soonest = never;
        for (int64_t s = 0; s < num_sources; s++) {
            int32_t until = release[s] <= now ? key[s] : never;
            soonest = until < soonest ? until : soonest;
        }
        if (soonest == never) return place;
        const int64_t s = soonest & ((INT64_C(1) << bits) - 1);
        source_of[place] = s;
        rank_of[place] = due[s]++;
        if (due[s] < count[s]) {
            release[s] = (int32_t)(due[s] * total / count[s]);
            key[s] = (int32_t)((((due[s] + 1) * total + count[s] - 1) / count[s] - 1) << bits | s);
        } else {
            release[s] = never;
        }
    }
    return total;
}
