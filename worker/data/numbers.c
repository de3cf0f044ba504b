#include "worker/data/numbers.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"

static const char *classes_key(const qd_sample_spec *spec) {
    return spec->next_token ? "model.vocabulary" : "model.classes";
}

int qd_number_rule_inputs(const qd_job *job, const qd_sample_spec *spec, qd_number_rule *rule) {
    if (spec->input_dtype == QD_I32 && (job->data.mean != 0 || job->data.std != 1))
        return qd_error_set(QD_ECONFIG,
                            "data.mean %g and data.std %g: the model takes tokens, "
                            "which are not normalised; remove them",
                            job->data.mean, job->data.std);
    *rule = (qd_number_rule){.dtype = spec->input_dtype,
                             .mean = job->data.mean,
                             .std = job->data.std,
                             .classes = spec->vocabulary,
                             .key = "model.vocabulary"};
    return 0;
}

qd_number_rule qd_number_rule_targets(const qd_sample_spec *spec) {
    return (qd_number_rule){.dtype = spec->target_dtype,
                            .std = 1,
                            .classes = spec->classes,
                            .key = classes_key(spec),
                            .has_ignored = spec->has_ignored,
                            .ignored = spec->ignored};
}

static double normalised(const qd_number_rule *rule, double number) {
    return (number - rule->mean) / rule->std;
}

bool qd_number_fits(const qd_number_rule *rule, double number,
                    char problem[QD_NUMBER_PROBLEM_BYTES]) {
    if (rule->has_ignored && number == (double)rule->ignored)
        return true;
    if (!isfinite(number))
        snprintf(problem, QD_NUMBER_PROBLEM_BYTES, "%s is not finite",
                 isnan(number) ? "nan"
                 : number > 0  ? "inf"
                               : "-inf");
    else if (rule->dtype == QD_F32 && !(fabs(normalised(rule, number)) <= FLT_MAX))
        snprintf(problem, QD_NUMBER_PROBLEM_BYTES,
                 "%g, normalised, is beyond float32; at most %g is accepted", number,
                 (double)FLT_MAX);
    else if (rule->dtype == QD_I32 && number != floor(number))
        snprintf(problem, QD_NUMBER_PROBLEM_BYTES,
                 "%.17g is no whole number; %s %lld allows 0 to "
                 "%lld",
                 number, rule->key, (long long)rule->classes, (long long)rule->classes - 1);
    else if (rule->dtype == QD_I32 && (number < 0 || number >= (double)rule->classes))
        snprintf(problem, QD_NUMBER_PROBLEM_BYTES, "%.17g; %s %lld allows 0 to %lld", number,
                 rule->key, (long long)rule->classes, (long long)rule->classes - 1);
    else
        return true;
    return false;
}

void qd_number_store(const qd_number_rule *rule, double number, void *slot) {
    if (rule->dtype == QD_F32) {
        float value = (float)normalised(rule, number);
        memcpy(slot, &value, sizeof value);
    } else {
        int32_t value = (int32_t)number;
        memcpy(slot, &value, sizeof value);
    }
}
