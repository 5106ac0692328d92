// SPDX-License-Identifier: Apache-2.0
// One set of events as each kernel and each tool prints it: what the matrix of formats consists of.

import Testing

@testable import SlabTool

/// What happens on the recorded machine.
enum Happening {
  case mkdir(Int, String)
  case rmdir(Int, String)
  case attach(Int, to: Int)
  case fork(Int, Int)
  case exit(Int)
  /// Object size, charge, and whether the event of a certain node is used where there is one.
  case allocate(UInt64, cache: String, bytes: Int, isCharged: Bool, task: Int, isOnNode: Bool)
  case kmalloc(UInt64, bytes: Int, isCharged: Bool, task: Int, isOnNode: Bool)
  case free(UInt64, cache: String)
  /// Nothing is freed by an address of 0.
  case kfree(UInt64)
  case other
}

/// What a kernel prints, by the version from which on it does.
enum KernelGeneration: String, CaseIterable {
  case v4p4 = "4.4"
  case v4p15 = "4.15"
  case v5p3 = "5.3"
  case v5p13 = "5.13"
  case v6p0 = "6.0"
  case v6p1 = "6.1"
  case v6p18numbers = "6.18, accounted as a number"
  case v6p19 = "6.19"

  private func isAtLeast(_ other: Self) -> Bool {
    Self.allCases.firstIndex(of: self)! >= Self.allCases.firstIndex(of: other)!
  }

  var namesSites: Bool { isAtLeast(.v5p3) }
  var hasFreedNames: Bool { isAtLeast(.v5p13) }
  var hasNames: Bool { self == .v6p19 }
  var hasAccounted: Bool { isAtLeast(.v6p0) }
  /// `kmem_cache_alloc_node` and `kmalloc_node`.
  var hasNodeEvents: Bool { !isAtLeast(.v6p1) }
  var hashesPointers: Bool { self == .v4p15 }
}

/// What prints, and with which options.
enum Printer: String, CaseIterable {
  case trace, traceWithoutFlags, traceWithThreadGroups, traceFields
  case traceCmdOld, traceCmd
  case perf, perfWithoutCPU, perfWithoutTime, perfBare

  var format: RecordingFormat {
    switch self {
    case .trace, .traceWithoutFlags, .traceWithThreadGroups, .traceFields: .tracefs
    case .traceCmdOld, .traceCmd: .traceCmd
    case .perf, .perfWithoutCPU, .perfWithoutTime, .perfBare: .perf
    }
  }

  /// `options/fields` came with Linux 6.4.
  func isPossible(on kernel: KernelGeneration) -> Bool {
    self != .traceFields || kernel == .v6p1 || kernel == .v6p19
  }
}

struct RecordingWriter {
  var kernel: KernelGeneration
  var printer: Printer
  private(set) var text = ""
  private var microseconds = 0

  init(kernel: KernelGeneration, printer: Printer) {
    self.kernel = kernel
    self.printer = printer
    text = preamble
  }

  private var preamble: String {
    switch printer.format {
    case .tracefs:
      "# tracer: nop\n#\n# entries-in-buffer/entries-written: 99/99   #P:2\n#\n"
        + "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
    case .traceCmd: (printer == .traceCmdOld ? "version = 6\n" : "") + "CPU 1 is empty\ncpus=2\n"
    case .perf: "# ========\n# captured on    : today\n# ========\n#\n"
    }
  }

  mutating func write(_ happening: Happening) {
    switch happening {
    case .mkdir(let id, let path):
      write(1, "cgroup", "cgroup_mkdir", group(id, path), comm: "mk dir-1")
    case .rmdir(let id, let path):
      write(1, "cgroup", "cgroup_rmdir", group(id, path))
    case .attach(let task, let id):
      write(task, "cgroup", "cgroup_attach_task", attach(task, id))
    case .fork(let parent, let child):
      write(parent, "sched", "sched_process_fork", fork(parent, child), comm: "<...>")
    case .exit(let task):
      write(task, "sched", "sched_process_exit", "comm=a b pid=\(task) prio=120")
    case .allocate(let address, let cache, let bytes, let isCharged, let task, let isOnNode):
      let isNodeEvent = isOnNode && kernel.hasNodeEvents
      write(
        task, "kmem", isNodeEvent ? "kmem_cache_alloc_node" : "kmem_cache_alloc",
        allocation(
          address, site: "alloc_\(cache)", name: cache, bytes: bytes, isCharged: isCharged,
          hasNode: isNodeEvent), comm: "[a] b-2")
    case .kmalloc(let address, let bytes, let isCharged, let task, let isOnNode):
      let isNodeEvent = isOnNode && kernel.hasNodeEvents
      write(
        task, "kmem", isNodeEvent ? "kmalloc_node" : "kmalloc",
        allocation(
          address, site: "f", name: nil, bytes: bytes, isCharged: isCharged, hasNode: isNodeEvent))
    case .free(let address, let cache):
      let name = kernel.hasFreedNames ? " name=\(cache)" : ""
      write(
        0, "kmem", "kmem_cache_free", call("free_\(cache)") + pointer(address) + name,
        comm: "<idle>")
    case .kfree(let address):
      write(0, "kmem", "kfree", call("kfree_it") + pointer(address))
    case .other:
      write(3, "sched", "sched_switch", "prev_comm=a prev_pid=3 ==> next_comm=b next_pid=4")
    }
  }

  // MARK: Heads

