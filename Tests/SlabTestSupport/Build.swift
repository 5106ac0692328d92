// SPDX-License-Identifier: Apache-2.0
// How the tests were built: sizes of the large ones depend on it.

import Glibc

/// Whether this is a debug build.
public var isDebugBuild: Bool {
  #if DEBUG
    true
  #else
    false
  #endif
}

/// Whether a sanitizer is at work. Its runtime holds locks of its own that a fork does not take, and
/// keeps freed memory of the tests themselves.
public let isSanitized =
  unsafe dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
