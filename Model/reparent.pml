/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reparenting: the caches of a group that is settled and has no handle move to the parent, and the
 * group is released at once; frees of their live objects go on meanwhile. README.md says what is
 * shown; `check` runs it.
 *
 *   BREAK_...   takes one rule away; the search must then find an error
 */
mtype = { deactivated, dying, shutDown, released, settled }

/* Groups: the one that ends, and its parent. What is charged below a group is charged to it too. */
#define CHILD 0
#define PARENT 1

mtype groupState[2];
byte charge[2];
byte cacheCount[2];

/* One cache with two slabs, in each of which one object is live. */
mtype cacheState = deactivated;
byte owner = CHILD;         /* changes under both locks; whoever holds one of them may read it */
byte slabCount = 2;
bit registry, pageLock;
bit queued;

#define touchGroup(g) assert(groupState[g] != released)
#define touch() assert(cacheState != released)

/* The last free of a slab: its memory goes back to its owner's pages. */
proctype Free() {
  byte g;
  bit isLast;

#ifdef BREAK_OWNER_BEFORE_LOCK
  g = owner;
  atomic { pageLock == 0 -> pageLock = 1 };
#else
  atomic { pageLock == 0 -> pageLock = 1 };
  g = owner;
#endif
  atomic {
    touch();
    touchGroup(g);
    /* Its units lie in pages that the owner shares among its caches, and are charged to him. */
    charge[g]--;
    if
    :: g == CHILD -> charge[PARENT]--
    :: else
    fi
  };
  pageLock = 0;
  /* Counted off last: until then nobody ends the cache. */
  atomic {
    touch();
    slabCount--;
    isLast = (slabCount == 0);
    if
    :: isLast -> assert(cacheState == deactivated); cacheState = dying
    :: else
    fi
  };
  if
  :: isLast -> queued = 1
  :: else
  fi
}

/* The destroy worker: the memberships, the owner's among them. */
proctype DestroyWorker() {
  byte g;

  queued;
#ifdef BREAK_MEMBERSHIP_BEFORE_LOCK
  g = owner;
  atomic { registry == 0 -> registry = 1 };
#else
  atomic { registry == 0 -> registry = 1 };
  g = owner;
#endif
  assert(cacheState == dying);
  touchGroup(g);
  cacheState = shutDown;
  assert(cacheCount[g] > 0);
  cacheCount[g]--;
  cacheState = released;
  registry = 0
}

/* The fence worker, when the group is settled: moves what is left, and releases the group. */
proctype FenceWorker() {
  atomic { registry == 0 -> registry = 1 };
#ifndef BREAK_MOVE_WITHOUT_PAGE_LOCK
  atomic { pageLock == 0 -> pageLock = 1 };
#endif
  if
  :: cacheCount[CHILD] > 0 ->
    touch();
    owner = PARENT;
    cacheCount[CHILD]--;
    cacheCount[PARENT]++;
    /* The parent has been charged all the time. */
    charge[CHILD] = 0
  :: else
  fi;
#ifndef BREAK_MOVE_WITHOUT_PAGE_LOCK
  pageLock = 0;
#endif
  assert(cacheCount[CHILD] == 0 && charge[CHILD] == 0);
  groupState[CHILD] = released;
  registry = 0
}

init {
  atomic {
    groupState[CHILD] = settled;
    groupState[PARENT] = settled;
    charge[CHILD] = 2;
    charge[PARENT] = 2;
    cacheCount[CHILD] = 1;
    run Free();
    run Free();
    run DestroyWorker();
    run FenceWorker()
  }
}

ltl ending {
  <> (cacheState == released && groupState[CHILD] == released && charge[PARENT] == 0 &&
      cacheCount[PARENT] == 0)
}
