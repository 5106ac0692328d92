// SPDX-License-Identifier: Apache-2.0
// A file system by libfuse's low-level interface, as far as files without a place on a disk need it: names, attributes,
// texts, and a loop that ends when it is told to. libfuse's own types stay on this side: what answers sees numbers,
// bytes and error numbers. Without the package's trait FUSE nothing of it is there.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// What a file system says of a file.
struct slab_fuse_attributes {
  /// Its number, never 0; 1 is the root directory's.
  uint64_t node;
  uint32_t mode;
  uint32_t links;
  uint64_t bytes;
};

/// A request for a part of a file, and one for a part of a directory.
struct slab_fuse_request;
struct slab_fuse_listing;
/// A client that waits for an open file to change.
struct slab_fuse_waiter;
/// A file system that is mounted.
struct slab_fuse_mount;

/// What a file system does. Each function returns 0 or an error number. They are called by all workers at once.
struct slab_fuse_calls {
  void *context;
  int (*look_up)(void *context, uint64_t directory, const char *name, struct slab_fuse_attributes *found);
  int (*describe)(void *context, uint64_t node, struct slab_fuse_attributes *found);
  int (*read_link)(void *context, uint64_t node, char *target, size_t bytes);
  int (*make)(void *context, uint64_t directory, const char *name, struct slab_fuse_attributes *made);
  int (*remove)(void *context, uint64_t directory, const char *name);
  int (*open)(void *context, uint64_t node, bool writes, uint64_t *handle);
  void (*close)(void *context, uint64_t handle);
  /// Answers with `slab_fuse_answer`, or returns an error.
  int (*read)(void *context, uint64_t handle, uint64_t offset, size_t bytes, struct slab_fuse_request *request);
  int (*write)(void *context, uint64_t handle, const uint8_t *bytes, size_t count);
  /// Adds entries behind a place until `slab_fuse_add` says that there is no room.
  int (*list)(void *context, uint64_t directory, uint64_t place, struct slab_fuse_listing *listing);
  /// The events of poll(2) that there are. A waiter, if there is one, is the callee's: it wakes it, once or never, and
  /// drops it.
  unsigned (*poll)(void *context, uint64_t handle, struct slab_fuse_waiter *waiter);
};

/// The bytes that were asked for, as many as there are.
void slab_fuse_answer(struct slab_fuse_request *request, const uint8_t *bytes, size_t count);

/// Adds an entry; false if there is no room for it. The place is where a listing goes on behind it.
bool slab_fuse_add(struct slab_fuse_listing *listing, const char *name,
                   const struct slab_fuse_attributes *attributes, uint64_t place);

/// Tells a waiter, and drops it.
void slab_fuse_wake(struct slab_fuse_waiter *waiter);
void slab_fuse_drop(struct slab_fuse_waiter *waiter);

/// Mounts a file system, and starts its workers. `calls` and its context stay until `slab_fuse_unmount`. The options
/// are those of mount(8). NULL if it is refused: then `message` says why, as libfuse does.
struct slab_fuse_mount *slab_fuse_mount(const struct slab_fuse_calls *calls, const char *path, const char *options,
                                        int workers, char *message, size_t message_bytes);

/// A descriptor that is readable from the moment on when the file system is unmounted, or is about to be.
int slab_fuse_ended(struct slab_fuse_mount *mount);

/// Lets the workers finish what they are at, and ends the file system. Waits for no client: files that are open answer
/// ENOTCONN. Once, and by no worker.
void slab_fuse_unmount(struct slab_fuse_mount *mount);
