/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life cycle of caches and groups: docs/life-cycle.md as a model that spin searches to the end.
 * README.md says what each part stands for and what is left out; `check` runs it.
 *
 * Configuration, by -D:
 *   GROUPS      1 or 2; each group makes at most one child cache, which has its number
 *   USERS       threads per group, each with a handle of its own
 *   NO_OFFLINER groups end with their last handle only
 *   DESTROY     the root cache is destroyed when no user has an object any more
 *   TYPESAFE    slabs go back through a callback after a reader grace period, caches after a barrier
 *   READER      a read-side section that looks up an object without a lock (with TYPESAFE)
 *   BREAK_...   takes one rule away; the search must then find an error
 *
 * The states of a cache and of a group have the names of CacheState and GroupState. `active` is a
 * word of Promela: hence `active_`. `unmade` and `released` are no states in Swift: the descriptor
 * is an object of its own cache then.
 */
mtype = {
  unmade, active_, deactivating, deactivated, dying, shutDown, awaitingBarrier, released,
  online, offline, settled
}

#ifndef GROUPS
#define GROUPS 1
#endif
#ifndef USERS
#define USERS 2
#endif
#ifdef NO_OFFLINER
#define HANDLES USERS
#else
#define HANDLES (USERS + 1)
#endif
#define THREADS (GROUPS * USERS)
#define NONE 255
#define only(n) (1 << (n))

/* Caches 0...GROUPS-1 are the children; the last is the root's own. */
#define ROOT GROUPS
#define CACHES (GROUPS + 1)

/* ---- caches ---- */
mtype cacheState[CACHES];
bit cacheLock[CACHES];
byte slabCount[CACHES];     /* with those that are being made or given back */
byte emptySlabs[CACHES];    /* the partial list: a set of slabs without an object in use */
bit sheafOpen[CACHES];      /* the sheaf word, read without a lock */
byte sheaf[CACHES];         /* objects in sheaves: the set of their slabs */
byte operations[CACHES];    /* sequences that have read "open" and have not committed */
bit linked[GROUPS];         /* all four memberships */
bit rootLinked = 1;
byte childCount;
bit isDestroying;

/* ---- groups ---- */
mtype groupState[GROUPS];
byte handles[GROUPS];
byte cacheCount[GROUPS];
bit table[GROUPS];          /* whether the group's table names the child */
byte shutDownCaches[GROUPS];

/* ---- slabs: one object each; slab n is made by thread n, in its group's cache ---- */
mtype = { noSlab, inUse, emptySlab, detached, queued, inPages }
mtype slab[THREADS];
#define cacheOf(s) ((s) / USERS)

/* ---- what workers take ---- */
bit registry;               /* the registry lock */
byte offlineBatch;
bit rootBatch;
byte destroyQueue;
byte barrierBatch;
#ifdef DESTROY
byte usersLeft = THREADS;
#endif

/* ---- readers and callbacks ---- */
#define CPUS 2
byte incoming[CPUS];        /* callbacks that wait for their grace period: slabs */
byte unrun;                 /* callbacks that have not run, of every CPU */
byte published;             /* objects that a reader can find */
byte section;               /* odd inside a section */

/* Every look at a descriptor. */
#define touch(c) assert(cacheState[c] != released && cacheState[c] != unmade)
/* A place that some run must reach: `check` has it fail, to see that it does. */
#ifdef REACH
#define reach(place) assert(REACH != place)
mtype = {
  secondCreator, refusedCreator, refusedAllocation, slabMadeTooLate, pushedBehindClosing,
  diedByFree, diedByFenceWorker, releasedAtOnce, releasedByHandle, releasedAfterBarrier,
  groupReleasedByHandle, groupReleasedByWorker, rootReleased, closedByBoth, readerFoundFreed
}
#else
#define reach(place) skip
#endif

#define touchGroup(g) assert(groupState[g] != released)

inline lockRegistry() { registry == 0 -> registry = 1 }
inline unlockRegistry() { registry = 0 }

/* The lock and the unlock both touch the descriptor that the lock stands in. */
inline lockCache(c) {
  touch(c);
  cacheLock[c] == 0 -> touch(c);
  cacheLock[c] = 1
}
inline unlockCache(c) { atomic { touch(c); cacheLock[c] = 0 } }

