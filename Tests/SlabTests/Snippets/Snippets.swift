// SPDX-License-Identifier: Apache-2.0
import SlabTestSupport
import Testing

/// The code of the documentation. Its suites share the process's allocator, and what they make has the
/// names that readers see ("session", "tenant-1"): so they run one after the other, and each test ends
/// what it has made.
@Suite(.inTurn, .serialized) enum Snippets {}
