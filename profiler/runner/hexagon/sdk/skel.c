/* The DSP's side of fjdsp.idl: one network for each handle. Needs fjdsp.h, which qaic makes, and the SDK's headers. */
#include <stdlib.h>

#include "AEEStdErr.h"
#include "HAP_perf.h"
#include "fjdsp.h"
#include "../network.h"

typedef struct {
    fj_model model;
    int batch_size;
    fj_dsp_network *network;
} Session;

int fjdsp_open(const char *uri, remote_handle64 *handle) {
    Session *session = calloc(1, sizeof *session);
    (void)uri;
    if (!session) return AEE_ENOMEMORY;
    *handle = (remote_handle64)(uintptr_t)session;
    return AEE_SUCCESS;
}

static Session *of(remote_handle64 handle) {
    return (Session *)(uintptr_t)handle;
}

int fjdsp_close(remote_handle64 handle) {
    fj_dsp_network_free(of(handle)->network);
    free(of(handle));
    return AEE_SUCCESS;
}

AEEResult fjdsp_prepare(remote_handle64 handle, const char *model, int32 classes, int32 batch_size) {
    Session *session = of(handle);
    char error[256];
    fj_dsp_network_free(session->network);
    session->network = NULL;
    if (batch_size < 1 || fj_model_read(&session->model, model, classes, error, sizeof error)) return AEE_EBADPARM;
    session->network = fj_dsp_network_new(&session->model, batch_size, &fj_dsp_hvx);
    session->batch_size = batch_size;
    return session->network ? AEE_SUCCESS : AEE_ENOMEMORY;
}

/* Whether the layer exists and has this many weights. */
static int fits(const Session *session, int32 layer, int count) {
    return session->network && layer >= 0 && layer < session->model.layers && count >= 0 &&
           (size_t)count == session->model.layer[layer].weights;
}

AEEResult fjdsp_set_weights(
    remote_handle64 handle, int32 layer, int32 exponent, const unsigned char *weights, int weightsLen) {
    if (!fits(of(handle), layer, weightsLen)) return AEE_EBADPARM;
    fj_dsp_set_weights(of(handle)->network, layer, (const int8_t *)weights, exponent);
    return AEE_SUCCESS;
}

AEEResult fjdsp_get_weights(remote_handle64 handle, int32 layer, unsigned char *weights, int weightsLen) {
    if (!fits(of(handle), layer, weightsLen)) return AEE_EBADPARM;
    fj_dsp_get_weights(of(handle)->network, layer, (int8_t *)weights);
    return AEE_SUCCESS;
}

AEEResult fjdsp_train(remote_handle64 handle, const unsigned char *images, int imagesLen, int32 exponent,
                      const int32 *labels, int labelsLen, int32 mu_conv, int32 mu_fc, int64 *dsp_us) {
    const Session *session = of(handle);
    const fj_model *model = &session->model;
    if (!session->network || labelsLen != session->batch_size) return AEE_EBADPARM;
    if (imagesLen != session->batch_size * model->h * model->w * model->c) return AEE_EBADPARM;
    for (int i = 0; i < labelsLen; i++)
        if (labels[i] < 0 || labels[i] >= model->classes) return AEE_EBADPARM;
    const uint64_t begin_us = HAP_perf_get_time_us();
    fj_dsp_train(session->network, (const int8_t *)images, exponent, (const int32_t *)labels, mu_conv, mu_fc);
    *dsp_us = (int64)(HAP_perf_get_time_us() - begin_us);
    return AEE_SUCCESS;
}

AEEResult fjdsp_nothing(remote_handle64 handle, const unsigned char *content, int contentLen) {
    (void)handle, (void)content, (void)contentLen;
    return AEE_SUCCESS;
}
