// SPDX-License-Identifier: Apache-2.0
// Mounting, workers and unmounting. libfuse's own loop cannot be ended while a client has a file open: its threads
// stay in read(2), since the kernel keeps the connection. These threads sleep in poll(2), on a second descriptor too.
#ifdef SLAB_FUSE
#define _GNU_SOURCE
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { most_workers = 64 };

struct slab_fuse_mount {
  struct fuse_session *session;
  /// Readable from the end on.
  int ended;
  int workers;
  pthread_t threads[most_workers];
};

static void tell_end(struct slab_fuse_mount *mount) {
  uint64_t one = 1;
  // It can only fail where it is readable already.
  if (write(mount->ended, &one, sizeof one) < 0) return;
}

static void *work(void *argument) {
  struct slab_fuse_mount *mount = argument;
  struct fuse_buf request = {0};
  struct pollfd watched[2] = {{fuse_session_fd(mount->session), POLLIN, 0}, {mount->ended, POLLIN, 0}};
  while (!fuse_session_exited(mount->session)) {
    if (poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (watched[1].revents != 0) break;
    int bytes = fuse_session_receive_buf(mount->session, &request);
    // Another worker was faster.
    if (bytes == -EINTR || bytes == -EAGAIN) continue;
    // It was unmounted.
    if (bytes <= 0) break;
    fuse_session_process_buf(mount->session, &request);
  }
  free(request.mem);
  tell_end(mount);
  return NULL;
}

/// Without signals: the program's handlers run in its own threads.
static int start(struct slab_fuse_mount *mount, int workers) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  while (error == 0 && mount->workers < workers) {
    error = pthread_create(&mount->threads[mount->workers], NULL, work, mount);
    if (error == 0) mount->workers++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

// libfuse says why it refuses on standard error only.
static _Thread_local char *said;
static _Thread_local size_t said_bytes;

__attribute__((format(printf, 2, 0))) static void keep(enum fuse_log_level level, const char *format,
                                                        va_list arguments) {
  (void)level;
  if (said == NULL) return;
  vsnprintf(said, said_bytes, format, arguments);
  said[strcspn(said, "\n")] = 0;
}

static struct fuse_session *mounted_session(const struct slab_fuse_calls *calls, const char *path,
                                            const char *options) {
  char *arguments[] = {"slab", "-o", (char *)options, NULL};
  struct fuse_args all = FUSE_ARGS_INIT(3, arguments);
  struct fuse_session *session =
      fuse_session_new(&all, &slab_fuse_operations, sizeof slab_fuse_operations, (void *)calls);
  fuse_opt_free_args(&all);
  if (session == NULL) return NULL;
  if (fuse_session_mount(session, path) != 0) {
    fuse_session_destroy(session);
    return NULL;
  }
  int descriptor = fuse_session_fd(session);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return session;
}

struct slab_fuse_mount *slab_fuse_mount(const struct slab_fuse_calls *calls, const char *path, const char *options,
                                        int workers, char *message, size_t message_bytes) {
  struct slab_fuse_mount *mount = calloc(1, sizeof *mount);
  int ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (mount == NULL || ended < 0 || workers > most_workers) {
    snprintf(message, message_bytes, "%s", strerror(errno));
    if (ended >= 0) close(ended);
    free(mount);
    return NULL;
  }
  mount->ended = ended;
  atomic_store_explicit(&slab_fuse_user, geteuid(), memory_order_relaxed);
  atomic_store_explicit(&slab_fuse_group, getegid(), memory_order_relaxed);
  said = message;
  said_bytes = message_bytes;
  fuse_set_log_func(keep);
  mount->session = mounted_session(calls, path, options);
  fuse_set_log_func(NULL);
  said = NULL;
  if (mount->session == NULL) {
    close(ended);
    free(mount);
    return NULL;
  }
  int error = start(mount, workers);
  if (error != 0) {
    snprintf(message, message_bytes, "no thread: %s", strerror(error));
    slab_fuse_unmount(mount);
    return NULL;
  }
  return mount;
}

int slab_fuse_ended(struct slab_fuse_mount *mount) { return mount->ended; }

void slab_fuse_unmount(struct slab_fuse_mount *mount) {
  tell_end(mount);
  for (int index = 0; index < mount->workers; index++) pthread_join(mount->threads[index], NULL);
  fuse_session_unmount(mount->session);
  fuse_session_destroy(mount->session);
  close(mount->ended);
  free(mount);
}
#endif