inline moveState(c, from, to) { assert(cacheState[c] == from); cacheState[c] = to }

/* ---- release: all of these under the registry lock ---- */

inline releaseCache(c) {
  assert(cacheState[c] != released);
#ifdef TYPESAFE
  assert(cacheState[c] == awaitingBarrier);
#else
  assert(cacheState[c] == shutDown);
#endif
  assert(slabCount[c] == 0 && operations[c] == 0 && sheaf[c] == 0);
  cacheState[c] = released
}

inline releaseIfUnused(g) {
  if
  :: groupState[g] == settled && handles[g] == 0 && cacheCount[g] == 0 ->
    assert(shutDownCaches[g] == 0);
    groupState[g] = released
  :: else
  fi
}

inline releaseChild(c) {
  touchGroup(c);
  cacheCount[c]--;
  if
#ifdef BREAK_HANDLE
  :: true ->
#else
  :: handles[c] == 0 ->
#endif
    reach(releasedAtOnce);
    releaseCache(c);
    releaseIfUnused(c)
#ifndef BREAK_HANDLE
  :: else -> shutDownCaches[c] = shutDownCaches[c] | only(c)
#endif
  fi
}

inline awaitBarrier(c) {
  moveState(c, shutDown, awaitingBarrier);
  barrierBatch = barrierBatch | only(c)
}

inline shutDownRootIfLast() {
#ifdef DESTROY
  if
  :: childCount == 0 && cacheState[ROOT] == shutDown ->
    rootLinked = 0;
#ifdef TYPESAFE
    awaitBarrier(ROOT)
#else
    reach(rootReleased);
    releaseCache(ROOT)
#endif
  :: else
  fi
#else
  skip
#endif
}

/* Ends a dying cache: all memberships at once. */
inline shutDownCache(c) {
#ifdef BREAK_SHUTDOWN_LOCK
  /* Looks whether there is a handle before it has the lock. */
  noHandle = (c == ROOT || handles[c] == 0);
#endif
  atomic {
    lockRegistry();
    touch(c);
    assert(slabCount[c] == 0);
    moveState(c, dying, shutDown);
    touch(ROOT);
    if
    :: c != ROOT ->
      assert(linked[c]);
      linked[c] = 0;
      childCount--;
#ifdef TYPESAFE
      awaitBarrier(c)
#else
#ifdef BREAK_SHUTDOWN_LOCK
      cacheCount[c]--;
      if
      :: noHandle -> releaseCache(c); releaseIfUnused(c)
      :: else -> shutDownCaches[c] = shutDownCaches[c] | only(c)
      fi
#else
      releaseChild(c)
#endif
#endif
#ifdef DESTROY
    :: else
#endif
    fi;
    shutDownRootIfLast();
    unlockRegistry()
  }
}

/* ---- slabs ---- */

/* Gives one slab back, after its cache's lock was given up; then takes it off the count. */
inline giveBackSlab(s, c, cpu, isLast) {
  touch(c);
#ifdef BREAK_SLAB_COUNT
  /* Counts it off first: nothing keeps the cache while the slab is given back. */
  countSlabOff(c, isLast);
#endif
  atomic {
    touch(c);
    touchGroup(c);
    assert(slab[s] == detached);
#ifdef TYPESAFE
#ifdef BREAK_SLAB_GRACE_PERIOD
    slab[s] = inPages
#else
    slab[s] = queued;
    unrun = unrun | only(s);
    incoming[cpu] = incoming[cpu] | only(s)
#endif
#else
    slab[s] = inPages
#endif
  };
#ifndef BREAK_SLAB_COUNT
  countSlabOff(c, isLast)
#endif
}

inline countSlabOff(c, isLast) {
  atomic {
    lockCache(c);
    slabCount[c]--;
    isLast = (slabCount[c] == 0 && cacheState[c] == deactivated);
    if
    :: isLast -> reach(diedByFree); moveState(c, deactivated, dying)
    :: else
    fi
  };
#ifdef BREAK_TOUCH
  /* Hands over first, and unlocks then. */
  if
  :: isLast -> destroyQueue = destroyQueue | only(c)
  :: else
  fi;
  unlockCache(c)
#else
  unlockCache(c);
  if
  :: isLast -> destroyQueue = destroyQueue | only(c)
  :: else
  fi
#endif
}

