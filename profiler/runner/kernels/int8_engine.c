/* The INT8 engine: its memory, and the order of a step. */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "int8_engine.h"
#include "memory.h"
#include "rounding.h"

#define LOSS_SHIFT 4

const fj_int8_kernels *fj_int8_kernels_of(fj_path path) {
    static const fj_int8_kernels *const kernels[FJ_PATHS] = {
        [FJ_SCALAR] = &fj_int8_scalar,
#if defined(FJ_X86)
        [FJ_AVX2] = &fj_int8_avx2, [FJ_AVX512] = &fj_int8_avx512, [FJ_VNNI] = &fj_int8_vnni,
#elif defined(__aarch64__)
        [FJ_NEON] = &fj_int8_neon, [FJ_DOTPROD] = &fj_int8_dotprod, [FJ_I8MM] = &fj_int8_i8mm,
#elif defined(__ARM_NEON)
        [FJ_NEON] = &fj_int8_neon,
#endif
    };
    return kernels[path] && fj_path_works(path) ? kernels[path] : &fj_int8_scalar;
}

/* Zeroed memory for whole vectors, with slack; NULL if there is none. */
static void *take(fj_int8_engine *engine, size_t bytes) {
    void *block = fj_zeroed(bytes + FJ_SLACK);
    if (!block) return NULL;
    engine->block[engine->blocks++] = block;
    return block;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static int take_grid(fj_int8_engine *engine, fj_int8_grid *grid, int batch) {
    size_t bytes = (size_t)batch * grid->image;
    grid->at = take(engine, bytes);
    if (!grid->at) return -1;
    memset(grid->at, engine->kernels->bias, bytes + FJ_SLACK);
    return 0;
}

/* Narrow tiles, if they hold all outputs. */
static const fj_int8_kernels *kernels_for(const fj_int8_engine *engine, const fj_layer *of) {
    const fj_int8_kernels *narrow = engine->kernels->narrow;
    return narrow && of->out_c <= narrow->columns ? narrow : engine->kernels;
}

static fj_int8_layer layer_of(const fj_int8_engine *engine, const fj_layer *of, int first) {
    const fj_int8_kernels *kernels = kernels_for(engine, of);
    size_t tile = (size_t)kernels->columns, steps = (size_t)kernels->steps;
    int is_fc = of->kind == FJ_FC, channels = first ? of->in_c : (int)fj_round_up((size_t)of->in_c, 4);
    fj_int8_layer made = {.kernel = of->kernel, .outputs = of->out_c, .in_h = is_fc ? 1 : of->in_h,
                          .in_w = is_fc ? 1 : of->in_w, .inputs = is_fc ? of->in_h * of->in_w * of->in_c : channels,
                          .true_inputs = is_fc ? of->in_h * of->in_w * of->in_c : of->in_c, .h = fj_conv_h(of),
                          .w = fj_conv_w(of), .out_h = of->out_h, .out_w = of->out_w, .relu = of->relu,
                          .pool = of->pool, .is_fc = is_fc, .kernels = kernels, .shifts = {0, -1, 0}};
    size_t kernel = (size_t)of->kernel;
    fj_int8_grid *input = &made.input, *error = &made.error;
    input->border = of->pad;
    input->pixel = (size_t)(is_fc ? of->in_c : channels);
    input->line = input->pixel * (size_t)(of->in_w + 2 * of->pad);
    input->image = input->line * (size_t)(of->in_h + 2 * of->pad);
    error->border = is_fc || first ? 0 : of->kernel - 1 - of->pad;
    error->pixel = fj_round_up((size_t)of->out_c, 4);
    error->line = error->pixel * (size_t)(made.w + 2 * error->border);
    error->image = error->line * (size_t)(made.h + 2 * error->border);
    made.steps = fj_round_up((kernel * (size_t)made.inputs + 3) / 4, steps);
    made.back_steps = fj_round_up(kernel * error->pixel / 4, steps);
    made.rows = kernel * made.steps * 4;
    made.columns = fj_round_up((size_t)of->out_c, tile);
    made.in_columns = fj_round_up((size_t)made.inputs, tile);
    return made;
}

/* Their weights are one tile. */
static int has_planes(const fj_int8_layer *layer, const fj_layer *of, int first) {
    return first && layer->kernels->plane && of->kind == FJ_CONV && of->in_c == 1 && of->pool &&
           of->out_c <= layer->kernels->columns;
}

static int take_layer(fj_int8_engine *engine, fj_int8_layer *made, const fj_layer *of, int batch) {
    size_t pixels = (size_t)batch * (size_t)of->out_h * (size_t)of->out_w;
    int first = made == engine->layer;
    *made = layer_of(engine, of, first);
    int planes = made->has_planes = has_planes(made, of, first);
    made->has_lines = !first && fj_int8_lines_pay(made);
    if (made->has_lines) {
        made->reach = take(engine, fj_int8_lines_line(made) / FJ_INT8_LANES * sizeof *made->reach);
        if (!made->reach) return -1;
        fj_int8_lines_reach(made, made->reach);
    }
    if (take_grid(engine, &made->input, batch)) return -1;
    if (planes ? fj_int8_plane_make(made, batch) : take_grid(engine, &made->error, batch)) return -1;
    made->weights = take(engine, made->rows * made->columns);
    made->start = take(engine, (size_t)(made->kernel + 1) * made->columns * sizeof *made->start);
    made->place = take(engine, made->rows * sizeof *made->place);
    if (made->pool && !planes) made->winner = take(engine, pixels * made->columns);
    if (!made->weights || !made->start || !made->place || (made->pool && !made->winner)) return -1;
    for (size_t place = 0; place < fj_int8_fan_in(made); place++)
        made->place[fj_int8_row_of(made, place)] = (uint32_t)place;
    return 0;
}

static int take_shared(fj_int8_engine *engine, const fj_model *model, int batch) {
    size_t tile = (size_t)engine->kernels->columns, rows = FJ_INT8_ROWS;
    size_t sums = 0, gradient = 0, turned = 0, columns = 0, starts = 0, line = 0;
    for (int i = 0; i < engine->layers; i++) {
        const fj_int8_layer *layer = &engine->layer[i];
        size_t in_pixels = (size_t)layer->in_h * (size_t)layer->in_w, pixels = (size_t)layer->h * (size_t)layer->w;
        if (layer->has_planes) sums = larger(sums, (size_t)(batch * layer->outputs) * fj_int8_plane_apart(layer));
        else sums = larger(sums, (size_t)batch * pixels * layer->columns);
        if (layer->has_planes) line = larger(line, fj_int8_plane_room(layer));
        gradient = larger(gradient, layer->rows * layer->columns);
        columns = larger(columns, layer->columns);
        line = larger(line, (size_t)layer->w * layer->columns);
        line = larger(line, (size_t)layer->in_w * layer->in_columns);
        if (i == 0) continue;
        sums = larger(sums, (size_t)batch * (layer->has_lines ? (size_t)layer->in_h * fj_int8_lines_line(layer)
                                                              : in_pixels * layer->in_columns));
        if (layer->has_lines) turned = larger(turned, fj_int8_lines_bytes(layer));
        starts = larger(starts, (size_t)(layer->kernel + 1) * layer->in_columns);
        turned = larger(turned, layer->in_columns * (size_t)layer->kernel * layer->back_steps * 4);
    }
    int threads = fj_pool_threads(engine->pool), missing = 0;
    missing |= !(engine->scratch = take(engine, (size_t)threads * sizeof *engine->scratch));
    missing |= !(engine->logits = take(engine, (size_t)batch * (size_t)model->classes));
    missing |= !(engine->of_loss.weights = take(engine, (size_t)model->classes * sizeof(double)));
    missing |= !(engine->of_loss.shares = take(engine, (size_t)model->classes * sizeof(int32_t)));
    missing |= !(engine->sums = take(engine, sums * sizeof *engine->sums));
    missing |= !(engine->gradient = take(engine, gradient * sizeof *engine->gradient));
    missing |= !(engine->turned = take(engine, turned));
    missing |= !(engine->turned_start = take(engine, starts * sizeof *engine->turned_start));
    missing |= !(engine->groups = take(engine, columns * FJ_INT8_GROUPS * 4));
    missing |= !(engine->groups_start = take(engine, columns * sizeof *engine->groups_start));
    missing |= !(engine->blank = take(engine, tile));
    if (missing) return -1;
    memset(engine->blank, engine->kernels->bias, tile);
    size_t operand = FJ_INT8_GROUPS * rows * 4, sums_of_tile = rows * tile * sizeof(int32_t);
    uint8_t *bytes = take(engine, (size_t)threads * fj_round_up(operand + sums_of_tile + 3 * line + 5 * FJ_SLACK, 64));
    if (!bytes) return -1;
    for (int i = 0; i < threads; i++) {
        fj_int8_scratch *scratch = &engine->scratch[i];
        scratch->tile = (int32_t *)(void *)bytes, bytes += sums_of_tile;
        scratch->operand = bytes, bytes += operand + FJ_SLACK;
        for (int j = 0; j < 3; j++, bytes += line + FJ_SLACK) scratch->line[j] = (int8_t *)bytes;
        bytes = (uint8_t *)engine->block[engine->blocks - 1] +
                (size_t)(i + 1) * fj_round_up(operand + sums_of_tile + 3 * line + 5 * FJ_SLACK, 64);
    }
    return 0;
}

fj_int8_engine *fj_int8_new(const fj_model *model, int batch, fj_path path, fj_pool *pool) {
    fj_int8_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return NULL;
    engine->kernels = fj_int8_kernels_of(path);
    engine->pool = pool, engine->layers = model->layers;
    for (int i = 0; i < model->layers; i++) {
        if (take_layer(engine, &engine->layer[i], &model->layer[i], batch) == 0) continue;
        fj_int8_free(engine);
        return NULL;
    }
    if (take_shared(engine, model, batch) == 0) return engine;
    fj_int8_free(engine);
    return NULL;
}

void fj_int8_free(fj_int8_engine *engine) {
    if (!engine) return;
    for (int i = 0; i < engine->blocks; i++) free(engine->block[i]);
    if (engine->layer->has_planes) fj_int8_plane_free(engine->layer);
    free(engine);
}

static fj_int8_rounding rounding(fj_rounding how, int shift, const fj_step *step, int layer, fj_purpose purpose) {
    return (fj_int8_rounding){how, shift, fj_random_key(step->seed, step->step, layer, purpose), 0};
}

const int8_t *fj_int8_forward(
    fj_int8_engine *engine, const int8_t *input, int exponent, int batch, const fj_step *step, int *logits_exponent) {
    fj_int8_take_input(engine, input, batch);
    for (int i = 0; i < engine->layers; i++) {
        fj_int8_layer *layer = &engine->layer[i];
        int shift = fj_requant_shift(fj_int8_sum_forward(engine, layer, batch));
        fj_int8_rounding how = rounding(step->activation, shift, step, i, FJ_OF_ACTIVATION);
        fj_int8_activate(engine, i, batch, &how);
        layer->shifts.activation = shift;
        exponent += layer->exponent + shift;
    }
    *logits_exponent = exponent;
    return engine->logits;
}

int fj_int8_train(fj_int8_engine *engine, const int8_t *input, int exponent, const int32_t *labels, int batch,
                  const fj_step *step, float *loss) {
    int last = engine->layers - 1, classes = engine->layer[last].outputs, of_logits;
    const int8_t *logits = fj_int8_forward(engine, input, exponent, batch, step, &of_logits);
    int right = fj_int8_judge_logits(engine->kernels, logits, of_logits, labels, batch, classes, loss);
    fj_int8_rounding of_loss = rounding(step->loss, LOSS_SHIFT, step, last, FJ_OF_LOSS);
    int8_t *errors = (int8_t *)engine->sums; /* free until the way back begins */
    fj_int8_loss_error(engine->kernels, &engine->of_loss, logits, of_logits, labels, batch, classes, &of_loss, errors);
    fj_int8_take_error(engine, errors, batch);
    engine->trained = batch;
    for (int i = last; i >= 0; i--) {
        fj_int8_layer *layer = &engine->layer[i];
        if (i > 0) {
            layer->shifts.error = fj_requant_shift(fj_int8_sum_back(engine, layer, batch));
            fj_int8_rounding how = rounding(step->error, layer->shifts.error, step, i, FJ_OF_ERROR);
            fj_int8_pass_back(engine, i, batch, &how);
        }
        int mu = layer->is_fc ? step->mu_fc : step->mu_conv;
        fj_int8_rounding how = rounding(step->update, 0, step, i, FJ_OF_UPDATE);
        layer->shifts.update = fj_int8_learn(engine, layer, batch, mu, how);
    }
    return right;
}

int fj_int8_judge(fj_int8_engine *engine, const int8_t *input, int exponent, const int32_t *labels, int batch,
                  const fj_step *step, float *loss) {
    int of_logits, classes = engine->layer[engine->layers - 1].outputs;
    const int8_t *logits = fj_int8_forward(engine, input, exponent, batch, step, &of_logits);
    return fj_int8_judge_logits(engine->kernels, logits, of_logits, labels, batch, classes, loss);
}

/* Inputs and errors of the step are still there: the sums are made again. */
void fj_int8_gradient(const fj_int8_engine *engine, int layer, int32_t *gradient) {
    const fj_int8_layer *of = &engine->layer[layer];
    if (engine->trained) fj_int8_sum_gradient((fj_int8_engine *)engine, of, engine->trained);
    for (size_t output = 0; output < (size_t)of->outputs; output++)
        for (size_t place = 0; place < fj_int8_fan_in(of); place++)
            *gradient++ = engine->trained ? engine->gradient[fj_int8_row_of(of, place) * of->columns + output] : 0;
}

fj_shifts fj_int8_shifts(const fj_int8_engine *engine, int layer) {
    return engine->layer[layer].shifts;
}

void fj_int8_loss_gradient(const fj_int8_engine *engine, int batch, int8_t *gradient) {
    const fj_int8_layer *last = &engine->layer[engine->layers - 1];
    for (int n = 0; n < batch; n++)
        for (int i = 0; i < last->outputs; i++)
            *gradient++ = (int8_t)(last->error.at[(size_t)n * last->error.image + (size_t)i] ^ engine->kernels->bias);
}

int fj_int8_quantize(const float *x, size_t count, int8_t *mantissas, fj_path path) {
    return fj_int8_kernels_of(path)->quantize(x, count, mantissas);
}
