/* The softmax cross-entropy of a batch, the mean over its images. */
#ifndef FJ_FLOAT_LOSS_H
#define FJ_FLOAT_LOSS_H

#include <stddef.h>
#include <stdint.h>

/* Writes the gradient (softmax - one-hot) / batch; rows are a stride apart. Returns how many were right:
 * the first of the largest logits is the answer. The mean loss goes to `loss` if it is not NULL. */
int fj_float_loss(const float *logits, const int32_t *labels, int batch, int classes, size_t stride, float *gradient,
                  size_t gradient_stride, float *loss);

#endif
