/* A layer with one input channel and a pool, such as the first one of grey images: few weights and large maps. Its sums,
 * winners and errors are planes, one for each output, with a line of the image's length: the sums of a plane are then
 * those of the image's bytes, from any byte on, and so are those of the gradient. */
#include <string.h>

#include "int8_engine.h"
#include "memory.h"
#include "rounding.h"

typedef struct {
    fj_int8_engine *engine;
    fj_int8_layer *layer;
    const fj_int8_rounding *how;
    fj_int8_plane plane;
    size_t images;
} Task;

static size_t cell_line(const fj_int8_layer *layer) {
    return fj_round_up((size_t)layer->out_w, FJ_INT8_CELLS);
}

/* Places up to the last sum. */
static size_t places(const fj_int8_layer *layer) {
    return (size_t)(layer->h - 1) * layer->input.line + (size_t)layer->w;
}

size_t fj_int8_plane_apart(const fj_int8_layer *layer) {
    return fj_round_up(places(layer) + 2 * FJ_INT8_CELLS, FJ_INT8_PLACES);
}

size_t fj_int8_plane_room(const fj_int8_layer *layer) {
    size_t pooled = (size_t)layer->outputs * (size_t)layer->out_h * cell_line(layer), four = 4 * cell_line(layer);
    size_t sums = fj_int8_plane_apart(layer), most = pooled > sums ? pooled : sums;
    return most > four ? most : four;
}

int fj_int8_plane_make(fj_int8_layer *layer, int batch) {
    size_t outputs = (size_t)layer->outputs, apart = fj_int8_plane_apart(layer), planes = (size_t)batch * outputs;
    layer->valid = fj_zeroed(apart * sizeof *layer->valid);
    layer->planes = fj_zeroed(planes * apart + FJ_SLACK);
    layer->winner = fj_zeroed(planes * (size_t)layer->out_h * cell_line(layer) + FJ_SLACK);
    for (size_t p = 0; layer->valid && p < places(layer); p++)
        layer->valid[p] = p % layer->input.line < (size_t)layer->w ? -1 : 0;
    return layer->valid && layer->planes && layer->winner ? 0 : -1;
}

void fj_int8_plane_free(fj_int8_layer *layer) {
    free(layer->valid);
    free(layer->planes);
    free(layer->winner);
}

static Task task_of(fj_int8_engine *engine, fj_int8_layer *layer, int batch, const fj_int8_rounding *how) {
    fj_int8_plane plane = {.line = layer->input.line, .places = fj_round_up(places(layer), FJ_INT8_PLACES),
                           .kernel = (size_t)layer->kernel, .steps = layer->steps, .columns = layer->columns,
                           .outputs = (size_t)layer->outputs, .weights = layer->weights,
                           .start = layer->start + (size_t)layer->kernel * layer->columns, .valid = layer->valid};
    return (Task){engine, layer, how, plane, (size_t)batch};
}

static void seen(const Task *of, int thread, uint32_t largest) {
    fj_int8_scratch *scratch = &of->engine->scratch[thread];
    if (largest > scratch->largest) scratch->largest = largest;
}

static int32_t *sums_of(const Task *of, size_t image) {
    return of->engine->sums + image * of->plane.outputs * fj_int8_plane_apart(of->layer);
}

static void forward_image(void *context, int task, int thread) {
    const Task *of = context;
    size_t image = (size_t)task;
    seen(of, thread, of->layer->kernels->plane->forward(&of->plane, of->layer->input.at + image * of->layer->input.image,
                                                        sums_of(of, image), fj_int8_plane_apart(of->layer)));
}

uint32_t fj_int8_plane_forward(fj_int8_engine *engine, fj_int8_layer *layer, int batch) {
    Task of = task_of(engine, layer, batch, NULL);
    fj_pool_run(engine->pool, forward_image, &of, batch);
    return fj_int8_largest(engine);
}

/* Draws are numbered by the sum's place in the tensor, whose channels are innermost. */
static void draw(const Task *of, size_t image, size_t o, const int32_t *sums, int8_t *out) {
    const fj_int8_layer *layer = of->layer;
    size_t h = (size_t)layer->h, w = (size_t)layer->w;
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++) {
            int32_t sum = sums[y * of->plane.line + x];
            uint32_t place = (uint32_t)((((image * h + y) * w) + x) * of->plane.outputs + o);
            out[y * of->plane.line + x] =
                (int8_t)fj_clip127(fj_round_stochastic(sum < 0 ? 0 : sum, of->how->shift, of->how->key, place));
        }
}

/* Four channels of a line of cells to where the next layer reads them. */
static void put_line(const fj_int8_kernels *kernels, const int8_t *const plane[4], size_t cells, size_t channels,
                     uint8_t *to, size_t apart) {
    uint8_t joined[4 * FJ_INT8_CELLS];
    for (size_t first = 0; first < cells; first += FJ_INT8_CELLS) {
        const int8_t *const from[4] = {plane[0] + first, plane[1] + first, plane[2] + first, plane[3] + first};
        size_t here = cells - first < FJ_INT8_CELLS ? cells - first : FJ_INT8_CELLS;
        kernels->plane->join(from, kernels->bias, joined);
        if (channels >= 4)
            for (size_t i = 0; i < here; i++, to += apart) memcpy(to, joined + 4 * i, 4);
        else
            for (size_t i = 0; i < here; i++, to += apart) memcpy(to, joined + 4 * i, channels);
    }
}

