// SPDX-License-Identifier: Apache-2.0
// The fields of the events that a recording of slab life consists of, as Linux 4.4 and later print
// them, and with `options/fields` on. Text fields whose content the recorded programs chose (paths,
// comms) may imitate other fields; each is read so that it cannot: by what must follow it, or from
// the line's end. How values are printed is in RecordedEvent+Values.swift.

/// One event; names and paths are ranges of the line's bytes, so that reading allocates nothing.
enum RecordedEvent: Equatable {
  /// `kmem_cache_alloc`, `kmalloc`, and these with `_node`.
  case allocation(Allocation)
  /// `kmem_cache_free` and `kfree`.
  case free(address: KernelAddress)
  /// `cgroup_mkdir`.
  case groupMade(root: UInt64, id: UInt64, path: Range<Int>)
  /// `cgroup_rmdir`.
  case groupRemoved(root: UInt64, id: UInt64)
  /// `cgroup_attach_task`.
  case attach(pid: Int, root: UInt64, group: UInt64)
  /// `sched_process_fork`; the parent is the task that the line belongs to.
  case fork(child: Int)
  /// `sched_process_exit`.
  case exit
  /// An event that says nothing about slab life.
  case unknown
  /// An event of a known name without the fields that it must have.
  case malformed
  /// The same for an allocation.
  case malformedAllocation

  struct Allocation: Equatable {
    /// What tells the cache.
    enum Cache: Equatable {
      /// Its name.
      case name(Range<Int>)
      /// Where it is called from: kernels up to 6.18 do not name it.
      case callSite(Range<Int>)
      /// `kmalloc`: a cache for each size.
      case size
    }

    /// Whether the allocation is charged to the task's group.
    enum Charge: Equatable {
      /// As the field `accounted` says.
      case accounted(Bool)
      /// As the flags say: kernels before 6.1 have no such field.
      case flags(Bool)
      /// The flags are a number, whose bits differ between kernels.
      case unknown
    }

    /// Null if it failed.
    var address: KernelAddress
    var cache: Cache
    var requestedBytes: UInt64
    var bytes: UInt64
    var charge: Charge
  }

  /// Reads the event of `line`, whose head has been read.
  init(_ line: Span<UInt8>, head: EventHead) {
    let name = head.event
    // Ordered by how often they come; the length rules most of them out.
    switch name.count {
    case 16 where line.has("kmem_cache_alloc", at: name.lowerBound),
      21 where line.has("kmem_cache_alloc_node", at: name.lowerBound):
      self = Self.allocation(in: line, from: head.fields, isSized: false) ?? .malformedAllocation
    case 7 where line.has("kmalloc", at: name.lowerBound),
      12 where line.has("kmalloc_node", at: name.lowerBound):
      self = Self.allocation(in: line, from: head.fields, isSized: true) ?? .malformedAllocation
    case 15 where line.has("kmem_cache_free", at: name.lowerBound),
      5 where line.has("kfree", at: name.lowerBound):
      self = Self.free(in: line, from: head.fields) ?? .malformed
    case 18 where line.has("sched_process_exit", at: name.lowerBound):
      self = .exit
    case 18 where line.has("sched_process_fork", at: name.lowerBound):
      self = Self.fork(in: line) ?? .malformed
    case 18 where line.has("cgroup_attach_task", at: name.lowerBound),
      21 where line.has("cgroup_transfer_tasks", at: name.lowerBound):
      self = Self.attach(in: line, from: head.fields) ?? .malformed
    case 12 where line.has("cgroup_mkdir", at: name.lowerBound):
      self = Self.groupMade(in: line, from: head.fields) ?? .malformed
    case 12 where line.has("cgroup_rmdir", at: name.lowerBound):
      self = Self.groupRemoved(in: line, from: head.fields) ?? .malformed
    default:
      self = .unknown
    }
  }

  // MARK: Objects

  /// `call_site=… ptr=… [name=…] bytes_req=… bytes_alloc=… gfp_flags=… [node=…] [accounted=…]`
  ///
  /// The call site of a module's function holds a blank (`ext4_free+0x1/0x2 [ext4]`); so may a
  /// cache's name, which therefore reaches to the field behind it. The plug-ins of trace-cmd and
  /// perf print the call site once more ahead of the fields.
  private static func allocation(
    in line: Span<UInt8>, from fields: Int, isSized: Bool
  ) -> Self? {
    guard let pointer = line.firstIndex(of: " ptr=", from: fields) else { return nil }
    var offset = pointer + 5
    guard let address = line.kernelAddress(at: &offset) else { return nil }
    let cache: Allocation.Cache
    if line.has(" name=", at: offset) {
      let name = offset + 6
      guard let nameEnd = line.firstIndex(of: " bytes_req=", from: name), nameEnd > name else {
        return nil
      }
      cache = .name(name..<nameEnd)
      offset = nameEnd
    } else if isSized {
      cache = .size
    } else {
      guard let site = line.firstIndex(of: "call_site=", from: fields), site < pointer else {
        return nil
      }
      cache = .callSite(site + 10..<pointer)
    }
    guard line.has(" bytes_req=", at: offset) else { return nil }
    offset += 11
    guard let requestedBytes = line.fieldNumber(at: &offset),
      line.has(" bytes_alloc=", at: offset)
    else { return nil }
    offset += 13
    guard let bytes = line.fieldNumber(at: &offset), line.has(" gfp_flags=", at: offset),
      let charge = charge(in: line, flags: offset + 11)
    else { return nil }
    return .allocation(
      Allocation(
        address: address, cache: cache, requestedBytes: requestedBytes, bytes: bytes,
        charge: charge))
  }

