// SPDX-License-Identifier: Apache-2.0
// libslab: slab caches and memory groups for C. Every tenant of a process has a group; what it allocates is
// charged to the group, limited, visible, and given back as a whole.
//
// All of it works on the one allocator of the process, which the first call makes. Every function may be called
// from any thread, and none from a signal handler. A null pointer where a group is asked for stands for the current
// group. Sizes are in bytes. No group is charged for groups and caches themselves.
//
// What cannot be had is told by a `slab_error`, and nothing has changed then. A broken contract (a block that is
// freed twice, a pointer that is not the allocator's, a group that is dropped too often) writes one line to standard
// error that begins with "slab: ", and aborts.

#ifndef SLAB_H
#define SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_VERSION "0.1.0"

#ifdef __cplusplus
#define SLAB_THREAD_LOCAL __thread
extern "C" {
#else
#define SLAB_THREAD_LOCAL _Thread_local
#endif

// With SLAB_WEAK defined a program links without the library, and has its functions if a library is loaded that brings
// them (LD_PRELOAD): else slab_group_enter and all others are NULL.
#ifdef SLAB_WEAK
#define SLAB_API __attribute__((weak))
#else
#define SLAB_API
#endif

#define SLAB_CHECKED __attribute__((warn_unused_result))

typedef struct slab_group slab_group;
typedef struct slab_cache slab_cache;
typedef struct slab_report slab_report;

// MARK: slab_error - errors, and the allocator of the process

// The numbers stay as they are; a later version may have more of them.
typedef enum slab_error {
  SLAB_OK = 0,
  // The system refused memory, or the allocator's addresses are used up.
  SLAB_OUT_OF_MEMORY = 1,
  // An allocation would have exceeded the max of its group or of one above, also after a reclaim.
  SLAB_LIMIT_REACHED = 2,
  // The group was closed: it allocates no more.
  SLAB_GROUP_OFFLINE = 3,
  // The root group has no limit and does not end.
  SLAB_ROOT_GROUP = 4,
  // The group would be more than 64 levels deep.
  SLAB_GROUP_TOO_DEEP = 5,
  // The parent has a child of this name that is online.
  SLAB_GROUP_NAME_IN_USE = 6,
  SLAB_TOO_MANY_GROUPS = 7,
  // No group has this path.
  SLAB_NO_SUCH_GROUP = 8,
  // Objects of the cache are live.
  SLAB_CACHE_BUSY = 9,
  // Another thread destroys the cache.
  SLAB_CACHE_DESTROYED = 10,
  SLAB_CACHE_NAME_IN_USE = 11,
  SLAB_TOO_MANY_CACHES = 12,
  // A cache's: not 1 to 63 bytes of UTF-8 without blanks and control characters, or one that begins with "core:".
  // A group's: not 1 to 255 bytes of UTF-8 without these and slashes, or "." or "..".
  SLAB_INVALID_NAME = 13,
  // An object of more than 32 KiB or of none, a block larger than the largest.
  SLAB_INVALID_SIZE = 14,
  // Not a power of two up to 4,096, for a block up to 1 GiB.
  SLAB_INVALID_ALIGNMENT = 15,
  // Options that are none, or that exclude each other.
  SLAB_INVALID_OPTIONS = 16,
  // The system refuses the addresses that the allocator needs at least (ulimit -v).
  SLAB_OUT_OF_ADDRESS_SPACE = 17,
  // The kernel's pages are larger than 64 KiB.
  SLAB_UNSUPPORTED_PAGE_SIZE = 18,
  // SLAB_PERCPU=rseq in the environment, where the system has no restartable sequences.
  SLAB_NO_RESTARTABLE_SEQUENCES = 19,
  // SLAB_PERCPU in the environment is neither rseq nor fallback.
  SLAB_UNKNOWN_PERCPU_MODE = 20,
  // Objects of the group, or of one below it, are among those of others in shared slabs: see slab_group_share.
  SLAB_GROUP_SHARED = 21,
  // The group has allocated already.
  SLAB_GROUP_IN_USE = 22
} slab_error;

// A sentence for an error, in English and without a full stop; for a number that is none as well. Its bytes are
// constant. O(1).
SLAB_API const char *slab_error_text(slab_error error);

// Makes the allocator of the process, if nothing has made it yet: what every other function does at its first use.
// So a program learns at its start that there is none to be had. A few system calls; starts no thread.
//
// Errors: SLAB_OUT_OF_MEMORY, SLAB_OUT_OF_ADDRESS_SPACE, SLAB_UNSUPPORTED_PAGE_SIZE, SLAB_NO_RESTARTABLE_SEQUENCES,
// SLAB_UNKNOWN_PERCPU_MODE. Each function that says "what slab_start answers" has these.
SLAB_API SLAB_CHECKED slab_error slab_start(void);

// Gives all memory that is not in use back to the system. O(caches + free pages); a system call for each run of free
// pages, short locks. Idle slabs of caches, and those of up to 32 KiB in groups, stay: see slab_cache_shrink and
// slab_group_reclaim.
SLAB_API void slab_trim(void);

// Waits until the allocator has nothing left to do for what has ended so far, but for what live objects hold up. For
// tests and tools. Blocks; waits for workers, deferred frees and open sections. Not inside a section.
SLAB_API void slab_wait_until_idle(void);

// MARK: slab_group - memory groups

// For a limit: none.
#define SLAB_NO_LIMIT SIZE_MAX

// The root group: what is allocated in it is charged to no group. It is always online, has no limit, and is neither
// held nor dropped. NULL where there is no allocator to be had: see slab_start. O(1).
SLAB_API slab_group *slab_group_root(void);

// Makes a group below a parent, and gives the caller a hold on it. A hold on a group holds all groups above it as
// well. The name may be null: such a group is not found by its path. O(depth); short locks, perhaps system calls.
//
//   parent   NULL for the current group
//   name     new among the children of the parent that are online
//   max      the most bytes that may be charged to the group and below it, or SLAB_NO_LIMIT
//   group    where the group is put
//
// Errors: SLAB_INVALID_NAME, SLAB_GROUP_NAME_IN_USE, SLAB_GROUP_OFFLINE if the parent is, SLAB_GROUP_TOO_DEEP,
// SLAB_TOO_MANY_GROUPS, SLAB_OUT_OF_MEMORY, what slab_start answers.
SLAB_API SLAB_CHECKED slab_error slab_group_create(slab_group *parent, const char *name, size_t max,
                                                   slab_group **group);

// Makes a group that has allocated nothing a shared one, before any thread allocates in it: its objects of up to 8 KiB are in
// slabs that all shared groups have together, each charged by the byte, as large as its place. For many groups that have little
// each. Such a group, and one above it, cannot be discarded. Type-safe caches and poisoned ones, and those with a constructor, have
// slabs of the group's own all the same. O(depth); short locks.
//
// Errors: SLAB_GROUP_IN_USE, SLAB_GROUP_OFFLINE, SLAB_ROOT_GROUP, SLAB_OUT_OF_MEMORY.
SLAB_API SLAB_CHECKED slab_error slab_group_share(slab_group *group);

// Whether it is one. O(1).
SLAB_API bool slab_group_is_shared(const slab_group *group);

// Finds an online group by its path, and gives the caller a hold on it. "/a/b" begins at the root group, "a/b" at a
// group that is named, NULL for the current one. O(length of the path) expected; a short lock for each name.
//
// Errors: SLAB_NO_SUCH_GROUP, what slab_start answers.
SLAB_API SLAB_CHECKED slab_error slab_group_find(slab_group *from, const char *path, slab_group **group);

// Takes one more hold on a group, on which the caller has one. O(depth), no lock.
SLAB_API void slab_group_hold(slab_group *group);

// Gives a hold back: the group is not the caller's to use any more. With the last one an online group is closed.
// O(depth); with the last hold short locks. Waits for nothing. NULL does nothing.
SLAB_API void slab_group_drop(slab_group *group);

// Takes the group and all groups below it offline: they allocate no more, their names can be used again at once, and
// frees go on working. Memory goes back as objects are freed; objects that are live when the last hold is dropped are
// charged to the parent from then on, to the byte. A group that is offline stays as it is. The hold stays the
// caller's. O(groups below), short locks; waits for no object and no worker.
//
// Errors: SLAB_ROOT_GROUP.
SLAB_API slab_error slab_group_close(slab_group *group);

// Closes the group, and gives back every object that is charged to it or below it, without a look at them. O(groups
// below); a worker gives the memory back soon afterwards. No thread may use or free an object of these groups any more.
//
// Errors: SLAB_ROOT_GROUP, SLAB_GROUP_SHARED. Then nothing has changed.
SLAB_API slab_error slab_group_discard(slab_group *group);

// Whether the group has not been closed. O(1).
SLAB_API bool slab_group_is_online(const slab_group *group);

// Whether the group is offline and nothing is charged to it or below it. O(1).
SLAB_API bool slab_group_is_drained(const slab_group *group);

// The group above, without a hold of its own; NULL of the root group. O(1).
SLAB_API slab_group *slab_group_parent(const slab_group *group);

// Writes the path of a group, the names from the root group's children down, each behind a slash, and a zero byte;
// as much of it as there is room for. O(depth + length), no lock.
//
// Answers how many bytes the whole path has, without the zero byte.
SLAB_API size_t slab_group_path(const slab_group *group, char *buffer, size_t size);

// MARK: slab_limits - limits and figures of a group

// Bytes that are charged to the group and below it: whole pages, of shared groups bytes. O(1).
SLAB_API size_t slab_group_usage(const slab_group *group);

// The most bytes that were ever charged at one time. O(1).
SLAB_API size_t slab_group_peak(const slab_group *group);

// The limits of a group in bytes, SLAB_NO_LIMIT for none: the most that may be charged; above how much each charge
// reclaims, without refusing; up to how much it is spared while others have something to give. O(1).
SLAB_API size_t slab_group_max(const slab_group *group);
SLAB_API size_t slab_group_high(const slab_group *group);
SLAB_API size_t slab_group_low(const slab_group *group);

// Change them. What is charged above a new max is reclaimed first; what cannot be had stays, and further charges are
// refused. O(1), or as slab_group_reclaim.
//
// Errors: SLAB_ROOT_GROUP.
SLAB_API slab_error slab_group_set_max(slab_group *group, size_t bytes);
SLAB_API slab_error slab_group_set_high(slab_group *group, size_t bytes);
SLAB_API slab_error slab_group_set_low(slab_group *group, size_t bytes);

// What becomes of a group's allocations that find no room, here or above, also after a reclaim.
typedef enum slab_limit_policy {
  SLAB_FAIL,        // they fail
  SLAB_OVERCHARGE,  // they are charged beyond max, up to the stop: for a program that cannot bear a refusal
} slab_limit_policy;

// The policy, which is the parent's to begin with; and the most bytes that may be charged by that of any group, which is
// SLAB_NO_LIMIT at first. Blocks above 32 KiB are refused from halfway between max and the stop. O(1).
SLAB_API slab_limit_policy slab_group_policy(const slab_group *group);
SLAB_API size_t slab_group_stop(const slab_group *group);

// Change them, for allocations from then on. O(1).
//
// Errors: SLAB_ROOT_GROUP.
SLAB_API slab_error slab_group_set_policy(slab_group *group, slab_limit_policy policy);
SLAB_API slab_error slab_group_set_stop(slab_group *group, size_t bytes);

// Tries to make room: endings that wait for workers, empty slabs, and what CPUs have at hand, of the group and then of
// those below it. O(groups and caches below); may wait for fences.
//
// Answers by how many bytes the usage fell; it may be more or less than was asked for.
SLAB_API size_t slab_group_reclaim(slab_group *group, size_t bytes);

// How often things happened to a group.
typedef struct slab_events {
  uint64_t low;         // it gave memory back though it was below its low, since no other group had any
  uint64_t high;        // it was above its high after a charge, and a reclaim was tried
  uint64_t max;         // an allocation would have exceeded max, so that memory was reclaimed first
  uint64_t oom;         // an allocation failed
  uint64_t overcharge;  // an allocation went beyond max: see slab_group_set_policy
} slab_events;

// What happened to the group and below it; and to the group itself. O(1), no lock.
SLAB_API slab_events slab_group_events(const slab_group *group);
SLAB_API slab_events slab_group_local_events(const slab_group *group);

// What a group's charge consists of, in bytes. The first is the sum of the others, to the byte if no thread works in the
// group meanwhile.
typedef struct slab_usage {
  size_t current;        // what is charged to the group and below it
  size_t objects;        // objects that users have
  size_t free_in_slabs;  // free objects, and what slabs have more than objects need
  size_t inherited;      // slabs of groups below that have ended
  size_t unused;         // parts of the group's pages that no slab has
  size_t below;          // charged to groups below
} slab_usage;

// The figures of now. O(caches x CPUs + children); short locks.
SLAB_API slab_usage slab_group_statistics(slab_group *group);

// MARK: slab_group_enter - the current group

// Makes a group the current one of this thread, to which allocations are charged that name no group, and answers the
// one that it had entered before, or NULL. NULL for a group leaves them all. O(1), no lock.
//
// The caller keeps a hold on the group for as long as a thread is in it. It need not be online: allocations are
// refused then.
SLAB_API slab_group *slab_group_enter(slab_group *group);

#ifndef SLAB_WEAK
// The group that the thread has entered; NULL for none. To be used by the functions below alone: it stands here so
// that each of them is an instruction.
extern SLAB_THREAD_LOCAL slab_group *slab_entered_group __attribute__((tls_model("initial-exec")));
#endif

// The group that the thread has entered, or NULL, for slab_group_restore. An instruction.
static inline slab_group *slab_group_save(void) {
#ifdef SLAB_WEAK
  // The place of a weak thread-local would be fixed when the program is linked.
  if (slab_group_enter == NULL) return NULL;
  slab_group *entered = slab_group_enter(NULL);
  slab_group_enter(entered);
  return entered;
#else
  return slab_entered_group;
#endif
}

// Makes what slab_group_save or slab_group_enter have answered the current group again: for switches of fibers, and for
// callbacks. An instruction.
static inline void slab_group_restore(slab_group *group) {
#ifdef SLAB_WEAK
  if (slab_group_enter != NULL) slab_group_enter(group);
#else
  slab_entered_group = group;
#endif
}

// The current group: the one that the thread has entered, else the root group; without a hold of its own. O(1).
SLAB_API slab_group *slab_group_current(void);

// MARK: slab_cache - caches of objects of one size

// Options of a cache, added up.
enum {
  // Objects on cache lines of their own, as far as their size allows.
  SLAB_HARDWARE_ALIGNED = 1,
  // To read sections the memory of an object stays an object of this cache, though perhaps another one.
  SLAB_TYPE_SAFE = 2,
  // Free objects are filled with a pattern, which is checked when they are handed out. Slow; without a constructor,
  // and not with SLAB_TYPE_SAFE.
  SLAB_POISON = 4
};

// Makes a cache, which the caller owns. O(1) expected; a short lock, perhaps system calls.
//
//   name          1 to 63 bytes, new among the caches of the process
//   size          of an object, 1 to 32,768 bytes
//   alignment     a power of two up to 4,096
//   options       SLAB_HARDWARE_ALIGNED and so on, or 0
//   constructor   prepares each object once, when its memory is made; or NULL. An object is freed as it was prepared.
//   cache         where the cache is put
//
// Errors: SLAB_INVALID_NAME, SLAB_CACHE_NAME_IN_USE, SLAB_INVALID_SIZE, SLAB_INVALID_ALIGNMENT, SLAB_INVALID_OPTIONS,
// SLAB_TOO_MANY_CACHES, SLAB_OUT_OF_MEMORY, what slab_start answers.
SLAB_API SLAB_CHECKED slab_error slab_cache_create(const char *name, size_t size, size_t alignment, unsigned options,
                                                   void (*constructor)(void *object), slab_cache **cache);

// Ends a cache without live objects. No thread may use it meanwhile or afterwards. O(groups that use it), a short lock
// for 64 of them at a time; waits for frees under way.
//
// Errors: SLAB_CACHE_BUSY while objects are live, SLAB_CACHE_DESTROYED if another thread is at it. Then nothing has
// changed.
SLAB_API slab_error slab_cache_destroy(slab_cache *cache);

// Ends a cache with its last object: no thread may allocate from it any more, and live objects are freed by slab_free.
// O(groups that use it). NULL does nothing.
SLAB_API void slab_cache_abandon(slab_cache *cache);

// Allocates an object, which holds what the constructor made of it, or else anything that the same group has left there.
// A restartable sequence when the group's cache is warm; else a short lock, perhaps a system call, perhaps a reclaim
// at a limit.
//
//   group   which is charged, and those above it up to the root group; NULL for the current group
//   error   gets the reason where the answer is NULL, and is left alone otherwise; may be NULL
//
// Errors: SLAB_LIMIT_REACHED, SLAB_GROUP_OFFLINE, SLAB_OUT_OF_MEMORY.
SLAB_API SLAB_CHECKED void *slab_cache_allocate(slab_cache *cache, slab_group *group, slab_error *error);

// Fills an array with objects, or has allocated none. One sequence for what the CPU has at hand, a turn of a lock for
// each slab of the rest.
//
// Errors: as slab_cache_allocate.
SLAB_API SLAB_CHECKED slab_error slab_cache_allocate_bulk(slab_cache *cache, slab_group *group, void **objects,
                                                          size_t count);

// Frees an object of this cache; the group that was charged for it is not any more. A restartable sequence, or a short lock.
SLAB_API void slab_cache_free(slab_cache *cache, void *object);

// Gives the empty slabs back that the cache itself keeps, and what CPUs have at hand. A fence.
SLAB_API void slab_cache_shrink(slab_cache *cache);

// MARK: slab_allocate - memory of any size

// Allocates a block of at least so many bytes, which hold zeros or what the same group has left there; aligned to 16
// bytes. A block of 0 bytes is one that cannot be used. Cost, group and error as for slab_cache_allocate.
//
// Errors: SLAB_LIMIT_REACHED, SLAB_GROUP_OFFLINE, SLAB_OUT_OF_MEMORY, SLAB_INVALID_SIZE above the largest block,
// what slab_start answers.
SLAB_API SLAB_CHECKED void *slab_allocate(slab_group *group, size_t size, slab_error *error) __attribute__((malloc));

// The same at an address that is a multiple of a power of two, up to 1 GiB.
//
// Errors: as slab_allocate, SLAB_INVALID_ALIGNMENT.
SLAB_API SLAB_CHECKED void *slab_allocate_aligned(slab_group *group, size_t size, size_t alignment, slab_error *error)
    __attribute__((malloc));

// Changes the size of a block, which may move; as many bytes of it stay as both have. A block that moves is charged to
// the group and no longer to the one that was, aligned to 16 bytes; one that stays is charged to the same one. NULL for a
// block allocates one. O(1), or O(size) where the contents move and the kernel does not move them.
//
// Errors: as slab_allocate. The block is as it was then.
SLAB_API SLAB_CHECKED void *slab_reallocate(slab_group *group, void *block, size_t size, slab_error *error);

// Frees a block, or an object of any cache; the group that was charged for it is not any more. A restartable sequence, or a short
// lock. NULL does nothing.
SLAB_API void slab_free(void *block);

// Frees many, of any caches and groups. Fast where those of one cache and group stand beside each other.
SLAB_API void slab_free_bulk(void **blocks, size_t count);

// How many bytes of a block, or of an object, can be used. O(1), no lock.
SLAB_API size_t slab_usable_size(const void *block);

// MARK: slab_read_begin - readers and grace periods

// A read section that is open.
typedef struct slab_section {
  uintptr_t word;
} slab_section;

// Begins a read section: until it ends, what is freed by slab_free_deferred stays what it is. A restartable sequence;
// no lock, waits for nothing. Sections nest, and may end on another thread; a grace period waits for all of them, and
// says so on standard error after 10 s. Where no function has made the allocator yet and there is none to be had, the
// process ends with a line: see slab_start.
SLAB_API SLAB_CHECKED slab_section slab_read_begin(void);

// Ends a section, once.
SLAB_API void slab_read_end(slab_section section);

// Waits until every section that is open now has ended. O(CPUs), one membarrier. Not inside a section.
SLAB_API void slab_synchronize(void);

// Frees a block or an object after a grace period: to readers it stays what it is until their sections end, and it
// stays charged. A restartable sequence; a flood is slowed. Where the system has no memory the call waits for the grace
// period, for a second at most; in a section of the caller's own the block is lost then, and a line on standard error
// says so. NULL does nothing.
SLAB_API void slab_free_deferred(void *block);

// What slab_call needs of the caller's memory, aligned to 8 bytes, until the function is called.
typedef struct slab_head {
  void *words[2];
} slab_head;

// Calls a function after a grace period, with the head, on a thread of the allocator's. Never waits for a grace period;
// a flood is slowed.
SLAB_API void slab_call(slab_head *head, void (*function)(slab_head *head));

// Waits until all that was passed to slab_free_deferred and slab_call before is done. Neither inside a section nor in
// a function of slab_call, where it ends the process.
SLAB_API void slab_barrier(void);

// MARK: slab_report - slabinfo and snapshots, in pieces

// Begins a reading of slabinfo, version 2.1 of the kernel's: of all caches for the root group, else of those of the
// group, which is held until the reading is closed. O(1), or O(caches of the group).
//
// Errors: SLAB_OUT_OF_MEMORY, what slab_start answers.
SLAB_API SLAB_CHECKED slab_error slab_slabinfo_open(slab_group *group, slab_report **report);

// Begins a reading of all that there is, as JSON: counters, caches, and the groups at and below a group. Its keys are
// those of docs/schema/snapshot-1.json. Each number is exact; together they are of one moment only if no thread works.
//
// Errors: as slab_slabinfo_open.
SLAB_API SLAB_CHECKED slab_error slab_snapshot_open(slab_group *group, slab_report **report);

// Fills a buffer with the next bytes of a reading. Short locks; what is there all the while is in the text exactly once.
// For one thread at a time. O(bytes).
//
// Answers how many bytes were written; 0 at the end.
SLAB_API size_t slab_report_read(slab_report *report, char *buffer, size_t size);

// Ends a reading, wherever it is. NULL does nothing.
SLAB_API void slab_report_close(slab_report *report);

#ifdef __cplusplus
}
#endif

#endif
