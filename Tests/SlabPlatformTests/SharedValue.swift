// SPDX-License-Identifier: Apache-2.0
// A number that threads of a test share.

import Synchronization

final class SharedValue: Sendable {
  let value: Atomic<Int>
  init(_ initial: Int = 0) { value = Atomic(initial) }
}
