/*
 * file.h: files that are either whole or not there. Writers put content aside, force it to disk
 * and rename it into place; a reader never sees half a file.
 */
#ifndef QD_RUNTIME_FILE_H
#define QD_RUNTIME_FILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads a whole file into fresh memory. *bytes is NUL-terminated behind *length and belongs to
 * the caller (free). A file of more than limit bytes is refused. QD_EIO, QD_EDATA, QD_ENOMEM.
 */
int qd_file_read(const char *path, size_t limit, char **bytes, size_t *length);

/* Replaces path by the given content: PATH.tmp, fsync, rename, fsync of the folder. QD_EIO. */
int qd_file_replace(const char *path, const void *bytes, size_t length);

/* Writes all bytes to fd, going on after short writes and EINTR. path is for the message. */
int qd_file_write_all(int fd, const void *bytes, size_t length, const char *path);

/* fsync of a folder, so that a rename inside it lasts. QD_EIO. */
int qd_file_sync_folder(const char *path);

/* mkdir -p with mode 0755. QD_EIO. */
int qd_file_make_folders(const char *path);

/* rm -r, without following links; what is not there is no error. QD_EIO. */
int qd_file_remove_tree(const char *path);

bool qd_file_exists(const char *path);

/* "FOLDER/NAME" into path. QD_EIO when it does not fit into size bytes. */
int qd_path_join(char *path, size_t size, const char *folder, const char *name);

#endif
