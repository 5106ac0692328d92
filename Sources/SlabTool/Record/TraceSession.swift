// SPDX-License-Identifier: Apache-2.0
// The kernel's tracing, set up for a recording: in an instance of its own, whose settings and buffer are nobody
// else's, or else in the folder that all share.
//
// Invariant: with the owner's end, on whatever way, each setting is what it was before, and the instance is gone.

import Glibc

struct TraceSession: ~Copyable {
  /// Those without which nothing can be replayed.
  private static let neededEvents = ["kmem/kmem_cache_alloc", "kmem/kmem_cache_free"]
  /// Those that a kernel may be without, which is said.
  private static let wantedEvents = [
    "kmem/kmalloc", "kmem/kfree", "cgroup/cgroup_mkdir", "cgroup/cgroup_rmdir",
    "cgroup/cgroup_attach_task", "sched/sched_process_fork", "sched/sched_process_exit",
  ]
  /// Linux up to 6.0 has them besides those without a node.
  private static let olderEvents = ["kmem/kmem_cache_alloc_node", "kmem/kmalloc_node"]

  let folder: TraceFolder
  /// What a reader of the recording should know about this kernel.
  private(set) var notes: [String] = []
  private let instance: TraceInstance?
  private var settings: TraceSettings
  /// The descriptor of trace_pipe; -1 until it is open.
  private var pipe: CInt = -1

  /// Changes nothing yet but making the instance.
  init(in root: TraceFolder) throws(RecordError) {
    instance = try TraceInstance(in: root)
    folder = instance?.folder ?? root
    settings = TraceSettings(of: folder)
  }

  deinit {
    var settings = settings
    var failures = settings.restore()
    // The kernel keeps an instance whose files are open.
    if pipe >= 0 { close(pipe) }
    if let failure = instance?.remove() { failures.append(failure) }
    for failure in failures { StandardStream.writeMessage("slab: \(failure)\n") }
  }

  /// Sets everything up, with a buffer of `bufferMebibytes` for each CPU; tracing is off yet.
  mutating func setUp(bufferMebibytes: Int) throws(RecordError) {
    try settings.set("tracing_on", to: "0")
    try setBuffer(mebibytes: bufferMebibytes)
    if folder.has("options/hash-ptr") {
      try settings.set("options/hash-ptr", to: "0")
    } else {
      notes.append(
        "this kernel has no option hash-ptr: addresses may be hashes, and two of them can be equal")
    }
    for event in Self.neededEvents {
      guard folder.has("events/\(event)") else { throw .missingEvent(name: event) }
      try enable(event)
    }
    for event in Self.wantedEvents {
      if folder.has("events/\(event)") {
        try enable(event)
      } else {
        notes.append("this kernel has no event \(event)")
      }
    }
    for event in Self.olderEvents where folder.has("events/\(event)") { try enable(event) }
    // What was in the buffer before is not of this recording.
    try folder.set("trace", to: "")
    pipe = try folder.number(ofOpen: "trace_pipe", O_RDONLY | O_NONBLOCK)
  }

  private mutating func enable(_ event: String) throws(RecordError) {
    try settings.set("events/\(event)/enable", to: "1")
  }

  private mutating func setBuffer(mebibytes: Int) throws(RecordError) {
    do throws(RecordError) {
      try settings.set("buffer_size_kb", to: "\(mebibytes << 10)")
    } catch .cannotSet(_, _, ENOMEM) {
      throw .noMemory(mebibytes: mebibytes)
    }
  }

  func start() throws(RecordError) {
    try folder.set("tracing_on", to: "1")
  }

  /// No event comes any more; what is in the buffer can still be read.
  func stop() throws(RecordError) {
    try folder.set("tracing_on", to: "0")
  }

  /// Reads what there is, without waiting; 0 if there is nothing now.
  func read(into bytes: inout [UInt8]) throws(RecordError) -> Int {
    let number = pipe
    while true {
      // SAFETY: the call writes at most the bytes that the array owns.
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe Glibc.read(number, buffer.baseAddress, buffer.count)
      }
      if count >= 0 { return count }
      switch errno {
      case EINTR: continue
      case EAGAIN: return 0
      default: throw .cannotRead(path: "\(folder.path)/trace_pipe", errno: errno)
      }
    }
  }

  /// How many events found no room in the buffer, by the kernel's count for each CPU.
  func lostEvents() -> Int {
    var sum = 0
    var cpu = 0
    while folder.has("per_cpu/cpu\(cpu)/stats") {
      sum += Self.lostEvents(in: (try? folder.text(of: "per_cpu/cpu\(cpu)/stats")) ?? "")
      cpu += 1
    }
    return sum
  }

  static func lostEvents(in statistics: String) -> Int {
    statistics.split(separator: "\n").reduce(0) { sum, line in
      let parts = line.split(separator: ":")
      guard parts.count == 2, ["overrun", "dropped events"].contains(parts[0]) else { return sum }
      return sum + (Int(parts[1].drop { $0 == " " }) ?? 0)
    }
  }
}
