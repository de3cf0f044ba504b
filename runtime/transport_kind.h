/*
 * transport_kind.h: which way the members of a gang exchange data, and the words for it in the
 * cluster file, in messages and in errors. The transports themselves are collectives/'s.
 */
#ifndef QD_RUNTIME_TRANSPORT_KIND_H
#define QD_RUNTIME_TRANSPORT_KIND_H

/* AUTO: members of one host share memory where they can, and all else goes through MPI. */
typedef enum {
    QD_TRANSPORT_AUTO,
    QD_TRANSPORT_SHM,
    QD_TRANSPORT_MPI,
    QD_TRANSPORT_KINDS
} qd_transport_kind;

/* "auto", "shm", ..., by kind; NULL behind the last. */
extern const char *const qd_transport_names[QD_TRANSPORT_KINDS + 1];

/* QD_EPROTO for a word that is none of them, with those accepted. */
int qd_transport_by_name(const char *name, qd_transport_kind *kind);

#endif
