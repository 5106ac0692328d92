// SPDX-License-Identifier: Apache-2.0
// operator new and delete in all their forms, what they throw, and the handler.
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

static int calls;
static const std::size_t huge = std::size_t(1) << 60;

static void count_and_give_up() {
  if (++calls == 3) std::set_new_handler(nullptr);
}

struct Unusual {};
static void throw_something_else() { throw Unusual(); }

struct alignas(256) Wide {
  char bytes[300];
};

template <typename Allocate>
static bool throws_bad_alloc(Allocate allocate) {
  try {
    allocate();
  } catch (const std::bad_alloc &error) {
    return std::string(error.what()) == "std::bad_alloc";
  }
  return false;
}

int main() {
  auto wide = std::align_val_t(4096);
  operator delete(opaque(operator new(10)));
  operator delete(opaque(operator new(10)), std::size_t(10));
  operator delete[](opaque(operator new[](10)));
  operator delete[](opaque(operator new[](10)), std::size_t(10));
  operator delete(opaque(operator new(10, std::nothrow)), std::nothrow);
  operator delete[](opaque(operator new[](10, std::nothrow)), std::nothrow);
  for (void *block : {opaque(operator new(10, wide)), opaque(operator new(10, wide, std::nothrow))}) {
    CHECK(reinterpret_cast<std::uintptr_t>(block) % 4096 == 0);
    operator delete(block, wide);
  }
  for (void *block : {opaque(operator new[](10, wide)), opaque(operator new[](10, wide, std::nothrow))}) {
    CHECK(reinterpret_cast<std::uintptr_t>(block) % 4096 == 0);
    operator delete[](block, std::size_t(10), wide);
  }
  operator delete(opaque(operator new(10, wide)), std::size_t(10), wide);
  operator delete(opaque(operator new(10, wide)), wide, std::nothrow);
  operator delete[](opaque(operator new[](10, wide)), wide, std::nothrow);
  operator delete(nullptr);
  CHECK(operator new(0) != nullptr);

  auto object = std::make_unique<Wide>();
  CHECK(reinterpret_cast<std::uintptr_t>(object.get()) % 256 == 0);
  std::vector<std::string> words;
  for (int number = 0; number < 10000; number++) words.push_back("word number " + std::to_string(number));
  std::thread([&words] { words.clear(); words.shrink_to_fit(); }).join();

  CHECK(throws_bad_alloc([] { opaque(operator new(huge)); }));
  CHECK(throws_bad_alloc([] { opaque(operator new[](huge)); }));
  CHECK(throws_bad_alloc([=] { opaque(operator new(huge, wide)); }));
  CHECK(throws_bad_alloc([=] { opaque(operator new[](huge, wide)); }));
  CHECK(operator new(huge, std::nothrow) == nullptr && operator new[](huge, std::nothrow) == nullptr);
  CHECK(operator new(huge, wide, std::nothrow) == nullptr);
  CHECK(operator new[](huge, wide, std::nothrow) == nullptr);

  std::set_new_handler(count_and_give_up);
  CHECK(throws_bad_alloc([] { opaque(operator new(huge)); }) && calls == 3);
  calls = 0;
  std::set_new_handler(count_and_give_up);
  CHECK(operator new(huge, std::nothrow) == nullptr && calls == 3);
  std::set_new_handler(throw_something_else);
  bool caught = false;
  try {
    opaque(operator new(huge));
  } catch (const Unusual &) {
    caught = true;
  }
  CHECK(caught);
  // Whatever the handler throws, this form does not.
  CHECK(operator new(huge, std::nothrow) == nullptr);
  CHECK(operator new[](huge, wide, std::nothrow) == nullptr);
  return 0;
}
