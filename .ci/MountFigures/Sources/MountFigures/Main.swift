// SPDX-License-Identifier: Apache-2.0
// MountFigures DIRECTORY: what 128 KiB reads of a long text give, and what a reader at full speed, a process of its own,
// costs a thread that allocates.
// MountFigures read PATH...: that reader.

import Glibc
import Slab
import SlabMount

@main enum Main {
  static func main() throws {
    let arguments = CommandLine.arguments
    switch arguments.count {
    case 2:
      try readLongText(at: arguments[1])
      try allocateBesideReader(at: arguments[1], apart: true)
      try allocateBesideReader(at: arguments[1], apart: false)
    case 3... where arguments[1] == "read": read(Array(arguments[2...]))
    default: fatalError("usage: MountFigures DIRECTORY")
    }
  }

  private static func open(_ path: String) -> CInt {
    // SAFETY: a text for the length of the call.
    let file = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
    precondition(file >= 0, "cannot open \(path)")
    return file
  }

  private static func seconds() -> Double { Double(nanoseconds()) / 1e9 }

  // MARK: - 128 KiB at a time

  private static func readLongText(at directory: String) throws {
    let allocator = try SlabAllocator()
    let caches = try (0..<5000).map {
      try RawSlabCache(named: "cache-\($0)", objectSize: 64, of: allocator)
    }
    let mount = try SlabMount.start(at: directory, of: allocator)
    defer { mount.stop() }
    let file = open(directory + "/slabinfo")
    defer { close(file) }
    let size = 128 << 10
    var bytes = [UInt8](repeating: 0, count: size)
    // The text is made by the read from its beginning; those behind are of the same.
    precondition(unsafe pread(file, &bytes, size, 0) == size)
    var most = 0.0
    for _ in 0..<5 {
      let start = seconds()
      var count = 0
      while seconds() - start < 1 {
        precondition(unsafe pread(file, &bytes, size, off_t(size)) == size)
        count += 1
      }
      most = max(most, Double(count * size) / (seconds() - start))
    }
    print("\(Int(most / 1e6)) MB/s: reads of 128 KiB of one text")
    withExtendedLifetime(caches) {}
  }

  // MARK: - Beside a reader

  /// What a process beside the thread does, and all the others do not.
  private enum Neighbour: String, CaseIterable {
    case nobody = "nobody"
    case kernel = "a reader of the kernel's texts"
    case mount = "a reader of the mount"
  }

  /// For ever, one text after the other.
  private static func read(_ paths: [String]) -> Never {
    var bytes = [UInt8](repeating: 0, count: 128 << 10)
    while true {
      for path in paths {
        let file = open(path)
        precondition(unsafe Glibc.read(file, &bytes, bytes.count) > 0)
        close(file)
      }
    }
  }

  /// If `apart`, the thread that allocates has a CPU of its own, and the reader and the thread that answers it have another one:
  /// what remains are locks, cache lines, and what the two CPUs share. If not, three threads share two CPUs as the system likes.
  /// A reader of the kernel's own texts shows what of it any reader costs.
  private static func allocateBesideReader(at directory: String, apart: Bool) throws {
    // Threads and processes that are started have the CPUs of this one.
    if apart { stay(on: 0b10) }
    defer { stay(on: 0b11) }
    let allocator = try SlabAllocator()
    let caches = try (0..<40).map {
      try RawSlabCache(named: "cache-\($0)", objectSize: 64 + 8 * $0, of: allocator)
    }
    let group = try allocator.rootGroup.makeChild(named: "tenant")
    let mount = try SlabMount.start(at: directory, of: allocator)
    defer { mount.stop() }
    let readers: [Neighbour: pid_t] = [
      .kernel: try start(["read", "/proc/self/maps", "/proc/self/status"]),
      .mount: try start(["read", directory + "/slabinfo", directory + "/cgroup/tenant/memory.stat"]
      ),
    ]
    defer {
      for reader in readers.values {
        kill(reader, SIGKILL)
        var status: CInt = 0
        _ = unsafe waitpid(reader, &status, 0)
      }
    }
    if apart { stay(on: 0b01) }
    var times: [Neighbour: [Times]] = [:]
    var live = unsafe try (0..<2000).map { try unsafe caches[$0 % 40].allocate(in: group) }
    // In turn, so that what else the machine does is in all of them.
    for round in 0..<60 {
      let neighbour = Neighbour.allCases[round % 3]
      for (other, reader) in readers { kill(reader, other == neighbour ? SIGCONT : SIGSTOP) }
      usleep(50_000)
      times[neighbour, default: []].append(try unsafe measure(caches, in: group, &live))
    }
    for reader in readers.values { kill(reader, SIGCONT) }
    let place = apart ? "on a CPU of its own" : "on any CPU"
    for (name, key) in [("p50", \Times.half), ("p99", \Times.most)] {
      print("\(name) of a free and an allocation, \(place):")
      for neighbour in Neighbour.allCases {
        print(
          "  \(middle(times[neighbour]!.map { $0[keyPath: key] })) ns beside \(neighbour.rawValue)")
      }
    }
    for index in unsafe live.indices { unsafe caches[index % 40].free(live[index]) }
  }

  private struct Times {
    let half, most: Int
  }

  private static func middle(_ values: [Int]) -> Int { values.sorted()[values.count / 2] }

  /// For a quarter of a second, in nanoseconds.
  @unsafe private static func measure(
    _ caches: [RawSlabCache], in group: MemoryGroup, _ live: inout [UnsafeMutableRawPointer]
  ) throws -> Times {
    var counts = [Int](repeating: 0, count: 100_000)
    var total = 0
    var place = 0
    let end = nanoseconds() + 250_000_000
    var before = nanoseconds()
    while before < end {
      let cache = caches[place % 40]
      unsafe cache.free(live[place])
      unsafe live[place] = try unsafe cache.allocate(in: group)
      place = unsafe place + 1 == live.count ? 0 : place + 1
      let after = nanoseconds()
      counts[min(after - before, counts.count - 1)] += 1
      total += 1
      before = after
    }
    func quantile(_ part: Double) -> Int {
      var left = Int(Double(total) * part)
      return counts.firstIndex { count in
        left -= count
        return left < 0
      } ?? counts.count
    }
    return Times(half: quantile(0.5), most: quantile(0.99))
  }

  /// CPUs of this thread, as bits.
  private static func stay(on cpus: UInt) {
    typealias Function = @convention(c) (pid_t, Int, UnsafeRawPointer) -> CInt
    // SAFETY: the function of that name, which the overlay keeps from Swift.
    let function = unsafe unsafeBitCast(dlsym(nil, "sched_setaffinity")!, to: Function.self)
    var cpus = cpus
    // SAFETY: the call reads the word of this frame.
    let error = unsafe function(0, MemoryLayout<UInt>.size, &cpus)
    precondition(error == 0, "cannot stay on CPUs \(cpus)")
  }

  private static func nanoseconds() -> Int {
    var time = timespec()
    // SAFETY: the call fills the structure of this frame.
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }

  /// This program, with arguments.
  private static func start(_ arguments: [String]) throws -> pid_t {
    // SAFETY: the texts live as long as the process, and the list ends with nil.
    var texts = unsafe (["/proc/self/exe"] + arguments).map { unsafe strdup($0) } + [nil]
    var process: pid_t = 0
    let error = unsafe posix_spawn(
      &process, "/proc/self/exe", nil, nil, &texts, environ)
    precondition(error == 0, "cannot start a reader")
    return process
  }
}