/* ---- the end of a group, as its users see it ---- */

/* Under the registry lock. */
inline takeOffline(g) {
  groupState[g] = offline;
  table[g] = 0;
  offlineBatch = offlineBatch | only(g)
}

inline giveHandleBack(g) {
  if
  :: atomic { handles[g] > 1 -> touchGroup(g); handles[g]-- }
  :: atomic { handles[g] <= 1 && registry == 0 ->
      touchGroup(g);
      registry = 1;
      handles[g]--
    };
    if
    :: handles[g] == 0 ->
      if
      :: groupState[g] == online -> takeOffline(g)
      :: else
      fi;
      atomic {
        if
        :: shutDownCaches[g] -> reach(releasedByHandle); shutDownCaches[g] = 0; releaseCache(g)
        :: else
        fi;
        releaseIfUnused(g);
        if
        :: groupState[g] == released -> reach(groupReleasedByHandle)
        :: else
        fi
      }
    fi;
    unlockRegistry()
  fi
}

/* Somebody with a handle who takes the group offline, or does not and only lets go of it. */
#ifndef NO_OFFLINER
proctype Offliner(byte g) {
  if
  :: atomic { lockRegistry() };
    touchGroup(g);
    if
    :: groupState[g] == online -> takeOffline(g)
    fi;
    unlockRegistry()
  :: skip
  fi;
  giveHandleBack(g)
}
#endif

/* ---- a user: first use, an allocation, a free, and the handle before or after it ---- */
proctype User(byte thread) {
  byte g = thread / USERS;
  byte cpu = thread % CPUS;
  byte object = NONE;
  bit hasChild, hasHandle = 1, isLast;

  /* First use. The table is read without a lock; a stale answer is settled under it. */
  hasChild = table[g];
  if
  :: !hasChild && groupState[g] == online ->
    atomic {
      lockRegistry();
      if
#ifndef BREAK_RECHECK
      :: groupState[g] != online -> reach(refusedCreator)
#endif
      :: table[g] -> reach(secondCreator); hasChild = 1
#ifdef BREAK_RECHECK
      :: !table[g] ->
#else
      :: groupState[g] == online && !table[g] ->
#endif
        assert(groupState[g] == online);
        assert(cacheState[g] == unmade);
        assert(!isDestroying);
        cacheState[g] = active_;
        sheafOpen[g] = 1;
        linked[g] = 1;
        childCount++;
        cacheCount[g]++;
        table[g] = 1;
        hasChild = 1
      fi;
      unlockRegistry()
    }
  :: else
  fi;
  if
  :: !hasChild -> goto done
  :: else
  fi;

  /* Allocate: from the sheaf, else from the partial list, else from a new slab. */
  if
  :: atomic { sheafOpen[g] && sheaf[g] -> touch(g); operations[g]++ };
    atomic {
      touch(g);
      operations[g]--;
      if
      :: sheaf[g] & only(0) -> object = 0
#if THREADS > 1
      :: sheaf[g] & only(1) -> object = 1
#endif
#if THREADS > 2
      :: sheaf[g] & only(2) -> object = 2
      :: sheaf[g] & only(3) -> object = 3
#endif
      :: sheaf[g] == 0
      fi;
      if
      :: object != NONE -> sheaf[g] = sheaf[g] & ~only(object)
      :: else
      fi
    }
  :: atomic { !(sheafOpen[g] && sheaf[g]) -> touch(g) }
  fi;
  if
  :: object == NONE ->
    atomic { lockCache(g) };
    if
    :: cacheState[g] != active_ -> reach(refusedAllocation); unlockCache(g)
    :: atomic { cacheState[g] == active_ && emptySlabs[g] ->
        if
        :: emptySlabs[g] & only(0) -> object = 0
#if THREADS > 1
        :: emptySlabs[g] & only(1) -> object = 1
#endif
#if THREADS > 2
        :: emptySlabs[g] & only(2) -> object = 2
        :: emptySlabs[g] & only(3) -> object = 3
#endif
        fi;
        emptySlabs[g] = emptySlabs[g] & ~only(object);
        slab[object] = inUse
      };
      unlockCache(g)
    :: atomic { cacheState[g] == active_ && !emptySlabs[g] -> slabCount[g]++ };
      unlockCache(g);
      /* Here the slab is made, without a lock. */
      atomic {
        lockCache(g);
        assert(slab[thread] == noSlab);
        if
        :: cacheState[g] == active_ -> object = thread; slab[thread] = inUse
        :: else -> reach(slabMadeTooLate); slab[thread] = detached
        fi
      };
      unlockCache(g);
      if
      :: object == NONE ->
        giveBackSlab(thread, g, cpu, isLast);
        /* Turns back to the cache, to learn that it is over: its handle keeps the descriptor. */
        atomic { lockCache(g) };
        assert(cacheState[g] != active_);
        unlockCache(g)
      :: else
      fi
    fi
  :: else
  fi;
  if
  :: object == NONE -> goto done
  :: else
  fi;
#ifdef READER
  published = published | only(object);
#endif

  /* A live object keeps its slab, the slab its cache, the cache its group: no handle needed. */
  if
  :: giveHandleBack(g); hasHandle = 0
  :: skip
  fi;

  /* Free: onto the sheaf, or under the lock into the slab. */
#ifdef READER
  published = published & ~only(object);
#endif
  if
  :: atomic { sheafOpen[g] -> touch(g); operations[g]++ };
    /* The sequence: the push is its last instruction. */
    atomic {
      touch(g);
      sheaf[g] = sheaf[g] | only(object);
      operations[g]--;
      if
      :: !sheafOpen[g] -> reach(pushedBehindClosing)
      :: else
      fi
    }
  :: touch(g);
    /* Closed, or full: a sheaf may be full at any time. */
    atomic {
      lockCache(g);
      assert(slab[object] == inUse);
      if
      :: cacheState[g] == deactivated -> slab[object] = detached
      :: else -> slab[object] = emptySlab; emptySlabs[g] = emptySlabs[g] | only(object)
      fi;
      isLast = (slab[object] == detached)
    };
    unlockCache(g);
    if
    :: isLast -> giveBackSlab(object, g, cpu, isLast)
    :: else
    fi
  fi;

done:
  if
  :: hasHandle -> giveHandleBack(g)
  :: else
  fi;
#ifdef DESTROY
  usersLeft--
#else
  skip
#endif
}