static void activate_image(void *context, int task, int thread) {
    const Task *of = context;
    const fj_int8_layer *layer = of->layer;
    const fj_int8_kernels *kernels = layer->kernels;
    const fj_int8_grid *next = &layer[1].input;
    size_t image = (size_t)task, outputs = of->plane.outputs, apart = fj_int8_plane_apart(layer), line = of->plane.line;
    size_t cells = cell_line(layer), out_h = (size_t)layer->out_h;
    int8_t *const *room = of->engine->scratch[thread].line; /* mantissas of a plane, pooled ones of all, zeros */
    uint8_t *winner = layer->winner + image * outputs * out_h * cells;
    for (size_t o = 0; o < outputs; o++) {
        const int32_t *sums = sums_of(of, image) + o * apart;
        if (of->how->rounding == FJ_STOCHASTIC && of->how->shift > 0) draw(of, image, o, sums, room[0]);
        else kernels->rescale(sums, 1, 0, of->plane.places, 1, of->how, room[0]);
        for (size_t y = 0; y < out_h; y++)
            kernels->plane->pool(room[0] + 2 * y * line, room[0] + (2 * y + 1) * line, (size_t)layer->out_w,
                                 room[1] + (o * out_h + y) * cells, winner + (o * out_h + y) * cells);
    }
    memset(room[2], 0, cells);
    for (size_t o = 0; o < next->pixel; o += 4) {
        for (size_t y = 0; y < out_h; y++) {
            const int8_t *plane[4];
            for (size_t j = 0; j < 4; j++)
                plane[j] = o + j < outputs ? room[1] + ((o + j) * out_h + y) * cells : room[2];
            put_line(kernels, plane, (size_t)layer->out_w, next->pixel - o,
                     fj_int8_pixel_of(next, image, y, 0) + o, next->pixel);
        }
    }
}

void fj_int8_plane_activate(fj_int8_engine *engine, fj_int8_layer *layer, int batch, const fj_int8_rounding *how) {
    Task of = task_of(engine, layer, batch, how);
    fj_pool_run(engine->pool, activate_image, &of, batch);
}

/* Four channels of a line of errors as four planes, zeros behind them. */
static void part_line(const fj_int8_layer *layer, const int8_t *errors, size_t stride, int8_t *const plane[4]) {
    size_t cells = (size_t)layer->out_w;
    for (size_t first = 0; first < cells; first += FJ_INT8_CELLS) {
        uint8_t joined[4 * FJ_INT8_CELLS] = {0};
        int8_t *const to[4] = {plane[0] + first, plane[1] + first, plane[2] + first, plane[3] + first};
        size_t here = cells - first < FJ_INT8_CELLS ? cells - first : FJ_INT8_CELLS;
        for (size_t i = 0; i < here; i++) memcpy(joined + 4 * i, errors + (first + i) * stride, 4);
        layer->kernels->plane->part(joined, to);
    }
}

void fj_int8_plane_spread(const fj_int8_layer *layer, size_t image, size_t y, const int8_t *errors, size_t stride,
                          int8_t *room) {
    size_t outputs = (size_t)layer->outputs, apart = fj_int8_plane_apart(layer), line = layer->input.line;
    size_t cells = cell_line(layer);
    int8_t *const plane[4] = {room, room + cells, room + 2 * cells, room + 3 * cells};
    for (size_t o = 0; o < outputs; o += 4) {
        part_line(layer, errors + o, stride, plane);
        for (size_t j = 0; j < 4 && o + j < outputs; j++) {
            size_t number = image * outputs + o + j;
            int8_t *to = layer->planes + number * apart + 2 * y * line;
            layer->kernels->plane->spread(plane[j], layer->winner + (number * (size_t)layer->out_h + y) * cells, cells,
                                          to, to + line);
        }
    }
}

static void gradient_row(void *context, int task, int thread) {
    const Task *of = context;
    const fj_int8_layer *layer = of->layer;
    size_t row = (size_t)task;
    seen(of, thread, layer->kernels->plane->gradient(&of->plane, layer->input.at + row * layer->input.line,
                                                     layer->input.image, of->images, layer->planes,
                                                     fj_int8_plane_apart(layer),
                                                     of->engine->gradient + row * 4 * layer->steps * layer->columns));
}

uint32_t fj_int8_plane_gradient(fj_int8_engine *engine, const fj_int8_layer *layer, int batch) {
    Task of = task_of(engine, (fj_int8_layer *)layer, batch, NULL);
    fj_pool_run(engine->pool, gradient_row, &of, layer->kernel);
    return fj_int8_largest(engine);
}
