// SPDX-License-Identifier: Apache-2.0
// slab.hpp: containers that are charged to groups.
#include "check.h"

#include <slab.hpp>

#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <string>
#include <thread>
#include <vector>

template <class Body>
static bool is_refused(Body body) {
  try {
    body();
    return false;
  } catch (const std::bad_alloc &) {
    return true;
  }
}

static void resources() {
  slab::group tenant("resources", 1 << 20);
  {
    slab::memory_resource memory(tenant);
    std::pmr::vector<std::pmr::string> strings(&memory);
    for (int index = 0; index < 100; index++) strings.emplace_back("a string that is too long to be kept in place");
    CHECK(tenant.usage() >= 100 * 46);
    CHECK(is_refused([&] { strings.emplace_back(2 << 20, 'x'); }));
    CHECK(strings.size() == 100);
    CHECK(is_refused([&] { (void)memory.allocate(16, std::size_t{2} << 30); }));
    void *aligned = memory.allocate(100, 4096);
    CHECK(reinterpret_cast<std::uintptr_t>(aligned) % 4096 == 0);
    memory.deallocate(aligned, 100, 4096);
    slab::memory_resource same(tenant), current, also_current;
    CHECK(memory == same && current == also_current && memory != current);
    CHECK(memory != *std::pmr::new_delete_resource());
  }
  slab_group_reclaim(tenant.get(), SIZE_MAX);
  CHECK(tenant.usage() == 0 && tenant.peak() > 0);
}

using numbers = std::vector<int, slab::allocator<int>>;

static void allocators() {
  slab::group first("first"), second("second", 64 << 10);
  {
    numbers mine(1000, 1, slab::allocator<int>(first));
    auto before = first.usage();
    CHECK(before >= 4000 && second.usage() == 0);
    // A copy is charged as what is copied; to another group elements are copied, and the memory stays where it is.
    numbers copy = mine;
    CHECK(copy.get_allocator().group() == first.get());
    numbers theirs{slab::allocator<int>(second)};
    const int *elements = mine.data();
    theirs = std::move(mine);
    CHECK(theirs.get_allocator().group() == second.get() && theirs.data() != elements && theirs[999] == 1);
    CHECK(second.usage() >= 4000);
    // Within a group memory changes hands.
    elements = copy.data();
    numbers other{slab::allocator<int>(first)};
    other = std::move(copy);
    CHECK(other.data() == elements);
    std::swap(other, theirs);
    CHECK(theirs.data() == elements && theirs.get_allocator().group() == first.get());
    CHECK(other.get_allocator().group() == second.get());
    CHECK(is_refused([&] { other.resize(1 << 20); }));
    CHECK(other.size() == 1000);
    std::map<int, std::string, std::less<int>, slab::allocator<std::pair<const int, std::string>>> map{
        slab::allocator<int>(second)};
    for (int index = 0; index < 100; index++) map[index] = "value";
    auto shared = std::allocate_shared<int>(slab::allocator<int>(first), 42);
    CHECK(*shared == 42);
    struct alignas(256) wide {
      char bytes[256];
    };
    std::list<wide, slab::allocator<wide>> list(3, wide{}, slab::allocator<wide>(first));
    for (auto &element : list) CHECK(reinterpret_cast<std::uintptr_t>(&element) % 256 == 0);
    bool is_too_long = false;
    try {
      (void)slab::allocator<int>(first).allocate(SIZE_MAX / 2);
    } catch (const std::bad_array_new_length &) {
      is_too_long = true;
    }
    CHECK(is_too_long);
  }
  slab_group_reclaim(first.get(), SIZE_MAX);
  slab_group_reclaim(second.get(), SIZE_MAX);
  CHECK(first.usage() == 0 && second.usage() == 0);
}

static void scopes() {
  slab::group outer("outer"), inner = outer.child("inner");
  CHECK(slab_group_save() == nullptr);
  try {
    slab::scope in_outer(outer);
    slab::scope in_inner(inner);
    CHECK(slab_group_current() == inner.get());
    numbers charged(1000);
    CHECK(inner.usage() >= 4000);
    std::thread([] { CHECK(slab_group_save() == nullptr); }).join();
    throw 1;
  } catch (int) {
  }
  CHECK(slab_group_save() == nullptr);
}

static void holds() {
  slab::group none;
  CHECK(!none && none.get() == nullptr);
  slab::group made("held");
  slab::group copy = made, moved = std::move(made);
  CHECK(copy == moved && !made);
  CHECK(slab::group::find("/held") == copy);
  moved = slab::group();
  CHECK(slab_group_is_online(copy.get()));
  copy.close();
  CHECK(!slab_group_is_online(copy.get()));
  try {
    slab::group::find("/held");
    CHECK(false);
  } catch (const std::system_error &error) {
    CHECK(error.code().value() == SLAB_NO_SUCH_GROUP && error.code().category() == slab::category());
    CHECK(std::string(error.what()) == "no online group has this path");
  }
}

int main() {
  resources();
  allocators();
  scopes();
  holds();
  std::puts("containers: ok");
}
