// SPDX-License-Identifier: Apache-2.0
// In C++, for a program in C: its C++ library comes with it, and nobody else sees that one's names.
#include <new>
#include <string>

extern "C" int use_memory(std::size_t bytes) {
  try {
    std::string text(bytes, 'x');
    return text.size() == bytes ? 1 : 0;
  } catch (const std::bad_alloc &) {
    return 2;
  }
}

extern "C" int use_quietly(std::size_t bytes) {
  char *block = new (std::nothrow) char[bytes];
  delete[] block;
  return block != nullptr;
}