  private mutating func write(
    _ task: Int, _ system: String, _ event: String, _ fields: String, comm: String = "bash"
  ) {
    microseconds += 7
    let digits = String(microseconds)
    let time = "12." + String(repeating: "0", count: 6 - digits.count) + digits
    func padded(_ text: String, _ columns: Int) -> String {
      String(repeating: " ", count: max(0, columns - text.count)) + text
    }
    let name = padded(comm, 16)
    let pid = String(task)
    let gap = String(repeating: " ", count: max(1, 10 - pid.count))
    let padding = String(repeating: " ", count: max(0, 20 - event.count))
    let perfName = padded("\(system):\(event)", 24)
    switch printer {
    case .trace, .traceFields: text += "\(name)-\(pid)\(gap)[000] d..1.  \(time): \(event): "
    case .traceWithoutFlags: text += "\(name)-\(pid)\(gap)[000]  \(time): \(event): "
    case .traceWithThreadGroups:
      let group = task == 0 ? "(-----)" : "( \(padded(pid, 4)))"
      text += "\(name)-\(pid)\(gap)\(group) [001] .....  \(time): \(event): "
    case .traceCmdOld: text += "\(name)-\(pid)  [000]  \(time): \(event): \(padding)"
    case .traceCmd: text += "\(name)-\(pid)\(gap)[000] d..1. \(time): \(event): \(padding)"
    case .perf: text += "\(name) \(padded(pid, 5)) [000]  \(time): \(perfName): "
    case .perfWithoutCPU: text += "\(name) \(padded(pid, 5))  \(time): \(perfName): "
    case .perfWithoutTime: text += "\(name) \(padded(pid, 5)) [001] \(perfName): "
    case .perfBare: text += "\(name) \(pid)/\(pid) \(system):\(event): "
    }
    text += fields + "\n"
  }

  // MARK: Fields

  private func number(_ value: Int) -> String {
    printer == .traceFields ? "0x\(String(value, radix: 16)) (\(value))" : String(value)
  }

  private func group(_ id: Int, _ path: String) -> String {
    printer == .traceFields
      ? "root=\(number(4)) level=\(number(2)) id=\(number(id)) path=\(path)"
      : "root=4 id=\(id) level=2 path=\(path)"
  }

  private func attach(_ task: Int, _ id: Int) -> String {
    printer == .traceFields
      ? "dst_root=\(number(4)) dst_level=\(number(2)) dst_id=\(number(id)) pid=\(number(task)) "
        + "dst_path=/x comm=bash"
      : "dst_root=4 dst_id=\(id) dst_level=2 dst_path=/x pid=\(task) comm=a pid=9"
  }

  private func fork(_ parent: Int, _ child: Int) -> String {
    printer == .traceFields
      ? "parent_comm=a parent_pid=\(number(parent)) child_comm=a child_pid=\(number(child))"
      : "comm=a pid=\(parent) child_comm=a child_pid=\(child)"
  }

  /// The plug-ins of trace-cmd and perf put the symbol ahead where the kernel has none.
  private func call(_ function: String) -> String {
    let address =
      "ffffffff81\(String(function.utf8.reduce(0) { $0 * 31 % 65521 + Int($1) }, radix: 16))"
    switch printer {
    case .traceFields: return "call_site=0x\(address) (-2)"
    case .traceCmdOld, .traceCmd: return "(\(function)+0x24) call_site=\(address)"
    default: return "call_site=" + (kernel.namesSites ? "\(function)+0x24/0x1f0 [mod]" : address)
    }
  }

  private func pointer(_ address: UInt64) -> String {
    let hex = String(address & (kernel.hashesPointers ? 0xffff_ffff : .max), radix: 16)
    switch printer.format {
    case .perf, .traceCmd: return address == 0 ? " ptr=(nil)" : " ptr=0x\(hex)"
    case .tracefs:
      if address == 0, !kernel.hasFreedNames { return " ptr=          (null)" }
      let digits = String(repeating: "0", count: 16 - hex.count) + hex
      return printer == .traceFields ? " ptr=0x\(hex) (-5)" : " ptr=\(digits)"
    }
  }

  private func allocation(
    _ address: UInt64, site: String, name: String?, bytes: Int, isCharged: Bool, hasNode: Bool
  ) -> String {
    let named = kernel.hasNames ? name.map { " name=\($0)" } ?? "" : ""
    var flags = "GFP_NOFS|" + (isCharged && !kernel.hasAccounted ? "__GFP_ACCOUNT" : "__GFP_ZERO")
    if kernel == .v4p4 { flags = "GFP_KERNEL|" + (isCharged ? "GFP_ACCOUNT" : "GFP_NOACCOUNT") }
    if printer == .traceFields { flags = "0xcc0 (3264)" }
    let node =
      hasNode || !kernel.hasNodeEvents
      ? " node=" + (printer == .traceFields ? "0xffffffff (-1)" : "-1") : ""
    return call(site) + pointer(address) + named + " bytes_req=\(number(bytes))"
      + " bytes_alloc=\(number(bytes)) gfp_flags=\(flags)\(node)"
      + (kernel.hasAccounted ? " accounted=\(truth(isCharged))" : "")
  }

  private func truth(_ value: Bool) -> String {
    if printer == .traceFields { return value ? "(1)" : "(0)" }
    if kernel == .v6p18numbers { return value ? "1" : "0" }
    return value ? "true" : "false"
  }
}
