// SPDX-License-Identifier: Apache-2.0
// A churn to look at: jobs of eight tenants that come and go, as many at a time as are wanted, of any size. Some tenants
// have limits, one of them close to what it has; of the last one ended groups stay while some objects live on.

import Slab

struct SteadyChurn {
  @safe private struct Object {
    let cache: Int
    let address: UnsafeMutableRawPointer
    /// The step in which its job ended.
    var step = 0
  }

  private struct Job {
    var group: MemoryGroup
    var tenant: Int
    var objects: [Object] = []
  }

  /// Objects that outlive their job until that many steps are over.
  private static let stepsOfSurvivors = 50
  private static let tenantCount = 8

  private let load: ChurnLoad
  private let roots: [RawSlabCache]
  private let tenants: [MemoryGroup]
  private var jobs: [Job] = []
  /// Where the oldest job is.
  private var oldest = 0
  private var survivors: [Object] = []
  private var made = 0
  private var step = 0
  private var numbers = Numbers()

  /// Makes the caches, the tenants and the first jobs.
  init(_ load: ChurnLoad, in allocator: SlabAllocator) throws(ToolError) {
    self.load = load
    do throws(SlabError) {
      var roots: [RawSlabCache] = []
      for index in 0..<load.caches {
        let (name, bytes) = ChurnLoad.cache(index)
        roots.append(try RawSlabCache(named: name, objectSize: bytes, of: allocator))
      }
      self.roots = roots
      var tenants: [MemoryGroup] = []
      for number in 1...Self.tenantCount {
        tenants.append(
          try allocator.rootGroup.makeChild(
            named: "tenant-\(number)", endings: number == Self.tenantCount ? .keep : nil))
      }
      self.tenants = tenants
      for _ in 0..<load.groups { jobs.append(try makeJob()) }
      for (tenant, percent) in [(1, 92), (2, 65), (3, 30)] {
        try tenants[tenant].setMax(max(tenants[tenant].usage, 1 << 16) * 100 / percent)
      }
    } catch {
      throw .allocator("make \(load.groups.grouped) groups", error)
    }
  }

  /// Ends the hundredth part of the jobs, the oldest ones, and makes as many.
  mutating func advance() throws(ToolError) {
    step += 1
    for _ in 0..<max(load.groups / 100, 1) {
      let ended = jobs[oldest]
      free(ended, keepsSome: ended.tenant == Self.tenantCount - 1)
      do throws(SlabError) {
        try ended.group.close()
        jobs[oldest] = try makeJob()
      } catch {
        throw .allocator("replace a group", error)
      }
      oldest = (oldest + 1) % jobs.count
    }
    let over = survivors.prefix { $0.step + Self.stepsOfSurvivors < step }
    for object in over { free(object) }
    survivors.removeFirst(over.count)
  }

  /// Frees what is there.
  mutating func end() {
    for job in jobs { free(job, keepsSome: false) }
    jobs = []
    for object in survivors { free(object) }
    survivors = []
  }

  private mutating func makeJob() throws(SlabError) -> Job {
    made += 1
    // The first tenants have the most: the eighth has a ninth of what the first one has.
    let draw = numbers.next(below: 100)
    let tenant = [28, 48, 62, 73, 82, 89, 95].firstIndex { draw < $0 } ?? Self.tenantCount - 1
    var job = Job(group: try tenants[tenant].makeChild(named: "job-\(made)"), tenant: tenant)
    for cache in roots.indices where numbers.next(below: 3) > 0 {
      for _ in 0..<load.objects * (1 + numbers.next(below: 8)) {
        // At its limit a tenant's job does with less.
        guard let object = try? unsafe roots[cache].allocate(in: job.group) else { break }
        job.objects.append(unsafe Object(cache: cache, address: object))
      }
    }
    return job
  }

  private mutating func free(_ job: Job, keepsSome: Bool) {
    for (index, object) in job.objects.enumerated() {
      if keepsSome, index % 16 == 0 {
        var survivor = object
        survivor.step = step
        survivors.append(survivor)
      } else {
        free(object)
      }
    }
  }

  private func free(_ object: Object) {
    // SAFETY: the object is of this cache, live, and freed here only.
    unsafe roots[object.cache].free(object.address)
  }
}

/// Numbers that are the same in every run (SplitMix64).
private struct Numbers {
  private var state: UInt64 = 2026

  mutating func next(below bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
  }
}
