/* What qaic should make of fjdsp.idl, written by hand: the calls go straight to the skel's functions. */
#ifndef FJDSP_H
#define FJDSP_H

#include "remote.h"

typedef int AEEResult;
typedef int int32;
typedef long long int64;

#define fjdsp_URI "file:///libfjdsp_skel.so?fjdsp_skel_handle_invoke&_modver=1.0"

int fjdsp_open(const char *uri, remote_handle64 *handle);
int fjdsp_close(remote_handle64 handle);
AEEResult fjdsp_prepare(remote_handle64 handle, const char *model, int32 classes, int32 batch_size);
AEEResult fjdsp_set_weights(
    remote_handle64 handle, int32 layer, int32 exponent, const unsigned char *weights, int weightsLen);
AEEResult fjdsp_get_weights(remote_handle64 handle, int32 layer, unsigned char *weights, int weightsLen);
AEEResult fjdsp_train(remote_handle64 handle, const unsigned char *images, int imagesLen, int32 exponent,
                      const int32 *labels, int labelsLen, int32 mu_conv, int32 mu_fc, int64 *dsp_us);
AEEResult fjdsp_nothing(remote_handle64 handle, const unsigned char *content, int contentLen);

#endif
