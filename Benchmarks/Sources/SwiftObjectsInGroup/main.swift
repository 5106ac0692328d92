// SPDX-License-Identifier: Apache-2.0
// The time of a Swift object with this allocator's malloc, in a group of a task, in nanoseconds.
//
//   SwiftObjectsInGroup [MILLIONS]

import Slab
import SwiftSessions

let group = try MemoryGroup.root.makeChild(named: "tenant")
let found = await Task {
  await MemoryGroup.withCurrent(group) { () async -> Double in nanoseconds(roundsAsked()) }
}.value
guard group.peak > 0 else { fatalError("nothing was charged") }
print(found)