#ifdef DESTROY
/* Nobody uses the root any more when it is destroyed: the contract. Groups may end meanwhile. */
proctype Destroyer() {
  usersLeft == 0;
  atomic {
    lockRegistry();
    touch(ROOT);
    isDestroying = 1;
    rootBatch = 1;
    unlockRegistry()
  }
}
#endif

/* ---- the workers ---- */

/* Closes a cache's sheaf and chains the cache, unless it is past this already. */
inline close(c) {
  atomic {
    lockCache(c);
#ifdef BREAK_CLOSE_TWICE
    if
    :: true ->
      cacheState[c] = deactivating;
#else
    if
    :: cacheState[c] == active_ ->
      cacheState[c] = deactivating;
#endif
      if
      :: sheafOpen[c] -> needsFence = 1
      :: else
      fi;
      sheafOpen[c] = 0;
#ifdef BREAK_FLUSH_FIRST
      emptySlabs[c] = emptySlabs[c] | sheaf[c];
      sheaf[c] = 0;
#endif
      chain = chain | only(c)
#ifndef BREAK_CLOSE_TWICE
    :: else ->
      if
      :: groups & only(c) -> reach(closedByBoth)
      :: else
      fi
#endif
    fi
  };
  unlockCache(c)
}

/* After the fence: flushes a cache, detaches its empty slabs, moves it on. */
inline finish(c) {
  atomic {
    lockCache(c);
#ifndef BREAK_FLUSH_FIRST
    emptySlabs[c] = emptySlabs[c] | sheaf[c];
    sheaf[c] = 0;
#endif
    detachedSlabs = emptySlabs[c];
    emptySlabs[c] = 0;
    n = 0;
    do
    :: n < THREADS ->
      if
      :: detachedSlabs & only(n) -> slab[n] = detached
      :: else
      fi;
      n++
    :: else -> break
    od;
    moveState(c, deactivating, deactivated);
    isLast = (slabCount[c] == 0);
    if
    :: isLast -> reach(diedByFenceWorker); moveState(c, deactivated, dying)
    :: else
    fi
  };
  unlockCache(c);
  n = 0;
  if
  :: isLast -> shutDownCache(c)
  :: else ->
    do
    :: n < THREADS && (detachedSlabs & only(n)) -> giveBackSlab(n, c, 0, isLast); n++
    :: n < THREADS && !(detachedSlabs & only(n)) -> n++
    :: n == THREADS -> break
    od
  fi
}

