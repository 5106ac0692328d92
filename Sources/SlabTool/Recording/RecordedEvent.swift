// The fields of the events that a recording of slab life consists of, as Linux 6.1 and later
// print them. Text fields whose content the recorded programs chose (paths, comms) may imitate
// other fields; each is read so that it cannot: by what must follow it, or from the line's end.

/// One event; names and paths are ranges of the line's bytes, so that reading allocates nothing.
enum RecordedEvent: Equatable {
  /// `kmem_cache_alloc`. Address 0 is an allocation that failed.
  case allocation(
    address: UInt64, cache: Range<Int>, requestedBytes: UInt64, bytes: UInt64, isAccounted: Bool)
  /// `kmem_cache_free` and `kfree`.
  case free(address: UInt64)
  /// `cgroup_mkdir`.
  case groupMade(id: UInt64, path: Range<Int>)
  /// `cgroup_rmdir`.
  case groupRemoved(id: UInt64)
  /// `cgroup_attach_task`.
  case attach(pid: Int, group: UInt64)
  /// `sched_process_fork`; the parent is the task that the line belongs to.
  case fork(child: Int)
  /// `sched_process_exit`.
  case exit
  /// An event that says nothing about slab life.
  case unknown
  /// An event of a known name without the fields that it must have.
  case malformed

  /// Reads the event of `line`, whose head has been read.
  init(_ line: Span<UInt8>, head: FtraceLine) {
    let name = head.event
    // Ordered by how often they come; the length rules most of them out.
    switch name.count {
    case 16 where line.has("kmem_cache_alloc", at: name.lowerBound):
      self = Self.allocation(in: line, from: head.fields) ?? .malformed
    case 15 where line.has("kmem_cache_free", at: name.lowerBound),
      5 where line.has("kfree", at: name.lowerBound):
      self = Self.free(in: line, from: head.fields) ?? .malformed
    case 18 where line.has("sched_process_exit", at: name.lowerBound):
      self = .exit
    case 18 where line.has("sched_process_fork", at: name.lowerBound):
      self = Self.fork(in: line) ?? .malformed
    case 18 where line.has("cgroup_attach_task", at: name.lowerBound):
      self = Self.attach(in: line, from: head.fields) ?? .malformed
    case 12 where line.has("cgroup_mkdir", at: name.lowerBound):
      self = Self.groupMade(in: line, from: head.fields) ?? .malformed
    case 12 where line.has("cgroup_rmdir", at: name.lowerBound):
      let id = Self.number(" id=", in: line, from: head.fields)
      self = id.map { .groupRemoved(id: $0) } ?? .malformed
    default:
      self = .unknown
    }
  }

  /// `call_site=… ptr=… name=… bytes_req=… bytes_alloc=… gfp_flags=… node=… accounted=…`
  ///
  /// The call site of a module's function holds a blank (`ext4_free+0x1/0x2 [ext4]`); so may a
  /// cache's name, which therefore reaches to the field behind it.
  private static func allocation(in line: Span<UInt8>, from fields: Int) -> Self? {
    var offset = fields
    guard let address = address(in: line, &offset), line.has(" name=", at: offset) else {
      return nil
    }
    let name = offset + 6
    guard let nameEnd = line.firstIndex(of: " bytes_req=", from: name), nameEnd > name else {
      return nil
    }
    offset = nameEnd + 11
    guard let requestedBytes = line.decimal(at: &offset), line.has(" bytes_alloc=", at: offset)
    else { return nil }
    offset += 13
    guard let bytes = line.decimal(at: &offset), line.has(Byte.blank, at: offset),
      let isAccounted = isAccounted(in: line)
    else { return nil }
    return .allocation(
      address: address, cache: name..<nameEnd, requestedBytes: requestedBytes, bytes: bytes,
      isAccounted: isAccounted)
  }

  /// The last field of an allocation.
  private static func isAccounted(in line: Span<UInt8>) -> Bool? {
    if line.count > 16, line.has(" accounted=false", at: line.count - 16) { return false }
    if line.count > 15, line.has(" accounted=true", at: line.count - 15) { return true }
    return nil
  }

  /// `call_site=… ptr=…`, and for `kmem_cache_free` the cache's name, which the address knows.
  private static func free(in line: Span<UInt8>, from fields: Int) -> Self? {
    var offset = fields
    guard let address = address(in: line, &offset),
      offset == line.count || line[offset] == Byte.blank
    else { return nil }
    return .free(address: address)
  }

  /// `root=… id=… level=… path=…`: the path reaches to the line's end.
  private static func groupMade(in line: Span<UInt8>, from fields: Int) -> Self? {
    guard let id = number(" id=", in: line, from: fields),
      let path = line.firstIndex(of: " path=", from: fields), path + 6 < line.count
    else { return nil }
    return .groupMade(id: id, path: path + 6..<line.count)
  }

  /// `dst_root=… dst_id=… dst_level=… dst_path=… pid=… comm=…`: the pid is the first one behind
  /// which no more than a comm follows.
  private static func attach(in line: Span<UInt8>, from fields: Int) -> Self? {
    guard let group = number(" dst_id=", in: line, from: fields) else { return nil }
    var from = fields
    while let field = line.firstIndex(of: " pid=", from: from) {
      var offset = field + 5
      if let pid = FtraceLine.pid(in: line, at: &offset), line.has(" comm=", at: offset),
        line.count - offset - 6 <= FtraceLine.greatestCommLength
      {
        return .attach(pid: pid, group: group)
      }
      from = field + 5
    }
    return nil
  }

  /// `comm=… pid=… child_comm=… child_pid=…`: the child is the last number of the line.
  private static func fork(in line: Span<UInt8>) -> Self? {
    guard let field = line.lastIndex(of: " child_pid=") else { return nil }
    var offset = field + 11
    guard let child = FtraceLine.pid(in: line, at: &offset), offset == line.count else {
      return nil
    }
    return .fork(child: child)
  }

  /// The value of ` ptr=`; `offset` moves behind it. The kernel prints a null pointer as zeros,
  /// older ones as `(null)`.
  private static func address(in line: Span<UInt8>, _ offset: inout Int) -> UInt64? {
    guard let field = line.firstIndex(of: " ptr=", from: offset) else { return nil }
    offset = field + 5
    if line.has("(null)", at: offset) {
      offset += 6
      return 0
    }
    return line.hexadecimal(at: &offset)
  }

  private static func number(
    _ name: StaticString, in line: Span<UInt8>, from fields: Int
  ) -> UInt64? {
    guard let field = line.firstIndex(of: name, from: fields) else { return nil }
    var offset = field + name.utf8CodeUnitCount
    return line.decimal(at: &offset)
  }
}
