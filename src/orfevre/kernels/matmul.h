/* See matmul.c. */
#ifndef ORFEVRE_MATMUL_H
#define ORFEVRE_MATMUL_H

#include "pool.h"
#include "products.h"

/* Bytes of scratch for `num` vectors. */
int64_t orfevre_matmul_scratch(const matrix *w, int64_t num);
/* y [num, rows] = x [num, columns] times the transposed matrix, all float32; `scratch` is aligned to 64 bytes. */
void orfevre_matmul(const matrix *w, pool *threads, int32_t level, const float *x, int64_t num, void *scratch, float *y);

#endif
