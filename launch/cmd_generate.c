#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "launch/command.h"
#include "runtime/error.h"
#include "worker/generator.h"

enum { KEY_TOKENS = 'n', KEY_PROMPT = 'p', KEY_TEMPERATURE = 't', KEY_TOP_K = 'k', KEY_SEED = 's' };

typedef struct generate_options {
    const char *run_folder;
    const char *prompt;
    int64_t tokens;
    qd_sampling sampling;
} generate_options;

static double number(const char *option, const char *text, double min, double max,
                     struct argp_state *state) {
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= min && value <= max))
        argp_error(state, "--%s=%s: use a number from %g to %g", option, text, min, max);
    return value;
}

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    generate_options *o = state->input;
    switch (key) {
    case KEY_TOKENS:
        o->tokens = (int64_t)number("tokens", argument, 1, 1e9, state);
        return 0;
    case KEY_PROMPT:
        if (*argument == '\0')
            argp_error(state, "--prompt: give at least one byte to go on from");
        o->prompt = argument;
        return 0;
    case KEY_TEMPERATURE:
        o->sampling.temperature = number("temperature", argument, 0, 100, state);
        return 0;
    case KEY_TOP_K:
        o->sampling.top_k = (int64_t)number("top-k", argument, 0, 1e9, state);
        return 0;
    case KEY_SEED:
        o->sampling.seed = (uint64_t)number("seed", argument, 0, 9007199254740992.0, state);
        return 0;
    case ARGP_KEY_ARG:
        if (o->run_folder)
            argp_error(state, "one run folder at a time");
        o->run_folder = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name a run folder, such as runs/shakespeare-gpt");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Prints the prompt and what follows it, token by token. */
static int generate(qd_generator *g, const generate_options *o) {
    int rc = 0;
    for (const char *c = o->prompt; *c && !rc; c++) {
        rc = qd_generator_append(g, (unsigned char)*c);
        if (!rc)
            putchar(*c);
    }
    for (int64_t i = 0; i < o->tokens && !rc; i++) {
        int32_t token;
        rc = qd_generator_next(g, &o->sampling, &token);
        if (!rc)
            putchar(token);
        fflush(stdout);
    }
    putchar('\n');
    if (!rc && fflush(stdout))
        rc = qd_error_set(QD_EIO, "cannot write the text");
    return rc;
}

static int check_bytes(const qd_generator *g) {
    if (qd_generator_job(g)->data.format == QD_DATA_TEXT)
        return 0;
    return qd_error_set(QD_ECONFIG, "the tokens of this run are no bytes of a text (data.format "
                                    "text), so they can't be printed as one");
}

int qd_command_generate(int argc, char **argv) {
    static const struct argp_option option_table[] = {
        {"prompt", KEY_PROMPT, "TEXT", 0, "what to go on from (default: a new line)", 0},
        {"tokens", KEY_TOKENS, "N", 0, "how many tokens to add (default: 500)", 0},
        {"temperature", KEY_TEMPERATURE, "T", 0,
         "below 1 likelier, above 1 rarer tokens; 0 always the likeliest (default: 0.8)", 0},
        {"top-k", KEY_TOP_K, "K", 0, "draw from the K likeliest tokens only (default: all)", 0},
        {"seed", KEY_SEED, "S", 0, "another seed, another text (default: 1)", 0},
        {0},
    };
    static const struct argp parser = {
        .options = option_table,
        .parser = parse_option,
        .args_doc = "RUN",
        .doc = "Goes on from a prompt with the newest checkpoint of a run whose model predicts the "
               "next byte of a text. RUN is a run folder.",
    };
    generate_options o = {
        .prompt = "\n", .tokens = 500, .sampling = {.temperature = 0.8, .seed = 1}};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    qd_generator *g = NULL;
    int rc = qd_generator_open(o.run_folder, 1, &g);
    if (!rc)
        rc = check_bytes(g);
    if (!rc)
        rc = generate(g, &o);
    qd_generator_close(g);
    return rc ? qd_command_fail(rc) : EX_OK;
}
