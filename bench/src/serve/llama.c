/* Decoding and prefill with llama.cpp, as `kernels.rs` does them: `llama MODEL THREADS` takes lines `decode ROWS STEPS CONTEXT` and `prefill TOKENS` and
 * answers each with the seconds of the wall clock and of the CPU. `llama quantise FROM TO q8_0|bf16` writes another format of a model. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "llama.h"

#define MOST_TOKENS 512
#define MOST_ROWS 32

static void quiet(enum ggml_log_level level, const char *text, void *data) {
    (void)data;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static double wall(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void add(struct llama_batch *batch, llama_token token, int position, int sequence, int logits) {
    int i = batch->n_tokens++;
    batch->token[i] = token;
    batch->pos[i] = position;
    batch->n_seq_id[i] = 1;
    batch->seq_id[i][0] = sequence;
    batch->logits[i] = logits;
}

static void decode(struct llama_context *context, struct llama_batch *batch) {
    if (llama_decode(context, *batch) != 0) fail("llama_decode failed");
    llama_synchronize(context);
    batch->n_tokens = 0;
}

static llama_token prompt(int i) { return i * 37 % 40000; }

int main(int count, char **arguments) {
    llama_log_set(quiet, NULL);
    llama_backend_init();
    if (count == 5 && !strcmp(arguments[1], "quantise")) {
        struct llama_model_quantize_params params = llama_model_quantize_default_params();
        params.ftype = strcmp(arguments[4], "bf16") ? LLAMA_FTYPE_MOSTLY_Q8_0 : LLAMA_FTYPE_MOSTLY_BF16;
        params.allow_requantize = true;
        return (int)llama_model_quantize(arguments[2], arguments[3], &params);
    }
    if (count != 3) fail("usage: llama MODEL THREADS");
    struct llama_model *model = llama_model_load_from_file(arguments[1], llama_model_default_params());
    if (!model) fail("the model could not be loaded");
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = MOST_ROWS * 768;
    params.n_batch = params.n_ubatch = MOST_TOKENS;
    params.n_seq_max = MOST_ROWS;
    params.n_threads = params.n_threads_batch = atoi(arguments[2]);
    params.kv_unified = false;
    struct llama_context *context = llama_init_from_model(model, params);
    if (!context) fail("the context could not be made");
    struct llama_batch batch = llama_batch_init(MOST_TOKENS, 0, 1);

    char what[16];
    int rows, steps, known;
    while (scanf("%15s", what) == 1) {
        llama_memory_clear(llama_get_memory(context), true);
        double begin, before;
        if (!strcmp(what, "prefill") && scanf("%d", &steps) == 1 && steps <= MOST_TOKENS) {
            for (int i = 0; i < steps; i++) add(&batch, prompt(i), i, 0, i == steps - 1);
            begin = wall(), before = cpu();
            decode(context, &batch);
        } else if (!strcmp(what, "decode") && scanf("%d %d %d", &rows, &steps, &known) == 3 && rows <= MOST_ROWS && known <= MOST_TOKENS) {
            for (int row = 0; row < rows; row++) {
                for (int i = 0; i < known; i++) add(&batch, prompt(i), i, row, 0);
                batch.logits[batch.n_tokens - 1] = 1;
                decode(context, &batch);
            }
            begin = wall(), before = cpu();
            for (int step = 0; step < steps; step++) {
                for (int row = 0; row < rows; row++) add(&batch, prompt(row), known + step, row, 1);
                decode(context, &batch);
            }
        } else {
            fail("no such measurement");
        }
        printf("%.9f %.9f\n", wall() - begin, cpu() - before);
        fflush(stdout);
    }
    return 0;
}
