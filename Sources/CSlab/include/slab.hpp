// SPDX-License-Identifier: Apache-2.0
// slab.h for C++17: groups and scopes that end by themselves, a memory resource, and a standard allocator.
//
// Memory belongs to the group that was charged for it, whichever thread frees it. So two resources, and two allocators, are equal
// if they charge the same group: what moves between containers of different tenants is copied, and no tenant pays for what
// another one holds.

#ifndef SLAB_HPP
#define SLAB_HPP

#include "slab.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace slab {

// The errors of slab.h as a category of the standard library's.
inline const std::error_category &category() noexcept {
  struct errors final : std::error_category {
    const char *name() const noexcept override { return "slab"; }
    std::string message(int error) const override { return slab_error_text(static_cast<slab_error>(error)); }
  };
  static const errors instance;
  return instance;
}

// Throws std::system_error for an error, and std::bad_alloc where the system has no memory.
inline void check(slab_error error) {
  if (error == SLAB_OUT_OF_MEMORY) throw std::bad_alloc();
  if (error != SLAB_OK) throw std::system_error(static_cast<int>(error), category());
}

// A hold on a group, or on none. Copies share the group; the last hold that goes closes it.
class group {
 public:
  group() noexcept = default;

  // Makes a group: see slab_group_create. A parent of nullptr is the current group.
  explicit group(const char *name, std::size_t max = SLAB_NO_LIMIT, slab_group *parent = nullptr) {
    check(slab_group_create(parent, name, max, &group_));
  }

  // Finds an online group by its path: see slab_group_find.
  static group find(const char *path, slab_group *from = nullptr) {
    group found;
    check(slab_group_find(from, path, &found.group_));
    return found;
  }

  group(const group &other) noexcept : group_(other.group_) {
    if (group_ != nullptr) slab_group_hold(group_);
  }
  group(group &&other) noexcept : group_(std::exchange(other.group_, nullptr)) {}
  group &operator=(group other) noexcept {
    std::swap(group_, other.group_);
    return *this;
  }
  ~group() { slab_group_drop(group_); }

  // Makes a group below this one.
  group child(const char *name, std::size_t max = SLAB_NO_LIMIT) const { return group(name, max, group_); }

  // For the functions of slab.h; nullptr for none, which they take for the current group.
  slab_group *get() const noexcept { return group_; }
  explicit operator bool() const noexcept { return group_ != nullptr; }

  void close() { check(slab_group_close(group_)); }
  // See slab_group_discard: no thread uses or frees an object of the group any more.
  void discard() { check(slab_group_discard(group_)); }

  std::size_t usage() const noexcept { return slab_group_usage(group_); }
  std::size_t peak() const noexcept { return slab_group_peak(group_); }

  friend bool operator==(const group &left, const group &right) noexcept { return left.group_ == right.group_; }
  friend bool operator!=(const group &left, const group &right) noexcept { return left.group_ != right.group_; }

 private:
  slab_group *group_ = nullptr;
};

// Makes a group the current one of this thread until the scope ends, on this thread. The group is held meanwhile.
class scope {
 public:
  explicit scope(group entered) noexcept
      : group_(std::move(entered)), former_(slab_group_enter(group_.get())) {}
  scope(const scope &) = delete;
  scope &operator=(const scope &) = delete;
  ~scope() { slab_group_restore(former_); }

 private:
  group group_;
  slab_group *former_;
};

namespace detail {

// A block for a container; std::bad_alloc where it is refused.
inline void *allocate(slab_group *group, std::size_t size, std::size_t alignment) {
  // Blocks are aligned to 16 bytes anyway.
  void *block = alignment <= 16 ? slab_allocate(group, size, nullptr)
                                : slab_allocate_aligned(group, size, alignment, nullptr);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace detail

// A memory resource that charges a group, which it holds; or the current group of each allocation. What is refused is a
// std::bad_alloc, as are alignments above 1 GiB. Any resource of this class may free what another one has allocated.
class memory_resource : public std::pmr::memory_resource {
 public:
  // Charges the group that is the current one where an allocation is made.
  memory_resource() noexcept = default;
  explicit memory_resource(slab::group charged) noexcept : group_(std::move(charged)) {}

  const slab::group &group() const noexcept { return group_; }

 private:
  void *do_allocate(std::size_t size, std::size_t alignment) override {
    return detail::allocate(group_.get(), size, alignment);
  }
  void do_deallocate(void *block, std::size_t, std::size_t) override { slab_free(block); }
  bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override {
    if (this == &other) return true;
#ifdef __cpp_rtti
    auto *same = dynamic_cast<const memory_resource *>(&other);
    return same != nullptr && same->group_ == group_;
#else
    return false;
#endif
  }

  slab::group group_;
};

// An allocator that charges a group, or the current group of each allocation. As a pointer to a memory resource it
// holds nothing: the group is held by others for as long as a container may allocate. Memory may be freed at any time.
//
//   copy of a container      charged to the group of what is copied, so that it escapes no limit
//   copy and move to one     the destination keeps its group; from another group elements are copied or moved
//   swap                     groups are exchanged with the contents
template <class T>
class allocator {
 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::false_type;
  using propagate_on_container_move_assignment = std::false_type;
  using propagate_on_container_swap = std::true_type;
  using is_always_equal = std::false_type;
  static_assert(alignof(T) <= 1u << 30, "blocks are aligned to 1 GiB at most");

  // Charges the group that is the current one where an allocation is made.
  allocator() noexcept = default;
  explicit allocator(slab_group *charged) noexcept : group_(charged) {}
  explicit allocator(const group &charged) noexcept : group_(charged.get()) {}
  template <class U>
  allocator(const allocator<U> &other) noexcept : group_(other.group()) {}

  // std::bad_alloc where it is refused.
  [[nodiscard]] T *allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T *>(detail::allocate(group_, count * sizeof(T), alignof(T)));
  }
  void deallocate(T *block, std::size_t) noexcept { slab_free(block); }

  // nullptr for the current group.
  slab_group *group() const noexcept { return group_; }

  template <class U>
  friend bool operator==(const allocator &left, const allocator<U> &right) noexcept {
    return left.group() == right.group();
  }
  template <class U>
  friend bool operator!=(const allocator &left, const allocator<U> &right) noexcept {
    return left.group() != right.group();
  }

 private:
  slab_group *group_ = nullptr;
};

}  // namespace slab

#endif
