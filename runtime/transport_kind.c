#include "runtime/transport_kind.h"

#include <string.h>

#include "runtime/error.h"
#include "runtime/text.h"

const char *const qd_transport_names[QD_TRANSPORT_KINDS + 1] = {
    [QD_TRANSPORT_AUTO] = "auto",
    [QD_TRANSPORT_SHM] = "shm",
    [QD_TRANSPORT_MPI] = "mpi",
};

int qd_transport_by_name(const char *name, qd_transport_kind *kind) {
    for (int i = 0; i < QD_TRANSPORT_KINDS; i++) {
        if (strcmp(name, qd_transport_names[i]) != 0)
            continue;
        *kind = (qd_transport_kind)i;
        return 0;
    }
    qd_text names = {0};
    for (int i = 0; i < QD_TRANSPORT_KINDS; i++)
        qd_text_add(&names, "%s%s", i > 0 ? ", " : "", qd_transport_names[i]);
    qd_error_set(QD_EPROTO, "transport \"%s\" is not known; accepted: %s", name,
                 names.failed ? qd_transport_names[0] : names.bytes);
    qd_text_fini(&names);
    return QD_EPROTO;
}
