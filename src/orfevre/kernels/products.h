/* Matrices at rest in four formats, times a few vectors: the products of decoding.
 *
 * FLOAT32, BFLOAT16  row-major [rows, columns].
 * INT8, INT4         blocks of 16 rows (zero rows at the end make the last one whole). A block is its groups of columns
 *                    in order; a group is 16 bfloat16 scales, one a row, then its values in lines of 64 bytes: INT8 has 4
 *                    columns a line (byte 4r + j is row r, column j), INT4 has 8 (the low four bits are column j, the high
 *                    four column 4 + j). Values are stored with 128 (INT8) or 8 (INT4) added, so they are unsigned.
 *                    So a thread reads one unbroken stream, and the sixteen sums of a block lie in sixteen lanes.
 *
 * The vector is brought to the matrix's precision first (`prepare`): bfloat16, or int8 with one scale a group, whose
 * products with the weights are exact in integers.
 */
#ifndef ORFEVRE_PRODUCTS_H
#define ORFEVRE_PRODUCTS_H

#include <stdint.h>

enum { FLOAT32, BFLOAT16, INT8, INT4 };
enum { BLOCK_ROWS = 16, MOST_ROWS = 128, MOST_VECTORS = 8 };

typedef struct {
    const void *values;
    int64_t rows, columns;
    int64_t format;
    int64_t group; /* columns that share a scale; 0 for floats */
} matrix;

/* Instructions: plain C, AVX2 with FMA, or AVX-512 with BF16 and VNNI. */
enum { PLAIN, AVX2, AVX512, NUM_LEVELS };
/* The best level of this machine. */
int32_t orfevre_level(void);

/* Bytes of a vector of `columns` prepared for a format; a multiple of 64. */
int64_t prepared_bytes(int64_t format, int64_t group, int64_t columns);
/* Rows that make one task: some 32 KB of weights; a power of two from 16 to MOST_ROWS. */
int64_t rows_of_a_task(const matrix *w);
/* Bytes of one row of a matrix, scales included. */
int64_t row_bytes(const matrix *w);

typedef struct {
    /* x[begin .. end) to `out`, the room of a whole vector of w's columns; ends are multiples of w's group */
    void (*prepare)(const matrix *w, const float *x, int64_t begin, int64_t end, void *out);
    /* y[v * stride + r] = row `first + r` of w times x[v], r < num_rows, v < num_vectors <= MOST_VECTORS. For INT8 and
     * INT4 `first` is a multiple of 16, and y has room for whole blocks. */
    void (*multiply)(const matrix *w, int64_t first, int64_t num_rows, const void *const *x, int num_vectors, float *y,
                     int64_t stride);
} products;

/* `level` must not exceed orfevre_level(). */
const products *products_at(int level);

#endif
