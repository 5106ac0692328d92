// SPDX-License-Identifier: Apache-2.0
// The time of a Swift object with the C library's malloc, in nanoseconds.
//
//   SwiftObjects [MILLIONS]

import SwiftSessions

let found = await Task { nanoseconds(roundsAsked()) }.value
print(found)