proctype FenceWorker() {
  byte groups, chain, detachedSlabs, g, n;
  bit roots, needsFence, isLast;
#ifdef BREAK_SHUTDOWN_LOCK
  bit noHandle;
#endif

end:
  do
  :: (offlineBatch || rootBatch);
#ifdef BREAK_WHOLE_BATCH
    /* Reads the batch and empties it in two turns of the lock. */
    groups = offlineBatch;
    roots = rootBatch;
    lockRegistry();
    atomic { offlineBatch = 0; rootBatch = 0; unlockRegistry() };
#else
    atomic {
      lockRegistry();
      groups = offlineBatch;
      roots = rootBatch;
      offlineBatch = 0;
      rootBatch = 0;
      unlockRegistry()
    };
#endif
    g = 0;
    do
    :: g < GROUPS && (groups & only(g)) ->
      atomic { lockRegistry() };
      if
      :: linked[g] -> close(g)
      :: else
      fi;
      unlockRegistry();
      g++
    :: g < GROUPS && !(groups & only(g)) -> g++
    :: g == GROUPS -> break
    od;
#ifdef DESTROY
    if
    :: roots ->
      g = 0;
      do
      :: g < GROUPS ->
        atomic { lockRegistry() };
        if
        :: linked[g] -> table[g] = 0; close(g)
        :: else
        fi;
        unlockRegistry();
        g++
      :: else -> break
      od;
      close(ROOT)
    :: else
    fi;
#endif

#ifndef BREAK_FENCE
    if
    :: needsFence ->
      g = 0;
      do
      :: g < GROUPS -> (!(chain & only(g)) || operations[g] == 0); g++
      :: else -> break
      od
    :: else
    fi;
#endif

    g = 0;
    do
    :: g < CACHES && (chain & only(g)) -> finish(g); g++
    :: g < CACHES && !(chain & only(g)) -> g++
    :: g == CACHES -> break
    od;
    g = 0;
    do
    :: g < GROUPS && (groups & only(g)) ->
      atomic {
        lockRegistry();
        assert(groupState[g] == offline);
        groupState[g] = settled;
        releaseIfUnused(g);
        if
        :: groupState[g] == released -> reach(groupReleasedByWorker)
        :: else
        fi;
        unlockRegistry()
      };
      g++
    :: g < GROUPS && !(groups & only(g)) -> g++
    :: g == GROUPS -> break
    od;
    atomic { groups = 0; roots = 0; chain = 0; needsFence = 0; g = 0; n = 0; isLast = 0 }
  od
}

proctype DestroyWorker() {
  byte taken, c;
#ifdef BREAK_SHUTDOWN_LOCK
  bit noHandle;
#endif

end:
  do
  :: atomic { destroyQueue -> taken = destroyQueue; destroyQueue = 0; c = 0 };
    do
    :: c < GROUPS && (taken & only(c)) -> shutDownCache(c); c++
    :: c < GROUPS && !(taken & only(c)) -> c++
    :: c == GROUPS -> taken = 0; c = 0; break
    od
  od
}

