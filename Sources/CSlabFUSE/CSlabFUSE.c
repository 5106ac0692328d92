// SPDX-License-Identifier: Apache-2.0
// Each request of the kernel is passed on, and answered. See CSlabFUSE.h; mount.c has the loop.
#ifdef SLAB_FUSE
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Atomic uid_t slab_fuse_user;
_Atomic gid_t slab_fuse_group;

/// For as long the kernel believes what it was told of a name and of attributes: without that, each component of each
/// path is asked for again.
static const double seconds_of_trust = 1.0;

static const struct slab_fuse_calls *calls(fuse_req_t request) { return fuse_req_userdata(request); }

static struct stat stat_of(const struct slab_fuse_attributes *from) {
  struct stat status;
  memset(&status, 0, sizeof status);
  status.st_ino = from->node;
  status.st_mode = from->mode;
  status.st_nlink = from->links;
  status.st_size = (off_t)from->bytes;
  // slabtop reads as much at a time, and no more.
  status.st_blksize = 8192;
  status.st_uid = atomic_load_explicit(&slab_fuse_user, memory_order_relaxed);
  status.st_gid = atomic_load_explicit(&slab_fuse_group, memory_order_relaxed);
  return status;
}

static struct fuse_entry_param entry_of(const struct slab_fuse_attributes *from) {
  struct fuse_entry_param entry;
  memset(&entry, 0, sizeof entry);
  entry.ino = from->node;
  entry.attr = stat_of(from);
  entry.attr_timeout = entry.entry_timeout = seconds_of_trust;
  return entry;
}

static void answer_entry(fuse_req_t request, int error, const struct slab_fuse_attributes *found) {
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  struct fuse_entry_param entry = entry_of(found);
  fuse_reply_entry(request, &entry);
}

static void answer_attributes(fuse_req_t request, fuse_ino_t node) {
  struct slab_fuse_attributes found;
  int error = calls(request)->describe(calls(request)->context, node, &found);
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  struct stat status = stat_of(&found);
  fuse_reply_attr(request, &status, seconds_of_trust);
}

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name) {
  struct slab_fuse_attributes found;
  int error = calls(request)->look_up(calls(request)->context, parent, name, &found);
  answer_entry(request, error, &found);
}

static void get_attributes(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file) {
  (void)file;
  answer_attributes(request, node);
}

// A shell that redirects into a file truncates it first, and touch sets its times: both change nothing here.
static void set_attributes(fuse_req_t request, fuse_ino_t node, struct stat *wanted, int which,
                           struct fuse_file_info *file) {
  (void)wanted;
  (void)file;
  if (which & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
    fuse_reply_err(request, EPERM);
    return;
  }
  answer_attributes(request, node);
}

static void read_link(fuse_req_t request, fuse_ino_t node) {
  char target[4096];
  int error = calls(request)->read_link(calls(request)->context, node, target, sizeof target);
  if (error != 0) fuse_reply_err(request, error);
  else fuse_reply_readlink(request, target);
}

static void make_directory(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
  (void)mode;
  struct slab_fuse_attributes made;
  int error = calls(request)->make(calls(request)->context, parent, name, &made);
  answer_entry(request, error, &made);
}

static void remove_directory(fuse_req_t request, fuse_ino_t parent, const char *name) {
  fuse_reply_err(request, calls(request)->remove(calls(request)->context, parent, name));
}

static void open_file(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file) {
  bool writes = (file->flags & O_ACCMODE) != O_RDONLY;
  int error = calls(request)->open(calls(request)->context, node, writes, &file->fh);
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  file->direct_io = 1;
  // A client that was interrupted does not know of the file.
  if (fuse_reply_open(request, file) == -ENOENT) calls(request)->close(calls(request)->context, file->fh);
}

static void release(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file) {
  (void)node;
  calls(request)->close(calls(request)->context, file->fh);
  fuse_reply_err(request, 0);
}

void slab_fuse_answer(struct slab_fuse_request *request, const uint8_t *bytes, size_t count) {
  fuse_reply_buf((fuse_req_t)request, (const char *)bytes, count);
}

static void read_file(fuse_req_t request, fuse_ino_t node, size_t bytes, off_t offset,
                      struct fuse_file_info *file) {
  (void)node;
  int error = calls(request)->read(calls(request)->context, file->fh, (uint64_t)offset, bytes,
                                   (struct slab_fuse_request *)request);
  if (error != 0) fuse_reply_err(request, error);
}

static void write_file(fuse_req_t request, fuse_ino_t node, const char *bytes, size_t count, off_t offset,
                       struct fuse_file_info *file) {
  (void)node;
  (void)offset;
  int error = calls(request)->write(calls(request)->context, file->fh, (const uint8_t *)bytes, count);
  if (error != 0) fuse_reply_err(request, error);
  else fuse_reply_write(request, count);
}

