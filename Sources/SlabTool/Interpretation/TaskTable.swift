// SPDX-License-Identifier: Apache-2.0
// Which group a task is in, by its pid.
//
// A task is not forgotten when it exits: the kernel reports the exit early, while the task still
// frees and allocates. Its entry is overwritten when its pid is given out again. The table is
// bounded by the greatest pid of Linux all the same: 16 MiB at most, 128 KiB on most machines.

struct TaskTable {
  private var groups: [Int32] = []
  private static let none: Int32 = -1

  /// The group of task `pid`; nil outside every recorded group.
  subscript(pid: Int) -> Int? {
    get {
      pid < groups.count && groups[pid] != Self.none ? Int(groups[pid]) : nil
    }
    set {
      if pid >= groups.count {
        // Nothing needs to be written to leave an unknown task in no group.
        guard newValue != nil else { return }
        groups += repeatElement(Self.none, count: max(pid + 1, 2 * groups.count) - groups.count)
      }
      groups[pid] = newValue.map { Int32($0) } ?? Self.none
    }
  }
}