  /// The last field of an allocation says it in all forms in which a truth value is printed; without
  /// it the flags do.
  private static func charge(in line: Span<UInt8>, flags: Int) -> Allocation.Charge? {
    if line.count > 16, line.has(" accounted=false", at: line.count - 16) {
      return .accounted(false)
    }
    if line.count > 15, line.has(" accounted=true", at: line.count - 15) {
      return .accounted(true)
    }
    guard let field = line.firstIndex(of: " accounted=", from: flags) else {
      if line.firstIndex(of: "_ACCOUNT", from: flags) != nil { return .flags(true) }
      return line.isFlagNumber(at: flags) ? .unknown : .flags(false)
    }
    let (value, length) = (field + 11, line.count - field - 11)
    for (text, truth) in Self.truths where length == text.utf8CodeUnitCount {
      if line.has(text, at: value) { return .accounted(truth) }
    }
    return nil
  }

  private static let truths: [(StaticString, Bool)] = [
    ("1", true), ("0", false), ("Y", true), ("N", false), ("(1)", true), ("(0)", false),
    ("0x1 (1)", true), ("0x0 (0)", false), ("0x1", true), ("0x0", false),
  ]

  /// `call_site=… ptr=…`, and for `kmem_cache_free` of newer kernels the cache's name, which the
  /// address knows.
  private static func free(in line: Span<UInt8>, from fields: Int) -> Self? {
    guard let pointer = line.firstIndex(of: " ptr=", from: fields) else { return nil }
    var offset = pointer + 5
    guard let address = line.kernelAddress(at: &offset),
      offset == line.count || line[offset] == Byte.blank
    else { return nil }
    return .free(address: address)
  }

  /// The cache's name of a `kmem_cache_free`, which reaches to the line's end.
  static func freedName(in line: Span<UInt8>, head: EventHead) -> Range<Int>? {
    guard head.event.count == 15, line.has("kmem_cache_free", at: head.event.lowerBound),
      let field = line.firstIndex(of: " name=", from: head.fields), field + 6 < line.count
    else { return nil }
    return field + 6..<line.count
  }

  // MARK: Groups and tasks

  /// `root=… id=… level=… path=…`: the path reaches to the line's end.
  private static func groupMade(in line: Span<UInt8>, from fields: Int) -> Self? {
    guard let root = line.fieldNumber("root=", from: fields),
      let id = line.fieldNumber(" id=", from: fields),
      let path = line.firstIndex(of: " path=", from: fields), path + 6 < line.count
    else { return nil }
    return .groupMade(root: root, id: id, path: path + 6..<line.count)
  }

  private static func groupRemoved(in line: Span<UInt8>, from fields: Int) -> Self? {
    guard let root = line.fieldNumber("root=", from: fields),
      let id = line.fieldNumber(" id=", from: fields)
    else { return nil }
    return .groupRemoved(root: root, id: id)
  }

  /// `dst_root=… dst_id=… dst_level=… dst_path=… pid=… comm=…`: the pid is the first one behind
  /// which no more than a comm follows. With `options/fields` the pid stands ahead of the path, and
  /// is printed as `0xd37 (3383)`, like the other numbers.
  private static func attach(in line: Span<UInt8>, from fields: Int) -> Self? {
    guard let root = line.fieldNumber("dst_root=", from: fields),
      let group = line.fieldNumber(" dst_id=", from: fields)
    else { return nil }
    if line.has("dst_root=0x", at: fields) {
      guard let pid = line.fieldNumber(" pid=", from: fields), pid <= EventHead.greatestPid else {
        return nil
      }
      return .attach(pid: Int(pid), root: root, group: group)
    }
    var from = fields
    while let field = line.firstIndex(of: " pid=", from: from) {
      var offset = field + 5
      if let pid = EventHead.pid(in: line, at: &offset), line.has(" comm=", at: offset),
        line.count - offset - 6 <= EventHead.greatestCommLength
      {
        return .attach(pid: pid, root: root, group: group)
      }
      from = field + 5
    }
    return nil
  }

  /// `comm=… pid=… child_comm=… child_pid=…`: the child is the last number of the line.
  private static func fork(in line: Span<UInt8>) -> Self? {
    guard let field = line.lastIndex(of: " child_pid=") else { return nil }
    var offset = field + 11
    guard let child = line.fieldNumber(at: &offset), child <= EventHead.greatestPid,
      offset == line.count
    else { return nil }
    return .fork(child: Int(child))
  }
}