#ifdef TYPESAFE
/* Takes the whole batch, asks for one barrier, releases the batch. One in flight. */
proctype BarrierWorker() {
  byte taken, awaited, c;
#ifdef BREAK_GRACE_PERIOD_FOR_BARRIER
  byte inside;
#endif

end:
  do
  :: atomic { barrierBatch && registry == 0 ->
      taken = barrierBatch;
      barrierBatch = 0;
      c = 0
    };
#ifndef BREAK_BARRIER
#ifdef BREAK_GRACE_PERIOD_FOR_BARRIER
    inside = section;
    (inside % 2 == 0 || section != inside);
#else
    /* Every callback that was queued before, on every CPU, has run. */
#ifdef BREAK_BARRIER_ONE_CPU
    awaited = unrun & ~incoming[1];
#else
    awaited = unrun;
#endif
    (unrun & awaited) == 0;
#endif
#endif
#ifdef BREAK_LATE_JOIN
    /* What came while the barrier went on is released with the batch. */
    atomic { taken = taken | barrierBatch; barrierBatch = 0 };
#endif
    do
    :: c < CACHES && (taken & only(c)) ->
      atomic {
        lockRegistry();
        touch(c);
        reach(releasedAfterBarrier);
        if
        :: c != ROOT -> releaseChild(c)
#ifdef DESTROY
        :: else -> reach(rootReleased); releaseCache(ROOT)
#endif
        fi;
        unlockRegistry()
      };
      c++
    :: c < CACHES && !(taken & only(c)) -> c++
    :: c == CACHES -> atomic { taken = 0; awaited = 0; c = 0 }; break
    od
  od
}

/* The callbacks of one CPU: adopts what came, waits for the grace period, runs them. */
proctype CallbackWorker(byte cpu) {
  byte waiting, inside, s;

end:
  do
  :: atomic { incoming[cpu] ->
      waiting = incoming[cpu];
      incoming[cpu] = 0;
      inside = section;
      s = 0
    };
    (inside % 2 == 0 || section != inside);
    do
    :: s < THREADS && (waiting & only(s)) ->
      /* Gives the slab back: reads the cache, credits the group. */
      atomic {
        touch(cacheOf(s));
        touchGroup(cacheOf(s));
        slab[s] = inPages;
        unrun = unrun & ~only(s)
      };
      s++
    :: s < THREADS && !(waiting & only(s)) -> s++
    :: s == THREADS -> atomic { waiting = 0; inside = 0; s = 0 }; break
    od
  od
}
#endif

#ifdef READER
/* Finds an object without a lock and looks at it, all within one section. */
proctype Reader() {
  byte found = NONE;

  section++;
  if
  :: published & only(0) -> found = 0
#if THREADS > 1
  :: published & only(1) -> found = 1
#endif
#if THREADS > 2
  :: published & only(2) -> found = 2
  :: published & only(3) -> found = 3
#endif
  :: skip
  fi;
  if
  :: found != NONE ->
    assert(slab[found] != inPages && slab[found] != noSlab);
    if
    :: slab[found] == queued -> reach(readerFoundFreed)
    :: else
    fi
  :: else
  fi;
  section++
}
#endif

init {
  atomic {
    byte i;
    cacheState[ROOT] = active_;
    i = 0;
    do
    :: i < GROUPS ->
      cacheState[i] = unmade;
      groupState[i] = online;
      handles[i] = HANDLES;
#ifndef NO_OFFLINER
      run Offliner(i);
#endif
      i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < THREADS -> slab[i] = noSlab; run User(i); i++
    :: else -> break
    od;
#ifdef DESTROY
    run Destroyer();
#endif
    run FenceWorker();
    run DestroyWorker();
#ifdef TYPESAFE
    run BarrierWorker();
    run CallbackWorker(0);
    run CallbackWorker(1);
#endif
#ifdef READER
    run Reader();
#endif
  }
}

/* ---- every ending is reached ---- */
#define ended(g) (groupState[g] == released && !linked[g] && \
  (cacheState[g] == released || cacheState[g] == unmade))
#define gone(s) (slab[s] == noSlab || slab[s] == inPages)

#if GROUPS > 1
#define groupsEnded (ended(0) && ended(1))
#else
#define groupsEnded ended(0)
#endif
#if THREADS > 2
#define slabsGone (gone(0) && gone(1) && gone(2) && gone(3))
#elif THREADS > 1
#define slabsGone (gone(0) && gone(1))
#else
#define slabsGone gone(0)
#endif
#ifdef DESTROY
#define rootEnded (cacheState[ROOT] == released && !rootLinked)
#else
#define rootEnded (cacheState[ROOT] == active_)
#endif

ltl ending { <> (groupsEnded && slabsGone && rootEnded && childCount == 0 && unrun == 0) }