struct slab_fuse_listing {
  fuse_req_t request;
  char *bytes;
  size_t room;
  size_t used;
  bool with_attributes;
};

bool slab_fuse_add(struct slab_fuse_listing *listing, const char *name,
                   const struct slab_fuse_attributes *attributes, uint64_t place) {
  char *at = listing->bytes + listing->used;
  size_t room = listing->room - listing->used;
  size_t needed;
  if (listing->with_attributes) {
    struct fuse_entry_param entry = entry_of(attributes);
    // The kernel keeps nothing for a file that it is told no attributes of: whoever walks over many directories pays for
    // these only.
    if (S_ISREG(attributes->mode)) entry.ino = 0;
    needed = fuse_add_direntry_plus(listing->request, at, room, name, &entry, (off_t)place);
  } else {
    struct stat status = stat_of(attributes);
    needed = fuse_add_direntry(listing->request, at, room, name, &status, (off_t)place);
  }
  if (needed > room) return false;
  listing->used += needed;
  return true;
}

static void list(fuse_req_t request, fuse_ino_t directory, size_t bytes, off_t place, bool with_attributes) {
  struct slab_fuse_listing listing = {request, malloc(bytes), bytes, 0, with_attributes};
  if (listing.bytes == NULL) {
    fuse_reply_err(request, ENOMEM);
    return;
  }
  int error = calls(request)->list(calls(request)->context, directory, (uint64_t)place, &listing);
  if (error != 0) fuse_reply_err(request, error);
  else fuse_reply_buf(request, listing.bytes, listing.used);
  free(listing.bytes);
}

static void read_directory(fuse_req_t request, fuse_ino_t directory, size_t bytes, off_t place,
                           struct fuse_file_info *file) {
  (void)file;
  list(request, directory, bytes, place, false);
}

static void read_directory_plus(fuse_req_t request, fuse_ino_t directory, size_t bytes, off_t place,
                                struct fuse_file_info *file) {
  (void)file;
  list(request, directory, bytes, place, true);
}

static void poll_file(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file,
                      struct fuse_pollhandle *waiter) {
  (void)node;
  fuse_reply_poll(request, calls(request)->poll(calls(request)->context, file->fh, (struct slab_fuse_waiter *)waiter));
}

void slab_fuse_wake(struct slab_fuse_waiter *waiter) {
  fuse_lowlevel_notify_poll((struct fuse_pollhandle *)waiter);
  slab_fuse_drop(waiter);
}

void slab_fuse_drop(struct slab_fuse_waiter *waiter) { fuse_pollhandle_destroy((struct fuse_pollhandle *)waiter); }

// What sysfs and cgroupfs refuse, with their error numbers.

static void refuse_node(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
  (void)parent, (void)name, (void)mode, (void)device;
  fuse_reply_err(request, EACCES);
}

static void refuse_file(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                        struct fuse_file_info *file) {
  (void)parent, (void)name, (void)mode, (void)file;
  fuse_reply_err(request, EACCES);
}

static void refuse_unlink(fuse_req_t request, fuse_ino_t parent, const char *name) {
  (void)parent, (void)name;
  fuse_reply_err(request, EPERM);
}

static void refuse_rename(fuse_req_t request, fuse_ino_t parent, const char *name, fuse_ino_t other_parent,
                          const char *other_name, unsigned flags) {
  (void)parent, (void)name, (void)other_parent, (void)other_name, (void)flags;
  fuse_reply_err(request, EPERM);
}

static void refuse_symlink(fuse_req_t request, const char *target, fuse_ino_t parent, const char *name) {
  (void)target, (void)parent, (void)name;
  fuse_reply_err(request, EPERM);
}

static void refuse_link(fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char *name) {
  (void)node, (void)parent, (void)name;
  fuse_reply_err(request, EPERM);
}

// Nothing is kept for a node that the kernel knows of, so nothing is to be forgotten.
const struct fuse_lowlevel_ops slab_fuse_operations = {
    .lookup = look_up,
    .getattr = get_attributes,
    .setattr = set_attributes,
    .readlink = read_link,
    .mkdir = make_directory,
    .rmdir = remove_directory,
    .open = open_file,
    .release = release,
    .read = read_file,
    .write = write_file,
    .readdir = read_directory,
    .readdirplus = read_directory_plus,
    .poll = poll_file,
    .mknod = refuse_node,
    .create = refuse_file,
    .unlink = refuse_unlink,
    .rename = refuse_rename,
    .symlink = refuse_symlink,
    .link = refuse_link,
};
#endif
